//go:build linux || darwin || freebsd

package app

import "syscall"

// freeBytes is what a user may still write where path is.
func freeBytes(path string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // the types differ from system to system
}

// canWrite asks the system, and writes nothing.
func canWrite(path string) error {
	const write, search = 2, 1
	return syscall.Access(path, write|search)
}

//go:build unix

package spool

import (
	"os"
	"syscall"
)

// lock belongs to the open file, so that it ends with the process however that ends.
func lock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

func syncFolder(d *os.File) error { return d.Sync() }

package spool_test

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/store/spool"
)

// limited is a disk with so much room. What does not fit is written in part, as a real one does.
type limited struct {
	spool.Disk

	mu      sync.Mutex
	room    int64
	syncs   int
	failing error // of syncs
}

// hasty is a disk that syncs nothing: for tests that are not about power failures, of which there are thousands.
type hasty struct{ spool.Disk }

type hastyFile struct{ spool.File }

func (hasty) Sync() error     { return nil }
func (hastyFile) Sync() error { return nil }

func (d hasty) Create(name string) (spool.File, error) {
	f, err := d.Disk.Create(name)
	return hastyFile{f}, err
}

func (d hasty) Open(name string) (spool.File, error) {
	f, err := d.Disk.Open(name)
	return hastyFile{f}, err
}

func (d *limited) more(room int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room += room
}

func (d *limited) setFailing(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.failing = err
}

func (d *limited) synced() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.syncs
}

func (d *limited) Create(name string) (spool.File, error) {
	f, err := d.Disk.Create(name)
	if err != nil {
		return nil, err
	}
	return &limitedFile{File: f, disk: d}, nil
}

func (d *limited) Open(name string) (spool.File, error) {
	f, err := d.Disk.Open(name)
	if err != nil {
		return nil, err
	}
	return &limitedFile{File: f, disk: d}, nil
}

type limitedFile struct {
	spool.File

	disk *limited
	size int64 // written through this file
}

func (f *limitedFile) WriteAt(b []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	grows := max(0, at+int64(len(b))-f.size)
	if grows <= f.disk.room {
		f.disk.room -= grows
		f.size += grows
		return f.File.WriteAt(b, at)
	}
	n, err := f.File.WriteAt(b[:max(0, int64(len(b))-grows+f.disk.room)], at)
	f.size += f.disk.room
	f.disk.room = 0
	if err == nil {
		err = &os.PathError{Op: "write", Path: "segment", Err: syscall.ENOSPC}
	}
	return n, err
}

func (f *limitedFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.room += max(0, f.size-size)
	f.size = min(f.size, size)
	return f.File.Truncate(size)
}

func (f *limitedFile) Sync() error {
	f.disk.mu.Lock()
	f.disk.syncs++
	err := f.disk.failing
	f.disk.mu.Unlock()
	if err != nil {
		return err
	}
	return f.File.Sync()
}

// smallDisk is a folder on a disk with some 256 KiB of room: a file system of its own if this user may mount one, else
// a double. more makes room.
func smallDisk(t *testing.T) (folder string, o spool.Options, more func()) {
	t.Helper()
	dir := t.TempDir()
	if os.Getuid() == 0 && syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k,mode=0700") == nil {
		t.Log("on a tmpfs")
		ballast := filepath.Join(dir, "ballast") // what makes room when it goes
		require.NoError(t, os.WriteFile(ballast, make([]byte, 64<<10), 0o600))
		t.Cleanup(func() { require.NoError(t, syscall.Unmount(dir, 0)) })
		return filepath.Join(dir, "spool"), o, func() { require.NoError(t, os.Remove(ballast)) }
	}
	t.Log("on a double of a disk")
	disk := &limited{room: 192 << 10}
	o.Wrap = func(d spool.Disk) spool.Disk {
		disk.Disk = d
		return disk
	}
	return filepath.Join(dir, "spool"), o, func() { disk.more(64 << 10) }
}

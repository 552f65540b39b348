package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"omniservice/omni"
)

// Disk is what a spool needs of a file system: the files of one folder.
type Disk interface {
	List() ([]Info, error)
	Create(name string) (File, error) // one that is there is fs.ErrExist
	Open(name string) (File, error)   // to read and write
	Remove(name string) error
	Sync() error // makes the names durable
}

// File is one of them.
type File interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error // makes the content durable
	Close() error
}

// Info is what a list tells of a file.
type Info struct {
	Name    string
	Size    int64
	ModTime time.Time
}

// folder is the real Disk.
type folder struct{ path string }

// openFolder makes the folder, for this user alone, and takes its lock: until the lock is closed nobody else gets it.
func openFolder(path string) (folder, io.Closer, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return folder{}, nil, err
	}
	if err := os.Chmod(path, 0o700); err != nil { //nolint:gosec // a folder needs its x
		return folder{}, nil, err
	}
	f, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600) // #nosec G304 -- in the operator's data directory
	if err != nil {
		return folder{}, nil, err
	}
	if err := lock(f); err != nil {
		_ = f.Close()
		return folder{}, nil, fmt.Errorf("%s is in use by another process: %w: %w", path, omni.ErrConflict, err)
	}
	return folder{path}, f, nil
}

func (f folder) List() ([]Info, error) {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, err
	}
	all := make([]Info, 0, len(entries))
	for _, e := range entries {
		i, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && !i.Mode().IsRegular() {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, Info{Name: e.Name(), Size: i.Size(), ModTime: i.ModTime()})
	}
	return all, nil
}

func (f folder) Create(name string) (File, error) { return f.open(name, os.O_CREATE|os.O_EXCL) }
func (f folder) Open(name string) (File, error)   { return f.open(name, 0) }
func (f folder) Remove(name string) error         { return os.Remove(filepath.Join(f.path, name)) }

func (f folder) open(name string, flag int) (File, error) {
	file, err := os.OpenFile(filepath.Join(f.path, name), os.O_RDWR|flag, 0o600) // #nosec G304 -- names of ours
	if err != nil {
		return nil, err
	}
	return dataFile{file}, nil
}

// Sync makes the folder's names durable.
func (f folder) Sync() error {
	d, err := os.Open(f.path)
	if err != nil {
		return err
	}
	return errors.Join(syncFolder(d), d.Close())
}

// dataFile syncs content and size alone, where the system can.
type dataFile struct{ *os.File }

// Sync implements File.
func (f dataFile) Sync() error { return fdatasync(f.File) }

// isFull says whether a write failed for want of room.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// Package folder keeps files in a folder, each owner's apart, named by their content: what is put twice is there once,
// and what is there is whole.
package folder

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"regexp"
	"time"
)

const (
	incoming = "incoming" // files that are being written
	staleFor = time.Hour  // one that is older was left by a crash
)

var (
	validOwner = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)
	validSum   = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Folder is a folder of files. It is safe for concurrent use.
type Folder struct{ root *os.Root }

// Open opens the folder at path, which is made for this user only if it is not there.
func Open(path string) (*Folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	f := &Folder{root}
	if err := f.clean(); err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("clean folder: %w", err)
	}
	return f, nil
}

// Look opens the folder at path, which has to be there, for looking: nothing is made or removed.
func Look(path string) (*Folder, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &Folder{root}, nil
}

// clean removes what a crash left half written.
func (f *Folder) clean() error {
	if err := f.root.MkdirAll(incoming, 0o700); err != nil {
		return err
	}
	left, err := fs.ReadDir(f.root.FS(), incoming)
	if err != nil {
		return err
	}
	for _, e := range left {
		info, err := e.Info()
		if err != nil || time.Since(info.ModTime()) < staleFor {
			continue
		}
		if err := f.root.Remove(path.Join(incoming, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Close lets go of the folder. Files that are open stay so.
func (f *Folder) Close() error { return f.root.Close() }

// Put keeps what r gives until it ends, for an owner, and returns its SHA-256 as lower-case hex and its size in bytes.
// When it has returned the file outlives a power failure; if r fails nothing is kept. An owner is letters, digits and
// hyphens, at most 64.
func (f *Folder) Put(ctx context.Context, owner string, r io.Reader) (sum string, size int64, err error) {
	if !validOwner.MatchString(owner) || owner == incoming {
		return "", 0, fmt.Errorf("put file: %q cannot own files", owner)
	}
	temp := path.Join(incoming, rand.Text())
	w, err := f.root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", 0, fmt.Errorf("put file: %w", err)
	}
	defer func() { _ = f.root.Remove(temp) }() // it is not there any more if all went well
	hash := sha256.New()
	size, err = io.Copy(io.MultiWriter(w, hash), reader{ctx, r})
	if err == nil {
		err = w.Sync()
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return "", 0, fmt.Errorf("put file: %w", err)
	}
	sum = hex.EncodeToString(hash.Sum(nil))
	dir := path.Dir(place(owner, sum))
	if err := f.root.MkdirAll(dir, 0o700); err != nil {
		return "", 0, fmt.Errorf("put file: %w", err)
	}
	if err := f.root.Rename(temp, place(owner, sum)); err != nil {
		return "", 0, fmt.Errorf("put file: %w", err)
	}
	for _, d := range []string{dir, owner, "."} {
		if err := f.sync(d); err != nil {
			return "", 0, fmt.Errorf("put file: %w", err)
		}
	}
	return sum, size, nil
}

// sync makes the names in a directory durable.
func (f *Folder) sync(dir string) error {
	d, err := f.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open opens an owner's file. One that is not there is fs.ErrNotExist.
func (f *Folder) Open(_ context.Context, owner, sum string) (io.ReadSeekCloser, error) {
	if !validOwner.MatchString(owner) || !validSum.MatchString(sum) {
		return nil, fmt.Errorf("open file: %w", fs.ErrNotExist)
	}
	r, err := f.root.Open(place(owner, sum))
	if err != nil {
		return nil, fmt.Errorf("open file: %w", err)
	}
	return r, nil
}

// Remove removes an owner's file, and the directories that are empty without it. One that is not there is no error.
func (f *Folder) Remove(_ context.Context, owner, sum string) error {
	if !validOwner.MatchString(owner) || !validSum.MatchString(sum) {
		return nil
	}
	name := place(owner, sum)
	if err := f.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove file: %w", err)
	}
	// A directory that still holds something stays. So does one that a Put has just made and is about to use: it fails then,
	// and nothing of it is kept.
	_ = f.root.Remove(path.Dir(name))
	_ = f.root.Remove(owner)
	return nil
}

// RemoveBefore removes the files that were put before a moment, and returns how many.
func (f *Folder) RemoveBefore(ctx context.Context, before time.Time) (int, error) {
	n := 0
	for file, err := range f.All(File{}) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return n, err
		}
		info, err := f.root.Stat(place(file.Owner, file.Sum))
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.ModTime().Before(before) {
			continue
		}
		if err == nil {
			err = f.Remove(ctx, file.Owner, file.Sum)
		}
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// File is a file that is there.
type File struct {
	Owner string
	Sum   string
	Size  int64 // bytes
}

// All gives the files after one, or all after the zero File, by owner and then by sum. Files that are put meanwhile may
// be left out.
func (f *Folder) All(after File) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		owners, err := f.names(".")
		for _, owner := range owners {
			if owner < after.Owner || owner == incoming || !validOwner.MatchString(owner) {
				continue
			}
			if !f.allOf(owner, after, yield) {
				return
			}
		}
		if err != nil {
			yield(File{}, fmt.Errorf("list files: %w", err))
		}
	}
}

// allOf gives an owner's files, until yield wants no more or something fails. What somebody removes meanwhile is left out.
func (f *Folder) allOf(owner string, after File, yield func(File, error) bool) bool {
	fail := func(err error) bool {
		if errors.Is(err, fs.ErrNotExist) {
			return true
		}
		yield(File{}, fmt.Errorf("list files of %s: %w", owner, err))
		return false
	}
	parts, err := f.names(owner)
	if err != nil {
		return fail(err)
	}
	for _, part := range parts {
		sums, err := f.names(path.Join(owner, part))
		if err != nil {
			if !fail(err) {
				return false
			}
			continue
		}
		for _, sum := range sums {
			if !validSum.MatchString(sum) || owner == after.Owner && sum <= after.Sum {
				continue
			}
			info, err := f.root.Stat(path.Join(owner, part, sum))
			switch {
			case err != nil && !fail(err):
				return false
			case err != nil:
				continue
			}
			if !yield(File{owner, sum, info.Size()}, nil) {
				return false
			}
		}
	}
	return true
}

// names lists a directory, sorted.
func (f *Folder) names(dir string) ([]string, error) {
	entries, err := fs.ReadDir(f.root.FS(), dir)
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

// place spreads an owner's files over 256 directories.
func place(owner, sum string) string { return path.Join(owner, sum[:2], sum) }

// reader ends with its context.
type reader struct {
	ctx context.Context // of one call
	r   io.Reader
}

// Read implements io.Reader.
func (r reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

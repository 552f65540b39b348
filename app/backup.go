package app

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"omniservice/internal/folder"
	"omniservice/omni"
	"omniservice/store/sqlitestore"
)

// A backup is a folder, or an archive of one: the store as it was at one moment, all files that it may speak of, and a
// manifest that says what they are. The secret key is not in it.
const (
	backupFormat = 1
	backupName   = "backup"
	manifestName = "manifest.json"
	partialMark  = ".partial" // what is not finished has this at the end of its name
	tempPrefix   = ".restore-"
)

// Manifest says what a backup holds.
type Manifest struct {
	Omniservice string             `json:"omniservice"` // what it is: backupName
	Format      int                `json:"format"`
	Program     string             `json:"program"`
	CreatedAt   omni.Millis        `json:"createdAt"`
	Schema      int                `json:"schema"` // the newest migration of the store
	Rows        map[string]int64   `json:"rows"`   // of each table
	Key         *omni.SealedSecret `json:"key,omitempty"`
	Files       []ManifestFile     `json:"files"`            // by path; the store first
	SHA256      string             `json:"sha256,omitempty"` // of the manifest without this field
}

// ManifestFile is a file of a backup.
type ManifestFile struct {
	Path   string `json:"path"` // with /, below the backup's folder
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// sum is what SHA256 has to be.
func (m Manifest) sum() (string, error) {
	m.SHA256 = ""
	b, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// Size is how many bytes the files have.
func (m Manifest) Size() (n int64) {
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

// isArchive reports whether a backup of that name is one file.
func isArchive(name string) bool {
	return strings.HasSuffix(name, ".tar.gz") || strings.HasSuffix(name, ".tgz")
}

// Backup copies what the gateway in a data directory keeps, while it runs or not, to a new folder, or to a new archive if
// the name ends with .tar.gz or .tgz. It is complete once it has that name.
func Backup(ctx context.Context, c Config, to, version string, now time.Time) (m Manifest, err error) {
	fail := func(err error) (Manifest, error) { return Manifest{}, fmt.Errorf("back up to %s: %w", to, err) }
	if !c.MongoURI.IsZero() {
		return fail(fmt.Errorf("the store is a MongoDB: use its own tools (mongodump), or `omniservice export`: %w", omni.ErrInvalid))
	}
	from := filepath.Join(c.DataDir, storeName)
	if _, err := os.Stat(from); err != nil {
		return fail(fmt.Errorf("there is no store in %s: name the data directory by --data-dir or OMNI_DATA_DIR: %w", c.DataDir, err))
	}
	if _, err := os.Lstat(to); !errors.Is(err, fs.ErrNotExist) {
		return fail(fmt.Errorf("it is there already: give a new name: %w", errors.Join(omni.ErrConflict, err)))
	}
	dir := to + partialMark
	if isArchive(to) {
		dir = to + ".d" + partialMark
	}
	// What an earlier run left is of no use: its store is of another moment.
	if err := os.RemoveAll(dir); err != nil {
		return fail(err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fail(err)
	}
	defer func() {
		if err != nil || isArchive(to) {
			_ = os.RemoveAll(dir)
		}
	}()
	if m, err = gather(ctx, c, from, dir, version, now); err != nil {
		return fail(err)
	}
	if isArchive(to) {
		err = archive(ctx, dir, to, m)
	} else {
		err = os.Rename(dir, to)
	}
	if err == nil {
		err = syncDir(filepath.Dir(to))
	}
	if err != nil {
		return fail(err)
	}
	return m, nil
}

// gather fills the folder dir.
func gather(ctx context.Context, c Config, from, dir, version string, now time.Time) (Manifest, error) {
	m := Manifest{Omniservice: backupName, Format: backupFormat, Program: version, CreatedAt: omni.MillisOf(now)}
	// The store comes first: a file is kept before a record speaks of it, and it is never changed. So what the copy of
	// the store speaks of is among the files that are there now.
	if err := sqlitestore.Backup(ctx, from, filepath.Join(dir, storeName)); err != nil {
		return m, err
	}
	found, err := sqlitestore.Check(ctx, filepath.Join(dir, storeName))
	if err != nil {
		return m, err
	}
	m.Schema, m.Rows = found.Schema, found.Rows
	if m.Key, err = checkOf(ctx, filepath.Join(dir, storeName)); err != nil {
		return m, err
	}
	files, err := folder.Look(filepath.Join(c.DataDir, mediaName))
	if err == nil {
		err = errors.Join(copyFiles(ctx, files, filepath.Join(dir, mediaName)), files.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // before the first start there is no folder
		return m, err
	}
	if m.Files, err = filesBelow(ctx, dir); err != nil {
		return m, err
	}
	if m.SHA256, err = m.sum(); err != nil {
		return m, err
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	return m, writeDurably(filepath.Join(dir, manifestName), append(b, '\n'))
}

// checkOf reads the check of the secret key from a copy of a store.
func checkOf(ctx context.Context, path string) (*omni.SealedSecret, error) {
	b, err := sqlitestore.MarkerOf(ctx, path, markerKey)
	if err != nil || b == nil {
		return nil, err
	}
	var check omni.SealedSecret
	return &check, json.Unmarshal(b, &check)
}

// copyFiles copies all files into the folder at to, and checks that each has the content that its name says.
func copyFiles(ctx context.Context, from *folder.Folder, to string) (err error) {
	into, err := folder.Open(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, into.Close(), os.Remove(filepath.Join(to, "incoming"))) }()
	for f, err := range from.All(folder.File{}) {
		if err != nil {
			return err
		}
		r, err := from.Open(ctx, f.Owner, f.Sum)
		if err != nil {
			return err
		}
		sum, _, err := into.Put(ctx, f.Owner, r)
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
		if sum != f.Sum {
			return fmt.Errorf("file %s of %s is damaged: its content is another one: %w", f.Sum, f.Owner, omni.ErrInvalid)
		}
	}
	return nil
}

// filesBelow lists the files below dir but the manifest, with their sums, the store first.
func filesBelow(ctx context.Context, dir string) ([]ManifestFile, error) {
	all := []ManifestFile{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		rel, relErr := filepath.Rel(dir, name)
		if err = errors.Join(err, relErr); err != nil || d.IsDir() || rel == manifestName {
			return err
		}
		size, sum, err := sumOf(name)
		all = append(all, ManifestFile{Path: filepath.ToSlash(rel), Size: size, SHA256: sum})
		return err
	})
	slices.SortFunc(all, func(a, b ManifestFile) int {
		if (a.Path == storeName) != (b.Path == storeName) {
			if a.Path == storeName {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Path, b.Path)
	})
	return all, err
}

func sumOf(name string) (size int64, sum string, err error) {
	f, err := os.Open(name) // #nosec G304 -- in a folder that the operator names
	if err != nil {
		return 0, "", err
	}
	h := sha256.New()
	size, err = io.Copy(h, f)
	return size, hexSum(h), errors.Join(err, f.Close())
}

func hexSum(h hash.Hash) string { return hex.EncodeToString(h.Sum(nil)) }

func writeDurably(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) // #nosec G304 -- in a folder that the operator names
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close(), syncDir(filepath.Dir(name)))
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir) // #nosec G304 -- the operator names it
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// archive packs the folder dir into the file to. The manifest comes first.
func archive(ctx context.Context, dir, to string, m Manifest) (err error) {
	temp := to + partialMark
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // #nosec G304 -- the operator names the file
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp)
		}
	}()
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	t := tar.NewWriter(z)
	names := []string{manifestName}
	for _, file := range m.Files {
		names = append(names, file.Path)
	}
	for _, name := range names {
		if err = errors.Join(err, ctx.Err()); err == nil {
			err = pack(t, dir, name, m.CreatedAt.Time())
		}
	}
	if err = errors.Join(err, t.Close(), z.Close(), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(temp, to)
}

func pack(t *tar.Writer, dir, name string, at time.Time) error {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name))) // #nosec G304 -- in the folder that was just made
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		err = t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: 0o600, ModTime: at.Truncate(time.Second), Format: tar.FormatPAX})
	}
	if err == nil {
		_, err = io.Copy(t, f)
	}
	return errors.Join(err, f.Close())
}

// CheckBackup looks through a backup, a folder or an archive: whether all is there and as it was made.
func CheckBackup(ctx context.Context, from string) (m Manifest, err error) {
	err = withFolder(ctx, from, os.TempDir(), func(dir string, _ bool) error {
		m, err = checkFolder(ctx, dir)
		return err
	})
	if err != nil {
		return m, fmt.Errorf("check %s: %w", from, err)
	}
	return m, nil
}

// withFolder calls do with the folder of a backup: itself, or what is in the archive, which is unpacked below temp. That
// is ours to take from; what is left of it is removed afterwards.
func withFolder(ctx context.Context, from, temp string, do func(dir string, ours bool) error) error {
	info, err := os.Stat(from)
	if err != nil {
		return fmt.Errorf("%w: %w", omni.ErrInvalid, err)
	}
	if info.IsDir() {
		return do(from, false)
	}
	dir, err := os.MkdirTemp(temp, tempPrefix+"*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := unpack(ctx, from, dir); err != nil {
		return err
	}
	return do(dir, true)
}

// unpack writes the files of an archive below dir. Nothing gets out of dir, and names are only those that a backup has.
func unpack(ctx context.Context, from, dir string) (err error) {
	damaged := func(err error) error {
		return fmt.Errorf("%w: it is damaged, cut off, or no backup: %w", omni.ErrInvalid, err)
	}
	f, err := os.Open(from) // #nosec G304 -- the operator names the file
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return damaged(err)
	}
	t := tar.NewReader(z)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && (h.Typeflag != tar.TypeReg || !fs.ValidPath(h.Name)) {
			err = fmt.Errorf("it holds %q", h.Name)
		}
		if err != nil {
			return damaged(err)
		}
		if err := errors.Join(ctx.Err(), root.MkdirAll(path.Dir(h.Name), 0o700)); err != nil {
			return err
		}
		w, err := root.OpenFile(h.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return damaged(err)
		}
		_, err = io.CopyN(w, t, h.Size)
		if err := w.Close(); err != nil {
			return err
		}
		if err != nil {
			return damaged(err)
		}
	}
	if _, err := io.Copy(io.Discard, z); err != nil { // #nosec G110 -- nothing is kept; checks the sum at its end
		return damaged(err)
	}
	return nil
}

// checkFolder is CheckBackup of a folder.
func checkFolder(ctx context.Context, dir string) (m Manifest, err error) {
	bad := func(format string, args ...any) (Manifest, error) {
		return m, fmt.Errorf("%w: "+format, append([]any{omni.ErrInvalid}, args...)...)
	}
	b, err := os.ReadFile(filepath.Join(dir, manifestName)) // #nosec G304 -- in a folder that the operator names
	if err != nil {
		return bad("it has no manifest: it is no backup, or one that was cut off: %w", err)
	}
	if err := json.Unmarshal(b, &m); err != nil || m.Omniservice != backupName {
		return bad("its manifest is damaged, or not of a backup of omniservice")
	}
	if m.Format != backupFormat {
		return bad("its format is %d, made by omniservice %s: this one reads format %d; use that version or a newer one", m.Format, m.Program, backupFormat)
	}
	want, err := m.sum()
	if err != nil {
		return m, err
	}
	// The very bytes: JSON reads the same from more than one text.
	exact, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return m, err
	}
	if want != m.SHA256 || string(exact)+"\n" != string(b) {
		return bad("its manifest is damaged")
	}
	have, err := filesBelow(ctx, dir)
	if err != nil {
		return m, err
	}
	there := make(map[string]ManifestFile, len(have))
	for _, f := range have {
		there[f.Path] = f
	}
	for _, f := range m.Files {
		got, ok := there[f.Path]
		switch {
		case !ok:
			return bad("%s is missing", f.Path)
		case got.Size < f.Size:
			return bad("%s is cut off: it has %d bytes of %d", f.Path, got.Size, f.Size)
		case got != f:
			return bad("%s is damaged", f.Path)
		}
		delete(there, f.Path)
	}
	for name := range there {
		return bad("%s does not belong to it", name)
	}
	found, err := sqlitestore.Check(ctx, filepath.Join(dir, storeName))
	if err != nil {
		return m, err
	}
	if found.Schema != m.Schema {
		return bad("its store has schema %d, the manifest says %d", found.Schema, m.Schema)
	}
	for table, n := range m.Rows {
		if found.Rows[table] != n {
			return bad("its store has %d rows in %s, the manifest says %d", found.Rows[table], table, n)
		}
	}
	return m, nil
}

// RestoreOptions say how to restore.
type RestoreOptions struct {
	Now   time.Time
	Force bool // replace what is there: it is moved aside
}

// Restored is what Restore has done.
type Restored struct {
	Manifest Manifest `json:"manifest"`
	Aside    string   `json:"aside,omitempty"` // the folder that has what was there before
	NoKey    bool     `json:"noKey,omitempty"` // there is no secret key yet
}

// Restore makes what a backup holds the content of a data directory, which nobody may be using. The backup is checked
// first. A secret key that is there stays, and has to be that of the backup.
func Restore(ctx context.Context, c Config, from string, o RestoreOptions) (r Restored, err error) {
	fail := func(err error) (Restored, error) { return Restored{}, fmt.Errorf("restore %s: %w", from, err) }
	if !c.MongoURI.IsZero() {
		return fail(fmt.Errorf("a backup is of an embedded store, and OMNI_MONGO_URI is set: unset it: %w", omni.ErrInvalid))
	}
	if err := os.MkdirAll(c.DataDir, 0o700); err != nil {
		return fail(err)
	}
	keys, err := c.existingKeyring()
	if err != nil {
		return fail(err)
	}
	target := filepath.Join(c.DataDir, storeName)
	alone, err := sqlitestore.Exclusive(target)
	if errors.Is(err, omni.ErrConflict) {
		err = fmt.Errorf("%s is in use: stop the gateway first: %w", c.DataDir, omni.ErrConflict)
	}
	if err != nil {
		return fail(err)
	}
	defer func() { err = errors.Join(err, alone.Close()) }()
	if err := removeLeft(c.DataDir); err != nil {
		return fail(err)
	}
	there := existing(c.DataDir)
	if len(there) > 0 && !o.Force {
		return fail(fmt.Errorf("%s holds data already (%s): name another folder, or replace them by --force, which moves them aside: %w",
			c.DataDir, strings.Join(there, ", "), omni.ErrConflict))
	}
	err = withFolder(ctx, from, c.DataDir, func(dir string, ours bool) error {
		if r.Manifest, err = checkFolder(ctx, dir); err != nil {
			return err
		}
		if keys != nil && r.Manifest.Key != nil && !fits(keys, r.Manifest.Key) {
			return errWrongKey
		}
		r.NoKey = keys == nil && r.Manifest.Key != nil
		if !ours {
			if dir, err = copied(ctx, dir, c.DataDir); err != nil {
				return err
			}
			defer func() { _ = os.RemoveAll(dir) }()
		}
		r.Aside, err = replace(c.DataDir, dir, there, o.Now)
		return err
	})
	if err != nil {
		return fail(err)
	}
	return r, nil
}

// existing lists what a restore would replace.
func existing(dataDir string) []string {
	var there []string
	for _, name := range []string{storeName, storeName + "-wal", storeName + "-shm", storeName + "-journal", mediaName} {
		info, err := os.Lstat(filepath.Join(dataDir, name))
		if err != nil || name == mediaName && info.IsDir() && isEmptyFolder(filepath.Join(dataDir, name)) {
			continue
		}
		there = append(there, name)
	}
	return there
}

func isEmptyFolder(dir string) bool {
	empty := true
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		empty = empty && err == nil && d.IsDir()
		return err
	})
	return empty && err == nil
}

// removeLeft removes what restores that were cut off left behind.
func removeLeft(dataDir string) error {
	left, err := filepath.Glob(filepath.Join(dataDir, tempPrefix+"*"))
	for _, name := range left {
		err = errors.Join(err, os.RemoveAll(name))
	}
	return err
}

// copied copies a backup to a folder below temp, and checks the copy.
func copied(ctx context.Context, backup, temp string) (dir string, err error) {
	if dir, err = os.MkdirTemp(temp, tempPrefix+"*"); err != nil {
		return "", err
	}
	if err = os.CopyFS(dir, os.DirFS(backup)); err == nil {
		_, err = checkFolder(ctx, dir)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
	}
	return dir, err
}

// replace moves away what is there, and in what is in the folder fresh.
func replace(dataDir, fresh string, there []string, now time.Time) (aside string, err error) {
	if err := private(fresh); err != nil {
		return "", err
	}
	if len(there) > 0 {
		aside = filepath.Join(dataDir, "before-restore-"+now.UTC().Format("20060102T150405Z"))
		if err := os.Mkdir(aside, 0o700); err != nil {
			return "", err
		}
	}
	for _, name := range there {
		if err := os.Rename(filepath.Join(dataDir, name), filepath.Join(aside, name)); err != nil {
			return aside, err
		}
	}
	// The store comes last: without it there is nothing that could be started with half of the files.
	media := filepath.Join(dataDir, mediaName)
	if err := os.RemoveAll(media); err != nil { // nothing but empty folders
		return aside, err
	}
	if err := os.Rename(filepath.Join(fresh, mediaName), media); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return aside, err
	}
	if err := os.Rename(filepath.Join(fresh, storeName), filepath.Join(dataDir, storeName)); err != nil {
		return aside, err
	}
	return aside, syncDir(dataDir)
}

// private makes all below dir readable by this user alone, and durable.
func private(dir string) error {
	return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o600)
		if d.IsDir() {
			mode = 0o700
		}
		if err := os.Chmod(name, mode); err != nil { // #nosec G122 -- in a folder that was just made
			return err
		}
		return syncDir(name) // of a file: its content
	})
}

package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"omniservice/internal/folder"
	"omniservice/internal/seal"
	"omniservice/omni"
	"omniservice/store"
)

// partSize is how much of a file stands in one record of an export.
const partSize = 512 << 10

// headerMost is more than the first piece of an export has, which is the header alone.
const headerMost = 4 << 10

// largestFile is more than any file that is kept has.
const largestFile = 256 << 20

// Stock is all that a gateway keeps: the records, the files, and the key that its secrets are sealed with.
type Stock struct {
	Store store.Store
	Files *folder.Folder
	Keys  *seal.Keyring // nil if there is none yet
}

// Close lets go of it. Closing again is nothing.
func (s *Stock) Close() error {
	var errs []error
	if s.Files != nil {
		errs = append(errs, s.Files.Close())
	}
	if s.Store != nil {
		errs = append(errs, s.Store.Close())
	}
	s.Files, s.Store = nil, nil
	return errors.Join(errs...)
}

// OpenStock opens what a configuration names. With create, what is not there is made, but for the key.
func OpenStock(ctx context.Context, c Config, create bool) (_ *Stock, err error) {
	var s Stock
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	if !create && c.MongoURI.IsZero() {
		if _, err := os.Stat(filepath.Join(c.DataDir, storeName)); err != nil {
			return nil, fmt.Errorf("there is no store in %s: name the data directory by --data-dir or OMNI_DATA_DIR: %w", c.DataDir, err)
		}
	}
	if s.Keys, err = c.existingKeyring(); err != nil {
		return nil, err
	}
	if s.Store, err = OpenStore(ctx, c); err != nil {
		return nil, err
	}
	if s.Files, err = folder.Open(filepath.Join(c.DataDir, mediaName)); err != nil {
		return nil, fmt.Errorf("media folder: %w", err)
	}
	return &s, nil
}

// ExportOptions say how to export.
type ExportOptions struct {
	Version string
	Now     time.Time
	Live    bool // although a gateway is running: what changes meanwhile may be there half
}

// Transfer is what an export or an import has done.
type Transfer struct {
	ID      string                     `json:"id"`      // of the export
	Records map[store.RecordKind]int64 `json:"records"` // in the whole export, parts of files included
	Skipped int64                      `json:"skipped"` // of these, those that an earlier run had done
	SHA256  string                     `json:"sha256"`  // of all records: two exports with the same one hold the same
}

// Export writes all of s to w.
func Export(ctx context.Context, s *Stock, w io.Writer, o ExportOptions) (Transfer, error) {
	e, err := beginExport(ctx, s, o)
	if err != nil {
		return Transfer{}, fmt.Errorf("export: %w", err)
	}
	e.out = &streamWriter{w: w, tally: newTally()}
	if err := e.out.value(e.header); err != nil {
		return Transfer{}, fmt.Errorf("export: %w", err)
	}
	return e.run(ctx)
}

// ExportFile is Export to a file. One that an earlier run was cut off in is gone on with, if nothing has begun to use the
// store otherwise in between; one that is complete is left alone, and omni.ErrConflict.
func ExportFile(ctx context.Context, s *Stock, path string, o ExportOptions) (_ Transfer, err error) {
	fail := func(err error) (Transfer, error) { return Transfer{}, fmt.Errorf("export to %s: %w", path, err) }
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) // #nosec G304 -- the operator names the file
	if err != nil {
		return fail(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return fail(err)
	}
	e, err := beginExport(ctx, s, o)
	if err != nil {
		return fail(err)
	}
	e.out = &streamWriter{w: f, tally: newTally()}
	if info.Size() > 0 {
		err = e.goOn(f)
	}
	if err == nil && e.skipped == 0 {
		err = e.begin(f)
	}
	if err != nil {
		return fail(err)
	}
	t, err := e.run(ctx)
	if err != nil {
		return fail(err)
	}
	if err := f.Sync(); err != nil {
		return fail(err)
	}
	return t, nil
}

// exporter is an export under way.
type exporter struct {
	s       *Stock
	header  streamHeader
	out     *streamWriter
	at      store.Position
	file    folder.File // the last that is out, with some of its parts
	parts   int64       // of file that are out
	skipped int64
}

func beginExport(ctx context.Context, s *Stock, o ExportOptions) (*exporter, error) {
	if !o.Live {
		if err := notRunning(ctx, s.Store, o.Now); err != nil {
			return nil, err
		}
	}
	if s.Keys != nil {
		if err := keepCheck(ctx, s.Store, s.Keys); err != nil {
			return nil, err
		}
	}
	source, err := storeID(ctx, s.Store)
	if err != nil {
		return nil, err
	}
	e := &exporter{s: s, header: streamHeader{
		Omniservice: streamName, Format: streamFormat, ID: omni.NewIDAt(o.Now), Source: source, Program: o.Version, CreatedAt: omni.MillisOf(o.Now),
	}}
	if e.header.Key, err = storedCheck(ctx, s.Store); err != nil {
		return nil, err
	}
	return e, nil
}

// notRunning is omni.ErrConflict while a gateway works on a store, as its leases tell.
func notRunning(ctx context.Context, st store.Store, now time.Time) error {
	r, err := st.Inspect(ctx, omni.MillisOf(now))
	if err != nil {
		return err
	}
	for _, l := range r.Leases {
		if l.ExpiresAt > omni.MillisOf(now) {
			return fmt.Errorf("a gateway (%s) is running on this store, or ended less than %d s ago: stop it first, so that nothing changes meanwhile: %w",
				l.Owner, (l.ExpiresAt-omni.MillisOf(now))/1000+1, omni.ErrConflict)
		}
	}
	return nil
}

// begin writes the header into an empty file.
func (e *exporter) begin(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	e.out.tally = newTally()
	if err := e.out.value(e.header); err != nil {
		return err
	}
	return e.out.flush()
}

// goOn finds out how far an earlier run has come, and cuts off what it left half.
func (e *exporter) goOn(f *os.File) error {
	r := newStreamReader(f)
	h, err := r.header()
	if errors.Is(err, errCut) && r.count.n < headerMost {
		return nil // not even the header is whole: begin anew
	}
	if err != nil {
		return fmt.Errorf("the file is there, and not an export that could be gone on with: %w", err)
	}
	if h.Source != e.header.Source {
		return fmt.Errorf("the file is the begin of an export of another store: give another name: %w", omni.ErrConflict)
	}
	e.header = h
	// A piece is checked before its first line is given: all that is read here stands in whole pieces.
	err = r.records(e.out.tally, func(n int64, rec store.Record) error {
		e.skipped = n
		if rec.Kind != filesKind {
			e.at = store.Position{Kind: rec.Kind, Key: rec.Key}
			return nil
		}
		return e.after(rec)
	})
	switch {
	case err == nil:
		return fmt.Errorf("the file is there, and a complete export: give another name: %w", omni.ErrConflict)
	case !errors.Is(err, errCut) && !errors.Is(err, errPiece):
		return err
	}
	if err := f.Truncate(r.whole); err != nil {
		return err
	}
	_, err = f.Seek(r.whole, io.SeekStart)
	return err
}

// after notes that a part of a file is out.
func (e *exporter) after(rec store.Record) error {
	part, err := readPart(rec)
	if err != nil {
		return err
	}
	e.file, e.parts = folder.File{Owner: rec.Key[0], Sum: rec.Key[1], Size: part.Size}, part.number+1
	if part.Last {
		e.parts = 0
	}
	return nil
}

// run writes what is still missing.
func (e *exporter) run(ctx context.Context) (Transfer, error) {
	if e.file.Owner == "" {
		if err := e.records(ctx); err != nil {
			return Transfer{}, fmt.Errorf("export: %w", err)
		}
	}
	if err := e.files(ctx); err != nil {
		return Transfer{}, fmt.Errorf("export: %w", err)
	}
	end := e.out.tally.end()
	if err := errors.Join(e.out.value(end), e.out.flush()); err != nil {
		return Transfer{}, fmt.Errorf("export: %w", err)
	}
	return Transfer{ID: e.header.ID, Records: end.Records, Skipped: e.skipped, SHA256: end.SHA256}, nil
}

func (e *exporter) records(ctx context.Context) error {
	for {
		rs, next, err := e.s.Store.Dump(ctx, e.at, 0)
		if err != nil || len(rs) == 0 {
			return err
		}
		for _, r := range rs {
			if err := e.out.record(r); err != nil {
				return err
			}
		}
		e.at = next
	}
}

func (e *exporter) files(ctx context.Context) error {
	if e.s.Files == nil {
		return nil
	}
	if e.parts > 0 {
		if err := e.contents(ctx, e.file, e.parts); err != nil {
			return err
		}
	}
	for file, err := range e.s.Files.All(e.file) {
		if err == nil {
			err = e.contents(ctx, file, 0)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// contents writes a file from one of its parts on.
func (e *exporter) contents(ctx context.Context, file folder.File, from int64) (err error) {
	r, err := e.s.Files.Open(ctx, file.Owner, file.Sum)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if _, err := r.Seek(from*partSize, io.SeekStart); err != nil {
		return err
	}
	buf := make([]byte, partSize)
	for n := from; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		got, err := io.ReadFull(r, buf)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		last := n*partSize+int64(got) >= file.Size
		if !last && got < partSize {
			return fmt.Errorf("file %s of %s is shorter than it was: %w", file.Sum, file.Owner, fs.ErrInvalid)
		}
		data, err := json.Marshal(filePart{Size: file.Size, Last: last, Content: buf[:got]})
		if err != nil {
			return err
		}
		key := []string{file.Owner, file.Sum, strconv.FormatInt(n, 10)}
		if err := e.out.record(store.Record{Kind: filesKind, Key: key, Data: data}); err != nil || last {
			return err
		}
	}
}

// numberedPart is a part with its number.
type numberedPart struct {
	filePart

	number int64
}

func readPart(rec store.Record) (p numberedPart, err error) {
	if len(rec.Key) == 3 {
		p.number, err = strconv.ParseInt(rec.Key[2], 10, 64)
	}
	if len(rec.Key) != 3 || err != nil {
		return p, fmt.Errorf("%w: part %q of a file", omni.ErrInvalid, rec.Key)
	}
	if err := json.Unmarshal(rec.Data, &p.filePart); err != nil || p.Size < 0 || p.Size > largestFile {
		return p, fmt.Errorf("%w: part %q of a file cannot be read", omni.ErrInvalid, rec.Key)
	}
	return p, nil
}

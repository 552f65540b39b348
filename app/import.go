package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"omniservice/omni"
	"omniservice/store"
)

// How much is loaded at once.
const (
	loadRecords = 500
	loadBytes   = 4 << 20
)

// ImportOptions say how to import.
type ImportOptions struct {
	Now    time.Time
	Merge  bool // into a store that holds something already: what has the same key is replaced
	AnyKey bool // although the secret key is another one: credentials have to be given anew, and people to log in again
}

// importMark is how far an import has come.
type importMark struct {
	ID    string `json:"id"`    // of the export
	Lines int64  `json:"lines"` // records that are in
}

// ImportFile is Import of a file, which is checked to its end before anything is loaded.
func ImportFile(ctx context.Context, s *Stock, path string, o ImportOptions) (_ Transfer, err error) {
	fail := func(err error) (Transfer, error) { return Transfer{}, fmt.Errorf("import from %s: %w", path, err) }
	f, err := os.Open(path) // #nosec G304 -- the operator names the file
	if err != nil {
		return fail(err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	r := newStreamReader(f)
	if _, err := r.header(); err != nil {
		return fail(err)
	}
	if err := r.records(newTally(), func(int64, store.Record) error { return ctx.Err() }); err != nil {
		return fail(err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fail(err)
	}
	t, err := importAll(ctx, s, f, o)
	if err != nil {
		return fail(err)
	}
	return t, nil
}

// Import loads an export into s, which has to be empty, or to have been left by an import of the same export that was cut
// off. What is damaged is refused where the damage is found: what came before it is in by then, and the same call with a
// good copy goes on.
func Import(ctx context.Context, s *Stock, r io.Reader, o ImportOptions) (Transfer, error) {
	t, err := importAll(ctx, s, r, o)
	if err != nil {
		return Transfer{}, fmt.Errorf("import: %w", err)
	}
	return t, nil
}

func importAll(ctx context.Context, s *Stock, in io.Reader, o ImportOptions) (Transfer, error) {
	r := newStreamReader(in)
	h, err := r.header()
	if err != nil {
		return Transfer{}, err
	}
	if err := notRunning(ctx, s.Store, o.Now); err != nil {
		return Transfer{}, err
	}
	if h.Key != nil && !o.AnyKey && (s.Keys == nil || !fits(s.Keys, h.Key)) {
		return Transfer{}, errWrongKey
	}
	im := &importer{s: s, mark: importMark{ID: h.ID}}
	if err := im.begin(ctx, o.Merge); err != nil {
		return Transfer{}, err
	}
	done := im.mark.Lines
	tally := newTally()
	err = r.records(tally, func(n int64, rec store.Record) error {
		if n <= done {
			return nil
		}
		return im.take(ctx, n, rec)
	})
	if err == nil {
		err = im.flush(ctx)
	}
	if err == nil && im.file.Len() > 0 {
		err = fmt.Errorf("%w: its last file is cut off", omni.ErrInvalid)
	}
	if err != nil {
		return Transfer{}, err
	}
	if s.Keys != nil && done < math.MaxInt64 {
		// From now on the store is this key's.
		if err := s.Store.SetMarker(ctx, markerKey, nil); err != nil {
			return Transfer{}, err
		}
		if err := keepCheck(ctx, s.Store, s.Keys); err != nil {
			return Transfer{}, err
		}
	}
	if err := im.end(ctx); err != nil {
		return Transfer{}, err
	}
	end := tally.end()
	return Transfer{ID: h.ID, Records: end.Records, Skipped: min(done, r.lines-2), SHA256: end.SHA256}, nil
}

// importer is an import under way.
type importer struct {
	s     *Stock
	mark  importMark
	batch []store.Record
	size  int
	lines int64 // up to the last record of batch
	file  bytes.Buffer
	parts int64 // of the file that have come
}

// begin looks whether the store may be loaded into, and how far an earlier run has come.
func (im *importer) begin(ctx context.Context, merge bool) error {
	b, err := im.s.Store.Marker(ctx, markerImport)
	if err != nil {
		return err
	}
	if b != nil {
		var mark importMark
		if err := json.Unmarshal(b, &mark); err != nil {
			return fmt.Errorf("marker %s: %w", markerImport, err)
		}
		if mark.ID != im.mark.ID {
			return fmt.Errorf("an import of another export (%s) into this store is not finished: finish that one, or begin with an empty store: %w", mark.ID, omni.ErrConflict)
		}
		im.mark = mark
		return nil
	}
	rs, _, err := im.s.Store.Dump(ctx, store.Position{}, 1)
	if err != nil {
		return err
	}
	before, err := im.s.Store.Marker(ctx, markerDone)
	if err != nil {
		return err
	}
	if string(before) == im.mark.ID && !merge {
		im.mark.Lines = math.MaxInt64 // all of it is in
		return nil
	}
	if len(rs) > 0 && !merge {
		return fmt.Errorf("the store is not empty (it holds %s): import into an empty one, or add to this one by --merge: %w", rs[0].Kind, omni.ErrConflict)
	}
	return im.note(ctx)
}

// note keeps how far it has come. Until the import has ended no gateway starts on the store.
func (im *importer) note(ctx context.Context) error {
	b, err := json.Marshal(im.mark)
	if err != nil {
		return err
	}
	return im.s.Store.SetMarker(ctx, markerImport, b)
}

// end notes that all is in: the same import again does nothing.
func (im *importer) end(ctx context.Context) error {
	if err := im.s.Store.SetMarker(ctx, markerDone, []byte(im.mark.ID)); err != nil {
		return err
	}
	return im.s.Store.SetMarker(ctx, markerImport, nil)
}

// take brings in the n-th record.
func (im *importer) take(ctx context.Context, n int64, rec store.Record) error {
	if rec.Kind == filesKind {
		if err := im.flush(ctx); err != nil {
			return err
		}
		return im.part(ctx, n, rec)
	}
	rec.Data = bytes.Clone(rec.Data)
	im.batch, im.size, im.lines = append(im.batch, rec), im.size+len(rec.Data), n
	if len(im.batch) < loadRecords && im.size < loadBytes {
		return nil
	}
	return im.flush(ctx)
}

// flush loads what has been gathered, and notes it. Cut off in between, it loads the same again.
func (im *importer) flush(ctx context.Context) error {
	if len(im.batch) == 0 {
		return nil
	}
	if err := im.s.Store.Load(ctx, im.batch); err != nil {
		return err
	}
	clear(im.batch)
	im.batch, im.size, im.mark.Lines = im.batch[:0], 0, im.lines
	return im.note(ctx)
}

// part takes a part of a file, and keeps the file when it is whole. A file that was cut off begins anew.
func (im *importer) part(ctx context.Context, n int64, rec store.Record) error {
	p, err := readPart(rec)
	if err != nil {
		return err
	}
	if p.number != im.parts || int64(im.file.Len()+len(p.Content)) > p.Size {
		return fmt.Errorf("%w: part %q of a file is not the next one", omni.ErrInvalid, rec.Key)
	}
	im.file.Write(p.Content)
	im.parts++
	if !p.Last {
		return nil
	}
	sum, size, err := im.s.Files.Put(ctx, rec.Key[0], &im.file)
	if err != nil {
		return err
	}
	if sum != rec.Key[1] || size != p.Size {
		return fmt.Errorf("%w: file %s of %s has another content than its name says", omni.ErrInvalid, rec.Key[1], rec.Key[0])
	}
	im.file.Reset()
	im.parts, im.mark.Lines = 0, n
	return im.note(ctx)
}

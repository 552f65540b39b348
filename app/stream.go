package app

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"omniservice/omni"
	"omniservice/store"
)

// An export is lines of JSON: a header, a record each, and an end with counts and a checksum of all records' lines. They are
// compressed in pieces, each a gzip file of its own with its own checksum: so `zcat` reads an export, one that was cut
// off can be gone on with after its last whole piece, and nothing is believed that has not been checked.
const (
	streamFormat = 1
	streamName   = "export"
	pieceSize    = 1 << 20  // bytes of lines that begin a new piece
	pieceMost    = 64 << 20 // bytes of lines that no piece has
)

// filesKind is the kind of the records that hold contents of files. The key is owner, SHA-256, and number of the part.
const filesKind store.RecordKind = "files"

// filePart is a part of a file.
type filePart struct {
	Size    int64  `json:"size"` // of the whole file
	Last    bool   `json:"last,omitempty"`
	Content []byte `json:"content"`
}

// streamHeader is the first line.
type streamHeader struct {
	Omniservice string             `json:"omniservice"` // what it is: streamName
	Format      int                `json:"format"`
	ID          string             `json:"id"`     // of this export
	Source      string             `json:"source"` // of the store that it was made from
	Program     string             `json:"program"`
	CreatedAt   omni.Millis        `json:"createdAt"`
	Key         *omni.SealedSecret `json:"key,omitempty"` // opens if the secret key is that of the source; nil: the source has none yet
}

// streamEnd is the last line.
type streamEnd struct {
	End     bool                       `json:"end"`
	Records map[store.RecordKind]int64 `json:"records"`
	SHA256  string                     `json:"sha256"` // of the lines between header and end, with their line feeds
}

// streamTally is what the end of a stream says of it.
type streamTally struct {
	records map[store.RecordKind]int64
	sum     hash.Hash
}

func newTally() *streamTally {
	return &streamTally{records: map[store.RecordKind]int64{}, sum: sha256.New()}
}

func (t *streamTally) add(kind store.RecordKind, line []byte) {
	t.records[kind]++
	_, _ = t.sum.Write(line)
	_, _ = t.sum.Write([]byte{'\n'})
}

func (t *streamTally) end() streamEnd {
	return streamEnd{End: true, Records: t.records, SHA256: hex.EncodeToString(t.sum.Sum(nil))}
}

// streamWriter writes lines in pieces.
type streamWriter struct {
	w     io.Writer
	lines bytes.Buffer
	piece bytes.Buffer
	tally *streamTally
}

// record adds a record.
func (w *streamWriter) record(r store.Record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	w.tally.add(r.Kind, line)
	if err := w.line(line); err != nil {
		return err
	}
	if w.lines.Len() < pieceSize {
		return nil
	}
	return w.flush()
}

// value adds a line that is no record.
func (w *streamWriter) value(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return w.line(line)
}

func (w *streamWriter) line(line []byte) error {
	if len(line) >= pieceMost-pieceSize {
		return fmt.Errorf("a record of %d bytes does not fit into an export", len(line))
	}
	w.lines.Write(line)
	w.lines.WriteByte('\n')
	return nil
}

// flush ends a piece.
func (w *streamWriter) flush() error {
	if w.lines.Len() == 0 {
		return nil
	}
	w.piece.Reset()
	z, err := gzip.NewWriterLevel(&w.piece, gzip.BestSpeed)
	if err != nil {
		return err
	}
	if _, err := z.Write(w.lines.Bytes()); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	w.lines.Reset()
	_, err = w.w.Write(w.piece.Bytes())
	return err
}

// What is wrong with a stream from some place on, but not before.
var (
	errCut   = errors.New("it is cut off: the end is missing")
	errPiece = errors.New("it is damaged, or no export")
)

// streamReader reads lines, of pieces that it has checked.
type streamReader struct {
	count *countingReader
	in    *bufio.Reader
	z     *gzip.Reader
	piece bytes.Buffer
	whole int64 // bytes of the pieces that were whole
	lines int64 // that were given
}

type countingReader struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func newStreamReader(r io.Reader) *streamReader {
	c := &countingReader{r: r}
	return &streamReader{count: c, in: bufio.NewReaderSize(c, 64<<10)}
}

// line gives the next line, valid until the next call; io.EOF after the last piece.
func (r *streamReader) line() ([]byte, error) {
	if r.piece.Len() == 0 {
		if err := r.next(); err != nil {
			return nil, err
		}
	}
	line, err := r.piece.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("%w: it is damaged: a piece ends within a line", omni.ErrInvalid)
	}
	r.lines++
	return line[:len(line)-1], nil
}

// next reads a piece.
func (r *streamReader) next() (err error) {
	if _, err := r.in.Peek(1); err != nil {
		return err // io.EOF between pieces is the end
	}
	damaged := func(err error) error {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: %w", omni.ErrInvalid, errCut)
		}
		return fmt.Errorf("%w: %w: after byte %d: %w", omni.ErrInvalid, errPiece, r.whole, err)
	}
	if magic, err := r.in.Peek(2); err == nil && (magic[0] != 0x1f || magic[1] != 0x8b) {
		return damaged(errors.New("a piece does not begin like one"))
	}
	if r.z == nil {
		r.z, err = gzip.NewReader(r.in)
	} else {
		err = r.z.Reset(r.in)
	}
	if err != nil {
		return damaged(err)
	}
	r.z.Multistream(false)
	r.piece.Reset()
	n, err := r.piece.ReadFrom(io.LimitReader(r.z, pieceMost+1)) // checks the sum at the end of the piece
	if err == nil && (n == 0 || n > pieceMost) {
		err = errors.New("a piece is empty or too long")
	}
	if err != nil {
		return damaged(err)
	}
	r.whole = r.count.n - int64(r.in.Buffered())
	return nil
}

// header reads the first line and refuses what this program does not understand.
func (r *streamReader) header() (h streamHeader, err error) {
	line, err := r.line()
	if errors.Is(err, io.EOF) {
		return h, fmt.Errorf("%w: it is empty", omni.ErrInvalid)
	}
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(line, &h); err != nil || h.Omniservice != streamName || h.ID == "" {
		return h, fmt.Errorf("%w: it is no export of omniservice", omni.ErrInvalid)
	}
	if h.Format != streamFormat {
		return h, fmt.Errorf("%w: its format is %d, written by omniservice %s: this one reads format %d; use that version or a newer one", omni.ErrInvalid, h.Format, h.Program, streamFormat)
	}
	return h, nil
}

// records calls each with every record and its number, from 1, and checks what the end says.
func (r *streamReader) records(tally *streamTally, each func(n int64, rec store.Record) error) error {
	for n := int64(1); ; n++ {
		line, err := r.line()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("%w: %w", omni.ErrInvalid, errCut)
		}
		if err != nil {
			return err
		}
		var got struct {
			store.Record
			streamEnd
		}
		if err := json.Unmarshal(line, &got); err != nil {
			return fmt.Errorf("%w: it is damaged: line %d: %w", omni.ErrInvalid, n+1, err)
		}
		if got.End {
			return r.ended(tally, got.streamEnd)
		}
		tally.add(got.Kind, line)
		if err := each(n, got.Record); err != nil {
			return err
		}
	}
}

// ended compares what was read with what the end says, and requires that nothing follows.
func (r *streamReader) ended(tally *streamTally, said streamEnd) error {
	have := tally.end()
	if have.SHA256 != said.SHA256 {
		return fmt.Errorf("%w: it is damaged: its checksum is not that of its records", omni.ErrInvalid)
	}
	for _, m := range []map[store.RecordKind]int64{have.Records, said.Records} {
		for kind := range m {
			if have.Records[kind] != said.Records[kind] {
				return fmt.Errorf("%w: it is damaged: it has %d records of %s, and says %d", omni.ErrInvalid, have.Records[kind], kind, said.Records[kind])
			}
		}
	}
	if _, err := r.line(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows its end", omni.ErrInvalid)
	}
	return nil
}

package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strings"

	"omniservice/omni"
)

// Record is what was appended.
type Record struct {
	Seq  uint64
	At   omni.Millis // when
	Data []byte
}

// Batch is records that were read and not yet taken out.
type Batch struct {
	Records []Record

	segment *segment
	end     int64 // in it
}

// torn is why the end of a segment is set aside that was being written as the machine failed.
const torn = "torn"

// chunk is how much of a segment is read at once, unless a record is larger.
const chunk = 1 << 20

// Next reads the oldest records, at most limit and some 1 MiB; none means that the spool is empty. The same ones come
// again until Done is called for them. What is damaged in front of them is set aside.
func (s *Spool) Next(limit int) (Batch, error) {
	for {
		s.mu.Lock()
		if s.empty() {
			s.mu.Unlock()
			return Batch{}, nil
		}
		g, from, end := s.segments[0], s.cursor, s.segments[0].size
		s.mu.Unlock()
		if from >= end {
			s.advance(g, from)
			continue
		}
		b, bad, why, err := s.batch(g, from, end, limit)
		if err != nil {
			return Batch{}, fmt.Errorf("read spool: %w", err)
		}
		if len(b.Records) > 0 {
			return b, nil
		}
		if bad > 0 {
			s.setAside(g, from, bad, why)
		}
		if !s.advance(g, max(b.end, from+bad)) {
			return Batch{}, errors.New("read spool: it does not go on")
		}
	}
}

// batch reads records from a place on. If there is no record at it, bad is how many bytes are to be set aside, or b.end
// how far those go that have been taken out before.
func (s *Spool) batch(g *segment, from, end int64, limit int) (b Batch, bad int64, why string, err error) {
	data, err := s.read(g, from, min(end, from+chunk))
	if err != nil {
		return b, 0, "", err
	}
	if _, ok := whole(data); !ok && from+int64(len(data)) < end {
		if data, err = s.read(g, from, end); err != nil {
			return b, 0, "", err
		}
	}
	b.segment, b.end = g, from
	for len(b.Records) < limit {
		f, ok := whole(data)
		if !ok {
			if b.end == from {
				n := resume(data)
				if n == len(data) && reaches(data) {
					return b, int64(n), torn, nil
				}
				return b, int64(n), "damaged", nil
			}
			return b, 0, "", nil
		}
		if f.seq > s.drained {
			plain, err := s.seals.open(f)
			if err != nil {
				if b.end == from {
					return b, int64(f.size), "sealed", nil
				}
				return b, 0, "", nil
			}
			b.Records = append(b.Records, Record{Seq: f.seq, At: f.at, Data: plain})
		}
		b.end += int64(f.size)
		if data = data[f.size:]; len(data) == 0 {
			break
		}
	}
	return b, 0, "", nil
}

// read reads a stretch of a segment.
func (s *Spool) read(g *segment, from, to int64) ([]byte, error) {
	f, err := s.file(g)
	if err != nil {
		return nil, err
	}
	b := make([]byte, to-from)
	n, err := f.ReadAt(b, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

func (s *Spool) file(g *segment) (File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.file == nil {
		f, err := s.disk.Open(g.name())
		if err != nil {
			return nil, err
		}
		g.file = f
	}
	return g.file, nil
}

// Done says that the records of a batch are kept elsewhere, durably. They do not come again, unless the machine fails
// before the position is on the disk.
func (s *Spool) Done(b Batch) error {
	if len(b.Records) == 0 {
		return nil
	}
	last := b.Records[len(b.Records)-1].Seq
	// What could not be noted is drained twice after a crash, which is allowed: a full disk must not end the draining
	// that makes room on it.
	noted := s.position.store(s.disk, last)
	s.mu.Lock()
	s.drained = max(s.drained, last)
	s.mu.Unlock()
	s.taken.Add(int64(len(b.Records)))
	s.advance(b.segment, b.end)
	s.cutActive()
	if noted != nil {
		return fmt.Errorf("note how far the spool is drained: %w", noted)
	}
	return nil
}

// advance moves the reader on, and removes the segment that it leaves. It says whether it moved.
func (s *Spool) advance(g *segment, to int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.segments) == 0 || s.segments[0] != g || to < s.cursor {
		return false
	}
	moved := to > s.cursor
	s.cursor = to
	if to >= g.size && (len(s.segments) > 1 || !s.active) {
		s.remove()
		moved = true
	}
	s.oldest = s.atCursor()
	return moved
}

// remove removes the oldest segment. One that cannot be removed is found drained at the next start.
func (s *Spool) remove() {
	g := s.segments[0]
	if err := errors.Join(g.release(), s.disk.Remove(g.name())); err != nil {
		s.o.Log.Warn("remove spool segment", "err", err)
	}
	s.segments, s.cursor = s.segments[1:], 0
	s.total -= g.size
}

// removeDrained removes, at the start, the segments of which all was taken out. last is the last sequence in the newest
// one, if that is whole; else the reader walks through it.
func (s *Spool) removeDrained(last uint64, clean bool) {
	for len(s.segments) > 1 && s.segments[1].first <= s.drained+1 {
		s.remove()
	}
	if len(s.segments) == 1 && clean && last <= s.drained {
		s.remove()
	}
}

// skipDrained puts the reader, at the start, behind what was taken out before.
func (s *Spool) skipDrained() error {
	if len(s.segments) == 0 {
		return nil
	}
	g := s.segments[0]
	b, err := s.read(g, 0, g.size)
	if err != nil {
		return err
	}
	for {
		f, ok := whole(b)
		if !ok || f.seq > s.drained {
			break
		}
		s.cursor += int64(f.size)
		b = b[f.size:]
	}
	s.oldest = s.atCursor()
	return nil
}

// atCursor is when the record that the reader comes to next was appended. Damaged ones tell no time.
func (s *Spool) atCursor() omni.Millis {
	if s.empty() {
		return 0
	}
	g, at := s.segments[0], s.cursor
	if at >= g.size {
		g, at = s.segments[1], 0
	}
	if g.file == nil {
		f, err := s.disk.Open(g.name())
		if err != nil {
			return s.oldest
		}
		g.file = f
	}
	var header [headerSize]byte
	if n, _ := g.file.ReadAt(header[:], at); n < headerSize || string(header[:4]) != string(marker) {
		return s.oldest
	}
	return omni.Millis(binary.BigEndian.Uint64(header[16:]))
}

// cutActive empties the active segment once all of it was taken out, so that nothing stays on the disk for longer than
// it is needed.
func (s *Spool) cutActive() {
	if !s.writing.TryLock() {
		return // it is being written: it will not stay empty
	}
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.active || len(s.segments) != 1 || s.cursor == 0 || s.cursor < s.segments[0].size {
		return
	}
	g := s.segments[0]
	if err := g.file.Truncate(0); err != nil {
		s.o.Log.Warn("cut spool segment", "err", err)
		return
	}
	s.total -= g.size
	g.size, s.cursor, s.oldest = 0, 0, 0
}

// setAside keeps n bytes that are no record in a file of their own.
func (s *Spool) setAside(g *segment, from, n int64, why string) {
	name := fmt.Sprintf("%020d-%d%s", g.first, from, damagedSuffix)
	err := s.copyOut(g, from, n, name)
	if errors.Is(err, fs.ErrExist) {
		return // before a crash
	}
	s.aside.Add(1)
	if why == torn {
		s.o.Log.Warn("spool record set aside", "reason", why, "err", err)
		return
	}
	s.o.Log.Error("spool record set aside", "reason", why, "err", err)
}

func (s *Spool) copyOut(g *segment, from, n int64, name string) error {
	b, err := s.read(g, from, from+n)
	if err != nil {
		return err
	}
	f, err := s.disk.Create(name)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	return errors.Join(err, f.Sync(), f.Close())
}

// SetAside takes one record out of the log without its being kept elsewhere: nobody can use it. Its bytes stay, sealed,
// in a file of their own. It must be the only one of its batch.
func (s *Spool) SetAside(b Batch, why string) error {
	if len(b.Records) != 1 {
		return fmt.Errorf("set aside %d records at once: %w", len(b.Records), omni.ErrInvalid)
	}
	s.mu.Lock()
	from := s.cursor
	s.mu.Unlock()
	s.setAside(b.segment, from, b.end-from, why)
	return s.Done(b)
}

// Tidy removes files that were set aside long enough ago.
func (s *Spool) Tidy() error {
	files, err := s.disk.List()
	if err != nil {
		return fmt.Errorf("tidy spool: %w", err)
	}
	s.tidy(files)
	return nil
}

func (s *Spool) tidy(files []Info) {
	for _, f := range files {
		if !strings.HasSuffix(f.Name, damagedSuffix) || s.o.Now().Sub(f.ModTime) < s.o.KeepDamaged {
			continue
		}
		if err := s.disk.Remove(f.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.o.Log.Warn("remove what was set aside", "err", err)
		}
	}
}

// positions is the file that holds how far the reader is: two places that are written in turn, so that one of them is
// always whole. Once made it needs no more room on the disk.
type positions struct {
	file File
	turn int64
}

const (
	positionSize  = 512 // of a place: what a disk writes at once
	positionBytes = 20  // used of it: marker, sequence, turn, CRC-32C
)

// load reads the greatest position that is whole. What cannot be read is drained again.
func (p *positions) load(d Disk) (seq uint64) {
	f, err := d.Open(positionName)
	if err != nil {
		_ = p.make(d) // while there is room; else the first store tries again
		return 0
	}
	p.file = f
	for i := range int64(2) {
		var b [positionBytes]byte
		if n, _ := f.ReadAt(b[:], i*positionSize); n < len(b) || string(b[:4]) != string(marker) ||
			crc32.Checksum(b[:16], castagnoli) != binary.BigEndian.Uint32(b[16:]) {
			continue
		}
		if found := binary.BigEndian.Uint64(b[4:]); found > seq {
			seq, p.turn = found, 1-i
		}
	}
	return seq
}

func (p *positions) make(d Disk) error {
	f, err := d.Create(positionName)
	if errors.Is(err, fs.ErrExist) {
		f, err = d.Open(positionName)
	}
	if err != nil {
		return err
	}
	p.file = f
	if _, err := f.WriteAt(make([]byte, 2*positionSize), 0); err != nil {
		return err
	}
	return d.Sync()
}

func (p *positions) store(d Disk, seq uint64) error {
	if p.file == nil {
		if err := p.make(d); err != nil {
			return err
		}
	}
	b := make([]byte, 0, positionBytes)
	b = append(b, marker...)
	b = binary.BigEndian.AppendUint64(b, seq)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if _, err := p.file.WriteAt(b, p.turn*positionSize); err != nil {
		return err
	}
	p.turn = 1 - p.turn
	return p.file.Sync()
}

func (p *positions) close() error {
	if p.file == nil {
		return nil
	}
	return p.file.Close()
}

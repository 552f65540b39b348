// Package spool is a log on disk that keeps what cannot be kept elsewhere at the moment: webhooks, while the store is
// away. What was appended is on the disk when Append returns; all who wait share one fsync. Records are sealed.
//
// One reader takes them out in order (Next, Done). A record that was taken out may come again after a crash, so whoever
// gets it must bear that. What was damaged on the disk is set aside in a file of its own, and counted; the good records
// around it are read.
//
// The log is cut into segments, files named by the least sequence that they may hold; one that has been taken out is
// removed.
package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"omniservice/omni"
)

const (
	// MaxRecord is the most bytes that a record holds.
	MaxRecord = 16 << 20

	segmentSuffix = ".spool"
	damagedSuffix = ".damaged"
	positionName  = "position"

	maxGroup     = 512     // records that share a write at most
	maxGroupSize = 4 << 20 // their bytes, after which no more join
	queued       = 1024    // appends that wait for the writer before the next ones wait for room
)

var (
	// ErrFull says that the spool has reached its limit, or the disk its end.
	ErrFull = fmt.Errorf("the spool is full: %w", omni.ErrUnavailable)
	// ErrClosed says that the spool was closed.
	ErrClosed = fmt.Errorf("the spool is closed: %w", omni.ErrUnavailable)
)

// Options tune a spool. The zero Options works.
type Options struct {
	MaxBytes     int64            // on disk, what was set aside not counted; 0 means 1 GiB
	MaxAge       time.Duration    // of the oldest record, before Stats says that it is late; 0 means 24 h
	KeepDamaged  time.Duration    // how long files that were set aside are kept; 0 means 24 h
	SegmentBytes int64            // after which a new segment begins; 0 means 8 MiB
	Now          func() time.Time // nil means time.Now
	Log          *slog.Logger     // nil means no log
	Wrap         func(Disk) Disk  // puts something around the folder: tests let it fill up or break
}

// Stats is what a spool holds and has done since it was opened.
type Stats struct {
	Records  int64         // that wait; after a crash or a failed write it may be a few too many
	Bytes    int64         // on disk
	MaxBytes int64         // the limit
	Oldest   time.Duration // age of the oldest record; 0 if none waits
	Late     bool          // it is older than Options.MaxAge
	Full     bool          // the last append found no room
	Appended int64
	Refused  int64 // appends that failed
	Drained  int64
	SetAside int64 // damaged stretches
}

// Spool is a log on disk. It is safe for concurrent use; Next and Done are for one reader.
type Spool struct {
	o     Options
	disk  Disk
	lock  io.Closer
	seals *seals

	queue  chan *appending
	closed chan struct{} // no more appends
	ended  chan struct{} // the writer has returned
	ready  chan struct{}
	close  func() error

	writing sync.Mutex // held while the active segment is written or cut; before mu

	mu       sync.Mutex // guards what follows
	segments []*segment // oldest first; the last one may be active
	active   bool       // the last one is appended to
	next     uint64     // sequence of the next record
	total    int64      // bytes of all segments
	cursor   int64      // in segments[0]: where the reader is
	drained  uint64     // the greatest sequence that was taken out
	position positions
	oldest   omni.Millis // when the first record that waits was appended; 0: none waits

	appended, refused, taken, aside atomic.Int64
	full                            atomic.Bool
}

type segment struct {
	first uint64 // the least sequence that it may hold
	size  int64  // up to which it is durable
	file  File   // nil until it is needed
}

func (g *segment) name() string { return fmt.Sprintf("%020d%s", g.first, segmentSuffix) }

// appending is a record that waits to be written.
type appending struct {
	frame     []byte
	at        omni.Millis
	abandoned atomic.Bool
	done      chan error
}

// Open opens the spool in a folder, which is made for this user only if it is not there. Only one process, and one Spool
// in it, has it open: for others it is omni.ErrConflict. The first key seals, all of them open.
func Open(path string, keys []Key, o Options) (_ *Spool, err error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 1 << 30
	}
	if o.MaxAge <= 0 {
		o.MaxAge = 24 * time.Hour
	}
	if o.KeepDamaged <= 0 {
		o.KeepDamaged = 24 * time.Hour
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 8 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Spool{
		o: o, queue: make(chan *appending, queued),
		closed: make(chan struct{}), ended: make(chan struct{}), ready: make(chan struct{}, 1),
	}
	if s.seals, err = newSeals(keys); err != nil {
		return nil, err
	}
	dir, lock, err := openFolder(path)
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s.disk, s.lock = dir, lock
	if o.Wrap != nil {
		s.disk = o.Wrap(dir)
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool %s: %w", path, err), s.release())
	}
	s.close = sync.OnceValue(func() error {
		close(s.closed)
		<-s.ended
		return s.release()
	})
	go func() {
		defer close(s.ended)
		s.write()
	}()
	return s, nil
}

// load finds the segments and where the reader was.
func (s *Spool) load() error {
	files, err := s.disk.List()
	if err != nil {
		return err
	}
	for _, f := range files {
		number, ok := strings.CutSuffix(f.Name, segmentSuffix)
		first, err := strconv.ParseUint(number, 10, 64)
		if !ok || err != nil {
			continue
		}
		if f.Size == 0 {
			if err := s.disk.Remove(f.Name); err != nil {
				return err
			}
			continue
		}
		s.segments = append(s.segments, &segment{first: first, size: f.Size})
		s.total += f.Size
	}
	slices.SortFunc(s.segments, func(a, b *segment) int {
		if a.first < b.first {
			return -1
		}
		return 1
	})
	s.drained = s.position.load(s.disk)
	s.next = s.drained + 1
	if n := len(s.segments); n > 0 {
		last, clean, err := s.lastSequence(s.segments[n-1])
		if err != nil {
			return err
		}
		s.next = max(s.next, last+1, s.segments[n-1].first+1)
		s.removeDrained(last, clean)
	}
	if err := s.skipDrained(); err != nil {
		return err
	}
	s.tidy(files)
	if len(s.segments) > 0 {
		s.signal()
	}
	return nil
}

// lastSequence is the greatest in a segment, 0 if nothing of it is whole. clean says whether all of it is.
func (s *Spool) lastSequence(g *segment) (last uint64, clean bool, err error) {
	b, err := s.read(g, 0, g.size)
	clean = true
	for err == nil && len(b) > 0 {
		f, ok := whole(b)
		if !ok {
			clean = false
			b = b[resume(b):]
			continue
		}
		last = max(last, f.seq)
		b = b[f.size:]
	}
	return last, clean, err
}

// Close lets those who wait be written, and ends. It does not wait for records to be taken out.
func (s *Spool) Close() error { return s.close() }

func (s *Spool) release() error {
	var errs []error
	for _, g := range s.segments {
		errs = append(errs, g.release())
	}
	return errors.Join(append(errs, s.position.close(), s.lock.Close())...)
}

func (g *segment) release() error {
	if g.file == nil {
		return nil
	}
	f := g.file
	g.file = nil
	return f.Close()
}

// Append keeps data. When it returns nil, data outlives a power failure. After any error it may still have been kept,
// unless that is ErrFull or ErrClosed. More than MaxRecord is omni.ErrInvalid.
func (s *Spool) Append(ctx context.Context, data []byte) error {
	if len(data) > MaxRecord {
		return fmt.Errorf("a record of %d bytes is too large for the spool: %w", len(data), omni.ErrInvalid)
	}
	err := s.append(ctx, data)
	if err != nil {
		s.refused.Add(1)
		if errors.Is(err, ErrFull) {
			s.full.Store(true)
		}
		return fmt.Errorf("append to the spool: %w", err)
	}
	return nil
}

func (s *Spool) append(ctx context.Context, data []byte) error {
	at := omni.MillisOf(s.o.Now())
	body := s.seals.seal(at, data)
	a := &appending{at: at, frame: appendFrame(make([]byte, 0, headerSize+len(body)), at, body), done: make(chan error, 1)}
	select {
	case <-s.closed: // also if there is room in the queue
		return ErrClosed
	default:
	}
	select {
	case s.queue <- a:
	case <-s.closed:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-a.done:
		return err
	case <-s.ended:
		select {
		case err := <-a.done:
			return err
		default:
			return ErrClosed
		}
	case <-ctx.Done():
		a.abandoned.Store(true)
		return ctx.Err()
	}
}

// write is the only writer: all appends that wait share one write and one fsync.
func (s *Spool) write() {
	group := make([]*appending, 0, maxGroup)
	var buf []byte
	for {
		group = group[:0]
		select {
		case a := <-s.queue:
			group = append(group, a)
		case <-s.closed:
			select {
			case a := <-s.queue: // was there before the end
				group = append(group, a)
			default:
				return
			}
		}
		size := len(group[0].frame)
	more:
		for len(group) < maxGroup && size < maxGroupSize {
			select {
			case a := <-s.queue:
				group = append(group, a)
				size += len(a.frame)
			default:
				break more
			}
		}
		buf = s.writeGroup(group, buf[:0])
		clear(group)
		if cap(buf) > 2*maxGroupSize {
			buf = nil
		}
	}
}

// writeGroup writes what fits and was not given up, and answers all.
func (s *Spool) writeGroup(group []*appending, buf []byte) []byte {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	room := s.o.MaxBytes - s.total
	s.mu.Unlock()
	var in []*appending
	for _, a := range group {
		switch {
		case a.abandoned.Load():
		case int64(len(buf)+len(a.frame)) > room:
			a.done <- ErrFull
		default:
			in = append(in, a)
			number(a.frame, s.next+uint64(len(in)-1)) // the writer alone changes next
			buf = append(buf, a.frame...)
		}
	}
	if len(in) == 0 {
		return buf
	}
	err := s.writeOut(buf, len(in), in[0].at)
	if err != nil && isFull(err) {
		err = fmt.Errorf("%w: %w", ErrFull, err)
	}
	if err != nil {
		s.o.Log.Error("write spool", "err", err)
	} else {
		s.appended.Add(int64(len(in)))
		s.full.Store(false)
	}
	for _, a := range in {
		a.done <- err
	}
	s.signal()
	return buf
}

// writeOut makes a group durable. If that fails nothing of it is read by this process, and no sequence is used again.
func (s *Spool) writeOut(buf []byte, records int, at omni.Millis) error {
	first := s.next
	s.mu.Lock()
	s.next += uint64(records)
	s.mu.Unlock()
	g, err := s.activeSegment(first)
	if err != nil {
		return err
	}
	if _, err = g.file.WriteAt(buf, g.size); err != nil {
		// What was written of it goes away again: a torn record would be harmless, but it takes room that is scarce.
		if cut := g.file.Truncate(g.size); cut != nil {
			s.retire()
			return errors.Join(err, cut)
		}
		return err
	}
	if err := g.file.Sync(); err != nil {
		// After a failed sync nobody knows what is on the disk: this file is not appended to any more.
		err = errors.Join(err, g.file.Truncate(g.size))
		s.retire()
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.oldest == 0 {
		s.oldest = at
	}
	g.size += int64(len(buf))
	s.total += int64(len(buf))
	return nil
}

// activeSegment is the one to append to, a new one if there is none or it is large enough.
func (s *Spool) activeSegment(first uint64) (*segment, error) {
	s.mu.Lock()
	var g *segment
	if s.active {
		g = s.segments[len(s.segments)-1]
	}
	s.mu.Unlock()
	if g != nil && g.size < s.o.SegmentBytes {
		return g, nil
	}
	g = &segment{first: first}
	var err error
	if g.file, err = s.disk.Create(g.name()); err != nil {
		return nil, err
	}
	if err := s.disk.Sync(); err != nil {
		return nil, errors.Join(err, g.release(), s.disk.Remove(g.name()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments, s.active = append(s.segments, g), true
	return g, nil
}

// retire ends the active segment.
func (s *Spool) retire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active = false
}

func (s *Spool) signal() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// Ready gives a value when there may be something to take out.
func (s *Spool) Ready() <-chan struct{} { return s.ready }

// Empty says whether all that was appended has been taken out.
func (s *Spool) Empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.empty()
}

func (s *Spool) empty() bool {
	switch len(s.segments) {
	case 0:
		return true
	case 1:
		return s.cursor >= s.segments[0].size
	}
	return false
}

// Look tells what is on the disk of a spool that another process may have open: Bytes, which wait or have been taken out a
// moment ago, and SetAside, the files with damaged stretches. There may be no spool yet.
func Look(path string) (st Stats, err error) {
	files, err := folder{path}.List()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return st, fmt.Errorf("look at spool: %w", err)
	}
	for _, f := range files {
		switch {
		case strings.HasSuffix(f.Name, segmentSuffix):
			st.Bytes += f.Size
		case strings.HasSuffix(f.Name, damagedSuffix):
			st.SetAside++
		}
	}
	return st, nil
}

// Stats tells what the spool holds.
func (s *Spool) Stats() Stats {
	st := Stats{
		MaxBytes: s.o.MaxBytes, Appended: s.appended.Load(), Refused: s.refused.Load(), Drained: s.taken.Load(), SetAside: s.aside.Load(),
		Full: s.full.Load(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Bytes = s.total
	if s.empty() {
		return st
	}
	st.Records = int64(s.next - 1 - max(s.drained, s.segments[0].first-1))
	if s.oldest > 0 {
		st.Oldest = max(0, s.o.Now().Sub(s.oldest.Time()))
		st.Late = st.Oldest > s.o.MaxAge
	}
	return st
}

// Package sqlitestore is the embedded store: one SQLite file.
//
// What is written is indexed for search soon afterwards, by another goroutine.
//
// One goroutine writes. The requests that wait for it share a transaction, and with it an fsync: a write is answered
// only after that. Readers have connections of their own and see what was committed before they began; they never wait
// for the writer. Another process may use the file at the same time, as the command line does: the two wait for each
// other's transactions, up to five seconds.
//
// Never open the file in this process except through this package, and never copy over a live one: closing any handle of
// it gives up SQLite's locks.
package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"

	_ "modernc.org/sqlite" // the driver

	"omniservice/omni"
	"omniservice/store"
)

// Memory is the path of a store that lives as long as its Store.
const Memory = ":memory:"

// Options tune a store. The zero Options works.
type Options struct {
	Readers  int // connections for reading; 0 means 4
	MaxBatch int // writes that share a transaction at most; 0 means 256

	// AsItIs leaves the schema as it is, for looking at: a file that is not there is not made, and one that is behind
	// serves Inspect alone.
	AsItIs bool
}

var errClosed = errors.New("the store is closed")

// Store implements store.Store. It is safe for concurrent use.
type Store struct {
	path     string
	use      io.Closer // says that the file is in use; nil in memory
	db       []*sql.DB
	readers  chan *conn
	writer   chan *conn // holds the writer's connection between batches; in memory the same as readers
	maxBatch int
	all      []*conn

	gate     sync.RWMutex // guards closed, and requests against being closed while one is being sent
	closed   bool
	requests chan *request
	closing  chan struct{}
	ended    chan struct{} // the writer has returned
	written  chan struct{} // something was
	indexed  chan struct{} // the indexer has returned
}

var _ store.Store = (*Store)(nil)

// New opens the store at path, or in memory, and brings its schema up to date. A missing file is made, with its directory:
// both for the owner alone. The file of a newer program is refused.
func New(ctx context.Context, path string, o Options) (*Store, error) {
	if o.Readers <= 0 {
		o.Readers = 4
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = 256
	}
	s := &Store{
		maxBatch: o.MaxBatch,
		requests: make(chan *request, o.MaxBatch),
		closing:  make(chan struct{}),
		ended:    make(chan struct{}),
		written:  make(chan struct{}, 1),
		indexed:  make(chan struct{}),
	}
	if err := s.open(ctx, path, o); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", path, err), s.closeConns())
	}
	ctx = context.WithoutCancel(ctx)
	go func() {
		defer close(s.ended)
		s.writeLoop(ctx)
	}()
	go func() {
		defer close(s.indexed)
		if !o.AsItIs {
			s.indexLoop(ctx)
		}
	}()
	return s, nil
}

func (s *Store) open(ctx context.Context, path string, o Options) error {
	s.path = path
	common := []string{"busy_timeout(5000)", "foreign_keys(1)"}
	if path == Memory {
		w, err := s.connect(ctx, Memory, append(common, "cache_size(-16000)"))
		if err != nil {
			return err
		}
		s.writer = make(chan *conn, 1)
		s.writer <- w
		s.readers = s.writer
		return migrate(ctx, w)
	}
	if o.AsItIs {
		if _, err := os.Stat(path); err != nil { // #nosec G703 -- the operator names the file
			return err
		}
	} else if err := prepareFile(path); err != nil {
		return err
	}
	var err error
	if s.use, err = inUse(path); err != nil {
		return err
	}
	// The page size has to come before WAL. A checkpoint at 4000 pages instead of 1000 keeps it out of the slowest commits.
	pragmas := append(slices.Clone(common), "page_size(4096)", "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-16000)",
		"wal_autocheckpoint(4000)")
	if o.AsItIs {
		pragmas = append(slices.Clone(common), "query_only(1)")
	}
	w, err := s.connect(ctx, path, pragmas)
	if err != nil {
		return err
	}
	s.writer = make(chan *conn, 1)
	s.writer <- w
	if !o.AsItIs {
		if err := migrate(ctx, w); err != nil {
			return err
		}
		if _, err := w.exec(ctx, sqlBusySoon); err != nil {
			return err
		}
	}
	s.readers = make(chan *conn, o.Readers)
	for range o.Readers {
		r, err := s.connect(ctx, path, append(common, "query_only(1)"))
		if err != nil {
			return err
		}
		s.readers <- r
	}
	return nil
}

// connect opens one connection. Pragmas stand in the name, so that they hold whatever database/sql does.
func (s *Store) connect(ctx context.Context, path string, pragmas []string) (*conn, error) {
	return s.connectAs(ctx, path, url.Values{"_pragma": pragmas})
}

func (s *Store) connectAs(ctx context.Context, path string, how url.Values) (*conn, error) {
	name := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: how.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, err
	}
	s.db = append(s.db, db)
	db.SetMaxOpenConns(1)
	c, err := db.Conn(ctx)
	if err != nil {
		return nil, wrap(err)
	}
	k := &conn{sql: c}
	s.all = append(s.all, k)
	return k, nil
}

// prepareFile makes the file readable by its owner alone. SQLite gives its other files the same mode.
//
//nolint:gosec // the operator names the file
func prepareFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// Not opened if it is there: to close it again would give up locks that this process may hold.
	if _, err := os.Stat(path); err == nil {
		return os.Chmod(path, 0o600)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// read lends a reading connection to fn. ctx ends the wait for one, not the query: each is short, and watching the
// context would cost more than the query.
func read[T any](ctx context.Context, s *Store, fn func(ctx context.Context, c *conn) (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	var c *conn
	select {
	case c = <-s.readers:
	case <-ctx.Done():
		return none, ctx.Err()
	case <-s.closing:
		return none, fmt.Errorf("%w: %w", omni.ErrUnavailable, errClosed)
	}
	defer func() { s.readers <- c }()
	return fn(context.WithoutCancel(ctx), c)
}

// Close ends the store: writes that were handed over are done first, new ones are refused. Closing again is nothing.
func (s *Store) Close() error {
	s.gate.Lock()
	if s.closed {
		s.gate.Unlock()
		<-s.ended
		return nil
	}
	s.closed = true
	close(s.requests)
	s.gate.Unlock()
	<-s.ended
	close(s.closing)
	<-s.indexed
	for range cap(s.readers) {
		<-s.readers
	}
	return s.closeConns()
}

// closeConns closes all connections, the writer's last: the last one checkpoints.
func (s *Store) closeConns() error {
	var errs []error
	for _, c := range slices.Backward(s.all) {
		errs = append(errs, c.close())
	}
	for _, db := range slices.Backward(s.db) {
		errs = append(errs, db.Close())
	}
	if s.use != nil {
		errs = append(errs, s.use.Close())
	}
	return errors.Join(errs...)
}

// Ping writes and reads.
func (s *Store) Ping(ctx context.Context) error {
	err := writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		_, err := c.exec(ctx, sqlPing)
		return err
	})
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	_, err = read(ctx, s, func(ctx context.Context, c *conn) (int64, error) {
		return queryOne(ctx, c, sqlPinged, scanInt)
	})
	if err != nil {
		return fmt.Errorf("ping: %w", err)
	}
	return nil
}

// sweepAtOnce is how many records one transaction of Sweep removes, so that others' writes do not wait long.
const sweepAtOnce = 500

// Sweep implements store.Store.
func (s *Store) Sweep(ctx context.Context, now omni.Millis) (int, error) {
	total := 0
	for _, id := range []stmt{sqlSweepSessions, sqlSweepTokens, sqlSweepKeys, sqlSweepEarly, sqlSweepAside, sqlSweepFragments, sqlSweepDeliveries} {
		for {
			n, err := write(ctx, s, func(ctx context.Context, c *conn) (int64, error) {
				return c.exec(ctx, id, int64(now), sweepAtOnce)
			})
			if err != nil {
				return total, fmt.Errorf("sweep: %w", err)
			}
			total += int(n)
			if n < sweepAtOnce {
				break
			}
		}
	}
	// What moments stand for goes too, uncounted: these are no records.
	err := writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		_, err := c.exec(ctx, sqlChangeMarksOld, int64(now.Add(-store.KeepMoments))/60_000, sweepAtOnce)
		return err
	})
	if err != nil {
		return total, fmt.Errorf("sweep: %w", err)
	}
	return total, nil
}

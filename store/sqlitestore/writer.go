package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"omniservice/omni"
)

// States of a request.
const (
	waiting int32 = iota
	started
	abandoned
)

// request is one write on its way to the writer.
type request struct {
	// run does the write. It may run twice: if another one of its batch breaks the transaction, all are rolled back
	// and run alone. An error that says no (not found, conflict) before anything was written leaves the batch whole.
	run   func(ctx context.Context, c *conn) error
	state atomic.Int32
	err   error
	done  chan struct{}
}

// write hands run to the writer and waits until its outcome is durable. ctx ends the wait only as long as run has not
// begun: then it never does.
func write[T any](ctx context.Context, s *Store, run func(ctx context.Context, c *conn) (T, error)) (T, error) {
	var out, none T
	r := &request{done: make(chan struct{})}
	r.run = func(ctx context.Context, c *conn) (err error) {
		out, err = run(ctx, c)
		return err
	}
	if err := s.submit(ctx, r); err != nil {
		return none, err
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		if r.state.CompareAndSwap(waiting, abandoned) {
			return none, ctx.Err()
		}
		<-r.done
	}
	// Conflicts give what is stored beside the error.
	return out, r.err
}

// writeOnly is write without a result.
func writeOnly(ctx context.Context, s *Store, run func(ctx context.Context, c *conn) error) error {
	_, err := write(ctx, s, func(ctx context.Context, c *conn) (struct{}, error) { return struct{}{}, run(ctx, c) })
	return err
}

func (s *Store) submit(ctx context.Context, r *request) error {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return fmt.Errorf("%w: %w", omni.ErrUnavailable, errClosed)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.requests <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writeLoop is the only writer. All requests that wait share one transaction, so one fsync.
func (s *Store) writeLoop(ctx context.Context) {
	batch := make([]*request, 0, s.maxBatch)
	for r := range s.requests {
		batch = append(batch[:0], r)
	more:
		for len(batch) < cap(batch) {
			select {
			case r, ok := <-s.requests:
				if !ok {
					break more
				}
				batch = append(batch, r)
			default:
				break more
			}
		}
		c := <-s.writer
		s.runBatch(ctx, c, batch)
		s.writer <- c
		select {
		case s.written <- struct{}{}:
		default: // the indexer has not looked since
		}
		clear(batch)
	}
}

// runBatch runs what was not abandoned and answers it.
func (s *Store) runBatch(ctx context.Context, c *conn, batch []*request) {
	begun := batch[:0]
	for _, r := range batch {
		if r.state.CompareAndSwap(waiting, started) {
			begun = append(begun, r)
		}
	}
	if len(begun) == 0 {
		return
	}
	if s.transact(ctx, c, begun) {
		for _, r := range begun {
			close(r.done)
		}
		return
	}
	// One of them broke the transaction: each on its own, so that the others do not suffer.
	for i := range begun {
		s.transact(ctx, c, begun[i:i+1])
		close(begun[i].done)
	}
}

// transact runs requests in one transaction and sets their errors. It returns false if they have to be run again, alone.
func (s *Store) transact(ctx context.Context, c *conn, rs []*request) bool {
	fail := func(err error) bool {
		for _, r := range rs {
			r.err = err
		}
		return true
	}
	if err := begin(ctx, c); err != nil {
		return fail(fmt.Errorf("begin: %w", err))
	}
	for _, r := range rs {
		before := c.writes
		r.err = guarded(ctx, c, r.run)
		if r.err == nil || c.writes == before && refusal(r.err) {
			continue
		}
		s.rollback(ctx, c)
		return len(rs) == 1
	}
	if _, err := c.exec(ctx, sqlCommit); err != nil {
		s.rollback(ctx, c)
		return fail(fmt.Errorf("%w: commit: %w", omni.ErrUnavailable, err))
	}
	return true
}

// busyTime is how long the writer waits for another process's transaction.
const busyTime = 5 * time.Second

// begin starts a transaction. SQLite asks ever more seldom for a lock that another process holds, and beside one that
// writes without a pause would hardly ever ask at the right moment: so it is made to begin anew.
func begin(ctx context.Context, c *conn) error {
	for end := time.Now().Add(busyTime); ; {
		_, err := c.exec(ctx, sqlBegin)
		if err == nil || !busy(err) || time.Now().After(end) {
			return err
		}
	}
}

// rollback ends a transaction. SQLite may have ended it already, as it does when the disk is full: that is no matter.
func (s *Store) rollback(ctx context.Context, c *conn) {
	_, _ = c.exec(ctx, sqlRollback)
}

// guarded turns a panic into an error: the writer serves everybody.
func guarded(ctx context.Context, c *conn, run func(context.Context, *conn) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a write: %v", p)
		}
	}()
	return run(ctx, c)
}

// refusal reports whether err is an answer rather than a failure of the database.
func refusal(err error) bool {
	return omni.CodeOf(err) != omni.CodeInternal && !errors.Is(err, omni.ErrUnavailable)
}

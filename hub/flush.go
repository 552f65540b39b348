package hub

import (
	"runtime"
	"slices"
	"sync"
)

// writesAtOnce is how often in a row a flusher writes to one connection before others have their turn.
const writesAtOnce = 4

// flusher writes for many connections, one after the other, what their sockets take at once. It never waits for a
// client: what a socket does not take is left to a goroutine of the connection's own. So an event costs no goroutine
// where there is room in the socket, and what comes while others are written to shares a frame.
type flusher struct {
	wake chan struct{}

	mu    sync.Mutex
	due   []*Conn // for whom something came, in this order; each is written to by nobody else
	ended bool
}

// add has c written to, or reports false if nobody would.
func (f *flusher) add(c *Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return false
	}
	if f.due = append(f.due, c); len(f.due) == 1 {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
	return true
}

// take gives all that are due, for room in exchange.
func (f *flusher) take(room []*Conn) []*Conn {
	f.mu.Lock()
	defer f.mu.Unlock()
	due := f.due
	f.due = room[:0]
	return due
}

func (h *Hub) flushLoop(f *flusher) {
	tmp := new(scratch)
	var due []*Conn
	for {
		runtime.Gosched() // whoever has more to hand out does it first, so that it shares a frame
		due = f.take(due)
		for _, c := range due {
			c.flush(tmp)
		}
		if len(due) > 0 {
			clear(due)
			continue
		}
		select {
		case <-f.wake:
		case <-h.base.Done():
			f.mu.Lock()
			f.ended = true
			left := f.due
			f.mu.Unlock()
			for _, c := range left {
				go c.writeLoop()
			}
			return
		}
	}
}

// flush writes what the socket takes.
func (c *Conn) flush(tmp *scratch) {
	for range writesAtOnce {
		out, ok := c.nextWrite(tmp.batch[:0])
		if !ok {
			c.work.Done()
			return
		}
		frames, last := c.frames(out, tmp), out.closeWith != nil
		rest, locked, err := c.sock.tryWrite(frames, last)
		clear(tmp.batch[:len(out.messages)])
		switch {
		case err != nil:
			c.fail()
			c.work.Done()
			return
		case len(rest) > 0:
			rest = slices.Clone(rest)
			go func() {
				if err := c.sock.writeRest(rest, last, locked); err != nil {
					c.fail()
					c.work.Done()
					return
				}
				c.writeLoop()
			}()
			return
		}
	}
	go c.writeLoop()
}

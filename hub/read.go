package hub

import (
	"bytes"
	"context"
	"io"
	"runtime"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"
)

// start begins to read. The caller has registered c.
func (c *Conn) start(ws *websocket.Conn, s *sock) {
	c.mu.Lock()
	c.ws, c.sock = ws, s
	c.timer = time.AfterFunc(c.hub.opts.ConnectTimeout, c.tick)
	c.mu.Unlock()
	go c.read()
	c.hub.mu.Lock()
	late := c.hub.state != hubOpen
	c.hub.mu.Unlock()
	if late { // Shutdown began during the handshake and may have looked before
		c.drain("retry=1000")
	}
}

// read runs until the connection ends, and then clears up.
func (c *Conn) read() {
	err := c.readLoop()
	status := websocket.CloseStatus(err)
	if status == -1 && !c.sock.readFail.Load() {
		// coder/websocket does not say goodbye for each of the ways to break the protocol.
		if c.sock.writeClose(closePayload(CloseProtocol, "protocol error")) == nil {
			c.linger()
		}
	}
	c.end(int(status))
}

func (c *Conn) readLoop() error {
	// A context that can end would cost an AfterFunc for each read. Close and the timer end the connection instead.
	ctx := context.Background()
	for {
		typ, r, err := c.ws.Reader(ctx)
		if err != nil {
			return err
		}
		frame, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		switch {
		case typ != websocket.MessageText:
			c.Close(CloseProtocol, "only text")
		case !utf8.Valid(frame):
			c.Close(CloseUTF8, "not UTF-8")
		case !c.allow(1 + bytes.Count(frame, []byte{'\n'})):
			c.Close(ClosePolicy, "too many messages")
		default:
			c.take(frame)
		}
	}
}

func (c *Conn) allow(n int) bool {
	return c.limit.take(n, c.hub.opts.MessageRate, c.hub.opts.MessageBurst)
}

// pinged answers a ping in place of coder/websocket, which would have the reader wait for a slow writer.
func (c *Conn) pinged(_ context.Context, payload []byte) bool {
	if !c.allow(1) {
		c.Close(ClosePolicy, "too many pings")
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pong = append(make([]byte, 0, len(payload)), payload...)
	c.wakeWriter()
	return false
}

// take queues a client's frame for the goroutine that does commands.
func (c *Conn) take(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.dead {
		return
	}
	if len(c.inbox) >= maxInbox || c.inboxSize+len(frame) > maxInboxBytes {
		c.close(ClosePolicy, "too many messages at once")
		return
	}
	c.inbox = append(c.inbox, frame)
	c.inboxSize += len(frame)
	if !c.working {
		c.working = true
		c.work.Go(c.workLoop)
	}
}

// linger gives a client that still sends the chance to read our close frame: closing at once would reset the
// connection, and the frame would be thrown away unread.
func (c *Conn) linger() {
	if w, ok := c.sock.Conn.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
	_ = c.sock.SetReadDeadline(time.Now().Add(lastWords))
	_, _ = io.CopyN(io.Discard, c.sock.Conn, lastBytes)
}

// end clears up. status is the client's close code, -1 if it sent none.
func (c *Conn) end(status int) {
	c.mu.Lock()
	c.dead = true
	code := c.code
	subs := c.subs
	c.subs, c.backlog, c.inbox, c.pong = nil, nil, nil, nil
	c.dropQueue()
	c.timer.Stop()
	c.mu.Unlock()
	c.hub.leaving <- struct{}{} // when all go at once, others get their turn between them
	runtime.Gosched()
	_ = c.ws.CloseNow()
	c.cut()
	for _, s := range subs {
		c.hub.detach(s)
	}
	c.hub.leases.leave(c, "")
	c.hub.unregister(c)
	<-c.hub.leaving
	c.work.Wait()
	c.hub.log.Debug("connection ended", "conn_id", c.id, "org_id", c.Principal().OrgID, "reason", max(code, status))
	c.hub.conns.Done()
}

// tick is the connection's one timer: connect in time, heartbeat, silence, expiry, and the end of closing.
func (c *Conn) tick() {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	opts := &c.hub.opts
	silent := now.Sub(time.Unix(0, c.sock.seen.Load()))
	expires := c.principal.ExpiresAt.Time()
	switch {
	case c.dead:
	case c.closing:
		go c.cut() // closing a TLS connection may block
	case !c.ready && c.principal.OrgID == "":
		c.close(CloseSession, "no connect in time")
	case !c.ready:
		c.close(CloseUnavailable, "connect took too long")
	case silent >= opts.Silence:
		c.close(CloseSilent, "no answer")
	case !expires.IsZero() && !now.Before(expires):
		c.close(CloseSession, "session expired")
	default:
		if !now.Before(c.nextBeat) {
			c.nextBeat = c.nextBeat.Add(opts.Heartbeat)
			if c.nextBeat.Before(now) {
				c.nextBeat = now.Add(opts.Heartbeat)
			}
			c.hub.beats.add(c)
		}
		c.timer.Reset(time.Until(c.nextTick(now)))
	}
}

// nextTick is when something may be due. The caller holds mu.
func (c *Conn) nextTick(now time.Time) time.Time {
	at := c.nextBeat
	if s := time.Unix(0, c.sock.seen.Load()).Add(c.hub.opts.Silence); s.Before(at) {
		at = s
	}
	if e := c.principal.ExpiresAt.Time(); !e.IsZero() && e.Before(at) {
		at = e
	}
	if at.Before(now) {
		at = now
	}
	return at
}

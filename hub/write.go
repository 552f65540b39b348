package hub

import (
	"sync"
)

// enqueue queues an event.
func (c *Conn) enqueue(m *message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.push(m)
}

// push is enqueue with mu held. Over the limit it closes the connection rather than leave anything out.
func (c *Conn) push(m *message) {
	if c.closing || c.dead {
		return
	}
	if len(c.queue) >= c.hub.opts.QueueMessages || c.bytes+m.size() > c.hub.opts.QueueBytes {
		c.close(CloseSlow, "too slow")
		return
	}
	c.queue = append(c.queue, m)
	c.bytes += m.size()
	c.wakeWriter()
}

// beat queues a heartbeat and a ping, whose answer shows that the client lives.
func (c *Conn) beat(m *message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ping = true
	c.push(m)
}

// wakeWriter sees to it that somebody writes. The caller holds mu.
func (c *Conn) wakeWriter() {
	if c.writing || c.dead {
		return
	}
	c.writing = true
	c.work.Add(1) // not Go: this is done for every event, and must not allocate
	if c.sock.try == nil || !c.flusher.add(c) {
		go c.writeLoop()
	}
}

// scratch is what a writer works with.
type scratch struct {
	batch [maxObjects]*message
	frame []byte // several messages joined
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// writeLoop writes until nothing waits. It may wait for the client.
func (c *Conn) writeLoop() {
	defer c.work.Done()
	tmp := scratches.Get().(*scratch)
	defer scratches.Put(tmp)
	for {
		out, ok := c.nextWrite(tmp.batch[:0])
		if !ok {
			return
		}
		err := c.sock.write(c.frames(out, tmp), out.closeWith != nil)
		clear(tmp.batch[:len(out.messages)])
		if err != nil {
			c.fail()
			return
		}
	}
}

// fail ends a connection that cannot be written to.
func (c *Conn) fail() {
	c.mu.Lock()
	c.dead, c.writing = true, false
	c.dropQueue()
	c.mu.Unlock()
	c.cut()
}

// outgoingFrames is what one write takes.
type outgoingFrames struct {
	pong      []byte
	ping      bool
	messages  []*message // one text frame
	size      int        // of it
	closeWith []byte
}

// nextWrite takes what one write can hold. It reports false when there is nothing, and the writer has to end.
func (c *Conn) nextWrite(batch []*message) (outgoingFrames, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		c.writing = false
		return outgoingFrames{}, false
	}
	out := outgoingFrames{pong: c.pong, ping: c.ping, messages: batch}
	c.pong, c.ping = nil, false
	if !c.held {
		c.backlog = out.fill(c.backlog)
		before := len(out.messages)
		rest := c.queue
		if len(c.backlog) == 0 {
			c.backlog = nil
			rest = out.fill(c.queue)
		}
		for _, m := range out.messages[before:] {
			c.bytes -= m.size()
		}
		c.setQueue(rest)
	}
	if c.closing && len(c.backlog) == 0 && len(c.queue) == 0 {
		out.closeWith, c.closeWith = c.closeWith, nil
	}
	if out.pong == nil && !out.ping && len(out.messages) == 0 && out.closeWith == nil {
		c.writing = false
		return out, false
	}
	return out, true
}

// setQueue makes rest, the end of queue, the queue. The places before it are used again.
func (c *Conn) setQueue(rest []*message) {
	n := copy(c.queue, rest)
	clear(c.queue[n:])
	c.queue = c.queue[:n]
	if n == 0 && cap(c.queue) > keepQueue {
		c.queue = nil
	}
}

// fill moves messages into the frame while they fit, and returns the rest. One that is too large goes alone.
func (o *outgoingFrames) fill(from []*message) []*message {
	for i, m := range from {
		size := m.size()
		if len(o.messages) > 0 {
			size += 1 + o.size
		}
		if len(o.messages) == maxObjects || len(o.messages) > 0 && size > maxFrame {
			return from[i:]
		}
		o.size = size
		o.messages = append(o.messages, m)
	}
	return nil
}

// frames makes of o what one write takes. It may be in tmp.
func (c *Conn) frames(o outgoingFrames, tmp *scratch) []byte {
	n := len(o.messages)
	c.hub.n.delivered.Add(uint64(n))
	c.hub.n.writes.Add(1)
	if n == 1 && o.pong == nil && !o.ping && o.closeWith == nil {
		return o.messages[0].frame
	}
	b := tmp.frame[:0]
	if o.pong != nil {
		b = appendControl(b, finPong, o.pong)
	}
	if o.ping {
		b = appendControl(b, finPing, nil)
	}
	if n > 0 {
		b = appendHead(b, finText, o.size)
		for i, m := range o.messages {
			if i > 0 {
				b = append(b, '\n')
			}
			b = append(b, m.body()...)
		}
	}
	if o.closeWith != nil {
		b = appendControl(b, finClose, o.closeWith)
	}
	tmp.frame = b
	return b
}

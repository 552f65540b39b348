package hub

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// sock is the network connection under a WebSocket. Reading and the handshake go through coder/websocket; frames
// with data are written straight to it, ready-made. What coder writes by itself are answers to pings (which the hub
// gives instead) and close frames: each comes as one Write, because it fits into the buffer below.
type sock struct {
	net.Conn
	timeout time.Duration // for each write
	try     trier         // nil: every write may wait
	early   []byte        // what the client sent behind its handshake

	heads    heads        // used by the reader alone
	seen     atomic.Int64 // when bytes came last, Unix nanoseconds
	readFail atomic.Bool  // the connection itself ended, rather than a frame that was wrong

	mu        sync.Mutex // one writer at a time
	closeSent bool
}

// trier writes what a socket takes at once, which may be nothing, and never waits.
type trier interface {
	TryWrite(b []byte) (n int, err error)
}

// Sizes of the buffers between coder/websocket and the socket: frames' heads and small commands in, close frames out.
// Whatever is larger passes them by.
const (
	readBuffer  = 512
	writeBuffer = 128 // the largest control frame has 127 bytes
)

// Read implements net.Conn.
func (s *sock) Read(p []byte) (int, error) {
	if s.heads.wrong {
		return 0, errLength
	}
	if len(s.early) > 0 {
		n := copy(p, s.early)
		if s.early = s.early[n:]; len(s.early) == 0 {
			s.early = nil
		}
		return s.checked(p[:n], nil)
	}
	n, err := s.Conn.Read(p)
	if n > 0 {
		s.seen.Store(time.Now().UnixNano())
	}
	if err != nil {
		s.readFail.Store(true)
	}
	return s.checked(p[:n], err)
}

// checked gives on what comes before a wrong length, and then the error.
func (s *sock) checked(b []byte, err error) (int, error) {
	n := s.heads.pass(b)
	if n == 0 && s.heads.wrong {
		return 0, errLength
	}
	return n, err
}

var errLength = errors.New("a length takes more bytes than it needs")

// heads looks at frames as they come, for what RFC 6455 section 5.2 demands of a length and coder/websocket does not
// ask: that it takes as few bytes as it can.
type heads struct {
	skip  uint64   // bytes until the next head
	head  [10]byte // that is coming
	have  uint8    // bytes of head
	wrong bool
}

// pass says how many bytes of b are before a wrong length: all, if there is none.
func (h *heads) pass(b []byte) int {
	whole, start := len(b), 0
	for i := 0; i < whole; {
		if h.skip > 0 {
			n := min(h.skip, uint64(whole-i))
			h.skip -= n
			i += int(n)
			continue
		}
		if h.have == 0 {
			start = i
		}
		h.head[h.have] = b[i]
		h.have++
		i++
		if h.have < 2 {
			continue
		}
		n, size, least := uint64(h.head[1]&0x7f), uint8(2), uint64(0)
		switch n {
		case 126:
			size, least = 4, 126
		case 127:
			size, least = 10, 1<<16
		}
		if h.have < size {
			continue
		}
		if size > 2 {
			n = 0
			for _, c := range h.head[2:size] {
				n = n<<8 | uint64(c)
			}
		}
		if n < least {
			h.wrong = true
			return start
		}
		h.have, h.skip = 0, n
		if h.head[1]&0x80 != 0 {
			h.skip += 4 // the mask
		}
	}
	return whole
}

// Write implements net.Conn for coder/websocket. Of its frames only the first close frame goes out, with a reason
// of ours: coder's names its inner state, or repeats what the client wrote.
func (s *sock) Write(p []byte) (int, error) {
	if len(p) < 2 || p[0] != finClose {
		return len(p), nil
	}
	var payload []byte
	if body := p[2:]; len(body) >= 2 {
		code := int(body[0])<<8 | int(body[1])
		reason := ""
		switch {
		case !utf8.Valid(body[2:]): // what the client wrote: coder's own words are plain
			code, reason = CloseUTF8, "reason is not UTF-8"
		case code == CloseProtocol:
			reason = "protocol error"
		case code == CloseTooBig:
			reason = "message too big"
		}
		payload = closePayload(code, reason)
	}
	if err := s.writeClose(payload); err != nil {
		return 0, err
	}
	return len(p), nil
}

// writeClose sends a close frame unless one was sent.
func (s *sock) writeClose(payload []byte) error {
	return s.write(appendControl(make([]byte, 0, 2+len(payload)), finClose, payload), true)
}

// write sends whole frames. After a close frame nothing is sent any more, and that is no error.
func (s *sock) write(frames []byte, last bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closeSent {
		return nil
	}
	s.closeSent = last
	return s.writeNow(frames)
}

// writeNow is write with mu held.
func (s *sock) writeNow(b []byte) error {
	if err := s.SetWriteDeadline(time.Now().Add(s.timeout)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if _, err := s.Conn.Write(b); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if s.try == nil {
		return nil
	}
	if err := s.SetWriteDeadline(time.Time{}); err != nil { // or tryWrite fails when it has passed
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// tryWrite is write without waiting. What it gives back has to be handed to writeRest, with locked.
func (s *sock) tryWrite(frames []byte, last bool) (rest []byte, locked bool, err error) {
	if !s.mu.TryLock() {
		return frames, false, nil
	}
	if s.closeSent {
		s.mu.Unlock()
		return nil, false, nil
	}
	s.closeSent = last
	n, err := s.try.TryWrite(frames)
	if err != nil {
		s.mu.Unlock()
		return nil, false, fmt.Errorf("write: %w", err)
	}
	if n < len(frames) {
		return frames[n:], true, nil // nobody else may write into the middle of a frame
	}
	s.mu.Unlock()
	return nil, false, nil
}

// writeRest writes what tryWrite gave back.
func (s *sock) writeRest(rest []byte, last, locked bool) error {
	if !locked {
		return s.write(rest, last)
	}
	defer s.mu.Unlock()
	return s.writeNow(rest)
}

// hijack gives coder/websocket a connection with small buffers instead of net/http's. It finds the Hijacker behind
// any wrapper that has Unwrap, and passes on Gin's WriteHeaderNow, without which Gin would not send the 101.
type hijack struct {
	http.ResponseWriter
	timeout time.Duration
	sock    *sock // set by Hijack
}

// WriteHeaderNow sends the status now, where the writer below would wait for the body.
func (h *hijack) WriteHeaderNow() {
	for w := h.ResponseWriter; w != nil; {
		if g, ok := w.(interface{ WriteHeaderNow() }); ok {
			g.WriteHeaderNow()
			return
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = u.Unwrap()
	}
}

// Hijack implements http.Hijacker.
func (h *hijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("hijack: %w", err)
	}
	h.sock = &sock{Conn: conn, timeout: h.timeout, try: newTrier(conn)}
	h.sock.seen.Store(time.Now().UnixNano())
	if n := rw.Reader.Buffered(); n > 0 {
		b, _ := rw.Peek(n) // what is buffered can be peeked
		h.sock.early = append([]byte(nil), b...)
	}
	return h.sock, bufio.NewReadWriter(bufio.NewReaderSize(h.sock, readBuffer), bufio.NewWriterSize(h.sock, writeBuffer)), nil
}

package load_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/e2e"
	"omniservice/omni/wire"
)

// flock is many WebSocket clients that cost little: one goroutine waits for all of their sockets by epoll, reads what
// has come, splits it into frames and at newlines, and compares offsets. It looks into nothing else of an event but
// for the mark "due:" and a number, which says when the event was due.
type flock struct {
	addr  syscall.SockaddrInet4
	path  string
	token func(i int) string
	due   func(mark int64) int64 // Unix nanoseconds
	ep    int
	done  chan struct{}

	mu      sync.Mutex // of all below, and of the sockets
	ended   bool
	socks   []socket
	back    int // sockets that are connected and have what they missed
	beats   int
	pings   int
	events  int // marked ones
	lost    int // left out by their offsets
	doubled int
	reset   int // topics that were to be resumed and were not
	dropped int // sockets that the server closed, or refused
	why     string
	delays  delays
}

// The topics of a client, by what their names begin with.
const (
	ofUser = iota
	ofGroup
	ofOrg
	topicKinds
)

type socketState uint8

const (
	sockClosed socketState = iota
	sockUpgrading
	sockConnecting
	sockReady
)

type socket struct {
	fd    int
	state socketState
	back  bool
	seen  int                            // marked events
	rest  []byte                         // of a frame that has not come whole
	at    [topicKinds]wire.TopicPosition // where it is
	to    [topicKinds]int64              // where it will be when it has what it missed
}

// delays counts by steps of 50 us; what took longer than 20 s counts as 20 s.
type delays struct {
	counts [400_000]uint32
	n      int
	worst  time.Duration
}

const delayStep = 50 * time.Microsecond

func (d *delays) add(t time.Duration) {
	d.counts[min(max(0, int(t/delayStep)), len(d.counts)-1)]++
	d.n++
	d.worst = max(d.worst, t)
}

func (d *delays) percentile(p int) time.Duration {
	left := d.n * p / 100
	for i, n := range d.counts {
		if left -= int(n); left < 0 {
			return time.Duration(i+1) * delayStep
		}
	}
	return d.worst
}

// filesNeeded raises the limit of open files, which servers started from here inherit.
func filesNeeded(tb testing.TB, n int) {
	tb.Helper()
	var r syscall.Rlimit
	require.NoError(tb, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r))
	require.GreaterOrEqual(tb, r.Max, uint64(n), "too few files may be open: raise the hard limit (ulimit -Hn)")
	r.Cur = r.Max
	require.NoError(tb, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &r))
}

// newFlock makes n clients of a server's path. None is connected yet.
func newFlock(tb testing.TB, addr, path string, n int, token func(i int) string) *flock {
	tb.Helper()
	filesNeeded(tb, n+500)
	ep, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	require.NoError(tb, err)
	f := &flock{
		path: path, token: token, due: func(mark int64) int64 { return mark },
		ep: ep, done: make(chan struct{}), socks: make([]socket, n),
	}
	f.serve(tb, addr)
	go f.loop()
	tb.Cleanup(func() {
		f.mu.Lock()
		f.ended = true
		for i := range f.socks {
			f.hangUp(&f.socks[i])
		}
		f.mu.Unlock()
		<-f.done
		_ = syscall.Close(ep)
	})
	return f
}

// serve says where the server is from now on.
func (f *flock) serve(tb testing.TB, addr string) {
	tb.Helper()
	a, err := net.ResolveTCPAddr("tcp4", addr)
	require.NoError(tb, err)
	f.addr = syscall.SockaddrInet4{Port: a.Port, Addr: [4]byte(a.IP.To4())}
}

// connect connects all, at most 256 at once, each at where it is in its topics if resume is set, and waits until each
// has what it missed.
func (f *flock) connect(tb testing.TB, resume bool) {
	tb.Helper()
	for i := range f.socks {
		f.until(tb, "clients get in", func() bool { return i-f.back-f.dropped < 256 })
		require.NoError(tb, f.dial(i, resume))
	}
	f.until(tb, "all are connected", func() bool { return f.back+f.dropped >= len(f.socks) })
	f.mu.Lock()
	defer f.mu.Unlock()
	require.Zero(tb, f.dropped, "%s", f.why)
}

// dial opens one socket and says all that is to be said: the answers are the loop's.
func (f *flock) dial(i int, resume bool) error {
	f.mu.Lock()
	s := &f.socks[i]
	connect := wire.Connect{Token: f.token(i), Client: "load/1"}
	if resume {
		for _, p := range s.at {
			if p.Topic != "" {
				connect.Resume = append(connect.Resume, p)
			}
		}
	}
	f.mu.Unlock()
	data, err := json.Marshal(connect)
	if err != nil {
		return err
	}
	hello := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: load\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: %s\r\n\r\n", f.path, wire.Subprotocol)
	hello = append(hello, clientFrame(0x81, fmt.Appendf(nil, `{"id":1,"type":%q,"data":%s}`, wire.CmdConnect, data))...)

	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	// From many addresses, each of which may open only so many in a time.
	err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, byte(2 + i%250)}})
	for again := err == nil; again; again = errors.Is(err, syscall.EINTR) {
		err = syscall.Connect(fd, &f.addr)
	}
	if err == nil {
		_, err = syscall.Write(fd, hello)
	}
	if err == nil {
		err = syscall.SetNonblock(fd, true)
	}
	if err != nil {
		_ = syscall.Close(fd)
		return fmt.Errorf("connect: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	s.fd, s.state, s.back, s.rest = fd, sockUpgrading, false, nil
	return syscall.EpollCtl(f.ep, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(i)})
}

// clientFrame masks with zeros, which masks nothing.
func clientFrame(first byte, payload []byte) []byte {
	b := []byte{first}
	if n := len(payload); n < 126 {
		b = append(b, 0x80|byte(n))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

func (f *flock) loop() {
	defer close(f.done)
	ready := make([]syscall.EpollEvent, 512)
	buf := make([]byte, 256<<10)
	for {
		n, _ := syscall.EpollWait(f.ep, ready, 50) // an error gives -1, and is a signal
		f.mu.Lock()
		if f.ended {
			f.mu.Unlock()
			return
		}
		for i := range n {
			f.read(&f.socks[ready[i].Fd], buf)
		}
		f.mu.Unlock()
	}
}

func (f *flock) read(s *socket, buf []byte) {
	if s.state == sockClosed {
		return
	}
	n, err := syscall.Read(s.fd, buf)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return
	}
	if err != nil || n <= 0 {
		f.drop(s, fmt.Sprintf("the connection ended: %v", err))
		return
	}
	now := time.Now().UnixNano()
	b := buf[:n]
	if len(s.rest) > 0 {
		s.rest = append(s.rest, b...)
		b = s.rest
	}
	if used := f.eat(s, b, now); used == len(b) || s.state == sockClosed {
		s.rest = nil
	} else {
		s.rest = append([]byte(nil), b[used:]...)
	}
}

// eat takes the whole frames of b and says how long they are together.
func (f *flock) eat(s *socket, b []byte, now int64) int {
	i := 0
	if s.state == sockUpgrading {
		end := bytes.Index(b, []byte("\r\n\r\n"))
		if end < 0 {
			return 0
		}
		if !bytes.HasPrefix(b, []byte("HTTP/1.1 101")) {
			f.drop(s, string(b))
			return len(b)
		}
		s.state, i = sockConnecting, end+4
	}
	for s.state != sockClosed && len(b)-i >= 2 {
		head, n := 2, int(b[i+1])
		switch {
		case n == 126 && len(b)-i >= 4:
			head, n = 4, int(binary.BigEndian.Uint16(b[i+2:]))
		case n == 127 && len(b)-i >= 10:
			head, n = 10, int(binary.BigEndian.Uint64(b[i+2:]))
		case n >= 126:
			return i
		}
		if len(b)-i < head+n {
			return i
		}
		f.frame(s, b[i], b[i+head:i+head+n], now)
		i += head + n
	}
	return i
}

func (f *flock) frame(s *socket, first byte, p []byte, now int64) {
	switch first {
	case 0x81:
		for len(p) > 0 {
			line := p
			if i := bytes.IndexByte(p, '\n'); i >= 0 {
				line, p = p[:i], p[i+1:]
			} else {
				p = nil
			}
			f.object(s, line, now)
		}
	case 0x89:
		f.pings++
		_, _ = syscall.Write(s.fd, clientFrame(0x8a, p)) // if there is no room the server hears of the next one
	case 0x88:
		f.drop(s, fmt.Sprintf("closed: %q", p))
	default:
		f.drop(s, fmt.Sprintf("a frame that begins with %#x", first))
	}
}

// The beginnings of what the server sends, which it writes in one order of fields.
var (
	replyStart  = []byte(`{"id":`)
	beatStart   = []byte(`{"type":"` + wire.Heartbeat + `"`)
	createStart = []byte(`{"type":"` + wire.MessageCreated + `"`)
	topicMark   = []byte(`"topic":"`)
	offsetMark  = []byte(`"offset":`)
	dueMark     = []byte("due:")
)

func numberAfter(b, mark []byte) (int64, bool) {
	i := bytes.Index(b, mark)
	if i < 0 {
		return 0, false
	}
	n, i := int64(0), i+len(mark)
	start := i
	for ; i < len(b) && b[i] >= '0' && b[i] <= '9'; i++ {
		n = n*10 + int64(b[i]-'0')
	}
	return n, i > start
}

func (f *flock) object(s *socket, line []byte, now int64) {
	switch {
	case bytes.HasPrefix(line, replyStart):
		f.connected(s, line)
		return
	case bytes.HasPrefix(line, beatStart):
		f.beats++
		return
	}
	head := line[:min(len(line), 200)]
	i := bytes.Index(head, topicMark)
	offset, durable := numberAfter(head, offsetMark)
	if i < 0 || !durable {
		return // passing
	}
	kind := kindOf(head[i+len(topicMark)])
	if kind < 0 {
		f.drop(s, "an event of a topic that nobody has")
		return
	}
	at := &s.at[kind].Offset
	switch {
	case offset <= *at:
		f.doubled++
		return
	case offset > *at+1:
		f.lost += int(offset - *at - 1)
	}
	*at = offset
	if !s.back {
		f.caughtUp(s)
	}
	if !bytes.HasPrefix(line, createStart) {
		return
	}
	if mark, ok := numberAfter(line, dueMark); ok {
		f.events++
		s.seen++
		f.delays.add(time.Duration(now - f.due(mark)))
	}
}

func kindOf(first byte) int {
	switch first {
	case 'u':
		return ofUser
	case 'g':
		return ofGroup
	case 'o':
		return ofOrg
	default:
		return -1
	}
}

// connected takes the answer to connect.
func (f *flock) connected(s *socket, line []byte) {
	var reply struct {
		Type string
		Data wire.Connected
	}
	if err := json.Unmarshal(line, &reply); err != nil || reply.Type != "ok" {
		f.drop(s, string(line))
		return
	}
	s.state = sockReady
	for _, t := range reply.Data.Topics {
		kind := kindOf(t.Topic[0])
		if kind < 0 {
			continue
		}
		s.to[kind] = t.Offset
		if t.State == wire.Recovered {
			continue
		}
		if t.State == wire.Reset {
			f.reset++
		}
		s.at[kind] = wire.TopicPosition{Topic: t.Topic, Epoch: t.Epoch, Offset: t.Offset}
	}
	f.caughtUp(s)
}

func (f *flock) caughtUp(s *socket) {
	if s.state != sockReady {
		return
	}
	for kind, to := range s.to {
		if s.at[kind].Offset < to {
			return
		}
	}
	s.back = true
	f.back++
}

// drop notes that the server ended a connection.
func (f *flock) drop(s *socket, why string) {
	f.dropped++
	f.why = why
	f.hangUp(s)
}

// hangUp ends a connection from this side, without a word.
func (f *flock) hangUp(s *socket) {
	if s.state == sockClosed {
		return
	}
	_ = syscall.Close(s.fd)
	s.state, s.rest = sockClosed, nil
	if s.back {
		s.back = false
		f.back--
	}
}

// until waits for what is so, of which ready is asked with the lock held.
func (f *flock) until(tb testing.TB, what string, ready func() bool) {
	tb.Helper()
	if !f.within(e2e.Patience, ready) {
		f.mu.Lock()
		defer f.mu.Unlock()
		require.Fail(tb, "waited in vain until "+what, "%d of %d clients, %d events, dropped %d: %s", f.back, len(f.socks), f.events, f.dropped, f.why)
	}
}

func (f *flock) within(d time.Duration, ready func() bool) bool {
	end := time.Now().Add(d)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		f.mu.Lock()
		ok := ready()
		f.mu.Unlock()
		if ok || time.Now().After(end) {
			return ok
		}
		<-tick.C
	}
}

// missing is how many events of the topics have not come to the clients that are connected. want says how many were
// published to each topic since it is there.
func (f *flock) missing(want map[string]int64) int {
	n := 0
	for i := range f.socks {
		for _, at := range f.socks[i].at {
			if f.socks[i].back && at.Topic != "" {
				n += int(want[at.Topic] - at.Offset)
			}
		}
	}
	return n
}

// marked is 256 bytes of JSON that say when they were due.
func marked(b []byte, due time.Time) []byte {
	const size = 256
	start := len(b)
	b = append(b, `{"text":"due:`...)
	b = strconv.AppendInt(b, due.UnixNano(), 10)
	b = append(b, ' ')
	for len(b)-start < size-2 {
		b = append(b, 'x')
	}
	return append(b, `"}`...)
}

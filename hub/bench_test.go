package hub_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/hub"
	"omniservice/hub/membus"
	"omniservice/omni"
	"omniservice/omni/wire"
)

// sink is a connection whose client connects, reads whatever comes at once, and says nothing more.
type sink struct {
	net.Conn
	in     io.Reader
	closed chan struct{}
	once   sync.Once
	events *atomic.Int64 // objects that came
}

func (s *sink) Read(p []byte) (int, error) {
	if n, err := s.in.Read(p); err == nil {
		return n, nil
	}
	<-s.closed
	return 0, net.ErrClosed
}

func (s *sink) Write(p []byte) (int, error) {
	s.events.Add(int64(bytes.Count(p, []byte(`"type":`)))) // newlines may stand in a frame's head as well
	return len(p), nil
}

// TryWrite takes all at once, as a socket does whose client keeps up.
func (s *sink) TryWrite(p []byte) (int, error) { return s.Write(p) }

func (s *sink) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *sink) SetDeadline(time.Time) error      { return nil }
func (s *sink) SetReadDeadline(time.Time) error  { return nil }
func (s *sink) SetWriteDeadline(time.Time) error { return nil }

func benchHub(b *testing.B) *hub.Hub {
	b.Helper()
	bus := membus.New(membus.Options{})
	h, err := hub.New(bus, hub.Options{PerUser: 1 << 20, PerAddress: 1 << 20, Drain: time.Millisecond})
	require.NoError(b, err)
	require.NoError(b, h.Start(b.Context()))
	b.Cleanup(func() {
		require.NoError(b, bus.Close())
	})
	return h
}

// BenchmarkBroadcast is one event of 256 bytes to so many connections, whose sockets cost nothing: what the hub itself
// takes, in time and memory, for a delivery.
func BenchmarkBroadcast(b *testing.B) {
	for _, conns := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(conns), func(b *testing.B) {
			h := benchHub(b)
			var events atomic.Int64
			sinks := make([]*sink, conns)
			for i := range sinks {
				sinks[i] = &sink{in: &onceReader{connectFrame(agent("ana", "org/o1"))}, closed: make(chan struct{}), events: &events}
				w := &pipeWriter{conn: sinks[i], header: http.Header{}}
				require.NoError(b, h.Accept(w, upgrade(b.Context()), hub.AcceptOptions{Handler: desk{}, Origins: []string{site}}))
			}
			all := func(want int) {
				for end := time.Now().Add(time.Minute); events.Load() < int64(want); runtime.Gosched() {
					if time.Now().After(end) {
						require.FailNow(b, "not delivered", "%d of %d", events.Load(), want)
					}
				}
			}
			all(conns)
			text := strings.Repeat("x", 256)
			b.ReportAllocs()
			want := conns
			for n := 1; b.Loop(); n++ {
				_, err := h.Publish(b.Context(), "org/o1", "x", text)
				require.NoError(b, err)
				want += conns
				if n%50 == 0 { // stay within the queues
					all(want)
				}
			}
			all(want)
			b.StopTimer()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*conns), "ns/delivery")
			for _, s := range sinks {
				_ = s.Close()
			}
			require.NoError(b, h.Shutdown(b.Context()))
			require.Zero(b, h.Stats().SlowCloses)
		})
	}
}

type onceReader struct{ b []byte }

func (r *onceReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

// BenchmarkIdle prints what an idle connection holds: over TCP, each with a topic of its own and two shared ones,
// after a heartbeat. The client's end in the same process, about 1 KiB, is counted too.
func BenchmarkIdle(b *testing.B) {
	const conns = 2000
	for b.Loop() {
		bus := membus.New(membus.Options{})
		h, err := hub.New(bus, hub.Options{Drain: time.Millisecond})
		require.NoError(b, err)
		require.NoError(b, h.Start(b.Context()))
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_ = h.Accept(w, r, hub.AcceptOptions{Handler: desk{}, Origins: []string{site}})
		}))
		before := inUse()
		clients := make([]net.Conn, conns)
		for i := range clients {
			clients[i] = idle(b, srv.Listener.Addr().String(), fmt.Sprintf("u%d", i))
		}
		require.Eventually(b, func() bool { return h.Stats().Delivered == conns }, time.Minute, time.Millisecond)
		for i := range conns { // an event each, so that what a delivery leaves behind is counted
			_, err := h.Publish(b.Context(), fmt.Sprintf("user/u%d", i), "x", "hello")
			require.NoError(b, err)
		}
		require.Eventually(b, func() bool { return h.Stats().Delivered == 2*conns }, time.Minute, time.Millisecond)
		b.ReportMetric((inUse()-before)/conns/1024, "KiB/conn")
		for _, c := range clients {
			_ = c.Close()
		}
		require.NoError(b, h.Shutdown(b.Context()))
		srv.Close()
		require.NoError(b, bus.Close())
	}
}

func inUse() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse + m.StackInuse)
}

// idle connects and keeps nothing but the socket.
func idle(b *testing.B, addr, user string) net.Conn {
	c, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", addr)
	require.NoError(b, err)
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nOrigin: "+site+
		"\r\nSec-WebSocket-Protocol: "+wire.Subprotocol+"\r\n\r\n")
	require.NoError(b, err)
	r := raw{c, bufio.NewReaderSize(c, 512)}
	resp, err := http.ReadResponse(r.r, nil)
	require.NoError(b, err)
	require.NoError(b, resp.Body.Close())
	p := agent(user, "user/"+user, "org/o1", "group/g1")
	p.SessionID = omni.NewID()
	r.send(b, connectFrame(p))
	_, _, err = r.frame()
	require.NoError(b, err)
	return c
}

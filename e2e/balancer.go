package e2e

import (
	"bufio"
	"bytes"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coder/websocket"

	"omniservice/omni/wire"
)

// Balancer is one address for several nodes. What one node does not take, because it is going or gone, it offers to the
// next, as such programs do.
type Balancer struct {
	server *httptest.Server
	client *http.Transport

	mu    sync.Mutex
	nodes []string // host:port
	next  int
	open  map[net.Conn]struct{} // of sockets
}

// Balance puts a balancer before nodes. The returned system is how the world sees them.
func Balance(t testing.TB, nodes ...*System) (*Balancer, *System) {
	t.Helper()
	b := &Balancer{client: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}, open: map[net.Conn]struct{}{}}
	for _, n := range nodes {
		b.Add(n)
	}
	b.server = httptest.NewServer(b)
	t.Cleanup(func() {
		b.Cut()
		b.server.Close()
		b.client.CloseIdleConnections()
	})
	s := nodes[0]
	if s.first != nil {
		s = s.first
	}
	front := &System{URL: b.server.URL, PublicURL: s.PublicURL, Twilio: s.Twilio, Log: s.Log, opts: s.opts, first: s, http: s.http}
	alpha, beta := *s.Alpha, *s.Beta
	alpha.sys, beta.sys = front, front
	front.Alpha, front.Beta = &alpha, &beta
	return b, front
}

// Add has a node take part.
func (b *Balancer) Add(n *System) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = append(b.nodes, strings.TrimPrefix(n.URL, "http://"))
}

// Remove ends that.
func (b *Balancer) Remove(n *System) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = slices.DeleteFunc(b.nodes, func(a string) bool { return a == strings.TrimPrefix(n.URL, "http://") })
}

// Cut drops all sockets without a word.
func (b *Balancer) Cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.open {
		_ = c.Close()
	}
	clear(b.open)
}

// CutOne drops one socket, whichever, and reports whether there was one.
func (b *Balancer) CutOne() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.open {
		_ = c.Close()
		delete(b.open, c)
		return true
	}
	return false
}

// order is the nodes, another one first each time.
func (b *Balancer) order() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.nodes) == 0 {
		return nil
	}
	b.next = (b.next + 1) % len(b.nodes)
	return slices.Concat(b.nodes[b.next:], b.nodes[:b.next])
}

// ServeHTTP implements http.Handler.
func (b *Balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "" {
		b.socket(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	nodes := b.order()
	for i, node := range nodes {
		out := r.Clone(r.Context())
		out.URL.Scheme, out.URL.Host, out.RequestURI = "http", node, ""
		out.Body = io.NopCloser(bytes.NewReader(body))
		res, err := b.client.RoundTrip(out)
		if err != nil {
			continue
		}
		if res.StatusCode == http.StatusServiceUnavailable && i < len(nodes)-1 {
			drain(res)
			continue
		}
		maps.Copy(w.Header(), res.Header)
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, res.Body)
		_ = res.Body.Close()
		return
	}
	w.WriteHeader(http.StatusBadGateway)
}

func (b *Balancer) socket(w http.ResponseWriter, r *http.Request) {
	for _, node := range b.order() {
		up, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", node)
		if err != nil {
			continue
		}
		in := bufio.NewReader(up)
		var res *http.Response
		if err = r.Write(up); err == nil {
			res, err = http.ReadResponse(in, r)
		}
		if err != nil || res.StatusCode != http.StatusSwitchingProtocols {
			_ = up.Close()
			continue
		}
		b.join(w, res, up, in)
		return
	}
	w.WriteHeader(http.StatusBadGateway)
}

// join lets a client and a node speak until either ends.
func (b *Balancer) join(w http.ResponseWriter, res *http.Response, up net.Conn, in io.Reader) {
	defer func() { _ = up.Close() }()
	down, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = down.Close() }()
	b.mu.Lock()
	b.open[down] = struct{}{}
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		delete(b.open, down)
		b.mu.Unlock()
	}()
	if res.Write(down) != nil {
		return
	}
	var both sync.WaitGroup
	both.Go(func() {
		_, _ = io.Copy(up, rw)
		_ = up.Close()
	})
	_, _ = io.Copy(down, in)
	_ = down.Close()
	both.Wait()
}

// Try opens a socket and connects, without failing the test: the program may be on its way down or up.
func (s *System) Try(t testing.TB, d Dialing) (*Client, bool) {
	t.Helper()
	c, _, err := s.Open(t, d)
	if err != nil {
		return nil, false
	}
	if !c.Attempt(t, wire.CmdConnect, d.Connect) {
		c.Cut()
		return nil, false
	}
	return c, true
}

// Attempt sends a command and reports whether it was answered with ok; false too if the socket has ended.
func (c *Client) Attempt(t testing.TB, typ string, data any) bool {
	t.Helper()
	id, b := c.command(t, typ, data)
	if c.Raw(websocket.MessageText, b) != nil {
		return false
	}
	var f Frame
	return c.wait(func() (ok bool) { f, ok = c.replies[id]; return ok }) && f.Type == "ok"
}

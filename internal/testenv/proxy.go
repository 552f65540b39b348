package testenv

import (
	"net"
	"sync"
	"testing"
)

// Proxy is a line between a program and a server, which a test can cut.
type Proxy struct {
	Addr string

	t      testing.TB
	target string
	ln     net.Listener
	work   sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]struct{}
	broken bool
	total  int
	stall  chan struct{} // closed: connections opened so far pass nothing
}

// StartProxy begins to pass connections on to target. The test ends it.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	ln, err := listen()
	if err != nil {
		t.Fatalf("start proxy: %v", err)
	}
	p := &Proxy{Addr: ln.Addr().String(), t: t, target: target, ln: ln, open: map[net.Conn]struct{}{}, stall: make(chan struct{})}
	p.work.Go(p.accept)
	t.Cleanup(func() {
		_ = ln.Close()
		p.Break()
		p.work.Wait()
	})
	return p
}

// Cut closes all connections. New ones are let through.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		_ = c.Close()
	}
	clear(p.open)
}

// Break closes all connections and lets none through until Mend.
func (p *Proxy) Break() {
	p.mu.Lock()
	p.broken = true
	p.mu.Unlock()
	p.Cut()
}

// Mend ends Break.
func (p *Proxy) Mend() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = false
}

// Stall makes the connections that are open now pass nothing any more, without closing them. New ones work.
func (p *Proxy) Stall() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.stall)
	p.stall = make(chan struct{})
}

// Passed is how many connections were let through so far.
func (p *Proxy) Passed() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.total
}

func (p *Proxy) accept() {
	for {
		in, err := p.ln.Accept()
		if err != nil {
			return
		}
		out, err := dial(p.target)
		p.mu.Lock()
		if p.broken || err != nil {
			_ = in.Close()
			if err == nil {
				_ = out.Close()
			}
			p.mu.Unlock()
			continue
		}
		p.total++
		p.open[in], p.open[out] = struct{}{}, struct{}{}
		stall := p.stall
		p.mu.Unlock()
		p.work.Go(func() { pass(in, out, stall) })
		p.work.Go(func() { pass(out, in, stall) })
	}
}

func pass(to, from net.Conn, stall chan struct{}) {
	defer func() {
		_ = to.Close()
		_ = from.Close()
	}()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		select {
		case <-stall: // read on, to notice the end
			continue
		default:
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

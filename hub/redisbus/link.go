package redisbus

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"omniservice/internal/wait"
	"omniservice/omni"
)

const (
	subscribeAtOnce = 512
	readBuffer      = 64 << 10
	firstPause      = 20 * time.Millisecond // before a connection is tried again, doubled each time
	lastPause       = 500 * time.Millisecond
)

// link is the connection on which one server sends events. It is kept up as long as a topic is placed there.
type link struct {
	bus    *Bus
	client *redis.Client
	probe  string // a channel of its own: what goes out there must come in
	part   int    // of probe
	wake   chan struct{}

	todo map[*topic]struct{} // whose state is not what is wanted; guarded by Bus.mu
	mine map[*topic]struct{} // that are placed here; guarded by Bus.mu
	up   bool                // guarded by Bus.mu

	mu       sync.RWMutex
	channels map[string]*topic // joining, live or leaving
}

// Subscribe implements hub.Bus. To follow a topic twice is to follow it once.
func (b *Bus) Subscribe(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("subscribe to %s: %w", name, err)
	}
	if err := b.subscribe(ctx, name); err != nil {
		return fmt.Errorf("subscribe to %s: %w", name, err)
	}
	return nil
}

func (b *Bus) subscribe(ctx context.Context, name string) error {
	part := b.part(name)
	l, err := b.lane(ctx, part)
	if err == nil {
		err = l.state()
	}
	if err != nil {
		return err
	}
	b.mu.Lock()
	if b.deliver == nil || b.listen.Err() != nil {
		b.mu.Unlock()
		return omni.Problemf(omni.ErrUnavailable, "the bus is not started, or closed")
	}
	t := b.topics[name]
	if t == nil {
		t = b.newTopic(name, part)
	}
	t.wanted = true
	if t.state == live && !t.ends {
		t.heard = true
		b.mu.Unlock()
		return nil
	}
	done := make(chan error, 1)
	t.waiters = append(t.waiters, done)
	b.settle(t)
	b.mu.Unlock()

	timer := time.NewTimer(b.o.Timeout)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		err = ctx.Err()
	case <-b.listen.Done():
		err = omni.Problemf(omni.ErrUnavailable, "the bus is closed")
	case <-timer.C:
		err = omni.Problemf(omni.ErrUnavailable, "redis does not answer")
	}
	b.giveUp(name, done)
	return err
}

// newTopic makes a topic that is followed from now on. The caller holds mu.
func (b *Bus) newTopic(name string, part int) *topic {
	t := &topic{name: name, channel: b.partition[part].channel + name, part: part, worker: b.workers[hash(name)%uint32(len(b.workers))]}
	b.topics[name] = t
	return t
}

// giveUp ends waiting for a topic, which nobody follows if nobody else waits.
func (b *Bus) giveUp(name string, done chan error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.topics[name]
	if t == nil {
		return
	}
	for i, w := range t.waiters {
		if w == done {
			t.waiters = append(t.waiters[:i], t.waiters[i+1:]...)
			break
		}
	}
	if len(t.waiters) == 0 && (t.ends || !t.heard && t.state != live) {
		t.wanted = false
		b.settle(t)
	}
}

// Unsubscribe implements hub.Bus. Nothing of the topic is delivered after it; Redis is told in the background.
func (b *Bus) Unsubscribe(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("unsubscribe from %s: %w", name, err)
	}
	b.mu.Lock()
	t := b.topics[name]
	if b.ended || t == nil || !t.wanted {
		b.mu.Unlock()
		return nil
	}
	t.wanted, t.ends = false, true
	for _, w := range t.waiters {
		w <- omni.Problemf(omni.ErrUnavailable, "unsubscribed meanwhile")
	}
	t.waiters = nil
	b.settle(t)
	b.mu.Unlock()
	t.close()
	return nil
}

func (t *topic) close() {
	t.mu.Lock()
	t.gone, t.held = true, nil
	t.mu.Unlock()
}

// settle has somebody bring t's state to what is wanted. The caller holds mu.
func (b *Bus) settle(t *topic) {
	switch {
	case t.state == joining, t.state == leaving: // when that is answered
	case t.state == idle && !t.stays():
		b.forget(t)
	case t.stays() == (t.state == live):
	case t.link == nil:
		b.homeless[t] = struct{}{}
		signal(b.place)
	default:
		t.link.todo[t] = struct{}{}
		signal(t.link.wake)
	}
}

// stays reports whether t is to be subscribed to.
func (t *topic) stays() bool { return t.wanted && !t.ends }

// forget ends a topic that is not subscribed to. If somebody wants it again it begins anew: what is still on its way
// belongs to the past. The caller holds mu.
func (b *Bus) forget(t *topic) {
	delete(b.homeless, t)
	if t.link != nil {
		delete(t.link.mine, t)
		delete(t.link.todo, t)
	}
	delete(b.topics, t.name)
	if t.wanted {
		n := b.newTopic(t.name, t.part)
		n.wanted, n.waiters = true, t.waiters
		b.settle(n)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// placeLoop gives topics to the links of their servers, and makes those.
func (b *Bus) placeLoop() {
	for {
		select {
		case <-b.listen.Done():
			return
		case <-b.place:
		}
		if !b.placeAll() && wait.For(b.listen, lastProbe) != nil {
			return
		}
	}
}

// placeAll reports false if the servers of some topics are not known.
func (b *Bus) placeAll() bool {
	b.mu.Lock()
	parts := map[int]*redis.Client{}
	for t := range b.homeless {
		parts[t.part] = nil
	}
	b.mu.Unlock()
	for p := range parts {
		c, err := b.server(b.listen, p)
		if err != nil {
			b.log.Warn("the server of topics is not known", "err", err)
			signal(b.place)
			return false
		}
		parts[p] = c
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listen.Err() != nil {
		return true
	}
	for t := range b.homeless {
		c := parts[t.part]
		if c == nil { // came meanwhile, and has signalled
			continue
		}
		delete(b.homeless, t)
		l := b.links[c]
		if l == nil {
			l = &link{
				bus: b, client: c, probe: b.partition[t.part].channel + "probe " + b.unique(), part: t.part, wake: make(chan struct{}, 1),
				todo: map[*topic]struct{}{}, mine: map[*topic]struct{}{}, channels: map[string]*topic{},
			}
			b.links[c] = l
			b.work.Go(l.run)
		}
		t.link = l
		l.mine[t] = struct{}{}
		b.settle(t)
	}
	return true
}

// run keeps the connection up until the bus closes or no topic is left here.
func (l *link) run() {
	pause := firstPause
	for {
		begin := time.Now()
		err := l.session()
		if l.bus.nodes != nil && !l.wasUp() { // who else has the topics is known in a moment, not at once
			_ = wait.For(l.bus.listen, lastProbe)
		}
		if l.bus.listen.Err() != nil || !l.lost(err) {
			return
		}
		if time.Since(begin) > 2*lastPause {
			pause = firstPause
		}
		if wait.For(l.bus.listen, pause/2+rand.N(pause/2)) != nil { //nolint:gosec // spreads load, hides nothing
			return
		}
		pause = min(2*pause, lastPause)
	}
}

// wasUp reports whether the last connection worked.
func (l *link) wasUp() bool {
	l.bus.mu.Lock()
	defer l.bus.mu.Unlock()
	return l.up
}

// lost takes note that nothing is subscribed to any more. On a Cluster the topics look for their servers again; it
// reports false if none is left here.
func (l *link) lost(err error) bool {
	b := l.bus
	if b.nodes != nil {
		b.nodes.ReloadState(b.base)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.up {
		l.up = false
		b.log.Warn("deliveries from redis are cut", "err", err)
	}
	l.mu.Lock()
	clear(l.channels)
	l.mu.Unlock()
	for t := range l.mine {
		t.state = idle
		switch {
		case !t.stays():
			b.forget(t)
		case b.nodes == nil:
			l.todo[t] = struct{}{}
		default:
			delete(l.mine, t)
			delete(l.todo, t)
			t.link = nil
			b.homeless[t] = struct{}{}
		}
	}
	if b.nodes == nil {
		return true
	}
	signal(b.place)
	delete(b.links, l.client)
	return false
}

// session is one connection, from beginning to end.
func (l *link) session() error {
	b := l.bus
	conn, r, err := l.connect()
	if err != nil {
		return err
	}
	var readErr error // once read is closed
	read := make(chan struct{})
	go func() {
		readErr = l.read(r)
		close(read)
	}()
	defer func() {
		_ = conn.Close()
		<-read
	}()

	tick := time.NewTicker(b.o.Probe)
	defer tick.Stop()
	if err := l.write(conn, appendCommand(nil, l.word("subscribe"), l.probe)); err != nil {
		return err
	}
	signal(l.wake)
	for {
		select {
		case <-b.listen.Done():
			return b.listen.Err()
		case <-read:
			return readErr
		case <-l.wake:
			for out := l.orders(); len(out) > 0; out = l.orders() {
				if err := l.write(conn, out); err != nil {
					return err
				}
			}
		case <-tick.C:
			b.send(b.listen, l.part, nil, 64, b.announce, l.probe, "") // its answer is what the reader hears
		}
	}
}

func (l *link) word(w string) string {
	if l.bus.nodes != nil {
		return "S" + w
	}
	return w
}

func (l *link) write(conn net.Conn, out []byte) error {
	if err := conn.SetWriteDeadline(time.Now().Add(l.bus.o.Timeout)); err != nil {
		return err
	}
	_, err := conn.Write(out)
	return err
}

// connect opens and authenticates a connection, with the dialer of the client, which knows who is master.
func (l *link) connect() (net.Conn, *bufio.Reader, error) {
	b := l.bus
	ctx, cancel := context.WithTimeout(b.listen, b.o.Timeout)
	defer cancel()
	o := l.client.Options()
	conn, err := o.Dialer(ctx, o.Network, o.Addr)
	if err != nil {
		return nil, nil, err
	}
	in := &patient{conn: conn}
	r := bufio.NewReaderSize(in, readBuffer)
	if err = conn.SetDeadline(time.Now().Add(b.o.Timeout)); err == nil {
		err = handshake(conn, pushes{r}, b.target)
	}
	if err == nil {
		in.limit = 3 * b.o.Probe
		err = conn.SetReadDeadline(time.Now().Add(in.limit))
	}
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, r, nil
}

func handshake(conn net.Conn, p pushes, t target) error {
	var out []byte
	answers := 1
	switch {
	case t.username != "":
		out, answers = appendCommand(out, "AUTH", t.username, t.password), 2
	case t.password != "":
		out, answers = appendCommand(out, "AUTH", t.password), 2
	}
	if _, err := conn.Write(appendCommand(out, "CLIENT", "SETNAME", "omniservice-events")); err != nil {
		return err
	}
	for range answers {
		if err := p.ok(); err != nil {
			return err
		}
	}
	return nil
}

// patient gives up when nothing came for limit. The deadline is moved now and then only: each time costs.
type patient struct {
	conn  net.Conn
	limit time.Duration // 0: the deadline stays
	set   time.Time
}

func (p *patient) Read(b []byte) (int, error) {
	if now := time.Now(); p.limit > 0 && now.Sub(p.set) > p.limit/8 {
		p.set = now
		if err := p.conn.SetReadDeadline(now.Add(p.limit)); err != nil {
			return 0, err
		}
	}
	return p.conn.Read(b)
}

// orders is the next command that brings topics to the state that is wanted; empty if all are.
func (l *link) orders() []byte {
	b := l.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	var join, leave []*topic
	for t := range l.todo {
		some := &leave
		switch {
		case t.stays() && t.state == idle:
			some = &join
		case !t.stays() && t.state == live:
		default:
			delete(l.todo, t)
			continue
		}
		if len(*some) == subscribeAtOnce || len(*some) > 0 && b.nodes != nil && (*some)[0].part != t.part {
			continue // with the next command
		}
		*some = append(*some, t)
		delete(l.todo, t)
	}
	l.mu.Lock()
	for _, t := range join {
		t.state = joining
		l.channels[t.channel] = t
	}
	l.mu.Unlock()
	for _, t := range leave {
		t.state = leaving
	}
	return appendOrder(appendOrder(nil, l.word("subscribe"), join), l.word("unsubscribe"), leave)
}

func appendOrder(b []byte, word string, ts []*topic) []byte {
	if len(ts) == 0 {
		return b
	}
	words := make([]string, 0, len(ts)+1)
	words = append(words, word)
	for _, t := range ts {
		words = append(words, t.channel)
	}
	return appendCommand(b, words...)
}

// read hands on what comes until the connection ends. It waits for nobody else.
func (l *link) read(r *bufio.Reader) error {
	p := pushes{r}
	for {
		kind, channel, err := p.next()
		if err != nil {
			return err
		}
		l.mu.RLock()
		t := l.channels[string(channel)]
		l.mu.RUnlock()
		probe := t == nil && string(channel) == l.probe
		if err := p.skip(channel); err != nil {
			return err
		}
		if kind != pushMessage {
			err = p.end()
			switch {
			case err != nil:
			case probe && kind == pushSubscribed:
				l.begin()
			case t != nil && kind == pushSubscribed:
				l.joined(t)
			case t != nil:
				err = l.left(t)
			}
			if err != nil {
				return err
			}
			continue
		}
		payload, err := p.payload()
		if err != nil {
			return err
		}
		if t != nil && !t.worker.push(t, payload) {
			l.bus.repairs.add(t)
		}
	}
}

// begin takes note that the connection works.
func (l *link) begin() {
	l.bus.mu.Lock()
	defer l.bus.mu.Unlock()
	l.up = true
	l.bus.log.Info("deliveries from redis begin")
}

// joined takes note that everything that is published to t from now on will come.
func (l *link) joined(t *topic) {
	b := l.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	t.state = live
	if t.stays() {
		for _, w := range t.waiters {
			w <- nil
		}
		t.waiters = nil
		if t.heard {
			b.repairs.add(t)
		}
		t.heard = true
	}
	b.settle(t)
}

// left takes note that nothing more will come of t. If it is wanted the server has sent us away: its slot has moved.
func (l *link) left(t *topic) error {
	b := l.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	l.mu.Lock()
	delete(l.channels, t.channel)
	l.mu.Unlock()
	if t.state != leaving {
		return errors.New("a slot has moved")
	}
	t.state = idle
	b.settle(t)
	return nil
}

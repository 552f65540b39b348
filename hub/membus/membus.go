// Package membus is the bus of a gateway that runs alone: topics, histories, tickets and rate counters in this
// process's memory. Whatever it holds is gone with the process, and the epoch of every topic with it.
package membus

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"omniservice/hub"
	"omniservice/omni"
)

// Options adjust a Bus. The zero value works.
type Options struct {
	Events int           // newest events of a topic that are kept however old they are; 0 means 1,000
	Age    time.Duration // events younger than this are kept however many there are; 0 means 10 min
	Bytes  int           // of a topic's history, whatever Events and Age say; 0 means 8 MiB
	Idle   time.Duration // a topic that nobody follows or publishes to is forgotten after this; 0 means 1 h
}

func (o Options) withDefaults() Options {
	if o.Events == 0 {
		o.Events = 1000
	}
	if o.Age == 0 {
		o.Age = 10 * time.Minute
	}
	if o.Bytes == 0 {
		o.Bytes = 8 << 20
	}
	if o.Idle == 0 {
		o.Idle = time.Hour
	}
	return o
}

// Bus is one node's end of an in-process bus.
//
// Publish and Announce call the deliver functions before they return, so nothing waits in between and nothing is
// lost. Locks are taken in this order: state.leaseMu, topic.order, state.mu or topic.mu; deliver runs under topic.order, and
// under state.leaseMu if it is a lease that is told of.
type Bus struct {
	state *state

	mu      sync.RWMutex
	deliver func(topic string, e hub.Entry)
	stop    context.CancelFunc
	done    chan struct{}
	closed  bool
}

var _ hub.Bus = (*Bus)(nil)

// state is what all nodes of one bus share.
type state struct {
	opts Options
	base string // first part of every epoch; random, so that a restart is noticed

	mu         sync.RWMutex
	generation int // counts forgotten topics' sweeps: second part of the epoch of topics made later
	topics     map[string]*topic

	onceMu sync.Mutex
	once   map[string]once

	bucketMu sync.Mutex
	buckets  map[string]bucket

	leaseMu sync.Mutex // held while a change is told
	leases  map[string]map[string]*lease
}

type topic struct {
	order sync.Mutex // held while events are numbered and delivered: deliveries of a topic never overlap

	mu    sync.Mutex
	epoch string
	last  int64
	kept  []hub.Entry // offsets last-len(kept)+1 ... last
	bytes int
	used  time.Time
	nodes []*Bus
	gone  bool // forgotten: look the topic up again
}

type once struct {
	value []byte
	ends  time.Time
}

type bucket struct {
	tokens float64
	at     time.Time
	full   time.Time // when it has refilled, and need not be remembered
}

// New returns a bus with one node.
func New(o Options) *Bus {
	return &Bus{state: &state{
		opts:    o.withDefaults(),
		base:    rand.Text()[:8],
		topics:  map[string]*topic{},
		once:    map[string]once{},
		buckets: map[string]bucket{},
		leases:  map[string]map[string]*lease{},
	}}
}

// Node returns another node of the same bus, as a second process would have it. It is started and closed by itself.
func (b *Bus) Node() *Bus { return &Bus{state: b.state} }

// Start implements hub.Bus. It also begins to sweep what has expired, until ctx ends or Close.
func (b *Bus) Start(ctx context.Context, deliver func(topic string, e hub.Entry)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.deliver != nil {
		return fmt.Errorf("start bus: %w", omni.ErrConflict)
	}
	ctx, b.stop = context.WithCancel(ctx)
	b.deliver, b.done = deliver, make(chan struct{})
	go b.sweep(ctx, b.done)
	return nil
}

// Close implements hub.Bus: this node gets no further event and takes no further call.
func (b *Bus) Close() error {
	b.mu.Lock()
	b.closed = true
	b.deliver = nil
	stop, done := b.stop, b.done
	b.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
	return nil
}

func (b *Bus) check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.closed {
		return omni.Problemf(omni.ErrUnavailable, "the bus is closed")
	}
	return nil
}

func (b *Bus) hand(topic string, e hub.Entry) {
	b.mu.RLock()
	deliver := b.deliver
	b.mu.RUnlock()
	if deliver != nil {
		deliver(topic, e)
	}
}

// find returns the topic with its mu held, or nil if there is none and create is false.
func (s *state) find(name string, create bool) *topic {
	for {
		s.mu.RLock()
		t := s.topics[name]
		s.mu.RUnlock()
		if t == nil {
			if !create {
				return nil
			}
			s.mu.Lock()
			if t = s.topics[name]; t == nil {
				t = &topic{epoch: s.epoch(), used: time.Now()}
				s.topics[name] = t
			}
			s.mu.Unlock()
		}
		t.mu.Lock()
		if !t.gone {
			return t
		}
		t.mu.Unlock()
	}
}

// epoch is that of topics made now. The caller holds mu.
func (s *state) epoch() string { return s.base + strconv.FormatInt(int64(s.generation), 36) }

func (s *state) unseen() hub.Position {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return hub.Position{Epoch: s.epoch()}
}

// Publish implements hub.Bus.
func (b *Bus) Publish(ctx context.Context, name string, e hub.Entry) (hub.Position, error) {
	if err := b.check(ctx); err != nil {
		return hub.Position{}, fmt.Errorf("publish to %s: %w", name, err)
	}
	if err := word(e.Type); err != nil {
		return hub.Position{}, fmt.Errorf("publish to %s: %w", name, err)
	}
	if strings.ContainsAny(e.Key, " \n") {
		return hub.Position{}, fmt.Errorf("publish to %s with key %q: %w", name, e.Key, omni.ErrInvalid)
	}
	again := e.Again && e.Key != ""
	e.Again = false
	var pos hub.Position
	b.send(name, func(t *topic) hub.Entry {
		if again {
			if i := t.find(e.Key); i >= 0 {
				pos = hub.Position{Epoch: t.epoch, Offset: t.kept[i].Offset}
				return hub.Entry{}
			}
		}
		t.last++
		e.Offset, e.Epoch = t.last, t.epoch
		t.kept = append(t.kept, e)
		t.bytes += cost(e)
		t.trim(b.state.opts, time.Now())
		pos = hub.Position{Epoch: t.epoch, Offset: t.last}
		return e
	})
	return pos, nil
}

// Announce implements hub.Bus.
func (b *Bus) Announce(ctx context.Context, name string, e hub.Entry) error {
	if err := b.check(ctx); err != nil {
		return fmt.Errorf("announce to %s: %w", name, err)
	}
	if err := word(e.Type); err != nil {
		return fmt.Errorf("announce to %s: %w", name, err)
	}
	b.announce(name, e)
	return nil
}

func (b *Bus) announce(name string, e hub.Entry) {
	b.send(name, func(t *topic) hub.Entry {
		e.Offset, e.Epoch = 0, t.epoch
		return e
	})
}

func word(typ string) error {
	if typ == "" || strings.ContainsAny(typ, " \n") {
		return fmt.Errorf("an event of type %q: %w", typ, omni.ErrInvalid)
	}
	return nil
}

// send delivers what number returns to every node that follows the topic.
func (b *Bus) send(name string, number func(t *topic) hub.Entry) {
	for {
		t := b.state.find(name, true)
		t.mu.Unlock()
		t.order.Lock()
		t.mu.Lock()
		if t.gone { // between the two locks
			t.mu.Unlock()
			t.order.Unlock()
			continue
		}
		t.used = time.Now()
		e := number(t)
		nodes := t.nodes // replaced, never changed
		if e.Type == "" {
			nodes = nil // nothing new
		}
		e.Key = ""
		t.mu.Unlock()
		for _, n := range nodes {
			n.hand(name, e)
		}
		t.order.Unlock()
		return
	}
}

// Subscribe implements hub.Bus.
func (b *Bus) Subscribe(ctx context.Context, name string) error {
	if err := b.check(ctx); err != nil {
		return fmt.Errorf("subscribe to %s: %w", name, err)
	}
	t := b.state.find(name, true)
	defer t.mu.Unlock()
	if !slices.Contains(t.nodes, b) {
		t.nodes = append(slices.Clip(t.nodes), b)
	}
	return nil
}

// Unsubscribe implements hub.Bus.
func (b *Bus) Unsubscribe(ctx context.Context, name string) error {
	if err := b.check(ctx); err != nil {
		return fmt.Errorf("unsubscribe from %s: %w", name, err)
	}
	t := b.state.find(name, false)
	if t == nil {
		return nil
	}
	t.mu.Unlock()
	t.order.Lock() // a delivery that has begun ends first
	defer t.order.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	var rest []*Bus
	for _, n := range t.nodes {
		if n != b {
			rest = append(rest, n)
		}
	}
	t.nodes, t.used = rest, time.Now()
	return nil
}

// find returns which of the kept events has the key, or -1. The caller holds mu.
func (t *topic) find(key string) int {
	for i, e := range slices.Backward(t.kept) {
		if e.Key == key {
			return i
		}
	}
	return -1
}

// History implements hub.Bus.
func (b *Bus) History(ctx context.Context, name string, since hub.Position, limit int) ([]hub.Entry, hub.Position, bool, error) {
	if err := b.check(ctx); err != nil {
		return nil, hub.Position{}, false, fmt.Errorf("read history of %s: %w", name, err)
	}
	t := b.state.find(name, false)
	if t == nil {
		now := b.state.unseen()
		return nil, now, since == now, nil
	}
	defer t.mu.Unlock()
	now := hub.Position{Epoch: t.epoch, Offset: t.last}
	t.trim(b.state.opts, time.Now())
	missing := t.last - since.Offset
	if since.Epoch != t.epoch || missing < 0 || missing > int64(len(t.kept)) {
		return nil, now, false, nil
	}
	es := t.kept[int64(len(t.kept))-missing:]
	es = append([]hub.Entry(nil), es[:min(len(es), max(limit, 0))]...)
	for i := range es {
		es[i].Key = ""
	}
	return es, now, true, nil
}

// Renew implements hub.Bus.
func (b *Bus) Renew(ctx context.Context) error {
	if err := b.check(ctx); err != nil {
		return fmt.Errorf("renew: %w", err)
	}
	s := b.state
	s.mu.Lock()
	s.generation++
	epoch := s.epoch()
	old := make([]*topic, 0, len(s.topics))
	for _, t := range s.topics {
		old = append(old, t)
	}
	s.mu.Unlock()
	for _, t := range old { // those that are made from now on have the epoch already
		t.order.Lock()
		t.mu.Lock()
		t.epoch, t.last, t.kept, t.bytes = epoch, 0, nil, 0
		t.mu.Unlock()
		t.order.Unlock()
	}
	return nil
}

// Positions implements hub.Bus.
func (b *Bus) Positions(ctx context.Context, topics []string) (map[string]hub.Position, error) {
	if err := b.check(ctx); err != nil {
		return nil, fmt.Errorf("read positions: %w", err)
	}
	m := make(map[string]hub.Position, len(topics))
	for _, name := range topics {
		t := b.state.find(name, false)
		if t == nil {
			m[name] = b.state.unseen()
			continue
		}
		m[name] = hub.Position{Epoch: t.epoch, Offset: t.last}
		t.mu.Unlock()
	}
	return m, nil
}

// cost is what an entry takes in memory, roughly.
func cost(e hub.Entry) int { return len(e.Data) + 96 }

// trim drops what need not be kept. Its places in the array are emptied so that the bodies can go; the array
// itself is renewed by append when it is full.
func (t *topic) trim(o Options, now time.Time) {
	drop := 0
	oldest := omni.MillisOf(now.Add(-o.Age))
	for rest := len(t.kept); rest > 0; rest-- {
		if t.bytes <= o.Bytes && (rest <= o.Events || t.kept[drop].At >= oldest) {
			break
		}
		t.bytes -= cost(t.kept[drop])
		t.kept[drop] = hub.Entry{}
		drop++
	}
	t.kept = t.kept[drop:]
}

// PutOnce implements hub.Bus.
func (b *Bus) PutOnce(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := b.check(ctx); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	s := b.state
	s.onceMu.Lock()
	defer s.onceMu.Unlock()
	s.once[key] = once{value: append([]byte(nil), value...), ends: time.Now().Add(ttl)}
	return nil
}

// TakeOnce implements hub.Bus.
func (b *Bus) TakeOnce(ctx context.Context, key string) ([]byte, error) {
	if err := b.check(ctx); err != nil {
		return nil, fmt.Errorf("take: %w", err)
	}
	s := b.state
	s.onceMu.Lock()
	defer s.onceMu.Unlock()
	o, ok := s.once[key]
	delete(s.once, key)
	if !ok || !time.Now().Before(o.ends) {
		return nil, fmt.Errorf("take: %w", omni.ErrNotFound)
	}
	return o.value, nil
}

// Allow implements hub.Bus.
func (b *Bus) Allow(ctx context.Context, key string, n int, rate float64, burst int) (bool, time.Duration, error) {
	if err := b.check(ctx); err != nil {
		return false, 0, fmt.Errorf("allow: %w", err)
	}
	if n < 0 || n > burst || rate <= 0 {
		return false, 0, fmt.Errorf("allow %d of %d at %g a second: %w", n, burst, rate, omni.ErrInvalid)
	}
	s := b.state
	s.bucketMu.Lock()
	defer s.bucketMu.Unlock()
	now := time.Now()
	k, seen := s.buckets[key]
	if seen {
		k.tokens = min(float64(burst), k.tokens+now.Sub(k.at).Seconds()*rate)
	} else {
		k.tokens = float64(burst)
	}
	k.at = now
	ok, retry := true, time.Duration(0)
	// A billionth of a token is what rounding may cost a caller who waited as long as he was told.
	if lack := float64(n) - k.tokens; lack > 1e-9 {
		ok, retry = false, time.Duration(lack/rate*float64(time.Second))+time.Nanosecond
	} else {
		k.tokens -= float64(n)
	}
	k.full = now.Add(time.Duration((float64(burst) - k.tokens) / rate * float64(time.Second)))
	s.buckets[key] = k
	return ok, retry, nil
}

func (b *Bus) sweep(ctx context.Context, done chan struct{}) {
	defer close(done)
	tick := time.NewTicker(max(min(b.state.opts.Idle, time.Minute)/2, time.Second))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			b.state.expire(now)
		}
	}
}

// expire forgets what nobody can ask for any more, and topics that nobody asked for in a long time. The epoch of
// topics made from then on differs, so that nobody takes a forgotten topic's offsets for those of its successor.
func (s *state) expire(now time.Time) {
	s.onceMu.Lock()
	for k, o := range s.once {
		if !now.Before(o.ends) {
			delete(s.once, k)
		}
	}
	s.onceMu.Unlock()

	s.bucketMu.Lock()
	for k, v := range s.buckets {
		if now.After(v.full) {
			delete(s.buckets, k)
		}
	}
	s.bucketMu.Unlock()

	s.expireLeases(now)

	s.mu.RLock()
	names := make([]string, 0, len(s.topics))
	for name := range s.topics {
		names = append(names, name)
	}
	s.mu.RUnlock()
	forgotten := false
	for _, name := range names {
		t := s.find(name, false)
		if t == nil {
			continue
		}
		idle := len(t.nodes) == 0 && now.Sub(t.used) >= s.opts.Idle
		t.mu.Unlock()
		if idle {
			forgotten = s.forget(name, now, forgotten) || forgotten
		}
	}
}

// forget removes the topic unless somebody came in between. The generation counts up before the first of a sweep
// goes, under the lock that makes topics: no new topic can get the epoch of one that is gone.
func (s *state) forget(name string, now time.Time, counted bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[name]
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.nodes) > 0 || now.Sub(t.used) < s.opts.Idle {
		return false
	}
	if !counted {
		s.generation++
	}
	t.gone = true
	delete(s.topics, name)
	return true
}

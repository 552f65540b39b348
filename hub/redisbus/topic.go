package redisbus

import (
	"bytes"
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"omniservice/hub"
	"omniservice/internal/wait"
	"omniservice/omni"
)

const (
	maxHeld     = 4096 // entries of one topic that wait until a hole before them is filled
	workerItems = 8192 // messages that wait for one worker, at most
	workerBytes = 32 << 20
	maxTypes    = 256
	repairPage  = 1000
	repairAtOne = 64 // histories read at a time
	repairPause = 100 * time.Millisecond
)

// topic is one that this node follows, from Subscribe to Unsubscribe; after that another one takes its place.
type topic struct {
	name    string
	channel string
	part    int
	worker  *worker

	// Guarded by Bus.mu.
	wanted  bool
	state   state
	link    *link // nil while it has no place
	waiters []chan error
	ends    bool // nobody wants what comes: it is left, whoever wants the topic again
	heard   bool // was live once: what is missed since then has to be found
	based   bool // begin was called

	mu    sync.Mutex
	gone  bool
	known bool         // last is what was delivered
	begun bool         // last is where the topic stood when it was followed already
	last  hub.Position // nothing up to here is missing
	mends bool         // what comes is held until a hole is filled
	held  []hub.Entry
	spilt bool // more came than could be held
}

type state int

const (
	idle    state = iota
	joining       // SUBSCRIBE is on its way
	live
	leaving // UNSUBSCRIBE is on its way
)

// begin notes where the topic stands. What came before that was asked is not missing.
func (t *topic) begin(p hub.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.known && !t.begun {
		t.last, t.begun = p, true
	}
}

// take delivers what came, or holds it.
func (b *Bus) take(t *topic, e hub.Entry, epoch []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case e.Offset == 0:
	case string(epoch) == t.last.Epoch:
		e.Epoch = t.last.Epoch // the same letters again
	default:
		e.Epoch = string(epoch)
	}
	switch {
	case t.gone:
	case t.mends:
		t.hold(e)
	default:
		b.pass(t, e)
	}
}

// hold keeps e until a hole is filled. The caller holds t.mu.
func (t *topic) hold(e hub.Entry) {
	if len(t.held) >= maxHeld {
		t.spilt = true
		return
	}
	t.held = append(t.held, e)
}

// pass delivers e unless that was done, or something before it is missing. The caller holds t.mu.
func (b *Bus) pass(t *topic, e hub.Entry) {
	if e.Offset == 0 {
		b.deliver(t.name, e)
		return
	}
	if (t.known || t.begun) && e.Epoch == t.last.Epoch {
		switch {
		case t.known && e.Offset <= t.last.Offset:
			return
		case e.Offset > t.last.Offset+1:
			t.mends = true
			t.hold(e)
			b.repairs.add(t)
			return
		}
	}
	t.known, t.last = true, hub.Position{Epoch: e.Epoch, Offset: e.Offset}
	b.deliver(t.name, e)
}

// worker decodes and delivers the messages of its share of the topics.
type worker struct {
	bus  *Bus
	wake chan struct{}

	mu      sync.Mutex
	queue   []item
	bytes   int
	dropped atomic.Int64

	types map[string]string // those seen, so that they are not made anew each time; of run alone
}

type item struct {
	topic   *topic
	payload []byte
}

// push takes a message, and reports false if there is no room. It never waits.
func (w *worker) push(t *topic, payload []byte) bool {
	w.mu.Lock()
	if len(w.queue) >= workerItems || w.bytes > workerBytes {
		w.mu.Unlock()
		w.dropped.Add(1)
		return false
	}
	first := len(w.queue) == 0
	w.queue = append(w.queue, item{t, payload})
	w.bytes += len(payload)
	w.mu.Unlock()
	if first {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return true
}

func (w *worker) run() {
	var items []item
	for {
		select {
		case <-w.bus.listen.Done():
			return
		case <-w.wake:
		}
		w.mu.Lock()
		items, w.queue = w.queue, items[:0]
		w.bytes = 0
		w.mu.Unlock()
		for _, it := range items {
			if e, epoch, ok := w.decode(it.payload); ok {
				w.bus.take(it.topic, e, epoch)
			}
		}
		clear(items)
		if cap(items) > 1024 {
			items = nil
		}
	}
}

// decode reads "<offset> <epoch> <at> <type>[ <key>]\n<data>". Nobody else writes on our channels: what is not ours is no event.
func (w *worker) decode(p []byte) (e hub.Entry, epoch []byte, ok bool) {
	offset, p, ok := number(p)
	epoch, p, ok2 := word(p, ' ')
	at, p, ok3 := number(p)
	name, data, ok4 := word(p, '\n')
	if !ok || !ok2 || !ok3 || !ok4 {
		return hub.Entry{}, nil, false
	}
	name, _, _ = word(name, ' ')
	typ, seen := w.types[string(name)]
	if !seen {
		if len(w.types) >= maxTypes {
			clear(w.types)
		}
		typ = string(name)
		w.types[typ] = typ
	}
	return hub.Entry{Type: typ, Data: data, At: omni.Millis(at), Offset: offset}, epoch, true
}

func number(p []byte) (n int64, rest []byte, ok bool) {
	w, rest, ok := word(p, ' ')
	n, err := strconv.ParseInt(string(w), 10, 64)
	return n, rest, ok && err == nil
}

func word(p []byte, end byte) (w, rest []byte, ok bool) { return bytes.Cut(p, []byte{end}) }

// repairs are topics of which something may be missing.
type repairs struct {
	wake chan struct{}

	mu  sync.Mutex
	due map[*topic]struct{}
}

func (r *repairs) add(ts ...*topic) {
	r.mu.Lock()
	if r.due == nil {
		r.due = map[*topic]struct{}{}
	}
	for _, t := range ts {
		r.due[t] = struct{}{}
	}
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *repairs) take() []*topic {
	r.mu.Lock()
	defer r.mu.Unlock()
	ts := make([]*topic, 0, len(r.due))
	for t := range r.due {
		ts = append(ts, t)
	}
	r.due = nil
	return ts
}

// repairLoop finds out what was missed of topics, and delivers it.
func (b *Bus) repairLoop() {
	for {
		select {
		case <-b.listen.Done():
			return
		case <-b.repairs.wake:
		}
		if again := b.repair(b.repairs.take()); len(again) > 0 {
			if wait.For(b.listen, repairPause) != nil {
				return
			}
			b.repairs.add(again...)
		}
	}
}

// repair compares where the topics stand with what was delivered, and reads what is missing. It returns the topics of
// which that could not be found out.
func (b *Bus) repair(ts []*topic) (again []*topic) {
	names := make([]string, 0, len(ts))
	for _, t := range ts {
		names = append(names, t.name)
	}
	ctx, cancel := context.WithTimeout(b.listen, 4*b.o.Timeout)
	now, err := b.positions(ctx, names, "anew")
	cancel()
	if err != nil {
		return ts
	}
	type question struct {
		topic  *topic
		answer func(context.Context) ([]hub.Entry, hub.Position, bool, error)
	}
	asked := make([]question, 0, repairAtOne)
	flush := func() {
		for _, q := range asked {
			ctx, cancel := context.WithTimeout(b.listen, 4*b.o.Timeout)
			es, now, ok, err := q.answer(ctx)
			cancel()
			if err != nil {
				again = append(again, q.topic)
				continue
			}
			b.mend(q.topic, es, now, ok)
		}
		asked = asked[:0]
	}
	for _, t := range ts {
		t.mu.Lock()
		since, known := t.last, t.known || t.begun
		behind := known && since.Epoch == now[t.name].Epoch && since.Offset < now[t.name].Offset
		if behind {
			t.mends = true // what comes meanwhile comes after
		}
		t.mu.Unlock()
		if !behind {
			b.mend(t, nil, now[t.name], known && since == now[t.name])
			continue
		}
		if asked = append(asked, question{t, b.askHistory(b.listen, t.name, since, repairPage)}); len(asked) == repairAtOne {
			flush()
		}
	}
	flush()
	return again
}

// mend delivers what was missing, and then what was held. If ok is false some of it cannot be had: then the hub is
// told where the topic stands by an entry without a type.
func (b *Bus) mend(t *topic, missing []hub.Entry, now hub.Position, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.gone {
		return
	}
	held, spilt := t.held, t.spilt
	t.held, t.spilt, t.mends = nil, false, false
	if !ok && (!t.known || t.last.Epoch != now.Epoch || t.last.Offset < now.Offset) {
		t.known, t.last = true, now
		b.deliver(t.name, hub.Entry{At: omni.MillisOf(time.Now()), Offset: now.Offset, Epoch: now.Epoch})
	}
	for _, e := range missing {
		b.pass(t, e)
	}
	if len(missing) == repairPage || spilt { // there is more
		t.mends = true
		b.repairs.add(t)
	}
	for _, e := range held {
		if t.mends {
			t.hold(e)
		} else {
			b.pass(t, e)
		}
	}
}

package hub

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"omniservice/omni/wire"

	"omniservice/internal/wait"
)

const (
	busTimeout   = 10 * time.Second
	linger       = 2 * time.Second // a topic stays subscribed so long after its last connection: a reload costs nothing
	graceBehind  = time.Second     // an event that the bus has and we have not got after this is lost
	maxWaiting   = 4096            // events of one topic that wait for its history
	resyncPage   = 1000
	resyncTries  = 6
	resyncPause  = 100 * time.Millisecond // before the second try, doubled for each
	janitorEvery = time.Second
)

type shard struct {
	mu     sync.RWMutex
	topics map[string]*topic
}

type topicState int

const (
	topicStarting  topicState = iota // subscribing; where it stands is not known yet
	topicLive                        // pos is what all subs have been given
	topicResyncing                   // a delivery was lost; what came after it waits for History
	topicGone                        // left, or never reached: look it up again
)

// topic is what this node knows of a topic that it follows.
//
// Every sub is given the durable events after the offset that the topic had when it joined, without a hole: an event
// that is not the next one stops the topic until History has filled the hole, or sends its clients to resume.
type topic struct {
	name string

	mu      sync.Mutex
	state   topicState
	err     error         // why it is gone, if starting failed
	changed chan struct{} // closed when starting or leaving is over; nil else
	subs    []*sub
	pos     Position
	waiting []Entry // durable ones, while starting or resyncing
	empty   time.Time
	ahead   int64 // offset that the bus had at aheadAt and that had not come
	aheadAt time.Time
}

// sub is one connection's part in one topic.
type sub struct {
	conn    *Conn
	topic   *topic
	index   int    // in topic.subs; guarded by topic.mu
	offset  int64  // of the newest durable event that the client has or need not get; guarded by topic.mu
	visitor bool   // does not hear who looks at the conversation
	granted bool   // stands in the heartbeat; guarded by Conn.mu
	told    string // the epoch that connect told; guarded by Conn.mu
}

func (h *Hub) shard(name string) *shard {
	return &h.shards[maphash.String(h.seed, name)%shardCount]
}

func (h *Hub) topic(name string) *topic {
	s := h.shard(name)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.topics[name]
}

// deliver is called by the bus.
func (h *Hub) deliver(name string, e Entry) {
	if name == controlTopic {
		h.controlled(e)
		return
	}
	t := h.topic(name)
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case e.Offset == 0 && e.Type != "":
		h.fan(t, e)
	case t.state == topicLive:
		h.next(t, e)
	case len(t.waiting) < maxWaiting: // beyond, it is a hole like any other
		t.waiting = append(t.waiting, e)
	}
}

// next takes the durable event e of a live topic. The caller holds t.mu.
func (h *Hub) next(t *topic, e Entry) {
	switch {
	case e.Epoch != t.pos.Epoch:
		h.lost(t, Position{Epoch: e.Epoch, Offset: e.Offset})
	case e.Offset <= t.pos.Offset: // had it
	case t.hole(e):
		t.waiting = append(t.waiting, e)
		h.resync(t)
	default:
		t.pos.Offset++
		h.fan(t, e)
	}
}

// hole reports whether something before e is missing, or e itself, which then only says where the topic stands. The
// caller holds t.mu.
func (t *topic) hole(e Entry) bool {
	return e.Epoch == t.pos.Epoch && (e.Offset > t.pos.Offset+1 || e.Type == "" && e.Offset > t.pos.Offset)
}

// fan gives e to all of t's connections. The caller holds t.mu.
func (h *Hub) fan(t *topic, e Entry) {
	if len(t.subs) == 0 {
		return
	}
	m, err := encodeEvent(t.name, e)
	if err != nil {
		h.log.ErrorContext(h.base, "event is not JSON", "op", e.Type, "err", err)
		if e.Offset != 0 {
			h.sendBack(t)
		}
		return
	}
	for _, s := range t.subs {
		if e.Type == wire.ViewingEvent && s.visitor {
			continue
		}
		s.give(m, e.Offset)
	}
}

// give hands m to the connection. The caller holds topic.mu.
func (s *sub) give(m *message, offset int64) {
	switch {
	case offset == 0:
	case offset <= s.offset:
		return
	case offset > s.offset+1:
		s.conn.Close(CloseResync, "events were lost")
		return
	default:
		s.offset = offset
	}
	s.conn.enqueue(m)
}

// lost goes on from now after a hole that cannot be filled. The caller holds t.mu.
func (h *Hub) lost(t *topic, now Position) {
	h.n.resyncs.Add(1)
	t.pos, t.state = now, topicLive
	h.sendBack(t)
	for _, e := range t.waiting {
		if e.Epoch == t.pos.Epoch {
			t.pos.Offset = max(t.pos.Offset, e.Offset)
		}
	}
	t.waiting = nil
}

func (h *Hub) sendBack(t *topic) {
	for _, s := range t.subs {
		s.conn.Close(CloseResync, "events were lost")
	}
}

// resync fills a hole in the background. The caller holds t.mu.
func (h *Hub) resync(t *topic) {
	t.state = topicResyncing
	t.aheadAt = time.Time{}
	if !h.background(func() { h.fill(t) }) {
		h.lost(t, t.pos)
	}
}

// background runs f as one of the hub's own, unless the hub has ended.
func (h *Hub) background(f func()) bool {
	h.loopsMu.Lock()
	defer h.loopsMu.Unlock()
	if h.ended {
		return false
	}
	h.loops.Go(f)
	return true
}

func (h *Hub) fill(t *topic) {
	for try := 0; ; try++ {
		t.mu.Lock()
		since := t.pos
		t.mu.Unlock()
		ctx, cancel := context.WithTimeout(h.base, busTimeout)
		es, now, ok, err := h.bus.History(ctx, t.name, since, resyncPage)
		cancel()
		if err != nil && try < resyncTries && h.base.Err() == nil {
			h.log.WarnContext(h.base, "history not read", "err", err, "attempt", try+1)
			_ = wait.For(h.base, resyncPause<<try)
			continue
		}
		t.mu.Lock()
		if err != nil || !ok {
			if err != nil {
				now = t.pos // clients will be told where it stands when they come back
			}
			h.lost(t, now)
			t.mu.Unlock()
			return
		}
		for _, e := range es {
			if e.Offset == t.pos.Offset+1 {
				t.pos.Offset++
				h.fan(t, e)
			}
		}
		if t.pos.Offset >= now.Offset && h.goLive(t) {
			h.n.resyncs.Add(1)
			t.mu.Unlock()
			return
		}
		if t.pos == since { // History promises what it does not give
			h.lost(t, now)
			t.mu.Unlock()
			return
		}
		t.mu.Unlock()
		try = -1
	}
}

// goLive hands out what waited and makes t live, or reports false if there is another hole. The caller holds t.mu.
func (h *Hub) goLive(t *topic) bool {
	t.state = topicLive
	for i, e := range t.waiting {
		if t.hole(e) {
			t.waiting = slices.Clone(t.waiting[i:])
			t.state = topicResyncing
			return false
		}
		h.next(t, e) // never appends to waiting: e is no hole
		if t.waiting == nil {
			return true // the epoch changed
		}
	}
	t.waiting = nil
	return true
}

// attach makes c follow a topic from where it stands, which is the answer. from is what the client has already.
func (h *Hub) attach(ctx context.Context, c *Conn, name string, from Position, granted bool) (*sub, Position, error) {
	visitor := c.Principal().VisitorID != ""
	for {
		sh := h.shard(name)
		sh.mu.Lock()
		t := sh.topics[name]
		if t == nil {
			t = &topic{name: name, changed: make(chan struct{})}
			sh.topics[name] = t
			sh.mu.Unlock()
			h.startTopic(t) //nolint:contextcheck // others wait for it too, so it does not end with this one
		} else {
			sh.mu.Unlock()
		}

		t.mu.Lock()
		if changed := t.changed; changed != nil {
			t.mu.Unlock()
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return nil, Position{}, fmt.Errorf("follow %s: %w", name, ctx.Err())
			}
		}
		if t.state == topicGone {
			err := t.err
			t.mu.Unlock()
			if err != nil {
				return nil, Position{}, fmt.Errorf("follow %s: %w", name, err)
			}
			continue
		}
		s := &sub{conn: c, topic: t, index: len(t.subs), offset: t.pos.Offset, visitor: visitor, granted: granted}
		if from.Epoch == t.pos.Epoch {
			s.offset = max(s.offset, from.Offset)
		}
		t.subs = append(t.subs, s)
		pos := t.pos
		t.mu.Unlock()
		return s, pos, nil
	}
}

// startTopic subscribes to the bus, learns where the topic stands and makes it live, or gone.
func (h *Hub) startTopic(t *topic) {
	ctx, cancel := context.WithTimeout(h.base, busTimeout)
	defer cancel()
	var now map[string]Position
	err := h.bus.Subscribe(ctx, t.name)
	if err == nil {
		if now, err = h.bus.Positions(ctx, []string{t.name}); err != nil {
			h.leave(t.name)
		}
	}
	if err != nil {
		h.forget(t, err)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pos = now[t.name]
	if !h.goLive(t) {
		h.resync(t)
	}
	close(t.changed)
	t.changed = nil
	t.empty = time.Now()
	h.watchIdle(t) // whoever started it may give up before it follows
}

// forget removes a topic that is being started or left.
func (h *Hub) forget(t *topic, err error) {
	sh := h.shard(t.name)
	sh.mu.Lock()
	delete(sh.topics, t.name)
	sh.mu.Unlock()
	t.mu.Lock()
	t.state, t.err = topicGone, err
	close(t.changed)
	t.changed = nil
	t.mu.Unlock()
}

func (h *Hub) leave(name string) {
	ctx, cancel := context.WithTimeout(h.base, busTimeout)
	defer cancel()
	if err := h.bus.Unsubscribe(ctx, name); err != nil {
		h.log.WarnContext(h.base, "not unsubscribed", "err", err)
	}
}

// detach ends what attach began.
func (h *Hub) detach(s *sub) {
	t := s.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.index < 0 {
		return
	}
	last := len(t.subs) - 1
	t.subs[s.index] = t.subs[last]
	t.subs[s.index].index = s.index
	t.subs[last] = nil
	t.subs = t.subs[:last]
	s.index = -1
	if last == 0 {
		t.subs = nil
		t.empty = time.Now()
		h.watchIdle(t)
	}
}

func (h *Hub) watchIdle(t *topic) {
	h.idleMu.Lock()
	h.idle[t] = struct{}{}
	h.idleMu.Unlock()
}

// janitorLoop unsubscribes from topics that nobody follows any more.
func (h *Hub) janitorLoop() {
	tick := time.NewTicker(janitorEvery)
	defer tick.Stop()
	for {
		select {
		case <-h.base.Done():
			return
		case now := <-tick.C:
			h.leaveIdle(now)
		}
	}
}

func (h *Hub) leaveIdle(now time.Time) {
	h.idleMu.Lock()
	idle := make([]*topic, 0, len(h.idle))
	for t := range h.idle {
		idle = append(idle, t)
	}
	h.idleMu.Unlock()
	for _, t := range idle {
		t.mu.Lock()
		busy := len(t.subs) > 0 || t.state == topicGone
		leave := !busy && t.state == topicLive && t.changed == nil && now.Sub(t.empty) >= linger
		if leave {
			t.changed = make(chan struct{}) // who wants it now waits until it is gone, and subscribes anew
		}
		if busy || leave {
			h.idleMu.Lock()
			delete(h.idle, t)
			h.idleMu.Unlock()
		}
		t.mu.Unlock()
		if leave {
			h.leave(t.name)
			h.forget(t, nil)
		}
	}
}

// behind compares where the bus says that a topic stands with what has come, and reports whether something has not.
// What has not come for graceBehind is fetched.
func (h *Hub) behind(name string, p Position, now time.Time) bool {
	t := h.topic(name)
	if t == nil {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.state != topicLive:
		return t.state == topicResyncing
	case p.Epoch != t.pos.Epoch:
		h.lost(t, p)
		return false
	case p.Offset <= t.pos.Offset:
		t.aheadAt = time.Time{}
		return false
	case t.aheadAt.IsZero() || t.pos.Offset >= t.ahead:
		t.ahead, t.aheadAt = p.Offset, now
	case now.Sub(t.aheadAt) >= graceBehind:
		h.resync(t)
	}
	return true
}

package hub

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"omniservice/omni"
)

const (
	leaseTick  = time.Second     // between looks at all leases of this node
	leaseSlack = 5 * time.Second // over a heartbeat: a client that was not heard from for longer is not there
	leaseAnew  = 2 * time.Second // in which all are renewed when the bus is back, which may have forgotten them
)

// leases is the part that this node's connections have in who is where. One goroutine alone tells the bus of it, turn by
// turn, so that what is told last is so; all that has changed and all that is due go together.
type leases struct {
	wake chan struct{}

	mu      sync.Mutex // taken after no other lock, and none is taken under it
	groups  map[string]*leaseGroup
	dirty   map[*hold]struct{} // changed since the last turn
	waiting []chan error       // who waits for the next turn's end
	away    bool               // the last turn failed
}

// leaseGroup is a topic with members. While connections watch, this node looks whether leases of dead ones have ended.
type leaseGroup struct {
	topic    string
	watchers int
	look     time.Time // when to look next
	holds    map[holdKey]*hold
}

type holdKey struct{ member, holder string }

// hold is a lease that this node renews as long as one of its connections is heard from.
type hold struct {
	holdKey

	group *leaseGroup
	name  string             // of the user
	state omni.PresenceState // empty unless it is about presence
	set   bool               // state replaces what the bus has

	conns []*Conn
	left  time.Time // since when there has been none
	brief bool      // was left on purpose: it does not linger
	held  bool      // the bus may have it, until ends
	ends  time.Time
	next  time.Time // when it is to be renewed
}

// place is a connection's part in a group: it watches, and is one of hold's connections if that is not nil.
type place struct {
	group *leaseGroup
	hold  *hold
}

func (l *leases) group(topic string) *leaseGroup {
	g := l.groups[topic]
	if g == nil {
		g = &leaseGroup{topic: topic, holds: map[holdKey]*hold{}}
		l.groups[topic] = g
	}
	return g
}

// watch gives c a place in the topic's group. The caller holds mu.
func (l *leases) watch(c *Conn, topic string) *place {
	for i := range c.places {
		if c.places[i].group.topic == topic {
			return &c.places[i]
		}
	}
	g := l.group(topic)
	g.watchers++
	c.places = append(c.places, place{group: g})
	return &c.places[len(c.places)-1]
}

// enter makes c's user a member where c has a place. The caller holds mu.
func (l *leases) enter(c *Conn, p *place, fresh hold) {
	if p.hold != nil {
		return
	}
	h := p.group.holds[fresh.holdKey]
	if h == nil {
		fresh.group = p.group
		h = &fresh
		p.group.holds[h.holdKey] = h
	}
	h.conns, h.brief = append(h.conns, c), false
	p.hold = h
	l.touch(h)
}

// exit ends what enter began. The caller holds mu.
func (l *leases) exit(c *Conn, p *place, brief bool) {
	h := p.hold
	if h == nil {
		return
	}
	p.hold = nil
	h.conns = slices.DeleteFunc(h.conns, func(other *Conn) bool { return other == c })
	if len(h.conns) == 0 {
		now := time.Now()
		h.conns, h.left, h.brief = nil, now, brief || !c.heardLately(now) // who has fallen silent was gone before
		if h.brief {
			l.touch(h)
		}
	}
}

// leave ends c's place in a topic's group, or all its places if topic is empty, for good.
func (l *leases) leave(c *Conn, topic string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.noPlace = c.noPlace || topic == ""
	c.places = slices.DeleteFunc(c.places, func(p place) bool {
		if topic != "" && p.group.topic != topic {
			return false
		}
		l.exit(c, &p, topic != "")
		p.group.watchers--
		return true
	})
}

// touch has h looked at in the next turn, which is now. The caller holds mu.
func (l *leases) touch(h *hold) {
	l.dirty[h] = struct{}{}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// turn returns a channel that gets the result of the turn that does what was changed until now. The caller holds mu.
func (l *leases) turn() <-chan error {
	done := make(chan error, 1)
	l.waiting = append(l.waiting, done)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return done
}

func awaitTurn(ctx context.Context, done <-chan error) error {
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// heardLately reports whether the client said something after the last heartbeat but one, if only a pong.
func (c *Conn) heardLately(now time.Time) bool {
	return now.UnixNano()-c.sock.seen.Load() < int64(c.hub.opts.Heartbeat+leaseSlack)
}

// there reports whether one of the clients was heard from lately, or the last has only just gone.
func (h *hold) there(now time.Time, o *Options) bool {
	for _, c := range h.conns {
		if c.heardLately(now) {
			return true
		}
	}
	return len(h.conns) == 0 && !h.brief && now.Sub(h.left) < o.Linger
}

func (h *Hub) leaseLoop() {
	tick := time.NewTicker(leaseTick)
	defer tick.Stop()
	for {
		all := false
		select {
		case <-h.base.Done(): // what is held ends by itself: who comes back at another node was never away
			h.leases.mu.Lock()
			waiting := h.leases.waiting
			h.leases.mu.Unlock()
			for _, w := range waiting {
				w <- omni.Problemf(omni.ErrUnavailable, "the server is not open")
			}
			return
		case <-h.leases.wake:
		case <-tick.C:
			all = true
		}
		h.leaseTurn(all)
	}
}

// leaseWork is what one turn asks of the bus.
type leaseWork struct {
	groups  []LeaseGroup
	sets    [][]*hold // in the order of groups
	drops   []LeaseChange
	dropped []*hold
}

// leaseTurn tells the bus what has changed, and if all is set what is due as well. Who comes is told before who goes, so
// that a client that comes back on another connection was never away.
func (h *Hub) leaseTurn(all bool) {
	l := &h.leases
	now := time.Now()
	l.mu.Lock()
	waiting := l.waiting
	l.waiting = nil
	work := h.leaseWork(now, all)
	l.mu.Unlock()

	err := h.doLeases(now, work)
	for _, w := range waiting {
		w <- err
	}
}

// leaseWork collects what is to be done. The caller holds leases.mu.
func (h *Hub) leaseWork(now time.Time, all bool) *leaseWork {
	l := &h.leases
	w := &leaseWork{}
	index := map[*leaseGroup]int{}
	at := func(g *leaseGroup) int {
		i, ok := index[g]
		if !ok {
			i = len(w.groups)
			index[g] = i
			w.groups, w.sets = append(w.groups, LeaseGroup{Group: g.topic}), append(w.sets, nil)
		}
		return i
	}
	look := func(m *hold) {
		there := m.there(now, &h.opts)
		switch {
		case there && (!m.held || m.set || !now.Before(m.next)):
			i := at(m.group)
			w.groups[i].Set = append(w.groups[i].Set, h.comes(m, now))
			w.sets[i] = append(w.sets[i], m)
		case !there && m.held && now.Before(m.ends):
			w.drops = append(w.drops, goes(m.group.topic, m.member, m.holder, m.name))
			w.dropped = append(w.dropped, m)
		case !there:
			m.held = false
			if len(m.conns) == 0 {
				delete(m.group.holds, m.holdKey)
			}
		}
	}
	if !all {
		for m := range l.dirty {
			look(m)
		}
		clear(l.dirty)
		return w
	}
	clear(l.dirty)
	for topic, g := range l.groups {
		for _, m := range g.holds {
			look(m)
		}
		switch {
		case g.watchers > 0 && !now.Before(g.look):
			at(g)
			g.look = now.Add(h.renewIn())
		case g.watchers == 0 && len(g.holds) == 0:
			delete(l.groups, topic)
		}
	}
	return w
}

// renewIn is when a lease is to be renewed: two fifths of its time, a little less at random, so that the load spreads.
func (h *Hub) renewIn() time.Duration {
	d := h.opts.Lease * 2 / 5
	return d - rand.N(d/5) //nolint:gosec // spreads load, hides nothing
}

// doLeases does the work and notes what came of it.
func (h *Hub) doLeases(now time.Time, w *leaseWork) error {
	if len(w.groups) == 0 && len(w.drops) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(h.base, busTimeout)
	defer cancel()
	var states []LeaseState
	var err error
	if len(w.groups) > 0 {
		states, err = h.bus.SetLeases(ctx, w.groups, h.opts.Lease)
	}
	h.leasesSet(now, w, states, err)
	drops := w.drops
	for i := range states {
		for _, e := range states[i].Ended { // of a node that is no more
			_, name := readMember(e.Group, e.Value)
			drops = append(drops, goes(e.Group, e.Member, "", name))
		}
	}
	if len(drops) > 0 {
		dropErr := h.bus.DropLeases(ctx, drops)
		if dropErr == nil {
			h.leasesDropped(w.dropped)
		}
		err = errors.Join(err, dropErr)
	}
	return err
}

// leasesSet notes what became of the leases that were to be set.
func (h *Hub) leasesSet(now time.Time, w *leaseWork, states []LeaseState, err error) {
	l := &h.leases
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, holds := range w.sets {
		for j, m := range holds {
			m.held, m.ends = true, time.Now().Add(h.opts.Lease) // even after an error: the bus may have it
			if err != nil {
				m.next = now // with the next tick
				continue
			}
			m.next = now.Add(h.renewIn())
			asked, _ := readMember(w.groups[i].Group, w.groups[i].Set[j].Value)
			if m.set && m.state == asked && !w.groups[i].Set[j].Keep {
				m.set = false
			}
			if !m.set {
				m.state, _ = readMember(w.groups[i].Group, states[i].Values[j])
			}
		}
	}
	if len(w.groups) == 0 {
		return
	}
	if err == nil && l.away { // it may have lost all: renew soon, but not all at once
		for _, g := range l.groups {
			for _, m := range g.holds {
				m.next = now.Add(rand.N(leaseAnew)) //nolint:gosec // spreads load, hides nothing
			}
		}
	}
	if err != nil && !l.away {
		h.log.WarnContext(h.base, "leases not renewed", "err", err)
	}
	l.away = err != nil
}

func (h *Hub) leasesDropped(holds []*hold) {
	h.leases.mu.Lock()
	defer h.leases.mu.Unlock()
	for _, m := range holds {
		m.held = false
		if len(m.conns) == 0 {
			delete(m.group.holds, m.holdKey)
		}
	}
}

// readMember reads a member's value.
func readMember(group, value string) (state omni.PresenceState, name string) {
	if !strings.HasPrefix(group, omni.OrgTopic("")) {
		return "", value
	}
	s, name, _ := strings.Cut(value, " ")
	return omni.PresenceState(s), name
}

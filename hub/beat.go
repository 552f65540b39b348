package hub

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"omniservice/internal/wait"
	"omniservice/omni"
	"omniservice/omni/wire"
)

// beatGather is how long heartbeats that are due wait for others, to share one question to the bus (docs/performance.md).
const beatGather = 50 * time.Millisecond

// beats collects the connections whose heartbeat is due, so that many share one question to the bus.
type beats struct {
	wake chan struct{}

	mu   sync.Mutex
	due  []*Conn
	late []*Conn // have been put off once, because an event was still under way
	when time.Time
}

func (b *beats) add(c *Conn) {
	b.mu.Lock()
	b.due = append(b.due, c)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *beats) putOff(cs []*Conn, until time.Time) {
	b.mu.Lock()
	b.late, b.when = append(b.late, cs...), until
	b.mu.Unlock()
}

func (b *beats) take() (due, late []*Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	due, b.due = b.due, nil
	if len(b.late) > 0 && !time.Now().Before(b.when) {
		late, b.late = b.late, nil
	}
	return due, late
}

func (h *Hub) beatLoop() {
	tick := time.NewTicker(graceBehind)
	defer tick.Stop()
	for {
		select {
		case <-h.base.Done():
			return
		case <-h.beats.wake:
			_ = wait.For(h.base, min(beatGather, h.opts.Heartbeat/200))
		case <-tick.C:
		}
		due, late := h.beats.take()
		if len(due)+len(late) > 0 {
			h.beat(due, late)
		}
	}
}

// beat asks the bus where all topics of these connections stand, and tells each its own.
//
// The bus may know of an event that is still on its way here. A client that heard of it would think that it missed
// it, so its heartbeat waits graceBehind, once; if the event has not come by then it is fetched.
func (h *Hub) beat(due, late []*Conn) {
	names := map[string]struct{}{}
	mine := make([][]heard, 0, len(due)+len(late))
	for _, cs := range [][]*Conn{due, late} {
		for _, c := range cs {
			hs := c.heard()
			mine = append(mine, hs)
			for _, s := range hs {
				names[s.topic] = struct{}{}
			}
		}
	}
	all := make([]string, 0, len(names))
	for name := range names {
		all = append(all, name)
	}
	ctx, cancel := context.WithTimeout(h.base, busTimeout)
	defer cancel()
	known, err := h.bus.Positions(ctx, all)
	if err != nil { // say nothing of offsets rather than something false; the beat itself shows that we live
		h.log.WarnContext(h.base, "positions not read", "err", err)
		known = nil
	}
	now := time.Now()
	behind := map[string]bool{}
	for name, p := range known {
		if h.behind(name, p, now) {
			behind[name] = true
		}
	}
	var put []*Conn
	for i, c := range due {
		wait := false
		for _, s := range mine[i] {
			wait = wait || behind[s.topic]
		}
		if wait {
			put = append(put, c)
			continue
		}
		c.beat(heartbeat(mine[i], known, now))
	}
	for i, c := range late {
		c.beat(heartbeat(mine[len(due)+i], known, now))
	}
	if len(put) > 0 {
		h.beats.putOff(put, now.Add(graceBehind))
	}
}

// heard is a granted topic of a connection, and the epoch that the client was told.
type heard struct{ topic, epoch string }

// heartbeat makes the message with wire.HeartbeatData, by hand, because each idle connection gets one every Options.Heartbeat.
func heartbeat(topics []heard, known map[string]Position, now time.Time) *message {
	b := append(make([]byte, 0, 64*(1+len(topics))), `{"offsets":{`...)
	b = appendEach(b, topics, known, func(heard, Position) bool { return true }, func(b []byte, p Position) []byte {
		return strconv.AppendInt(b, p.Offset, 10)
	})
	b = append(b, '}')
	other := func(t heard, p Position) bool { return p.Epoch != t.epoch }
	if slices.ContainsFunc(topics, func(t heard) bool { p, ok := known[t.topic]; return ok && other(t, p) }) {
		b = append(b, `,"epochs":{`...)
		b = appendEach(b, topics, known, other, func(b []byte, p Position) []byte { return appendString(b, p.Epoch) })
		b = append(b, '}')
	}
	m, _ := encodeEvent("", Entry{Type: wire.Heartbeat, At: omni.MillisOf(now), Data: append(b, '}')}) // fails for no such data
	return m
}

// appendEach appends the members of a JSON object: for each topic whose position is known, and that counts, its value.
func appendEach(b []byte, topics []heard, known map[string]Position, counts func(heard, Position) bool, value func([]byte, Position) []byte) []byte {
	begun := len(b)
	for _, t := range topics {
		p, ok := known[t.topic]
		if !ok || !counts(t, p) {
			continue
		}
		if len(b) > begun {
			b = append(b, ',')
		}
		b = appendString(b, t.topic)
		b = append(b, ':')
		b = value(b, p)
	}
	return b
}

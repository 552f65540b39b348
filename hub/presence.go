package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"omniservice/omni"
	"omniservice/omni/wire"
)

// begin makes the connection's user present, and has this node look for those who are no longer.
func (l *leases) begin(c *Conn, p Principal) {
	org := omni.OrgTopic(p.OrgID)
	if p.VisitorID != "" || !slices.Contains(p.Topics, org) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.noPlace {
		return
	}
	place := l.watch(c, org)
	if p.UserID != "" && p.Name != "" {
		l.enter(c, place, hold{holdKey: holdKey{p.UserID, c.hub.node}, name: p.Name, state: omni.PresenceOnline})
	}
}

func checkState(state omni.PresenceState) error {
	if !state.Valid() || state == omni.PresenceOffline {
		p := omni.Problemf(omni.ErrInvalid, "The state is not valid.")
		p.Fields = map[string]string{"state": "must be online, away or busy"}
		return p
	}
	return nil
}

// SetPresence makes state that of a user, whichever node they are connected to. omni.ErrConflict: they are not there.
func (h *Hub) SetPresence(ctx context.Context, orgID, userID string, state omni.PresenceState) error {
	if err := checkState(state); err != nil {
		return err
	}
	org := omni.OrgTopic(orgID)
	ls, err := h.bus.Leases(ctx, org)
	if err != nil {
		return fmt.Errorf("set presence: %w", err)
	}
	i := slices.IndexFunc(ls, func(l Lease) bool { return l.Member == userID })
	if i < 0 {
		return omni.Problemf(omni.ErrConflict, "You are offline: connect first.")
	}
	_, name := readMember(org, ls[i].Value)
	c := h.comes(&hold{holdKey: holdKey{userID, "set"}, name: name, state: state, set: true, group: &leaseGroup{topic: org}}, time.Now())
	if _, err := h.bus.SetLeases(ctx, []LeaseGroup{{Group: org, Set: []LeaseChange{c}}}, h.opts.Linger); err != nil {
		return fmt.Errorf("set presence: %w", err)
	}
	return nil
}

// SetPresence makes state that of the connection's user, for all to see, until the user has had no connection for a
// while. omni.ErrForbidden: the connection is nobody's who is present; omni.ErrUnavailable: the bus has not answered, and
// the event presence tells what it did.
func (c *Conn) SetPresence(ctx context.Context, state omni.PresenceState) error {
	if err := checkState(state); err != nil {
		return err
	}
	l := &c.hub.leases
	org := omni.OrgTopic(c.Principal().OrgID)
	l.mu.Lock()
	i := slices.IndexFunc(c.places, func(p place) bool { return p.group.topic == org && p.hold != nil })
	if i < 0 {
		l.mu.Unlock()
		return omni.Problemf(omni.ErrForbidden, "Only a user can be online, away or busy.")
	}
	h := c.places[i].hold
	before := h.state
	h.state, h.set = state, true
	l.touch(h)
	done := l.turn()
	l.mu.Unlock()
	err := awaitTurn(ctx, done)
	if err == nil {
		return nil
	}
	l.mu.Lock()
	if h.set && h.state == state {
		h.state, h.set = before, false
	}
	l.mu.Unlock()
	return fmt.Errorf("set presence: %w", err)
}

// Present lists who of the organisation is there, in no order.
func (h *Hub) Present(ctx context.Context, orgID string) ([]wire.Presence, error) {
	ls, err := h.bus.Leases(ctx, omni.OrgTopic(orgID))
	if err != nil {
		return nil, fmt.Errorf("who is present: %w", err)
	}
	ps := make([]wire.Presence, len(ls))
	for i, l := range ls {
		state, name := readMember(l.Group, l.Value)
		ps[i] = wire.Presence{Who: user(l.Member, name), State: state, Until: l.Ends}
	}
	return ps, nil
}

// View says that the connection's user looks at an interaction whose topic the connection has joined, or no longer does.
// Others who have joined it hear of it; so they do when the connection ends or leaves the topic. omni.ErrConflict: the
// connection has not joined it. Any other error means that they will hear of it later. The connection of a program or a
// visitor looks at nothing.
func (c *Conn) View(ctx context.Context, topic string, on bool) error {
	p := c.Principal()
	if p.VisitorID != "" || !strings.HasPrefix(topic, omni.InteractionTopic("")) {
		return nil
	}
	if !c.follows(topic) {
		return omni.Problemf(omni.ErrConflict, "Open the conversation first.")
	}
	l := &c.hub.leases
	l.mu.Lock()
	if c.noPlace {
		l.mu.Unlock()
		return nil
	}
	place := l.watch(c, topic)
	was := place.hold != nil
	switch {
	case p.UserID == "" || p.Name == "" || was == on:
		l.mu.Unlock()
		return nil
	case on:
		l.enter(c, place, hold{holdKey: holdKey{p.UserID, c.id}, name: p.Name})
	default:
		l.exit(c, place, true)
	}
	done := l.turn()
	l.mu.Unlock()
	if err := awaitTurn(ctx, done); err != nil {
		return fmt.Errorf("view %s: %w", topic, err)
	}
	return nil
}

// Around lists which users look at an interaction, and who types in it, in no order.
func (h *Hub) Around(ctx context.Context, interactionID string) ([]wire.Viewing, []wire.Typing, error) {
	ls, err := h.bus.Leases(ctx, omni.InteractionTopic(interactionID))
	if err != nil {
		return nil, nil, fmt.Errorf("who is around interaction %s: %w", interactionID, err)
	}
	var vs []wire.Viewing
	var ts []wire.Typing
	for _, l := range ls {
		if !strings.HasPrefix(l.Member, typist) {
			vs = append(vs, wire.Viewing{InteractionID: interactionID, Who: user(l.Member, l.Value), Until: l.Ends})
			continue
		}
		var t wire.Typing
		if err := json.Unmarshal([]byte(l.Value), &t); err != nil {
			return nil, nil, fmt.Errorf("who types in interaction %s: %w", interactionID, err)
		}
		ts = append(ts, t)
	}
	return vs, ts, nil
}

// typist begins the members of an interaction's group who type. Their leases are renewed by the next word of it alone.
// That one has ended is not told: whoever was told that it began knows until when.
const typist = "typing:"

// longestTyping bounds what a clock that is wrong can do.
const longestTyping = 15 * time.Second

// announceTyping tells e, and keeps it for who comes before it ends. That somebody stopped who did not type is not told.
func (h *Hub) announceTyping(ctx context.Context, topic string, t wire.Typing, e Entry) error {
	c := LeaseChange{Group: topic, Member: typist + t.Who.ID, Holder: "typing", Value: string(e.Data), Tell: e}
	if t.Until == 0 {
		return h.bus.DropLeases(ctx, []LeaseChange{c})
	}
	ttl := min(max(time.Until(t.Until.Time()), time.Millisecond), longestTyping)
	_, err := h.bus.SetLeases(ctx, []LeaseGroup{{Group: topic, Set: []LeaseChange{c}}}, ttl)
	return err
}

func user(id, name string) wire.Person {
	return wire.Person{Type: omni.SenderUser, ID: id, Name: name}
}

// comes is the lease of m, and what is told when it begins or its state becomes another.
func (h *Hub) comes(m *hold, now time.Time) LeaseChange {
	c := LeaseChange{Member: m.member, Holder: m.holder, Value: m.name, Keep: !m.set}
	if m.state != "" {
		c.Value = string(m.state) + " " + m.name
	}
	c.Tell = told(m.group.topic, m.member, m.name, m.state, omni.MillisOf(now.Add(h.opts.Lease)))
	return c
}

// goes ends a lease.
func goes(topic, member, holder, name string) LeaseChange {
	if strings.HasPrefix(member, typist) {
		return LeaseChange{Group: topic, Member: member, Holder: holder}
	}
	return LeaseChange{Group: topic, Member: member, Holder: holder, Tell: told(topic, member, name, omni.PresenceOffline, 0)}
}

func told(topic, member, name string, state omni.PresenceState, until omni.Millis) Entry {
	typ, data := wire.PresenceEvent, any(wire.Presence{Who: user(member, name), State: state, Until: until})
	if id, ok := strings.CutPrefix(topic, omni.InteractionTopic("")); ok {
		typ, data = wire.ViewingEvent, wire.Viewing{InteractionID: id, Who: user(member, name), Until: until}
	}
	e, _ := newEntry(typ, data) // strings and numbers
	return e
}

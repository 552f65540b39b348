package membus

import (
	"context"
	"fmt"
	"strings"
	"time"

	"omniservice/hub"
	"omniservice/omni"
)

const (
	endedAtOnce = 100         // of a group, in one answer
	keepEnded   = time.Minute // an ended lease that nobody drops is forgotten after this
)

// lease is a member of a group.
type lease struct {
	value   string
	holders map[string]time.Time // when each one's lease ends
}

func (l *lease) ends() time.Time {
	var last time.Time
	for _, end := range l.holders {
		if end.After(last) {
			last = end
		}
	}
	return last
}

// words checks a change. A member is always named, a holder where it must be.
func words(c hub.LeaseChange, holder bool) error {
	if c.Member == "" || strings.ContainsAny(c.Member+c.Holder, " \n") || holder && c.Holder == "" || strings.ContainsAny(c.Tell.Type, " \n") {
		return fmt.Errorf("a lease of member %q and holder %q: %w", c.Member, c.Holder, omni.ErrInvalid)
	}
	return nil
}

// SetLeases implements hub.Bus.
func (b *Bus) SetLeases(ctx context.Context, groups []hub.LeaseGroup, ttl time.Duration) ([]hub.LeaseState, error) {
	if err := b.check(ctx); err != nil {
		return nil, fmt.Errorf("set leases: %w", err)
	}
	for _, g := range groups {
		for _, c := range g.Set {
			if err := words(c, true); err != nil {
				return nil, fmt.Errorf("set leases: %w", err)
			}
		}
	}
	s := b.state
	s.leaseMu.Lock()
	defer s.leaseMu.Unlock()
	now := time.Now()
	states := make([]hub.LeaseState, len(groups))
	for i, g := range groups {
		for _, c := range g.Set {
			states[i].Values = append(states[i].Values, b.setLease(g.Group, c, now, now.Add(ttl)))
		}
		for member, l := range s.leases[g.Group] {
			if end := l.ends(); !end.After(now) && len(states[i].Ended) < endedAtOnce {
				states[i].Ended = append(states[i].Ended, hub.Lease{Group: g.Group, Member: member, Value: l.value, Ends: omni.MillisOf(end)})
			}
		}
	}
	return states, nil
}

// setLease returns the member's value. The caller holds leaseMu.
func (b *Bus) setLease(group string, c hub.LeaseChange, now, end time.Time) string {
	members := b.state.leases[group]
	if members == nil {
		members = map[string]*lease{}
		b.state.leases[group] = members
	}
	l := members[c.Member]
	changed := l == nil
	switch {
	case l == nil:
		l = &lease{value: c.Value, holders: map[string]time.Time{}}
		members[c.Member] = l
	case !c.Keep && l.value != c.Value:
		l.value, changed = c.Value, true
	}
	l.prune(now)
	l.holders[c.Holder] = end
	if changed && c.Tell.Type != "" && len(members) <= hub.MostTold {
		b.announce(group, c.Tell)
	}
	return l.value
}

// prune forgets the holders whose leases have ended.
func (l *lease) prune(now time.Time) {
	for holder, end := range l.holders {
		if !end.After(now) {
			delete(l.holders, holder)
		}
	}
}

// DropLeases implements hub.Bus.
func (b *Bus) DropLeases(ctx context.Context, drops []hub.LeaseChange) error {
	if err := b.check(ctx); err != nil {
		return fmt.Errorf("drop leases: %w", err)
	}
	for _, c := range drops {
		if err := words(c, false); err != nil {
			return fmt.Errorf("drop leases: %w", err)
		}
	}
	s := b.state
	s.leaseMu.Lock()
	defer s.leaseMu.Unlock()
	now := time.Now()
	for _, c := range drops {
		l := s.leases[c.Group][c.Member]
		if l == nil {
			continue
		}
		delete(l.holders, c.Holder)
		l.prune(now)
		if len(l.holders) > 0 {
			continue
		}
		told := c.Tell.Type != "" && len(s.leases[c.Group]) <= hub.MostTold
		s.removeLease(c.Group, c.Member)
		if told {
			b.announce(c.Group, c.Tell)
		}
	}
	return nil
}

// removeLease needs leaseMu.
func (s *state) removeLease(group, member string) {
	delete(s.leases[group], member)
	if len(s.leases[group]) == 0 {
		delete(s.leases, group)
	}
}

// Leases implements hub.Bus.
func (b *Bus) Leases(ctx context.Context, group string) ([]hub.Lease, error) {
	if err := b.check(ctx); err != nil {
		return nil, fmt.Errorf("list leases of %s: %w", group, err)
	}
	s := b.state
	s.leaseMu.Lock()
	defer s.leaseMu.Unlock()
	now := time.Now()
	var ls []hub.Lease
	for member, l := range s.leases[group] {
		if end := l.ends(); end.After(now) {
			ls = append(ls, hub.Lease{Group: group, Member: member, Value: l.value, Ends: omni.MillisOf(end)})
		}
	}
	return ls, nil
}

func (s *state) expireLeases(now time.Time) {
	s.leaseMu.Lock()
	defer s.leaseMu.Unlock()
	for group, members := range s.leases {
		for member, l := range members {
			if now.Sub(l.ends()) >= keepEnded {
				s.removeLease(group, member)
			}
		}
	}
}

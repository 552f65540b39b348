package server

import (
	"context"
	"sync"
	"time"

	"omniservice/hub"
	"omniservice/omni"
)

// availability remembers for a moment whether somebody is there for a channel's visitors, since anyone may ask.
type availability struct {
	mu        sync.Mutex
	byChannel map[string]knownAvailability
}

type knownAvailability struct {
	till   time.Time
	online bool
	err    error
}

const (
	keepAvailability = 3 * time.Second
	askAvailability  = time.Second
)

// Available reports whether somebody of the team is there for a visitor: for hub.Options.Available.
func (s *Server) Available(ctx context.Context, h hub.Principal) (bool, error) {
	v := visitorOf(h)
	return s.staffed(ctx, v.OrganisationID, v.DigitalChannelID)
}

// online is the same for answers. What is not known is taken for no.
func (s *Server) online(ctx context.Context, c omni.DigitalChannel) bool {
	yes, err := s.staffed(ctx, c.Tenant.OrganisationID, c.ID)
	if err != nil {
		s.log.WarnContext(ctx, "who is there is not known", "channel_id", c.ID, "err", err)
	}
	return yes
}

func (s *Server) staffed(ctx context.Context, orgID, channelID string) (bool, error) {
	now := s.now()
	a := &s.availability
	a.mu.Lock()
	k, ok := a.byChannel[channelID]
	a.mu.Unlock()
	if ok && now.Before(k.till) {
		return k.online, k.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), askAvailability) // others get the answer, too
	defer cancel()
	k = knownAvailability{till: now.Add(keepAvailability)}
	k.online, k.err = s.askStaffed(ctx, orgID, channelID)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.byChannel) >= maxWidgets {
		clear(a.byChannel)
	}
	a.byChannel[channelID] = k
	return k.online, k.err
}

// askStaffed looks for somebody who is online or busy: who is away is not there for visitors.
func (s *Server) askStaffed(ctx context.Context, orgID, channelID string) (bool, error) {
	all, err := s.d.Hub.Present(ctx, orgID)
	if err != nil {
		return false, err
	}
	there := make([]string, 0, len(all))
	for _, p := range all {
		if p.State == omni.PresenceOnline || p.State == omni.PresenceBusy {
			there = append(there, p.Who.ID)
		}
	}
	if len(there) == 0 {
		return false, nil
	}
	return s.d.Pipeline.Staffed(ctx, omni.Org(orgID), channelID, there)
}

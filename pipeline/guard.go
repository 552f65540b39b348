package pipeline

import (
	"context"
	"fmt"
	"time"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

// warnedFor is how long it is remembered that somebody was told of what they had not seen.
const warnedFor = 24 * time.Hour

// unseen refuses, once, a message whose sender had not seen what somebody else has written meanwhile: c.SeenOffset is
// behind it. The same ClientID again is taken. One that is stored already is no news to anybody.
//
// The caller holds the conversation's lock, so that of two agents of one node who write at once the second is told.
func (p *Pipeline) unseen(ctx context.Context, a Actor, it omni.Interaction, c wire.SendMessage) error {
	if c.SeenOffset == 0 {
		return nil
	}
	ms, err := p.store.ListMessages(ctx, a.Tenant, it.ID, store.MessageWindow{After: c.SeenOffset, Limit: store.MaxPage})
	if err != nil {
		return fmt.Errorf("messages of interaction %s: %w", it.ID, err)
	}
	var theirs *omni.ServiceMessage
	for i, m := range ms {
		if m.Direction == omni.Outbound && m.ClientID == c.ClientID {
			return nil
		}
		if m.Direction == omni.Inbound || m.Tenant.UserID != a.Tenant.UserID {
			theirs = &ms[i]
		}
	}
	if theirs == nil {
		return nil
	}
	now := p.millis()
	_, first, err := p.store.ReserveKey(ctx, a.Tenant, store.IdempotencyRecord{
		Key: "unseen/" + a.Tenant.UserID + "/" + c.ClientID, ExpiresAt: now.Add(warnedFor),
	}, now)
	if err != nil {
		return fmt.Errorf("remember a warning: %w", err)
	}
	if !first {
		return nil
	}
	who := wire.Person{Type: omni.SenderContact, ID: theirs.ContactID, Name: it.ContactName}
	name := it.ContactName
	if name == "" {
		name = "the contact"
	}
	if theirs.Direction == omni.Outbound {
		who, name = wire.Person{Type: omni.SenderUser, ID: theirs.Tenant.UserID}, "somebody else"
		if u, err := p.user(ctx, a.Tenant, theirs.Tenant.UserID); err == nil {
			who.Name, name = u.Name, u.Name
		}
	}
	pr := omni.Problemf(omni.ErrConflict, "%s wrote in the meantime; send it again to send it anyway", name)
	pr.Details = map[string]any{"by": who, "message": wire.NewMessage(*theirs)}
	return pr
}

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

const (
	// reactionWait is how long a reaction, an edit or a deletion waits for its message: the carrier may tell of it before the message is stored, or
	// before a send has brought the carrier's id back. After that it is set aside.
	reactionWait = time.Minute
	// reactionAgain is how soon its message is looked for again at first; then after as long as it has waited.
	reactionAgain = 250 * time.Millisecond
)

// reaction stores and announces what a contact put on a message of their conversation, or took away. It opens no
// conversation, wakes none and counts as nothing unread.
func (p *Pipeline) reaction(ctx context.Context, r *store.InboxRecord, e omni.CarrierChannelEvent) error {
	emoji := omni.CleanName(e.Reaction)
	toNothing := e.ReplyTo == "" && !omni.ValidID(e.ClientReference)
	if e.Direction != omni.Inbound || toNothing || len(emoji) > omni.MaxEmoji || emoji == "" && e.Reaction != "" {
		return p.unknown(ctx, r, e)
	}
	ch, ok, err := p.channelOf(ctx, r, e)
	if err != nil || !ok {
		return err
	}
	defer p.order.lock(r.AccountID, e.From)()
	m, it, err := p.reactedTo(ctx, r.Tenant, ch, e)
	if errors.Is(err, omni.ErrNotFound) {
		return p.messageWaits(ctx, r, e)
	}
	if err != nil {
		return err
	}
	if taken := e.Metadata[carriers.MetadataTaken]; emoji == "" && taken != "" {
		there, err := p.store.Reactions(ctx, r.Tenant, m.ID)
		if err != nil {
			return fmt.Errorf("reactions to message %s: %w", m.ID, err)
		}
		for _, one := range there {
			if one.SenderID == it.IdentityID && one.Emoji != omni.CleanName(taken) {
				return nil // they have put another one there in the meantime, and that stays
			}
		}
	}
	at := e.OccurredAt
	if at <= 0 || at > r.ReceivedAt { // a carrier's clock that is ahead would keep later ones out
		at = r.ReceivedAt
	}
	to := omni.Reaction{
		Tenant: omni.Org(r.Tenant.OrganisationID), MessageID: m.ID, SenderType: omni.SenderContact, SenderID: it.IdentityID,
		Emoji: emoji, At: at, SchemaVersion: omni.CurrentSchema,
	}
	changed, err := p.store.SetReaction(ctx, r.Tenant, to)
	key := "reaction " + r.ID
	if err != nil {
		p.doubt(key, "", err)
		return fmt.Errorf("set reaction: %w", err)
	}
	if _, unsure := p.unsure.take(key); unsure || changed {
		p.publish(ctx, p.homeTopic(ctx, it), wire.MessageReaction, wire.ReactionChange{
			MessageID: m.ID, InteractionID: it.ID, Reaction: wire.NewReactions([]omni.Reaction{to})[m.ID][0],
		})
	}
	return nil
}

// reactedTo finds the message that a contact reacted to, by the carrier's id or by ours: one of a conversation of that
// contact on that channel, else it is omni.ErrNotFound.
func (p *Pipeline) reactedTo(ctx context.Context, t omni.Tenant, ch omni.DigitalChannel, e omni.CarrierChannelEvent) (omni.ServiceMessage, omni.Interaction, error) {
	find := func() (omni.ServiceMessage, error) { return p.store.Message(ctx, t, e.ClientReference) }
	if e.ReplyTo != "" {
		find = func() (omni.ServiceMessage, error) { return p.store.MessageByCarrierID(ctx, t, ch.ID, e.ReplyTo) }
	}
	m, err := find()
	if err != nil {
		return m, omni.Interaction{}, fmt.Errorf("message of a reaction: %w", err)
	}
	it, err := p.store.Interaction(ctx, t, m.InteractionID)
	if err != nil {
		return m, it, fmt.Errorf("interaction of message %s: %w", m.ID, err)
	}
	id, err := p.store.IdentityByAddress(ctx, t, ch.ChannelType, e.From)
	if err != nil {
		return m, it, fmt.Errorf("identity of who reacted: %w", err)
	}
	if it.IdentityID != id.ID || it.DigitalChannelID != ch.ID {
		return m, it, fmt.Errorf("message %s is of another conversation: %w", m.ID, omni.ErrNotFound)
	}
	return m, it, nil
}

// messageWaits has what is about a message tried again later, or sets it aside when its message should have been there long since.
func (p *Pipeline) messageWaits(ctx context.Context, r *store.InboxRecord, e omni.CarrierChannelEvent) error {
	now := p.millis()
	waited := time.Duration(now-r.ReceivedAt) * time.Millisecond
	if waited < reactionWait {
		return &waitError{now.Add(max(waited, reactionAgain))}
	}
	aside := *r
	aside.ID = omni.NewID()
	return p.setAside(ctx, aside, store.SetAsideMessageNotFound, string(e.Kind))
}

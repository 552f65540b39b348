package pipeline

import (
	"context"
	"errors"
	"fmt"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

// maxAgain is how often a message that failed can be sent again.
const maxAgain = 5

// Retry sends a message again that has failed, if it may be sent now. One that waits to go out is no news.
func (p *Pipeline) Retry(ctx context.Context, a Actor, c wire.RetryMessage) (omni.ServiceMessage, error) {
	m, err := p.Message(ctx, a, c.MessageID)
	if err != nil {
		return m, err
	}
	if m.Status == omni.StatusQueued {
		return m, nil
	}
	if m.Publish == nil || m.Status != omni.StatusFailed && m.Status != omni.StatusUndeliverable {
		return m, notRetryable(m)
	}
	if m.Attempts() >= maxAgain {
		return m, omni.Problemf(omni.ErrConflict, "this message was sent again %d times; write a new one, or try another channel", maxAgain)
	}
	it, err := p.Interaction(ctx, a, m.InteractionID)
	if err != nil {
		return m, err
	}
	ch, err := p.channel(ctx, a.Tenant, m.Publish.DigitalChannelID)
	if err != nil {
		return m, fmt.Errorf("channel of message %s: %w", m.ID, err)
	}
	id, err := p.store.Identity(ctx, a.Tenant, m.Publish.Target.IdentityID)
	if err != nil {
		return m, fmt.Errorf("identity of message %s: %w", m.ID, err)
	}
	if err := p.maySend(ctx, ch, it, id, m.Payload); err != nil {
		return m, err
	}
	if m.Payload.Template != nil {
		if err := p.maySendTemplate(ctx, a.Tenant, ch, id, *m.Payload.Template); err != nil {
			return m, err
		}
	}
	if err := filesFit(capabilities(ch), payloadFiles, m.Payload.TextBody(), m.Payload.Files()); err != nil {
		return m, err
	}
	defer p.order.lock(ch.CarrierAccountID, m.To.Address)()
	after, err := p.store.Requeue(ctx, a.Tenant, m.ID, p.sendStatus(m, omni.StatusQueued, nil, ""))
	if errors.Is(err, omni.ErrConflict) {
		if m, err = p.store.Message(ctx, a.Tenant, m.ID); err == nil && m.Status != omni.StatusQueued {
			err = notRetryable(m)
		}
		return m, err
	}
	if err != nil {
		return m, fmt.Errorf("requeue message %s: %w", m.ID, err)
	}
	if err := p.statusApplied(ctx, ch, after); err != nil {
		return after, err
	}
	p.kick(p.outbox, store.OutboxPartition(after))
	return after, nil
}

func notRetryable(m omni.ServiceMessage) error {
	if m.Direction == omni.Inbound {
		return omni.Problemf(omni.ErrConflict, "only a message of ours can be sent again")
	}
	return omni.Problemf(omni.ErrConflict, "only a message that has failed can be sent again; this one is %s", m.Status)
}

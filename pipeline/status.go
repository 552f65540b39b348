package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

// status applies what a carrier says of a message that we sent. It can only move a message that went out by the same
// carrier account, and only forward.
func (p *Pipeline) status(ctx context.Context, r *store.InboxRecord, e omni.CarrierChannelEvent) error {
	s := omni.DeliveryStatus{
		DeliveryStatusMessage: omni.DeliveryStatusMessage{
			CarrierMessageID: e.CarrierMessageID, Status: e.Status, Reason: e.Reason, ErrorCode: e.ErrorCode, OccurredAt: e.OccurredAt,
		},
		ReceivedAt: r.ReceivedAt,
	}
	ch, ok, err := p.statusChannel(ctx, r, e, &s)
	if err != nil {
		return err
	}
	if !ok {
		p.log.InfoContext(ctx, "status of no message of ours", "carrier", r.Carrier, "account_id", r.AccountID, "org_id", r.Tenant.OrganisationID)
		return nil
	}
	s.DigitalChannelID = ch.ID
	contact, err := p.statusContact(ctx, r.Tenant, ch, e)
	if err != nil {
		return err
	}
	unlock := p.order.lock(r.AccountID, contact)
	defer func() { unlock() }()
	m, applied, err := p.store.ApplyStatus(ctx, r.Tenant, s)
	if errors.Is(err, omni.ErrNotFound) {
		return nil // kept by the store until the send has stored the carrier's id
	}
	key := "status " + ch.ID + " " + e.CarrierMessageID + " " + string(s.Status)
	if err != nil {
		p.doubt(key, "", err)
		return fmt.Errorf("apply status: %w", err)
	}
	_, unsure := p.unsure.take(key)
	if !unsure && !applied {
		return nil
	}
	if m.To.Address != contact {
		// The message got its id while this status was on its way here, and the send may not have told of itself yet. What is
		// told after it is how things stand then.
		unlock()
		unlock = p.order.lock(r.AccountID, m.To.Address)
		if m, err = p.store.Message(ctx, r.Tenant, m.ID); err != nil {
			p.untold()
			return fmt.Errorf("message of a status: %w", err)
		}
	}
	return p.statusApplied(ctx, ch, m)
}

// statusChannel finds the channel that the message of a status went out by: by our own message id if the carrier gave
// it back, else by the sender's address.
func (p *Pipeline) statusChannel(ctx context.Context, r *store.InboxRecord, e omni.CarrierChannelEvent, s *omni.DeliveryStatus) (omni.DigitalChannel, bool, error) {
	t := r.Tenant
	if omni.ValidID(e.ClientReference) {
		m, err := p.store.Message(ctx, t, e.ClientReference)
		switch {
		case err == nil && m.Direction == omni.Outbound && m.Publish != nil &&
			(m.CarrierMessageID == "" || e.CarrierMessageID == "" || m.CarrierMessageID == e.CarrierMessageID):
			ch, err := p.channel(ctx, t, m.Publish.DigitalChannelID)
			if err != nil || ofFormerAttempt(m, e) {
				return ch, false, err
			}
			if ch.CarrierAccountID == r.AccountID {
				s.MessageID = m.ID
				return ch, true, nil
			}
		case err != nil && !errors.Is(err, omni.ErrNotFound):
			return omni.DigitalChannel{}, false, err
		}
	}
	if ours := oursOf(e); ours != "" {
		ch, err := p.channelByAddress(ctx, t, r.AccountID, e.ChannelType.Family(), ours)
		if errors.Is(err, omni.ErrNotFound) {
			return ch, false, nil
		}
		return ch, err == nil, err
	}
	all, err := readAll(ctx, func(ctx context.Context, pg store.Page) (store.List[omni.DigitalChannel], error) {
		return p.store.Channels(ctx, t, pg)
	})
	if err != nil {
		return omni.DigitalChannel{}, false, err
	}
	for _, ch := range all {
		if ch.CarrierAccountID != r.AccountID {
			continue
		}
		_, err := p.store.MessageByCarrierID(ctx, t, ch.ID, e.CarrierMessageID)
		switch {
		case err == nil:
			return ch, true, nil
		case !errors.Is(err, omni.ErrNotFound):
			return ch, false, err
		}
	}
	return omni.DigitalChannel{}, false, nil
}

// ofFormerAttempt reports whether a carrier speaks of an attempt to send m that had failed before a person had it sent
// again: that must not end the new one. That the recipient has the message after all does.
func ofFormerAttempt(m omni.ServiceMessage, e omni.CarrierChannelEvent) bool {
	if m.CarrierMessageID != "" || e.CarrierMessageID == "" || m.Attempts() == 0 || e.Status.Rank() >= omni.StatusDelivered.Rank() {
		return false
	}
	return slices.ContainsFunc(m.StatusHistory, func(s omni.DeliveryStatus) bool { return s.CarrierMessageID == e.CarrierMessageID })
}

// statusApplied announces a message's new status, and what follows from it.
func (p *Pipeline) statusApplied(ctx context.Context, ch omni.DigitalChannel, m omni.ServiceMessage) error {
	ctx = context.WithoutCancel(ctx) // it has happened
	it, err := p.store.Interaction(ctx, m.Tenant, m.InteractionID)
	if err != nil {
		p.untold()
		return fmt.Errorf("interaction of message %s: %w", m.ID, err)
	}
	change := wire.StatusChange{
		MessageID: m.ID, InteractionID: m.InteractionID, Status: m.Status, Attempt: m.Attempts(), At: m.StatusAt,
		Reason: m.Reason, ErrorCode: m.ErrorCode, ErrorText: cmp.Or(p.reg.Explain(m.Channel.Carrier, m.ErrorCode), wire.ReasonText(m.Reason)),
	}
	p.publish(ctx, p.homeTopic(ctx, it), wire.MessageStatus, change)
	if m.Reason != omni.ReasonOptedOut || m.Publish == nil {
		return nil
	}
	id, err := p.store.Identity(ctx, m.Tenant, m.Publish.Target.IdentityID)
	if err != nil {
		return fmt.Errorf("identity of message %s: %w", m.ID, err)
	}
	by := m.ErrorCode
	if by == "" {
		by = string(m.Channel.Carrier)
	}
	if m.Payload.Type == omni.PayloadTemplate {
		by = omni.MarketingBy + by // who stops these goes on to write, and to be answered
	}
	return p.setConsent(ctx, m.Tenant, ch, id, true, by, m.StatusAt, nil)
}

package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

// edited stores and announces that a contact changed what they wrote, or took it back. It opens no conversation, wakes none
// and counts as nothing unread.
func (p *Pipeline) edited(ctx context.Context, r *store.InboxRecord, e omni.CarrierChannelEvent) error {
	if e.Direction != omni.Inbound || e.ReplyTo == "" {
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
	if m.Direction != omni.Inbound { // nobody changes what others wrote
		return p.unknown(ctx, r, e)
	}
	at := e.OccurredAt
	if at <= 0 || at > r.ReceivedAt {
		at = r.ReceivedAt
	}
	edit := omni.MessageEdit{At: at, Text: cmp.Or(e.Text, e.Metadata["caption"]), Deleted: e.Kind == omni.EventDelete}
	m, changed, err := p.store.EditMessage(ctx, r.Tenant, m.ID, edit)
	key := "edit " + r.ID
	if err != nil {
		p.doubt(key, "", err)
		return fmt.Errorf("edit message: %w", err)
	}
	if _, unsure := p.unsure.take(key); !unsure && !changed {
		return nil
	}
	home := p.homeTopic(ctx, it)
	if edit.Deleted {
		p.publish(ctx, home, wire.MessageDeleted, wire.MessageDeletion{MessageID: m.ID, InteractionID: it.ID, At: m.DeletedAt})
		return nil
	}
	view := wire.NewMessage(m)
	reactions, err := p.store.Reactions(ctx, r.Tenant, m.ID)
	if err != nil {
		p.untold()
		return fmt.Errorf("reactions to message %s: %w", m.ID, err)
	}
	view.Reactions = wire.NewReactions(reactions)[m.ID]
	p.publish(ctx, home, wire.MessageUpdated, view)
	return nil
}

// systemPrefix begins the id of a line to which the carrier gave none.
const systemPrefix = "system:"

// metaNewAddress is in the metadata of a system event: the address that a contact has from now on.
const metaNewAddress = "newAddress"

// system stores a line of the carrier's about a conversation. A contact who has another address from now on stays the same
// contact: what they write from there is theirs, and what we write goes there.
func (p *Pipeline) system(ctx context.Context, r *store.InboxRecord, e omni.CarrierChannelEvent) error {
	if e.Direction != omni.Inbound || e.From == "" {
		return p.unknown(ctx, r, e)
	}
	to := e.Metadata[metaNewAddress]
	if to == "" && e.Text == "" {
		return p.unknown(ctx, r, e)
	}
	ch, ok, err := p.channelOf(ctx, r, e)
	if err != nil || !ok {
		return err
	}
	if to != "" && to != e.From {
		if err := p.moved(ctx, r, ch, e.From, to); err != nil {
			return err
		}
	}
	e.Kind = omni.EventMessage
	if e.Text == "" {
		e.Text = "The contact's number changed."
	}
	if e.CarrierMessageID == "" {
		e.CarrierMessageID = systemPrefix + r.ID
	}
	own := omni.Metadata{omni.MetadataSystem: cmp.Or(e.Metadata["systemType"], string(omni.EventSystem))}
	for k, v := range e.Metadata {
		own.Set(k, v)
	}
	e.Metadata = own
	return p.message(ctx, r, e)
}

// moved makes an address the one of the identity that has another. Where somebody is known by the new one already, both stay as
// they are: agents merge contacts, nobody else.
func (p *Pipeline) moved(ctx context.Context, r *store.InboxRecord, ch omni.DigitalChannel, from, to string) error {
	id, err := p.store.IdentityByAddress(ctx, r.Tenant, ch.ChannelType, from)
	if errors.Is(err, omni.ErrNotFound) {
		return nil // nobody whom we know
	}
	if err != nil {
		return fmt.Errorf("identity whose address changed: %w", err)
	}
	if id.Address == to {
		return nil
	}
	if strings.HasPrefix(id.Address, "+") && !strings.HasPrefix(to, "+") { // the number stays what is written to: an id beside it changed
		_, err = p.store.AddAlias(ctx, r.Tenant, id.ID, omni.IdentityAlias{Address: to, Kind: omni.AliasUserID, At: r.ReceivedAt})
	} else {
		_, err = p.store.ChangeAddress(ctx, r.Tenant, id.ID, to, r.ReceivedAt)
	}
	switch {
	case errors.Is(err, omni.ErrConflict), errors.Is(err, omni.ErrInvalid):
		p.log.WarnContext(ctx, "an address is another contact's already", "carrier", r.Carrier, "account_id", r.AccountID, "org_id", r.Tenant.OrganisationID)
		return nil
	case err != nil:
		return fmt.Errorf("change address: %w", err)
	}
	return nil
}

// echo stores what was written to a contact with another program on our number, such as the phone: a message of ours that has
// gone. No rule and no automation acts on it.
func (p *Pipeline) echo(ctx context.Context, r *store.InboxRecord, e omni.CarrierChannelEvent) error {
	t := r.Tenant
	ch, err := p.channelByAddress(ctx, t, r.AccountID, e.ChannelType.Family(), e.From)
	if errors.Is(err, omni.ErrNotFound) {
		turned := e
		turned.From, turned.To = e.To, e.From
		_, _, err = p.channelOf(ctx, r, turned)
		return err
	}
	if err != nil {
		return err
	}
	// What we sent ourselves comes back as an echo at some carriers.
	if omni.ValidID(e.ClientReference) {
		if m, err := p.store.Message(ctx, t, e.ClientReference); err == nil && m.Channel.DigitalChannelID == ch.ID {
			return nil
		}
	}
	var steps stepList
	steps.begin(p.now)
	steps.done("channel", "written with another program on "+string(e.ChannelType))
	in := incoming{
		tenant: t, channel: ch, channelType: e.ChannelType, carrier: e.Carrier, address: e.To, verified: true, receivedAt: r.ReceivedAt,
		carrierMessageID: e.CarrierMessageID, replyTo: e.ReplyTo, segments: e.Segments, payload: payloadOf(e, omni.CleanText(e.Text)),
		metadata: e.Metadata, echo: true,
	}
	contact, identity, err := p.identify(ctx, &in, &steps)
	if err != nil {
		return err
	}
	_, err = p.append(ctx, &in, contact, identity, &steps)
	return err
}

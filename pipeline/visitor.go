package pipeline

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

// VisitorSend stores a website visitor's message. The same ClientID again gives the same message, created false.
func (p *Pipeline) VisitorSend(ctx context.Context, v omni.Visitor, c wire.SendMessage) (omni.ServiceMessage, bool, error) {
	if err := checkSend(c); err != nil {
		return omni.ServiceMessage{}, false, err
	}
	if c.ReplyTo != "" {
		return omni.ServiceMessage{}, false, fieldProblem("replyTo", "is not for visitors")
	}
	if rich(c.Payload) {
		return omni.ServiceMessage{}, false, fieldProblem("payload", "must be text")
	}
	t := omni.Org(v.OrganisationID)
	ch, err := p.visitorChannel(ctx, v)
	if err != nil {
		return omni.ServiceMessage{}, false, err
	}
	payload, files, err := p.filesPayload(ctx, visitorActor(v), ch, c)
	if err == nil {
		err = p.settleUploads(ctx, payloadFiles, files)
	}
	if err != nil {
		return omni.ServiceMessage{}, false, err
	}
	var steps stepList
	steps.begin(p.now)
	steps.done("channel", "received on LiveChat")
	in := incoming{
		tenant: t, channel: ch, channelType: omni.ChannelLiveChat, address: v.ID, receivedAt: p.millis(),
		clientID: c.ClientID, payload: payload,
	}
	contact, id, err := p.identify(ctx, &in, &steps)
	if err != nil {
		return omni.ServiceMessage{}, false, err
	}
	res, err := p.append(ctx, &in, contact, id, &steps)
	if err != nil {
		return omni.ServiceMessage{}, false, err
	}
	p.took(ctx, res.Message, files)
	return res.Message, res.Created, nil
}

// VisitorUpload is Upload for a website visitor, whose message alone can have the file.
func (p *Pipeline) VisitorUpload(ctx context.Context, v omni.Visitor, u Upload) (omni.MediaFile, error) {
	if _, err := p.visitorChannel(ctx, v); err != nil {
		return omni.MediaFile{}, err
	}
	return p.Upload(ctx, visitorActor(v), u)
}

// visitorActor is a visitor as the owner of uploads: their 128 random bits, written as ids are.
func visitorActor(v omni.Visitor) Actor {
	id := v.ID
	if len(id) == 32 {
		id = id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
	}
	return Actor{Tenant: omni.Tenant{OrganisationID: v.OrganisationID, UserID: id}, Role: omni.RoleVisitor}
}

func (p *Pipeline) visitorChannel(ctx context.Context, v omni.Visitor) (omni.DigitalChannel, error) {
	ch, err := p.channel(ctx, omni.Org(v.OrganisationID), v.DigitalChannelID)
	if errors.Is(err, omni.ErrNotFound) || err == nil && (ch.Disabled || ch.ChannelType != omni.ChannelLiveChat) {
		return ch, omni.Problemf(omni.ErrForbidden, "this chat is closed")
	}
	if err != nil {
		return ch, fmt.Errorf("channel %s: %w", v.DigitalChannelID, err)
	}
	return ch, nil
}

// VisitorInteraction returns the visitor's newest interaction, or omni.ErrNotFound before their first message.
func (p *Pipeline) VisitorInteraction(ctx context.Context, v omni.Visitor) (omni.Interaction, error) {
	t := omni.Org(v.OrganisationID)
	if _, err := p.visitorChannel(ctx, v); err != nil {
		return omni.Interaction{}, err
	}
	id, err := p.store.IdentityByAddress(ctx, t, omni.ChannelLiveChat, v.ID)
	if err != nil {
		return omni.Interaction{}, fmt.Errorf("identity of visitor: %w", err)
	}
	groups, err := p.groups(ctx, t) // it may have been moved to any
	if err != nil {
		return omni.Interaction{}, fmt.Errorf("channel groups: %w", err)
	}
	groupIDs := make([]string, 0, len(groups))
	for _, g := range groups {
		groupIDs = append(groupIDs, g.ID)
	}
	for _, state := range []omni.InteractionState{omni.InteractionOpen, omni.InteractionSnoozed, omni.InteractionResolved} {
		l, err := p.store.ListInteractions(ctx, t, store.InteractionFilter{
			GroupIDs: groupIDs, State: state, ContactID: id.ContactID,
		}, store.Page{})
		if err != nil {
			return omni.Interaction{}, fmt.Errorf("interactions of visitor: %w", err)
		}
		for _, i := range l.Items {
			if i.IdentityID == id.ID && i.DigitalChannelID == v.DigitalChannelID { // nothing else of the same contact
				return i, nil
			}
		}
	}
	return omni.Interaction{}, omni.Problemf(omni.ErrNotFound, "this visitor has not written yet")
}

// VisitorMessages returns messages of the visitor's newest interaction; none before the first message.
func (p *Pipeline) VisitorMessages(ctx context.Context, v omni.Visitor, w store.MessageWindow) ([]omni.ServiceMessage, error) {
	it, err := p.VisitorInteraction(ctx, v)
	if errors.Is(err, omni.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ms, err := p.store.ListMessages(ctx, omni.Org(v.OrganisationID), it.ID, w)
	if err != nil {
		return nil, fmt.Errorf("messages of interaction %s: %w", it.ID, err)
	}
	return ms, nil
}

// VisitorView is what a visitor sees of a message: no ids of agents, no carrier data.
func (p *Pipeline) VisitorView(ctx context.Context, m omni.ServiceMessage) wire.VisitorMessage {
	full := wire.NewMessage(m)
	v := wire.VisitorMessage{
		ID: full.ID, Seq: full.Seq, Direction: full.Direction, Payload: full.Payload, Status: full.Status, At: full.At,
	}
	if m.Direction == omni.Inbound {
		v.ClientID = m.ClientID
		return v
	}
	if u, err := p.user(ctx, m.Tenant, m.Tenant.UserID); err == nil {
		v.SenderName = u.Name
	}
	return v
}

// VisitorRead notes how far the visitor has read; agents' messages up to there become read.
func (p *Pipeline) VisitorRead(ctx context.Context, v omni.Visitor, c wire.ReadMessage) error {
	if c.Seq <= 0 {
		return fieldProblem("seq", "must be the sequence of a message")
	}
	t := omni.Org(v.OrganisationID)
	it, err := p.VisitorInteraction(ctx, v)
	if err != nil {
		return err
	}
	before := it.ContactReadSeq
	defer p.order.lock("", it.ContactAddress)()
	it, changed, err := p.store.MarkRead(ctx, t, it.ID, omni.SenderContact, c.Seq)
	if err != nil {
		return fmt.Errorf("mark interaction %s as read: %w", it.ID, err)
	}
	if !changed {
		return nil
	}
	home := p.homeTopic(ctx, it)
	p.publish(ctx, home, wire.InteractionUpdated, wire.InteractionChange{InteractionID: it.ID, ContactReadSeq: &it.ContactReadSeq})

	for before < it.ContactReadSeq {
		ms, err := p.store.ListMessages(ctx, t, it.ID, store.MessageWindow{After: before, Limit: store.MaxPage})
		if err != nil {
			return fmt.Errorf("messages of interaction %s: %w", it.ID, err)
		}
		if len(ms) == 0 {
			return nil
		}
		for _, m := range ms {
			before = m.Sequence
			if m.Sequence > it.ContactReadSeq {
				return nil
			}
			if m.Direction == omni.Inbound {
				continue
			}
			if err := p.visitorHasRead(ctx, home, m); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *Pipeline) visitorHasRead(ctx context.Context, home string, m omni.ServiceMessage) error {
	m, applied, err := p.store.ApplyStatus(ctx, m.Tenant, omni.DeliveryStatus{
		DeliveryStatusMessage: omni.DeliveryStatusMessage{Status: omni.StatusRead},
		MessageID:             m.ID, DigitalChannelID: m.Channel.DigitalChannelID, ReceivedAt: p.millis(),
	})
	if err != nil {
		return fmt.Errorf("status of message %s: %w", m.ID, err)
	}
	if applied {
		p.publish(ctx, home, wire.MessageStatus, wire.StatusChange{MessageID: m.ID, InteractionID: m.InteractionID, Status: m.Status, At: m.StatusAt})
	}
	return nil
}

// VisitorTyping tells agents who have the interaction open that the visitor is writing. Before the first message there
// is none, and nobody is told.
func (p *Pipeline) VisitorTyping(ctx context.Context, v omni.Visitor, c wire.TypingCommand) error {
	it, err := p.VisitorInteraction(ctx, v)
	if errors.Is(err, omni.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return p.typing(ctx, it, wire.Person{Type: omni.SenderContact, ID: it.ContactID, Name: it.ContactName}, c.Stop)
}

// endTries is how often an end that met an agent's change is tried again.
const endTries = 5

// VisitorEnd resolves the visitor's conversation. One that is resolved stays as it is, and without one it is
// omni.ErrNotFound. The visitor's next message opens it again.
func (p *Pipeline) VisitorEnd(ctx context.Context, v omni.Visitor) error {
	who := Actor{Tenant: omni.Org(v.OrganisationID)}
	for range endTries {
		it, err := p.VisitorInteraction(ctx, v)
		if err != nil || it.State == omni.InteractionResolved {
			return err
		}
		state, at, nobody := omni.InteractionResolved, p.millis(), ""
		_, err = p.change(ctx, who, it, it.Version, store.InteractionChange{State: &state, ResolvedAt: &at, ResolvedBy: &nobody},
			wire.InteractionResolved, "ended by the visitor")
		if !errors.Is(err, omni.ErrConflict) {
			return err
		}
	}
	return omni.Problemf(omni.ErrUnavailable, "this conversation is changing too fast: try again")
}

// VisitorUpdate keeps what a visitor says of themselves, and tells agents of what is new. Nobody vouches for it: it stands in
// attributes of its own, replaces nothing but what the visitor said before, and names only a contact without a name.
// Before the visitor's first message it makes the contact, unless all that they say is where they are.
func (p *Pipeline) VisitorUpdate(ctx context.Context, v omni.Visitor, c wire.UpdateVisitor) error {
	t := omni.Org(v.OrganisationID)
	ch, err := p.visitorChannel(ctx, v)
	if err != nil {
		return err
	}
	org, err := p.organisation(ctx, t)
	if err != nil {
		return fmt.Errorf("organisation: %w", err)
	}
	says, err := omni.VisitorClaims(c).Clean()
	if err != nil {
		return err
	}
	if says.Phone != "" {
		if says.Phone, err = NormaliseAddress(omni.ChannelSMS, says.Phone, org.DefaultCountry); err != nil {
			return fieldProblem("phone", "must be a phone number with country code, such as +14155550123")
		}
	}
	had, err := p.visitorContact(ctx, v)
	someone := says.Name != "" || says.Email != "" || says.Phone != ""
	if says == (omni.VisitorClaims{}) || !someone && errors.Is(err, omni.ErrNotFound) {
		return nil
	}
	if err != nil && !errors.Is(err, omni.ErrNotFound) {
		return err
	}
	var steps stepList
	steps.begin(p.now)
	in := incoming{tenant: t, channel: ch, address: v.ID, name: says.Name, receivedAt: p.millis()}
	contact, _, err := p.identify(ctx, &in, &steps)
	if err != nil {
		return err
	}
	for range endTries {
		change := wire.ContactChange{ContactID: contact.ID}
		if says.Name != "" && had.Name == "" && contact.Name == says.Name {
			change.Name = &says.Name
		}
		attributes, changed := withClaims(contact, says)
		if changed {
			next := contact
			next.Attributes, next.UpdatedAt = attributes, p.millis()
			if err := next.Validate(); err != nil {
				return err
			}
			change.Attributes = &attributes
			if next, err = p.store.UpdateContact(ctx, t, next); err == nil {
				contact = next
			}
		}
		if err == nil {
			if change.Version = contact.Version; changed || change.Name != nil {
				p.publish(ctx, omni.OrgTopic(t.OrganisationID), wire.ContactUpdated, change)
			}
			return nil
		}
		if !errors.Is(err, omni.ErrConflict) {
			return fmt.Errorf("update contact %s: %w", contact.ID, err)
		}
		if contact, err = p.store.Contact(ctx, t, contact.ID); err != nil {
			return fmt.Errorf("contact of visitor: %w", err)
		}
	}
	return omni.Problemf(omni.ErrUnavailable, "this contact is changing too fast: try again")
}

// visitorContact is who the visitor is known as, or omni.ErrNotFound.
func (p *Pipeline) visitorContact(ctx context.Context, v omni.Visitor) (omni.Contact, error) {
	t := omni.Org(v.OrganisationID)
	id, err := p.store.IdentityByAddress(ctx, t, omni.ChannelLiveChat, v.ID)
	if err != nil {
		return omni.Contact{}, fmt.Errorf("identity of visitor: %w", err)
	}
	c, err := p.store.Contact(ctx, t, id.ContactID)
	if err != nil {
		return c, fmt.Errorf("contact of visitor: %w", err)
	}
	return c, nil
}

// withClaims returns c's attributes with what a visitor says, and whether that changes any.
func withClaims(c omni.Contact, says omni.VisitorClaims) (map[string]string, bool) {
	all := maps.Clone(c.Attributes)
	if all == nil {
		all = map[string]string{}
	}
	for name, v := range map[string]string{
		omni.AttributeVisitorName: says.Name, omni.AttributeVisitorEmail: says.Email,
		omni.AttributeVisitorPhone: says.Phone, omni.AttributeVisitorPage: says.Page,
	} {
		switch {
		case name == omni.AttributeVisitorName && v == c.Name: // they agree, or nothing is said
			if v != "" {
				delete(all, name)
			}
		case v != "":
			all[name] = v
		}
	}
	return all, !maps.Equal(all, c.Attributes)
}

// lookedAt is how many of those who are there are looked at for a group without members.
const lookedAt = 50

// Staffed reports whether one of the users there, by id, looks after a LiveChat channel: a member of its group, or its
// user if the group is private. Of a group that has no members they are those who see it.
func (p *Pipeline) Staffed(ctx context.Context, t omni.Tenant, channelID string, there []string) (bool, error) {
	ch, err := p.channel(ctx, t, channelID)
	if err != nil {
		return false, fmt.Errorf("channel %s: %w", channelID, err)
	}
	g, err := p.group(ctx, t, ch.GroupID)
	if err != nil {
		return false, fmt.Errorf("group of channel %s: %w", channelID, err)
	}
	if g.Type == omni.GroupPrivate {
		return slices.Contains(there, g.UserID), nil
	}
	if len(g.MemberIDs) > 0 {
		return slices.ContainsFunc(there, func(id string) bool { return slices.Contains(g.MemberIDs, id) }), nil
	}
	for _, id := range there[:min(len(there), lookedAt)] {
		u, err := p.user(ctx, t, id)
		if err != nil {
			return false, fmt.Errorf("user %s: %w", id, err)
		}
		if g.Sees(u.ID, u.Role) {
			return true, nil
		}
	}
	return false, nil
}

// LiveChatCapabilities is what our own widget can carry.
func LiveChatCapabilities() omni.Capabilities {
	return omni.Capabilities{
		MaxTextLength: 10_000, DeliveryStatus: true, ReadStatus: true, Typing: true, ReplyTo: true, Captions: true,
		MediaTypes: slices.Sorted(maps.Keys(fileTypes)), MaxMediaBytes: MaxFile, MaxMediaCount: 10,
	}
}

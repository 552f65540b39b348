package pipeline

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/nyaruka/phonenumbers"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

// typingFor is how long typing is shown without being renewed.
const typingFor = 8 * time.Second

// Actor is who does something: a user, or a program with an API key.
type Actor struct {
	Tenant omni.Tenant // UserID is the user's or the API key's id
	Role   omni.Role
	Name   string
}

// leads reports whether the actor may act on what belongs to others.
func (a Actor) leads() bool {
	return a.Role == omni.RoleAdmin || a.Role == omni.RoleSupervisor || a.Role == omni.RoleService
}

// VisibleGroups lists the channel groups that an actor sees.
func (p *Pipeline) VisibleGroups(ctx context.Context, a Actor) ([]omni.DigitalChannelGroup, error) {
	visible, err := p.visibleGroups(ctx, a)
	if err != nil {
		return nil, err
	}
	seen := []omni.DigitalChannelGroup{}
	for g := range visible {
		seen = append(seen, *g)
	}
	return seen, nil
}

// visibleGroups gives the groups in place, as the cache holds them: they are many, large, asked for at each connect, and
// mostly only looked at.
func (p *Pipeline) visibleGroups(ctx context.Context, a Actor) (iter.Seq[*omni.DigitalChannelGroup], error) {
	all, err := p.groups(ctx, a.Tenant)
	if err != nil {
		return nil, fmt.Errorf("channel groups: %w", err)
	}
	return func(yield func(*omni.DigitalChannelGroup) bool) {
		for i := range all {
			if all[i].Sees(a.Tenant.UserID, a.Role) && !yield(&all[i]) {
				return
			}
		}
	}, nil
}

// Topics lists what a connection of the actor is granted.
func (p *Pipeline) Topics(ctx context.Context, a Actor) ([]string, error) {
	groups, err := p.visibleGroups(ctx, a)
	if err != nil {
		return nil, err
	}
	topics := []string{omni.UserTopic(a.Tenant.UserID), omni.OrgTopic(a.Tenant.OrganisationID)}
	for g := range groups {
		if g.Type == omni.GroupShared {
			topics = append(topics, g.HomeTopic())
		}
	}
	return topics, nil
}

func (p *Pipeline) sees(ctx context.Context, a Actor, groupID string) (bool, error) {
	groups, err := p.visibleGroups(ctx, a)
	if err != nil {
		return false, err
	}
	for g := range groups {
		if g.ID == groupID {
			return true, nil
		}
	}
	return false, nil
}

// Interaction returns an interaction that the actor may see, else omni.ErrNotFound.
func (p *Pipeline) Interaction(ctx context.Context, a Actor, id string) (omni.Interaction, error) {
	if !omni.ValidID(id) {
		return omni.Interaction{}, errNoInteraction(id)
	}
	it, err := p.store.Interaction(ctx, a.Tenant, id)
	if errors.Is(err, omni.ErrNotFound) {
		return omni.Interaction{}, errNoInteraction(id)
	}
	if err != nil {
		return omni.Interaction{}, fmt.Errorf("interaction %s: %w", id, err)
	}
	ok, err := p.sees(ctx, a, it.GroupID)
	if err != nil {
		return omni.Interaction{}, err
	}
	if !ok {
		return omni.Interaction{}, errNoInteraction(id)
	}
	return it, nil
}

func errNoInteraction(id string) error {
	return omni.Problemf(omni.ErrNotFound, "there is no conversation %s", clip(id))
}

// clip makes a client's value safe to repeat in an error.
func clip(s string) string {
	s = omni.CleanName(s)
	if utf8.RuneCountInString(s) > 40 {
		s = string([]rune(s)[:40]) + "…"
	}
	return s
}

// Message returns a message of an interaction that the actor may see, else omni.ErrNotFound.
func (p *Pipeline) Message(ctx context.Context, a Actor, id string) (omni.ServiceMessage, error) {
	none := omni.Problemf(omni.ErrNotFound, "there is no message %s", clip(id))
	if !omni.ValidID(id) {
		return omni.ServiceMessage{}, none
	}
	m, err := p.store.Message(ctx, a.Tenant, id)
	if errors.Is(err, omni.ErrNotFound) {
		return omni.ServiceMessage{}, none
	}
	if err != nil {
		return omni.ServiceMessage{}, fmt.Errorf("message %s: %w", id, err)
	}
	if _, err := p.Interaction(ctx, a, m.InteractionID); err != nil {
		if errors.Is(err, omni.ErrNotFound) {
			return omni.ServiceMessage{}, none
		}
		return omni.ServiceMessage{}, err
	}
	return m, nil
}

// Send stores an agent's message, queued for its carrier. The same ClientID again gives the same message, created false.
func (p *Pipeline) Send(ctx context.Context, a Actor, c wire.SendMessage) (omni.ServiceMessage, bool, error) {
	if err := checkSend(c); err != nil {
		return omni.ServiceMessage{}, false, err
	}
	it, ch, id, how, err := p.target(ctx, a, c)
	if err != nil {
		return omni.ServiceMessage{}, false, err
	}
	payload, files, err := p.payload(ctx, a, ch, id, c)
	if err != nil {
		return omni.ServiceMessage{}, false, err
	}
	if err := p.maySend(ctx, ch, it, id, payload); err != nil {
		return omni.ServiceMessage{}, false, err
	}
	if err := p.mayReplyTo(ctx, a, it, c.ReplyTo); err != nil {
		return omni.ServiceMessage{}, false, err
	}
	if len(c.Payload.Files) > 0 {
		if payload, files, err = p.filesPayload(ctx, a, ch, c); err != nil {
			return omni.ServiceMessage{}, false, err
		}
	}
	at := payloadFiles
	if c.Payload.Template != nil {
		at = templateHeader
	}
	if err := p.settleUploads(ctx, at, files); err != nil {
		return omni.ServiceMessage{}, false, err
	}
	defer p.order.lock(ch.CarrierAccountID, id.Address)()
	if err := p.unseen(ctx, a, it, c); err != nil {
		return omni.ServiceMessage{}, false, err
	}
	if it.State == omni.InteractionResolved {
		open := omni.InteractionOpen
		if it, err = p.changeLocked(ctx, a, it, it.Version, store.InteractionChange{State: &open}, wire.InteractionReopened, "agent wrote"); err != nil {
			return omni.ServiceMessage{}, false, err
		}
	}

	now, typ := p.millis(), carriedAs(ch, payload)
	m := omni.ServiceMessage{
		ID: omni.NewID(), Tenant: a.Tenant, InteractionID: it.ID, Direction: omni.Outbound,
		Channel: omni.ReceivedChannel{
			DigitalChannelID: ch.ID, ChannelType: typ, Carrier: ch.Carrier, Address: ch.Address, SenderType: omni.SenderUser,
		},
		ContactID: id.ContactID,
		From:      omni.Identity{ChannelType: typ, Address: ch.Address, Name: a.Name},
		To:        omni.Identity{ChannelType: typ, Address: id.Address, Name: id.Name},
		Payload:   payload, ClientID: c.ClientID, ReplyTo: c.ReplyTo,
		Status: omni.StatusQueued, StatusAt: now, ReceivedAt: now, CreatedAt: now, SchemaVersion: omni.CurrentSchema,
		Publish: &omni.PublishChannel{
			DigitalChannelID: ch.ID, ChannelType: typ, Sender: ch.Address,
			Target: omni.PublishIdentity{ContactID: id.ContactID, IdentityID: id.ID, Address: id.Address},
		},
	}
	if ch.ChannelType == omni.ChannelLiveChat {
		m.Status = omni.StatusSent // stored is sent: the visitor's socket or next visit brings it
	}
	if ch.Capabilities.Segmented && payload.Type == omni.PayloadText {
		if n, err := omni.CountSegments(c.Payload.Text); err == nil {
			m.Segments = n.Segments
		}
	}
	m, created, err := p.enqueue(ctx, a.Tenant, ch, m, how)
	if err == nil {
		p.took(ctx, m, files)
	}
	return m, created, err
}

// mayReplyTo checks that a message is one of an interaction. "" names none.
func (p *Pipeline) mayReplyTo(ctx context.Context, a Actor, it omni.Interaction, messageID string) error {
	if messageID == "" {
		return nil
	}
	m, err := p.store.Message(ctx, a.Tenant, messageID)
	if errors.Is(err, omni.ErrNotFound) || err == nil && m.InteractionID != it.ID {
		return fieldProblem("replyTo", "there is no such message in this conversation")
	}
	if err != nil {
		return fmt.Errorf("message %s: %w", messageID, err)
	}
	return nil
}

func checkSend(c wire.SendMessage) error {
	switch {
	case !omni.ValidID(c.ClientID):
		return fieldProblem("clientId", "must be a UUID in lower case, made by the sender and kept for retries")
	case strings.TrimSpace(c.Payload.Text) == "" && len(c.Payload.Files) == 0 && !rich(c.Payload):
		return fieldProblem("payload.text", "must not be empty")
	case !utf8.ValidString(c.Payload.Text) || strings.ContainsRune(c.Payload.Text, 0):
		return fieldProblem("payload.text", "must be UTF-8 without NUL")
	case len(c.Payload.Text) > omni.MaxText:
		return fieldProblem("payload.text", fmt.Sprintf("must be at most %d bytes", omni.MaxText))
	case c.ReplyTo != "" && !omni.ValidID(c.ReplyTo):
		return fieldProblem("replyTo", "must be the id of a message")
	case c.SeenOffset < 0:
		return fieldProblem("seenOffset", "must be the seq of a message")
	}
	if rich(c.Payload) {
		return checkRich(c.Payload)
	}
	return nil
}

func fieldProblem(field, text string) error {
	p := omni.Problemf(omni.ErrInvalid, "%s %s", field, text)
	p.Fields = map[string]string{field: text}
	return p
}

// target finds or opens the interaction that a message goes to.
func (p *Pipeline) target(ctx context.Context, a Actor, c wire.SendMessage) (it omni.Interaction, ch omni.DigitalChannel, id omni.ContactIdentity, how store.OpenOutcome, err error) {
	how = store.OpenFound
	if c.InteractionID != "" {
		if it, err = p.Interaction(ctx, a, c.InteractionID); err != nil {
			return it, ch, id, how, err
		}
		if ch, err = p.channel(ctx, a.Tenant, it.DigitalChannelID); err != nil {
			return it, ch, id, how, fmt.Errorf("channel of interaction %s: %w", it.ID, err)
		}
		if id, err = p.store.Identity(ctx, a.Tenant, it.IdentityID); err != nil {
			return it, ch, id, how, fmt.Errorf("identity of interaction %s: %w", it.ID, err)
		}
		ch, err = p.addressed(ctx, ch, it)
		return it, ch, id, how, err
	}
	if c.ChannelID == "" || c.To == "" {
		return it, ch, id, how, fieldProblem("interactionId", "or channelId and to are required")
	}
	if !omni.ValidID(c.ChannelID) {
		return it, ch, id, how, omni.Problemf(omni.ErrNotFound, "there is no channel %s", clip(c.ChannelID))
	}
	ch, err = p.channel(ctx, a.Tenant, c.ChannelID)
	if err == nil {
		var ok bool
		if ok, err = p.sees(ctx, a, ch.GroupID); err == nil && !ok {
			err = omni.ErrNotFound
		}
	}
	if errors.Is(err, omni.ErrNotFound) {
		return it, ch, id, how, omni.Problemf(omni.ErrNotFound, "there is no channel %s", clip(c.ChannelID))
	}
	if err != nil {
		return it, ch, id, how, fmt.Errorf("channel %s: %w", c.ChannelID, err)
	}
	if ch.ChannelType == omni.ChannelLiveChat {
		return it, ch, id, how, fieldProblem("channelId", "is a LiveChat channel: the visitor writes first")
	}
	if _, pattern := omni.AddressPattern(ch.ChannelType, ch.Address); pattern {
		return it, ch, id, how, fieldProblem("channelId", "stands for many channels, and which is the contact's is known only when they have written: "+
			"answer in their conversation")
	}
	org, err := p.organisation(ctx, a.Tenant)
	if err != nil {
		return it, ch, id, how, fmt.Errorf("organisation: %w", err)
	}
	to, err := NormaliseAddress(ch.ChannelType, c.To, org.DefaultCountry)
	if err != nil {
		return it, ch, id, how, err
	}
	now := p.millis()
	contact, id, _, err := p.store.ResolveIdentity(ctx, a.Tenant, omni.ContactIdentity{
		ID: omni.NewID(), Tenant: omni.Org(a.Tenant.OrganisationID), ContactID: omni.NewID(), ChannelType: ch.ChannelType,
		Address: to, Aliases: aliases(ch.ChannelType, to, nil, now), Verified: true, CreatedAt: now, SchemaVersion: omni.CurrentSchema,
	})
	if err != nil {
		return it, ch, id, how, fmt.Errorf("resolve identity: %w", err)
	}
	it, how, err = p.openInteraction(ctx, a.Tenant, org, ch, contact, id)
	if err != nil {
		return it, ch, id, how, err
	}
	ok, err := p.sees(ctx, a, it.GroupID)
	if err == nil && !ok {
		if how == store.OpenReopened {
			p.announceReopened(ctx, ch, it, a.Tenant.UserID, "agent wrote")
		}
		err = omni.Problemf(omni.ErrForbidden, "another group has the conversation with this recipient")
	}
	return it, ch, id, how, err
}

// NormaliseAddress turns what a person typed into the address of a channel family: phone numbers into E.164.
// Short codes (3 to 8 digits) and business-scoped ids stay. country (ISO 3166-1 alpha-2) helps with local numbers.
func NormaliseAddress(family omni.ChannelType, s, country string) (string, error) {
	s = strings.TrimSpace(s)
	if family != omni.ChannelSMS && family != omni.ChannelWhatsApp {
		return s, nil
	}
	if n := len(s); n >= 3 && n <= 8 && strings.Trim(s, "0123456789") == "" || family == omni.ChannelWhatsApp && carriers.IsUserID(s) {
		return s, nil
	}
	num, err := phonenumbers.Parse(s, country)
	if err != nil || !phonenumbers.IsPossibleNumber(num) {
		return "", fieldProblem("to", "must be a phone number with country code, such as +14155550123")
	}
	return phonenumbers.Format(num, phonenumbers.E164), nil
}

// maySend says why a message must not go out by a channel now. A template may at any time, if it is one that may be sent to
// that identity; its length is its carrier's business.
func (p *Pipeline) maySend(ctx context.Context, ch omni.DigitalChannel, it omni.Interaction, id omni.ContactIdentity, pl omni.MessagePayload) error {
	open := pl.Type == omni.PayloadTemplate
	if !open {
		var err error
		if open, err = p.windowOpen(ctx, ch, it); err != nil {
			return err
		}
	}
	switch {
	case ch.Disabled:
		return omni.Problemf(omni.ErrConflict, "the channel %q is switched off", ch.Name)
	case id.OptedOutAt > 0:
		return omni.Problemf(omni.ErrOptedOut, "the recipient has opted out; they have to write START before they can be messaged again")
	case !open:
		return omni.Problemf(omni.ErrWindowClosed, "free text may be sent for %d hours after the contact wrote; send a template instead", ch.Capabilities.WindowHours)
	case pl.Type == omni.PayloadTemplate:
		return nil
	}
	return textFits(ch.Capabilities, pl)
}

// textFits says why a text is too long for a channel.
func textFits(able omni.Capabilities, pl omni.MessagePayload) error {
	text := pl.TextBody()
	if limit := able.MaxTextLength; limit > 0 && len(utf16.Encode([]rune(text))) > limit {
		return fieldProblem("payload.text", fmt.Sprintf("must be at most %d characters on this channel", limit))
	}
	if limit := able.MaxTextBytes; limit > 0 && len(text) > limit {
		return fieldProblem("payload.text", fmt.Sprintf("must be at most %d bytes on this channel, and has %d: letters beyond plain English take several", limit, len(text)))
	}
	if able.Segmented && able.MaxSegments > 0 && pl.Type == omni.PayloadText {
		if n, err := omni.CountSegments(text); err == nil && n.Segments > able.MaxSegments {
			return fieldProblem("payload.text", fmt.Sprintf("must go out as at most %d SMS parts on this channel, and would as %d", able.MaxSegments, n.Segments))
		}
	}
	return nil
}

// Claim makes the actor the owner of an interaction that nobody owns. Of two at once one wins; the other gets
// omni.ErrConflict with who did.
func (p *Pipeline) Claim(ctx context.Context, a Actor, c wire.InteractionAction) (omni.Interaction, error) {
	it, err := p.Interaction(ctx, a, c.InteractionID)
	if err != nil {
		return it, err
	}
	me := omni.InteractionOwner{Type: omni.EntityUser, ID: a.Tenant.UserID}
	if it.Owner == me {
		return it, nil
	}
	if it.Owner.Type == omni.EntityUser {
		return it, p.conflictWith(ctx, a, it, it.Owner.ID, hasIt)
	}
	return p.change(ctx, a, it, c.Version, store.InteractionChange{Owner: &me}, wire.InteractionAssigned, "claimed")
}

// Assign gives an interaction to a user who sees its group, or back to the group.
func (p *Pipeline) Assign(ctx context.Context, a Actor, c wire.AssignInteraction) (omni.Interaction, error) {
	it, err := p.Interaction(ctx, a, c.InteractionID)
	if err != nil {
		return it, err
	}
	if err := p.mayGiveAway(a, it); err != nil {
		return it, err
	}
	owner := omni.InteractionOwner(c.Owner)
	switch owner.Type {
	case omni.EntityGroup:
		if owner.ID != it.GroupID {
			return it, fieldProblem("owner.id", "must be the group of the conversation")
		}
	case omni.EntityUser:
		if err := p.mayOwn(ctx, a, it, owner.ID); err != nil {
			return it, err
		}
	default:
		return it, fieldProblem("owner.type", "must be User or Group")
	}
	return p.change(ctx, a, it, c.Version, store.InteractionChange{Owner: &owner}, wire.InteractionAssigned, "assigned")
}

func (p *Pipeline) mayOwn(ctx context.Context, a Actor, it omni.Interaction, userID string) error {
	ok, err := p.userSees(ctx, a.Tenant, it, userID)
	if err == nil && !ok {
		err = fieldProblem("owner.id", "must be a user who sees this conversation's group")
	}
	return err
}

// userSees reports whether there is such a user, and they see an interaction.
func (p *Pipeline) userSees(ctx context.Context, t omni.Tenant, it omni.Interaction, userID string) (bool, error) {
	if !omni.ValidID(userID) {
		return false, nil
	}
	u, err := p.user(ctx, t, userID)
	if errors.Is(err, omni.ErrNotFound) || err == nil && u.Disabled {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("user %s: %w", userID, err)
	}
	return p.sees(ctx, Actor{Tenant: omni.Tenant{OrganisationID: t.OrganisationID, UserID: u.ID}, Role: u.Role}, it.GroupID)
}

func (p *Pipeline) mayGiveAway(a Actor, it omni.Interaction) error {
	if it.Owner.Type == omni.EntityUser && it.Owner.ID != a.Tenant.UserID && !a.leads() {
		return omni.Problemf(omni.ErrForbidden, "only its owner or a supervisor can give this conversation away")
	}
	return nil
}

// Release gives an interaction back to its group.
func (p *Pipeline) Release(ctx context.Context, a Actor, c wire.InteractionAction) (omni.Interaction, error) {
	it, err := p.Interaction(ctx, a, c.InteractionID)
	if err != nil {
		return it, err
	}
	if err := p.mayGiveAway(a, it); err != nil {
		return it, err
	}
	owner := omni.InteractionOwner{Type: omni.EntityGroup, ID: it.GroupID}
	if it.Owner == owner {
		return it, nil
	}
	return p.change(ctx, a, it, c.Version, store.InteractionChange{Owner: &owner}, wire.InteractionAssigned, "released")
}

// Resolve ends an interaction. What the contact writes later reopens it, or begins a new one.
func (p *Pipeline) Resolve(ctx context.Context, a Actor, c wire.InteractionAction) (omni.Interaction, error) {
	it, err := p.Interaction(ctx, a, c.InteractionID)
	if err != nil {
		return it, err
	}
	if it.State == omni.InteractionResolved {
		return it, nil
	}
	state, at, by := omni.InteractionResolved, p.millis(), a.Tenant.UserID
	change := store.InteractionChange{State: &state, ResolvedAt: &at, ResolvedBy: &by}
	return p.change(ctx, a, it, c.Version, awake(it, change), wire.InteractionResolved, "resolved")
}

// Reopen opens a resolved or snoozed interaction again, unless a newer one of the same contact and channel is open.
func (p *Pipeline) Reopen(ctx context.Context, a Actor, c wire.InteractionAction) (omni.Interaction, error) {
	it, err := p.Interaction(ctx, a, c.InteractionID)
	if err != nil {
		return it, err
	}
	if it.State == omni.InteractionOpen {
		return it, nil
	}
	state, never, nobody := omni.InteractionOpen, omni.Millis(0), ""
	change := store.InteractionChange{State: &state, ResolvedAt: &never, ResolvedBy: &nobody}
	return p.change(ctx, a, it, c.Version, awake(it, change), wire.InteractionReopened, "reopened")
}

// change applies and announces a change, if version is still the interaction's.
func (p *Pipeline) change(ctx context.Context, a Actor, it omni.Interaction, version int64, c store.InteractionChange, event, reason string) (omni.Interaction, error) {
	ch, err := p.channel(ctx, a.Tenant, it.DigitalChannelID)
	if err != nil {
		return it, fmt.Errorf("channel of interaction %s: %w", it.ID, err)
	}
	defer p.lockInteraction(ch, it)()
	return p.changeLocked(ctx, a, it, version, c, event, reason)
}

// changeLocked is change for a caller who holds the conversation's lock.
func (p *Pipeline) changeLocked(ctx context.Context, a Actor, it omni.Interaction, version int64, c store.InteractionChange, event, reason string) (omni.Interaction, error) {
	if it.Version != version {
		return it, p.conflict(ctx, a, it)
	}
	after, err := p.store.ChangeInteraction(ctx, a.Tenant, it.ID, version, c)
	if errors.Is(err, omni.ErrConflict) {
		if now, err := p.store.Interaction(ctx, a.Tenant, it.ID); err == nil {
			it = now
		}
		return it, p.conflict(ctx, a, it)
	}
	if err != nil {
		return it, fmt.Errorf("change interaction %s: %w", it.ID, err)
	}
	p.announceChange(ctx, it, after, c, event, wire.InteractionChange{By: a.Tenant.UserID, Reason: reason})
	return after, nil
}

// announceChange tells of a change by what ev begins: at the interaction's home, at the one that it left, and a LiveChat
// visitor if the conversation has ended or goes on for them. Snoozing is no end.
func (p *Pipeline) announceChange(ctx context.Context, before, after omni.Interaction, c store.InteractionChange, event string, ev wire.InteractionChange) {
	ev.InteractionID, ev.Version = after.ID, after.Version
	if c.Owner != nil {
		owner := wire.Owner(after.Owner)
		ev.Owner = &owner
	}
	if c.State != nil {
		ev.State, ev.ResolvedAt = &after.State, &after.ResolvedAt
	}
	if c.SnoozedUntil != nil {
		ev.SnoozedUntil = &after.SnoozedUntil
	}
	if c.GroupID != nil {
		ev.GroupID, ev.FolderID = &after.GroupID, &after.FolderID
	}
	if c.LabelIDs != nil {
		labels := append([]string{}, after.LabelIDs...)
		ev.LabelIDs = &labels
	}
	home := p.homeTopic(ctx, after)
	p.publish(ctx, home, event, ev)
	if left := p.homeTopic(ctx, before); left != home {
		p.publish(ctx, left, event, ev)
	}
	ended := func(i omni.Interaction) bool { return i.State == omni.InteractionResolved }
	if after.ChannelType == omni.ChannelLiveChat && ended(before) != ended(after) {
		p.publish(ctx, omni.VisitorTopic(after.ContactAddress), event, wire.InteractionChange{InteractionID: after.ID, State: &after.State})
	}
}

// announceReopened tells that the contact reopened an interaction by writing.
func (p *Pipeline) announceReopened(ctx context.Context, ch omni.DigitalChannel, it omni.Interaction, by, reason string) {
	never := omni.Millis(0)
	p.publish(ctx, p.homeTopic(ctx, it), wire.InteractionReopened, wire.InteractionChange{
		InteractionID: it.ID, Version: it.Version, State: &it.State, ResolvedAt: &never, By: by, Reason: reason,
	})
	if ch.ChannelType == omni.ChannelLiveChat {
		p.publish(ctx, omni.VisitorTopic(it.ContactAddress), wire.InteractionReopened, wire.InteractionChange{InteractionID: it.ID, State: &it.State})
	}
}

// What somebody else did with a conversation.
const (
	hasIt     = "%s has this conversation"
	changedIt = "%s changed this conversation in the meantime"
)

// conflict says who was faster, with the interaction as it is now.
func (p *Pipeline) conflict(ctx context.Context, a Actor, it omni.Interaction) error {
	if it.ChangedBy != "" && it.ChangedBy != a.Tenant.UserID && it.ChangedBy != it.Owner.ID {
		return p.conflictWith(ctx, a, it, it.ChangedBy, changedIt)
	}
	return p.conflictWith(ctx, a, it, it.Owner.ID, hasIt)
}

// conflictWith names a user, if it is one and not the actor.
func (p *Pipeline) conflictWith(ctx context.Context, a Actor, it omni.Interaction, userID, did string) error {
	details := map[string]any{"interaction": wire.NewInteraction(it)}
	text := "this conversation was changed by somebody else in the meantime"
	if userID != a.Tenant.UserID {
		if u, err := p.user(ctx, a.Tenant, userID); err == nil {
			text = fmt.Sprintf(did, u.Name)
			details["by"] = map[string]string{"id": u.ID, "name": u.Name}
		}
	}
	pr := omni.Problemf(omni.ErrConflict, "%s", text)
	pr.Details = details
	return pr
}

// Read notes how far agents have read.
func (p *Pipeline) Read(ctx context.Context, a Actor, c wire.ReadMessage) error {
	if c.Seq <= 0 {
		return fieldProblem("seq", "must be the sequence of a message")
	}
	it, err := p.Interaction(ctx, a, c.InteractionID)
	if err != nil {
		return err
	}
	ch, err := p.channel(ctx, a.Tenant, it.DigitalChannelID)
	if err != nil {
		return fmt.Errorf("channel of interaction %s: %w", it.ID, err)
	}
	defer p.lockInteraction(ch, it)()
	it, changed, err := p.store.MarkRead(ctx, a.Tenant, it.ID, omni.SenderUser, c.Seq)
	if err != nil {
		return fmt.Errorf("mark interaction %s as read: %w", it.ID, err)
	}
	if !changed {
		return nil
	}
	p.publish(ctx, p.homeTopic(ctx, it), wire.InteractionUpdated, wire.InteractionChange{
		InteractionID: it.ID, AgentReadSeq: &it.AgentReadSeq, Unread: &it.Unread, By: a.Tenant.UserID,
	})
	if it.ChannelType == omni.ChannelLiveChat {
		p.publish(ctx, omni.VisitorTopic(it.ContactAddress), wire.InteractionUpdated, wire.InteractionChange{
			InteractionID: it.ID, AgentReadSeq: &it.AgentReadSeq,
		})
	}
	p.tellRead(ch, it)
	return nil
}

// Typing tells who has the interaction open that the actor is writing.
func (p *Pipeline) Typing(ctx context.Context, a Actor, c wire.TypingCommand) error {
	it, err := p.Interaction(ctx, a, c.InteractionID)
	if err != nil {
		return err
	}
	if !c.Stop {
		p.tellTyping(ctx, it)
	}
	return p.typing(ctx, it, wire.Person{Type: omni.SenderUser, ID: a.Tenant.UserID, Name: a.Name}, c.Stop)
}

func (p *Pipeline) typing(ctx context.Context, it omni.Interaction, who wire.Person, stop bool) error {
	var until omni.Millis
	if !stop {
		until = p.millis().Add(typingFor)
	}
	err := p.pub.Announce(ctx, omni.InteractionTopic(it.ID), wire.TypingEvent, wire.Typing{InteractionID: it.ID, Who: who, Until: until})
	if err != nil {
		return fmt.Errorf("announce typing: %w", err)
	}
	return nil
}

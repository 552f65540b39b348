package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

// maxMentions is how many users a note can call: see omni.Note.Validate.
const maxMentions = 50

// AddNote stores what an agent writes beside an interaction, and tells those who see it; whom it calls is told on their own
// topic too. The contact never hears of it. The same ClientID again gives the same note, created false.
func (p *Pipeline) AddNote(ctx context.Context, a Actor, c wire.AddNote) (n omni.Note, created bool, err error) {
	it, err := p.Interaction(ctx, a, c.InteractionID)
	if err != nil {
		return n, false, err
	}
	switch {
	case !omni.ValidID(c.ClientID):
		return n, false, fieldProblem("clientId", "must be a UUID in lower case, made by the sender and kept for retries")
	case strings.TrimSpace(c.Body) == "":
		return n, false, fieldProblem("body", "must not be empty")
	case !utf8.ValidString(c.Body) || strings.ContainsRune(c.Body, 0):
		return n, false, fieldProblem("body", "must be UTF-8 without NUL")
	case len(c.Body) > omni.MaxText:
		return n, false, fieldProblem("body", fmt.Sprintf("must be at most %d bytes", omni.MaxText))
	}
	mentions := slices.Compact(slices.Sorted(slices.Values(c.Mentions)))
	if len(mentions) > maxMentions {
		return n, false, fieldProblem("mentions", fmt.Sprintf("must be at most %d", maxMentions))
	}
	for _, id := range mentions {
		ok, err := p.userSees(ctx, a.Tenant, it, id)
		if err != nil {
			return n, false, err
		}
		if !ok {
			return n, false, fieldProblem("mentions", "must be users who see this conversation's group")
		}
	}
	n = omni.Note{
		ID: c.ClientID, Tenant: a.Tenant, InteractionID: it.ID, Body: c.Body, Mentions: mentions, Version: 1, CreatedAt: p.millis(),
		SchemaVersion: omni.CurrentSchema,
	}
	defer p.order.lock("note", n.ID)()
	have, err := p.store.Notes().Get(ctx, a.Tenant, n.ID) // creating the very same again would be no error
	if errors.Is(err, omni.ErrNotFound) {
		err = p.store.Notes().Create(ctx, a.Tenant, n)
		if created = err == nil; errors.Is(err, omni.ErrConflict) { // another node was quicker, or it is another organisation's
			have, err = p.store.Notes().Get(ctx, a.Tenant, n.ID)
		}
	}
	switch {
	case created:
	case err != nil && !errors.Is(err, omni.ErrNotFound):
		return omni.Note{}, false, fmt.Errorf("create note: %w", err)
	case err == nil && have.InteractionID == it.ID && have.Tenant.UserID == a.Tenant.UserID:
		return have, false, nil
	default:
		return omni.Note{}, false, fieldProblem("clientId", "is that of another note")
	}
	view, home := wire.NewNote(n), p.homeTopic(ctx, it)
	p.publish(ctx, home, wire.NoteCreated, view)
	for _, id := range mentions {
		if topic := omni.UserTopic(id); topic != home {
			p.publish(ctx, topic, wire.NoteCreated, view)
		}
	}
	return n, true, nil
}

// Notes gives the notes of an interaction that the actor may see, newest first.
func (p *Pipeline) Notes(ctx context.Context, a Actor, interactionID string, pg store.Page) (store.List[omni.Note], error) {
	it, err := p.Interaction(ctx, a, interactionID)
	if err != nil {
		return store.List[omni.Note]{}, err
	}
	l, err := p.store.Notes().List(ctx, a.Tenant, it.ID, pg)
	if err != nil {
		return l, fmt.Errorf("notes of interaction %s: %w", it.ID, err)
	}
	return l, nil
}

// SaveDraft stores what the actor has written in one tab of an interaction and not sent, and tells their other devices. A
// device that has not seen what another one saved gets omni.ErrConflict with it. An empty draft stays, so that its version
// goes on: else a device that was away could bring back what another one has sent.
func (p *Pipeline) SaveDraft(ctx context.Context, a Actor, c wire.SaveDraft) (omni.Draft, error) {
	it, err := p.Interaction(ctx, a, c.InteractionID)
	if err != nil {
		return omni.Draft{}, err
	}
	d := omni.Draft{
		ID: omni.NewID(), Tenant: omni.Org(a.Tenant.OrganisationID), UserID: a.Tenant.UserID, InteractionID: it.ID, Tab: c.Tab,
		Text: c.Text, ReplyTo: c.ReplyTo, Version: 1, UpdatedAt: p.millis(), SchemaVersion: omni.CurrentSchema,
	}
	if err := d.Validate(); err != nil {
		return omni.Draft{}, err
	}
	if err := p.mayReplyTo(ctx, a, it, c.ReplyTo); err != nil {
		return omni.Draft{}, err
	}
	have, err := p.store.Drafts().Find(ctx, a.Tenant, d)
	switch {
	case errors.Is(err, omni.ErrNotFound):
		err = p.store.Drafts().Create(ctx, a.Tenant, d)
	case err != nil:
	case have.Text == d.Text && have.ReplyTo == d.ReplyTo:
		return have, nil // it is as they want it, whoever saved it
	case have.Version != c.Version:
		return omni.Draft{}, draftConflict(have)
	default:
		d.ID, d.Version = have.ID, have.Version
		d, err = p.store.Drafts().Update(ctx, a.Tenant, d)
	}
	if errors.Is(err, omni.ErrConflict) {
		if have, err := p.store.Drafts().Find(ctx, a.Tenant, d); err == nil {
			return omni.Draft{}, draftConflict(have)
		}
	}
	if err != nil {
		return omni.Draft{}, fmt.Errorf("save draft: %w", err)
	}
	p.publish(ctx, omni.UserTopic(a.Tenant.UserID), wire.DraftUpdated, wire.NewDraft(d))
	return d, nil
}

func draftConflict(have omni.Draft) error {
	pr := omni.Problemf(omni.ErrConflict, "this draft was changed on another device in the meantime")
	pr.Details = map[string]any{"draft": wire.NewDraft(have)}
	return pr
}

// Drafts gives the actor's own drafts in an interaction, one for each tab in which something was saved.
func (p *Pipeline) Drafts(ctx context.Context, a Actor, interactionID string) ([]omni.Draft, error) {
	it, err := p.Interaction(ctx, a, interactionID)
	if err != nil {
		return nil, err
	}
	var all []omni.Draft
	for _, tab := range omni.DraftTabs {
		d, err := p.store.Drafts().Find(ctx, a.Tenant, omni.Draft{UserID: a.Tenant.UserID, InteractionID: it.ID, Tab: tab})
		if errors.Is(err, omni.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("draft in interaction %s: %w", it.ID, err)
		}
		all = append(all, d)
	}
	return all, nil
}

package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

// Templates of an account are read from its carrier when the account is made, when somebody asks for it, soon after the
// carrier told of one, and every hour: a webhook may be lost, and most changes are told by none.

const (
	templatesFirst   = 5 * time.Second  // from the start to the first round, at most
	templatesSettle  = 30 * time.Second // from a webhook to reading: the carrier's list may be behind what it tells
	templatesAgain   = 5 * time.Minute  // after a failure that may pass
	templatesTimeout = 2 * time.Minute  // to read those of one account
	templatesOld     = 24 * time.Hour   // after which it is noted again that nothing has changed
	// templateEventLate is how far a webhook may be behind what is known and still count: clocks differ.
	templateEventLate = time.Minute
)

// templateSyncs are the accounts whose templates are to be read soon, by this node.
type templateSyncs struct {
	mu   sync.Mutex
	due  map[string]templateSync // by account
	wake chan struct{}
}

type templateSync struct {
	tenant omni.Tenant
	at     time.Time
}

func (s *templateSyncs) init() {
	s.due, s.wake = map[string]templateSync{}, make(chan struct{}, 1)
}

// want has an account's templates read at a moment, or earlier if that is wanted already.
func (s *templateSyncs) want(t omni.Tenant, accountID string, at time.Time) {
	s.mu.Lock()
	if old, ok := s.due[accountID]; !ok || at.Before(old.at) {
		s.due[accountID] = templateSync{omni.Org(t.OrganisationID), at}
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take removes what is due, and tells when the next is.
func (s *templateSyncs) take(now time.Time) (due map[string]templateSync, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	due = map[string]templateSync{}
	for id, d := range s.due {
		switch {
		case !d.at.After(now):
			due[id] = d
			delete(s.due, id)
		case next.IsZero() || d.at.Before(next):
			next = d.at
		}
	}
	return due, next
}

// RefreshTemplates has the templates of an account read soon, if its carrier has any.
func (p *Pipeline) RefreshTemplates(t omni.Tenant, accountID string) {
	p.templates.want(t, accountID, p.now())
}

// keepTemplates reads templates that are due, until ctx ends.
func (p *Pipeline) keepTemplates(ctx context.Context) error {
	every, first := p.o.Templates, min(templatesFirst, p.o.Templates)
	round := p.now().Add(first)
	timer := time.NewTimer(first)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-p.templates.wake:
		}
		now := p.now()
		if !now.Before(round) {
			round = now.Add(p.o.Poll)
			if p.leases.held(0, p.millis()) { // one node does it for all
				if err := p.wantAllTemplates(ctx, every/6); err != nil {
					p.log.Log(ctx, p.levelOf(err, slog.LevelWarn), "list accounts with templates", "err", err)
				} else {
					round = now.Add(every - every/10 + rand.N(every/5)) //nolint:gosec // it only spreads load
				}
			}
		}
		due, next := p.templates.take(now)
		for id, d := range due {
			if ctx.Err() != nil {
				return nil
			}
			p.readTemplates(ctx, d.tenant, id)
		}
		if next.IsZero() || round.Before(next) {
			next = round
		}
		timer.Reset(max(0, next.Sub(p.now())))
	}
}

// wantAllTemplates has the templates of all accounts read: at once where none are known, spread over some time elsewhere.
func (p *Pipeline) wantAllTemplates(ctx context.Context, spread time.Duration) error {
	orgs, err := readAll(ctx, p.store.AllOrganisations)
	if err != nil {
		return err
	}
	for _, org := range orgs {
		t := omni.Org(org.ID)
		accounts, err := readAll(ctx, func(ctx context.Context, pg store.Page) (store.List[omni.CarrierAccount], error) {
			return p.store.CarrierAccounts(ctx, t, pg)
		})
		if err != nil {
			return err
		}
		for _, rec := range accounts {
			if _, err := p.templateManager(ctx, t, rec.ID); err != nil {
				continue // it has none, or cannot be used
			}
			known, err := p.store.Templates().List(ctx, t, rec.ID, store.Page{Limit: 1})
			if err != nil {
				return err
			}
			at := p.now()
			if len(known.Items) > 0 {
				at = at.Add(rand.N(spread)) //nolint:gosec // it only spreads load
			}
			p.templates.want(t, rec.ID, at)
		}
	}
	return nil
}

// readTemplates is SyncTemplates for nobody in particular.
func (p *Pipeline) readTemplates(ctx context.Context, t omni.Tenant, accountID string) {
	if _, err := p.templateManager(ctx, t, accountID); errors.Is(err, omni.ErrUnsupported) || errors.Is(err, omni.ErrNotFound) {
		return
	}
	limited, cancel := context.WithTimeout(ctx, templatesTimeout)
	defer cancel()
	_, err := p.SyncTemplates(limited, t, accountID)
	if err == nil || ctx.Err() != nil {
		return
	}
	p.log.Log(ctx, p.levelOf(err, slog.LevelWarn), "read templates", "account_id", accountID, "org_id", t.OrganisationID, "err", err)
	if c := omni.CodeOf(err); c == omni.CodeRateLimited || c == omni.CodeUnavailable {
		wait := templatesAgain
		if pr, ok := errors.AsType[*omni.Problem](err); ok {
			wait = max(wait, pr.RetryAfter)
		}
		p.templates.want(t, accountID, p.now().Add(wait))
	}
}

// templateManager opens the carrier of an account, if it keeps templates: else omni.ErrUnsupported.
func (p *Pipeline) templateManager(ctx context.Context, t omni.Tenant, accountID string) (carriers.TemplateManager, error) {
	a, err := p.AccountByID(ctx, t, accountID)
	if err != nil {
		return nil, err
	}
	m, ok := a.Carrier.(carriers.TemplateManager)
	if !ok {
		return nil, omni.Problemf(omni.ErrUnsupported, "the carrier of this account keeps no templates")
	}
	return m, nil
}

// TemplateSync is what reading an account's templates changed.
type TemplateSync struct {
	Templates int // that there are now
	Added     int
	Changed   int
	Removed   int
}

// SyncTemplates makes the templates that we know of an account those that its carrier has, and announces what is new. Of the
// first that are read nothing is announced. It may be repeated, and done by several at once.
func (p *Pipeline) SyncTemplates(ctx context.Context, t omni.Tenant, accountID string) (TemplateSync, error) {
	var res TemplateSync
	manager, err := p.templateManager(ctx, t, accountID)
	if err != nil {
		return res, err
	}
	began := p.millis()
	theirs, err := manager.Templates(ctx)
	if err != nil {
		return res, fmt.Errorf("templates of account %s: %w", accountID, err)
	}
	known, err := p.templatesOf(ctx, t, accountID)
	if err != nil {
		return res, err
	}
	ours := make(map[string]omni.MessageTemplate, len(known))
	for _, m := range known {
		ours[m.Name+" "+m.Language] = m
	}
	for _, m := range theirs {
		key := m.Name + " " + m.Language
		was, there := ours[key]
		delete(ours, key)
		next := told(was, m, began)
		if !there {
			next.ID, next.Tenant, next.CarrierAccountID, next.Version = omni.NewID(), omni.Org(t.OrganisationID), accountID, 1
			next.CreatedAt, next.SchemaVersion = began, omni.CurrentSchema
		}
		if err := next.Validate(); err != nil {
			p.log.WarnContext(ctx, "template that cannot be kept", "account_id", accountID, "org_id", t.OrganisationID, "err", err)
			continue
		}
		res.Templates++
		switch {
		case !there:
			err = p.store.Templates().Create(ctx, t, next)
		case was.SyncedAt > began: // a webhook came meanwhile, and is newer
			continue
		case differs(was, next) || began > was.SyncedAt.Add(templatesOld):
			next, err = p.store.Templates().Update(ctx, t, next)
		default:
			continue
		}
		switch {
		case errors.Is(err, omni.ErrConflict): // somebody else was faster
		case err != nil:
			return res, fmt.Errorf("keep template of account %s: %w", accountID, err)
		case !there:
			res.Added++
			if len(known) > 0 {
				p.announceTemplate(ctx, next)
			}
		case differs(was, next):
			res.Changed++
			p.announceTemplate(ctx, next)
		}
	}
	for _, gone := range ours {
		if gone.SyncedAt > began {
			continue // made meanwhile
		}
		err := p.removeTemplate(ctx, gone)
		if err != nil {
			return res, err
		}
		res.Removed++
	}
	return res, nil
}

// told is a template as a carrier tells of it.
func told(was, m omni.MessageTemplate, at omni.Millis) omni.MessageTemplate {
	was.CarrierID, was.Name, was.Language, was.Category = m.CarrierID, m.Name, m.Language, m.Category
	was.Status, was.Quality, was.NamedParameters = m.Status, m.Quality, m.NamedParameters
	was.Components, was.RejectedReason, was.SyncedAt = m.Components, m.RejectedReason, at
	if was.Quality == "" {
		was.Quality = omni.QualityUnknown
	}
	return was
}

// differs reports whether b is told otherwise than a.
func differs(a, b omni.MessageTemplate) bool {
	a.SyncedAt, a.Version = b.SyncedAt, b.Version
	return a != b
}

func (p *Pipeline) templatesOf(ctx context.Context, t omni.Tenant, accountID string) ([]omni.MessageTemplate, error) {
	all, err := readAll(ctx, func(ctx context.Context, pg store.Page) (store.List[omni.MessageTemplate], error) {
		return p.store.Templates().List(ctx, t, accountID, pg)
	})
	if err != nil {
		return nil, fmt.Errorf("templates of account %s: %w", accountID, err)
	}
	return all, nil
}

func (p *Pipeline) announceTemplate(ctx context.Context, m omni.MessageTemplate) {
	p.publish(ctx, omni.OrgTopic(m.Tenant.OrganisationID), wire.TemplateStatus, wire.TemplateChange{
		TemplateID: m.ID, CarrierAccountID: m.CarrierAccountID, Name: m.Name, Language: m.Language, Category: m.Category,
		Status: m.Status, Quality: m.Quality, Reason: m.RejectedReason, Usable: m.Usable(), Version: m.Version,
	})
}

func (p *Pipeline) removeTemplate(ctx context.Context, m omni.MessageTemplate) error {
	err := p.store.Templates().Delete(ctx, m.Tenant, m.ID)
	if errors.Is(err, omni.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove template %s: %w", m.ID, err)
	}
	m.Status = omni.TemplateDeleted
	p.announceTemplate(ctx, m)
	return nil
}

// CreateTemplate hands a template in at its account's carrier. Of t its account, name, language, category, components and
// how it names its places are looked at.
func (p *Pipeline) CreateTemplate(ctx context.Context, a Actor, t omni.MessageTemplate) (omni.MessageTemplate, error) {
	manager, err := p.templateManager(ctx, a.Tenant, t.CarrierAccountID)
	if errors.Is(err, omni.ErrNotFound) {
		return t, omni.Problemf(omni.ErrNotFound, "there is no carrier account %s", clip(t.CarrierAccountID))
	}
	if err != nil {
		return t, err
	}
	now := p.millis()
	t.ID, t.Tenant, t.Version, t.CreatedAt, t.SyncedAt = omni.NewID(), omni.Org(a.Tenant.OrganisationID), 1, now, now
	t.Status, t.Quality, t.SchemaVersion = omni.TemplatePending, omni.QualityUnknown, omni.CurrentSchema
	if err := t.Validate(); err != nil {
		return t, err
	}
	if err := manager.CheckTemplate(t); err != nil {
		return t, err
	}
	taken := omni.Problemf(omni.ErrConflict, "this account has a template %s in %s already", t.Name, t.Language)
	taken.Fields = map[string]string{"name": "is that of another template in this language"}
	switch _, err := p.store.Templates().Find(ctx, a.Tenant, t); {
	case err == nil:
		return t, taken
	case !errors.Is(err, omni.ErrNotFound):
		return t, fmt.Errorf("find template: %w", err)
	}
	made, err := manager.CreateTemplate(ctx, t)
	if err != nil {
		return t, fmt.Errorf("create template: %w", err)
	}
	t.CarrierID, t.SyncedAt = made.CarrierID, p.millis()
	if made.Status.Valid() {
		t.Status = made.Status
	}
	if made.Category.Valid() {
		t.Category = made.Category // the carrier may think otherwise
	}
	ctx = context.WithoutCancel(ctx) // the carrier has it
	err = p.store.Templates().Create(ctx, a.Tenant, t)
	if errors.Is(err, omni.ErrConflict) { // it was read in between
		return p.store.Templates().Find(ctx, a.Tenant, t)
	}
	if err != nil {
		p.RefreshTemplates(a.Tenant, t.CarrierAccountID)
		return t, fmt.Errorf("keep template: %w", err)
	}
	p.announceTemplate(ctx, t)
	return t, nil
}

// DeleteTemplate removes a template at its carrier, and here.
func (p *Pipeline) DeleteTemplate(ctx context.Context, a Actor, id string) error {
	t, err := p.store.Templates().Get(ctx, a.Tenant, id)
	if err != nil {
		return fmt.Errorf("template %s: %w", id, err)
	}
	manager, err := p.templateManager(ctx, a.Tenant, t.CarrierAccountID)
	if err != nil {
		return fmt.Errorf("account of template %s: %w", id, err)
	}
	if err := manager.DeleteTemplate(ctx, t); err != nil && !errors.Is(err, omni.ErrNotFound) {
		return fmt.Errorf("delete template %s: %w", id, err)
	}
	return p.removeTemplate(context.WithoutCancel(ctx), t)
}

// template applies what a carrier tells of a template. What it does not tell in full is read.
func (p *Pipeline) template(ctx context.Context, r *store.InboxRecord, e omni.CarrierChannelEvent) error {
	read := func(after time.Duration) { p.templates.want(r.Tenant, r.AccountID, p.now().Add(after)) }
	for range maxAttempts {
		was, ok, err := p.templateOf(ctx, r, e)
		if err != nil {
			return err
		}
		if !ok || e.OccurredAt > 0 && e.OccurredAt.Add(templateEventLate) < was.SyncedAt {
			read(0)
			return nil
		}
		next, whole := toldByEvent(was, e)
		if !whole {
			read(0)
		} else {
			read(templatesSettle)
		}
		if !differs(was, next) {
			return nil
		}
		next.SyncedAt = p.millis()
		next, err = p.store.Templates().Update(ctx, r.Tenant, next)
		switch {
		case errors.Is(err, omni.ErrConflict):
			continue
		case errors.Is(err, omni.ErrNotFound):
			return nil
		case err != nil:
			return fmt.Errorf("template %s: %w", was.ID, err)
		}
		p.announceTemplate(context.WithoutCancel(ctx), next)
		return nil
	}
	read(0)
	return nil
}

// templateOf finds the template that an event is about: by the carrier's id of it, else by its name where that has one language.
func (p *Pipeline) templateOf(ctx context.Context, r *store.InboxRecord, e omni.CarrierChannelEvent) (omni.MessageTemplate, bool, error) {
	all, err := p.templatesOf(ctx, r.Tenant, r.AccountID)
	if err != nil {
		return omni.MessageTemplate{}, false, err
	}
	var named []omni.MessageTemplate
	for _, m := range all {
		if e.CarrierMessageID != "" && m.CarrierID == e.CarrierMessageID {
			return m, true, nil
		}
		if m.CarrierID == "" && m.Name == e.Text {
			named = append(named, m)
		}
	}
	if len(named) == 1 {
		return named[0], true, nil
	}
	return omni.MessageTemplate{}, false, nil
}

// toldByEvent is a template after an event. whole is false if more has changed than the event tells.
func toldByEvent(m omni.MessageTemplate, e omni.CarrierChannelEvent) (next omni.MessageTemplate, whole bool) {
	word := string(e.Status)
	if q := omni.TemplateQuality(word); q.Valid() {
		m.Quality = q
		return m, true
	}
	if c := omni.TemplateCategory(word); c.Valid() {
		m.Category = c
		return m, true
	}
	status := omni.TemplateStatus(word)
	if word == "REINSTATED" {
		status = omni.TemplateApproved
	}
	if !status.Valid() || status == omni.TemplateOther {
		return m, false // FLAGGED, UNARCHIVED, UNLOCKED, changed components: what it is now has to be read
	}
	m.Status, m.RejectedReason = status, ""
	if status != omni.TemplateApproved {
		m.RejectedReason = e.ErrorCode
	}
	return m, true
}

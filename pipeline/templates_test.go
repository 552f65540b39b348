package pipeline_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
	"omniservice/store"
)

// shelf is what a carrier has of templates.
type shelf struct {
	mu    sync.Mutex
	all   []omni.MessageTemplate
	err   error
	reads int
}

func (s *shelf) change(f func(all []omni.MessageTemplate) []omni.MessageTemplate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = f(s.all)
}

func (s *shelf) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *shelf) read() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// templateCarrier is a fake that keeps templates whose places are filled by the text "x".
type templateCarrier struct {
	fakeCarrier

	shelf *shelf
}

func (c *templateCarrier) Templates(context.Context) ([]omni.MessageTemplate, error) {
	c.shelf.mu.Lock()
	defer c.shelf.mu.Unlock()
	c.shelf.reads++
	return slices.Clone(c.shelf.all), c.shelf.err
}

func problemOf(field string) error {
	p := omni.Problemf(omni.ErrInvalid, "not right")
	p.Fields = map[string]string{field: "is not right"}
	return p
}

func (*templateCarrier) CheckTemplate(t omni.MessageTemplate) error {
	if strings.Contains(string(t.Components), "bad") {
		return problemOf("components.0.text")
	}
	return nil
}

func (c *templateCarrier) CreateTemplate(_ context.Context, t omni.MessageTemplate) (omni.MessageTemplate, error) {
	c.shelf.mu.Lock()
	defer c.shelf.mu.Unlock()
	t.CarrierID, t.Category = "77", omni.TemplateMarketing
	if c.shelf.err == nil {
		c.shelf.all = append(c.shelf.all, t)
	}
	return t, c.shelf.err
}

func (c *templateCarrier) DeleteTemplate(_ context.Context, t omni.MessageTemplate) error {
	c.shelf.mu.Lock()
	defer c.shelf.mu.Unlock()
	c.shelf.all = slices.DeleteFunc(c.shelf.all, func(m omni.MessageTemplate) bool { return m.CarrierID == t.CarrierID })
	return c.shelf.err
}

func (*templateCarrier) FillTemplate(t omni.MessageTemplate, m omni.TemplateMessage) (string, error) {
	for _, c := range m.Components {
		if c.Type == "body" && len(c.Parameters) == 1 && c.Parameters[0].Text != "" {
			return t.Name + " for " + c.Parameters[0].Text, nil
		}
	}
	return "", problemOf("body.1")
}

func offered(id, name string, category omni.TemplateCategory) omni.MessageTemplate {
	return omni.MessageTemplate{
		CarrierID: id, Name: name, Language: "en", Category: category, Status: omni.TemplateApproved, Quality: omni.QualityGreen,
		Components: `[{"type":"BODY","text":"Hello {{1}}!"}]`,
	}
}

// withTemplates is a system whose channel has a window, and whose carrier has a reminder and an offer, which are known.
func withTemplates(t *testing.T, adjust ...func(*pipeline.Options)) *system {
	t.Helper()
	s := newSystem(t, adjust...)
	s.carrier.shelf = &shelf{all: []omni.MessageTemplate{
		offered("1", "reminder", omni.TemplateUtility), offered("2", "offer", omni.TemplateMarketing),
	}}
	s.sms.Capabilities.WindowHours, s.sms.Capabilities.Templates = 24, true
	var err error
	s.sms, err = s.store.UpdateChannel(t.Context(), s.tenant, s.sms)
	require.NoError(t, err)
	s.Forget("channel", s.sms.ID)
	return s
}

func (s *system) sync() pipeline.TemplateSync {
	s.t.Helper()
	r, err := s.SyncTemplates(s.t.Context(), s.tenant, s.account.ID)
	require.NoError(s.t, err)
	return r
}

func (s *system) template(name string) omni.MessageTemplate {
	s.t.Helper()
	m, err := s.store.Templates().Find(s.t.Context(), s.tenant, omni.MessageTemplate{CarrierAccountID: s.account.ID, Name: name, Language: "en"})
	require.NoError(s.t, err)
	return m
}

// told are the changes of templates that were published, as "name STATUS".
func (s *system) told() (all []string) {
	for _, e := range s.pub.of(wire.TemplateStatus) {
		c := e.data.(wire.TemplateChange)
		all = append(all, c.Name+" "+string(c.Status))
	}
	return all
}

func TestTemplatesAreSynced(t *testing.T) {
	t.Parallel()
	s := withTemplates(t)
	require.Equal(t, pipeline.TemplateSync{Templates: 2, Added: 2}, s.sync())
	require.Empty(t, s.told(), "of the first nothing is announced")
	first := s.template("reminder")
	require.Equal(t, s.tenant, first.Tenant)
	require.NoError(t, first.Validate())
	require.Equal(t, pipeline.TemplateSync{Templates: 2}, s.sync())
	require.Equal(t, first, s.template("reminder"), "nothing is written where nothing has changed")

	s.carrier.shelf.change(func(all []omni.MessageTemplate) []omni.MessageTemplate {
		all[0].Status = omni.TemplatePaused
		strange := offered("9", "Not A Name", omni.TemplateUtility)
		return []omni.MessageTemplate{all[0], offered("3", "welcome", omni.TemplateUtility), strange}
	})
	require.Equal(t, pipeline.TemplateSync{Templates: 2, Added: 1, Changed: 1, Removed: 1}, s.sync())
	require.ElementsMatch(t, []string{"reminder PAUSED", "welcome APPROVED", "offer DELETED"}, s.told())
	require.Equal(t, omni.OrgTopic(s.tenant.OrganisationID), s.pub.of(wire.TemplateStatus)[0].topic)
	after := s.template("reminder")
	require.Equal(t, first.ID, after.ID)
	require.Equal(t, first.Version+1, after.Version)

	s.carrier.shelf.fail(omni.Problemf(omni.ErrUnavailable, "down"))
	_, err := s.SyncTemplates(t.Context(), s.tenant, s.account.ID)
	require.ErrorIs(t, err, omni.ErrUnavailable)
	require.Equal(t, after, s.template("reminder"))

	plain := newSystem(t)
	_, err = plain.SyncTemplates(t.Context(), plain.tenant, plain.account.ID)
	require.ErrorIs(t, err, omni.ErrUnsupported)
	_, err = s.SyncTemplates(t.Context(), plain.tenant, s.account.ID)
	require.ErrorIs(t, err, omni.ErrNotFound, "another organisation's account")
}

func TestTemplatesAreReadByThemselves(t *testing.T) {
	t.Parallel()
	s := withTemplates(t, func(o *pipeline.Options) { o.Templates = 60 * time.Millisecond }).run()
	s.eventually(func() bool { return s.carrier.shelf.read() >= 3 }, "again and again")
	require.True(t, s.template("reminder").Usable())

	asked := withTemplates(t).run()
	asked.RefreshTemplates(asked.tenant, asked.account.ID)
	asked.eventually(func() bool { return asked.carrier.shelf.read() == 1 }, "at once where somebody asks")
}

func templateEvent(id, name, word string) omni.CarrierChannelEvent {
	return omni.CarrierChannelEvent{
		Kind: omni.EventTemplate, Direction: omni.Inbound, Carrier: omni.CarrierTest, ChannelType: omni.ChannelWhatsApp,
		CarrierMessageID: id, From: "220000000000031", Text: name, Status: omni.Status(word), Field: "message_template_status_update",
	}
}

func TestWebhooksChangeTemplates(t *testing.T) {
	t.Parallel()
	s := withTemplates(t)
	s.sync()
	s.run()
	is := func(name string, want func(m omni.MessageTemplate) bool, what string) {
		t.Helper()
		s.eventually(func() bool { return want(s.template(name)) }, what)
	}
	status := func(want omni.TemplateStatus) func(omni.MessageTemplate) bool {
		return func(m omni.MessageTemplate) bool { return m.Status == want }
	}
	rejected := templateEvent("1", "reminder", "REJECTED")
	rejected.ErrorCode = "SCAM"
	for _, step := range []struct {
		e    omni.CarrierChannelEvent
		want omni.TemplateStatus
	}{
		{templateEvent("1", "reminder", "PAUSED"), omni.TemplatePaused},
		{templateEvent("1", "reminder", "REINSTATED"), omni.TemplateApproved},
		{rejected, omni.TemplateRejected},
		{templateEvent("1", "reminder", "IN_APPEAL"), omni.TemplateInAppeal},
		{templateEvent("1", "reminder", "APPROVED"), omni.TemplateApproved},
		{templateEvent("1", "reminder", "DISABLED"), omni.TemplateDisabled},
		{templateEvent("1", "reminder", "LIMIT_EXCEEDED"), omni.TemplateLimitExceeded},
		{templateEvent("1", "reminder", "LOCKED"), omni.TemplateLocked},
		{templateEvent("1", "reminder", "ARCHIVED"), omni.TemplateArchived},
		{templateEvent("1", "reminder", "PENDING_DELETION"), omni.TemplatePendingDeletion},
		{templateEvent("1", "reminder", "DELETED"), omni.TemplateDeleted},
		{templateEvent("1", "reminder", "PENDING"), omni.TemplatePending},
	} {
		s.accept(step.e)
		is("reminder", status(step.want), string(step.e.Status))
		want := ""
		if step.want == omni.TemplateRejected {
			want = "SCAM"
		}
		require.Equal(t, want, s.template("reminder").RejectedReason)
	}
	require.Contains(t, s.told(), "reminder REJECTED")
	require.Len(t, s.told(), 12)
	s.accept(templateEvent("2", "offer", "RED"))
	is("offer", func(m omni.MessageTemplate) bool { return m.Quality == omni.QualityRed && m.Usable() }, "a quality")
	s.accept(templateEvent("2", "offer", "UTILITY"))
	is("offer", func(m omni.MessageTemplate) bool { return m.Category == omni.TemplateUtility }, "a category")

	// What an event does not tell in full is read, and so is one that is not known, or late.
	require.Zero(t, s.carrier.shelf.read()-1)
	reads := 1
	late := templateEvent("2", "offer", "DISABLED")
	late.OccurredAt = omni.MillisOf(time.Now().Add(-time.Hour))
	for _, e := range []omni.CarrierChannelEvent{
		templateEvent("1", "reminder", "UNLOCKED"), templateEvent("1", "reminder", "UNARCHIVED"), templateEvent("1", "reminder", "FLAGGED"),
		templateEvent("1", "reminder", "COMPONENTS_UPDATED"), templateEvent("8", "stranger", "APPROVED"), late,
	} {
		s.accept(e)
		reads++
		s.eventually(func() bool { return s.carrier.shelf.read() >= reads }, string(e.Status)+" has them read")
		reads = s.carrier.shelf.read()
	}
	is("reminder", status(omni.TemplateApproved), "as the carrier has it")
	require.True(t, s.template("offer").Usable())
	require.Empty(t, s.aside())
}

func TestTemplatesAreMadeAndRemoved(t *testing.T) {
	t.Parallel()
	s := withTemplates(t)
	s.sync()
	want := omni.MessageTemplate{
		CarrierAccountID: s.account.ID, Name: "welcome", Language: "en", Category: omni.TemplateUtility, Components: `[{"type":"BODY","text":"Hi"}]`,
	}
	made, err := s.CreateTemplate(t.Context(), s.ana, want)
	require.NoError(t, err)
	require.Equal(t, "77", made.CarrierID)
	require.Equal(t, omni.TemplateMarketing, made.Category, "the carrier thinks that it is")
	require.Equal(t, omni.TemplatePending, made.Status)
	require.Equal(t, made, s.template("welcome"))
	_, err = s.CreateTemplate(t.Context(), s.ana, want)
	require.ErrorIs(t, err, omni.ErrConflict)

	for field, change := range map[string]func(*omni.MessageTemplate){
		"name": func(m *omni.MessageTemplate) { m.Name = "Big" }, "components.0.text": func(m *omni.MessageTemplate) { m.Components = `["bad"]` },
	} {
		bad := want
		change(&bad)
		_, err = s.CreateTemplate(t.Context(), s.ana, bad)
		require.ErrorIs(t, err, omni.ErrInvalid)
		require.Equal(t, field, problemField(err))
	}
	nowhere := want
	nowhere.CarrierAccountID = omni.NewID()
	_, err = s.CreateTemplate(t.Context(), s.ana, nowhere)
	require.ErrorIs(t, err, omni.ErrNotFound)

	stranger := newSystem(t)
	require.ErrorIs(t, s.DeleteTemplate(t.Context(), stranger.ana, made.ID), omni.ErrNotFound)
	s.carrier.shelf.fail(omni.Problemf(omni.ErrForbidden, "no"))
	require.ErrorIs(t, s.DeleteTemplate(t.Context(), s.ana, made.ID), omni.ErrForbidden)
	other := want
	other.Name = "other"
	_, err = s.CreateTemplate(t.Context(), s.ana, other)
	require.ErrorIs(t, err, omni.ErrForbidden)
	s.carrier.shelf.fail(omni.Problemf(omni.ErrNotFound, "gone"))
	require.NoError(t, s.DeleteTemplate(t.Context(), s.ana, made.ID), "the carrier has it no more")
	_, err = s.store.Templates().Get(t.Context(), s.tenant, made.ID)
	require.ErrorIs(t, err, omni.ErrNotFound)
	require.Equal(t, []string{"welcome PENDING", "welcome DELETED"}, s.told())
}

func filledTemplate(id, text string) wire.SendPayload {
	return wire.SendPayload{Template: &wire.SendTemplate{TemplateID: id, Components: []wire.TemplateComponent{
		{Type: "body", Parameters: []wire.TemplateParameter{{Type: "text", Text: text}}},
	}}}
}

func TestTemplatesAreSentOutsideTheWindow(t *testing.T) {
	t.Parallel()
	s := withTemplates(t)
	s.sync()
	s.run()
	send := func(pl wire.SendPayload) (omni.ServiceMessage, error) {
		m, _, err := s.Send(t.Context(), s.ana, wire.SendMessage{ChannelID: s.sms.ID, To: "+14155550123", ClientID: omni.NewID(), Payload: pl})
		return m, err
	}
	reminder := s.template("reminder")
	_, err := send(wire.SendPayload{Text: "hi"})
	require.ErrorIs(t, err, omni.ErrWindowClosed)
	m, err := send(filledTemplate(reminder.ID, "Ana"))
	require.NoError(t, err)
	require.Equal(t, omni.PayloadTemplate, m.Payload.Type)
	require.Equal(t, "reminder for Ana", m.Payload.TextBody())
	require.Equal(t, &wire.TemplateRef{TemplateID: reminder.ID, Name: "reminder", Language: "en"}, wire.NewMessage(m).Payload.Template)
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusSent }, "sent")
	sent := s.carrier.sends()[0].Payload.Template
	require.Equal(t, reminder.ID, sent.TemplateID)
	require.Equal(t, []omni.TemplateComponent{{Type: "body", Parameters: []omni.TemplateParameter{{Type: "text", Text: "Ana"}}}}, sent.Components)
	byName := filledTemplate("", "Ben")
	byName.Template.Name, byName.Template.Language = "reminder", "en"
	_, err = send(byName)
	require.NoError(t, err)

	byName.Template.Language = "sw"
	image := filledTemplate(reminder.ID, "Ana")
	image.Template.Components[0].Parameters[0] = wire.TemplateParameter{Type: "image", URL: "http://example.test/1.jpg"}
	for field, pl := range map[string]wire.SendPayload{
		"payload.template.body.1":          filledTemplate(reminder.ID, ""),
		"payload.template.templateId":      {Template: &wire.SendTemplate{}},
		"payload.template.components.type": {Template: &wire.SendTemplate{TemplateID: reminder.ID, Components: []wire.TemplateComponent{{Type: "footer"}}}},
		"payload.template.body":            image,
		"payload.text":                     {Text: "and this", Template: &wire.SendTemplate{TemplateID: reminder.ID}},
		"payload":                          {Location: &wire.Location{}, Template: &wire.SendTemplate{TemplateID: reminder.ID}},
	} {
		_, err = send(pl)
		require.ErrorIs(t, err, omni.ErrInvalid, field)
		require.Equal(t, field, problemField(err))
	}
	others := reminder // of another account of the organisation
	others.ID, others.CarrierAccountID = omni.NewID(), omni.NewID()
	require.NoError(t, s.store.Templates().Create(t.Context(), s.tenant, others))
	for _, pl := range []wire.SendPayload{filledTemplate(omni.NewID(), "Ana"), filledTemplate("x", "Ana"), filledTemplate(others.ID, "Ana"), byName} {
		_, err = send(pl)
		require.ErrorIs(t, err, omni.ErrNotFound)
	}

	// One that was stopped is refused, and one that waits to go out does not go.
	s.answerWith(func(context.Context, omni.ServiceMessage, int) (carriers.SendResult, error) {
		paused := s.template("reminder")
		paused.Status = omni.TemplatePaused
		_, err := s.store.Templates().Update(t.Context(), s.tenant, paused)
		require.NoError(t, err)
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonUnreachable}
	})
	m, err = send(filledTemplate(reminder.ID, "Ana"))
	require.NoError(t, err)
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusFailed }, "failed")
	require.Equal(t, omni.ReasonMalformed, s.message(m.ID).Reason)
	require.Equal(t, "template_not_usable", s.message(m.ID).ErrorCode)
	_, err = send(filledTemplate(reminder.ID, "Ana"))
	require.ErrorIs(t, err, omni.ErrInvalid)
	_, err = s.Retry(t.Context(), s.ana, wire.RetryMessage{MessageID: m.ID})
	require.ErrorIs(t, err, omni.ErrInvalid)

	s.sms.Capabilities.Templates = false
	s.sms, err = s.store.UpdateChannel(t.Context(), s.tenant, s.sms)
	require.NoError(t, err)
	s.Forget("channel", s.sms.ID)
	_, err = send(filledTemplate(reminder.ID, "Ana"))
	require.ErrorIs(t, err, omni.ErrUnsupported)
}

func preference(from, word string, at omni.Millis) omni.CarrierChannelEvent {
	e := inbound("", from, "as they asked")
	e.Kind, e.Status, e.OccurredAt, e.Field = omni.EventPreference, omni.Status(word), at, "user_preferences"
	return e
}

func TestMarketingIsSentToWhoeverWantsIt(t *testing.T) {
	t.Parallel()
	const contact = "+14155550123"
	s := withTemplates(t)
	s.sync()
	s.run()
	s.accept(inbound("in-1", contact, "hello"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 1 }, "the first message")
	it := s.interactions()[0]
	send := func(template, text string) (omni.ServiceMessage, error) {
		m, _, err := s.Send(t.Context(), s.ana, wire.SendMessage{InteractionID: it.ID, ClientID: omni.NewID(), Payload: filledTemplate(s.template(template).ID, text)})
		return m, err
	}
	consents := func(n int) wire.ConsentChange {
		s.eventually(func() bool { return len(s.pub.of(wire.ConsentChanged)) == n }, "a change of consent")
		return s.pub.of(wire.ConsentChanged)[n-1].data.(wire.ConsentChange)
	}
	now := omni.MillisOf(time.Now())
	s.accept(preference(contact, "stop", now))
	require.Equal(t, wire.ConsentChange{
		ContactID: it.ContactID, ChannelType: omni.ChannelSMS, Address: contact, OptedOut: true, Marketing: true, By: "stop",
	}, consents(1))
	_, err := send("offer", "Ana")
	require.ErrorIs(t, err, omni.ErrOptedOut)
	_, err = send("reminder", "Ana")
	require.NoError(t, err, "it is no marketing")
	s.send(s.ana, it.ID, "nor is an answer")

	s.accept(preference(contact, "resume", now+1))
	require.False(t, consents(2).OptedOut)
	// The carrier says it when it is written to, too.
	s.answerWith(func(context.Context, omni.ServiceMessage, int) (carriers.SendResult, error) {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonOptedOut, Code: "131050"}
	})
	m, err := send("offer", "Ana")
	require.NoError(t, err)
	last := consents(3)
	require.True(t, last.OptedOut && last.Marketing)
	require.Equal(t, "131050", last.By)
	require.Equal(t, omni.StatusFailed, s.message(m.ID).Status)
	_, err = s.Retry(t.Context(), s.ana, wire.RetryMessage{MessageID: m.ID})
	require.ErrorIs(t, err, omni.ErrOptedOut)
	id, err := s.store.IdentityByAddress(t.Context(), s.tenant, omni.ChannelSMS, contact)
	require.NoError(t, err)
	require.Zero(t, id.OptedOutAt, "everything else is wanted")
	require.True(t, id.NoMarketing())
	ledger, err := s.store.Consents(t.Context(), s.tenant, id.ID, store.Page{})
	require.NoError(t, err)
	require.Len(t, ledger.Items, 3)
	require.True(t, ledger.Items[0].Marketing())

	// Of somebody who is not known nothing is kept, and a word that is not known is set aside.
	s.accept(preference("+14155550199", "stop", now))
	s.accept(preference(contact, "perhaps", now))
	s.eventually(func() bool { return len(s.aside()) == 1 }, "set aside")
	require.Len(t, s.pub.of(wire.ConsentChanged), 3)
}

// TestNoMarketingOnTheWay: somebody stops it while it waits to go out.
func TestNoMarketingOnTheWay(t *testing.T) {
	t.Parallel()
	const contact = "+14155550123"
	s := withTemplates(t)
	s.sync()
	m, _, err := s.Send(t.Context(), s.ana, wire.SendMessage{ChannelID: s.sms.ID, To: contact, ClientID: omni.NewID(), Payload: filledTemplate(s.template("offer").ID, "Ana")})
	require.NoError(t, err)
	_, _, err = s.store.SetConsent(t.Context(), omni.ConsentUpdate{
		Tenant: s.tenant, ChannelType: omni.ChannelSMS, Address: contact, OptedOut: true, By: omni.MarketingBy + "stop", At: 1,
	})
	require.NoError(t, err)
	s.run()
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusFailed }, "not sent")
	require.Equal(t, omni.ReasonOptedOut, s.message(m.ID).Reason)
	require.Empty(t, s.carrier.sends())
}

// moving is a clock that a test moves.
type moving struct {
	mu  sync.Mutex
	off time.Duration
}

func (c *moving) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.off)
}

func (c *moving) by(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off += d
}

func TestTheWindowEndsAMinuteEarly(t *testing.T) {
	t.Parallel()
	var clock moving
	s := withTemplates(t, func(o *pipeline.Options) { o.Now = clock.now; o.LeaseTTL = 100 * time.Hour })
	s.run()
	s.accept(inbound("in-1", "+14155550123", "hello"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 1 }, "the first message")
	it := s.interactions()[0]
	clock.by(24*time.Hour - 2*time.Minute)
	s.send(s.ana, it.ID, "in time")
	// What waits longer than that does not go out any more.
	tried := make(chan struct{}, 100)
	s.answerWith(func(context.Context, omni.ServiceMessage, int) (carriers.SendResult, error) {
		clock.by(70 * time.Second)
		tried <- struct{}{}
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonUnreachable}
	})
	m := s.send(s.ana, it.ID, "on its way")
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusFailed }, "the window has closed")
	require.Equal(t, omni.ReasonWindowClosed, s.message(m.ID).Reason)
	require.Len(t, tried, 1)
	_, _, err := s.Send(t.Context(), s.ana, wire.SendMessage{InteractionID: it.ID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "late"}})
	require.ErrorIs(t, err, omni.ErrWindowClosed)
}

func TestTheCarrierClosesTheWindow(t *testing.T) {
	t.Parallel()
	s := withTemplates(t)
	s.run()
	s.accept(inbound("in-1", "+14155550123", "hello"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 1 }, "the first message")
	it := s.interactions()[0]
	m := s.send(s.ana, it.ID, "taken")
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusSent }, "sent")
	failed := statusOf(m, omni.StatusFailed)
	failed.Reason, failed.ErrorCode = omni.ReasonWindowClosed, "131047"
	s.accept(failed)
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusFailed }, "refused later")
	_, _, err := s.Send(t.Context(), s.ana, wire.SendMessage{InteractionID: it.ID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "again"}})
	require.ErrorIs(t, err, omni.ErrWindowClosed, "by the clock it is open, and the carrier says that it is not")
	_, err = s.Retry(t.Context(), s.ana, wire.RetryMessage{MessageID: m.ID})
	require.ErrorIs(t, err, omni.ErrWindowClosed)
	s.accept(inbound("in-2", "+14155550123", "still here"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 3 }, "the second message")
	s.send(s.ana, it.ID, "open again")
}

func TestRichMessages(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	send := func(pl wire.SendPayload) (omni.MessagePayload, error) {
		m, _, err := s.Send(t.Context(), s.ana, wire.SendMessage{ChannelID: s.sms.ID, To: "+14155550123", ClientID: omni.NewID(), Payload: pl})
		return m.Payload, err
	}
	buttons := func(titles ...string) wire.SendPayload {
		i := &wire.Interactive{Type: omni.InteractiveButtons}
		for n, title := range titles {
			i.Choices = append(i.Choices, wire.Choice{ID: string(rune('a' + n)), Title: title})
		}
		return wire.SendPayload{Text: "When?", Interactive: i}
	}
	list := func(button string, row wire.Choice) wire.SendPayload {
		return wire.SendPayload{Text: "Which?", Interactive: &wire.Interactive{Type: omni.InteractiveList, Button: button, Choices: []wire.Choice{row}}}
	}
	place := wire.SendPayload{Location: &wire.Location{Latitude: -1.25, Longitude: 36}}
	cards := wire.SendPayload{Contacts: []wire.ContactCard{{Name: "Juma", Phones: []string{"+254722000111"}}, {Name: "Amina"}}}
	for _, pl := range []wire.SendPayload{buttons("Now"), place, cards} {
		_, err := send(pl)
		require.ErrorIs(t, err, omni.ErrUnsupported)
	}
	s.able(omni.Capabilities{MaxTextLength: 4096, Interactive: omni.InteractiveTypes, Location: true, ContactCards: true})
	named := wire.SendPayload{Location: &wire.Location{Latitude: 1, Longitude: 2, Name: "Clinic", Address: "Kenyatta Ave"}}
	flow := wire.SendPayload{Text: "Tell us", Interactive: &wire.Interactive{Type: omni.InteractiveFlow, Button: "Fill in", Flow: []byte(`{"flow_id":"1"}`)}}
	link := wire.SendPayload{Text: "See", Interactive: &wire.Interactive{Type: omni.InteractiveURL, Button: "Open", URL: "https://example.test"}}
	for text, pl := range map[string]wire.SendPayload{
		"geo:-1.25,36": place, "Clinic, Kenyatta Ave": named, "Juma: +254722000111\nAmina": cards,
		"When?": buttons("Now", "Later"), "Which?": list("Menu", wire.Choice{ID: "1", Title: "One", Description: "the first", Section: "All"}),
		"Tell us": flow, "See": link,
	} {
		got, err := send(pl)
		require.NoError(t, err, text)
		require.Equal(t, text, got.TextBody())
		require.NoError(t, got.Validate())
	}
	long := strings.Repeat("x", 100)
	wordy := buttons("Now")
	wordy.Text = strings.Repeat("x", 1025)
	silent := buttons("Now")
	silent.Text = " "
	headed := buttons("Now")
	headed.Interactive.Header = long
	footed := buttons("Now")
	footed.Interactive.Footer = long
	described := buttons("Now")
	described.Interactive.Choices[0].Description = "soon"
	beside := place
	beside.Text = "here"
	flowless := flow
	flowless.Interactive = &wire.Interactive{Type: omni.InteractiveFlow, Button: "Fill in", Flow: []byte(`{}`)}
	for _, tt := range []struct {
		field string
		pl    wire.SendPayload
	}{
		{"payload.interactive.choices", buttons("1", "2", "3", "4")},
		{"payload.interactive.choices.title", buttons(long)},
		{"payload.interactive.choices.title", list("Menu", wire.Choice{ID: "1", Title: long})},
		{"payload.interactive.choices.description", list("Menu", wire.Choice{ID: "1", Title: "x", Description: long})},
		{"payload.interactive.choices.description", described},
		{"payload.interactive.choices.section", list("Menu", wire.Choice{ID: "1", Title: "x", Section: long})},
		{"payload.interactive.choices.id", list("Menu", wire.Choice{ID: long + long + "x", Title: "x"})},
		{"payload.interactive.button", list("", wire.Choice{ID: "1", Title: "x"})},
		{"payload.interactive.button", list(long, wire.Choice{ID: "1", Title: "x"})},
		{"payload.interactive.header", headed},
		{"payload.interactive.footer", footed},
		{"payload.interactive.flow", flowless},
		{"payload.text", wordy},
		{"payload.text", silent},
		{"payload.text", beside},
		{"payload.interactive.choices", buttons()},
		{"payload.location.latitude", wire.SendPayload{Location: &wire.Location{Latitude: 91}}},
		{"payload.contacts.name", wire.SendPayload{Contacts: []wire.ContactCard{{}}}},
	} {
		_, err := send(tt.pl)
		require.ErrorIs(t, err, omni.ErrInvalid, tt.field)
		require.Equal(t, tt.field, problemField(err))
	}
	v := omni.Visitor{ID: omni.NewToken(16), OrganisationID: s.tenant.OrganisationID, DigitalChannelID: s.chat.ID}
	_, _, err := s.VisitorSend(t.Context(), v, wire.SendMessage{ClientID: omni.NewID(), Payload: place})
	require.ErrorIs(t, err, omni.ErrInvalid, "visitors write text")
}

package pipeline_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
)

func (s *system) health() pipeline.Health {
	s.t.Helper()
	h, err := s.Health(s.t.Context(), s.tenant, s.account.ID)
	require.NoError(s.t, err)
	return h
}

func (s *system) healthTold() (states []string) {
	for _, e := range s.pub.of(wire.ChannelHealth) {
		states = append(states, e.data.(wire.HealthChange).State)
	}
	return states
}

func TestHealthFollowsWebhooksAndSends(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	require.Positive(t, s.health().LastWebhookAt)
	require.Equal(t, pipeline.HealthOK, s.health().Of("", omni.MillisOf(time.Now())).State)
	a, err := s.Account(t.Context(), s.account.PublicID)
	require.NoError(t, err)

	for range 3 {
		s.Refused(a, carriers.BadSignature)
	}
	s.eventually(func() bool { return len(s.healthTold()) == 1 }, "webhooks that are not signed by the carrier")
	told := s.pub.of(wire.ChannelHealth)[0]
	require.Equal(t, omni.OrgTopic(s.tenant.OrganisationID), told.topic)
	require.Equal(t, s.sms.ID, told.data.(wire.HealthChange).ChannelID)
	require.Contains(t, told.data.(wire.HealthChange).Reason, "bad_signature")
	s.accept(inbound("in-2", "+14155550123", "again"))
	s.eventually(func() bool { return len(s.healthTold()) == 2 }, "a good one")
	require.EqualValues(t, 3, s.health().Refused)

	bad := &carriers.SendError{Reason: omni.ReasonMisconfigured, Code: "20003", Err: errors.New("CANARY")}
	s.carrier.mu.Lock()
	s.carrier.answers = []error{bad, bad, bad, bad, &carriers.SendError{Reason: omni.ReasonRejected}}
	s.carrier.mu.Unlock()
	for n := range 4 {
		m := s.send(s.ana, it.ID, "hi")
		s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusFailed }, "failed")
		if n == 0 {
			s.eventually(func() bool { return len(s.healthTold()) == 3 }, "one that tells of the account")
		}
	}
	s.eventually(func() bool { return len(s.healthTold()) == 4 }, "an account that does not work")
	h := s.health()
	require.Zero(t, h.LastSentAt)
	require.Equal(t, 4, h.MisconfiguredRow)
	is := h.Of(s.sms.Address, omni.MillisOf(time.Now()))
	require.Equal(t, pipeline.HealthDown, is.State)
	require.Contains(t, is.Reason, "20003")
	require.NotContains(t, is.Reason, "CANARY")

	m := s.send(s.ana, it.ID, "one that the carrier reads, and refuses for what it is")
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusFailed }, "failed")
	s.eventually(func() bool { return len(s.healthTold()) == 5 }, "the account works")
	m = s.send(s.ana, it.ID, "hi")
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusSent }, "sent")
	s.eventually(func() bool { return s.health().LastSentAt > 0 }, "the last send")
	require.Equal(t, []string{"degraded", "ok", "degraded", "down", "ok"}, s.healthTold())

	_, err = s.Health(t.Context(), omni.Org(omni.NewID()), s.account.ID)
	require.ErrorIs(t, err, omni.ErrNotFound, "of another organisation")
}

func TestWhatCarriersSayOfAccounts(t *testing.T) {
	t.Parallel()
	var shift atomic.Int64
	s := newSystem(t, func(o *pipeline.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
	}).run()
	second := s.sms
	second.ID, second.Address = omni.NewID(), "+15005550007"
	require.NoError(t, s.store.CreateChannel(t.Context(), s.tenant, second))
	say := func(field, word, address, health string) omni.CarrierChannelEvent {
		e := omni.CarrierChannelEvent{
			Kind: omni.EventAccount, Direction: omni.Inbound, Carrier: omni.CarrierTest, ChannelType: omni.ChannelSMS, From: "220000000000031",
			To: address, Status: omni.Status(word), Field: field,
		}
		e.Metadata.Set(carriers.MetadataHealth, health)
		return e
	}
	states := func() [2]pipeline.HealthState {
		now := omni.MillisOf(time.Now().Add(time.Duration(shift.Load())))
		return [2]pipeline.HealthState{s.health().Of(s.sms.Address, now).State, s.health().Of(second.Address, now).State}
	}
	ok, bad, down := pipeline.HealthOK, pipeline.HealthDegraded, pipeline.HealthDown
	for _, c := range []struct {
		event omni.CarrierChannelEvent
		want  [2]pipeline.HealthState
		told  int
	}{
		{say("quality", "DOWNGRADE", second.Address, ""), [2]pipeline.HealthState{ok, bad}, 1},
		{say("quality", "THROUGHPUT_UPGRADE", second.Address, ""), [2]pipeline.HealthState{ok, ok}, 2},
		{say("account_update", "ACCOUNT_RESTRICTION", "", ""), [2]pipeline.HealthState{bad, bad}, 4},
		{say("account_update", "VOLUME_BASED_PRICING_TIER_UPDATE", "", ""), [2]pipeline.HealthState{bad, bad}, 4},
		{say("account_update", "DISABLED_UPDATE", "", ""), [2]pipeline.HealthState{down, down}, 6},
		{say("account_update", "DISABLED_UPDATE", "", "ok"), [2]pipeline.HealthState{ok, ok}, 8},
		{say("account_update", "SOMETHING_NEW", "", "down"), [2]pipeline.HealthState{down, down}, 10},
		{say("account_update", "ACCOUNT_RECONNECTED", "", ""), [2]pipeline.HealthState{ok, ok}, 12},
	} {
		s.accept(c.event)
		s.eventually(func() bool { return len(s.healthTold()) >= c.told && s.pendingInbox() == 0 }, string(c.event.Status))
		require.Equal(t, c.want, states(), c.event.Status)
		require.Len(t, s.healthTold(), c.told, c.event.Status)
	}
	e := say("", "", s.sms.Address, "")
	e.Kind, e.ErrorCode, e.Text = omni.EventError, "130429", "Rate limit hit"
	s.accept(e)
	s.eventually(func() bool { return len(s.healthTold()) == 13 }, "an error")
	require.Contains(t, s.health().Of(s.sms.Address, s.health().Notices[0].At).Reason, "error 130429")
	require.Empty(t, s.aside(), "they are acted upon")

	shift.Store(int64(16 * time.Minute))
	s.eventually(func() bool { return len(s.healthTold()) == 14 }, "it is over after a while")
	require.Equal(t, [2]pipeline.HealthState{ok, ok}, states())
}

func TestChannelsSayWhatTheirCarriersCanCarryNow(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.carrier.capabilities = &omni.Capabilities{MaxTextLength: 4096, Reactions: true, Interactive: []omni.InteractiveType{omni.InteractiveList}}
	s.run()
	s.eventually(func() bool { return len(s.pub.of(wire.SettingsChanged)) == 1 }, "the change")
	require.Equal(t, wire.SettingsChange{Kind: "channel", ID: s.sms.ID}, s.pub.of(wire.SettingsChanged)[0].data)
	ch, err := s.store.Channel(t.Context(), s.tenant, s.sms.ID)
	require.NoError(t, err)
	require.Equal(t, *s.carrier.capabilities, ch.Capabilities)
	require.Equal(t, s.sms.Version+1, ch.Version)

	s.stop()
	s.Pipeline, err = pipeline.New(s.store, s.reg, s.keys, s.pub, s.options)
	require.NoError(t, err)
	s.run()
	s.accept(inbound("in-1", "+14155550123", "hello"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 1 }, "it goes on")
	require.Len(t, s.pub.of(wire.SettingsChanged), 1, "what has not changed is left alone")
}

func TestCheckOfAnAccount(t *testing.T) {
	t.Parallel()
	var s *system
	answer := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(pipeline.CheckHeader, s.AnswerCheck(s.account.PublicID, r.Header.Get(pipeline.CheckHeader)))
	}
	var handler atomic.Pointer[http.HandlerFunc]
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*handler.Load())(w, r) }))
	t.Cleanup(web.Close)
	s = newSystem(t, func(o *pipeline.Options) { o.PublicURL, o.HTTP = web.URL, web.Client() })
	s.carrier.checks = []carriers.Check{{Name: "credentials", Detail: "the carrier does not take them: enter them again"}}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		ok     bool
		says   string
	}{
		"ours":            {answer, true, "leads to this gateway"},
		"another program": {http.NotFound, false, "does not know this account"},
		"a proxy":         {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, false, "status 403"},
		"a wrong answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(pipeline.CheckHeader, s.AnswerCheck(s.account.PublicID, "an earlier question"))
		}, false, "not this gateway"},
		"nobody": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, "does not answer"},
	} {
		handler.Store(&c.answer)
		all, err := s.Check(t.Context(), s.tenant, s.account.ID)
		require.NoError(t, err)
		require.Len(t, all, 3, name)
		require.True(t, all[0].OK)
		require.Equal(t, c.ok, all[1].OK, name)
		require.Contains(t, all[1].Detail, c.says, name)
		require.Equal(t, s.carrier.checks[0], all[2])
	}
	require.Empty(t, s.AnswerCheck(s.account.PublicID, ""))

	_, err := s.Check(t.Context(), omni.Org(omni.NewID()), s.account.ID)
	require.ErrorIs(t, err, omni.ErrNotFound)
	s.account.Disabled = true
	_, err = s.store.UpdateCarrierAccount(t.Context(), s.tenant, s.account)
	require.NoError(t, err)
	all, err := s.Check(t.Context(), s.tenant, s.account.ID)
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.False(t, all[0].OK)
	require.Contains(t, all[0].Detail, "disabled")
}

// Check implements carriers.Checker.
func (c *fakeCarrier) Check(context.Context) []carriers.Check { return c.f.checks }

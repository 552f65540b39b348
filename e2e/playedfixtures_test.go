package e2e_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/app"
	"omniservice/carriers"
	"omniservice/carriers/carriertest"
	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/store"
)

// fixtureCarrier is how a carrier's fixtures are set up, where that does not follow from their own secrets: their keys
// are names of settings and credentials, and previous<Name> is a credential that is being replaced.
type fixtureCarrier struct {
	settings map[string]string // that all fixtures are made for
	secrets  map[string]string // keys of fixtures that are called otherwise here; "" means nothing
	signsURL bool              // the account's public id is the last part of the fixture's path; else any will do
	api      string            // scheme and host of the carrier's API, where addresses of files in events are made from it
}

var fixtureCarriers = map[omni.CarrierName]fixtureCarrier{
	omni.CarrierTwilio: {settings: map[string]string{"accountSid": fixtureSID}, signsURL: true},
	omni.CarrierMessageBird: {
		signsURL: true,
	},
	omni.CarrierWhatsApp: {settings: map[string]string{"wabaId": "", "phoneNumberIds": "+254700100200=310000000000017"}}, // theirs are of several accounts
	omni.CarrierPubNub:   {secrets: map[string]string{"previousToken": "previousWebhookToken"}, api: "https://ps.pndsn.com"},
}

// fixtureGroup are the fixtures that one system can play: what they are signed for does not contradict.
type fixtureGroup struct {
	origin   string
	accounts map[string]string // what an account has configured, by its public id
	fixtures []carriertest.Fixture
}

// fixtureAccount names the account of a fixture: its public id, and all that it has configured.
func (c fixtureCarrier) fixtureAccount(t *testing.T, f carriertest.Fixture) (publicID, configured string) {
	t.Helper()
	secret := maps.Clone(f.Secret)
	delete(secret, "now")
	b, err := json.Marshal(secret)
	require.NoError(t, err)
	if !c.signsURL {
		return string(b), string(b)
	}
	u, err := url.Parse(f.Request.URL)
	require.NoError(t, err)
	return path.Base(u.Path), string(b)
}

// group divides fixtures among as few systems as may be.
func (c fixtureCarrier) group(t *testing.T, fixtures []carriertest.Fixture) []*fixtureGroup {
	t.Helper()
	slices.SortStableFunc(fixtures, func(a, b carriertest.Fixture) int { return cmp.Compare(a.Secret["now"], b.Secret["now"]) })
	var all []*fixtureGroup
	for _, f := range fixtures {
		origin := PublicURL
		if c.signsURL {
			origin = f.Origin()
		}
		id, configured := c.fixtureAccount(t, f)
		i := slices.IndexFunc(all, func(g *fixtureGroup) bool {
			has, ok := g.accounts[id]
			return g.origin == origin && (!ok || has == configured)
		})
		if i < 0 {
			i = len(all)
			all = append(all, &fixtureGroup{origin: origin, accounts: map[string]string{}})
		}
		all[i].accounts[id] = configured
		all[i].fixtures = append(all[i].fixtures, f)
	}
	return all
}

// inbox keeps the events that the program has made durable.
type inbox struct {
	store.Store

	mu     sync.Mutex
	writes int
	events []omni.CarrierChannelEvent
}

// PutInbox implements store.Store.
func (s *inbox) PutInbox(ctx context.Context, rs ...store.InboxRecord) error {
	if err := s.Store.PutInbox(ctx, rs...); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	for _, r := range rs {
		s.events = append(s.events, r.Events...)
	}
	return nil
}

// take returns what has come since it was called last.
func (s *inbox) take() []omni.CarrierChannelEvent {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := s.events
	s.events = nil
	return got
}

// fixtureStage is a running system with the accounts of some fixtures.
type fixtureStage struct {
	*Desk

	carrier  fixtureCarrier
	played   app.Played
	inbox    *inbox
	api      string              // scheme and host of what answers for the carrier's API
	accounts map[string]*Account // by public id
	channels map[string]bool
}

// Every webhook fixture of every carrier goes over HTTP into the running program: the answer is the one that the
// fixture wants, and what is stored are its events, all of them and no others.
func TestFixturesOverHTTP(t *testing.T) {
	t.Parallel()
	for _, p := range app.PlayedProviders() {
		t.Run(string(p.Provider.Name()), func(t *testing.T) {
			t.Parallel()
			c := fixtureCarriers[p.Provider.Name()]
			for _, g := range c.group(t, carriertest.Fixtures(t, "../carriers/"+p.Provider.Name().Path()+"/testdata/webhook")) {
				s := newFixtureStage(t, p, c, g)
				for _, f := range g.fixtures {
					s.play(t, f)
				}
				s.Advance(2 * time.Minute) // what reacts to messages that are not there does not wait for them any longer
				s.Drained(t)
				s.settled(t)
			}
		})
	}
}

func newFixtureStage(t *testing.T, p app.Played, c fixtureCarrier, g *fixtureGroup) *fixtureStage {
	t.Helper()
	s := &fixtureStage{carrier: c, played: p, inbox: &inbox{}, accounts: map[string]*Account{}, channels: map[string]bool{}}
	nobody := httptest.NewServer(http.NotFoundHandler()) // the carrier's API: nothing leaves this machine
	t.Cleanup(nobody.Close)
	o := Options{PublicURL: g.origin, Doubles: map[omni.CarrierName]string{p.Provider.Name(): nobody.URL}, Around: func(st store.Store) store.Store {
		s.inbox.Store = st
		return s.inbox
	}}
	if g.fixtures[0].Secret["now"] != "" {
		o.At = g.fixtures[0].Time()
	}
	s.api = nobody.URL
	s.Desk = NewTeam(t, Start(t, o))
	for _, f := range g.fixtures {
		s.prepare(t, f)
	}
	return s
}

// prepare makes the account of a fixture, and the channels that its events are for.
func (s *fixtureStage) prepare(t *testing.T, f carriertest.Fixture) {
	t.Helper()
	id, _ := s.carrier.fixtureAccount(t, f)
	a, ok := s.accounts[id]
	if !ok {
		a = s.account(t, f)
		if s.carrier.signsURL {
			s.rename(t, a, id)
		}
		s.accounts[id] = a
	}
	for _, e := range f.Events {
		address := text(e, "to")
		if e["direction"] == "outbound" {
			address = text(e, "from")
		}
		for _, family := range omni.ChannelTypes {
			if family != family.Family() || s.played.Player.Address(family) == "" {
				continue
			}
			word := text(e, "channelType")
			key := id + string(family) + address
			if address == "" || s.channels[key] || word != strings.ToLower(string(family)) && (word != "mms" || family != omni.ChannelSMS) {
				continue
			}
			s.channels[key] = true
			a.Channel(t, family, address, s.Group)
		}
	}
}

// account makes an account that has the fixture's secret configured.
func (s *fixtureStage) account(t *testing.T, f carriertest.Fixture) *Account {
	t.Helper()
	fields := map[string]carriers.Field{}
	for _, field := range s.played.Provider.Fields() {
		fields[field.Name] = field
	}
	now, before := s.played.Player.Account(), map[string]string{}
	config := maps.Clone(now.Config)
	maps.Copy(config, s.carrier.settings)
	credentials := maps.Clone(now.Credentials)
	for key, value := range f.Secret {
		if name, ok := s.carrier.secrets[key]; ok {
			key = name
		}
		if key == "" || key == "now" || value == "" {
			continue
		}
		if name, ok := strings.CutPrefix(key, "previous"); ok {
			name = strings.ToLower(name[:1]) + name[1:]
			require.True(t, fields[name].Secret, "%s: %s", f.Name, key)
			before[name] = value
			continue
		}
		require.Contains(t, fields, key, "%s: the account has no such setting", f.Name)
		if fields[key].Secret {
			credentials[key] = []omni.Secret{omni.NewSecret(value)}
		} else {
			config[key] = value
		}
	}
	first := maps.Clone(credentials)
	for name, value := range before {
		first[name] = []omni.Secret{omni.NewSecret(value)}
	}
	a := s.Alpha.PlayedAccount(t, s.played, carriers.Account{Config: config, Credentials: first})
	if len(before) > 0 { // the secret is being changed: both are valid for a day
		change := map[string]string{}
		for name := range before {
			change[name] = carriers.Account{Credentials: credentials}.Credential(name).Reveal()
		}
		res := s.Alpha.Call(t, http.MethodPatch, "/api/v1/carrier-accounts/"+a.ID, map[string]any{"credentials": change}, "If-Match", `"1"`)
		require.Equal(t, http.StatusOK, res.Status, "%s", res.Body)
	}
	return a
}

// rename gives an account the public id that fixtures are signed for: REST gives ids that nobody can guess.
func (s *fixtureStage) rename(t *testing.T, a *Account, publicID string) {
	t.Helper()
	rec, err := s.App.Store().CarrierAccount(t.Context(), omni.Org(s.Alpha.ID), a.ID)
	require.NoError(t, err)
	rec.PublicID = publicID
	_, err = s.App.Store().UpdateCarrierAccount(t.Context(), omni.Org(s.Alpha.ID), rec)
	require.NoError(t, err)
	a.WebhookURL = strings.TrimSuffix(a.WebhookURL, a.PublicID) + publicID
	a.PublicID = publicID
}

func (s *fixtureStage) play(t *testing.T, f carriertest.Fixture) {
	t.Helper()
	if f.Secret["now"] != "" {
		s.SetClock(f.Time())
	}
	id, _ := s.carrier.fixtureAccount(t, f)
	target := s.accounts[id].WebhookURL
	if u, err := url.Parse(f.Request.URL); err == nil && u.RawQuery != "" {
		target += "?" + u.RawQuery
	}
	r, err := http.NewRequestWithContext(t.Context(), f.Request.Method, s.Local(target), strings.NewReader(f.Request.Body))
	require.NoError(t, err)
	for name, value := range f.Request.Headers {
		r.Header.Set(name, value)
	}
	res, err := s.HTTP().Do(r)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	var body bytes.Buffer
	_, err = body.ReadFrom(res.Body)
	require.NoError(t, err)
	require.Equal(t, f.Response.Status, res.StatusCode, "%s: %s", f.Name, body.String())
	if f.Response.Body != nil {
		require.Equal(t, *f.Response.Body, body.String(), f.Name)
	}
	if !f.Authentic() {
		require.Empty(t, body.String(), "%s: a refusal says nothing", f.Name)
	}
	events := s.inbox.take()
	for _, e := range events {
		for i := range e.Media {
			if rest, ok := strings.CutPrefix(e.Media[i].External.URL, s.api); ok {
				e.Media[i].External.URL = s.carrier.api + rest
			}
		}
	}
	require.NoError(t, f.CheckEvents(inOrder(f, events)))
}

// inOrder puts events as a fixture has them: the inbox keeps the order within a conversation, not among them.
func inOrder(f carriertest.Fixture, events []omni.CarrierChannelEvent) []omni.CarrierChannelEvent {
	var sorted []omni.CarrierChannelEvent
	for _, want := range f.Events {
		one := f
		one.Events = []map[string]any{want}
		i := slices.IndexFunc(events, func(e omni.CarrierChannelEvent) bool {
			return one.CheckEvents([]omni.CarrierChannelEvent{e}) == nil
		})
		if i >= 0 {
			sorted = append(sorted, events[i])
			events = slices.Delete(slices.Clone(events), i, i+1)
		}
	}
	return append(sorted, events...)
}

// settled checks that nothing of what was taken is left over: it was processed, or was nothing that anybody knows.
func (s *fixtureStage) settled(t *testing.T) {
	t.Helper()
	aside, err := s.App.Store().ListAside(t.Context(), omni.Org(s.Alpha.ID), store.Page{Limit: store.MaxPage})
	require.NoError(t, err)
	reasons := map[store.SetAsideReason]int{}
	for _, x := range aside.Items {
		reasons[x.Reason]++
		require.NotEqual(t, store.SetAsidePoison, x.Reason, "%s: %s", x.Record.LastError, x.Record.Raw.Body)
	}
	t.Logf("%s: set aside: %v", s.PublicURL, reasons)
}

package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"omniservice/carriers"
	"omniservice/internal/seal"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
	"omniservice/store"
	"omniservice/store/sqlitestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// published is one event that the pipeline announced.
type published struct {
	topic, typ string
	data       any
	passing    bool
}

// recorder is a Publisher that remembers.
type recorder struct {
	mu     sync.Mutex
	events []published
}

func (r *recorder) Publish(_ context.Context, topic, typ string, data any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, published{topic, typ, data, false})
	return nil
}

func (r *recorder) Announce(_ context.Context, topic, typ string, data any) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, published{topic, typ, data, true})
	return nil
}

func (r *recorder) of(typ string) []published {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []published
	for _, e := range r.events {
		if e.typ == typ {
			out = append(out, e)
		}
	}
	return out
}

// fake is a carrier whose answers a test decides.
type fake struct {
	mu      sync.Mutex
	sent    []omni.ServiceMessage
	answers []error // one for each send, in order; then success
	opened  int
	onSend  func(ctx context.Context, m omni.ServiceMessage, n int) (carriers.SendResult, error)

	lookup       func(m omni.ServiceMessage) (carriers.SendResult, error) // if set, it can be asked what became of a send
	courtesies   courtesies
	pace         carriers.Pace // of every sender
	capabilities *omni.Capabilities
	checks       []carriers.Check

	shares     bool             // its webhook may be shared: see sharingCarrier
	shelf      *shelf           // if set, the carrier keeps templates
	options    carriers.Options // of the last that was opened
	mediaHosts []string         // if set, files are asked for with a password, at these hosts only
}

func (*fake) Name() omni.CarrierName   { return omni.CarrierTest }
func (*fake) Fields() []carriers.Field { return nil }
func (*fake) MaxBody() int64           { return 1 << 20 }
func (f *fake) Open(_ carriers.Account, o carriers.Options) (carriers.Carrier, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.options = o
	f.opened++
	if f.shares {
		return &sharingCarrier{fakeCarrier{f}}, nil
	}
	if f.mediaHosts != nil {
		return &fetchingCarrier{fakeCarrier{f}}, nil
	}
	if f.lookup != nil {
		return &askedCarrier{fakeCarrier{f}}, nil
	}
	if f.shelf != nil {
		return &templateCarrier{fakeCarrier{f}, f.shelf}, nil
	}
	return &fakeCarrier{f}, nil
}

// fetchingCarrier is a fake whose files need a password.
type fetchingCarrier struct{ fakeCarrier }

func (c *fetchingCarrier) MediaHosts() []string { return c.f.mediaHosts }

func (*fetchingCarrier) MediaRequest(ctx context.Context, ref omni.MediaReference) (*http.Request, error) {
	if ref.External.ID == "gone" {
		return nil, omni.ErrNotFound
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, ref.External.URL, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth("account", "password")
	return carriers.ExpectSum(r, ref.External.ID), nil // its ids are sums
}

func (f *fake) sends() []omni.ServiceMessage {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]omni.ServiceMessage(nil), f.sent...)
}

type fakeCarrier struct{ f *fake }

func (*fakeCarrier) Name() omni.CarrierName { return omni.CarrierTest }

// Capabilities are those that the test has given its channels, unless it gave some to the carrier.
func (c *fakeCarrier) Capabilities(omni.ChannelType) (omni.Capabilities, bool) {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	if c.f.capabilities == nil {
		return omni.Capabilities{}, false
	}
	return *c.f.capabilities, true
}
func (*fakeCarrier) Verify(carriers.WebhookRequest) error { return nil }

func (*fakeCarrier) Parse(carriers.WebhookRequest) (carriers.Parsed, error) {
	return carriers.Parsed{}, nil
}

func (c *fakeCarrier) Pace(omni.ChannelType, string) carriers.Pace {
	c.f.mu.Lock()
	defer c.f.mu.Unlock()
	return c.f.pace
}

func (*fakeCarrier) Respond(carriers.Parsed) carriers.HTTPResponse { return carriers.HTTPResponse{} }

func (c *fakeCarrier) Send(ctx context.Context, m omni.ServiceMessage) (carriers.SendResult, error) {
	f := c.f
	f.mu.Lock()
	n := len(f.sent)
	f.sent = append(f.sent, m)
	var err error
	if n < len(f.answers) {
		err = f.answers[n]
	}
	on := f.onSend
	f.mu.Unlock()
	if on != nil {
		return on(ctx, m, n)
	}
	if err != nil {
		return carriers.SendResult{}, err
	}
	return carriers.SendResult{CarrierMessageID: "out-" + m.ID, Status: omni.StatusSent}, nil
}

// system is a pipeline on an embedded store in memory, with one organisation, two agents, a group, an SMS channel and
// a LiveChat channel.
type system struct {
	*pipeline.Pipeline
	t        *testing.T
	store    store.Store
	pub      *recorder
	carrier  *fake
	keys     *seal.Keyring
	reg      *carriers.Registry
	tenant   omni.Tenant
	ana, ben pipeline.Actor
	outsider pipeline.Actor // an agent who is in no group
	group    omni.DigitalChannelGroup
	account  omni.CarrierAccount
	sms      omni.DigitalChannel
	chat     omni.DigitalChannel
	options  pipeline.Options
	stop     func()
}

func newSystem(t *testing.T, adjust ...func(*pipeline.Options)) *system {
	t.Helper()
	ctx := t.Context()
	st, err := sqlitestore.New(ctx, ":memory:", sqlitestore.Options{})
	require.NoError(t, err)
	s := &system{t: t, store: st, pub: &recorder{}, carrier: &fake{}}
	s.keys, err = seal.New("k1", map[string][]byte{"k1": []byte("0123456789abcdef0123456789abcdef")})
	require.NoError(t, err)
	s.reg, err = carriers.NewRegistry(s.carrier)
	require.NoError(t, err)

	s.seed()
	s.options = pipeline.Options{PublicURL: "https://gw.example.test", RetryBase: 5 * time.Millisecond, Poll: 50 * time.Millisecond, Node: "n1"}
	for _, f := range adjust {
		f(&s.options)
	}
	s.Pipeline, err = pipeline.New(st, s.reg, s.keys, s.pub, s.options)
	require.NoError(t, err)
	t.Cleanup(func() {
		if s.stop != nil {
			s.stop()
		}
		require.NoError(t, st.Close())
	})
	return s
}

func (s *system) seed() {
	t, ctx := s.t, s.t.Context()
	now := omni.MillisOf(time.Now())
	org := omni.Organisation{ID: omni.NewID(), Name: "Acme", DefaultCountry: "US", ReopenMinutes: 60, Version: 1, CreatedAt: now, SchemaVersion: omni.CurrentSchema}
	require.NoError(t, s.store.CreateOrganisation(ctx, org))
	s.tenant = omni.Org(org.ID)
	actor := func(name string) pipeline.Actor {
		u := omni.User{
			ID: omni.NewID(), OrganisationID: org.ID, Email: name + "@acme.example", Name: name, Role: omni.RoleAgent,
			Version: 1, CreatedAt: now, SchemaVersion: omni.CurrentSchema,
		}
		require.NoError(t, s.store.CreateUser(ctx, s.tenant, u))
		return pipeline.Actor{Tenant: omni.Tenant{OrganisationID: org.ID, UserID: u.ID}, Role: u.Role, Name: name}
	}
	s.ana, s.ben, s.outsider = actor("ana"), actor("ben"), actor("olga")
	s.group = omni.DigitalChannelGroup{
		ID: omni.NewID(), Tenant: s.tenant, Name: "Support", Type: omni.GroupShared, MemberIDs: []string{s.ana.Tenant.UserID, s.ben.Tenant.UserID},
		Routing: omni.GroupRouting{Strategy: "manual"}, Version: 1, CreatedAt: now, SchemaVersion: omni.CurrentSchema,
	}
	require.NoError(t, s.store.CreateGroup(ctx, s.tenant, s.group))
	s.account = omni.CarrierAccount{
		ID: omni.NewID(), Tenant: s.tenant, PublicID: omni.NewToken(16), Carrier: omni.CarrierTest, Name: "Test", Config: map[string]string{},
		Version: 1, CreatedAt: now, SchemaVersion: omni.CurrentSchema,
	}
	require.NoError(t, s.store.CreateCarrierAccount(ctx, s.tenant, s.account))
	s.sms = omni.DigitalChannel{
		ID: omni.NewID(), Tenant: s.tenant, GroupID: s.group.ID, Name: "SMS", ChannelType: omni.ChannelSMS, Carrier: omni.CarrierTest,
		CarrierAccountID: s.account.ID, Address: "+15005550006", Capabilities: omni.Capabilities{MaxTextLength: 1600, Segmented: true},
		Version: 1, CreatedAt: now, SchemaVersion: omni.CurrentSchema,
	}
	require.NoError(t, s.store.CreateChannel(ctx, s.tenant, s.sms))
	s.chat = omni.DigitalChannel{
		ID: omni.NewID(), Tenant: s.tenant, GroupID: s.group.ID, Name: "Site", ChannelType: omni.ChannelLiveChat, Address: "widget-0123456789",
		Capabilities: pipeline.LiveChatCapabilities(),
		LiveChat:     &omni.LiveChatSettings{PublicID: "widget-0123456789", AllowedOrigins: []string{"https://www.acme.example"}},
		Version:      1, CreatedAt: now, SchemaVersion: omni.CurrentSchema,
	}
	require.NoError(t, s.store.CreateChannel(ctx, s.tenant, s.chat))
}

// run starts the workers; they are stopped at the end of the test.
func (s *system) run() *system {
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-done:
			require.NoError(s.t, err)
		case <-time.After(30 * time.Second):
			require.Fail(s.t, "the pipeline does not stop")
		}
	})
	return s
}

func (s *system) accept(events ...omni.CarrierChannelEvent) {
	s.t.Helper()
	a, err := s.Account(s.t.Context(), s.account.PublicID)
	require.NoError(s.t, err)
	require.NoError(s.t, s.Accept(s.t.Context(), a, carriers.WebhookRequest{
		Method: http.MethodPost, URL: "https://gw.example.test/webhooks/test/x?m=1", Header: http.Header{}, Body: []byte("raw"),
	}, carriers.Parsed{Events: events}))
}

func inbound(id, from, text string) omni.CarrierChannelEvent {
	return omni.CarrierChannelEvent{
		Kind: omni.EventMessage, Direction: omni.Inbound, Carrier: omni.CarrierTest, ChannelType: omni.ChannelSMS,
		CarrierMessageID: id, From: from, To: "+15005550006", Text: text,
	}
}

func statusOf(m omni.ServiceMessage, st omni.Status) omni.CarrierChannelEvent {
	return omni.CarrierChannelEvent{
		Kind: omni.EventStatus, Direction: omni.Outbound, Carrier: omni.CarrierTest, ChannelType: omni.ChannelSMS,
		CarrierMessageID: "out-" + m.ID, From: "+15005550006", To: m.To.Address, Status: st,
	}
}

// eventually waits until cond holds, and says what was published if it never does.
func (s *system) eventually(cond func() bool, what string) {
	s.t.Helper()
	deadline := time.Now().Add(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			s.pub.mu.Lock()
			defer s.pub.mu.Unlock()
			seen := ""
			for _, e := range s.pub.events {
				seen += fmt.Sprintf("\n%s %s %+v", e.topic, e.typ, e.data)
			}
			require.Fail(s.t, "never: "+what, seen)
		}
		<-tick.C
	}
}

func (s *system) messages(interactionID string) []omni.ServiceMessage {
	s.t.Helper()
	ms, err := s.store.ListMessages(s.t.Context(), s.tenant, interactionID, store.MessageWindow{After: -1, Limit: store.MaxPage})
	if err != nil {
		ms, err = s.store.ListMessages(s.t.Context(), s.tenant, interactionID, store.MessageWindow{Limit: store.MaxPage})
	}
	require.NoError(s.t, err)
	return ms
}

func (s *system) interactions() []omni.Interaction {
	s.t.Helper()
	l, err := s.store.ListInteractions(s.t.Context(), s.tenant, store.InteractionFilter{GroupIDs: []string{s.group.ID}}, store.Page{Limit: store.MaxPage})
	require.NoError(s.t, err)
	return l.Items
}

func (s *system) send(a pipeline.Actor, interactionID, text string) omni.ServiceMessage {
	s.t.Helper()
	m, created, err := s.Send(s.t.Context(), a, wire.SendMessage{InteractionID: interactionID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: text}})
	require.NoError(s.t, err)
	require.True(s.t, created)
	return m
}

// able changes what the channel sms can carry.
func (s *system) able(c omni.Capabilities) {
	s.t.Helper()
	s.sms.Capabilities = c
	var err error
	s.sms, err = s.store.UpdateChannel(s.t.Context(), s.tenant, s.sms)
	require.NoError(s.t, err)
	s.Forget("channel", s.sms.ID)
}

func (s *system) message(id string) omni.ServiceMessage {
	s.t.Helper()
	m, err := s.store.Message(s.t.Context(), s.tenant, id)
	require.NoError(s.t, err)
	return m
}

// begun is a system that runs and has one interaction, begun by +14155550123.
func begun(t *testing.T) (*system, omni.Interaction) {
	t.Helper()
	s := newSystem(t).run()
	s.accept(inbound("in-1", "+14155550123", "hello"))
	s.eventually(func() bool { return len(s.pub.of(wire.MessageCreated)) == 1 }, "the first message")
	return s, s.interactions()[0]
}

func problemField(err error) string {
	if p, ok := errors.AsType[*omni.Problem](err); ok {
		for f := range p.Fields {
			return f
		}
	}
	return ""
}

// answerWith has f answer the carrier's sends from now on, once what was sent before is out.
func (s *system) answerWith(f func(ctx context.Context, m omni.ServiceMessage, n int) (carriers.SendResult, error)) {
	s.t.Helper()
	s.eventually(func() bool {
		return !slices.ContainsFunc(s.interactions(), func(it omni.Interaction) bool {
			return slices.ContainsFunc(s.messages(it.ID), func(m omni.ServiceMessage) bool { return m.Status == omni.StatusQueued })
		})
	}, "what was sent before is out")
	s.carrier.mu.Lock()
	defer s.carrier.mu.Unlock()
	s.carrier.onSend = f
}

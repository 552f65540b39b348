package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"omniservice/carriers"
	"omniservice/carriers/twilio"
	"omniservice/hub"
	"omniservice/hub/membus"
	"omniservice/internal/seal"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
	"omniservice/server"
	"omniservice/server/auth"
	"omniservice/store"
	"omniservice/store/sqlitestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	publicURL = "https://chat.example.com"
	password  = "correct horse battery"
)

var hashed = sync.OnceValue(func() string {
	h, err := auth.HashPassword(password)
	if err != nil {
		panic(err)
	}
	return h
})

// logs keeps what is logged, for searching.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// clock is a time that a test can move.
type clock struct {
	mu  sync.Mutex
	off time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.off)
}

func (c *clock) Add(d time.Duration) {
	c.mu.Lock()
	c.off += d
	c.mu.Unlock()
}

// system is a server with all that it serves, and a first organisation.
type system struct {
	t      *testing.T
	store  *flaky
	bus    *membus.Bus
	hub    *hub.Hub
	pipe   *pipeline.Pipeline
	server *server.Server
	http   *httptest.Server
	clock  *clock
	logs   *logs
	reg    *carriers.Registry
	a, b   tenant // two organisations
}

// tenant is an organisation with an admin, an agent and something of everything.
type tenant struct {
	org          omni.Organisation
	admin, agent omni.User
	group        omni.DigitalChannelGroup
	livechat     omni.DigitalChannel
	adminToken   string
	agentToken   string
}

// flaky is a store that can be away.
type flaky struct {
	store.Store

	mu   sync.Mutex
	away bool
}

func (f *flaky) set(away bool) {
	f.mu.Lock()
	f.away = away
	f.mu.Unlock()
}

func (f *flaky) check() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return omni.Problemf(omni.ErrUnavailable, "the store is away")
	}
	return nil
}

func (f *flaky) Ping(ctx context.Context) error {
	if err := f.check(); err != nil {
		return err
	}
	return f.Store.Ping(ctx)
}

func (f *flaky) PutInbox(ctx context.Context, rs ...store.InboxRecord) error {
	if err := f.check(); err != nil {
		return err
	}
	return f.Store.PutInbox(ctx, rs...)
}

func (f *flaky) CarrierAccountByPublicID(ctx context.Context, id string) (omni.CarrierAccount, error) {
	if err := f.check(); err != nil {
		return omni.CarrierAccount{}, err
	}
	return f.Store.CarrierAccountByPublicID(ctx, id)
}

// nowhere keeps what carriers call on this machine.
type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("there is no network here")
}

type publisher struct{ h *hub.Hub }

func (p publisher) Publish(ctx context.Context, topic, typ string, data any) error {
	_, err := p.h.Publish(ctx, topic, typ, data)
	return err
}

func (p publisher) Announce(ctx context.Context, topic, typ string, data any) error {
	return p.h.Announce(ctx, topic, typ, data)
}

func key(id, b string) auth.Key {
	return auth.Key{ID: id, Algorithm: auth.HS256, Secret: bytes.Repeat([]byte(b), 32)}
}

func start(t *testing.T, change ...func(*server.Deps, *server.Options)) *system {
	t.Helper()
	return startWith(t, []carriers.Provider{twilio.New(), plain{}}, change...)
}

func startWith(t *testing.T, providers []carriers.Provider, change ...func(*server.Deps, *server.Options)) *system {
	t.Helper()
	mem, err := sqlitestore.New(t.Context(), sqlitestore.Memory, sqlitestore.Options{})
	require.NoError(t, err)
	s := &system{t: t, store: &flaky{Store: mem}, bus: membus.New(membus.Options{}), clock: &clock{}, logs: &logs{}}
	log := slog.New(slog.NewJSONHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.reg, err = carriers.NewRegistry(providers...)
	require.NoError(t, err)
	keys, err := seal.New("k1", map[string][]byte{"k1": bytes.Repeat([]byte("k"), seal.KeySize)})
	require.NoError(t, err)
	s.hub, err = hub.New(s.bus, hub.Options{Logger: log, Regrant: func(ctx context.Context, p hub.Principal) ([]string, error) {
		return s.server.Regrant(ctx, p)
	}, Available: func(ctx context.Context, p hub.Principal) (bool, error) {
		return s.server.Available(ctx, p)
	}, AvailableEvery: 50 * time.Millisecond, Drain: time.Millisecond, WriteTimeout: time.Second})
	require.NoError(t, err)
	pub, metrics := publisher{s.hub}, server.NewMetrics()
	s.pipe, err = pipeline.New(s.store, s.reg, keys, pub, pipeline.Options{
		PublicURL: publicURL, Log: log, Now: s.clock.Now, Workers: 2, Metrics: metrics.Pipeline(), HTTP: &http.Client{Transport: nowhere{}},
	})
	require.NoError(t, err)
	d := server.Deps{
		Store: s.store, Bus: s.bus, Hub: s.hub, Pipeline: s.pipe, Carriers: s.reg, Publish: pub.Publish, Metrics: metrics,
		Seal: func(rec omni.CarrierAccount, name, value string) (omni.SealedSecret, error) {
			return pipeline.SealCredential(keys, rec, name, value)
		},
		Console: fstest.MapFS{
			"index.html":                   {Data: []byte("<!doctype html>console")},
			"favicon.svg":                  {Data: []byte("<svg/>")},
			"console-assets/app-abc.js":    {Data: []byte("plain")},
			"console-assets/app-abc.js.br": {Data: []byte("brotli")},
			"console-assets/app-abc.js.gz": {Data: []byte("gzip")},
		},
		Widget: fstest.MapFS{"loader.js": {Data: []byte("loader")}, "panel.html": {Data: []byte("<!doctype html>panel")}, "assets/p-1.js": {Data: []byte("p")}},
	}
	o := server.Options{
		PublicURL: publicURL, AccessKeys: []auth.Key{key("a1", "a")}, VisitorKeys: []auth.Key{key("v1", "v")}, Now: s.clock.Now, Log: log,
		Limits: server.Limits{Principal: server.Rate{PerSecond: 1000, Burst: 10_000}, Organisation: server.Rate{PerSecond: 1000, Burst: 10_000}, Address: server.Rate{PerSecond: 1000, Burst: 10_000}},
	}
	for _, c := range change {
		c(&d, &o)
	}
	s.server, err = server.New(d, o)
	require.NoError(t, err)
	require.NoError(t, s.hub.Start(t.Context()))
	s.http = httptest.NewServer(s.server.Public())

	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan error, 1)
	go func() { ran <- s.pipe.Run(ctx) }()
	t.Cleanup(func() {
		stop, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer done()
		require.NoError(t, s.hub.Shutdown(stop))
		s.http.Close()
		cancel()
		require.NoError(t, <-ran)
		require.NoError(t, errors.Join(s.bus.Close(), mem.Close()))
		http.DefaultClient.CloseIdleConnections()
	})
	s.a, s.b = s.tenant("a"), s.tenant("b")
	return s
}

func (s *system) tenant(name string) tenant {
	s.t.Helper()
	ctx := s.t.Context()
	now := omni.MillisOf(time.Now())
	x := tenant{org: omni.Organisation{ID: omni.NewID(), Name: "Org " + name, Version: 1, CreatedAt: now, SchemaVersion: omni.CurrentSchema}}
	t := omni.Org(x.org.ID)
	require.NoError(s.t, s.store.CreateOrganisation(ctx, x.org))
	user := func(role omni.Role) omni.User {
		u := omni.User{
			ID: omni.NewID(), OrganisationID: x.org.ID, Email: fmt.Sprintf("%s@%s.example", role, name), Name: fmt.Sprintf("%s %s", role, name),
			Role: role, PasswordHash: hashed(), Version: 1, CreatedAt: now, SchemaVersion: omni.CurrentSchema,
		}
		require.NoError(s.t, s.store.CreateUser(ctx, t, u))
		return u
	}
	x.admin, x.agent = user(omni.RoleAdmin), user(omni.RoleAgent)
	x.group = omni.DigitalChannelGroup{
		ID: omni.NewID(), Tenant: t, Name: "Group", Type: omni.GroupShared, MemberIDs: []string{x.agent.ID},
		Routing: omni.GroupRouting{Strategy: "manual"}, Version: 1, CreatedAt: now, SchemaVersion: omni.CurrentSchema,
	}
	require.NoError(s.t, s.store.CreateGroup(ctx, t, x.group))
	public := omni.NewToken(16)
	x.livechat = omni.DigitalChannel{
		ID: omni.NewID(), Tenant: t, GroupID: x.group.ID, Name: "Website", ChannelType: omni.ChannelLiveChat, Address: public,
		Capabilities: omni.Capabilities{MaxTextLength: 1000, Typing: true, ReadStatus: true},
		LiveChat:     &omni.LiveChatSettings{PublicID: public, AllowedOrigins: []string{"https://shop.example"}, Title: "Shop"},
		Version:      1, CreatedAt: now, SchemaVersion: omni.CurrentSchema,
	}
	require.NoError(s.t, s.store.CreateChannel(ctx, t, x.livechat))
	x.adminToken, x.agentToken = s.login(x.admin), s.login(x.agent)
	return x
}

func (s *system) login(u omni.User) string {
	s.t.Helper()
	l, err := s.server.Auth().Begin(s.t.Context(), u, "test")
	require.NoError(s.t, err)
	return l.Access
}

// reply is an answer, read.
type reply struct {
	*http.Response

	body string
}

func (r reply) into(t *testing.T, v any) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(r.body), v), r.body)
}

func (r reply) code(t *testing.T) string {
	t.Helper()
	var p server.Problem
	r.into(t, &p)
	require.Equal(t, "application/problem+json", r.Header.Get("Content-Type"))
	require.NotEmpty(t, p.RequestID)
	require.Equal(t, r.StatusCode, p.Status)
	return string(p.Code)
}

// call makes a request. headers are name, value, name, value. A body that is a string goes as it is.
func (s *system) call(method, path, token string, body any, headers ...string) reply {
	s.t.Helper()
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	default:
		j, err := json.Marshal(b)
		require.NoError(s.t, err)
		in = bytes.NewReader(j)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.http.URL+path, in)
	require.NoError(s.t, err)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(s.t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(s.t, errors.Join(err, res.Body.Close()))
	return reply{res, string(b)}
}

// socket is a client of the realtime protocol.
type socket struct {
	t    *testing.T
	c    *websocket.Conn
	next int64
	seen []wire.Event
	held [][]byte
}

// frame is any object from the server.
type frame struct {
	ID     int64           `json:"id"`
	Type   string          `json:"type"`
	Topic  string          `json:"topic"`
	Offset int64           `json:"offset"`
	Data   json.RawMessage `json:"data"`
	Error  *wire.Error     `json:"error"`
}

func (s *system) dial(path, origin string) (*socket, *http.Response, error) {
	h := http.Header{}
	if origin != "" {
		h.Set("Origin", origin)
	}
	c, res, err := websocket.Dial(s.t.Context(), "ws"+strings.TrimPrefix(s.http.URL, "http")+path, &websocket.DialOptions{
		Subprotocols: []string{wire.Subprotocol}, HTTPHeader: h,
	})
	if err != nil {
		return nil, res, err
	}
	s.t.Cleanup(func() { _ = c.CloseNow() })
	return &socket{t: s.t, c: c}, res, nil
}

// connect dials and logs in.
func (s *system) connect(path, origin string, data wire.Connect) (*socket, wire.Connected) {
	s.t.Helper()
	k, _, err := s.dial(path, origin)
	require.NoError(s.t, err)
	f := k.command(wire.CmdConnect, data)
	require.Equal(s.t, "ok", f.Type, "%+v", f.Error)
	var c wire.Connected
	require.NoError(s.t, json.Unmarshal(f.Data, &c))
	return k, c
}

// command sends a command and waits for its answer; events that come first are kept.
func (k *socket) command(typ string, data any) frame {
	k.t.Helper()
	k.write(typ, data)
	for {
		f, err := k.read()
		require.NoError(k.t, err)
		if f.ID == k.next {
			return f
		}
		k.seen = append(k.seen, wire.Event{Type: f.Type, Topic: f.Topic, Offset: f.Offset, Data: f.Data})
	}
}

// write sends a command.
func (k *socket) write(typ string, data any) {
	k.t.Helper()
	k.next++
	var raw json.RawMessage
	switch d := data.(type) {
	case string:
		raw = json.RawMessage(d)
	default:
		b, err := json.Marshal(d)
		require.NoError(k.t, err)
		raw = b
	}
	b, err := json.Marshal(wire.Command{ID: k.next, Type: typ, Data: raw})
	require.NoError(k.t, err)
	require.NoError(k.t, k.c.Write(k.t.Context(), websocket.MessageText, b))
}

// event waits for an event of a type.
func (k *socket) event(typ string) wire.Event {
	k.t.Helper()
	for i, e := range k.seen {
		if e.Type == typ {
			k.seen = append(k.seen[:i], k.seen[i+1:]...)
			return e
		}
	}
	for {
		f, err := k.read()
		require.NoError(k.t, err, "waiting for %s", typ)
		e := wire.Event{Type: f.Type, Topic: f.Topic, Offset: f.Offset, Data: f.Data}
		if f.Type == typ {
			return e
		}
		k.seen = append(k.seen, e)
	}
}

func (k *socket) read() (frame, error) {
	for len(k.held) == 0 {
		ctx, cancel := context.WithTimeout(k.t.Context(), 5*time.Second)
		_, b, err := k.c.Read(ctx)
		cancel()
		if err != nil {
			return frame{}, err
		}
		k.held = bytes.Split(b, []byte("\n"))
	}
	var f frame
	err := json.Unmarshal(k.held[0], &f)
	k.held = k.held[1:]
	return f, err
}

// closed waits until the server closes the socket, and says with which code.
func (k *socket) closed() websocket.StatusCode {
	k.t.Helper()
	for {
		if _, err := k.read(); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

func keys(id, b string) []auth.Key { return []auth.Key{key(id, b)} }

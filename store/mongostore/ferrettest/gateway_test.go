package ferrettest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/app"
	"omniservice/carriers/testcarrier"
	"omniservice/docs/examples/follow"
	"omniservice/internal/testenv"
	"omniservice/omni"
	"omniservice/omni/wire"
)

const masterKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

// The whole gateway on MongoDB, by a line that is cut for a while: what carriers post meanwhile is taken, and nothing of
// it is lost, doubled or out of order.
func TestR5_GatewayWhoseMongoDBIsAway(t *testing.T) {
	var away atomic.Bool
	line, err := newProxy(server, func(_ command, send func() ([]byte, error)) ([]byte, error) {
		if away.Load() {
			return nil, errCut
		}
		return send()
	})
	require.NoError(t, err)
	t.Cleanup(line.close)
	cfg := config(t, line.uri()+newDatabase(t))
	user, key := setUp(t, cfg)
	g := start(t, cfg, key)
	account := g.line(user.GroupID)
	client := g.carrier(account)
	const each = 25
	var took []time.Duration
	refused, n := 0, 0
	pace := time.NewTicker(25 * time.Millisecond)
	defer pace.Stop()
	post := func() {
		<-pace.C
		began := time.Now()
		if err := client.Post(t.Context(), testcarrier.Inbound{ChannelType: omni.ChannelSMS, From: "+14155550123", To: "+15005550006", Text: fmt.Sprint(n)}); err != nil {
			refused++
		}
		took = append(took, time.Since(began))
		n++
	}
	for range each {
		post()
	}
	away.Store(true)
	took = nil
	for began := time.Now(); time.Since(began) < 4*time.Second; {
		post()
	}
	slices.Sort(took)
	inOutage, p50, worst := len(took), took[len(took)/2], took[len(took)-1]
	require.False(t, g.ready())
	back := time.Now()
	away.Store(false)
	for range each {
		post()
	}

	type page struct {
		Items []struct {
			ID      string
			Payload struct{ Text string }
		}
	}
	var texts []string
	require.Eventually(t, func() bool {
		var its page
		if g.try(http.MethodGet, "/api/v1/interactions?view=all", nil, &its) != http.StatusOK || len(its.Items) != 1 {
			return false
		}
		texts = nil
		for after := 0; ; after = len(texts) {
			var ms page
			if g.try(http.MethodGet, fmt.Sprintf("/api/v1/interactions/%s/messages?limit=200&after=%d", its.Items[0].ID, after), nil, &ms) != http.StatusOK {
				return false // its turn comes after the webhooks
			}
			for _, m := range ms.Items {
				texts = append(texts, m.Payload.Text)
			}
			if len(ms.Items) == 0 {
				return len(texts) >= n
			}
		}
	}, 2*time.Minute, 100*time.Millisecond)
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(i))
	}
	require.Equal(t, want, texts)
	require.Zero(t, refused)
	require.Eventually(t, g.ready, time.Minute, 20*time.Millisecond)
	t.Logf("R5: MongoDB cut off for 4 s: %d webhooks taken meanwhile, p50 %v, slowest %v; lost 0, twice 0, out of order 0, non-2xx %d; all stored %v after its return",
		inOutage, p50.Round(100*time.Microsecond), worst.Round(time.Millisecond), refused, time.Since(back).Round(time.Millisecond))
}

// config is that of a gateway on a MongoDB.
func config(t *testing.T, uri string) app.Config {
	t.Helper()
	return app.Config{
		Addr: "127.0.0.1:0", OpsAddr: "127.0.0.1:0", DataDir: t.TempDir(), LogLevel: "info", DrainTime: time.Second,
		SecretKey: omni.NewSecret(masterKey), MongoURI: omni.NewSecret(uri),
	}
}

// setUp makes an organisation with a user and an API key.
func setUp(t *testing.T, cfg app.Config) (user app.MadeUser, key string) {
	t.Helper()
	st, err := app.OpenStore(t.Context(), cfg)
	require.NoError(t, err)
	user, err = app.CreateUser(t.Context(), st, app.NewUser{Organisation: "Acme", Email: "ana@acme.example", Role: omni.RoleAdmin}, time.Now())
	require.NoError(t, err)
	key, _, err = app.CreateAPIKey(t.Context(), st, user.OrganisationID, "setup", omni.RoleAdmin, time.Now())
	require.NoError(t, err)
	require.NoError(t, st.Close())
	return user, key
}

// gateway is a running one, and a program that may do everything there.
type gateway struct {
	t    *testing.T
	a    *app.App
	base string // http://127.0.0.1:port
	key  string
	stop func()
}

func start(t *testing.T, cfg app.Config, key string) *gateway {
	t.Helper()
	var log bytes.Buffer
	var mu sync.Mutex
	a, err := app.New(t.Context(), cfg, app.Options{LogTo: writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	})})
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	g := &gateway{t: t, a: a, base: "http://" + a.Addr(), key: key}
	g.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		require.NoError(t, a.Stop(ctx))
	})
	t.Cleanup(func() {
		g.stop()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	require.Eventually(t, g.ready, time.Minute, 20*time.Millisecond)
	return g
}

func (g *gateway) ready() bool {
	res, err := http.Get("http://" + g.a.OpsAddr() + "/readyz") //nolint:noctx // loopback
	if err == nil {
		_ = res.Body.Close()
	}
	return err == nil && res.StatusCode == http.StatusOK
}

func (g *gateway) try(method, path string, in, out any) (status int) {
	body, err := json.Marshal(in)
	require.NoError(g.t, err)
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.base+path, bytes.NewReader(body))
	require.NoError(g.t, err)
	r.Header.Set("Authorization", "Bearer "+g.key)
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	require.NoError(g.t, err)
	defer func() { _ = res.Body.Close() }()
	require.NoError(g.t, json.NewDecoder(res.Body).Decode(out))
	return res.StatusCode
}

// line makes an account of the test carrier with a number, and returns its public id.
func (g *gateway) line(groupID string) string {
	g.t.Helper()
	var account struct{ ID, PublicID string }
	var channel struct{ ID string }
	require.Equal(g.t, http.StatusCreated, g.try(http.MethodPost, "/api/v1/carrier-accounts", map[string]any{
		"carrier": omni.CarrierTest, "name": "Test", "credentials": map[string]string{"secret": masterKey},
	}, &account))
	require.Equal(g.t, http.StatusCreated, g.try(http.MethodPost, "/api/v1/channels", map[string]any{
		"name": "SMS", "groupId": groupID, "channelType": omni.ChannelSMS, "carrierAccountId": account.ID, "address": "+15005550006",
	}, &channel))
	return account.PublicID
}

// carrier posts to this gateway.
func (g *gateway) carrier(account string) testcarrier.Client {
	return testcarrier.Client{URL: g.base + "/webhooks/test/" + account, Secret: omni.NewSecret(masterKey), HTTP: http.DefaultClient}
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// Two gateways with one MongoDB and one Redis, as they run in production: whatever arrives at one is told at both, once and in
// order, an answer that is sent at one goes out, and what is left when one stops is the other's.
func TestGatewaysShareMongoDBAndRedis(t *testing.T) {
	t.Parallel()
	redis := omni.NewSecret(testenv.StartRedis(t).URL())
	database := server + newDatabase(t)
	cfg, other := config(t, database), config(t, database)
	cfg.RedisURL, other.RedisURL = redis, redis
	user, key := setUp(t, cfg)
	a := start(t, cfg, key)
	account := a.line(user.GroupID)
	b := start(t, other, key)
	at := []*gateway{a, b}
	heard := []*ear{a.listen(), b.listen()}
	const n = 30
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint(i))
		require.NoError(t, at[i%2].carrier(account).Post(t.Context(),
			testcarrier.Inbound{ChannelType: omni.ChannelSMS, From: "+14155550123", To: "+15005550006", Text: fmt.Sprint(i)}))
		for _, e := range heard {
			require.Eventually(t, func() bool { return len(e.all(wire.MessageCreated)) > i }, time.Minute, time.Millisecond)
		}
	}
	texts := func(e *ear) (all []string) {
		for _, data := range e.all(wire.MessageCreated) {
			var m wire.Message
			require.NoError(t, json.Unmarshal(data, &m))
			all = append(all, m.Payload.Text)
		}
		return all
	}
	for _, e := range heard {
		require.Equal(t, want, texts(e))
	}

	var its struct{ Items []struct{ ID string } }
	require.Equal(t, http.StatusOK, a.try(http.MethodGet, "/api/v1/interactions?view=all", nil, &its))
	require.Len(t, its.Items, 1)
	var sent wire.Message
	require.Equal(t, http.StatusCreated, b.try(http.MethodPost, "/api/v1/interactions/"+its.Items[0].ID+"/messages",
		map[string]any{"clientId": omni.NewID(), "payload": map[string]string{"text": "answer"}}, &sent))
	for _, e := range heard {
		require.Eventually(t, func() bool {
			for _, data := range e.all(wire.MessageStatus) {
				var c wire.StatusChange
				require.NoError(t, json.Unmarshal(data, &c))
				if c.MessageID == sent.ID && c.Status == omni.StatusDelivered {
					return true
				}
			}
			return false
		}, time.Minute, time.Millisecond, "the carrier's word on it")
	}

	b.stop()
	require.NoError(t, a.carrier(account).Post(t.Context(),
		testcarrier.Inbound{ChannelType: omni.ChannelSMS, From: "+14155550123", To: "+15005550006", Text: "last"}))
	require.Eventually(t, func() bool { return len(texts(heard[0])) == n+2 }, time.Minute, time.Millisecond)
	require.Equal(t, append(want, "answer", "last"), texts(heard[0]))
}

// ear keeps what a gateway tells.
type ear struct {
	mu     sync.Mutex
	events []follow.Event
}

// all gives the data of all events of a type.
func (e *ear) all(typ string) (data []json.RawMessage) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, v := range e.events {
		if v.Type == typ {
			data = append(data, v.Data)
		}
	}
	return data
}

// listen returns when it hears.
func (g *gateway) listen() *ear {
	g.t.Helper()
	e, connected := &ear{}, make(chan struct{}, 1)
	c := &follow.Client{
		URL: g.base, Key: g.key,
		Handle: func(v follow.Event) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.events = append(e.events, v)
		},
		Changed: func(follow.Changes) {},
		Reload: func(context.Context) error {
			select {
			case connected <- struct{}{}:
			default:
			}
			return nil
		},
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(g.t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	g.t.Cleanup(func() {
		cancel()
		require.ErrorIs(g.t, <-ended, context.Canceled)
	})
	select {
	case <-connected:
	case <-time.After(time.Minute):
		require.FailNow(g.t, "not connected")
	}
	return e
}

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
	"omniservice/omni"
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
	cfg := app.Config{
		Addr: "127.0.0.1:0", OpsAddr: "127.0.0.1:0", DataDir: t.TempDir(), LogLevel: "info", DrainTime: time.Second,
		SecretKey: omni.NewSecret(masterKey), MongoURI: omni.NewSecret(line.uri() + newDatabase(t)),
	}
	st, err := app.OpenStore(t.Context(), cfg)
	require.NoError(t, err)
	user, err := app.CreateUser(t.Context(), st, app.NewUser{Organisation: "Acme", Email: "ana@acme.example", Role: omni.RoleAdmin}, time.Now())
	require.NoError(t, err)
	key, _, err := app.CreateAPIKey(t.Context(), st, user.OrganisationID, "setup", omni.RoleAdmin, time.Now())
	require.NoError(t, err)
	require.NoError(t, st.Close())

	var log bytes.Buffer
	var mu sync.Mutex
	a, err := app.New(t.Context(), cfg, app.Options{LogTo: writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	})})
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		require.NoError(t, a.Stop(ctx))
		if t.Failed() {
			t.Log(log.String())
		}
	})
	base := "http://" + a.Addr()
	try := func(method, path string, in, out any) (status int) {
		body, err := json.Marshal(in)
		require.NoError(t, err)
		r, err := http.NewRequestWithContext(t.Context(), method, base+path, bytes.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+key)
		r.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		require.NoError(t, json.NewDecoder(res.Body).Decode(out))
		return res.StatusCode
	}
	call := func(path string, in, out any) {
		require.Equal(t, http.StatusCreated, try(http.MethodPost, path, in, out), path)
	}
	ready := func() bool {
		res, err := http.Get("http://" + a.OpsAddr() + "/readyz") //nolint:noctx // loopback
		if err == nil {
			_ = res.Body.Close()
		}
		return err == nil && res.StatusCode == http.StatusOK
	}
	require.Eventually(t, ready, time.Minute, 20*time.Millisecond)
	var account struct{ ID, PublicID string }
	call("/api/v1/carrier-accounts", map[string]any{"carrier": omni.CarrierTest, "name": "Test", "credentials": map[string]string{"secret": masterKey}}, &account)
	var channel struct{ ID string }
	call("/api/v1/channels", map[string]any{
		"name": "SMS", "groupId": user.GroupID, "channelType": omni.ChannelSMS, "carrierAccountId": account.ID, "address": "+15005550006",
	}, &channel)

	client := testcarrier.Client{URL: base + "/webhooks/test/" + account.PublicID, Secret: omni.NewSecret(masterKey), HTTP: http.DefaultClient}
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
	require.False(t, ready())
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
		if try(http.MethodGet, "/api/v1/interactions?view=all", nil, &its) != http.StatusOK || len(its.Items) != 1 {
			return false
		}
		texts = nil
		for after := 0; ; after = len(texts) {
			var ms page
			if try(http.MethodGet, fmt.Sprintf("/api/v1/interactions/%s/messages?limit=200&after=%d", its.Items[0].ID, after), nil, &ms) != http.StatusOK {
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
	require.Eventually(t, ready, time.Minute, 20*time.Millisecond)
	t.Logf("R5: MongoDB cut off for 4 s: %d webhooks taken meanwhile, p50 %v, slowest %v; lost 0, twice 0, out of order 0, non-2xx %d; all stored %v after its return",
		inOutage, p50.Round(100*time.Microsecond), worst.Round(time.Millisecond), refused, time.Since(back).Round(time.Millisecond))
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

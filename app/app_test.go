package app

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server"
	"omniservice/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, cfg Config) (*App, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	cfg.Addr, cfg.OpsAddr, cfg.DrainTime = "127.0.0.1:0", "127.0.0.1:0", time.Second
	a, err := New(t.Context(), cfg, Options{Version: "test", LogTo: io.Discard, Out: &out})
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		require.NoError(t, a.Stop(ctx))
		http.DefaultClient.CloseIdleConnections()
	})
	return a, &out
}

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(body)
}

func TestDemoIsThereAndIsMadeOnce(t *testing.T) {
	cfg := good(t)
	cfg.Demo = true
	a, out := start(t, cfg)
	for _, part := range []string{"/login#token=", "/demo\n", "/demo/simulator", "/docs", "/readyz"} {
		require.Contains(t, out.String(), part)
	}
	status, _ := fetch(t, "http://"+a.OpsAddr()+"/readyz")
	require.Equal(t, http.StatusOK, status)
	status, _ = fetch(t, "http://"+a.Addr()+"/docs")
	require.Equal(t, http.StatusOK, status)
	status, config := fetch(t, "http://"+a.Addr()+"/demo/api/config")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, config, demoSMSNumber)
	require.Contains(t, config, demoWidget)

	again, err := ensureDemo(t.Context(), a.store, a.keys, a.reg, a.cfg.PublicURL, time.Now())
	require.NoError(t, err)
	require.NotEmpty(t, again.AccountID)
	l, err := a.Store().AllOrganisations(t.Context(), store.Page{})
	require.NoError(t, err)
	require.Len(t, l.Items, 1)
}

// Every carrier can be tried in a demo: it is played on loopback.
func TestDemoPlaysEveryCarrier(t *testing.T) {
	cfg := good(t)
	cfg.Demo = true
	a, out := start(t, cfg)
	config, err := a.simulator.Config(t.Context())
	require.NoError(t, err)
	token := regexp.MustCompile(`/login#token=(\S+)`).FindStringSubmatch(out.String())[1]
	var session struct{ AccessToken string }
	rest(t, a, http.MethodPost, "/api/v1/auth/login", "", `{"loginToken":"`+token+`"}`, &session)
	played := map[omni.CarrierName]bool{}
	for _, ch := range config.Channels {
		if ch.Carrier == omni.CarrierTest {
			continue
		}
		played[ch.Carrier] = true
		d, err := a.doubles.find(ch.Carrier)
		require.NoError(t, err)
		from := d.Player().Customer(ch.ChannelType)
		name := string(ch.Carrier) + " " + string(ch.ChannelType)
		require.NoError(t, a.simulator.Inbound(t.Context(), server.SimulatedMessage{
			Carrier: ch.Carrier, ChannelType: ch.ChannelType, From: from, Text: "hello by " + name, Duplicates: 1,
		}), name)
		require.NoError(t, a.simulator.Behave(t.Context(), server.SimulatedBehaviour{Carrier: ch.Carrier, Statuses: []omni.Status{omni.StatusSent, omni.StatusDelivered}}))

		var talk wire.Interaction
		require.Eventually(t, func() bool {
			var talks struct{ Items []wire.Interaction }
			rest(t, a, http.MethodGet, "/api/v1/interactions?view=all&state=open", session.AccessToken, "", &talks)
			for _, i := range talks.Items {
				if i.LastPreview == "hello by "+name {
					talk = i
				}
			}
			return talk.ID != ""
		}, 20*time.Second, 10*time.Millisecond, name)
		call(t, a, http.MethodPost, "/api/v1/interactions/"+talk.ID+"/messages", session.AccessToken, `{"clientId":"`+omni.NewID()+`","payload":{"text":"an answer"}}`, http.StatusCreated, nil)
		require.Eventually(t, func() bool {
			got, err := a.simulator.Outbox(t.Context(), ch.Carrier, from)
			require.NoError(t, err)
			return slices.ContainsFunc(got, func(o server.SimulatedDelivery) bool { return o.Channel == ch.ChannelType && o.Text == "an answer" })
		}, 20*time.Second, 10*time.Millisecond, name)
	}
	require.Len(t, played, len(PlayedProviders()))
	require.Error(t, a.simulator.Inbound(t.Context(), server.SimulatedMessage{Carrier: "Pigeon", ChannelType: omni.ChannelSMS, From: "+1", Text: "x"}))

	require.NoError(t, a.doubles.connect(t.Context(), mustOrg(t, a)), "again, as at the next start")
	l, err := a.Store().CarrierAccounts(t.Context(), omni.Org(mustOrg(t, a)), store.Page{Limit: store.MaxPage})
	require.NoError(t, err)
	require.Len(t, l.Items, 1+len(PlayedProviders()))
}

func mustOrg(t *testing.T, a *App) string {
	t.Helper()
	l, err := a.Store().AllOrganisations(t.Context(), store.Page{})
	require.NoError(t, err)
	require.Len(t, l.Items, 1)
	return l.Items[0].ID
}

func TestProductionHasNoDemo(t *testing.T) {
	a, out := start(t, good(t))
	require.NotContains(t, out.String(), "demo")
	for _, path := range []string{"/demo/api/config", "/demo/api/outbox?from=x"} {
		status, body := fetch(t, "http://"+a.Addr()+path)
		require.Equal(t, http.StatusNotFound, status, body)
	}
	l, err := a.Store().AllOrganisations(t.Context(), store.Page{})
	require.NoError(t, err)
	require.Empty(t, l.Items)
}

func TestLoginLinkWorksOnce(t *testing.T) {
	a, _ := start(t, good(t))
	made, err := CreateUser(t.Context(), a.Store(), NewUser{Organisation: "Acme", Email: "Ana@Acme.example", Role: omni.RoleAdmin}, time.Now())
	require.NoError(t, err)
	login := func() (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a.Addr()+"/api/v1/auth/login", strings.NewReader(`{"loginToken":"`+made.LoginToken+`"}`))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { require.NoError(t, res.Body.Close()) }()
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(body)
	}
	status, body := login()
	require.Equal(t, http.StatusOK, status, body)
	var session struct{ AccessToken string }
	require.NoError(t, json.Unmarshal([]byte(body), &session))
	require.NotEmpty(t, session.AccessToken)
	status, body = login()
	require.Equal(t, http.StatusUnauthorized, status, body)
}

func TestCreateUserAndKey(t *testing.T) {
	cfg := good(t)
	st, err := OpenStore(t.Context(), cfg)
	require.NoError(t, err)
	defer func() { require.NoError(t, st.Close()) }()
	now := time.Now()

	_, _, err = CreateAPIKey(t.Context(), st, "", "setup", omni.RoleAdmin, now)
	require.ErrorIs(t, err, omni.ErrNotFound, "an organisation comes with its first admin")
	_, err = CreateUser(t.Context(), st, NewUser{Organisation: "Acme", Email: "not an address", Role: omni.RoleAdmin}, now)
	require.ErrorIs(t, err, omni.ErrInvalid)
	l, err := st.AllOrganisations(t.Context(), store.Page{})
	require.NoError(t, err)
	require.Empty(t, l.Items, "nothing is left of a user who could not be made")

	ana, err := CreateUser(t.Context(), st, NewUser{Organisation: "Acme", Email: "ana@acme.example", Role: omni.RoleAdmin, Password: omni.NewSecret("correct horse battery")}, now)
	require.NoError(t, err)
	require.NotEmpty(t, ana.GroupID)
	ben, err := CreateUser(t.Context(), st, NewUser{Organisation: "acme", Email: "ben@acme.example", Role: omni.RoleAgent}, now)
	require.NoError(t, err)
	require.Equal(t, ana.OrganisationID, ben.OrganisationID)
	_, err = CreateUser(t.Context(), st, NewUser{Email: "ben@acme.example", Role: omni.RoleAgent}, now)
	require.ErrorIs(t, err, omni.ErrConflict)

	key, rec, err := CreateAPIKey(t.Context(), st, "", "setup", omni.RoleAdmin, now)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(key, "omni_"))
	require.Equal(t, key[len(key)-4:], rec.Hint)
	audit, err := st.AuditRecords(t.Context(), omni.Org(ana.OrganisationID), store.Page{})
	require.NoError(t, err)
	require.Len(t, audit.Items, 3)
}

func TestOpenAPIDocument(t *testing.T) {
	doc, err := OpenAPI()
	require.NoError(t, err)
	require.Contains(t, string(doc), "openapi: 3.1")
	require.Contains(t, string(doc), "/api/v1/interactions/{id}/claim")
}

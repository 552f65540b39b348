package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server"
	"omniservice/store"
)

func TestSec_M6_HeadersOfEveryArea(t *testing.T) {
	t.Parallel()
	s := start(t)
	panel := "/widget/panel?widget=" + s.a.livechat.LiveChat.PublicID
	for path, ancestors := range map[string]string{
		"/": "'none'", "/inbox/mine": "'none'", "/docs": "'none'", "/api/v1/me": "'none'", "/widget/loader.js": "'none'",
		panel: "https://shop.example", "/livechat/v1/widgets/x": "'none'",
	} {
		r := s.call(http.MethodGet, path, "", nil, "Accept", "text/html")
		policy := r.Header.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src", path)
		require.Contains(t, policy+";", "frame-ancestors "+ancestors+";", path)
		require.NotContains(t, policy, "unsafe-eval", path)
		require.NotRegexp(t, `script-src[^;]*unsafe`, policy, path)
		require.NotContains(t, policy, "*", path)
		require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"), path)
		require.Equal(t, "strict-origin-when-cross-origin", r.Header.Get("Referrer-Policy"), path)
		require.Contains(t, r.Header.Get("Strict-Transport-Security"), "max-age=31536000", path)
		require.NotEmpty(t, r.Header.Get("X-Request-Id"), path)
		require.Empty(t, r.Header.Get("Server"), path)
	}
	require.Equal(t, "no-store", s.call(http.MethodGet, "/api/v1/me", s.a.agentToken, nil).Header.Get("Cache-Control"))
	require.Contains(t, s.call(http.MethodGet, "/", "", nil).Header.Get("Content-Security-Policy"), "connect-src 'self' wss://chat.example.com;")
	local := start(t, func(_ *server.Deps, o *server.Options) { o.PublicURL = "http://localhost:8080" })
	require.Empty(t, local.call(http.MethodGet, "/", "", nil).Header.Get("Strict-Transport-Security"), "not where there is no https")
}

func TestSec_A11_CORS(t *testing.T) {
	t.Parallel()
	s := start(t, func(_ *server.Deps, o *server.Options) { o.AllowedOrigins = []string{"https://dev.example.com"} })
	for origin, allowed := range map[string]bool{publicURL: true, "https://dev.example.com": true, "https://evil.example": false, "null": false} {
		for _, r := range []reply{
			s.call(http.MethodGet, "/api/v1/me", s.a.agentToken, nil, "Origin", origin),
			s.call(http.MethodOptions, "/api/v1/users", "", nil, "Origin", origin, "Access-Control-Request-Method", "POST"),
		} {
			got := r.Header.Get("Access-Control-Allow-Origin")
			if allowed {
				require.Equal(t, origin, got)
			} else {
				require.Empty(t, got)
			}
			require.Contains(t, r.Header.Values("Vary"), "Origin")
		}
	}
}

func TestStaticFiles(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, c := range []struct {
		path, accept, encoding string
		status                 int
		body, cache            string
	}{
		{"/", "text/html", "", 200, "<!doctype html>console", "no-cache"},
		{"/", "*/*", "", 200, "<!doctype html>console", "no-cache"},
		{"/inbox/all/123", "text/html,*/*", "", 200, "<!doctype html>console", "no-cache"},
		{"/inbox/all/123", "application/json", "", 404, "", ""},
		{"/favicon.svg", "image/*", "", 200, "<svg/>", "no-cache"},
		{"/console-assets/app-abc.js", "*/*", "br, gzip", 200, "brotli", "public, max-age=31536000, immutable"},
		{"/console-assets/app-abc.js", "*/*", "gzip", 200, "gzip", "public, max-age=31536000, immutable"},
		{"/console-assets/app-abc.js", "*/*", "br;q=0", 200, "plain", "public, max-age=31536000, immutable"},
		{"/console-assets/gone.js", "text/html", "", 404, "", ""},
		{"/console-assets/../index.html", "text/html", "", 404, "", ""},
		{"/console-assets/%2e%2e/index.html", "text/html", "", 404, "", ""},
		{"/widget/loader.js", "*/*", "", 200, "loader", "public, max-age=300, stale-while-revalidate=86400"},
		{"/widget/assets/p-1.js", "*/*", "", 200, "p", "public, max-age=31536000, immutable"},
		{"/widget/panel?widget=guess", "text/html", "", 404, "", ""},
		{"/api/v1/nothing", "text/html", "", 404, "", ""},
		{"/demo", "text/html", "", 200, "<!doctype html>console", "no-cache"}, // not in demo mode: a page like any other
		{"/demo/api/config", "text/html", "", 404, "", ""},
	} {
		if c.encoding == "" {
			c.encoding = "identity"
		}
		r := s.call(http.MethodGet, c.path, "", nil, "Accept", c.accept, "Accept-Encoding", c.encoding)
		require.Equal(t, c.status, r.StatusCode, "%+v", c)
		if c.status == http.StatusOK {
			require.Equal(t, c.body, r.body, "%+v", c)
			require.Equal(t, c.cache, r.Header.Get("Cache-Control"), "%+v", c)
			same := s.call(http.MethodGet, c.path, "", nil, "Accept", c.accept, "Accept-Encoding", c.encoding, "If-None-Match", r.Header.Get("ETag"))
			require.Equal(t, http.StatusNotModified, same.StatusCode)
		}
	}
	require.Equal(t, "text/javascript; charset=utf-8", s.call(http.MethodGet, "/console-assets/app-abc.js", "", nil, "Accept-Encoding", "br").Header.Get("Content-Type"))
	bare := start(t, func(d *server.Deps, _ *server.Options) { d.Console, d.Widget = nil, fstest.MapFS{} })
	r := bare.call(http.MethodGet, "/", "", nil)
	require.Equal(t, http.StatusServiceUnavailable, r.StatusCode)
	require.Contains(t, r.body, "not built")
	require.Equal(t, http.StatusServiceUnavailable, bare.call(http.MethodGet, "/widget/loader.js", "", nil).StatusCode)
}

func TestDocs(t *testing.T) {
	t.Parallel()
	s := start(t)
	page := s.call(http.MethodGet, "/docs", "", nil)
	require.Equal(t, http.StatusOK, page.StatusCode)
	require.NotContains(t, page.body, "<script")
	require.NotContains(t, page.body, "http:")
	var doc struct {
		OpenAPI string                    `json:"openapi"`
		Paths   map[string]map[string]any `json:"paths"`
	}
	s.call(http.MethodGet, "/docs/openapi.json", "", nil).into(t, &doc)
	require.Equal(t, "3.1.0", doc.OpenAPI)
	for _, r := range s.server.Routes() {
		if r.Method == "WS" {
			require.Contains(t, page.body, strings.TrimPrefix(r.Operation, "ws:"))
			continue
		}
		require.Contains(t, doc.Paths[r.Path], strings.ToLower(r.Method), r.Operation)
		require.Contains(t, page.body, r.Path)
	}
	yaml := s.call(http.MethodGet, "/docs/openapi.yaml", "", nil)
	require.Contains(t, yaml.body, "openapi: 3.1.0")
}

func TestSec_A13_OpsStandApart(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/debug/pprof/"} {
		require.Equal(t, http.StatusNotFound, s.call(http.MethodGet, path, "", nil).StatusCode, path)
	}
	ops := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		s.server.Ops().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w
	}
	require.Equal(t, http.StatusOK, ops("/healthz").Code)
	require.Equal(t, http.StatusOK, ops("/readyz").Code)
	require.Equal(t, http.StatusNotFound, ops("/debug/pprof/").Code)
	s.call(http.MethodGet, "/api/v1/users/"+s.a.agent.ID, s.a.adminToken, nil)
	metrics := ops("/metrics").Body.String()
	require.Contains(t, metrics, `omni_http_requests_total{method="GET",route="/api/v1/users/:id",status="200"} 1`)
	require.Contains(t, metrics, "omni_hub_connections 0")
	require.Contains(t, metrics, "go_goroutines")
	require.NotContains(t, metrics, s.a.agent.ID)
	s.store.set(true)
	w := ops("/readyz")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Contains(t, w.Body.String(), `"store":"away"`)
	require.Equal(t, http.StatusOK, ops("/healthz").Code, "alive all the same")
	s.store.set(false)
	require.NoError(t, s.bus.Close())
	w = ops("/readyz")
	require.Equal(t, http.StatusOK, w.Code, "webhooks go on without the bus")
	require.Contains(t, w.Body.String(), `"bus":"away"`)
	require.Contains(t, w.Body.String(), `"status":"degraded"`)
	s.server.SetDraining(true)
	require.Equal(t, http.StatusServiceUnavailable, ops("/readyz").Code)
}

// simulator records what it is asked to do.
type simulator struct {
	mu    sync.Mutex
	sent  []server.SimulatedMessage
	how   server.SimulatedBehaviour
	fails error
}

func (s *simulator) Config(context.Context) (server.DemoConfig, error) {
	return server.DemoConfig{WidgetID: "w", Channels: []server.DemoChannel{}}, nil
}

func (s *simulator) Inbound(_ context.Context, m server.SimulatedMessage) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, m)
	return s.fails
}

func (s *simulator) Outbox(_ context.Context, _ omni.CarrierName, address string) ([]server.SimulatedDelivery, error) {
	if address == "" {
		return nil, nil
	}
	return []server.SimulatedDelivery{{ID: "1", To: address, Status: omni.StatusDelivered}}, nil
}

func (s *simulator) Behave(_ context.Context, b server.SimulatedBehaviour) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.how = b
	return nil
}

func TestDemo(t *testing.T) {
	t.Parallel()
	sim := &simulator{}
	s := start(t, func(d *server.Deps, o *server.Options) {
		d.Simulator, o.Demo = sim, true
		d.DemoSite = fstest.MapFS{"index.html": {Data: []byte("shop")}, "simulator.html": {Data: []byte("phone")}, "assets/s.js": {Data: []byte("s")}}
	})
	require.Equal(t, "shop", s.call(http.MethodGet, "/demo", "", nil).body)
	require.Equal(t, "phone", s.call(http.MethodGet, "/demo/simulator", "", nil).body)
	require.Equal(t, "s", s.call(http.MethodGet, "/demo/assets/s.js", "", nil).body)
	require.JSONEq(t, `{"widgetId":"w","channels":[]}`, s.call(http.MethodGet, "/demo/api/config", "", nil).body)
	require.JSONEq(t, `{"items":[]}`, s.call(http.MethodGet, "/demo/api/outbox", "", nil).body)
	require.Contains(t, s.call(http.MethodGet, "/demo/api/outbox?from=%2B1", "", nil).body, `"to":"+1"`)
	ok := `{"channelType":"SMS","from":"+12025550100","text":"hi","fragments":3,"duplicates":2}`
	require.Equal(t, http.StatusAccepted, s.call(http.MethodPost, "/demo/api/inbound", "", ok).StatusCode)
	require.Equal(t, 3, sim.sent[0].Fragments)
	require.Equal(t, http.StatusAccepted, s.call(http.MethodPut, "/demo/api/behaviour", "", `{"delayMs":0,"failCode":"30008","failRate":0.5,"statuses":["sent","delivered"],"shuffle":true,"duplicates":0}`).StatusCode)
	require.Equal(t, "30008", sim.how.FailCode)
	for name, body := range map[string]string{
		"channel": `{"channelType":"LiveChat","from":"+1","text":"x"}`, "nobody": `{"channelType":"SMS","from":"","text":"x"}`,
		"nothing": `{"channelType":"SMS","from":"+1","text":""}`, "unknown": `{"channelType":"SMS","from":"+1","text":"x","tenantId":"x"}`,
		"two": ok + ok, "no JSON": `{`, "too many": `{"channelType":"SMS","from":"+1","text":"x","duplicates":1000}`,
	} {
		require.Equal(t, http.StatusBadRequest, s.call(http.MethodPost, "/demo/api/inbound", "", body).StatusCode, name)
	}
	require.Equal(t, http.StatusUnsupportedMediaType, s.call(http.MethodPost, "/demo/api/inbound", "", ok, "Content-Type", "text/plain").StatusCode)
	require.Equal(t, http.StatusForbidden, s.call(http.MethodPost, "/demo/api/inbound", "", ok, "Origin", "https://evil.example").StatusCode)
	require.Equal(t, http.StatusForbidden, s.call(http.MethodPost, "/demo/api/inbound", "", ok, "Sec-Fetch-Site", "cross-site").StatusCode)
	sim.fails = errors.New("canary of the simulator")
	r := s.call(http.MethodPost, "/demo/api/inbound", "", ok)
	require.Equal(t, http.StatusInternalServerError, r.StatusCode)
	require.NotContains(t, r.body, "canary")
	panel := s.call(http.MethodGet, "/widget/panel?widget="+s.a.livechat.LiveChat.PublicID, "", nil)
	require.Contains(t, panel.Header.Get("Content-Security-Policy"), "frame-ancestors https://shop.example "+publicURL)
}

func TestSec_A12_PanicsTellNothing(t *testing.T) {
	t.Parallel()
	s := start(t, func(d *server.Deps, o *server.Options) { d.Simulator, o.Demo = panicking{}, true })
	r := s.call(http.MethodGet, "/demo/api/config", "", nil)
	require.Equal(t, http.StatusInternalServerError, r.StatusCode)
	require.Equal(t, "internal", r.code(t))
	require.NotContains(t, r.body, "CANARY")
	require.NotContains(t, s.logs.String(), "CANARY", "what was sent could stand in it")
	require.Contains(t, s.logs.String(), "pages_test.go", "the log says where")
	require.Equal(t, http.StatusOK, s.call(http.MethodGet, "/docs", "", nil).StatusCode, "the server lives")
}

type panicking struct{ server.Simulator }

func (panicking) Config(context.Context) (server.DemoConfig, error) { panic("CANARY") }

func TestSec_K3_X10_LogsHoldNoCanary(t *testing.T) {
	t.Parallel()
	s := start(t)
	const canary = "CANARY"
	a := s.twilio(s.a)
	path := strings.TrimPrefix(a.WebhookURL, publicURL)
	form := inboundForm(canary + " text")
	form.Set("From", "+12025550777")
	require.Equal(t, http.StatusOK, s.post(path, form, a.WebhookURL).StatusCode)
	s.post(path, form, "")
	s.post(path+"?token="+canary, form, "")
	form.Del("To")
	s.post(path, form, a.WebhookURL)
	s.call(http.MethodPost, "/api/v1/auth/login", "", map[string]any{"email": canary + "@x.example", "password": canary + " password"})
	s.call(http.MethodPost, "/api/v1/auth/login", "", map[string]any{"loginToken": canary})
	s.call(http.MethodPost, "/api/v1/auth/refresh", "", map[string]any{"refreshToken": canary})
	s.call(http.MethodGet, "/api/v1/me?token="+canary, canary, nil, "Cookie", "omni_refresh="+canary)
	s.call(http.MethodPost, "/api/v1/users", s.a.adminToken, map[string]any{"name": canary + "\nlevel=ERROR", "email": canary + "@y.example", "role": "agent"})
	s.call(http.MethodPost, "/api/v1/users", s.a.adminToken, `{"name":"`+canary)
	s.call(http.MethodGet, "/inbox/"+canary, "", nil, "Accept", "text/html", "User-Agent", canary)
	s.call(http.MethodGet, "/livechat/v1/widgets/"+canary, "", nil, "Origin", "https://"+canary)
	m := s.visitorWrites(s.a, canary+" from a visitor")
	k, _ := s.connect("/ws?ticket="+canary, publicURL, wire.Connect{Token: s.a.agentToken, Client: canary})
	k.command(wire.CmdMessageSend, wire.SendMessage{InteractionID: m.InteractionID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: canary}})
	k.command(canary, `{"x":"`+canary+`"}`)
	bad, _, err := s.dial("/ws", publicURL)
	require.NoError(t, err)
	bad.command(wire.CmdConnect, wire.Connect{Ticket: canary})
	bad.closed()
	require.Eventually(t, func() bool {
		l, err := s.store.ListAside(t.Context(), omni.Org(s.a.org.ID), store.Page{})
		return err == nil && len(l.Items) > 0
	}, heardTime, heardTick)

	all := s.logs.String()
	require.Contains(t, all, `"request"`)
	for _, secret := range []string{canary, "2025550777", s.a.agentToken, s.a.adminToken, twilioSecret, a.PublicID, s.a.agent.Email, s.a.agent.Name, "127.0.0.1"} {
		if i := strings.Index(all, secret); i >= 0 {
			require.Fail(t, "a log line holds what it must not", "%s in ...%s", secret, all[max(0, i-200):min(len(all), i+100)])
		}
	}
	for line := range strings.Lines(all) {
		require.True(t, json.Valid([]byte(line)), "K4: one record is one line: %s", line)
	}
	w := httptest.NewRecorder()
	s.server.Ops().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	require.NotContains(t, w.Body.String(), canary)
	require.NotContains(t, w.Body.String(), a.PublicID, "no ids in metrics")
}

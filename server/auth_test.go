package server_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server"
)

const (
	heardTime = 5 * time.Second
	heardTick = 20 * time.Millisecond
)

func publishTo(s *system, topic string) bool {
	_, err := s.hub.Publish(s.t.Context(), topic, "probe", struct{}{})
	return err == nil
}

// heard reports whether the socket got an event of a topic, now or soon.
func heard(k *socket, topic string) bool {
	ctx, cancel := context.WithTimeout(k.t.Context(), 50*time.Millisecond)
	defer cancel()
	done := make(chan bool, 1)
	go func() {
		for {
			f, err := k.read()
			if err != nil {
				done <- false
				return
			}
			if f.Topic == topic {
				done <- true
				return
			}
		}
	}()
	select {
	case ok := <-done:
		return ok
	case <-ctx.Done():
		return <-done
	}
}

// browser logs in as a page does and keeps the cookies.
type browser struct {
	s             *system
	refresh, csrf string
}

func (b *browser) take(r reply) {
	for _, c := range r.Cookies() {
		switch c.Name {
		case "omni_refresh":
			b.refresh = c.Value
		case "omni_csrf":
			b.csrf = c.Value
		}
	}
}

func (b *browser) post(path, csrf string) reply {
	r := b.s.call(http.MethodPost, path, "", `{}`, "Cookie", "omni_refresh="+b.refresh+"; omni_csrf="+b.csrf, "X-CSRF-Token", csrf)
	return r
}

func TestSec_A11_BrowserSession(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := &browser{s: s}
	r := s.call(http.MethodPost, "/api/v1/auth/login", "", map[string]any{"email": s.a.agent.Email, "password": password})
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	b.take(r)
	require.NotContains(t, r.body, b.refresh, "a page's script never sees the refresh token")
	for _, c := range r.Cookies() {
		require.True(t, c.Secure, c.Name)
		require.Equal(t, http.SameSiteStrictMode, c.SameSite, c.Name)
		require.Equal(t, c.Name == "omni_refresh", c.HttpOnly, c.Name)
		require.Equal(t, map[string]string{"omni_refresh": "/api/v1/auth", "omni_csrf": "/"}[c.Name], c.Path)
	}

	// A11: a cookie alone is not enough, nor is a planted pair.
	for name, csrf := range map[string]string{"none": "", "wrong": "x"} {
		got := b.post("/api/v1/auth/refresh", csrf)
		require.Equal(t, http.StatusForbidden, got.StatusCode, name)
		got = b.post("/api/v1/auth/logout", csrf)
		require.Equal(t, http.StatusForbidden, got.StatusCode, name)
	}
	planted := *b
	planted.csrf = "planted"
	require.Equal(t, http.StatusForbidden, planted.post("/api/v1/auth/refresh", "planted").StatusCode)

	old := *b
	r = b.post("/api/v1/auth/refresh", b.csrf)
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	b.take(r)
	require.NotEqual(t, old.refresh, b.refresh)
	var session server.SessionBody
	r.into(t, &session)
	k, c := s.connect("/ws", publicURL, wire.Connect{Token: session.AccessToken})
	require.Equal(t, session.ExpiresAt/1000, c.ExpiresAt/1000)

	r = b.post("/api/v1/auth/logout", b.csrf)
	require.Equal(t, http.StatusNoContent, r.StatusCode, r.body)
	for _, c := range r.Cookies() {
		require.Negative(t, c.MaxAge, c.Name)
	}
	require.EqualValues(t, 4401, k.closed(), "logout closes the sockets")
	require.Equal(t, http.StatusUnauthorized, s.call(http.MethodGet, "/api/v1/me", session.AccessToken, nil).StatusCode)
	gone := b.post("/api/v1/auth/refresh", b.csrf)
	require.Equal(t, http.StatusUnauthorized, gone.StatusCode)
	require.Len(t, gone.Cookies(), 2, "what does not work is taken out of the browser")
}

func TestProgramsLogOutByTheirAccessToken(t *testing.T) {
	t.Parallel()
	s := start(t)
	k, _ := s.connect("/ws", "", wire.Connect{Token: s.a.agentToken})
	require.Equal(t, http.StatusNoContent, s.call(http.MethodPost, "/api/v1/auth/logout", s.a.agentToken, `{}`).StatusCode)
	require.EqualValues(t, 4401, k.closed())
	require.Equal(t, http.StatusNoContent, s.call(http.MethodPost, "/api/v1/auth/logout", s.a.agentToken, `{}`).StatusCode, "twice is once")
	require.Equal(t, http.StatusUnauthorized, s.call(http.MethodGet, "/api/v1/me", s.a.agentToken, nil).StatusCode)
}

func TestSec_A5_ReuseOfARefreshTokenClosesTheSockets(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := s.call(http.MethodPost, "/api/v1/auth/login", "", map[string]any{"email": s.a.agent.Email, "password": password, "programmatic": true})
	var first, second server.SessionBody
	r.into(t, &first)
	r = s.call(http.MethodPost, "/api/v1/auth/refresh", "", map[string]any{"refreshToken": first.RefreshToken})
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	r.into(t, &second)
	k, _ := s.connect("/ws", "", wire.Connect{Token: second.AccessToken})
	require.Equal(t, http.StatusUnauthorized, s.call(http.MethodPost, "/api/v1/auth/refresh", "", map[string]any{"refreshToken": first.RefreshToken}).StatusCode)
	require.EqualValues(t, 4401, k.closed())
}

func TestLoginIsLimited(t *testing.T) {
	t.Parallel()
	s := start(t)
	for range 5 {
		r := s.call(http.MethodPost, "/api/v1/auth/login", "", map[string]any{"email": s.a.agent.Email, "password": "wrong wrong wrong"})
		require.Equal(t, http.StatusUnauthorized, r.StatusCode)
	}
	r := s.call(http.MethodPost, "/api/v1/auth/login", "", map[string]any{"email": s.a.agent.Email, "password": password})
	require.Equal(t, http.StatusTooManyRequests, r.StatusCode)
	require.NotEmpty(t, r.Header.Get("Retry-After"))
	require.Equal(t, "rate_limited", r.code(t))
}

func TestPasswordChange(t *testing.T) {
	t.Parallel()
	s := start(t)
	token := s.login(s.a.agent)
	other, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.agentToken})
	r := s.call(http.MethodPost, "/api/v1/auth/password", token, map[string]any{"password": "another long password"})
	require.Equal(t, http.StatusBadRequest, r.StatusCode, "the current one is needed")
	r = s.call(http.MethodPost, "/api/v1/auth/password", token, map[string]any{"current": password, "password": "short"})
	require.Equal(t, http.StatusBadRequest, r.StatusCode)
	r = s.call(http.MethodPost, "/api/v1/auth/password", token, map[string]any{"current": password, "password": "another long password"})
	require.Equal(t, http.StatusNoContent, r.StatusCode, r.body)
	require.EqualValues(t, 4401, other.closed(), "all other logins end")
	b := &browser{s: s}
	b.take(r)
	require.Equal(t, http.StatusOK, b.post("/api/v1/auth/refresh", b.csrf).StatusCode, "this one goes on")
	_, err := s.server.Auth().Password(t.Context(), s.a.agent.Email, password, "192.0.2.1")
	require.ErrorIs(t, err, omni.ErrUnauthenticated)
}

func TestSec_S2_TicketLetsOneSocketIn(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := s.call(http.MethodPost, "/api/v1/realtime/tickets", s.a.agentToken, `{}`)
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	var ticket server.TicketBody
	r.into(t, &ticket)
	_, c := s.connect("/ws", publicURL, wire.Connect{Ticket: ticket.Ticket})
	require.Equal(t, s.a.agent.ID, c.UserID)
	k, _, err := s.dial("/ws", publicURL)
	require.NoError(t, err)
	f := k.command(wire.CmdConnect, wire.Connect{Ticket: ticket.Ticket})
	require.Equal(t, omni.CodeUnauthenticated, f.Error.Code)
	require.EqualValues(t, 4401, k.closed())
}

func TestSec_A8_RequestsAreLimited(t *testing.T) {
	t.Parallel()
	t.Run("address", func(t *testing.T) {
		t.Parallel()
		s := start(t, func(_ *server.Deps, o *server.Options) { o.Limits.Address = server.Rate{PerSecond: 0.001, Burst: 3} })
		for range 3 {
			require.Equal(t, http.StatusOK, s.call(http.MethodGet, "/api/v1/me", s.a.agentToken, nil).StatusCode)
		}
		r := s.call(http.MethodGet, "/api/v1/me", s.a.agentToken, nil)
		require.Equal(t, http.StatusTooManyRequests, r.StatusCode)
		require.NotEmpty(t, r.Header.Get("Retry-After"))
		forged := s.call(http.MethodGet, "/api/v1/me", s.a.agentToken, nil, "X-Forwarded-For", "203.0.113.9")
		require.Equal(t, http.StatusTooManyRequests, forged.StatusCode, "only a trusted proxy tells addresses")
	})
	t.Run("principal", func(t *testing.T) {
		t.Parallel()
		s := start(t, func(_ *server.Deps, o *server.Options) { o.Limits.Principal = server.Rate{PerSecond: 0.001, Burst: 2} })
		for range 2 {
			require.Equal(t, http.StatusOK, s.call(http.MethodGet, "/api/v1/me", s.a.agentToken, nil).StatusCode)
		}
		require.Equal(t, http.StatusTooManyRequests, s.call(http.MethodGet, "/api/v1/me", s.a.agentToken, nil).StatusCode)
		require.Equal(t, http.StatusOK, s.call(http.MethodGet, "/api/v1/me", s.a.adminToken, nil).StatusCode)
	})
	t.Run("organisation", func(t *testing.T) {
		t.Parallel()
		s := start(t, func(_ *server.Deps, o *server.Options) {
			o.Limits.Organisation = server.Rate{PerSecond: 0.001, Burst: 2}
		})
		for _, token := range []string{s.a.agentToken, s.a.adminToken} {
			require.Equal(t, http.StatusOK, s.call(http.MethodGet, "/api/v1/me", token, nil).StatusCode)
		}
		require.Equal(t, http.StatusTooManyRequests, s.call(http.MethodGet, "/api/v1/me", s.a.adminToken, nil).StatusCode)
		require.Equal(t, http.StatusOK, s.call(http.MethodGet, "/api/v1/me", s.b.adminToken, nil).StatusCode)
	})
}

func TestSec_B5_UnsafeOptionsStopTheStart(t *testing.T) {
	t.Parallel()
	s := start(t)
	deps := server.Deps{
		Store: s.store, Bus: s.bus, Hub: s.hub, Pipeline: s.pipe, Carriers: s.reg, Publish: publisher{s.hub}.Publish,
		Seal: func(omni.CarrierAccount, string, string) (omni.SealedSecret, error) { return omni.SealedSecret{}, nil },
	}
	good := server.Options{PublicURL: publicURL, AccessKeys: keys("a1", "a"), VisitorKeys: keys("v1", "v")}
	_, err := server.New(deps, good)
	require.NoError(t, err)
	for name, change := range map[string]func(*server.Options){
		"plain http":      func(o *server.Options) { o.PublicURL = "http://chat.example.com" },
		"path":            func(o *server.Options) { o.PublicURL = "https://chat.example.com/x" },
		"no URL":          func(o *server.Options) { o.PublicURL = "" },
		"any origin":      func(o *server.Options) { o.AllowedOrigins = []string{"*"} },
		"origin pattern":  func(o *server.Options) { o.AllowedOrigins = []string{"https://*.example.com"} },
		"no keys":         func(o *server.Options) { o.AccessKeys = nil },
		"no visitor keys": func(o *server.Options) { o.VisitorKeys = nil },
		"bad proxies":     func(o *server.Options) { o.TrustedProxies = []string{"everyone"} },
	} {
		o := good
		change(&o)
		_, err := server.New(deps, o)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "aaaa", name)
	}
	local := good
	local.PublicURL = "http://localhost:8080"
	_, err = server.New(deps, local)
	require.NoError(t, err, "this machine needs no https")
}

package server_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/internal/seal"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
	"omniservice/server"
	"omniservice/server/auth"
	"omniservice/store"
)

// accountOnly is a store for webhooks of which nothing but the account may be read, and the inbox written: any other
// call is one of a nil interface and panics, which answers 500.
type accountOnly struct {
	store.Store

	of       store.Store
	accounts atomic.Int64
	inbox    atomic.Int64
}

func (a *accountOnly) CarrierAccountByPublicID(ctx context.Context, id string) (omni.CarrierAccount, error) {
	a.accounts.Add(1)
	return a.of.CarrierAccountByPublicID(ctx, id)
}

func (a *accountOnly) PutInbox(ctx context.Context, rs ...store.InboxRecord) error {
	a.inbox.Add(int64(len(rs)))
	return a.of.PutInbox(ctx, rs...)
}

func (s *system) metric(line string) string {
	w := httptest.NewRecorder()
	s.server.Ops().ServeHTTP(w, httptest.NewRequestWithContext(s.t.Context(), http.MethodGet, "/metrics", nil))
	for l := range strings.Lines(w.Body.String()) {
		if value, ok := strings.CutPrefix(l, line+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return "none"
}

func TestSec_W1_NothingHappensBeforeVerification(t *testing.T) {
	t.Parallel()
	narrow := &accountOnly{}
	s := start(t, func(d *server.Deps, _ *server.Options) {
		narrow.of = d.Store
		keys, err := seal.New("k1", map[string][]byte{"k1": bytes.Repeat([]byte("k"), seal.KeySize)})
		require.NoError(t, err)
		d.Pipeline, err = pipeline.New(narrow, d.Carriers, keys, publisher{d.Hub}, pipeline.Options{PublicURL: publicURL})
		require.NoError(t, err)
	})
	a, b := s.twilio(s.a), s.twilio(s.b)
	path := strings.TrimPrefix(a.WebhookURL, publicURL)
	form := inboundForm("hello")
	other := hmac.New(sha1.New, []byte("another secret"))
	other.Write([]byte(a.WebhookURL))

	for name, c := range map[string]struct {
		path, signature, body string
		status                int
	}{
		"no signature":                     {path, "", form.Encode(), 403},
		"no base64":                        {path, "?", form.Encode(), 403},
		"with another secret":              {path, base64.StdEncoding.EncodeToString(other.Sum(nil)), form.Encode(), 403},
		"of another account":               {path, sign(b.WebhookURL, form), form.Encode(), 403},
		"of another body":                  {path, sign(a.WebhookURL, inboundForm("hi")), form.Encode(), 403},
		"a body that is no form, unsigned": {path, "", "%zz&=;", 403},
		"JSON, 100,000 deep, unsigned":     {path, "", strings.Repeat("[", 100_000), 403},
		"unknown account":                  {"/webhooks/twilio/" + omni.NewToken(16), sign(a.WebhookURL, form), form.Encode(), 404},
		"account of another carrier":       {"/webhooks/test/" + a.PublicID, sign(a.WebhookURL, form), form.Encode(), 404},
		"unknown carrier":                  {"/webhooks/nobody/" + a.PublicID, sign(a.WebhookURL, form), form.Encode(), 404},
	} {
		label := `carrier="Twilio"`
		switch {
		case strings.HasPrefix(c.path, "/webhooks/test/"):
			label = `carrier="Test"`
		case strings.HasPrefix(c.path, "/webhooks/nobody/"):
			label = `carrier="none"`
		}
		counter := `omni_webhooks_total{` + label + `,metric="Rejected",type="Unknown"}`
		before := s.metric(counter)
		headers := []string{"Content-Type", "application/x-www-form-urlencoded"}
		if c.signature != "" {
			headers = append(headers, "X-Twilio-Signature", c.signature)
		}
		got := s.call(http.MethodPost, c.path, "", c.body, headers...)
		require.Equal(t, c.status, got.StatusCode, name)
		require.Empty(t, got.body, name)
		require.NotEqual(t, before, s.metric(counter), "%s is counted: %s", name, counter)
	}
	require.Zero(t, narrow.inbox.Load(), "nothing was stored")
	require.Positive(t, narrow.accounts.Load())
	require.Equal(t, http.StatusOK, s.post(path, form, a.WebhookURL).StatusCode)
	require.EqualValues(t, 1, narrow.inbox.Load())
}

// What a signature covers is the URL that the carrier was given. Headers about hosts and proxies change nothing of it,
// from a trusted proxy as little as from anybody.
func TestSec_W4_TheConfiguredURLIsVerified(t *testing.T) {
	t.Parallel()
	for _, trusted := range [][]string{nil, {"127.0.0.1"}} {
		s := start(t, func(_ *server.Deps, o *server.Options) { o.TrustedProxies = trusted })
		a := s.twilio(s.a)
		path := strings.TrimPrefix(a.WebhookURL, publicURL)
		form := inboundForm("hello")
		for _, h := range [][]string{
			{"X-Forwarded-Host", "evil.example"},
			{"X-Forwarded-Proto", "http"},
			{"X-Forwarded-Prefix", "/evil"},
			{"X-Forwarded-For", "192.0.2.1"},
			{"X-Original-URL", "/evil"},
			{"X-Rewrite-URL", "/evil"},
			{"Forwarded", "host=evil.example;proto=http"},
			{"Host", "evil.example"},
		} {
			require.Equal(t, http.StatusOK, s.postTo("", path, form.Encode(), sign(a.WebhookURL, form), h...), "%v %v", trusted, h)
			require.Equal(t, http.StatusForbidden, s.postTo("", path, form.Encode(), sign("https://evil.example"+path, form), h...), "%v %v", trusted, h)
		}
		require.Equal(t, http.StatusOK, s.postTo("evil.example", path, form.Encode(), sign(a.WebhookURL, form)))
		for _, url := range []string{"https://evil.example" + path, "http://evil.example" + path, s.http.URL + path, "http://chat.example.com" + path} {
			require.Equal(t, http.StatusForbidden, s.postTo("evil.example", path, form.Encode(), sign(url, form)), url)
		}
	}
}

// postTo posts a form with a Host header of its own, and returns the status.
func (s *system) postTo(host, path, form, signature string, headers ...string) int {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.http.URL+path, strings.NewReader(form))
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Twilio-Signature", signature)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if host != "" {
		req.Host = host
	}
	res, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(s.t, err)
	require.NoError(s.t, res.Body.Close())
	return res.StatusCode
}

func TestSec_W5_SecondDeliveryIsAcknowledgedAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := start(t)
	a := s.twilio(s.a)
	r := s.call(http.MethodPost, "/api/v1/channels", s.a.adminToken, map[string]any{
		"name": "Number", "groupId": s.a.group.ID, "channelType": "SMS", "carrierAccountId": a.ID, "address": "+12025550123",
	})
	require.Equal(t, http.StatusCreated, r.StatusCode, r.body)
	path := strings.TrimPrefix(a.WebhookURL, publicURL)
	last := inboundForm("the last")
	last.Set("MessageSid", "SM"+strings.Repeat("2", 32))
	first := s.post(path, inboundForm("hello"), a.WebhookURL)
	require.Equal(t, http.StatusOK, first.StatusCode)
	for range 3 {
		again := s.post(path, inboundForm("hello"), a.WebhookURL)
		require.Equal(t, http.StatusOK, again.StatusCode)
		require.Equal(t, first.body, again.body)
	}
	require.Equal(t, http.StatusOK, s.post(path, last, a.WebhookURL).StatusCode)
	var its store.List[omni.Interaction]
	require.Eventually(t, func() bool { // messages of one sender are worked off in order
		var err error
		its, err = s.store.ListInteractions(t.Context(), omni.Org(s.a.org.ID), store.InteractionFilter{GroupIDs: []string{s.a.group.ID}}, store.Page{})
		return err == nil && len(its.Items) == 1 && its.Items[0].LastPreview == "the last"
	}, heardTime, heardTick)
	require.Equal(t, 2, its.Items[0].Unread)
	require.EqualValues(t, 2, its.Items[0].LastSequence)
}

// listener takes the connections that a test makes in memory.
type listener chan net.Conn

func (l listener) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (listener) Addr() net.Addr { return &net.TCPAddr{} }
func (l listener) Close() error { close(l); return nil }

// A byte a second is not enough: neither of the headers, which a handshake of a socket consists of, nor of a body.
func TestSec_S5_X2_SlowRequestsAreGivenUp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		head string
		ends time.Duration
	}{
		"headers": {"GET /ws HTTP/1.1\r\nHost: chat.example.com\r\nOrigin: https://", 5 * time.Second},
		"body":    {"POST /webhooks/x/y HTTP/1.1\r\nHost: chat.example.com\r\nContent-Length: 1000\r\n\r\n", 30 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				read := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, err := io.ReadAll(r.Body)
					w.Header().Set("Connection", "close")
					if errors.Is(err, os.ErrDeadlineExceeded) {
						w.WriteHeader(http.StatusBadRequest)
					}
				})
				srv, ln := server.HTTPServer(read, slog.New(slog.DiscardHandler)), make(listener)
				served := make(chan error, 1)
				go func() { served <- srv.Serve(ln) }()
				here, there := net.Pipe()
				ln <- there
				begin, ended := time.Now(), make(chan time.Duration, 1)
				go func() {
					_, _ = io.Copy(io.Discard, here)
					ended <- time.Since(begin)
				}()
				_, err := io.WriteString(here, c.head)
				require.NoError(t, err)
				for err == nil && time.Since(begin) < 2*time.Minute {
					time.Sleep(time.Second) //nolint:forbidigo // in a synctest bubble
					_, err = here.Write([]byte("x"))
				}
				require.Error(t, err, "the connection is closed")
				require.LessOrEqual(t, <-ended, c.ends+2*time.Second)
				require.NoError(t, srv.Close())
				require.ErrorIs(t, <-served, http.ErrServerClosed)
			})
		})
	}
}

// No setting of an account names an address that the program would call: carriers' hosts are built in.
func TestSec_M2_NoSettingNamesAnAddressToCall(t *testing.T) {
	t.Parallel()
	s := start(t)
	require.NotEmpty(t, s.reg.Providers())
	for _, provider := range s.reg.Providers() {
		carrier := provider.Name()
		for _, f := range provider.Fields() {
			require.NotRegexp(t, `(?i)url|host|base|endpoint|address`, f.Name+" "+f.Label)
		}
		for _, name := range []string{"apiBase", "baseUrl", "host", "webhookUrl", "proxy"} {
			r := s.call(http.MethodPost, "/api/v1/carrier-accounts", s.a.adminToken, map[string]any{
				"carrier": carrier, "name": "x", "config": map[string]string{name: "https://169.254.169.254/"},
			})
			require.Equal(t, http.StatusBadRequest, r.StatusCode, "%s %s: %s", carrier, name, r.body)
			var p server.Problem
			r.into(t, &p)
			require.Contains(t, p.Fields, "config."+name)
		}
	}
}

// Every list of the API, found by its route.
func TestSec_A8_PagesAreBounded(t *testing.T) {
	t.Parallel()
	s := start(t)
	ids := s.ids(s.a)
	lists := 0
	for _, r := range s.server.Routes() {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.Operation, "-list") && !strings.HasSuffix(r.Operation, "-messages") {
			continue
		}
		path, token := r.Path, s.a.adminToken
		for param, noun := range r.Scope {
			path = strings.ReplaceAll(path, "{"+param+"}", ids[noun])
		}
		if slices.Contains(r.Roles, omni.RoleVisitor) {
			token = s.visitorToken(s.a)
		}
		if r.Operation == "carrier-list" { // the carriers that are built in: no records
			continue
		}
		lists++
		require.Equal(t, http.StatusOK, s.call(http.MethodGet, path+"?limit=200", token, nil).StatusCode, r.Operation)
		for _, limit := range []string{"201", "0", "-1", "1e9", "99999999999999999999"} {
			require.Equal(t, http.StatusBadRequest, s.call(http.MethodGet, path+"?limit="+limit, token, nil).StatusCode, "%s of %s", r.Operation, limit)
		}
	}
	require.GreaterOrEqual(t, lists, 12)
}

func (s *system) visitorToken(x tenant) string {
	s.t.Helper()
	token, _, err := s.server.Auth().NewVisitor(omni.Visitor{ID: omni.NewToken(16), OrganisationID: x.org.ID, DigitalChannelID: x.livechat.ID})
	require.NoError(s.t, err)
	return token
}

// schema is as much of a JSON schema as this test reads.
type schema struct {
	Ref        string            `json:"$ref"`
	Type       any               `json:"type"`
	Properties map[string]schema `json:"properties"`
}

// Every field of every request that holds text, found in the API's own description, refuses an operator.
func TestSec_A9_X12_OperatorsInEveryField(t *testing.T) {
	t.Parallel()
	s := start(t)
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string `json:"operationId"`
			Security    []map[string][]string
			RequestBody struct {
				Content map[string]struct{ Schema schema }
			}
		}
		Components struct{ Schemas map[string]schema }
	}
	r := s.call(http.MethodGet, "/docs/openapi.json", "", nil)
	require.NoError(t, json.Unmarshal([]byte(r.body), &doc))
	resolve := func(x schema) schema {
		if name, ok := strings.CutPrefix(x.Ref, "#/components/schemas/"); ok {
			return doc.Components.Schemas[name]
		}
		return x
	}
	holds := func(x schema, typ string) bool {
		if all, ok := x.Type.([]any); ok {
			return slices.Contains(all, any(typ))
		}
		return x.Type == typ
	}
	// bodies are those with an operator in one place each.
	var bodies func(x schema) map[string]any
	bodies = func(x schema) map[string]any {
		all := map[string]any{}
		for name, p := range resolve(x).Properties {
			p = resolve(p)
			if holds(p, "string") {
				all[name] = map[string]any{name: map[string]any{"$ne": nil}}
			}
			for inner, b := range bodies(p) {
				all[name+"."+inner] = map[string]any{name: b}
			}
		}
		return all
	}
	fields := 0
	for path, methods := range doc.Paths {
		path = strings.NewReplacer("{id}", omni.NewID(), "{recordId}", omni.NewID()).Replace(path)
		for method, op := range methods {
			token := s.a.adminToken
			if len(op.Security) > 0 && op.Security[0]["visitor"] != nil {
				token = s.visitorToken(s.a)
			}
			for field, body := range bodies(op.RequestBody.Content["application/json"].Schema) {
				fields++
				got := s.call(strings.ToUpper(method), path, token, body, "If-Match", `"1"`)
				require.Equal(t, http.StatusBadRequest, got.StatusCode, "%s %s: %s", op.OperationID, field, got.body)
				require.Equal(t, "invalid", got.code(t))
				require.NotContains(t, got.body, "$ne", "what was sent is not repeated")
			}
		}
	}
	require.Greater(t, fields, 40, "the description was read")
}

// held is a pipeline whose sends wait.
type held struct {
	server.Pipeline

	sends   atomic.Int64
	begun   chan struct{}
	proceed chan struct{}
}

func (h *held) Send(ctx context.Context, a server.Actor, c wire.SendMessage) (omni.ServiceMessage, bool, error) {
	h.sends.Add(1)
	h.begun <- struct{}{}
	<-h.proceed
	return h.Pipeline.Send(ctx, a, c)
}

func TestSec_A10_IdempotencyKeys(t *testing.T) {
	t.Parallel()
	gate := &held{begun: make(chan struct{}, 100), proceed: make(chan struct{})}
	s := start(t, func(d *server.Deps, _ *server.Options) { gate.Pipeline, d.Pipeline = d.Pipeline, gate })
	m := s.visitorWrites(s.a, "hello")
	path := "/api/v1/interactions/" + m.InteractionID + "/messages"
	text := func(text string) map[string]any {
		return map[string]any{"clientId": "01990000-0000-7000-8000-00000000000a", "payload": map[string]any{"text": text}}
	}
	send := func(token, key string, body any) reply {
		return s.call(http.MethodPost, path, token, body, "Idempotency-Key", key)
	}

	// A twin that comes while the first is under way.
	answered := make(chan reply, 1)
	go func() { answered <- send(s.a.agentToken, "k", text("answer")) }()
	<-gate.begun
	twin := send(s.a.agentToken, "k", text("answer"))
	require.Equal(t, http.StatusConflict, twin.StatusCode, twin.body)
	require.Equal(t, "conflict", twin.code(t))
	require.Equal(t, http.StatusUnprocessableEntity, send(s.a.agentToken, "k", text("another")).StatusCode)
	close(gate.proceed)
	first := <-answered
	require.Equal(t, http.StatusCreated, first.StatusCode, first.body)
	require.EqualValues(t, 1, gate.sends.Load())

	replayed := func(token string) {
		before := gate.sends.Load()
		again := send(token, "k", text("answer"))
		require.Equal(t, http.StatusCreated, again.StatusCode, again.body)
		require.JSONEq(t, first.body, again.body)
		other := send(token, "k", text("another"))
		require.Equal(t, http.StatusUnprocessableEntity, other.StatusCode, other.body)
		require.Equal(t, "invalid", other.code(t))
		require.Equal(t, before, gate.sends.Load(), "nothing was done again")
	}
	replayed(s.a.agentToken)

	for key, status := range map[string]int{
		strings.Repeat("k", 255): 200, strings.Repeat("k", 256): 400, "with space ~!": 200, "tab\there": 400, "kéy": 400, "k\x80": 400,
	} {
		require.Equal(t, status, send(s.a.agentToken, key, text("answer")).StatusCode, "%q", key)
	}

	// The same key is another's own: of a colleague, and of another organisation, where it finds nothing.
	require.Equal(t, http.StatusOK, send(s.a.adminToken, "k", text("answer")).StatusCode, "known by its clientId alone")
	require.Equal(t, http.StatusNotFound, send(s.b.agentToken, "k", text("answer")).StatusCode)

	s.clock.Add(24*time.Hour - time.Minute)
	replayed(s.login(s.a.agent))
	s.clock.Add(2 * time.Minute)
	before := gate.sends.Load()
	require.Equal(t, http.StatusOK, send(s.login(s.a.agent), "k", text("answer")).StatusCode, "forgotten; the clientId still tells")
	require.Equal(t, before+1, gate.sends.Load())
}

// Clients name conversations, never topics; those of another organisation do not exist for them.
func TestSec_S4_ClientsNameNoTopics(t *testing.T) {
	t.Parallel()
	s := start(t)
	m := s.visitorWrites(s.a, "hello")
	foreign := []string{
		omni.OrgTopic(s.a.org.ID), omni.GroupTopic(s.a.group.ID), omni.UserTopic(s.a.agent.ID), omni.InteractionTopic(m.InteractionID), "control",
	}
	var resume []wire.TopicPosition
	for _, topic := range foreign {
		pos, err := s.hub.Positions(t.Context(), []string{topic})
		require.NoError(t, err)
		resume = append(resume, wire.TopicPosition{Topic: topic, Epoch: pos[0].Epoch})
	}
	k, c := s.connect("/ws", publicURL, wire.Connect{Token: s.b.agentToken, Resume: resume})
	for _, topic := range c.Topics {
		require.NotContains(t, foreign, topic.Topic)
	}
	for _, topic := range foreign {
		for _, typ := range []string{"subscribe", "join", "topic.join", wire.CmdInteractionOpen} {
			f := k.command(typ, map[string]any{"topic": topic, "topics": foreign, "interactionId": topic})
			require.Equal(t, "error", f.Type, "%s %s", typ, topic)
		}
	}
	require.Equal(t, omni.CodeNotFound, k.command(wire.CmdInteractionOpen, wire.InteractionRef{InteractionID: m.InteractionID}).Error.Code)
	for _, topic := range foreign[:4] {
		_, err := s.hub.Publish(t.Context(), topic, "canary", struct{}{})
		require.NoError(t, err)
	}
	_, err := s.hub.Publish(t.Context(), omni.OrgTopic(s.b.org.ID), "own", struct{}{})
	require.NoError(t, err)
	k.event("own")
	for _, e := range k.seen {
		require.NotContains(t, foreign, e.Topic)
	}
}

func TestSec_S9_AVisitorIsWhoTheTokenSays(t *testing.T) {
	t.Parallel()
	s := start(t)
	widget := s.a.livechat.LiveChat.PublicID
	session := func(token string) (v server.VisitorSessionBody) {
		r := s.call(http.MethodPost, "/livechat/v1/sessions", "", map[string]any{"widgetId": widget, "token": token})
		require.Equal(t, http.StatusOK, r.StatusCode, r.body)
		r.into(t, &v)
		return v
	}
	first := session("")
	seen := map[string]bool{}
	for range 50 {
		v := session("")
		require.Regexp(t, `^[0-9a-f]{32}$`, v.VisitorID, "128 bits")
		require.False(t, seen[v.VisitorID])
		seen[v.VisitorID] = true
	}
	require.Equal(t, first.VisitorID, session(first.Token).VisitorID, "the token brings the visitor back")

	// A token that is changed anywhere, or of another kind, is none: a new visitor begins, who sees nothing.
	parts := strings.Split(first.Token, ".")
	require.Len(t, parts, 3)
	forged := []string{s.a.agentToken, s.a.adminToken, first.VisitorID, first.Ticket, parts[0] + "." + parts[1] + ".", "eyJhbGciOiJub25lIn0." + parts[1] + "."}
	for i := range parts {
		changed := slices.Clone(parts)
		b := []byte(changed[i])
		b[len(b)/2] ^= 1
		changed[i] = string(b)
		forged = append(forged, strings.Join(changed, "."))
	}
	for _, token := range forged {
		v := session(token)
		require.NotEqual(t, first.VisitorID, v.VisitorID)
		require.Nil(t, v.Conversation)
		require.Equal(t, http.StatusUnauthorized, s.call(http.MethodGet, "/livechat/v1/messages", token, nil).StatusCode)
	}
	// Who the visitor is cannot be said: neither by the page nor by the frame.
	for _, claim := range []string{"visitorId", "id", "email", "userId", "name", "contactId", "externalId"} {
		r := s.call(http.MethodPost, "/livechat/v1/sessions", "", map[string]any{"widgetId": widget, claim: first.VisitorID})
		require.Equal(t, http.StatusBadRequest, r.StatusCode, claim)
	}
}

// What people choose to be called does not write the log.
func TestSec_K4_ANewlineMakesNoSecondLine(t *testing.T) {
	t.Parallel()
	s := start(t)
	const forged = "FORGED"
	line := "x\n{\"time\":\"2026-01-01T00:00:00Z\",\"level\":\"ERROR\",\"msg\":\"" + forged + "\"}\r\n\u2028level=ERROR msg=" + forged
	a := s.twilio(s.a)
	form := inboundForm(line)
	form.Set("ProfileName", line)
	form.Set("MessageStatus", line)
	path := strings.TrimPrefix(a.WebhookURL, publicURL)
	s.post(path, form, a.WebhookURL)
	form.Set("NumMedia", line)
	s.post(path, form, a.WebhookURL)
	for _, body := range []map[string]any{
		{"name": line, "email": "x@x.example", "role": "agent"}, {"name": "x", "email": line, "role": "agent"}, {"name": "x", "email": "x@x.example", "role": line}, {line: line},
	} {
		s.call(http.MethodPost, "/api/v1/users", s.a.adminToken, body)
	}
	escaped := strings.NewReplacer("\n", "%0A", "\r", "%0D", " ", "%20", "\u2028", "%E2%80%A8", `"`, "%22", "{", "%7B", "}", "%7D").Replace(line)
	for _, p := range []string{"/api/v1/users/", "/webhooks/" + escaped + "/", "/webhooks/twilio/", "/livechat/v1/widgets/", "/"} {
		s.call(http.MethodGet, p+escaped+"?q="+escaped, s.a.adminToken, nil)
	}
	s.call(http.MethodPost, "/api/v1/auth/login", "", map[string]any{"email": line, "password": line})
	k, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.agentToken, Client: line})
	require.Equal(t, "error", k.command(line, map[string]any{line: line}).Type)
	// What net/http itself has to say goes the same way.
	srv := server.HTTPServer(s.server.Public(), slog.New(slog.NewJSONHandler(s.logs, nil)))
	srv.ErrorLog.Print(line)

	lines := 0
	for l := range strings.Lines(s.logs.String()) {
		lines++
		var rec struct{ Msg, Level string }
		require.NoError(t, json.Unmarshal([]byte(l), &rec), "one record is one line: %s", l)
		require.NotEqual(t, forged, rec.Msg)
	}
	require.Greater(t, lines, 5)
}

func TestSec_K5_AuditRecordsStay(t *testing.T) {
	t.Parallel()
	s := start(t)
	// What must leave a record does.
	l := s.call(http.MethodPost, "/api/v1/auth/login", "", map[string]any{"email": s.a.admin.Email, "password": password})
	require.Equal(t, http.StatusOK, l.StatusCode, l.body)
	r := s.call(http.MethodPatch, "/api/v1/users/"+s.a.agent.ID, s.a.adminToken, `{"role":"supervisor"}`, "If-Match", `"1"`)
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	a := s.twilio(s.a)
	r = s.call(http.MethodPatch, "/api/v1/carrier-accounts/"+a.ID, s.a.adminToken,
		map[string]any{"credentials": map[string]string{"authToken": strings.Repeat("f", 32)}}, "If-Match", `"1"`)
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	k, rec := auth.NewAPIKey(s.clock.Now(), s.a.org.ID, "robot", omni.RoleService, 0)
	require.NoError(t, s.store.CreateAPIKey(t.Context(), omni.Org(s.a.org.ID), rec))
	require.Equal(t, http.StatusNoContent, s.call(http.MethodDelete, "/api/v1/api-keys/"+rec.ID, s.a.adminToken, nil).StatusCode)
	list := s.call(http.MethodGet, "/api/v1/audit?limit=200", s.a.adminToken, nil)
	for _, action := range []string{"login", "user.role", "carrier-account.create", "carrier-account.credential", "api-key.delete"} {
		require.Contains(t, list.body, `"action":"`+action+`"`)
	}
	require.NotContains(t, list.body, k)

	// No route, no socket command and no call of the store changes or removes one.
	var page struct{ Items []server.AuditBody }
	list.into(t, &page)
	for _, route := range s.server.Routes() {
		if strings.Contains(route.Path+route.Operation, "audit") {
			require.Equal(t, http.MethodGet, route.Method, route.Operation)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		for _, path := range []string{"/api/v1/audit", "/api/v1/audit/" + page.Items[0].ID} {
			got := s.call(method, path, s.a.adminToken, `{"action":"nothing"}`, "If-Match", `"1"`)
			require.Contains(t, []int{http.StatusNotFound, http.StatusMethodNotAllowed}, got.StatusCode, "%s %s", method, path)
		}
	}
	var calls []string
	for m := range reflect.TypeFor[store.Store]().Methods() {
		if strings.Contains(m.Name, "Audit") {
			calls = append(calls, m.Name)
		}
	}
	require.ElementsMatch(t, []string{"AppendAudit", "AuditRecords"}, calls)
	again := s.call(http.MethodGet, "/api/v1/audit?limit=200", s.a.adminToken, nil)
	require.JSONEq(t, list.body, again.body)
}

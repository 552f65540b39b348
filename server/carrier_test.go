package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
	"omniservice/server"
	"omniservice/store"
)

// plain is a provider whose webhooks are events as JSON, sent with a password, and which asks for an address before it uses it.
type plain struct{}

const plainPassword = "Basic cGxhaW46cGxhaW4="

func (plain) Name() omni.CarrierName { return omni.CarrierTest }

func (plain) Fields() []carriers.Field { return []carriers.Field{{Name: "token", Label: "Token"}} }

func (plain) MaxBody() int64 { return 1 << 16 }

func (plain) Open(a carriers.Account, _ carriers.Options) (carriers.Carrier, error) {
	return &plainCarrier{token: a.Config["token"]}, nil
}

type plainCarrier struct{ token string }

func (*plainCarrier) Name() omni.CarrierName { return omni.CarrierTest }

func (*plainCarrier) Capabilities(family omni.ChannelType) (omni.Capabilities, bool) {
	return omni.Capabilities{MaxTextLength: 100}, family == omni.ChannelSMS
}

func (c *plainCarrier) Challenge(r carriers.WebhookRequest) (answer carriers.HTTPResponse, ok bool, err error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return answer, false, err
	}
	q := u.Query()
	switch {
	case r.Method != http.MethodGet:
		return answer, false, nil
	case !q.Has("challenge"):
		return answer, false, nil
	case q.Get("challenge") == "":
		return answer, false, &carriers.WebhookError{Name: carriers.MissingField, Field: "challenge", Kind: omni.ErrInvalid}
	case q.Get("token") != c.token:
		return answer, false, &carriers.WebhookError{Name: carriers.BadCredentials, Kind: omni.ErrForbidden, Err: errors.New("the token is another")}
	}
	return carriers.HTTPResponse{
		Status: http.StatusOK, ContentType: "text/plain", Body: q.Get("challenge"),
		Metric: carriers.ReceivedAndForwarded, MessageType: carriers.TypeUnknown,
	}, true, nil
}

func (*plainCarrier) Verify(r carriers.WebhookRequest) error {
	given := r.Header.Get("Authorization")
	if given == "" {
		return &carriers.WebhookError{
			Name: carriers.MissingCredentials, Kind: omni.ErrUnauthenticated, Status: http.StatusUnauthorized, Authenticate: `Basic realm="webhooks"`,
		}
	}
	if given != plainPassword {
		return &carriers.WebhookError{Name: carriers.BadCredentials, Kind: omni.ErrUnauthenticated, Status: http.StatusOK}
	}
	return nil
}

func (*plainCarrier) Parse(r carriers.WebhookRequest) (p carriers.Parsed, err error) {
	switch string(r.Body) {
	case "empty":
		p.Ignored = []carriers.Ignored{{Name: carriers.Empty}}
		return p, nil
	case "strict":
		return p, &carriers.WebhookError{Name: carriers.MissingField, Field: "id", Kind: omni.ErrInvalid, Status: http.StatusUnprocessableEntity}
	case "foreign":
		return p, &carriers.WebhookError{Name: carriers.ForeignAccount, Kind: omni.ErrForbidden}
	}
	if err := json.Unmarshal(r.Body, &p.Events); err != nil {
		return p, carriers.Malformed(err)
	}
	return p, nil
}

func (*plainCarrier) Respond(carriers.Parsed) carriers.HTTPResponse {
	return carriers.HTTPResponse{Status: http.StatusAccepted, Metric: carriers.ReceivedAndForwarded, MessageType: carriers.TypeMessage}
}

func (*plainCarrier) Send(_ context.Context, m omni.ServiceMessage) (carriers.SendResult, error) {
	return carriers.SendResult{CarrierMessageID: "out-" + m.ID, Status: omni.StatusSent}, nil
}

// plainAccount makes an account of x at plain, with the number +12025550123.
func (s *system) plainAccount(x tenant) (a server.CarrierAccountBody, path string) {
	s.t.Helper()
	r := s.call(http.MethodPost, "/api/v1/carrier-accounts", x.adminToken, map[string]any{
		"carrier": "Test", "name": "Plain", "config": map[string]string{"token": "right"},
	})
	require.Equal(s.t, http.StatusCreated, r.StatusCode, r.body)
	r.into(s.t, &a)
	r = s.call(http.MethodPost, "/api/v1/channels", x.adminToken, map[string]any{
		"name": "Number", "groupId": x.group.ID, "channelType": "SMS", "carrierAccountId": a.ID, "address": "+12025550123",
	})
	require.Equal(s.t, http.StatusCreated, r.StatusCode, r.body)
	return a, strings.TrimPrefix(a.WebhookURL, publicURL)
}

// plainEvents is the body of a webhook of plain.
func plainEvents(t *testing.T, events ...omni.CarrierChannelEvent) string {
	t.Helper()
	b, err := json.Marshal(events)
	require.NoError(t, err)
	return string(b)
}

func plainMessage(id, from, to, text string) omni.CarrierChannelEvent {
	return omni.CarrierChannelEvent{
		Kind: omni.EventMessage, Direction: omni.Inbound, Carrier: omni.CarrierTest, ChannelType: omni.ChannelSMS,
		CarrierMessageID: id, From: from, To: to, Text: text,
	}
}

func TestWebhookAddressIsConfirmed(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, path := s.plainAccount(s.a)
	for name, c := range map[string]struct {
		method, query string
		status        int
		body          string
	}{
		"right":                {http.MethodGet, "?challenge=1158201444&token=right", 200, "1158201444"},
		"wrong token":          {http.MethodGet, "?challenge=1158201444&token=wrong", 403, ""},
		"nothing to say":       {http.MethodGet, "?challenge=&token=right", 400, ""},
		"no question":          {http.MethodGet, "?token=right", 401, ""},
		"a webhook is no such": {http.MethodPost, "?challenge=1158201444&token=right", 401, ""},
	} {
		r := s.call(c.method, path+c.query, "", nil)
		require.Equal(t, c.status, r.StatusCode, name)
		require.Equal(t, c.body, r.body, name)
	}
	require.NotContains(t, s.logs.String(), "1158201444")
	require.Contains(t, s.logs.String(), "webhook address confirmed")
}

func TestSec_W_RefusalsSayNoMoreThanTheyMust(t *testing.T) {
	t.Parallel()
	s := start(t)
	a, path := s.plainAccount(s.a)
	for name, c := range map[string]struct {
		password, body string
		status         int
		answer, asks   string
		logged         string
	}{
		"without credentials":           {"", "empty", 401, "", `Basic realm="webhooks"`, "missing_credentials"},
		"wrong, with a status of 2xx":   {"Basic d3Jvbmc=", "empty", 403, "", "", "bad_credentials"},
		"another account's":             {plainPassword, "foreign", 403, "", "", "foreign_account"},
		"what the carrier's status is":  {plainPassword, "strict", 422, `{"error":"missing_field","field":"id"}`, "", "missing_field id"},
		"what cannot be read":           {plainPassword, "CANARY", 400, `{"error":"malformed_body"}`, "", "malformed_body"},
		"authentic, and means nothing":  {plainPassword, "empty", 202, "", "", ""},
		"authentic, and of no interest": {plainPassword, "[]", 202, "", "", ""},
	} {
		r := s.call(http.MethodPost, path, "", c.body, "Authorization", c.password)
		require.Equal(t, c.status, r.StatusCode, name)
		require.Equal(t, c.asks, r.Header.Get("WWW-Authenticate"), name)
		if c.answer == "" {
			require.Empty(t, r.body, name)
		} else {
			require.JSONEq(t, c.answer, r.body, name)
		}
		if c.logged != "" {
			require.Contains(t, s.logs.String(), fmt.Sprintf(`"carrier":"Test","account_id":%q,"org_id":%q,"message_type":"Unknown","metric":"Rejected","reason":%q`,
				a.ID, s.a.org.ID, c.logged), name)
		}
	}
	require.NotContains(t, s.logs.String(), "CANARY")
	require.NotContains(t, s.logs.String(), plainPassword)
}

// scrape reads the counter of webhooks from /metrics.
func (s *system) scrape() map[string]string {
	s.t.Helper()
	ops := httptest.NewServer(s.server.Ops())
	defer ops.Close()
	res, err := ops.Client().Get(ops.URL + "/metrics") //nolint:noctx // a test server
	require.NoError(s.t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(s.t, errors.Join(err, res.Body.Close()))
	found := map[string]string{}
	for line := range strings.SplitSeq(string(b), "\n") {
		if name, value, ok := strings.Cut(line, "} "); ok && strings.HasPrefix(name, "omni_webhooks_total{") {
			found[strings.TrimPrefix(name, "omni_webhooks_total{")] = value
		}
	}
	return found
}

func TestEveryOutcomeOfAWebhookIsCounted(t *testing.T) {
	t.Parallel()
	s := start(t)
	_, path := s.plainAccount(s.a)
	post := func(body string, headers ...string) int {
		return s.call(http.MethodPost, path, "", body, append([]string{"Authorization", plainPassword}, headers...)...).StatusCode
	}
	part := func(id string, index int) omni.CarrierChannelEvent {
		e := plainMessage(id, "+12025550199", "+12025550123", "part")
		e.Fragment = &omni.MessageFragment{Reference: "7", Index: index, Total: 2}
		return e
	}
	status := omni.CarrierChannelEvent{
		Kind: omni.EventStatus, Direction: omni.Outbound, Carrier: omni.CarrierTest, ChannelType: omni.ChannelSMS,
		CarrierMessageID: "out-1", From: "+12025550123", To: "+12025550199", Status: omni.StatusSent,
	}
	require.Equal(t, http.StatusAccepted, post(plainEvents(t, plainMessage("1", "+12025550199", "+12025550123", "hi"), status)))
	require.Equal(t, http.StatusAccepted, post(plainEvents(t, plainMessage("2", "+12025550199", "+12025550000", "to a number that is nobody's"))))
	require.Equal(t, http.StatusAccepted, post(plainEvents(t, part("3", 1), part("4", 2))))
	require.Eventually(t, func() bool {
		return s.scrape()[`carrier="Test",metric="DiscardDigitalChannelNotFound",type="Message"`] == "1" && strings.Contains(s.messageTexts(s.a), "partpart")
	}, heardTime, heardTick)
	require.Equal(t, http.StatusAccepted, post(plainEvents(t, part("3", 1))))
	require.Equal(t, http.StatusAccepted, post("empty"))
	require.Equal(t, http.StatusBadRequest, post("{"))
	require.Equal(t, http.StatusUnauthorized, s.call(http.MethodPost, path, "", "[]").StatusCode)
	require.Equal(t, http.StatusUnsupportedMediaType, post("[]", "Content-Encoding", "gzip"))
	require.Equal(t, http.StatusNotFound, s.call(http.MethodPost, "/webhooks/test/"+omni.NewToken(16), "", "[]").StatusCode)
	require.Equal(t, http.StatusNotFound, s.call(http.MethodPost, "/webhooks/nobody/"+omni.NewToken(16), "", "[]").StatusCode)
	require.Eventually(t, func() bool {
		return s.scrape()[`carrier="Test",metric="DuplicateFragment",type="Message"`] == "1"
	}, heardTime, heardTick)
	require.Equal(t, map[string]string{
		`carrier="Test",metric="ReceivedAndForwarded",type="Message"`:                    "2",
		`carrier="Test",metric="ReceivedAndForwarded",type="DeliveryStatusNotification"`: "1",
		`carrier="Test",metric="DiscardDigitalChannelNotFound",type="Message"`:           "1",
		`carrier="Test",metric="FragmentReceived",type="Message"`:                        "3",
		`carrier="Test",metric="DuplicateFragment",type="Message"`:                       "1",
		`carrier="Test",metric="Rejected",type="Unknown"`:                                "5",
		`carrier="none",metric="Rejected",type="Unknown"`:                                "1",
	}, s.scrape())
	require.NoError(t, carriersMetricsAreAll(s.scrape()))
}

// carriersMetricsAreAll says which metric is not among those that were seen.
func carriersMetricsAreAll(seen map[string]string) error {
	for _, m := range carriers.ResponseMetrics {
		found := false
		for label := range seen {
			found = found || strings.Contains(label, `metric="`+string(m)+`"`)
		}
		if !found {
			return fmt.Errorf("no webhook was counted as %s", m)
		}
	}
	return nil
}

// messageTexts are the texts of all messages of x, one after another.
func (s *system) messageTexts(x tenant) string {
	s.t.Helper()
	org := omni.Org(x.org.ID)
	its, err := s.store.ListInteractions(s.t.Context(), org, store.InteractionFilter{GroupIDs: []string{x.group.ID}}, store.Page{})
	require.NoError(s.t, err)
	var all strings.Builder
	for _, it := range its.Items {
		ms, err := s.store.ListMessages(s.t.Context(), org, it.ID, store.MessageWindow{})
		require.NoError(s.t, err)
		for _, m := range ms {
			all.WriteString(m.Payload.TextBody() + "\n")
		}
	}
	return all.String()
}

func TestHealthAndCheckOfAnAccount(t *testing.T) {
	t.Parallel()
	s := start(t)
	a, path := s.plainAccount(s.a)
	health := func() (h server.HealthBody) {
		r := s.call(http.MethodGet, "/api/v1/carrier-accounts/"+a.ID+"/health", s.a.adminToken, nil)
		require.Equal(t, http.StatusOK, r.StatusCode, r.body)
		r.into(t, &h)
		return h
	}
	h := health()
	require.Equal(t, pipeline.HealthOK, h.State)
	require.Len(t, h.Channels, 1)
	agent, _ := s.connect("/ws", "", wire.Connect{Token: s.a.agentToken})
	for range 3 {
		require.Equal(t, http.StatusForbidden, s.call(http.MethodPost, path, "", "[]", "Authorization", "Basic d3Jvbmc=").StatusCode)
	}
	require.Equal(t, http.StatusBadRequest, s.call(http.MethodPost, path, "", "{", "Authorization", plainPassword).StatusCode)
	var told wire.HealthChange
	require.NoError(t, json.Unmarshal(agent.event(wire.ChannelHealth).Data, &told))
	require.Equal(t, h.Channels[0].ChannelID, told.ChannelID)
	require.Equal(t, "degraded", told.State)
	h = health()
	require.Equal(t, pipeline.HealthDegraded, h.State)
	require.EqualValues(t, 3, h.Refused, "what is signed and cannot be read is another matter")
	require.Equal(t, carriers.BadCredentials, h.LastRefused)
	require.Equal(t, pipeline.HealthDegraded, h.Channels[0].State)
	require.Zero(t, h.LastWebhookAt)
	require.Equal(t, http.StatusAccepted, s.call(http.MethodPost, path, "", "[]", "Authorization", plainPassword).StatusCode)
	require.NoError(t, json.Unmarshal(agent.event(wire.ChannelHealth).Data, &told))
	require.Equal(t, "ok", told.State)
	require.Positive(t, health().LastWebhookAt)

	r := s.call(http.MethodPost, "/api/v1/carrier-accounts/"+a.ID+"/check", s.a.adminToken, nil)
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	var found server.CheckBody
	r.into(t, &found)
	require.False(t, found.OK)
	require.Equal(t, carriers.Check{Name: pipeline.CheckSettings, OK: true, Detail: "complete"}, found.Checks[0])
	require.False(t, found.Checks[1].OK, "the public URL of this test is nobody's")
	require.Equal(t, http.StatusForbidden, s.call(http.MethodPost, "/api/v1/carrier-accounts/"+a.ID+"/check", s.a.agentToken, nil).StatusCode)

	asked := s.call(http.MethodGet, path, "", nil, pipeline.CheckHeader, "a question")
	require.Equal(t, http.StatusNoContent, asked.StatusCode)
	require.Equal(t, s.pipe.AnswerCheck(a.PublicID, "a question"), asked.Header.Get(pipeline.CheckHeader))
	require.NotEqual(t, s.pipe.AnswerCheck(a.PublicID, "another"), asked.Header.Get(pipeline.CheckHeader))
	none := s.call(http.MethodGet, "/webhooks/test/"+omni.NewToken(16), "", nil, pipeline.CheckHeader, "a question")
	require.Equal(t, http.StatusNotFound, none.StatusCode)
	require.Empty(t, none.Header.Get(pipeline.CheckHeader))
}

package server_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/messagebird"
	"omniservice/carriers/simulate"
	"omniservice/omni"
	"omniservice/server"
	"omniservice/store"
)

// sign is Twilio's signature: HMAC-SHA1 of the URL and the sorted parameters.
func sign(url string, form url.Values) string {
	h := hmac.New(sha1.New, []byte(twilioSecret))
	h.Write([]byte(url))
	keys := make([]string, 0, len(form))
	for k := range form {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		h.Write([]byte(k + form.Get(k)))
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func inboundForm(text string) url.Values {
	return url.Values{
		"MessageSid": {"SM" + strings.Repeat("1", 32)}, "AccountSid": {"AC" + strings.Repeat("0", 32)},
		"From": {"+12025550199"}, "To": {"+12025550123"}, "Body": {text}, "NumMedia": {"0"},
	}
}

// post sends a form, signed for signedURL unless that is empty.
func (s *system) post(path string, form url.Values, signedURL string, headers ...string) reply {
	s.t.Helper()
	headers = append([]string{"Content-Type", "application/x-www-form-urlencoded"}, headers...)
	if signedURL != "" {
		headers = append(headers, "X-Twilio-Signature", sign(signedURL, form))
	}
	return s.call(http.MethodPost, path, "", form.Encode(), headers...)
}

func TestWebhooks(t *testing.T) {
	t.Parallel()
	s := start(t)
	a := s.twilio(s.a)
	r := s.call(http.MethodPost, "/api/v1/channels", s.a.adminToken, map[string]any{
		"name": "Number", "groupId": s.a.group.ID, "channelType": "SMS", "carrierAccountId": a.ID, "address": "+12025550123",
	})
	require.Equal(t, http.StatusCreated, r.StatusCode, r.body)
	path := strings.TrimPrefix(a.WebhookURL, publicURL)

	ok := s.post(path, inboundForm("hello"), a.WebhookURL)
	require.Equal(t, http.StatusOK, ok.StatusCode, ok.body)
	require.Equal(t, "nosniff", ok.Header.Get("X-Content-Type-Options"))
	require.Eventually(t, func() bool {
		l, err := s.store.ListInteractions(t.Context(), omni.Org(s.a.org.ID), store.InteractionFilter{GroupIDs: []string{s.a.group.ID}}, store.Page{})
		return err == nil && len(l.Items) == 1
	}, heardTime, heardTick)

	query := s.post(path+"?x=1&y=%2B", inboundForm("hello"), a.WebhookURL+"?x=1&y=%2B")
	require.Equal(t, http.StatusOK, query.StatusCode, "the query is part of what is signed, as it was sent")

	form := inboundForm("hello")
	for name, c := range map[string]struct {
		answer reply
		status int
	}{
		"W1 no signature":    {s.post(path, form, ""), 403},
		"W1 wrong signature": {s.post(path, form, "", "X-Twilio-Signature", "AAAA"), 403},
		"W4 host is not believed": {
			s.post(path, form, "https://evil.example"+path, "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "https"), 403,
		},
		"W1 unknown account":     {s.post("/webhooks/twilio/"+omni.NewToken(16), form, a.WebhookURL), 404},
		"W1 other carrier":       {s.post("/webhooks/test/"+a.PublicID, form, a.WebhookURL), 404},
		"W1 unknown carrier":     {s.post("/webhooks/nobody/"+a.PublicID, form, a.WebhookURL), 404},
		"W1 carrier in capitals": {s.post("/webhooks/Twilio/"+a.PublicID, form, a.WebhookURL), 404},
		"W8 compressed":          {s.post(path, form, a.WebhookURL, "Content-Encoding", "gzip"), 415},
		"method":                 {s.call(http.MethodPut, path, "", "x"), 405},
	} {
		require.Equal(t, c.status, c.answer.StatusCode, name)
		if c.status != http.StatusMethodNotAllowed {
			require.Empty(t, c.answer.body, name)
		}
	}
	foreign := inboundForm("hello")
	foreign.Set("AccountSid", "AC"+strings.Repeat("9", 32))
	require.Equal(t, http.StatusForbidden, s.post(path, foreign, a.WebhookURL).StatusCode, "W7: the body names another account")
	broken := inboundForm("hello")
	broken.Del("From")
	got := s.post(path, broken, a.WebhookURL)
	require.Equal(t, http.StatusBadRequest, got.StatusCode)
	require.JSONEq(t, `{"error":"missing_field","field":"From"}`, got.body)

	l, err := s.store.Contacts(t.Context(), omni.Org(s.a.org.ID), store.Page{})
	require.NoError(t, err)
	require.Len(t, l.Items, 1)
}

func TestSec_W8_LargeWebhooksAreCut(t *testing.T) {
	t.Parallel()
	s := start(t)
	a := s.twilio(s.a)
	path := strings.TrimPrefix(a.WebhookURL, publicURL)
	body := bytes.Repeat([]byte("x"), 1<<20+1)
	r := s.call(http.MethodPost, path, "", string(body), "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, http.StatusRequestEntityTooLarge, r.StatusCode)
	require.True(t, r.Close, "the connection is closed")

	// Without a length it is found out while reading.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.http.URL+path, struct{ *bytes.Reader }{bytes.NewReader(body)})
	require.NoError(t, err)
	req.ContentLength = -1
	res, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusRequestEntityTooLarge, res.StatusCode)
}

func TestWebhookIsRefusedWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	s := start(t)
	a := s.twilio(s.a)
	path := strings.TrimPrefix(a.WebhookURL, publicURL)
	s.store.set(true)
	cold := s.post(path, inboundForm("hello"), a.WebhookURL)
	require.Equal(t, http.StatusServiceUnavailable, cold.StatusCode, "the account is not known")
	require.NotEmpty(t, cold.Header.Get("Retry-After"))
	s.store.set(false)
	require.Equal(t, http.StatusOK, s.post(path, inboundForm("hello"), a.WebhookURL).StatusCode)
	s.store.set(true)
	warm := s.post(path, inboundForm("again"), a.WebhookURL)
	require.Equal(t, http.StatusServiceUnavailable, warm.StatusCode, "the account is known, the inbox is away")
	require.NotEmpty(t, warm.Header.Get("Retry-After"))
	s.store.set(false)
}

// A webhook that is signed for one delivery is used up by what is durable, not by what was answered with 503: the provider
// brings that again as it is.
func TestSec_W5_ATokenIsUsedUpByWhatIsDurable(t *testing.T) {
	t.Parallel()
	s := startWith(t, []carriers.Provider{messagebird.New()})
	const signingKey = "mb_signing_key_7f3c"
	r := s.call(http.MethodPost, "/api/v1/carrier-accounts", s.a.adminToken, map[string]any{
		"carrier": "MessageBird", "name": "Bird", "credentials": map[string]string{"accessKey": "mb_access_key", "signingKey": signingKey},
	})
	require.Equal(t, http.StatusCreated, r.StatusCode, r.body)
	var a server.CarrierAccountBody
	r.into(t, &a)
	r = s.call(http.MethodPost, "/api/v1/channels", s.a.adminToken, map[string]any{
		"name": "Number", "groupId": s.a.group.ID, "channelType": "SMS", "carrierAccountId": a.ID, "address": "+15005550006",
	})
	require.Equal(t, http.StatusCreated, r.StatusCode, r.body)

	played := messagebird.Player{Product: "sms"}.Account()
	played.Credentials["signingKey"] = []omni.Secret{omni.NewSecret(signingKey)}
	signed, err := messagebird.Player{}.Inbound(played, a.WebhookURL, simulate.Inbound{ChannelType: omni.ChannelSMS, From: "+14155550123", To: "+15005550006", Text: "hello"}, s.clock.Now())
	require.NoError(t, err)
	body, err := io.ReadAll(signed.Body)
	require.NoError(t, err)
	deliver := func() int {
		return s.call(http.MethodPost, strings.TrimPrefix(a.WebhookURL, publicURL), "", string(body),
			"Content-Type", signed.Header.Get("Content-Type"), "MessageBird-Signature-JWT", signed.Header.Get("MessageBird-Signature-JWT")).StatusCode
	}
	unsigned := s.call(http.MethodPost, strings.TrimPrefix(a.WebhookURL, publicURL), "", "a=b")
	require.Equal(t, http.StatusUnauthorized, unsigned.StatusCode, "from now on the account is known while the store is away")

	s.store.set(true)
	require.Equal(t, http.StatusServiceUnavailable, deliver())
	require.Equal(t, http.StatusServiceUnavailable, deliver())
	s.store.set(false)
	require.Equal(t, http.StatusOK, deliver(), "what was not kept comes again under the same token")
	require.Equal(t, http.StatusUnauthorized, deliver(), "what was kept does not")

	messages := func() int {
		l, err := s.store.ListInteractions(t.Context(), omni.Org(s.a.org.ID), store.InteractionFilter{GroupIDs: []string{s.a.group.ID}}, store.Page{})
		require.NoError(t, err)
		n := 0
		for _, it := range l.Items {
			m, err := s.store.ListMessages(t.Context(), omni.Org(s.a.org.ID), it.ID, store.MessageWindow{Limit: 10})
			require.NoError(t, err)
			n += len(m)
		}
		return n
	}
	require.Eventually(t, func() bool { return messages() > 0 }, heardTime, heardTick)
	require.Equal(t, 1, messages())
}

func TestSec_W11_BothSecretsAreTakenWhileOneReplacesTheOther(t *testing.T) {
	t.Parallel()
	s := start(t)
	a := s.twilio(s.a)
	path := strings.TrimPrefix(a.WebhookURL, publicURL)
	require.Equal(t, http.StatusOK, s.post(path, inboundForm("hello"), a.WebhookURL).StatusCode)
	r := s.call(http.MethodPatch, "/api/v1/carrier-accounts/"+a.ID, s.a.adminToken, map[string]any{
		"credentials": map[string]string{"authToken": strings.Repeat("f", 32)}, "keepPreviousSeconds": 60,
	}, "If-Match", `"1"`)
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	require.Equal(t, http.StatusOK, s.post(path, inboundForm("hello"), a.WebhookURL).StatusCode, "the old secret still signs")
	s.clock.Add(61_000_000_000)
	require.Equal(t, http.StatusForbidden, s.post(path, inboundForm("hello"), a.WebhookURL).StatusCode, "its time is over")
	r = s.call(http.MethodPatch, "/api/v1/carrier-accounts/"+a.ID, s.a.adminToken, `{"disabled":true}`, "If-Match", `"2"`)
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	require.Equal(t, http.StatusNotFound, s.post(path, inboundForm("hello"), a.WebhookURL).StatusCode)
}

func TestSec_X1_ForgedWebhooksDoNotStopGenuineOnes(t *testing.T) {
	t.Parallel()
	s := start(t)
	a := s.twilio(s.a)
	path := strings.TrimPrefix(a.WebhookURL, publicURL)
	for range 300 {
		require.Equal(t, http.StatusForbidden, s.post(path, inboundForm("hello"), "").StatusCode)
	}
	require.Equal(t, http.StatusOK, s.post(path, inboundForm("hello"), a.WebhookURL).StatusCode)
}

package bandwidth_test

import (
	"context"
	"encoding/base64"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/bandwidth"
	"omniservice/carriers/carriertest"
	"omniservice/omni"
)

const (
	hookUser     = "bwhook"
	hookPassword = "correct-horse-battery"
	previous     = "wrong-horse-previously"
	statusUser   = "bwstatus"
	statusSecret = "quite-another-horse"
	apiPassword  = "api-password-0123456789"
	clientSecret = "client-secret-0123456789"
	publicID     = "5f0c2d7be18d4f7a9b3c6d1e2f405162"
	application  = "93de2206-9669-4e07-948d-329f4b722ee2"
	messageID    = "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506"
)

func TestConformance(t *testing.T) { // not parallel: it measures memory
	carriertest.Run(t, carriertest.Harness{
		Provider: bandwidth.New(),
		Account:  account,
		Secret:   map[string]string{"username": hookUser, "password": hookPassword},
		Sign:     sign,
		Webhooks: "testdata/webhook",
		Sends:    "testdata/send",
		Batch:    webhook("[" + received("1") + "," + received("2") + "]"),
		Unknown:  *webhook(`[{"type":"` + strings.Repeat("teleported", 100) + `"}]`),
		Mutants:  bandwidth.Mutants,
		Secrets:  []string{hookPassword, previous, statusSecret, apiPassword, clientSecret, "pa:ss wörd"},
	})
}

func received(id string) string {
	return `{"type":"message-received","message":{"id":"` + id + `","owner":"+15005550006","direction":"in","to":["+15005550006"],"from":"+14155550123","text":"Hi"}}`
}

func webhook(body string) *carriers.WebhookRequest {
	return &carriers.WebhookRequest{
		Method: http.MethodPost, URL: "https://sms.example.test/webhooks/bandwidth/" + publicID, Header: http.Header{}, Body: []byte(body),
	}
}

// account has configured what a fixture's secret says, and what is needed besides.
func account(secret map[string]string) carriers.Account {
	a := carriers.Account{
		ID:       messageID,
		PublicID: publicID,
		Config:   map[string]string{"accountId": "9900778", "applicationId": application, "apiUser": "gateway"},
		Credentials: map[string][]omni.Secret{
			"apiPassword": {omni.NewSecret(apiPassword)},
		},
	}
	for _, name := range []string{"username", "statusUsername", "scheme"} {
		if secret[name] != "" {
			a.Config[name] = secret[name]
		}
	}
	for _, name := range []string{"password", "statusPassword"} {
		if secret[name] != "" {
			a.Credentials[name] = []omni.Secret{omni.NewSecret(secret[name])}
		}
	}
	if old := secret["previousPassword"]; old != "" {
		a.Credentials["password"] = append(a.Credentials["password"], omni.NewSecret(old))
	}
	return a
}

// sign does what RFC 7617 says.
func sign(secret map[string]string, r *carriers.WebhookRequest) {
	r.Header.Set("Authorization", "Basic "+b64(secret["username"]+":"+secret["password"]))
}

func open(tb testing.TB, secret map[string]string) carriers.Carrier {
	tb.Helper()
	c, err := bandwidth.New().Open(account(secret), carriers.Options{})
	require.NoError(tb, err)
	return c
}

func TestSec_W2_PublishedSignatures(t *testing.T) {
	t.Parallel()
	for _, known := range []struct {
		password, header string
		name             string // of the error
	}{
		{"hookpass", "Basic aG9va3VzZXI6aG9va3Bhc3M=", ""},
		{"pa:ss wörd", "Basic aG9va3VzZXI6cGE6c3Mgd8O2cmQ=", ""},
		{"hookpass", "basic aG9va3VzZXI6aG9va3Bhc3M=", ""},
		{"hookpass", "BASIC  aG9va3VzZXI6aG9va3Bhc3M=", ""},
		{"hookpass", "", carriers.MissingCredentials},
		{"hookpass", "Basic aG9va3VzZXI6d3Jvbmc=", carriers.BadCredentials},
		{"hookpass", "Bearer aG9va3VzZXI6aG9va3Bhc3M=", carriers.BadCredentials},
		{"hookpass", "Basic", carriers.BadCredentials},
		{"hookpass", "Basic !", carriers.BadCredentials},
		{"hookpass", "Basic aG9va3VzZXI=", carriers.BadCredentials},                 // no colon
		{"hookpass", "Basic " + b64("hookuser:hookpass "), carriers.BadCredentials}, // every byte counts
		{"hookpass", "Basic " + b64("hookuser:"), carriers.BadCredentials},
		{"hookpass", "Basic " + b64(":hookpass"), carriers.BadCredentials},
		{"hookpass", "Basic " + b64(":"), carriers.BadCredentials},
		{"hookpass", "Basic " + b64("Hookuser:hookpass"), carriers.BadCredentials},
	} {
		r := webhook("[]")
		if known.header != "" {
			r.Header.Set("Authorization", known.header)
		}
		err := open(t, map[string]string{"username": "hookuser", "password": known.password}).Verify(*r)
		if known.name == "" {
			require.NoError(t, err, known.header)
			continue
		}
		var e *carriers.WebhookError
		require.ErrorAs(t, err, &e, known.header)
		require.ErrorIs(t, err, omni.ErrUnauthenticated)
		require.Equal(t, known.name, e.Name, known.header)
		require.Equal(t, http.StatusUnauthorized, e.Status)
		require.True(t, strings.HasPrefix(e.Authenticate, `Basic realm="`), e.Authenticate)
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestSec_W11_BothSecretsAreTakenWhileOneReplacesTheOther(t *testing.T) {
	t.Parallel()
	c := open(t, map[string]string{
		"username": hookUser, "password": hookPassword, "previousPassword": previous, "statusUsername": statusUser, "statusPassword": statusSecret,
	})
	for _, known := range []struct {
		user, password string
		valid          bool
	}{
		{hookUser, hookPassword, true},
		{hookUser, previous, true},
		{statusUser, statusSecret, true},
		{hookUser, statusSecret, false},
		{statusUser, hookPassword, false},
		{"", "", false},
	} {
		r := webhook("[]")
		r.Header.Set("Authorization", "Basic "+b64(known.user+":"+known.password))
		require.Equal(t, known.valid, c.Verify(*r) == nil, known.user)
	}
	r := webhook("[]")
	r.Header.Set("Authorization", "Basic "+b64(":"))
	require.Error(t, open(t, map[string]string{"username": hookUser, "password": hookPassword}).Verify(*r), "an account without credentials for statuses")
}

func TestPathAlone(t *testing.T) {
	t.Parallel()
	c := open(t, map[string]string{"scheme": "path"})
	for address, valid := range map[string]bool{
		"https://sms.example.test/webhooks/bandwidth/" + publicID:          true,
		"https://sms.example.test/webhooks/bandwidth/" + publicID + "?a=b": true,
		"https://sms.example.test/webhooks/bandwidth/" + publicID[1:]:      false,
		"https://sms.example.test/webhooks/bandwidth/" + publicID + "/":    false,
		"https://sms.example.test/webhooks/bandwidth?/" + publicID:         false,
		"": false,
	} {
		r := webhook("[]")
		r.URL = address
		require.Equal(t, valid, c.Verify(*r) == nil, address)
		for name, mutant := range bandwidth.Mutants(c) {
			require.True(t, strings.HasPrefix(name, "login") || mutant.Verify(*r) == nil, "nothing fails without: %s", name)
		}
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	for code, reason := range bandwidth.Reasons {
		require.Len(t, code, 4)
		require.True(t, reason.Valid(), code)
	}
	for kind, reason := range bandwidth.Types {
		require.True(t, reason.Valid(), kind)
	}
	for _, table := range []map[string]omni.Reason{bandwidth.Reasons, bandwidth.Types} {
		carriertest.Explained(t, bandwidth.New(), slices.Collect(maps.Keys(table))...)
	}
	for word, status := range bandwidth.Statuses {
		require.True(t, status.Valid(), word)
	}
	classes := map[bool]string{
		true: "4410 4701 4702 4730 4780 4781 4785 5100 5101 5106 5111 5201 5211 5220 5500 5501 5600 5610 5620 5630 5650 5999 9999",
		false: "4001 4301 4302 4303 4350 4360 4401 4403 4404 4405 4406 4407 4408 4411 4412 4420 4421 4431 4432 4433 4434 4435 4451 4452 4470 4481 4482 " +
			"4492 4493 4700 4711 4712 4720 4721 4740 4750 4751 4752 4770 4771 4772 4773 4774 4775 4790 4791 4792 4793 4795 5231 9902",
	}
	for retry, codes := range classes {
		for code := range strings.FieldsSeq(codes) {
			reason, ok := bandwidth.Reasons[code]
			require.True(t, ok, code)
			require.Equal(t, retry, reason.Retryable(), code)
		}
	}
	require.Equal(t, omni.ReasonOptedOut, bandwidth.Reasons["4775"])
	for code := range strings.FieldsSeq("4407 4408 4451 4452 4493 4773 4774 4795") {
		require.Equal(t, omni.ReasonMisconfigured, bandwidth.Reasons[code], code)
	}
}

func TestDeliveryStatus(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, code string
		status     omni.Status
		reason     omni.Reason
	}{
		{"message-sending", "", omni.StatusQueued, ""},
		{"message-sent", "", omni.StatusSent, ""},
		{"message-delivered", "", omni.StatusDelivered, ""},
		{"message-read", "", omni.StatusRead, ""},
		{"message-failed", "4750", omni.StatusUndeliverable, omni.ReasonRejected},
		{"message-failed", "4999", omni.StatusUndeliverable, omni.ReasonRejected},
		{"message-failed", "5600", omni.StatusFailed, omni.ReasonThrottled},
		{"message-failed", "5777", omni.StatusFailed, omni.ReasonUnreachable},
		{"message-failed", "9999", omni.StatusFailed, omni.ReasonUnreachable},
		{"message-failed", "9998", omni.StatusFailed, omni.ReasonRejected},
		{"message-failed", "9902", omni.StatusSent, ""},
		{"message-failed", "", omni.StatusFailed, omni.ReasonRejected},
	} {
		d := bandwidth.DeliveryStatus{Type: c.kind, Code: c.code}
		status, ok := d.Status()
		require.True(t, ok)
		require.Equal(t, c.status, status, c)
		require.Equal(t, c.reason, d.Reason(), c)
	}
	_, ok := bandwidth.DeliveryStatus{Type: "message-received"}.Status()
	require.False(t, ok)
}

func TestTooMuchInOneWebhook(t *testing.T) {
	t.Parallel()
	c := open(t, map[string]string{"username": hookUser, "password": hookPassword})
	many := func(n int) string { return "[" + strings.Repeat(received("1")+",", n-1) + received("1") + "]" }
	p, err := c.Parse(*webhook(many(carriers.MaxEvents)))
	require.NoError(t, err)
	require.Len(t, p.Events, carriers.MaxEvents)
	for _, body := range []string{
		many(carriers.MaxEvents + 1),
		strings.Repeat("[", 40) + strings.Repeat("]", 40),
		received("1") + received("2"),
		"[" + received("1") + "]]",
		"[" + received("1") + "] x",
		`"` + "a" + `"`, "null", "true", "", " ", "[[]]", `[{"type":1}]`, "[1]",
		`{"type":"message-received","message":{"id":"` + strings.Repeat("x", 256) + `","from":"+1","owner":"+2"}}`,
		`{"type":"message-received","message":{"id":"1","from":"` + strings.Repeat("1", 256) + `","owner":"+2"}}`,
		`{"type":"message-received","message":{"id":"1","from":"+1","owner":"+2","to":[` + strings.Repeat(`"+1",`, 1000) + `"+1"]}}`,
	} {
		_, err := c.Parse(*webhook(body))
		require.ErrorIs(t, err, omni.ErrInvalid, "%.80s", body)
		require.ErrorContains(t, err, carriers.MalformedBody, "%.80s", body)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(a *carriers.Account)
		field  string
	}{
		"whole":                   {func(*carriers.Account) {}, ""},
		"no account":              {func(a *carriers.Account) { a.Config["accountId"] = "" }, "accountId"},
		"path in account":         {func(a *carriers.Account) { a.Config["accountId"] = "1/../2" }, "accountId"},
		"no application":          {func(a *carriers.Account) { delete(a.Config, "applicationId") }, "applicationId"},
		"application":             {func(a *carriers.Account) { a.Config["applicationId"] = application[1:] }, "applicationId"},
		"no user":                 {func(a *carriers.Account) { a.Config["username"] = "" }, "username"},
		"colon in user":           {func(a *carriers.Account) { a.Config["username"] = "a:b" }, "username"},
		"no password":             {func(a *carriers.Account) { a.Credentials["password"] = []omni.Secret{{}} }, "password"},
		"status user alone":       {func(a *carriers.Account) { a.Config["statusUsername"] = "x" }, "statusPassword"},
		"status password alone":   {func(a *carriers.Account) { a.Credentials["statusPassword"] = []omni.Secret{omni.NewSecret("x")} }, "statusUsername"},
		"scheme":                  {func(a *carriers.Account) { a.Config["scheme"] = "none" }, "scheme"},
		"path":                    {func(a *carriers.Account) { a.Config["scheme"] = "path" }, ""},
		"short path":              {func(a *carriers.Account) { a.Config["scheme"], a.PublicID = "path", "short" }, "scheme"},
		"nothing to send with":    {func(a *carriers.Account) { delete(a.Config, "apiUser") }, "clientId"},
		"no API password":         {func(a *carriers.Account) { delete(a.Credentials, "apiPassword") }, "apiPassword"},
		"colon in API user":       {func(a *carriers.Account) { a.Config["apiUser"] = "a:b" }, "apiUser"},
		"client without a secret": {func(a *carriers.Account) { a.Config["clientId"] = "x" }, "clientSecret"},
		"priority":                {func(a *carriers.Account) { a.Config["priority"] = "low" }, "priority"},
		"pace":                    {func(a *carriers.Account) { a.Config["messagesPerSecond"] = "fast" }, "messagesPerSecond"},
		"no pace":                 {func(a *carriers.Account) { a.Config["messagesPerSecond"] = "0" }, "messagesPerSecond"},
		"no number":               {func(a *carriers.Account) { a.Config["messagesPerSecond"] = "NaN" }, "messagesPerSecond"},
		"half a message a second": {func(a *carriers.Account) { a.Config["messagesPerSecond"] = " 0.5 " }, ""},
	} {
		a := account(map[string]string{"username": hookUser, "password": hookPassword})
		c.change(&a)
		_, err := bandwidth.New().Open(a, carriers.Options{})
		if c.field == "" {
			require.NoError(t, err, name)
			continue
		}
		var p *omni.Problem
		require.ErrorAs(t, err, &p, name)
		require.ErrorIs(t, err, omni.ErrInvalid, name)
		require.Contains(t, p.Fields, c.field, name)
	}
	_, err := bandwidth.New().Open(account(map[string]string{"username": hookUser, "password": hookPassword}), carriers.Options{APIBase: "nowhere"})
	require.ErrorIs(t, err, omni.ErrInvalid)
}

func TestPace(t *testing.T) {
	t.Parallel()
	a := account(map[string]string{"username": hookUser, "password": hookPassword})
	pace := func() carriers.Pace {
		c, err := bandwidth.New().Open(a, carriers.Options{})
		require.NoError(t, err)
		require.Zero(t, c.(carriers.Paced).Pace(omni.ChannelWhatsApp, "+15005550006"))
		return c.(carriers.Paced).Pace(omni.ChannelSMS, "+15005550006")
	}
	require.Zero(t, pace())
	a.Config["messagesPerSecond"] = "2.5"
	require.Equal(t, carriers.Pace{PerSecond: 2.5}, pace())
}

func text(sender string) omni.ServiceMessage {
	return omni.ServiceMessage{
		ID: messageID, Payload: omni.TextPayload("x"),
		Publish: &omni.PublishChannel{ChannelType: omni.ChannelSMS, Sender: sender, Target: omni.PublishIdentity{Address: "+14155550123"}},
	}
}

func TestSenders(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusAccepted)
		_, _ = w.Write([]byte(`{"id":"1"}`))
	}))
	t.Cleanup(s.Close)
	c, err := bandwidth.New().Open(account(map[string]string{"username": hookUser, "password": hookPassword}), carriers.Options{APIBase: s.URL, HTTP: s.Client()})
	require.NoError(t, err)
	for sender, ok := range map[string]bool{
		"+15005550006": true, "12345": true, "Acme": true, "A & B-C_1+": true, "ACME Ltd 12": true,
		"ACME Ltd 123": false, "15005550006": false, "+1500555000x": false, "1 2": false, "Müller": false, "+0123456789": false, "+14155550123": false,
	} {
		_, err := c.Send(t.Context(), text(sender))
		if ok {
			require.NoError(t, err, sender)
			continue
		}
		var e *carriers.SendError
		require.ErrorAs(t, err, &e, sender)
		require.Equal(t, omni.ReasonMalformed, e.Reason, sender)
	}
}

// login plays Bandwidth's login and API.
type login struct {
	asked, sent atomic.Int64
	status      int    // of a request for a token; 0 means 200
	answer      string // of it
	valid       atomic.Value
}

func (l *login) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/v1/oauth2/token" {
		l.asked.Add(1)
		user, password, _ := r.BasicAuth()
		if r.FormValue("grant_type") != "client_credentials" || user != "client" || password != clientSecret {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		if l.status != 0 {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(l.status)
		}
		_, _ = w.Write([]byte(l.answer))
		return
	}
	l.sent.Add(1)
	if valid, _ := l.valid.Load().(string); r.Header.Get("Authorization") != "Bearer "+valid {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"type":"unauthorized","description":"Authentication Failed"}`))
		return
	}
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write([]byte(`{"id":"1","segmentCount":1}`))
}

func openOAuth(t *testing.T, l *login, now func() time.Time) carriers.Carrier {
	t.Helper()
	s := httptest.NewServer(l)
	t.Cleanup(s.Close)
	a := account(map[string]string{"username": hookUser, "password": hookPassword})
	delete(a.Config, "apiUser")
	delete(a.Credentials, "apiPassword")
	a.Config["clientId"] = "client"
	a.Credentials["clientSecret"] = []omni.Secret{omni.NewSecret(clientSecret)}
	c, err := bandwidth.New().Open(a, carriers.Options{APIBase: s.URL, HTTP: s.Client(), Now: now})
	require.NoError(t, err)
	return c
}

func TestTokens(t *testing.T) {
	t.Parallel()
	var clock atomic.Int64
	l := &login{answer: `{"access_token":"token-1","token_type":"Bearer","expires_in":3600}`}
	l.valid.Store("token-1")
	c := openOAuth(t, l, func() time.Time { return carriertest.Now.Add(time.Duration(clock.Load())) })
	send := func() error {
		_, err := c.Send(t.Context(), text("+15005550006"))
		return err
	}
	require.NoError(t, send())
	require.NoError(t, send())
	require.Equal(t, int64(1), l.asked.Load(), "a token is kept")

	clock.Store(int64(59*time.Minute - time.Second))
	require.NoError(t, send())
	require.Equal(t, int64(1), l.asked.Load())
	clock.Store(int64(59 * time.Minute))
	require.NoError(t, send())
	require.Equal(t, int64(2), l.asked.Load(), "a minute before its end there is a new one")

	l.answer = `{"access_token":"token-2","expires_in":3600}`
	l.valid.Store("token-2")
	sent := l.sent.Load()
	require.NoError(t, send(), "a token that was revoked is replaced")
	require.Equal(t, int64(3), l.asked.Load())
	require.Equal(t, sent+2, l.sent.Load())

	l.valid.Store("nobody's")
	sent = l.sent.Load()
	err := send()
	require.Equal(t, omni.ReasonMisconfigured, reason(t, err))
	require.Equal(t, sent+2, l.sent.Load(), "once")
	require.NotContains(t, err.Error(), "token-2")
}

func reason(t *testing.T, err error) omni.Reason {
	t.Helper()
	var e *carriers.SendError
	require.ErrorAs(t, err, &e)
	return e.Reason
}

func TestTokensThatCannotBeHad(t *testing.T) {
	t.Parallel()
	for _, known := range []struct {
		status int
		answer string
		reason omni.Reason
		code   string
	}{
		{http.StatusUnauthorized, `{"error":"invalid_client","error_description":"no"}`, omni.ReasonMisconfigured, "invalid_client"},
		{http.StatusBadRequest, `{"error":"unauthorized_client"}`, omni.ReasonMisconfigured, "unauthorized_client"},
		{http.StatusForbidden, ``, omni.ReasonMisconfigured, ""},
		{http.StatusTeapot, `{"error":"I AM"}`, omni.ReasonMisconfigured, ""},
		{http.StatusTooManyRequests, ``, omni.ReasonThrottled, ""},
		{http.StatusBadGateway, `<html>`, omni.ReasonUnreachable, ""},
		{http.StatusOK, `{}`, omni.ReasonUnreachable, ""},
		{http.StatusOK, `{"access_token":"` + strings.Repeat("x", 20<<10) + `"}`, omni.ReasonUnreachable, ""},
	} {
		l := &login{status: known.status, answer: known.answer}
		c := openOAuth(t, l, nil)
		_, err := c.Send(t.Context(), text("+15005550006"))
		var e *carriers.SendError
		require.ErrorAs(t, err, &e)
		require.Equal(t, known.reason, e.Reason, known)
		require.Equal(t, known.code, e.Code, known)
		require.Equal(t, known.reason.Retryable(), e.RetryAfter == 7, known)
		require.Zero(t, l.sent.Load(), "nothing goes out without a token")
		_, err = c.(carriers.MediaFetcher).MediaRequest(t.Context(), file(c, "/api/v2/users/9900778/media/1"))
		require.ErrorAs(t, err, &e)
	}

	l := &login{answer: `{"access_token":"token","expires_in":"soon"}`}
	l.valid.Store("token")
	c := openOAuth(t, l, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Send(ctx, text("+15005550006"))
	require.Equal(t, omni.ReasonUnreachable, reason(t, err), "nothing went out")
	_, err = c.Send(t.Context(), text("+15005550006"))
	require.NoError(t, err)
}

func file(c carriers.Carrier, path string) omni.MediaReference {
	return omni.MediaReference{External: omni.ExternalRef{URL: "http://" + c.(carriers.MediaFetcher).MediaHosts()[0] + path}}
}

func TestSec_M1_FilesAreFetchedFromTheAPIAlone(t *testing.T) {
	t.Parallel()
	f := open(t, map[string]string{"username": hookUser, "password": hookPassword}).(carriers.MediaFetcher)
	require.Equal(t, []string{"messaging.bandwidth.com"}, f.MediaHosts())
	request := func(u string) (*http.Request, error) {
		return f.MediaRequest(t.Context(), omni.MediaReference{External: omni.ExternalRef{URL: u}})
	}
	const address = "https://messaging.bandwidth.com/api/v2/users/9900778/media/1718789527443aae/0/photo%20one%2F2.jpg"
	r, err := request(address)
	require.NoError(t, err)
	require.Equal(t, address, r.URL.String(), "slashes and escapes stay")
	user, password, ok := r.BasicAuth()
	require.True(t, ok)
	require.Equal(t, "gateway", user)
	require.Equal(t, apiPassword, password, "the API's, not the webhooks'")
	for _, u := range []string{
		"", "http://messaging.bandwidth.com/api/v2/users/1/media/x", "https://evil.test/api/v2/users/1/media/x", "https://messaging.bandwidth.com/x",
		"https://messaging.bandwidth.com.evil.test/api/v2/users/1/media/x", "https://messaging.bandwidth.com:444/api/v2/users/1/media/x",
		"https://messaging.bandwidth.com@evil.test/api/v2/users/1/media/x", "https://u@messaging.bandwidth.com/api/v2/users/1/media/x",
		"//messaging.bandwidth.com/api/v2/users/1/media/x", "https://api.bandwidth.com/api/v2/users/1/media/x", "https://169.254.169.254/", "file:///etc/passwd",
		"https://[::1", "\x00", "https://messaging.bandwidth.com/api/v2/users/9900001/media/x", "https://messaging.bandwidth.com/api/v2/users/9900778/messages",
		"https://messaging.bandwidth.com/api/v2/users/9900778/media/", "https://messaging.bandwidth.com/api/v2/users/9900778/media/../messages",
		"https://messaging.bandwidth.com/api/v2/users/9900778/media/%2e%2e/messages", "https://messaging.bandwidth.com/api/v2/users/9900778/media/x%2F..%2F..%2Fmessages",
	} {
		_, err := request(u)
		require.ErrorIs(t, err, omni.ErrForbidden, u)
	}

	l := &login{answer: `{"access_token":"token-1","expires_in":60}`}
	c := openOAuth(t, l, nil)
	r, err = c.(carriers.MediaFetcher).MediaRequest(t.Context(), file(c, "/api/v2/users/9900778/media/1"))
	require.NoError(t, err)
	require.Equal(t, "Bearer token-1", r.Header.Get("Authorization"))
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for status, words := range map[int]string{
		http.StatusOK: "2 December 2026", http.StatusUnauthorized: "account ID", http.StatusForbidden: "role Messaging",
		http.StatusNotFound: "account ID", http.StatusBadGateway: "later",
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, password, _ := r.BasicAuth()
			if r.Method != http.MethodGet || r.URL.Path != "/api/v2/users/9900778/media" || user != "gateway" || password != apiPassword {
				status = http.StatusTeapot
			}
			w.WriteHeader(status)
		}))
		t.Cleanup(s.Close)
		c, err := bandwidth.New().Open(account(map[string]string{"username": hookUser, "password": hookPassword}), carriers.Options{APIBase: s.URL, HTTP: s.Client()})
		require.NoError(t, err)
		all := c.(carriers.Checker).Check(t.Context())
		require.Len(t, all, 1)
		require.Equal(t, "credentials", all[0].Name)
		require.Equal(t, status == http.StatusOK, all[0].OK)
		require.Contains(t, all[0].Detail, words)
	}

	l := &login{answer: `{"access_token":"token-1","expires_in":60}`}
	l.valid.Store("token-1")
	all := openOAuth(t, l, nil).(carriers.Checker).Check(t.Context())
	require.Len(t, all, 2)
	require.True(t, all[0].OK)
	require.True(t, all[1].OK)
	require.NotContains(t, all[1].Detail, "2026")
	all = openOAuth(t, &login{status: http.StatusUnauthorized, answer: `{"error":"invalid_client"}`}, nil).(carriers.Checker).Check(t.Context())
	require.Len(t, all, 1)
	require.False(t, all[0].OK)
	require.Contains(t, all[0].Detail, "invalid_client")

	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	c, err := bandwidth.New().Open(account(map[string]string{"username": hookUser, "password": hookPassword}), carriers.Options{APIBase: s.URL})
	require.NoError(t, err)
	all = c.(carriers.Checker).Check(t.Context())
	require.Len(t, all, 1)
	require.False(t, all[0].OK)
	require.NotContains(t, all[0].Detail, apiPassword)
}

// Refusals are answered with the status that their fixture says.
func TestRefusalsHaveTheirStatus(t *testing.T) {
	t.Parallel()
	for _, f := range carriertest.Fixtures(t, "testdata/webhook") {
		if f.Error == nil || f.Response.Status < 300 {
			continue
		}
		c := open(t, f.Secret)
		err := c.Verify(f.Webhook())
		if err == nil {
			_, err = c.Parse(f.Webhook())
		}
		var e *carriers.WebhookError
		require.ErrorAs(t, err, &e, f.Name)
		status := e.Status
		if status == 0 {
			status = http.StatusBadRequest
		}
		require.Equal(t, f.Response.Status, status, f.Name)
		require.Equal(t, status == http.StatusUnauthorized, e.Authenticate != "", f.Name)
	}
}

func TestEveryCode(t *testing.T) {
	t.Parallel()
	c := open(t, map[string]string{"username": hookUser, "password": hookPassword})
	for code, reason := range bandwidth.Reasons {
		p, err := c.Parse(*webhook(`[{"type":"message-failed","to":"+14155550123","errorCode":` + code + `,"message":{"id":"1","from":"+15005550006","direction":"out"}}]`))
		require.NoError(t, err, code)
		require.Len(t, p.Events, 1, code)
		e := p.Events[0]
		require.Equal(t, code, e.ErrorCode)
		switch {
		case code == "9902":
			require.Equal(t, omni.StatusSent, e.Status)
			require.Empty(t, e.Reason)
		case code[0] == '4':
			require.Equal(t, omni.StatusUndeliverable, e.Status, code)
			require.Equal(t, reason, e.Reason, code)
		default:
			require.Equal(t, omni.StatusFailed, e.Status, code)
			require.Equal(t, reason, e.Reason, code)
		}
		require.Equal(t, code != "9902" && reason.Retryable(), e.Retryable, code)
	}
}

func BenchmarkParse(b *testing.B) {
	c := open(b, map[string]string{"username": hookUser, "password": hookPassword})
	for _, f := range carriertest.Fixtures(b, "testdata/webhook") {
		switch f.Name {
		case "inbound-sms-basic", "inbound-group-mms-with-smil", "batch-status-and-inbound":
		default:
			continue
		}
		b.Run(f.Name, func(b *testing.B) {
			r := f.Webhook()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Parse(r); err != nil {
					b.Fatal(err)
				}
			}
			perByte(b, len(r.Body), func() { _, _ = c.Parse(r) })
		})
	}
}

// perByte reports how many bytes are allocated for each byte of a body.
func perByte(b *testing.B, size int, do func()) {
	b.Helper()
	const times = 1000
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		do()
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/times/float64(size), "B/bodybyte")
}

func BenchmarkVerify(b *testing.B) {
	c := open(b, map[string]string{"username": hookUser, "password": hookPassword, "previousPassword": previous})
	r := webhook("[]")
	sign(map[string]string{"username": hookUser, "password": previous}, r)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Verify(*r); err != nil {
			b.Fatal(err)
		}
	}
}

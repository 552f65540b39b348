package messagebird_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
	"omniservice/carriers/messagebird"
	"omniservice/omni"
)

const (
	signingKey = "mb_signing_key_7f3c"
	previous   = "mb_signing_key_before"
	accessKey  = "mb_access_key_live_9d1"
	inURL      = "mb_url_secret_0123456789abcdef"
	webhook    = "https://sms.example.test/webhooks/messagebird/inbound"
	workspace  = "6a3c2b1d-0000-4000-8000-00000000abcd"
	channels   = "+15005550006=2ceefea7c1b8c79673215c42c1a6b917\nwhatsapp:15005550007=aaaaaaaabbbbccccddddeeeeeeeeeeee, sms:15005550008=52ad151f-f7b4-46f9-a5c6-d3318e650c84"
)

// vectorTime is when the published vectors were made.
var vectorTime = time.Unix(1795356300, 0)

func TestConformance(t *testing.T) { // not parallel: it measures memory
	unknown := carriers.WebhookRequest{
		Method: http.MethodPost, URL: webhook, Header: http.Header{}, Now: carriertest.Now,
		Body: []byte("id=1&recipient=15005550006&status=" + strings.Repeat("teleported", 100)),
	}
	carriertest.Run(t, carriertest.Harness{
		Provider:  messagebird.New(),
		Account:   account,
		Secret:    map[string]string{"signingKey": signingKey, "scheme": "jwt"},
		Sign:      sign,
		SignsBody: true,
		Webhooks:  "testdata/webhook",
		Sends:     "testdata/send",
		Unknown:   unknown,
		Mutants:   messagebird.Mutants,
		Secrets:   []string{signingKey, previous, accessKey, inURL},
	})
}

// Cases are fixtures too, of what is read in many ways. The suite would not learn from cutting each of them.
func TestCases(t *testing.T) {
	t.Parallel()
	for _, f := range carriertest.Fixtures(t, "testdata/cases") {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			c, err := messagebird.New().Open(account(f.Secret), carriers.Options{})
			require.NoError(t, err)
			require.NoError(t, f.Check(c))
		})
	}
}

func account(secret map[string]string) carriers.Account {
	a := carriers.Account{
		ID:       "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506",
		PublicID: "inbound",
		Config:   map[string]string{"scheme": secret["scheme"], "channels": channels},
		Credentials: map[string][]omni.Secret{
			"accessKey": {omni.NewSecret(accessKey)}, "signingKey": {omni.NewSecret(secret["signingKey"])},
		},
	}
	if old := secret["previousSigningKey"]; old != "" {
		a.Credentials["signingKey"] = append(a.Credentials["signingKey"], omni.NewSecret(old))
	}
	if s := secret["urlSecret"]; s != "" {
		a.Credentials["urlSecret"] = []omni.Secret{omni.NewSecret(s)}
	}
	return a
}

func open(tb testing.TB, scheme string, keys ...string) carriers.Carrier {
	tb.Helper()
	secret := map[string]string{"scheme": scheme}
	if len(keys) > 0 {
		secret["signingKey"] = keys[0]
	}
	if len(keys) > 1 {
		secret["previousSigningKey"] = keys[1]
	}
	c, err := messagebird.New().Open(account(secret), carriers.Options{})
	require.NoError(tb, err)
	return c
}

// tokens numbers the tokens that are made, as each is used once.
var tokens atomic.Int64

// sign does what the three pages on verifying requests say.
func sign(secret map[string]string, r *carriers.WebhookRequest) {
	key, now := []byte(secret["signingKey"]), r.Now
	sum := sha256.Sum256(r.Body)
	mac := func(text []byte) []byte {
		m := hmac.New(sha256.New, key)
		m.Write(text)
		return m.Sum(nil)
	}
	stamped := func(middle string) {
		stamp := strconv.FormatInt(now.Unix(), 10)
		r.Header.Set("MessageBird-Request-Timestamp", stamp)
		r.Header.Set("MessageBird-Signature", base64.StdEncoding.EncodeToString(mac(append([]byte(stamp+"\n"+middle+"\n"), sum[:]...))))
	}
	switch secret["scheme"] {
	case "jwt":
		address := sha256.Sum256([]byte(r.URL))
		claims := map[string]any{
			"iss": "MessageBird", "nbf": now.Unix(), "exp": now.Unix() + 60, "jti": fmt.Sprintf("token-%d", tokens.Add(1)),
			"url_hash": hex.EncodeToString(address[:]),
		}
		if len(r.Body) > 0 {
			claims["payload_hash"] = hex.EncodeToString(sum[:])
		}
		text, _ := json.Marshal(claims)
		token := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(text)
		r.Header.Set("MessageBird-Signature-JWT", token+"."+base64.RawURLEncoding.EncodeToString(mac([]byte(token))))
	case "legacy":
		_, query, _ := strings.Cut(r.URL, "?")
		stamped(canonical(query))
	case "bird":
		stamped(r.URL)
	}
}

// canonical sorts a query by name and writes it in form style.
func canonical(query string) string {
	type pair struct{ name, value string }
	var pairs []pair
	for one := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(one, "=")
		name, err1 := url.QueryUnescape(name)
		value, err2 := url.QueryUnescape(value)
		if one == "" || err1 != nil || err2 != nil {
			continue
		}
		pairs = append(pairs, pair{name, value})
	}
	sort.SliceStable(pairs, func(i, j int) bool { return pairs[i].name < pairs[j].name })
	var parts []string
	for _, p := range pairs {
		parts = append(parts, url.QueryEscape(p.name)+"="+url.QueryEscape(p.value))
	}
	return strings.Join(parts, "&")
}

func at(method, address, body string, header ...string) carriers.WebhookRequest {
	r := carriers.WebhookRequest{Method: method, URL: address, Header: http.Header{}, Body: []byte(body), Now: vectorTime}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// The vectors were computed with the carrier's published libraries; the one with other-secret is from the tests of its Go
// library.
func TestSec_W2_PublishedSignatures(t *testing.T) {
	t.Parallel()
	const (
		j1 = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJNZXNzYWdlQmlyZCIsIm5iZiI6MTc5NTM1NjMwMCwiZXhwIjoxNzk1MzU2MzYwLCJqdGkiOiIwYjZmN2MyZS0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDEiLCJ1cmxfaGFzaCI6IjliNGVjOTcwMWMwNTYyMDljM2QxY2Q2YzlhZGJkYTQ0YWEwODRlOGRlYmFkN2VlMGY4MDBlNDA5MzM3YzI0MTMifQ.uBqFn_8s2QW0-zB8FpUFSGpNTxnbe-CcaLIdzYtr0wQ"
		j2 = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJNZXNzYWdlQmlyZCIsIm5iZiI6MTc5NTM1NjMwMCwiZXhwIjoxNzk1MzU2MzYwLCJqdGkiOiIwYjZmN2MyZS0wMDAwLTQwMDAtODAwMC0wMDAwMDAwMDAwMDIiLCJ1cmxfaGFzaCI6IjgxZDFiNDQyMzI5NWUzOTJhZjljMmJmM2U2ZWJlMTdlYTVlZDk5ZmFkMWFkNmMwNDc0MWVkZTkxMmQyNmQ3NGQiLCJwYXlsb2FkX2hhc2giOiI2OTAyNzU3ODY5MTEzODM5ZGM2NTMyNjQ5MGY1MDVlMGY4YjUwNGNkNTM4ZGYzYWM4M2YzYTlhMDEyMjY2YzEzIn0.xUyzb7gNce-7kp0YvGS7pj7-Coj4mwvkqDPVV0-ZL58"
	)
	const key = "signing-key-123"
	legacy := func(address, body, stamp, signature string) carriers.WebhookRequest {
		r := at(http.MethodPost, address, body, "MessageBird-Request-Timestamp", stamp, "MessageBird-Signature", signature)
		n, err := strconv.ParseInt(stamp, 10, 64)
		require.NoError(t, err)
		r.Now = time.Unix(n, 0)
		return r
	}
	for name, c := range map[string]struct {
		scheme, key string
		r           carriers.WebhookRequest
	}{
		"JWT of a GET":        {"jwt", key, at(http.MethodGet, "https://gw.example.test/mb/status?id=1&status=delivered", "", "MessageBird-Signature-JWT", j1)},
		"JWT of a form":       {"jwt", key, at(http.MethodPost, "https://gw.example.test/mb/in", "id=1&originator=14155550123&body=hi", "MessageBird-Signature-JWT", j2)},
		"timestamp, no query": {"legacy", key, legacy("https://gw.example.test/mb/in", `{"a":1}`, "1795356300", "XEF7lj4Ls2Dg47+CF04q+yMfX77MW8hQLBnDx0oD47U=")},
		"timestamp, query":    {"legacy", key, legacy("https://gw.example.test/mb/in?def=bar%20baz&abc=foo", "", "1795356300", "hVDBAB+mBJrM8BnNQ8KiToPXIDVUcfr4FBsrt90i8tg=")},
		"the library's own":   {"legacy", "other-secret", legacy("https://gw.example.test/?abc=foo&def=bar", `{"a key":"some value"}`, "1544544948", "orb0adPhRCYND1WCAvPBr+qjm4STGtyvNDIDNBZ4Ir4=")},
		"Bird":                {"bird", key, legacy("https://gw.example.test/bird?t=1", `{"event":"sms.inbound"}`, "1795356300", "hQGom4yHICLavX7t5iWihbc7+ED7cEJIEXilQa2DaMY=")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, open(t, c.scheme, c.key).Verify(c.r))
			require.NoError(t, open(t, c.scheme, previous, c.key).Verify(c.r), "a replaced key is valid until its end")
			err := open(t, c.scheme, previous).Verify(c.r)
			require.ErrorIs(t, err, omni.ErrUnauthenticated)
			var e *carriers.WebhookError
			require.ErrorAs(t, err, &e)
			require.Equal(t, http.StatusUnauthorized, e.Status)
			for _, other := range []string{"jwt", "legacy", "bird"} {
				if other != c.scheme {
					require.ErrorIs(t, open(t, other, c.key).Verify(c.r), omni.ErrUnauthenticated, "the scheme is configured, not guessed: %s", other)
				}
			}
			late := c.r
			late.Now = late.Now.Add(301 * time.Second)
			require.ErrorContains(t, open(t, c.scheme, c.key).Verify(late), carriers.ExpiredSignature)
		})
	}
}

func TestSec_W2_TheURLIsSigned(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"jwt", "bird"} {
		secret := map[string]string{"scheme": scheme, "signingKey": signingKey}
		c := open(t, scheme, signingKey)
		for _, other := range []string{
			"http://sms.example.test/webhooks/messagebird/inbound", "https://evil.test/webhooks/messagebird/inbound",
			webhook + "/x", webhook + "?id=1", webhook + "?", webhook + "#x", strings.ToUpper(webhook),
		} {
			r := at(http.MethodPost, webhook, "a=b")
			sign(secret, &r)
			r.URL = other
			require.ErrorIs(t, c.Verify(r), omni.ErrUnauthenticated, "%s: %s", scheme, other)
		}
	}
	c := open(t, "legacy", signingKey)
	for signed, received := range map[string]string{
		"a=b": "a=b&a=c", "a=1&a=2": "a=2&a=1", "a=%zz": "a=%zz", "a;b": "a;b", "": "x",
	} {
		r := at(http.MethodGet, webhook+"?"+signed, "")
		sign(map[string]string{"scheme": "legacy", "signingKey": signingKey}, &r)
		r.URL = webhook + "?" + received
		require.ErrorIs(t, c.Verify(r), omni.ErrUnauthenticated, received)
	}
}

func TestSec_W5_ATokenIsUsedOnce(t *testing.T) {
	t.Parallel()
	c := open(t, "jwt", signingKey)
	r := at(http.MethodPost, webhook, "a=b")
	sign(map[string]string{"scheme": "jwt", "signingKey": signingKey}, &r)
	altered := r
	altered.Body = []byte("a=c")
	require.ErrorContains(t, c.Verify(altered), carriers.BadSignature)
	require.NoError(t, c.Verify(r), "what was refused has used nothing up")
	require.NoError(t, c.Verify(r), "nor has what could not be kept: it comes again")
	c.(carriers.OnceOnly).Delivered(r)
	again := c.Verify(r)
	require.ErrorIs(t, again, omni.ErrUnauthenticated)
	require.ErrorContains(t, again, "used before")
	r.Now = r.Now.Add(61 * time.Second)
	require.ErrorContains(t, c.Verify(r), carriers.BadSignature, "remembered as long as it is valid")
	r.Now = r.Now.Add(time.Second)
	require.ErrorContains(t, c.Verify(r), carriers.ExpiredSignature)
	require.NoError(t, messagebird.WithoutMemory(c).Verify(at2(r, -62*time.Second)), "nothing else refuses it")
}

// The id alone does not make a repetition: what is said under it does.
func TestSec_W5_OneIDForTwoRequests(t *testing.T) {
	t.Parallel()
	c := open(t, "jwt", signingKey)
	for _, f := range carriertest.Fixtures(t, "testdata/webhook") {
		if f.Name == "inbound-sms-form-jwt" || f.Name == "inbound-mms-form-two-media" {
			require.NoError(t, c.Verify(f.Webhook()), f.Name)
			c.(carriers.OnceOnly).Delivered(f.Webhook())
			require.ErrorIs(t, c.Verify(f.Webhook()), omni.ErrUnauthenticated, f.Name)
		}
	}
}

func at2(r carriers.WebhookRequest, d time.Duration) carriers.WebhookRequest {
	r.Now = r.Now.Add(d)
	return r
}

func TestSec_W5_TokensAreForgotten(t *testing.T) {
	t.Parallel()
	const most = 1000
	u, now := messagebird.NewUsed(most), vectorTime
	require.True(t, u.Add("a", now.Add(61*time.Second), now))
	require.True(t, u.Add("b", now.Add(30*time.Second), now))
	require.False(t, u.Add("a", now.Add(61*time.Second), now.Add(61*time.Second)))
	require.Equal(t, 1, u.Len(), "b has ended")
	require.True(t, u.Add("a", now.Add(122*time.Second), now.Add(62*time.Second)))
	for i := range most + 10 {
		require.True(t, u.Add(strconv.Itoa(i), now.Add(time.Hour+time.Duration(i)*time.Millisecond), now))
	}
	require.Equal(t, most, u.Len())
	require.False(t, u.Add(strconv.Itoa(most), now.Add(2*time.Hour), now), "the newest are kept")
}

func TestSec_W5_OneOfManyAtOnce(t *testing.T) {
	t.Parallel()
	c := open(t, "jwt", signingKey)
	r := at(http.MethodPost, webhook, "a=b")
	sign(map[string]string{"scheme": "jwt", "signingKey": signingKey}, &r)
	together := func(each func()) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(each)
		}
		all.Wait()
	}
	var accepted atomic.Int32
	verify := func() {
		if c.Verify(r) == nil {
			accepted.Add(1)
		}
	}
	together(verify)
	require.EqualValues(t, 8, accepted.Load(), "none is durable yet; the store keeps one of them")
	together(func() { c.(carriers.OnceOnly).Delivered(r) })
	together(verify)
	require.EqualValues(t, 8, accepted.Load())
}

// Webhooks that are not signed come by explicit setting alone: then the address is the secret, and a further one may be
// agreed.
func TestSec_W2_NotSigned(t *testing.T) {
	t.Parallel()
	body := "id=1&recipient=15005550006&originator=14155550123&body=hi"
	require.NoError(t, open(t, "none").Verify(at(http.MethodPost, webhook, body)))
	require.ErrorContains(t, open(t, "jwt", signingKey).Verify(at(http.MethodPost, webhook, body)), carriers.MissingSignature)

	a := account(map[string]string{"scheme": "none", "urlSecret": inURL})
	a.Credentials["urlSecret"] = append(a.Credentials["urlSecret"], omni.NewSecret("the-secret-before-it-012345"))
	c, err := messagebird.New().Open(a, carriers.Options{WebhookURL: webhook})
	require.NoError(t, err)
	require.NoError(t, c.Verify(at(http.MethodPost, webhook+"?key="+inURL, body)))
	require.NoError(t, c.Verify(at(http.MethodPost, webhook+"?key=the-secret-before-it-012345", body)))
	for address, name := range map[string]string{
		webhook: carriers.MissingCredentials, webhook + "?key=": carriers.MissingCredentials, webhook + "?" + strings.Repeat("a&", 1001): carriers.MissingCredentials,
		webhook + "?key=" + inURL + "x": carriers.BadCredentials, webhook + "?key=" + inURL[1:]: carriers.BadCredentials,
	} {
		err := c.Verify(at(http.MethodPost, address, body))
		require.ErrorIs(t, err, omni.ErrUnauthenticated)
		require.ErrorContains(t, err, name)
		require.NotContains(t, err.Error(), inURL[1:])
	}
	p, err := c.Parse(at(http.MethodPost, webhook+"?key="+inURL, body))
	require.NoError(t, err)
	require.Equal(t, "hi", p.Events[0].Text)
}

func TestWindow(t *testing.T) {
	t.Parallel()
	a := account(map[string]string{"scheme": "legacy", "signingKey": signingKey})
	a.Config["window"] = "5"
	c, err := messagebird.New().Open(a, carriers.Options{})
	require.NoError(t, err)
	for off, valid := range map[time.Duration]bool{0: true, 5 * time.Second: true, -5 * time.Second: true, 6 * time.Second: false, -6 * time.Second: false} {
		r := at(http.MethodPost, webhook, "a=b")
		sign(map[string]string{"scheme": "legacy", "signingKey": signingKey}, &r)
		r.Now = r.Now.Add(off)
		require.Equal(t, valid, c.Verify(r) == nil, off)
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	network, api := messagebird.ReasonsOf(false), messagebird.ReasonsOf(true)
	require.GreaterOrEqual(t, len(network), 20)
	retry := map[string]bool{"6": true, "27": true, "31": true, "32": true, "33": true, "34": true, "106": true, "107": true}
	for code, reason := range network {
		require.True(t, omni.Reason(reason).Valid(), code)
		require.Equal(t, retry[code], omni.Reason(reason).Retryable(), code)
	}
	for _, code := range []string{"1", "2", "3", "5", "9", "11", "12", "13", "21", "35", "36", "103", "104", "105"} {
		require.Contains(t, network, code)
	}
	require.Equal(t, "opted_out", network["103"])
	for _, code := range []string{"2", "9", "10", "20", "21", "25", "98", "99"} {
		require.Contains(t, api, code)
		require.False(t, omni.Reason(api[code]).Retryable(), code)
	}
	carriertest.Explained(t, messagebird.New(), slices.Collect(maps.Keys(network))...)
	carriertest.Explained(t, messagebird.New(), "2", "9", "10", "20", "21", "25", "98", "99")
	meaning, advice, _ := messagebird.New().Explain("9") // who gave it is not known any more
	require.Contains(t, meaning, "network")
	require.Contains(t, advice, "MessageBird that refused it: something is missing")
	for _, table := range []map[string]omni.Status{messagebird.ClassicStatuses, messagebird.ConversationStatuses, messagebird.BirdStatuses} {
		for word, status := range table {
			require.True(t, status.Valid(), word)
		}
	}
	require.Len(t, messagebird.ClassicStatuses, 6)
	require.Len(t, messagebird.ConversationStatuses, 17)
	require.Len(t, messagebird.BirdStatuses, 6)
	for _, word := range []string{"received", "deleted", "unknown", "spam_complaint", "list_unsubscribe"} {
		require.NotContains(t, messagebird.ConversationStatuses, word)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	secrets := func(a carriers.Account, name string, values ...string) {
		a.Credentials[name] = nil
		for _, v := range values {
			a.Credentials[name] = append(a.Credentials[name], omni.NewSecret(v))
		}
	}
	set := func(name, value string) func(a carriers.Account) {
		return func(a carriers.Account) { a.Config[name] = value }
	}
	for name, c := range map[string]struct {
		change func(a carriers.Account)
		field  string
	}{
		"whole":                 {func(carriers.Account) {}, ""},
		"nothing but keys":      {func(a carriers.Account) { clear(a.Config) }, ""},
		"blanks":                {set("product", " mms\n"), ""},
		"product":               {set("product", "email"), "product"},
		"scheme":                {set("scheme", "off"), "scheme"},
		"no access key":         {func(a carriers.Account) { secrets(a, "accessKey", "") }, "accessKey"},
		"no signing key":        {func(a carriers.Account) { secrets(a, "signingKey") }, "signingKey"},
		"not signed":            {func(a carriers.Account) { secrets(a, "signingKey"); a.Config["scheme"] = "none" }, ""},
		"secret beside scheme":  {func(a carriers.Account) { secrets(a, "urlSecret", inURL) }, "urlSecret"},
		"short secret":          {func(a carriers.Account) { secrets(a, "urlSecret", "short"); a.Config["scheme"] = "none" }, "urlSecret"},
		"window of 0":           {set("window", "0"), "window"},
		"window of 301":         {set("window", "301"), "window"},
		"window of words":       {set("window", "five"), "window"},
		"window that overflows": {set("window", "10000000000"), "window"},
		"pace of 0":             {set("perSecond", "0"), "perSecond"},
		"pace of NaN":           {set("perSecond", "NaN"), "perSecond"},
		"Bird, no workspace":    {set("product", "bird"), "workspaceId"},
		"Bird, path":            {func(a carriers.Account) { a.Config["product"] = "bird"; a.Config["workspaceId"] = "../../x" }, "workspaceId"},
		"host with path":        {set("mediaHosts", "a.test/x"), "mediaHosts"},
		"hosts":                 {set("mediaHosts", "a.test, b.test:8443"), ""},
		"channel without id":    {set("channels", "+15005550006"), "channels"},
		"channel, short id":     {set("channels", "+15005550006=12"), "channels"},
		"channel, odd family":   {set("channels", "fax:+15005550006=2ceefea7c1b8c79673215c42c1a6b916"), "channels"},
		"too many channels":     {set("channels", strings.Repeat("1008=2ceefea7c1b8c79673215c42c1a6b916 ", 1001)), "channels"},
	} {
		a := account(map[string]string{"scheme": "jwt", "signingKey": signingKey})
		c.change(a)
		_, err := messagebird.New().Open(a, carriers.Options{})
		if c.field == "" {
			require.NoError(t, err, name)
			continue
		}
		var p *omni.Problem
		require.ErrorAs(t, err, &p, name)
		require.ErrorIs(t, err, omni.ErrInvalid, name)
		require.Contains(t, p.Fields, c.field, name)
		require.Len(t, p.Fields, 1, name)
	}
	_, err := messagebird.New().Open(account(map[string]string{"scheme": "jwt", "signingKey": signingKey}), carriers.Options{APIBase: "nowhere"})
	require.ErrorIs(t, err, omni.ErrInvalid)
}

func of(tb testing.TB, product string, o carriers.Options) carriers.Carrier {
	tb.Helper()
	a := account(map[string]string{"scheme": "jwt", "signingKey": signingKey})
	a.Config["product"], a.Config["workspaceId"], a.Config["mediaHosts"] = product, workspace, "files.example.test"
	c, err := messagebird.New().Open(a, o)
	require.NoError(tb, err)
	return c
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	for product, want := range map[string]struct{ files, captions, whatsApp, read, place bool }{
		"sms": {}, "mms": {files: true, captions: true},
		"conversations": {whatsApp: true, read: true, place: true}, "bird": {whatsApp: true},
	} {
		c := of(t, product, carriers.Options{})
		sms, ok := c.Capabilities(omni.ChannelSMS)
		require.True(t, ok)
		require.True(t, sms.Segmented && sms.DeliveryStatus && !sms.ReadStatus, product)
		require.Equal(t, 1377, sms.MaxTextLength)
		require.Equal(t, want.files, sms.MaxMediaCount > 0, product)
		require.Equal(t, want.captions, sms.Captions, product)
		chat, ok := c.Capabilities(omni.ChannelWhatsApp)
		require.Equal(t, want.whatsApp, ok, product)
		require.Equal(t, want.read, chat.ReadStatus, product)
		require.Equal(t, want.place, chat.Location, product)
		_, ok = c.Capabilities(omni.ChannelLiveChat)
		require.False(t, ok)
		require.InDelta(t, 10, c.(carriers.Paced).Pace(omni.ChannelSMS, "+15005550006").PerSecond, 0)
	}
}

// What the account says of the secret in the URL goes with the address of reports, or none would be authentic.
func TestReportsComeToTheSecretAddress(t *testing.T) {
	t.Parallel()
	var got struct {
		ReportURL string `json:"reportUrl"`
	}
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		require.NoError(t, json.NewDecoder(r.Body).Decode(&got))
		return answer(r, http.StatusCreated, `{"id":"1"}`), nil
	})}
	c, err := messagebird.New().Open(account(map[string]string{"scheme": "none", "urlSecret": inURL}), carriers.Options{WebhookURL: webhook, HTTP: client})
	require.NoError(t, err)
	result, err := c.Send(t.Context(), message("hi"))
	require.NoError(t, err)
	require.Equal(t, carriers.SendResult{CarrierMessageID: "1", Status: omni.StatusQueued}, result)
	require.NoError(t, c.Verify(at(http.MethodGet, got.ReportURL+"&id=1&status=sent", "")))
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(r *http.Request, status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

func message(text string) omni.ServiceMessage {
	return omni.ServiceMessage{
		ID: "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506", Payload: omni.TextPayload(text),
		Publish: &omni.PublishChannel{ChannelType: omni.ChannelSMS, Sender: "+15005550006", Target: omni.PublishIdentity{Address: "+14155550123"}},
	}
}

func TestProductsHaveTheirHosts(t *testing.T) {
	t.Parallel()
	for product, host := range map[string]string{
		"sms": "rest.messagebird.com", "mms": "rest.messagebird.com", "conversations": "conversations.messagebird.com", "bird": "api.bird.com",
	} {
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			require.Equal(t, "https://"+host, r.URL.Scheme+"://"+r.URL.Host)
			require.Equal(t, "AccessKey "+accessKey, r.Header.Get("Authorization"))
			return answer(r, http.StatusOK, `{"id":"1"}`), nil
		})}
		_, err := of(t, product, carriers.Options{HTTP: client}).Send(t.Context(), message("hi"))
		require.NoError(t, err, product)
	}
}

func TestSec_M1_KeysGoToTheCarrierAlone(t *testing.T) {
	t.Parallel()
	c := of(t, "sms", carriers.Options{})
	f := c.(carriers.MediaFetcher)
	require.Contains(t, f.MediaHosts(), "media.messagebird.com")
	require.Contains(t, f.MediaHosts(), "files.example.test")
	request := func(u string) (*http.Request, error) {
		return f.MediaRequest(t.Context(), omni.MediaReference{External: omni.ExternalRef{URL: u}})
	}
	for _, u := range []string{"https://media.messagebird.com/v1/media/1", "https://api.bird.com/x", "https://conversations.messagebird.com/y"} {
		r, err := request(u)
		require.NoError(t, err)
		require.Equal(t, "AccessKey "+accessKey, r.Header.Get("Authorization"))
		require.Contains(t, f.MediaHosts(), r.URL.Host)
	}
	for _, u := range []string{"https://files.example.test/1", "https://media.eu.bird.com/1", "https://mms.messagebird.com/1"} {
		r, err := request(u)
		require.NoError(t, err)
		require.Empty(t, r.Header.Get("Authorization"), "no key where nobody says that one is wanted: %s", u)
	}
	require.Subset(t, f.MediaHosts(), []string{"*.messagebird.com", "*.bird.com"})
	for _, u := range []string{
		"", "http://media.messagebird.com/x", "https://evil.test/x", "https://media.messagebird.com.evil.test/x", "https://media.messagebird.com:444/x",
		"https://media.messagebird.com@evil.test/x", "https://u@media.messagebird.com/x", "//media.messagebird.com/x", "http://files.example.test/x",
		"https://169.254.169.254/", "file:///etc/passwd", "https://[::1", "\x00",
		"https://bird.com/x", "https://evilbird.com/x", "https://mms.messagebird.com:444/x", "http://mms.messagebird.com/x",
	} {
		_, err := request(u)
		require.ErrorIs(t, err, omni.ErrForbidden, u)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		product, path, body string
		status              int
		ok                  []bool
	}{
		"postpaid":              {"sms", "/balance", `{"payment":"postpaid","type":"euros","amount":0}`, 200, []bool{true, true}},
		"prepaid":               {"mms", "/balance", `{"payment":"prepaid","type":"credits","amount":12.5}`, 200, []bool{true, true}},
		"used up":               {"sms", "/balance", `{"payment":"prepaid","type":"credits","amount":0}`, 200, []bool{true, false}},
		"not JSON":              {"sms", "/balance", `<html>`, 200, []bool{true}},
		"wrong key":             {"sms", "/balance", `{"errors":[{"code":2}]}`, 401, []bool{false}},
		"carrier away":          {"sms", "/balance", "", 503, []bool{false}},
		"too often":             {"sms", "/balance", "", 429, []bool{false}},
		"conversations":         {"conversations", "/v1/conversations", `{}`, 200, []bool{true}},
		"conversations refused": {"conversations", "/v1/conversations", `{}`, 403, []bool{false}},
		"Bird":                  {"bird", "/workspaces/" + workspace + "/channels/", `{}`, 200, []bool{true, true, true}},
		"Bird, unknown":         {"bird", "/workspaces/" + workspace + "/channels/", `{}`, 404, []bool{false, false, false}},
		"no answer":             {"sms", "/balance", "", 0, []bool{false}},
	} {
		client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			require.Equal(t, http.MethodGet, r.Method)
			require.True(t, strings.HasPrefix(r.URL.Path, c.path), r.URL.Path)
			if c.status == 0 {
				return nil, errors.New("cut")
			}
			return answer(r, c.status, c.body), nil
		})}
		var got []bool
		for _, one := range of(t, c.product, carriers.Options{HTTP: client}).(carriers.Checker).Check(t.Context()) {
			require.NotEmpty(t, one.Name)
			require.NotEmpty(t, one.Detail)
			require.NotContains(t, one.Detail, accessKey)
			got = append(got, one.OK)
		}
		require.Equal(t, c.ok, got, name)
	}
}

func TestCheckNamesATestKey(t *testing.T) {
	t.Parallel()
	a := account(map[string]string{"scheme": "jwt", "signingKey": signingKey})
	a.Credentials["accessKey"] = []omni.Secret{omni.NewSecret("test_123")}
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) { return answer(r, 200, `{"payment":"postpaid"}`), nil })}
	c, err := messagebird.New().Open(a, carriers.Options{HTTP: client})
	require.NoError(t, err)
	all := c.(carriers.Checker).Check(t.Context())
	require.False(t, all[0].OK)
	require.Contains(t, all[0].Detail, "live key")
}

func TestTooManyParameters(t *testing.T) {
	t.Parallel()
	for _, body := range []string{strings.Repeat("a&", 1001), `{` + strings.Repeat(`"a":1,`, 1001) + `"b":2}`} {
		_, err := open(t, "none").Parse(at(http.MethodPost, webhook, body))
		require.ErrorIs(t, err, omni.ErrInvalid)
	}
}

func TestJSONLikeForm(t *testing.T) {
	t.Parallel()
	c := open(t, "none")
	const want = `a "quoted" {brace} [list], \ : end`
	for _, body := range []string{
		`{"id":"1","recipient":"15005550006","originator":14155550123,"body":"a \"quoted\" {brace} [list], \\ : end"}`,
		" \n{ \"x\" : null , \"y\":{\"body\":\"}\\\"]\"},\"z\":[[1],{}],\"ID\" :1 ,\"t\":true,\"recipient\":\"15005550006\",\r\n\"originator\":[\"14155550123\"],\"\\u0062ody\":\"a \\u0022quoted\\u0022 {brace} [list], \\\\ : end\" } ",
		`{"id":1,"recipient":15005550006,"body":"` + strings.ReplaceAll(strings.ReplaceAll(want, `\`, `\\`), `"`, `\"`) + `","n":-1.5e3,"originator":14155550123}`,
	} {
		p, err := c.Parse(at(http.MethodPost, webhook, body))
		require.NoError(t, err, body)
		require.Len(t, p.Events, 1, body)
		require.Equal(t, want, p.Events[0].Text)
		require.Equal(t, "+14155550123", p.Events[0].From)
		require.Equal(t, "1", p.Events[0].CarrierMessageID)
	}
	for _, body := range []string{"null", "1", `"a"`, "{} {}", `{"id":"1"`, `{"id"}`, `{"id":}`, "{", "[", "[]"} {
		r := at(http.MethodPost, webhook, body, "Content-Type", "application/json")
		_, err := c.Parse(r)
		require.ErrorContains(t, err, carriers.MalformedBody, body)
	}
}

func BenchmarkParse(b *testing.B) {
	for _, f := range carriertest.Fixtures(b, "testdata/webhook") {
		switch f.Name {
		case "inbound-sms-form-jwt", "inbound-sms-json-flow", "inbound-conversations-text", "inbound-bird-channels-sms", "status-delivered-get":
		default:
			continue
		}
		c := open(b, f.Secret["scheme"], signingKey)
		b.Run(f.Name, func(b *testing.B) {
			r := f.Webhook()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Parse(r); err != nil {
					b.Fatal(err)
				}
			}
			perBody(b, func() { _, _ = c.Parse(r) }, len(r.Body)+len(r.URL))
		})
	}
}

// perBody reports what is allocated for each byte of a request.
func perBody(b *testing.B, do func(), size int) {
	b.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(size), "B/byte")
}

func BenchmarkVerify(b *testing.B) {
	for _, f := range carriertest.Fixtures(b, "testdata/webhook") {
		switch f.Name {
		case "inbound-sms-form-jwt", "signature-legacy-unsorted-query", "inbound-bird-channels-sms", "invalid-jwt-wrong-key":
		default:
			continue
		}
		c := messagebird.WithoutMemory(open(b, f.Secret["scheme"], signingKey, previous))
		b.Run(f.Name, func(b *testing.B) {
			r := f.Webhook()
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Verify(r); (err == nil) != f.Authentic() {
					b.Fatal(err)
				}
			}
		})
	}
}

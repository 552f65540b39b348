package twilio_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
	"omniservice/carriers/twilio"
	"omniservice/omni"
)

const (
	accountSID = "AC0123456789abcdef0123456789abcdef"
	token      = "d41dc0ffee5ec0de1234567890abcdef"
	previous   = "0ddba11c0ffee5ec0de1234567890abc"
	keySecret  = "kEySeCrEt0123456789"
	webhook    = "https://sms.example.test/webhooks/twilio/inbound"
)

func TestConformance(t *testing.T) { // not parallel: it measures memory
	carriertest.Run(t, carriertest.Harness{
		Provider:  twilio.New(),
		Account:   account,
		Secret:    map[string]string{"authToken": token},
		Sign:      sign,
		SignsBody: true,
		SignsURL:  true,
		Webhooks:  "testdata/webhook",
		Sends:     "testdata/send",
		Unknown: carriers.WebhookRequest{
			Method: http.MethodPost, URL: webhook, Header: http.Header{},
			Body: []byte("MessageSid=SM1&MessageStatus=" + strings.Repeat("teleported", 100)),
		},
		Mutants: twilio.Mutants,
		Secrets: []string{token, previous, keySecret},
	})
}

func account(secret map[string]string) carriers.Account {
	a := carriers.Account{
		ID:          "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506",
		PublicID:    "inbound",
		Config:      map[string]string{"accountSid": accountSID},
		Credentials: map[string][]omni.Secret{"authToken": {omni.NewSecret(secret["authToken"])}},
	}
	if old := secret["previousAuthToken"]; old != "" {
		a.Credentials["authToken"] = append(a.Credentials["authToken"], omni.NewSecret(old))
	}
	return a
}

// sign does what "Secure webhooks" says: the form's parameters sorted and appended to the URL, or else the hash
// of the body put into it.
func sign(secret map[string]string, r *carriers.WebhookRequest) {
	text := r.URL
	before, rest, hashed := strings.Cut(r.URL, "bodySHA256=")
	switch {
	case hashed:
		sum := sha256.Sum256(r.Body)
		_, after, more := strings.Cut(rest, "&")
		text = before + "bodySHA256=" + hex.EncodeToString(sum[:])
		if more {
			text += "&" + after
		}
		r.URL = text
	case r.Method == http.MethodPost:
		values := map[string]map[string]bool{}
		for pair := range strings.SplitSeq(string(r.Body), "&") {
			if pair == "" {
				continue
			}
			name, value, _ := strings.Cut(pair, "=")
			name, value = decode(name), decode(value)
			if values[name] == nil {
				values[name] = map[string]bool{}
			}
			values[name][value] = true
		}
		var b strings.Builder
		b.WriteString(text)
		for _, name := range sorted(values) {
			for _, value := range sorted(values[name]) {
				b.WriteString(name + value)
			}
		}
		text = b.String()
	}
	mac := hmac.New(sha1.New, []byte(secret["authToken"]))
	mac.Write([]byte(text))
	r.Header.Set("X-Twilio-Signature", base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

func sorted[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// decode is url.QueryUnescape, one escape at a time: what is no escape stays.
func decode(s string) string {
	var b strings.Builder
	for s != "" {
		n := 1
		if s[0] == '%' && len(s) >= 3 {
			n = 3
		}
		if out, err := url.QueryUnescape(s[:n]); err == nil {
			b.WriteString(out)
		} else {
			n = 1
			b.WriteByte(s[0])
		}
		s = s[n:]
	}
	return b.String()
}

func open(tb testing.TB, tokens ...string) carriers.Carrier {
	tb.Helper()
	a := account(map[string]string{"authToken": tokens[0]})
	for _, old := range tokens[1:] {
		a.Credentials["authToken"] = append(a.Credentials["authToken"], omni.NewSecret(old))
	}
	c, err := twilio.New().Open(a, carriers.Options{})
	require.NoError(tb, err)
	return c
}

// The first four were computed by hand and checked with Twilio's Go library, the last is from that library's tests.
func TestSec_W2_PublishedSignatures(t *testing.T) {
	t.Parallel()
	const key = "1a2b3c4d5e6f70819293a4b5c6d7e8f9"
	form := func(pairs ...string) string {
		var parts []string
		for i := 0; i < len(pairs); i += 2 {
			parts = append(parts, pairs[i]+"="+url.QueryEscape(pairs[i+1]))
		}
		return strings.Join(parts, "&")
	}
	for name, c := range map[string]struct{ key, url, body, signature string }{
		"query and blank value": {
			key, "https://gw.example.test/twilio/in?tenant=7",
			form("MessageSid", "SM00000000000000000000000000000001", "From", "+14155550123", "To", "+15005550006", "Body", "Hello", "FromCity", "", "NumMedia", "0"),
			"ZaZWOAgN3mt7kqm7A5iX4qWwDD8=",
		},
		"unicode and blanks kept": {
			key, "https://gw.example.test/twilio/in",
			form("MessageSid", "SM00000000000000000000000000000002", "From", "+4915112345678", "To", "+15005550006", "Body", " Grüße 👋 "),
			"czNpn7wcjd757Zr1/vkys6LX5uU=",
		},
		"signed with the default port": {
			key, "https://gw.example.test/twilio/in", form("MessageSid", "SM00000000000000000000000000000003", "Body", "x"),
			"pBECTfBVK4tVjWzmdbgDL6jNYV8=",
		},
		"JSON": {
			key, "https://gw.example.test/twilio/st?bodySHA256=69250c1b9798e29b4c54ca732873604ccf1f564527f73e965ef5e4135af281a2",
			`{"MessageSid":"SM00000000000000000000000000000004","MessageStatus":"sent"}`, "/oTYlv8Yac45dVL/YuJbAxMTqw4=",
		},
		"Twilio's own": {
			"12345", "https://mycompany.com/myapp.php?foo=1&bar=2",
			form("Digits", "1234", "CallSid", "CA1234567890ABCDE", "To", "+18005551212", "Caller", "+14158675309", "From", "+14158675309", "ReasonConferenceEnded", "test", "Reason", "Participant"),
			"vOEb5UThFn24KEfnOFLQY2AE5FY=",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := carriers.WebhookRequest{Method: http.MethodPost, URL: c.url, Header: http.Header{}, Body: []byte(c.body)}
			r.Header.Set("X-Twilio-Signature", c.signature)
			require.NoError(t, open(t, c.key).Verify(r))
			require.NoError(t, open(t, previous, c.key).Verify(r), "a replaced token is valid until its end")
			require.ErrorIs(t, open(t, previous).Verify(r), omni.ErrUnauthenticated)
		})
	}
}

func TestSec_W2_SpellingsOfTheURL(t *testing.T) {
	t.Parallel()
	c := open(t, token)
	for _, known := range []struct {
		signed, received string
		valid            bool
	}{
		{"https://a.test/x", "https://a.test/x", true},
		{"https://a.test:443/x", "https://a.test/x", true},
		{"https://a.test/x", "https://a.test:443/x", true},
		{"http://a.test:80/x", "http://a.test/x", true},
		{"https://a.test/x?y=http://b.test:1/", "https://a.test:8443/x?y=http://b.test:1/", true},
		{"https://u:p@a.test:443/x", "https://u:p@a.test/x", true},
		{"https://u:p@a.test/x", "https://u:p@a.test:443/x", true},
		{"https://[2001:db8::1]/x", "https://[2001:db8::1]:443/x", true},
		{"https://[2001:db8::1]:443/x", "https://[2001:db8::1]/x", true},
		{"https://a.test:443", "https://a.test", true},
		{"https://a.test/a%2Fb?c=%20+", "https://a.test/a%2Fb?c=%20+", true},
		{"https://a.test:444/x", "https://a.test/x", false},
		{"https://a.test:80/x", "https://a.test/x", false},
		{"http://a.test/x", "https://a.test/x", false},
		{"https://b.test/x", "https://a.test/x", false},
		{"https://a.test/x", "https://a.test/x/", false},
		{"https://a.test/x?a=%2f", "https://a.test/x?a=%2F", false},
	} {
		r := carriers.WebhookRequest{Method: http.MethodPost, URL: known.signed, Header: http.Header{}, Body: []byte("a=b")}
		sign(map[string]string{"authToken": token}, &r)
		r.URL = known.received
		err := c.Verify(r)
		require.Equal(t, known.valid, err == nil, "%+v: %v", known, err)
	}
}

func TestSec_W2_AGetSignatureDoesNotCoverABody(t *testing.T) {
	t.Parallel()
	c := open(t, token)
	r := carriers.WebhookRequest{Method: http.MethodGet, URL: webhook + "?MessageSid=SM1", Header: http.Header{}}
	sign(map[string]string{"authToken": token}, &r)
	require.NoError(t, c.Verify(r))
	r.Method, r.Body = http.MethodPost, []byte("MessageSid=SM2&MessageStatus=failed")
	require.ErrorIs(t, c.Verify(r), omni.ErrUnauthenticated)
	r.Method = http.MethodGet
	require.NoError(t, c.Verify(r))
	_, err := c.Parse(r)
	require.ErrorContains(t, err, "missing_field AccountSid", "the body of a GET is not looked at")
}

func TestTooManyParameters(t *testing.T) {
	t.Parallel()
	r := carriers.WebhookRequest{Method: http.MethodPost, URL: webhook, Header: http.Header{}, Body: []byte(strings.Repeat("a&", 1001))}
	sign(map[string]string{"authToken": token}, &r)
	require.ErrorIs(t, open(t, token).Verify(r), omni.ErrUnauthenticated)
	_, err := open(t, token).Parse(r)
	require.ErrorIs(t, err, omni.ErrInvalid)
}

func TestTables(t *testing.T) {
	t.Parallel()
	for code, reason := range twilio.Reasons {
		require.Len(t, code, 5)
		require.True(t, reason.Valid(), code)
		require.NotEqual(t, omni.ReasonUnknown, reason, "a code says what happened")
	}
	carriertest.Explained(t, twilio.New(), slices.Collect(maps.Keys(twilio.Reasons))...)
	for code, retry := range map[string]bool{
		"20429": true, "20500": true, "21611": true, "30001": true, "30003": true, "30008": true, "30017": true, "30022": true,
		"30023": true, "30027": true, "30036": true, "30410": true, "63018": true, "63019": true, "63038": true,
		"20003": false, "21211": false, "21610": false, "30004": false, "30005": false, "30007": false, "63016": false,
	} {
		require.Equal(t, retry, twilio.Reasons[code].Retryable(), code)
	}
	for word, status := range twilio.Statuses {
		require.True(t, status.Valid(), word)
	}
	require.Equal(t, omni.ReasonOptedOut, twilio.Reasons["21610"])
	require.Equal(t, omni.ReasonWindowClosed, twilio.Reasons["63016"])
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(a carriers.Account)
		field  string
	}{
		"whole":             {func(carriers.Account) {}, ""},
		"short account":     {func(a carriers.Account) { a.Config["accountSid"] = "AC12" }, "accountSid"},
		"no hexadecimal":    {func(a carriers.Account) { a.Config["accountSid"] = "AC" + strings.Repeat("x", 32) }, "accountSid"},
		"path in account":   {func(a carriers.Account) { a.Config["accountSid"] = "AC/../" + strings.Repeat("0", 28) }, "accountSid"},
		"empty token":       {func(a carriers.Account) { a.Credentials["authToken"] = []omni.Secret{{}} }, "authToken"},
		"service":           {func(a carriers.Account) { a.Config["messagingServiceSid"] = "MG1" }, "messagingServiceSid"},
		"key":               {func(a carriers.Account) { a.Config["apiKeySid"] = "AC1" }, "apiKeySid"},
		"key alone":         {func(a carriers.Account) { a.Config["apiKeySid"] = "SK" + strings.Repeat("0", 32) }, "apiKeySecret"},
		"secret of no key":  {func(a carriers.Account) { a.Credentials["apiKeySecret"] = []omni.Secret{omni.NewSecret(keySecret)} }, "apiKeySid"},
		"blanks around sid": {func(a carriers.Account) { a.Config["accountSid"] = " " + accountSID + "\n" }, ""},
	} {
		a := account(map[string]string{"authToken": token})
		c.change(a)
		_, err := twilio.New().Open(a, carriers.Options{})
		if c.field == "" {
			require.NoError(t, err, name)
			continue
		}
		var p *omni.Problem
		require.ErrorAs(t, err, &p, name)
		require.ErrorIs(t, err, omni.ErrInvalid, name)
		require.Contains(t, p.Fields, c.field, name)
	}
	_, err := twilio.New().Open(account(map[string]string{"authToken": token}), carriers.Options{APIBase: "nowhere"})
	require.ErrorIs(t, err, omni.ErrInvalid)
}

func TestAPIKey(t *testing.T) {
	t.Parallel()
	var user, password string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ = r.BasicAuth()
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"sid":"SM1","status":"queued"}`))
	}))
	t.Cleanup(s.Close)
	a := account(map[string]string{"authToken": token})
	a.Config["apiKeySid"] = "SK00112233445566778899aabbccddeeff"
	a.Credentials["apiKeySecret"] = []omni.Secret{omni.NewSecret(keySecret)}
	c, err := twilio.New().Open(a, carriers.Options{APIBase: s.URL})
	require.NoError(t, err)
	result, err := c.Send(t.Context(), omni.ServiceMessage{
		ID: "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506", Payload: omni.TextPayload("x"),
		Publish: &omni.PublishChannel{ChannelType: omni.ChannelSMS, Sender: "+1", Target: omni.PublishIdentity{Address: "+2"}},
	})
	require.NoError(t, err)
	require.Equal(t, carriers.SendResult{CarrierMessageID: "SM1", Status: omni.StatusQueued}, result)
	require.Equal(t, "SK00112233445566778899aabbccddeeff", user)
	require.Equal(t, keySecret, password)
}

func TestSec_M1_FilesAreFetchedFromTheAPIAlone(t *testing.T) {
	t.Parallel()
	f := open(t, token).(carriers.MediaFetcher)
	require.Equal(t, []string{"api.twilio.com"}, f.MediaHosts())
	request := func(ctx context.Context, u string) (*http.Request, error) {
		return f.MediaRequest(ctx, omni.MediaReference{External: omni.ExternalRef{URL: u}})
	}
	r, err := request(t.Context(), "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1")
	require.NoError(t, err)
	user, password, ok := r.BasicAuth()
	require.True(t, ok)
	require.Equal(t, accountSID, user)
	require.Equal(t, token, password)
	for _, u := range []string{
		"", "http://api.twilio.com/x", "https://evil.test/x", "https://api.twilio.com.evil.test/x", "https://api.twilio.com:444/x",
		"https://api.twilio.com@evil.test/x", "https://u@api.twilio.com/x", "//api.twilio.com/x", "https://sub.api.twilio.com/x",
		"https://169.254.169.254/", "file:///etc/passwd", "https://[::1", "\x00",
	} {
		_, err := request(t.Context(), u)
		require.ErrorIs(t, err, omni.ErrForbidden, u)
	}
}

func BenchmarkParse(b *testing.B) {
	c := open(b, token)
	for _, f := range carriertest.Fixtures(b, "testdata/webhook") {
		if f.Name != "inbound-sms-basic" && f.Name != "inbound-whatsapp-button-reply" && f.Name != "signature-json-body-sha256" {
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
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	c := open(b, token, previous)
	for _, f := range carriertest.Fixtures(b, "testdata/webhook") {
		if f.Name != "inbound-sms-basic" && f.Name != "invalid-bad-signature" && f.Name != "signature-json-body-sha256" {
			continue
		}
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

package pubnub_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
	"omniservice/carriers/pubnub"
	"omniservice/omni"
)

const (
	publishKey   = "pub-c-00000000-aaaa-bbbb-cccc-000000000002"
	subscribeKey = "sub-c-00000000-aaaa-bbbb-cccc-000000000001"
	token        = "pnhook-6b0f2f1c"
	previous     = "pnhook-7c1f3f2d"
	access       = "pn-access-token-0123456789"
	secret       = "sec-c-0123456789abcdef"
	webhook      = "https://gateway.example.test/webhooks/pubnub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) { // not parallel: it measures memory
	carriertest.Run(t, harness(map[string]string{"webhookToken": token}, "testdata/webhook", "testdata/send", sign))
}

func TestConformanceOfFunctions(t *testing.T) { // not parallel: it measures memory
	h := harness(map[string]string{"webhookToken": token, "webhookScheme": "function"}, "testdata/function", "", signAsFunction)
	h.SignsBody = true
	carriertest.Run(t, h)
}

func harness(configured map[string]string, webhooks, sends string, sign func(map[string]string, *carriers.WebhookRequest)) carriertest.Harness {
	batch := request(`{"dataSchema":"x/messages.pubsub.publish?v=1","data":[
		{"message":"a","senderId":"user-1","channel":"support-1","timetoken":"17636301301200001"},
		{"message":"b","senderId":"user-2","channel":"support-2","timetoken":"17636301301200001"}]}`)
	return carriertest.Harness{
		Provider: pubnub.New(), Account: account, Secret: configured, Sign: sign, Webhooks: webhooks, Sends: sends, Batch: &batch,
		Unknown: request(`{"dataSchema":"x/` + strings.Repeat("poll", 100) + `","data":[{}]}`),
		Mutants: pubnub.Mutants,
		Secrets: []string{token, previous, access, secret},
	}
}

// account has the secret of a fixture configured, and a token for the API.
func account(configured map[string]string) carriers.Account {
	a := carriers.Account{
		ID: "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506", PublicID: "pubnub",
		Config: map[string]string{"publishKey": publishKey, "subscribeKey": subscribeKey},
		Credentials: map[string][]omni.Secret{
			"webhookToken": {omni.NewSecret(configured["webhookToken"])}, "authToken": {omni.NewSecret(access)},
		},
	}
	for _, name := range []string{"subscribeKey", "webhookHeader", "webhookScheme", "gatewayUserId"} {
		if v := configured[name]; v != "" {
			a.Config[name] = v
		}
	}
	if old := configured["previousToken"]; old != "" {
		a.Credentials["webhookToken"] = append(a.Credentials["webhookToken"], omni.NewSecret(old))
	}
	return a
}

// sign puts the token where Events & Actions was told to.
func sign(configured map[string]string, r *carriers.WebhookRequest) {
	switch header := configured["webhookHeader"]; header {
	case "", "Authorization":
		r.Header.Set("Authorization", "Bearer "+configured["webhookToken"])
	default:
		r.Header.Set(header, configured["webhookToken"])
	}
}

// signAsFunction does what the customer's Function does.
func signAsFunction(configured map[string]string, r *carriers.WebhookRequest) {
	at := strconv.FormatInt(r.Now.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(configured["webhookToken"]))
	mac.Write([]byte(at + "." + string(r.Body)))
	r.Header.Set("X-Omni-Timestamp", at)
	r.Header.Set("X-Omni-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
}

func request(body string) carriers.WebhookRequest {
	return carriers.WebhookRequest{Method: http.MethodPost, URL: webhook, Header: http.Header{}, Body: []byte(body), Now: carriertest.Now}
}

// open opens an account as change leaves it.
func open(tb testing.TB, o carriers.Options, change ...func(a carriers.Account)) *pubnub.Carrier {
	tb.Helper()
	a := account(map[string]string{"webhookToken": token})
	for _, f := range change {
		f(a)
	}
	c, err := pubnub.New().Open(a, o)
	require.NoError(tb, err)
	return c.(*pubnub.Carrier)
}

func withoutToken(a carriers.Account) { delete(a.Credentials, "authToken") }

func signing(a carriers.Account) {
	withoutToken(a)
	a.Credentials["secretKey"] = []omni.Secret{omni.NewSecret(secret)}
}

// Computed by hand; the routine was checked with a vector of an SDK's tests first.
func TestSec_SignatureOfRequests(t *testing.T) {
	t.Parallel()
	key := omni.NewSecret("sec-c-omni-demo")
	require.Equal(t, "v2.awNs_D_62AlZejaNefFv2d6xpXtWQjHwgzarlMyAlts", pubnub.Sign(key, "POST", "pub-c-omni",
		"/publish/pub-c-omni/sub-c-omni/0/support-1042/0",
		pubnub.Encode(map[string]string{"uuid": "omni-gateway", "store": "1", "timestamp": "1763630130"}), []byte(`{"type":"text","text":"Habari"}`)))
	query := pubnub.Encode(map[string]string{"uuid": "agent one~1", "timestamp": "1763630130"})
	require.Equal(t, "timestamp=1763630130&uuid=agent%20one%7E1", query)
	require.Equal(t, "v2.qLFM-WDU-NQxaCt7Xx_9ppQXI6TpIRN5J4wBSjggWlA",
		pubnub.Sign(key, "GET", "pub-c-omni", "/v1/message-actions/sub-c-omni/channel/support-1042", query, nil))
	require.Equal(t, "a=%2A%21%27%28%29%5B%5D%7E%C3%BC%2F-_.", pubnub.Encode(map[string]string{"a": "*!'()[]~ü/-_."}))
}

// A refusal is a 401 that says what has to be brought.
func TestSec_W1_RefusalsAre401(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"header", "function"} {
		c := open(t, carriers.Options{}, func(a carriers.Account) { a.Config["webhookScheme"] = scheme })
		var e *carriers.WebhookError
		require.ErrorAs(t, c.Verify(request(`{}`)), &e)
		require.Equal(t, http.StatusUnauthorized, e.Status)
		require.Equal(t, "Bearer", e.Authenticate)
	}
}

func TestSec_W5_ASignatureHasItsTime(t *testing.T) {
	t.Parallel()
	configured := map[string]string{"webhookToken": token, "webhookScheme": "function"}
	c, err := pubnub.New().Open(account(configured), carriers.Options{})
	require.NoError(t, err)
	r := request(`{}`)
	signAsFunction(configured, &r)
	made := r.Now
	for seconds, taken := range map[int]bool{0: true, 300: true, -300: true, 301: false, -301: false, 1 << 40: false} {
		r.Now = made.Add(0)
		later := r
		later.Header = r.Header.Clone()
		at := strconv.FormatInt(made.Unix()-int64(seconds), 10)
		mac := hmac.New(sha256.New, []byte(token))
		mac.Write([]byte(at + ".{}"))
		later.Header.Set("X-Omni-Timestamp", at)
		later.Header.Set("X-Omni-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
		require.Equal(t, taken, c.Verify(later) == nil, "%d", seconds)
	}
}

func TestTooManyEvents(t *testing.T) {
	t.Parallel()
	c := open(t, carriers.Options{})
	one := `{"message":"a","senderId":"u","channel":"c","timetoken":"%d"}`
	many := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(one, 17636301301200001+i))
		}
		return `{"dataSchema":"messages.pubsub.publish","data":[` + strings.Join(all, ",") + `]}`
	}
	p, err := c.Parse(request(many(carriers.MaxEvents)))
	require.NoError(t, err)
	require.Len(t, p.Events, carriers.MaxEvents)
	_, err = c.Parse(request(many(carriers.MaxEvents + 1)))
	require.ErrorIs(t, err, omni.ErrInvalid)
	_, err = c.Parse(request("[" + strings.Repeat(many(1)+",", carriers.MaxEvents) + many(1) + "]"))
	require.ErrorIs(t, err, omni.ErrInvalid)
	p, err = c.Parse(request(`{"dataSchema":"presence","data":[` + strings.Repeat("{},", 99) + "{}]}"))
	require.NoError(t, err)
	require.Len(t, p.Ignored, 1, "each kind is reported once: every report keeps the whole webhook")
}

func TestALongTextIsCutWithAMark(t *testing.T) {
	t.Parallel()
	c := open(t, carriers.Options{})
	for _, letter := range []string{"a", "ä", "😀"} {
		p, err := c.Parse(request(`{"dataSchema":"messages.pubsub.publish","data":[{"message":"` + strings.Repeat(letter, 70_000) +
			`","senderId":"u","channel":"c","timetoken":"17636301301200001"}]}`))
		require.NoError(t, err)
		require.Len(t, p.Events, 1)
		text := p.Events[0].Text
		require.LessOrEqual(t, len(text), omni.MaxText)
		require.Greater(t, len(text), omni.MaxText-5)
		require.Empty(t, strings.Trim(strings.TrimSuffix(text, " …"), letter))
		require.True(t, strings.HasSuffix(text, " …"))
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	for status, reason := range pubnub.Reasons {
		require.True(t, reason.Valid(), status)
	}
	for status, want := range map[int]omni.Reason{
		400: omni.ReasonMalformed, 401: omni.ReasonMisconfigured, 403: omni.ReasonMisconfigured, 404: omni.ReasonMisconfigured,
		413: omni.ReasonMalformed, 414: omni.ReasonMalformed, 429: omni.ReasonThrottled, 500: omni.ReasonUnreachable,
		502: omni.ReasonUnreachable, 503: omni.ReasonUnreachable, 504: omni.ReasonUnreachable,
	} {
		require.Equal(t, want, pubnub.ReasonOf(status, nil), status)
	}
	for status := range pubnub.Reasons {
		carriertest.Explained(t, pubnub.New(), strconv.Itoa(status))
	}
	for word, status := range pubnub.Statuses {
		require.True(t, status.Valid(), word)
	}
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	can, ok := open(t, carriers.Options{}).Capabilities(omni.ChannelPubNub)
	require.True(t, ok)
	require.Equal(t, 30<<10, can.MaxTextBytes)
	require.True(t, can.Reactions && can.Typing && can.ReadReceipts && can.ReplyTo && can.DeliveryStatus && can.ReadStatus)
	require.Zero(t, can.WindowHours)
	can, _ = open(t, carriers.Options{}, signing).Capabilities(omni.ChannelPubNub)
	require.Equal(t, 10<<10, can.MaxTextBytes, "a signed message goes out in the URL")
	_, ok = open(t, carriers.Options{}).Capabilities(omni.ChannelSMS)
	require.False(t, ok)
	require.Equal(t, carriers.Pace{PerSecond: 10, Burst: 10}, open(t, carriers.Options{}).Pace(omni.ChannelPubNub, "support-1"))
}

func TestConfig(t *testing.T) {
	t.Parallel()
	set := func(name, value string) func(a carriers.Account) {
		return func(a carriers.Account) { a.Config[name] = value }
	}
	for name, c := range map[string]struct {
		change func(a carriers.Account)
		field  string
	}{
		"whole":                 {func(carriers.Account) {}, ""},
		"blanks":                {set("publishKey", " demo\n"), ""},
		"path in a key":         {set("subscribeKey", "sub-c/../x"), "subscribeKey"},
		"publish key":           {set("publishKey", "pub c"), "publishKey"},
		"no token":              {func(a carriers.Account) { a.Credentials["webhookToken"] = []omni.Secret{{}} }, "webhookToken"},
		"long user":             {set("gatewayUserId", strings.Repeat("u", 93)), "gatewayUserId"},
		"user with a line":      {set("gatewayUserId", "a\nb"), "gatewayUserId"},
		"user with a blank":     {set("gatewayUserId", "desk bot"), ""},
		"scheme":                {set("webhookScheme", "none"), "webhookScheme"},
		"header":                {set("webhookHeader", "X Token"), "webhookHeader"},
		"hosts":                 {set("fileHosts", "cdn.example.test, files.example.test:8443,"), ""},
		"hosts with a path":     {set("fileHosts", "https://cdn.example.test/"), "fileHosts"},
		"pace":                  {set("messagesPerSecond", "25"), ""},
		"pace 0":                {set("messagesPerSecond", "0"), "messagesPerSecond"},
		"pace no number":        {set("messagesPerSecond", "fast"), "messagesPerSecond"},
		"hours":                 {set("messageHours", "-1"), "messageHours"},
		"message type":          {set("customMessageType", "ab"), "customMessageType"},
		"message type with dot": {set("customMessageType", "a.b.c"), "customMessageType"},
		"check channel":         {set("checkChannel", "a:b"), "checkChannel"},
	} {
		a := account(map[string]string{"webhookToken": token})
		c.change(a)
		_, err := pubnub.New().Open(a, carriers.Options{})
		if c.field == "" {
			require.NoError(t, err, name)
			continue
		}
		var p *omni.Problem
		require.ErrorAs(t, err, &p, name)
		require.ErrorIs(t, err, omni.ErrInvalid, name)
		require.Contains(t, p.Fields, c.field, name)
	}
	_, err := pubnub.New().Open(account(map[string]string{"webhookToken": token}), carriers.Options{APIBase: "nowhere"})
	require.ErrorIs(t, err, omni.ErrInvalid)
}

func TestSec_M1_FilesAreFetchedFromThisKeysetAndListedHostsAlone(t *testing.T) {
	t.Parallel()
	c := open(t, carriers.Options{}, func(a carriers.Account) { a.Config["fileHosts"] = "cdn.example.test" })
	require.Equal(t, []string{"ps.pndsn.com", "cdn.example.test"}, c.MediaHosts())
	get := func(c *pubnub.Carrier, u string) (*http.Request, error) {
		return c.MediaRequest(t.Context(), omni.MediaReference{External: omni.ExternalRef{URL: u}})
	}
	const file = "https://ps.pndsn.com/v1/files/" + subscribeKey + "/channels/support-1042/files/3ec0/risiti%201.pdf"
	r, err := get(c, file)
	require.NoError(t, err)
	require.Equal(t, file+"?auth="+access+"&uuid=omni-gateway", r.URL.String())
	r, err = get(open(t, carriers.Options{Now: clock}, signing), file)
	require.NoError(t, err)
	path := "/v1/files/" + subscribeKey + "/channels/support-1042/files/3ec0/risiti%201.pdf"
	query := "timestamp=1795435200&uuid=omni-gateway"
	require.Equal(t, pubnub.Sign(omni.NewSecret(secret), "GET", publishKey, path, query, nil), r.URL.Query().Get("signature"))
	r, err = get(c, "https://cdn.example.test/a.png?x=1")
	require.NoError(t, err)
	require.Equal(t, "https://cdn.example.test/a.png?x=1", r.URL.String(), "credentials are for PubNub alone")
	for _, u := range []string{
		"", "http://ps.pndsn.com" + path, "https://evil.test/x", "https://ps.pndsn.com:444" + path, "https://ps.pndsn.com@evil.test/x",
		"https://u@ps.pndsn.com" + path, "//ps.pndsn.com" + path, "http://cdn.example.test/a", "https://x.cdn.example.test/a",
		"https://ps.pndsn.com/publish/" + publishKey + "/" + subscribeKey + "/0/support-1042/0/%22x%22",
		"https://ps.pndsn.com/v1/files/" + subscribeKey + "/channels/../../../../publish/a/b/0",
		"https://ps.pndsn.com/v1/files/" + subscribeKey + "/channels/%2e%2e/%2e%2e/files/x",
		"https://ps.pndsn.com/v1/files/" + subscribeKey + "/channels/a/files/b%2f..%2f../c",
		"https://ps.pndsn.com/v1/files/sub-c-other/channels/support-1042/files/3ec0/a.pdf", "https://[::1", "\x00",
	} {
		_, err := get(c, u)
		require.ErrorIs(t, err, omni.ErrForbidden, u)
	}
}

func TestEveryFileOfAFixtureMayBeFetched(t *testing.T) {
	t.Parallel()
	c := open(t, carriers.Options{}, func(a carriers.Account) { a.Config["fileHosts"] = "cdn.example.test" })
	n := 0
	for _, f := range carriertest.Fixtures(t, "testdata/webhook") {
		if !f.Authentic() || f.Secret["webhookHeader"] != "Authorization" {
			continue
		}
		p, err := c.Parse(f.Webhook())
		if err != nil {
			continue
		}
		for _, e := range p.Events {
			for _, m := range e.Media {
				u, err := url.Parse(m.External.URL)
				require.NoError(t, err)
				if !slices.Contains(c.MediaHosts(), u.Host) || strings.Contains(u.EscapedPath(), "%2F") {
					continue // an id with a slash is nobody's
				}
				_, err = c.MediaRequest(t.Context(), m)
				require.NoError(t, err, f.Name)
				n++
			}
		}
	}
	require.Greater(t, n, 5)
}

func BenchmarkParse(b *testing.B) {
	c := open(b, carriers.Options{})
	for _, f := range carriertest.Fixtures(b, "testdata/webhook") {
		switch f.Name {
		case "text-plain-string-no-envelope", "batch-two-users-one-gateway-echo", "message-enveloped-v21", "reaction-created":
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
			b.ReportMetric(bytesPerByte(c, r), "B/body-byte")
		})
	}
}

// bytesPerByte is how much Parse allocates for each byte of a body.
func bytesPerByte(c carriers.Carrier, r carriers.WebhookRequest) float64 {
	const times = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range times {
		_, _ = c.Parse(r)
	}
	runtime.ReadMemStats(&after)
	return float64(after.TotalAlloc-before.TotalAlloc) / times / float64(len(r.Body))
}

func BenchmarkVerify(b *testing.B) {
	for _, scheme := range []string{"header", "function"} {
		b.Run(scheme, func(b *testing.B) {
			configured := map[string]string{"webhookToken": token, "webhookScheme": scheme, "previousToken": previous}
			c, err := pubnub.New().Open(account(configured), carriers.Options{})
			require.NoError(b, err)
			r := carriertest.Fixtures(b, "testdata/webhook")[0].Webhook()
			r.Now = carriertest.Now
			sign(configured, &r)
			signAsFunction(configured, &r)
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Verify(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package inteliquent_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
	"omniservice/carriers/inteliquent"
	"omniservice/omni"
)

const (
	key       = "a12b34567c89012def34g56789hi0j12"
	previous  = "b12b34567c89012def34g56789hi0j13"
	header    = "s3cr3t-token"
	oldHeader = "s3cr3t-token-of-old"
	outbound  = "outbound-key-0123456789"
	token     = "9a09df23-01f3-4e0f-adbc-2a783878a574"
	publicID  = "5f0c2d7be18d4f7a9b3c6d1e2f405162"
	messageID = "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506"
	webhook   = "https://gw.example.test/webhooks/inteliquent/" + publicID
)

var secret = map[string]string{"scheme": "digest", "apiKey": key}

func TestConformance(t *testing.T) { // not parallel: it measures memory
	carriertest.Run(t, carriertest.Harness{
		Provider: inteliquent.New(),
		Account:  account,
		Secret:   secret,
		Sign:     sign,
		Webhooks: "testdata/webhook",
		Sends:    "testdata/send",
		Unknown:  *request(`{"referenceId":"1","deliveryReceipt":true,"status":"` + strings.Repeat("teleported", 100) + `"}`),
		Mutants:  inteliquent.Mutants,
		Secrets:  []string{key, previous, header, oldHeader, outbound},
	})
}

func request(body string) *carriers.WebhookRequest {
	return &carriers.WebhookRequest{Method: http.MethodPost, URL: webhook, Header: http.Header{}, Body: []byte(body)}
}

// account has configured what a fixture's secret says, and what is needed besides.
func account(secret map[string]string) carriers.Account {
	a := carriers.Account{
		ID:          messageID,
		PublicID:    publicID,
		Config:      map[string]string{},
		Credentials: map[string][]omni.Secret{"outboundKey": {omni.NewSecret(outbound)}},
	}
	for _, name := range []string{"scheme", "headerName", "numbers"} {
		if secret[name] != "" {
			a.Config[name] = secret[name]
		}
	}
	for name, old := range map[string]string{"apiKey": "previousApiKey", "headerValue": "previousHeaderValue"} {
		for _, value := range []string{secret[name], secret[old]} {
			if value != "" {
				a.Credentials[name] = append(a.Credentials[name], omni.NewSecret(value))
			}
		}
	}
	return a
}

// sign does what the programs expect that run against Inteliquent, and for hmac what its description says.
func sign(secret map[string]string, r *carriers.WebhookRequest) {
	if secret["scheme"] == "header" {
		r.Header.Set(secret["headerName"], secret["headerValue"])
		return
	}
	id := r.Header.Get("messageID")
	if id == "" {
		id = token
	}
	r.Header.Set("messageID", id)
	if secret["scheme"] == "hmac" {
		mac := hmac.New(sha256.New, []byte(secret["apiKey"]))
		mac.Write([]byte(id))
		r.Header.Set("verificationToken", hex.EncodeToString(mac.Sum(nil)))
		return
	}
	sum := sha256.Sum256([]byte(secret["apiKey"] + id))
	r.Header.Set("verificationToken", hex.EncodeToString(sum[:]))
}

func open(tb testing.TB, secret map[string]string) carriers.Carrier {
	tb.Helper()
	c, err := inteliquent.New().Open(account(secret), carriers.Options{WebhookURL: webhook})
	require.NoError(tb, err)
	return c
}

func TestSec_W2_PublishedSignatures(t *testing.T) {
	t.Parallel()
	for _, known := range []struct{ token, digest, hmac string }{
		{
			"9a09df23-01f3-4e0f-adbc-2a783878a574", "91fe937cfcaaa77860289e55fb8b3025060552e087285b4b68724d7665b42e19",
			"0397d54ffe2af425b0d2b554b6be53e6948fd08ea19aeedc7f54cac2668c3be5",
		},
		{
			"00000000-0000-0000-0000-000000000001", "76c80e500e5cd6a8ab5ad3dadebb40ee9028abedf820eff00c23a60e994cfc5c",
			"a6b39a2c7e7057d75d1a588d6ffa1d0c6cce6a639cce67e15ff27b7190122c9e",
		},
	} {
		for _, given := range []struct {
			scheme, digest string
			valid          bool
		}{
			{"", known.digest, true},
			{"digest", known.digest, true},
			{"digest", known.hmac, false},
			{"hmac", known.hmac, true},
			{"hmac", known.digest, false},
			{"either", known.hmac, true},
			{"either", known.digest, true},
			{"either", strings.ToUpper(known.digest), false},
			{"either", known.digest[:63], false},
		} {
			r := request("{}")
			r.Header.Set("Messageid", known.token)
			r.Header.Set("VERIFICATIONTOKEN", given.digest)
			err := open(t, map[string]string{"scheme": given.scheme, "apiKey": "inbound-key-abc"}).Verify(*r)
			require.Equal(t, given.valid, err == nil, given)
			require.ErrorIs(t, open(t, map[string]string{"scheme": given.scheme, "apiKey": "inbound-key-abd"}).Verify(*r), omni.ErrUnauthenticated)
		}
	}
}

func TestSec_W11_BothSecretsAreTakenWhileOneReplacesTheOther(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"digest", "hmac", "either"} {
		c := open(t, map[string]string{"scheme": scheme, "apiKey": key, "previousApiKey": previous})
		for k, valid := range map[string]bool{key: true, previous: true, outbound: false} {
			r := request("{}")
			sign(map[string]string{"scheme": scheme, "apiKey": k}, r)
			require.Equal(t, valid, c.Verify(*r) == nil)
		}
	}
	c := open(t, map[string]string{"scheme": "header", "headerName": "X-Gateway-Token", "headerValue": header, "previousHeaderValue": oldHeader})
	for value, valid := range map[string]bool{header: true, oldHeader: true, outbound: false, "": false, header + " ": false} {
		r := request("{}")
		r.Header.Set("x-gateway-token", value)
		require.Equal(t, valid, c.Verify(*r) == nil, value)
	}
}

func TestPathAlone(t *testing.T) {
	t.Parallel()
	c := open(t, map[string]string{"scheme": "path"})
	for address, valid := range map[string]bool{webhook: true, webhook + "?a=b": true, webhook + "/": false, webhook[:len(webhook)-1]: false, "": false} {
		r := request("{}")
		r.URL = address
		require.Equal(t, valid, c.Verify(*r) == nil, address)
		for name, mutant := range inteliquent.Mutants(c) {
			require.NoError(t, mutant.Verify(*r), "nothing fails without: %s", name)
		}
	}
}

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

func TestRespond(t *testing.T) {
	t.Parallel()
	a := open(t, secret).Respond(carriers.Parsed{})
	require.Equal(t, "application/json", a.ContentType)
	require.JSONEq(t, `{"statusCode":"200","status":"success"}`, a.Body)
}

func TestGroupsWithSeveralNumbersOfOurs(t *testing.T) {
	t.Parallel()
	parse := func(numbers string) []omni.CarrierChannelEvent {
		c := open(t, map[string]string{"apiKey": key, "numbers": numbers})
		p, err := c.Parse(*request(`{"referenceId":"1","from":"14155550123","to":["14155550188","15005550007","15005550006","15005550007"],"text":"x"}`))
		require.NoError(t, err)
		return p.Events
	}
	all := []string{"+14155550188", "+15005550007", "+15005550006", "+15005550007"}
	for numbers, to := range map[string][]string{
		"":                             {"+14155550188"},
		"15005550006":                  {"+15005550006"},
		"+1 (500) 555-0006,5005550007": {"+15005550007", "+15005550006"},
		"+15005550099":                 {"+14155550188"},
	} {
		events := parse(numbers)
		require.Len(t, events, len(to), numbers)
		for i, e := range events {
			require.Equal(t, to[i], e.To, numbers)
			require.Equal(t, all, e.Recipients)
			require.Equal(t, omni.ChannelMMS, e.ChannelType)
		}
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	for code, reason := range inteliquent.Reasons {
		require.Len(t, code, 3)
		require.True(t, reason.Valid(), code)
	}
	carriertest.Explained(t, inteliquent.New(), slices.Collect(maps.Keys(inteliquent.Reasons))...)
	for word, status := range inteliquent.Statuses {
		require.True(t, status.Valid(), word)
		require.Equal(t, strings.ToLower(word), word)
	}
	require.False(t, inteliquent.Reasons["408"].Retryable())
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(a *carriers.Account)
		field  string
	}{
		"whole":           {func(*carriers.Account) {}, ""},
		"no outbound key": {func(a *carriers.Account) { delete(a.Credentials, "outboundKey") }, "outboundKey"},
		"no inbound key":  {func(a *carriers.Account) { a.Credentials["apiKey"] = []omni.Secret{{}} }, "apiKey"},
		"scheme":          {func(a *carriers.Account) { a.Config["scheme"] = "none" }, "scheme"},
		"no header": {func(a *carriers.Account) {
			a.Config["scheme"] = "header"
			a.Credentials["headerValue"] = []omni.Secret{omni.NewSecret(header)}
		}, "headerName"},
		"no header's name": {func(a *carriers.Account) {
			a.Config["scheme"], a.Config["headerName"] = "header", "X Token"
			a.Credentials["headerValue"] = []omni.Secret{omni.NewSecret(header)}
		}, "headerName"},
		"no header's value": {func(a *carriers.Account) { a.Config["scheme"], a.Config["headerName"] = "header", "X-Token" }, "headerValue"},
		"path":              {func(a *carriers.Account) { a.Config["scheme"] = "path" }, ""},
		"short path":        {func(a *carriers.Account) { a.Config["scheme"], a.PublicID = "path", "short" }, "scheme"},
		"numbers":           {func(a *carriers.Account) { a.Config["numbers"] = "15005550006, +1 500 555 0007\n5005550008" }, ""},
		"numbers abroad":    {func(a *carriers.Account) { a.Config["numbers"] = "+4915112345678" }, "numbers"},
		"no numbers":        {func(a *carriers.Account) { a.Config["numbers"] = "all" }, "numbers"},
		"receipts":          {func(a *carriers.Account) { a.Config["deliveryReceipts"] = "Yes" }, ""},
		"no word":           {func(a *carriers.Account) { a.Config["deliveryReceipts"] = "maybe" }, "deliveryReceipts"},
		"pace":              {func(a *carriers.Account) { a.Config["messagesPerSecond"] = "fast" }, "messagesPerSecond"},
	} {
		a := account(secret)
		c.change(&a)
		_, err := inteliquent.New().Open(a, carriers.Options{})
		if c.field == "" {
			require.NoError(t, err, name)
			continue
		}
		var p *omni.Problem
		require.ErrorAs(t, err, &p, name)
		require.ErrorIs(t, err, omni.ErrInvalid, name)
		require.Contains(t, p.Fields, c.field, name)
	}
	_, err := inteliquent.New().Open(account(secret), carriers.Options{APIBase: "nowhere"})
	require.ErrorIs(t, err, omni.ErrInvalid)
}

func TestWhatTheAccountCanDo(t *testing.T) {
	t.Parallel()
	a := account(secret)
	for receipts, told := range map[string]bool{"": false, "no": false, "yes": true} {
		a.Config["deliveryReceipts"] = receipts
		a.Config["messagesPerSecond"] = "0.5"
		c, err := inteliquent.New().Open(a, carriers.Options{})
		require.NoError(t, err)
		can, ok := c.Capabilities(omni.ChannelSMS)
		require.True(t, ok)
		require.Equal(t, told, can.DeliveryStatus, "without receipts a message stays sent")
		require.Equal(t, carriers.Pace{PerSecond: 0.5}, c.(carriers.Paced).Pace(omni.ChannelSMS, "+15005550006"))
		require.Zero(t, c.(carriers.Paced).Pace(omni.ChannelWhatsApp, "+15005550006"))
	}
	_, ok := open(t, secret).(carriers.MediaFetcher)
	require.False(t, ok, "files are fetched by a plain GET from any public host")
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		scheme string
		status int
		answer string
		ok     []bool
		words  string
	}{
		"all":             {"", 200, `{"success":true,"authConfig":{"authorizations":[{"authId":"1","webhookUrl":"` + webhook + `","apiKey":"` + key + `"}]}}`, []bool{true, true}, "posts to this"},
		"keys not shown":  {"", 200, `{"authConfig":{"authorizations":[{"webhookUrl":"` + webhook + `"}]}}`, []bool{true, true}, "posts to this"},
		"keys starred":    {"", 200, `{"authConfig":{"authorizations":[{"webhookUrl":"` + webhook + `","apiKey":"a12b****"}]}}`, []bool{true, true}, "posts to this"},
		"some numbers":    {"", 200, `{"authConfig":{"authorizations":[{"webhookUrl":"` + webhook + `","tn":15005550006}]}}`, []bool{true, true}, "some numbers"},
		"another key":     {"", 200, `{"authConfig":{"authorizations":[{"webhookUrl":"` + webhook + `","apiKey":"x"}]}}`, []bool{true, false}, "other credentials"},
		"another address": {"", 200, `{"authConfig":{"authorizations":[{"webhookUrl":"https://x.test/"}]}}`, []bool{true, false}, "none with this"},
		"none":            {"", 200, `{"success":true}`, []bool{true, false}, "dropped"},
		"outbound keys":   {"", 200, `{"authConfig":{"authorizations":[{"authId":"1","inboundAuth":false,"webhookUrl":null,"tn":null,"apiKey":"x"}]}}`, []bool{true, false}, "dropped"},
		"header":          {"header", 200, `{"authConfig":{"authorizations":[{"webhookUrl":"` + webhook + `","headerName":"x-gateway-token","headerValue":"` + header + `"}]}}`, []bool{true, true}, "posts to this"},
		"another header":  {"header", 200, `{"authConfig":{"authorizations":[{"webhookUrl":"` + webhook + `","headerName":"X-Other"}]}}`, []bool{true, false}, "other credentials"},
		"path":            {"path", 200, `{"authConfig":{"authorizations":[{"webhookUrl":"` + webhook + `"}]}}`, []bool{true, true}, "posts to this"},
		"refused":         {"", 200, `{"success":false,"reason":"x"}`, []bool{false}, "outbound API key"},
		"wrong key":       {"", 401, ``, []bool{false}, "outbound API key"},
		"fault":           {"", 500, ``, []bool{false}, "500"},
		"408":             {"", 408, `{"statusCode":"408","status":"x"}`, []bool{false}, "408"},
		"not JSON":        {"", 200, `<html>`, []bool{false}, "cannot be read"},
	} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if r.Method != http.MethodPost || r.URL.Path != "/msgbroker/rest/selectAuthorization" || string(body) != "{}" || r.Header.Get("Authorization") != "Bearer "+outbound {
				w.WriteHeader(http.StatusTeapot)
				return
			}
			w.WriteHeader(c.status)
			_, _ = w.Write([]byte(c.answer))
		}))
		t.Cleanup(s.Close)
		a := account(map[string]string{"scheme": c.scheme, "apiKey": key, "headerName": "X-Gateway-Token", "headerValue": header})
		carrier, err := inteliquent.New().Open(a, carriers.Options{APIBase: s.URL, HTTP: s.Client(), WebhookURL: webhook})
		require.NoError(t, err, name)
		all := carrier.(carriers.Checker).Check(t.Context())
		require.Len(t, all, len(c.ok), name)
		for i, check := range all {
			require.Equal(t, c.ok[i], check.OK, "%s: %s", name, check.Detail)
			for _, secret := range []string{key, header, outbound} {
				require.NotContains(t, check.Detail, secret)
			}
		}
		require.Contains(t, all[len(all)-1].Detail, c.words, name)
	}
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	c, err := inteliquent.New().Open(account(secret), carriers.Options{APIBase: s.URL})
	require.NoError(t, err)
	all := c.(carriers.Checker).Check(t.Context())
	require.Len(t, all, 1)
	require.False(t, all[0].OK)
}

func BenchmarkParse(b *testing.B) {
	c := open(b, secret)
	for _, f := range carriertest.Fixtures(b, "testdata/webhook") {
		switch f.Name {
		case "inbound-sms-digest-auth", "inbound-mms-group-with-smil", "status-delivery-receipt-no-status":
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
	for _, scheme := range []string{"digest", "hmac"} {
		b.Run(scheme, func(b *testing.B) {
			c := open(b, map[string]string{"scheme": scheme, "apiKey": key})
			r := request("{}")
			sign(map[string]string{"scheme": scheme, "apiKey": key}, r)
			b.ReportAllocs()
			for b.Loop() {
				if err := c.Verify(*r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package whatsapp_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
	"omniservice/carriers/whatsapp"
	"omniservice/omni"
)

const (
	secret   = "7c1f0e5b9a3d4826bb10c6e2f4a98d37"
	previous = "0ddba11c0ffee5ec0de1234567890abc"
	token    = "karibu-omni-2026"
	access   = "EAAGcomposedAccessToken0123456789"
	webhook  = "https://gateway.example.test/webhooks/whatsapp"
	ours     = "+254700100200"
	oursID   = "310000000000017"
	messID   = "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506"
)

func defaults() map[string]string {
	return map[string]string{"appSecret": secret, "verifyToken": token}
}

func TestConformance(t *testing.T) { // not parallel: it measures memory
	carriertest.Run(t, carriertest.Harness{
		Provider:  whatsapp.New(),
		Account:   account,
		Secret:    defaults(),
		Sign:      sign,
		SignsBody: true,
		Webhooks:  "testdata/webhook",
		Sends:     "testdata/send",
		Batch: &carriers.WebhookRequest{Method: http.MethodPost, URL: webhook, Header: http.Header{}, Body: []byte(value(`"messages":[` +
			`{"id":"wamid.1","from":"254711222333","timestamp":1,"type":"text","text":{"body":"one"}},` +
			`{"id":"wamid.2","from":"254711222333","timestamp":2,"type":"text","text":{"body":"two"}}]`))},
		Unknown: carriers.WebhookRequest{
			Method: http.MethodPost, URL: webhook, Header: http.Header{},
			Body: []byte(`{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"` + strings.Repeat("x", 200) + `","value":{"a":1}}]}]}`),
		},
		Mutants: whatsapp.Mutants,
		Secrets: []string{secret, previous, token, access},
	})
}

func account(secrets map[string]string) carriers.Account {
	a := carriers.Account{
		ID:       messID,
		PublicID: "inbound",
		Config:   map[string]string{"phoneNumberIds": ours + "=" + oursID},
		Credentials: map[string][]omni.Secret{
			"appSecret":   {omni.NewSecret(secrets["appSecret"])},
			"verifyToken": {omni.NewSecret(secrets["verifyToken"])},
			"accessToken": {omni.NewSecret(access)},
		},
	}
	for _, name := range []string{"appSecret", "verifyToken"} {
		if old := secrets["previous"+strings.ToUpper(name[:1])+name[1:]]; old != "" {
			a.Credentials[name] = append(a.Credentials[name], omni.NewSecret(old))
		}
	}
	return a
}

// sign does what "Validating payloads" says.
func sign(secrets map[string]string, r *carriers.WebhookRequest) {
	mac := hmac.New(sha256.New, []byte(secrets["appSecret"]))
	mac.Write(r.Body)
	r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
}

// value is a webhook of one change about our number.
func value(members string) string {
	return `{"object":"whatsapp_business_account","entry":[{"id":"220000000000031","changes":[{"field":"messages","value":{` +
		`"messaging_product":"whatsapp","metadata":{"display_phone_number":"254700100200","phone_number_id":"310000000000017"},` + members + `}}]}]}`
}

func open(tb testing.TB, change ...func(a carriers.Account)) *whatsapp.Carrier {
	tb.Helper()
	return openWith(tb, carriers.Options{}, change...)
}

func openWith(tb testing.TB, o carriers.Options, change ...func(a carriers.Account)) *whatsapp.Carrier {
	tb.Helper()
	a := account(defaults())
	for _, f := range change {
		f(a)
	}
	c, err := whatsapp.New().Open(a, o)
	require.NoError(tb, err)
	return c.(*whatsapp.Carrier)
}

func parse(tb testing.TB, c carriers.Carrier, body string) carriers.Parsed {
	tb.Helper()
	p, err := c.Parse(carriers.WebhookRequest{Method: http.MethodPost, URL: webhook, Header: http.Header{}, Body: []byte(body)})
	require.NoError(tb, err)
	for _, e := range p.Events {
		require.NoError(tb, e.Validate())
	}
	return p
}

// The bytes of the second and the third say the same, and have other signatures.
func TestSec_W2_PublishedSignatures(t *testing.T) {
	t.Parallel()
	const key = "meta-app-secret-001"
	c := open(t, func(a carriers.Account) { a.Credentials["appSecret"] = []omni.Secret{omni.NewSecret(key)} })
	rotating := open(t, func(a carriers.Account) {
		a.Credentials["appSecret"] = []omni.Secret{omni.NewSecret(previous), omni.NewSecret(key)}
	})
	for body, signature := range map[string]string{
		`{"object":"whatsapp_business_account","entry":[]}`:                                                "e30e718f93345af5bf0b0301c60e43e1d16e47fda2381de223cffbd5e5df2401",
		`{"object":"whatsapp_business_account","entry":[{"id":"1","note":"caf\u00e9 \ud83d\ude4f a\/b"}]}`: "2dafae9c55f83c5df831cce6027572f2b292372b8fa97c22d898d3fbbc112421",
		`{"object":"whatsapp_business_account","entry":[{"id":"1","note":"café 🙏 a/b"}]}`:                  "13c5fb4a5911c0fc3cb4f07d6f4ae121bd48225dc65bb5804220c09356cb2ac7",
	} {
		r := carriers.WebhookRequest{Method: http.MethodPost, URL: webhook, Header: http.Header{}, Body: []byte(body)}
		r.Header.Set("X-Hub-Signature-256", "sha256="+signature)
		require.NoError(t, c.Verify(r), body)
		require.NoError(t, rotating.Verify(r), "a replaced secret is valid until its end")
		require.ErrorIs(t, open(t).Verify(r), omni.ErrUnauthenticated)
		for _, wrong := range []string{
			"", signature, "sha1=" + signature, "SHA256=" + signature, "sha256=" + signature[1:], "sha256=" + signature + "00", "sha256= " + signature[1:],
			"sha256=" + strings.Repeat("g", 64), "sha256=" + signature + ",sha256=" + signature,
		} {
			r.Header.Set("X-Hub-Signature-256", wrong)
			err := c.Verify(r)
			require.ErrorIs(t, err, omni.ErrUnauthenticated, wrong)
			var e *carriers.WebhookError
			require.ErrorAs(t, err, &e)
			require.Equal(t, http.StatusForbidden, e.Status)
		}
	}
}

func TestSec_W10_ChallengesForTheRightTokenAlone(t *testing.T) {
	t.Parallel()
	c := open(t, func(a carriers.Account) {
		a.Credentials["verifyToken"] = []omni.Secret{omni.NewSecret("new & improved"), omni.NewSecret(token)}
	})
	ask := func(query string) (carriers.HTTPResponse, bool, error) {
		return c.Challenge(carriers.WebhookRequest{Method: http.MethodGet, URL: webhook + query, Header: http.Header{}})
	}
	for query, want := range map[string]string{
		"?hub.mode=subscribe&hub.verify_token=" + token + "&hub.challenge=0012":               "0012",
		"?hub.challenge=a%20b%2Bc+d&hub.verify_token=new+%26+improved&hub.mode=subscribe":     "a b+c d",
		"?hub.challenge=%22%C3%A9&x=1&hub.verify_token=karibu-omni-2026&hub.mode=subscribe#x": "\"é",
	} {
		answer, ok, err := ask(query)
		require.NoError(t, err, query)
		require.True(t, ok)
		require.Equal(t, carriers.HTTPResponse{
			Status: http.StatusOK, ContentType: "text/plain", Body: want, Metric: carriers.ReceivedAndForwarded, MessageType: carriers.TypeUnknown,
		}, answer)
	}
	for query, status := range map[string]int{
		"": http.StatusForbidden,
		"?hub.verify_token=" + token + "&hub.challenge=1":                                                  http.StatusForbidden,
		"?hub.mode=Subscribe&hub.verify_token=" + token + "&hub.challenge=1":                               http.StatusForbidden,
		"?hub.mode=subscribe&hub.verify_token=&hub.challenge=1":                                            http.StatusForbidden,
		"?hub.mode=subscribe&hub.verify_token=karibu-omni-202&hub.challenge=1":                             http.StatusForbidden,
		"?hub.mode=subscribe&hub.verify_token=KARIBU-OMNI-2026&hub.challenge=1":                            http.StatusForbidden,
		"?hub.mode=subscribe&hub.verify_token=" + token:                                                    http.StatusBadRequest,
		"?hub.mode=subscribe&hub.verify_token=" + token + "&hub.challenge=" + strings.Repeat("1", 1025):    http.StatusBadRequest,
		"?hub.mode=subscribe&hub.verify_token=x&hub.challenge=":                                            http.StatusForbidden,
		"?hub.mode=%zz&hub.verify_token=" + token + "&hub.challenge=1":                                     http.StatusForbidden,
		"?hub.mode=subscribe&hub.verify_token=wrong&hub.verify_token=" + token + "&hub.challenge=1":        http.StatusForbidden,
		"?hub.mode=subscribe;hub.verify_token=" + token + ";hub.challenge=1":                               http.StatusForbidden,
		"?hub.mode=subscribe&hub.verify_token=" + token + "%00&hub.challenge=1":                            http.StatusForbidden,
		"?hub.mode=subscribe&hub.challenge=1&hub_verify_token=" + token:                                    http.StatusForbidden,
		"/x?hub.mode=unsubscribe&hub.verify_token=" + url.QueryEscape("new & improved") + "&hub.challenge": http.StatusForbidden,
	} {
		answer, ok, err := ask(query)
		require.True(t, ok, query)
		require.Zero(t, answer, query)
		var e *carriers.WebhookError
		require.ErrorAs(t, err, &e, query)
		if e.Status == 0 {
			e.Status = http.StatusBadRequest
		}
		require.Equal(t, status, e.Status, query)
		require.NotContains(t, err.Error(), token)
	}
	_, ok, err := c.Challenge(carriers.WebhookRequest{Method: http.MethodPost, URL: webhook + "?hub.mode=subscribe"})
	require.NoError(t, err)
	require.False(t, ok, "a webhook")
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(a carriers.Account)
		field  string
	}{
		"whole": {func(carriers.Account) {}, ""},
		"everything": {func(a carriers.Account) {
			a.Config["wabaId"], a.Config["appId"], a.Config["apiVersion"] = " 22 ", "33", "v25.0"
		}, ""},
		"rates":               {func(a carriers.Account) { a.Config["messagesPerSecond"] = "20" }, ""},
		"proof":               {func(a carriers.Account) { a.Config["appSecretProof"] = "Yes" }, ""},
		"numbers":             {func(a carriers.Account) { a.Config["phoneNumberIds"] = "+254 700-100 200 = 1 , 15550001111=2," }, ""},
		"account is no digit": {func(a carriers.Account) { a.Config["wabaId"] = "22/../33" }, "wabaId"},
		"app is no digit":     {func(a carriers.Account) { a.Config["appId"] = "x" }, "appId"},
		"version":             {func(a carriers.Account) { a.Config["apiVersion"] = "26.0" }, "apiVersion"},
		"version with path":   {func(a carriers.Account) { a.Config["apiVersion"] = "v2/../1" }, "apiVersion"},
		"rate of nothing":     {func(a carriers.Account) { a.Config["messagesPerSecond"] = "0" }, "messagesPerSecond"},
		"rate of a word":      {func(a carriers.Account) { a.Config["messagesPerSecond"] = "fast" }, "messagesPerSecond"},
		"proof of a word":     {func(a carriers.Account) { a.Config["appSecretProof"] = "maybe" }, "appSecretProof"},
		"number without id":   {func(a carriers.Account) { a.Config["phoneNumberIds"] = "+254700100200" }, "phoneNumberIds"},
		"id of no number":     {func(a carriers.Account) { a.Config["phoneNumberIds"] = "abc=1" }, "phoneNumberIds"},
		"id with a path":      {func(a carriers.Account) { a.Config["phoneNumberIds"] = "+254700100200=1/2" }, "phoneNumberIds"},
		"empty secret":        {func(a carriers.Account) { a.Credentials["appSecret"] = []omni.Secret{{}} }, "appSecret"},
		"empty verify token":  {func(a carriers.Account) { a.Credentials["verifyToken"] = []omni.Secret{{}} }, "verifyToken"},
		"empty access token":  {func(a carriers.Account) { a.Credentials["accessToken"] = nil }, "accessToken"},
	} {
		a := account(defaults())
		c.change(a)
		_, err := whatsapp.New().Open(a, carriers.Options{})
		if c.field == "" {
			require.NoError(t, err, name)
			continue
		}
		var p *omni.Problem
		require.ErrorAs(t, err, &p, name)
		require.ErrorIs(t, err, omni.ErrInvalid, name)
		require.Contains(t, p.Fields, c.field, name)
	}
	_, err := whatsapp.New().Open(account(defaults()), carriers.Options{APIBase: "nowhere"})
	require.ErrorIs(t, err, omni.ErrInvalid)
}

func TestAnotherAccountsEntriesAreLeftOut(t *testing.T) {
	t.Parallel()
	c := open(t, func(a carriers.Account) { a.Config["wabaId"] = "220000000000031" })
	for _, f := range carriertest.Fixtures(t, "testdata/webhook") {
		if f.Name != "batch-two-entries-three-messages-two-statuses" {
			continue
		}
		p := parse(t, c, f.Request.Body)
		require.Len(t, p.Events, 2)
		require.Equal(t, []carriers.Ignored{{Name: carriers.UnknownEvent, Value: "220000000000032"}}, p.Ignored)
		return
	}
	t.Fatal("no such fixture")
}

// A body of brackets must not become thousands of records before it is known that they are empty.
func TestSec_W8_HostileBodies(t *testing.T) { // not parallel: it measures memory
	c := open(t)
	fill := func(before, unit, after string) string {
		const n = 256 << 10
		return before + strings.Repeat(unit, (n-len(before)-len(after))/len(unit)) + after
	}
	const top = `{"object":"whatsapp_business_account","entry":[`
	for name, body := range map[string]string{
		"entries":          fill(top, "{},", "{}]}"),
		"entries of 0":     fill(top, "0,", "0]}"),
		"changes":          fill(top+`{"changes":[`, "{},", "{}]}]}"),
		"changes each":     fill(top, `{"changes":[{}]},`, "{}]}"),
		"messages":         value(fill(`"messages":[`, "{},", "{}]")),
		"statuses":         value(fill(`"statuses":[`, "{},", "{}]")),
		"errors":           value(fill(`"errors":[`, "{},", "{}]")),
		"preferences":      value(fill(`"user_preferences":[`, "{},", "{}]")),
		"contacts":         value(fill(`"messages":[{"id":"1","from":"2"}],"contacts":[`, "{},", "{}]")),
		"contacts for all": value(`"messages":[` + many(900, `{"id":"%d","from":"2"},`) + fill(`{}],"contacts":[`, "{},", "{}]")),
		"contacts of each": fill(top, `{"changes":[{"field":"messages","value":{"messages":[{"id":"1","from":"2"}],"metadata":{"display_phone_number":"1"},"contacts":[{},{},{},{},{},{}]}}]},`, "{}]}"),
		"cards":            value(fill(`"messages":[{"id":"1","from":"2","type":"contacts","contacts":[`, "{},", "{}]}]")),
		"phones":           value(fill(`"messages":[{"id":"1","from":"2","type":"contacts","contacts":[{"phones":[`, `{"phone":"1"},`, "{}]}]}]")),
		"message errors":   value(fill(`"messages":[{"id":"1","from":"2","errors":[`, "{},", "{}]}]")),
		"order":            value(fill(`"messages":[{"id":"1","from":"2","type":"order","order":{"product_items":[`, "{},", "{}]}}]")),
		"form":             value(fill(`"messages":[{"id":"1","from":"2","type":"interactive","interactive":{"nfm_reply":{"response_json":"[`, "[],", `[]]"}}}]`)),
		"account":          fill(`{"object":"whatsapp_business_account","entry":[{"changes":[{"field":"account_update","value":{`, `"a":1,`, `"b":1}}]}]}`),
	} {
		t.Run(name, func(t *testing.T) {
			require.True(t, json.Valid([]byte(body)))
			r := carriers.WebhookRequest{Method: http.MethodPost, URL: webhook, Header: http.Header{}, Body: []byte(body)}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, _ = c.Parse(r)
			runtime.ReadMemStats(&after)
			require.Less(t, int(after.TotalAlloc-before.TotalAlloc), 10*len(body)+1<<20)
		})
	}
}

func many(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

func TestSameMessagesOnce(t *testing.T) {
	t.Parallel()
	one := `{"id":"wamid.1","from":"254711222333","type":"text","text":{"body":"x"}}`
	read := `{"id":"wamid.9","status":"read","recipient_id":"254711222333"}`
	heard := strings.Replace(read, "read", "played", 1)
	sent := strings.Replace(read, "read", "sent", 1)
	p := parse(t, open(t), value(`"messages":[`+one+`,`+one+`],"statuses":[`+read+`,`+heard+`,`+sent+`,`+read+`],"message_echoes":[`+one[:len(one)-1]+`,"to":"254711222333"}]`))
	require.Len(t, p.Events, 3)
	require.Empty(t, p.Ignored)

	once := strings.TrimSuffix(value(`"messages":[`+one+`]`), "]}")
	_, entry, _ := strings.Cut(once, `"entry":[`)
	p = parse(t, open(t), once+","+entry+","+entry+"]}")
	require.Len(t, p.Events, 1, "wherever it stands again")
}

func TestTooMuchInOneWebhook(t *testing.T) {
	t.Parallel()
	c := open(t)
	body := func(n int) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(`{"id":"wamid.` + hex.EncodeToString([]byte{byte(i >> 8), byte(i)}) + `","status":"sent"}`)
		}
		return value(`"statuses":[` + b.String() + `]`)
	}
	require.Len(t, parse(t, c, body(carriers.MaxEvents)).Events, carriers.MaxEvents)
	_, err := c.Parse(carriers.WebhookRequest{Body: []byte(body(carriers.MaxEvents + 1))})
	require.ErrorIs(t, err, omni.ErrInvalid)
}

func TestTables(t *testing.T) {
	t.Parallel()
	reasons := map[string][]omni.Reason{
		"R": {omni.ReasonThrottled, omni.ReasonUnreachable},
		"P": {omni.ReasonRejected, omni.ReasonMalformed},
		"L": {omni.ReasonRejected, omni.ReasonOptedOut, omni.ReasonWindowClosed},
		"C": {omni.ReasonMisconfigured},
	}
	for _, code := range whatsapp.ErrorCodes {
		require.True(t, code.Valid())
		require.Contains(t, reasons[code.Class()], omni.Reason(code.Reason()), code)
		meaning, advice, ok := whatsapp.New().Explain(string(code))
		require.True(t, ok, code)
		for _, words := range []string{meaning, advice} {
			require.Regexp(t, `^[A-Z].*\.$`, words, code)
		}
	}
	for classes, codes := range map[string]string{
		"C": "0 3 10 33 190 200 250 299 368 130403 131005 131031 131037 131042 131044 131045 131055 131063 133005 133006 133010 134011",
		"R": "1 2 4 80007 130429 131000 131014 131016 131052 131053 131056 131057 132069 133000 133004 133015 139102 139103",
		"L": "130497 131047 131048 131049 131050 131064 132007 132015 132016 132068 133008 133009 133016 137000",
		"P": "100 130472 131008 131009 131021 131026 131030 131051 131060 131062 132000 132001 132005 132008 132012 135000 139100 139101",
	} {
		for code := range strings.FieldsSeq(codes) {
			require.Equal(t, classes, whatsapp.ErrorCode(code).Class(), code)
		}
	}
	for code, reason := range map[whatsapp.ErrorCode]omni.Reason{
		whatsapp.CodeReengagement: omni.ReasonWindowClosed, whatsapp.CodeMarketingStopped: omni.ReasonOptedOut,
		whatsapp.CodePairRate: omni.ReasonThrottled, whatsapp.CodeExperiment: omni.ReasonRejected,
	} {
		require.EqualValues(t, reason, code.Reason())
	}
	_, _, ok := whatsapp.New().Explain("42")
	require.False(t, ok)
	require.False(t, whatsapp.ErrorCode("250").Valid(), "one of many of its kind")
	for word, status := range whatsapp.Statuses {
		require.True(t, status.Valid(), word)
	}
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	c := open(t)
	for _, family := range omni.ChannelTypes {
		caps, ok := c.Capabilities(family)
		require.Equal(t, family == omni.ChannelWhatsApp, ok)
		if ok {
			require.Equal(t, 4096, caps.MaxTextLength)
			require.Equal(t, 24, caps.WindowHours)
			require.Equal(t, omni.InteractiveTypes, caps.Interactive)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	c := open(b)
	run := func(name string, body []byte) {
		b.Run(name, func(b *testing.B) {
			r := carriers.WebhookRequest{Method: http.MethodPost, URL: webhook, Header: http.Header{}, Body: body}
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for b.Loop() {
				if _, err := c.Parse(r); err != nil {
					b.Fatal(err)
				}
			}
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/float64(len(body)), "allocated/byte")
		})
	}
	for _, f := range carriertest.Fixtures(b, "testdata/webhook") {
		switch f.Name {
		case "text-plain", "text-unicode-emoji-escaped", "status-sent-with-conversation-cbp", "batch-two-entries-three-messages-two-statuses":
			run(f.Name, []byte(f.Request.Body))
		}
	}
	var all []string
	for i := range 100 {
		id := hex.EncodeToString([]byte{byte(i)})
		all = append(all, `{"from":"254711222333","id":"wamid.T01OSS1URVhULTAwMDE`+id+`=","timestamp":"1763800001","type":"text","text":{"body":"Is the Kisumu branch open on Sunday?"}}`)
	}
	run("100 messages", []byte(value(`"messages":[`+strings.Join(all, ",")+`],"contacts":[{"profile":{"name":"Amina Otieno"},"wa_id":"254711222333"}]`)))
}

func BenchmarkVerify(b *testing.B) {
	c := open(b)
	for _, f := range carriertest.Fixtures(b, "testdata/webhook") {
		if f.Name != "text-plain" && f.Name != "signature-wrong-secret" {
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

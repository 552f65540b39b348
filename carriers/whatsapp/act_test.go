package whatsapp_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/whatsapp"
	"omniservice/omni"
)

// meta is a Graph API that has one answer for each path.
type meta struct {
	url string

	mu      sync.Mutex
	answers map[string]string // "GET /v26.0/1" -> "200 {…}"
	calls   []call
}

type call struct {
	what, query, token, kind string
	body                     []byte
}

func newMeta(t *testing.T, answers map[string]string) *meta {
	t.Helper()
	m := &meta{answers: answers}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		what := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v26.0")
		m.calls = append(m.calls, call{what, r.URL.RawQuery, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), body})
		answer, ok := m.answers[what]
		if !ok {
			answer = `400 {"error":{"code":100,"message":"no such path"}}`
		}
		status, text, _ := strings.Cut(answer, " ")
		code := 0
		_, _ = fmt.Sscan(status, &code)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, strings.ReplaceAll(text, "{host}", r.Host))
	}))
	t.Cleanup(s.Close)
	m.url = s.URL
	return m
}

// take returns the calls since it was called last.
func (m *meta) take() []call {
	m.mu.Lock()
	defer m.mu.Unlock()
	calls := m.calls
	m.calls = nil
	return calls
}

func (m *meta) set(what, answer string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answers[what] = answer
}

func waba(a carriers.Account) { a.Config["wabaId"] = "220000000000031" }

func noNumbers(a carriers.Account) { delete(a.Config, "phoneNumberIds") }

const sending = "POST /" + oursID + "/messages"

func toAmina() omni.PublishChannel {
	return omni.PublishChannel{ChannelType: omni.ChannelWhatsApp, Sender: ours, Target: omni.PublishIdentity{Address: "+254711222333"}}
}

func outbound(p omni.MessagePayload) omni.ServiceMessage {
	to := toAmina()
	return omni.ServiceMessage{ID: messID, Payload: p, Publish: &to}
}

func reasonOf(t *testing.T, err error) *carriers.SendError {
	t.Helper()
	var e *carriers.SendError
	require.ErrorAs(t, err, &e)
	return e
}

func TestReactReadAndType(t *testing.T) {
	t.Parallel()
	m := newMeta(t, map[string]string{sending: `200 {"success":true}`})
	c := openWith(t, carriers.Options{APIBase: m.url})
	p := toAmina()
	for body, do := range map[string]func(context.Context, omni.PublishChannel, string) error{
		`{"messaging_product":"whatsapp","recipient_type":"individual","to":"254711222333","type":"reaction","reaction":{"message_id":"wamid.IN","emoji":"👍"}}`: func(ctx context.Context, p omni.PublishChannel, id string) error { return c.React(ctx, p, id, "👍") },
		`{"messaging_product":"whatsapp","recipient_type":"individual","to":"254711222333","type":"reaction","reaction":{"message_id":"wamid.IN","emoji":""}}`:  func(ctx context.Context, p omni.PublishChannel, id string) error { return c.React(ctx, p, id, "") },
		`{"messaging_product":"whatsapp","status":"read","message_id":"wamid.IN"}`:                                                                              c.MarkRead,
		`{"messaging_product":"whatsapp","status":"read","message_id":"wamid.IN","typing_indicator":{"type":"text"}}`:                                           c.Type,
	} {
		require.NoError(t, do(t.Context(), p, "wamid.IN"))
		calls := m.take()
		require.Len(t, calls, 1)
		require.Equal(t, sending, calls[0].what)
		require.Equal(t, "Bearer "+access, calls[0].token)
		require.JSONEq(t, body, string(calls[0].body))

		require.Equal(t, omni.ReasonMalformed, reasonOf(t, do(t.Context(), p, "")).Reason, "there is no message")
		stranger := p
		stranger.Sender = "+254799999999"
		require.Equal(t, omni.ReasonMisconfigured, reasonOf(t, do(t.Context(), stranger, "wamid.IN")).Reason)
		require.Empty(t, m.take())

		m.set(sending, `400 {"error":{"code":131009}}`)
		require.Equal(t, omni.ReasonMalformed, reasonOf(t, do(t.Context(), p, "wamid.IN")).Reason)
		m.set(sending, `200 {"success":true}`)
		m.take()
	}
	nobody := p
	nobody.Target.Address = "Lua"
	require.Error(t, c.React(t.Context(), nobody, "wamid.IN", "x"))
	require.Error(t, c.React(t.Context(), p, "wamid.IN", strings.Repeat("x", 65)))
	require.Less(t, c.TypeEvery(), 25*time.Second)
}

func TestThePhoneNumbersIDIsAskedForOnce(t *testing.T) {
	t.Parallel()
	const numbers = "GET /220000000000031/phone_numbers"
	m := newMeta(t, map[string]string{
		sending: `200 {"messages":[{"id":"wamid.1"}]}`,
		numbers: `200 {"data":[{"id":"310000000000017","display_phone_number":"+254 700-100-200","throughput":{"level":"HIGH"}},{"id":"x"}]}`,
	})
	c := openWith(t, carriers.Options{APIBase: m.url}, waba, noNumbers)
	require.InDelta(t, 80, c.Pace(omni.ChannelWhatsApp, ours).PerSecond, 0)
	for range 2 {
		_, err := c.Send(t.Context(), outbound(omni.TextPayload("x")))
		require.NoError(t, err)
	}
	var whats []string
	for _, call := range m.take() {
		whats = append(whats, call.what)
	}
	require.Equal(t, []string{numbers, sending, sending}, whats)
	require.InDelta(t, 1000, c.Pace(omni.ChannelWhatsApp, ours).PerSecond, 0, "its throughput was raised")

	stranger := outbound(omni.TextPayload("x"))
	stranger.Publish.Sender = "+254799999999"
	_, err := c.Send(t.Context(), stranger)
	require.Equal(t, omni.ReasonMisconfigured, reasonOf(t, err).Reason)
	m.set(numbers, `500 <html>`)
	_, err = c.Send(t.Context(), stranger)
	require.Equal(t, omni.ReasonUnreachable, reasonOf(t, err).Reason, "the message was not sent, whatever became of the question")
	m.set(numbers, `200 nonsense`)
	_, err = c.Send(t.Context(), stranger)
	require.Equal(t, omni.ReasonUnreachable, reasonOf(t, err).Reason)
	m.set(numbers, `401 {"error":{"code":190}}`)
	_, err = c.Send(t.Context(), stranger)
	require.Equal(t, omni.ReasonMisconfigured, reasonOf(t, err).Reason)
}

func TestThePhoneNumbersIDComesWithWebhooks(t *testing.T) {
	t.Parallel()
	m := newMeta(t, map[string]string{sending: `200 {"messages":[{"id":"wamid.1"}]}`})
	c := openWith(t, carriers.Options{APIBase: m.url}, noNumbers)
	_, err := c.Send(t.Context(), outbound(omni.TextPayload("x")))
	require.Equal(t, omni.ReasonMisconfigured, reasonOf(t, err).Reason)
	parse(t, c, value(`"statuses":[]`))
	_, err = c.Send(t.Context(), outbound(omni.TextPayload("x")))
	require.NoError(t, err)
}

func TestPace(t *testing.T) {
	t.Parallel()
	c := open(t)
	want := carriers.Pace{PerSecond: 80, PairEvery: 6 * time.Second, PairBurst: 45}
	require.Equal(t, want, c.Pace(omni.ChannelWhatsApp, ours))
	parse(t, c, `{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"phone_number_quality_update","value":{"display_phone_number":"254700100200","event":"THROUGHPUT_UPGRADE"}}]}]}`)
	want.PerSecond = 1000
	require.Equal(t, want, c.Pace(omni.ChannelWhatsApp, ours))
	c = open(t, func(a carriers.Account) { a.Config["messagesPerSecond"] = "20" })
	require.InDelta(t, 20, c.Pace(omni.ChannelWhatsApp, ours).PerSecond, 0)
}

func TestTriesGrowFurtherApart(t *testing.T) {
	t.Parallel()
	m := newMeta(t, map[string]string{})
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	c := openWith(t, carriers.Options{APIBase: m.url, Now: func() time.Time { return now }})
	waits := func(code, n int, to string) []int {
		m.set(sending, fmt.Sprintf(`400 {"error":{"code":%d}}`, code))
		var all []int
		for range n {
			msg := outbound(omni.TextPayload("x"))
			msg.Publish.Target.Address = to
			_, err := c.Send(t.Context(), msg)
			all = append(all, reasonOf(t, err).RetryAfter)
		}
		return all
	}
	require.Equal(t, []int{1, 4, 16, 64, 256, 1024, 1024}, waits(131056, 7, "+254711222333"))
	require.Equal(t, []int{1}, waits(131056, 1, "+254711222444"), "each recipient for themselves")
	require.Equal(t, []int{1, 2, 4, 8}, waits(130429, 4, "+254711222333"))
	require.Equal(t, []int{60}, waits(131057, 1, "+254711222333"))
	m.set(sending, `200 {"messages":[{"id":"wamid.1"}]}`)
	_, err := c.Send(t.Context(), outbound(omni.TextPayload("x")))
	require.NoError(t, err)
	require.Equal(t, []int{1, 4}, waits(131056, 2, "+254711222333"), "one that went ends it")
	now = now.Add(2 * time.Hour)
	require.Equal(t, []int{1}, waits(131056, 1, "+254711222333"), "time does too")
}

func picture(size int64) omni.MediaReference {
	return omni.MediaReference{
		ID: messID, Type: omni.MediaImage, ContentType: "image/png", FileName: "a \"b\".png", Size: size, State: omni.MediaReady,
		SHA256: strings.Repeat("a", 64), External: omni.ExternalRef{URL: "https://gw.example.test/f/1"},
	}
}

func TestFilesAreUploadedOnce(t *testing.T) {
	t.Parallel()
	const uploading = "POST /" + oursID + "/media"
	m := newMeta(t, map[string]string{uploading: `200 {"id":"900000000000888"}`, sending: `200 {"messages":[{"id":"wamid.1"}]}`})
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	opened := 0
	var trouble error
	c := openWith(t, carriers.Options{
		APIBase: m.url, Now: func() time.Time { return now },
		OpenFile: func(context.Context, omni.MediaReference) (io.ReadCloser, error) {
			opened++
			return io.NopCloser(strings.NewReader("PNG!")), trouble
		},
	})
	send := func(size int64) ([]call, error) {
		_, err := c.Send(t.Context(), outbound(omni.NewPayload("Look", []omni.MediaReference{picture(size)})))
		return m.take(), err
	}
	calls, err := send(4)
	require.NoError(t, err)
	require.Len(t, calls, 2)
	require.Equal(t, uploading, calls[0].what)
	_, parameters, err := mime.ParseMediaType(calls[0].kind)
	require.NoError(t, err)
	form, err := multipart.NewReader(bytes.NewReader(calls[0].body), parameters["boundary"]).ReadForm(1 << 20)
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"messaging_product": {"whatsapp"}, "type": {"image/png"}}, form.Value)
	require.Equal(t, "image/png", form.File["file"][0].Header.Get("Content-Type"))
	require.Equal(t, "a _b_.png", form.File["file"][0].Filename)
	require.Equal(t, int64(4), form.File["file"][0].Size)
	var body whatsapp.OutboundPayload
	require.NoError(t, json.Unmarshal(calls[1].body, &body))
	require.Equal(t, "900000000000888", body.Image.ID)
	require.Empty(t, body.Image.Link)
	require.Equal(t, "Look", body.Image.Caption)

	calls, err = send(0)
	require.NoError(t, err)
	require.Len(t, calls, 1, "Meta has it")
	require.Equal(t, 1, opened)

	m.set(sending, `400 {"error":{"code":131053}}`)
	_, err = send(4)
	require.Equal(t, omni.ReasonUnreachable, reasonOf(t, err).Reason)
	m.set(sending, `200 {"messages":[{"id":"wamid.1"}]}`)
	calls, err = send(0)
	require.NoError(t, err)
	require.Len(t, calls, 2, "what Meta could not take is uploaded anew")

	now = now.Add(29*24*time.Hour + time.Second)
	calls, err = send(4)
	require.NoError(t, err)
	require.Len(t, calls, 2, "Meta keeps files for 30 days")

	now = now.Add(30 * 24 * time.Hour)
	m.set(uploading, `500 <html>`)
	calls, err = send(4)
	require.Equal(t, omni.ReasonUnreachable, reasonOf(t, err).Reason, "the message was not sent")
	require.Len(t, calls, 1)
	m.set(uploading, `200 {"id":"../../x"}`)
	_, err = send(4)
	require.Equal(t, omni.ReasonUnreachable, reasonOf(t, err).Reason)
	m.set(uploading, `400 {"error":{"code":100}}`)
	_, err = send(4)
	require.Equal(t, omni.ReasonMalformed, reasonOf(t, err).Reason)

	trouble = omni.ErrNotFound
	calls, err = send(4)
	require.NoError(t, err)
	require.Len(t, calls, 1)
	require.Contains(t, string(calls[0].body), `"link":"https://gw.example.test/f/1"`, "a file that is not here is fetched from its address")
	trouble = errors.New("disk on fire")
	_, err = send(4)
	require.Equal(t, omni.ReasonUnreachable, reasonOf(t, err).Reason)
}

func TestSec_M1_FilesAreFetchedFromMetaAlone(t *testing.T) {
	t.Parallel()
	const file = "GET /900000000000601"
	m := newMeta(t, map[string]string{})
	c := openWith(t, carriers.Options{APIBase: m.url})
	host := strings.TrimPrefix(m.url, "http://")
	require.Equal(t, []string{host, "lookaside.fbsbx.com", "*.fbsbx.com", "*.whatsapp.net"}, c.MediaHosts())
	require.Equal(t, []string{"lookaside.fbsbx.com", "*.fbsbx.com", "*.whatsapp.net"}, open(t).MediaHosts())
	ask := func(answer string) (*http.Request, error) {
		m.set(file, answer)
		return c.MediaRequest(t.Context(), omni.MediaReference{External: omni.ExternalRef{ID: "900000000000601", URL: "https://evil.test/"}})
	}
	for _, u := range []string{
		"https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1&ext=2&hash=x", "https://scontent.fbsbx.com/1", "https://media.xx.whatsapp.net/1", m.url + "/1",
	} {
		r, err := ask(`200 {"url":"` + u + `","mime_type":"image/jpeg"}`)
		require.NoError(t, err, u)
		require.Equal(t, u, r.URL.String())
		require.Equal(t, "Bearer "+access, r.Header.Get("Authorization"))
		require.NotEmpty(t, r.Header.Get("User-Agent"))
	}
	for _, u := range []string{
		"http://lookaside.fbsbx.com/1", "https://evil.test/", "https://fbsbx.com.evil.test/", "https://evilfbsbx.com/", "https://fbsbx.com/", "https://u@lookaside.fbsbx.com/1",
		"https://lookaside.fbsbx.com:444/1", "//lookaside.fbsbx.com/1", "https://169.254.169.254/", "file:///etc/passwd", "https://[::1", "https://graph.facebook.com/1",
		"https://" + host + "/1",
	} {
		_, err := ask(`200 {"url":"` + u + `"}`)
		require.ErrorIs(t, err, omni.ErrForbidden, u)
		_, err = c.MediaRequest(t.Context(), omni.MediaReference{External: omni.ExternalRef{URL: u}})
		require.ErrorIs(t, err, omni.ErrForbidden, u)
	}
	r, err := c.MediaRequest(t.Context(), omni.MediaReference{External: omni.ExternalRef{URL: "https://lookaside.fbsbx.com/2"}})
	require.NoError(t, err, "a webhook may bring the address alone")
	require.Equal(t, "https://lookaside.fbsbx.com/2", r.URL.String())
	require.Empty(t, carriers.ExpectedSum(r))

	hexSum := hex.EncodeToString(make([]byte, 32))
	for given, want := range map[string]string{
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=": hexSum, strings.ToUpper(hexSum): hexSum, "AAAA": "", "a": "", "": "",
	} {
		r, err := ask(`200 {"url":"https://lookaside.fbsbx.com/2","sha256":"` + given + `"}`)
		require.NoError(t, err)
		require.Equal(t, want, carriers.ExpectedSum(r), given)
	}

	for answer, kind := range map[string]error{
		`400 {"error":{"code":100,"error_subcode":33}}`: omni.ErrNotFound, // it is gone for good
		`401 {"error":{"code":190}}`:                    omni.ErrUnavailable,
		`500 <html>`:                                    omni.ErrUnavailable,
		`200 {}`:                                        omni.ErrUnavailable,
		`200 <html>`:                                    omni.ErrUnavailable,
	} {
		_, err := ask(answer)
		require.ErrorIs(t, err, kind, answer)
	}
	m.take()
	for _, id := range []string{"..", ".", "1/2", "1?x", "a b", "%2e%2e", "1..2", strings.Repeat("1", 256)} {
		_, err := c.MediaRequest(t.Context(), omni.MediaReference{External: omni.ExternalRef{ID: id}})
		require.ErrorIs(t, err, omni.ErrInvalid, id)
	}
	require.Empty(t, m.take())
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const fields = `[{"name":"messages"},{"name":"message_template_status_update"},{"name":"message_template_quality_update"},{"name":"message_template_components_update"},` +
		`{"name":"template_category_update"},{"name":"account_update"},{"name":"phone_number_quality_update"},{"name":"user_preferences"}]`
	answers := func() map[string]string {
		return map[string]string{
			"GET /220000000000031":                 `200 {"id":"220000000000031","name":"Duka","account_review_status":"APPROVED"}`,
			"GET /220000000000031/phone_numbers":   `200 {"data":[{"id":"310000000000017","display_phone_number":"+254 700 100 200","verified_name":"Duka","quality_rating":"GREEN","status":"CONNECTED"}]}`,
			"GET /220000000000031/subscribed_apps": `200 {"data":[{"whatsapp_business_api_data":{"id":"440","name":"Omni"}}]}`,
			"GET /440/subscriptions":               `200 {"data":[{"object":"page"},{"object":"whatsapp_business_account","callback_url":"` + webhook + `","active":true,"fields":` + fields + `}]}`,
			"GET /310000000000017":                 `200 {"id":"310000000000017","display_phone_number":"+254 700 100 200","quality_rating":"YELLOW"}`,
		}
	}
	app := func(a carriers.Account) { a.Config["appId"], a.Config["appSecretProof"] = "440", "yes" }
	check := func(t *testing.T, change map[string]string, settings ...func(carriers.Account)) ([]carriers.Check, *meta) {
		t.Helper()
		all := answers()
		maps.Copy(all, change)
		m := newMeta(t, all)
		checks := openWith(t, carriers.Options{APIBase: m.url, WebhookURL: webhook}, settings...).Check(t.Context())
		for _, c := range checks {
			require.Regexp(t, `^[A-Z].*\.$`, c.Detail)
			for _, s := range []string{secret, token, access} {
				require.NotContains(t, c.Detail, s)
			}
		}
		return checks, m
	}
	names := func(checks []carriers.Check) string {
		var all []string
		for _, c := range checks {
			all = append(all, fmt.Sprintf("%s %t", c.Name, c.OK))
		}
		return strings.Join(all, ", ")
	}
	checks, m := check(t, nil, waba, app)
	require.Equal(t, "credentials true, sender true, subscription true, webhook true", names(checks), "%v", checks)
	calls := m.take()
	require.Equal(t, "Bearer 440|"+secret, calls[3].token, "the app's own settings take the app's own token")
	require.Empty(t, calls[3].query)
	require.Contains(t, calls[0].query, "appsecret_proof=")

	checks, _ = check(t, nil, waba)
	require.Equal(t, "credentials true, sender true, subscription true", names(checks))
	checks, _ = check(t, nil)
	require.Equal(t, "sender true", names(checks), "a number without a business account")
	checks, _ = check(t, nil, noNumbers)
	require.Equal(t, "credentials false", names(checks))

	for name, c := range map[string]struct {
		what, answer string
		bad, says    string
	}{
		"token":           {"GET /220000000000031", `401 {"error":{"code":190,"message":"Session has expired"}}`, "credentials", "expired or was revoked"},
		"another account": {"GET /220000000000031", `400 {"error":{"code":100,"error_user_msg":"Object does not exist"}}`, "credentials", "system user's token"},
		"Meta is away":    {"GET /220000000000031", `503 <html>`, "credentials", "Try again later."},
		"numbers":         {"GET /220000000000031/phone_numbers", `403 {"error":{"code":200}}`, "sender", "permission"},
		"no numbers":      {"GET /220000000000031/phone_numbers", `200 {"data":[]}`, "sender", "has no number"},
		"red":             {"GET /220000000000031/phone_numbers", `200 {"data":[{"display_phone_number":"1","quality_rating":"RED"}]}`, "sender", "block or report"},
		"not registered":  {"GET /220000000000031/phone_numbers", `200 {"data":[{"display_phone_number":"1","status":"DISCONNECTED"}]}`, "sender", "registered"},
		"subscription":    {"GET /220000000000031/subscribed_apps", `400 {"error":{"code":10}}`, "subscription", "permission"},
		"not subscribed":  {"GET /220000000000031/subscribed_apps", `200 {"data":[]}`, "subscription", "test events come, real ones do not"},
		"another app":     {"GET /220000000000031/subscribed_apps", `200 {"data":[{"whatsapp_business_api_data":{"id":"441"}}]}`, "subscription", "does not get"},
		"an override":     {"GET /220000000000031/subscribed_apps", `200 {"data":[{"whatsapp_business_api_data":{"id":"440"},"override_callback_uri":"https://evil.test/"}]}`, "subscription", "override"},
		"app":             {"GET /440/subscriptions", `400 {"error":{"code":190}}`, "webhook", "app secret"},
		"no webhook":      {"GET /440/subscriptions", `200 {"data":[]}`, "webhook", "no webhook"},
		"another webhook": {"GET /440/subscriptions", `200 {"data":[{"object":"whatsapp_business_account","callback_url":"https://evil.test/"}]}`, "webhook", "callback URL"},
		"switched off":    {"GET /440/subscriptions", `200 {"data":[{"object":"whatsapp_business_account","callback_url":"` + webhook + `","active":false}]}`, "webhook", "switched off"},
		"fields":          {"GET /440/subscriptions", `200 {"data":[{"object":"whatsapp_business_account","callback_url":"` + webhook + `","fields":[{"name":"messages"}]}]}`, "webhook", "message_template_status_update, "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			checks, _ := check(t, map[string]string{c.what: c.answer}, waba, app)
			found := false
			for _, x := range checks {
				if x.Name == c.bad {
					found = true
					require.False(t, x.OK)
					require.Contains(t, x.Detail, c.says)
				}
			}
			require.True(t, found, "%v", checks)
		})
	}
	checks, _ = check(t, map[string]string{"GET /310000000000017": `400 {"error":{"code":33}}`})
	require.Equal(t, "sender false", names(checks))
	checks, _ = check(t, map[string]string{"GET /220000000000031": `200 {"account_review_status":"REJECTED"}`}, waba)
	require.Contains(t, checks[0].Detail, "REJECTED")
}

func TestGraphErrorsKeepTheirWordsToThemselves(t *testing.T) {
	t.Parallel()
	m := newMeta(t, map[string]string{sending: `400 {"error":{"message":"(#131030) +254711222333","code":131030,"error_subcode":"7","error_data":{"details":"254711222333 is not allowed"},"fbtrace_id":"Abc"}}`})
	c := openWith(t, carriers.Options{APIBase: m.url})
	_, err := c.Send(t.Context(), outbound(omni.TextPayload("x")))
	require.NotContains(t, fmt.Sprintf("%v %+v", err, err), "254711222333")
	require.ErrorContains(t, err, "code 131030, subcode 7, trace Abc")
	var g *whatsapp.GraphError
	require.ErrorAs(t, err, &g)
	require.Equal(t, "254711222333 is not allowed", g.Words())
	require.Equal(t, whatsapp.CodeNotAllowedRecipient, g.Code)
}

func TestProblem(t *testing.T) {
	t.Parallel()
	plain := errors.New("x")
	require.Equal(t, plain, whatsapp.Problem(plain))
	for reason, kind := range map[omni.Reason]error{
		omni.ReasonThrottled: omni.ErrRateLimited, omni.ReasonUnreachable: omni.ErrUnavailable, omni.ReasonUnknown: omni.ErrUnavailable,
		omni.ReasonMisconfigured: omni.ErrForbidden, omni.ReasonMalformed: omni.ErrInvalid, omni.ReasonRejected: omni.ErrInvalid,
	} {
		var p *omni.Problem
		require.ErrorAs(t, whatsapp.Problem(&carriers.SendError{Reason: reason, RetryAfter: 3}), &p)
		require.ErrorIs(t, p, kind)
		require.Equal(t, 3*time.Second, p.RetryAfter)
	}
	require.ErrorContains(t, whatsapp.Problem(&carriers.SendError{Reason: omni.ReasonMalformed, Err: &whatsapp.GraphError{UserMessage: "Name taken"}}), "Meta says: Name taken")
}

func TestMetadataOfEvents(t *testing.T) {
	t.Parallel()
	c := open(t)
	first := func(members string) omni.CarrierChannelEvent { return parse(t, c, value(members)).Events[0] }
	system := first(`"messages":[{"id":"wamid.1","from":"254711222333","type":"system","system":{"type":"user_changed_number","wa_id":"254799888777","body":"x"}}]`)
	require.Equal(t, omni.Metadata{"newAddress": "+254799888777", "systemType": "user_changed_number"}, system.Metadata)
	system = first(`"messages":[{"id":"wamid.1","from":"254711222333","from_user_id":"KE.1","type":"system","system":{"type":"user_changed_number","wa_id":"254799888777","user_id":"KE.2"}}]`)
	require.Equal(t, omni.Metadata{"newAddress": "+254799888777", "newUserId": "KE.2", "userId": "KE.1", "systemType": "user_changed_number"}, system.Metadata)
	user := first(`"messages":[{"id":"wamid.1","from":"254711222333","from_user_id":"KE.1","type":"text","text":{"body":"x"}}],"contacts":[{"user_id":"KE.1","profile":{"username":"amina"}}]`)
	require.Equal(t, omni.Metadata{"userId": "KE.1", "username": "amina"}, user.Metadata)
	voice := first(`"messages":[{"id":"wamid.1","from":"254711222333","timestamp":"1763800001","type":"audio","audio":{"id":"9","voice":true,"sha256":"x"}}]`)
	require.Equal(t, omni.Metadata{"voice": "true", "fileSha256": "x"}, voice.Metadata)
	require.Empty(t, voice.Media[0].SHA256, "it is none")
	sticker := first(`"messages":[{"id":"wamid.1","from":"254711222333","type":"sticker","sticker":{"id":"9","sha256":"/////////////////////////////////////////w8="}}]`)
	require.Equal(t, strings.Repeat("ff", 31)+"0f", sticker.Media[0].SHA256)
	require.Equal(t, omni.Millis(1763800001000+7*24*3600*1000), voice.Media[0].External.ExpiresAt)
	document := first(`"messages":[{"id":"wamid.1","from":"254711222333","type":"document","document":{"id":"9","filename":"../../etc/passwd"}}]`)
	require.Equal(t, "../../etc/passwd", document.Media[0].FileName, "a label, which is never a path")
	place := first(`"messages":[{"id":"wamid.1","from":"254711222333","type":"location","location":{"latitude":-0.0,"longitude":1e-7,"name":"Here"}}]`)
	require.Equal(t, "geo:0,0.0000001", place.Text)
	require.Equal(t, "Here", place.Location.Name)
	card := first(`"messages":[{"id":"wamid.1","from":"254711222333","type":"contacts","contacts":[{"name":{"formatted_name":"Juma"},"phones":[{"phone":"1"},{"phone":"2"}],"org":{"company":"Duka"}}]}]`)
	require.Equal(t, []omni.ContactCard{{Name: "Juma", Phones: []string{"1", "2"}, Organisation: "Duka"}}, card.Contacts)
	button := first(`"messages":[{"id":"wamid.1","from":"254711222333","type":"interactive","interactive":{"type":"list_reply","list_reply":{"id":"a","title":"A","description":"d"}}}]`)
	require.Equal(t, "a", button.ButtonPayload)
	require.Equal(t, omni.Metadata{"interactiveId": "a", "interactiveDescription": "d", "interactiveType": "list_reply"}, button.Metadata)
	long := first(`"messages":[{"id":"wamid.1","from":"254711222333","type":"text","text":{"body":"` + strings.Repeat(`\u00e9`, 4096) + `"}}]`)
	require.Equal(t, strings.Repeat("é", 4096), long.Text)
	poll := first(`"messages":[{"id":"wamid.1","from":"254711222333","type":"unsupported","unsupported":{"type":"poll"}}]`)
	require.Equal(t, "poll", poll.Unsupported)
	status := first(`"statuses":[{"id":"wamid.1","status":"played"}]`)
	require.Equal(t, omni.Metadata{"played": "true"}, status.Metadata)
	failure := first(`"errors":[{"code":190,"title":"Expired","error_data":{"details":"Session has expired"}}]`)
	require.Equal(t, omni.ReasonMisconfigured, failure.Reason)
	require.Equal(t, "messages", failure.Field)
	require.Equal(t, omni.Metadata{"details": "Session has expired"}, failure.Metadata)
}

func TestThePlayersWebhooks(t *testing.T) {
	t.Parallel()
	p := whatsapp.Player{}
	require.Empty(t, p.Address(omni.ChannelSMS))
	require.Empty(t, p.Customer(omni.ChannelSMS))
	require.NotEmpty(t, p.Customer(omni.ChannelWhatsApp))
}

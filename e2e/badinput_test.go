package e2e_test

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
)

func TestX2_BodiesOfAttackers(t *testing.T) {
	t.Parallel()
	d := NewDesk(t, Start(t, Options{}))
	hook := d.Local(d.Account.WebhookURL)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := io.WriteString(z, strings.Repeat("\x00", 1<<20))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	const form, jsonType = "application/x-www-form-urlencoded", "application/json"

	tests := []struct {
		name        string
		method, url string
		body        io.Reader
		contentType string
		encoding    string
		want        []int
	}{
		{"webhook of 100 MiB, announced", "POST", hook, io.LimitReader(zeros{}, 100<<20), form, "", []int{413}},
		{"webhook without end", "POST", hook, struct{ io.Reader }{io.LimitReader(zeros{}, 100<<20)}, form, "", []int{413}},
		{"webhook compressed", "POST", hook, &zipped, form, "gzip", []int{415}},
		{"webhook of an unknown account", "POST", d.URL + "/webhooks/twilio/" + omni.NewToken(16), strings.NewReader("a=b"), form, "", []int{404}},
		{"webhook of an unknown carrier", "POST", d.URL + "/webhooks/nobody/" + d.Account.PublicID, strings.NewReader("a=b"), form, "", []int{404}},
		{"webhook of another carrier's account", "POST", d.URL + "/webhooks/test/" + d.Account.PublicID, strings.NewReader("a=b"), form, "", []int{404}},
		{"webhook by another method", "PUT", hook, strings.NewReader("a=b"), form, "", []int{404, 405}},
		{"webhook that is no form", "POST", hook, strings.NewReader("%zz;\x00\xff"), form, "", []int{400, 403}},
		{"webhook of JSON 100,000 deep", "POST", hook + "?bodySHA256=0", strings.NewReader(deep), jsonType, "", []int{400, 403}},
		{"REST of 100 MiB", "POST", d.URL + "/api/v1/contacts", io.LimitReader(zeros{}, 100<<20), jsonType, "", []int{404, 405, 413}},
		{"login of 10 MiB", "POST", d.URL + "/api/v1/auth/login", struct{ io.Reader }{io.LimitReader(zeros{}, 10<<20)}, jsonType, "", []int{400, 413}},
		{"login compressed", "POST", d.URL + "/api/v1/auth/login", bytes.NewReader([]byte("\x1f\x8b")), jsonType, "gzip", []int{415}},
		{"login as a form", "POST", d.URL + "/api/v1/auth/login", strings.NewReader("email=a"), form, "", []int{400, 415}},
		{"login of JSON 100,000 deep", "POST", d.URL + "/api/v1/auth/login", strings.NewReader(deep), jsonType, "", []int{400}},
		{"login by an operator", "POST", d.URL + "/api/v1/auth/login", strings.NewReader(`{"email":{"$ne":null},"password":{"$ne":null}}`), jsonType, "", []int{400}},
		{"login with a field that nobody knows", "POST", d.URL + "/api/v1/auth/login", strings.NewReader(`{"email":"a@example.test","password":"x","role":"admin"}`), jsonType, "", []int{400}},
		{"login that is cut", "POST", d.URL + "/api/v1/auth/login", strings.NewReader(`{"email":"a@exam`), jsonType, "", []int{400}},
		{"login that is not UTF-8", "POST", d.URL + "/api/v1/auth/login", strings.NewReader("{\"email\":\"\xff\xfe\",\"password\":\"x\"}"), jsonType, "", []int{400, 401}},
	}
	for _, tt := range tests {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, tt.url, tt.body)
		require.NoError(t, err)
		r.Header.Set("Content-Type", tt.contentType)
		if tt.encoding != "" {
			r.Header.Set("Content-Encoding", tt.encoding)
		}
		if tt.name == "webhook of 100 MiB, announced" {
			r.ContentLength = 100 << 20
		}
		res, err := d.HTTP().Do(r)
		if err != nil {
			// The server answered and closed while we were still writing; the answer may be lost then.
			require.Contains(t, tt.want, http.StatusRequestEntityTooLarge, "%s: %v", tt.name, err)
			continue
		}
		require.NoError(t, res.Body.Close())
		require.Contains(t, tt.want, res.StatusCode, tt.name)
	}
	its := d.Alpha.Interactions(t, omni.InteractionOpen)
	require.Empty(t, its, "nothing of it was stored")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Operators where a value should be text, in every field of a body that has one.
func TestX12_OperatorsInFields(t *testing.T) {
	t.Parallel()
	d := NewDesk(t, Start(t, Options{}))
	operator := map[string]any{"$ne": nil}
	for path, fields := range map[string][]string{
		"/api/v1/users": {"name", "email", "role"}, "/api/v1/groups": {"name", "type"}, "/api/v1/folders": {"groupId", "name"},
		"/api/v1/channels": {"name", "groupId", "address"}, "/api/v1/messages": {"channelId", "to", "clientId", "payload"},
		"/api/v1/carrier-accounts": {"carrier", "name"}, "/api/v1/api-keys": {"name", "role"}, "/livechat/v1/sessions": {"widgetId", "token"},
	} {
		for _, field := range fields {
			a := d.Alpha.Call(t, http.MethodPost, path, map[string]any{field: operator})
			require.Equal(t, http.StatusBadRequest, a.Status, "%s %s: %s", path, field, a.Body)
			require.Equal(t, omni.CodeInvalid, a.Problem(t).Code)
		}
	}
}

func TestX5_WrongTokens(t *testing.T) {
	t.Parallel()
	d := NewDesk(t, Start(t, Options{}))
	b64 := base64.RawURLEncoding.EncodeToString
	parts := strings.Split(d.Ana.Token, ".")
	require.Len(t, parts, 3)
	mac := hmac.New(sha256.New, []byte("guessed"))
	_, _ = io.WriteString(mac, parts[0]+"."+parts[1])
	v := d.Alpha.Widget(t, d.Group).Visit(t, "")
	tests := map[string]string{
		"none":                    "",
		"garbage":                 "garbage",
		"alg none":                b64([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + ".",
		"alg None with signature": b64([]byte(`{"alg":"None","typ":"JWT"}`)) + "." + parts[1] + "." + parts[2],
		"other key":               parts[0] + "." + parts[1] + "." + b64(mac.Sum(nil)),
		"kid that is a path":      b64([]byte(`{"alg":"HS256","kid":"../../dev/null"}`)) + "." + parts[1] + "." + parts[2],
		"kid that is a URL":       b64([]byte(`{"alg":"HS256","kid":"https://evil.example/jwk"}`)) + "." + parts[1] + "." + parts[2],
		"key in the header":       b64([]byte(`{"alg":"HS256","jwk":{"kty":"oct","k":"Z3Vlc3NlZA"}}`)) + "." + parts[1] + "." + b64(mac.Sum(nil)),
		"altered":                 parts[0] + "." + b64([]byte(`{"sub":"admin"}`)) + "." + parts[2],
		"without signature":       parts[0] + "." + parts[1],
		"a visitor's":             v.Token,
		"unknown API key":         "omni_" + omni.NewToken(20),
		"API key with a byte":     d.Alpha.Key + "0",
		"API key cut":             d.Alpha.Key[:len(d.Alpha.Key)-1],
		"very long":               strings.Repeat("x", 10_000),
	}
	for name, token := range tests {
		a := d.Call(t, http.MethodGet, "/api/v1/me", token, nil)
		require.Equal(t, http.StatusUnauthorized, a.Status, "%s: %s", name, a.Body)
		require.Equal(t, omni.CodeUnauthenticated, a.Problem(t).Code, name)
		require.NotEmpty(t, a.Header.Get("WWW-Authenticate"), name)
	}
	require.Equal(t, http.StatusUnauthorized, d.Call(t, http.MethodGet, "/livechat/v1/messages", d.Ana.Token, nil).Status, "an agent's is not a visitor's")
	require.Equal(t, http.StatusUnauthorized, d.Call(t, http.MethodGet, "/api/v1/me?access_token="+d.Ana.Token, "", nil).Status, "a query is no place for a token")

	// The same on the socket.
	for name, c := range map[string]wire.Connect{
		"nothing": {}, "garbage": {Token: "garbage"}, "garbage ticket": {Ticket: "garbage"}, "unknown key": {APIKey: "omni_" + omni.NewToken(20)},
		"alg none": {Token: tests["alg none"]}, "a visitor's": {Token: v.Token}, "two at once": {Token: d.Ana.Token, APIKey: d.Alpha.Key},
	} {
		client, _, err := d.Open(t, Dialing{})
		require.NoError(t, err, name)
		client.Start(t, wire.CmdConnect, c)
		require.Contains(t, []int{1002, 4401, 4403}, int(client.Closed(t).Code), name)
	}
	// A token that has ended: by then its session may go on, but not by it.
	d.Advance(time.Hour)
	require.Equal(t, http.StatusUnauthorized, d.Ana.Call(t, http.MethodGet, "/api/v1/me", nil).Status)
	require.Equal(t, http.StatusOK, d.Alpha.Call(t, http.MethodGet, "/api/v1/me", nil).Status)
}

func TestX6_WrongOrigins(t *testing.T) {
	t.Parallel()
	d := NewDesk(t, Start(t, Options{}))
	w := d.Alpha.Widget(t, d.Group, "https://shop.example.test")
	for _, path := range []string{"/ws", "/livechat/ws"} {
		for _, origin := range []string{
			"https://evil.example", "null", "https://sms.example.test.evil.example", "https://sms.example.test:8443", "http://sms.example.test",
			"https://SMS.example.test.", "https://xsms.example.test", "https://sms.example.test/", "https://shop.example.test", "file://",
		} {
			_, res, err := d.Open(t, Dialing{Path: path, Origin: origin})
			require.Error(t, err, "%s from %s", path, origin)
			require.NotNil(t, res)
			require.Equal(t, http.StatusForbidden, res.StatusCode, "%s from %s", path, origin)
		}
		_, res, err := d.Open(t, Dialing{Path: path, Subprotocol: "omni.v9"})
		require.Error(t, err)
		require.Equal(t, http.StatusBadRequest, res.StatusCode, "another subprotocol")
	}
	_, res, err := d.Open(t, Dialing{Path: "/livechat/ws", Origin: "-"})
	require.Error(t, err, "visitors have browsers")
	require.Equal(t, http.StatusForbidden, res.StatusCode)

	// A token in the query opens nothing.
	c, _, err := d.Open(t, Dialing{Path: "/ws?token=" + d.Ana.Token})
	require.NoError(t, err)
	c.Start(t, wire.CmdMessageRead, wire.ReadMessage{InteractionID: omni.NewID(), Seq: 1})
	require.EqualValues(t, 4401, c.Closed(t).Code, "no command before connect")

	// CORS: no foreign page may use REST with what a browser has.
	for _, origin := range []string{"https://evil.example", "null"} {
		a := d.Call(t, http.MethodGet, "/api/v1/me", d.Ana.Token, nil, "Origin", origin)
		require.Empty(t, a.Header.Get("Access-Control-Allow-Origin"), origin)
		a = d.Call(t, http.MethodGet, "/livechat/v1/widgets/"+w.PublicID, "", nil, "Origin", origin)
		require.Equal(t, http.StatusOK, a.Status)
		require.Empty(t, a.Header.Get("Access-Control-Allow-Origin"), origin)
	}
	a := d.Call(t, http.MethodGet, "/livechat/v1/widgets/"+w.PublicID, "", nil, "Origin", "https://shop.example.test")
	require.Equal(t, "https://shop.example.test", a.Header.Get("Access-Control-Allow-Origin"), "the widget's site may read it")
	require.Equal(t, http.StatusForbidden,
		d.Call(t, http.MethodPost, "/livechat/v1/sessions", "", map[string]any{"widgetId": w.PublicID}, "Origin", "https://evil.example").Status)
}

// Frames that are right and hold what is not: TestX7_RFC6455 has the wrong ones.
func TestX7_WrongContent(t *testing.T) {
	t.Parallel()
	d := NewDesk(t, Start(t, Options{}))
	long := strings.Repeat("x", 70<<10)
	for _, tt := range []struct {
		name  string
		send  string
		typ   websocket.MessageType
		codes []int // that close it; none: an error answer to command 7, and it stays open
	}{
		{"not JSON", "hello", websocket.MessageText, []int{1002, 1007, 1008}},
		{"JSON, but no object", `[1,2]`, websocket.MessageText, []int{1002, 1007, 1008}},
		{"cut JSON", `{"id":7,"type":"typing"`, websocket.MessageText, []int{1002, 1007, 1008}},
		{"binary", "\x00\x01", websocket.MessageBinary, []int{1002, 1003, 1007, 1008}},
		{"70 KiB", `{"id":7,"type":"typing","data":{"x":"` + long + `"}}`, websocket.MessageText, []int{1009}},
		{"deep JSON", `{"id":7,"type":"typing","data":` + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000) + `}`, websocket.MessageText, []int{1002, 1007, 1008}},
		{"a command that nobody knows", `{"id":7,"type":"launch"}`, websocket.MessageText, nil},
		{"a value of another type", `{"id":7,"type":"message.read","data":{"seq":"one"}}`, websocket.MessageText, nil},
		{"an operator", `{"id":7,"type":"interaction.open","data":{"interactionId":{"$ne":null}}}`, websocket.MessageText, nil},
		{"connect twice", `{"id":7,"type":"connect","data":{}}`, websocket.MessageText, nil},
	} {
		c := d.Ana.Connect(t)
		require.NoError(t, c.Raw(tt.typ, []byte(tt.send)), tt.name)
		if tt.codes != nil {
			require.Contains(t, tt.codes, int(c.Closed(t).Code), tt.name)
		} else {
			require.Equal(t, "error", c.Reply(t, 7).Type, tt.name)
			require.True(t, c.Open(), tt.name)
		}
		c.Cut()
	}
}

package whatsapp_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/reroute"
	"omniservice/carriers/whatsapp"
	"omniservice/omni"
)

// shared opens an account whose webhook is shared.
func shared(t *testing.T) carriers.Carrier {
	t.Helper()
	c, err := whatsapp.New().Open(carriers.Account{Credentials: map[string][]omni.Secret{
		"appSecret":   {omni.NewSecret("meta-app-secret-001"), omni.NewSecret("the one before")},
		"verifyToken": {omni.NewSecret("verify")}, "accessToken": {omni.NewSecret("token")},
	}}, carriers.Options{})
	require.NoError(t, err)
	return c
}

func TestPartsSayWhatDecides(t *testing.T) {
	t.Parallel()
	s := shared(t).(reroute.Sharer)
	for _, c := range []struct {
		name, body string
		want       []reroute.Part
	}{
		{
			"messages, statuses, a template", `{"object":"whatsapp_business_account","entry":[
			{"id":"1","changes":[
				{"field":"messages","value":{"metadata":{"phone_number_id":"77"},"messages":[]}},
				{"field":"messages","value":{"metadata":{"phone_number_id":78},"statuses":[]}}]},
			{"id":12345678901234567890,"time":1,"changes":[{"field":"message_template_status_update","value":{"message_template_name":"st_hello"}}]}]}`,
			[]reroute.Part{
				{WABAID: "1", PhoneNumberID: "77"},
				{WABAID: "1", PhoneNumberID: "78", Index: 1},
				{WABAID: "12345678901234567890", Template: "st_hello", Index: 2},
			},
		},
		{
			"an entry without changes", `{"entry":[{"id":"1"},{"id":"2","changes":null},{"id":"3","changes":{}}]}`,
			[]reroute.Part{{WABAID: "1"}, {WABAID: "2", Index: 1}, {WABAID: "3", Index: 2}},
		},
		{
			"values of other shapes", `{"entry":[{"id":"1","changes":[{"value":null},{"value":[]},7,{"value":{"metadata":5}}]}]}`,
			[]reroute.Part{{WABAID: "1"}, {WABAID: "1", Index: 1}, {WABAID: "1", Index: 2}, {WABAID: "1", Index: 3}},
		},
		{"not JSON", `{"entry":[`, []reroute.Part{}},
		{"entries that are no list", `{"entry":7}`, []reroute.Part{}},
		{"nested too deep", `{"entry":[{"id":"1","changes":[` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + `]}]}`, []reroute.Part{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.want, s.Parts([]byte(c.body)))
		})
	}
}

func TestJoinKeepsChangesAsTheyCame(t *testing.T) {
	t.Parallel()
	s := shared(t).(reroute.Sharer)
	body := []byte(`{"object":"whatsapp_business_account","entry":[` +
		`{"id":"1","time":5,"changes":[{"field":"messages","value":{"a":"caf\u00e9 <&> a\/b","n":12345678901234567890}},{"field":"x","value":2}]},` +
		`{"id":"2","changes":[{"field":"y","value":3}]},{"id":"3"}]}`)
	parts := s.Parts(body)
	require.Len(t, parts, 4)
	joined, err := s.Join(body, []reroute.Part{parts[0], parts[2], parts[3]})
	require.NoError(t, err)
	require.Contains(t, string(joined), `{"field":"messages","value":{"a":"caf\u00e9 <&> a\/b","n":12345678901234567890}}`)
	require.JSONEq(t, `{"object":"whatsapp_business_account","entry":[
		{"id":"1","time":5,"changes":[{"field":"messages","value":{"a":"café <&> a/b","n":12345678901234567890}}]},
		{"id":"2","changes":[{"field":"y","value":3}]},{"id":"3"}]}`, string(joined))
	all, err := s.Join(body, parts)
	require.NoError(t, err)
	require.JSONEq(t, string(body), string(all))
	_, err = s.Join(body, []reroute.Part{{Index: 4}})
	require.ErrorIs(t, err, omni.ErrInvalid)
}

// TestWhatIsForwardedIsAuthentic: the other environment, which has the same app secret, takes what we sign; and what is
// forwarded as a whole has the very signature that it came with.
func TestWhatIsForwardedIsAuthentic(t *testing.T) {
	t.Parallel()
	c := shared(t)
	s := c.(reroute.Sharer)
	for _, body := range []string{
		`{"object":"whatsapp_business_account","entry":[]}`,
		`{"object":"whatsapp_business_account","entry":[{"id":"1","note":"caf\u00e9 \ud83d\ude4f a\/b"}]}`,
	} {
		h := http.Header{}
		s.Sign(h, []byte(body))
		require.NoError(t, c.Verify(carriers.WebhookRequest{Method: http.MethodPost, Header: h, Body: []byte(body)}))
	}
	h := http.Header{}
	s.Sign(h, []byte(`{"object":"whatsapp_business_account","entry":[]}`))
	require.Equal(t, "sha256=e30e718f93345af5bf0b0301c60e43e1d16e47fda2381de223cffbd5e5df2401", h.Get("X-Hub-Signature-256"))
}

// TestPartsSayTheSame: whatever a webhook is cut into, the parts together say what the whole says.
func TestPartsSayTheSame(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "webhook", "*.json"))
	require.NoError(t, err)
	tried := 0
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		var f struct{ Request struct{ Body string } }
		require.NoError(t, json.Unmarshal(raw, &f))
		body := []byte(f.Request.Body)
		c := shared(t)
		whole, err := c.Parse(carriers.WebhookRequest{Method: http.MethodPost, Body: body})
		parts := c.(reroute.Sharer).Parts(body)
		if err != nil || len(parts) < 2 {
			continue
		}
		tried++
		var events []omni.CarrierChannelEvent
		for _, p := range parts {
			one, err := c.(reroute.Sharer).Join(body, []reroute.Part{p})
			require.NoError(t, err, file)
			parsed, err := shared(t).Parse(carriers.WebhookRequest{Method: http.MethodPost, Body: one})
			require.NoError(t, err, file)
			events = append(events, parsed.Events...)
		}
		require.Equal(t, whole.Events, events, file)
	}
	require.Positive(t, tried)
}

// FuzzParts: nothing that comes breaks the cutting, and what is joined of all parts has them again.
func FuzzParts(f *testing.F) {
	f.Add([]byte(`{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{}}]},{"id":2}]}`))
	f.Add([]byte(`{"entry":[null,{"changes":[null]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		s := (&whatsapp.Carrier{})
		parts := s.Parts(body)
		joined, err := s.Join(body, parts)
		if err != nil {
			t.Fatalf("join: %v", err)
		}
		if len(parts) == 0 {
			return
		}
		again := s.Parts(joined)
		if len(again) != len(parts) {
			t.Fatalf("%d parts, then %d: %s", len(parts), len(again), joined)
		}
		for i := range parts {
			if parts[i] != again[i] {
				t.Fatalf("part %d: %+v, then %+v", i, parts[i], again[i])
			}
		}
	})
}

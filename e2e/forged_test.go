package e2e_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
)

// A thousand forged webhooks beside good ones: none is taken, none of the good ones is refused.
func TestX1_ForgedSignatures(t *testing.T) {
	const forgeries, good = 1000, 100
	d := NewDesk(t, StartProcess(t, Options{}))
	other := d.Alpha.TwilioAccount(t, "Other")
	ana := d.Ana.Connect(t)
	forge := func(i int) *http.Request {
		form := d.Account.SMS(NewSID(), Phone(i), Number, "forged")
		r, err := d.Account.Request(d.Account.WebhookURL, form)
		require.NoError(t, err)
		sign := func(token, publicURL string, form url.Values) {
			r.Header.Set("X-Twilio-Signature", SignTwilio(token, publicURL, form))
		}
		switch i % 6 {
		case 0:
			r.Header.Del("X-Twilio-Signature")
		case 1:
			r.Header.Set("X-Twilio-Signature", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=")
		case 2:
			sign(other.AuthToken, d.Account.WebhookURL, form) // of another channel
		case 3:
			sign(d.Account.AuthToken, "https://evil.example/webhooks/twilio/"+d.Account.PublicID, form) // of another host
			r.Host = "evil.example"
			r.Header.Set("X-Forwarded-Host", "evil.example")
		case 4:
			form.Set("Body", "altered") // after it was signed
			sign(d.Account.AuthToken, d.Account.WebhookURL, form)
		case 5:
			sign("", d.Account.WebhookURL, form)
		}
		return r
	}
	before := d.CPU(t)
	answers := map[int]int{}
	for i := range forgeries {
		res, err := d.HTTP().Do(forge(i))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		answers[res.StatusCode]++
	}
	cost := (d.CPU(t) - before) / forgeries
	require.Equal(t, map[int]int{http.StatusForbidden: forgeries}, answers)
	for i := range good { // the account that is attacked, from the address that attacks it
		d.Account.Receive(t, Phone(i), Number, "good")
	}
	ana.Until(t, wire.MessageCreated, good)
	its := d.Alpha.Interactions(t, omni.InteractionOpen)
	require.Len(t, its, good)
	for _, it := range its {
		require.Equal(t, "good", it.LastPreview)
	}
	var aside struct{ Items []any }
	d.Alpha.Call(t, http.MethodGet, "/api/v1/carrier-accounts/"+d.Account.ID+"/set-aside", nil).JSON(t, &aside)
	require.Empty(t, aside.Items, "nothing of it is kept")
	t.Logf("X1: %d forged webhooks answered %v, accepted 0; %v CPU each", forgeries, answers, cost.Round(time.Microsecond))
	require.Less(t, cost, 500*time.Microsecond)
}

// What must not stand in any log line, metric or error goes through every path, well and badly.
func TestK3_CanariesStayOutOfLogs(t *testing.T) {
	t.Parallel()
	const (
		words  = "canary-in-the-text"
		name   = "canary-in-the-name"
		number = "+14159876543"
	)
	d := NewDesk(t, Start(t, Options{Debug: true}))
	w := d.Alpha.Widget(t, d.Group)
	ana := d.Ana.Connect(t)
	canaries := map[string]string{
		"text": words, "name": name, "phone": number[2:], "auth token": d.Account.AuthToken, "API key": d.Alpha.Key,
		"access token": d.Ana.Token, "e-mail": d.Ana.Email,
	}

	// Well: in, out, statuses, LiveChat.
	form := d.Account.SMS(NewSID(), number, Number, words)
	form.Set("ProfileName", name)
	status, err := d.Account.Post(form)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	it := Read[wire.Interaction](t, ana.Expect(t, wire.InteractionCreated, nil))
	m := d.Alpha.Send(t, it.ID, "answer "+words)
	sent := d.Twilio.Await(t, 1)
	_, err = sent.Report("delivered")
	require.NoError(t, err)
	ana.ExpectStatus(t, m.ID, omni.StatusDelivered)
	v := w.Visit(t, "")
	canaries["visitor token"], canaries["visitor ticket"], canaries["visitor id"] = v.Token, v.Ticket, v.ID
	visitor := v.Connect(t)
	visitor.Must(t, wire.CmdMessageSend, wire.SendMessage{ClientID: NewClientID(), Payload: wire.SendPayload{Text: words}}, nil)
	ana.ExpectText(t, words)
	var ticket struct{ Ticket string }
	d.Ana.Call(t, http.MethodPost, "/api/v1/realtime/tickets", map[string]any{}).JSON(t, &ticket)
	canaries["ticket"] = ticket.Ticket

	// Badly: refused by the carrier, by us, not there, malformed, forged, with secrets in the wrong place.
	d.Twilio.Answer(func(Sent) Reply { return Reply{Status: http.StatusBadRequest, Code: 21211} })
	failed := d.Alpha.Send(t, it.ID, "refused "+words)
	ana.ExpectStatus(t, failed.ID, omni.StatusFailed)
	forged, err := d.Account.Request(d.Account.WebhookURL, form)
	require.NoError(t, err)
	forged.Header.Set("X-Twilio-Signature", "canary-signature")
	canaries["signature"] = "canary-signature"
	res, err := d.HTTP().Do(forged)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	_, err = d.Account.Post(d.Account.SMS(NewSID(), number, "+15005559999", words)) // to no channel of ours
	require.NoError(t, err)
	incomplete := d.Account.SMS(NewSID(), number, Number, words)
	incomplete.Del("MessageSid")
	_, err = d.Account.Post(incomplete)
	require.NoError(t, err)
	for _, q := range []string{"/ws?token=" + d.Ana.Token, "/api/v1/me?access_token=" + d.Ana.Token, "/" + words, "/api/v1/contacts?cursor=" + words} {
		d.Call(t, http.MethodGet, q, "", nil)
	}
	for _, body := range [][]byte{
		[]byte(`{"email":"` + d.Ana.Email + `","password":"` + words + `"}`),
		[]byte(`{"loginToken":"` + words + `"}`), []byte(`{"email":{"$ne":"` + words + `"}}`), []byte(words),
	} {
		a := d.Call(t, http.MethodPost, "/api/v1/auth/login", "", body)
		require.GreaterOrEqual(t, a.Status, 400)
	}
	d.Call(t, http.MethodGet, "/api/v1/me", d.Ana.Token+"x", nil)
	d.Call(t, http.MethodGet, "/api/v1/me", d.Alpha.Key+"x", nil)
	d.Ana.Call(t, http.MethodPost, "/api/v1/interactions/"+it.ID+"/messages", map[string]any{"clientId": words, "payload": map[string]any{"text": words}})
	d.Ana.Call(t, http.MethodPost, "/api/v1/interactions/"+words+"/claim", map[string]any{"version": 1})
	ana.Do(t, wire.CmdMessageSend, wire.SendMessage{InteractionID: words, ClientID: NewClientID(), Payload: wire.SendPayload{Text: words}})
	ana.Do(t, words, map[string]string{"text": words})
	d.Alpha.Call(t, http.MethodPost, "/api/v1/carrier-accounts", map[string]any{
		"carrier": "Twilio", "name": "wrong", "config": map[string]string{"accountSid": words}, "credentials": map[string]string{"authToken": d.Account.AuthToken},
	})
	d.Drained(t)

	shown := d.Alpha.Call(t, http.MethodGet, "/api/v1/carrier-accounts/"+d.Account.ID, nil)
	require.NotContains(t, string(shown.Body), d.Account.AuthToken, "no answer holds a secret")
	require.Contains(t, string(shown.Body), d.Account.AuthToken[28:], "but its last four characters")

	log, metrics := d.Log.String(), d.Metrics(t)
	require.Greater(t, strings.Count(log, "\n"), 20, "the log is there to be looked at")
	for what, canary := range canaries {
		require.NotContains(t, log, canary, "the log holds the %s", what)
		require.NotContains(t, metrics, canary, "a metric holds the %s", what)
	}
}

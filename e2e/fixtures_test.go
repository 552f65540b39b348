package e2e_test

import (
	"bytes"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers/carriertest"
	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

// twilioDesk has the accounts and channels for which Twilio's fixtures are signed: their URLs name the accounts
// "inbound", "status" and "json".
type twilioDesk struct {
	*Desk

	accounts map[string]*Account
	families map[string]bool // account, family and address that have a channel
}

const (
	fixtureSID = "AC0123456789abcdef0123456789abcdef"
	webhooks   = "../carriers/twilio/testdata/webhook"
)

// twilioFixtures are the fixtures by the origin that they are signed for.
func twilioFixtures(t *testing.T) map[string][]carriertest.Fixture {
	t.Helper()
	by := map[string][]carriertest.Fixture{}
	for _, f := range carriertest.Fixtures(t, webhooks) {
		u, err := url.Parse(f.Request.URL)
		require.NoError(t, err)
		origin := u.Scheme + "://" + u.Host
		by[origin] = append(by[origin], f)
	}
	return by
}

func newTwilioDesk(t *testing.T, origin string, fixtures []carriertest.Fixture) *twilioDesk {
	d := &twilioDesk{Desk: NewDesk(t, Start(t, Options{PublicURL: origin})), accounts: map[string]*Account{}, families: map[string]bool{}}
	previous := ""
	for _, f := range fixtures {
		previous += f.Secret["previousAuthToken"] // one fixture has it
	}
	for _, f := range fixtures {
		a := d.accountOf(t, f, previous)
		for _, e := range f.Events {
			address := text(e, "to")
			if e["kind"] == "status" {
				address = text(e, "from")
			}
			family := omni.ChannelSMS
			if text(e, "channelType") == "whatsapp" {
				family = omni.ChannelWhatsApp
			}
			if key := a.PublicID + string(family) + address; address != "" && !d.families[key] {
				d.families[key] = true
				a.Channel(t, family, address, d.Group)
			}
		}
	}
	return d
}

// accountOf makes the account of a fixture's URL, if it is not there yet.
func (d *twilioDesk) accountOf(t *testing.T, f carriertest.Fixture, previous string) *Account {
	t.Helper()
	u, err := url.Parse(f.Request.URL)
	require.NoError(t, err)
	publicID := path.Base(u.Path)
	if a, ok := d.accounts[publicID]; ok {
		return a
	}
	token := f.Secret["authToken"]
	first := token
	if previous != "" {
		first = previous
	}
	a := d.Alpha.TwilioAccountAs(t, publicID, fixtureSID, first)
	if first != token { // the token is being changed: both are valid for a day
		res := d.Alpha.Call(t, http.MethodPatch, "/api/v1/carrier-accounts/"+a.ID,
			map[string]any{"credentials": map[string]string{"authToken": token}}, "If-Match", `"1"`)
		require.Equal(t, http.StatusOK, res.Status, "%s", res.Body)
		a.AuthToken = token
	}
	// REST gives accounts ids that nobody can guess; the fixtures are signed for names.
	rec, err := d.App.Store().CarrierAccount(t.Context(), omni.Org(d.Alpha.ID), a.ID)
	require.NoError(t, err)
	rec.PublicID = publicID
	_, err = d.App.Store().UpdateCarrierAccount(t.Context(), omni.Org(d.Alpha.ID), rec)
	require.NoError(t, err)
	a.PublicID = publicID
	a.WebhookURL = d.PublicURL + "/webhooks/twilio/" + publicID
	d.accounts[publicID] = a
	return a
}

// post plays a fixture against the running server, as it stands in the file.
func (d *twilioDesk) post(t *testing.T, f carriertest.Fixture) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), f.Request.Method, d.Local(f.Request.URL), strings.NewReader(f.Request.Body))
	require.NoError(t, err)
	for name, value := range f.Request.Headers {
		r.Header.Set(name, value)
	}
	res, err := d.HTTP().Do(r)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	var b bytes.Buffer
	_, err = b.ReadFrom(res.Body)
	require.NoError(t, err)
	return res.StatusCode, res.Header, b.String()
}

func text(e map[string]any, key string) string {
	s, _ := e[key].(string)
	return s
}

// Every fixture goes over HTTP into the running program; what agents then have is what the fixture says.
func TestTwilioFixturesOverHTTP(t *testing.T) {
	t.Parallel()
	for origin, fixtures := range twilioFixtures(t) {
		t.Run(origin, func(t *testing.T) {
			t.Parallel()
			playFixtures(t, newTwilioDesk(t, origin, fixtures), fixtures)
		})
	}
}

func playFixtures(t *testing.T, d *twilioDesk, fixtures []carriertest.Fixture) {
	ana := d.Ana.Connect(t)
	played := map[string]int{}
	for _, f := range fixtures {
		before := d.messages(t)
		var sent *wire.Message
		if len(f.Events) == 1 && f.Events[0]["kind"] == "status" {
			sent = d.sendFor(t, f)
			before = d.messages(t)
		}
		status, header, body := d.post(t, f)
		require.Equal(t, f.Response.Status, status, "%s: %s", f.Name, body)
		switch {
		case status == http.StatusForbidden || status == http.StatusUnauthorized:
			require.Empty(t, body, "%s: a refusal says nothing", f.Name)
		case status == http.StatusOK && f.Kind != "status":
			require.NotContains(t, body, "<Message", f.Name)
			if strings.Contains(body, "<") {
				require.Contains(t, header.Get("Content-Type"), "text/xml", f.Name)
			}
		}
		d.Drained(t)
		after := d.messages(t)
		for id := range before {
			delete(after, id)
		}
		for _, e := range f.Events {
			switch e["kind"] {
			case "message":
				d.checkMessage(t, f, e, after)
			case "status":
				d.checkStatus(t, ana, f, e, sent)
			default:
				require.Fail(t, "unknown kind of event", "%s: %v", f.Name, e["kind"])
			}
		}
		require.Empty(t, after, "%s: messages that the fixture does not speak of", f.Name)
		played[f.Kind]++
	}
	t.Logf("fixtures played over HTTP: %v", played)
}

// messages are all stored messages, by id.
func (d *twilioDesk) messages(t *testing.T) map[string]omni.ServiceMessage {
	t.Helper()
	all := map[string]omni.ServiceMessage{}
	tenant := omni.Org(d.Alpha.ID)
	groups, err := d.App.Store().Groups(t.Context(), tenant, store.Page{Limit: store.MaxPage})
	require.NoError(t, err)
	var ids []string
	for _, g := range groups.Items {
		ids = append(ids, g.ID)
	}
	its, err := d.App.Store().ListInteractions(t.Context(), tenant, store.InteractionFilter{GroupIDs: ids}, store.Page{Limit: store.MaxPage})
	require.NoError(t, err)
	require.Empty(t, its.Next)
	for _, it := range its.Items {
		ms, err := d.App.Store().ListMessages(t.Context(), tenant, it.ID, store.MessageWindow{Limit: store.MaxPage})
		require.NoError(t, err)
		for _, m := range ms {
			all[m.ID] = m
		}
	}
	return all
}

// checkMessage finds the message of a fixture's event among those that are new, and takes it out.
func (d *twilioDesk) checkMessage(t *testing.T, f carriertest.Fixture, e map[string]any, fresh map[string]omni.ServiceMessage) {
	t.Helper()
	for id, m := range fresh {
		if m.CarrierMessageID != text(e, "carrierMessageId") {
			continue
		}
		delete(fresh, id)
		require.Equal(t, omni.Inbound, m.Direction, f.Name)
		require.Equal(t, omni.CarrierTwilio, m.Channel.Carrier, f.Name)
		require.Equal(t, text(e, "channelType"), strings.ToLower(string(m.Channel.ChannelType)), f.Name)
		require.Equal(t, text(e, "from"), m.From.Address, f.Name)
		require.Equal(t, text(e, "to"), m.To.Address, f.Name)
		if m.Payload.Type != omni.PayloadLocation || text(e, "text") != "" { // a place without words has those of its name
			require.Equal(t, omni.CleanText(text(e, "text")), m.Payload.TextBody(), f.Name)
		}
		if name, ok := e["profileName"]; ok {
			require.Equal(t, name, m.From.Name, f.Name)
		}
		if button, ok := e["buttonPayload"]; ok {
			require.Equal(t, button, m.Payload.ButtonPayload, f.Name)
		}
		if segments, ok := e["segments"].(float64); ok {
			require.Equal(t, int(segments), m.Segments, f.Name)
		}
		media, _ := e["media"].([]any)
		files := m.Payload.Files()
		require.Len(t, files, len(media), f.Name)
		for i, want := range media {
			w, _ := want.(map[string]any)
			require.Equal(t, text(w, "url"), files[i].External.URL, f.Name)
			require.Equal(t, text(w, "contentType"), files[i].ContentType, f.Name)
		}
		if word, ok := e["optOut"].(string); ok && word == "STOP" {
			id, err := d.App.Store().IdentityByAddress(t.Context(), omni.Org(d.Alpha.ID), m.Channel.ChannelType.Family(), m.From.Address)
			require.NoError(t, err)
			require.Positive(t, id.OptedOutAt, "%s: the contact has opted out", f.Name)
		}
		return
	}
	require.Fail(t, "the fixture's message is not there", "%s: %v", f.Name, e)
}

// sendFor sends the message that a status fixture is about, so that it gets the carrier id that the fixture names.
func (d *twilioDesk) sendFor(t *testing.T, f carriertest.Fixture) *wire.Message {
	t.Helper()
	e := f.Events[0]
	u, err := url.Parse(f.Request.URL)
	require.NoError(t, err)
	acc := d.accounts[path.Base(u.Path)]
	family, to, from := omni.ChannelSMS, text(e, "to"), text(e, "from")
	if text(e, "channelType") == "whatsapp" {
		family = omni.ChannelWhatsApp
	}
	if from == "" {
		from = "+15005550006"
	}
	tenant := omni.Org(d.Alpha.ID)
	ch, err := d.App.Store().ChannelByAddress(t.Context(), tenant, acc.ID, family, from)
	require.NoError(t, err, f.Name)
	if family == omni.ChannelWhatsApp { // free text needs the contact to have written
		status, err := acc.Post(url.Values{
			"MessageSid": {NewSID()}, "AccountSid": {acc.SID}, "From": {"whatsapp:" + to}, "To": {"whatsapp:" + from},
			"Body": {"hello"}, "SmsStatus": {"received"}, "NumMedia": {"0"},
		})
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
		d.Drained(t)
	}
	if id, err := d.App.Store().IdentityByAddress(t.Context(), tenant, family, to); err == nil && id.OptedOutAt > 0 {
		status, err := acc.Post(acc.SMS(NewSID(), to, from, "START")) // another fixture had opted them out
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, status)
		d.Drained(t)
	}
	d.Twilio.NextSID(text(e, "carrierMessageId"))
	a := d.Alpha.Call(t, http.MethodPost, "/api/v1/messages", map[string]any{
		"channelId": ch.ID, "to": to, "clientId": NewClientID(), "payload": map[string]any{"text": "about " + f.Name},
	})
	require.Equal(t, http.StatusCreated, a.Status, "%s: %s", f.Name, a.Body)
	var m wire.Message
	a.JSON(t, &m)
	d.Drained(t)
	return &m
}

// checkStatus compares the message that was sent with what the fixture says of it.
func (d *twilioDesk) checkStatus(t *testing.T, ana *Client, f carriertest.Fixture, e map[string]any, sent *wire.Message) {
	t.Helper()
	m, err := d.App.Store().Message(t.Context(), omni.Org(d.Alpha.ID), sent.ID)
	require.NoError(t, err)
	require.Equal(t, text(e, "carrierMessageId"), m.CarrierMessageID, f.Name)
	require.Equal(t, text(e, "status"), string(m.Status), f.Name)
	require.Equal(t, text(e, "errorCode"), m.ErrorCode, f.Name)
	if m.Status != omni.StatusQueued {
		s := ana.ExpectStatus(t, sent.ID, m.Status)
		require.Equal(t, m.ErrorCode, s.ErrorCode, f.Name)
	}
}

// Every fixture's body, cut at each byte, signed as Twilio would sign it: acknowledged or refused, never a 5xx.
func TestX3_CutFixtures(t *testing.T) {
	t.Parallel()
	fixtures := twilioFixtures(t)[PublicURL]
	d := newTwilioDesk(t, PublicURL, fixtures)
	answers := map[int]int{}
	for _, f := range fixtures {
		if f.Request.Body == "" || f.Name == "inbound-sms-long-reassembled" || strings.Contains(f.Request.Headers["Content-Type"], "json") {
			continue
		}
		acc := d.accounts[path.Base(strings.SplitN(f.Request.URL, "?", 2)[0])]
		for cut := 0; cut < len(f.Request.Body); cut += 11 {
			body := f.Request.Body[:cut]
			form, err := url.ParseQuery(body)
			if err != nil {
				continue // Twilio's libraries cannot sign it
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.Local(acc.WebhookURL), strings.NewReader(body))
			require.NoError(t, err)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("X-Twilio-Signature", SignTwilio(acc.AuthToken, acc.WebhookURL, form))
			res, err := d.HTTP().Do(r)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Less(t, res.StatusCode, http.StatusInternalServerError, "%s cut at %d", f.Name, cut)
			answers[res.StatusCode]++
		}
	}
	d.Drained(t)
	require.NotEmpty(t, answers[http.StatusOK])
	t.Logf("answers to cut bodies: %v", answers)
}

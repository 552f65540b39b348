package inteliquent_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
	"omniservice/carriers/inteliquent"
	"omniservice/carriers/simulate"
	"omniservice/omni"
)

func text() omni.ServiceMessage {
	return omni.ServiceMessage{
		ID: messageID, Payload: omni.TextPayload("x"),
		Publish: &omni.PublishChannel{ChannelType: omni.ChannelSMS, Sender: "+15005550006", Target: omni.PublishIdentity{Address: "+14155550123"}},
	}
}

func play(t *testing.T, a carriers.Account) (carriers.Carrier, *carriertest.Desk, string) {
	t.Helper()
	d := carriertest.NewDesk(carriertest.Now)
	d.AddFile("cat", simulate.File{ContentType: "image/png", Body: []byte("a cat")})
	s := httptest.NewServer(inteliquent.Player{}.API(inteliquent.Player{}.Account(), d))
	t.Cleanup(s.Close)
	c, err := inteliquent.New().Open(a, carriers.Options{APIBase: s.URL, HTTP: s.Client(), Now: d.Now, WebhookURL: webhook})
	require.NoError(t, err)
	return c, d, s.URL
}

// events are what a carrier reads of a webhook that a Player made.
func events(t *testing.T, c carriers.Carrier, r *http.Request, err error) []omni.CarrierChannelEvent {
	t.Helper()
	require.NoError(t, err)
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	w := carriers.WebhookRequest{Method: r.Method, URL: r.URL.String(), Header: r.Header, Body: body, Now: carriertest.Now}
	require.NoError(t, c.Verify(w))
	p, err := c.Parse(w)
	require.NoError(t, err)
	require.Empty(t, p.Ignored)
	return p.Events
}

func TestPlayedMessages(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"digest", "hmac", "either", "header", "path"} {
		a := inteliquent.Player{}.Account()
		a.PublicID = publicID
		a.Config = maps.Clone(a.Config)
		a.Config["scheme"], a.Config["headerName"] = scheme, "X-Gateway-Token"
		a.Credentials["headerValue"] = []omni.Secret{omni.NewSecret(header)}
		c, d, base := play(t, a)
		result, err := c.Send(t.Context(), text())
		require.NoError(t, err)
		require.Len(t, d.Sent(), 1)
		require.Equal(t, carriers.SendResult{CarrierMessageID: d.Last().ID, Status: omni.StatusSent}, result)
		require.Equal(t, messageID, d.Last().Reference)
		require.Equal(t, "+14155550123", d.Last().To)

		in := simulate.Inbound{ChannelType: omni.ChannelSMS, From: "+14155550123", To: "+15005550006", Text: "Look", Files: []string{"cat"}, Base: base}
		r, err := inteliquent.Player{}.Inbound(a, webhook, in, d.Now())
		e := events(t, c, r, err)
		require.Len(t, e, 1)
		require.Equal(t, omni.ChannelMMS, e[0].ChannelType)
		get, err := http.NewRequestWithContext(t.Context(), http.MethodGet, e[0].Media[0].External.URL, http.NoBody)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(get)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, "a cat", string(body))

		for status, ok := range map[omni.Status]bool{
			omni.StatusQueued: false, omni.StatusSent: true, omni.StatusDelivered: true, omni.StatusRead: false, omni.StatusFailed: true, omni.StatusUndeliverable: true,
		} {
			r, err := inteliquent.Player{}.Report(a, webhook, d.Last(), simulate.Report{Status: status}, d.Now())
			if !ok {
				require.ErrorIs(t, err, omni.ErrInvalid)
				continue
			}
			e := events(t, c, r, err)
			require.Len(t, e, 1)
			require.Equal(t, status, e[0].Status)
			require.Equal(t, d.Last().ID, e[0].CarrierMessageID)
		}
	}
}

func TestPlayedConfiguration(t *testing.T) {
	t.Parallel()
	c, _, base := play(t, inteliquent.Player{}.Account())
	call := func(path, body string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/msgbroker/rest/"+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer simulated-outbound-51515151")
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	ok := func() (all []bool) {
		for _, check := range c.(carriers.Checker).Check(t.Context()) {
			all = append(all, check.OK)
		}
		return all
	}
	require.Equal(t, []bool{true, false}, ok(), "no webhook yet")
	call("configureAuthorization", `{"authorizations":[{"inboundAuth":true,"webhookUrl":"`+webhook+`","apiKey":"simulated-inbound-51515151"}]}`)
	require.Equal(t, []bool{true, true}, ok())
	call("removeAuthorization", `{"authorizations":[{"authId":"1"}]}`)
	require.Equal(t, []bool{true, false}, ok())
}

func TestPlayedRefusals(t *testing.T) {
	t.Parallel()
	c, d, base := play(t, inteliquent.Player{}.Account())
	for _, known := range []struct {
		verdict simulate.Verdict
		reason  omni.Reason
	}{
		{simulate.Verdict{Status: 200, Code: "INVALID_TN"}, omni.ReasonRejected},
		{simulate.Verdict{Status: 400}, omni.ReasonMalformed},
		{simulate.Verdict{Status: 401}, omni.ReasonMisconfigured},
		{simulate.Verdict{Status: 408}, omni.ReasonRejected},
		{simulate.Verdict{Status: 429}, omni.ReasonThrottled},
		{simulate.Verdict{Status: 500}, omni.ReasonUnknown},
		{simulate.Verdict{Status: 503}, omni.ReasonUnreachable},
	} {
		d.Refuse(known.verdict)
		_, err := c.Send(t.Context(), text())
		var e *carriers.SendError
		require.ErrorAs(t, err, &e)
		require.Equal(t, known.reason, e.Reason, known)
	}
	a := inteliquent.Player{}.Account()
	a.Credentials["outboundKey"] = []omni.Secret{omni.NewSecret("another")}
	other, err := inteliquent.New().Open(a, carriers.Options{APIBase: base})
	require.NoError(t, err)
	_, err = other.Send(t.Context(), text())
	require.ErrorContains(t, err, "misconfigured")
	require.Empty(t, d.Sent())
}

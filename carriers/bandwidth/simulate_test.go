package bandwidth_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/bandwidth"
	"omniservice/carriers/carriertest"
	"omniservice/carriers/simulate"
	"omniservice/omni"
)

func play(t *testing.T, change func(a carriers.Account)) (carriers.Carrier, *carriertest.Desk, string) {
	t.Helper()
	a, d := bandwidth.Player{}.Account(), carriertest.NewDesk(carriertest.Now)
	if change != nil {
		change(a)
	}
	d.AddFile("cat", simulate.File{ContentType: "image/png", Body: []byte("a cat")})
	s := httptest.NewServer(bandwidth.Player{}.API(a, d))
	t.Cleanup(s.Close)
	c, err := bandwidth.New().Open(a, carriers.Options{APIBase: s.URL, HTTP: s.Client(), Now: d.Now})
	require.NoError(t, err)
	return c, d, s.URL
}

func oauth(a carriers.Account) {
	a.Config["clientId"] = "client"
	a.Credentials["clientSecret"] = []omni.Secret{omni.NewSecret(clientSecret)}
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
	for _, login := range []func(carriers.Account){nil, oauth} {
		c, d, base := play(t, login)
		result, err := c.Send(t.Context(), text("+15005550006"))
		require.NoError(t, err)
		require.Len(t, d.Sent(), 1)
		s := d.Last()
		require.Equal(t, carriers.SendResult{CarrierMessageID: s.ID, Status: omni.StatusQueued, Segments: 1}, result)
		require.Equal(t, messageID, s.Reference)
		require.Equal(t, "+14155550123", s.To)
		for _, check := range c.(carriers.Checker).Check(t.Context()) {
			require.True(t, check.OK, check.Detail)
		}

		in := simulate.Inbound{ChannelType: omni.ChannelSMS, From: "+14155550123", To: "+15005550006", Text: "Look", Files: []string{"cat"}, Base: base}
		r, err := bandwidth.Player{}.Inbound(bandwidth.Player{}.Account(), "https://gw.example.test/w", in, d.Now())
		e := events(t, c, r, err)
		require.Len(t, e, 1)
		require.Equal(t, omni.ChannelMMS, e[0].ChannelType)
		f, err := c.(carriers.MediaFetcher).MediaRequest(t.Context(), e[0].Media[0])
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(f)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, "a cat", string(body))
	}
}

func TestPlayedReports(t *testing.T) {
	t.Parallel()
	c, d, _ := play(t, nil)
	_, err := c.Send(t.Context(), text("+15005550006"))
	require.NoError(t, err)
	for _, known := range []struct {
		status omni.Status
		code   string
		want   string // the code that comes; "-": cannot be reported
	}{
		{omni.StatusQueued, "", ""},
		{omni.StatusSent, "", ""},
		{omni.StatusSent, "9902", "9902"},
		{omni.StatusDelivered, "", ""},
		{omni.StatusFailed, "", ""},
		{omni.StatusFailed, "5600", "5600"},
		{omni.StatusFailed, "4750", "-"},
		{omni.StatusFailed, "9902", "-"},
		{omni.StatusFailed, "none", "-"},
		{omni.StatusUndeliverable, "", "4750"},
		{omni.StatusUndeliverable, "4775", "4775"},
		{omni.StatusUndeliverable, "5600", "-"},
		{omni.StatusRead, "", "-"},
	} {
		report := simulate.Report{Status: known.status, Code: known.code}
		r, err := bandwidth.Player{}.Report(bandwidth.Player{}.Account(), "https://gw.example.test/w", d.Last(), report, d.Now())
		if known.want == "-" {
			require.ErrorIs(t, err, omni.ErrInvalid, known)
			continue
		}
		e := events(t, c, r, err)
		require.Len(t, e, 1)
		require.Equal(t, known.status, e[0].Status, known)
		require.Equal(t, known.want, e[0].ErrorCode, known)
		require.Equal(t, messageID, e[0].ClientReference)
	}
}

func TestPlayedRefusals(t *testing.T) {
	t.Parallel()
	c, d, base := play(t, nil)
	for status, want := range map[int]omni.Reason{
		400: omni.ReasonMalformed, 401: omni.ReasonMisconfigured, 403: omni.ReasonMisconfigured, 415: omni.ReasonMalformed,
		429: omni.ReasonThrottled, 500: omni.ReasonUnknown, 503: omni.ReasonUnreachable,
	} {
		d.Refuse(simulate.Verdict{Status: status})
		_, err := c.Send(t.Context(), text("+15005550006"))
		require.Equal(t, want, reason(t, err), status)
	}
	d.Refuse(simulate.Verdict{Status: 400, Code: "4775"})
	_, err := c.Send(t.Context(), text("+15005550006"))
	require.Equal(t, omni.ReasonOptedOut, reason(t, err))
	for name, change := range map[string]func(a carriers.Account){
		"API password":  func(a carriers.Account) { a.Credentials["apiPassword"] = []omni.Secret{omni.NewSecret("another")} },
		"account":       func(a carriers.Account) { a.Config["accountId"] = "9900001" },
		"application":   func(a carriers.Account) { a.Config["applicationId"] = application },
		"client secret": oauth,
	} {
		a := bandwidth.Player{}.Account()
		change(a)
		other, err := bandwidth.New().Open(a, carriers.Options{APIBase: base})
		require.NoError(t, err)
		_, err = other.Send(t.Context(), text("+15005550006"))
		require.False(t, reason(t, err).Retryable(), name)
	}
	require.Empty(t, d.Sent())
}

package messagebird_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
	"omniservice/carriers/messagebird"
	"omniservice/carriers/simulate"
	"omniservice/omni"
)

// received is a request as the gateway gets it.
func received(t *testing.T, r *http.Request) carriers.WebhookRequest {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return carriers.WebhookRequest{Method: r.Method, URL: r.URL.String(), Header: r.Header, Body: body, Now: vectorTime}
}

func TestPlayer(t *testing.T) {
	t.Parallel()
	for _, product := range []string{"sms", "mms", "conversations", "bird"} {
		for _, scheme := range []string{"", "jwt", "legacy", "bird", "none"} {
			if scheme == "bird" && product != "bird" {
				continue // Bird signs its own webhooks alone
			}
			t.Run(product+" "+scheme, func(t *testing.T) {
				t.Parallel()
				p := messagebird.Player{Product: product}
				a := p.Account()
				a.Config["scheme"] = scheme
				if scheme == "none" {
					a.Credentials["urlSecret"] = []omni.Secret{omni.NewSecret(inURL)}
				}
				d := carriertest.NewDesk(vectorTime)
				d.AddFile("f1", simulate.File{ContentType: "image/png", Body: []byte("f1")})
				api := httptest.NewServer(p.API(a, d))
				t.Cleanup(api.Close)
				c, err := messagebird.New().Open(a, carriers.Options{APIBase: api.URL, WebhookURL: webhook})
				require.NoError(t, err)
				for _, family := range []omni.ChannelType{omni.ChannelSMS, omni.ChannelWhatsApp} {
					if p.Address(family) != "" {
						playFamily(t, p, a, c, d, api.URL, family)
					}
				}
				for _, one := range c.(carriers.Checker).Check(t.Context()) {
					require.True(t, one.OK, one.Detail)
				}
			})
		}
	}
}

func playFamily(t *testing.T, p messagebird.Player, a carriers.Account, c carriers.Carrier, d *carriertest.Desk, base string, family omni.ChannelType) {
	ours, theirs := p.Address(family), p.Customer(family)
	parse := func(r *http.Request, err error) omni.CarrierChannelEvent {
		require.NoError(t, err)
		w := received(t, r)
		require.NoError(t, c.Verify(w))
		got, err := c.Parse(w)
		require.NoError(t, err)
		require.Len(t, got.Events, 1)
		return got.Events[0]
	}
	in := simulate.Inbound{ChannelType: family, From: theirs, To: ours, Text: "hi & 👋", Base: base, ProfileName: "Ada"}
	e := parse(p.Inbound(a, webhook, in, vectorTime))
	require.Equal(t, []string{theirs, ours, in.Text, string(family)}, []string{e.From, e.To, e.Text, string(e.ChannelType)})

	in.Files = []string{"f1"}
	e = parse(p.Inbound(a, webhook, in, vectorTime))
	require.Len(t, e.Media, 1)
	r, err := c.(carriers.MediaFetcher).MediaRequest(t.Context(), e.Media[0])
	require.NoError(t, err)
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "f1", string(body))

	m := message("hello")
	m.Publish.ChannelType, m.Publish.Sender, m.Publish.Target.Address = family, ours, theirs
	result, err := c.Send(t.Context(), m)
	require.NoError(t, err)
	sent := d.Last()
	require.Equal(t, []string{m.ID, ours, theirs, "hello", string(family)}, []string{sent.Reference, sent.From, sent.To, sent.Text, string(sent.ChannelType)})
	require.Equal(t, result.CarrierMessageID, sent.ID)

	e = parse(p.Report(a, webhook, sent, simulate.Report{Status: omni.StatusUndeliverable, Code: "103"}, vectorTime))
	require.Equal(t, omni.ReasonOptedOut, e.Reason)
	require.Equal(t, m.ID, e.ClientReference)
	require.Equal(t, sent.ID, e.CarrierMessageID)
	e = parse(p.Report(a, webhook, sent, simulate.Report{Status: omni.StatusDelivered}, vectorTime))
	require.Equal(t, omni.StatusDelivered, e.Status)

	d.Refuse(simulate.Verdict{Status: http.StatusTooManyRequests, RetryAfter: 3})
	_, err = c.Send(t.Context(), m)
	var failed *carriers.SendError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, omni.ReasonThrottled, failed.Reason)
	require.Equal(t, 3, failed.RetryAfter)

	for _, bad := range []simulate.Inbound{
		{ChannelType: omni.ChannelPubNub, From: theirs, To: ours, Text: "a"},
		{ChannelType: family, From: theirs, To: ours, Text: "a", ReplyTo: "1", Reaction: "👍"},
		{ChannelType: family, To: ours, Text: "a"},
		{ChannelType: family, From: theirs, To: ours},
	} {
		_, err := p.Inbound(a, webhook, bad, vectorTime)
		require.ErrorIs(t, err, omni.ErrInvalid)
	}
	_, err = p.Report(a, webhook, sent, simulate.Report{Status: "teleported"}, vectorTime)
	require.ErrorIs(t, err, omni.ErrInvalid)
}

func TestPlayerRefusesAnotherKey(t *testing.T) {
	t.Parallel()
	p := messagebird.Player{}
	api := httptest.NewServer(p.API(p.Account(), carriertest.NewDesk(vectorTime)))
	t.Cleanup(api.Close)
	a := p.Account()
	a.Credentials["accessKey"] = []omni.Secret{omni.NewSecret("another")}
	c, err := messagebird.New().Open(a, carriers.Options{APIBase: api.URL})
	require.NoError(t, err)
	_, err = c.Send(t.Context(), message("hi"))
	var failed *carriers.SendError
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "2", failed.Code)
	require.Equal(t, omni.ReasonMisconfigured, failed.Reason)
	require.False(t, c.(carriers.Checker).Check(t.Context())[0].OK)
}

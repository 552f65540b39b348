package carriertest_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
	"omniservice/omni"
)

func fixture() carriertest.Fixture {
	return carriertest.Fixture{
		Name: "x",
		Request: carriertest.Request{
			Method: "POST", URL: "https://gw.example.test:8443/webhooks/test/abc?a=%2F+b", Headers: map[string]string{"X-Sig": "1"}, Body: "body",
		},
		Events: []map[string]any{{
			"kind": "message", "direction": "inbound", "carrier": "test", "channelType": "sms", "carrierMessageId": "1", "from": "+1", "to": "+2",
			"text": "a", "media": []any{map[string]any{"url": "https://x.test/1"}}, "status": "", "errorCode": "", "replyTo": "", "reaction": "",
		}},
	}
}

func TestHTTPRequest(t *testing.T) {
	t.Parallel()
	f := fixture()
	require.Equal(t, "https://gw.example.test:8443", f.Origin())
	r := f.HTTPRequest(t, "http://127.0.0.1:1")
	require.Equal(t, "http://127.0.0.1:1/webhooks/test/abc?a=%2F+b", r.URL.String())
	require.Equal(t, "1", r.Header.Get("X-Sig"))
	body, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, "body", string(body))
}

func TestCheckEventsFindsWhatDiffers(t *testing.T) {
	t.Parallel()
	event := func() omni.CarrierChannelEvent {
		return omni.CarrierChannelEvent{
			Kind: omni.EventMessage, Direction: omni.Inbound, Carrier: omni.CarrierTest, ChannelType: omni.ChannelSMS,
			CarrierMessageID: "1", From: "+1", To: "+2", Text: "a", Segments: 3,
			Media: []omni.MediaReference{{External: omni.ExternalRef{URL: "https://x.test/1"}}},
		}
	}
	check := func(f carriertest.Fixture, events ...omni.CarrierChannelEvent) error { return f.CheckEvents(events) }
	require.NoError(t, check(fixture(), event()), "segments are told, but not in the fixture")

	f := fixture()
	f.Events[0]["segments"] = 2.
	require.ErrorContains(t, check(f, event()), "segments is 3, not 2")
	f = fixture()
	delete(f.Events[0], "reaction")
	require.ErrorContains(t, check(f, event()), "lacks reaction")
	f = fixture()
	f.Events[0]["brandNew"] = "x"
	require.ErrorContains(t, check(f, event()), "brandNew")

	require.ErrorContains(t, check(fixture()), "0 events, not 1")
	for name, change := range map[string]func(e *omni.CarrierChannelEvent){
		"text is":      func(e *omni.CarrierChannelEvent) { e.Text = "b" },
		"media is":     func(e *omni.CarrierChannelEvent) { e.Media = nil },
		"direction is": func(e *omni.CarrierChannelEvent) { e.Direction = omni.Outbound },
		"not valid":    func(e *omni.CarrierChannelEvent) { e.From = "" },
	} {
		e := event()
		change(&e)
		require.ErrorContains(t, check(fixture(), e), name)
	}
}

func TestAuthentic(t *testing.T) {
	t.Parallel()
	f := fixture()
	require.True(t, f.Authentic())
	for name, authentic := range map[string]bool{
		carriers.BadSignature: false, carriers.MissingCredentials: false, carriers.MalformedBody: true, carriers.UnknownEvent: true,
	} {
		f.Error = &carriertest.FixtureError{Name: name}
		require.Equal(t, authentic, f.Authentic(), name)
	}
}

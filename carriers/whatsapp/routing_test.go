package whatsapp_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
	"omniservice/carriers/whatsapp"
	"omniservice/omni"
)

func TestEnvMapping(t *testing.T) {
	t.Parallel()
	good := whatsapp.EnvMapping{WABAID: "220000000000031", Environment: "Staging", URL: "https://staging.example.test/webhooks/whatsapp/x", Enabled: true}
	require.NoError(t, good.Validate())
	here := good
	here.URL = ""
	require.NoError(t, here.Validate())
	for field, change := range map[string]func(m *whatsapp.EnvMapping){
		"wabaId":      func(m *whatsapp.EnvMapping) { m.WABAID = "x" },
		"environment": func(m *whatsapp.EnvMapping) { m.Environment = "a\nb" },
		"url":         func(m *whatsapp.EnvMapping) { m.URL = "http://staging.example.test" },
	} {
		m := good
		change(&m)
		var p *omni.Problem
		require.ErrorAs(t, m.Validate(), &p)
		require.ErrorIs(t, p, omni.ErrInvalid)
		require.Contains(t, p.Fields, field)
	}
}

// What a webhook's changes say each for itself is what they say together.
func TestRoutingMessagesSayTheSame(t *testing.T) {
	t.Parallel()
	c := open(t)
	for _, f := range carriertest.Fixtures(t, "testdata/webhook") {
		if f.Kind == "handshake" || f.Kind == "signature" {
			continue
		}
		r := f.Webhook()
		whole, err := c.Parse(r)
		parts, err2 := whatsapp.RoutingMessages(r, messID, 7)
		require.Equal(t, err == nil, err2 == nil, f.Name)
		var events []omni.CarrierChannelEvent
		for _, m := range parts {
			require.Equal(t, messID, m.NotificationID)
			require.Equal(t, omni.Millis(7), m.ReceivedAt)
			require.Equal(t, r.Header.Get("X-Hub-Signature-256"), m.Signature)
			p, err := c.Parse(carriers.WebhookRequest{Method: http.MethodPost, Body: []byte(m.Payload)})
			require.NoError(t, err, f.Name)
			events = append(events, p.Events...)
		}
		require.Len(t, events, len(whole.Events), f.Name)
		for i, e := range whole.Events {
			require.Equal(t, e, events[i], f.Name)
		}
		if f.Name == "batch-two-entries-three-messages-two-statuses" {
			require.Len(t, parts, 3)
			require.Equal(t, "220000000000032", parts[2].WABAID)
			require.Equal(t, "310000000000018", parts[2].PhoneNumberID)
			require.Equal(t, "messages", parts[2].Field)
		}
	}
}

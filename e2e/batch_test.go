package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/app"
	"omniservice/carriers/carriertest"
	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
)

// whatsAppBatch is one webhook of Meta's that brings n messages, from so many people in turn.
func whatsAppBatch(t *testing.T, n, people int) carriertest.Fixture {
	t.Helper()
	type object = map[string]any
	f := carriertest.Fixture{
		Name: "batch", Kind: "message", Response: carriertest.Response{Status: http.StatusOK},
		Secret: map[string]string{"appSecret": "meta-app-secret-001", "verifyToken": "karibu-omni-2026"},
	}
	var messages []object
	for i := range n {
		from, text := fmt.Sprintf("2547112%05d", i%people), fmt.Sprintf("message %d", i)
		messages = append(messages, object{
			"from": from, "id": fmt.Sprintf("wamid.BATCH%03d", i), "timestamp": "1763800001", "type": "text", "text": object{"body": text},
		})
		f.Events = append(f.Events, object{
			"kind": "message", "direction": "inbound", "carrier": "whatsapp", "channelType": "whatsapp",
			"carrierMessageId": fmt.Sprintf("wamid.BATCH%03d", i), "from": "+" + from, "to": "+254700100200", "text": text,
			"media": []any{}, "status": "", "errorCode": "", "replyTo": "", "reaction": "",
		})
	}
	body, err := json.Marshal(object{"object": "whatsapp_business_account", "entry": []object{{"id": "220000000000031", "changes": []object{{
		"field": "messages", "value": object{
			"messaging_product": "whatsapp", "metadata": object{"display_phone_number": "254700100200", "phone_number_id": "310000000000017"},
			"messages": messages,
		},
	}}}}})
	require.NoError(t, err)
	mac := hmac.New(sha256.New, []byte(f.Secret["appSecret"]))
	mac.Write(body)
	f.Request = carriertest.Request{Method: http.MethodPost, URL: PublicURL, Body: string(body), Headers: map[string]string{
		"Content-Type": "application/json", "X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil)),
	}}
	return f
}

// A hundred messages that come in one webhook are made durable by one write, or none of them is: then Meta brings all again. All
// of them reach their conversations, each once.
func TestABatchIsOneWrite(t *testing.T) {
	t.Parallel()
	const n, people = 100, 20
	played := app.PlayedProviders()
	p := played[slices.IndexFunc(played, func(p app.Played) bool { return p.Provider.Name() == omni.CarrierWhatsApp })]
	f, c := whatsAppBatch(t, n, people), fixtureCarriers[omni.CarrierWhatsApp]
	s := newFixtureStage(t, p, c, c.group(t, []carriertest.Fixture{f})[0])
	before := s.inbox.writes
	s.play(t, f)
	require.Equal(t, before+1, s.inbox.writes)
	s.play(t, f) // as Meta does
	require.Equal(t, before+2, s.inbox.writes)
	s.Drained(t)

	got := Refetch(t, s.Ana)
	require.Len(t, got.Texts, n)
	for text, times := range got.Texts {
		require.Equal(t, 1, times, text)
	}
}

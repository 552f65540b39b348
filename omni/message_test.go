package omni_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

func file(id string, typ omni.MediaType) omni.MediaReference {
	return omni.MediaReference{Type: typ, State: omni.MediaPending, External: omni.ExternalRef{ID: id}}
}

func TestNewPayload(t *testing.T) {
	t.Parallel()
	img1, img2, pdf := file("1", omni.MediaImage), file("2", omni.MediaImage), file("3", omni.MediaDocument)
	tests := []struct {
		name  string
		text  string
		files []omni.MediaReference
		want  omni.MessagePayload
	}{
		{"text", "hello", nil, omni.MessagePayload{Type: omni.PayloadText, Text: &omni.TextMessage{Body: "hello"}}},
		{"nothing", "", nil, omni.MessagePayload{Type: omni.PayloadText, Text: &omni.TextMessage{}}},
		{"image", "", []omni.MediaReference{img1}, omni.MessagePayload{
			Type: omni.PayloadImage, Image: &omni.ImageMessage{References: []omni.MediaReference{img1}},
		}},
		{"images and text", "look", []omni.MediaReference{img1, img2}, omni.MessagePayload{
			Type: omni.PayloadImage, Text: &omni.TextMessage{Body: "look"},
			Image: &omni.ImageMessage{References: []omni.MediaReference{img1, img2}},
		}},
		{"image and another", "", []omni.MediaReference{img1, pdf}, omni.MessagePayload{
			Type: omni.PayloadMedia, Media: []omni.MediaMessage{
				{Type: omni.MediaImage, Reference: img1}, {Type: omni.MediaDocument, Reference: pdf},
			},
		}},
		{"file and text", "see", []omni.MediaReference{pdf}, omni.MessagePayload{
			Type: omni.PayloadMedia, Text: &omni.TextMessage{Body: "see"},
			Media: []omni.MediaMessage{{Type: omni.MediaDocument, Reference: pdf}},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := omni.NewPayload(tt.text, tt.files)
			require.Equal(t, tt.want, p)
			require.NoError(t, p.Validate())
			require.Equal(t, tt.text, p.TextBody())
			require.Equal(t, tt.files, p.Files())
		})
	}
	require.Empty(t, omni.MessagePayload{Type: omni.PayloadUnsupported, Unsupported: "poll"}.TextBody())
	require.Equal(t, omni.NewPayload("x", nil), omni.TextPayload("x"))
}

func TestPreview(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, want string }{
		"short":        {"hello", "hello"},
		"empty":        {"", ""},
		"one line":     {" a\r\n\tb\u202e ", "a b"},
		"just fits":    {strings.Repeat("é", 120), strings.Repeat("é", 120)},
		"too long":     {strings.Repeat("é", 121), strings.Repeat("é", 119) + "…"},
		"much too big": {strings.Repeat("é", 60000), strings.Repeat("é", 119) + "…"},
	}
	for name, tt := range tests {
		got := omni.ServiceMessage{Payload: omni.TextPayload(tt.text)}.Preview()
		require.Equal(t, tt.want, got, name)
		require.LessOrEqual(t, utf8.RuneCountInString(got), 120)
	}
	require.Empty(t, omni.ServiceMessage{Payload: omni.NewPayload("", []omni.MediaReference{file("1", omni.MediaImage)})}.Preview())
}

func TestEventContact(t *testing.T) {
	t.Parallel()
	e := omni.CarrierChannelEvent{From: "theirs", To: "ours", Direction: omni.Inbound}
	require.Equal(t, "theirs", e.Contact())
	e = omni.CarrierChannelEvent{From: "ours", To: "theirs", Direction: omni.Outbound, Kind: omni.EventStatus}
	require.Equal(t, "theirs", e.Contact())
}

// TestJSONRoundTrip: a record that was written is read back the same, and embedded parts stand on the same level.
func TestJSONRoundTrip(t *testing.T) {
	t.Parallel()
	m := validMessage()
	m.Payload = omni.NewPayload("see", []omni.MediaReference{validFile()})
	m.StatusHistory = []omni.DeliveryStatus{{
		DeliveryStatusMessage: omni.DeliveryStatusMessage{CarrierMessageID: "SM1", Status: omni.StatusSent}, ReceivedAt: 7,
	}}
	m.Publish = &omni.PublishChannel{DigitalChannelID: idA, ChannelType: omni.ChannelMMS, Target: omni.PublishIdentity{Address: "+2"}}
	m.WorkflowSteps = []omni.WorkflowSteps{{Name: "identity", Result: omni.WorkflowSuccess, At: 5, Micros: 12}}
	b, err := json.Marshal(m)
	require.NoError(t, err)
	require.Contains(t, string(b), `"statusHistory":[{"carrierMessageId":"SM1","status":"sent","receivedAt":7}]`)
	require.Contains(t, string(b), `"schemaVersion":{"version":1,"date":"20`)
	var back omni.ServiceMessage
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, m, back)

	b, err = json.Marshal(omni.LiveChatPayload{LiveChatMessage: omni.LiveChatMessage{ClientID: idA}, Text: "hi"})
	require.NoError(t, err)
	require.Equal(t, `{"clientId":"`+idA+`","text":"hi"}`, string(b)) //nolint:testifylint // byte for byte
}

// TestWhatJSONNeverShows: hashes and sealed credentials leave only through the store.
func TestWhatJSONNeverShows(t *testing.T) {
	t.Parallel()
	for _, v := range []any{
		omni.User{PasswordHash: canary},
		omni.Session{RefreshHash: canary, PreviousHashes: []string{canary}},
		omni.APIKey{Hash: canary},
		omni.OneTimeToken{Hash: canary},
		omni.CarrierAccount{Credentials: map[string][]omni.SealedSecret{canary: {{KeyID: canary, Hint: canary}}}},
	} {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		require.NotContains(t, string(b), canary, "%T", v)
	}
}

func TestMetadataHoldsNoMoreThanItMay(t *testing.T) {
	t.Parallel()
	var m omni.Metadata
	m.Set("empty", "")
	require.Nil(t, m)
	m.Set("long", "a"+strings.Repeat("é", 4096))
	require.Equal(t, "a"+strings.Repeat("é", 2047), m["long"], "no character is cut in two")
	for i := range 100 {
		m.Set(strings.Repeat("k", i%60+1), "x")
	}
	require.NoError(t, m.Validate())
	require.Len(t, m, 32)
}

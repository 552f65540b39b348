package wire_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
)

const (
	id1 = "019c1f2e-8a3b-7c10-9d55-2f6a1b0c4e77"
	at  = omni.Millis(1763800001123)
)

func message() omni.ServiceMessage {
	return omni.ServiceMessage{
		ID: id1, Tenant: omni.Org(id1), InteractionID: id1, Sequence: 9999, Direction: omni.Inbound, ContactID: id1,
		Channel: omni.ReceivedChannel{
			DigitalChannelID: id1, ChannelType: omni.ChannelWhatsApp, Carrier: omni.CarrierTwilio, Address: "+15550100", SenderType: omni.SenderContact,
		},
		From:    omni.Identity{ChannelType: omni.ChannelWhatsApp, Address: "+15551230001", Name: "Ana Ruiz"},
		To:      omni.Identity{ChannelType: omni.ChannelWhatsApp, Address: "+15550100"},
		Payload: omni.TextPayload("hello"), CarrierMessageID: "SM1f0e8ae6ade43cb3c0ce4525424e404f",
		WorkflowSteps: []omni.WorkflowSteps{{Name: "identity", Result: omni.WorkflowSuccess}},
		ReceivedAt:    at, CreatedAt: at, SchemaVersion: omni.CurrentSchema,
	}
}

func answer() omni.ServiceMessage {
	m := message()
	m.Direction, m.Tenant.UserID, m.ClientID = omni.Outbound, id1, id1
	m.Status, m.StatusAt = omni.StatusQueued, at
	return m
}

// TestMessageIsSmallOnTheWire (PF14): a chat message costs at most 400 bytes beside its text. An agent's answer, which
// also says who wrote it and carries its sender's own id, is let go over that by what those two cost.
func TestMessageIsSmallOnTheWire(t *testing.T) {
	t.Parallel()
	visitors := message()
	visitors.Channel.ChannelType, visitors.ClientID = omni.ChannelLiveChat, id1
	seen := wire.NewMessage(answer())
	tests := []struct {
		name  string
		typ   string
		topic string
		data  any
		limit int
	}{
		{"a contact's message", wire.MessageCreated, omni.GroupTopic(id1), wire.NewMessage(message()), 400},
		{"a visitor's message", wire.MessageCreated, omni.GroupTopic(id1), wire.NewMessage(visitors), 400},
		{"an agent's answer", wire.MessageCreated, omni.GroupTopic(id1), wire.NewMessage(answer()), 460},
		{"an agent's answer, to the visitor", wire.MessageCreated, omni.VisitorTopic(id1), wire.VisitorMessage{
			ID: seen.ID, Seq: seen.Seq, Direction: seen.Direction, SenderName: "Ana Ruiz", Payload: seen.Payload,
			ClientID: seen.ClientID, Status: seen.Status, At: seen.At,
		}, 400},
		{"a delivery", wire.MessageStatus, omni.GroupTopic(id1), wire.StatusChange{
			MessageID: id1, InteractionID: id1, Status: omni.StatusDelivered, At: at,
		}, 400},
		{"the longest emoji", wire.MessageReaction, omni.GroupTopic(id1), wire.ReactionChange{
			MessageID: id1, InteractionID: id1,
			Reaction: wire.Reaction{SenderType: omni.SenderContact, SenderID: id1, Emoji: "👩🏿‍❤️‍💋‍👩🏽", At: at},
		}, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data, err := json.Marshal(tt.data)
			require.NoError(t, err)
			frame, err := json.Marshal(wire.Event{Type: tt.typ, Topic: tt.topic, Offset: 9_999_999, At: at, Data: data})
			require.NoError(t, err)
			cost := len(frame) - strings.Count(string(frame), "hello")*len("hello")
			t.Logf("%d bytes", cost)
			require.LessOrEqual(t, cost, tt.limit, string(frame))
		})
	}
}

// fill sets every string in v to a word that names its place, every number to 7 and every flag to true.
func fill(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("at:" + path)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), path)
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value, path)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), value)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if name == "" {
					name = f.Name
				}
				fill(v.Field(i), path+"."+name)
			}
		}
	default: // nothing else is in a model that clients see
	}
}

var place = regexp.MustCompile(`at:[\w.]+`)

// TestNothingStoredGetsOutByAccident fills every field of a stored record and looks which of them clients see. A new
// field shows up here only if somebody decided that clients may see it.
func TestNothingStoredGetsOutByAccident(t *testing.T) {
	t.Parallel()
	var m omni.ServiceMessage
	fill(reflect.ValueOf(&m).Elem(), "message")
	m.DeletedAt = 0
	var i omni.Interaction
	fill(reflect.ValueOf(&i).Elem(), "interaction")
	tests := map[string]struct {
		view any
		want []string
	}{
		"message": {wire.NewMessage(m), []string{
			"message.channel.channelType", "message.clientId", "message.direction", "message.errorCode", "message.id",
			"message.interactionId", "message.metadata", "message.payload.buttonPayload",
			"message.payload.contacts.emails", "message.payload.contacts.name", "message.payload.contacts.organisation", "message.payload.contacts.phones",
			"message.payload.image.references.contentType", "message.payload.image.references.failure",
			"message.payload.image.references.fileName", "message.payload.image.references.id",
			"message.payload.image.references.state", "message.payload.image.references.type",
			"message.payload.interactive.button", "message.payload.interactive.choices.description", "message.payload.interactive.choices.id",
			"message.payload.interactive.choices.section", "message.payload.interactive.choices.title", "message.payload.interactive.footer",
			"message.payload.interactive.header", "message.payload.interactive.type", "message.payload.interactive.url",
			"message.payload.location.address", "message.payload.location.name",
			"message.payload.media.reference.contentType", "message.payload.media.reference.failure",
			"message.payload.media.reference.fileName", "message.payload.media.reference.id",
			"message.payload.media.reference.state", "message.payload.media.reference.type",
			"message.payload.template.components.parameters.file.contentType", "message.payload.template.components.parameters.file.failure",
			"message.payload.template.components.parameters.file.fileName", "message.payload.template.components.parameters.file.id",
			"message.payload.template.components.parameters.file.state", "message.payload.template.components.parameters.file.type",
			"message.payload.template.language", "message.payload.template.name", "message.payload.template.templateId",
			"message.payload.text.body", "message.payload.type", "message.payload.unsupported",
			"message.reason", "message.replyTo", "message.status", "message.tenant.userId",
		}},
		"interaction": {wire.NewInteraction(i), []string{
			"interaction.channelType", "interaction.contactAddress", "interaction.contactId", "interaction.contactName",
			"interaction.digitalChannelId", "interaction.folderId", "interaction.groupId", "interaction.id",
			"interaction.labelIds", "interaction.lastDirection", "interaction.lastPreview", "interaction.owner.id", "interaction.owner.type",
			"interaction.state",
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := json.Marshal(tt.view)
			require.NoError(t, err)
			found := map[string]bool{}
			for _, p := range place.FindAllString(string(b), -1) {
				found[strings.TrimPrefix(p, "at:")] = true
			}
			require.Equal(t, tt.want, slices.Sorted(maps.Keys(found)))
		})
	}
}

// TestViewsFillEveryField: what a view can say, it says, when the record holds it.
func TestViewsFillEveryField(t *testing.T) {
	t.Parallel()
	var m omni.ServiceMessage
	fill(reflect.ValueOf(&m).Elem(), "message")
	m.Reason, m.StatusAt, m.DeletedAt = omni.ReasonRejected, 8, 0
	m.StatusHistory = []omni.DeliveryStatus{{DeliveryStatusMessage: omni.DeliveryStatusMessage{Status: omni.StatusQueued}}}
	var i omni.Interaction
	fill(reflect.ValueOf(&i).Elem(), "interaction")
	message := wire.NewMessage(m)
	gone := m
	gone.DeletedAt = 9
	require.Equal(t, wire.Payload{Type: m.Payload.Type}, wire.NewMessage(gone).Payload, "nothing of what was taken back")
	require.EqualValues(t, 9, wire.NewMessage(gone).DeletedAt)
	require.Empty(t, wire.NewMessage(gone).Metadata)
	message.DeletedAt = 9
	message.Reactions = wire.NewReactions([]omni.Reaction{{MessageID: m.ID}})[m.ID] // stored beside it
	var r omni.Reaction
	fill(reflect.ValueOf(&r).Elem(), "reaction")
	for _, view := range []any{message, message.Payload, wire.NewReactions([]omni.Reaction{r})[r.MessageID][0], wire.NewInteraction(i)} {
		v := reflect.ValueOf(view)
		for n := range v.NumField() {
			require.False(t, v.Field(n).IsZero(), "%T.%s", view, v.Type().Field(n).Name)
		}
	}
	f := reflect.ValueOf(wire.NewMessage(m).Payload.Files[0])
	for n := range f.NumField() {
		if name := f.Type().Field(n).Name; name != "URL" && name != "URLUntil" { // signed only for a REST answer
			require.False(t, f.Field(n).IsZero(), name)
		}
	}
}

func TestNewMessage(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(wire.NewMessage(answer()))
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"`+id1+`","interactionId":"`+id1+`","seq":9999,"direction":"OUTBOUND","channelType":"WhatsApp",
		"userId":"`+id1+`","payload":{"type":"text","text":"hello"},"clientId":"`+id1+`","status":"queued","at":1763800001123}`, string(b))

	m := answer()
	m.Status, m.StatusAt, m.Reason, m.ErrorCode = omni.StatusFailed, at+5, omni.ReasonOptedOut, "21610"
	v := wire.NewMessage(m)
	require.Equal(t, at+5, v.StatusAt)
	require.Equal(t, "21610", v.ErrorCode)
	require.Contains(t, v.ErrorText, "opted out")

	m.Payload = omni.NewPayload("", []omni.MediaReference{{Type: omni.MediaImage, FileName: "\u202egnp.exe\x00", State: omni.MediaReady}})
	require.Equal(t, "gnp.exe", wire.NewMessage(m).Payload.Files[0].Name, "a file name is a label in one line")
}

func TestReasonText(t *testing.T) {
	t.Parallel()
	seen := map[string]omni.Reason{}
	for _, r := range omni.Reasons {
		text := wire.ReasonText(r)
		require.NotEmpty(t, text, "%s has words for an agent", r)
		require.NotContains(t, text, string(r)+"_")
		require.Empty(t, seen[text], "%s says the same as another reason", r)
		seen[text] = r
	}
	require.Empty(t, wire.ReasonText(""))
	require.Empty(t, wire.ReasonText("nonsense"))
}

// TestOptionalFieldsAreLeftOut: an event that says little is short, and a change names only what changed.
func TestOptionalFieldsAreLeftOut(t *testing.T) {
	t.Parallel()
	zero := 0
	open := omni.InteractionOpen
	for want, v := range map[string]any{
		`{"type":"typing","at":7}`:                         wire.Event{Type: wire.TypingEvent, At: 7},
		`{"id":1,"type":"ok"}`:                             wire.Reply{ID: 1, Type: "ok"},
		`{"code":"invalid","message":"no"}`:                wire.Error{Code: omni.CodeInvalid, Message: "no"},
		`{"interactionId":"i"}`:                            wire.InteractionChange{InteractionID: "i"},
		`{"interactionId":"i","unread":0}`:                 wire.InteractionChange{InteractionID: "i", Unread: &zero},
		`{"interactionId":"i","version":2,"state":"open"}`: wire.InteractionChange{InteractionID: "i", Version: 2, State: &open},
		`{"offsets":{"group/1":0}}`:                        wire.HeartbeatData{Offsets: map[string]int64{"group/1": 0}},
	} {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		require.Equal(t, want, string(b), fmt.Sprintf("%T", v)) //nolint:testifylint // byte for byte
	}
}

func TestCommandIgnoresUnknownFields(t *testing.T) {
	t.Parallel()
	var c wire.Command
	require.NoError(t, json.Unmarshal([]byte(`{"id":7,"type":"message.send","data":{"clientId":"x"},"later":true}`), &c))
	require.Equal(t, wire.Command{ID: 7, Type: wire.CmdMessageSend, Data: json.RawMessage(`{"clientId":"x"}`)}, c)
}

package e2e_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
)

// A visitor writes in the widget, an agent answers; each sees the other type and read.
func TestStoryOfAVisitor(t *testing.T) {
	t.Parallel()
	d := NewDesk(t, Start(t, Options{}))
	w := d.Alpha.Widget(t, d.Group)
	ana := d.Ana.Connect(t)

	v := w.Visit(t, "")
	visitor := v.Connect(t)
	require.Equal(t, v.ID, visitor.Connected.VisitorID)
	send := wire.SendMessage{ClientID: NewClientID(), Payload: wire.SendPayload{Text: "Do you ship to Norway?"}}
	var first wire.VisitorMessage
	visitor.Must(t, wire.CmdMessageSend, send, &first)
	require.Equal(t, int64(1), first.Seq)
	var again wire.VisitorMessage
	visitor.Must(t, wire.CmdMessageSend, send, &again)
	require.Equal(t, first.ID, again.ID, "the same message again is the same message")
	require.Equal(t, first.ID, Read[wire.VisitorMessage](t, visitor.Expect(t, wire.MessageCreated, nil)).ID, "the visitor's other tabs hear of it")

	it := Read[wire.Interaction](t, ana.Expect(t, wire.InteractionCreated, nil))
	require.Equal(t, omni.ChannelLiveChat, it.ChannelType)
	require.Equal(t, first.ID, ana.ExpectText(t, "Do you ship to Norway?").ID)
	ana.Must(t, wire.CmdInteractionOpen, wire.InteractionRef{InteractionID: it.ID}, nil)
	ana.Must(t, wire.CmdInteractionClaim, wire.InteractionAction{InteractionID: it.ID, Version: it.Version}, &it)

	visitor.Must(t, wire.CmdVisitorUpdate, wire.UpdateVisitor{Name: "Kari", Email: "kari@example.com"}, nil)
	change := Read[wire.ContactChange](t, ana.Expect(t, wire.ContactUpdated, nil))
	require.Equal(t, it.ContactID, change.ContactID)
	require.Equal(t, "Kari", *change.Name)
	require.Equal(t, map[string]string{omni.AttributeVisitorEmail: "kari@example.com"}, *change.Attributes)

	// Typing, both ways.
	visitor.Must(t, wire.CmdTyping, wire.TypingCommand{}, nil)
	typing := Read[wire.Typing](t, ana.Expect(t, wire.TypingEvent, nil))
	require.Equal(t, omni.SenderContact, typing.Who.Type)
	require.Positive(t, typing.Until)
	visitor.Must(t, wire.CmdTyping, wire.TypingCommand{Stop: true}, nil)
	require.Zero(t, Read[wire.Typing](t, ana.Expect(t, wire.TypingEvent, nil)).Until)
	ana.Must(t, wire.CmdTyping, wire.TypingCommand{InteractionID: it.ID}, nil)
	agentTypes := func(f Frame) bool { return Read[wire.Typing](t, f).Who.Type == omni.SenderUser }
	typing = Read[wire.Typing](t, visitor.Expect(t, wire.TypingEvent, agentTypes))
	require.Equal(t, "Ana", typing.Who.Name)

	// Read, both ways.
	ana.Must(t, wire.CmdMessageRead, wire.ReadMessage{InteractionID: it.ID, Seq: 1}, nil)
	require.Equal(t, int64(1), *Read[wire.InteractionChange](t, visitor.Expect(t, wire.InteractionUpdated, nil)).AgentReadSeq)
	var answer wire.Message
	ana.Must(t, wire.CmdMessageSend, wire.SendMessage{
		InteractionID: it.ID, ClientID: NewClientID(), Payload: wire.SendPayload{Text: "Yes, within five days."},
	}, &answer)
	got := Read[wire.VisitorMessage](t, visitor.Expect(t, wire.MessageCreated, nil))
	require.Equal(t, "Yes, within five days.", got.Payload.Text)
	require.Equal(t, "Ana", got.SenderName)
	require.Equal(t, int64(2), got.Seq)
	visitor.Must(t, wire.CmdMessageRead, wire.ReadMessage{Seq: 2}, nil)
	ana.ExpectStatus(t, answer.ID, omni.StatusRead)
	ana.Expect(t, wire.InteractionUpdated, func(f Frame) bool {
		seq := Read[wire.InteractionChange](t, f).ContactReadSeq
		return seq != nil && *seq == 2
	})

	// The visitor's network is gone for a while, then the page is loaded again.
	visitor.Cut()
	for _, text := range []string{"Anything else?", "I am here until six."} {
		ana.Must(t, wire.CmdMessageSend, wire.SendMessage{
			InteractionID: it.ID, ClientID: NewClientID(), Payload: wire.SendPayload{Text: text},
		}, nil)
	}
	back := v.Connect(t, visitor.Positions()...)
	require.Equal(t, wire.Recovered, back.Topic(t, omni.VisitorTopic(v.ID)).State)
	missed := back.Until(t, wire.MessageCreated, 2)
	require.Equal(t, "Anything else?", Read[wire.VisitorMessage](t, missed[0]).Payload.Text)
	require.Equal(t, "I am here until six.", Read[wire.VisitorMessage](t, missed[1]).Payload.Text)
	require.Empty(t, back.Gaps())
	require.Zero(t, back.Repeated())

	same := w.Visit(t, v.Token)
	require.Equal(t, v.ID, same.ID)
	require.NotNil(t, same.Conversation)
	require.Equal(t, int64(4), same.Conversation.LastSeq)
	require.Equal(t, int64(2), same.Conversation.ContactReadSeq)
	res := same.Call(t, http.MethodGet, "/livechat/v1/messages?limit=3", nil)
	require.Equal(t, http.StatusOK, res.Status, "%s", res.Body)
	var page struct {
		Items   []wire.VisitorMessage
		HasMore bool
	}
	res.JSON(t, &page)
	require.True(t, page.HasMore, "%s", res.Body)
	require.Len(t, page.Items, 3)
	require.Equal(t, int64(2), page.Items[0].Seq, "ascending, the newest of them")

	// A visitor sees no ids of agents and nobody else's conversation.
	require.NotContains(t, string(res.Body), d.Ana.ID)
	other := w.Visit(t, "")
	require.NotEqual(t, v.ID, other.ID)
	require.Nil(t, other.Conversation)
	var empty struct{ Items []wire.VisitorMessage }
	other.Call(t, http.MethodGet, "/livechat/v1/messages", nil).JSON(t, &empty)
	require.Empty(t, empty.Items)
	stranger := other.Connect(t)
	stranger.Must(t, wire.CmdMessageSend, wire.SendMessage{ClientID: NewClientID(), Payload: wire.SendPayload{Text: "Somebody else"}}, nil)
	ana.ExpectText(t, "Somebody else")
	require.Len(t, back.Events(wire.MessageCreated), 2)
	require.Empty(t, ana.Gaps())
}

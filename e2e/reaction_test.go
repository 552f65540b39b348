package e2e_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
)

// What a contact puts on messages is on the agents' screens at once, and there for who comes later.
func TestReactionsReachAgents(t *testing.T) {
	t.Parallel()
	d := NewDesk(t, Start(t, Options{}))
	acc := d.Alpha.TestAccount(t, "Test")
	const number = "+15005550009"
	acc.Channel(t, omni.ChannelWhatsApp, number, d.Group)
	ana := d.Ana.Connect(t)

	now := omni.MillisOf(time.Now())
	reaction := func(emoji string, at omni.Millis) Event {
		return Event{Kind: "reaction", ID: omni.NewToken(8), Channel: "WhatsApp", From: Phone(1), To: number, Reaction: emoji, At: at}
	}
	early := reaction("🎉", now-4000) // comes before the message that it is to
	early.ReplyTo = "in-1"
	acc.Play(t, early)
	acc.Play(t, Event{Kind: "message", ID: "in-1", Channel: "WhatsApp", From: Phone(1), To: number, Text: "hello"})
	first := ana.ExpectText(t, "hello")
	own := Read[wire.ReactionChange](t, ana.Expect(t, wire.MessageReaction, nil))
	require.Equal(t, first.ID, own.MessageID)

	answer := d.Alpha.Send(t, first.InteractionID, "how are you?")
	ana.ExpectStatus(t, answer.ID, omni.StatusSent)
	var all []Event
	for i, emoji := range []string{"👍🏿", "❤️", "", "👨‍👩‍👧‍👦"} {
		e := reaction(emoji, now-3000+omni.Millis(i))
		e.MessageID = answer.ID
		all = append(all, e)
	}
	acc.Play(t, all...)
	acc.Play(t, all...) // once more, as carriers do
	acc.Play(t, Event{Kind: "message", ID: "in-2", Channel: "WhatsApp", From: Phone(1), To: number, Text: "the end"})
	ana.ExpectText(t, "the end")
	d.Drained(t)

	told := ana.Until(t, wire.MessageReaction, 5)
	require.Len(t, told, 5, "each change once")
	for i, f := range told[1:] {
		require.Equal(t, d.Topic(), f.Topic)
		require.Equal(t, wire.ReactionChange{
			MessageID: answer.ID, InteractionID: first.InteractionID,
			Reaction: wire.Reaction{SenderType: omni.SenderContact, SenderID: own.Reaction.SenderID, Emoji: all[i].Reaction, At: all[i].At},
		}, Read[wire.ReactionChange](t, f))
	}
	messages := d.Alpha.Messages(t, first.InteractionID)
	require.Len(t, messages, 3, "a reaction is no message")
	require.Equal(t, []wire.Reaction{own.Reaction}, messages[0].Reactions)
	require.Equal(t, []wire.Reaction{Read[wire.ReactionChange](t, told[4]).Reaction}, messages[1].Reactions)
	require.Empty(t, messages[2].Reactions)
}

package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server"
)

// TestReactionsInAnswers: whatever reads messages by REST tells the reactions to them.
func TestReactionsInAnswers(t *testing.T) {
	t.Parallel()
	s := start(t)
	m, plain := s.visitorWrites(s.a, "elephant"), s.visitorWrites(s.a, "elephant again")
	begin := s.sync(s.a.agentToken, "", 50)
	react := func(sender, emoji string, at omni.Millis) wire.Reaction {
		_, err := s.store.SetReaction(t.Context(), omni.Org(s.a.org.ID), omni.Reaction{
			Tenant: omni.Org(s.a.org.ID), MessageID: m.ID, SenderType: omni.SenderContact, SenderID: sender, Emoji: emoji, At: at,
			SchemaVersion: omni.CurrentSchema,
		})
		require.NoError(t, err)
		return wire.Reaction{SenderType: omni.SenderContact, SenderID: sender, Emoji: emoji, At: at}
	}
	later, gone := omni.NewID(), omni.NewID()
	want := []wire.Reaction{react(omni.NewID(), "👍", 5), react(later, "❤️", 7)}
	react(gone, "👎", 6)
	react(gone, "", 8)

	read := func(path string, body any) {
		t.Helper()
		r := s.call(http.MethodGet, path, s.a.agentToken, nil)
		require.Equal(t, http.StatusOK, r.StatusCode, r.body)
		r.into(t, body)
	}
	var one server.MessageBody
	read("/api/v1/messages/"+m.ID, &one)
	require.Equal(t, want, one.Message.Reactions)
	var list server.MessageListBody
	read("/api/v1/interactions/"+m.InteractionID+"/messages", &list)
	require.Equal(t, want, list.Items[0].Reactions)

	var found server.SearchBody
	require.Eventually(t, func() bool { // messages are found a moment after they were stored
		found = server.SearchBody{}
		read("/api/v1/search?q=elephant", &found)
		return len(found.Messages) == 2
	}, 20*time.Second, 10*time.Millisecond)
	for _, h := range found.Messages {
		if h.Message.ID == m.ID {
			require.Equal(t, want, h.Message.Reactions)
			continue
		}
		require.Equal(t, plain.ID, h.Message.ID)
		require.Empty(t, h.Message.Reactions)
	}

	changed := s.sync(s.a.agentToken, begin.Next, 50)
	require.Len(t, changed.Messages, 1, "a reaction is a change of its message, and of no other")
	require.Equal(t, want, changed.Messages[0].Reactions)
}

package server_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server"
)

// Visitors learn whether somebody is there for them, and never who.
func TestAvailability(t *testing.T) {
	t.Parallel()
	s := start(t)
	id := s.a.livechat.LiveChat.PublicID
	online := func() bool {
		s.clock.Add(4 * time.Second) // what was known a moment ago is enough
		var w server.WidgetBody
		s.call(http.MethodGet, "/livechat/v1/widgets/"+id, "", nil).into(t, &w)
		var v server.VisitorSessionBody
		s.call(http.MethodPost, "/livechat/v1/sessions", "", map[string]any{"widgetId": id}).into(t, &v)
		require.Equal(t, w.Online, v.Online)
		return w.Online
	}
	require.False(t, online())
	visitor, _ := s.connect("/livechat/ws", publicURL, wire.Connect{Token: s.visitorToken(s.a)})
	told := func() bool {
		var a wire.Availability
		require.NoError(t, json.Unmarshal(visitor.event(wire.AvailabilityEvent).Data, &a))
		return a.Online
	}
	require.False(t, told())

	boss, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.adminToken})
	boss.presence(s.a.admin.ID)
	other, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.b.agentToken})
	other.presence(s.b.agent.ID)
	require.False(t, online(), "none of the group's")
	agent, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.agentToken})
	agent.presence(s.a.agent.ID)
	require.True(t, online())
	require.True(t, told())
	for state, want := range map[omni.PresenceState]bool{omni.PresenceBusy: true, omni.PresenceAway: false, omni.PresenceOnline: true} {
		require.Equal(t, "ok", agent.command(wire.CmdPresenceSet, wire.SetPresence{State: state}).Type)
		require.Equal(t, want, online(), state)
	}
	for _, e := range visitor.seen {
		require.NotEqual(t, wire.PresenceEvent, e.Type)
	}
}

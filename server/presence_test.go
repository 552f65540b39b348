package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server/auth"
)

// presence waits for the next event presence about a user.
func (k *socket) presence(userID string) wire.Presence {
	k.t.Helper()
	for {
		e := k.event(wire.PresenceEvent)
		var p wire.Presence
		require.NoError(k.t, json.Unmarshal(e.Data, &p))
		if p.Who.ID == userID {
			return p
		}
	}
}

// present lists who is there, over pages.
func (s *system) present(token string, limit string) (states map[string]omni.PresenceState, pages int) {
	s.t.Helper()
	states = map[string]omni.PresenceState{}
	var ids []string
	for cursor := ""; ; pages++ {
		var page struct {
			Items []wire.Presence
			Next  string
		}
		s.call(http.MethodGet, "/api/v1/presence?limit="+limit+"&cursor="+cursor, token, nil).into(s.t, &page)
		for _, p := range page.Items {
			require.NotZero(s.t, p.Until)
			states[p.Who.ID] = p.State
			ids = append(ids, p.Who.ID)
		}
		if cursor = page.Next; cursor == "" {
			require.True(s.t, slices.IsSorted(ids))
			require.Len(s.t, states, len(ids))
			return states, pages + 1
		}
	}
}

func TestPresence(t *testing.T) {
	t.Parallel()
	s := start(t)
	boss, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.adminToken})
	require.Equal(t, s.a.admin.Name, boss.presence(s.a.admin.ID).Who.Name)
	other, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.b.agentToken})
	other.presence(s.b.agent.ID)
	require.Equal(t, http.StatusConflict, s.call(http.MethodPut, "/api/v1/presence", s.a.agentToken, `{"state":"busy"}`).StatusCode, "not connected")

	k, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.agentToken})
	came := boss.presence(s.a.agent.ID)
	require.Equal(t, omni.PresenceOnline, came.State)
	require.Greater(t, came.Until, omni.MillisOf(s.clock.Now()))
	require.Equal(t, "ok", k.command(wire.CmdPresenceSet, `{"state":"busy"}`).Type)
	require.Equal(t, omni.PresenceBusy, boss.presence(s.a.agent.ID).State)
	got := s.call(http.MethodPut, "/api/v1/presence", s.a.agentToken, `{"state":"away"}`)
	require.Equal(t, http.StatusNoContent, got.StatusCode, got.body)
	require.Equal(t, omni.PresenceAway, boss.presence(s.a.agent.ID).State)

	want := map[string]omni.PresenceState{s.a.admin.ID: omni.PresenceOnline, s.a.agent.ID: omni.PresenceAway}
	for limit, pages := range map[string]int{"50": 1, "2": 1, "1": 2} {
		all, n := s.present(s.a.agentToken, limit)
		require.Equal(t, want, all)
		require.Equal(t, pages, n)
	}
	all, _ := s.present(s.b.agentToken, "50")
	require.Equal(t, map[string]omni.PresenceState{s.b.agent.ID: omni.PresenceOnline}, all)

	for _, bad := range []string{`{"state":"offline"}`, `{"state":""}`, `{}`, `{"state":7}`} {
		require.Equal(t, omni.CodeInvalid, k.command(wire.CmdPresenceSet, bad).Error.Code, bad)
		require.Equal(t, http.StatusBadRequest, s.call(http.MethodPut, "/api/v1/presence", s.a.agentToken, bad).StatusCode, bad)
	}
	require.Equal(t, http.StatusBadRequest, s.call(http.MethodGet, "/api/v1/presence?cursor=guess", s.a.agentToken, nil).StatusCode)
	robot, rec := auth.NewAPIKey(s.clock.Now(), s.a.org.ID, "robot", omni.RoleService, 0)
	require.NoError(t, s.store.CreateAPIKey(t.Context(), omni.Org(s.a.org.ID), rec))
	program, _ := s.connect("/ws", "", wire.Connect{APIKey: robot})
	require.Equal(t, omni.CodeForbidden, program.command(wire.CmdPresenceSet, `{"state":"busy"}`).Error.Code)
	all, _ = s.present(robot, "50")
	require.Equal(t, want, all, "a program sees who is there, and is not")
	require.False(t, slices.ContainsFunc(other.seen, func(e wire.Event) bool { return e.Type == wire.PresenceEvent }), "another organisation's")
}

func TestViewing(t *testing.T) {
	t.Parallel()
	s := start(t)
	k, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.agentToken})
	boss, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.adminToken})
	visitor, _ := s.connect("/livechat/ws", publicURL, wire.Connect{Token: s.visitorToken(s.a)})
	require.Equal(t, "ok", visitor.command(wire.CmdMessageSend, map[string]any{"clientId": omni.NewID(), "payload": map[string]any{"text": "hello"}}).Type)
	var m wire.Message
	require.NoError(t, json.Unmarshal(k.event(wire.MessageCreated).Data, &m))
	ref := wire.InteractionRef{InteractionID: m.InteractionID}
	require.Equal(t, omni.CodeConflict, k.command(wire.CmdViewing, ref).Error.Code, "it is not open")

	var types []wire.Typing
	open := func(k *socket) []wire.Viewing {
		f := k.command(wire.CmdInteractionOpen, ref)
		require.Equal(t, "ok", f.Type, "%+v", f.Error)
		var o wire.InteractionOpened
		require.NoError(t, json.Unmarshal(f.Data, &o))
		types = o.Typing
		return o.Viewers
	}
	viewing := func(k *socket) wire.Viewing {
		e := k.event(wire.ViewingEvent)
		require.Equal(t, omni.InteractionTopic(m.InteractionID), e.Topic)
		var v wire.Viewing
		require.NoError(t, json.Unmarshal(e.Data, &v))
		require.Equal(t, m.InteractionID, v.InteractionID)
		return v
	}
	require.Empty(t, open(k), "nobody else")
	require.Equal(t, s.a.agent.ID, viewing(k).Who.ID)
	others := open(boss)
	require.Len(t, others, 1)
	require.Equal(t, wire.Person{Type: omni.SenderUser, ID: s.a.agent.ID, Name: s.a.agent.Name}, others[0].Who)
	require.NotZero(t, others[0].Until)
	require.Equal(t, s.a.admin.ID, viewing(k).Who.ID)

	viewing(boss) // of the boss
	require.Equal(t, "ok", k.command(wire.CmdViewing, wire.ViewingCommand{InteractionID: m.InteractionID, Stop: true}).Type)
	require.Equal(t, wire.Viewing{InteractionID: m.InteractionID, Who: others[0].Who}, viewing(boss))
	require.Empty(t, open(boss))
	require.Equal(t, "ok", k.command(wire.CmdViewing, ref).Type)
	require.NotZero(t, viewing(boss).Until)
	require.Equal(t, "ok", k.command(wire.CmdInteractionCloseView, ref).Type)
	require.Zero(t, viewing(boss).Until)

	require.Equal(t, "ok", visitor.command(wire.CmdTyping, `{}`).Type)
	require.Equal(t, "ok", k.command(wire.CmdTyping, ref).Type)
	require.Len(t, open(k), 1, "who types is not one who looks")
	require.Len(t, types, 1, "not herself")
	require.Equal(t, omni.SenderContact, types[0].Who.Type)
	open(boss)
	require.Len(t, types, 2)
	require.Equal(t, "ok", visitor.command(wire.CmdTyping, `{"stop":true}`).Type)
	open(k)
	require.Empty(t, types)
	require.Equal(t, omni.CodeUnsupported, visitor.command(wire.CmdViewing, ref).Error.Code)
	require.False(t, slices.ContainsFunc(visitor.seen, func(e wire.Event) bool { return e.Type == wire.ViewingEvent }))
}

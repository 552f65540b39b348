package server_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server"
	"omniservice/server/auth"
)

func TestSec_S1_OriginsAreCompared(t *testing.T) {
	t.Parallel()
	s := start(t, func(_ *server.Deps, o *server.Options) { o.AllowedOrigins = []string{"https://dev.example.com"} })
	for _, c := range []struct {
		path, origin string
		in           bool
	}{
		{"/ws", publicURL, true},
		{"/ws", "https://dev.example.com", true},
		{"/ws", "", true}, // a program; it has to show a token or a key
		{"/ws", "http://chat.example.com", false},
		{"/ws", "https://chat.example.com:444", false},
		{"/ws", "https://evil.example", false},
		{"/ws", "null", false},
		{"/ws", "HTTPS://CHAT.EXAMPLE.COM", false},
		{"/livechat/ws", publicURL, true},
		{"/livechat/ws", "", false},
		{"/livechat/ws", "https://shop.example", false}, // the panel is ours, whoever carries it
	} {
		_, res, err := s.dial(c.path, c.origin)
		if c.in {
			require.NoError(t, err, "%+v", c)
			continue
		}
		require.Error(t, err, "%+v", c)
		require.Equal(t, http.StatusForbidden, res.StatusCode, "%+v", c)
	}
}

func TestDemoTakesBothNamesOfThisMachine(t *testing.T) {
	t.Parallel()
	s := start(t, func(_ *server.Deps, o *server.Options) { o.PublicURL, o.Demo = "http://localhost:8080", true })
	for origin, in := range map[string]bool{"http://localhost:8080": true, "http://127.0.0.1:8080": true, "http://localhost:8081": false} {
		_, _, err := s.dial("/ws", origin)
		require.Equal(t, in, err == nil, origin)
	}
}

func TestSec_S1_ProgramsShowAToken(t *testing.T) {
	t.Parallel()
	s := start(t)
	k, rec := auth.NewAPIKey(s.clock.Now(), s.a.org.ID, "robot", omni.RoleService, 0)
	require.NoError(t, s.store.CreateAPIKey(t.Context(), omni.Org(s.a.org.ID), rec))
	robot, c := s.connect("/ws", "", wire.Connect{APIKey: k})
	require.Empty(t, c.UserID)
	m := s.visitorWrites(s.a, "hello")
	require.Equal(t, wire.InteractionCreated, robot.event(wire.InteractionCreated).Type)
	f := robot.command(wire.CmdInteractionOpen, wire.InteractionRef{InteractionID: m.InteractionID})
	require.Equal(t, "ok", f.Type, "%+v", f.Error)

	ticket, _, err := s.server.Auth().NewTicket(t.Context(), auth.Principal{Tenant: omni.Tenant{OrganisationID: s.a.org.ID, UserID: s.a.agent.ID}, SessionID: omni.NewID()})
	require.NoError(t, err)
	visitor, _, err := s.server.Auth().NewVisitor(omni.Visitor{ID: omni.NewToken(16), OrganisationID: s.a.org.ID, DigitalChannelID: s.a.livechat.ID})
	require.NoError(t, err)
	for name, data := range map[string]wire.Connect{
		"ticket": {Ticket: ticket}, "wrong key": {APIKey: k + "x"},
		"token as key": {APIKey: s.a.agentToken}, "visitor": {Token: visitor},
	} {
		p, _, err := s.dial("/ws", "")
		require.NoError(t, err)
		f := p.command(wire.CmdConnect, data)
		require.Equal(t, "error", f.Type, name)
		require.Equal(t, omni.CodeUnauthenticated, f.Error.Code, name)
		require.EqualValues(t, 4401, p.closed(), name)
	}

	require.Equal(t, http.StatusNoContent, s.call(http.MethodDelete, "/api/v1/api-keys/"+rec.ID, s.a.adminToken, nil).StatusCode)
	require.EqualValues(t, 4401, robot.closed(), "its sockets close with the key")
}

func TestAgentSocket(t *testing.T) {
	t.Parallel()
	s := start(t)
	k, c := s.connect("/ws", publicURL, wire.Connect{Token: s.a.agentToken})
	require.Equal(t, s.a.agent.ID, c.UserID)
	require.Len(t, c.Topics, 3)
	boss, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.adminToken})

	m := s.visitorWrites(s.a, "hello")
	var created wire.Interaction
	require.NoError(t, json.Unmarshal(k.event(wire.InteractionCreated).Data, &created))
	require.Equal(t, m.InteractionID, created.ID)
	k.event(wire.MessageCreated)

	f := k.command(wire.CmdInteractionOpen, wire.InteractionRef{InteractionID: m.InteractionID})
	require.Equal(t, "ok", f.Type)
	var opened wire.InteractionOpened
	require.NoError(t, json.Unmarshal(f.Data, &opened))
	require.Equal(t, omni.InteractionTopic(m.InteractionID), opened.Topic)

	f = k.command(wire.CmdInteractionClaim, wire.InteractionAction{InteractionID: m.InteractionID, Version: opened.Interaction.Version})
	require.Equal(t, "ok", f.Type, "%+v", f.Error)
	var claimed wire.Interaction
	require.NoError(t, json.Unmarshal(f.Data, &claimed))
	f = boss.command(wire.CmdInteractionClaim, wire.InteractionAction{InteractionID: m.InteractionID, Version: opened.Interaction.Version})
	require.Equal(t, omni.CodeConflict, f.Error.Code)
	require.Contains(t, f.Error.Details, "interaction")

	send := wire.SendMessage{InteractionID: m.InteractionID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "answer"}}
	f = k.command(wire.CmdMessageSend, send)
	require.Equal(t, "ok", f.Type, "%+v", f.Error)
	var first, again wire.Message
	require.NoError(t, json.Unmarshal(f.Data, &first))
	require.NoError(t, json.Unmarshal(k.command(wire.CmdMessageSend, send).Data, &again))
	require.Equal(t, first.ID, again.ID)

	f = k.command(wire.CmdMessageRetry, wire.RetryMessage{MessageID: first.ID})
	require.Equal(t, omni.CodeConflict, f.Error.Code, "it has not failed")
	require.Equal(t, http.StatusConflict, s.call(http.MethodPost, "/api/v1/messages/"+first.ID+"/retry", s.a.agentToken, nil).StatusCode)

	// Who has not seen what somebody else wrote is told once, by both ways in.
	unseen := wire.SendMessage{InteractionID: m.InteractionID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "me too"}, SeenOffset: 1}
	f = boss.command(wire.CmdMessageSend, unseen)
	require.Equal(t, omni.CodeConflict, f.Error.Code)
	require.Contains(t, f.Error.Details, "message")
	path := "/api/v1/interactions/" + m.InteractionID + "/messages"
	body := map[string]any{"clientId": omni.NewID(), "payload": unseen.Payload, "seenOffset": 1}
	require.Equal(t, http.StatusConflict, s.call(http.MethodPost, path, s.a.adminToken, body, "Idempotency-Key", "k1").StatusCode)
	require.Equal(t, http.StatusCreated, s.call(http.MethodPost, path, s.a.adminToken, body, "Idempotency-Key", "k1").StatusCode)
	require.Equal(t, "ok", boss.command(wire.CmdMessageSend, unseen).Type)

	require.Equal(t, "ok", boss.command(wire.CmdInteractionOpen, wire.InteractionRef{InteractionID: m.InteractionID}).Type)
	require.Equal(t, "ok", k.command(wire.CmdTyping, wire.TypingCommand{InteractionID: m.InteractionID}).Type)
	var typing wire.Typing
	require.NoError(t, json.Unmarshal(boss.event(wire.TypingEvent).Data, &typing))
	require.Equal(t, s.a.agent.Name, typing.Who.Name)
	require.Equal(t, "ok", k.command(wire.CmdMessageRead, wire.ReadMessage{InteractionID: m.InteractionID, Seq: 1}).Type)
	require.Equal(t, "ok", k.command(wire.CmdInteractionAssign, wire.AssignInteraction{
		InteractionID: m.InteractionID, Version: claimed.Version, Owner: wire.Owner{Type: omni.EntityUser, ID: s.a.agent.ID},
	}).Type)
	require.Equal(t, "ok", k.command(wire.CmdInteractionCloseView, wire.InteractionRef{InteractionID: m.InteractionID}).Type)

	fresh, _, err := s.server.Auth().NewAccess(auth.Principal{Tenant: omni.Tenant{OrganisationID: s.a.org.ID, UserID: s.a.agent.ID}, SessionID: s.session(s.a.agentToken)})
	require.NoError(t, err)
	f = k.command(wire.CmdAuthRefresh, wire.AuthRefresh{Token: fresh})
	require.Equal(t, "ok", f.Type, "%+v", f.Error)
	f = k.command(wire.CmdAuthRefresh, wire.AuthRefresh{Token: s.a.adminToken})
	require.Equal(t, omni.CodeForbidden, f.Error.Code, "a socket stays its user's")

	for name, c := range map[string]struct {
		typ, data string
		code      omni.Code
	}{
		"unknown":           {"message.destroy", `{}`, omni.CodeUnsupported},
		"unknown, hostile":  {"<script>\x00", `{}`, omni.CodeUnsupported},
		"object for string": {wire.CmdMessageSend, `{"interactionId":{"$ne":null},"clientId":"x","payload":{"text":"x"}}`, omni.CodeInvalid},
		"string for number": {wire.CmdMessageRead, `{"interactionId":"x","seq":"1"}`, omni.CodeInvalid},
		"array":             {wire.CmdMessageSend, `[]`, omni.CodeInvalid},
		"nothing":           {wire.CmdMessageSend, `null`, omni.CodeInvalid},
		"no such":           {wire.CmdInteractionClaim, `{"interactionId":"` + omni.NewID() + `","version":1}`, omni.CodeNotFound},
		"subscribe":         {"subscribe", `{"topic":"org/` + s.b.org.ID + `"}`, omni.CodeUnsupported},
	} {
		f := k.command(c.typ, c.data)
		require.Equal(t, "error", f.Type, name)
		require.Equal(t, c.code, f.Error.Code, "%s: %+v", name, f.Error)
	}
}

// session is the session id of an access token.
func (s *system) session(token string) string {
	p, err := s.server.Auth().Access(s.t.Context(), token)
	require.NoError(s.t, err)
	return p.SessionID
}

func TestSec_S3_EveryCommandLooksAtTheSession(t *testing.T) {
	t.Parallel()
	s := start(t)
	k, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.agentToken})
	m := s.visitorWrites(s.a, "hello")
	// Another node ended the session, and its word to this node was lost.
	require.NoError(t, s.store.EndSession(t.Context(), omni.Tenant{OrganisationID: s.a.org.ID, UserID: s.a.agent.ID}, s.session(s.a.agentToken), 1))
	s.clock.Add(2_000_000_000)
	k.write(wire.CmdInteractionOpen, wire.InteractionRef{InteractionID: m.InteractionID})
	require.EqualValues(t, 4401, k.closed())
}

func TestVisitorSocket(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := s.call(http.MethodPost, "/livechat/v1/sessions", "", map[string]any{"widgetId": s.a.livechat.LiveChat.PublicID}, "Origin", publicURL)
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	var v server.VisitorSessionBody
	r.into(t, &v)
	require.Len(t, v.VisitorID, 32)
	require.Nil(t, v.Conversation)
	require.Len(t, v.Topics, 1)
	k, c := s.connect("/livechat/ws", publicURL, wire.Connect{Ticket: v.Ticket})
	require.Equal(t, v.VisitorID, c.VisitorID)
	agent, _ := s.connect("/ws", publicURL, wire.Connect{Token: s.a.agentToken})

	f := k.command(wire.CmdMessageSend, map[string]any{"clientId": omni.NewID(), "payload": map[string]any{"text": "hello"}})
	require.Equal(t, "ok", f.Type, "%+v", f.Error)
	var seen wire.Message
	require.NoError(t, json.Unmarshal(agent.event(wire.MessageCreated).Data, &seen))
	require.Equal(t, "ok", agent.command(wire.CmdTyping, wire.TypingCommand{InteractionID: seen.InteractionID}).Type)
	k.event(wire.TypingEvent) // heard without having asked for it
	answer := agent.command(wire.CmdMessageSend, wire.SendMessage{InteractionID: seen.InteractionID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "hi"}})
	require.Equal(t, "ok", answer.Type, "%+v", answer.Error)
	for {
		var got wire.VisitorMessage
		require.NoError(t, json.Unmarshal(k.event(wire.MessageCreated).Data, &got))
		if got.Direction == omni.Outbound {
			require.Equal(t, s.a.agent.Name, got.SenderName)
			break
		}
	}
	require.Equal(t, "ok", k.command(wire.CmdMessageRead, `{"seq":2}`).Type)
	require.Equal(t, "ok", k.command(wire.CmdTyping, `{}`).Type)
	for _, typ := range []string{wire.CmdInteractionOpen, wire.CmdInteractionClaim, wire.CmdAuthRefresh, "subscribe"} {
		f := k.command(typ, wire.InteractionRef{InteractionID: seen.InteractionID})
		require.Equal(t, omni.CodeUnsupported, f.Error.Code, typ)
	}
	f = k.command(wire.CmdMessageRead, wire.ReadMessage{InteractionID: seen.InteractionID, Seq: 1})
	require.Equal(t, omni.CodeNotFound, f.Error.Code, "visitors name no conversations")

	require.Equal(t, omni.CodeForbidden, agent.command(wire.CmdVisitorUpdate, `{"name":"Ana"}`).Error.Code)
	require.Equal(t, omni.CodeInvalid, k.command(wire.CmdVisitorUpdate, `{"email":"no"}`).Error.Code)
	require.Equal(t, "ok", k.command(wire.CmdVisitorUpdate, `{"name":"Ana"}`).Type)
	var change wire.ContactChange
	require.NoError(t, json.Unmarshal(agent.event(wire.ContactUpdated).Data, &change))
	require.NotEmpty(t, change.ContactID)
	require.Equal(t, "Ana", *change.Name)

	require.Equal(t, omni.CodeForbidden, agent.command(wire.CmdConversationEnd, `{}`).Error.Code, "it is the visitor's to say")
	require.Equal(t, "ok", k.command(wire.CmdConversationEnd, `{}`).Type)
	k.event(wire.InteractionResolved)
	agent.event(wire.InteractionResolved)

	// The same visitor again, by their token.
	r = s.call(http.MethodPost, "/livechat/v1/sessions", "", map[string]any{"widgetId": s.a.livechat.LiveChat.PublicID, "token": v.Token})
	var again server.VisitorSessionBody
	r.into(t, &again)
	require.Equal(t, v.VisitorID, again.VisitorID)
	require.NotNil(t, again.Conversation)
	require.Equal(t, int64(2), again.Conversation.LastSeq)
	require.Equal(t, omni.InteractionResolved, again.Conversation.State)
	second, c := s.connect("/livechat/ws", publicURL, wire.Connect{Token: again.Token})
	require.Len(t, c.Topics, 2, "their own, and that of the conversation")
	require.Equal(t, "ok", agent.command(wire.CmdTyping, wire.TypingCommand{InteractionID: seen.InteractionID}).Type)
	second.event(wire.TypingEvent)

	// Of another widget the token is none.
	r = s.call(http.MethodPost, "/livechat/v1/sessions", "", map[string]any{"widgetId": s.b.livechat.LiveChat.PublicID, "token": v.Token})
	r.into(t, &again)
	require.NotEqual(t, v.VisitorID, again.VisitorID)
	p, _, err := s.dial("/livechat/ws", publicURL)
	require.NoError(t, err)
	require.Equal(t, omni.CodeUnauthenticated, p.command(wire.CmdConnect, wire.Connect{Token: s.a.agentToken}).Error.Code)

	r = s.call(http.MethodPatch, "/api/v1/channels/"+s.a.livechat.ID, s.a.adminToken, `{"disabled":true}`, "If-Match", `"1"`)
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	require.EqualValues(t, 4403, k.closed(), "a closed chat closes its visitors")
	require.Equal(t, http.StatusNotFound, s.call(http.MethodPost, "/livechat/v1/sessions", "", map[string]any{"widgetId": s.a.livechat.LiveChat.PublicID}).StatusCode)
}

func TestVisitorByREST(t *testing.T) {
	t.Parallel()
	s := start(t)
	session := func(headers ...string) reply {
		return s.call(http.MethodPost, "/livechat/v1/sessions", "", map[string]any{"widgetId": s.a.livechat.LiveChat.PublicID}, headers...)
	}
	require.Equal(t, http.StatusForbidden, session("Origin", "https://shop.example").StatusCode, "a site's own page is no frame of ours")
	var v server.VisitorSessionBody
	session().into(t, &v)
	var list server.VisitorMessageListBody
	s.call(http.MethodGet, "/livechat/v1/messages", v.Token, nil).into(t, &list)
	require.Empty(t, list.Items)
	require.NotNil(t, list.Items)
	const end = "/livechat/v1/conversation/end"
	require.Equal(t, http.StatusNotFound, s.call(http.MethodPost, end, v.Token, nil).StatusCode, "nothing to end")
	body := map[string]any{"clientId": omni.NewID(), "payload": map[string]any{"text": "hello"}}
	first := s.call(http.MethodPost, "/livechat/v1/messages", v.Token, body)
	require.Equal(t, http.StatusCreated, first.StatusCode, first.body)
	require.Equal(t, http.StatusOK, s.call(http.MethodPost, "/livechat/v1/messages", v.Token, body).StatusCode)
	s.call(http.MethodGet, "/livechat/v1/messages?after=0", v.Token, nil).into(t, &list)
	require.Len(t, list.Items, 1)
	for range 2 { // the same again changes nothing
		require.Equal(t, http.StatusNoContent, s.call(http.MethodPost, end, v.Token, nil).StatusCode)
	}
	require.Equal(t, http.StatusUnauthorized, s.call(http.MethodPost, end, s.a.agentToken, nil).StatusCode)
	const visitor = "/livechat/v1/visitor"
	require.Equal(t, http.StatusBadRequest, s.call(http.MethodPatch, visitor, v.Token, `{"phone":"no"}`).StatusCode)
	require.Equal(t, http.StatusUnauthorized, s.call(http.MethodPatch, visitor, s.a.agentToken, `{"name":"Ana"}`).StatusCode)
	for range 19 {
		require.Equal(t, http.StatusNoContent, s.call(http.MethodPatch, visitor, v.Token, `{"name":"Ana"}`).StatusCode)
	}
	require.Equal(t, http.StatusTooManyRequests, s.call(http.MethodPatch, visitor, v.Token, `{"name":"Ana"}`).StatusCode)
	require.Equal(t, http.StatusUnauthorized, s.call(http.MethodGet, "/livechat/v1/messages", s.a.agentToken, nil).StatusCode)
	require.Equal(t, http.StatusUnauthorized, s.call(http.MethodGet, "/api/v1/me", v.Token, nil).StatusCode)
}

func TestWidgetConfig(t *testing.T) {
	t.Parallel()
	s := start(t)
	path := "/livechat/v1/widgets/" + s.a.livechat.LiveChat.PublicID
	r := s.call(http.MethodGet, path, "", nil, "Origin", "https://shop.example")
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	require.Equal(t, "https://shop.example", r.Header.Get("Access-Control-Allow-Origin"))
	require.Contains(t, r.Header.Get("Cache-Control"), "max-age=60")
	require.Contains(t, r.Header.Values("Vary"), "Origin")
	require.NotContains(t, r.body, s.a.org.ID)
	require.NotContains(t, r.body, s.a.livechat.ID)
	same := s.call(http.MethodGet, path, "", nil, "If-None-Match", r.Header.Get("ETag"))
	require.Equal(t, http.StatusNotModified, same.StatusCode)
	require.Empty(t, same.body)
	require.Empty(t, s.call(http.MethodGet, path, "", nil, "Origin", "https://evil.example").Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, http.StatusNotFound, s.call(http.MethodGet, "/livechat/v1/widgets/guess", "", nil).StatusCode)
}

func TestSec_A8_NewVisitorsOfAnAddressAreLimited(t *testing.T) {
	t.Parallel()
	s := start(t, func(_ *server.Deps, o *server.Options) { o.Limits.Visitors = server.Rate{PerSecond: 0.001, Burst: 2} })
	for _, status := range []int{200, 200, 429} {
		r := s.call(http.MethodPost, "/livechat/v1/sessions", "", map[string]any{"widgetId": s.a.livechat.LiveChat.PublicID})
		require.Equal(t, status, r.StatusCode)
	}
}

package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"omniservice/hub"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server/auth"
)

// Commands lists the commands of both sockets, as data: Path tells the socket.
func Commands() []Route {
	agent := func(typ, sample string, scope map[string]string) Route {
		return Route{Method: "WS", Path: "/ws", Operation: "ws:" + typ, Summary: "Command " + typ, Roles: auth.Roles["ws:"+typ], Scope: scope, Sample: sample}
	}
	one := map[string]string{"interactionId": "interaction"}
	const ref, act = `{"interactionId":"{interaction}"}`, `{"interactionId":"{interaction}","version":1}`
	return []Route{
		agent(wire.CmdAuthRefresh, `{"token":"{token}"}`, nil),
		agent(wire.CmdMessageSend, `{"interactionId":"{interaction}","clientId":"01990000-0000-7000-8000-000000000002","payload":{"text":"hello","files":["{file}"]}}`, map[string]string{"interactionId": "interaction", "payload.files": "file"}),
		agent(wire.CmdMessageRetry, `{"messageId":"{message}"}`, map[string]string{"messageId": "message"}),
		agent(wire.CmdMessageRead, `{"interactionId":"{interaction}","seq":1}`, one),
		agent(wire.CmdTyping, ref, one),
		agent(wire.CmdViewing, ref, one),
		agent(wire.CmdPresenceSet, `{"state":"busy"}`, nil),
		agent(wire.CmdInteractionOpen, ref, one),
		agent(wire.CmdInteractionCloseView, ref, nil), // leaves what one is in; of anything else it does nothing
		agent(wire.CmdInteractionClaim, act, one),
		agent(wire.CmdInteractionAssign, `{"interactionId":"{interaction}","version":1,"owner":{"type":"User","id":"{user}"}}`, map[string]string{"interactionId": "interaction", "owner.id": "user"}),
		agent(wire.CmdInteractionRelease, act, one),
		agent(wire.CmdInteractionResolve, act, one),
		agent(wire.CmdInteractionReopen, act, one),
		{
			Method: "WS", Path: "/livechat/ws", Operation: "ws:" + wire.CmdConversationEnd, Summary: "Command " + wire.CmdConversationEnd,
			Roles: auth.Roles["ws:"+wire.CmdConversationEnd], Sample: `{}`,
		},
		{
			Method: "WS", Path: "/livechat/ws", Operation: "ws:" + wire.CmdVisitorUpdate, Summary: "Command " + wire.CmdVisitorUpdate,
			Roles: auth.Roles["ws:"+wire.CmdVisitorUpdate], Sample: `{"name":"Ana"}`,
		},
		agent(wire.CmdInteractionMove, `{"interactionId":"{interaction}","version":1,"groupId":"{group}"}`, map[string]string{"interactionId": "interaction", "groupId": "group"}),
		agent(wire.CmdInteractionSnooze, `{"interactionId":"{interaction}","version":1,"until":9999999999999}`, one),
		agent(wire.CmdInteractionLabel, `{"interactionId":"{interaction}","version":1,"labelIds":["{label}"]}`, map[string]string{"interactionId": "interaction", "labelIds": "label"}),
		agent(wire.CmdNoteAdd, `{"interactionId":"{interaction}","clientId":"01990000-0000-7000-8000-000000000004","body":"note","mentions":["{user}"]}`, map[string]string{"interactionId": "interaction", "mentions": "user"}),
		agent(wire.CmdDraftSave, `{"interactionId":"{interaction}","tab":"reply","text":"Hel","replyTo":"{message}","version":0}`, map[string]string{"interactionId": "interaction", "replyTo": "message"}),
	}
}

// agentSocket lets agents and programs in. Pages must be ours; who sends no Origin is a program, and has to show a
// token or a key.
func (s *Server) agentSocket(c *gin.Context) {
	s.socket(c, hub.AcceptOptions{Handler: agents{s}, Origins: s.origins, AllowNoOrigin: true})
}

// visitorSocket lets visitors in: from the panel, which is ours.
func (s *Server) visitorSocket(c *gin.Context) {
	s.socket(c, hub.AcceptOptions{Handler: visitors{s}, Origins: s.origins})
}

func (s *Server) socket(c *gin.Context, o hub.AcceptOptions) {
	o.Address = peer(c)
	if err := s.d.Hub.Accept(c.Writer, c.Request, o); err != nil {
		s.log.DebugContext(c.Request.Context(), "socket refused", "reason", string(omni.CodeOf(err)))
	}
	c.Abort()
}

// Regrant says which topics an open connection may have now: for hub.Options.Regrant.
func (s *Server) Regrant(ctx context.Context, h hub.Principal) ([]string, error) {
	if h.VisitorID != "" {
		return s.visitorTopics(ctx, visitorOf(h))
	}
	p, err := s.again(ctx, h)
	if err != nil {
		return nil, err
	}
	return s.grants(ctx, p)
}

// grants are the topics of an agent or a program. A program is no user, so it has no user's topic.
func (s *Server) grants(ctx context.Context, p auth.Principal) ([]string, error) {
	topics, err := s.d.Pipeline.Topics(ctx, actor(p))
	if err != nil {
		return nil, err
	}
	if p.KeyID != "" {
		topics = slices.DeleteFunc(topics, func(t string) bool { return strings.HasPrefix(t, omni.UserTopic("")) })
	}
	return topics, nil
}

// closeSession closes the sockets of a login or API key on all nodes.
func (s *Server) closeSession(ctx context.Context, orgID, sessionID, reason string) {
	if err := s.d.Hub.CloseSession(context.WithoutCancel(ctx), orgID, sessionID, hub.CloseSession, reason); err != nil {
		s.log.WarnContext(ctx, "close sockets of a session", "org_id", orgID, "err", err)
	}
}

func (s *Server) closeUser(ctx context.Context, orgID, userID string, code int, reason string) {
	if err := s.d.Hub.CloseUser(context.WithoutCancel(ctx), orgID, userID, code, reason); err != nil {
		s.log.WarnContext(ctx, "close sockets of a user", "org_id", orgID, "err", err)
	}
}

// regrant gives users' open sockets the topics that they may have now.
func (s *Server) regrant(ctx context.Context, p auth.Principal, userIDs []string) {
	for _, id := range userIDs {
		if err := s.d.Hub.Regrant(context.WithoutCancel(ctx), p.Tenant.OrganisationID, id); err != nil {
			s.log.WarnContext(ctx, "grant topics again", "org_id", p.Tenant.OrganisationID, "err", err)
		}
	}
}

// agents serves the sockets of agents and programs.
type agents struct{ s *Server }

// Authenticate implements hub.Handler.
func (a agents) Authenticate(ctx context.Context, c wire.Connect, from hub.Peer) (hub.Principal, error) {
	p, err := a.credential(ctx, c, from)
	if err != nil {
		return hub.Principal{}, err
	}
	topics, err := a.s.grants(ctx, p)
	if err != nil {
		return hub.Principal{}, err
	}
	h := hub.Principal{
		OrgID: p.Tenant.OrganisationID, UserID: p.Tenant.UserID, Name: p.Name, SessionID: p.SessionID, Role: p.Role, Topics: topics, ExpiresAt: p.ExpiresAt,
	}
	if p.KeyID != "" {
		h.UserID, h.Name, h.SessionID = "", "", p.KeyID
	}
	return h, nil
}

func (a agents) credential(ctx context.Context, c wire.Connect, from hub.Peer) (auth.Principal, error) {
	given := 0
	for _, v := range []string{c.Ticket, c.Token, c.APIKey} {
		if v != "" {
			given++
		}
	}
	var p auth.Principal
	var err error
	switch {
	case given != 1:
		err = omni.Problemf(omni.ErrUnauthenticated, "Give one of ticket, token and apiKey.")
	case c.Ticket != "" && from.Origin == "":
		err = omni.Problemf(omni.ErrUnauthenticated, "Programs give a token or an API key.")
	case c.Ticket != "":
		p, err = a.s.auth.TakeTicket(ctx, c.Ticket)
	case c.Token != "":
		p, err = a.s.auth.Access(ctx, c.Token)
	default:
		p, err = a.s.auth.APIKey(ctx, c.APIKey)
	}
	if err == nil && p.Visitor != nil {
		err = omni.Problemf(omni.ErrForbidden, "This ticket is not for this socket.")
	}
	return p, err
}

// again looks at who a connection belongs to, as they are now.
func (s *Server) again(ctx context.Context, h hub.Principal) (auth.Principal, error) {
	p := auth.Principal{Tenant: omni.Tenant{OrganisationID: h.OrgID, UserID: h.UserID}, SessionID: h.SessionID}
	if h.UserID == "" {
		p = auth.Principal{Tenant: omni.Tenant{OrganisationID: h.OrgID, UserID: h.SessionID}, KeyID: h.SessionID}
	}
	return s.auth.Check(ctx, p)
}

// Handle implements hub.Handler.
func (a agents) Handle(ctx context.Context, conn *hub.Conn, cmd wire.Command) (any, error) {
	if _, known := auth.Roles["ws:"+cmd.Type]; !known {
		return nil, unsupported(cmd)
	}
	p, err := a.s.again(ctx, conn.Principal())
	if err != nil {
		if errors.Is(err, omni.ErrUnauthenticated) {
			conn.Close(hub.CloseSession, "session ended")
		}
		return nil, err
	}
	if !auth.Allowed("ws:"+cmd.Type, p.Role) {
		return nil, omni.Problemf(omni.ErrForbidden, "You may not do this.")
	}
	data, err := a.do(ctx, conn, p, cmd)
	a.s.commandFailed(ctx, conn, cmd, err)
	return data, err
}

// commandFailed logs what the client is not told.
func (s *Server) commandFailed(ctx context.Context, conn *hub.Conn, cmd wire.Command, err error) {
	s.metrics.command(cmd.Type, omni.CodeOf(err))
	if err != nil && omni.CodeOf(err) == omni.CodeInternal {
		s.log.ErrorContext(ctx, "command failed", "conn_id", conn.ID(), "op", cmd.Type, "err", err)
	}
}

func (a agents) do(ctx context.Context, conn *hub.Conn, p auth.Principal, cmd wire.Command) (any, error) {
	pipe, who := a.s.d.Pipeline, actor(p)
	switch cmd.Type {
	case wire.CmdAuthRefresh:
		return a.refresh(ctx, conn, p, cmd)
	case wire.CmdMessageSend:
		return command(cmd, func(c wire.SendMessage) (any, error) {
			m, _, err := pipe.Send(ctx, who, c)
			if err != nil {
				return nil, err
			}
			return wire.NewMessage(m), nil
		})
	case wire.CmdMessageRetry:
		return command(cmd, func(c wire.RetryMessage) (any, error) {
			m, err := pipe.Retry(ctx, who, c)
			if err != nil {
				return nil, err
			}
			return wire.NewMessage(m), nil
		})
	case wire.CmdMessageRead:
		return command(cmd, func(c wire.ReadMessage) (any, error) { return struct{}{}, pipe.Read(ctx, who, c) })
	case wire.CmdTyping:
		return command(cmd, func(c wire.TypingCommand) (any, error) { return struct{}{}, pipe.Typing(ctx, who, c) })
	case wire.CmdViewing:
		return command(cmd, func(c wire.ViewingCommand) (any, error) {
			i, err := pipe.Interaction(ctx, who, c.InteractionID)
			if err != nil {
				return nil, err
			}
			return struct{}{}, conn.View(ctx, omni.InteractionTopic(i.ID), !c.Stop)
		})
	case wire.CmdPresenceSet:
		return command(cmd, func(c wire.SetPresence) (any, error) { return struct{}{}, conn.SetPresence(ctx, c.State) })
	case wire.CmdInteractionOpen:
		return command(cmd, func(c wire.InteractionRef) (any, error) {
			i, err := pipe.Interaction(ctx, who, c.InteractionID)
			if err != nil {
				return nil, err
			}
			topic := omni.InteractionTopic(i.ID)
			if err := conn.Join(ctx, topic); err != nil {
				return nil, err
			}
			opened := wire.InteractionOpened{Topic: topic, Interaction: wire.NewInteraction(i)}
			opened.Viewers, opened.Typing = a.open(ctx, conn, p, i.ID)
			return opened, nil
		})
	case wire.CmdInteractionCloseView:
		return command(cmd, func(c wire.InteractionRef) (any, error) {
			conn.Leave(omni.InteractionTopic(c.InteractionID))
			return struct{}{}, nil
		})
	case wire.CmdInteractionClaim:
		return changes(ctx, who, cmd, pipe.Claim)
	case wire.CmdInteractionRelease:
		return changes(ctx, who, cmd, pipe.Release)
	case wire.CmdInteractionResolve:
		return changes(ctx, who, cmd, pipe.Resolve)
	case wire.CmdInteractionReopen:
		return changes(ctx, who, cmd, pipe.Reopen)
	case wire.CmdInteractionAssign:
		return changes(ctx, who, cmd, pipe.Assign)
	case wire.CmdInteractionMove:
		return changes(ctx, who, cmd, pipe.Move)
	case wire.CmdInteractionSnooze:
		return changes(ctx, who, cmd, pipe.Snooze)
	case wire.CmdInteractionLabel:
		return changes(ctx, who, cmd, pipe.Label)
	case wire.CmdNoteAdd:
		return command(cmd, func(c wire.AddNote) (any, error) {
			n, _, err := pipe.AddNote(ctx, who, c)
			if err != nil {
				return nil, err
			}
			return wire.NewNote(n), nil
		})
	case wire.CmdDraftSave:
		return command(cmd, func(c wire.SaveDraft) (any, error) {
			d, err := pipe.SaveDraft(ctx, who, c)
			if err != nil {
				return nil, err
			}
			return wire.NewDraft(d), nil
		})
	default:
		return nil, unsupported(cmd)
	}
}

// refresh moves the end of a connection to that of a newer token of the same login.
func (a agents) refresh(ctx context.Context, conn *hub.Conn, p auth.Principal, cmd wire.Command) (any, error) {
	return command(cmd, func(c wire.AuthRefresh) (any, error) {
		fresh, err := a.s.auth.Access(ctx, c.Token)
		if err != nil {
			return nil, err
		}
		if fresh.Tenant != p.Tenant || fresh.SessionID != p.SessionID {
			return nil, omni.Problemf(omni.ErrForbidden, "The token is of another login. Connect again.")
		}
		conn.Extend(fresh.ExpiresAt)
		return wire.AuthRefreshed{ExpiresAt: fresh.ExpiresAt}, nil
	})
}

// changes does a command that answers with the changed interaction.
func changes[T any](ctx context.Context, who Actor, cmd wire.Command, do func(context.Context, Actor, T) (omni.Interaction, error)) (any, error) {
	return command(cmd, func(c T) (any, error) {
		i, err := do(ctx, who, c)
		if err != nil {
			return nil, err
		}
		return wire.NewInteraction(i), nil
	})
}

// command reads a command's data into its type. Fields that it does not know are ignored, as the protocol says; a
// value of another type is omni.ErrInvalid and names its field.
func command[T any](cmd wire.Command, do func(T) (any, error)) (any, error) {
	var c T
	d := json.NewDecoder(bytes.NewReader(cmd.Data))
	if len(cmd.Data) > 0 {
		if err := d.Decode(&c); err != nil {
			p := omni.Problemf(omni.ErrInvalid, "The data of %s is not valid.", cmd.Type)
			var wrong *json.UnmarshalTypeError
			if errors.As(err, &wrong) && wrong.Field != "" {
				p.Fields = map[string]string{wrong.Field: "must be a " + wrong.Type.Kind().String()}
			}
			return nil, p
		}
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return nil, omni.Problemf(omni.ErrInvalid, "The data of %s is not valid.", cmd.Type)
		}
	}
	return do(c)
}

func unsupported(cmd wire.Command) error {
	typ := omni.CleanName(cmd.Type)
	if len(typ) > 40 {
		typ = "this command"
	}
	return omni.Problemf(omni.ErrUnsupported, "%s is not supported.", typ)
}

// visitors serves the sockets of website visitors.
type visitors struct{ s *Server }

// Authenticate implements hub.Handler. SessionID is the channel, so that closing a channel closes its visitors.
func (v visitors) Authenticate(ctx context.Context, c wire.Connect, _ hub.Peer) (hub.Principal, error) {
	var p auth.Principal
	var err error
	switch {
	case c.Ticket != "" && c.Token == "" && c.APIKey == "":
		p, err = v.s.auth.TakeTicket(ctx, c.Ticket)
	case c.Token != "" && c.Ticket == "" && c.APIKey == "":
		p, err = v.s.auth.Visitor(c.Token)
	default:
		err = omni.Problemf(omni.ErrUnauthenticated, "Give ticket or token.")
	}
	if err != nil {
		return hub.Principal{}, err
	}
	if p.Visitor == nil {
		return hub.Principal{}, omni.Problemf(omni.ErrForbidden, "This ticket is not for this socket.")
	}
	topics, err := v.s.visitorTopics(ctx, *p.Visitor)
	if err != nil {
		return hub.Principal{}, err
	}
	return hub.Principal{
		OrgID: p.Visitor.OrganisationID, VisitorID: p.Visitor.ID, SessionID: p.Visitor.DigitalChannelID,
		Role: omni.RoleVisitor, Topics: topics, ExpiresAt: p.ExpiresAt,
	}, nil
}

func visitorOf(h hub.Principal) omni.Visitor {
	return omni.Visitor{ID: h.VisitorID, OrganisationID: h.OrgID, DigitalChannelID: h.SessionID}
}

// visitorTopics are a visitor's own topic, and that of their conversation, where typing is told.
func (s *Server) visitorTopics(ctx context.Context, v omni.Visitor) ([]string, error) {
	topics := []string{omni.VisitorTopic(v.ID)}
	i, err := s.d.Pipeline.VisitorInteraction(ctx, v)
	switch {
	case errors.Is(err, omni.ErrNotFound):
		return topics, nil
	case err != nil:
		return nil, fmt.Errorf("find the visitor's interaction: %w", err)
	}
	return append(topics, omni.InteractionTopic(i.ID)), nil
}

// Handle implements hub.Handler.
func (v visitors) Handle(ctx context.Context, conn *hub.Conn, cmd wire.Command) (any, error) {
	if !auth.Allowed("ws:"+cmd.Type, omni.RoleVisitor) {
		return nil, unsupported(cmd)
	}
	data, err := v.do(ctx, conn, visitorOf(conn.Principal()), cmd)
	v.s.commandFailed(ctx, conn, cmd, err)
	return data, err
}

func (v visitors) do(ctx context.Context, conn *hub.Conn, who omni.Visitor, cmd wire.Command) (any, error) {
	pipe := v.s.d.Pipeline
	switch cmd.Type {
	case wire.CmdMessageSend:
		return command(cmd, func(c wire.SendMessage) (any, error) {
			if err := ownConversation(c.InteractionID, c.ChannelID, c.To); err != nil {
				return nil, err
			}
			m, _, err := pipe.VisitorSend(ctx, who, c)
			if err != nil {
				return nil, err
			}
			// From the first message on there is a conversation to hear typing of.
			if err := conn.Join(ctx, omni.InteractionTopic(m.InteractionID)); err != nil {
				v.s.log.WarnContext(ctx, "join a conversation", "conn_id", conn.ID(), "interaction_id", m.InteractionID, "err", err)
			}
			return pipe.VisitorView(ctx, m), nil
		})
	case wire.CmdMessageRead:
		return command(cmd, func(c wire.ReadMessage) (any, error) {
			if err := ownConversation(c.InteractionID); err != nil {
				return nil, err
			}
			return struct{}{}, pipe.VisitorRead(ctx, who, c)
		})
	case wire.CmdTyping:
		return command(cmd, func(c wire.TypingCommand) (any, error) {
			if err := ownConversation(c.InteractionID); err != nil {
				return nil, err
			}
			return struct{}{}, pipe.VisitorTyping(ctx, who, c)
		})
	case wire.CmdConversationEnd:
		return command(cmd, func(struct{}) (any, error) { return struct{}{}, pipe.VisitorEnd(ctx, who) })
	case wire.CmdVisitorUpdate:
		return command(cmd, func(c wire.UpdateVisitor) (any, error) { return struct{}{}, v.s.updateVisitor(ctx, who, c) })
	default:
		return nil, unsupported(cmd)
	}
}

// ownConversation refuses a visitor who names a conversation: there is none but their own.
func ownConversation(ids ...string) error {
	for _, id := range ids {
		if id != "" {
			return omni.Problemf(omni.ErrNotFound, "There is no such conversation.")
		}
	}
	return nil
}

package server

import (
	"context"
	"net/http"

	"omniservice/omni"
	"omniservice/server/auth"
)

// MeBody is who is logged in, and what they see.
type MeBody struct {
	User         UserBody         `json:"user" doc:"For an API key: its id, name and role"`
	Organisation OrganisationBody `json:"organisation"`
	Groups       []GroupBody      `json:"groups" nullable:"false" doc:"The channel groups that they see"`
}

// TicketBody lets one socket in.
type TicketBody struct {
	Ticket    string      `json:"ticket" doc:"For the connect command; works once, for 30 seconds"`
	ExpiresAt omni.Millis `json:"expiresAt"`
}

func (s *Server) apiMe() {
	register(s, endpoint{
		id: "me", method: http.MethodGet, path: "/api/v1/me", tag: "me", summary: "Who is logged in",
	}, func(ctx context.Context, p auth.Principal, _ *noInput) (*plain[MeBody], error) {
		out := &plain[MeBody]{}
		org, err := s.d.Store.Organisation(ctx, p.Tenant)
		if err != nil {
			return nil, err
		}
		out.Body.Organisation = newOrganisation(org)
		if p.KeyID != "" {
			out.Body.User = UserBody{ID: p.KeyID, Name: p.Name, Role: p.Role}
		} else {
			u, err := s.d.Store.User(ctx, p.Tenant, p.Tenant.UserID)
			if err != nil {
				return nil, err
			}
			out.Body.User = newUser(u)
		}
		groups, err := s.d.Pipeline.VisibleGroups(ctx, actor(p))
		if err != nil {
			return nil, err
		}
		out.Body.Groups = newList(groups, "", newGroup).Body.Items
		return out, nil
	})
	register(s, endpoint{
		id: "realtime-ticket", method: http.MethodPost, path: "/api/v1/realtime/tickets", tag: "realtime",
		summary: "Get a ticket for a socket",
	}, func(ctx context.Context, p auth.Principal, _ *emptyInput) (*plain[TicketBody], error) {
		t, ends, err := s.auth.NewTicket(ctx, p)
		if err != nil {
			return nil, err
		}
		return &plain[TicketBody]{Body: TicketBody{Ticket: t, ExpiresAt: ends}}, nil
	})
}

package server

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"omniservice/hub"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server/auth"
)

// viewTime is how long a client waits at most until others can hear that its user looks at a conversation.
const viewTime = time.Second

type presenceInput struct {
	Body struct {
		State omni.PresenceState `json:"state" enum:"online,away,busy"`
	}
}

func (s *Server) apiPresence() {
	register(s, endpoint{
		id: "presence-list", method: http.MethodGet, path: "/api/v1/presence", tag: "realtime",
		summary: "Which users are there, by id; the event presence tells what changes while there are at most 500",
	}, s.listPresence)
	register(s, endpoint{
		id: "presence-set", method: http.MethodPut, path: "/api/v1/presence", tag: "realtime", status: http.StatusNoContent,
		summary: "Be online, away or busy, as long as one is connected", sample: `{"state":"busy"}`,
	}, func(ctx context.Context, p auth.Principal, in *presenceInput) (*noOutput, error) {
		return nil, s.d.Hub.SetPresence(ctx, p.Tenant.OrganisationID, p.Tenant.UserID, in.Body.State)
	})
}

func (s *Server) listPresence(ctx context.Context, p auth.Principal, in *PageInput) (*listOutput[wire.Presence], error) {
	if in.Cursor != "" && !omni.ValidID(in.Cursor) {
		return nil, invalidField("cursor", "must be the next of a page before")
	}
	all, err := s.d.Hub.Present(ctx, p.Tenant.OrganisationID)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b wire.Presence) int { return cmp.Compare(a.Who.ID, b.Who.ID) })
	from, _ := slices.BinarySearchFunc(all, in.Cursor, func(one wire.Presence, cursor string) int {
		if one.Who.ID > cursor {
			return 1
		}
		return -1
	})
	all = all[from:]
	next := ""
	if len(all) > in.Limit {
		all = all[:in.Limit]
		next = all[len(all)-1].Who.ID
	}
	return newList(all, next, func(one wire.Presence) wire.Presence { return one }), nil
}

// open makes the user one of those who look at a conversation, and returns the others, and who else types. The bus may
// be away: then they are told later, and who they are is not known.
func (a agents) open(ctx context.Context, conn *hub.Conn, p auth.Principal, interactionID string) ([]wire.Viewing, []wire.Typing) {
	ctx, cancel := context.WithTimeout(ctx, viewTime)
	defer cancel()
	err := conn.View(ctx, omni.InteractionTopic(interactionID), true)
	var views []wire.Viewing
	var types []wire.Typing
	if err == nil {
		views, types, err = a.s.d.Hub.Around(ctx, interactionID)
	}
	if err != nil {
		a.s.log.WarnContext(ctx, "who looks at a conversation is not known", "conn_id", conn.ID(), "interaction_id", interactionID, "err", err)
		return nil, nil
	}
	self := p.Tenant.UserID
	return slices.DeleteFunc(views, func(v wire.Viewing) bool { return v.Who.ID == self }),
		slices.DeleteFunc(types, func(t wire.Typing) bool { return t.Who.ID == self })
}

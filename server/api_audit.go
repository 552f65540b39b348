package server

import (
	"context"
	"maps"
	"net/http"

	"omniservice/omni"
	"omniservice/server/auth"
)

// AuditBody tells who did what.
type AuditBody struct {
	ID       string            `json:"id"`
	ActorID  string            `json:"actorId" doc:"A user, an API key, or system"`
	Action   string            `json:"action"`
	TargetID string            `json:"targetId"`
	Details  map[string]string `json:"details"`
	At       omni.Millis       `json:"at"`
}

func (s *Server) apiAudit() {
	register(s, endpoint{
		id: "audit-list", method: http.MethodGet, path: "/api/v1/audit", tag: "audit", summary: "Who did what, newest first",
	}, func(ctx context.Context, p auth.Principal, in *PageInput) (*listOutput[AuditBody], error) {
		l, err := s.d.Store.AuditRecords(ctx, p.Tenant, page(in))
		if err != nil {
			return nil, err
		}
		return newList(l.Items, l.Next, func(r omni.AuditRecord) AuditBody {
			b := AuditBody{ID: r.ID, ActorID: r.ActorID, Action: r.Action, TargetID: r.TargetID, Details: map[string]string{}, At: r.At}
			maps.Copy(b.Details, r.Details)
			return b
		}), nil
	})
}

package server

import (
	"context"
	"net/http"

	"omniservice/omni"
	"omniservice/server/auth"
)

// APIKeyBody is an API key, without the key.
type APIKeyBody struct {
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	Role      omni.Role   `json:"role" enum:"service,admin"`
	Hint      string      `json:"hint" doc:"The last 4 characters"`
	CreatedAt omni.Millis `json:"createdAt"`
	ExpiresAt omni.Millis `json:"expiresAt,omitempty"`
}

func newAPIKey(k omni.APIKey) APIKeyBody {
	return APIKeyBody{ID: k.ID, Name: k.Name, Role: k.Role, Hint: k.Hint, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt}
}

// NewAPIKeyBody is an API key that was just made: the only answer that holds the key.
type NewAPIKeyBody struct {
	APIKeyBody

	Key string `json:"key" doc:"Shown once"`
}

type apiKeyPost struct {
	Body struct {
		Name      string      `json:"name" maxLength:"800"`
		Role      omni.Role   `json:"role" enum:"service,admin"`
		ExpiresAt omni.Millis `json:"expiresAt,omitempty" minimum:"0"`
	}
}

func (s *Server) apiKeys() {
	register(s, endpoint{
		id: "api-key-list", method: http.MethodGet, path: "/api/v1/api-keys", tag: "api-keys", summary: "API keys, newest first",
	}, func(ctx context.Context, p auth.Principal, in *PageInput) (*listOutput[APIKeyBody], error) {
		l, err := s.d.Store.APIKeys(ctx, p.Tenant, page(in))
		if err != nil {
			return nil, err
		}
		return newList(l.Items, l.Next, newAPIKey), nil
	})
	register(s, endpoint{
		id: "api-key-create", method: http.MethodPost, path: "/api/v1/api-keys", tag: "api-keys", status: http.StatusCreated,
		summary: "Make an API key; the answer is the only one that holds it",
	}, func(ctx context.Context, p auth.Principal, in *apiKeyPost) (*plain[NewAPIKeyBody], error) {
		if in.Body.ExpiresAt > 0 && in.Body.ExpiresAt <= s.millis() {
			return nil, invalidField("expiresAt", "must be in the future")
		}
		key, rec := auth.NewAPIKey(s.now(), p.Tenant.OrganisationID, in.Body.Name, in.Body.Role, in.Body.ExpiresAt)
		if err := rec.Validate(); err != nil {
			return nil, err
		}
		if err := s.d.Store.CreateAPIKey(ctx, p.Tenant, rec); err != nil {
			return nil, err
		}
		if err := s.audit(ctx, p, "api-key.create", rec.ID, map[string]string{"role": string(rec.Role)}); err != nil {
			return nil, err
		}
		return &plain[NewAPIKeyBody]{Body: NewAPIKeyBody{APIKeyBody: newAPIKey(rec), Key: key}}, nil
	})
	register(s, endpoint{
		id: "api-key-delete", method: http.MethodDelete, path: "/api/v1/api-keys/{id}", tag: "api-keys", status: http.StatusNoContent,
		summary: "Delete an API key; its sockets close", scope: map[string]string{"id": "api-key"},
	}, func(ctx context.Context, p auth.Principal, in *RecordInput) (*noOutput, error) {
		if err := knownID(in.ID); err != nil {
			return nil, err
		}
		if err := s.d.Store.DeleteAPIKey(ctx, p.Tenant, in.ID); err != nil {
			return nil, err
		}
		s.auth.Forget(auth.Principal{KeyID: in.ID})
		s.closeSession(ctx, p.Tenant.OrganisationID, in.ID, "API key deleted")
		return nil, s.audit(ctx, p, "api-key.delete", in.ID, nil)
	})
}

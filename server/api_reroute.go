package server

import (
	"context"
	"net/http"

	"omniservice/carriers/reroute"
	"omniservice/omni"
	"omniservice/server/auth"
)

// RerouteMappingBody says which environment gets what of a webhook that several environments share.
type RerouteMappingBody struct {
	ID               string             `json:"id"`
	CarrierAccountID string             `json:"carrierAccountId" doc:"Whose webhook is shared"`
	Mapper           omni.RerouteMapper `json:"mapper" enum:"WABA_ID,PHONE_NUMBER_ID,TEMPLATE_NAME_PREFIX,DEFAULT" doc:"What of a notification is looked at; tried in this order"`
	Key              string             `json:"key" doc:"What the mapper has to find; empty for DEFAULT"`
	Environment      string             `json:"environment" doc:"A name for people"`
	URL              string             `json:"url" doc:"The other environment's webhook address; empty: it stays here"`
	Disabled         bool               `json:"disabled"`
	Version          int64              `json:"version"`
	CreatedAt        omni.Millis        `json:"createdAt"`
}

func newRerouteMapping(m omni.RerouteMapping) RerouteMappingBody {
	return RerouteMappingBody{
		ID: m.ID, CarrierAccountID: m.CarrierAccountID, Mapper: m.Mapper, Key: m.Key, Environment: m.Environment, URL: m.URL,
		Disabled: m.Disabled, Version: m.Version, CreatedAt: m.CreatedAt,
	}
}

type rerouteMappingList struct {
	RecordInput
	PageInput
}

type rerouteMappingPost struct {
	Body struct {
		CarrierAccountID string             `json:"carrierAccountId" maxLength:"36"`
		Mapper           omni.RerouteMapper `json:"mapper" enum:"WABA_ID,PHONE_NUMBER_ID,TEMPLATE_NAME_PREFIX,DEFAULT"`
		Key              string             `json:"key,omitempty" maxLength:"255"`
		Environment      string             `json:"environment" maxLength:"800"`
		URL              string             `json:"url,omitempty" maxLength:"2000"`
	}
}

type rerouteMappingPatch struct {
	RecordInput

	IfMatch string `header:"If-Match" maxLength:"40"`
	Body    struct {
		Environment *string `json:"environment,omitempty" maxLength:"800"`
		URL         *string `json:"url,omitempty" maxLength:"2000"`
		Disabled    *bool   `json:"disabled,omitempty"`
	}
}

func rerouteMappingRecord(m omni.RerouteMapping) *record[RerouteMappingBody] {
	return &record[RerouteMappingBody]{ETag: etag(m.Version), Body: newRerouteMapping(m)}
}

func (s *Server) apiReroute() {
	one := map[string]string{"id": "reroute-mapping"}
	register(s, endpoint{
		id: "reroute-mapping-list", method: http.MethodGet, path: "/api/v1/carrier-accounts/{id}/reroute-mappings",
		tag: "carrier-accounts", summary: "Mappings of a carrier account's shared webhook, by key", scope: map[string]string{"id": "carrier-account"},
	}, func(ctx context.Context, p auth.Principal, in *rerouteMappingList) (*listOutput[RerouteMappingBody], error) {
		if _, err := s.carrierAccount(ctx, p, in.ID); err != nil {
			return nil, err
		}
		l, err := s.d.Store.RerouteMappings().List(ctx, p.Tenant, in.ID, page(&in.PageInput))
		if err != nil {
			return nil, err
		}
		return newList(l.Items, l.Next, newRerouteMapping), nil
	})
	register(s, endpoint{
		id: "reroute-mapping-create", method: http.MethodPost, path: "/api/v1/reroute-mappings", tag: "carrier-accounts",
		status: http.StatusCreated, summary: "Give another environment its part of a shared webhook",
		scope:  map[string]string{"carrierAccountId": "carrier-account"},
		sample: `{"carrierAccountId":"{carrier-account}","mapper":"WABA_ID","key":"102290129340398","environment":"staging","url":"https://staging.example.com/webhooks/whatsapp/x"}`,
	}, s.createRerouteMapping)
	register(s, endpoint{
		id: "reroute-mapping-update", method: http.MethodPatch, path: "/api/v1/reroute-mappings/{id}", tag: "carrier-accounts",
		summary: "Change a mapping", scope: one, sample: `{"environment":"Changed"}`,
	}, s.updateRerouteMapping)
	register(s, endpoint{
		id: "reroute-mapping-delete", method: http.MethodDelete, path: "/api/v1/reroute-mappings/{id}", tag: "carrier-accounts",
		status: http.StatusNoContent, summary: "Remove a mapping; what still waits for its environment is set aside", scope: one,
	}, func(ctx context.Context, p auth.Principal, in *RecordInput) (*noOutput, error) {
		if err := knownID(in.ID); err != nil {
			return nil, err
		}
		if err := s.d.Store.RerouteMappings().Delete(ctx, p.Tenant, in.ID); err != nil {
			return nil, err
		}
		s.changed(ctx, p.Tenant, "reroute-mapping", in.ID)
		return nil, s.audit(ctx, p, "reroute-mapping.delete", in.ID, nil)
	})
	register(s, endpoint{
		id: "reroute-mapping-attempts", method: http.MethodGet, path: "/api/v1/reroute-mappings/{id}/attempts", tag: "carrier-accounts",
		summary: "The newest attempts of this node to forward by a mapping, newest first", scope: one,
	}, func(ctx context.Context, p auth.Principal, in *RecordInput) (*listOutput[reroute.HTTPResponse], error) {
		if err := knownID(in.ID); err != nil {
			return nil, err
		}
		if _, err := s.d.Store.RerouteMappings().Get(ctx, p.Tenant, in.ID); err != nil {
			return nil, err
		}
		return newList(s.d.Pipeline.Attempts(in.ID), "", func(a reroute.HTTPResponse) reroute.HTTPResponse { return a }), nil
	})
}

func (s *Server) createRerouteMapping(ctx context.Context, p auth.Principal, in *rerouteMappingPost) (*record[RerouteMappingBody], error) {
	m := omni.RerouteMapping{
		ID: omni.NewIDAt(s.now()), Tenant: omni.Org(p.Tenant.OrganisationID), CarrierAccountID: in.Body.CarrierAccountID,
		Mapper: in.Body.Mapper, Key: in.Body.Key, Environment: in.Body.Environment, URL: in.Body.URL, Version: 1, CreatedAt: s.millis(),
		SchemaVersion: omni.CurrentSchema,
	}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if _, err := s.d.Store.CarrierAccount(ctx, p.Tenant, m.CarrierAccountID); err != nil {
		return nil, missing(err, "carrierAccount", m.CarrierAccountID)
	}
	if err := s.d.Store.RerouteMappings().Create(ctx, p.Tenant, m); err != nil {
		return nil, inUse(err, "key", "is that of another mapping of this account")
	}
	s.changed(ctx, p.Tenant, "reroute-mapping", m.ID)
	return rerouteMappingRecord(m), s.audit(ctx, p, "reroute-mapping.create", m.ID, map[string]string{"environment": m.Environment})
}

func (s *Server) updateRerouteMapping(ctx context.Context, p auth.Principal, in *rerouteMappingPatch) (*record[RerouteMappingBody], error) {
	if err := knownID(in.ID); err != nil {
		return nil, err
	}
	v, err := version(in.IfMatch)
	if err != nil {
		return nil, err
	}
	m, err := s.d.Store.RerouteMappings().Get(ctx, p.Tenant, in.ID)
	if err != nil {
		return nil, err
	}
	if m.Version != v {
		return nil, preconditionFailed("re-router mapping")
	}
	set(&m.Environment, in.Body.Environment)
	set(&m.URL, in.Body.URL)
	set(&m.Disabled, in.Body.Disabled)
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if m, err = s.d.Store.RerouteMappings().Update(ctx, p.Tenant, m); err != nil {
		return nil, staleAs("re-router mapping", err)
	}
	s.changed(ctx, p.Tenant, "reroute-mapping", m.ID)
	return rerouteMappingRecord(m), s.audit(ctx, p, "reroute-mapping.update", m.ID, nil)
}

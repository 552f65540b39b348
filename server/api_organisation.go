package server

import (
	"context"
	"net/http"

	"omniservice/omni"
	"omniservice/server/auth"
)

// OrganisationBody is an organisation.
type OrganisationBody struct {
	ID             string      `json:"id"`
	Name           string      `json:"name"`
	DefaultCountry string      `json:"defaultCountry,omitempty" doc:"Two letters, for numbers without a country code"`
	ReopenMinutes  int         `json:"reopenMinutes" doc:"A resolved interaction reopens within this time of its end"`
	Version        int64       `json:"version"`
	CreatedAt      omni.Millis `json:"createdAt"`
}

func newOrganisation(o omni.Organisation) OrganisationBody {
	return OrganisationBody{
		ID: o.ID, Name: o.Name, DefaultCountry: o.DefaultCountry, ReopenMinutes: o.ReopenMinutes,
		Version: o.Version, CreatedAt: o.CreatedAt,
	}
}

type organisationPatch struct {
	IfMatch string `header:"If-Match" maxLength:"40"`
	Body    struct {
		Name           *string `json:"name,omitempty" maxLength:"800"`
		DefaultCountry *string `json:"defaultCountry,omitempty" maxLength:"2"`
		ReopenMinutes  *int    `json:"reopenMinutes,omitempty" minimum:"0" maximum:"525600"`
	}
}

func organisationRecord(o omni.Organisation) *record[OrganisationBody] {
	return &record[OrganisationBody]{ETag: etag(o.Version), Body: newOrganisation(o)}
}

func (s *Server) apiOrganisation() {
	register(s, endpoint{
		id: "organisation-get", method: http.MethodGet, path: "/api/v1/organisation", tag: "organisation",
		summary: "The caller's organisation",
	}, func(ctx context.Context, p auth.Principal, _ *noInput) (*record[OrganisationBody], error) {
		o, err := s.d.Store.Organisation(ctx, p.Tenant)
		if err != nil {
			return nil, err
		}
		return organisationRecord(o), nil
	})
	register(s, endpoint{
		id: "organisation-update", method: http.MethodPatch, path: "/api/v1/organisation", tag: "organisation",
		summary: "Change the organisation", sample: `{"reopenMinutes":60}`,
	}, func(ctx context.Context, p auth.Principal, in *organisationPatch) (*record[OrganisationBody], error) {
		v, err := version(in.IfMatch)
		if err != nil {
			return nil, err
		}
		o, err := s.d.Store.Organisation(ctx, p.Tenant)
		if err != nil {
			return nil, err
		}
		if o.Version != v {
			return nil, preconditionFailed("organisation")
		}
		set(&o.Name, in.Body.Name)
		set(&o.DefaultCountry, in.Body.DefaultCountry)
		set(&o.ReopenMinutes, in.Body.ReopenMinutes)
		if err := o.Validate(); err != nil {
			return nil, err
		}
		if o, err = s.d.Store.UpdateOrganisation(ctx, p.Tenant, o); err != nil {
			return nil, staleAs("organisation", err)
		}
		s.changed(ctx, p.Tenant, "organisation", o.ID)
		return organisationRecord(o), s.audit(ctx, p, "organisation.update", o.ID, nil)
	})
}

// set replaces what a request sets.
func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

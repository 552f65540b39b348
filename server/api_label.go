package server

import (
	"context"
	"net/http"

	"omniservice/omni"
	"omniservice/server/auth"
)

// LabelBody is a mark for interactions and contacts.
type LabelBody struct {
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	Colour    string      `json:"colour,omitempty" doc:"#rrggbb"`
	Version   int64       `json:"version"`
	CreatedAt omni.Millis `json:"createdAt"`
}

func newLabel(l omni.Label) LabelBody {
	return LabelBody{ID: l.ID, Name: l.Name, Colour: l.Colour, Version: l.Version, CreatedAt: l.CreatedAt}
}

type labelPost struct {
	Body struct {
		Name   string `json:"name" maxLength:"800"`
		Colour string `json:"colour,omitempty" maxLength:"7"`
	}
}

type labelPatch struct {
	RecordInput

	IfMatch string `header:"If-Match" maxLength:"40"`
	Body    struct {
		Name   *string `json:"name,omitempty" maxLength:"800"`
		Colour *string `json:"colour,omitempty" maxLength:"7"`
	}
}

func labelRecord(l omni.Label) *record[LabelBody] {
	return &record[LabelBody]{ETag: etag(l.Version), Body: newLabel(l)}
}

func (s *Server) apiLabels() {
	one := map[string]string{"id": "label"}
	register(s, endpoint{
		id: "label-list", method: http.MethodGet, path: "/api/v1/labels", tag: "labels", summary: "Labels, by name",
	}, func(ctx context.Context, p auth.Principal, in *PageInput) (*listOutput[LabelBody], error) {
		l, err := s.d.Store.Labels().List(ctx, p.Tenant, "", page(in))
		if err != nil {
			return nil, err
		}
		return newList(l.Items, l.Next, newLabel), nil
	})
	register(s, endpoint{
		id: "label-create", method: http.MethodPost, path: "/api/v1/labels", tag: "labels", status: http.StatusCreated,
		summary: "Add a label", sample: `{"name":"Label","colour":"#1a73e8"}`,
	}, func(ctx context.Context, p auth.Principal, in *labelPost) (*record[LabelBody], error) {
		l := omni.Label{
			ID: omni.NewIDAt(s.now()), Tenant: omni.Org(p.Tenant.OrganisationID), Name: in.Body.Name, Colour: in.Body.Colour,
			Version: 1, CreatedAt: s.millis(), SchemaVersion: omni.CurrentSchema,
		}
		if err := l.Validate(); err != nil {
			return nil, err
		}
		if err := s.d.Store.Labels().Create(ctx, p.Tenant, l); err != nil {
			return nil, inUse(err, "name", "is that of another label")
		}
		s.changed(ctx, p.Tenant, "label", l.ID)
		return labelRecord(l), nil
	})
	register(s, endpoint{
		id: "label-update", method: http.MethodPatch, path: "/api/v1/labels/{id}", tag: "labels", summary: "Change a label",
		scope: one, sample: `{"name":"Changed"}`,
	}, s.updateLabel)
	register(s, endpoint{
		id: "label-delete", method: http.MethodDelete, path: "/api/v1/labels/{id}", tag: "labels", status: http.StatusNoContent,
		summary: "Remove a label; what has it shows it no more", scope: one,
	}, func(ctx context.Context, p auth.Principal, in *RecordInput) (*noOutput, error) {
		if err := knownID(in.ID); err != nil {
			return nil, err
		}
		if err := s.d.Store.Labels().Delete(ctx, p.Tenant, in.ID); err != nil {
			return nil, err
		}
		s.changed(ctx, p.Tenant, "label", in.ID)
		return nil, nil
	})
}

func (s *Server) updateLabel(ctx context.Context, p auth.Principal, in *labelPatch) (*record[LabelBody], error) {
	if err := knownID(in.ID); err != nil {
		return nil, err
	}
	v, err := version(in.IfMatch)
	if err != nil {
		return nil, err
	}
	l, err := s.d.Store.Labels().Get(ctx, p.Tenant, in.ID)
	if err != nil {
		return nil, err
	}
	if l.Version != v {
		return nil, preconditionFailed("label")
	}
	set(&l.Name, in.Body.Name)
	set(&l.Colour, in.Body.Colour)
	if err := l.Validate(); err != nil {
		return nil, err
	}
	like := omni.Label{Name: l.Name}
	if other, err := s.d.Store.Labels().Find(ctx, p.Tenant, like); err == nil && other.ID != l.ID {
		return nil, inUse(omni.ErrConflict, "name", "is that of another label")
	}
	if l, err = s.d.Store.Labels().Update(ctx, p.Tenant, l); err != nil {
		return nil, staleAs("label", err)
	}
	s.changed(ctx, p.Tenant, "label", l.ID)
	return labelRecord(l), nil
}

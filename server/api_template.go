package server

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"omniservice/omni"
	"omniservice/server/auth"
	"omniservice/store"
)

// TemplateBody is a message template, as it is at its carrier.
type TemplateBody struct {
	ID               string                `json:"id"`
	CarrierAccountID string                `json:"carrierAccountId"`
	CarrierID        string                `json:"carrierId,omitempty" doc:"The carrier's id of it"`
	Name             string                `json:"name"`
	Language         string                `json:"language" doc:"As the carrier writes it: en_US"`
	Category         omni.TemplateCategory `json:"category" enum:"MARKETING,UTILITY,AUTHENTICATION"`
	Status           omni.TemplateStatus   `json:"status"`
	Usable           bool                  `json:"usable" doc:"Whether it can be sent now"`
	Quality          omni.TemplateQuality  `json:"quality" enum:"GREEN,YELLOW,RED,UNKNOWN"`
	NamedParameters  bool                  `json:"namedParameters" doc:"Its places have names, {{name}}, instead of numbers, {{1}}"`
	Components       json.RawMessage       `json:"components" doc:"Header, body, footer and buttons, as the carrier describes them"`
	RejectedReason   string                `json:"rejectedReason,omitempty" doc:"The carrier's word for why it was refused or stopped"`
	SyncedAt         omni.Millis           `json:"syncedAt" doc:"When the carrier last told of it"`
	Version          int64                 `json:"version"`
	CreatedAt        omni.Millis           `json:"createdAt"`
}

func newTemplate(m omni.MessageTemplate) TemplateBody {
	return TemplateBody{
		ID: m.ID, CarrierAccountID: m.CarrierAccountID, CarrierID: m.CarrierID, Name: m.Name, Language: m.Language, Category: m.Category,
		Status: m.Status, Usable: m.Usable(), Quality: m.Quality, NamedParameters: m.NamedParameters, Components: json.RawMessage(m.Components),
		RejectedReason: m.RejectedReason, SyncedAt: m.SyncedAt, Version: m.Version, CreatedAt: m.CreatedAt,
	}
}

// TemplateSyncBody is what reading the templates of an account changed.
type TemplateSyncBody struct {
	Templates int `json:"templates" doc:"How many there are now"`
	Added     int `json:"added"`
	Changed   int `json:"changed"`
	Removed   int `json:"removed"`
}

type templateListInput struct {
	PageInput

	CarrierAccountID string                `query:"carrierAccountId" maxLength:"36"`
	Status           omni.TemplateStatus   `query:"status" enum:"APPROVED,PENDING,REJECTED,IN_APPEAL,PAUSED,DISABLED,LIMIT_EXCEEDED,ARCHIVED,LOCKED,PENDING_DELETION,DELETED,OTHER"`
	Category         omni.TemplateCategory `query:"category" enum:"MARKETING,UTILITY,AUTHENTICATION"`
	Language         string                `query:"language" maxLength:"20" doc:"As the carrier writes it"`
	Name             string                `query:"name" maxLength:"512" doc:"A part of the name"`
}

func (in *templateListInput) takes(m omni.MessageTemplate) bool {
	return (in.Status == "" || m.Status == in.Status) && (in.Category == "" || m.Category == in.Category) &&
		(in.Language == "" || m.Language == in.Language) && strings.Contains(m.Name, strings.ToLower(in.Name))
}

type templatePost struct {
	Body struct {
		CarrierAccountID string                `json:"carrierAccountId" maxLength:"36"`
		Name             string                `json:"name" maxLength:"512"`
		Language         string                `json:"language" maxLength:"20"`
		Category         omni.TemplateCategory `json:"category" enum:"MARKETING,UTILITY,AUTHENTICATION"`
		NamedParameters  bool                  `json:"namedParameters,omitempty"`
		Components       json.RawMessage       `json:"components" doc:"Header, body, footer and buttons, as the carrier describes them"`
	}
}

type templateSyncInput struct {
	Body struct {
		CarrierAccountID string `json:"carrierAccountId" maxLength:"36"`
	}
}

func templateRecord(m omni.MessageTemplate) *record[TemplateBody] {
	return &record[TemplateBody]{ETag: etag(m.Version), Body: newTemplate(m)}
}

func (s *Server) apiTemplates() {
	one := map[string]string{"id": "template"}
	ofAccount := map[string]string{"carrierAccountId": "carrier-account"}
	register(s, endpoint{
		id: "template-list", method: http.MethodGet, path: "/api/v1/templates", tag: "templates",
		summary: "Message templates, by account, then by name; a page may hold fewer than asked for",
	}, s.listTemplates)
	register(s, endpoint{
		id: "template-create", method: http.MethodPost, path: "/api/v1/templates", tag: "templates", status: http.StatusCreated,
		summary: "Hand a template in at the carrier, which reviews it", scope: ofAccount,
		sample: `{"carrierAccountId":"{carrier-account}","name":"hello","language":"en_US","category":"UTILITY","components":[{"type":"BODY","text":"Hello!"}]}`,
	}, s.createTemplate)
	register(s, endpoint{
		id: "template-sync", method: http.MethodPost, path: "/api/v1/templates/sync", tag: "templates",
		summary: "Read the templates of an account from its carrier now", scope: ofAccount, sample: `{"carrierAccountId":"{carrier-account}"}`,
	}, s.syncTemplates)
	register(s, endpoint{
		id: "template-get", method: http.MethodGet, path: "/api/v1/templates/{id}", tag: "templates", summary: "A message template", scope: one,
	}, func(ctx context.Context, p auth.Principal, in *RecordInput) (*record[TemplateBody], error) {
		if err := knownID(in.ID); err != nil {
			return nil, err
		}
		m, err := s.d.Store.Templates().Get(ctx, p.Tenant, in.ID)
		if err != nil {
			return nil, err
		}
		return templateRecord(m), nil
	})
	register(s, endpoint{
		id: "template-delete", method: http.MethodDelete, path: "/api/v1/templates/{id}", tag: "templates", status: http.StatusNoContent,
		summary: "Remove a template at its carrier", scope: one,
	}, func(ctx context.Context, p auth.Principal, in *RecordInput) (*noOutput, error) {
		if err := knownID(in.ID); err != nil {
			return nil, err
		}
		if err := s.d.Pipeline.DeleteTemplate(ctx, actor(p), in.ID); err != nil {
			return nil, err
		}
		return nil, s.audit(ctx, p, "template.delete", in.ID, nil)
	})
}

// templateReads bounds how many pages of the store one answer is made of.
const templateReads = 20

// listTemplates goes through the accounts one after the other. A cursor names the account that it is in.
func (s *Server) listTemplates(ctx context.Context, p auth.Principal, in *templateListInput) (*listOutput[TemplateBody], error) {
	accounts, err := s.templateAccounts(ctx, p, in.CarrierAccountID)
	if err != nil {
		return nil, err
	}
	at, cursor := 0, ""
	if in.Cursor != "" {
		id, rest, ok := strings.Cut(in.Cursor, ".")
		if at = slices.Index(accounts, id); !ok || at < 0 {
			return nil, invalidField("cursor", "is not one of this list")
		}
		cursor = rest
	}
	var items []omni.MessageTemplate
	for reads := 0; at < len(accounts) && len(items) < in.Limit && reads < templateReads; reads++ {
		l, err := s.d.Store.Templates().List(ctx, p.Tenant, accounts[at], store.Page{Cursor: cursor, Limit: in.Limit - len(items)})
		if err != nil {
			return nil, err
		}
		for _, m := range l.Items {
			if in.takes(m) {
				items = append(items, m)
			}
		}
		if cursor = l.Next; cursor == "" {
			at++
		}
	}
	next := ""
	if at < len(accounts) {
		next = accounts[at] + "." + cursor
	}
	return newList(items, next, newTemplate), nil
}

// templateAccounts are the ids of the accounts whose templates are listed, in order.
func (s *Server) templateAccounts(ctx context.Context, p auth.Principal, id string) ([]string, error) {
	if id != "" {
		a, err := s.carrierAccount(ctx, p, id)
		if err != nil {
			return nil, err
		}
		return []string{a.ID}, nil
	}
	var ids []string
	pg := store.Page{Limit: store.MaxPage}
	for {
		l, err := s.d.Store.CarrierAccounts(ctx, p.Tenant, pg)
		if err != nil {
			return nil, err
		}
		for _, a := range l.Items {
			ids = append(ids, a.ID)
		}
		if pg.Cursor = l.Next; pg.Cursor == "" {
			slices.Sort(ids)
			return ids, nil
		}
	}
}

func (s *Server) createTemplate(ctx context.Context, p auth.Principal, in *templatePost) (*record[TemplateBody], error) {
	if _, err := s.carrierAccount(ctx, p, in.Body.CarrierAccountID); err != nil {
		return nil, err
	}
	m, err := s.d.Pipeline.CreateTemplate(ctx, actor(p), omni.MessageTemplate{
		CarrierAccountID: in.Body.CarrierAccountID, Name: in.Body.Name, Language: in.Body.Language, Category: in.Body.Category,
		NamedParameters: in.Body.NamedParameters, Components: omni.RawJSON(in.Body.Components),
	})
	if err != nil {
		return nil, err
	}
	return templateRecord(m), s.audit(ctx, p, "template.create", m.ID, map[string]string{"name": m.Name, "language": m.Language})
}

func (s *Server) syncTemplates(ctx context.Context, p auth.Principal, in *templateSyncInput) (*plain[TemplateSyncBody], error) {
	if _, err := s.carrierAccount(ctx, p, in.Body.CarrierAccountID); err != nil {
		return nil, err
	}
	r, err := s.d.Pipeline.SyncTemplates(ctx, p.Tenant, in.Body.CarrierAccountID)
	if err != nil {
		if ctx.Err() != nil { // there are more than a request has time for
			s.d.Pipeline.RefreshTemplates(p.Tenant, in.Body.CarrierAccountID)
		}
		return nil, err
	}
	return &plain[TemplateSyncBody]{Body: TemplateSyncBody(r)}, nil
}

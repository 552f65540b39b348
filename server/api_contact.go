package server

import (
	"context"
	"maps"
	"net/http"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server/auth"
)

// IdentityBody is one address of a contact.
type IdentityBody struct {
	ID          string           `json:"id"`
	ChannelType omni.ChannelType `json:"channelType"`
	Address     string           `json:"address"`
	Name        string           `json:"name,omitempty"`
	Verified    bool             `json:"verified"`
	OptedOutAt  omni.Millis      `json:"optedOutAt,omitempty"`
	NoMarketing bool             `json:"noMarketing,omitempty" doc:"They do not want marketing messages"`
	LastSeenAt  omni.Millis      `json:"lastSeenAt,omitempty"`
}

// ContactBody is a person who writes to the organisation, or to whom it writes.
type ContactBody struct {
	ID         string            `json:"id"`
	Name       string            `json:"name"`
	Language   string            `json:"language,omitempty"`
	Labels     []string          `json:"labels" nullable:"false"`
	Attributes map[string]string `json:"attributes"`
	Version    int64             `json:"version"`
	CreatedAt  omni.Millis       `json:"createdAt"`
	Identities []IdentityBody    `json:"identities" nullable:"false" doc:"Oldest first; empty in lists"`
}

func newContact(c omni.Contact, identities []omni.ContactIdentity) ContactBody {
	b := ContactBody{
		ID: c.ID, Name: omni.CleanName(c.Name), Language: c.Language, Labels: append([]string{}, c.Labels...), Attributes: map[string]string{},
		Version: c.Version, CreatedAt: c.CreatedAt, Identities: []IdentityBody{},
	}
	maps.Copy(b.Attributes, c.Attributes)
	for _, i := range identities {
		b.Identities = append(b.Identities, IdentityBody{
			ID: i.ID, ChannelType: i.ChannelType, Address: i.Address, Name: omni.CleanName(i.Name), Verified: i.Verified,
			OptedOutAt: i.OptedOutAt, NoMarketing: i.NoMarketing(), LastSeenAt: i.LastSeenAt,
		})
	}
	return b
}

type contactPatch struct {
	RecordInput

	IfMatch string `header:"If-Match" maxLength:"40"`
	Body    struct {
		Name       *string            `json:"name,omitempty" maxLength:"800"`
		Language   *string            `json:"language,omitempty" maxLength:"35"`
		Labels     *[]string          `json:"labels,omitempty" maxItems:"50"`
		Attributes *map[string]string `json:"attributes,omitempty" maxProperties:"100"`
	}
}

func (s *Server) apiContacts() {
	register(s, endpoint{
		id: "contact-list", method: http.MethodGet, path: "/api/v1/contacts", tag: "contacts", summary: "Contacts, newest first",
	}, func(ctx context.Context, p auth.Principal, in *PageInput) (*listOutput[ContactBody], error) {
		l, err := s.d.Store.Contacts(ctx, p.Tenant, page(in))
		if err != nil {
			return nil, err
		}
		return newList(l.Items, l.Next, func(c omni.Contact) ContactBody { return newContact(c, nil) }), nil
	})
	register(s, endpoint{
		id: "contact-get", method: http.MethodGet, path: "/api/v1/contacts/{id}", tag: "contacts", summary: "A contact and its addresses",
		scope: map[string]string{"id": "contact"},
	}, func(ctx context.Context, p auth.Principal, in *RecordInput) (*record[ContactBody], error) {
		if err := knownID(in.ID); err != nil {
			return nil, err
		}
		c, err := s.d.Store.Contact(ctx, p.Tenant, in.ID)
		if err != nil {
			return nil, err
		}
		return s.contactRecord(ctx, p, c)
	})
	register(s, endpoint{
		id: "contact-update", method: http.MethodPatch, path: "/api/v1/contacts/{id}", tag: "contacts", summary: "Change a contact",
		scope: map[string]string{"id": "contact"}, sample: `{"name":"Changed"}`,
	}, func(ctx context.Context, p auth.Principal, in *contactPatch) (*record[ContactBody], error) {
		if err := knownID(in.ID); err != nil {
			return nil, err
		}
		v, err := version(in.IfMatch)
		if err != nil {
			return nil, err
		}
		c, err := s.d.Store.Contact(ctx, p.Tenant, in.ID)
		if err != nil {
			return nil, err
		}
		if c.Version != v {
			return nil, preconditionFailed("contact")
		}
		set(&c.Name, in.Body.Name)
		set(&c.Language, in.Body.Language)
		set(&c.Labels, in.Body.Labels)
		set(&c.Attributes, in.Body.Attributes)
		if err := checkContact(c); err != nil {
			return nil, err
		}
		if c, err = s.d.Store.UpdateContact(ctx, p.Tenant, c); err != nil {
			return nil, staleAs("contact", err)
		}
		s.contactChanged(ctx, p, c, wire.ContactChange{
			Name: in.Body.Name, Language: in.Body.Language, Labels: in.Body.Labels, Attributes: in.Body.Attributes,
		})
		return s.contactRecord(ctx, p, c)
	})
}

// contactChanged tells the organisation's people of a change: all of them may read contacts.
func (s *Server) contactChanged(ctx context.Context, p auth.Principal, c omni.Contact, change wire.ContactChange) {
	change.ContactID, change.Version, change.By = c.ID, c.Version, p.Tenant.UserID
	if change.Name != nil {
		name := omni.CleanName(c.Name)
		change.Name = &name
	}
	err := s.d.Publish(context.WithoutCancel(ctx), omni.OrgTopic(p.Tenant.OrganisationID), wire.ContactUpdated, change)
	if err != nil {
		s.log.WarnContext(ctx, "contact change not announced", "org_id", p.Tenant.OrganisationID, "err", err)
	}
}

func (s *Server) contactRecord(ctx context.Context, p auth.Principal, c omni.Contact) (*record[ContactBody], error) {
	identities, err := s.d.Store.Identities(ctx, p.Tenant, c.ID)
	if err != nil {
		return nil, err
	}
	return &record[ContactBody]{ETag: etag(c.Version), Body: newContact(c, identities)}, nil
}

// checkContact bounds what agents can put into a contact.
func checkContact(c omni.Contact) error {
	for _, l := range c.Labels {
		if l == "" || len(l) > 100 {
			return invalidField("labels", "must be 1 to 100 bytes each")
		}
	}
	for k, v := range c.Attributes {
		if k == "" || len(k) > 100 || len(v) > 2000 {
			return invalidField("attributes", "must have names of 1 to 100 and values of at most 2000 bytes")
		}
	}
	return c.Validate()
}

package sqlitestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"omniservice/omni"
	"omniservice/store"
)

// identityRow is an identity with the moment of its newest consent.
type identityRow struct {
	omni.ContactIdentity

	consentAt omni.Millis
}

func scanIdentityRow(r scanner) (i identityRow, err error) {
	var doc []byte
	if err := r.Scan(&doc, &i.consentAt); err != nil {
		return i, err
	}
	return i, json.Unmarshal(doc, &i.ContactIdentity)
}

func scanIdentity(r scanner) (omni.ContactIdentity, error) {
	i, err := scanIdentityRow(r)
	return i.ContactIdentity, err
}

// resolved is what ResolveIdentity finds or makes.
type resolved struct {
	contact  omni.Contact
	identity identityRow
	created  bool
}

// lookUp finds the identity of want's address, else of its first alias that is known, with its contact.
func lookUp(ctx context.Context, c *conn, t omni.Tenant, want omni.ContactIdentity) (r resolved, err error) {
	r, err = lookUpAddress(ctx, c, t, want.ChannelType, want.Address)
	for _, a := range want.Aliases {
		if !errors.Is(err, omni.ErrNotFound) {
			return r, err
		}
		r, err = lookUpAddress(ctx, c, t, want.ChannelType, a.Address)
	}
	return r, err
}

func lookUpAddress(ctx context.Context, c *conn, t omni.Tenant, family omni.ChannelType, address string) (resolved, error) {
	scan := func(r scanner) (v resolved, err error) {
		var identity, contact []byte
		if err := r.Scan(&identity, &v.identity.consentAt, &contact); err != nil {
			return v, err
		}
		if err := json.Unmarshal(identity, &v.identity.ContactIdentity); err != nil {
			return v, err
		}
		return v, json.Unmarshal(contact, &v.contact)
	}
	r, err := queryOne(ctx, c, sqlIdentityAndContact, scan, t.OrganisationID, string(family), address)
	if errors.Is(err, omni.ErrNotFound) {
		r, err = queryOne(ctx, c, sqlIdentityAndContactByAlias, scan, t.OrganisationID, string(family), address)
	}
	return r, err
}

// known reports whether want has nothing new to say.
func (r *resolved) known(want omni.ContactIdentity) bool {
	return r.named(want) && hasAddress(r.identity.ContactIdentity, want.Address) &&
		!slices.ContainsFunc(want.Aliases, func(a omni.IdentityAlias) bool {
			return !hasAddress(r.identity.ContactIdentity, a.Address)
		})
}

// named reports whether a name in want changes nothing.
func (r *resolved) named(want omni.ContactIdentity) bool {
	return want.Name == "" || want.Name == r.identity.Name && r.contact.Name != ""
}

// ResolveIdentity implements store.Store. To find is only to read.
func (s *Store) ResolveIdentity(ctx context.Context, t omni.Tenant, want omni.ContactIdentity) (omni.Contact, omni.ContactIdentity, bool, error) {
	want.ChannelType = want.ChannelType.Family()
	fail := func(err error) (omni.Contact, omni.ContactIdentity, bool, error) {
		return omni.Contact{}, omni.ContactIdentity{}, false, fmt.Errorf("resolve identity %s: %w", want.ID, err)
	}
	if want.Tenant.OrganisationID != t.OrganisationID {
		return fail(omni.ErrNotFound)
	}
	r, err := read(ctx, s, func(ctx context.Context, c *conn) (resolved, error) { return lookUp(ctx, c, t, want) })
	if errors.Is(err, omni.ErrNotFound) || err == nil && !r.known(want) {
		r, err = write(ctx, s, func(ctx context.Context, c *conn) (resolved, error) { return resolve(ctx, c, t, want) })
	}
	if err != nil {
		return fail(err)
	}
	return r.contact, r.identity.ContactIdentity, r.created, nil
}

func resolve(ctx context.Context, c *conn, t omni.Tenant, want omni.ContactIdentity) (resolved, error) {
	r, err := lookUp(ctx, c, t, want)
	if errors.Is(err, omni.ErrNotFound) {
		return makeIdentity(ctx, c, t, want)
	}
	if err != nil {
		return r, err
	}
	aliases := append([]omni.IdentityAlias{{Address: want.Address, Kind: omni.AliasLinked, At: want.CreatedAt}}, want.Aliases...)
	changed, err := withAliases(ctx, c, t, &r.identity.ContactIdentity, aliases)
	if err != nil {
		return r, err
	}
	if !r.named(want) && r.identity.Name != want.Name {
		r.identity.Name, changed = want.Name, true
	}
	if changed {
		if err := putIdentity(ctx, c, r.identity); err != nil {
			return r, err
		}
	}
	if r.named(want) {
		return r, nil
	}
	if r.contact.Name == "" {
		r.contact.Name = want.Name
		r.contact.UpdatedAt = max(r.contact.UpdatedAt, want.LastSeenAt, want.CreatedAt)
		old := r.contact.Version
		r.contact.Version++
		doc, err := json.Marshal(r.contact)
		if err != nil {
			return r, err
		}
		_, err = c.exec(ctx, sqlContactUpdate, r.contact.ID, t.OrganisationID, old, doc)
		return r, err
	}
	return r, nil
}

// makeIdentity stores want, and its contact if that is not there.
func makeIdentity(ctx context.Context, c *conn, t omni.Tenant, want omni.ContactIdentity) (resolved, error) {
	aliases := want.Aliases
	want.Aliases = nil
	if _, err := withAliases(ctx, c, t, &want, aliases); err != nil {
		return resolved{}, err
	}
	r := resolved{identity: identityRow{ContactIdentity: want}, created: true}
	identity, err := json.Marshal(want)
	if err != nil {
		return r, err
	}
	r.contact = omni.Contact{
		ID: want.ContactID, Tenant: want.Tenant, Name: want.Name, Version: 1,
		CreatedAt: want.CreatedAt, UpdatedAt: want.CreatedAt, SchemaVersion: want.SchemaVersion,
	}
	contact, err := json.Marshal(r.contact)
	if err != nil {
		return r, err
	}
	if _, err := c.exec(ctx, sqlIdentityInsert, want.ID, t.OrganisationID, identity, want.ContactID, string(want.ChannelType),
		want.Address, int64(want.CreatedAt)); err != nil {
		return r, err
	}
	_, err = c.exec(ctx, sqlContactInsert, want.ContactID, t.OrganisationID, contact, r.contact.Version, int64(r.contact.CreatedAt))
	return r, err
}

func putIdentity(ctx context.Context, c *conn, i identityRow) error {
	doc, err := json.Marshal(i.ContactIdentity)
	if err != nil {
		return err
	}
	_, err = c.exec(ctx, sqlIdentityUpdate, i.ID, i.Tenant.OrganisationID, doc, int64(i.consentAt))
	return err
}

// Identity implements store.Store.
func (s *Store) Identity(ctx context.Context, t omni.Tenant, id string) (omni.ContactIdentity, error) {
	return door(ctx, s, "identity "+id, sqlIdentity, scanIdentity, id, t.OrganisationID)
}

// IdentityByAddress implements store.Store.
func (s *Store) IdentityByAddress(ctx context.Context, t omni.Tenant, family omni.ChannelType, address string) (omni.ContactIdentity, error) {
	i, err := read(ctx, s, func(ctx context.Context, c *conn) (identityRow, error) { return atAddress(ctx, c, t, family, address) })
	if err != nil {
		return omni.ContactIdentity{}, fmt.Errorf("find identity by address: %w", err)
	}
	return i.ContactIdentity, nil
}

// Identities implements store.Store.
func (s *Store) Identities(ctx context.Context, t omni.Tenant, contactID string) ([]omni.ContactIdentity, error) {
	all, err := read(ctx, s, func(ctx context.Context, c *conn) ([]omni.ContactIdentity, error) {
		return queryAll(ctx, c, sqlIdentities, scanIdentity, t.OrganisationID, contactID)
	})
	if err != nil {
		return nil, fmt.Errorf("list identities of %s: %w", contactID, err)
	}
	return all, nil
}

// Contact implements store.Store.
func (s *Store) Contact(ctx context.Context, t omni.Tenant, id string) (omni.Contact, error) {
	return find(ctx, s, contacts, t, id)
}

// UpdateContact implements store.Store.
func (s *Store) UpdateContact(ctx context.Context, t omni.Tenant, n omni.Contact) (omni.Contact, error) {
	old := n.Version
	n.Version++
	return orNone(n, update(ctx, s, contacts, t, n.Tenant.OrganisationID, n.ID, old, n))
}

// Contacts implements store.Store.
func (s *Store) Contacts(ctx context.Context, t omni.Tenant, p store.Page) (store.List[omni.Contact], error) {
	return page(ctx, s, "contacts "+t.OrganisationID, sqlContacts, contacts.scan, p, firstNewest,
		func(n omni.Contact) key { return key{number: int64(n.CreatedAt), id: n.ID} }, t.OrganisationID)
}

// SetConsent implements store.Store.
func (s *Store) SetConsent(ctx context.Context, u omni.ConsentUpdate) (omni.ContactIdentity, bool, error) {
	changed := false
	i, err := write(ctx, s, func(ctx context.Context, c *conn) (omni.ContactIdentity, error) {
		changed = false
		i, err := atAddress(ctx, c, u.Tenant, u.ChannelType, u.Address)
		if err != nil {
			return i.ContactIdentity, err
		}
		if _, err := c.exec(ctx, sqlConsentAdd, i.ID, u.Tenant.OrganisationID, u.OptedOut, u.By, u.Tenant.UserID, int64(u.At)); err != nil {
			return i.ContactIdentity, err
		}
		if u.Marketing() {
			changed = i.Say(u)
			return i.ContactIdentity, putIdentity(ctx, c, i)
		}
		if u.At < i.consentAt {
			return i.ContactIdentity, nil
		}
		i.consentAt = u.At
		if out := i.OptedOutAt != 0; out != u.OptedOut {
			changed = true
			i.OptedOutAt, i.OptOutBy = 0, ""
			if u.OptedOut {
				i.OptedOutAt, i.OptOutBy = u.At, u.By
			}
		}
		return i.ContactIdentity, putIdentity(ctx, c, i)
	})
	if err != nil {
		return omni.ContactIdentity{}, false, fmt.Errorf("set consent: %w", err)
	}
	return i, changed, nil
}

package mongostore

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/omni"
	"omniservice/store"
)

// Fields of identities besides their own: the state of consent.
const (
	fieldConsentAt = "consentAt" // moment of the newest consent that counts; 0: none was recorded
	fieldOptedOut  = "optedOut"
)

var contacts = kind[omni.Contact]{
	what: "contact", coll: collContacts,
	id:  func(r *omni.Contact) string { return r.ID },
	org: func(r *omni.Contact) string { return r.Tenant.OrganisationID },
}

var identities = kind[omni.ContactIdentity]{
	what: "identity", coll: collIdentities,
	id:  func(r *omni.ContactIdentity) string { return r.ID },
	org: func(r *omni.ContactIdentity) string { return r.Tenant.OrganisationID },
	extra: func(r *omni.ContactIdentity) bson.D {
		return bson.D{{Key: fieldConsentAt, Value: int64(0)}, {Key: fieldOptedOut, Value: r.OptedOutAt != 0}}
	},
}

// atAddress finds an identity by what is unique, which is the shard key too.
func atAddress(t omni.Tenant, family omni.ChannelType, address string) bson.D {
	return of(t, bson.E{Key: "channelType", Value: string(family)}, bson.E{Key: "address", Value: address})
}

// ResolveIdentity implements store.Store. The identity is inserted first: its unique index decides who creates. The contact
// is made from the identity, so whoever finds an identity whose contact was not made, because its creator has not come
// to it or died before, makes the same one.
func (s *Store) ResolveIdentity(ctx context.Context, t omni.Tenant, want omni.ContactIdentity) (omni.Contact, omni.ContactIdentity, bool, error) {
	var (
		identity omni.ContactIdentity
		created  bool
	)
	contact, err := run(ctx, s, func(ctx context.Context) (n omni.Contact, err error) {
		if want.Tenant.OrganisationID != t.OrganisationID {
			return n, omni.ErrNotFound
		}
		want.ChannelType = want.ChannelType.Family()
		identity, created, err = s.identityFor(ctx, t, want)
		if err != nil {
			return n, err
		}
		n, err = s.contactOf(ctx, t, identity)
		if err != nil || created || want.Name == "" {
			return n, err
		}
		if identity.Name != want.Name {
			identity, err = after[omni.ContactIdentity](ctx, s.coll(collIdentities),
				atAddress(t, want.ChannelType, want.Address), set(bson.E{Key: "name", Value: want.Name}))
			if err != nil {
				return n, err
			}
		}
		if n.Name != "" {
			return n, nil
		}
		return s.nameContact(ctx, t, n, want)
	})
	if err != nil {
		return omni.Contact{}, omni.ContactIdentity{}, false, fmt.Errorf("resolve identity: %w", err)
	}
	return contact, identity, created, nil
}

// identityFor finds the identity of want's address, or inserts want.
func (s *Store) identityFor(ctx context.Context, t omni.Tenant, want omni.ContactIdentity) (omni.ContactIdentity, bool, error) {
	c := s.coll(collIdentities)
	have, err := one[omni.ContactIdentity](ctx, c, atAddress(t, want.ChannelType, want.Address))
	if !isNone(err) {
		return have, false, err
	}
	doc, err := identities.document(want)
	if err != nil {
		return have, false, err
	}
	if _, err = c.InsertOne(ctx, doc); err == nil {
		have, err = asStored(want)
		return have, true, err
	}
	if !mongo.IsDuplicateKeyError(err) {
		return have, false, err
	}
	have, getErr := one[omni.ContactIdentity](ctx, c, atAddress(t, want.ChannelType, want.Address))
	if isNone(getErr) {
		return have, false, err // its id is that of another identity
	}
	return have, false, getErr
}

// contactOf reads the contact of an identity, or makes it.
func (s *Store) contactOf(ctx context.Context, t omni.Tenant, i omni.ContactIdentity) (omni.Contact, error) {
	c := s.coll(collContacts)
	have, err := one[omni.Contact](ctx, c, named(t, i.ContactID))
	if !isNone(err) {
		return have, err
	}
	n := omni.Contact{
		ID: i.ContactID, Tenant: i.Tenant, Name: i.Name, Version: 1,
		CreatedAt: i.CreatedAt, UpdatedAt: i.CreatedAt, SchemaVersion: i.SchemaVersion,
	}
	doc, err := contacts.document(n)
	if err != nil {
		return n, err
	}
	if _, err = c.InsertOne(ctx, doc); err == nil {
		return asStored(n)
	}
	if !mongo.IsDuplicateKeyError(err) {
		return n, err
	}
	have, getErr := one[omni.Contact](ctx, c, named(t, i.ContactID))
	if isNone(getErr) {
		return have, err // its id is that of another organisation's
	}
	return have, getErr
}

// asStored is v as reading gives it, sharing nothing with v.
func asStored[T any](v T) (out T, err error) {
	b, err := bson.Marshal(v)
	if err != nil {
		return out, err
	}
	return out, bson.Unmarshal(b, &out)
}

// nameContact gives a contact without a name the one of want.
func (s *Store) nameContact(ctx context.Context, t omni.Tenant, n omni.Contact, want omni.ContactIdentity) (omni.Contact, error) {
	after, err := after[omni.Contact](ctx, s.coll(collContacts), with(named(t, n.ID), bson.E{Key: "name", Value: ""}), bson.D{
		{Key: "$set", Value: bson.D{{Key: "name", Value: want.Name}}},
		{Key: "$max", Value: bson.D{{Key: "updatedAt", Value: max(want.LastSeenAt, want.CreatedAt)}}},
		{Key: "$inc", Value: bson.D{{Key: "version", Value: int64(1)}}},
	})
	if isNone(err) { // somebody else gave it one
		return one[omni.Contact](ctx, s.coll(collContacts), named(t, n.ID))
	}
	return after, err
}

// Identity implements store.Store.
func (s *Store) Identity(ctx context.Context, t omni.Tenant, id string) (omni.ContactIdentity, error) {
	return find(ctx, s, identities, t, id)
}

// IdentityByAddress implements store.Store.
func (s *Store) IdentityByAddress(ctx context.Context, t omni.Tenant, family omni.ChannelType, address string) (omni.ContactIdentity, error) {
	return door(ctx, s, identities, "identity by address", atAddress(t, family.Family(), address))
}

// Identities implements store.Store.
func (s *Store) Identities(ctx context.Context, t omni.Tenant, contactID string) ([]omni.ContactIdentity, error) {
	found, err := run(ctx, s, func(ctx context.Context) ([]omni.ContactIdentity, error) {
		return all[omni.ContactIdentity](ctx, s.coll(collIdentities), of(t, bson.E{Key: "contactId", Value: contactID}),
			options.Find().SetSort(oldestFirst.sort()))
	})
	if err != nil {
		return nil, fmt.Errorf("list identities of %s: %w", contactID, err)
	}
	return found, nil
}

// Contact implements store.Store.
func (s *Store) Contact(ctx context.Context, t omni.Tenant, id string) (omni.Contact, error) {
	return find(ctx, s, contacts, t, id)
}

// UpdateContact implements store.Store.
func (s *Store) UpdateContact(ctx context.Context, t omni.Tenant, n omni.Contact) (omni.Contact, error) {
	old := n.Version
	n.Version++
	return update(ctx, s, contacts, t, old, n)
}

// Contacts implements store.Store.
func (s *Store) Contacts(ctx context.Context, t omni.Tenant, p store.Page) (store.List[omni.Contact], error) {
	return list(ctx, s, contacts, "contacts "+t.OrganisationID, of(t), newestFirst, p,
		func(n omni.Contact) place { return place{Number: int64(n.CreatedAt), ID: n.ID} })
}

// consentDoc is a word about consent. Its id is made of all that it says, so that the same word is recorded once.
type consentDoc struct {
	ID             string      `bson:"_id"`
	OrganisationID string      `bson:"organisationId"`
	IdentityID     string      `bson:"identityId"`
	OptedOut       bool        `bson:"optedOut"`
	By             string      `bson:"by"`
	UserID         string      `bson:"userId"`
	At             omni.Millis `bson:"at"`
}

func newConsent(t omni.Tenant, identityID string, u omni.ConsentUpdate) consentDoc {
	parts := []string{t.OrganisationID, identityID, strconv.FormatInt(int64(u.At), 10), strconv.FormatBool(u.OptedOut), u.Tenant.UserID, u.By}
	return consentDoc{
		ID: strings.Join(parts, " "), OrganisationID: t.OrganisationID, IdentityID: identityID,
		OptedOut: u.OptedOut, By: u.By, UserID: u.Tenant.UserID, At: u.At,
	}
}

// SetConsent implements store.Store. The word is recorded before the state changes: a state without a word that explains
// it is never there, and the same call again changes a state that was not reached.
func (s *Store) SetConsent(ctx context.Context, u omni.ConsentUpdate) (omni.ContactIdentity, bool, error) {
	changed := false
	identity, err := run(ctx, s, func(ctx context.Context) (omni.ContactIdentity, error) {
		c, at := s.coll(collIdentities), atAddress(u.Tenant, u.ChannelType.Family(), u.Address)
		i, err := one[omni.ContactIdentity](ctx, c, at)
		if err != nil {
			return i, err
		}
		_, err = s.coll(collConsents).InsertOne(ctx, newConsent(u.Tenant, i.ID, u))
		if err != nil && !mongo.IsDuplicateKeyError(err) {
			return i, err
		}
		notNewer := bson.E{Key: fieldConsentAt, Value: bson.D{{Key: "$lte", Value: u.At}}}
		for range races {
			i, err = after[omni.ContactIdentity](ctx, c, with(at, notNewer, bson.E{Key: fieldOptedOut, Value: !u.OptedOut}), turn(u))
			if changed = err == nil; !isNone(err) {
				return i, err
			}
			i, err = after[omni.ContactIdentity](ctx, c, with(at, notNewer, bson.E{Key: fieldOptedOut, Value: u.OptedOut}),
				set(bson.E{Key: fieldConsentAt, Value: u.At}))
			if !isNone(err) {
				return i, err
			}
			i, err = one[omni.ContactIdentity](ctx, c, with(at, bson.E{Key: fieldConsentAt, Value: bson.D{{Key: "$gt", Value: u.At}}}))
			if !isNone(err) {
				return i, err // a newer word counts
			}
		}
		return i, errBusy
	})
	if err != nil {
		return omni.ContactIdentity{}, false, fmt.Errorf("set consent: %w", err)
	}
	return identity, changed, nil
}

// turn is the update that makes u the state.
func turn(u omni.ConsentUpdate) bson.D {
	fields := bson.D{{Key: fieldConsentAt, Value: u.At}, {Key: fieldOptedOut, Value: u.OptedOut}}
	if u.OptedOut {
		return bson.D{{Key: "$set", Value: append(fields, bson.E{Key: "optedOutAt", Value: u.At}, bson.E{Key: "optOutBy", Value: u.By})}}
	}
	return bson.D{
		{Key: "$set", Value: fields},
		{Key: "$unset", Value: bson.D{{Key: "optedOutAt", Value: ""}, {Key: "optOutBy", Value: ""}}},
	}
}

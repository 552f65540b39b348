package mongostore

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/search"
)

// Fields of identities besides their own: the state of consent.
const (
	fieldConsentAt = "consentAt" // moment of the newest consent that counts; 0: none was recorded
	fieldOptedOut  = "optedOut"
)

// fieldAddresses are the address of an identity and its aliases, in this order. They are in a unique index, which has an
// entry for each of them: so an address is one identity's in an organisation and family, whichever of the two it is, and
// what belongs to an identity changes with it, in one write.
const fieldAddresses = "addresses"

// fieldTerms are the terms that search finds a document by. Those of a contact may be too many, since what matches is looked
// at again, and are never too few.
const fieldTerms = "terms"

var contacts = kind[omni.Contact]{
	what: "contact", coll: collContacts,
	id:  func(r *omni.Contact) string { return r.ID },
	org: func(r *omni.Contact) string { return r.Tenant.OrganisationID },
}

// identityDoc is an identity as moving needs it.
type identityDoc struct {
	omni.ContactIdentity `bson:",inline"`

	ConsentAt omni.Millis `bson:"consentAt"`
}

var identities = kind[omni.ContactIdentity]{
	what: "identity", coll: collIdentities,
	id:  func(r *omni.ContactIdentity) string { return r.ID },
	org: func(r *omni.ContactIdentity) string { return r.Tenant.OrganisationID },
	extra: func(r *omni.ContactIdentity) bson.D {
		return bson.D{
			{Key: fieldAddresses, Value: addressesOf(*r)},
			{Key: fieldConsentAt, Value: int64(0)},
			{Key: fieldOptedOut, Value: r.OptedOutAt != 0},
		}
	},
}

// addressesOf are all addresses of an identity.
func addressesOf(i omni.ContactIdentity) []string {
	all := []string{i.Address}
	for _, a := range i.Aliases {
		all = append(all, a.Address)
	}
	return all
}

// atAddress finds the identity that an address stands for.
func atAddress(t omni.Tenant, family omni.ChannelType, address string) bson.D {
	return of(t, bson.E{Key: "channelType", Value: string(family.Family())}, bson.E{Key: fieldAddresses, Value: address})
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
		n, err = s.contactOf(ctx, t, identity, created)
		if err != nil || created {
			return n, err
		}
		if identity, err = s.learnAliases(ctx, t, identity, want); err != nil || want.Name == "" {
			return n, err
		}
		if identity.Name != want.Name {
			if identity, err = s.renameIdentity(ctx, t, identity, want.Name); err != nil {
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

// identityFor finds the identity of want's address, else of its first alias that is known, or inserts want.
func (s *Store) identityFor(ctx context.Context, t omni.Tenant, want omni.ContactIdentity) (omni.ContactIdentity, bool, error) {
	c := s.coll(collIdentities)
	addresses := addressesOf(want)
	which := of(t, bson.E{Key: "channelType", Value: string(want.ChannelType)}, bson.E{Key: fieldAddresses, Value: in(addresses)})
	aliases := want.Aliases
	want.Aliases = nil
	for _, a := range aliases {
		if !hasAddress(want, a.Address) && len(want.Aliases) < omni.MaxAliases {
			want.Aliases = append(want.Aliases, a)
		}
	}
	doc, err := identities.document(want)
	if err != nil {
		return want, false, err
	}
	for range races {
		found, err := all[omni.ContactIdentity](ctx, c, which)
		if err != nil {
			return want, false, err
		}
		for _, address := range addresses {
			if i := slices.IndexFunc(found, func(i omni.ContactIdentity) bool { return hasAddress(i, address) }); i >= 0 {
				return found[i], false, nil
			}
		}
		if _, err = c.InsertOne(ctx, doc); err == nil {
			want, err = asStored(want)
			return want, true, err
		}
		if !mongo.IsDuplicateKeyError(err) {
			return want, false, err
		}
	}
	return want, false, fmt.Errorf("its id is that of another identity: %w", omni.ErrConflict)
}

// contactOf reads the contact of an identity, or makes it. An identity that was created may be one more of a contact.
func (s *Store) contactOf(ctx context.Context, t omni.Tenant, i omni.ContactIdentity, created bool) (omni.Contact, error) {
	c := s.coll(collContacts)
	n := omni.Contact{
		ID: i.ContactID, Tenant: i.Tenant, Name: i.Name, Version: 1,
		CreatedAt: i.CreatedAt, UpdatedAt: i.CreatedAt, SchemaVersion: i.SchemaVersion,
	}
	terms := contactTerms(n, i)
	if !created {
		have, err := one[omni.Contact](ctx, c, named(t, i.ContactID))
		if !isNone(err) {
			return have, err
		}
	}
	doc, err := contactDoc(n, terms)
	if err != nil {
		return n, err
	}
	if _, err = c.InsertOne(ctx, doc); err == nil {
		return asStored(n)
	}
	if !mongo.IsDuplicateKeyError(err) {
		return n, err
	}
	have, getErr := after[omni.Contact](ctx, c, named(t, i.ContactID), addTerms(terms))
	if isNone(getErr) {
		return have, err // its id is that of another organisation's
	}
	return have, getErr
}

// contactDoc is what is stored of a contact.
func contactDoc(n omni.Contact, terms []string) (bson.D, error) {
	doc, err := contacts.document(n)
	return append(doc, bson.E{Key: fieldTerms, Value: terms}), err
}

// contactTerms are the terms of a contact and what is known of its identities.
func contactTerms(n omni.Contact, identities ...omni.ContactIdentity) []string {
	if terms := search.Terms(search.ContactTexts(n, identities)...); terms != nil {
		return terms
	}
	return []string{}
}

// addTerms is an update that adds terms to those of a document.
func addTerms(terms []string) bson.D {
	if terms == nil {
		terms = []string{}
	}
	return bson.D{{Key: "$addToSet", Value: bson.D{{Key: fieldTerms, Value: bson.D{{Key: "$each", Value: terms}}}}}}
}

// renameIdentity gives an identity another name.
func (s *Store) renameIdentity(ctx context.Context, t omni.Tenant, i omni.ContactIdentity, name string) (renamed omni.ContactIdentity, err error) {
	return renamed, s.withTerms(ctx, t, i.ContactID, search.Terms(name), func() error {
		renamed, err = after[omni.ContactIdentity](ctx, s.coll(collIdentities), named(t, i.ID), set(bson.E{Key: "name", Value: name}))
		return err
	})
}

// withTerms changes something of an identity. The contact gets the terms before, so that a crash leaves none out, and once
// more after, so that an UpdateContact which had read the identities before does not take them away.
func (s *Store) withTerms(ctx context.Context, t omni.Tenant, contactID string, terms []string, change func() error) error {
	add := func() error {
		if len(terms) == 0 {
			return nil
		}
		_, err := s.coll(collContacts).UpdateOne(ctx, named(t, contactID), addTerms(terms))
		return err
	}
	if err := add(); err != nil {
		return err
	}
	if err := change(); err != nil {
		return err
	}
	return add()
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
		addTerms(search.Terms(want.Name))[0],
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
	return door(ctx, s, identities, "identity by address", atAddress(t, family, address))
}

// Identities implements store.Store.
func (s *Store) Identities(ctx context.Context, t omni.Tenant, contactID string) ([]omni.ContactIdentity, error) {
	found, err := run(ctx, s, func(ctx context.Context) ([]omni.ContactIdentity, error) {
		return s.identitiesOf(ctx, t, contactID)
	})
	if err != nil {
		return nil, fmt.Errorf("list identities of %s: %w", contactID, err)
	}
	return found, nil
}

// identitiesOf are the identities of contacts, each contact's oldest first.
func (s *Store) identitiesOf(ctx context.Context, t omni.Tenant, contactIDs ...string) ([]omni.ContactIdentity, error) {
	which := bson.E{Key: "contactId", Value: bson.D{{Key: "$in", Value: contactIDs}}}
	if len(contactIDs) == 1 {
		which.Value = contactIDs[0]
	}
	return all[omni.ContactIdentity](ctx, s.coll(collIdentities), of(t, which), options.Find().SetSort(oldestFirst.sort()))
}

// Contact implements store.Store.
func (s *Store) Contact(ctx context.Context, t omni.Tenant, id string) (omni.Contact, error) {
	return find(ctx, s, contacts, t, id)
}

// UpdateContact implements store.Store. Its terms are those of the identities too, which may change meanwhile: so they are
// looked at once more.
func (s *Store) UpdateContact(ctx context.Context, t omni.Tenant, n omni.Contact) (omni.Contact, error) {
	old := n.Version
	n.Version++
	stored, err := run(ctx, s, func(ctx context.Context) (omni.Contact, error) {
		if n.Tenant.OrganisationID != t.OrganisationID {
			return n, omni.ErrNotFound
		}
		before, err := s.identitiesOf(ctx, t, n.ID)
		if err != nil {
			return n, err
		}
		doc, err := contactDoc(n, contactTerms(n, before...))
		if err != nil {
			return n, err
		}
		if err := s.replace(ctx, collContacts, t, n.ID, old, doc); err != nil {
			return n, err
		}
		now, err := s.identitiesOf(ctx, t, n.ID)
		if err != nil || reflect.DeepEqual(before, now) {
			return n, err
		}
		_, err = s.coll(collContacts).UpdateOne(ctx, named(t, n.ID), addTerms(contactTerms(n, now...)))
		return n, err
	})
	if err != nil {
		return stored, fmt.Errorf("update contact %s: %w", n.ID, err)
	}
	return stored, nil
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

// consentOrder is the order of the ledger: by identity, then by time; the rest tells words of the same instant apart.
var consentOrder = []string{"identityId", "at", "optedOut", "by", "userId"}

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
		c, at := s.coll(collIdentities), atAddress(u.Tenant, u.ChannelType, u.Address)
		i, err := one[omni.ContactIdentity](ctx, c, at)
		if err != nil {
			return i, err
		}
		_, err = s.coll(collConsents).InsertOne(ctx, newConsent(u.Tenant, i.ID, u))
		if err != nil && !mongo.IsDuplicateKeyError(err) {
			return i, err
		}
		if u.Marketing() {
			i, changed, err = s.say(ctx, i, u)
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

// say makes u what was last said about marketing, unless something newer is there.
func (s *Store) say(ctx context.Context, i omni.ContactIdentity, u omni.ConsentUpdate) (omni.ContactIdentity, bool, error) {
	c := s.coll(collIdentities)
	for range races {
		was := i.Marketing
		changed := i.Say(u)
		if was != nil && i.Marketing == was {
			return i, false, nil
		}
		unchanged := bson.E{Key: "marketing", Value: nil} // none there
		if was != nil {
			unchanged = bson.E{Key: "marketing.at", Value: was.At}
		}
		next, err := after[omni.ContactIdentity](ctx, c, with(named(u.Tenant, i.ID), unchanged), set(bson.E{Key: "marketing", Value: i.Marketing}))
		if !isNone(err) {
			return next, changed, err
		}
		if i, err = one[omni.ContactIdentity](ctx, c, named(u.Tenant, i.ID)); err != nil {
			return i, false, err
		}
	}
	return i, false, errBusy
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

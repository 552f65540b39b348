package mongostore

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/search"
)

// Consents implements store.Store.
func (s *Store) Consents(ctx context.Context, t omni.Tenant, identityID string, p store.Page) (store.List[omni.ConsentUpdate], error) {
	l, err := run(ctx, s, func(ctx context.Context) (l store.List[omni.ConsentUpdate], err error) {
		i, err := one[omni.ContactIdentity](ctx, s.coll(collIdentities), named(t, identityID))
		if err != nil {
			return l, err
		}
		words, err := page(ctx, s.coll(collConsents), "consents "+t.OrganisationID+" "+identityID,
			of(t, bson.E{Key: "identityId", Value: identityID}), order{field: "at", desc: true}, p,
			func(d consentDoc) place { return place{Number: int64(d.At), ID: d.ID} })
		l.Next = words.Next
		for _, d := range words.Items {
			l.Items = append(l.Items, omni.ConsentUpdate{
				Tenant: omni.Tenant{OrganisationID: d.OrganisationID, UserID: d.UserID}, ChannelType: i.ChannelType, Address: i.Address,
				OptedOut: d.OptedOut, By: d.By, At: d.At,
			})
		}
		return l, err
	})
	if err != nil {
		return l, fmt.Errorf("list consents of identity %s: %w", identityID, err)
	}
	return l, nil
}

// hasAddress reports whether an address is one of i's.
func hasAddress(i omni.ContactIdentity, address string) bool {
	return slices.Contains(addressesOf(i), address)
}

// readdress reads an identity, has its addresses changed, and stores them if they are still what was read. If one of them is
// another identity's, that is a duplicate.
func (s *Store) readdress(ctx context.Context, t omni.Tenant, id string, change func(i *omni.ContactIdentity) (bool, error)) (omni.ContactIdentity, error) {
	c := s.coll(collIdentities)
	for range maxRaces {
		i, err := one[omni.ContactIdentity](ctx, c, named(t, id))
		if err != nil {
			return i, err
		}
		was := i
		i.Aliases = slices.Clone(i.Aliases)
		if changed, err := change(&i); err != nil || !changed {
			return i, err
		}
		update := set(bson.E{Key: "address", Value: i.Address}, bson.E{Key: fieldAddresses, Value: addressesOf(i)})
		if len(i.Aliases) > 0 {
			update = set(append(update[0].Value.(bson.D), bson.E{Key: "aliases", Value: i.Aliases})...)
		} else {
			update = append(update, bson.E{Key: "$unset", Value: bson.D{{Key: "aliases", Value: ""}}})
		}
		var terms []string
		if i.Address != was.Address {
			terms = search.Terms(i.Address)
		}
		var stored omni.ContactIdentity
		err = s.withTerms(ctx, t, i.ContactID, terms, func() (err error) {
			stored, err = after[omni.ContactIdentity](ctx, c, with(named(t, id), bson.E{Key: fieldAddresses, Value: addressesOf(was)}), update)
			return err
		})
		if !isNone(err) {
			return stored, err
		}
	}
	return omni.ContactIdentity{}, errRaced
}

func tooManyAliases() error {
	return omni.Problemf(omni.ErrInvalid, "an identity has at most %d aliases", omni.MaxAliases)
}

// learnAliases adds what is new of want's address and aliases to those of i, but for those that are another identity's, and
// as far as there is room.
func (s *Store) learnAliases(ctx context.Context, t omni.Tenant, i, want omni.ContactIdentity) (omni.ContactIdentity, error) {
	news := append([]omni.IdentityAlias{{Address: want.Address, Kind: omni.AliasLinked, At: want.CreatedAt}}, want.Aliases...)
	for _, a := range news {
		if hasAddress(i, a.Address) {
			continue
		}
		next, err := s.readdress(ctx, t, i.ID, func(i *omni.ContactIdentity) (bool, error) {
			if hasAddress(*i, a.Address) || len(i.Aliases) >= omni.MaxAliases {
				return false, nil
			}
			i.Aliases = append(i.Aliases, a)
			return true, nil
		})
		switch {
		case mongo.IsDuplicateKeyError(err):
		case err != nil:
			return i, err
		default:
			i = next
		}
	}
	return i, nil
}

// AddAlias implements store.Store.
func (s *Store) AddAlias(ctx context.Context, t omni.Tenant, identityID string, a omni.IdentityAlias) (omni.ContactIdentity, error) {
	i, err := run(ctx, s, func(ctx context.Context) (omni.ContactIdentity, error) {
		return s.readdress(ctx, t, identityID, func(i *omni.ContactIdentity) (bool, error) {
			switch {
			case hasAddress(*i, a.Address):
				return false, nil
			case len(i.Aliases) >= omni.MaxAliases:
				return false, tooManyAliases()
			}
			i.Aliases = append(i.Aliases, a)
			return true, nil
		})
	})
	if err != nil {
		return i, fmt.Errorf("add alias to identity %s: %w", identityID, err)
	}
	return i, nil
}

func isAddress(address string) func(a omni.IdentityAlias) bool {
	return func(a omni.IdentityAlias) bool { return a.Address == address }
}

// RemoveAlias implements store.Store.
func (s *Store) RemoveAlias(ctx context.Context, t omni.Tenant, identityID, address string) (omni.ContactIdentity, error) {
	i, err := run(ctx, s, func(ctx context.Context) (omni.ContactIdentity, error) {
		return s.readdress(ctx, t, identityID, func(i *omni.ContactIdentity) (bool, error) {
			before := len(i.Aliases)
			i.Aliases = slices.DeleteFunc(i.Aliases, isAddress(address))
			return len(i.Aliases) < before, nil
		})
	})
	if err != nil {
		return i, fmt.Errorf("remove alias of identity %s: %w", identityID, err)
	}
	return i, nil
}

// ChangeAddress implements store.Store.
func (s *Store) ChangeAddress(ctx context.Context, t omni.Tenant, identityID, address string, at omni.Millis) (omni.ContactIdentity, error) {
	i, err := run(ctx, s, func(ctx context.Context) (omni.ContactIdentity, error) {
		return s.readdress(ctx, t, identityID, func(i *omni.ContactIdentity) (bool, error) {
			if i.Address == address {
				return false, nil
			}
			former := omni.IdentityAlias{Address: i.Address, Kind: omni.AliasFormer, At: at}
			i.Aliases = append(slices.DeleteFunc(i.Aliases, isAddress(address)), former)
			i.Address = address
			if len(i.Aliases) > omni.MaxAliases {
				return false, tooManyAliases()
			}
			return true, nil
		})
	})
	if err != nil {
		return i, fmt.Errorf("change address of identity %s: %w", identityID, err)
	}
	return i, nil
}

// SetExternalIDs implements store.Store.
func (s *Store) SetExternalIDs(ctx context.Context, t omni.Tenant, identityID string, ids []omni.ExternalID) (omni.ContactIdentity, error) {
	i, err := run(ctx, s, func(ctx context.Context) (omni.ContactIdentity, error) {
		i, err := one[omni.ContactIdentity](ctx, s.coll(collIdentities), named(t, identityID))
		if err != nil {
			return i, err
		}
		update := bson.D{{Key: "$unset", Value: bson.D{{Key: "externalIds", Value: ""}}}}
		if len(ids) > 0 {
			update = set(bson.E{Key: "externalIds", Value: ids})
		}
		terms := contactTerms(omni.Contact{}, omni.ContactIdentity{ExternalIDs: ids})
		err = s.withTerms(ctx, t, i.ContactID, terms, func() (err error) {
			i, err = after[omni.ContactIdentity](ctx, s.coll(collIdentities), named(t, identityID), update)
			return err
		})
		return i, err
	})
	if err != nil {
		return i, fmt.Errorf("set external ids of identity %s: %w", identityID, err)
	}
	return i, nil
}

// maxLinked is how many contacts and identities with a link are looked at.
const maxLinked = 1000

// ContactsByExternalID implements store.Store.
func (s *Store) ContactsByExternalID(ctx context.Context, t omni.Tenant, system, id string) ([]omni.Contact, error) {
	found, err := run(ctx, s, func(ctx context.Context) ([]omni.Contact, error) {
		linked := of(t, bson.E{Key: "externalIds.id", Value: id}) // that few other systems have the same
		not := func(ids []omni.ExternalID) bool {
			return !slices.ContainsFunc(ids, func(x omni.ExternalID) bool { return x.System == system && x.ID == id })
		}
		opts := options.Find().SetLimit(maxLinked).SetProjection(withoutTerms)
		found, err := all[omni.Contact](ctx, s.coll(collContacts), linked, opts)
		if err != nil {
			return nil, err
		}
		found = slices.DeleteFunc(found, func(c omni.Contact) bool { return not(c.ExternalIDs) })
		by, err := all[omni.ContactIdentity](ctx, s.coll(collIdentities), linked, options.Find().SetLimit(maxLinked))
		if err != nil {
			return nil, err
		}
		ids := make([]string, 0, len(by))
		for _, i := range by {
			if !not(i.ExternalIDs) && !slices.ContainsFunc(found, func(c omni.Contact) bool { return c.ID == i.ContactID }) {
				ids = append(ids, i.ContactID)
			}
		}
		if len(ids) > 0 {
			more, err := all[omni.Contact](ctx, s.coll(collContacts), of(t, bson.E{Key: "_id", Value: in(ids)}), opts)
			if err != nil {
				return nil, err
			}
			found = append(found, more...)
		}
		slices.SortFunc(found, func(a, b omni.Contact) int {
			return cmp.Or(cmp.Compare(a.CreatedAt, b.CreatedAt), cmp.Compare(a.ID, b.ID))
		})
		return found[:min(len(found), store.MaxPage)], nil
	})
	if err != nil {
		return nil, fmt.Errorf("list contacts by external id: %w", err)
	}
	return found, nil
}

// reactionDoc is a reaction as it is stored, also one that was taken away.
type reactionDoc struct {
	omni.Reaction `bson:",inline"`

	ID  string `bson:"_id"` // of what is unique
	Org string `bson:"organisationId"`
}

// reactionOrder is what is unique of a reaction.
var reactionOrder = []string{fieldOrg, "messageId", "senderType", "senderId"}

func newReactionDoc(r omni.Reaction) reactionDoc {
	org := r.Tenant.OrganisationID
	return reactionDoc{Reaction: r, ID: org + " " + r.MessageID + " " + string(r.SenderType) + " " + r.SenderID, Org: org}
}

// bySender finds the reaction of a sender.
func (d reactionDoc) bySender() bson.D {
	return of(d.Tenant, bson.E{Key: "messageId", Value: d.MessageID}, bson.E{Key: "senderType", Value: d.SenderType}, bson.E{Key: "senderId", Value: d.SenderID})
}

// SetReaction implements store.Store.
func (s *Store) SetReaction(ctx context.Context, t omni.Tenant, r omni.Reaction) (bool, error) {
	changed, err := run(ctx, s, func(ctx context.Context) (bool, error) {
		if r.Tenant.OrganisationID != t.OrganisationID {
			return false, omni.ErrNotFound
		}
		_, err := one[bson.Raw](ctx, s.coll(collMessages), named(t, r.MessageID), options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}}))
		if err != nil {
			return false, err
		}
		c, d := s.coll(collReactions), newReactionDoc(r)
		for range maxRaces {
			var had omni.Reaction
			err := c.FindOneAndReplace(ctx, with(d.bySender(), bson.E{Key: "at", Value: bson.D{{Key: "$lte", Value: r.At}}}), d,
				options.FindOneAndReplace().SetReturnDocument(options.Before)).Decode(&had)
			if !isNone(err) {
				return had.Emoji != r.Emoji, s.reacted(ctx, t, r.MessageID, err)
			}
			if _, err = c.InsertOne(ctx, d); !mongo.IsDuplicateKeyError(err) {
				return r.Emoji != "", s.reacted(ctx, t, r.MessageID, err)
			}
			later, err := one[omni.Reaction](ctx, c, d.bySender())
			if err == nil && later.At > r.At || err != nil && !isNone(err) {
				return false, err
			}
		}
		return false, errRaced
	})
	if err != nil {
		return false, fmt.Errorf("set reaction to %s: %w", r.MessageID, err)
	}
	return changed, nil
}

// reacted marks a message as changed once a reaction to it is stored. It does so too when the same reaction is stored again:
// the first time may have ended in between.
func (s *Store) reacted(ctx context.Context, t omni.Tenant, messageID string, err error) error {
	if err != nil {
		return err
	}
	_, err = s.coll(collMessages).UpdateOne(ctx, named(t, messageID), set(news()))
	return err
}

// Reactions implements store.Store.
func (s *Store) Reactions(ctx context.Context, t omni.Tenant, messageIDs ...string) ([]omni.Reaction, error) {
	if len(messageIDs) > store.MaxPage {
		return nil, omni.Problemf(omni.ErrInvalid, "reactions can be asked for of at most %d messages at once", store.MaxPage)
	}
	if len(messageIDs) == 0 {
		return nil, nil
	}
	found, err := run(ctx, s, func(ctx context.Context) ([]omni.Reaction, error) {
		return all[omni.Reaction](ctx, s.coll(collReactions), of(t, bson.E{Key: "messageId", Value: in(messageIDs)},
			bson.E{Key: "emoji", Value: bson.D{{Key: "$gt", Value: ""}}}))
	})
	if err != nil {
		return nil, fmt.Errorf("list reactions: %w", err)
	}
	slices.SortFunc(found, func(a, b omni.Reaction) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.MessageID, b.MessageID), cmp.Compare(a.SenderType, b.SenderType), cmp.Compare(a.SenderID, b.SenderID))
	})
	return found, nil
}

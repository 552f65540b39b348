package mongostore

import (
	"context"
	"fmt"
	"math"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/search"
)

// Documents that can be found have the terms of package search in an array, written with the document itself: there is
// no index that could be behind. The array is in an index after the organisation, and before what results are sorted by,
// so that one term is a range of the index in the order of the results. A search reads the range of the term that the
// fewest documents have, a portion at a time, and package search says which of them match. A text index of the server would
// give whole words of some languages, no prefixes, no numbers and no order.

// fieldWrittenAt is when a message was written: its createdAt, or without one its receivedAt.
const fieldWrittenAt = "writtenAt"

const (
	lookedAt = 2000 // documents that one call looks at, at most
	compared = 8    // terms of a query whose numbers are compared
)

// SearchMessages implements store.Store.
func (s *Store) SearchMessages(ctx context.Context, t omni.Tenant, f store.MessageSearch, p store.Page) (store.List[store.MessageHit], error) {
	groupIDs := slices.Compact(slices.Sorted(slices.Values(f.GroupIDs)))
	list := fmt.Sprintf("search messages %s %q %q %s %s %s %s %d %d", t.OrganisationID, f.Query, groupIDs, f.InteractionID,
		f.ContactID, f.ChannelID, f.Direction, f.From, f.Until)
	l, err := run(ctx, s, func(ctx context.Context) (l store.List[store.MessageHit], err error) {
		q, from, limit, err := beginSearch(list, f.Query, p)
		if err != nil || q.Empty() || len(groupIDs) == 0 {
			return l, err
		}
		groups := make(map[string]bool, len(groupIDs))
		for _, g := range groupIDs {
			groups[g] = true
		}
		filter, err := s.messageFilter(ctx, t, f, q)
		if err != nil || filter == nil {
			return l, err
		}
		talks := map[string]omni.Interaction{}
		return look(list, from, limit, func(at *place, n int) ([]messageDoc, error) {
			found, err := all[messageDoc](ctx, s.coll(collMessages), storedLast.beyond(filter, at),
				options.Find().SetSort(storedLast.sort()).SetLimit(int64(n)).SetProjection(withoutTerms))
			if err != nil {
				return nil, err
			}
			return found, s.addTalks(ctx, t, talks, found)
		}, func(m messageDoc) (hit store.MessageHit, ok bool) {
			i := talks[m.InteractionID]
			if !search.Takes(f, groups, m.ServiceMessage, i) {
				return hit, false
			}
			hit = store.MessageHit{Message: m.ServiceMessage, Interaction: i}
			hit.Snippet, ok = q.Message(m.ServiceMessage)
			return hit, ok
		}, func(m messageDoc) place { return place{Number: m.Order, ID: m.ID} })
	})
	if err != nil {
		return l, fmt.Errorf("search messages: %w", err)
	}
	return l, nil
}

// messageTerms are the terms of a message.
func messageTerms(m omni.ServiceMessage) []string {
	if terms := search.Terms(search.MessageTexts(m)...); terms != nil {
		return terms
	}
	return []string{}
}

// storedLast is the order in which messages were stored, newest first.
var storedLast = order{field: "order", desc: true}

// withoutTerms leaves out what only the index needs.
var withoutTerms = bson.D{{Key: fieldTerms, Value: 0}}

// beginSearch reads a query, and where its page begins.
func beginSearch(list, query string, p store.Page) (q search.Query, from *place, limit int, err error) {
	if q, err = search.Parse(query); err != nil {
		return q, nil, 0, err
	}
	if limit, err = pageLimit(p.Limit); err != nil || p.Cursor == "" {
		return q, nil, limit, err
	}
	at, err := parseCursor(list, p.Cursor)
	return q, &at, limit, err
}

// messageFilter finds the documents to be looked at; nil: there are none. A search in one conversation, or those of one
// contact, goes by that: it has fewer messages than most words. When messages were written is in the index of the terms.
func (s *Store) messageFilter(ctx context.Context, t omni.Tenant, f store.MessageSearch, q search.Query) (bson.D, error) {
	var filter bson.D
	switch {
	case f.InteractionID != "":
		filter = of(t, bson.E{Key: "interactionId", Value: f.InteractionID})
	case f.ContactID != "":
		talks, err := all[struct {
			ID string `bson:"_id"`
		}](ctx, s.coll(collInteractions), of(t, bson.E{Key: "contactId", Value: f.ContactID}),
			options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}))
		if err != nil || len(talks) == 0 {
			return nil, err
		}
		ids := make([]string, 0, len(talks))
		for _, i := range talks {
			ids = append(ids, i.ID)
		}
		filter = of(t, bson.E{Key: "interactionId", Value: in(ids)})
	default:
		term, err := s.rarest(ctx, collMessages, t, q.Terms())
		if err != nil {
			return nil, err
		}
		filter = of(t, bson.E{Key: fieldTerms, Value: term})
	}
	if f.From != 0 || f.Until != 0 {
		until := int64(math.MaxInt64)
		if f.Until != 0 {
			until = int64(f.Until)
		}
		filter = append(filter, bson.E{Key: fieldWrittenAt, Value: bson.D{{Key: "$gte", Value: int64(f.From)}, {Key: "$lt", Value: until}}})
	}
	return filter, nil
}

// rarest is the term that the fewest documents have.
func (s *Store) rarest(ctx context.Context, coll string, t omni.Tenant, terms []string) (string, error) {
	best, fewest := terms[0], int64(math.MaxInt64)
	if len(terms) == 1 {
		return best, nil
	}
	for _, term := range terms[:min(len(terms), compared)] {
		n, err := s.coll(coll).CountDocuments(ctx, of(t, bson.E{Key: fieldTerms, Value: term}), options.Count().SetLimit(min(fewest, lookedAt)))
		if err != nil {
			return "", err
		}
		if n < fewest {
			best, fewest = term, n
		}
		if n == 0 {
			break
		}
	}
	return best, nil
}

// addTalks reads the interactions of messages that talks does not have.
func (s *Store) addTalks(ctx context.Context, t omni.Tenant, talks map[string]omni.Interaction, found []messageDoc) error {
	var missing []string
	for _, m := range found {
		if _, ok := talks[m.InteractionID]; !ok {
			talks[m.InteractionID] = omni.Interaction{}
			missing = append(missing, m.InteractionID)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	more, err := all[omni.Interaction](ctx, s.coll(collInteractions), of(t, bson.E{Key: "_id", Value: in(missing)}))
	for _, i := range more {
		talks[i.ID] = i
	}
	return err
}

// look takes what matches from what next gives, in portions, until a page is full or enough has been looked at.
func look[D, H any](list string, from *place, limit int, next func(at *place, n int) ([]D, error),
	match func(D) (H, bool), placeOf func(D) place,
) (l store.List[H], err error) {
	for seen := 0; seen < lookedAt; {
		n := limit - len(l.Items) + 1
		if seen > 0 {
			n = max(n, lookedAt/8) // many do not match
		}
		found, err := next(from, n)
		if err != nil {
			return store.List[H]{}, err
		}
		for _, d := range found {
			hit, ok := match(d)
			if ok && len(l.Items) == limit {
				l.Next, err = cursorText(list, *from)
				return l, err
			}
			at := placeOf(d)
			from = &at
			if ok {
				l.Items = append(l.Items, hit)
			}
		}
		if len(found) < n {
			return l, nil
		}
		seen += len(found)
	}
	l.Next, err = cursorText(list, *from)
	return l, err
}

// SearchContacts implements store.Store.
func (s *Store) SearchContacts(ctx context.Context, t omni.Tenant, f store.ContactSearch, p store.Page) (store.List[store.ContactHit], error) {
	list := fmt.Sprintf("search contacts %s %q", t.OrganisationID, f.Query)
	l, err := run(ctx, s, func(ctx context.Context) (l store.List[store.ContactHit], err error) {
		q, from, limit, err := beginSearch(list, f.Query, p)
		if err != nil || q.Empty() {
			return l, err
		}
		term, err := s.rarest(ctx, collContacts, t, q.Terms())
		if err != nil {
			return l, err
		}
		filter := of(t, bson.E{Key: fieldTerms, Value: term})
		identities := map[string][]omni.ContactIdentity{}
		return look(list, from, limit, func(at *place, n int) ([]omni.Contact, error) {
			found, err := all[omni.Contact](ctx, s.coll(collContacts), newestFirst.beyond(filter, at),
				options.Find().SetSort(newestFirst.sort()).SetLimit(int64(n)).SetProjection(withoutTerms))
			if err != nil || len(found) == 0 {
				return found, err
			}
			ids := make([]string, 0, len(found))
			for _, c := range found {
				ids = append(ids, c.ID)
			}
			more, err := s.identitiesOf(ctx, t, ids...)
			for _, i := range more {
				identities[i.ContactID] = append(identities[i.ContactID], i)
			}
			return found, err
		}, func(c omni.Contact) (store.ContactHit, bool) {
			return q.Contact(c, identities[c.ID])
		}, func(c omni.Contact) place { return place{Number: int64(c.CreatedAt), ID: c.ID} })
	})
	if err != nil {
		return l, fmt.Errorf("search contacts: %w", err)
	}
	return l, nil
}

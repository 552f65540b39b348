package mongostore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/omni"
	"omniservice/store"
)

// mover is how records of a kind leave and enter.
type mover struct {
	kind store.RecordKind
	dump func(ctx context.Context, s *Store, after store.Position, limit int) ([]store.Record, error)
	// load reads records, and gives what writes them.
	load func(ctx context.Context, s *Store, rs []store.Record) (write func() error, err error)
}

// movedAs says how values of a kind are kept: D is the document, of which T is made.
type movedAs[T, D any] struct {
	m      store.Moved[T]
	coll   string
	fields []string // parts of the key, in an index in this order
	parts  func(key []any) []any
	value  func(d D) (T, error)
	write  func(s *Store, v T) (mongo.WriteModel, error)
	also   func(ctx context.Context, s *Store, vs []T) error // once they are there; may be nil
}

// move puts a mover together.
func move[T, D any](k movedAs[T, D]) mover {
	return mover{
		kind: k.m.Kind,
		dump: func(ctx context.Context, s *Store, after store.Position, limit int) ([]store.Record, error) {
			key, err := k.m.Parts(after)
			if err != nil {
				return nil, err
			}
			begun := after.Kind == k.m.Kind
			if begun && k.parts != nil {
				key = k.parts(key)
			}
			docs, err := behind[D](ctx, s.coll(k.coll), k.fields, key, begun, limit)
			if err != nil {
				return nil, err
			}
			rs := make([]store.Record, 0, len(docs))
			for _, d := range docs {
				v, err := k.value(d)
				if err != nil {
					return nil, err
				}
				r, err := k.m.Record(v)
				if err != nil {
					return nil, err
				}
				rs = append(rs, r)
			}
			return rs, nil
		},
		load: func(ctx context.Context, s *Store, rs []store.Record) (func() error, error) {
			vs, err := valuesOf(k.m, rs)
			if err != nil {
				return nil, err
			}
			writes := make([]mongo.WriteModel, 0, len(vs))
			for _, v := range vs {
				w, err := k.write(s, v)
				if err != nil {
					return nil, err
				}
				writes = append(writes, w)
			}
			return func() error {
				if _, err := s.coll(k.coll).BulkWrite(ctx, writes); err != nil || k.also == nil {
					return err
				}
				return k.also(ctx, s, vs)
			}, nil
		},
	}
}

func valuesOf[T any](m store.Moved[T], rs []store.Record) ([]T, error) {
	vs := make([]T, 0, len(rs))
	for _, r := range rs {
		v, err := m.Value(r)
		if err != nil {
			return nil, err
		}
		vs = append(vs, v)
	}
	return vs, nil
}

// behind reads the documents that come after a key, in the order of its fields: first those with the same beginning, then
// those with a shorter one. So each query is a range of the index.
func behind[D any](ctx context.Context, c *mongo.Collection, fields []string, key []any, begun bool, limit int) ([]D, error) {
	sort := ascending(fields...)
	if !begun {
		return all[D](ctx, c, bson.D{{Key: fields[0], Value: bson.D{{Key: "$gte", Value: key[0]}}}}, options.Find().SetSort(sort).SetLimit(int64(limit)))
	}
	var found []D
	for n := len(fields) - 1; n >= 0 && len(found) < limit; n-- {
		var filter bson.D
		for i, f := range fields[:n] {
			filter = append(filter, bson.E{Key: f, Value: key[i]})
		}
		filter = append(filter, bson.E{Key: fields[n], Value: bson.D{{Key: "$gt", Value: key[n]}}})
		more, err := all[D](ctx, c, filter, options.Find().SetSort(sort).SetLimit(int64(limit-len(found))))
		if err != nil {
			return nil, err
		}
		found = append(found, more...)
	}
	return found, nil
}

// put is a write that replaces the document which filter finds, or inserts it. Another one with its id or one of its unique
// keys is a duplicate.
func put(filter, doc any) mongo.WriteModel {
	return mongo.NewReplaceOneModel().SetFilter(filter).SetReplacement(doc).SetUpsert(true)
}

var byIDField = []string{"_id"}

// moveKind is how records of a kind move, under their ids.
func moveKind[T any](m store.Moved[T], k kind[T]) mover {
	return move(movedAs[T, T]{
		m: m, coll: k.coll, fields: byIDField,
		value: func(d T) (T, error) { return d, nil },
		write: func(_ *Store, v T) (mongo.WriteModel, error) {
			doc, err := k.document(v)
			return put(named(omni.Org(k.org(&v)), k.id(&v)), doc), err
		},
	})
}

// movePlain is a kind of plain records.
func movePlain[T any](k store.Kind[T]) mover {
	return moveKind(store.MovedPlain(k), records[T]{k: k}.kind())
}

// movers has one for each kind.
var movers = []mover{
	moveKind(store.MovedOrganisations, organisations),
	moveKind(store.MovedUsers, users),
	move(movedAs[omni.Session, omni.Session]{
		m: store.MovedSessions, coll: collSessions, fields: byIDField,
		value: func(d omni.Session) (omni.Session, error) { return sessionOf(d, nil) },
		write: func(_ *Store, v omni.Session) (mongo.WriteModel, error) {
			return put(named(omni.Org(v.OrganisationID), v.ID), sessionDoc(v)), nil
		},
	}),
	move(movedAs[omni.OneTimeToken, omni.OneTimeToken]{
		m: store.MovedOneTimeTokens, coll: collTokens, fields: byIDField,
		value: func(d omni.OneTimeToken) (omni.OneTimeToken, error) { return d, nil },
		write: func(_ *Store, v omni.OneTimeToken) (mongo.WriteModel, error) {
			doc, err := tokenDoc(v)
			return put(named(omni.Org(v.OrganisationID), v.Hash), doc), err
		},
	}),
	moveKind(store.MovedAPIKeys, apiKeys),
	moveKind(store.MovedGroups, groups),
	moveKind(store.MovedFolders, folders),
	moveKind(store.MovedCarrierAccounts, accounts),
	moveKind(store.MovedChannels, channels),
	move(movedAs[omni.Contact, omni.Contact]{
		m: store.MovedContacts, coll: collContacts, fields: byIDField,
		value: func(d omni.Contact) (omni.Contact, error) { return d, nil },
		write: func(_ *Store, v omni.Contact) (mongo.WriteModel, error) {
			doc, err := contactDoc(v, contactTerms(v))
			return put(named(v.Tenant, v.ID), doc), err
		},
		also: func(ctx context.Context, s *Store, vs []omni.Contact) error {
			// Identities that are there already.
			contacts := map[string][]string{}
			for _, v := range vs {
				contacts[v.Tenant.OrganisationID] = append(contacts[v.Tenant.OrganisationID], v.ID)
			}
			for org, ids := range contacts {
				is, err := s.identitiesOf(ctx, omni.Org(org), ids...)
				if err == nil {
					err = s.addIdentityTerms(ctx, is)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}),
	move(movedAs[store.MovedIdentity, identityDoc]{
		m: store.MovedIdentities, coll: collIdentities, fields: byIDField,
		value: func(d identityDoc) (store.MovedIdentity, error) {
			return store.MovedIdentity{ContactIdentity: d.ContactIdentity, ConsentAt: d.ConsentAt}, nil
		},
		write: func(_ *Store, v store.MovedIdentity) (mongo.WriteModel, error) {
			doc, err := document(v.ContactIdentity, bson.D{
				{Key: fieldOrg, Value: v.Tenant.OrganisationID},
				{Key: fieldAddresses, Value: addressesOf(v.ContactIdentity)},
				{Key: fieldConsentAt, Value: v.ConsentAt},
				{Key: fieldOptedOut, Value: v.OptedOutAt != 0},
			})
			return put(named(v.Tenant, v.ID), doc), err
		},
		also: func(ctx context.Context, s *Store, vs []store.MovedIdentity) error {
			is := make([]omni.ContactIdentity, 0, len(vs))
			for _, v := range vs {
				is = append(is, v.ContactIdentity)
			}
			return s.addIdentityTerms(ctx, is)
		},
	}),
	move(movedAs[store.MovedConsent, consentDoc]{
		m: store.MovedConsents, coll: collConsents, fields: consentOrder,
		parts: func(key []any) []any {
			key[2] = key[2] == int64(1) // optedOut is a bool
			return key
		},
		value: func(d consentDoc) (store.MovedConsent, error) {
			return store.MovedConsent{
				IdentityID: d.IdentityID, Tenant: omni.Tenant{OrganisationID: d.OrganisationID, UserID: d.UserID},
				OptedOut: d.OptedOut, By: d.By, At: d.At,
			}, nil
		},
		write: func(_ *Store, v store.MovedConsent) (mongo.WriteModel, error) {
			d := newConsent(v.Tenant, v.IdentityID, omni.ConsentUpdate{Tenant: v.Tenant, OptedOut: v.OptedOut, By: v.By, At: v.At})
			return put(named(v.Tenant, d.ID), d), nil
		},
	}),
	move(movedAs[store.MovedIdempotency, idempotencyDoc]{
		m: store.MovedIdempotencyKeys, coll: collIdempotency, fields: byIDField,
		parts: func(key []any) []any { return []any{fmt.Sprint(key[0], " ", key[1])} },
		value: func(d idempotencyDoc) (store.MovedIdempotency, error) {
			return store.MovedIdempotency{
				OrganisationID: d.OrganisationID, Key: d.Key, BodyHash: d.BodyHash, Done: d.Done, Status: d.Status, Body: d.Body, ExpiresAt: d.ExpiresAt,
			}, nil
		},
		write: func(_ *Store, v store.MovedIdempotency) (mongo.WriteModel, error) {
			t := omni.Org(v.OrganisationID)
			return put(idempotencyID(t, v.Key), newIdempotencyDoc(t, store.IdempotencyRecord{
				Key: v.Key, BodyHash: v.BodyHash, Done: v.Done, Status: v.Status, Body: v.Body, ExpiresAt: v.ExpiresAt,
			})), nil
		},
	}),
	moveKind(store.MovedAuditRecords, audits),
	move(movedAs[omni.Interaction, omni.Interaction]{
		m: store.MovedInteractions, coll: collInteractions, fields: byIDField,
		value: func(d omni.Interaction) (omni.Interaction, error) { return d, nil },
		write: func(s *Store, v omni.Interaction) (mongo.WriteModel, error) {
			d := newInteractionDoc(v)
			d.LastOrder = s.stamps.next(0) // its messages were stored before
			return put(named(v.Tenant, v.ID), d), nil
		},
	}),
	{kind: store.MovedMessages.Kind, dump: dumpMessages, load: loadMessages},
	move(movedAs[store.MovedEarly, earlyDoc]{
		m: store.MovedEarlyStatuses, coll: collEarly, fields: byIDField,
		parts: func(key []any) []any { return []any{fmt.Sprint(key[0], " ", key[1], " ", key[2])} },
		value: func(d earlyDoc) (store.MovedEarly, error) {
			return store.MovedEarly{OrganisationID: d.Org, DigitalChannelID: d.Channel, CarrierMessageID: d.Carrier, Statuses: d.Statuses}, nil
		},
		write: func(_ *Store, v store.MovedEarly) (mongo.WriteModel, error) {
			t := omni.Org(v.OrganisationID)
			d := earlyDoc{
				ID: earlyID(t, v.DigitalChannelID, v.CarrierMessageID), Org: v.OrganisationID, Channel: v.DigitalChannelID,
				Carrier: v.CarrierMessageID, Statuses: v.Statuses,
			}
			for _, st := range v.Statuses {
				d.End = latest(d.End, dateOf(st.ReceivedAt.Add(keepEarly)))
			}
			return put(named(t, d.ID), d), nil
		},
	}),
	move(movedAs[omni.Reaction, omni.Reaction]{
		m: store.MovedReactions, coll: collReactions, fields: reactionOrder,
		value: func(d omni.Reaction) (omni.Reaction, error) { return d, nil },
		write: func(_ *Store, v omni.Reaction) (mongo.WriteModel, error) {
			d := newReactionDoc(v)
			return put(d.bySender(), d), nil
		},
	}),
	inboxMover,
	move(movedAs[store.SetAside, asideDoc]{
		m: store.MovedSetAside, coll: collAside, fields: byIDField,
		value: func(d asideDoc) (store.SetAside, error) { return d.aside(), nil },
		write: func(s *Store, v store.SetAside) (mongo.WriteModel, error) {
			d := newAsideDoc(v, s.stamps.next(0))
			return put(named(v.Record.Tenant, d.ID), d), nil
		},
	}),
	{kind: store.MovedFragments.Kind, dump: dumpFragments, load: loadFragments},
}

// addIdentityTerms gives the contacts of identities their terms.
func (s *Store) addIdentityTerms(ctx context.Context, is []omni.ContactIdentity) error {
	writes := make([]mongo.WriteModel, 0, len(is))
	for _, i := range is {
		writes = append(writes, mongo.NewUpdateOneModel().SetFilter(named(i.Tenant, i.ContactID)).
			SetUpdate(addTerms(contactTerms(omni.Contact{}, i))))
	}
	if len(writes) == 0 {
		return nil
	}
	_, err := s.coll(collContacts).BulkWrite(ctx, writes, options.BulkWrite().SetOrdered(false))
	return err
}

func moverOf(kind store.RecordKind) (mover, bool) {
	for _, some := range [][]mover{movers, plainMovers, deliveryMovers} {
		if i := slices.IndexFunc(some, func(m mover) bool { return m.kind == kind }); i >= 0 {
			return some[i], true
		}
	}
	return mover{}, false
}

// Dump implements store.Store.
func (s *Store) Dump(ctx context.Context, after store.Position, limit int) ([]store.Record, store.Position, error) {
	if limit <= 0 {
		limit = store.DumpLimit
	}
	first := slices.Index(store.RecordKinds, after.Kind)
	if first < 0 && after.Kind != "" {
		return nil, after, fmt.Errorf("dump after %q: %w", after.Kind, omni.ErrInvalid)
	}
	rs, err := run(ctx, s, func(ctx context.Context) (all []store.Record, err error) {
		for _, kind := range store.RecordKinds[max(first, 0):] {
			m, ok := moverOf(kind)
			if !ok {
				return nil, fmt.Errorf("records of kind %q: %w", kind, omni.ErrUnsupported)
			}
			rs, err := m.dump(ctx, s, after, limit-len(all))
			if err != nil {
				return nil, err
			}
			if all = append(all, rs...); len(all) >= limit {
				break
			}
		}
		return all, nil
	})
	if err != nil {
		return nil, after, fmt.Errorf("dump: %w", err)
	}
	if len(rs) > 0 {
		last := rs[len(rs)-1]
		after = store.Position{Kind: last.Kind, Key: last.Key}
	}
	return rs, after, nil
}

// Load implements store.Store: one bulk write for each stretch of records of the same kind. All are read before the first is
// written.
func (s *Store) Load(ctx context.Context, rs []store.Record) error {
	err := runOnly(ctx, s, func(ctx context.Context) error {
		var writes []func() error
		for len(rs) > 0 {
			kind := rs[0].Kind
			n := slices.IndexFunc(rs, func(r store.Record) bool { return r.Kind != kind })
			if n < 0 {
				n = len(rs)
			}
			m, ok := moverOf(kind)
			if !ok {
				return fmt.Errorf("records of kind %q: %w", kind, omni.ErrInvalid)
			}
			write, err := m.load(ctx, s, rs[:n])
			if err != nil {
				return err
			}
			writes = append(writes, write)
			rs = rs[n:]
		}
		for _, write := range writes {
			if err := write(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	return nil
}

type markerDoc struct {
	Name  string `bson:"_id"`
	Value []byte `bson:"value"`
}

// Marker implements store.Store.
func (s *Store) Marker(ctx context.Context, name string) ([]byte, error) {
	d, err := run(ctx, s, func(ctx context.Context) (markerDoc, error) {
		return one[markerDoc](ctx, s.coll(collMarkers), bson.D{{Key: "_id", Value: name}})
	})
	if errors.Is(err, omni.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("marker %s: %w", name, err)
	}
	return d.Value, nil
}

// SetMarker implements store.Store.
func (s *Store) SetMarker(ctx context.Context, name string, value []byte) error {
	err := runOnly(ctx, s, func(ctx context.Context) error {
		filter := bson.D{{Key: "_id", Value: name}}
		if len(value) == 0 {
			_, err := s.coll(collMarkers).DeleteOne(ctx, filter)
			return err
		}
		_, err := s.coll(collMarkers).ReplaceOne(ctx, filter, markerDoc{name, value}, options.Replace().SetUpsert(true))
		return err
	})
	if err != nil {
		return fmt.Errorf("set marker %s: %w", name, err)
	}
	return nil
}

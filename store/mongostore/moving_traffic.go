package mongostore

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/omni"
	"omniservice/store"
)

// talksAtOnce is how many interactions dumpMessages goes through with one query.
const talksAtOnce = 200

// dumpMessages goes from interaction to interaction: messages have no index that spans organisations, and need none.
func dumpMessages(ctx context.Context, s *Store, after store.Position, limit int) ([]store.Record, error) {
	key, err := store.MovedMessages.Parts(after)
	if err != nil {
		return nil, err
	}
	from := bson.D{{Key: "$gte", Value: key[0]}}
	var rs []store.Record
	for len(rs) < limit {
		talks, err := all[interactionDoc](ctx, s.coll(collInteractions), bson.D{{Key: "_id", Value: from}},
			options.Find().SetSort(ascending("_id")).SetLimit(talksAtOnce).SetProjection(bson.D{{Key: fieldOrg, Value: 1}}))
		if err != nil || len(talks) == 0 {
			return rs, err
		}
		for _, i := range talks {
			sequence := int64(0)
			if i.ID == key[0] && after.Kind == store.MovedMessages.Kind {
				sequence = key[1].(int64)
			}
			docs, err := all[messageDoc](ctx, s.coll(collMessages),
				of(omni.Org(i.Org), bson.E{Key: "interactionId", Value: i.ID}, bson.E{Key: "sequence", Value: bson.D{{Key: "$gt", Value: sequence}}}),
				options.Find().SetSort(ascending("sequence")).SetLimit(int64(limit-len(rs))))
			if err != nil {
				return nil, err
			}
			for _, d := range docs {
				r, err := store.MovedMessages.Record(movedMessage(d))
				if err != nil {
					return nil, err
				}
				rs = append(rs, r)
			}
			if len(rs) >= limit {
				return rs, nil
			}
		}
		from = bson.D{{Key: "$gt", Value: talks[len(talks)-1].ID}}
	}
	return rs, nil
}

func movedMessage(d messageDoc) store.MovedMessage {
	v := store.MovedMessage{ServiceMessage: d.ServiceMessage}
	if d.Outbox != nil {
		v.Outbox = &store.MovedOutbox{Attempts: d.Outbox.Attempts, NotBefore: d.Outbox.NotBefore, SendingAt: d.Outbox.SendingAt}
	}
	if d.Fetch != nil {
		for _, f := range d.Fetch.Files {
			v.PendingMedia = append(v.PendingMedia, store.MovedMedia{Index: f.Index, Attempts: f.Attempts, NotBefore: f.NotBefore})
		}
		slices.SortFunc(v.PendingMedia, func(a, b store.MovedMedia) int { return cmp.Compare(a.Index, b.Index) })
	}
	return v
}

// loadedMessage is what is stored of v: with the duties that it says, instead of those of a new message.
func loadedMessage(v store.MovedMessage, order int64) messageDoc {
	d := newMessageDoc(v.ServiceMessage, order)
	d.Outbox, d.Fetch = nil, nil
	if o := v.Outbox; o != nil {
		d.Outbox = &outboxState{
			Partition: store.OutboxPartition(v.ServiceMessage), Recipient: recipientOf(v.ServiceMessage), Order: order,
			At: cmp.Or(o.SendingAt, o.NotBefore), Attempts: o.Attempts, NotBefore: o.NotBefore, SendingAt: o.SendingAt,
		}
	}
	if len(v.PendingMedia) > 0 {
		d.Fetch = &fetchState{Partition: store.MediaPartition(v.ID), Order: order, At: v.PendingMedia[0].NotBefore}
		for _, f := range v.PendingMedia {
			d.Fetch.At = min(d.Fetch.At, f.NotBefore)
			d.Fetch.Files = append(d.Fetch.Files, fetchFile{Index: f.Index, Attempts: f.Attempts, NotBefore: f.NotBefore})
		}
	}
	return d
}

// loadMessages stores messages at their places. One that is there keeps its place in the queues; if it has lost its duty
// the next one of its recipient is let through.
func loadMessages(ctx context.Context, s *Store, rs []store.Record) (func() error, error) {
	vs, err := valuesOf(store.MovedMessages, rs)
	if err != nil {
		return nil, err
	}
	return func() error {
		ids := make([]string, 0, len(vs))
		for _, v := range vs {
			ids = append(ids, v.ID)
		}
		there, err := byIDs[messageDoc](ctx, s, collMessages, ids, bson.D{{Key: "order", Value: 1}, {Key: fieldOutbox, Value: 1}},
			func(d messageDoc) string { return d.ID })
		if err != nil {
			return err
		}
		first := s.stamps.take(0, len(vs))
		writes, raises := make([]mongo.WriteModel, 0, len(vs)), make([]mongo.WriteModel, 0, len(vs))
		for n, v := range vs {
			order := cmp.Or(there[v.ID].Order, first+int64(n))
			writes = append(writes, put(named(v.Tenant, v.ID), loadedMessage(v, order)))
			raises = append(raises, mongo.NewUpdateOneModel().SetFilter(named(v.Tenant, v.InteractionID)).
				SetUpdate(bson.D{{Key: "$max", Value: bson.D{{Key: "lastSequence", Value: v.Sequence}, {Key: "lastOrder", Value: order}}}, {Key: "$set", Value: bson.D{news()}}}))
		}
		if _, err := s.coll(collMessages).BulkWrite(ctx, writes); err != nil {
			return err
		}
		if _, err := s.coll(collInteractions).BulkWrite(ctx, raises); err != nil {
			return err
		}
		for _, v := range vs {
			if had := there[v.ID].Outbox; had != nil && v.Outbox == nil {
				if err := s.promote(ctx, v.Tenant, had.Recipient); err != nil {
					return err
				}
			}
		}
		return nil
	}, nil
}

// byIDs reads some fields of the documents that are there.
func byIDs[D any](ctx context.Context, s *Store, coll string, ids []string, fields bson.D, id func(D) string) (map[string]D, error) {
	docs, err := all[D](ctx, s.coll(coll), bson.D{{Key: "_id", Value: in(ids)}}, options.Find().SetProjection(fields))
	if err != nil {
		return nil, err
	}
	m := make(map[string]D, len(docs))
	for _, d := range docs {
		m[id(d)] = d
	}
	return m, nil
}

// inboxMover moves webhooks. One that is there keeps its place.
var inboxMover = func() mover {
	m := move(movedAs[store.InboxRecord, inboxDoc]{
		m: store.MovedInbox, coll: collInbox, fields: byIDField,
		value: func(d inboxDoc) (store.InboxRecord, error) { return d.record(), nil },
	})
	m.load = func(ctx context.Context, s *Store, rs []store.Record) (func() error, error) {
		vs, err := valuesOf(store.MovedInbox, rs)
		if err != nil {
			return nil, err
		}
		return func() error {
			ids := make([]string, 0, len(vs))
			for _, v := range vs {
				ids = append(ids, v.ID)
			}
			there, err := byIDs[inboxDoc](ctx, s, collInbox, ids, bson.D{{Key: "order", Value: 1}}, func(d inboxDoc) string { return d.ID })
			if err != nil {
				return err
			}
			first := s.stamps.take(0, len(vs))
			writes := make([]mongo.WriteModel, 0, len(vs))
			for n, v := range vs {
				writes = append(writes, put(named(v.Tenant, v.ID), newInboxDoc(v, cmp.Or(there[v.ID].Order, first+int64(n)))))
			}
			_, err = s.coll(collInbox).BulkWrite(ctx, writes)
			return err
		}, nil
	}
	return m
}()

// dumpFragments gives the parts of each text, or the note that it was joined as part 0.
func dumpFragments(ctx context.Context, s *Store, after store.Position, limit int) ([]store.Record, error) {
	key, err := store.MovedFragments.Parts(after)
	if err != nil {
		return nil, err
	}
	begun := after.Kind == store.MovedFragments.Kind
	from := ""
	if begun {
		from = fragmentsID(omni.Org(key[0].(string)), key[1].(string))
	}
	docs, err := all[fragmentsDoc](ctx, s.coll(collFragments), bson.D{{Key: "_id", Value: bson.D{{Key: "$gte", Value: from}}}},
		options.Find().SetSort(ascending("_id")).SetLimit(int64(limit)+1))
	if err != nil {
		return nil, err
	}
	var rs []store.Record
	for _, d := range docs {
		for _, v := range movedFragments(d) {
			if begun && d.ID == from && int64(v.Index) <= key[2].(int64) {
				continue
			}
			if len(rs) == limit {
				return rs, nil
			}
			r, err := store.MovedFragments.Record(v)
			if err != nil {
				return nil, err
			}
			rs = append(rs, r)
		}
	}
	return rs, nil
}

func movedFragments(d fragmentsDoc) []store.MovedFragment {
	if d.Joined > 0 {
		return []store.MovedFragment{{OrganisationID: d.Org, Key: d.Key, ExpiresAt: d.Joined}}
	}
	return each(d.Parts, func(p fragmentPart) store.MovedFragment {
		return store.MovedFragment{OrganisationID: d.Org, Key: d.Key, Index: p.Fragment.Index, ExpiresAt: p.Ends, Fragment: &p.Fragment}
	})
}

func loadFragments(ctx context.Context, s *Store, rs []store.Record) (func() error, error) {
	vs, err := valuesOf(store.MovedFragments, rs)
	if err != nil {
		return nil, err
	}
	for _, v := range vs {
		if v.Index != 0 && v.Fragment == nil {
			return nil, omni.Problemf(omni.ErrInvalid, "part %d of a text is missing", v.Index)
		}
	}
	return func() error {
		for _, v := range vs {
			_, err := s.changeFragments(ctx, omni.Org(v.OrganisationID), v.Key, func(d *fragmentsDoc) bool {
				if v.Index == 0 {
					d.Joined, d.Parts = v.ExpiresAt, nil
				} else {
					d.Parts = slices.DeleteFunc(d.Parts, func(p fragmentPart) bool { return p.Fragment.Index == v.Index })
					d.Parts = append(d.Parts, fragmentPart{*v.Fragment, v.ExpiresAt})
					slices.SortFunc(d.Parts, func(a, b fragmentPart) int { return cmp.Compare(a.Fragment.Index, b.Fragment.Index) })
				}
				d.End = latest(d.End, dateOf(v.ExpiresAt))
				return true
			})
			if err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// The depths of the queues, for Inspect. The indexes of the queues have what waits and nothing else.

func (s *Store) inboxDepth(ctx context.Context) (store.QueueDepth, error) {
	return s.depth(ctx, "inbox", collInbox, "partition", "notBefore", "order", "receivedAt")
}

func (s *Store) outboxDepth(ctx context.Context) (store.QueueDepth, error) {
	d, err := s.depth(ctx, "outbox", collMessages, outboxQueue.partition, "outbox.notBefore", outboxQueue.order, fieldWrittenAt)
	return d, err
}

func (s *Store) mediaDepth(ctx context.Context) (store.QueueDepth, error) {
	q := store.QueueDepth{Name: "media"}
	docs, err := all[messageDoc](ctx, s.coll(collMessages), waiting(mediaQueue.partition),
		options.Find().SetLimit(store.MostCounted).SetProjection(bson.D{{Key: fieldFetch, Value: 1}, {Key: fieldWrittenAt, Value: 1}}))
	if err != nil || len(docs) == 0 {
		return q, err
	}
	oldest := slices.MinFunc(docs, func(a, b messageDoc) int { return cmp.Compare(a.Fetch.Order, b.Fetch.Order) })
	q.Oldest = oldest.WrittenAt
	for _, d := range docs {
		for _, f := range d.Fetch.Files {
			q.Depth++
			if f.NotBefore > 0 {
				q.Failed++
			}
		}
	}
	q.Depth, q.Failed = min(q.Depth, store.MostCounted), min(q.Failed, store.MostCounted)
	return q, nil
}

func (s *Store) deliveriesDepth(ctx context.Context) (store.QueueDepth, error) {
	q := store.QueueDepth{Name: "deliveries"}
	docs, err := all[deliveryDoc](ctx, s.coll(collDeliveries), waiting("due.at"),
		options.Find().SetLimit(store.MostCounted).SetProjection(bson.D{{Key: "due", Value: 1}, {Key: "createdAt", Value: 1}}))
	for _, d := range docs {
		q.Depth++
		if d.Due.At > 0 {
			q.Failed++
		}
		if q.Oldest == 0 || d.CreatedAt < q.Oldest {
			q.Oldest = d.CreatedAt
		}
	}
	return q, err
}

func (s *Store) asideDepth(ctx context.Context) (q store.QueueDepth, err error) {
	q.Name = "set_aside"
	ends := bson.D{{Key: fieldEnd, Value: bson.D{{Key: "$gte", Value: dateOf(0)}}}}
	if q.Depth, err = s.count(ctx, collAside, ends); err != nil {
		return q, err
	}
	first, err := one[asideDoc](ctx, s.coll(collAside), ends, options.FindOne().SetSort(ascending(fieldEnd)).SetProjection(bson.D{{Key: "at", Value: 1}}))
	if isNone(err) {
		return q, nil
	}
	q.Oldest = first.At
	return q, err
}

// waiting finds what is in a queue: field is one that nothing else has.
func waiting(field string) bson.D {
	return bson.D{{Key: field, Value: bson.D{{Key: "$gte", Value: 0}}}}
}

// depth counts a queue; since is the field with the moment at which something came.
func (s *Store) depth(ctx context.Context, name, coll, partition, notBefore, order, since string) (q store.QueueDepth, err error) {
	q.Name = name
	if q.Depth, err = s.count(ctx, coll, waiting(partition)); err != nil {
		return q, err
	}
	if q.Failed, err = s.count(ctx, coll, with(waiting(partition), bson.E{Key: notBefore, Value: bson.D{{Key: "$gt", Value: int64(0)}}})); err != nil {
		return q, err
	}
	first, err := one[bson.Raw](ctx, s.coll(coll), waiting(partition), options.FindOne().SetSort(ascending(order)).SetProjection(bson.D{{Key: since, Value: 1}}))
	if errors.Is(err, mongo.ErrNoDocuments) {
		return q, nil
	}
	if err != nil {
		return q, err
	}
	if at, ok := first.Lookup(since).AsInt64OK(); ok {
		q.Oldest = omni.Millis(at)
	}
	return q, nil
}

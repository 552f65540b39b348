package mongostore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/omni"
	"omniservice/store"
)

// inboxDoc is a webhook on its way into the pipeline, or the part of one that concerns one conversation.
type inboxDoc struct {
	ID         string                     `bson:"_id"`
	Org        string                     `bson:"organisationId"`
	UserID     string                     `bson:"userId,omitempty"`
	AccountID  string                     `bson:"accountId"`
	Carrier    omni.CarrierName           `bson:"carrier"`
	Partition  int                        `bson:"partition"`
	Order      int64                      `bson:"order"` // place in the queue, like messageDoc.Order
	Events     []omni.CarrierChannelEvent `bson:"events"`
	Raw        rawDoc                     `bson:"raw"`
	RerouteID  string                     `bson:"rerouteId,omitempty"`
	Attempts   int                        `bson:"attempts"`
	NotBefore  omni.Millis                `bson:"notBefore"`
	LastError  string                     `bson:"lastError,omitempty"`
	ReceivedAt omni.Millis                `bson:"receivedAt"`
}

// rawDoc is a request as it came. Header is a list, because names of headers may be no names of fields.
type rawDoc struct {
	Method string      `bson:"method,omitempty"`
	Query  string      `bson:"query,omitempty"`
	Header []headerDoc `bson:"header,omitempty"`
	Body   []byte      `bson:"body,omitempty"`
}

type headerDoc struct {
	Name  string `bson:"name"`
	Value string `bson:"value"`
}

func newInboxDoc(r store.InboxRecord, order int64) inboxDoc {
	d := inboxDoc{
		ID: r.ID, Org: r.Tenant.OrganisationID, UserID: r.Tenant.UserID, AccountID: r.AccountID, Carrier: r.Carrier,
		Partition: r.Partition, Order: order, Events: r.Events, Raw: rawDoc{Method: r.Raw.Method, Query: r.Raw.Query, Body: r.Raw.Body},
		RerouteID: r.RerouteID, Attempts: r.Attempts, NotBefore: r.NotBefore, LastError: r.LastError, ReceivedAt: r.ReceivedAt,
	}
	for name, value := range r.Raw.Header {
		d.Raw.Header = append(d.Raw.Header, headerDoc{name, value})
	}
	return d
}

func (d inboxDoc) record() store.InboxRecord {
	r := store.InboxRecord{
		ID: d.ID, Tenant: omni.Tenant{OrganisationID: d.Org, UserID: d.UserID}, AccountID: d.AccountID, Carrier: d.Carrier,
		Partition: d.Partition, Events: d.Events, Raw: store.RawPayload{Method: d.Raw.Method, Query: d.Raw.Query, Body: d.Raw.Body},
		RerouteID: d.RerouteID, Attempts: d.Attempts, NotBefore: d.NotBefore, LastError: d.LastError, ReceivedAt: d.ReceivedAt,
	}
	if len(d.Raw.Header) > 0 {
		r.Raw.Header = make(map[string]string, len(d.Raw.Header))
		for _, h := range d.Raw.Header {
			r.Raw.Header[h.Name] = h.Value
		}
	}
	return r
}

// asideDoc is a webhook that waits for a person.
type asideDoc struct {
	ID        string               `bson:"_id"` // of the record
	Org       string               `bson:"organisationId"`
	Record    inboxDoc             `bson:"record"`
	Reason    store.SetAsideReason `bson:"reason"`
	Detail    string               `bson:"detail,omitempty"`
	At        omni.Millis          `bson:"at"`
	ExpiresAt omni.Millis          `bson:"expiresAt"`
	End       time.Time            `bson:"expireAt"`
	ReplayAt  omni.Millis          `bson:"replayAt"` // when somebody began to replay it; 0: nobody has
}

func newAsideDoc(a store.SetAside, order int64) asideDoc {
	return asideDoc{
		ID: a.Record.ID, Org: a.Record.Tenant.OrganisationID, Record: newInboxDoc(a.Record, order), Reason: a.Reason,
		Detail: a.Detail, At: a.At, ExpiresAt: a.ExpiresAt, End: dateOf(a.ExpiresAt),
	}
}

func (d asideDoc) aside() store.SetAside {
	return store.SetAside{Record: d.Record.record(), Reason: d.Reason, Detail: d.Detail, At: d.At, ExpiresAt: d.ExpiresAt}
}

var inboxQueue = queue{coll: collInbox, partition: "partition", at: "notBefore", order: "order"}

var inboxColls = []collection{
	{name: collInbox, holds: "a webhook on its way into the pipeline", shardKey: byHash, indexes: []index{
		{keys: ascending("partition", "notBefore", "order"), serves: "PendingInbox"},
	}},
	{name: collAside, holds: "a webhook that waits for a person", shardKey: byOrganisation, indexes: []index{
		{keys: ascending(fieldOrg, "at", "_id"), serves: "ListAside"},
		ending,
	}},
}

// PutInbox implements store.Store: one command for all records, acknowledged once a majority has them. Those that are there
// are left as they are, so that it can be repeated.
func (s *Store) PutInbox(ctx context.Context, rs ...store.InboxRecord) error {
	if len(rs) == 0 {
		return nil
	}
	first := s.stamps.take(0, len(rs))
	docs := make([]inboxDoc, 0, len(rs))
	for i, r := range rs {
		docs = append(docs, newInboxDoc(r, first+int64(i)))
	}
	err := runOnly(ctx, s, func(ctx context.Context) error { return s.insertInbox(ctx, docs) })
	if err != nil {
		return fmt.Errorf("put inbox: %w", err)
	}
	return nil
}

func (s *Store) insertInbox(ctx context.Context, docs []inboxDoc) error {
	_, err := s.coll(collInbox).InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
	if onlyDuplicates(err) {
		return nil
	}
	return err
}

// onlyDuplicates reports whether all that went wrong in an insert of many is that some were there.
func onlyDuplicates(err error) bool {
	bulk, ok := errors.AsType[mongo.BulkWriteException](err)
	if !ok || bulk.WriteConcernError != nil {
		return false
	}
	return !slices.ContainsFunc(bulk.WriteErrors, func(we mongo.BulkWriteError) bool { return !mongo.IsDuplicateKeyError(we) })
}

// PendingInbox implements store.Store. Records that two nodes took in come in the order of the nodes' clocks.
func (s *Store) PendingInbox(ctx context.Context, partitions []int, now omni.Millis, limit int) ([]store.InboxRecord, error) {
	partitions = validPartitions(partitions)
	if len(partitions) == 0 || limit <= 0 {
		return nil, nil
	}
	rs, err := run(ctx, s, func(ctx context.Context) ([]store.InboxRecord, error) {
		docs, err := due(ctx, s, inboxQueue, partitions, now, limit, func(a, b inboxDoc) int { return byOrder(a.Order, b.Order, a.ID, b.ID) })
		return each(docs, inboxDoc.record), err
	})
	if err != nil {
		return nil, fmt.Errorf("pending inbox: %w", err)
	}
	return rs, nil
}

// DoneInbox implements store.Store.
func (s *Store) DoneInbox(ctx context.Context, ids ...string) error {
	if len(ids) == 0 {
		return nil
	}
	err := runOnly(ctx, s, func(ctx context.Context) error {
		_, err := s.coll(collInbox).DeleteMany(ctx, bson.D{{Key: "_id", Value: in(ids)}})
		return err
	})
	if err != nil {
		return fmt.Errorf("done inbox: %w", err)
	}
	return nil
}

// RetryInbox implements store.Store.
func (s *Store) RetryInbox(ctx context.Context, id string, attempts int, notBefore omni.Millis, lastError string) error {
	err := runOnly(ctx, s, func(ctx context.Context) error {
		res, err := s.coll(collInbox).UpdateOne(ctx, bson.D{{Key: "_id", Value: id}},
			set(bson.E{Key: "attempts", Value: attempts}, bson.E{Key: "notBefore", Value: notBefore}, bson.E{Key: "lastError", Value: lastError}))
		if err == nil && res.MatchedCount == 0 {
			err = omni.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("retry inbox record %s: %w", id, err)
	}
	return nil
}

// PutAside implements store.Store. The record is stored aside first and removed from the inbox then: who comes in between
// sees it in both, works on it once more, and sets it aside again.
func (s *Store) PutAside(ctx context.Context, a store.SetAside) error {
	d := newAsideDoc(a, s.stamps.next(0))
	err := runOnly(ctx, s, func(ctx context.Context) error {
		_, err := s.coll(collAside).ReplaceOne(ctx, named(a.Record.Tenant, d.ID), d, options.Replace().SetUpsert(true))
		if mongo.IsDuplicateKeyError(err) {
			// It came at the same instant, or is another organisation's.
			var res *mongo.UpdateResult
			res, err = s.coll(collAside).ReplaceOne(ctx, named(a.Record.Tenant, d.ID), d)
			if err == nil && res.MatchedCount == 0 {
				err = omni.ErrNotFound
			}
		}
		if err != nil {
			return err
		}
		_, err = s.coll(collInbox).DeleteOne(ctx, bson.D{{Key: "_id", Value: d.ID}})
		return err
	})
	if err != nil {
		return fmt.Errorf("set aside %s: %w", d.ID, err)
	}
	return nil
}

// ListAside implements store.Store.
func (s *Store) ListAside(ctx context.Context, t omni.Tenant, p store.Page) (store.List[store.SetAside], error) {
	l, err := run(ctx, s, func(ctx context.Context) (store.List[asideDoc], error) {
		return page(ctx, s.coll(collAside), "set-aside webhooks "+t.OrganisationID, of(t), order{field: "at", desc: true}, p,
			func(d asideDoc) place { return place{Number: int64(d.At), ID: d.ID} })
	})
	if err != nil {
		return store.List[store.SetAside]{}, fmt.Errorf("list set-aside webhooks: %w", err)
	}
	return store.List[store.SetAside]{Items: each(l.Items, asideDoc.aside), Next: l.Next}, nil
}

// replayTakes is how long a replay may take before another one may begin.
const replayTakes = 30 * time.Second

// ReplayAside implements store.Store, in three steps: it is marked, so that of several callers one goes on; put into the inbox;
// and removed. If the last steps are cut off the record is still listed, and after replayTakes can be replayed again: the
// pipeline does nothing twice for a webhook that comes twice.
func (s *Store) ReplayAside(ctx context.Context, t omni.Tenant, recordID string) (store.InboxRecord, error) {
	r, err := run(ctx, s, func(ctx context.Context) (store.InboxRecord, error) {
		now := omni.MillisOf(time.Now())
		d, err := after[asideDoc](ctx, s.coll(collAside),
			with(named(t, recordID), bson.E{Key: "replayAt", Value: bson.D{{Key: "$lt", Value: now.Add(-replayTakes)}}}),
			set(bson.E{Key: "replayAt", Value: now}))
		if err != nil {
			return store.InboxRecord{}, err
		}
		in := d.Record
		in.Attempts, in.NotBefore, in.LastError, in.Order = 0, 0, "", s.stamps.next(0)
		if err := s.insertInbox(ctx, []inboxDoc{in}); err != nil {
			return store.InboxRecord{}, err
		}
		_, err = s.coll(collAside).DeleteOne(ctx, with(named(t, recordID), bson.E{Key: "replayAt", Value: now}))
		return in.record(), err
	})
	if err != nil {
		return store.InboxRecord{}, fmt.Errorf("replay %s: %w", recordID, err)
	}
	return r, nil
}

var trafficColls = slices.Concat(interactionColls, messageColls, inboxColls, fragmentColls, deliveryColls)

package mongostore

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/omni"
	"omniservice/store"
)

// deliveryDoc is a delivery to a webhook as it is stored.
type deliveryDoc struct {
	omni.WebhookDelivery `bson:",inline"`

	Org string       `bson:"organisationId"`
	Due *deliveryDue `bson:"due,omitempty"` // set while it is pending: the queue's index has these alone
	End time.Time    `bson:"expireAt"`
}

type deliveryDue struct {
	Partition int         `bson:"partition"`
	At        omni.Millis `bson:"at"`
	ID        string      `bson:"id"` // of the delivery: _id itself would bring all documents into the index
}

func newDeliveryDoc(d omni.WebhookDelivery) deliveryDoc {
	doc := deliveryDoc{WebhookDelivery: d, Org: d.Tenant.OrganisationID, End: dateOf(d.ExpiresAt)}
	if d.State == omni.DeliveryPending {
		doc.Due = &deliveryDue{Partition: store.DeliveryPartition(d.WebhookID), At: d.NotBefore, ID: d.ID}
	}
	return doc
}

var deliveries = kind[omni.WebhookDelivery]{
	what: "delivery", coll: collDeliveries,
	id:  func(r *omni.WebhookDelivery) string { return r.ID },
	org: func(r *omni.WebhookDelivery) string { return r.Tenant.OrganisationID },
}

var deliveryColls = []collection{
	{name: collDeliveries, holds: "what is told, or was, to a webhook", shardKey: byOrganisation, indexes: []index{
		{keys: ascending("due.at", "due.id", "due.partition"), sparse: true, serves: "PendingDeliveries, NextDelivery"},
		{keys: ascending(fieldOrg, "webhookId", "createdAt", "_id"), serves: "ListDeliveries"},
		ending,
	}},
}

// PutDeliveries implements store.Store: one command for all.
func (s *Store) PutDeliveries(ctx context.Context, t omni.Tenant, ds ...omni.WebhookDelivery) error {
	docs, ids := make([]deliveryDoc, 0, len(ds)), make([]string, 0, len(ds))
	for _, d := range ds {
		if d.Tenant.OrganisationID != t.OrganisationID {
			return fmt.Errorf("put delivery %s: %w", d.ID, omni.ErrNotFound)
		}
		docs, ids = append(docs, newDeliveryDoc(d)), append(ids, d.ID)
	}
	if len(docs) == 0 {
		return nil
	}
	err := runOnly(ctx, s, func(ctx context.Context) error {
		_, err := s.coll(collDeliveries).InsertMany(ctx, docs, options.InsertMany().SetOrdered(false))
		if !mongo.IsDuplicateKeyError(err) || !onlyDuplicates(err) {
			return err
		}
		// Those that were there have to be this organisation's.
		n, err := s.coll(collDeliveries).CountDocuments(ctx, of(t, bson.E{Key: "_id", Value: in(ids)}))
		if err == nil && n < int64(len(ids)) {
			err = omni.ErrConflict
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("put deliveries: %w", err)
	}
	return nil
}

// dueDeliveries finds what waits in partitions.
func dueDeliveries(partitions []int, at bson.D) bson.D {
	return bson.D{{Key: "due.at", Value: at}, {Key: "due.partition", Value: in(partitions)}}
}

// PendingDeliveries implements store.Store.
func (s *Store) PendingDeliveries(ctx context.Context, partitions []int, now omni.Millis, limit int) ([]omni.WebhookDelivery, error) {
	if partitions = validPartitions(partitions); len(partitions) == 0 || limit <= 0 {
		return nil, nil
	}
	due, err := run(ctx, s, func(ctx context.Context) ([]omni.WebhookDelivery, error) {
		return all[omni.WebhookDelivery](ctx, s.coll(collDeliveries), dueDeliveries(partitions, bson.D{{Key: "$lte", Value: now}}),
			options.Find().SetSort(ascending("due.at", "due.id")).SetLimit(int64(limit)))
	})
	if err != nil {
		return nil, fmt.Errorf("list pending deliveries: %w", err)
	}
	return due, nil
}

// NextDelivery implements store.Store.
func (s *Store) NextDelivery(ctx context.Context, partitions []int) (omni.Millis, error) {
	if partitions = validPartitions(partitions); len(partitions) == 0 {
		return 0, nil
	}
	first, err := run(ctx, s, func(ctx context.Context) ([]omni.WebhookDelivery, error) {
		return all[omni.WebhookDelivery](ctx, s.coll(collDeliveries), dueDeliveries(partitions, bson.D{{Key: "$gte", Value: int64(0)}}),
			options.Find().SetSort(ascending("due.at", "due.id")).SetLimit(1).SetProjection(bson.D{{Key: "notBefore", Value: 1}}))
	})
	if err != nil {
		return 0, fmt.Errorf("find next delivery: %w", err)
	}
	if len(first) == 0 {
		return 0, nil
	}
	return max(first[0].NotBefore, 1), nil
}

// changeDelivery reads a delivery, has it changed, and stores it if its state and attempts are still what was read.
func (s *Store) changeDelivery(ctx context.Context, op string, t omni.Tenant, id string, change func(d *omni.WebhookDelivery) (bool, error)) (omni.WebhookDelivery, error) {
	changed, err := run(ctx, s, func(ctx context.Context) (omni.WebhookDelivery, error) {
		for range maxRaces {
			d, err := one[omni.WebhookDelivery](ctx, s.coll(collDeliveries), named(t, id))
			if err != nil {
				return d, err
			}
			was := with(named(t, id), bson.E{Key: "state", Value: d.State}, bson.E{Key: "attempts", Value: d.Attempts})
			if ok, err := change(&d); err != nil || !ok {
				return d, err
			}
			res, err := s.coll(collDeliveries).ReplaceOne(ctx, was, newDeliveryDoc(d))
			if err != nil || res.MatchedCount > 0 {
				return d, err
			}
		}
		return omni.WebhookDelivery{}, errRaced
	})
	if err != nil {
		return changed, fmt.Errorf("%s %s: %w", op, id, err)
	}
	return changed, nil
}

// SetDelivery implements store.Store.
func (s *Store) SetDelivery(ctx context.Context, t omni.Tenant, d omni.WebhookDelivery) (omni.WebhookDelivery, error) {
	return s.changeDelivery(ctx, "set delivery", t, d.ID, store.Tried(d))
}

// ResendDelivery implements store.Store.
func (s *Store) ResendDelivery(ctx context.Context, t omni.Tenant, id string, now, expires omni.Millis) (omni.WebhookDelivery, error) {
	return s.changeDelivery(ctx, "resend delivery", t, id, store.Resent(now, expires))
}

// Delivery implements store.Store.
func (s *Store) Delivery(ctx context.Context, t omni.Tenant, id string) (omni.WebhookDelivery, error) {
	return find(ctx, s, deliveries, t, id)
}

// ListDeliveries implements store.Store.
func (s *Store) ListDeliveries(ctx context.Context, t omni.Tenant, webhookID string, p store.Page) (store.List[omni.WebhookDelivery], error) {
	return list(ctx, s, deliveries, "deliveries "+t.OrganisationID+" "+webhookID, of(t, bson.E{Key: "webhookId", Value: webhookID}), newestFirst, p,
		func(d omni.WebhookDelivery) place { return place{Number: int64(d.CreatedAt), ID: d.ID} })
}

// deliveryMovers are how deliveries move.
var deliveryMovers = []mover{
	move(movedAs[omni.WebhookDelivery, omni.WebhookDelivery]{
		m: store.MovedDeliveries, coll: collDeliveries, fields: byIDField,
		value: func(d omni.WebhookDelivery) (omni.WebhookDelivery, error) { return d, nil },
		write: func(_ *Store, v omni.WebhookDelivery) (mongo.WriteModel, error) {
			return put(named(v.Tenant, v.ID), newDeliveryDoc(v)), nil
		},
	}),
}

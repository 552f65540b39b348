package mongostore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/omni"
	"omniservice/store"
)

// maxLeases is how many leases Inspect gives.
const maxLeases = 1000

// Inspect implements store.Store.
func (s *Store) Inspect(ctx context.Context, now omni.Millis) (store.Inspection, error) {
	r := store.Inspection{Place: s.place, Newest: len(migrations), Journal: "w: majority, j: true"}
	fail := func(err error) (store.Inspection, error) {
		return r, fmt.Errorf("inspect: %w", err)
	}
	var err error
	if r.Schema, err = s.schemaVersion(ctx); err != nil {
		return fail(err)
	}
	diffs, err := s.CheckIndexes(ctx)
	if err != nil {
		return fail(err)
	}
	for _, d := range diffs {
		r.Differences = append(r.Differences, d.String())
	}
	err = runOnly(ctx, s, func(ctx context.Context) error {
		if err := s.figures(ctx, &r); err != nil {
			return err
		}
		for _, depth := range []func(context.Context) (store.QueueDepth, error){s.inboxDepth, s.outboxDepth, s.mediaDepth, s.deliveriesDepth, s.asideDepth} {
			d, err := depth(ctx)
			if err != nil {
				return err
			}
			r.Queues = append(r.Queues, d)
		}
		r.Queues = append(r.Queues, store.QueueDepth{Name: "search"}) // what is found by is written with the record itself
		for _, c := range schema() {
			if !slices.ContainsFunc(c.indexes, func(i index) bool { return i.ends }) {
				continue
			}
			n, err := s.count(ctx, c.name, bson.D{{Key: fieldEnd, Value: bson.D{{Key: "$lte", Value: dateOf(now)}}}})
			if err != nil {
				return err
			}
			r.Expired += n
		}
		held := bson.D{{Key: "expiresAt", Value: bson.D{{Key: "$gt", Value: int64(0)}}}}
		r.Leases, err = all[omni.MessageQueueLock](ctx, s.coll(collLocks), held, options.Find().SetLimit(maxLeases))
		slices.SortFunc(r.Leases, func(a, b omni.MessageQueueLock) int { return strings.Compare(a.Key, b.Key) })
		return err
	})
	if err != nil {
		return fail(err)
	}
	return r, nil
}

// figures are what the server knows.
func (s *Store) figures(ctx context.Context, r *store.Inspection) error {
	var build struct {
		Version string `bson:"version"`
	}
	if err := s.db.RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&build); err != nil {
		return err
	}
	r.Engine = "MongoDB " + build.Version
	var raw bson.Raw
	if err := s.db.RunCommand(ctx, bson.D{{Key: "dbStats", Value: 1}}).Decode(&raw); err != nil {
		return err
	}
	for _, field := range []string{"storageSize", "indexSize"} {
		if n, ok := raw.Lookup(field).AsInt64OK(); ok { // it may be a double too
			r.Bytes += n
		}
	}
	return nil
}

// count counts documents, up to store.MostCounted.
func (s *Store) count(ctx context.Context, coll string, filter bson.D) (int, error) {
	n, err := s.coll(coll).CountDocuments(ctx, filter, options.Count().SetLimit(store.MostCounted))
	return int(n), err
}

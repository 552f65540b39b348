package mongostore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/omni"
	"omniservice/store"
)

// The queues (inbox, outbox, files to fetch) span organisations, and so on a sharded cluster each look into one asks all
// shards, which answer from an index that has nothing in it but what waits. A worker looks when it is signalled, when
// something becomes due, and every few seconds.

// queue is where a queue lies: a collection, and the fields by which it goes, in the order of the index.
type queue struct {
	coll      string
	partition string
	at        string // not looked at earlier; 0: at once
	order     string // place in the queue
	parks     bool   // a negative at is that of something parked until -at
}

// later are the documents of q that had to wait and are due again at now.
func (q queue) later(now omni.Millis) bson.E {
	retried := bson.D{{Key: q.at, Value: bson.D{{Key: "$gt", Value: int64(0)}, {Key: "$lte", Value: now}}}}
	if !q.parks {
		return retried[0]
	}
	parked := bson.D{{Key: q.at, Value: bson.D{{Key: "$gte", Value: -now}, {Key: "$lt", Value: int64(0)}}}}
	return bson.E{Key: "$or", Value: bson.A{retried, parked}}
}

// validPartitions leaves out what is no partition.
func validPartitions(partitions []int) []int {
	return slices.DeleteFunc(slices.Clone(partitions), func(p int) bool { return p < 0 || p >= store.Partitions })
}

// due reads up to limit documents that may be tried at now, in the order of the queue, by two queries: what never failed comes
// out of the index in order; what is due again is sorted, and is few. The first ones of both are the first ones of all.
func due[D any](ctx context.Context, s *Store, q queue, partitions []int, now omni.Millis, limit int, compare func(a, b D) int) ([]D, error) {
	mine := bson.D{{Key: q.partition, Value: in(partitions)}}
	opts := options.Find().SetSort(bson.D{{Key: q.order, Value: 1}}).SetLimit(int64(limit))
	fresh, err := all[D](ctx, s.coll(q.coll), with(mine, bson.E{Key: q.at, Value: int64(0)}), opts)
	if err != nil {
		return nil, err
	}
	later, err := all[D](ctx, s.coll(q.coll), with(mine, q.later(now)), opts)
	if err != nil {
		return nil, err
	}
	ds := slices.Concat(fresh, later)
	slices.SortFunc(ds, compare)
	// Between the two queries one may have gone from one to the other.
	ds = slices.CompactFunc(ds, func(a, b D) bool { return compare(a, b) == 0 })
	return ds[:min(limit, len(ds))], nil
}

// nextAt is the earliest moment at which something of a queue is due, 0 if nothing waits: at least 1 for what is due at once.
func nextAt(ctx context.Context, s *Store, q queue, partitions []int) (omni.Millis, error) {
	if partitions = validPartitions(partitions); len(partitions) == 0 {
		return 0, nil
	}
	return run(ctx, s, func(ctx context.Context) (omni.Millis, error) {
		raw, err := one[bson.Raw](ctx, s.coll(q.coll),
			bson.D{{Key: q.partition, Value: in(partitions)}, {Key: q.at, Value: bson.D{{Key: "$gte", Value: int64(0)}}}},
			options.FindOne().SetSort(bson.D{{Key: q.at, Value: 1}}).SetProjection(bson.D{{Key: q.at, Value: 1}}))
		if errors.Is(err, mongo.ErrNoDocuments) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		return omni.Millis(max(raw.Lookup(strings.Split(q.at, ".")...).AsInt64(), 1)), nil
	})
}

// byOrder compares places in a queue: their order, and where two nodes gave the same, the ids.
func byOrder(a, b int64, aID, bID string) int {
	return cmp.Or(cmp.Compare(a, b), cmp.Compare(aID, bID))
}

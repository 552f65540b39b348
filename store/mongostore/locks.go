package mongostore

import (
	"context"
	"fmt"
	"time"
	"unicode/utf8"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/omni"
	"omniservice/store"
)

// races is how often a call looks again after another one came between its steps.
const races = 8

// errBusy is the end of that: as many others came between.
var errBusy = fmt.Errorf("too many writes of the same document at once: %w", omni.ErrUnavailable)

// AcquireLock implements store.Store. Each step is one conditional write, so that of any number of callers one gets the
// lease; a document is never removed, because its token has to go on growing.
func (s *Store) AcquireLock(ctx context.Context, key, owner string, now omni.Millis, ttl time.Duration) (omni.MessageQueueLock, error) {
	l, err := run(ctx, s, func(ctx context.Context) (omni.MessageQueueLock, error) {
		want := omni.MessageQueueLock{Key: key, Owner: owner, Token: 1, ExpiresAt: now.Add(ttl)}
		c := s.coll(collLocks)
		id := bson.E{Key: "_id", Value: key}
		for range races {
			l, err := after[omni.MessageQueueLock](ctx, c,
				bson.D{id, {Key: "owner", Value: owner}, {Key: "expiresAt", Value: bson.D{{Key: "$gt", Value: now}}}},
				set(bson.E{Key: "expiresAt", Value: want.ExpiresAt}))
			if !isNone(err) {
				return l, err
			}
			l, err = after[omni.MessageQueueLock](ctx, c,
				bson.D{id, {Key: "expiresAt", Value: bson.D{{Key: "$lte", Value: now}}}},
				bson.D{
					{Key: "$set", Value: bson.D{{Key: "owner", Value: owner}, {Key: "expiresAt", Value: want.ExpiresAt}}},
					{Key: "$inc", Value: bson.D{{Key: "token", Value: int64(1)}}},
				})
			if !isNone(err) {
				return l, err
			}
			if _, err = c.InsertOne(ctx, want); !mongo.IsDuplicateKeyError(err) {
				return want, err
			}
			l, err = one[omni.MessageQueueLock](ctx, c, bson.D{id})
			if err != nil || l.Owner != owner && l.ExpiresAt > now {
				return l, firstError(err, omni.ErrConflict)
			}
		}
		return want, errBusy
	})
	if err != nil {
		return l, fmt.Errorf("acquire lock %s: %w", key, err)
	}
	return l, nil
}

// ReleaseLock implements store.Store.
func (s *Store) ReleaseLock(ctx context.Context, l omni.MessageQueueLock) error {
	err := runOnly(ctx, s, func(ctx context.Context) error {
		_, err := s.coll(collLocks).UpdateOne(ctx,
			bson.D{{Key: "_id", Value: l.Key}, {Key: "owner", Value: l.Owner}, {Key: "token", Value: l.Token}},
			set(bson.E{Key: "expiresAt", Value: int64(0)}))
		return err
	})
	if err != nil {
		return fmt.Errorf("release lock %s: %w", l.Key, err)
	}
	return nil
}

// ListLocks implements store.Store.
func (s *Store) ListLocks(ctx context.Context, prefix string) ([]omni.MessageQueueLock, error) {
	ls, err := run(ctx, s, func(ctx context.Context) ([]omni.MessageQueueLock, error) {
		return all[omni.MessageQueueLock](ctx, s.coll(collLocks),
			bson.D{{Key: "_id", Value: bson.D{{Key: "$gte", Value: prefix}, {Key: "$lt", Value: prefix + string(utf8.MaxRune)}}}},
			options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(store.MaxLocks))
	})
	if err != nil {
		return nil, fmt.Errorf("list locks %s: %w", prefix, err)
	}
	return ls, nil
}

// idempotencyDoc is a reserved key. Its id is the organisation and the key: an organisation's id has no space.
type idempotencyDoc struct {
	ID             string      `bson:"_id"`
	OrganisationID string      `bson:"organisationId"`
	Key            string      `bson:"key"`
	BodyHash       string      `bson:"bodyHash"`
	Done           bool        `bson:"done"`
	Status         int         `bson:"status"`
	Body           []byte      `bson:"body"`
	ExpiresAt      omni.Millis `bson:"expiresAt"`
	End            time.Time   `bson:"expireAt"`
}

func idempotencyID(t omni.Tenant, key string) bson.D {
	return bson.D{{Key: "_id", Value: t.OrganisationID + " " + key}, {Key: fieldOrg, Value: t.OrganisationID}}
}

func newIdempotencyDoc(t omni.Tenant, r store.IdempotencyRecord) idempotencyDoc {
	return idempotencyDoc{
		ID: t.OrganisationID + " " + r.Key, OrganisationID: t.OrganisationID, Key: r.Key, BodyHash: r.BodyHash, Done: r.Done,
		Status: r.Status, Body: r.Body, ExpiresAt: r.ExpiresAt, End: dateOf(r.ExpiresAt),
	}
}

func (d idempotencyDoc) record() store.IdempotencyRecord {
	return store.IdempotencyRecord{Key: d.Key, BodyHash: d.BodyHash, Done: d.Done, Status: d.Status, Body: d.Body, ExpiresAt: d.ExpiresAt}
}

// ReserveKey implements store.Store.
func (s *Store) ReserveKey(ctx context.Context, t omni.Tenant, r store.IdempotencyRecord, now omni.Millis) (store.IdempotencyRecord, bool, error) {
	free := false
	have, err := run(ctx, s, func(ctx context.Context) (store.IdempotencyRecord, error) {
		c := s.coll(collIdempotency)
		doc := newIdempotencyDoc(t, r)
		for range races {
			_, err := c.InsertOne(ctx, doc)
			if free = err == nil; free || !mongo.IsDuplicateKeyError(err) {
				return r, err
			}
			// Of those who find one that has ended, one replaces it: the filter does not find it again.
			res, err := c.ReplaceOne(ctx, with(idempotencyID(t, r.Key), bson.E{Key: "expiresAt", Value: bson.D{{Key: "$lte", Value: now}}}), doc)
			if err != nil {
				return r, err
			}
			if free = res.MatchedCount > 0; free {
				return r, nil
			}
			have, err := one[idempotencyDoc](ctx, c, idempotencyID(t, r.Key))
			if !isNone(err) {
				return have.record(), err
			}
		}
		return r, errBusy
	})
	if err != nil {
		return have, false, fmt.Errorf("reserve idempotency key: %w", err)
	}
	return have, free, nil
}

// CompleteKey implements store.Store.
func (s *Store) CompleteKey(ctx context.Context, t omni.Tenant, r store.IdempotencyRecord) error {
	err := runOnly(ctx, s, func(ctx context.Context) error {
		res, err := s.coll(collIdempotency).UpdateOne(ctx, idempotencyID(t, r.Key), bson.D{
			{Key: "$set", Value: bson.D{{Key: "done", Value: true}, {Key: "status", Value: r.Status}, {Key: "body", Value: r.Body}}},
			{Key: "$max", Value: bson.D{{Key: "expiresAt", Value: r.ExpiresAt}, {Key: fieldEnd, Value: dateOf(r.ExpiresAt)}}},
		})
		if err == nil && res.MatchedCount == 0 {
			err = omni.ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("complete idempotency key: %w", err)
	}
	return nil
}

// DropKey implements store.Store.
func (s *Store) DropKey(ctx context.Context, t omni.Tenant, key string) error {
	err := runOnly(ctx, s, func(ctx context.Context) error {
		_, err := s.coll(collIdempotency).DeleteOne(ctx, with(idempotencyID(t, key), bson.E{Key: "done", Value: false}))
		return err
	})
	if err != nil {
		return fmt.Errorf("drop idempotency key: %w", err)
	}
	return nil
}

// sweepAtOnce is how many documents one command of Sweep removes, so that others' writes do not wait long.
const sweepAtOnce = 500

// Sweep implements store.Store. It goes through every collection with an index that says when documents end.
func (s *Store) Sweep(ctx context.Context, now omni.Millis) (int, error) {
	total := 0
	for _, c := range schema() {
		ends := false
		for _, i := range c.indexes {
			ends = ends || i.ends
		}
		for ends {
			found, removed, err := s.sweep(ctx, c.name, now)
			total += removed
			if err != nil {
				return total, fmt.Errorf("sweep %s: %w", c.name, err)
			}
			ends = found == sweepAtOnce
		}
	}
	// What moments stand for goes too, uncounted: these are no records.
	if err := runOnly(ctx, s, func(ctx context.Context) error { return s.forgetMinutes(ctx, now) }); err != nil {
		return total, fmt.Errorf("sweep changes: %w", err)
	}
	return total, nil
}

func (s *Store) sweep(ctx context.Context, name string, now omni.Millis) (found, removed int, err error) {
	err = runOnly(ctx, s, func(ctx context.Context) error {
		ended := bson.E{Key: fieldEnd, Value: bson.D{{Key: "$lte", Value: dateOf(now)}}}
		docs, err := all[struct {
			ID any `bson:"_id"`
		}](ctx, s.coll(name), bson.D{ended}, options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}).SetLimit(sweepAtOnce))
		if found = len(docs); err != nil || found == 0 {
			return err
		}
		ids := make(bson.A, 0, found)
		for _, d := range docs {
			ids = append(ids, d.ID)
		}
		// It may have been prolonged in between.
		res, err := s.coll(name).DeleteMany(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}, ended})
		if err != nil {
			return err
		}
		removed = int(res.DeletedCount)
		return nil
	})
	return found, removed, err
}

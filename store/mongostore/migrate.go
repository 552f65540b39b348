package mongostore

import (
	"context"
	"fmt"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/omni"
)

// migration changes what older programs wrote, beyond indexes. One that was cut off is run again from its beginning, so it
// has to find what it has done: an update whose filter names the old form does.
type migration struct {
	name string
	run  func(ctx context.Context, s *Store) error // nil: nothing but indexes changed
}

// migrations are numbered from 1 by their place, and only ever added to.
var migrations = []migration{
	{name: "first"},
	{name: "changes have numbers", run: numberChanges},
	{name: "snoozes"},
}

type migrationDoc struct {
	Number    int64       `bson:"_id"`
	Name      string      `bson:"name"`
	AppliedAt omni.Millis `bson:"appliedAt"`
}

const (
	migrationLock  = "schema"
	migrationLease = time.Minute
	migrationPoll  = 200 * time.Millisecond
)

// migrate applies the migrations that the database has not had, one node at a time: others wait. The database of a newer
// program is refused.
func (s *Store) migrate(ctx context.Context) error {
	owner := omni.NewID()
	again := time.NewTicker(migrationPoll)
	defer again.Stop()
	for {
		have, err := s.schemaVersion(ctx)
		switch {
		case err != nil:
			return err
		case have > len(migrations):
			return fmt.Errorf("the database has schema %d, this program knows %d: %w", have, len(migrations), omni.ErrUnsupported)
		case have == len(migrations):
			return nil
		}
		lease, err := s.AcquireLock(ctx, migrationLock, owner, omni.MillisOf(time.Now()), migrationLease)
		if omni.CodeOf(err) == omni.CodeConflict {
			select {
			case <-again.C:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err != nil {
			return err
		}
		if have, err = s.schemaVersion(ctx); err == nil && have < len(migrations) {
			err = s.apply(ctx, have, lease)
		}
		if releaseErr := s.ReleaseLock(ctx, lease); err != nil || releaseErr != nil {
			return firstError(err, releaseErr)
		}
	}
}

// apply applies the migration after the first n, and keeps the lease meanwhile; when that is lost it stops.
func (s *Store) apply(ctx context.Context, n int, lease omni.MessageQueueLock) error {
	m := migrations[n]
	if m.run != nil {
		ctx, stop := context.WithCancel(ctx)
		kept := make(chan struct{})
		go func() {
			defer close(kept)
			defer stop()
			s.keep(ctx, lease)
		}()
		err := m.run(ctx, s)
		stop()
		<-kept
		if err != nil {
			return fmt.Errorf("migration %d, %s: %w", n+1, m.name, err)
		}
	}
	return runOnly(ctx, s, func(ctx context.Context) error {
		_, err := s.coll(collMigrations).InsertOne(ctx, migrationDoc{int64(n + 1), m.name, omni.MillisOf(time.Now())})
		if mongo.IsDuplicateKeyError(err) {
			err = nil
		}
		return err
	})
}

// keep renews a lease until ctx ends or it is lost.
func (s *Store) keep(ctx context.Context, lease omni.MessageQueueLock) {
	tick := time.NewTicker(migrationLease / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		l, err := s.AcquireLock(ctx, lease.Key, lease.Owner, omni.MillisOf(time.Now()), migrationLease)
		if err == nil && l.Token > lease.Token || omni.CodeOf(err) == omni.CodeConflict {
			return
		}
	}
}

// schemaVersion is the number of the newest migration that was applied.
func (s *Store) schemaVersion(ctx context.Context) (int, error) {
	return run(ctx, s, func(ctx context.Context) (int, error) {
		d, err := one[migrationDoc](ctx, s.coll(collMigrations), bson.D{{Key: "_id", Value: bson.D{{Key: "$gte", Value: int64(1)}}}},
			options.FindOne().SetSort(bson.D{{Key: "_id", Value: -1}}))
		if isNone(err) {
			return 0, nil
		}
		return int(d.Number), err
	})
}

package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"omniservice/omni"
	"omniservice/store"
)

// AcquireLock implements store.Store.
func (s *Store) AcquireLock(ctx context.Context, key, owner string, now omni.Millis, ttl time.Duration) (omni.MessageQueueLock, error) {
	l := omni.MessageQueueLock{Key: key, Owner: owner, ExpiresAt: now.Add(ttl)}
	token, err := write(ctx, s, func(ctx context.Context, c *conn) (int64, error) {
		return queryOne(ctx, c, sqlLockAcquire, scanInt, key, owner, int64(now), int64(l.ExpiresAt))
	})
	if errors.Is(err, omni.ErrNotFound) {
		err = omni.ErrConflict
	}
	if err != nil {
		return omni.MessageQueueLock{}, fmt.Errorf("acquire lock %s: %w", key, err)
	}
	l.Token = token
	return l, nil
}

// ReleaseLock implements store.Store.
func (s *Store) ReleaseLock(ctx context.Context, l omni.MessageQueueLock) error {
	err := writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		// The row stays: its token has to go on growing.
		_, err := c.exec(ctx, sqlLockRelease, l.Key, l.Owner, l.Token)
		return err
	})
	if err != nil {
		return fmt.Errorf("release lock %s: %w", l.Key, err)
	}
	return nil
}

// ListLocks implements store.Store.
func (s *Store) ListLocks(ctx context.Context, prefix string) ([]omni.MessageQueueLock, error) {
	ls, err := read(ctx, s, func(ctx context.Context, c *conn) ([]omni.MessageQueueLock, error) {
		return queryAll(ctx, c, sqlLocks, func(r scanner) (l omni.MessageQueueLock, err error) {
			return l, r.Scan(&l.Key, &l.Owner, &l.Token, &l.ExpiresAt)
		}, prefix, prefix+string(utf8.MaxRune), store.MaxLocks)
	})
	if err != nil {
		return nil, fmt.Errorf("list locks %s: %w", prefix, err)
	}
	return ls, nil
}

func scanIdempotency(r scanner) (k store.IdempotencyRecord, err error) {
	var status int64
	err = r.Scan(&k.Key, &k.BodyHash, &k.Done, &status, &k.Body, &k.ExpiresAt)
	k.Status = int(status)
	return k, err
}

// ReserveKey implements store.Store.
func (s *Store) ReserveKey(ctx context.Context, t omni.Tenant, r store.IdempotencyRecord, now omni.Millis) (store.IdempotencyRecord, bool, error) {
	free := false
	have, err := write(ctx, s, func(ctx context.Context, c *conn) (store.IdempotencyRecord, error) {
		n, err := c.exec(ctx, sqlKeyReserve, t.OrganisationID, r.Key, r.BodyHash, r.Done, r.Status, r.Body, int64(r.ExpiresAt), int64(now))
		free = n > 0
		if err != nil || free {
			return r, err
		}
		return queryOne(ctx, c, sqlKey, scanIdempotency, t.OrganisationID, r.Key)
	})
	if err != nil {
		return store.IdempotencyRecord{}, false, fmt.Errorf("reserve idempotency key: %w", err)
	}
	return have, free, nil
}

// CompleteKey implements store.Store.
func (s *Store) CompleteKey(ctx context.Context, t omni.Tenant, r store.IdempotencyRecord) error {
	err := writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		return oneRow(c.exec(ctx, sqlKeyComplete, t.OrganisationID, r.Key, r.Status, r.Body, int64(r.ExpiresAt)))
	})
	if err != nil {
		return fmt.Errorf("complete idempotency key: %w", err)
	}
	return nil
}

// DropKey implements store.Store.
func (s *Store) DropKey(ctx context.Context, t omni.Tenant, key string) error {
	err := writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		_, err := c.exec(ctx, sqlKeyDrop, t.OrganisationID, key)
		return err
	})
	if err != nil {
		return fmt.Errorf("drop idempotency key: %w", err)
	}
	return nil
}

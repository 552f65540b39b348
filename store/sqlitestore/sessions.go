package sqlitestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"omniservice/omni"
)

// maxPrevious is how many used refresh hashes a session keeps.
const maxPrevious = 50

func scanSession(r scanner) (s omni.Session, err error) {
	var previous []byte
	err = r.Scan(&s.ID, &s.OrganisationID, &s.UserID, &s.RefreshHash, &previous, &s.CreatedAt, &s.ExpiresAt, &s.EndedAt)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(previous, &s.PreviousHashes)
}

// sessionArgs are the values of sessionCols.
func sessionArgs(n omni.Session) ([]any, error) {
	previous, err := json.Marshal(n.PreviousHashes)
	return []any{
		n.ID, n.OrganisationID, n.UserID, n.RefreshHash, previous, int64(n.CreatedAt), int64(n.ExpiresAt), int64(n.EndedAt),
	}, err
}

func scanToken(r scanner) (o omni.OneTimeToken, err error) {
	return o, r.Scan(&o.Hash, &o.OrganisationID, &o.UserID, &o.Purpose, &o.ExpiresAt)
}

// CreateSession implements store.Store.
func (s *Store) CreateSession(ctx context.Context, t omni.Tenant, n omni.Session) error {
	if n.OrganisationID != t.OrganisationID {
		return fmt.Errorf("create session %s: organisation: %w", n.ID, omni.ErrNotFound)
	}
	args, err := sessionArgs(n)
	if err != nil {
		return fmt.Errorf("create session %s: %w", n.ID, err)
	}
	err = writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		_, err := c.exec(ctx, sqlSessionInsert, args...)
		if !errors.Is(err, omni.ErrConflict) {
			return err
		}
		have, getErr := queryOne(ctx, c, sqlSession, scanSession, n.ID, t.OrganisationID)
		if getErr == nil && have.UserID == n.UserID && have.CreatedAt == n.CreatedAt {
			return nil // the same again
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create session %s: %w", n.ID, err)
	}
	return nil
}

// SessionByID implements store.Store.
func (s *Store) SessionByID(ctx context.Context, id string) (omni.Session, error) {
	return door(ctx, s, "session "+id, sqlSessionDoor, scanSession, id)
}

// RotateSession implements store.Store.
func (s *Store) RotateSession(ctx context.Context, t omni.Tenant, id, old, next string, expires omni.Millis) (omni.Session, error) {
	n, err := write(ctx, s, func(ctx context.Context, c *conn) (omni.Session, error) {
		have, err := queryOne(ctx, c, sqlSession, scanSession, id, t.OrganisationID)
		if err != nil {
			return have, err
		}
		if have.EndedAt != 0 {
			return have, omni.ErrNotFound
		}
		used := append(have.PreviousHashes, old)
		previous, err := json.Marshal(used[max(0, len(used)-maxPrevious):])
		if err != nil {
			return have, err
		}
		// The statement compares: it changes nothing unless old is the current one.
		n, err := queryOne(ctx, c, sqlSessionRotate, scanSession, id, t.OrganisationID, old, next, previous, int64(expires))
		if errors.Is(err, omni.ErrNotFound) {
			err = fmt.Errorf("the refresh token was used before: %w", omni.ErrConflict)
		}
		return n, err
	})
	if err != nil {
		return omni.Session{}, fmt.Errorf("rotate session %s: %w", id, err)
	}
	return n, nil
}

// EndSession implements store.Store.
func (s *Store) EndSession(ctx context.Context, t omni.Tenant, id string, at omni.Millis) error {
	err := writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		n, err := c.exec(ctx, sqlSessionEnd, id, t.OrganisationID, int64(at))
		if err != nil || n > 0 {
			return err
		}
		_, err = queryOne(ctx, c, sqlSession, scanSession, id, t.OrganisationID)
		return err
	})
	if err != nil {
		return fmt.Errorf("end session %s: %w", id, err)
	}
	return nil
}

// EndSessions implements store.Store.
func (s *Store) EndSessions(ctx context.Context, t omni.Tenant, userID string, at omni.Millis) ([]string, error) {
	ids, err := write(ctx, s, func(ctx context.Context, c *conn) ([]string, error) {
		return queryAll(ctx, c, sqlSessionsEnd, scanText, t.OrganisationID, userID, int64(at))
	})
	if err != nil {
		return nil, fmt.Errorf("end sessions of %s: %w", userID, err)
	}
	return ids, nil
}

// PutOneTimeToken implements store.Store.
func (s *Store) PutOneTimeToken(ctx context.Context, t omni.Tenant, o omni.OneTimeToken) error {
	err := omni.ErrNotFound
	if o.OrganisationID == t.OrganisationID {
		err = writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
			return oneRow(c.exec(ctx, sqlTokenPut, o.Hash, o.OrganisationID, o.UserID, o.Purpose, int64(o.ExpiresAt)))
		})
	}
	if err != nil {
		return fmt.Errorf("put one-time token: %w", err)
	}
	return nil
}

// TakeOneTimeToken implements store.Store.
func (s *Store) TakeOneTimeToken(ctx context.Context, hash string, now omni.Millis) (omni.OneTimeToken, error) {
	o, err := write(ctx, s, func(ctx context.Context, c *conn) (omni.OneTimeToken, error) {
		return queryOne(ctx, c, sqlTokenTake, scanToken, hash, int64(now))
	})
	if err != nil {
		return omni.OneTimeToken{}, fmt.Errorf("take one-time token: %w", err)
	}
	return o, nil
}

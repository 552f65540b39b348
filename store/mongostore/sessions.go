package mongostore

import (
	"context"
	"fmt"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/omni"
)

// maxPrevious is how many used refresh hashes a session keeps.
const maxPrevious = 50

// sessionDoc is a session as it is stored: endedAt is always there, so that a filter can name it, and previousHashes is an
// array, so that it can be pushed to.
func sessionDoc(n omni.Session) bson.D {
	previous := n.PreviousHashes
	if previous == nil {
		previous = []string{}
	}
	return bson.D{
		{Key: "_id", Value: n.ID},
		{Key: fieldOrg, Value: n.OrganisationID},
		{Key: "userId", Value: n.UserID},
		{Key: "refreshHash", Value: n.RefreshHash},
		{Key: "previousHashes", Value: previous},
		{Key: "createdAt", Value: n.CreatedAt},
		{Key: "expiresAt", Value: n.ExpiresAt},
		{Key: "endedAt", Value: n.EndedAt},
		{Key: fieldEnd, Value: dateOf(n.ExpiresAt)},
	}
}

// sessionOf is what sessionDoc stored.
func sessionOf(n omni.Session, err error) (omni.Session, error) {
	if len(n.PreviousHashes) == 0 {
		n.PreviousHashes = nil
	}
	return n, err
}

// notEnded is what a filter for sessions that go on adds.
var notEnded = bson.E{Key: "endedAt", Value: int64(0)}

// CreateSession implements store.Store.
func (s *Store) CreateSession(ctx context.Context, t omni.Tenant, n omni.Session) error {
	err := runOnly(ctx, s, func(ctx context.Context) error {
		if n.OrganisationID != t.OrganisationID {
			return omni.ErrNotFound
		}
		_, err := s.coll(collSessions).InsertOne(ctx, sessionDoc(n))
		if !mongo.IsDuplicateKeyError(err) {
			return err
		}
		have, getErr := one[omni.Session](ctx, s.coll(collSessions), named(t, n.ID))
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
	n, err := run(ctx, s, func(ctx context.Context) (omni.Session, error) {
		return sessionOf(one[omni.Session](ctx, s.coll(collSessions), bson.D{{Key: "_id", Value: id}}))
	})
	if err != nil {
		return n, fmt.Errorf("find session %s: %w", id, err)
	}
	return n, nil
}

// RotateSession implements store.Store.
func (s *Store) RotateSession(ctx context.Context, t omni.Tenant, id, old, next string, expires omni.Millis) (omni.Session, error) {
	n, err := run(ctx, s, func(ctx context.Context) (omni.Session, error) {
		n, err := sessionOf(after[omni.Session](ctx, s.coll(collSessions),
			with(named(t, id), bson.E{Key: "refreshHash", Value: old}, notEnded),
			bson.D{
				{Key: "$set", Value: bson.D{{Key: "refreshHash", Value: next}, {Key: "expiresAt", Value: expires}, {Key: fieldEnd, Value: dateOf(expires)}}},
				{Key: "$push", Value: bson.D{{Key: "previousHashes", Value: bson.D{
					{Key: "$each", Value: bson.A{old}}, {Key: "$slice", Value: int32(-maxPrevious)},
				}}}},
			}))
		if !isNone(err) {
			return n, err
		}
		have, err := one[omni.Session](ctx, s.coll(collSessions), named(t, id))
		switch {
		case err != nil:
			return n, err
		case have.EndedAt != 0:
			return n, omni.ErrNotFound
		default:
			return n, fmt.Errorf("the refresh token was used before: %w", omni.ErrConflict)
		}
	})
	if err != nil {
		return n, fmt.Errorf("rotate session %s: %w", id, err)
	}
	return n, nil
}

// EndSession implements store.Store.
func (s *Store) EndSession(ctx context.Context, t omni.Tenant, id string, at omni.Millis) error {
	err := runOnly(ctx, s, func(ctx context.Context) error {
		res, err := s.coll(collSessions).UpdateOne(ctx, with(named(t, id), notEnded), set(bson.E{Key: "endedAt", Value: at}))
		if err != nil || res.MatchedCount > 0 {
			return err
		}
		_, err = one[bson.Raw](ctx, s.coll(collSessions), named(t, id))
		return err
	})
	if err != nil {
		return fmt.Errorf("end session %s: %w", id, err)
	}
	return nil
}

// EndSessions implements store.Store. A call that fails half-way may have ended some: the next one gives the others.
func (s *Store) EndSessions(ctx context.Context, t omni.Tenant, userID string, at omni.Millis) ([]string, error) {
	ids, err := run(ctx, s, func(ctx context.Context) ([]string, error) {
		going, err := all[struct {
			ID string `bson:"_id"`
		}](ctx, s.coll(collSessions), of(t, bson.E{Key: "userId", Value: userID}, notEnded),
			options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}))
		if err != nil || len(going) == 0 {
			return nil, err
		}
		ids := make([]string, 0, len(going))
		for _, n := range going {
			ids = append(ids, n.ID)
		}
		_, err = s.coll(collSessions).UpdateMany(ctx,
			of(t, bson.E{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}, notEnded), set(bson.E{Key: "endedAt", Value: at}))
		return ids, err
	})
	if err != nil {
		return nil, fmt.Errorf("end sessions of %s: %w", userID, err)
	}
	return ids, nil
}

// tokenDoc is a one-time token as it is stored.
func tokenDoc(o omni.OneTimeToken) (bson.D, error) {
	return document(o, bson.D{{Key: fieldEnd, Value: dateOf(o.ExpiresAt)}})
}

// PutOneTimeToken implements store.Store.
func (s *Store) PutOneTimeToken(ctx context.Context, t omni.Tenant, o omni.OneTimeToken) error {
	err := runOnly(ctx, s, func(ctx context.Context) error {
		if o.OrganisationID != t.OrganisationID {
			return omni.ErrNotFound
		}
		doc, err := tokenDoc(o)
		if err != nil {
			return err
		}
		if _, err = s.coll(collTokens).InsertOne(ctx, doc); !mongo.IsDuplicateKeyError(err) {
			return err
		}
		res, err := s.coll(collTokens).ReplaceOne(ctx, named(t, o.Hash), doc)
		if err == nil && res.MatchedCount == 0 {
			err = omni.ErrNotFound // another organisation's
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("put one-time token: %w", err)
	}
	return nil
}

// TakeOneTimeToken implements store.Store.
func (s *Store) TakeOneTimeToken(ctx context.Context, hash string, now omni.Millis) (omni.OneTimeToken, error) {
	o, err := run(ctx, s, func(ctx context.Context) (o omni.OneTimeToken, err error) {
		return o, s.coll(collTokens).FindOneAndDelete(ctx, bson.D{
			{Key: "_id", Value: hash}, {Key: "expiresAt", Value: bson.D{{Key: "$gt", Value: now}}},
		}).Decode(&o)
	})
	if err != nil {
		return o, fmt.Errorf("take one-time token: %w", err)
	}
	return o, nil
}

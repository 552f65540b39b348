package sqlitestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"omniservice/omni"
	"omniservice/store"
)

// SetReaction implements store.Store.
func (s *Store) SetReaction(ctx context.Context, t omni.Tenant, r omni.Reaction) (bool, error) {
	if r.Tenant.OrganisationID != t.OrganisationID {
		return false, fmt.Errorf("set reaction to %s: %w", r.MessageID, omni.ErrNotFound)
	}
	doc, err := json.Marshal(r)
	if err != nil {
		return false, fmt.Errorf("set reaction to %s: %w", r.MessageID, err)
	}
	changed, err := write(ctx, s, func(ctx context.Context, c *conn) (bool, error) {
		if _, err := queryOne(ctx, c, sqlMessageExists, scanInt, r.MessageID, t.OrganisationID); err != nil {
			return false, err
		}
		have, err := queryOne(ctx, c, sqlReaction, scanDoc[omni.Reaction], t.OrganisationID, r.MessageID, string(r.SenderType), r.SenderID)
		if err != nil && !errors.Is(err, omni.ErrNotFound) {
			return false, err
		}
		if have.At > r.At {
			return false, nil
		}
		_, err = c.exec(ctx, sqlReactionPut, t.OrganisationID, r.MessageID, string(r.SenderType), r.SenderID, r.Emoji, int64(r.At), doc)
		if err != nil || have.Emoji == r.Emoji {
			return false, err
		}
		_, err = c.exec(ctx, sqlReactionTold, r.MessageID, t.OrganisationID)
		return true, err
	})
	if err != nil {
		return false, fmt.Errorf("set reaction to %s: %w", r.MessageID, err)
	}
	return changed, nil
}

// Reactions implements store.Store.
func (s *Store) Reactions(ctx context.Context, t omni.Tenant, messageIDs ...string) ([]omni.Reaction, error) {
	if len(messageIDs) > store.MaxPage {
		return nil, omni.Problemf(omni.ErrInvalid, "reactions can be asked for of at most %d messages at once", store.MaxPage)
	}
	ids, err := json.Marshal(messageIDs)
	if err != nil {
		return nil, fmt.Errorf("list reactions: %w", err)
	}
	all, err := read(ctx, s, func(ctx context.Context, c *conn) ([]omni.Reaction, error) {
		return queryAll(ctx, c, sqlReactions, scanDoc[omni.Reaction], t.OrganisationID, string(ids))
	})
	if err != nil {
		return nil, fmt.Errorf("list reactions: %w", err)
	}
	return all, nil
}

package sqlitestore

import (
	"context"
	"encoding/json"
	"fmt"

	"omniservice/omni"
)

// joinedPart is the index of the note that a text has been joined.
const joinedPart = 0

type part struct {
	index    int64
	fragment omni.MessageFragment
}

func scanPart(r scanner) (p part, err error) {
	var doc []byte
	if err := r.Scan(&p.index, &doc); err != nil {
		return p, err
	}
	return p, json.Unmarshal(doc, &p.fragment)
}

// PutFragment implements store.Store.
func (s *Store) PutFragment(ctx context.Context, t omni.Tenant, key string, f omni.MessageFragment, expires omni.Millis) ([]omni.MessageFragment, bool, error) {
	fail := func(err error) ([]omni.MessageFragment, bool, error) {
		return nil, false, fmt.Errorf("put fragment %d: %w", f.Index, err)
	}
	if err := f.Validate(); err != nil {
		return fail(err)
	}
	doc, err := json.Marshal(f)
	if err != nil {
		return fail(err)
	}
	parts, err := write(ctx, s, func(ctx context.Context, c *conn) ([]part, error) {
		// Carriers use references again: what ended before this part came is another text's.
		if _, err := c.exec(ctx, sqlFragmentsExpire, t.OrganisationID, key, int64(f.ReceivedAt)); err != nil {
			return nil, err
		}
		parts, err := queryAll(ctx, c, sqlFragments, scanPart, t.OrganisationID, key)
		if err != nil || len(parts) > 0 && parts[0].index == joinedPart {
			return parts, err
		}
		if _, err := c.exec(ctx, sqlFragmentPut, t.OrganisationID, key, f.Index, int64(expires), doc); err != nil {
			return nil, err
		}
		return queryAll(ctx, c, sqlFragments, scanPart, t.OrganisationID, key)
	})
	if err != nil {
		return fail(err)
	}
	if parts[0].index == joinedPart {
		return nil, true, nil
	}
	fragments := make([]omni.MessageFragment, len(parts))
	for i, p := range parts {
		fragments[i] = p.fragment
	}
	return fragments, false, nil
}

// JoinFragments implements store.Store.
func (s *Store) JoinFragments(ctx context.Context, t omni.Tenant, key string, expires omni.Millis) error {
	err := writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		if _, err := c.exec(ctx, sqlFragmentsDrop, t.OrganisationID, key); err != nil {
			return err
		}
		_, err := c.exec(ctx, sqlFragmentPut, t.OrganisationID, key, joinedPart, int64(expires), []byte("{}"))
		return err
	})
	if err != nil {
		return fmt.Errorf("join fragments: %w", err)
	}
	return nil
}

package sqlitestore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"omniservice/omni"
	"omniservice/store"
)

// scanInteraction reads interactionCols.
func scanInteraction(r scanner) (i omni.Interaction, err error) {
	var unread, schema, date int64
	var labels string
	err = r.Scan(&i.ID, &i.Tenant.OrganisationID, &i.Tenant.UserID, &i.ContactID, &i.IdentityID, &i.DigitalChannelID,
		(*string)(&i.ChannelType), &i.GroupID, &i.FolderID, (*string)(&i.Owner.Type), &i.Owner.ID, (*string)(&i.State),
		&i.ContactName, &i.ContactAddress, &i.LastSequence, (*int64)(&i.LastMessageAt), &i.LastPreview,
		(*string)(&i.LastDirection), (*int64)(&i.LastInboundAt), (*int64)(&i.WaitingSince), &unread, &i.AgentReadSeq,
		&i.ContactReadSeq, &i.Version, (*int64)(&i.CreatedAt), (*int64)(&i.ResolvedAt), &i.ResolvedBy, &schema, &date,
		&labels, &i.ChangedBy, (*int64)(&i.SnoozedUntil), &i.SnoozedAfter)
	if labels != "" {
		i.LabelIDs = strings.Split(labels, " ")
	}
	i.Unread = int(unread)
	i.SchemaVersion = omni.SchemaVersion{Version: int(schema), Date: time.UnixMilli(date).UTC()}
	return i, err
}

// interactionArgs are the values of interactionCols.
func interactionArgs(i omni.Interaction) []any {
	return []any{
		i.ID, i.Tenant.OrganisationID, i.Tenant.UserID, i.ContactID, i.IdentityID, i.DigitalChannelID,
		string(i.ChannelType), i.GroupID, i.FolderID, string(i.Owner.Type), i.Owner.ID, string(i.State),
		i.ContactName, i.ContactAddress, i.LastSequence, int64(i.LastMessageAt), i.LastPreview,
		string(i.LastDirection), int64(i.LastInboundAt), int64(i.WaitingSince), int64(i.Unread), i.AgentReadSeq,
		i.ContactReadSeq, i.Version, int64(i.CreatedAt), int64(i.ResolvedAt), i.ResolvedBy,
		int64(i.SchemaVersion.Version), i.SchemaVersion.Date.UnixMilli(), strings.Join(i.LabelIDs, " "),
		i.ChangedBy, int64(i.SnoozedUntil), i.SnoozedAfter,
	}
}

// OpenInteraction implements store.Store. To find is only to read.
func (s *Store) OpenInteraction(ctx context.Context, t omni.Tenant, want omni.Interaction, reopenSince omni.Millis) (omni.Interaction, store.OpenOutcome, error) {
	fail := func(err error) (omni.Interaction, store.OpenOutcome, error) {
		return omni.Interaction{}, "", fmt.Errorf("open interaction %s: %w", want.ID, err)
	}
	if want.Tenant.OrganisationID != t.OrganisationID {
		return fail(omni.ErrNotFound)
	}
	lookUp := func(ctx context.Context, c *conn) (omni.Interaction, error) {
		return queryOne(ctx, c, sqlInteractionOpen, scanInteraction, t.OrganisationID, want.IdentityID, want.DigitalChannelID)
	}
	outcome := store.OpenFound
	i, err := read(ctx, s, lookUp)
	if errors.Is(err, omni.ErrNotFound) {
		i, err = write(ctx, s, func(ctx context.Context, c *conn) (omni.Interaction, error) {
			outcome = store.OpenFound
			i, err := lookUp(ctx, c)
			if !errors.Is(err, omni.ErrNotFound) {
				return i, err
			}
			id, err := queryOne(ctx, c, sqlInteractionReopenable, scanText, t.OrganisationID, want.IdentityID, want.DigitalChannelID, int64(reopenSince))
			switch {
			case err == nil:
				outcome = store.OpenReopened
				return queryOne(ctx, c, sqlInteractionReopen, scanInteraction, id, t.OrganisationID)
			case !errors.Is(err, omni.ErrNotFound):
				return i, err
			}
			outcome = store.OpenCreated
			_, err = c.exec(ctx, sqlInteractionInsert, interactionArgs(want)...)
			return want, err
		})
	}
	if err != nil {
		return fail(err)
	}
	return i, outcome, nil
}

// Interaction implements store.Store.
func (s *Store) Interaction(ctx context.Context, t omni.Tenant, id string) (omni.Interaction, error) {
	return door(ctx, s, "interaction "+id, sqlInteraction, scanInteraction, id, t.OrganisationID)
}

// ChangeInteraction implements store.Store.
func (s *Store) ChangeInteraction(ctx context.Context, t omni.Tenant, id string, version int64, change store.InteractionChange) (omni.Interaction, error) {
	i, err := write(ctx, s, func(ctx context.Context, c *conn) (omni.Interaction, error) {
		have, err := queryOne(ctx, c, sqlInteraction, scanInteraction, id, t.OrganisationID)
		if err != nil {
			return omni.Interaction{}, err
		}
		if have.Version != version {
			return have, fmt.Errorf("version is %d, not %d: %w", have.Version, version, omni.ErrConflict)
		}
		next := changed(have, change)
		i, err := queryOne(ctx, c, sqlInteractionChange, scanInteraction, id, t.OrganisationID, version,
			string(next.Owner.Type), next.Owner.ID, string(next.State), next.FolderID, int64(next.ResolvedAt), next.ResolvedBy,
			strings.Join(next.LabelIDs, " "), next.GroupID, int64(next.SnoozedUntil), next.SnoozedAfter, t.UserID)
		if errors.Is(err, omni.ErrConflict) {
			return have, fmt.Errorf("another one is open: %w", err)
		}
		return i, err
	})
	if err != nil {
		if !errors.Is(err, omni.ErrConflict) {
			i = omni.Interaction{}
		}
		return i, fmt.Errorf("change interaction %s: %w", id, err)
	}
	return i, nil
}

// changed is i with c applied.
func changed(i omni.Interaction, c store.InteractionChange) omni.Interaction {
	if c.Owner != nil {
		i.Owner = *c.Owner
	}
	if c.State != nil {
		i.State = *c.State
	}
	if c.GroupID != nil {
		i.GroupID = *c.GroupID
	}
	if c.FolderID != nil {
		i.FolderID = *c.FolderID
	}
	if c.LabelIDs != nil {
		i.LabelIDs = *c.LabelIDs
	}
	if c.ResolvedAt != nil {
		i.ResolvedAt = *c.ResolvedAt
	}
	if c.ResolvedBy != nil {
		i.ResolvedBy = *c.ResolvedBy
	}
	if c.SnoozedUntil != nil {
		i.SnoozedUntil = *c.SnoozedUntil
	}
	if c.SnoozedAfter != nil {
		i.SnoozedAfter = *c.SnoozedAfter
	}
	return i
}

// SnoozesDue implements store.Store.
func (s *Store) SnoozesDue(ctx context.Context, now omni.Millis, limit int) ([]omni.Interaction, error) {
	all, err := read(ctx, s, func(ctx context.Context, c *conn) ([]omni.Interaction, error) {
		return queryAll(ctx, c, sqlInteractionSnoozesDue, scanInteraction, int64(now), limit)
	})
	if err != nil {
		return nil, fmt.Errorf("snoozes that are due: %w", err)
	}
	return all, nil
}

// MarkRead implements store.Store.
func (s *Store) MarkRead(ctx context.Context, t omni.Tenant, id string, by omni.SenderType, seq int64) (omni.Interaction, bool, error) {
	mark := sqlInteractionReadByAgent
	switch by {
	case omni.SenderUser:
	case omni.SenderContact:
		mark = sqlInteractionReadByContact
	default:
		return omni.Interaction{}, false, fmt.Errorf("mark interaction %s read by %q: %w", id, by, omni.ErrInvalid)
	}
	moved := false
	i, err := write(ctx, s, func(ctx context.Context, c *conn) (omni.Interaction, error) {
		i, err := queryOne(ctx, c, mark, scanInteraction, id, t.OrganisationID, seq)
		moved = err == nil
		if errors.Is(err, omni.ErrNotFound) {
			return queryOne(ctx, c, sqlInteraction, scanInteraction, id, t.OrganisationID)
		}
		return i, err
	})
	if err != nil {
		return omni.Interaction{}, false, fmt.Errorf("mark interaction %s read: %w", id, err)
	}
	return i, moved, nil
}

// source is one ordered part of a list of interactions: a group, or what an owner or a contact has.
type source struct {
	id      stmt
	args    []any // organisation, what, state
	after   []any // further parameters
	from    key   // where the next keys are asked for
	keys    []key // read and not yet taken
	drained bool
}

// fill makes sure that keys holds something, unless the source has ended.
func (o *source) fill(ctx context.Context, c *conn, n int) error {
	if len(o.keys) > 0 || o.drained {
		return nil
	}
	args := append(append(slices.Clone(o.args), o.from.number, o.from.id, n), o.after...)
	keys, err := queryAll(ctx, c, o.id, func(r scanner) (k key, err error) { return k, r.Scan(&k.number, &k.id) }, args...)
	if err != nil {
		return err
	}
	o.keys = keys
	o.drained = len(keys) < n
	if len(keys) > 0 {
		o.from = keys[len(keys)-1]
	}
	return nil
}

// sources are what f spans. Each is read from an index that gives it in order.
func sources(t omni.Tenant, f store.InteractionFilter, groupIDs []string, from key) ([]*source, error) {
	inGroups, err := json.Marshal(groupIDs)
	if err != nil {
		return nil, err
	}
	one := func(id stmt, what string, after ...any) *source {
		return &source{id: id, args: []any{t.OrganisationID, what, string(f.State)}, after: after, from: from}
	}
	switch {
	case f.Unassigned && f.OwnerID != "":
		return nil, nil
	case f.ContactID != "":
		unassigned := 0
		if f.Unassigned {
			unassigned = 1
		}
		return []*source{one(sqlInteractionKeysOfContact, f.ContactID, string(inGroups), f.OwnerID, unassigned)}, nil
	case f.OwnerID != "":
		return []*source{one(sqlInteractionKeysOwned, f.OwnerID, string(inGroups))}, nil
	}
	id := sqlInteractionKeysOfGroup
	if f.Unassigned {
		id = sqlInteractionKeysUnassigned
	}
	all := make([]*source, 0, len(groupIDs))
	for _, g := range groupIDs {
		all = append(all, one(id, g))
	}
	return all, nil
}

// merge takes the first n keys of all sources, newest first.
func merge(ctx context.Context, c *conn, all []*source, n int) ([]key, error) {
	if len(all) == 0 {
		return nil, nil
	}
	// A source is asked for about its share, and again if it has more.
	share := n
	if len(all) > 1 {
		share = 2*n/len(all) + 4
	}
	var out []key
	for len(out) < n {
		var best *source
		for _, o := range all {
			if err := o.fill(ctx, c, share); err != nil {
				return nil, err
			}
			if len(o.keys) > 0 && (best == nil || newer(o.keys[0], best.keys[0])) {
				best = o
			}
		}
		if best == nil {
			break
		}
		out = append(out, best.keys[0])
		best.keys = best.keys[1:]
	}
	return out, nil
}

func newer(a, b key) bool {
	return cmp.Or(cmp.Compare(a.number, b.number), strings.Compare(a.id, b.id)) > 0
}

// ListInteractions implements store.Store.
func (s *Store) ListInteractions(ctx context.Context, t omni.Tenant, f store.InteractionFilter, p store.Page) (store.List[omni.Interaction], error) {
	fail := func(err error) (store.List[omni.Interaction], error) {
		return store.List[omni.Interaction]{}, fmt.Errorf("list interactions: %w", err)
	}
	if f.State == "" {
		f.State = omni.InteractionOpen
	}
	groupIDs := slices.Compact(slices.Sorted(slices.Values(f.GroupIDs)))
	list := fmt.Sprintf("interactions %s %s %s %t %s %q", t.OrganisationID, f.State, f.OwnerID, f.Unassigned, f.ContactID, groupIDs)
	from, limit, err := start(list, p, firstNewest)
	if err != nil {
		return fail(err)
	}
	if len(groupIDs) == 0 {
		return store.List[omni.Interaction]{}, nil
	}
	all, err := sources(t, f, groupIDs, from)
	if err != nil {
		return fail(err)
	}
	items, err := read(ctx, s, func(ctx context.Context, c *conn) (items []omni.Interaction, err error) {
		// One snapshot for keys and records.
		if _, err := c.exec(ctx, sqlBeginRead); err != nil {
			return nil, err
		}
		defer func() { _, _ = c.exec(ctx, sqlRollback) }()
		keys, err := merge(ctx, c, all, limit+1)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			i, err := queryOne(ctx, c, sqlInteraction, scanInteraction, k.id, t.OrganisationID)
			if err != nil {
				return nil, err
			}
			items = append(items, i)
		}
		return items, nil
	})
	if err != nil {
		return fail(err)
	}
	return pageOf(list, items, limit, func(i omni.Interaction) key { return key{number: int64(i.LastMessageAt), id: i.ID} }), nil
}

// CountInteractions implements store.Store.
func (s *Store) CountInteractions(ctx context.Context, t omni.Tenant, groupIDs []string) (store.Counts, error) {
	inGroups, err := json.Marshal(groupIDs)
	if err != nil {
		return store.Counts{}, fmt.Errorf("count interactions: %w", err)
	}
	n, err := read(ctx, s, func(ctx context.Context, c *conn) (n store.Counts, err error) {
		count := func(id stmt, args ...any) int {
			if err != nil {
				return 0
			}
			var k int64
			k, err = queryOne(ctx, c, id, scanInt, args...)
			return int(k)
		}
		if t.UserID != "" {
			n.Mine = count(sqlCountOwned, t.OrganisationID, t.UserID, string(inGroups))
		}
		n.Unassigned = count(sqlCountUnassigned, t.OrganisationID, string(inGroups))
		n.All = count(sqlCountAll, t.OrganisationID, string(inGroups))
		return n, err
	})
	if err != nil {
		return store.Counts{}, fmt.Errorf("count interactions: %w", err)
	}
	return n, nil
}

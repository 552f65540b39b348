package sqlitestore

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"omniservice/omni"
	"omniservice/store"
)

// queued is a record of inbox or outbox with its place.
type queued[T any] struct {
	seq  int64
	item T
}

// inboxDoc encodes a record without what has a column. For the body JSON would make it a third longer.
func inboxDoc(r store.InboxRecord) (doc, body []byte, err error) {
	body = r.Raw.Body
	r.Raw.Body = nil
	r.Attempts, r.NotBefore, r.LastError = 0, 0, ""
	doc, err = json.Marshal(r)
	return doc, body, err
}

func scanInbox(r scanner) (q queued[store.InboxRecord], err error) {
	var (
		id, lastError       string
		attempts, notBefore int64
		doc, body           []byte
	)
	if err := r.Scan(&q.seq, &id, &attempts, &notBefore, &lastError, &doc, &body); err != nil {
		return q, err
	}
	if err := json.Unmarshal(doc, &q.item); err != nil {
		return q, err
	}
	q.item.Raw.Body = body
	q.item.Attempts, q.item.NotBefore, q.item.LastError = int(attempts), omni.Millis(notBefore), lastError
	return q, nil
}

// mask has the bit of each partition.
func mask(partitions []int) int64 {
	var m uint64
	for _, p := range partitions {
		if p >= 0 && p < store.Partitions {
			m |= 1 << p
		}
	}
	return int64(m)
}

// oldest reads up to limit items of a queue by two statements, one for what never failed and one for what is due again:
// each is in order, and so the first ones of both are the first ones of all.
func oldest[T any](ctx context.Context, s *Store, fresh, retried stmt, scan func(scanner) (queued[T], error),
	partitions []int, now omni.Millis, limit int, compare func(a, b queued[T]) int,
) ([]T, error) {
	m := mask(partitions)
	if m == 0 || limit <= 0 {
		return nil, nil
	}
	all, err := read(ctx, s, func(ctx context.Context, c *conn) ([]queued[T], error) {
		all, err := queryAll(ctx, c, fresh, scan, m, limit)
		if err != nil {
			return nil, err
		}
		more, err := queryAll(ctx, c, retried, scan, m, limit, int64(now))
		return append(all, more...), err
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, compare)
	// Between the two statements an item may have gone from one to the other.
	all = slices.CompactFunc(all, func(a, b queued[T]) bool { return compare(a, b) == 0 })
	items := make([]T, 0, min(limit, len(all)))
	for _, q := range all[:min(limit, len(all))] {
		items = append(items, q.item)
	}
	return items, nil
}

func bySeq[T any](a, b queued[T]) int { return cmp.Compare(a.seq, b.seq) }

// PutInbox implements store.Store.
func (s *Store) PutInbox(ctx context.Context, rs ...store.InboxRecord) error {
	rows := make([][]any, 0, len(rs))
	for _, r := range rs {
		doc, body, err := inboxDoc(r)
		if err != nil {
			return fmt.Errorf("put inbox record %s: %w", r.ID, err)
		}
		rows = append(rows, inboxArgs(r, doc, body))
	}
	err := writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		for _, args := range rows {
			if _, err := c.exec(ctx, sqlInboxPut, args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("put inbox: %w", err)
	}
	return nil
}

func inboxArgs(r store.InboxRecord, doc, body []byte) []any {
	return []any{r.ID, r.Tenant.OrganisationID, r.Partition, r.Attempts, int64(r.NotBefore), r.LastError, doc, body}
}

// PendingInbox implements store.Store.
func (s *Store) PendingInbox(ctx context.Context, partitions []int, now omni.Millis, limit int) ([]store.InboxRecord, error) {
	rs, err := oldest(ctx, s, sqlInboxNew, sqlInboxRetried, scanInbox, partitions, now, limit, bySeq)
	if err != nil {
		return nil, fmt.Errorf("pending inbox: %w", err)
	}
	return rs, nil
}

// DoneInbox implements store.Store.
func (s *Store) DoneInbox(ctx context.Context, ids ...string) error {
	err := writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		for _, id := range ids {
			if _, err := c.exec(ctx, sqlInboxDone, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("done inbox: %w", err)
	}
	return nil
}

// RetryInbox implements store.Store.
func (s *Store) RetryInbox(ctx context.Context, id string, attempts int, notBefore omni.Millis, lastError string) error {
	err := writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		return oneRow(c.exec(ctx, sqlInboxRetry, id, attempts, int64(notBefore), lastError))
	})
	if err != nil {
		return fmt.Errorf("retry inbox record %s: %w", id, err)
	}
	return nil
}

func scanAside(r scanner) (a store.SetAside, err error) {
	var doc, body []byte
	if err := r.Scan(&doc, &body); err != nil {
		return a, err
	}
	err = json.Unmarshal(doc, &a)
	a.Record.Raw.Body = body
	return a, err
}

func asideArgs(a store.SetAside) ([]any, error) {
	body := a.Record.Raw.Body
	a.Record.Raw.Body = nil
	doc, err := json.Marshal(a)
	return []any{a.Record.ID, a.Record.Tenant.OrganisationID, int64(a.At), int64(a.ExpiresAt), doc, body}, err
}

// PutAside implements store.Store.
func (s *Store) PutAside(ctx context.Context, a store.SetAside) error {
	r := a.Record
	args, err := asideArgs(a)
	if err != nil {
		return fmt.Errorf("set aside %s: %w", r.ID, err)
	}
	err = writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		if err := oneRow(c.exec(ctx, sqlAsidePut, args...)); err != nil {
			return err
		}
		_, err := c.exec(ctx, sqlInboxDone, r.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("set aside %s: %w", r.ID, err)
	}
	return nil
}

// ListAside implements store.Store.
func (s *Store) ListAside(ctx context.Context, t omni.Tenant, p store.Page) (store.List[store.SetAside], error) {
	return page(ctx, s, "set-aside webhooks "+t.OrganisationID, sqlAsideList, scanAside, p, firstNewest,
		func(a store.SetAside) key { return key{number: int64(a.At), id: a.Record.ID} }, t.OrganisationID)
}

// ReplayAside implements store.Store.
func (s *Store) ReplayAside(ctx context.Context, t omni.Tenant, recordID string) (store.InboxRecord, error) {
	r, err := write(ctx, s, func(ctx context.Context, c *conn) (store.InboxRecord, error) {
		a, err := queryOne(ctx, c, sqlAsideTake, scanAside, recordID, t.OrganisationID)
		if err != nil {
			return store.InboxRecord{}, err
		}
		r := a.Record
		r.Attempts, r.NotBefore, r.LastError = 0, 0, ""
		doc, body, err := inboxDoc(r)
		if err != nil {
			return r, err
		}
		_, err = c.exec(ctx, sqlInboxPut, inboxArgs(r, doc, body)...)
		return r, err
	})
	if err != nil {
		return store.InboxRecord{}, fmt.Errorf("replay %s: %w", recordID, err)
	}
	return r, nil
}

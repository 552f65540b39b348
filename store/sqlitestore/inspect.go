package sqlitestore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"omniservice/omni"
	"omniservice/store"
)

// Inspect implements store.Store.
func (s *Store) Inspect(ctx context.Context, now omni.Millis) (store.Inspection, error) {
	declared, err := declaredSchema(ctx)
	if err != nil {
		return store.Inspection{}, fmt.Errorf("inspect: %w", err)
	}
	r, err := read(ctx, s, func(ctx context.Context, c *conn) (store.Inspection, error) {
		r := store.Inspection{Place: s.path}
		all, err := migrations()
		if err != nil {
			return r, err
		}
		r.Newest = len(all)
		if r.Schema, err = schemaVersion(ctx, c, all); err != nil {
			return r, err
		}
		if err := s.figures(ctx, c, &r); err != nil {
			return r, err
		}
		if r.Schema < r.Newest {
			return r, nil // what follows may not be there yet
		}
		have, err := schemaOf(ctx, c)
		if err != nil {
			return r, err
		}
		r.Differences = differences(declared, have)
		for _, q := range []struct {
			name                  string
			depth, failed, oldest stmt
		}{
			{"inbox", sqlInspectInbox, sqlInspectInboxFailed, sqlInspectInboxOldest},
			{"outbox", sqlInspectOutbox, sqlInspectOutboxFailed, sqlInspectOutboxOldest},
			{"media", sqlInspectMedia, sqlInspectMediaFailed, sqlInspectMediaOldest},
			{"deliveries", sqlInspectDeliveries, sqlInspectDeliveriesFailed, sqlInspectDeliveriesOldest},
			{"set_aside", sqlInspectAside, stmtCount, sqlInspectAsideOldest},
		} {
			d := store.QueueDepth{Name: q.name}
			if d.Depth, err = count(ctx, c, q.depth, store.MostCounted); err != nil {
				return r, err
			}
			if q.failed != stmtCount {
				if d.Failed, err = count(ctx, c, q.failed, store.MostCounted); err != nil {
					return r, err
				}
			}
			oldest, err := queryOne(ctx, c, q.oldest, scanInt)
			if err != nil && !errors.Is(err, omni.ErrNotFound) {
				return r, err
			}
			d.Oldest = omni.Millis(oldest)
			r.Queues = append(r.Queues, d)
		}
		lag, err := queryOne(ctx, c, sqlSearchLag, scanInt)
		if err != nil {
			return r, err
		}
		r.Queues = append(r.Queues, store.QueueDepth{Name: "search", Depth: int(min(max(lag, 0), store.MostCounted))})
		if r.Expired, err = count(ctx, c, sqlInspectExpired, int64(now), store.MostCounted); err != nil {
			return r, err
		}
		r.Leases, err = queryAll(ctx, c, sqlInspectLeases, func(r scanner) (l omni.MessageQueueLock, err error) {
			return l, r.Scan(&l.Key, &l.Owner, &l.Token, (*int64)(&l.ExpiresAt))
		})
		return r, err
	})
	if err != nil {
		return r, fmt.Errorf("inspect: %w", err)
	}
	return r, nil
}

func count(ctx context.Context, c *conn, id stmt, args ...any) (int, error) {
	n, err := queryOne(ctx, c, id, scanInt, args...)
	return int(n), err
}

// figures are what SQLite and the file system know.
func (s *Store) figures(ctx context.Context, c *conn, r *store.Inspection) error {
	for _, f := range []struct {
		query string
		to    *string
	}{{"SELECT 'SQLite ' || sqlite_version()", &r.Engine}, {"PRAGMA journal_mode", &r.Journal}} {
		rows, err := c.ask(ctx, f.query)
		if err != nil {
			return err
		}
		*f.to = rows[0][0]
	}
	if s.path == Memory {
		return nil
	}
	for suffix, to := range map[string]*int64{"": &r.Bytes, "-wal": &r.LogBytes} {
		info, err := os.Stat(s.path + suffix)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err == nil {
			*to = info.Size()
		}
	}
	return nil
}

// schemaOf gives the statements that made the tables, indexes and triggers of a database, by their kind and name.
func schemaOf(ctx context.Context, c *conn) (map[string]string, error) {
	rows, err := c.ask(ctx, "SELECT type || ' ' || name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
	if err != nil {
		return nil, err
	}
	all := make(map[string]string, len(rows))
	for _, r := range rows {
		all[r[0]] = r[1]
	}
	return all, nil
}

// declaredSchema is what the migrations make.
func declaredSchema(ctx context.Context) (map[string]string, error) {
	var s Store
	defer func() { _ = s.closeConns() }()
	c, err := s.connect(ctx, Memory, nil)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, c); err != nil {
		return nil, err
	}
	return schemaOf(ctx, c)
}

// differences are words for what have lacks of declared, has besides, or has in another form.
func differences(declared, have map[string]string) []string {
	words := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	var all []string
	for name, text := range declared {
		got, ok := have[name]
		switch {
		case !ok:
			all = append(all, name+" is missing")
		case words(got) != words(text):
			all = append(all, name+" is not as declared")
		}
	}
	for name := range have {
		if _, ok := declared[name]; !ok {
			all = append(all, name+" is not declared")
		}
	}
	slices.Sort(all)
	return all
}

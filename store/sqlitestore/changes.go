package sqlitestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"omniservice/omni"
	"omniservice/store"
)

// changesAtOnce is how many changes of each kind one call looks at, those that the caller may not see among them.
const changesAtOnce = 1000

// changesSince is the migration from which on there are numbers.
const changesSince = 5

// change is an interaction or a message that changed; neither where the caller may not see it.
type change struct {
	n           int64
	visible     bool
	interaction *omni.Interaction
	message     *omni.ServiceMessage
}

// behind reads columns of its own before those that another scan function asks for.
type behind struct {
	scanner
	first []any
}

func (b behind) Scan(dest ...any) error { return b.scanner.Scan(append(b.first, dest...)...) }

func scanChangedInteraction(r scanner) (c change, err error) {
	i, err := scanInteraction(behind{r, []any{&c.n, &c.visible}})
	c.interaction = &i
	return c, err
}

func scanChangedMessage(r scanner) (c change, err error) {
	m, err := scanMessage(behind{r, []any{&c.n, &c.visible}})
	c.message = &m
	return c, err
}

// changeState is how far numbers have come, and in which history.
type changeState struct {
	n       int64
	history string
}

func scanChangeState(r scanner) (s changeState, err error) { return s, r.Scan(&s.n, &s.history) }

// ChangedSince implements store.Store. All of it is read in one snapshot: the writer gives numbers in the order of its
// commits, so every number up to the snapshot's own is in it.
func (s *Store) ChangedSince(ctx context.Context, t omni.Tenant, q store.ChangeQuery) (store.Changed, error) {
	list := "changes " + t.OrganisationID
	at, limit, err := start(list, store.Page{Cursor: q.Since, Limit: q.Limit}, key{})
	if err != nil {
		return store.Changed{}, fmt.Errorf("list changes: %w", err)
	}
	inGroups, err := json.Marshal(q.GroupIDs)
	if err != nil {
		return store.Changed{}, fmt.Errorf("list changes: %w", err)
	}
	out, err := read(ctx, s, func(ctx context.Context, c *conn) (out store.Changed, err error) {
		if _, err := c.exec(ctx, sqlBeginRead); err != nil {
			return out, err
		}
		defer func() { _, _ = c.exec(ctx, sqlRollback) }()
		now, err := queryOne(ctx, c, sqlChangeState, scanChangeState)
		if err != nil {
			return out, err
		}
		sight := now.history + " " + q.Sight()
		next := func(n int64) string { return cursorText(list, key{number: n, text: sight}) }
		from, ok := at.number, q.Since != "" && at.text == sight && at.number <= now.n // else it is of a history that went another way
		if q.Since == "" && q.SinceAt > 0 {
			from, err = queryOne(ctx, c, sqlChangeMark, scanInt, max(0, int64(q.SinceAt)/60_000-1))
			if ok = err == nil; err != nil && !errors.Is(err, omni.ErrNotFound) {
				return out, err
			}
		}
		if !ok {
			return store.Changed{Next: next(now.n), Reset: true}, nil
		}
		if len(q.GroupIDs) == 0 {
			return store.Changed{Next: next(now.n)}, nil
		}
		talks, err := queryAll(ctx, c, sqlChangedInteractions, scanChangedInteraction, t.OrganisationID, from, changesAtOnce, string(inGroups))
		if err != nil {
			return out, err
		}
		messages, err := queryAll(ctx, c, sqlChangedMessages, scanChangedMessage, t.OrganisationID, from, changesAtOnce, string(inGroups))
		if err != nil {
			return out, err
		}
		out, n := pick(talks, messages, now.n, limit)
		out.Next = next(n)
		return out, nil
	})
	if err != nil {
		return store.Changed{}, fmt.Errorf("list changes: %w", err)
	}
	return out, nil
}

// pick takes the first limit changes that are visible, in order, and tells up to which number all were looked at: that is
// last where there are no more.
func pick(talks, messages []change, last int64, limit int) (out store.Changed, n int64) {
	until := last
	for _, all := range [][]change{talks, messages} {
		if len(all) == changesAtOnce { // there may be more behind the last one
			until = min(until, all[len(all)-1].n)
		}
	}
	for len(talks)+len(messages) > 0 {
		from := &talks
		if len(talks) == 0 || len(messages) > 0 && messages[0].n < talks[0].n {
			from = &messages
		}
		c := (*from)[0]
		if c.n > until {
			break
		}
		if c.visible {
			if len(out.Interactions)+len(out.Messages) == limit {
				out.More = true
				return out, n
			}
			if c.interaction != nil {
				out.Interactions = append(out.Interactions, *c.interaction)
			} else {
				out.Messages = append(out.Messages, *c.message)
			}
		}
		n, *from = c.n, (*from)[1:]
	}
	out.More = until < last
	return out, until
}

// SettleChanges implements store.Store: triggers have numbered all there is.
func (*Store) SettleChanges(context.Context) (int, error) { return 0, nil }

// columnsOf puts a table's name before each column.
func columnsOf(table, columns string) string {
	all := strings.Split(columns, ",")
	for i, c := range all {
		all[i] = table + "." + strings.TrimSpace(c)
	}
	return strings.Join(all, ", ")
}

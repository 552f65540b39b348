package sqlitestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"omniservice/omni"
	"omniservice/store/search"
)

// The index follows the records: what has to be indexed is noted in the transaction that stores it (for new messages by
// their seq alone), and done by one goroutine, in batches through the writer, so that a batch's entries and the note that
// they were made are one transaction. Another process at the same file may do it too: who comes second sees that it has
// been done.
const (
	indexDelay   = 150 * time.Millisecond // after a write, so that what comes together is indexed together
	indexAtOnce  = 256                    // records in a batch
	indexLag     = 4096                   // messages that may wait before they are more urgent than others' turns
	indexAgainIn = 2 * time.Second        // after a failure
)

// errIndexed has the kind of an answer, so that it leaves the transaction whole.
var errIndexed = fmt.Errorf("somebody else has indexed this: %w", omni.ErrConflict)

// indexLoop indexes what has been written until the store closes.
func (s *Store) indexLoop(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.closing:
			return
		case <-timer.C:
		}
		begun := time.Now()
		left, err := s.indexSome(ctx)
		wait := indexDelay
		switch {
		case err != nil:
			wait = indexAgainIn
		case left:
			// There is more than a batch. It gets half of the writer's time at most, so that nobody waits long for a lock,
			// unless writers are so quick that it would never be done: then they wait for their turn beside it.
			wait = min(time.Since(begun), indexDelay)
			if s.lag(ctx) > indexLag {
				wait = 0
			}
		default:
			select {
			case <-s.closing:
				return
			case <-s.written:
			}
		}
		timer.Reset(wait)
	}
}

// indexSome indexes a batch of each kind. left tells that there may be more.
func (s *Store) indexSome(ctx context.Context) (left bool, err error) {
	for _, some := range []func(context.Context) (int, error){s.indexNew, s.indexContacts, s.indexAgain} {
		n, err := some(ctx)
		if err != nil && !errors.Is(err, errIndexed) {
			return false, err
		}
		left = left || n == indexAtOnce || err != nil
	}
	if left {
		return true, nil
	}
	n, err := s.indexOld(ctx)
	if errors.Is(err, errIndexed) {
		return true, nil
	}
	return n > 0, err
}

// entry is a record to be indexed.
type entry struct {
	rowid int64
	terms string // "" removes the record from the index
	at    int64  // of a message: when it was created
	times int64  // how often it has changed
}

// scanEntry reads entryCols.
func scanEntry(r scanner) (e entry, err error) {
	var m omni.ServiceMessage
	var org, group, contact string
	if err := scanMessageAnd(r, &m, &e.rowid, &org, &group, &contact); err != nil {
		if e.rowid == 0 {
			return e, err
		}
		// A record that cannot be read is not found, and does not keep others from being.
		e.terms = termsText(org, []string{""})
		return e, nil
	}
	e.at = int64(m.CreatedAt)
	if e.at == 0 {
		e.at = int64(m.ReceivedAt)
	}
	e.terms = termsText(org, search.Terms(search.MessageTexts(m)...), []string{
		idTerm(termGroup, group), idTerm(termContact, contact), idTerm(termChannel, m.Channel.DigitalChannelID), directionTerm(m.Direction),
	})
	return e, nil
}

// progress is how far messages have been indexed.
type progress struct{ above, below int64 }

func (s *Store) progress(ctx context.Context) (progress, error) {
	return read(ctx, s, func(ctx context.Context, c *conn) (progress, error) {
		return queryOne(ctx, c, sqlSearchProgress, func(r scanner) (p progress, err error) { return p, r.Scan(&p.above, &p.below) })
	})
}

// lag is how many messages that came since there is an index wait for it.
func (s *Store) lag(ctx context.Context) int64 {
	n, err := read(ctx, s, func(ctx context.Context, c *conn) (int64, error) { return queryOne(ctx, c, sqlSearchLag, scanInt) })
	if err != nil {
		return 0 // the next batch will tell
	}
	return n
}

// entries reads messages to be indexed.
func (s *Store) entries(ctx context.Context, id stmt, args ...any) ([]entry, error) {
	return read(ctx, s, func(ctx context.Context, c *conn) ([]entry, error) { return queryAll(ctx, c, id, scanEntry, args...) })
}

// indexNew indexes the next messages.
func (s *Store) indexNew(ctx context.Context) (int, error) {
	p, err := s.progress(ctx)
	if err != nil {
		return 0, err
	}
	all, err := s.entries(ctx, sqlSearchNew, p.above, indexAtOnce)
	if err != nil || len(all) == 0 {
		return 0, err
	}
	return len(all), s.putEntries(ctx, all, func(ctx context.Context, c *conn) (int64, error) {
		return c.exec(ctx, sqlSearchAbove, p.above, all[len(all)-1].rowid)
	})
}

// indexOld indexes messages that were there before the index, newest first.
func (s *Store) indexOld(ctx context.Context) (int, error) {
	p, err := s.progress(ctx)
	if err != nil || p.below == 0 {
		return 0, err
	}
	all, err := s.entries(ctx, sqlSearchOld, p.below, indexAtOnce)
	if err != nil {
		return 0, err
	}
	below := int64(0)
	if len(all) == indexAtOnce {
		below = all[len(all)-1].rowid - 1
	}
	slices.Reverse(all) // as the index likes them
	return indexAtOnce, s.putEntries(ctx, all, func(ctx context.Context, c *conn) (int64, error) {
		return c.exec(ctx, sqlSearchBelow, p.below, below)
	})
}

// putEntries puts messages into the index, if claim changes something: that it does is the right to do so.
func (s *Store) putEntries(ctx context.Context, all []entry, claim func(context.Context, *conn) (int64, error)) error {
	return writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		n, err := claim(ctx, c)
		if err == nil && n == 0 {
			err = errIndexed
		}
		if err != nil {
			return err
		}
		for _, e := range all {
			if _, err := c.exec(ctx, sqlSearchMessagePut, e.rowid, e.terms); err != nil {
				return err
			}
		}
		return putTimes(ctx, c, all)
	})
}

// putTimes notes when messages were created.
func putTimes(ctx context.Context, c *conn, all []entry) error {
	type span struct{ low, high int64 }
	blocks := map[int64]span{}
	for _, e := range all {
		b := e.rowid >> timesShift
		t, ok := blocks[b]
		if !ok {
			t = span{e.at, e.at}
		}
		blocks[b] = span{min(t.low, e.at), max(t.high, e.at)}
	}
	for b, t := range blocks {
		if _, err := c.exec(ctx, sqlSearchTimesPut, b, t.low, t.high); err != nil {
			return err
		}
	}
	return nil
}

// noted is a record that has changed, and how often.
type noted struct {
	rowid, times int64
	id           string // of a contact
}

// indexAgain indexes messages that have changed, and removes those that are gone.
func (s *Store) indexAgain(ctx context.Context) (int, error) {
	var gone, there []entry
	_, err := read(ctx, s, func(ctx context.Context, c *conn) (int, error) {
		all, err := queryAll(ctx, c, sqlSearchAgain, func(r scanner) (n noted, err error) { return n, r.Scan(&n.rowid, &n.times) }, indexAtOnce)
		if err != nil {
			return 0, err
		}
		for _, n := range all {
			e, err := queryOne(ctx, c, sqlSearchMessage, scanEntry, n.rowid)
			switch {
			case errors.Is(err, omni.ErrNotFound):
				gone = append(gone, entry{rowid: n.rowid, times: n.times})
				continue
			case err != nil:
				return 0, err
			}
			e.times = n.times
			there = append(there, e)
		}
		return 0, nil
	})
	if err != nil || len(there)+len(gone) == 0 {
		return 0, err
	}
	err = writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		for _, e := range append(slices.Clone(gone), there...) {
			// One that has changed again meanwhile is left for the next time.
			n, err := c.exec(ctx, sqlSearchAgainDone, e.rowid, e.times)
			if err == nil && n > 0 {
				if e.terms == "" {
					_, err = c.exec(ctx, sqlSearchMessageDrop, e.rowid)
				} else {
					_, err = c.exec(ctx, sqlSearchMessagePut, e.rowid, e.terms)
				}
			}
			if err != nil {
				return err
			}
		}
		return putTimes(ctx, c, there)
	})
	return len(there) + len(gone), err
}

// indexContacts indexes contacts that are new or have changed, and removes those that are gone.
func (s *Store) indexContacts(ctx context.Context) (int, error) {
	all, err := read(ctx, s, func(ctx context.Context, c *conn) (all []entry, err error) {
		changed, err := queryAll(ctx, c, sqlSearchContactsChanged, func(r scanner) (n noted, err error) {
			return n, r.Scan(&n.rowid, &n.id, &n.times)
		}, indexAtOnce)
		if err != nil {
			return nil, err
		}
		for _, n := range changed {
			e := entry{rowid: n.rowid, times: n.times}
			if e.terms, err = contactTerms(ctx, c, n.id); err != nil {
				return nil, err
			}
			all = append(all, e)
		}
		return all, nil
	})
	if err != nil || len(all) == 0 {
		return 0, err
	}
	slices.SortFunc(all, func(a, b entry) int { return int(a.rowid - b.rowid) })
	err = writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		for _, e := range all {
			done, index, args := sqlSearchContactDone, sqlSearchContactPut, []any{e.rowid, e.terms}
			if e.terms == "" {
				done, index, args = sqlSearchContactGone, sqlSearchContactDrop, []any{e.rowid}
			}
			n, err := c.exec(ctx, done, e.rowid, e.times)
			if err == nil && n > 0 {
				_, err = c.exec(ctx, index, args...)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return len(all), err
}

// contactTerms is what the index is given for a contact: nothing if it is gone.
func contactTerms(ctx context.Context, c *conn, id string) (string, error) {
	type row struct {
		org string
		c   omni.Contact
	}
	x, err := queryOne(ctx, c, sqlSearchContact, func(r scanner) (x row, err error) {
		var doc []byte
		if err := r.Scan(&x.org, &doc); err != nil {
			return x, err
		}
		if json.Unmarshal(doc, &x.c) != nil {
			x.c = omni.Contact{} // as with messages
		}
		return x, nil
	}, id)
	if errors.Is(err, omni.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	identities, err := queryAll(ctx, c, sqlIdentities, scanIdentity, x.org, id)
	if err != nil {
		return "", err
	}
	// Never empty: the mark of the organisation alone shows that there is something.
	return termsText(x.org, search.Terms(search.ContactTexts(x.c, identities)...), []string{""}), nil
}

package sqlitestore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"

	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/search"
)

// The index is asked for terms, each with a mark of its organisation before it. So every organisation has, in effect, an
// index of its own, and a word costs nothing but what the organisation itself has written. What a message belongs to is
// a term too. Marks and ids are shortened to hashes, because what the index gives is looked at again anyway.
const (
	termGroup     = 'g'
	termContact   = 'p'
	termChannel   = 'h'
	termDirection = 'd'
)

// hashText is n characters, five bits each, made of an id.
func hashText(id string, n int) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id))
	sum := h.Sum64()
	text := strconv.FormatUint((sum^sum>>32)&(1<<(5*n)-1), 32)
	return strings.Repeat("0", n-len(text)) + text
}

func markOf(org string) string { return hashText(org, 6) }

func idTerm(kind rune, id string) string { return string(kind) + hashText(id, 8) }

func directionTerm(d omni.Direction) string {
	return string(termDirection) + strings.ToLower(string(d)[:1])
}

// termsText is what the index is given for a record of an organisation.
func termsText(org string, terms ...[]string) string {
	mark := markOf(org)
	var b strings.Builder
	for _, some := range terms {
		for _, t := range some {
			b.WriteString(mark)
			b.WriteString(t)
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// matchText asks the index for records that have all terms, and one of each set. Terms hold nothing that means
// something there, and stand between quotation marks besides.
func matchText(org string, terms []string, sets ...[]string) string {
	mark := markOf(org)
	quoted := func(t string) string { return `"` + strings.ReplaceAll(mark+t, `"`, `""`) + `"` }
	var all []string
	for _, t := range terms {
		all = append(all, quoted(t))
	}
	for _, set := range sets {
		if len(set) == 0 {
			continue
		}
		one := make([]string, 0, len(set))
		for _, t := range set {
			one = append(one, quoted(t))
		}
		all = append(all, "("+strings.Join(one, " OR ")+")")
	}
	return strings.Join(all, " AND ")
}

const (
	lookedAt   = 1000 // records that one call looks at, at most
	timesShift = 10   // of a seq: search_times has a row for each 1,024
)

// found is a message that the index gave.
type found struct {
	seq         int64
	interaction string
	m           omni.ServiceMessage
}

func scanFound(r scanner) (f found, err error) {
	if err := scanMessageAnd(r, &f.m, &f.seq, &f.interaction); err != nil && f.seq == 0 {
		return f, err
	} else if err != nil {
		f.m = omni.ServiceMessage{} // one that cannot be read is nobody's
	}
	return f, nil
}

// SearchMessages implements store.Store.
func (s *Store) SearchMessages(ctx context.Context, t omni.Tenant, f store.MessageSearch, p store.Page) (store.List[store.MessageHit], error) {
	fail := func(err error) (store.List[store.MessageHit], error) {
		return store.List[store.MessageHit]{}, fmt.Errorf("search messages: %w", err)
	}
	q, err := search.Parse(f.Query)
	if err != nil {
		return fail(err)
	}
	groupIDs := slices.Compact(slices.Sorted(slices.Values(f.GroupIDs)))
	list := fmt.Sprintf("search messages %s %q %q %s %s %s %s %d %d", t.OrganisationID, f.Query, groupIDs, f.InteractionID,
		f.ContactID, f.ChannelID, f.Direction, f.From, f.Until)
	from, limit, err := start(list, p, firstNewest)
	if err != nil {
		return fail(err)
	}
	if q.Empty() || len(groupIDs) == 0 {
		return store.List[store.MessageHit]{}, nil
	}
	groups := make(map[string]bool, len(groupIDs))
	var groupTerms []string
	for _, g := range groupIDs {
		groups[g] = true
		groupTerms = append(groupTerms, idTerm(termGroup, g))
	}
	out, err := read(ctx, s, func(ctx context.Context, c *conn) (l store.List[store.MessageHit], err error) {
		// One snapshot for all that is read.
		if _, err := c.exec(ctx, sqlBeginRead); err != nil {
			return l, err
		}
		defer func() { _, _ = c.exec(ctx, sqlRollback) }()
		talks := map[string]omni.Interaction{}
		talk := func(id string) (omni.Interaction, error) {
			i, ok := talks[id]
			if !ok {
				if i, err = queryOne(ctx, c, sqlInteraction, scanInteraction, id, t.OrganisationID); err != nil {
					return i, err
				}
				talks[id] = i
			}
			return i, nil
		}
		facets := make([]string, 0, 3)
		if f.InteractionID != "" {
			i, err := talk(f.InteractionID)
			if errors.Is(err, omni.ErrNotFound) {
				return l, nil
			}
			if err != nil {
				return l, err
			}
			facets = append(facets, idTerm(termContact, i.ContactID))
		}
		if f.ContactID != "" {
			facets = append(facets, idTerm(termContact, f.ContactID))
		}
		if f.ChannelID != "" {
			facets = append(facets, idTerm(termChannel, f.ChannelID))
		}
		if f.Direction != "" {
			facets = append(facets, directionTerm(f.Direction))
		}
		low, high, err := seqsOf(ctx, c, f.From, f.Until)
		if err != nil {
			return l, err
		}
		match := matchText(t.OrganisationID, append(q.Terms(), facets...), groupTerms)
		return look(min(from.number, high), limit, func(below int64, n int) ([]found, error) {
			return queryAll(ctx, c, sqlSearchMessages, scanFound, match, t.OrganisationID, below, low, n)
		}, func(x found) (store.MessageHit, int64, bool, error) {
			i, err := talk(x.interaction)
			if err != nil || !search.Takes(f, groups, x.m, i) {
				return store.MessageHit{}, x.seq, false, err
			}
			snippet, ok := q.Message(x.m)
			return store.MessageHit{Message: x.m, Interaction: i, Snippet: snippet}, x.seq, ok, nil
		}, func(seq int64) string { return cursorText(list, key{number: seq}) })
	})
	if err != nil {
		return fail(err)
	}
	return out, nil
}

// seqsOf gives bounds for the seqs of messages that were created in a time: from low to below high.
func seqsOf(ctx context.Context, c *conn, from, until omni.Millis) (low, high int64, err error) {
	low, high = 0, math.MaxInt64
	if from != 0 {
		block, err := queryOne(ctx, c, sqlSearchTimesFrom, scanInt, int64(from))
		if err != nil {
			return 0, 0, err
		}
		low = block << timesShift
	}
	if until != 0 {
		block, err := queryOne(ctx, c, sqlSearchTimesUntil, scanInt, int64(until))
		if err != nil {
			return 0, 0, err
		}
		high = (block + 1) << timesShift
	}
	return low, high, nil
}

// look takes what matches from what the index gives, in portions, until a page is full or enough has been looked at.
func look[T, H any](below int64, limit int, next func(below int64, n int) ([]T, error),
	match func(T) (hit H, place int64, ok bool, err error), cursor func(place int64) string,
) (l store.List[H], err error) {
	last := below
	for seen := 0; seen < lookedAt; {
		n := limit - len(l.Items) + 1
		if seen > 0 {
			n = max(n, lookedAt/8) // many do not match
		}
		all, err := next(last, n)
		if err != nil {
			return l, err
		}
		for _, x := range all {
			hit, place, ok, err := match(x)
			if err != nil {
				return l, err
			}
			if ok && len(l.Items) == limit {
				l.Next = cursor(last)
				return l, nil
			}
			last = place
			if ok {
				l.Items = append(l.Items, hit)
			}
		}
		if len(all) < n {
			return l, nil
		}
		seen += len(all)
	}
	l.Next = cursor(last)
	return l, nil
}

// person is a contact that the index gave.
type person struct {
	n int64
	c omni.Contact
}

func scanPerson(r scanner) (p person, err error) {
	var doc []byte
	if err := r.Scan(&p.n, &doc); err != nil {
		return p, err
	}
	if json.Unmarshal(doc, &p.c) != nil {
		p.c = omni.Contact{} // one that cannot be read is nobody's
	}
	return p, nil
}

// SearchContacts implements store.Store.
func (s *Store) SearchContacts(ctx context.Context, t omni.Tenant, f store.ContactSearch, p store.Page) (store.List[store.ContactHit], error) {
	fail := func(err error) (store.List[store.ContactHit], error) {
		return store.List[store.ContactHit]{}, fmt.Errorf("search contacts: %w", err)
	}
	q, err := search.Parse(f.Query)
	if err != nil {
		return fail(err)
	}
	list := fmt.Sprintf("search contacts %s %q", t.OrganisationID, f.Query)
	from, limit, err := start(list, p, firstNewest)
	if err != nil {
		return fail(err)
	}
	if q.Empty() {
		return store.List[store.ContactHit]{}, nil
	}
	match := matchText(t.OrganisationID, q.Terms())
	out, err := read(ctx, s, func(ctx context.Context, c *conn) (l store.List[store.ContactHit], err error) {
		if _, err := c.exec(ctx, sqlBeginRead); err != nil {
			return l, err
		}
		defer func() { _, _ = c.exec(ctx, sqlRollback) }()
		return look(from.number, limit, func(below int64, n int) ([]person, error) {
			return queryAll(ctx, c, sqlSearchContacts, scanPerson, match, t.OrganisationID, below, n)
		}, func(x person) (store.ContactHit, int64, bool, error) {
			identities, err := queryAll(ctx, c, sqlIdentities, scanIdentity, t.OrganisationID, x.c.ID)
			if err != nil {
				return store.ContactHit{}, x.n, false, err
			}
			hit, ok := q.Contact(x.c, identities)
			return hit, x.n, ok, nil
		}, func(n int64) string { return cursorText(list, key{number: n}) })
	})
	if err != nil {
		return fail(err)
	}
	return out, nil
}

package mongostore

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/omni"
	"omniservice/store"
)

// Numbers of changes. A number that is taken before a write can be overtaken: somebody reads up to a higher one while the
// write is still under way, and never comes back. So here a record is numbered after it is written:
//
//   - A write of an interaction or a message leaves a mark in it, in the same update: fieldNews, a value never used before.
//   - To settle is (1) to take a number and keep it as the horizon, (2) to read all marks, (3) to take a block of higher numbers,
//     and (4) to give each record that still has the mark that was read the next number of the block, and take the mark away.
//
// When that is done no record gets a number up to the horizon any more. For whoever would give one has taken it before (1),
// and read the record's mark before that. So either the record still had this mark at (2), and it is gone since (4), or it
// had gone already: in each case the late update, which asks for the mark, finds nothing. It does not matter how late it
// comes, and no clock is asked.
//
// Numbers are taken by a write that a majority has, so an election takes none back. If a write that has left a mark is taken
// back, (4) finds the mark gone, and settles again.

const (
	fieldNews    = "news"
	fieldChanged = "changed"

	changesAtOnce = 1000 // that one call looks at, of each kind
	settleAtOnce  = 1000 // marks that are read at once, of each kind
	settleRounds  = 100
	settleWhole   = 3 // rounds that leave nothing out: one is enough, and one that finds nothing makes the next call shorter
)

var (
	changedIndex = index{keys: ascending(fieldOrg, fieldChanged), serves: "ChangedSince"}
	newsIndex    = index{keys: ascending(fieldNews), sparse: true, serves: "SettleChanges, ChangedSince: what has no number yet"}

	changedKinds = []string{collInteractions, collMessages}
)

// news is the mark that a write leaves.
func news() bson.E { return bson.E{Key: fieldNews, Value: omni.NewID()} }

// stateID is the document with the newest number. The others are marks of minutes.
const stateID = "state"

type changeState struct {
	ID      string `bson:"_id"`
	N       int64  `bson:"n"`
	History string `bson:"history"`
}

// numberChanges begins to number: from then on changes are told. Where nothing was written before, all are.
func numberChanges(ctx context.Context, s *Store) error {
	first := int64(0)
	_, err := one[bson.Raw](ctx, s.coll(collInteractions), bson.D{}, options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}}))
	switch {
	case err == nil:
		first = time.Now().Unix() / 60
	case !isNone(err):
		return err
	}
	return s.markMinute(ctx, first, 0)
}

func minuteID(minute int64) string { return fmt.Sprintf("minute %012d", max(0, minute)) }

// markMinute keeps n as the number before the first change of a minute, unless one is kept.
func (s *Store) markMinute(ctx context.Context, minute, n int64) error {
	_, err := s.coll(collChanges).UpdateOne(ctx, bson.D{{Key: "_id", Value: minuteID(minute)}},
		bson.D{{Key: "$setOnInsert", Value: bson.D{{Key: "n", Value: n}}}}, options.UpdateOne().SetUpsert(true))
	if mongo.IsDuplicateKeyError(err) {
		return nil
	}
	return err
}

// take takes n numbers and returns the state with the last of them.
func (s *Store) take(ctx context.Context, n int) (state changeState, err error) {
	for range maxRaces {
		err = s.coll(collChanges).FindOneAndUpdate(ctx, bson.D{{Key: "_id", Value: stateID}}, bson.D{
			{Key: "$inc", Value: bson.D{{Key: "n", Value: int64(n)}}},
			{Key: "$setOnInsert", Value: bson.D{{Key: "history", Value: omni.NewToken(8)}}},
		}, options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After)).Decode(&state)
		if !mongo.IsDuplicateKeyError(err) { // two first ones
			return state, err
		}
	}
	return state, errRaced
}

// marked is a record that was written and has no number.
type marked struct {
	ID   string `bson:"_id"`
	Org  string `bson:"organisationId"`
	News string `bson:"news"`
}

// settle numbers what filter finds, and returns the horizon: no record gets a number up to it any more.
func (s *Store) settle(ctx context.Context, filter bson.D) (horizon changeState, settled int, err error) {
	filter = with(filter, bson.E{Key: fieldNews, Value: bson.D{{Key: "$gt", Value: ""}}})
	wholes := 0
	for range settleRounds {
		next, err := s.take(ctx, 1)
		if err != nil {
			return horizon, settled, err
		}
		if err := s.markMinute(ctx, time.Now().Unix()/60, next.N); err != nil {
			return horizon, settled, err
		}
		whole, found := true, 0
		for _, coll := range changedKinds {
			n, all, err := s.number(ctx, coll, filter)
			found += n
			whole = whole && all
			if err != nil {
				return horizon, settled, err
			}
		}
		settled += found
		if whole {
			horizon = next
			wholes++
		}
		if whole && found == 0 || wholes == settleWhole {
			return horizon, settled, nil
		}
	}
	if wholes > 0 {
		return horizon, settled, nil
	}
	return horizon, settled, fmt.Errorf("%w: more is written than can be numbered", omni.ErrUnavailable)
}

// number gives numbers to the marked records of a collection. all tells that none was left out.
func (s *Store) number(ctx context.Context, coll string, filter bson.D) (n int, all bool, err error) {
	found, err := allOf(ctx, s.coll(coll), filter)
	if err != nil || len(found) == 0 {
		return 0, err == nil, err
	}
	block, err := s.take(ctx, len(found))
	if err != nil {
		return 0, false, err
	}
	// In the order in which they were written, as far as marks tell: places in the feed, not its promises, rest on it.
	slices.SortFunc(found, func(a, b marked) int { return cmp.Compare(a.News, b.News) })
	writes := make([]mongo.WriteModel, 0, len(found))
	for i, d := range found {
		writes = append(writes, mongo.NewUpdateOneModel().
			SetFilter(with(named(omni.Org(d.Org), d.ID), bson.E{Key: fieldNews, Value: d.News})).
			SetUpdate(bson.D{
				{Key: "$set", Value: bson.D{{Key: fieldChanged, Value: block.N - int64(len(found)-1-i)}}},
				{Key: "$unset", Value: bson.D{{Key: fieldNews, Value: ""}}},
			}))
	}
	res, err := s.coll(coll).BulkWrite(ctx, writes, options.BulkWrite().SetOrdered(false))
	if err != nil {
		return 0, false, err
	}
	return int(res.MatchedCount), int(res.MatchedCount) == len(found) && len(found) < settleAtOnce, nil
}

func allOf(ctx context.Context, c *mongo.Collection, filter bson.D) ([]marked, error) {
	return all[marked](ctx, c, filter, options.Find().SetLimit(settleAtOnce).
		SetProjection(bson.D{{Key: fieldOrg, Value: 1}, {Key: fieldNews, Value: 1}}))
}

// SettleChanges implements store.Store.
func (s *Store) SettleChanges(ctx context.Context) (int, error) {
	n := 0
	err := runOnly(ctx, s, func(ctx context.Context) (err error) {
		_, n, err = s.settle(ctx, nil)
		return err
	})
	if err != nil {
		return n, fmt.Errorf("settle changes: %w", err)
	}
	return n, nil
}

// ChangedSince implements store.Store.
func (s *Store) ChangedSince(ctx context.Context, t omni.Tenant, q store.ChangeQuery) (store.Changed, error) {
	out, err := run(ctx, s, func(ctx context.Context) (store.Changed, error) { return s.changedSince(ctx, t, q) })
	if err != nil {
		return out, fmt.Errorf("list changes: %w", err)
	}
	return out, nil
}

func (s *Store) changedSince(ctx context.Context, t omni.Tenant, q store.ChangeQuery) (out store.Changed, err error) {
	limit, err := pageLimit(q.Limit)
	if err != nil {
		return out, err
	}
	list := "changes " + t.OrganisationID
	var at place
	if q.Since != "" {
		if at, err = parseCursor(list, q.Since); err != nil {
			return out, err
		}
	}
	now, _, err := s.settle(ctx, of(t))
	if err != nil {
		return out, err
	}
	sight := now.History + " " + q.Sight()
	from, ok := at.Number, q.Since != "" && at.Text == sight && at.Number <= now.N // else it is of a history that went another way
	if q.Since == "" && q.SinceAt > 0 {
		from, ok, err = s.minute(ctx, int64(q.SinceAt)/60_000-1)
		if err != nil {
			return out, err
		}
	}
	end := now.N
	switch {
	case !ok:
		out.Reset = true
	case len(q.GroupIDs) > 0:
		if out, end, err = s.changesFrom(ctx, t, q.GroupIDs, from, now.N, limit); err != nil {
			return out, err
		}
	}
	out.Next, err = cursorText(list, place{Number: end, Text: sight})
	return out, err
}

// minute is the number before the first change of a minute, or of an earlier one. Nodes' clocks may differ by the minute that
// the caller takes off.
func (s *Store) minute(ctx context.Context, minute int64) (n int64, ok bool, err error) {
	m, err := one[changeState](ctx, s.coll(collChanges),
		bson.D{{Key: "_id", Value: bson.D{{Key: "$gte", Value: minuteID(0)}, {Key: "$lte", Value: minuteID(minute)}}}},
		options.FindOne().SetSort(bson.D{{Key: "_id", Value: -1}}))
	if isNone(err) {
		return 0, false, nil
	}
	return m.N, err == nil, err
}

// forgetMinutes removes what nobody can ask for any more: all before the newest that is older than store.KeepMoments, which
// stands for the moments after it.
func (s *Store) forgetMinutes(ctx context.Context, now omni.Millis) error {
	oldest := bson.E{Key: "$gte", Value: minuteID(0)}
	last, err := one[changeState](ctx, s.coll(collChanges),
		bson.D{{Key: "_id", Value: bson.D{oldest, {Key: "$lte", Value: minuteID(int64(now.Add(-store.KeepMoments)) / 60_000)}}}},
		options.FindOne().SetSort(bson.D{{Key: "_id", Value: -1}}))
	if isNone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = s.coll(collChanges).DeleteMany(ctx, bson.D{{Key: "_id", Value: bson.D{oldest, {Key: "$lt", Value: last.ID}}}})
	return err
}

// changesFrom gives changes above a number, and up to which they were looked at: at most horizon, so that the next call
// begins where nothing is numbered any more.
func (s *Store) changesFrom(ctx context.Context, t omni.Tenant, groupIDs []string, from, horizon int64, limit int) (out store.Changed, end int64, err error) {
	above := of(t, bson.E{Key: fieldChanged, Value: bson.D{{Key: "$gt", Value: from}}})
	inOrder := options.Find().SetSort(ascending(fieldOrg, fieldChanged)).SetLimit(changesAtOnce)
	talks, err := all[interactionDoc](ctx, s.coll(collInteractions), above, inOrder)
	if err != nil {
		return out, 0, err
	}
	messages, err := all[messageDoc](ctx, s.coll(collMessages), above, inOrder)
	if err != nil {
		return out, 0, err
	}
	ids := make([]string, 0, len(messages))
	for _, m := range messages {
		ids = append(ids, m.InteractionID)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	groups := map[string]string{}
	if len(ids) > 0 {
		homes, err := all[interactionDoc](ctx, s.coll(collInteractions), of(t, bson.E{Key: "_id", Value: in(ids)}),
			options.Find().SetProjection(bson.D{{Key: "groupId", Value: 1}}))
		if err != nil {
			return out, 0, err
		}
		for _, i := range homes {
			groups[i.ID] = i.GroupID
		}
	}
	until := int64(math.MaxInt64) // where one of the two ends although there may be more
	if len(talks) == changesAtOnce {
		until = talks[len(talks)-1].Changed
	}
	if len(messages) == changesAtOnce {
		until = min(until, messages[len(messages)-1].Changed)
	}
	out.More = until < math.MaxInt64
	end = min(until, horizon)
	for len(talks)+len(messages) > 0 {
		isTalk := len(messages) == 0 || len(talks) > 0 && talks[0].Changed < messages[0].Changed
		n, group := int64(0), ""
		if isTalk {
			n, group = talks[0].Changed, talks[0].GroupID
		} else {
			n, group = messages[0].Changed, groups[messages[0].InteractionID]
		}
		if n > until {
			break
		}
		if slices.Contains(groupIDs, group) {
			if len(out.Interactions)+len(out.Messages) == limit {
				out.More = true
				return out, min(n-1, horizon), nil
			}
			if isTalk {
				out.Interactions = append(out.Interactions, talks[0].Interaction)
			} else {
				out.Messages = append(out.Messages, messages[0].ServiceMessage)
			}
		}
		if isTalk {
			talks = talks[1:]
		} else {
			messages = messages[1:]
		}
	}
	return out, end, nil
}

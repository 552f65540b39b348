package mongostore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"omniservice/omni"
)

// fragmentsDoc is a text of which parts have come, or of which it is known that it has been joined.
type fragmentsDoc struct {
	ID     string         `bson:"_id"` // organisation and key
	Org    string         `bson:"organisationId"`
	Key    string         `bson:"key"`
	Rev    int64          `bson:"rev"`              // counts changes: an update holds it in its filter
	Joined omni.Millis    `bson:"joined,omitempty"` // until when it is known that the text was joined
	Parts  []fragmentPart `bson:"parts"`            // by index
	End    time.Time      `bson:"expireAt"`         // of whatever ends last
}

type fragmentPart struct {
	Fragment omni.MessageFragment `bson:"fragment"`
	Ends     omni.Millis          `bson:"ends"`
}

var fragmentColls = []collection{
	{name: collFragments, holds: "a text that comes in parts", shardKey: byHash, indexes: []index{ending}},
}

func newFragmentsDoc(t omni.Tenant, key string) fragmentsDoc {
	return fragmentsDoc{ID: fragmentsID(t, key), Org: t.OrganisationID, Key: key}
}

func fragmentsID(t omni.Tenant, key string) string { return t.OrganisationID + " " + key }

// settle leaves out what has ended by now, and says when the rest does.
func (d *fragmentsDoc) settle(now omni.Millis) {
	if d.Joined <= now {
		d.Joined = 0
	}
	end := d.Joined
	d.Parts = slices.DeleteFunc(d.Parts, func(p fragmentPart) bool { return p.Ends <= now })
	for _, p := range d.Parts {
		end = max(end, p.Ends)
	}
	d.End = dateOf(end)
}

// PutFragment implements store.Store. The parts of a text are one document, changed by a write whose filter holds what was
// read: of parts that come at the same instant each sees those before it, and the last one all.
func (s *Store) PutFragment(ctx context.Context, t omni.Tenant, key string, f omni.MessageFragment, expires omni.Millis) ([]omni.MessageFragment, bool, error) {
	joined := false
	parts, err := run(ctx, s, func(ctx context.Context) (parts []omni.MessageFragment, err error) {
		if err := f.Validate(); err != nil {
			return nil, err
		}
		d, err := s.changeFragments(ctx, t, key, func(d *fragmentsDoc) bool {
			// Carriers use references again: what ended before this part came is another text's.
			d.settle(f.ReceivedAt)
			if d.Joined > 0 || slices.ContainsFunc(d.Parts, func(p fragmentPart) bool { return p.Fragment.Index == f.Index }) {
				return false
			}
			d.Parts = append(d.Parts, fragmentPart{f, expires})
			slices.SortFunc(d.Parts, func(a, b fragmentPart) int { return cmp.Compare(a.Fragment.Index, b.Fragment.Index) })
			d.End = latest(d.End, dateOf(expires))
			return true
		})
		if joined = d.Joined > 0; joined || err != nil {
			return nil, err
		}
		return each(d.Parts, func(p fragmentPart) omni.MessageFragment { return p.Fragment }), nil
	})
	if err != nil {
		return nil, false, fmt.Errorf("put fragment %d: %w", f.Index, err)
	}
	return parts, joined, nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// JoinFragments implements store.Store.
func (s *Store) JoinFragments(ctx context.Context, t omni.Tenant, key string, expires omni.Millis) error {
	err := runOnly(ctx, s, func(ctx context.Context) error {
		_, err := s.changeFragments(ctx, t, key, func(d *fragmentsDoc) bool {
			d.Joined, d.Parts, d.End = expires, nil, dateOf(expires)
			return true
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("join fragments: %w", err)
	}
	return nil
}

// changeFragments changes the document of a text, made if there is none, unless change says that there is nothing to do.
func (s *Store) changeFragments(ctx context.Context, t omni.Tenant, key string, change func(d *fragmentsDoc) bool) (fragmentsDoc, error) {
	c := s.coll(collFragments)
	for range maxRaces {
		d := newFragmentsDoc(t, key)
		have, err := one[fragmentsDoc](ctx, c, named(t, d.ID))
		isNew := errors.Is(err, mongo.ErrNoDocuments)
		if !isNew {
			if err != nil {
				return d, err
			}
			d = have
		}
		if !change(&d) {
			return d, nil
		}
		d.Rev++
		if isNew {
			_, err = c.InsertOne(ctx, d)
		} else {
			err = c.FindOneAndReplace(ctx, with(named(t, d.ID), bson.E{Key: "rev", Value: have.Rev}), d).Err()
		}
		if err = raced(err); !errors.Is(err, errRaced) {
			return d, err
		}
	}
	return fragmentsDoc{}, errRaced
}

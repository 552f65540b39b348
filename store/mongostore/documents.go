package mongostore

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"

	"omniservice/omni"
	"omniservice/store"
)

// fieldOrg is the organisation of every document that has one.
const fieldOrg = "organisationId"

// kind is how records of one type are kept: the document is the type itself, as its bson tags say, with organisationId and
// what extra gives beside it.
type kind[T any] struct {
	what  string // in errors
	coll  string
	id    func(r *T) string
	org   func(r *T) string
	extra func(r *T) bson.D // fields besides, made from the record, that queries go by; nil: none
}

// document is what is stored of r.
func (k kind[T]) document(r T) (bson.D, error) {
	extra := bson.D{{Key: fieldOrg, Value: k.org(&r)}}
	if k.extra != nil {
		extra = append(extra, k.extra(&r)...)
	}
	return document(r, extra)
}

// document encodes v, with the fields of extra that v itself does not have.
func document(v any, extra bson.D) (bson.D, error) {
	b, err := bson.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", omni.ErrInvalid, err)
	}
	elements, err := bson.Raw(b).Elements()
	if err != nil {
		return nil, err
	}
	d := make(bson.D, 0, len(elements)+len(extra))
	own := map[string]bool{}
	for _, e := range elements {
		own[e.Key()] = true
		d = append(d, bson.E{Key: e.Key(), Value: e.Value()})
	}
	for _, e := range extra {
		if !own[e.Key] {
			d = append(d, e)
		}
	}
	return d, nil
}

// named finds the record with an id in an organisation.
func named(t omni.Tenant, id string) bson.D {
	return bson.D{{Key: "_id", Value: id}, {Key: fieldOrg, Value: t.OrganisationID}}
}

// of finds all records of an organisation that have what is given besides.
func of(t omni.Tenant, more ...bson.E) bson.D {
	return append(bson.D{{Key: fieldOrg, Value: t.OrganisationID}}, more...)
}

// with is filter and what is given besides.
func with(filter bson.D, more ...bson.E) bson.D {
	return append(slices.Clip(filter), more...)
}

// set is an update that sets fields.
func set(fields ...bson.E) bson.D { return bson.D{{Key: "$set", Value: bson.D(fields)}} }

// dateOf is a moment as a date, for fieldEnd.
func dateOf(m omni.Millis) time.Time { return time.UnixMilli(int64(m)) }

// create stores a record of organisation t. The very same record again is no error, so that a create can be repeated.
func create[T any](ctx context.Context, s *Store, k kind[T], t omni.Tenant, r T) error {
	id := k.id(&r)
	if k.org(&r) != t.OrganisationID {
		return fmt.Errorf("create %s %s: organisation: %w", k.what, id, omni.ErrNotFound)
	}
	err := runOnly(ctx, s, func(ctx context.Context) error {
		doc, err := k.document(r)
		if err != nil {
			return err
		}
		_, err = s.coll(k.coll).InsertOne(ctx, doc)
		if !mongo.IsDuplicateKeyError(err) {
			return err
		}
		have, getErr := one[T](ctx, s.coll(k.coll), named(t, id))
		if getErr == nil {
			if same, sameErr := sameRecord(r, have); same || sameErr != nil {
				return sameErr
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create %s %s: %w", k.what, id, err)
	}
	return nil
}

// sameRecord reports whether have is what storing r gives.
func sameRecord[T any](r, have T) (bool, error) {
	b, err := bson.Marshal(r)
	if err != nil {
		return false, err
	}
	var stored T
	if err := bson.Unmarshal(b, &stored); err != nil {
		return false, err
	}
	return reflect.DeepEqual(stored, have), nil
}

// find reads a record of organisation t.
func find[T any](ctx context.Context, s *Store, k kind[T], t omni.Tenant, id string) (T, error) {
	return door(ctx, s, k, k.what+" "+id, named(t, id))
}

// door reads the record that filter finds.
func door[T any](ctx context.Context, s *Store, k kind[T], what string, filter bson.D) (T, error) {
	r, err := run(ctx, s, func(ctx context.Context) (T, error) { return one[T](ctx, s.coll(k.coll), filter) })
	if err != nil {
		return r, fmt.Errorf("find %s: %w", what, err)
	}
	return r, nil
}

// update replaces a record of organisation t if its version is still the given one. r has the next version.
func update[T any](ctx context.Context, s *Store, k kind[T], t omni.Tenant, version int64, r T) (T, error) {
	id := k.id(&r)
	stored, err := run(ctx, s, func(ctx context.Context) (T, error) {
		if k.org(&r) != t.OrganisationID {
			return r, omni.ErrNotFound
		}
		doc, err := k.document(r)
		if err != nil {
			return r, err
		}
		return r, s.replace(ctx, k.coll, t, id, version, doc)
	})
	if err != nil {
		return stored, fmt.Errorf("update %s %s: %w", k.what, id, err)
	}
	return stored, nil
}

// replace puts doc in the place of the document that has the version.
func (s *Store) replace(ctx context.Context, coll string, t omni.Tenant, id string, version int64, doc bson.D) error {
	res, err := s.coll(coll).ReplaceOne(ctx, with(named(t, id), bson.E{Key: "version", Value: version}), doc)
	if err != nil || res.MatchedCount > 0 {
		return err
	}
	if _, err := one[bson.Raw](ctx, s.coll(coll), named(t, id)); err != nil {
		return err
	}
	return versionConflict(version)
}

// list reads a page of the records that filter finds, in order.
func list[T any](ctx context.Context, s *Store, k kind[T], name string, filter bson.D, o order, p store.Page, placeOf func(T) place) (store.List[T], error) {
	l, err := run(ctx, s, func(ctx context.Context) (store.List[T], error) {
		return page(ctx, s.coll(k.coll), name, filter, o, p, placeOf)
	})
	if err != nil {
		return l, fmt.Errorf("list %s: %w", name, err)
	}
	return l, nil
}

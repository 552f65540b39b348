package store

import (
	"context"

	"omniservice/omni"
)

// Ledger keeps records of one kind that are only ever added. A record names its organisation and has an id.
//
// What a kind's records belong to, what List sorts them by, and what is unique, stands in its Kind.
type Ledger[T any] interface {
	// Create stores r. The very same record again is no error; another one with its id or its unique key is omni.ErrConflict.
	Create(ctx context.Context, t omni.Tenant, r T) error
	Get(ctx context.Context, t omni.Tenant, id string) (T, error)
	// Find gives the record with the unique key of like, of which nothing else is looked at.
	Find(ctx context.Context, t omni.Tenant, like T) (T, error)
	// List gives the records that belong to the record with the id of, in the order of the kind, then by id in the same
	// direction. Kinds whose records belong to the organisation alone take "".
	List(ctx context.Context, t omni.Tenant, of string, p Page) (List[T], error)
}

// Records keeps records of one kind that change, each under its Version.
type Records[T any] interface {
	Ledger[T]

	// Update replaces the record if its stored Version is r.Version, and stores Version+1; else omni.ErrConflict. So is
	// the unique key of another record, and any change to one that has ended (Kind.Ended).
	Update(ctx context.Context, t omni.Tenant, r T) (T, error)
	// Delete removes a record. One that is not there is omni.ErrNotFound.
	Delete(ctx context.Context, t omni.Tenant, id string) error
}

// Kind says how records of a kind are kept, so that one implementation serves them all, and each store keeps them alike.
type Kind[T any] struct {
	Name       string // of one record, in errors: "canned reply"
	Collection string // of all of them: the name of the table and of the collection
	Meta       func(r *T) Meta
	Of         *Field[T]       // what List takes; nil: records belong to the organisation alone
	Sort       Field[T]        // what List sorts by, before the id
	Newest     bool            // List begins with the greatest
	Unique     []Field[T]      // these together are unique in the organisation; none: nothing but the id is
	Ended      func(r *T) bool // records that cannot be changed any more; nil: none
}

// Meta is what all records have. Version is nil in records that never change.
type Meta struct {
	ID      *string
	Tenant  *omni.Tenant
	Version *int64
}

// Field is something of a record that a store searches or sorts by: a text or a number.
type Field[T any] struct {
	Name    string // in documents; of a Derived one the name under which it is kept beside them
	Text    func(r *T) string
	Number  func(r *T) int64
	Derived bool // made from the record, not a field of it
}

// Value is the field's value in r: a string or an int64.
func (f Field[T]) Value(r *T) any {
	if f.Text != nil {
		return f.Text(r)
	}
	return f.Number(r)
}

// UniqueKey is what Find goes by: the unique fields, or the id where there are none.
func (k Kind[T]) UniqueKey() []Field[T] {
	if len(k.Unique) > 0 {
		return k.Unique
	}
	return []Field[T]{{Name: "id", Text: func(r *T) string { return *k.Meta(r).ID }}}
}

// Fields are all fields that a store needs besides Meta, each once.
func (k Kind[T]) Fields() []Field[T] {
	var all []Field[T]
	seen := map[string]bool{}
	add := func(f Field[T]) {
		if !seen[f.Name] {
			seen[f.Name] = true
			all = append(all, f)
		}
	}
	if k.Of != nil {
		add(*k.Of)
	}
	add(k.Sort)
	for _, f := range k.Unique {
		add(f)
	}
	return all
}

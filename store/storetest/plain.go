package storetest

import (
	"cmp"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

// plainKind is plain[T] of any T.
type plainKind interface {
	comesBack(t *testing.T, s store.Store, w *world)
	isKept(t *testing.T, s store.Store, w *world)
	isUpdated(t *testing.T, s store.Store, w *world)
	isUnique(t *testing.T, s store.Store, w *world)
	isListed(t *testing.T, s store.Store, w *world)
	isApart(t *testing.T, s store.Store, a, b *world)
	holdsUnderWrites(t *testing.T, s store.Store, w *world)
	isThere(t *testing.T, s store.Store, w *world)
}

// plain is what the tests know of a kind.
type plain[T any] struct {
	kind   store.Kind[T]
	of     func(s store.Store) store.Ledger[T]
	make   func(w *world, n int) T // the n-th record of a world, with a unique key of its own; all belong to the same
	change func(r *T)              // something that no list and no key has
	move   func(r *T)              // to another one that it belongs to; nil if the organisation is all that it belongs to
	twin   func(r *T)              // another way to write the unique key of the first; nil if there is none
	valid  func(r *T)              // mends what fill has made unstorable; may be nil
}

func eachKind(check func(k plainKind, t *testing.T, s store.Store, w *world)) func(t *testing.T, s store.Store) {
	return func(t *testing.T, s store.Store) {
		w := newWorld(t, s)
		for name, k := range plainKinds {
			t.Run(name, func(t *testing.T) { check(k, t, s, w) }) // one after the other: they share the store
		}
	}
}

func plainRecordsAreApart(t *testing.T, s store.Store) {
	a, b := newWorld(t, s), newWorld(t, s)
	for name, k := range plainKinds {
		t.Run(name, func(t *testing.T) { k.isApart(t, s, a, b) })
	}
}

// isPlain reports whether a method of store.Store gives plain records: it takes nothing and returns an interface with Create.
func isPlain(m reflect.Type) bool {
	if m.NumIn() != 0 || m.NumOut() != 1 || m.Out(0).Kind() != reflect.Interface {
		return false
	}
	_, ok := m.Out(0).MethodByName("Create")
	return ok
}

func (k plain[T]) records(s store.Store) store.Records[T] { return k.of(s).(store.Records[T]) }
func (k plain[T]) id(r T) string                          { return *k.kind.Meta(&r).ID }
func (k plain[T]) changes() bool                          { var r T; return k.kind.Meta(&r).Version != nil }

func (k plain[T]) parent(r T) string {
	if k.kind.Of == nil {
		return ""
	}
	return k.kind.Of.Text(&r)
}

// made stores the n-th record.
func (k plain[T]) made(t *testing.T, s store.Store, w *world, n int) T {
	t.Helper()
	r := k.make(w, n)
	require.NoError(t, k.of(s).Create(t.Context(), w.tenant, r))
	return r
}

// isThere stores a record with every field set, which stays.
func (k plain[T]) isThere(t *testing.T, s store.Store, w *world) {
	t.Helper()
	require.NoError(t, k.of(s).Create(t.Context(), w.tenant, k.filled(w)))
}

// filled is a record with every field set.
func (k plain[T]) filled(w *world) T {
	return filled(func(r *T) {
		k.kind.Meta(r).Tenant.OrganisationID = w.org.ID
		if k.valid != nil {
			k.valid(r)
		}
	})
}

// conversionsEnd: what a job has come to stays.
func conversionsEnd(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	k := plainKinds["Conversions"].(plain[omni.MediaConvertJob])
	job := k.made(t, s, w, 1)
	// A report of the end that comes twice, and another one at the same instant: one is kept.
	ends := []omni.MediaConvertJobStatus{omni.ConvertComplete, omni.ConvertFailed, omni.ConvertIncompatible}
	got, errs := atOnce(24, func(i int) (omni.MediaConvertJob, error) {
		have, err := s.Conversions().Find(ctx, w.tenant, omni.MediaConvertJob{ExternalJobID: job.ExternalJobID})
		if err != nil {
			return have, err
		}
		have.Status, have.EndedAt = ends[i%len(ends)], base+20
		return s.Conversions().Update(ctx, w.tenant, have)
	})
	end := got[oneWins(t, errs, omni.ErrConflict)]
	again := end
	again.Status, again.Error = "", "begins again"
	_, err := s.Conversions().Update(ctx, w.tenant, again)
	require.ErrorIs(t, err, omni.ErrConflict)
	stored, err := s.Conversions().Get(ctx, w.tenant, job.ID)
	require.NoError(t, err)
	require.Equal(t, end, stored)

	// Jobs of our own have no id elsewhere, and are not each other's twins.
	for range 2 {
		own := k.make(w, 2)
		own.ExternalJobID = ""
		require.NoError(t, s.Conversions().Create(ctx, w.tenant, own))
	}
	_, err = s.Conversions().Find(ctx, w.tenant, omni.MediaConvertJob{})
	require.ErrorIs(t, err, omni.ErrNotFound)
}

// clear removes records, to show that each can go. Those that never change stay.
func (k plain[T]) clear(t *testing.T, s store.Store, w *world, rs ...T) {
	t.Helper()
	if !k.changes() {
		return
	}
	for _, r := range rs {
		require.NoError(t, k.records(s).Delete(t.Context(), w.tenant, k.id(r)))
	}
}

func (k plain[T]) comesBack(t *testing.T, s store.Store, w *world) {
	ctx := t.Context()
	r := k.filled(w)
	require.NoError(t, k.of(s).Create(ctx, w.tenant, r))
	got, err := k.of(s).Get(ctx, w.tenant, k.id(r))
	require.NoError(t, err)
	require.Equal(t, r, got)
	got, err = k.of(s).Find(ctx, w.tenant, r)
	require.NoError(t, err)
	require.Equal(t, r, got)
	all, err := k.of(s).List(ctx, w.tenant, k.parent(r), store.Page{})
	require.NoError(t, err)
	require.Equal(t, []T{r}, all.Items)

	// A field is called in the kind as in documents, and has their value.
	doc, err := json.Marshal(r)
	require.NoError(t, err)
	var fields map[string]any
	require.NoError(t, json.Unmarshal(doc, &fields))
	for _, f := range k.kind.Fields() {
		value, there := fields[f.Name]
		if f.Derived {
			require.False(t, there, f.Name)
			continue
		}
		if n, ok := f.Value(&r).(int64); ok {
			require.EqualValues(t, n, value, f.Name)
			continue
		}
		require.Equal(t, f.Value(&r), value, f.Name)
	}
	k.clear(t, s, w, r)
}

func (k plain[T]) isKept(t *testing.T, s store.Store, w *world) {
	ctx := t.Context()
	r := k.made(t, s, w, 1)
	require.NoError(t, k.of(s).Create(ctx, w.tenant, r), "the same again")
	other := r
	k.change(&other)
	require.ErrorIs(t, k.of(s).Create(ctx, w.tenant, other), omni.ErrConflict)
	got, err := k.of(s).Get(ctx, w.tenant, k.id(r))
	require.NoError(t, err)
	require.Equal(t, r, got)
	_, err = k.of(s).Get(ctx, w.tenant, omni.NewID())
	require.ErrorIs(t, err, omni.ErrNotFound)
	_, err = k.of(s).Find(ctx, w.tenant, k.make(w, 2))
	require.ErrorIs(t, err, omni.ErrNotFound)
	if k.changes() {
		require.NoError(t, k.records(s).Delete(ctx, w.tenant, k.id(r)))
		require.ErrorIs(t, k.records(s).Delete(ctx, w.tenant, k.id(r)), omni.ErrNotFound)
		_, err = k.of(s).Get(ctx, w.tenant, k.id(r))
		require.ErrorIs(t, err, omni.ErrNotFound)
		_, err = k.of(s).Find(ctx, w.tenant, r)
		require.ErrorIs(t, err, omni.ErrNotFound)
	}
}

func (k plain[T]) isUpdated(t *testing.T, s store.Store, w *world) {
	if !k.changes() {
		r := k.made(t, s, w, 1)
		got, err := k.of(s).Get(t.Context(), w.tenant, k.id(r))
		require.NoError(t, err)
		require.Equal(t, r, got)
		return
	}
	ctx := t.Context()
	r := k.made(t, s, w, 1)
	version := func(n int64) T {
		v := r
		*k.kind.Meta(&v).Version = n
		return v
	}
	next := version(1)
	k.change(&next)
	got, err := k.records(s).Update(ctx, w.tenant, next)
	require.NoError(t, err)
	*k.kind.Meta(&next).Version = 2
	require.Equal(t, next, got)
	stored, err := k.of(s).Get(ctx, w.tenant, k.id(r))
	require.NoError(t, err)
	require.Equal(t, next, stored)
	for _, wrong := range []int64{0, 1, 3} {
		_, err = k.records(s).Update(ctx, w.tenant, version(wrong))
		require.ErrorIs(t, err, omni.ErrConflict)
	}
	missing := k.make(w, 2)
	_, err = k.records(s).Update(ctx, w.tenant, missing)
	require.ErrorIs(t, err, omni.ErrNotFound)

	got2, errs := atOnce(16, func(int) (T, error) { return k.records(s).Update(ctx, w.tenant, version(2)) })
	won := got2[oneWins(t, errs, omni.ErrConflict)]
	require.Equal(t, int64(3), *k.kind.Meta(&won).Version)

	if k.move != nil {
		k.move(&won)
		moved, err := k.records(s).Update(ctx, w.tenant, won)
		require.NoError(t, err)
		l, err := k.of(s).List(ctx, w.tenant, k.parent(r), store.Page{})
		require.NoError(t, err)
		require.Empty(t, l.Items, "it has left the list")
		l, err = k.of(s).List(ctx, w.tenant, k.parent(moved), store.Page{})
		require.NoError(t, err)
		require.Equal(t, []T{moved}, l.Items)
	}
	k.clear(t, s, w, r)
}

func (k plain[T]) isUnique(t *testing.T, s store.Store, w *world) {
	ctx := t.Context()
	// Of many at the same instant one is made; the others' writes are not hurt.
	made, errs := atOnce(24, func(i int) (T, error) {
		r := k.make(w, i)
		if i%2 == 0 {
			r = k.make(w, 100)
		}
		return r, k.of(s).Create(ctx, w.tenant, r)
	})
	var same, kept []T
	var sameErrs []error
	for i, err := range errs {
		if i%2 == 0 && len(k.kind.Unique) > 0 {
			same, sameErrs = append(same, made[i]), append(sameErrs, err)
			continue
		}
		require.NoError(t, err)
		kept = append(kept, made[i])
	}
	if len(k.kind.Unique) == 0 {
		k.clear(t, s, w, kept...)
		return
	}
	won := same[oneWins(t, sameErrs, omni.ErrConflict)]
	got, err := k.of(s).Find(ctx, w.tenant, k.make(w, 100))
	require.NoError(t, err)
	require.Equal(t, won, got)
	if !k.changes() {
		return
	}
	// Nor can a record take another's key later, unless that is given up.
	thief := k.make(w, 100)
	*k.kind.Meta(&thief).ID = k.id(kept[0])
	_, err = k.records(s).Update(ctx, w.tenant, thief)
	require.ErrorIs(t, err, omni.ErrConflict)
	if k.twin != nil {
		twin := k.make(w, 200)
		k.twin(&twin)
		require.ErrorIs(t, k.of(s).Create(ctx, w.tenant, twin), omni.ErrConflict)
	}
	require.NoError(t, k.records(s).Delete(ctx, w.tenant, k.id(won)))
	taken, err := k.records(s).Update(ctx, w.tenant, thief)
	require.NoError(t, err)
	got, err = k.of(s).Find(ctx, w.tenant, won)
	require.NoError(t, err)
	require.Equal(t, taken, got)
	k.clear(t, s, w, kept...)
}

// order is how List sorts two records.
func (k plain[T]) order(a, b T) int {
	if k.kind.Newest {
		a, b = b, a
	}
	ids := cmp.Compare(k.id(a), k.id(b))
	if k.kind.Sort.Text != nil {
		return cmp.Or(cmp.Compare(k.kind.Sort.Text(&a), k.kind.Sort.Text(&b)), ids)
	}
	return cmp.Or(cmp.Compare(k.kind.Sort.Number(&a), k.kind.Sort.Number(&b)), ids)
}

func (k plain[T]) isListed(t *testing.T, s store.Store, w *world) {
	ctx := t.Context()
	var all []T
	for n := range 7 {
		all = append(all, k.made(t, s, w, n+1))
	}
	kept := slices.Clone(all)
	of := k.parent(all[0])
	if k.move != nil {
		elsewhere := k.make(w, 8)
		k.move(&elsewhere)
		require.NoError(t, k.of(s).Create(ctx, w.tenant, elsewhere))
		kept = append(kept, elsewhere)
	}
	slices.SortFunc(all, k.order)
	for size := 1; size <= len(all)+1; size++ {
		got := pages(t, size, func(p store.Page) (store.List[T], error) { return k.of(s).List(ctx, w.tenant, of, p) })
		require.Equal(t, all, got, "pages of %d", size)
	}
	first, err := k.of(s).List(ctx, w.tenant, of, store.Page{Limit: 1})
	require.NoError(t, err)
	b := newWorld(t, s)
	for what, call := range map[string]func(p store.Page) error{
		"another organisation": func(p store.Page) error { _, err := k.of(s).List(ctx, b.tenant, of, p); return err },
		"another list":         func(p store.Page) error { _, err := s.Users(ctx, w.tenant, p); return err },
	} {
		require.ErrorIs(t, call(store.Page{Cursor: first.Next}), omni.ErrInvalid, what)
	}
	if k.kind.Of != nil {
		_, err = k.of(s).List(ctx, w.tenant, omni.NewID(), store.Page{Cursor: first.Next})
		require.ErrorIs(t, err, omni.ErrInvalid)
	}
	k.clear(t, s, w, kept...)
}

func (k plain[T]) isApart(t *testing.T, s store.Store, a, b *world) {
	ctx := t.Context()
	r := k.made(t, s, a, 1)
	_, err := k.of(s).Get(ctx, b.tenant, k.id(r))
	require.ErrorIs(t, err, omni.ErrNotFound)
	_, err = k.of(s).Find(ctx, b.tenant, r)
	require.ErrorIs(t, err, omni.ErrNotFound)
	l, err := k.of(s).List(ctx, b.tenant, k.parent(r), store.Page{})
	require.NoError(t, err)
	require.Empty(t, l.Items)
	require.ErrorIs(t, k.of(s).Create(ctx, b.tenant, k.make(a, 2)), omni.ErrNotFound)
	stolen := r
	k.kind.Meta(&stolen).Tenant.OrganisationID = b.org.ID
	require.ErrorIs(t, k.of(s).Create(ctx, b.tenant, stolen), omni.ErrConflict, "ids are one's own")
	if k.changes() {
		_, err = k.records(s).Update(ctx, b.tenant, stolen)
		require.ErrorIs(t, err, omni.ErrNotFound)
		_, err = k.records(s).Update(ctx, b.tenant, r)
		require.ErrorIs(t, err, omni.ErrNotFound)
		require.ErrorIs(t, k.records(s).Delete(ctx, b.tenant, k.id(r)), omni.ErrNotFound)
	}
	// The same key is another record in another organisation.
	*k.kind.Meta(&stolen).ID = omni.NewID()
	require.NoError(t, k.of(s).Create(ctx, b.tenant, stolen))
	got, err := k.of(s).Get(ctx, a.tenant, k.id(r))
	require.NoError(t, err)
	require.Equal(t, r, got)
	l, err = k.of(s).List(ctx, a.tenant, k.parent(r), store.Page{})
	require.NoError(t, err)
	require.Equal(t, []T{r}, l.Items)
}

// holdsUnderWrites reads the list while records come: those that were there come once each, in order.
func (k plain[T]) holdsUnderWrites(t *testing.T, s store.Store, w *world) {
	ctx := t.Context()
	var there []T
	for n := range 20 {
		there = append(there, k.made(t, s, w, 2*n))
	}
	slices.SortFunc(there, k.order)
	ids := idsOf(there, k.id)
	var stop atomic.Bool
	ended := make(chan error, 1)
	var more []T
	go func() {
		for n := 0; n < few(s, 1000, 25) && !stop.Load(); n++ {
			r := k.make(w, 1001+2*n+2000*rand.N(2))
			if err := k.of(s).Create(ctx, w.tenant, r); err != nil {
				ended <- err
				return
			}
			more = append(more, r)
		}
		ended <- nil
	}()
	for range few(s, 3, 1) {
		var seen []string
		for _, r := range pages(t, 3, func(p store.Page) (store.List[T], error) {
			return k.of(s).List(ctx, w.tenant, k.parent(there[0]), p)
		}) {
			if slices.Contains(ids, k.id(r)) {
				seen = append(seen, k.id(r))
			}
		}
		require.Equal(t, ids, seen)
	}
	stop.Store(true)
	require.NoError(t, <-ended)
	k.clear(t, s, w, there...)
	k.clear(t, s, w, more...)
}

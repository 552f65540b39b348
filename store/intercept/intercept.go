// Package intercept puts something around every call of a store: a deadline, a fault, a measurement.
package intercept

//go:generate go run gen.go

import (
	"context"
	"time"

	"omniservice/store"
)

// Around does something around one call, and returns the error that the caller gets. method is the call's name, as in
// store.Store. It may call do not at all, once, or with another context.
type Around func(ctx context.Context, method string, do func(context.Context) error) error

// Store is a store whose calls go through an Around: all that take a context and may fail. Close does not.
//
// The store is embedded, so that a call which was added to the contract passes until `go generate` knows of it; a test
// notices.
type Store struct {
	store.Store

	around Around
}

// New puts around around the calls of st.
func New(st store.Store, around Around) *Store { return &Store{Store: st, around: around} }

// Unwrap is the store behind it.
func (s *Store) Unwrap() store.Store { return s.Store }

// Deadline is an Around that bounds every call in time but those named in but, which may take as long as their callers
// like. A deadline of the caller's that is earlier holds.
func Deadline(d time.Duration, but ...string) Around {
	free := make(map[string]bool, len(but))
	for _, m := range but {
		free[m] = true
	}
	return func(ctx context.Context, method string, do func(context.Context) error) error {
		if free[method] {
			return do(ctx)
		}
		ctx, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		return do(ctx)
	}
}

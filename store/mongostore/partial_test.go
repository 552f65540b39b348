package mongostore

import (
	"context"

	"omniservice/omni"
	"omniservice/store"
)

type (
	rest    struct{ store.Store }
	partial struct {
		*Store
		rest
	}
)

// whole is s with the aggregates that it does not have yet, which cannot be used.
func whole(s *Store) store.Store { return partial{Store: s} }

func (partial) OpenInteraction(_ context.Context, _ omni.Tenant, want omni.Interaction, _ omni.Millis) (omni.Interaction, store.OpenOutcome, error) {
	return want, store.OpenCreated, nil
}

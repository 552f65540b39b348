package store

import (
	"context"
	"fmt"

	"omniservice/omni"
)

// Deliveries is what waits to be told to webhooks, and for a while what came of it. It spans organisations like Inbox.
type Deliveries interface {
	// PutDeliveries stores ds. One that is there already stays as it is. After an error some may have been stored; the same
	// call again completes it.
	PutDeliveries(ctx context.Context, t omni.Tenant, ds ...omni.WebhookDelivery) error
	// PendingDeliveries returns what may be tried at now in the given partitions: those that have been due the longest
	// first, then by id.
	PendingDeliveries(ctx context.Context, partitions []int, now omni.Millis, limit int) ([]omni.WebhookDelivery, error)
	// SetDelivery stores what came of a try: of d the state, NotBefore, HTTPStatus, Error, TriedAt, Millis and ExpiresAt, and
	// that there was one more. It counts only for a delivery that is pending and was tried d.Attempts times before: else it
	// is omni.ErrConflict, and nothing changes.
	SetDelivery(ctx context.Context, t omni.Tenant, d omni.WebhookDelivery) (omni.WebhookDelivery, error)
	// NextDelivery returns the earliest NotBefore of the given partitions, 0 if nothing waits: at least 1 for what is due at once.
	NextDelivery(ctx context.Context, partitions []int) (omni.Millis, error)
	Delivery(ctx context.Context, t omni.Tenant, id string) (omni.WebhookDelivery, error)
	// ListDeliveries gives the deliveries to a webhook, newest first.
	ListDeliveries(ctx context.Context, t omni.Tenant, webhookID string, p Page) (List[omni.WebhookDelivery], error)
	// ResendDelivery makes one that has ended pending again, due at now and kept until expires. Its attempts stay counted.
	// One that is pending stays as it is.
	ResendDelivery(ctx context.Context, t omni.Tenant, id string, now, expires omni.Millis) (omni.WebhookDelivery, error)
}

// DeliveryPartition is the part of the deliveries that those to a webhook belong to.
func DeliveryPartition(webhookID string) int { return Partition(webhookID) }

// Tried gives the change of a delivery that SetDelivery makes after a try that came to what result says. It is ErrConflict
// where that try is not the one that is waited for.
func Tried(result omni.WebhookDelivery) func(d *omni.WebhookDelivery) (changed bool, err error) {
	return func(d *omni.WebhookDelivery) (bool, error) {
		if d.State != omni.DeliveryPending || d.Attempts != result.Attempts {
			return false, fmt.Errorf("it is not waiting for its try %d: %w", result.Attempts+1, omni.ErrConflict)
		}
		d.Attempts++
		d.State, d.NotBefore, d.HTTPStatus, d.Error = result.State, result.NotBefore, result.HTTPStatus, result.Error
		d.TriedAt, d.Millis, d.ExpiresAt = result.TriedAt, result.Millis, result.ExpiresAt
		return true, nil
	}
}

// Resent gives the change of a delivery that ResendDelivery makes: none where it waits already.
func Resent(now, expires omni.Millis) func(d *omni.WebhookDelivery) (changed bool, err error) {
	return func(d *omni.WebhookDelivery) (bool, error) {
		if d.State == omni.DeliveryPending {
			return false, nil
		}
		d.State, d.NotBefore, d.ExpiresAt = omni.DeliveryPending, now, expires
		return true, nil
	}
}

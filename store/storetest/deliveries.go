package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

func (w *world) delivery(webhookID string, created omni.Millis) omni.WebhookDelivery {
	return omni.WebhookDelivery{
		ID: omni.NewID(), Tenant: omni.Org(w.org.ID), WebhookID: webhookID, EventID: omni.NewID(), Event: "message.created",
		Body: `{"id":"1"}`, State: omni.DeliveryPending, CreatedAt: created, ExpiresAt: created + 1_000_000,
		SchemaVersion: omni.CurrentSchema,
	}
}

func deliveryID(d omni.WebhookDelivery) string { return d.ID }

func deliveriesAreQueued(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	due := func(partitions []int, now omni.Millis, limit int) []string {
		t.Helper()
		all, err := s.PendingDeliveries(ctx, partitions, now, limit)
		require.NoError(t, err)
		return idsOf(all, deliveryID)
	}
	next := func(partitions []int) omni.Millis {
		t.Helper()
		at, err := s.NextDelivery(ctx, partitions)
		require.NoError(t, err)
		return at
	}
	require.Empty(t, due(allPartitions(), base, 10))
	require.Zero(t, next(allPartitions()))

	hook := omni.NewID()
	full := filled(func(d *omni.WebhookDelivery) {
		d.Tenant.OrganisationID, d.WebhookID, d.State, d.Body, d.NotBefore = w.org.ID, hook, omni.DeliveryPending, `[1,"ü"]`, base+5
	})
	require.NoError(t, s.PutDeliveries(ctx, w.tenant, full))
	got, err := s.Delivery(ctx, w.tenant, full.ID)
	require.NoError(t, err)
	require.Equal(t, full, got)
	l, err := s.ListDeliveries(ctx, w.tenant, hook, store.Page{})
	require.NoError(t, err)
	require.Equal(t, []omni.WebhookDelivery{full}, l.Items)
	pending, err := s.PendingDeliveries(ctx, []int{store.DeliveryPartition(hook)}, base+5, 10)
	require.NoError(t, err)
	require.Equal(t, []omni.WebhookDelivery{full}, pending)

	a, b := w.delivery(hook, base), w.delivery(hook, base+1)
	require.NoError(t, s.PutDeliveries(ctx, w.tenant, a, b))
	other := w.delivery(hook, base+1)
	changed := a
	changed.Event = "another"
	require.NoError(t, s.PutDeliveries(ctx, w.tenant, changed, other), "one that is there stays as it is")
	got, err = s.Delivery(ctx, w.tenant, a.ID)
	require.NoError(t, err)
	require.Equal(t, a, got)

	part := []int{store.DeliveryPartition(hook)}
	require.Equal(t, []string{a.ID, b.ID, other.ID}, due(part, base, 10), "by id, which is by age here")
	require.Equal(t, []string{a.ID, b.ID, other.ID, full.ID}, due(allPartitions(), base+5, 10))
	require.Equal(t, []string{a.ID, b.ID}, due(part, base+5, 2))
	require.Empty(t, due([]int{(part[0] + 1) % store.Partitions}, base+5, 10))
	require.Equal(t, omni.Millis(1), next(part))
	require.Zero(t, next([]int{(part[0] + 1) % store.Partitions}))

	// A try that failed, and one that did not.
	a.State, a.NotBefore, a.HTTPStatus, a.Error, a.TriedAt, a.Millis = omni.DeliveryPending, base+60, 503, "it says: busy", base+10, 42
	set, err := s.SetDelivery(ctx, w.tenant, a)
	require.NoError(t, err)
	a.Attempts = 1
	require.Equal(t, a, set)
	require.Equal(t, []string{b.ID, other.ID, full.ID}, due(part, base+59, 10))
	require.Equal(t, []string{b.ID, other.ID, full.ID, a.ID}, due(part, base+60, 10), "due the longest first")
	b.State, b.HTTPStatus, b.TriedAt, b.ExpiresAt = omni.DeliveryDelivered, 204, base+11, base+2_000_000
	set, err = s.SetDelivery(ctx, w.tenant, b)
	require.NoError(t, err)
	b.Attempts = 1
	require.Equal(t, b, set)
	_, err = s.SetDelivery(ctx, w.tenant, b)
	require.ErrorIs(t, err, omni.ErrConflict, "it has ended")
	stale := a
	stale.Attempts, stale.State = 0, omni.DeliveryFailed
	_, err = s.SetDelivery(ctx, w.tenant, stale)
	require.ErrorIs(t, err, omni.ErrConflict, "an older try")
	_, err = s.SetDelivery(ctx, w.tenant, w.delivery(hook, base))
	require.ErrorIs(t, err, omni.ErrNotFound)

	// Of two who have tried the same one counts.
	_, errs := atOnce(16, func(n int) (omni.WebhookDelivery, error) {
		d := other
		d.State, d.HTTPStatus = omni.DeliveryFailed, 400+n
		return s.SetDelivery(ctx, w.tenant, d)
	})
	won := oneWins(t, errs, omni.ErrConflict)
	got, err = s.Delivery(ctx, w.tenant, other.ID)
	require.NoError(t, err)
	require.Equal(t, 400+won, got.HTTPStatus)
	require.Equal(t, 1, got.Attempts)
	require.Equal(t, []string{full.ID, a.ID}, due(part, base+60, 10))

	// By hand, again.
	again, err := s.ResendDelivery(ctx, w.tenant, other.ID, base+30, base+3_000_000)
	require.NoError(t, err)
	got.State, got.NotBefore, got.ExpiresAt = omni.DeliveryPending, base+30, base+3_000_000
	require.Equal(t, got, again)
	again, err = s.ResendDelivery(ctx, w.tenant, other.ID, base+40, base)
	require.NoError(t, err)
	require.Equal(t, got, again, "it waits already")
	require.Equal(t, []string{full.ID, other.ID, a.ID}, due(part, base+60, 10))
	_, err = s.ResendDelivery(ctx, w.tenant, omni.NewID(), base, base)
	require.ErrorIs(t, err, omni.ErrNotFound)
	for _, d := range []omni.WebhookDelivery{full, got, a} {
		d.State = omni.DeliveryDelivered
		_, err := s.SetDelivery(ctx, w.tenant, d)
		require.NoError(t, err)
	}
	require.Zero(t, next(allPartitions()))
}

func deliveriesAreListed(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	hook := omni.NewID()
	for n := range 8 {
		require.NoError(t, s.PutDeliveries(ctx, w.tenant, w.delivery(hook, base+omni.Millis(n/2)), w.delivery(omni.NewID(), base)))
	}
	checkOrder(t, 8, func(a, b [2]string) int { return slices.Compare(b[:], a[:]) }, func(p store.Page) (store.List[omni.WebhookDelivery], error) {
		return s.ListDeliveries(ctx, w.tenant, hook, p)
	}, func(d omni.WebhookDelivery) [2]string { return [2]string{fmt.Sprint(d.CreatedAt), d.ID} })
	l, err := s.ListDeliveries(ctx, w.tenant, hook, store.Page{Limit: 1})
	require.NoError(t, err)
	_, err = s.ListDeliveries(ctx, w.tenant, omni.NewID(), store.Page{Cursor: l.Next})
	require.ErrorIs(t, err, omni.ErrInvalid)

	// One of another organisation keeps all out.
	mine, theirs := w.delivery(hook, base), w.delivery(hook, base)
	theirs.Tenant = omni.Org(omni.NewID())
	require.ErrorIs(t, s.PutDeliveries(ctx, w.tenant, mine, theirs), omni.ErrNotFound)
	_, err = s.Delivery(ctx, w.tenant, mine.ID)
	require.ErrorIs(t, err, omni.ErrNotFound)
	require.NoError(t, s.PutDeliveries(ctx, w.tenant))

	// What has passed its end goes, whatever its state.
	n, err := s.Sweep(ctx, base+999_999)
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = s.Sweep(ctx, base+1_000_001)
	require.NoError(t, err)
	require.Equal(t, 12, n)
	l, err = s.ListDeliveries(ctx, w.tenant, hook, store.Page{})
	require.NoError(t, err)
	require.Len(t, l.Items, 4)
}

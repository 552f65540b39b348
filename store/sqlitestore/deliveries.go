package sqlitestore

import (
	"context"
	"encoding/json"
	"fmt"

	"omniservice/omni"
	"omniservice/store"
)

// deliveryArgs are the values of all columns of a delivery.
func deliveryArgs(d omni.WebhookDelivery) ([]any, error) {
	doc, err := json.Marshal(d)
	return []any{
		d.ID, d.Tenant.OrganisationID, d.WebhookID, store.DeliveryPartition(d.WebhookID), string(d.State), int64(d.NotBefore),
		int64(d.CreatedAt), int64(d.ExpiresAt), doc,
	}, err
}

// PutDeliveries implements store.Store.
func (s *Store) PutDeliveries(ctx context.Context, t omni.Tenant, ds ...omni.WebhookDelivery) error {
	rows := make([][]any, 0, len(ds))
	for _, d := range ds {
		if d.Tenant.OrganisationID != t.OrganisationID {
			return fmt.Errorf("put delivery %s: %w", d.ID, omni.ErrNotFound)
		}
		args, err := deliveryArgs(d)
		if err != nil {
			return fmt.Errorf("put delivery %s: %w", d.ID, err)
		}
		rows = append(rows, args)
	}
	err := writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		for _, args := range rows {
			n, err := c.exec(ctx, sqlDeliveryPut, args...)
			if err != nil {
				return err
			}
			if n > 0 {
				continue
			}
			if _, err := queryOne(ctx, c, sqlDelivery, scanBytes, args[0], t.OrganisationID); err != nil {
				return omni.ErrConflict // another organisation's
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("put deliveries: %w", err)
	}
	return nil
}

// PendingDeliveries implements store.Store.
func (s *Store) PendingDeliveries(ctx context.Context, partitions []int, now omni.Millis, limit int) ([]omni.WebhookDelivery, error) {
	all, err := read(ctx, s, func(ctx context.Context, c *conn) ([]omni.WebhookDelivery, error) {
		return queryAll(ctx, c, sqlDeliveriesDue, scanDoc[omni.WebhookDelivery], mask(partitions), int64(now), limit)
	})
	if err != nil {
		return nil, fmt.Errorf("list pending deliveries: %w", err)
	}
	return all, nil
}

// NextDelivery implements store.Store.
func (s *Store) NextDelivery(ctx context.Context, partitions []int) (omni.Millis, error) {
	all, err := read(ctx, s, func(ctx context.Context, c *conn) ([]int64, error) {
		return queryAll(ctx, c, sqlDeliveryNext, scanInt, mask(partitions))
	})
	if err != nil {
		return 0, fmt.Errorf("find next delivery: %w", err)
	}
	if len(all) == 0 {
		return 0, nil
	}
	return max(omni.Millis(all[0]), 1), nil
}

// changeDelivery reads a delivery, has it changed, and stores it if change says so.
func (s *Store) changeDelivery(ctx context.Context, op string, t omni.Tenant, id string,
	change func(d *omni.WebhookDelivery) (bool, error),
) (omni.WebhookDelivery, error) {
	d, err := write(ctx, s, func(ctx context.Context, c *conn) (omni.WebhookDelivery, error) {
		d, err := queryOne(ctx, c, sqlDelivery, scanDoc[omni.WebhookDelivery], id, t.OrganisationID)
		if err != nil {
			return d, err
		}
		if changed, err := change(&d); err != nil || !changed {
			return d, err
		}
		doc, err := json.Marshal(d)
		if err != nil {
			return d, err
		}
		_, err = c.exec(ctx, sqlDeliverySet, id, t.OrganisationID, string(d.State), int64(d.NotBefore), int64(d.ExpiresAt), doc)
		return d, err
	})
	if err != nil {
		return omni.WebhookDelivery{}, fmt.Errorf("%s %s: %w", op, id, err)
	}
	return d, nil
}

// SetDelivery implements store.Store.
func (s *Store) SetDelivery(ctx context.Context, t omni.Tenant, d omni.WebhookDelivery) (omni.WebhookDelivery, error) {
	return s.changeDelivery(ctx, "set delivery", t, d.ID, store.Tried(d))
}

// ResendDelivery implements store.Store.
func (s *Store) ResendDelivery(ctx context.Context, t omni.Tenant, id string, now, expires omni.Millis) (omni.WebhookDelivery, error) {
	return s.changeDelivery(ctx, "resend delivery", t, id, store.Resent(now, expires))
}

// Delivery implements store.Store.
func (s *Store) Delivery(ctx context.Context, t omni.Tenant, id string) (omni.WebhookDelivery, error) {
	return door(ctx, s, "delivery "+id, sqlDelivery, scanDoc[omni.WebhookDelivery], id, t.OrganisationID)
}

// ListDeliveries implements store.Store.
func (s *Store) ListDeliveries(ctx context.Context, t omni.Tenant, webhookID string, p store.Page) (store.List[omni.WebhookDelivery], error) {
	return page(ctx, s, "deliveries "+t.OrganisationID+" "+webhookID, sqlDeliveries, scanDoc[omni.WebhookDelivery], p, firstNewest,
		func(d omni.WebhookDelivery) key { return key{number: int64(d.CreatedAt), id: d.ID} }, t.OrganisationID, webhookID)
}

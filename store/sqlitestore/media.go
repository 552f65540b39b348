package sqlitestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"omniservice/omni"
	"omniservice/store"
)

func scanMedia(r scanner) (q queued[store.MediaItem], err error) {
	var index, attempts int64
	err = scanMessageAnd(r, &q.item.Message, &q.seq, &index, &attempts, (*int64)(&q.item.NotBefore))
	q.item.Index, q.item.Attempts = int(index), int(attempts)
	return q, err
}

// PendingMedia implements store.Store.
func (s *Store) PendingMedia(ctx context.Context, partitions []int, now omni.Millis, limit int) ([]store.MediaItem, error) {
	items, err := oldest(ctx, s, sqlMediaNew, sqlMediaRetried, scanMedia, partitions, now, limit,
		func(a, b queued[store.MediaItem]) int {
			return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.item.Index, b.item.Index))
		})
	if err != nil {
		return nil, fmt.Errorf("pending media: %w", err)
	}
	return items, nil
}

// NextMedia implements store.Store.
func (s *Store) NextMedia(ctx context.Context, partitions []int) (omni.Millis, error) {
	at, err := read(ctx, s, func(ctx context.Context, c *conn) (int64, error) {
		return queryOne(ctx, c, sqlMediaNext, scanInt, mask(partitions))
	})
	switch {
	case errors.Is(err, omni.ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("next media: %w", err)
	}
	return omni.Millis(max(at, 1)), nil
}

// SetMedia implements store.Store.
func (s *Store) SetMedia(ctx context.Context, t omni.Tenant, messageID string, index int, ref omni.MediaReference, notBefore omni.Millis) (omni.ServiceMessage, error) {
	m, err := write(ctx, s, func(ctx context.Context, c *conn) (omni.ServiceMessage, error) {
		m, err := queryOne(ctx, c, sqlMessage, scanMessage, messageID, t.OrganisationID)
		if err != nil {
			return m, err
		}
		var n int64
		if ref.State == omni.MediaPending {
			n, err = c.exec(ctx, sqlMediaRetry, messageID, t.OrganisationID, index, int64(notBefore))
		} else {
			n, err = c.exec(ctx, sqlMediaTake, messageID, t.OrganisationID, index)
		}
		switch {
		case err != nil:
			return m, err
		case n == 0:
			return m, fmt.Errorf("file %d does not wait to be fetched: %w", index, omni.ErrConflict)
		case ref.State == omni.MediaPending:
			return m, nil
		}
		m.Payload = withFile(m.Payload, index, ref)
		doc, err := messageDoc(m)
		if err != nil {
			return m, err
		}
		_, err = c.exec(ctx, sqlMessageDoc, messageID, t.OrganisationID, doc)
		return m, err
	})
	if err != nil {
		return omni.ServiceMessage{}, fmt.Errorf("set media of message %s: %w", messageID, err)
	}
	return m, nil
}

// withFile is p with another file at index, as Files counts.
func withFile(p omni.MessagePayload, index int, ref omni.MediaReference) omni.MessagePayload {
	if p.Image != nil {
		if index < len(p.Image.References) {
			refs := slices.Clone(p.Image.References)
			refs[index] = ref
			p.Image = &omni.ImageMessage{References: refs}
			return p
		}
		index -= len(p.Image.References)
	}
	p.Media = slices.Clone(p.Media)
	p.Media[index] = omni.MediaMessage{Type: ref.Type, Reference: ref}
	return p
}

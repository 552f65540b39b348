package mongostore

import (
	"context"
	"fmt"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"omniservice/omni"
	"omniservice/store"
)

// fetchState is the duty to fetch files of a message: a part of the message, like outboxState.
type fetchState struct {
	Partition int         `bson:"partition"`
	Order     int64       `bson:"order"`
	At        omni.Millis `bson:"at"`  // the earliest NotBefore of its files
	Rev       int64       `bson:"rev"` // counts changes: an update holds it in its filter
	Files     []fetchFile `bson:"files"`
}

type fetchFile struct {
	Index     int         `bson:"index"`
	Attempts  int         `bson:"attempts"`
	NotBefore omni.Millis `bson:"notBefore"`
}

var mediaQueue = queue{coll: collMessages, partition: "fetch.partition", at: "fetch.at", order: "fetch.order"}

// PendingMedia implements store.Store.
func (s *Store) PendingMedia(ctx context.Context, partitions []int, now omni.Millis, limit int) ([]store.MediaItem, error) {
	partitions = validPartitions(partitions)
	if len(partitions) == 0 || limit <= 0 {
		return nil, nil
	}
	items, err := run(ctx, s, func(ctx context.Context) ([]store.MediaItem, error) {
		docs, err := due(ctx, s, mediaQueue, partitions, now, limit, func(a, b messageDoc) int {
			return byOrder(a.Fetch.Order, b.Fetch.Order, a.ID, b.ID)
		})
		if err != nil {
			return nil, err
		}
		var items []store.MediaItem
		for _, d := range docs {
			for _, f := range d.Fetch.Files {
				if f.NotBefore <= now && len(items) < limit {
					items = append(items, store.MediaItem{Message: d.ServiceMessage, Index: f.Index, Attempts: f.Attempts, NotBefore: f.NotBefore})
				}
			}
		}
		return items, nil
	})
	if err != nil {
		return nil, fmt.Errorf("pending media: %w", err)
	}
	return items, nil
}

// NextMedia implements store.Store.
func (s *Store) NextMedia(ctx context.Context, partitions []int) (omni.Millis, error) {
	at, err := nextAt(ctx, s, mediaQueue, partitions)
	if err != nil {
		return 0, fmt.Errorf("next media: %w", err)
	}
	return at, nil
}

// SetMedia implements store.Store: one update of the message, which changes the file and the duty together. Its filter holds
// the revision of the duty, so that of calls at the same instant each sees what the one before left.
func (s *Store) SetMedia(ctx context.Context, t omni.Tenant, messageID string, index int, ref omni.MediaReference, notBefore omni.Millis) (omni.ServiceMessage, error) {
	m, err := run(ctx, s, func(ctx context.Context) (m omni.ServiceMessage, err error) {
		c := s.coll(collMessages)
		for range maxRaces {
			d, err := one[messageDoc](ctx, c, named(t, messageID))
			if err != nil {
				return m, err
			}
			next, ok := d.Fetch.with(index, ref, notBefore)
			if !ok {
				return m, fmt.Errorf("file %d does not wait to be fetched: %w", index, omni.ErrConflict)
			}
			var fields bson.D
			if ref.State != omni.MediaPending {
				d.Payload = withFile(d.Payload, index, ref)
				fields = append(fields, bson.E{Key: "payload", Value: d.Payload}, bson.E{Key: fieldTerms, Value: messageTerms(d.ServiceMessage)}, news())
			}
			var update bson.D
			if len(next.Files) == 0 {
				update = bson.D{{Key: "$unset", Value: bson.D{{Key: fieldFetch, Value: ""}}}}
			} else {
				fields = append(fields, bson.E{Key: fieldFetch, Value: next})
			}
			res, err := c.UpdateOne(ctx, with(named(t, messageID), append(unedited(d), bson.E{Key: "fetch.rev", Value: d.Fetch.Rev})...),
				append(update, bson.E{Key: "$set", Value: fields}))
			if err != nil || res.MatchedCount > 0 {
				return d.ServiceMessage, err
			}
		}
		return m, errRaced
	})
	if err != nil {
		return omni.ServiceMessage{}, fmt.Errorf("set media of message %s: %w", messageID, err)
	}
	return m, nil
}

// with is the duty once ref came of trying to fetch the file at index; false if that does not wait.
func (f *fetchState) with(index int, ref omni.MediaReference, notBefore omni.Millis) (fetchState, bool) {
	if f == nil {
		return fetchState{}, false
	}
	n := slices.IndexFunc(f.Files, func(o fetchFile) bool { return o.Index == index })
	if n < 0 {
		return fetchState{}, false
	}
	next := *f
	next.Rev++
	next.Files = slices.Clone(f.Files)
	if ref.State == omni.MediaPending {
		next.Files[n].Attempts++
		next.Files[n].NotBefore = notBefore
	} else {
		next.Files = slices.Delete(next.Files, n, n+1)
	}
	for i, o := range next.Files {
		if i == 0 || o.NotBefore < next.At {
			next.At = o.NotBefore
		}
	}
	return next, true
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

package mongostore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"omniservice/omni"
	"omniservice/store"
)

// outboxState is the duty to send a message: a part of the message, and so stored with it in one write. It goes in the
// write that settles the message.
//
// Of one recipient only the oldest may be sent. No mark says which one that is: it is the first in an index, and so it is right
// at every moment, whatever was cut off. Only where very many wait behind others are these parked, so that a look into
// the queue does not have to pass them all.
type outboxState struct {
	Partition int    `bson:"partition"`
	Recipient string `bson:"recipient"` // organisation, channel and address
	Order     int64  `bson:"order"`     // messageDoc.Order
	// At is when it is looked at: 0 at once; else NotBefore, or SendingAt if that is set. One that is parked behind others of
	// its recipient has a negative At: promote lets it through, and at -At it is looked at again in any case.
	At        omni.Millis `bson:"at"`
	Attempts  int         `bson:"attempts"`
	NotBefore omni.Millis `bson:"notBefore"`
	SendingAt omni.Millis `bson:"sendingAt"`
}

var outboxQueue = queue{coll: collMessages, partition: "outbox.partition", at: "outbox.at", order: "outbox.order", parks: true}

// parkFor is how long one that waits behind others is not looked at, should nobody let it through.
const parkFor = 30 * time.Second

// inOutbox finds the message with an id if it waits to go out.
func inOutbox(t omni.Tenant, id string) bson.D {
	return with(named(t, id), bson.E{Key: "outbox.order", Value: bson.D{{Key: "$gt", Value: int64(0)}}})
}

func recipientOf(m omni.ServiceMessage) string {
	return m.Tenant.OrganisationID + "|" + m.Channel.DigitalChannelID + "|" + m.To.Address
}

func compareOutbox(a, b messageDoc) int {
	return byOrder(a.Outbox.Order, b.Outbox.Order, a.ID, b.ID)
}

func idOf(d messageDoc) string { return d.ID }

// each maps values.
func each[T, V any](all []T, f func(T) V) []V {
	out := make([]V, 0, len(all))
	for _, v := range all {
		out = append(out, f(v))
	}
	return out
}

// distinct are the values that f gives, each once.
func distinct[T any](all []T, f func(T) string) []string {
	return slices.Compact(slices.Sorted(slices.Values(each(all, f))))
}

// PendingOutbox implements store.Store. Where fewer messages wait than are asked for, it is three reads.
func (s *Store) PendingOutbox(ctx context.Context, partitions []int, now omni.Millis, limit int) ([]store.OutboxItem, error) {
	partitions = validPartitions(partitions)
	if len(partitions) == 0 || limit <= 0 {
		return nil, nil
	}
	items, err := run(ctx, s, func(ctx context.Context) ([]store.OutboxItem, error) {
		for {
			docs, err := due(ctx, s, outboxQueue, partitions, now, limit, compareOutbox)
			if err != nil {
				return nil, err
			}
			heads, behind, err := s.heads(ctx, docs)
			if err != nil {
				return nil, err
			}
			// A full answer without enough heads may keep others from being seen.
			if len(docs) < limit || len(heads) == limit || len(behind) == 0 {
				return each(heads, outboxItem), nil
			}
			parked, err := s.park(ctx, behind, now)
			if err != nil || parked == 0 {
				return each(heads, outboxItem), err
			}
		}
	})
	if err != nil {
		return nil, fmt.Errorf("pending outbox: %w", err)
	}
	return items, nil
}

func outboxItem(d messageDoc) store.OutboxItem {
	return store.OutboxItem{
		Message: d.ServiceMessage, Attempts: d.Outbox.Attempts, NotBefore: d.Outbox.NotBefore, SendingAt: d.Outbox.SendingAt,
		Partition: d.Outbox.Partition,
	}
}

// heads parts messages of the outbox into those that are the oldest of their recipients and those behind others.
func (s *Store) heads(ctx context.Context, docs []messageDoc) (heads, behind []messageDoc, err error) {
	if len(docs) == 0 {
		return nil, nil, nil
	}
	// All that this asks for is in the index.
	waiting, err := all[messageDoc](ctx, s.coll(collMessages),
		bson.D{{Key: "outbox.recipient", Value: in(distinct(docs, func(d messageDoc) string { return d.Outbox.Recipient }))}},
		options.Find().SetProjection(bson.D{{Key: "_id", Value: 0}, {Key: "outbox.recipient", Value: 1}, {Key: "outbox.order", Value: 1}}))
	if err != nil {
		return nil, nil, err
	}
	oldest := map[string]int64{}
	for _, w := range waiting {
		if first, ok := oldest[w.Outbox.Recipient]; !ok || w.Outbox.Order < first {
			oldest[w.Outbox.Recipient] = w.Outbox.Order
		}
	}
	for _, d := range docs {
		first, ok := oldest[d.Outbox.Recipient]
		switch {
		case !ok: // it has left since
		case d.Outbox.Order <= first:
			heads = append(heads, d)
		default:
			behind = append(behind, d)
		}
	}
	return heads, behind, nil
}

// park takes messages behind others out of sight and says how many. One whose turn came in the meantime is brought back:
// whoever took the message before it out of the outbox did so either by now, and then heads sees it here, or will look for
// parked ones afterwards.
func (s *Store) park(ctx context.Context, behind []messageDoc, now omni.Millis) (int64, error) {
	c := s.coll(collMessages)
	these := func(docs []messageDoc) bson.D {
		return bson.D{
			{Key: fieldOrg, Value: in(distinct(docs, func(d messageDoc) string { return d.Org }))},
			{Key: "_id", Value: in(each(docs, idOf))},
			{Key: "outbox.at", Value: bson.D{{Key: "$lte", Value: int64(0)}}},
			{Key: "outbox.sendingAt", Value: int64(0)},
		}
	}
	res, err := c.UpdateMany(ctx, these(behind), set(bson.E{Key: "outbox.at", Value: -now.Add(parkFor)}))
	if err != nil {
		return 0, err
	}
	free, _, err := s.heads(ctx, behind)
	if err == nil && len(free) > 0 {
		_, err = c.UpdateMany(ctx, these(free), set(bson.E{Key: "outbox.at", Value: int64(0)}))
	}
	return res.ModifiedCount, err
}

// promote lets the oldest parked message of a recipient through, once another one has left the outbox. If it is not called,
// because a node ended before, nothing is lost but time: see outboxState.At.
func (s *Store) promote(ctx context.Context, t omni.Tenant, recipient string) error {
	err := s.coll(collMessages).FindOneAndUpdate(ctx,
		of(t, bson.E{Key: "outbox.recipient", Value: recipient}, bson.E{Key: "outbox.at", Value: bson.D{{Key: "$lt", Value: int64(0)}}}),
		set(bson.E{Key: "outbox.at", Value: int64(0)}),
		options.FindOneAndUpdate().SetSort(bson.D{{Key: "outbox.order", Value: 1}})).Err()
	if errors.Is(err, mongo.ErrNoDocuments) {
		return nil
	}
	return err
}

// nextAtOnce is how many messages NextOutbox looks at together.
const nextAtOnce = 64

// NextOutbox implements store.Store.
func (s *Store) NextOutbox(ctx context.Context, partitions []int) (omni.Millis, error) {
	partitions = validPartitions(partitions)
	if len(partitions) == 0 {
		return 0, nil
	}
	at, err := run(ctx, s, func(ctx context.Context) (omni.Millis, error) {
		for skip := int64(0); ; skip += nextAtOnce {
			docs, err := all[messageDoc](ctx, s.coll(collMessages),
				bson.D{
					{Key: "outbox.partition", Value: in(partitions)},
					{Key: "outbox.at", Value: bson.D{{Key: "$gte", Value: int64(0)}}},
					{Key: "outbox.sendingAt", Value: int64(0)},
				},
				options.Find().SetSort(bson.D{{Key: "outbox.at", Value: 1}}).SetSkip(skip).SetLimit(nextAtOnce).
					SetProjection(bson.D{{Key: fieldOutbox, Value: 1}}))
			if err != nil || len(docs) == 0 {
				return 0, err
			}
			heads, _, err := s.heads(ctx, docs)
			if err != nil {
				return 0, err
			}
			if len(heads) > 0 {
				return max(heads[0].Outbox.At, 1), nil
			}
		}
	})
	if err != nil {
		return 0, fmt.Errorf("next outbox: %w", err)
	}
	return at, nil
}

// MarkSending implements store.Store: one conditional update. A call whose answer was lost is a conflict when it is repeated,
// and what it began is found in the outbox as interrupted: it is not sent twice.
//
// It also sees to it that the interaction shows the message: whoever appended it may have ended before.
func (s *Store) MarkSending(ctx context.Context, t omni.Tenant, messageID string, at omni.Millis) error {
	err := runOnly(ctx, s, func(ctx context.Context) error {
		c := s.coll(collMessages)
		m, err := after[messageDoc](ctx, c, with(inOutbox(t, messageID), bson.E{Key: "outbox.sendingAt", Value: int64(0)}),
			set(bson.E{Key: "outbox.sendingAt", Value: at}, bson.E{Key: "outbox.at", Value: max(at, 1)}))
		if err == nil {
			return s.seeFolded(ctx, t, m.InteractionID, m.Sequence)
		}
		if !errors.Is(err, mongo.ErrNoDocuments) {
			return err
		}
		if _, err := one[bson.Raw](ctx, c, inOutbox(t, messageID), options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}})); err != nil {
			return err
		}
		return fmt.Errorf("a send of it has begun: %w", omni.ErrConflict)
	})
	if err != nil {
		return fmt.Errorf("mark message %s sending: %w", messageID, err)
	}
	return nil
}

// PutOff implements store.Store: one conditional update.
func (s *Store) PutOff(ctx context.Context, t omni.Tenant, messageID string, notBefore omni.Millis) error {
	err := runOnly(ctx, s, func(ctx context.Context) error {
		c := s.coll(collMessages)
		res, err := c.UpdateOne(ctx, with(inOutbox(t, messageID), bson.E{Key: "outbox.sendingAt", Value: int64(0)}),
			set(bson.E{Key: "outbox.notBefore", Value: notBefore}, bson.E{Key: "outbox.at", Value: notBefore}))
		if err != nil || res.MatchedCount > 0 {
			return err
		}
		if _, err := one[bson.Raw](ctx, c, inOutbox(t, messageID), options.FindOne().SetProjection(bson.D{{Key: "_id", Value: 1}})); err != nil {
			return err
		}
		return fmt.Errorf("a send of it has begun: %w", omni.ErrConflict)
	})
	if err != nil {
		return fmt.Errorf("put message %s off: %w", messageID, err)
	}
	return nil
}

// MarkSent implements store.Store, in steps of which each may be the last one done:
//
//  1. One update stores the status, the carrier's id and the segments. The message is still in the outbox, as one whose send
//     was interrupted: whoever finds it there settles it, by MarkSent again or by MarkEnded, which leaves the higher status.
//  2. Statuses that came before the carrier's id are applied. From step 1 on ApplyStatus finds the message by that id.
//  3. The message leaves the outbox.
//  4. The recipient's next one is let through (see promote).
func (s *Store) MarkSent(ctx context.Context, t omni.Tenant, messageID, carrierMessageID string, segments int, d omni.DeliveryStatus) (omni.ServiceMessage, error) {
	m, err := run(ctx, s, func(ctx context.Context) (omni.ServiceMessage, error) {
		m, err := s.storeSent(ctx, t, messageID, carrierMessageID, segments, d)
		if err != nil {
			return m, err
		}
		if m.CarrierMessageID != "" {
			if _, err := s.takeEarly(ctx, t, m); err != nil {
				return m, err
			}
		}
		return s.leaveOutbox(ctx, t, messageID)
	})
	if err != nil {
		return omni.ServiceMessage{}, fmt.Errorf("mark message %s sent: %w", messageID, err)
	}
	return m, nil
}

// storeSent is step 1 of MarkSent. As a rule it is one update; a message that has a carrier's id or a higher status already, or
// whose carrier's id another one has, takes more.
func (s *Store) storeSent(ctx context.Context, t omni.Tenant, id, carrierID string, segments int, d omni.DeliveryStatus) (omni.ServiceMessage, error) {
	c := s.coll(collMessages)
	lower, fields, push := statusUpdate(d)
	if segments > 0 {
		fields = append(fields, bson.E{Key: "segments", Value: segments})
	}
	if carrierID != "" {
		without := with(named(t, id), lower, bson.E{Key: fieldCarrierKey, Value: carrierKey(id, "")})
		m, err := after[omni.ServiceMessage](ctx, c, without, bson.D{{Key: "$set", Value: with(fields,
			bson.E{Key: "carrierMessageId", Value: carrierID}, bson.E{Key: fieldCarrierKey, Value: carrierKey(id, carrierID)})}, push})
		if !errors.Is(raced(err), errRaced) {
			return m, err
		}
	}
	m, err := after[omni.ServiceMessage](ctx, c, with(named(t, id), lower), bson.D{{Key: "$set", Value: fields}, push})
	if errors.Is(err, mongo.ErrNoDocuments) {
		m, err = one[omni.ServiceMessage](ctx, c, named(t, id))
		if err == nil && segments > 0 && m.Segments != segments {
			m, err = after[omni.ServiceMessage](ctx, c, named(t, id), set(bson.E{Key: "segments", Value: segments}, news()))
		}
	}
	if err != nil || carrierID == "" {
		return m, err
	}
	return s.takeCarrierID(ctx, t, m, carrierID)
}

// leaveOutbox takes a message out of the outbox, lets the recipient's next one through, and gives the message as it is then.
func (s *Store) leaveOutbox(ctx context.Context, t omni.Tenant, id string) (omni.ServiceMessage, error) {
	var before messageDoc
	err := s.coll(collMessages).FindOneAndUpdate(ctx, named(t, id), bson.D{leavesOutbox},
		options.FindOneAndUpdate().SetReturnDocument(options.Before)).Decode(&before)
	if err == nil && before.Outbox != nil {
		err = s.promote(ctx, t, before.Outbox.Recipient)
	}
	return before.ServiceMessage, err
}

// MarkRetry implements store.Store: one update whose filter holds the number of failures so far. A call whose answer was lost
// counts twice when it is repeated.
func (s *Store) MarkRetry(ctx context.Context, t omni.Tenant, messageID string, notBefore omni.Millis, d omni.DeliveryStatus) error {
	err := runOnly(ctx, s, func(ctx context.Context) error {
		c := s.coll(collMessages)
		for range maxRaces {
			m, err := one[messageDoc](ctx, c, named(t, messageID))
			if err != nil {
				return err
			}
			if m.Outbox == nil {
				return fmt.Errorf("it has left the outbox: %w", omni.ErrConflict)
			}
			next := *m.Outbox
			next.Attempts, next.NotBefore, next.SendingAt, next.At = m.Outbox.Attempts+1, notBefore, 0, notBefore
			fields := bson.D{{Key: fieldOutbox, Value: next}}
			var update bson.D
			// The status stays queued; agents see from reason and history why it has not gone. The same again adds nothing.
			if m.Reason != d.Reason || m.ErrorCode != d.ErrorCode {
				fields = append(fields, bson.E{Key: "reason", Value: d.Reason}, bson.E{Key: "errorCode", Value: d.ErrorCode}, news())
				update = bson.D{{Key: "$push", Value: bson.D{{Key: "statusHistory", Value: d}}}}
			}
			res, err := c.UpdateOne(ctx, with(inOutbox(t, messageID), bson.E{Key: "outbox.attempts", Value: m.Outbox.Attempts}),
				append(update, bson.E{Key: "$set", Value: fields}))
			if err != nil || res.MatchedCount > 0 {
				return err
			}
		}
		return errRaced
	})
	if err != nil {
		return fmt.Errorf("mark message %s for retry: %w", messageID, err)
	}
	return nil
}

// MarkEnded implements store.Store. One update gives the status and takes the message out of the outbox. A message that has a
// carrier's id and still is in the outbox is one whose MarkSent was cut off: its steps 2 and 3 are done first.
func (s *Store) MarkEnded(ctx context.Context, t omni.Tenant, messageID string, d omni.DeliveryStatus) (omni.ServiceMessage, error) {
	m, err := run(ctx, s, func(ctx context.Context) (omni.ServiceMessage, error) {
		m, err := one[messageDoc](ctx, s.coll(collMessages), named(t, messageID))
		if err != nil {
			return m.ServiceMessage, err
		}
		if m.Outbox != nil && m.CarrierMessageID != "" {
			if _, err := s.takeEarly(ctx, t, m.ServiceMessage); err != nil {
				return m.ServiceMessage, err
			}
		}
		before, err := s.moveStatus(ctx, named(t, messageID), d, true)
		switch {
		case errors.Is(err, mongo.ErrNoDocuments):
			return s.leaveOutbox(ctx, t, messageID)
		case err != nil:
			return before.ServiceMessage, err
		case before.Outbox != nil:
			err = s.promote(ctx, t, before.Outbox.Recipient)
		}
		return changed(before.ServiceMessage, d), err
	})
	if err != nil {
		return omni.ServiceMessage{}, fmt.Errorf("mark message %s ended: %w", messageID, err)
	}
	return m, nil
}

// Requeue implements store.Store: one update, whose filter holds what the message is. A call whose answer was lost is a
// conflict when it is repeated.
func (s *Store) Requeue(ctx context.Context, t omni.Tenant, messageID string, d omni.DeliveryStatus) (omni.ServiceMessage, error) {
	m, err := run(ctx, s, func(ctx context.Context) (omni.ServiceMessage, error) {
		c := s.coll(collMessages)
		had, err := one[messageDoc](ctx, c, named(t, messageID))
		if err != nil {
			return omni.ServiceMessage{}, err
		}
		_, fields, push := statusUpdate(d)
		order := s.stamps.next(had.Order)
		m, err := after[omni.ServiceMessage](ctx, c,
			with(named(t, messageID), bson.E{Key: "status", Value: in([]omni.Status{omni.StatusFailed, omni.StatusUndeliverable})},
				bson.E{Key: "outbox.order", Value: nil}),
			bson.D{
				{Key: "$set", Value: with(fields, bson.E{Key: fieldCarrierKey, Value: carrierKey(messageID, "")},
					bson.E{Key: fieldOutbox, Value: outboxState{
						Partition: store.OutboxPartition(had.ServiceMessage), Recipient: recipientOf(had.ServiceMessage), Order: order,
					}})},
				{Key: "$unset", Value: bson.D{{Key: "carrierMessageId", Value: ""}}},
				push,
			})
		if errors.Is(err, mongo.ErrNoDocuments) {
			err = fmt.Errorf("it is not failed, or waits to go out: %w", omni.ErrConflict)
		}
		return m, err
	})
	if err != nil {
		return omni.ServiceMessage{}, fmt.Errorf("requeue message %s: %w", messageID, err)
	}
	return m, nil
}

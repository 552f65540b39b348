package mongostore

import (
	"cmp"
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

const (
	fieldChannel    = "channel.digitalChannelId"
	fieldCarrierKey = "carrierKey"
	fieldClientKey  = "clientKey"
	fieldRank       = "statusRank"
	fieldOutbox     = "outbox"
	fieldFetch      = "fetch"
)

// messageDoc is a message as it is stored, with its duties: to be sent, and to have its files fetched. So they begin in
// the same write as the message, and end in the same write as what ends them.
type messageDoc struct {
	omni.ServiceMessage `bson:",inline"`

	Org string `bson:"organisationId"`
	// CarrierKey and ClientKey make the ids of carrier and client unique. Messages without one have their own id there, so
	// that the unique indexes need no exceptions.
	CarrierKey string `bson:"carrierKey"`
	ClientKey  string `bson:"clientKey"`
	StatusRank int    `bson:"statusRank"` // of Status, so that an update can ask for a lower one
	// Order is the place among all messages, in microseconds since 1970; greater than that of the message before in its
	// interaction, whatever the clocks of two nodes say.
	Order int64 `bson:"order"`
	// WrittenAt is CreatedAt, or without that ReceivedAt. Terms are what search finds the message by.
	WrittenAt omni.Millis `bson:"writtenAt"`
	Terms     []string    `bson:"terms"`

	Outbox *outboxState `bson:"outbox,omitempty"` // set while the message waits to go out
	Fetch  *fetchState  `bson:"fetch,omitempty"`  // set while files of it wait to be fetched

	News    string `bson:"news,omitempty"`    // see changes.go
	Changed int64  `bson:"changed,omitempty"` // number of the newest change; 0: none yet
}

// carrierKey is what is unique of a message in its channel.
func carrierKey(id, carrierMessageID string) string { return keyOr(id, carrierMessageID) }

// clientKey is what is unique of a message in its interaction.
func clientKey(id, clientID string) string { return keyOr(id, clientID) }

// keyOr is another's id, or where there is none our own; the two cannot be taken for each other.
func keyOr(ours, theirs string) string {
	if theirs == "" {
		return "-" + ours
	}
	return "=" + theirs
}

func newMessageDoc(m omni.ServiceMessage, order int64) messageDoc {
	d := messageDoc{
		ServiceMessage: m, Org: m.Tenant.OrganisationID, CarrierKey: carrierKey(m.ID, m.CarrierMessageID),
		ClientKey: clientKey(m.ID, m.ClientID), StatusRank: m.Status.Rank(), Order: order,
		WrittenAt: cmp.Or(m.CreatedAt, m.ReceivedAt), Terms: messageTerms(m), News: omni.NewID(),
	}
	if store.GoesOut(m) {
		d.Outbox = &outboxState{Partition: store.OutboxPartition(m), Recipient: recipientOf(m), Order: order}
	}
	if m.Direction == omni.Inbound {
		for n, f := range m.Payload.Files() {
			if f.State == omni.MediaPending {
				if d.Fetch == nil {
					d.Fetch = &fetchState{Partition: store.MediaPartition(m.ID), Order: order}
				}
				d.Fetch.Files = append(d.Fetch.Files, fetchFile{Index: n})
			}
		}
	}
	return d
}

var messageColls = []collection{
	{name: collMessages, holds: "a message, with its duties to be sent and to have files fetched", shardKey: ascending(fieldOrg), indexes: []index{
		{
			keys: ascending(fieldOrg, "interactionId", "sequence"), unique: true,
			serves: "ListMessages, MarkRead; AppendMessage: one message has a place in its interaction",
		},
		{
			keys: ascending(fieldOrg, "interactionId", fieldClientKey), unique: true,
			serves: "AppendMessage: a client's id is one message's in its interaction",
		},
		{
			keys: ascending(fieldOrg, fieldChannel, fieldCarrierKey), unique: true,
			serves: "AppendMessage, MessageByCarrierID, ApplyStatus: a carrier's id is one message's in its channel",
		},
		{keys: ascending(fieldOrg, fieldTerms, "order", "_id", fieldWrittenAt), serves: "SearchMessages"},
		{
			keys: ascending("outbox.partition", "outbox.at", "outbox.order"), sparse: true,
			serves: "PendingOutbox, NextOutbox",
		},
		{
			keys: ascending("outbox.recipient", "outbox.order", "outbox.at"), sparse: true,
			serves: "PendingOutbox: the oldest of a recipient",
		},
		changedIndex, newsIndex,
		{
			keys: ascending("fetch.partition", "fetch.at", "fetch.order"), sparse: true,
			serves: "PendingMedia, NextMedia",
		},
	}},
	{name: collEarly, holds: "what a carrier said of a message that is not known by its id yet", shardKey: byHash, indexes: []index{ending}},
}

// AppendMessage implements store.Store.
//
// The messages are what counts, and what the interaction says of them follows: it is the fold of the messages up to
// LastSequence, in their order. To append is
//
//  1. to read the interaction,
//  2. to insert the message at LastSequence+1, where a unique index lets one in, with its duties in the same document,
//  3. to fold it into the interaction, by an update whose filter holds the LastSequence of step 1.
//
// Whoever finds the place taken (another node was faster, or did not come to step 3) folds in what is there, and begins
// again. So no place is left out, none is given twice, and every message is folded in exactly once, by whomever:
//
//   - Ended before the insert: nothing has happened.
//   - Ended after the insert, or the answer to it was lost: the message is there, in its conversation and its queues; the
//     interaction does not show it yet. The caller has no answer and comes again: a unique key gives the message, and step 3
//     is made up for, before the call returns. So do the next append, whoever opens the conversation (ListMessages), and the
//     sending of the message (MarkSending).
//   - Ended after the fold: all has happened. The caller comes again and finds it.
//
// Messages of an interaction are in one shard and so in one log, in the order of their places: when a primary falls back
// after an election, what is lost are the newest, and no gap. Step 2 is acknowledged by a majority before step 3 begins, so
// that the interaction is never ahead of its messages. Reads go to the primary with read concern local: with "majority" a
// place could be taken by a message that cannot be read yet.
//
// Appended.Interaction may show later messages of other nodes.
func (s *Store) AppendMessage(ctx context.Context, t omni.Tenant, m omni.ServiceMessage) (store.Appended, error) {
	a, err := run(ctx, s, func(ctx context.Context) (store.Appended, error) {
		if m.Tenant.OrganisationID != t.OrganisationID {
			return store.Appended{}, omni.ErrNotFound
		}
		leave, err := s.lanes.enter(ctx, m.InteractionID)
		if err != nil {
			return store.Appended{}, err
		}
		defer leave()
		return s.appendMessage(ctx, t, m)
	})
	if err != nil {
		return a, fmt.Errorf("append message %s: %w", m.ID, err)
	}
	return a, nil
}

func (s *Store) appendMessage(ctx context.Context, t omni.Tenant, m omni.ServiceMessage) (store.Appended, error) {
	tried := int64(-1)
	for range maxRaces {
		i, err := one[interactionDoc](ctx, s.coll(collInteractions), named(t, m.InteractionID))
		if err != nil {
			return store.Appended{}, err
		}
		if i.LastSequence == tried {
			// The place was free, and still the message was refused.
			return store.Appended{}, fmt.Errorf("its id belongs to another organisation's: %w", omni.ErrConflict)
		}
		tried = i.LastSequence
		m.Sequence = i.LastSequence + 1
		doc := newMessageDoc(m, s.stamps.next(i.LastOrder))
		raw, err := bson.Marshal(doc)
		if err != nil {
			return store.Appended{}, fmt.Errorf("%w: %w", omni.ErrInvalid, err)
		}
		_, err = s.coll(collMessages).InsertOne(ctx, bson.Raw(raw))
		if mongo.IsDuplicateKeyError(err) {
			have, err := s.sameMessage(ctx, t, m)
			if err == nil {
				i, err := s.foldUpTo(ctx, t, have.InteractionID, have.Sequence)
				return store.Appended{Message: have, Interaction: i.Interaction}, err
			}
			if !errors.Is(err, mongo.ErrNoDocuments) {
				return store.Appended{}, err
			}
			if _, err := s.foldUpTo(ctx, t, m.InteractionID, m.Sequence); err != nil && !errors.Is(err, errNoMessage) {
				return store.Appended{}, err
			}
			continue
		}
		if err != nil {
			return store.Appended{}, err
		}
		// The caller's end does not leave it half done.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
		defer cancel()
		out := store.Appended{Created: true}
		if err := bson.Unmarshal(raw, &out.Message); err != nil {
			return store.Appended{}, err
		}
		i, err = s.foldIn(ctx, t, i, doc)
		if errors.Is(err, errRaced) {
			i, err = s.foldUpTo(ctx, t, m.InteractionID, m.Sequence)
		}
		out.Interaction = i.Interaction
		return out, err
	}
	return store.Appended{}, errRaced
}

// sameMessage finds the message that m is a repetition of.
func (s *Store) sameMessage(ctx context.Context, t omni.Tenant, m omni.ServiceMessage) (have omni.ServiceMessage, err error) {
	for _, filter := range []bson.D{
		of(t, bson.E{Key: fieldChannel, Value: m.Channel.DigitalChannelID}, bson.E{Key: fieldCarrierKey, Value: carrierKey(m.ID, m.CarrierMessageID)}),
		of(t, bson.E{Key: "interactionId", Value: m.InteractionID}, bson.E{Key: fieldClientKey, Value: clientKey(m.ID, m.ClientID)}),
		named(t, m.ID),
	} {
		have, err = one[omni.ServiceMessage](ctx, s.coll(collMessages), filter)
		if !errors.Is(err, mongo.ErrNoDocuments) {
			return have, err
		}
	}
	return have, err
}

// foldAtOnce is how many messages are folded in by one update.
const foldAtOnce = 100

// errNoMessage is what foldUpTo gives if there is no message at the place.
var errNoMessage = fmt.Errorf("there is no such message: %w", omni.ErrNotFound)

// foldUpTo gives the interaction once the messages up to a sequence are folded in, and folds in what is not. It may be
// called at any time, by anybody.
func (s *Store) foldUpTo(ctx context.Context, t omni.Tenant, id string, sequence int64) (i interactionDoc, err error) {
	for range maxRaces {
		i, err = one[interactionDoc](ctx, s.coll(collInteractions), named(t, id))
		if err != nil || i.LastSequence >= sequence {
			return i, err
		}
		next, err := all[messageDoc](ctx, s.coll(collMessages),
			of(t, bson.E{Key: "interactionId", Value: id}, bson.E{Key: "sequence", Value: bson.D{{Key: "$gt", Value: i.LastSequence}}}),
			options.Find().SetSort(bson.D{{Key: "sequence", Value: 1}}).SetLimit(foldAtOnce).SetProjection(folded))
		if err != nil {
			return i, err
		}
		if len(next) == 0 {
			return i, errNoMessage
		}
		if _, err := s.foldIn(ctx, t, i, next...); err != nil && !errors.Is(err, errRaced) {
			return i, err
		}
	}
	return i, errRaced
}

// folded are the fields of messages that foldIn looks at.
var folded = bson.D{
	{Key: "sequence", Value: 1},
	{Key: "order", Value: 1},
	{Key: "direction", Value: 1},
	{Key: "tenant", Value: 1},
	{Key: "payload.text", Value: 1},
	{Key: "createdAt", Value: 1},
	{Key: "receivedAt", Value: 1},
	{Key: "sentAt", Value: 1},
	{Key: "metadata", Value: 1},
}

// foldIn folds the messages that follow i.LastSequence into the interaction, or is errRaced if somebody else did.
// Unread is counted up, because the mark of readers moves at the same time (see MarkRead); all else is the messages' alone.
func (s *Store) foldIn(ctx context.Context, t omni.Tenant, i interactionDoc, next ...messageDoc) (interactionDoc, error) {
	from, unread := i.LastSequence, int64(0)
	for _, m := range next {
		if m.Sequence != i.LastSequence+1 {
			return i, fmt.Errorf("interaction %s: message %d follows %d", i.ID, m.Sequence, i.LastSequence) //nolint:err113 // cannot be
		}
		i.LastSequence, i.LastOrder = m.Sequence, max(i.LastOrder, m.Order)
		i.LastMessageAt = max(i.LastMessageAt, cmp.Or(m.CreatedAt, m.ReceivedAt))
		i.LastPreview, i.LastDirection = m.Preview(), m.Direction
		switch {
		case m.Direction == omni.Inbound:
			unread++
			i.LastInboundAt = max(i.LastInboundAt, m.ServiceMessage.WrittenAt())
			i.WaitingSince = cmp.Or(i.WaitingSince, m.ReceivedAt)
		case m.Tenant.UserID != "":
			i.WaitingSince = 0
		}
	}
	i, err := after[interactionDoc](ctx, s.coll(collInteractions), with(named(t, i.ID), bson.E{Key: "lastSequence", Value: from}), bson.D{
		{Key: "$set", Value: bson.D{
			{Key: "lastSequence", Value: i.LastSequence},
			{Key: "lastOrder", Value: i.LastOrder},
			{Key: "lastMessageAt", Value: i.LastMessageAt},
			{Key: "lastPreview", Value: i.LastPreview},
			{Key: "lastDirection", Value: i.LastDirection},
			{Key: "lastInboundAt", Value: i.LastInboundAt},
			{Key: "waitingSince", Value: i.WaitingSince},
			news(),
		}},
		{Key: "$inc", Value: bson.D{{Key: "unread", Value: unread}}},
	})
	return i, raced(err)
}

// Message implements store.Store.
func (s *Store) Message(ctx context.Context, t omni.Tenant, id string) (omni.ServiceMessage, error) {
	return s.message(ctx, "message "+id, named(t, id))
}

// MessageByCarrierID implements store.Store.
func (s *Store) MessageByCarrierID(ctx context.Context, t omni.Tenant, channelID, carrierMessageID string) (omni.ServiceMessage, error) {
	return s.message(ctx, "message by carrier id", byCarrierID(t, channelID, carrierMessageID))
}

// byCarrierID finds no message for an empty id.
func byCarrierID(t omni.Tenant, channelID, carrierMessageID string) bson.D {
	return of(t, bson.E{Key: fieldChannel, Value: channelID}, bson.E{Key: fieldCarrierKey, Value: carrierKey("", carrierMessageID)})
}

func (s *Store) message(ctx context.Context, what string, filter bson.D) (omni.ServiceMessage, error) {
	m, err := run(ctx, s, func(ctx context.Context) (omni.ServiceMessage, error) {
		return one[omni.ServiceMessage](ctx, s.coll(collMessages), filter)
	})
	if err != nil {
		return m, fmt.Errorf("find %s: %w", what, err)
	}
	return m, nil
}

// ListMessages implements store.Store. Where it comes to the newest message it sees to it that the interaction shows it.
func (s *Store) ListMessages(ctx context.Context, t omni.Tenant, interactionID string, w store.MessageWindow) ([]omni.ServiceMessage, error) {
	ms, err := run(ctx, s, func(ctx context.Context) ([]omni.ServiceMessage, error) {
		if w.Before != 0 && w.After != 0 || w.Before < 0 || w.After < 0 {
			return nil, omni.Problemf(omni.ErrInvalid, "give before or after, not both")
		}
		limit, err := pageLimit(w.Limit)
		if err != nil {
			return nil, err
		}
		way, bound := 1, bson.D{{Key: "$gt", Value: w.After}}
		if w.Before > 0 {
			way, bound = -1, bson.D{{Key: "$lt", Value: w.Before}}
		}
		ms, err := all[omni.ServiceMessage](ctx, s.coll(collMessages),
			of(t, bson.E{Key: "interactionId", Value: interactionID}, bson.E{Key: "sequence", Value: bound}),
			options.Find().SetSort(bson.D{{Key: "sequence", Value: way}}).SetLimit(int64(limit)))
		if err != nil {
			return nil, err
		}
		newest := int64(0)
		switch {
		case len(ms) == 0: // is there such an interaction?
		case w.Before > 0 && ms[0].Sequence < w.Before-1:
			newest = ms[0].Sequence
		case w.Before == 0 && len(ms) < limit:
			newest = ms[len(ms)-1].Sequence
		default:
			return ms, nil
		}
		return ms, s.seeFolded(ctx, t, interactionID, newest)
	})
	if err != nil {
		return nil, fmt.Errorf("list messages of %s: %w", interactionID, err)
	}
	return ms, nil
}

// seeFolded folds messages in up to a sequence if they are not: with one short read where all is well.
func (s *Store) seeFolded(ctx context.Context, t omni.Tenant, interactionID string, sequence int64) error {
	i, err := one[interactionDoc](ctx, s.coll(collInteractions), named(t, interactionID),
		options.FindOne().SetProjection(bson.D{{Key: "lastSequence", Value: 1}}))
	if err == nil && i.LastSequence < sequence {
		_, err = s.foldUpTo(ctx, t, interactionID, sequence)
	}
	return err
}

// statusUpdate is the update that gives a message status d, and the filter's part that lets it do so only if d ranks higher.
func statusUpdate(d omni.DeliveryStatus) (lower bson.E, fields bson.D, push bson.E) {
	lower = bson.E{Key: fieldRank, Value: bson.D{{Key: "$lt", Value: d.Status.Rank()}}}
	fields = bson.D{
		{Key: "status", Value: d.Status},
		{Key: fieldRank, Value: d.Status.Rank()},
		{Key: "statusAt", Value: cmp.Or(d.OccurredAt, d.ReceivedAt)},
		{Key: "reason", Value: d.Reason},
		{Key: "errorCode", Value: d.ErrorCode},
		news(),
	}
	return lower, fields, bson.E{Key: "$push", Value: bson.D{{Key: "statusHistory", Value: d}}}
}

var leavesOutbox = bson.E{Key: "$unset", Value: bson.D{{Key: fieldOutbox, Value: ""}}}

// moveStatus gives the message that filter finds status d if that ranks higher than its own, by one update, so that of
// statuses at the same instant each is applied in its turn or not at all. A message that is shown to have gone, or with leave
// any, leaves the outbox by the same update. It returns the message as it was, or mongo.ErrNoDocuments.
func (s *Store) moveStatus(ctx context.Context, filter bson.D, d omni.DeliveryStatus, leave bool) (messageDoc, error) {
	lower, fields, push := statusUpdate(d)
	update := bson.D{{Key: "$set", Value: fields}, push}
	if leave || d.Status.Rank() >= omni.StatusSent.Rank() {
		update = append(update, leavesOutbox)
	}
	var before messageDoc
	err := s.coll(collMessages).FindOneAndUpdate(ctx, with(filter, lower), update,
		options.FindOneAndUpdate().SetReturnDocument(options.Before)).Decode(&before)
	return before, err
}

// changed is the message that moveStatus found as moveStatus left it.
func changed(m omni.ServiceMessage, d omni.DeliveryStatus) omni.ServiceMessage {
	m.Status, m.StatusAt, m.Reason, m.ErrorCode = d.Status, cmp.Or(d.OccurredAt, d.ReceivedAt), d.Reason, d.ErrorCode
	m.StatusHistory = append(slices.Clone(m.StatusHistory), d)
	return m
}

// ApplyStatus implements store.Store.
//
// A status is applied by one update. What may come after it (the recipient's next message is let through, statuses that came
// earlier are applied) is safe to be missed: see promote and takeEarly; and to be done again, because a status whose rank is
// there already changes nothing.
//
// A status without a message is kept, and then its message is looked for again: MarkSent stores the carrier's id and then
// looks for statuses that were kept. Whichever of the two comes second sees what the other wrote.
func (s *Store) ApplyStatus(ctx context.Context, t omni.Tenant, d omni.DeliveryStatus) (omni.ServiceMessage, bool, error) {
	applied := false
	m, err := run(ctx, s, func(ctx context.Context) (m omni.ServiceMessage, err error) {
		if d.DigitalChannelID == "" || d.Status.Rank() == 0 {
			return m, fmt.Errorf("channel and status are required: %w", omni.ErrInvalid)
		}
		if d.MessageID != "" {
			m, applied, err = s.statusByID(ctx, t, d)
			if !errors.Is(err, mongo.ErrNoDocuments) {
				return m, err
			}
		}
		if d.CarrierMessageID == "" {
			return m, omni.ErrNotFound
		}
		m, applied, err = s.statusByCarrierID(ctx, t, d)
		if !errors.Is(err, mongo.ErrNoDocuments) {
			return m, err
		}
		if err := s.putEarly(ctx, t, d); err != nil {
			return m, err
		}
		had, err := one[omni.ServiceMessage](ctx, s.coll(collMessages), outboundByCarrierID(t, d))
		if err != nil {
			return m, err
		}
		taken, err := s.takeEarly(ctx, t, had)
		if err != nil {
			return m, err
		}
		applied = slices.ContainsFunc(taken, func(e omni.DeliveryStatus) bool { return e.Status == d.Status })
		return one[omni.ServiceMessage](ctx, s.coll(collMessages), named(t, had.ID))
	})
	if err != nil {
		return omni.ServiceMessage{}, false, fmt.Errorf("apply status %s: %w", d.Status, err)
	}
	return m, applied, nil
}

func outboundByCarrierID(t omni.Tenant, d omni.DeliveryStatus) bson.D {
	return with(byCarrierID(t, d.DigitalChannelID, d.CarrierMessageID), bson.E{Key: "direction", Value: omni.Outbound})
}

func (s *Store) statusByCarrierID(ctx context.Context, t omni.Tenant, d omni.DeliveryStatus) (omni.ServiceMessage, bool, error) {
	filter := outboundByCarrierID(t, d)
	for range maxRaces {
		before, err := s.moveStatus(ctx, filter, d, false)
		if err == nil {
			return changed(before.ServiceMessage, d), true, s.promoteAfter(ctx, t, before, d)
		}
		if !errors.Is(err, mongo.ErrNoDocuments) {
			return before.ServiceMessage, false, err
		}
		m, err := one[omni.ServiceMessage](ctx, s.coll(collMessages), filter)
		if err != nil || m.Status.Rank() >= d.Status.Rank() {
			return m, false, err
		}
		// It got the carrier's id in between.
	}
	return omni.ServiceMessage{}, false, errRaced
}

// statusByID is for carriers that give our own id back. The carrier's may be news: perhaps the message was taken without
// an answer to us, and later statuses come by that id alone.
func (s *Store) statusByID(ctx context.Context, t omni.Tenant, d omni.DeliveryStatus) (omni.ServiceMessage, bool, error) {
	filter := with(named(t, d.MessageID), bson.E{Key: fieldChannel, Value: d.DigitalChannelID}, bson.E{Key: "direction", Value: omni.Outbound})
	m, err := one[omni.ServiceMessage](ctx, s.coll(collMessages), filter)
	if err != nil {
		return m, false, err
	}
	if d.CarrierMessageID != "" {
		if m, err = s.takeCarrierID(ctx, t, m, d.CarrierMessageID); err != nil {
			return m, false, err
		}
		if m.CarrierMessageID == d.CarrierMessageID {
			if _, err := s.takeEarly(ctx, t, m); err != nil {
				return m, false, err
			}
		}
	}
	before, err := s.moveStatus(ctx, filter, d, false)
	if errors.Is(err, mongo.ErrNoDocuments) {
		m, err := one[omni.ServiceMessage](ctx, s.coll(collMessages), filter)
		return m, false, err
	}
	if err != nil {
		return m, false, err
	}
	return changed(before.ServiceMessage, d), true, s.promoteAfter(ctx, t, before, d)
}

// promoteAfter lets the recipient's next message through if d took this one out of the outbox.
func (s *Store) promoteAfter(ctx context.Context, t omni.Tenant, before messageDoc, d omni.DeliveryStatus) error {
	if before.Outbox == nil || d.Status.Rank() < omni.StatusSent.Rank() {
		return nil
	}
	return s.promote(ctx, t, before.Outbox.Recipient)
}

// takeCarrierID gives a message without a carrier's id this one, unless another message of the channel has it: the message
// was sent all the same.
func (s *Store) takeCarrierID(ctx context.Context, t omni.Tenant, m omni.ServiceMessage, carrierID string) (omni.ServiceMessage, error) {
	if m.CarrierMessageID != "" {
		return m, nil
	}
	c := s.coll(collMessages)
	got, err := after[omni.ServiceMessage](ctx, c, with(named(t, m.ID), bson.E{Key: fieldCarrierKey, Value: carrierKey(m.ID, "")}),
		set(bson.E{Key: "carrierMessageId", Value: carrierID}, bson.E{Key: fieldCarrierKey, Value: carrierKey(m.ID, carrierID)}))
	switch {
	case mongo.IsDuplicateKeyError(err):
		return m, nil
	case errors.Is(err, mongo.ErrNoDocuments):
		return one[omni.ServiceMessage](ctx, c, named(t, m.ID))
	}
	return got, err
}

// keepEarly is how long a status waits for its message.
const keepEarly = 24 * time.Hour

// earlyDoc is what came of one message before its carrier's id did, in the order in which it came; one of each status.
type earlyDoc struct {
	ID       string                `bson:"_id"` // organisation, channel, carrier's id
	Org      string                `bson:"organisationId"`
	Channel  string                `bson:"digitalChannelId"`
	Carrier  string                `bson:"carrierMessageId"`
	Statuses []omni.DeliveryStatus `bson:"statuses"`
	End      time.Time             `bson:"expireAt"`
}

func earlyID(t omni.Tenant, channelID, carrierID string) string {
	return t.OrganisationID + " " + channelID + " " + carrierID
}

// putEarly keeps a status until its message has the carrier's id. The first of each kind is enough.
func (s *Store) putEarly(ctx context.Context, t omni.Tenant, d omni.DeliveryStatus) error {
	c := s.coll(collEarly)
	e := earlyDoc{
		ID: earlyID(t, d.DigitalChannelID, d.CarrierMessageID), Org: t.OrganisationID, Channel: d.DigitalChannelID,
		Carrier: d.CarrierMessageID, Statuses: []omni.DeliveryStatus{d}, End: dateOf(d.ReceivedAt.Add(keepEarly)),
	}
	for range maxRaces {
		_, err := c.InsertOne(ctx, e)
		if !mongo.IsDuplicateKeyError(err) {
			return err
		}
		have, err := one[earlyDoc](ctx, c, named(t, e.ID))
		if errors.Is(err, mongo.ErrNoDocuments) {
			continue
		}
		if err != nil || slices.ContainsFunc(have.Statuses, func(o omni.DeliveryStatus) bool { return o.Status == d.Status }) {
			return err
		}
		res, err := c.UpdateOne(ctx, with(named(t, e.ID), sizeOf(have)), bson.D{
			{Key: "$push", Value: bson.D{{Key: "statuses", Value: d}}},
			{Key: "$max", Value: bson.D{{Key: fieldEnd, Value: e.End}}},
		})
		if err != nil || res.MatchedCount > 0 {
			return err
		}
	}
	return errRaced
}

// sizeOf holds if no status was added: none is ever taken away but with the document.
func sizeOf(e earlyDoc) bson.E {
	return bson.E{Key: "statuses", Value: bson.D{{Key: "$size", Value: len(e.Statuses)}}}
}

// takeEarly applies the statuses that came before the carrier's id of m, and removes them, in this order: what is cut off in
// between is done again when the call is repeated or the message, which still is in the outbox, is settled; and what was
// applied is not again. It returns what it has applied.
func (s *Store) takeEarly(ctx context.Context, t omni.Tenant, m omni.ServiceMessage) (applied []omni.DeliveryStatus, err error) {
	c := s.coll(collEarly)
	id := earlyID(t, m.Channel.DigitalChannelID, m.CarrierMessageID)
	for range maxRaces {
		e, err := one[earlyDoc](ctx, c, named(t, id))
		if errors.Is(err, mongo.ErrNoDocuments) {
			return applied, nil
		}
		if err != nil {
			return applied, err
		}
		for _, d := range e.Statuses {
			before, err := s.moveStatus(ctx, named(t, m.ID), d, false)
			if errors.Is(err, mongo.ErrNoDocuments) {
				continue
			}
			if err == nil {
				err = s.promoteAfter(ctx, t, before, d)
			}
			if err != nil {
				return applied, err
			}
			applied = append(applied, d)
		}
		res, err := c.DeleteOne(ctx, with(named(t, id), sizeOf(e)))
		if err != nil || res.DeletedCount > 0 {
			return applied, err
		}
	}
	return applied, errRaced
}

// EditMessage implements store.Store: one update of the message, and one of what its interaction shows of it. The first one's filter holds what the message was, so that of calls at the same
// instant each sees what the one before left.
func (s *Store) EditMessage(ctx context.Context, t omni.Tenant, messageID string, e omni.MessageEdit) (omni.ServiceMessage, bool, error) {
	changed := false
	m, err := run(ctx, s, func(ctx context.Context) (m omni.ServiceMessage, err error) {
		c := s.coll(collMessages)
		for range maxRaces {
			d, err := one[messageDoc](ctx, c, named(t, messageID))
			if err != nil {
				return m, err
			}
			if m, changed = d.Edited(e); !changed {
				return m, nil
			}
			as := unedited(d)
			if d.Fetch != nil {
				as = append(as, bson.E{Key: "fetch.rev", Value: d.Fetch.Rev})
			}
			res, err := c.UpdateOne(ctx, with(named(t, messageID), as...), set(
				bson.E{Key: "payload.text", Value: m.Payload.Text}, bson.E{Key: "editedAt", Value: m.EditedAt},
				bson.E{Key: "deletedAt", Value: m.DeletedAt}, bson.E{Key: "edits", Value: m.Edits},
				bson.E{Key: fieldTerms, Value: messageTerms(m)}, news()))
			if err != nil {
				return m, err
			}
			if res.MatchedCount > 0 {
				// Where the message is not folded into its interaction yet, folding takes it as it is now.
				_, err = s.coll(collInteractions).UpdateOne(ctx, with(named(t, m.InteractionID), bson.E{Key: "lastSequence", Value: m.Sequence}),
					set(bson.E{Key: "lastPreview", Value: m.Preview()}, news()))
				return m, err
			}
		}
		return m, errRaced
	})
	if err != nil {
		return omni.ServiceMessage{}, false, fmt.Errorf("edit message %s: %w", messageID, err)
	}
	return m, changed, nil
}

// unedited finds a message only if its sender has not changed it since d was read.
func unedited(d messageDoc) bson.D {
	at := func(ms omni.Millis) any {
		if ms == 0 {
			return bson.D{{Key: "$in", Value: bson.A{nil, int64(0)}}}
		}
		return ms
	}
	return bson.D{{Key: "editedAt", Value: at(d.EditedAt)}, {Key: "deletedAt", Value: at(d.DeletedAt)}}
}

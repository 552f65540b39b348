package sqlitestore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"omniservice/omni"
	"omniservice/store"
)

// keepEarly is how long a status waits for its message.
const keepEarly = 24 * time.Hour

// scanMessage reads messageCols.
func scanMessage(r scanner) (m omni.ServiceMessage, err error) {
	err = scanMessageAnd(r, &m)
	return m, err
}

// scanMessageAnd reads columns into first, then messageCols into m.
func scanMessageAnd(r scanner, m *omni.ServiceMessage, first ...any) error {
	var (
		doc                             []byte
		carrierID, status, reason, code string
		history                         string
		sequence, segments, statusAt    int64
	)
	err := r.Scan(append(first, &doc, &sequence, &carrierID, &segments, &status, &statusAt, &reason, &code, &history)...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(doc, m); err != nil {
		return err
	}
	m.Sequence, m.CarrierMessageID, m.Segments = sequence, carrierID, int(segments)
	m.Status, m.StatusAt, m.Reason, m.ErrorCode = omni.Status(status), omni.Millis(statusAt), omni.Reason(reason), code
	if history != "" {
		return json.Unmarshal([]byte("["+history+"]"), &m.StatusHistory)
	}
	return nil
}

// messageDoc encodes what has no column of its own.
func messageDoc(m omni.ServiceMessage) ([]byte, error) {
	m.Sequence, m.CarrierMessageID, m.Segments = 0, "", 0
	m.Status, m.StatusAt, m.StatusHistory, m.Reason, m.ErrorCode = "", 0, nil, "", ""
	return json.Marshal(m)
}

// historyText encodes statuses as the column history keeps them.
func historyText(all ...omni.DeliveryStatus) (string, error) {
	if len(all) == 0 {
		return "", nil
	}
	b, err := json.Marshal(all)
	if err != nil {
		return "", err
	}
	return string(b[1 : len(b)-1]), nil
}

// appending is a message with all that can be made of it before the writer's turn.
type appending struct {
	m        omni.ServiceMessage
	args     []any // of sqlMessageInsert
	preview  string
	at       int64 // newest activity
	inbound  bool
	answered bool   // an agent wrote
	outbox   string // the recipient's key, or "" if the message does not go out
	files    []int  // which of its files wait to be fetched
}

func newAppending(m omni.ServiceMessage) (*appending, error) {
	doc, err := messageDoc(m)
	if err != nil {
		return nil, err
	}
	history, err := historyText(m.StatusHistory...)
	if err != nil {
		return nil, err
	}
	a := &appending{
		m: m,
		args: []any{
			m.ID, m.Tenant.OrganisationID, m.InteractionID, string(m.Direction), m.Channel.DigitalChannelID, m.CarrierMessageID,
			m.ClientID, m.Segments, string(m.Status), m.Status.Rank(), int64(m.StatusAt), string(m.Reason), m.ErrorCode, history, doc,
		},
		preview:  m.Preview(),
		at:       int64(cmp.Or(m.CreatedAt, m.ReceivedAt)),
		inbound:  m.Direction == omni.Inbound,
		answered: m.Direction == omni.Outbound && m.Tenant.UserID != "",
	}
	if store.GoesOut(m) {
		a.outbox = recipientKey(m)
	}
	if a.inbound {
		for n, f := range m.Payload.Files() {
			if f.State == omni.MediaPending {
				a.files = append(a.files, n)
			}
		}
	}
	return a, nil
}

// recipientKey is what messages have in common of which one is sent at a time.
func recipientKey(m omni.ServiceMessage) string {
	return m.Channel.DigitalChannelID + "|" + m.To.Address
}

// AppendMessage implements store.Store.
func (s *Store) AppendMessage(ctx context.Context, t omni.Tenant, m omni.ServiceMessage) (store.Appended, error) {
	fail := func(err error) (store.Appended, error) {
		return store.Appended{}, fmt.Errorf("append message %s: %w", m.ID, err)
	}
	if m.Tenant.OrganisationID != t.OrganisationID {
		return fail(omni.ErrNotFound)
	}
	a, err := newAppending(m)
	if err != nil {
		return fail(err)
	}
	out, err := write(ctx, s, a.run)
	if err != nil {
		return fail(err)
	}
	if out.Created {
		out.Message = a.stored(out.Message.Sequence)
	}
	return out, nil
}

// stored is the message as it was stored, sharing nothing with what the caller gave.
func (a *appending) stored(sequence int64) omni.ServiceMessage {
	m := a.m
	m.Sequence = sequence
	m.StatusHistory = slices.Clone(m.StatusHistory)
	m.WorkflowSteps = slices.Clone(m.WorkflowSteps)
	m.Payload.Media = slices.Clone(m.Payload.Media)
	if m.Payload.Text != nil {
		text := *m.Payload.Text
		m.Payload.Text = &text
	}
	if m.Payload.Image != nil {
		m.Payload.Image = &omni.ImageMessage{References: slices.Clone(m.Payload.Image.References)}
	}
	if p := &m.Payload; p.Template != nil || p.Interactive != nil || p.Location != nil || len(p.Contacts) > 0 {
		if doc, err := json.Marshal(p); err == nil { // it was encoded before
			var own omni.MessagePayload
			if json.Unmarshal(doc, &own) == nil {
				m.Payload = own
			}
		}
	}
	m.Metadata, m.Edits = maps.Clone(m.Metadata), slices.Clone(m.Edits)
	if m.Publish != nil {
		publish := *m.Publish
		m.Publish = &publish
	}
	return m
}

func (a *appending) run(ctx context.Context, c *conn) (store.Appended, error) {
	org := a.m.Tenant.OrganisationID
	type place struct{ seq, sequence int64 }
	p, err := queryOne(ctx, c, sqlMessageInsert, func(r scanner) (p place, err error) { return p, r.Scan(&p.seq, &p.sequence) }, a.args...)
	if errors.Is(err, omni.ErrNotFound) {
		return a.find(ctx, c)
	}
	if err != nil {
		return store.Appended{}, err
	}
	out := store.Appended{Created: true}
	out.Message.Sequence = p.sequence
	out.Interaction, err = queryOne(ctx, c, sqlInteractionAppend, scanInteraction, a.m.InteractionID, org, p.sequence,
		a.at, a.preview, string(a.m.Direction), a.inbound, a.answered, int64(a.m.ReceivedAt), int64(a.m.WrittenAt()))
	if err == nil && a.outbox != "" {
		_, err = c.exec(ctx, sqlOutboxPut, p.seq, a.m.ID, org, a.outbox, store.OutboxPartition(a.m))
	}
	for _, n := range a.files {
		if err == nil {
			_, err = c.exec(ctx, sqlMediaPut, p.seq, a.m.ID, org, n, store.MediaPartition(a.m.ID))
		}
	}
	return out, err
}

// find gives the message that is there already.
func (a *appending) find(ctx context.Context, c *conn) (store.Appended, error) {
	org := a.m.Tenant.OrganisationID
	if _, err := queryOne(ctx, c, sqlInteraction, scanInteraction, a.m.InteractionID, org); err != nil {
		return store.Appended{}, fmt.Errorf("interaction %s: %w", a.m.InteractionID, err)
	}
	for _, by := range []struct {
		id   stmt
		args []any
	}{
		{sqlMessageByCarrierID, []any{org, a.m.Channel.DigitalChannelID, a.m.CarrierMessageID}},
		{sqlMessageByClientID, []any{a.m.InteractionID, org, a.m.ClientID}},
		{sqlMessage, []any{a.m.ID, org}},
	} {
		m, err := queryOne(ctx, c, by.id, scanMessage, by.args...)
		if errors.Is(err, omni.ErrNotFound) {
			continue
		}
		if err != nil {
			return store.Appended{}, err
		}
		i, err := queryOne(ctx, c, sqlInteraction, scanInteraction, m.InteractionID, org)
		return store.Appended{Message: m, Interaction: i}, err
	}
	return store.Appended{}, fmt.Errorf("its id belongs to another organisation's: %w", omni.ErrConflict)
}

// Message implements store.Store.
func (s *Store) Message(ctx context.Context, t omni.Tenant, id string) (omni.ServiceMessage, error) {
	return door(ctx, s, "message "+id, sqlMessage, scanMessage, id, t.OrganisationID)
}

// MessageByCarrierID implements store.Store.
func (s *Store) MessageByCarrierID(ctx context.Context, t omni.Tenant, channelID, carrierMessageID string) (omni.ServiceMessage, error) {
	return door(ctx, s, "message by carrier id", sqlMessageByCarrierID, scanMessage, t.OrganisationID, channelID, carrierMessageID)
}

// ListMessages implements store.Store.
func (s *Store) ListMessages(ctx context.Context, t omni.Tenant, interactionID string, w store.MessageWindow) ([]omni.ServiceMessage, error) {
	fail := func(err error) ([]omni.ServiceMessage, error) {
		return nil, fmt.Errorf("list messages of %s: %w", interactionID, err)
	}
	if w.Before != 0 && w.After != 0 || w.Before < 0 || w.After < 0 {
		return fail(omni.Problemf(omni.ErrInvalid, "give before or after, not both"))
	}
	_, limit, err := start("", store.Page{Limit: w.Limit}, firstText)
	if err != nil {
		return fail(err)
	}
	id, from := sqlMessagesAfter, w.After
	if w.Before > 0 {
		id, from = sqlMessagesBefore, w.Before
	}
	all, err := read(ctx, s, func(ctx context.Context, c *conn) ([]omni.ServiceMessage, error) {
		all, err := queryAll(ctx, c, id, scanMessage, interactionID, t.OrganisationID, from, limit)
		if err == nil && len(all) == 0 {
			_, err = queryOne(ctx, c, sqlInteraction, scanInteraction, interactionID, t.OrganisationID)
		}
		return all, err
	})
	if err != nil {
		return fail(err)
	}
	return all, nil
}

// ApplyStatus implements store.Store.
func (s *Store) ApplyStatus(ctx context.Context, t omni.Tenant, d omni.DeliveryStatus) (omni.ServiceMessage, bool, error) {
	if d.DigitalChannelID == "" || d.Status.Rank() == 0 {
		return omni.ServiceMessage{}, false, fmt.Errorf("apply status: channel and status are required: %w", omni.ErrInvalid)
	}
	applied, early := false, false
	m, err := write(ctx, s, func(ctx context.Context, c *conn) (m omni.ServiceMessage, err error) {
		applied, early = false, false
		id, err := statusTarget(ctx, c, t, d)
		if errors.Is(err, omni.ErrNotFound) {
			early = true
			return m, putEarly(ctx, c, t, d)
		}
		if err != nil {
			return m, err
		}
		if d.CarrierMessageID != "" {
			// Perhaps taken by the carrier without an answer to us: later statuses come by its id.
			if err := setCarrierID(ctx, c, t, id, d.DigitalChannelID, d.CarrierMessageID); err != nil {
				return m, err
			}
		}
		applied, err = moveStatus(ctx, c, t, id, d)
		if err != nil {
			return m, err
		}
		if applied && d.Status.Rank() >= omni.StatusSent.Rank() {
			if err := leaveOutbox(ctx, c, t, id); err != nil {
				return m, err
			}
		}
		return queryOne(ctx, c, sqlMessage, scanMessage, id, t.OrganisationID)
	})
	if err == nil && early {
		err = omni.ErrNotFound
	}
	if err != nil {
		return omni.ServiceMessage{}, false, fmt.Errorf("apply status %s: %w", d.Status, err)
	}
	return m, applied, nil
}

// statusTarget finds the id of the message that d speaks of.
func statusTarget(ctx context.Context, c *conn, t omni.Tenant, d omni.DeliveryStatus) (string, error) {
	if d.MessageID != "" {
		id, err := queryOne(ctx, c, sqlMessageIDByID, scanText, d.MessageID, t.OrganisationID, d.DigitalChannelID)
		if !errors.Is(err, omni.ErrNotFound) {
			return id, err
		}
	}
	return queryOne(ctx, c, sqlMessageIDByCarrierID, scanText, t.OrganisationID, d.DigitalChannelID, d.CarrierMessageID)
}

// putEarly keeps a status until its message has the carrier's id. The first of each kind is enough.
func putEarly(ctx context.Context, c *conn, t omni.Tenant, d omni.DeliveryStatus) error {
	if d.CarrierMessageID == "" {
		return omni.ErrNotFound
	}
	doc, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = c.exec(ctx, sqlEarlyPut, t.OrganisationID, d.DigitalChannelID, d.CarrierMessageID, string(d.Status),
		int64(d.ReceivedAt.Add(keepEarly)), doc)
	return err
}

// moveStatus applies d to a message if it ranks higher than what the message has.
func moveStatus(ctx context.Context, c *conn, t omni.Tenant, id string, d omni.DeliveryStatus) (bool, error) {
	history, err := historyText(d)
	if err != nil {
		return false, err
	}
	n, err := c.exec(ctx, sqlMessageStatus, id, t.OrganisationID, string(d.Status), d.Status.Rank(),
		int64(cmp.Or(d.OccurredAt, d.ReceivedAt)), string(d.Reason), d.ErrorCode, history)
	return n > 0, err
}

// setCarrierID stores the carrier's id of a message that has none, and applies the statuses that came before it, in the
// order in which they came. An id that another message of the channel has is left out: the message was sent all the same.
func setCarrierID(ctx context.Context, c *conn, t omni.Tenant, id, channelID, carrierID string) error {
	n, err := c.exec(ctx, sqlMessageCarrierID, id, t.OrganisationID, carrierID)
	if err != nil || n == 0 {
		return err
	}
	type early struct {
		seq int64
		d   omni.DeliveryStatus
	}
	all, err := queryAll(ctx, c, sqlEarlyTake, func(r scanner) (e early, err error) {
		var doc []byte
		if err := r.Scan(&e.seq, &doc); err != nil {
			return e, err
		}
		return e, json.Unmarshal(doc, &e.d)
	}, t.OrganisationID, channelID, carrierID)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b early) int { return cmp.Compare(a.seq, b.seq) })
	for _, e := range all {
		if _, err := moveStatus(ctx, c, t, id, e.d); err != nil {
			return err
		}
	}
	return nil
}

// EditMessage implements store.Store.
func (s *Store) EditMessage(ctx context.Context, t omni.Tenant, messageID string, e omni.MessageEdit) (omni.ServiceMessage, bool, error) {
	changed := false
	m, err := write(ctx, s, func(ctx context.Context, c *conn) (omni.ServiceMessage, error) {
		m, err := queryOne(ctx, c, sqlMessage, scanMessage, messageID, t.OrganisationID)
		if err != nil {
			return m, err
		}
		if m, changed = m.Edited(e); !changed {
			return m, nil
		}
		doc, err := messageDoc(m)
		if err == nil {
			_, err = c.exec(ctx, sqlMessageDoc, messageID, t.OrganisationID, doc)
		}
		if err == nil {
			_, err = c.exec(ctx, sqlInteractionPreview, m.InteractionID, t.OrganisationID, m.Sequence, m.Preview())
		}
		return m, err
	})
	if err != nil {
		return omni.ServiceMessage{}, false, fmt.Errorf("edit message %s: %w", messageID, err)
	}
	return m, changed, nil
}

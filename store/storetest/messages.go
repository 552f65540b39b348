package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

func sequencesHaveNoGaps(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	other, _, _ := w.newTalk(t, s, "+15553333")
	talks := []omni.Interaction{w.talk, other}
	got, errs := atOnce(128, func(n int) (store.Appended, error) {
		if n%16 == 0 { // repeats and misses between them leave no gap
			m := w.inbound(omni.Interaction{ID: omni.NewID(), DigitalChannelID: w.channel.ID, ChannelType: omni.ChannelSMS}, "no interaction")
			_, err := s.AppendMessage(ctx, w.tenant, m)
			return store.Appended{}, err
		}
		m := w.inbound(talks[n%2], fmt.Sprint(n))
		if n%16 == 1 {
			m.CarrierMessageID = "same"
		}
		return s.AppendMessage(ctx, w.tenant, m)
	})
	sequences := map[string][]int64{}
	for n, a := range got {
		if n%16 == 0 {
			require.ErrorIs(t, errs[n], omni.ErrNotFound)
			continue
		}
		require.NoError(t, errs[n])
		if a.Created {
			require.Equal(t, a.Message.Sequence, a.Interaction.LastSequence)
			sequences[a.Message.InteractionID] = append(sequences[a.Message.InteractionID], a.Message.Sequence)
		}
	}
	for _, i := range talks {
		slices.Sort(sequences[i.ID])
		stored, err := s.Interaction(ctx, w.tenant, i.ID)
		require.NoError(t, err)
		require.Len(t, sequences[i.ID], int(stored.LastSequence))
		for n, seq := range sequences[i.ID] {
			require.Equal(t, int64(n+1), seq)
		}
		require.Equal(t, int(stored.LastSequence), stored.Unread)
	}
	require.Len(t, sequences[w.talk.ID], 56, "64 of which 8 named no interaction")
	require.Len(t, sequences[other.ID], 57, "64 of which 8 were one")
}

// OneRowPerCarrierID shows that copies of a message which come at the same instant are stored once: the carrier's id is
// unique in its organisation and channel by the database, not by looking first.
func OneRowPerCarrierID(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	got, errs := atOnce(64, func(int) (store.Appended, error) {
		m := w.inbound(w.talk, "twice")
		m.CarrierMessageID = "SM1"
		return s.AppendMessage(ctx, w.tenant, m)
	})
	created := 0
	for n, a := range got {
		require.NoError(t, errs[n])
		if a.Created {
			created++
		}
		require.Equal(t, got[0].Message, a.Message)
		require.Equal(t, w.talk.ID, a.Interaction.ID)
		require.Equal(t, int64(1), a.Interaction.LastSequence)
		require.Equal(t, 1, a.Interaction.Unread)
	}
	require.Equal(t, 1, created)
	found, err := s.MessageByCarrierID(ctx, w.tenant, w.channel.ID, "SM1")
	require.NoError(t, err)
	require.Equal(t, got[0].Message, found)

	// Also when its interaction ended and another one is open: the message stays where it was.
	w.resolve(t, s, w.talk, base)
	later, how, err := s.OpenInteraction(ctx, w.tenant, w.newInteraction(w.identity), base+1)
	require.NoError(t, err)
	require.Equal(t, store.OpenCreated, how)
	m := w.inbound(later, "twice")
	m.CarrierMessageID = "SM1"
	again, err := s.AppendMessage(ctx, w.tenant, m)
	require.NoError(t, err)
	require.False(t, again.Created)
	require.Equal(t, found, again.Message)
	require.Equal(t, w.talk.ID, again.Interaction.ID)

	// Another channel or organisation may have the same id.
	channel := w.newChannel("+1222")
	require.NoError(t, s.CreateChannel(ctx, w.tenant, channel))
	m.ID, m.Channel.DigitalChannelID = omni.NewID(), channel.ID
	w.append(t, s, m)
	other := newWorld(t, s)
	theirs := other.inbound(other.talk, "theirs")
	theirs.CarrierMessageID, theirs.Channel.DigitalChannelID = "SM1", w.channel.ID
	other.append(t, s, theirs)
	_, err = s.MessageByCarrierID(ctx, w.tenant, w.channel.ID, "")
	require.ErrorIs(t, err, omni.ErrNotFound)
	out := w.append(t, s, w.outbound(later, "messages without a carrier id are not the same"))
	require.NotEqual(t, out.Message.ID, w.append(t, s, w.outbound(later, "b")).Message.ID)
}

func oneRowPerClientID(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	got, errs := atOnce(64, func(int) (store.Appended, error) {
		m := w.outbound(w.talk, "click click")
		m.ClientID = "c1"
		return s.AppendMessage(ctx, w.tenant, m)
	})
	created := 0
	for n, a := range got {
		require.NoError(t, errs[n])
		if a.Created {
			created++
		}
		require.Equal(t, got[0].Message, a.Message)
	}
	require.Equal(t, 1, created)
	items, err := s.PendingOutbox(ctx, allPartitions(), base, 100)
	require.NoError(t, err)
	require.Len(t, items, 1, "it goes out once")

	other, _, _ := w.newTalk(t, s, "+15553333")
	m := w.outbound(other, "elsewhere")
	m.ClientID = "c1"
	w.append(t, s, m)
	again, err := s.AppendMessage(ctx, w.tenant, m)
	require.NoError(t, err)
	require.False(t, again.Created)

	// A write may be repeated with the same id, whatever other ids the message has.
	m = w.inbound(other, "no ids")
	m.CarrierMessageID = ""
	w.append(t, s, m)
	again, err = s.AppendMessage(ctx, w.tenant, m)
	require.NoError(t, err)
	require.False(t, again.Created)
	require.Equal(t, m.ID, again.Message.ID)
}

func appendKeepsWhatListsShow(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	want := w.talk
	step := func(m omni.ServiceMessage, at omni.Millis, set func()) {
		m.CreatedAt, m.ReceivedAt = at, at-1
		a := w.append(t, s, m)
		want.LastSequence++
		want.LastDirection = m.Direction
		want.LastPreview = m.Preview()
		set()
		require.Equal(t, want, a.Interaction)
		stored, err := s.Interaction(ctx, w.tenant, w.talk.ID)
		require.NoError(t, err)
		require.Equal(t, want, stored)
	}
	step(w.inbound(w.talk, "first"), base+100, func() {
		want.LastMessageAt, want.LastInboundAt, want.WaitingSince, want.Unread = base+100, base+99, base+99, 1
	})
	step(w.inbound(w.talk, strings.Repeat("second\n", 40)), base+200, func() {
		want.LastMessageAt, want.LastInboundAt, want.Unread = base+200, base+199, 2 // has waited since the first
	})
	system := w.outbound(w.talk, "we are closed")
	system.Tenant.UserID = ""
	step(system, base+300, func() { want.LastMessageAt = base + 300 }) // the contact still waits for a person
	step(w.outbound(w.talk, "answer"), base+400, func() { want.LastMessageAt, want.WaitingSince = base+400, 0 })
	step(w.outbound(w.talk, "more"), base+500, func() { want.LastMessageAt = base + 500 })
	step(w.inbound(w.talk, "thanks"), base+600, func() {
		want.LastMessageAt, want.LastInboundAt, want.WaitingSince, want.Unread = base+600, base+599, base+599, 3
	})
	// A webhook that comes late tells when its message was written; a clock that is ahead of ours tells nothing.
	for n, sent := range []omni.Millis{base + 10, base + 650, base + 5000} {
		at := base + 700 + omni.Millis(n)*100
		m := w.inbound(w.talk, "late")
		m.SentAt = sent
		step(m, at, func() {
			want.LastMessageAt, want.LastInboundAt, want.Unread = at, max(want.LastInboundAt, min(sent, at-1)), want.Unread+1
		})
	}
	line := w.inbound(w.talk, "the number changed")
	line.Metadata = omni.Metadata{omni.MetadataSystem: "user_changed_number"}
	step(line, base+1100, func() { want.LastMessageAt, want.Unread = base+1100, want.Unread+1 }) // nobody wrote it
	step(w.inbound(w.talk, "the clock went back"), base+50, func() { want.Unread++ })            // order by activity does not
}

func messageWindows(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	const n = 260
	_, errs := atOnce(n, func(int) (store.Appended, error) { return s.AppendMessage(ctx, w.tenant, w.inbound(w.talk, "x")) })
	for _, err := range errs {
		require.NoError(t, err)
	}
	for _, c := range []struct {
		window      store.MessageWindow
		first, last int64
	}{
		{store.MessageWindow{}, 1, 50},
		{store.MessageWindow{Limit: 1000}, 1, 200},
		{store.MessageWindow{After: 100, Limit: 3}, 101, 103},
		{store.MessageWindow{After: 258}, 259, 260},
		{store.MessageWindow{Before: 1 << 60, Limit: 5}, 260, 256},
		{store.MessageWindow{Before: 260}, 259, 210},
		{store.MessageWindow{Before: 3}, 2, 1},
	} {
		got, err := s.ListMessages(ctx, w.tenant, w.talk.ID, c.window)
		require.NoError(t, err)
		require.NotEmpty(t, got)
		require.Equal(t, c.first, got[0].Sequence, "%+v", c.window)
		require.Equal(t, c.last, got[len(got)-1].Sequence, "%+v", c.window)
		require.Len(t, got, int(max(c.last-c.first, c.first-c.last))+1)
		for _, m := range got {
			require.Equal(t, w.talk.ID, m.InteractionID)
		}
	}
	for _, empty := range []store.MessageWindow{{After: n}, {Before: 1}} {
		got, err := s.ListMessages(ctx, w.tenant, w.talk.ID, empty)
		require.NoError(t, err)
		require.Empty(t, got)
	}
	for _, wrong := range []store.MessageWindow{{After: 1, Before: 5}, {Before: -1}, {After: -1}, {Limit: -1}} {
		_, err := s.ListMessages(ctx, w.tenant, w.talk.ID, wrong)
		require.ErrorIs(t, err, omni.ErrInvalid, "%+v", wrong)
	}
	_, err := s.ListMessages(ctx, w.tenant, omni.NewID(), store.MessageWindow{})
	require.ErrorIs(t, err, omni.ErrNotFound)
}

// sent stores an outbound message that the carrier has taken under an id.
func (w *world) sent(t *testing.T, s store.Store, carrierID string) omni.ServiceMessage {
	t.Helper()
	m := w.append(t, s, w.outbound(w.talk, "out")).Message
	require.NoError(t, s.MarkSending(t.Context(), w.tenant, m.ID, base+30))
	m, err := s.MarkSent(t.Context(), w.tenant, m.ID, carrierID, 1, status(w.channel.ID, carrierID, omni.StatusSent, base+40))
	require.NoError(t, err)
	return m
}

func statusesMoveForward(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	m := w.sent(t, s, "SM1")
	require.Equal(t, omni.StatusSent, m.Status)
	require.Equal(t, base+40, m.StatusAt)
	want := m
	for n, step := range []struct {
		status  omni.Status
		reason  omni.Reason
		applied bool
	}{
		{omni.StatusQueued, "", false},
		{omni.StatusSent, "", false},
		{omni.StatusUnknown, omni.ReasonUnknown, false},
		{omni.StatusUndeliverable, omni.ReasonUnreachable, true},
		{omni.StatusFailed, omni.ReasonRejected, false}, // shares its rank: the first stays
		{omni.StatusSent, "", false},
		{omni.StatusDelivered, "", true}, // the recipient has it after all
		{omni.StatusFailed, omni.ReasonRejected, false},
		{omni.StatusRead, "", true},
		{omni.StatusDelivered, "", false},
		{omni.StatusRead, "", false},
	} {
		d := status(w.channel.ID, "SM1", step.status, base+omni.Millis(100+n))
		d.Reason, d.ErrorCode = step.reason, string(step.reason)
		if n%2 == 1 { // by our own id
			d.MessageID, d.CarrierMessageID = m.ID, ""
		}
		got, applied, err := s.ApplyStatus(ctx, w.tenant, d)
		require.NoError(t, err)
		require.Equal(t, step.applied, applied, "%d %s", n, step.status)
		if applied {
			want.Status, want.StatusAt, want.Reason, want.ErrorCode = step.status, d.OccurredAt, step.reason, string(step.reason)
			want.StatusHistory = append(want.StatusHistory, d)
		}
		require.Equal(t, want, got)
		stored, err := s.Message(ctx, w.tenant, m.ID)
		require.NoError(t, err)
		require.Equal(t, want, stored)
	}
	// A carrier that gives no time: ours counts.
	m = w.sent(t, s, "SM2")
	d := status(w.channel.ID, "SM2", omni.StatusDelivered, base+900)
	d.OccurredAt = 0
	got, applied, err := s.ApplyStatus(ctx, w.tenant, d)
	require.NoError(t, err)
	require.True(t, applied)
	require.Equal(t, d.ReceivedAt, got.StatusAt)
	_, _, err = s.ApplyStatus(ctx, w.tenant, omni.DeliveryStatus{DeliveryStatusMessage: omni.DeliveryStatusMessage{Status: omni.StatusRead}, MessageID: m.ID})
	require.ErrorIs(t, err, omni.ErrInvalid, "a status is of a channel")
}

func statusesAtTheSameInstant(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	var all []omni.DeliveryStatus
	var ids []string
	for n := range 20 {
		id := fmt.Sprintf("SM%d", n)
		ids = append(ids, w.sent(t, s, id).ID)
		for _, st := range []omni.Status{omni.StatusQueued, omni.StatusSent, omni.StatusDelivered, omni.StatusRead} {
			d := status(w.channel.ID, id, st, base+100)
			all = append(all, d, d) // each twice
		}
	}
	rand.Shuffle(len(all), func(a, b int) { all[a], all[b] = all[b], all[a] })
	applied := make([]bool, len(all))
	_, errs := atOnce(len(all), func(n int) (m omni.ServiceMessage, err error) {
		m, applied[n], err = s.ApplyStatus(ctx, w.tenant, all[n])
		return m, err
	})
	changes := 0
	for n, err := range errs {
		require.NoError(t, err)
		if applied[n] {
			changes++
		}
	}
	histories := 0
	for _, id := range ids {
		m, err := s.Message(ctx, w.tenant, id)
		require.NoError(t, err)
		require.Equal(t, omni.StatusRead, m.Status)
		rank := 0
		for _, d := range m.StatusHistory {
			require.Greater(t, d.Status.Rank(), rank, "statuses went back")
			rank = d.Status.Rank()
		}
		histories += len(m.StatusHistory) - 1 // the send's own
	}
	require.Equal(t, changes, histories)
}

func earlyStatusesWait(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	m := w.append(t, s, w.outbound(w.talk, "out")).Message
	require.NoError(t, s.MarkSending(ctx, w.tenant, m.ID, base+30))
	early := []omni.DeliveryStatus{
		status(w.channel.ID, "SM1", omni.StatusDelivered, base+50),
		status(w.channel.ID, "SM1", omni.StatusSent, base+45),
		status(w.channel.ID, "SM1", omni.StatusDelivered, base+50),
		status(w.channel.ID, "SM1", omni.StatusRead, base+60),
		status(omni.NewID(), "SM1", omni.StatusFailed, base+60), // another channel's
		status(w.channel.ID, "SM2", omni.StatusFailed, base+60), // another message's
	}
	for _, d := range early {
		_, applied, err := s.ApplyStatus(ctx, w.tenant, d)
		require.ErrorIs(t, err, omni.ErrNotFound)
		require.False(t, applied)
	}
	sent := status(w.channel.ID, "SM1", omni.StatusSent, base+70)
	got, err := s.MarkSent(ctx, w.tenant, m.ID, "SM1", 2, sent)
	require.NoError(t, err)
	require.Equal(t, omni.StatusRead, got.Status)
	require.Equal(t, base+60, got.StatusAt)
	require.Equal(t, []omni.DeliveryStatus{sent, early[0], early[3]}, got.StatusHistory)
	require.Equal(t, "SM1", got.CarrierMessageID)
	require.Equal(t, 2, got.Segments)

	// They are applied once, and wait a day.
	_, _, err = s.ApplyStatus(ctx, w.tenant, status(w.channel.ID, "SM3", omni.StatusRead, base))
	require.ErrorIs(t, err, omni.ErrNotFound)
	const day = 24 * 60 * 60 * 1000
	_, err = s.Sweep(ctx, base+day-1)
	require.NoError(t, err)
	require.Equal(t, omni.StatusRead, w.sent(t, s, "SM3").Status)
	_, _, err = s.ApplyStatus(ctx, w.tenant, status(w.channel.ID, "SM4", omni.StatusRead, base))
	require.ErrorIs(t, err, omni.ErrNotFound)
	_, err = s.Sweep(ctx, base+5+day)
	require.NoError(t, err)
	require.Equal(t, omni.StatusSent, w.sent(t, s, "SM4").Status)

	// At the same instant as the answer to the send: none is lost.
	for n := range 20 {
		id := fmt.Sprintf("race%d", n)
		m := w.append(t, s, w.outbound(w.talk, "out")).Message
		_, errs := atOnce(2, func(k int) (m2 omni.ServiceMessage, err error) {
			if k == 0 {
				return s.MarkSent(ctx, w.tenant, m.ID, id, 1, status(w.channel.ID, id, omni.StatusSent, base+40))
			}
			m2, _, err = s.ApplyStatus(ctx, w.tenant, status(w.channel.ID, id, omni.StatusDelivered, base+41))
			return m2, err
		})
		require.NoError(t, errs[0])
		if errs[1] != nil {
			require.ErrorIs(t, errs[1], omni.ErrNotFound)
		}
		stored, err := s.Message(ctx, w.tenant, m.ID)
		require.NoError(t, err)
		require.Equal(t, omni.StatusDelivered, stored.Status)
	}
}

func statusesOfOthers(t *testing.T, s store.Store) {
	ctx := t.Context()
	a, b := newWorld(t, s), newWorld(t, s)
	m := a.sent(t, s, "SM1")
	in := a.inbound(a.talk, "from the contact")
	in.CarrierMessageID = "SM2"
	a.append(t, s, in)
	received, err := s.Message(ctx, a.tenant, in.ID)
	require.NoError(t, err)
	for what, call := range map[string]func() error{
		"another organisation, by the carrier's id": func() error {
			_, _, err := s.ApplyStatus(ctx, b.tenant, status(a.channel.ID, "SM1", omni.StatusRead, base))
			return err
		},
		"another organisation, by our id": func() error {
			d := status(a.channel.ID, "", omni.StatusRead, base)
			d.MessageID = m.ID
			_, _, err := s.ApplyStatus(ctx, b.tenant, d)
			return err
		},
		"another channel, by our id": func() error {
			d := status(omni.NewID(), "", omni.StatusRead, base)
			d.MessageID = m.ID
			_, _, err := s.ApplyStatus(ctx, a.tenant, d)
			return err
		},
		"another channel, by the carrier's id": func() error {
			_, _, err := s.ApplyStatus(ctx, a.tenant, status(omni.NewID(), "SM1", omni.StatusRead, base))
			return err
		},
		"a message that came in, by the carrier's id": func() error {
			_, _, err := s.ApplyStatus(ctx, a.tenant, status(a.channel.ID, "SM2", omni.StatusRead, base))
			return err
		},
		"a message that came in, by our id": func() error {
			d := status(a.channel.ID, "", omni.StatusRead, base)
			d.MessageID = in.ID
			_, _, err := s.ApplyStatus(ctx, a.tenant, d)
			return err
		},
		"an unknown id": func() error {
			_, _, err := s.ApplyStatus(ctx, a.tenant, status(a.channel.ID, "SM9", omni.StatusRead, base))
			return err
		},
	} {
		require.ErrorIs(t, call(), omni.ErrNotFound, what)
	}
	stored, err := s.Message(ctx, a.tenant, m.ID)
	require.NoError(t, err)
	require.Equal(t, m, stored)
	stored, err = s.Message(ctx, a.tenant, in.ID)
	require.NoError(t, err)
	require.Equal(t, received, stored)
}

func messageEdits(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	m := w.append(t, s, w.inbound(w.talk, "first")).Message
	edit := func(at omni.Millis, text string) (omni.ServiceMessage, bool) {
		got, changed, err := s.EditMessage(ctx, w.tenant, m.ID, omni.MessageEdit{At: at, Text: text})
		require.NoError(t, err)
		stored, err := s.Message(ctx, w.tenant, m.ID)
		require.NoError(t, err)
		require.Equal(t, stored, got)
		return got, changed
	}
	got, changed := edit(base+100, "second")
	require.True(t, changed)
	want := m
	want.Payload, want.EditedAt, want.Edits = omni.TextPayload("second"), base+100, []omni.MessageEdit{{At: m.ReceivedAt, Text: "first"}}
	require.Equal(t, want, got)
	_, changed = edit(base+100, "second")
	require.False(t, changed, "the same again")
	_, changed = edit(base+90, "late")
	require.False(t, changed, "older than what is known")
	got, changed = edit(base+110, "third")
	require.True(t, changed)
	require.Equal(t, []omni.MessageEdit{{At: m.ReceivedAt, Text: "first"}, {At: base + 100, Text: "second"}}, got.Edits)

	got, changed, err := s.EditMessage(ctx, w.tenant, m.ID, omni.MessageEdit{At: base + 120, Deleted: true})
	require.NoError(t, err)
	require.True(t, changed)
	require.Equal(t, base+120, got.DeletedAt)
	require.Empty(t, got.Payload.TextBody())
	require.Len(t, got.Edits, 3)
	preview := func() string {
		i, err := s.Interaction(ctx, w.tenant, w.talk.ID)
		require.NoError(t, err)
		return i.LastPreview
	}
	require.Empty(t, preview(), "lists show nothing of it either")
	_, changed = edit(base+130, "back")
	require.False(t, changed, "what was taken back stays so")

	// Of any number at the same instant each counts, and the newest stays.
	other := w.append(t, s, w.inbound(w.talk, "0")).Message
	_, errs := atOnce(10, func(n int) (bool, error) {
		_, changed, err := s.EditMessage(ctx, w.tenant, other.ID, omni.MessageEdit{At: base + omni.Millis(200+n), Text: fmt.Sprint(n + 1)})
		return changed, err
	})
	require.NoError(t, errors.Join(errs...))
	got, err = s.Message(ctx, w.tenant, other.ID)
	require.NoError(t, err)
	require.Equal(t, "10", got.Payload.TextBody())
	require.Equal(t, base+209, got.EditedAt)
	require.Equal(t, "10", preview())
	w.append(t, s, w.inbound(w.talk, "the last"))
	_, _, err = s.EditMessage(ctx, w.tenant, other.ID, omni.MessageEdit{At: base + 300, Text: "changed"})
	require.NoError(t, err)
	require.Equal(t, "the last", preview())
	_, _, err = s.EditMessage(ctx, w.tenant, omni.NewID(), omni.MessageEdit{At: base, Text: "x"})
	require.ErrorIs(t, err, omni.ErrNotFound)
}

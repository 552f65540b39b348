package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

func inboxInOrder(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	var all []store.InboxRecord
	for n := range 12 {
		r := w.inboxRecord(n % 3)
		r.Raw.Body = []byte(fmt.Sprintf("body %d\x00\xff", n))
		all = append(all, r)
	}
	require.NoError(t, s.PutInbox(ctx))
	require.NoError(t, s.PutInbox(ctx, all[:5]...))
	require.NoError(t, s.PutInbox(ctx, all[5:]...))
	require.NoError(t, s.PutInbox(ctx, all[2], all[3]), "the same again changes nothing")
	pending := func(now omni.Millis, limit int, partitions ...int) []string {
		t.Helper()
		got, err := s.PendingInbox(ctx, partitions, now, limit)
		require.NoError(t, err)
		return idsOf(got, recordID)
	}
	ids := idsOf(all, recordID)
	require.Equal(t, ids, pending(base, 100, allPartitions()...))
	require.Equal(t, ids[:4], pending(base, 4, 0, 1, 2))
	require.Equal(t, []string{ids[1], ids[4], ids[7], ids[10]}, pending(base, 100, 1))
	require.Empty(t, pending(base, 100))
	require.Empty(t, pending(base, 100, 63, -1, 64))
	require.Empty(t, pending(base, 0, 1))

	require.NoError(t, s.DoneInbox(ctx, ids[0], ids[5], omni.NewID()))
	require.NoError(t, s.DoneInbox(ctx, ids[0]), "again")
	require.NoError(t, s.RetryInbox(ctx, ids[1], 1, base+50, "unavailable"))
	require.NoError(t, s.RetryInbox(ctx, ids[2], 2, base+60, "internal"))
	require.ErrorIs(t, s.RetryInbox(ctx, ids[0], 1, base, "x"), omni.ErrNotFound)
	require.Equal(t, []string{ids[3], ids[4]}, pending(base+49, 2, 0, 1, 2))
	require.Equal(t, []string{ids[1], ids[3]}, pending(base+50, 2, 0, 1, 2), "what is due again is in its old place")
	require.Equal(t, []string{ids[1], ids[2], ids[3], ids[4]}, pending(base+60, 4, 0, 1, 2))
	got, err := s.PendingInbox(ctx, []int{2}, base+60, 1)
	require.NoError(t, err)
	want := all[2]
	want.Attempts, want.NotBefore, want.LastError = 2, base+60, "internal"
	require.Equal(t, []store.InboxRecord{want}, got)
}

func inboxSetAside(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	r := w.inboxRecord(5)
	require.NoError(t, s.PutInbox(ctx, r))
	require.NoError(t, s.RetryInbox(ctx, r.ID, 5, base+10, "internal"))
	r.Attempts, r.NotBefore, r.LastError = 5, base+10, "internal"
	a := store.SetAside{Record: r, Reason: store.SetAsidePoison, Detail: "internal", At: base + 20, ExpiresAt: base + 1000}
	for range 2 {
		require.NoError(t, s.PutAside(ctx, a))
		pending, err := s.PendingInbox(ctx, allPartitions(), base+100, 10)
		require.NoError(t, err)
		require.Empty(t, pending)
		l, err := s.ListAside(ctx, w.tenant, store.Page{})
		require.NoError(t, err)
		require.Equal(t, []store.SetAside{a}, l.Items)
	}
	got, errs := atOnce(16, func(int) (store.InboxRecord, error) { return s.ReplayAside(ctx, w.tenant, r.ID) })
	r.Attempts, r.NotBefore, r.LastError = 0, 0, ""
	require.Equal(t, r, got[oneWins(t, errs, omni.ErrNotFound)])
	pending, err := s.PendingInbox(ctx, []int{5}, base, 10)
	require.NoError(t, err)
	require.Equal(t, []store.InboxRecord{r}, pending)
	l, err := s.ListAside(ctx, w.tenant, store.Page{})
	require.NoError(t, err)
	require.Empty(t, l.Items)
}

func fragmentsAreJoinedOnce(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	part := func(index int) omni.MessageFragment {
		return omni.MessageFragment{Reference: "r", Index: index, Total: 3, Text: fmt.Sprint(index), ReceivedAt: base + omni.Millis(index)}
	}
	put := func(key string, f omni.MessageFragment) ([]omni.MessageFragment, bool) {
		t.Helper()
		parts, joined, err := s.PutFragment(ctx, w.tenant, key, f, base+1000)
		require.NoError(t, err)
		return parts, joined
	}
	parts, joined := put("a", part(3))
	require.False(t, joined)
	require.Equal(t, []omni.MessageFragment{part(3)}, parts)
	parts, _ = put("b", part(2))
	require.Len(t, parts, 1, "texts are apart")
	again := part(3)
	again.ReceivedAt, again.Text = base+500, "other"
	parts, _ = put("a", again)
	require.Equal(t, []omni.MessageFragment{part(3)}, parts, "the first stays")
	parts, _ = put("a", part(1))
	require.Equal(t, []omni.MessageFragment{part(1), part(3)}, parts)
	parts, _ = put("a", part(2))
	require.Equal(t, []omni.MessageFragment{part(1), part(2), part(3)}, parts)
	for range 2 {
		require.NoError(t, s.JoinFragments(ctx, w.tenant, "a", base+1000))
		parts, joined = put("a", part(2))
		require.True(t, joined)
		require.Empty(t, parts)
	}
	_, _, err := s.PutFragment(ctx, w.tenant, "a", omni.MessageFragment{}, base)
	require.ErrorIs(t, err, omni.ErrInvalid)

	// Parts at the same instant: whoever comes last sees all.
	seen, errs := atOnce(9, func(n int) ([]omni.MessageFragment, error) {
		parts, _, err := s.PutFragment(ctx, w.tenant, "c", part(n%3+1), base+1000)
		return parts, err
	})
	most := 0
	for n, parts := range seen {
		require.NoError(t, errs[n])
		most = max(most, len(parts))
	}
	require.Equal(t, 3, most)

	_, err = s.Sweep(ctx, base+1000)
	require.NoError(t, err)
	_, joined = put("a", part(1))
	require.False(t, joined, "the note has ended")
}

func outboxHoldsWhatGoesOut(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	next, err := s.NextOutbox(ctx, allPartitions())
	require.NoError(t, err)
	require.Zero(t, next, "nothing waits")
	w.append(t, s, w.inbound(w.talk, "not outbound"))
	chat := w.outbound(w.talk, "the visitor's page gets it")
	chat.Channel.ChannelType = omni.ChannelLiveChat
	w.append(t, s, chat)
	items, err := s.PendingOutbox(ctx, allPartitions(), base, 10)
	require.NoError(t, err)
	require.Empty(t, items)
	require.ErrorIs(t, s.MarkSending(ctx, w.tenant, chat.ID, base), omni.ErrNotFound)

	m := w.append(t, s, w.outbound(w.talk, "goes out")).Message
	p := store.OutboxPartition(m)
	for range 2 {
		items, err = s.PendingOutbox(ctx, []int{p}, base, 10)
		require.NoError(t, err)
		require.Equal(t, []store.OutboxItem{{Message: m, Partition: p}}, items)
	}
	items, err = s.PendingOutbox(ctx, []int{(p + 1) % store.Partitions}, base, 10)
	require.NoError(t, err)
	require.Empty(t, items)
	next, err = s.NextOutbox(ctx, []int{p})
	require.NoError(t, err)
	require.Positive(t, next)
	require.LessOrEqual(t, next, base)
	next, err = s.NextOutbox(ctx, []int{(p + 1) % store.Partitions})
	require.NoError(t, err)
	require.Zero(t, next)
}

func outboxHeadOfLine(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	other, _, _ := w.newTalk(t, s, "+15553333")
	first := w.append(t, s, w.outbound(w.talk, "1")).Message
	second := w.append(t, s, w.outbound(w.talk, "2")).Message
	theirs := w.append(t, s, w.outbound(other, "1")).Message
	third := w.append(t, s, w.outbound(w.talk, "3")).Message
	pending := func(now omni.Millis) []string {
		t.Helper()
		items, err := s.PendingOutbox(ctx, allPartitions(), now, 10)
		require.NoError(t, err)
		return itemIDs(items)
	}
	next := func() omni.Millis {
		t.Helper()
		at, err := s.NextOutbox(ctx, allPartitions())
		require.NoError(t, err)
		return at
	}
	require.Equal(t, []string{first.ID, theirs.ID}, pending(base), "one per recipient, oldest first")
	items, err := s.PendingOutbox(ctx, allPartitions(), base, 1)
	require.NoError(t, err)
	require.Equal(t, []string{first.ID}, itemIDs(items))

	queued := status(w.channel.ID, "", omni.StatusQueued, base+40)
	queued.Reason = omni.ReasonThrottled
	require.NoError(t, s.MarkRetry(ctx, w.tenant, first.ID, base+100, queued))
	require.Equal(t, []string{theirs.ID}, pending(base+99), "nobody overtakes one that is not due")
	require.Equal(t, []string{first.ID, theirs.ID}, pending(base+100), "in its old place")
	_, err = s.MarkEnded(ctx, w.tenant, theirs.ID, status(w.channel.ID, "", omni.StatusFailed, base+50))
	require.NoError(t, err)
	require.Equal(t, base+100, next())

	sent := status(w.channel.ID, "SM1", omni.StatusSent, base+110)
	_, err = s.MarkSent(ctx, w.tenant, first.ID, "SM1", 1, sent)
	require.NoError(t, err)
	require.Equal(t, []string{second.ID}, pending(base+110))

	// One that was interrupted stays in front, where its outcome can be settled, and is nothing to wait for.
	require.NoError(t, s.MarkSending(ctx, w.tenant, second.ID, base+120))
	items, err = s.PendingOutbox(ctx, allPartitions(), base+130, 10)
	require.NoError(t, err)
	require.Equal(t, []string{second.ID}, itemIDs(items))
	require.Equal(t, base+120, items[0].SendingAt)
	require.Zero(t, next())
	_, err = s.MarkEnded(ctx, w.tenant, second.ID, status(w.channel.ID, "", omni.StatusUnknown, base+140))
	require.NoError(t, err)
	require.Equal(t, []string{third.ID}, pending(base+150))

	// A message of the same recipient that ended while it waited behind another leaves the head alone.
	fourth := w.append(t, s, w.outbound(w.talk, "4")).Message
	fifth := w.append(t, s, w.outbound(w.talk, "5")).Message
	_, err = s.MarkEnded(ctx, w.tenant, fourth.ID, status(w.channel.ID, "", omni.StatusFailed, base+160))
	require.NoError(t, err)
	require.Equal(t, []string{third.ID}, pending(base+170))
	_, err = s.MarkSent(ctx, w.tenant, third.ID, "SM3", 1, sent)
	require.NoError(t, err)
	require.Equal(t, []string{fifth.ID}, pending(base+170))

	// A status shows that it has gone, before the send's own answer.
	d := status(w.channel.ID, "", omni.StatusDelivered, base+180)
	d.MessageID = fifth.ID
	_, applied, err := s.ApplyStatus(ctx, w.tenant, d)
	require.NoError(t, err)
	require.True(t, applied)
	require.Empty(t, pending(base+190), "what was delivered is not sent again")
	require.Zero(t, next())
}

func outboxOutcomes(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	m := w.append(t, s, w.outbound(w.talk, "out")).Message

	// Retries: counted, and seen by agents without a change of status. The same failure again adds nothing.
	queued := status(w.channel.ID, "", omni.StatusQueued, base+40)
	queued.Reason, queued.ErrorCode = omni.ReasonThrottled, "429"
	for n := range 3 {
		require.NoError(t, s.MarkSending(ctx, w.tenant, m.ID, base+30))
		require.NoError(t, s.MarkRetry(ctx, w.tenant, m.ID, base+omni.Millis(50+n), queued))
		items, err := s.PendingOutbox(ctx, allPartitions(), base+100, 10)
		require.NoError(t, err)
		require.Len(t, items, 1)
		require.Equal(t, n+1, items[0].Attempts)
		require.Equal(t, base+omni.Millis(50+n), items[0].NotBefore)
		require.Zero(t, items[0].SendingAt)
		got := items[0].Message
		require.Equal(t, omni.StatusQueued, got.Status)
		require.Equal(t, omni.ReasonThrottled, got.Reason)
		require.Equal(t, "429", got.ErrorCode)
		require.Equal(t, []omni.DeliveryStatus{queued}, got.StatusHistory)
	}

	sent := status(w.channel.ID, "SM1", omni.StatusSent, base+60)
	got, err := s.MarkSent(ctx, w.tenant, m.ID, "SM1", 3, sent)
	require.NoError(t, err)
	require.Equal(t, omni.StatusSent, got.Status)
	require.Equal(t, base+60, got.StatusAt)
	require.Empty(t, got.Reason)
	require.Empty(t, got.ErrorCode)
	require.Equal(t, "SM1", got.CarrierMessageID)
	require.Equal(t, 3, got.Segments)
	require.Equal(t, []omni.DeliveryStatus{queued, sent}, got.StatusHistory)
	found, err := s.MessageByCarrierID(ctx, w.tenant, w.channel.ID, "SM1")
	require.NoError(t, err)
	require.Equal(t, got, found)
	again, err := s.MarkSent(ctx, w.tenant, m.ID, "SM1", 3, sent)
	require.NoError(t, err)
	require.Equal(t, got, again, "repeated")

	// What has left the outbox does not come back.
	require.ErrorIs(t, s.MarkRetry(ctx, w.tenant, m.ID, base, queued), omni.ErrConflict)
	require.ErrorIs(t, s.MarkSending(ctx, w.tenant, m.ID, base), omni.ErrNotFound)
	ended, err := s.MarkEnded(ctx, w.tenant, m.ID, status(w.channel.ID, "", omni.StatusUnknown, base+70))
	require.NoError(t, err)
	require.Equal(t, got, ended, "a lower rank changes nothing")

	failed := status(w.channel.ID, "", omni.StatusFailed, base+80)
	failed.Reason, failed.ErrorCode = omni.ReasonRejected, "30007"
	m = w.append(t, s, w.outbound(w.talk, "out")).Message
	got, err = s.MarkEnded(ctx, w.tenant, m.ID, failed)
	require.NoError(t, err)
	require.Equal(t, omni.StatusFailed, got.Status)
	require.Equal(t, omni.ReasonRejected, got.Reason)
	require.Equal(t, "30007", got.ErrorCode)

	// An outcome that was unknown, and then known.
	m = w.append(t, s, w.outbound(w.talk, "out")).Message
	_, err = s.MarkEnded(ctx, w.tenant, m.ID, status(w.channel.ID, "", omni.StatusUnknown, base+90))
	require.NoError(t, err)
	got, err = s.MarkSent(ctx, w.tenant, m.ID, "SM2", 1, status(w.channel.ID, "SM2", omni.StatusSent, base+95))
	require.NoError(t, err)
	require.Equal(t, omni.StatusSent, got.Status)
	// A carrier that gives the same id twice: the message has gone all the same.
	m = w.append(t, s, w.outbound(w.talk, "out")).Message
	got, err = s.MarkSent(ctx, w.tenant, m.ID, "SM2", 1, status(w.channel.ID, "SM2", omni.StatusSent, base+99))
	require.NoError(t, err)
	require.Equal(t, omni.StatusSent, got.Status)
	require.Empty(t, got.CarrierMessageID)

	items, err := s.PendingOutbox(ctx, allPartitions(), base+1000, 10)
	require.NoError(t, err)
	require.Empty(t, items)
	for _, err := range []error{
		s.MarkSending(ctx, w.tenant, omni.NewID(), base),
		s.MarkRetry(ctx, w.tenant, omni.NewID(), base, queued),
		second(s.MarkSent(ctx, w.tenant, omni.NewID(), "x", 1, sent)),
		second(s.MarkEnded(ctx, w.tenant, omni.NewID(), failed)),
	} {
		require.ErrorIs(t, err, omni.ErrNotFound)
	}
}

func failedMessagesAreRequeued(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	again := func(at omni.Millis) omni.DeliveryStatus {
		return omni.DeliveryStatus{DeliveryStatusMessage: omni.DeliveryStatusMessage{Status: omni.StatusQueued}, ReceivedAt: at}
	}
	pending := func() []store.OutboxItem {
		t.Helper()
		items, err := s.PendingOutbox(ctx, allPartitions(), base*2, 10)
		require.NoError(t, err)
		return items
	}
	m := w.append(t, s, w.outbound(w.talk, "out")).Message
	_, err := s.Requeue(ctx, w.tenant, m.ID, again(base+50))
	require.ErrorIs(t, err, omni.ErrConflict, "it waits")
	require.NoError(t, s.MarkSending(ctx, w.tenant, m.ID, base+50))
	m, err = s.MarkSent(ctx, w.tenant, m.ID, "SM1", 2, status(w.channel.ID, "SM1", omni.StatusSent, base+60))
	require.NoError(t, err)
	_, err = s.Requeue(ctx, w.tenant, m.ID, again(base+65))
	require.ErrorIs(t, err, omni.ErrConflict, "it has gone")
	failed := status(w.channel.ID, "SM1", omni.StatusUndeliverable, base+70)
	failed.Reason, failed.ErrorCode = omni.ReasonUnreachable, "30003"
	m, _, err = s.ApplyStatus(ctx, w.tenant, failed)
	require.NoError(t, err)
	require.Empty(t, pending())

	// Of many callers one puts it back; with a message before it, it waits for that.
	first := w.append(t, s, w.outbound(w.talk, "before it")).Message
	got, errs := atOnce(16, func(n int) (omni.ServiceMessage, error) {
		return s.Requeue(ctx, w.tenant, m.ID, again(base+80+omni.Millis(n)))
	})
	won := oneWins(t, errs, omni.ErrConflict)
	want := m
	want.Status, want.StatusAt, want.Reason, want.ErrorCode, want.CarrierMessageID = omni.StatusQueued, base+80+omni.Millis(won), "", "", ""
	want.StatusHistory = append(want.StatusHistory, again(want.StatusAt))
	require.Equal(t, want, got[won])
	stored, err := s.Message(ctx, w.tenant, m.ID)
	require.NoError(t, err)
	require.Equal(t, want, stored)
	require.Equal(t, []string{first.ID}, itemIDs(pending()))
	_, err = s.MarkSent(ctx, w.tenant, first.ID, "SM2", 1, status(w.channel.ID, "SM2", omni.StatusSent, base+100))
	require.NoError(t, err)
	require.Equal(t, []store.OutboxItem{{Message: want, Partition: store.OutboxPartition(m)}}, pending(), "with no failures")

	// What the carrier says of the first attempt does not end the second.
	_, _, err = s.ApplyStatus(ctx, w.tenant, failed)
	require.ErrorIs(t, err, omni.ErrNotFound)
	require.Len(t, pending(), 1)
	require.NoError(t, s.MarkSending(ctx, w.tenant, m.ID, base+110))
	m, err = s.MarkSent(ctx, w.tenant, m.ID, "SM3", 1, status(w.channel.ID, "SM3", omni.StatusSent, base+110))
	require.NoError(t, err)
	require.Equal(t, omni.StatusSent, m.Status)
	require.Equal(t, "SM3", m.CarrierMessageID)
	require.Empty(t, pending())

	// One that never got to the carrier.
	m = w.append(t, s, w.outbound(w.talk, "out")).Message
	_, err = s.MarkEnded(ctx, w.tenant, m.ID, status(w.channel.ID, "", omni.StatusFailed, base+120))
	require.NoError(t, err)
	_, err = s.Requeue(ctx, w.tenant, m.ID, again(base+130))
	require.NoError(t, err)
	require.Equal(t, []string{m.ID}, itemIDs(pending()))
	require.ErrorIs(t, second(s.Requeue(ctx, w.tenant, omni.NewID(), again(base))), omni.ErrNotFound)
}

// second is the error of a call that gives a value too.
func second[T any](_ T, err error) error { return err }

func oneSendBegins(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	m := w.append(t, s, w.outbound(w.talk, "out")).Message
	_, errs := atOnce(16, func(n int) (struct{}, error) {
		return struct{}{}, s.MarkSending(ctx, w.tenant, m.ID, base+omni.Millis(n))
	})
	oneWins(t, errs, omni.ErrConflict)
	queued := status(w.channel.ID, "", omni.StatusQueued, base+40)
	require.NoError(t, s.MarkRetry(ctx, w.tenant, m.ID, base+50, queued))
	require.NoError(t, s.MarkSending(ctx, w.tenant, m.ID, base+60), "the next try")
}

func locksFence(t *testing.T, s store.Store) {
	ctx := t.Context()
	const ttl = 10 * time.Second
	l, err := s.AcquireLock(ctx, "inbox/1", "a", base, ttl)
	require.NoError(t, err)
	require.Equal(t, omni.MessageQueueLock{Key: "inbox/1", Owner: "a", Token: 1, ExpiresAt: base + 10_000}, l)
	l, err = s.AcquireLock(ctx, "inbox/1", "a", base+5000, ttl)
	require.NoError(t, err)
	require.Equal(t, int64(1), l.Token, "stays on renewal")
	require.Equal(t, base+15_000, l.ExpiresAt)
	_, err = s.AcquireLock(ctx, "inbox/1", "b", base+14_999, ttl)
	require.ErrorIs(t, err, omni.ErrConflict)
	other, err := s.AcquireLock(ctx, "inbox/2", "b", base, ttl)
	require.NoError(t, err)
	require.Equal(t, int64(1), other.Token)

	taken, err := s.AcquireLock(ctx, "inbox/1", "b", base+15_000, ttl)
	require.NoError(t, err)
	require.Equal(t, int64(2), taken.Token)
	require.NoError(t, s.ReleaseLock(ctx, l), "the one before has nothing to release")
	_, err = s.AcquireLock(ctx, "inbox/1", "a", base+16_000, ttl)
	require.ErrorIs(t, err, omni.ErrConflict)
	require.NoError(t, s.ReleaseLock(ctx, taken))
	l, err = s.AcquireLock(ctx, "inbox/1", "b", base+16_000, ttl)
	require.NoError(t, err)
	require.Equal(t, int64(3), l.Token, "the lease had ended, though its owner is the same")
	l, err = s.AcquireLock(ctx, "inbox/1", "b", base+26_000, ttl)
	require.NoError(t, err)
	require.Equal(t, int64(4), l.Token, "slept through its end")

	require.NoError(t, s.ReleaseLock(ctx, other))
	other.ExpiresAt = 0
	_, err = s.AcquireLock(ctx, "inboxes/1", "b", base, ttl)
	require.NoError(t, err)
	all, err := s.ListLocks(ctx, "inbox/")
	require.NoError(t, err)
	require.Equal(t, []omni.MessageQueueLock{l, other}, all, "those that have ended too, and no others")
	all, err = s.ListLocks(ctx, "outbox/")
	require.NoError(t, err)
	require.Empty(t, all)
}

func oneLockOwner(t *testing.T, s store.Store) {
	for round := range 5 {
		now := base + omni.Millis(round*10_000)
		got, errs := atOnce(32, func(n int) (omni.MessageQueueLock, error) {
			return s.AcquireLock(t.Context(), "k", fmt.Sprintf("node%d/%d", round, n), now, 10*time.Second)
		})
		require.Equal(t, int64(round+1), got[oneWins(t, errs, omni.ErrConflict)].Token)
	}
}

func idempotencyKeys(t *testing.T, s store.Store) {
	ctx := t.Context()
	w, other := newWorld(t, s), newWorld(t, s)
	r := store.IdempotencyRecord{Key: "k", BodyHash: "h", ExpiresAt: base + 1000}
	free := make([]bool, 32)
	got, errs := atOnce(len(free), func(n int) (have store.IdempotencyRecord, err error) {
		have, free[n], err = s.ReserveKey(ctx, w.tenant, r, base)
		return have, err
	})
	won := 0
	for n := range free {
		require.NoError(t, errs[n])
		require.Equal(t, r, got[n])
		if free[n] {
			won++
		}
	}
	require.Equal(t, 1, won)
	_, isFree, err := s.ReserveKey(ctx, other.tenant, r, base)
	require.NoError(t, err)
	require.True(t, isFree, "another organisation's key is its own")

	r.Done, r.Status, r.Body = true, 201, []byte(`{"id":"x"}`)
	require.NoError(t, s.CompleteKey(ctx, w.tenant, r))
	have, isFree, err := s.ReserveKey(ctx, w.tenant, store.IdempotencyRecord{Key: "k", BodyHash: "other", ExpiresAt: base + 5000}, base+999)
	require.NoError(t, err)
	require.False(t, isFree)
	require.Equal(t, r, have)
	require.NoError(t, s.DropKey(ctx, w.tenant, "k"), "what is done stays")
	_, isFree, err = s.ReserveKey(ctx, w.tenant, r, base+999)
	require.NoError(t, err)
	require.False(t, isFree)

	again := store.IdempotencyRecord{Key: "k", BodyHash: "later", ExpiresAt: base + 5000}
	have, isFree, err = s.ReserveKey(ctx, w.tenant, again, base+1000)
	require.NoError(t, err)
	require.True(t, isFree, "it has ended")
	require.Equal(t, again, have)
	require.NoError(t, s.DropKey(ctx, w.tenant, "k"))
	require.NoError(t, s.DropKey(ctx, w.tenant, "k"))
	_, isFree, err = s.ReserveKey(ctx, w.tenant, again, base+1000)
	require.NoError(t, err)
	require.True(t, isFree)
	require.ErrorIs(t, s.CompleteKey(ctx, w.tenant, store.IdempotencyRecord{Key: "never"}), omni.ErrNotFound)
}

func sweepRemovesWhatEnded(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	put := func(ends omni.Millis) {
		n := omni.Session{ID: omni.NewID(), OrganisationID: w.org.ID, UserID: w.user.ID, RefreshHash: "h", CreatedAt: base, ExpiresAt: ends}
		require.NoError(t, s.CreateSession(ctx, w.tenant, n))
		require.NoError(t, s.PutOneTimeToken(ctx, w.tenant, omni.OneTimeToken{Hash: omni.NewToken(32), OrganisationID: w.org.ID, ExpiresAt: ends}))
		_, _, err := s.ReserveKey(ctx, w.tenant, store.IdempotencyRecord{Key: omni.NewID(), ExpiresAt: ends}, base)
		require.NoError(t, err)
		require.NoError(t, s.PutAside(ctx, store.SetAside{Record: w.inboxRecord(1), At: base, ExpiresAt: ends}))
		f := omni.MessageFragment{Reference: "r", Index: 1, Total: 2, ReceivedAt: base}
		_, _, err = s.PutFragment(ctx, w.tenant, omni.NewID(), f, ends)
		require.NoError(t, err)
	}
	put(base + 10)
	put(base + 20)
	_, _, err := s.ApplyStatus(ctx, w.tenant, status(w.channel.ID, "early", omni.StatusRead, base-5)) // kept for a day
	require.ErrorIs(t, err, omni.ErrNotFound)
	const day = 24 * 60 * 60 * 1000
	for _, step := range []struct {
		now  omni.Millis
		want int
	}{{base + 9, 0}, {base + 10, 5}, {base + 10, 0}, {base + 20, 5}, {base + day, 1}, {base + 10*day, 0}} {
		n, err := s.Sweep(ctx, step.now)
		require.NoError(t, err)
		require.Equal(t, step.want, n)
	}
	// What has no end stays.
	_, err = s.User(ctx, w.tenant, w.user.ID)
	require.NoError(t, err)
	_, err = s.Interaction(ctx, w.tenant, w.talk.ID)
	require.NoError(t, err)
}

func outboxPutOff(t *testing.T, s store.Store) {
	ctx := t.Context()
	w := newWorld(t, s)
	gone := w.outbound(w.talk, "0")
	gone.Status = omni.StatusSent
	w.append(t, s, gone) // is not to be sent
	first := w.append(t, s, w.outbound(w.talk, "1")).Message
	second := w.append(t, s, w.outbound(w.talk, "2")).Message
	pending := func(now omni.Millis) []store.OutboxItem {
		items, err := s.PendingOutbox(ctx, allPartitions(), now, 10)
		require.NoError(t, err)
		return items
	}
	require.Len(t, pending(base+10), 1)
	before := pending(base + 10)[0]

	require.NoError(t, s.PutOff(ctx, w.tenant, first.ID, base+50))
	require.Empty(t, pending(base+49), "its recipient's others wait behind it")
	next, err := s.NextOutbox(ctx, allPartitions())
	require.NoError(t, err)
	require.Equal(t, base+50, next)
	got := pending(base + 50)
	require.Len(t, got, 1)
	before.NotBefore = base + 50
	require.Equal(t, before, got[0], "nothing else changes")
	require.NoError(t, s.PutOff(ctx, w.tenant, first.ID, base+20), "it may also be earlier")
	require.Len(t, pending(base+20), 1)

	require.NoError(t, s.MarkSending(ctx, w.tenant, first.ID, base+60))
	require.ErrorIs(t, s.PutOff(ctx, w.tenant, first.ID, base+70), omni.ErrConflict)
	_, err = s.MarkSent(ctx, w.tenant, first.ID, "SM1", 1, status(w.channel.ID, "SM1", omni.StatusSent, base+65))
	require.NoError(t, err)
	require.ErrorIs(t, s.PutOff(ctx, w.tenant, first.ID, base+70), omni.ErrNotFound)
	require.ErrorIs(t, s.PutOff(ctx, w.tenant, omni.NewID(), base+70), omni.ErrNotFound)
	got = pending(base + 70)
	require.Len(t, got, 1)
	require.Equal(t, second.ID, got[0].Message.ID)
}

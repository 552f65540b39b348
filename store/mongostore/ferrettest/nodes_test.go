package ferrettest

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/mongostore"
)

// TestNodesAppendAtOnce appends to one conversation from three nodes, which know nothing of each other, and marks it read
// meanwhile: every message has a place of its own, and the interaction says what its messages say.
func TestNodesAppendAtOnce(t *testing.T) {
	t.Parallel()
	database := newDatabase(t)
	nodes := []*mongostore.Store{openAt(t, server, database), openAt(t, server, database), openAt(t, server, database)}
	d := &desk{t: t, sure: nodes[0], org: omni.Tenant{OrganisationID: omni.NewID(), UserID: omni.NewID()}, line: omni.NewID()}
	i := d.talk()
	const each = 12
	var wg sync.WaitGroup
	errs := make(chan error, len(nodes)*(each+2))
	for _, s := range nodes {
		for n := range each {
			m := d.inbound(i)
			if n%3 == 0 {
				m = d.outbound(i)
			}
			if n%5 == 0 {
				m.CarrierMessageID, m.ClientID = "", fmt.Sprint("same", n) // one on each node: one of them is stored
			}
			wg.Go(func() {
				a, err := s.AppendMessage(t.Context(), d.org, m)
				if err == nil && a.Interaction.LastSequence < a.Message.Sequence {
					err = fmt.Errorf("the interaction does not show message %d", a.Message.Sequence)
				}
				errs <- err
			})
		}
		wg.Go(func() {
			_, _, err := s.MarkRead(t.Context(), d.org, i.ID, omni.SenderUser, 5)
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	d.whole(i.ID, len(nodes)*each-2*3)

	// They go out in the order of their places.
	ms, err := d.sure.ListMessages(t.Context(), d.org, i.ID, store.MessageWindow{Limit: store.MaxPage})
	require.NoError(t, err)
	for _, m := range ms {
		if m.Direction == omni.Outbound {
			require.Equal(t, []string{m.ID}, d.pending(began))
			_, err := d.sure.MarkSent(t.Context(), d.org, m.ID, "s-"+m.ID, 1, d.status("s-"+m.ID, omni.StatusSent, began+50))
			require.NoError(t, err)
		}
	}
	require.Empty(t, d.pending(began))
}

// TestManyBehindOne shows that those who wait behind a recipient's first message keep nobody else from being seen, come in
// their order, and are not forgotten if the node ends that took the one before them out of the outbox.
func TestManyBehindOne(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	one, other := d.talk(), d.talk()
	var queue []omni.ServiceMessage
	for range 9 {
		queue = append(queue, d.append(d.outbound(one)).Message)
	}
	last := d.append(d.outbound(other)).Message
	few := func(now omni.Millis) []string {
		items, err := d.sure.PendingOutbox(t.Context(), partitions(), now, 3)
		require.NoError(t, err)
		var ids []string
		for _, i := range items {
			ids = append(ids, i.Message.ID)
		}
		return ids
	}
	next := func() omni.Millis {
		at, err := d.sure.NextOutbox(t.Context(), partitions())
		require.NoError(t, err)
		return at
	}
	require.Equal(t, []string{queue[0].ID, last.ID}, few(began))
	require.Equal(t, omni.Millis(1), next())
	require.NoError(t, d.sure.MarkRetry(t.Context(), d.org, queue[0].ID, began+5000, d.status("", omni.StatusQueued, began)))
	require.Equal(t, []string{last.ID}, few(began+10))
	_, err := d.sure.MarkEnded(t.Context(), d.org, last.ID, d.status("", omni.StatusFailed, began+20))
	require.NoError(t, err)
	require.Empty(t, few(began+30))
	require.Equal(t, began+5000, next(), "those behind it are nothing to wait for")

	for n, m := range queue[:4] {
		now := began + 6000 + omni.Millis(n)
		require.Equal(t, []string{m.ID}, few(now))
		require.NoError(t, d.sure.MarkSending(t.Context(), d.org, m.ID, now))
		require.Equal(t, []string{m.ID}, few(now), "interrupted, and still the first")
		require.Zero(t, next())
		_, err := d.sure.MarkSent(t.Context(), d.org, m.ID, "s-"+m.ID, 1, d.status("s-"+m.ID, omni.StatusSent, now))
		require.NoError(t, err)
		require.Equal(t, omni.Millis(1), next())
	}

	// The node ends between the last steps of MarkSent, or loses its connection; nobody repeats the call.
	for n := 4; n < 8; n++ {
		now := began + 100_000*omni.Millis(n)
		require.Equal(t, []string{queue[n].ID}, few(now))
		require.NoError(t, d.sure.MarkSending(t.Context(), d.org, queue[n].ID, now))
		d.cuts.arm(n-2, false)
		_, _ = d.s.MarkSent(t.Context(), d.org, queue[n].ID, "s-"+queue[n].ID, 1, d.status("s-"+queue[n].ID, omni.StatusSent, now))
		d.cuts.disarm()
		if ids := few(now + 1); len(ids) > 0 && ids[0] == queue[n].ID {
			_, err := d.sure.MarkEnded(t.Context(), d.org, queue[n].ID, d.status("", omni.StatusUnknown, now))
			require.NoError(t, err)
		}
		require.Equal(t, []string{queue[n+1].ID}, few(now+40_000), "after half a minute at the latest")
	}
}

package ferrettest

import (
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
)

// TestNumbersThatComeLate holds up a node right before it gives numbers: others have gone on with higher ones long before its
// write arrives. Nothing that was written since may get one of the old numbers, and nobody who follows is passed by.
func TestNumbersThatComeLate(t *testing.T) {
	t.Parallel()
	database := newDatabase(t)
	d := &desk{
		t: t, sure: openAt(t, server, database), org: omni.Tenant{OrganisationID: omni.NewID(), UserID: omni.NewID()}, line: omni.NewID(),
	}
	var armed atomic.Bool
	begun, release := make(chan struct{}), make(chan struct{})
	p, err := newProxy(server, func(c command, send func() ([]byte, error)) ([]byte, error) {
		if c.name == "update" && c.coll == "messages" && armed.CompareAndSwap(true, false) {
			close(begun)
			<-release
		}
		return send()
	})
	require.NoError(t, err)
	t.Cleanup(p.close)
	slow := openAt(t, p.uri(), database)

	groups := []string{"group"}
	place := func() string {
		c, err := d.sure.ChangedSince(d.ctx(), d.org, store.ChangeQuery{GroupIDs: groups})
		require.NoError(t, err)
		return c.Next
	}
	// told follows from a place, and gives the place after.
	told := func(since, id string) (string, omni.Status) {
		c, err := d.sure.ChangedSince(d.ctx(), d.org, store.ChangeQuery{GroupIDs: groups, Since: since})
		require.NoError(t, err)
		require.False(t, c.Reset)
		at := slices.IndexFunc(c.Messages, func(m omni.ServiceMessage) bool { return m.ID == id })
		require.GreaterOrEqual(t, at, 0, "it was passed by")
		return c.Next, c.Messages[at].Status
	}

	i := d.talk()
	since := place()
	m := d.append(d.outbound(i)).Message
	armed.Store(true)
	settled := make(chan error, 1)
	go func() {
		_, err := slow.SettleChanges(d.ctx())
		settled <- err
	}()
	<-begun // it has read the message's mark, and has its numbers
	since, st := told(since, m.ID)
	require.Equal(t, omni.StatusQueued, st)
	_, err = d.sure.MarkSent(d.ctx(), d.org, m.ID, "c", 1, d.status("c", omni.StatusSent, began))
	require.NoError(t, err)
	close(release)
	require.NoError(t, <-settled)
	since, st = told(since, m.ID)
	require.Equal(t, omni.StatusSent, st)

	later := d.append(d.inbound(i)).Message
	_, _ = told(since, later.ID)
}

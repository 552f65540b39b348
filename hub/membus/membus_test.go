package membus_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"omniservice/hub"
	"omniservice/hub/bustest"
	"omniservice/hub/membus"
	"omniservice/omni"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	bustest.Run(t, func(t *testing.T, l bustest.Limits) func() hub.Bus {
		b := membus.New(membus.Options{Events: l.Events, Age: l.Age})
		t.Cleanup(func() { require.NoError(t, b.Close()) })
		return func() hub.Bus { return b.Node() }
	})
}

func event() hub.Entry {
	return hub.Entry{Type: "test", Data: json.RawMessage(`1`), At: omni.MillisOf(time.Now())}
}

func TestNodesHearEachOther(t *testing.T) {
	t.Parallel()
	a := membus.New(membus.Options{})
	b := a.Node()
	var heardA, heardB atomic.Int32
	require.NoError(t, a.Start(t.Context(), func(string, hub.Entry) { heardA.Add(1) }))
	require.NoError(t, b.Start(t.Context(), func(string, hub.Entry) { heardB.Add(1) }))
	require.ErrorIs(t, b.Start(t.Context(), func(string, hub.Entry) {}), omni.ErrConflict)
	require.NoError(t, b.Subscribe(t.Context(), "t/1"))
	_, err := a.Publish(t.Context(), "t/1", event())
	require.NoError(t, err)
	require.Zero(t, heardA.Load(), "a did not subscribe")
	require.EqualValues(t, 1, heardB.Load())
	require.NoError(t, b.Close())
	_, err = a.Publish(t.Context(), "t/1", event())
	require.NoError(t, err)
	require.EqualValues(t, 1, heardB.Load())
	require.NoError(t, a.Close())
}

func TestRestartChangesEpoch(t *testing.T) {
	t.Parallel()
	a, err := membus.New(membus.Options{}).Positions(t.Context(), []string{"t/1"})
	require.NoError(t, err)
	b, err := membus.New(membus.Options{}).Positions(t.Context(), []string{"t/1"})
	require.NoError(t, err)
	require.NotEqual(t, a["t/1"].Epoch, b["t/1"].Epoch)
}

// A topic that nobody wants is forgotten, and whoever remembers it is told so. One that somebody follows stays.
func TestIdleTopicsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b := membus.New(membus.Options{Idle: time.Hour})
		require.NoError(t, b.Start(ctx, func(string, hub.Entry) {}))
		require.NoError(t, b.Subscribe(ctx, "t/followed"))
		_, err := b.Publish(ctx, "t/followed", event())
		require.NoError(t, err)
		old, err := b.Publish(ctx, "t/idle", event())
		require.NoError(t, err)

		<-time.After(59 * time.Minute)
		_, _, ok, err := b.History(ctx, "t/idle", hub.Position{Epoch: old.Epoch}, 10)
		require.NoError(t, err)
		require.True(t, ok)

		<-time.After(3 * time.Minute)
		_, now, ok, err := b.History(ctx, "t/idle", old, 10)
		require.NoError(t, err)
		require.False(t, ok)
		require.NotEqual(t, old.Epoch, now.Epoch)
		again, err := b.Publish(ctx, "t/idle", event())
		require.NoError(t, err)
		require.EqualValues(t, 1, again.Offset)
		require.NotEqual(t, old.Epoch, again.Epoch)

		followed, err := b.Publish(ctx, "t/followed", event())
		require.NoError(t, err)
		require.Equal(t, hub.Position{Epoch: old.Epoch, Offset: 2}, followed)
		require.NoError(t, b.Close())
	})
}

// However young and few its events are, a topic's history has a size.
func TestHistoryIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	b := membus.New(membus.Options{Bytes: 10_000})
	big := event()
	big.Data = json.RawMessage(`"` + string(make([]byte, 900)) + `"`)
	var last hub.Position
	for range 100 {
		var err error
		last, err = b.Publish(t.Context(), "t/1", big)
		require.NoError(t, err)
	}
	_, _, ok, err := b.History(t.Context(), "t/1", hub.Position{Epoch: last.Epoch, Offset: last.Offset - 5}, 100)
	require.NoError(t, err)
	require.True(t, ok)
	_, _, ok, err = b.History(t.Context(), "t/1", hub.Position{Epoch: last.Epoch, Offset: last.Offset - 50}, 100)
	require.NoError(t, err)
	require.False(t, ok)
}

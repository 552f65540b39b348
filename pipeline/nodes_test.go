package pipeline_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
	"omniservice/store"
	"omniservice/store/faultstore"
)

// What a node takes in for another's partitions that one hears of at once, rather than when it looks by itself.
func TestAnotherNodeIsToldOfWork(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *pipeline.Options) { o.Poll = time.Hour }).run()
	told := make(chan int, 100)
	o := s.options
	o.Node, o.Elsewhere = "n2", func(index int) { told <- index }
	other, err := pipeline.New(s.store, s.reg, s.keys, s.pub, o)
	require.NoError(t, err)
	s.accept(inbound("m1", "+14155550001", "here"))
	s.eventually(s.idle, "the inbox is empty")

	here := s.Pipeline
	s.Pipeline = other // it has no lease, and does nothing by itself
	s.accept(inbound("m2", "+14155550001", "there"))
	require.False(t, s.idle())
	here.KickWorker(-1)
	here.KickWorker(1 << 20)
	select {
	case index := <-told:
		here.KickWorker(index)
	case <-time.After(10 * time.Second):
		require.FailNow(t, "nobody was told")
	}
	s.eventually(s.idle, "the inbox is empty")
}

// idle reports whether the inbox is empty.
func (s *system) idle() bool {
	all := make([]int, store.Partitions)
	for i := range all {
		all[i] = i
	}
	in, err := s.store.PendingInbox(context.WithoutCancel(s.t.Context()), all, 1<<50, 1)
	require.NoError(s.t, err)
	return len(in) == 0
}

// member is one of several nodes on one store.
type member struct {
	*pipeline.Pipeline
	fault  *faultstore.Store
	stop   func()
	renews atomic.Int32
}

// members starts nodes that signal each other as over a bus.
type members struct {
	*system
	mu  sync.Mutex
	all []*member
}

func (ms *members) start(name string) *member {
	ms.t.Helper()
	m := &member{fault: faultstore.New(ms.store, 1)}
	o := ms.options
	o.Node, o.LeaseTTL = name, 3*time.Second
	o.Elsewhere = func(index int) {
		ms.mu.Lock()
		defer ms.mu.Unlock()
		for _, other := range ms.all {
			if other != m {
				other.KickWorker(index)
			}
		}
	}
	o.Renew = func(context.Context) error { m.renews.Add(1); return nil }
	var err error
	m.Pipeline, err = pipeline.New(m.fault, ms.reg, ms.keys, ms.pub, o)
	require.NoError(ms.t, err)
	ms.mu.Lock()
	ms.all = append(ms.all, m)
	ms.mu.Unlock()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ms.t.Context()))
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	m.stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(ms.t, <-done)
		ms.mu.Lock()
		defer ms.mu.Unlock()
		ms.all = slices.DeleteFunc(ms.all, func(other *member) bool { return other == m })
	})
	ms.t.Cleanup(m.stop)
	return m
}

func (ms *members) hold(want int, who ...*member) {
	ms.t.Helper()
	ms.eventually(func() bool {
		sum := 0
		for _, m := range who {
			n := m.Leases()
			sum += n
			if n > want || n == 0 {
				return false
			}
		}
		return sum == 16
	}, fmt.Sprintf("%d nodes share the leases, none with more than %d", len(who), want))
}

// Nodes share the work, give up what they have too much of without dropping it, and take over what a dead one had. Each
// conversation stays in order all the time, and nothing is done twice.
func TestNodesShareTheWork(t *testing.T) {
	t.Parallel()
	ms := &members{system: newSystem(t)}
	a := ms.start("a")
	ms.hold(16, a)

	const contacts = 24
	end := make(chan struct{})
	var posting sync.WaitGroup
	sent := 0
	ms.Pipeline = a.Pipeline
	posting.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ; ; sent++ {
			select {
			case <-end:
				return
			case <-tick.C:
				ms.accept(inbound(fmt.Sprintf("m-%d", sent), fmt.Sprintf("+1415555%04d", sent%contacts), fmt.Sprint(sent)))
			}
		}
	})
	took := func(what string, since time.Time) { t.Logf("%s: %v", what, time.Since(since).Round(time.Millisecond)) }
	began := time.Now()
	b := ms.start("b")
	ms.hold(8, a, b)
	took("two share", began)
	began = time.Now()
	c := ms.start("c")
	ms.hold(6, a, b, c)
	took("three share", began)
	began = time.Now()
	c.stop()
	took("it stopped", began)
	ms.hold(8, a, b)
	took("one of three stopped", began)
	require.Zero(t, a.renews.Load()+b.renews.Load(), "who stops has told all")

	began = time.Now()
	b.fault.Away()
	ms.hold(16, a)
	took("one of two died", began)
	ms.eventually(func() bool { return a.renews.Load() == 1 }, "topics begin anew")
	close(end)
	posting.Wait()
	ms.eventually(ms.idle, "the inbox is empty")

	last, seen := map[string]int64{}, map[string]bool{}
	for _, e := range ms.pub.of(wire.MessageCreated) {
		m, ok := e.data.(wire.Message)
		require.True(t, ok)
		require.False(t, seen[m.Payload.Text], "told twice")
		require.Greater(t, m.Seq, last[m.InteractionID], "told in order")
		seen[m.Payload.Text], last[m.InteractionID] = true, m.Seq
	}
	stored := 0
	for _, it := range ms.interactions() {
		before := -1
		for i, m := range ms.messages(it.ID) {
			require.EqualValues(t, i+1, m.Sequence)
			n, err := strconv.Atoi(m.Payload.Text.Body)
			require.NoError(t, err)
			require.Greater(t, n, before, "a conversation is in order")
			before = n
			stored++
		}
	}
	require.Equal(t, sent, stored)
	require.Equal(t, 1, int(a.renews.Load()))
	t.Logf("%d messages meanwhile, %d told: all stored, once, in order", sent, len(seen))
}

// A node of the same name that was killed and comes back has its clients read again, at once.
func TestKilledNodeComesBack(t *testing.T) {
	t.Parallel()
	ms := &members{system: newSystem(t)}
	first := ms.start("a")
	ms.hold(16, first)
	first.fault.Away() // it cannot give back what it has
	first.stop()
	second := ms.start("a")
	ms.eventually(func() bool { return second.renews.Load() == 1 }, "topics begin anew")
	ms.hold(16, second)
	second.stop()
	third := ms.start("a")
	ms.hold(16, third)
	require.Zero(t, third.renews.Load())
	locks, err := ms.store.ListLocks(t.Context(), "node/")
	require.NoError(t, err)
	require.Len(t, locks, 1, "places are used again")
}

// What could not be told when a node stopped is owed by the others.
func TestStoppedWithChangesUntold(t *testing.T) {
	t.Parallel()
	ms := &members{system: newSystem(t)}
	a := ms.start("a")
	ms.hold(16, a)
	ms.options.AllTold = func() bool { return false }
	b := ms.start("b")
	ms.hold(8, a, b)
	b.stop()
	ms.eventually(func() bool { return a.renews.Load() == 1 }, "topics begin anew")
}

// The store does what it was asked and its answer is lost: when it is asked again it says that all was done before. What
// nobody was told of is told then, once.
func TestLostAnswersAreTold(t *testing.T) {
	t.Parallel()
	ms := &members{system: newSystem(t)}
	a := ms.start("a")
	ms.Pipeline = a.Pipeline
	ms.hold(16, a)
	lose := func(call string) { a.fault.Inject(faultstore.Fault{Calls: call, Times: 1, After: true}) }
	told := func(typ string, n int) {
		t.Helper()
		ms.eventually(func() bool { return len(ms.pub.of(typ)) >= n && ms.idle() }, typ)
		require.Len(t, ms.pub.of(typ), n)
	}
	for i, call := range []string{"OpenInteraction", "AppendMessage"} {
		lose(call)
		ms.accept(inbound("in-"+call, fmt.Sprintf("+1415555000%d", i), "hello"))
		told(wire.MessageCreated, i+1)
		told(wire.InteractionCreated, i+1)
	}
	it := ms.interactions()[0]
	send := wire.SendMessage{InteractionID: it.ID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "answer"}}
	lose("AppendMessage")
	_, _, err := ms.Send(t.Context(), ms.ana, send)
	require.ErrorIs(t, err, omni.ErrUnavailable)
	m, _, err := ms.Send(t.Context(), ms.ana, send) // as a client does
	require.NoError(t, err)
	told(wire.MessageCreated, 3)
	ms.eventually(func() bool { return ms.message(m.ID).Status == omni.StatusSent }, "the answer is sent")
	told(wire.MessageStatus, 1)
	lose("ApplyStatus")
	ms.accept(statusOf(m, omni.StatusDelivered))
	told(wire.MessageStatus, 2)
	require.Zero(t, a.renews.Load())
}

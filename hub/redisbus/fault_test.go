package redisbus_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/hub"
	"omniservice/hub/redisbus"
	"omniservice/internal/testenv"
	"omniservice/omni"
)

// soon is what may pass between the return of Redis and that of the bus.
const soon = 2 * time.Second

// node is a started bus and what it delivered.
type node struct {
	*redisbus.Bus
	t testing.TB

	mu   sync.Mutex
	got  map[string][]hub.Entry
	gate chan struct{} // deliveries wait until it is closed; nil: they do not
}

func startNode(t testing.TB, url string, o redisbus.Options) *node {
	t.Helper()
	n := &node{Bus: newBus(t, url, o), t: t, got: map[string][]hub.Entry{}}
	n.start()
	return n
}

func (n *node) start() {
	require.NoError(n.t, n.Start(n.t.Context(), n.take))
	n.t.Cleanup(func() { require.NoError(n.t, n.Close()) })
}

func (n *node) take(topic string, e hub.Entry) {
	if n.gate != nil {
		<-n.gate
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.got[topic] = append(n.got[topic], e)
}

func (n *node) seen(topic string) []hub.Entry {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clip(n.got[topic])
}

func (n *node) follow(topics ...string) {
	n.t.Helper()
	for _, topic := range topics {
		require.NoError(n.t, n.Subscribe(n.t.Context(), topic))
	}
	_, err := n.Positions(n.t.Context(), topics) // as a hub does
	require.NoError(n.t, err)
}

// await waits until the topic's last entry is the event with this offset, and checks that all came once, in order.
func (n *node) await(topic string, offset int64) {
	n.t.Helper()
	testenv.Await(n.t, fmt.Sprintf("offset %d of %s", offset, topic), func() bool {
		es := n.seen(topic)
		return len(es) > 0 && es[len(es)-1].Offset >= offset
	})
	for i, e := range n.seen(topic) {
		require.EqualValues(n.t, i+1, e.Offset)
		require.NotEmpty(n.t, e.Type)
	}
	require.Len(n.t, n.seen(topic), int(offset))
}

// awaitLoss waits until the bus tells that it lost something, and returns what it says.
func (n *node) awaitLoss(topic string) hub.Position {
	n.t.Helper()
	var p hub.Position
	testenv.Await(n.t, "word of a loss in "+topic, func() bool {
		for _, e := range n.seen(topic) {
			if e.Type == "" {
				p = hub.Position{Epoch: e.Epoch, Offset: e.Offset}
				return true
			}
		}
		return false
	})
	return p
}

// awaitEpoch waits until the bus tells of another epoch than old: by an entry without a type or by the first event of it.
func (n *node) awaitEpoch(topic, old string) {
	n.t.Helper()
	testenv.Await(n.t, "another epoch of "+topic, func() bool {
		es := n.seen(topic)
		return len(es) > 0 && es[len(es)-1].Epoch != old
	})
}

func event(data any) hub.Entry {
	raw, _ := json.Marshal(data)
	return hub.Entry{Type: "x", Data: raw, At: omni.MillisOf(time.Now())}
}

func (n *node) publish(topic string, times int) hub.Position {
	n.t.Helper()
	var p hub.Position
	for i := range times {
		var err error
		p, err = n.Publish(n.t.Context(), topic, event(i))
		require.NoError(n.t, err)
	}
	return p
}

// back waits until the bus takes events again, and returns how long that took.
func (n *node) back(topic string) time.Duration {
	n.t.Helper()
	begin := time.Now()
	testenv.Await(n.t, "the bus to take events", func() bool {
		_, err := n.Publish(n.t.Context(), topic, event("back"))
		if err != nil {
			require.ErrorIs(n.t, err, omni.ErrUnavailable)
		}
		return err == nil
	})
	return time.Since(begin)
}

// quick are options for tests: what takes seconds otherwise takes less.
func quick() redisbus.Options {
	return redisbus.Options{Prefix: "test-" + omni.NewToken(6), Timeout: 500 * time.Millisecond, Probe: 200 * time.Millisecond}
}

// A node whose connections are cut gets what was published meanwhile, once and in order, before what comes after.
func TestCutConnectionsMissNothing(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	p := testenv.StartProxy(t, r.Addr)
	o := quick()
	far, near := startNode(t, "redis://"+p.Addr, o), startNode(t, r.URL(), o)
	topics := make([]string, 300)
	for i := range topics {
		topics[i] = fmt.Sprintf("t/%d", i)
	}
	far.follow(topics...)
	for _, topic := range topics {
		near.publish(topic, 1)
	}
	for _, topic := range topics {
		far.await(topic, 1)
	}
	p.Break()
	for i, topic := range topics {
		near.publish(topic, i%5)
	}
	begin := time.Now()
	p.Mend()
	for i, topic := range topics { // nothing follows: what was missed is found all the same
		far.await(topic, int64(1+i%5))
	}
	took := time.Since(begin)
	t.Logf("gaps of %d topics filled in %v", len(topics), took)
	require.Less(t, took, soon)
	for _, topic := range topics {
		near.publish(topic, 1)
	}
	for i, topic := range topics {
		far.await(topic, int64(2+i%5))
	}
}

// Cuts at any moment, under load: whatever is published arrives once and in order.
func TestCutsUnderLoad(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	p := testenv.StartProxy(t, r.Addr)
	o := quick()
	far, near := startNode(t, "redis://"+p.Addr, o), startNode(t, r.URL(), o)
	topics := []string{"t/a", "t/b", "t/c", "t/d"}
	far.follow(topics...)
	const each = 2000
	var wg sync.WaitGroup
	for _, topic := range topics {
		wg.Go(func() {
			for i := range each {
				if _, err := near.Publish(t.Context(), topic, event(i)); err != nil {
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	cuts := 0
	for going := true; going; {
		select {
		case <-done:
			going = false
		case <-time.After(20 * time.Millisecond):
			p.Cut()
			cuts++
		}
	}
	for _, topic := range topics {
		far.await(topic, each)
	}
	t.Logf("%d cuts, %d connections", cuts, p.Passed())
	require.Positive(t, cuts)
}

// R10: a Redis that answers nothing for a while costs a bounded wait and no event.
func TestPausedServer(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	n := startNode(t, r.URL(), quick())
	n.follow("t/1")
	first := n.publish("t/1", 3)
	n.await("t/1", 3)
	r.Pause()
	begin := time.Now()
	_, err := n.Publish(t.Context(), "t/1", event("unclear"))
	require.ErrorIs(t, err, omni.ErrUnavailable)
	require.Less(t, time.Since(begin), 1500*time.Millisecond, "the first ones wait for an answer")
	begin = time.Now()
	for range 100 {
		_, err := n.Publish(t.Context(), "t/1", event("refused"))
		require.ErrorIs(t, err, omni.ErrUnavailable)
		_, _, err = n.Allow(t.Context(), "k", 1, 1, 1)
		require.ErrorIs(t, err, omni.ErrUnavailable)
		require.ErrorIs(t, n.Subscribe(t.Context(), "t/2"), omni.ErrUnavailable)
	}
	require.Less(t, time.Since(begin), time.Second, "after that nobody waits")
	<-time.After(time.Second) // the connection for deliveries is given up
	r.Resume()
	took := n.back("t/1")
	t.Logf("back after %v", took)
	require.Less(t, took, soon)
	m, err := n.Positions(t.Context(), []string{"t/1"})
	require.NoError(t, err)
	require.Equal(t, first.Epoch, m["t/1"].Epoch, "nothing was lost")
	n.await("t/1", m["t/1"].Offset)
}

// R11: when Redis is flushed, restarts empty or restarts with its data, epochs change, and nodes hear of it without
// anybody publishing.
func TestLossChangesEpoch(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []string
		lose func(r *testenv.Redis)
		cut  bool // connections
	}{
		{"restarted empty", nil, func(r *testenv.Redis) { r.Stop(); r.Start() }, true},
		{"killed", nil, func(r *testenv.Redis) { r.Kill(); r.Start() }, true},
		{"killed and restored, perhaps not wholly", []string{"--appendonly", "yes"}, func(r *testenv.Redis) { r.Kill(); r.Start() }, true},
		{"flushed", nil, func(r *testenv.Redis) { r.Do("FLUSHALL") }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := testenv.StartRedis(t, tc.args...)
			o := quick()
			n, other := startNode(t, r.URL(), o), startNode(t, r.URL(), o)
			n.follow("t/1", "t/quiet")
			before := other.publish("t/1", 3)
			n.await("t/1", 3)
			quiet, err := n.Positions(t.Context(), []string{"t/quiet"})
			require.NoError(t, err)
			tc.lose(r)
			begin := time.Now()
			if tc.cut {
				told := n.awaitLoss("t/1")
				require.NotEqual(t, before.Epoch, told.Epoch)
				require.Zero(t, told.Offset)
				require.NotEqual(t, quiet["t/quiet"].Epoch, n.awaitLoss("t/quiet").Epoch)
			}
			other.back("t/1")
			require.Less(t, time.Since(begin), soon)
			testenv.Await(t, "the first event of the new epoch", func() bool {
				es := n.seen("t/1")
				last := es[len(es)-1]
				return last.Epoch != before.Epoch && last.Type != "" && last.Offset == 1
			})
			_, now, ok, err := n.History(t.Context(), "t/1", before, 10)
			require.NoError(t, err)
			require.False(t, ok)
			require.NotEqual(t, before.Epoch, now.Epoch)
			es, now, ok, err := n.History(t.Context(), "t/1", hub.Position{Epoch: now.Epoch}, 10)
			require.NoError(t, err)
			require.True(t, ok)
			require.Len(t, es, 1)
			require.EqualValues(t, 1, now.Offset, "the old history is not part of the new one")
		})
	}
}

// What a cut node missed may be gone from the history. Then it says so.
func TestTrimmedMeanwhile(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	p := testenv.StartProxy(t, r.Addr)
	o := quick()
	o.Events, o.Age = 10, time.Millisecond
	far, near := startNode(t, "redis://"+p.Addr, o), startNode(t, r.URL(), o)
	far.follow("t/1")
	near.publish("t/1", 3)
	far.await("t/1", 3)
	p.Break()
	now := near.publish("t/1", 100)
	p.Mend()
	require.Equal(t, now, far.awaitLoss("t/1"))
	near.publish("t/1", 1)
	testenv.Await(t, "what comes after the loss", func() bool {
		es := far.seen("t/1")
		return es[len(es)-1].Offset == 104
	})
	require.Len(t, far.seen("t/1"), 5, "three, the word of the loss, and one")
}

// A history that was evicted while its topic was not is a hole, not an empty history.
func TestEvictedHistory(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	o := quick()
	n := startNode(t, r.URL(), o)
	at := n.publish("t/1", 5)
	require.Equal(t, ":1", r.Do("DEL", o.Prefix+"{0}h:t/1"))
	_, _, ok, err := n.History(t.Context(), "t/1", hub.Position{Epoch: at.Epoch, Offset: 3}, 10)
	require.NoError(t, err)
	require.False(t, ok)
	require.Equal(t, hub.Position{Epoch: at.Epoch, Offset: 6}, n.publish("t/1", 1))
	es, _, ok, err := n.History(t.Context(), "t/1", at, 10)
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, es, 1)
	// And the other way round: the topic begins anew, without what is left of the old history.
	require.Equal(t, ":1", r.Do("DEL", o.Prefix+"{0}t:t/1"))
	again := n.publish("t/1", 2)
	require.NotEqual(t, at.Epoch, again.Epoch)
	require.EqualValues(t, 2, again.Offset)
	es, _, ok, err = n.History(t.Context(), "t/1", hub.Position{Epoch: again.Epoch}, 10)
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, es, 2)
}

// R12: a node that is slower than what comes drops deliveries rather than hold up the connection, and makes them good.
func TestSlowNodeCatchesUp(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	o := quick()
	o.Events = 100_000
	slow := &node{Bus: newBus(t, r.URL(), o), t: t, got: map[string][]hub.Entry{}, gate: make(chan struct{})}
	slow.start()
	near := startNode(t, r.URL(), o)
	slow.follow("t/1")
	const writers, each = 16, 1500
	var wg sync.WaitGroup
	var failed atomic.Int32
	for range writers {
		wg.Go(func() {
			for range each {
				if _, err := near.Publish(t.Context(), "t/1", event("x")); err != nil {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, failed.Load())
	close(slow.gate)
	slow.await("t/1", writers*each)
}

// A node starts without Redis, says so at once, and works when it is there.
func TestStartBeforeRedis(t *testing.T) {
	t.Parallel()
	r := testenv.NewRedis(t)
	n := startNode(t, r.URL(), quick())
	begin := time.Now()
	_, err := n.Publish(t.Context(), "t/1", event(1))
	require.ErrorIs(t, err, omni.ErrUnavailable)
	require.NotContains(t, err.Error(), "\n")
	_, err = n.Positions(t.Context(), []string{"t/1"})
	require.ErrorIs(t, err, omni.ErrUnavailable)
	require.ErrorIs(t, n.Subscribe(t.Context(), "t/1"), omni.ErrUnavailable)
	require.ErrorIs(t, n.PutOnce(t.Context(), "k", nil, time.Second), omni.ErrUnavailable)
	_, err = n.TakeOnce(t.Context(), "k")
	require.ErrorIs(t, err, omni.ErrUnavailable)
	require.Less(t, time.Since(begin), time.Second)
	r.Start()
	begin = time.Now()
	testenv.Await(t, "the bus to take subscriptions", func() bool { return n.Subscribe(t.Context(), "t/1") == nil })
	require.Less(t, time.Since(begin), soon)
	n.publish("t/1", 2)
	n.await("t/1", 2)
}

// Only what a local connection needs is subscribed to.
func TestSubscriptionsAreThoseWanted(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	o := quick()
	n := startNode(t, r.URL(), o)
	topics := make([]string, 2000)
	var wg sync.WaitGroup
	for i := range topics {
		topics[i] = fmt.Sprintf("t/%d", i)
		wg.Go(func() { _ = n.Subscribe(t.Context(), topics[i]) })
	}
	wg.Wait()
	count := func() string { return strings.TrimPrefix(r.Do("PUBSUB", "CHANNELS", o.Prefix+"*"), "*") }
	require.Equal(t, "2001", count(), "and one that tries the connection")
	for _, topic := range topics[1:] {
		require.NoError(t, n.Unsubscribe(t.Context(), topic))
	}
	testenv.Await(t, "the end of subscriptions", func() bool { return count() == "2" })
	commands := r.Do("INFO", "commandstats")
	require.Contains(t, commands, "cmdstat_subscribe:")
	var calls int
	_, err := fmt.Sscanf(commands[strings.Index(commands, "cmdstat_subscribe:"):], "cmdstat_subscribe:calls=%d", &calls)
	require.NoError(t, err)
	t.Logf("%d SUBSCRIBE commands for 2,000 topics", calls)
	require.Less(t, calls, 500, "what comes together is subscribed together")
}

// A connection over which nothing comes any more, though nobody closed it, is found out by its silence.
func TestSilentConnection(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	p := testenv.StartProxy(t, r.Addr)
	o := quick()
	far, near := startNode(t, "redis://"+p.Addr, o), startNode(t, r.URL(), o)
	far.follow("t/1")
	near.publish("t/1", 1)
	far.await("t/1", 1)
	p.Stall()
	near.publish("t/1", 3)
	far.await("t/1", 4)
}

// What an operator does to a connection costs nothing.
func TestKilledConnection(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	n := startNode(t, r.URL(), quick())
	n.follow("t/1")
	n.publish("t/1", 1)
	n.await("t/1", 1)
	require.Equal(t, ":1", r.Do("CLIENT", "KILL", "ID", clientID(t, r, "omniservice-events")))
	n.publish("t/1", 3)
	n.await("t/1", 4)
}

func clientID(t *testing.T, r *testenv.Redis, name string) string {
	for line := range strings.Lines(r.Do("CLIENT", "LIST")) {
		if strings.Contains(line, "name="+name+" ") {
			return strings.TrimPrefix(strings.Fields(line)[0], "id=")
		}
	}
	require.FailNow(t, "no such client")
	return ""
}

// Leases come back with the next renewal after Redis was restarted empty, and their ends are those of its own clock:
// while it was away nothing of them was lost for ever, and what nobody renews goes, key and all.
func TestLeasesComeBack(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	o := quick()
	a, b := startNode(t, r.URL(), o), startNode(t, r.URL(), o)
	groups := []hub.LeaseGroup{{Group: "org/1", Set: []hub.LeaseChange{
		{Member: "ana", Holder: "a", Value: "busy", Keep: true, Tell: event("ana")}, {Member: "ben", Holder: "a", Value: "online", Keep: true},
	}}}
	b.follow("org/1")
	renew := func() error {
		_, err := a.SetLeases(t.Context(), groups, time.Minute)
		return err
	}
	require.NoError(t, renew())
	there := func() int {
		ls, err := b.Leases(t.Context(), "org/1")
		require.NoError(t, err)
		return len(ls)
	}
	require.Equal(t, 2, there())

	r.Kill()
	testenv.Await(t, "nobody to ask", func() bool { return renew() != nil })
	require.ErrorIs(t, renew(), omni.ErrUnavailable)
	require.ErrorIs(t, a.DropLeases(t.Context(), groups[0].Set), omni.ErrUnavailable)
	_, err := b.Leases(t.Context(), "org/1")
	require.ErrorIs(t, err, omni.ErrUnavailable)
	begin := time.Now()
	require.Error(t, renew())
	require.Less(t, time.Since(begin), o.Timeout, "that Redis is away is known by now")

	r.Start()
	a.back("t/1")
	b.back("t/1")
	require.Zero(t, there())
	testenv.Await(t, "deliveries", func() bool { // what is told while b subscribes anew passes it by
		require.NoError(t, a.DropLeases(t.Context(), []hub.LeaseChange{{Group: "org/1", Member: "ana", Holder: "a"}}))
		require.NoError(t, renew())
		es := b.seen("org/1")
		return len(es) > 1 && es[len(es)-1].Type == "x"
	})
	require.Equal(t, 2, there())
	ls, err := b.Leases(t.Context(), "org/1")
	require.NoError(t, err)
	for _, l := range ls {
		if l.Member == "ana" {
			require.Equal(t, "busy", l.Value)
		}
	}
	for _, key := range []string{"{0}l:org/1", "{0}e:org/1"} {
		var ms int
		_, err := fmt.Sscanf(r.Do("PTTL", o.Prefix+key), ":%d", &ms)
		require.NoError(t, err)
		require.Greater(t, ms, 60_000, key)
		require.LessOrEqual(t, ms, 120_000, key)
	}
}

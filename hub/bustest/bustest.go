// Package bustest is the suite that every hub.Bus passes.
package bustest

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/hub"
	"omniservice/omni"
)

// Limits are what a test wants of a bus's histories. Zero means the bus's defaults, which keep at least 1,000 events.
type Limits struct {
	Events int           // newest events of a topic that are kept however old they are
	Age    time.Duration // events younger than this are kept however many there are
}

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

// Run tests the buses that newBus makes. They are not started; the suite closes them. Topics and keys are new for each
// test, so buses may share a server.
func Run(t *testing.T, newBus func(t *testing.T, l Limits) hub.Bus) {
	for name, test := range map[string]func(t *testing.T, newBus func(Limits) *probe){
		"order and offsets":            testOrder,
		"history":                      testHistory,
		"history keeps a thousand":     testThousand,
		"history ends":                 testLimits,
		"an unseen topic":              testUnseen,
		"subscribed means delivered":   testSubscribe,
		"unsubscribed":                 testUnsubscribe,
		"passing events":               testAnnounce,
		"topics do not mix":            testTopics,
		"taken once":                   testOnce,
		"rate":                         testRate,
		"rate refills":                 testRefill,
		"a cancelled context":          testCancelled,
		"closed":                       testClosed,
		"history and delivery overlap": testMerge,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, func(l Limits) *probe { return start(t, newBus(t, l)) })
		})
	}
}

// probe is a started bus and what it delivered.
type probe struct {
	hub.Bus
	t *testing.T

	mu   sync.Mutex
	got  map[string][]hub.Entry
	more chan struct{} // closed and renewed with each delivery

	inside   sync.Map // topic -> *atomic.Int32: deliveries going on
	overlaps atomic.Int32
}

func start(t *testing.T, b hub.Bus) *probe {
	p := &probe{Bus: b, t: t, got: map[string][]hub.Entry{}, more: make(chan struct{})}
	require.NoError(t, b.Start(t.Context(), p.deliver))
	t.Cleanup(func() {
		require.NoError(t, b.Close())
		require.Zero(t, p.overlaps.Load(), "two deliveries of one topic at once")
	})
	return p
}

func (p *probe) deliver(topic string, e hub.Entry) {
	v, _ := p.inside.LoadOrStore(topic, new(atomic.Int32))
	n := v.(*atomic.Int32)
	if n.Add(1) != 1 {
		p.overlaps.Add(1)
	}
	defer n.Add(-1)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got[topic] = append(p.got[topic], e)
	close(p.more)
	p.more = make(chan struct{})
}

func (p *probe) delivered(topic string) ([]hub.Entry, chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]hub.Entry(nil), p.got[topic]...), p.more
}

// await returns what was delivered of the topic once it is n entries.
func (p *probe) await(topic string, n int) []hub.Entry {
	p.t.Helper()
	end := time.After(patience)
	for {
		es, more := p.delivered(topic)
		if len(es) >= n {
			require.Len(p.t, es, n)
			return es
		}
		select {
		case <-more:
		case <-end:
			require.Failf(p.t, "not delivered", "%d of %d entries of %s: %v", len(es), n, topic, es)
		}
	}
}

func (p *probe) publish(topic, data string) hub.Position {
	p.t.Helper()
	pos, err := p.Publish(p.t.Context(), topic, entry(data))
	require.NoError(p.t, err)
	return pos
}

func (p *probe) subscribe(topic string) {
	p.t.Helper()
	require.NoError(p.t, p.Subscribe(p.t.Context(), topic))
}

func (p *probe) position(topic string) hub.Position {
	p.t.Helper()
	m, err := p.Positions(p.t.Context(), []string{topic})
	require.NoError(p.t, err)
	require.Len(p.t, m, 1)
	return m[topic]
}

func entry(data string) hub.Entry {
	q, _ := json.Marshal(data)
	return hub.Entry{Type: "test", Data: q, At: omni.MillisOf(time.Now())}
}

func fresh() string { return "test/" + omni.NewToken(8) }

func testOrder(t *testing.T, newBus func(Limits) *probe) {
	p, topic := newBus(Limits{}), fresh()
	p.subscribe(topic)
	const writers, each = 8, 50
	var wg sync.WaitGroup
	given := make([][]hub.Position, writers)
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				pos, err := p.Publish(t.Context(), topic, entry(fmt.Sprintf("%d %d", w, i)))
				if err == nil {
					given[w] = append(given[w], pos)
				}
			}
		})
	}
	wg.Wait()
	es := p.await(topic, writers*each)
	epoch := p.position(topic).Epoch
	require.NotEmpty(t, epoch)
	seen := make([]int, writers)
	for i, e := range es {
		require.EqualValues(t, i+1, e.Offset, "offsets grow by one, in the order of delivery")
		require.Equal(t, epoch, e.Epoch)
		var data string
		require.NoError(t, json.Unmarshal(e.Data, &data))
		var w, n int
		_, err := fmt.Sscanf(data, "%d %d", &w, &n)
		require.NoError(t, err)
		require.Equal(t, seen[w], n, "one publisher's events stay in order")
		require.Equal(t, hub.Position{Epoch: epoch, Offset: e.Offset}, given[w][n], "Publish answers the event's own position")
		seen[w]++
	}
	require.EqualValues(t, writers*each, p.position(topic).Offset)
}

func testHistory(t *testing.T, newBus func(Limits) *probe) {
	p, topic := newBus(Limits{}), fresh()
	zero := p.position(topic)
	p.subscribe(topic)
	for i := range 10 {
		p.publish(topic, strconv.Itoa(i))
	}
	live := p.await(topic, 10)
	now := p.position(topic)
	if zero.Epoch != now.Epoch { // a bus may choose the epoch with the first event
		zero = hub.Position{Epoch: now.Epoch}
	}
	at := func(offset int64) hub.Position { return hub.Position{Epoch: now.Epoch, Offset: offset} }
	for _, tc := range []struct {
		name  string
		since hub.Position
		limit int
		want  []hub.Entry
		ok    bool
	}{
		{"all", zero, 100, live, true},
		{"the last", at(9), 100, live[9:], true},
		{"limited: the oldest first", at(2), 3, live[2:5], true},
		{"nothing missed", at(10), 100, nil, true},
		{"still to come", at(11), 100, nil, false},
		{"another epoch", hub.Position{Epoch: "other", Offset: 9}, 100, nil, false},
		{"no epoch", hub.Position{Offset: 9}, 100, nil, false},
	} {
		es, pos, ok, err := p.History(t.Context(), topic, tc.since, tc.limit)
		require.NoError(t, err, tc.name)
		require.Equal(t, tc.ok, ok, tc.name)
		require.Equal(t, now, pos, tc.name)
		require.Len(t, es, len(tc.want), tc.name)
		for i, e := range es {
			require.Equal(t, tc.want[i], e, "%s: history holds what was delivered", tc.name)
		}
	}
}

func testThousand(t *testing.T, newBus func(Limits) *probe) {
	p, topic := newBus(Limits{}), fresh()
	var last hub.Position
	for i := range 1100 {
		last = p.publish(topic, strconv.Itoa(i))
	}
	es, now, ok, err := p.History(t.Context(), topic, hub.Position{Epoch: last.Epoch, Offset: 100}, 2000)
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, last, now)
	require.Len(t, es, 1000)
	require.EqualValues(t, 101, es[0].Offset)
}

func testLimits(t *testing.T, newBus func(Limits) *probe) {
	p, topic := newBus(Limits{Events: 10, Age: 20 * time.Millisecond}), fresh()
	first := p.publish(topic, "first")
	for range 20 {
		p.publish(topic, "x")
	}
	require.Eventually(t, func() bool { // an event goes when it is too old and too many are newer
		p.publish(topic, "more")
		_, _, ok, err := p.History(t.Context(), topic, hub.Position{Epoch: first.Epoch}, 1)
		require.NoError(t, err)
		return !ok
	}, patience, 5*time.Millisecond)
	now := p.position(topic)
	require.Equal(t, first.Epoch, now.Epoch, "trimming is no loss of the whole")
	es, _, ok, err := p.History(t.Context(), topic, hub.Position{Epoch: now.Epoch, Offset: now.Offset - 10}, 100)
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, es, 10)
}

func testUnseen(t *testing.T, newBus func(Limits) *probe) {
	p, topic := newBus(Limits{}), fresh()
	p.subscribe(topic)
	now := p.position(topic)
	require.Zero(t, now.Offset)
	es, pos, ok, err := p.History(t.Context(), topic, now, 10)
	require.NoError(t, err)
	require.Empty(t, es)
	require.True(t, ok)
	require.Equal(t, now, pos)
	_, _, ok, err = p.History(t.Context(), topic, hub.Position{Epoch: now.Epoch, Offset: 1}, 10)
	require.NoError(t, err)
	require.False(t, ok)
	m, err := p.Positions(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, m)
}

func testSubscribe(t *testing.T, newBus func(Limits) *probe) {
	p := newBus(Limits{})
	for range 100 {
		topic := fresh()
		p.subscribe(topic)
		p.subscribe(topic) // twice is once
		p.publish(topic, "x")
		p.await(topic, 1)
	}
}

func testUnsubscribe(t *testing.T, newBus func(Limits) *probe) {
	p, topic := newBus(Limits{}), fresh()
	require.NoError(t, p.Unsubscribe(t.Context(), topic), "one that was never followed")
	p.subscribe(topic)
	p.publish(topic, "heard")
	p.await(topic, 1)
	require.NoError(t, p.Unsubscribe(t.Context(), topic))
	missed := p.publish(topic, "missed")
	require.EqualValues(t, 2, missed.Offset)
	p.subscribe(topic)
	p.publish(topic, "heard again")
	es := p.await(topic, 2)
	require.EqualValues(t, 3, es[1].Offset)
}

func testAnnounce(t *testing.T, newBus func(Limits) *probe) {
	p, topic := newBus(Limits{}), fresh()
	p.subscribe(topic)
	for i := range 20 {
		require.NoError(t, p.Announce(t.Context(), topic, entry(strconv.Itoa(i))))
	}
	for i, e := range p.await(topic, 20) {
		require.JSONEq(t, strconv.Quote(strconv.Itoa(i)), string(e.Data))
		require.Zero(t, e.Offset)
		require.Equal(t, "test", e.Type)
		require.NotZero(t, e.At)
	}
	require.Zero(t, p.position(topic).Offset)
	require.EqualValues(t, 1, p.publish(topic, "kept").Offset)
}

func testTopics(t *testing.T, newBus func(Limits) *probe) {
	p, a, b, c := newBus(Limits{}), fresh(), fresh(), fresh()
	p.subscribe(a)
	p.subscribe(b)
	p.publish(c, "nobody listens")
	require.EqualValues(t, 1, p.publish(a, "a").Offset)
	require.EqualValues(t, 1, p.publish(b, "b").Offset)
	require.JSONEq(t, `"a"`, string(p.await(a, 1)[0].Data))
	require.JSONEq(t, `"b"`, string(p.await(b, 1)[0].Data))
	es, _ := p.delivered(c)
	require.Empty(t, es)
	m, err := p.Positions(t.Context(), []string{a, b, c})
	require.NoError(t, err)
	require.Len(t, m, 3)
	require.EqualValues(t, 1, m[c].Offset)
}

func testOnce(t *testing.T, newBus func(Limits) *probe) {
	p, key := newBus(Limits{}), fresh()
	ctx := t.Context()
	require.NoError(t, p.PutOnce(ctx, key, []byte("value"), time.Minute))
	var wg sync.WaitGroup
	var got, missing atomic.Int32
	for range 100 {
		wg.Go(func() {
			switch v, err := p.TakeOnce(ctx, key); {
			case err == nil && string(v) == "value":
				got.Add(1)
			case omni.CodeOf(err) == omni.CodeNotFound:
				missing.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1, got.Load())
	require.EqualValues(t, 99, missing.Load())

	short := fresh()
	require.NoError(t, p.PutOnce(ctx, short, []byte("value"), 20*time.Millisecond))
	<-time.After(40 * time.Millisecond)
	_, err := p.TakeOnce(ctx, short)
	require.ErrorIs(t, err, omni.ErrNotFound, "after its ttl")
	_, err = p.TakeOnce(ctx, fresh())
	require.ErrorIs(t, err, omni.ErrNotFound, "never put")
}

func testRate(t *testing.T, newBus func(Limits) *probe) {
	p, key := newBus(Limits{}), fresh()
	ctx := t.Context()
	ok, _, err := p.Allow(ctx, key, 3, 0.001, 5)
	require.NoError(t, err)
	require.True(t, ok)
	ok, retry, err := p.Allow(ctx, key, 3, 0.001, 5)
	require.NoError(t, err)
	require.False(t, ok, "only 2 are left")
	require.InDelta(t, 1000, retry.Seconds(), 5, "1 is lacking, at 0.001 a second")
	ok, _, err = p.Allow(ctx, key, 2, 0.001, 5)
	require.NoError(t, err)
	require.True(t, ok, "a refusal takes nothing")
	ok, _, err = p.Allow(ctx, fresh(), 5, 0.001, 5)
	require.NoError(t, err)
	require.True(t, ok, "another key has its own")
	_, _, err = p.Allow(ctx, key, 6, 1, 5)
	require.ErrorIs(t, err, omni.ErrInvalid, "more than the bucket ever holds")

	shared := fresh()
	var wg sync.WaitGroup
	var let atomic.Int32
	for range 100 {
		wg.Go(func() {
			if ok, _, err := p.Allow(ctx, shared, 1, 0.001, 10); err == nil && ok {
				let.Add(1)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 10, let.Load())
}

// testRefill is there because a limiter that lets a burst through and then only one a second passes for a working one.
func testRefill(t *testing.T, newBus func(Limits) *probe) {
	p, key := newBus(Limits{}), fresh()
	const rate, burst, rounds = 100, 20, 60
	begin := time.Now()
	for n := 0; n < rounds; {
		ok, retry, err := p.Allow(t.Context(), key, 1, rate, burst)
		require.NoError(t, err)
		if ok {
			n++
			continue
		}
		require.Positive(t, retry)
		require.LessOrEqual(t, retry, 20*time.Millisecond)
		<-time.After(retry)
	}
	took := time.Since(begin)
	require.GreaterOrEqual(t, took, 390*time.Millisecond, "40 beyond the burst at 100 a second")
	require.Less(t, took, patience)
}

func testCancelled(t *testing.T, newBus func(Limits) *probe) {
	p := newBus(Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := p.Publish(ctx, fresh(), entry("x"))
	require.Error(t, err)
	require.Error(t, p.Subscribe(ctx, fresh()))
	_, err = p.Positions(ctx, []string{fresh()})
	require.Error(t, err)
}

func testClosed(t *testing.T, newBus func(Limits) *probe) {
	p, topic := newBus(Limits{}), fresh()
	p.subscribe(topic)
	p.publish(topic, "x")
	p.await(topic, 1)
	require.NoError(t, p.Close())
	require.NoError(t, p.Close(), "twice")
	_, err := p.Publish(t.Context(), topic, entry("y"))
	require.Error(t, err)
	require.Error(t, p.Subscribe(t.Context(), topic))
	es, _ := p.delivered(topic)
	require.Len(t, es, 1)
}

// testMerge does what the hub does when a client resumes: follow, read history, and put both together.
func testMerge(t *testing.T, newBus func(Limits) *probe) {
	p, topic := newBus(Limits{}), fresh()
	begin := p.publish(topic, "0")
	const total = 400
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 1; i < total; i++ {
			if _, err := p.Publish(t.Context(), topic, entry(strconv.Itoa(i))); err != nil {
				return
			}
		}
	})
	require.Eventually(t, func() bool { return p.position(topic).Offset > total/4 }, patience, time.Millisecond)
	p.subscribe(topic)
	past, _, ok, err := p.History(t.Context(), topic, hub.Position{Epoch: begin.Epoch}, total)
	require.NoError(t, err)
	require.True(t, ok)
	wg.Wait()
	require.EqualValues(t, total, p.position(topic).Offset)
	p.publish(topic, "end")
	last := past[len(past)-1].Offset
	require.Eventually(t, func() bool {
		es, _ := p.delivered(topic)
		return len(es) > 0 && es[len(es)-1].Offset == total+1
	}, patience, time.Millisecond)
	es, _ := p.delivered(topic)
	for _, e := range es {
		if e.Offset <= last {
			continue
		}
		require.Equal(t, last+1, e.Offset, "no event between history and live is missing")
		last = e.Offset
	}
	require.EqualValues(t, total+1, last)
}

// Package bustest is the suite that every hub.Bus passes.
package bustest

import (
	"bytes"
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

// Run tests the buses that newBus makes: it returns a function that makes the nodes of one bus, which the suite starts
// and closes. Topics and keys are new for each test, so buses may share a server.
func Run(t *testing.T, newBus func(t *testing.T, l Limits) func() hub.Bus) {
	for name, test := range map[string]func(t *testing.T, newNode func(Limits) *probe){
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
		"any data":                     testData,
		"types are one word":           testTypes,
		"again is once":                testAgain,
		"many topics":                  testMany,
		"follow and leave":             testChurn,
		"leases":                       testLeases,
		"leases have holders":          testHolders,
		"leases end":                   testLeasesEnd,
		"leases are renewed in time":   testRenewed,
		"leases: what is not one":      testNoLease,
		"many leases":                  testManyLeases,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, func(l Limits) *probe { return start(t, newBus(t, l)()) })
		})
	}
	for name, test := range map[string]func(t *testing.T, newNode func() *probe){
		"nodes: one sequence":        testNodes,
		"nodes: each its own topics": testOwnTopics,
		"nodes: one of them ends":    testNodeEnds,
		"nodes: taken once":          testNodesOnce,
		"nodes: one rate":            testNodesRate,
		"nodes: leases at once":      testNodesLeases,
		"nodes: an end is told once": testNodesEnd,
		"nodes: all begins anew":     testNodesRenew,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newNode := newBus(t, Limits{})
			test(t, func() *probe { return start(t, newNode()) })
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

// inOrder checks that es are the topic's events after the offset first, each once, in order and in one epoch.
func (p *probe) inOrder(es []hub.Entry, first int64) {
	p.t.Helper()
	for i, e := range es {
		require.Equal(p.t, first+int64(i)+1, e.Offset)
		require.Equal(p.t, es[0].Epoch, e.Epoch)
	}
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

func testData(t *testing.T, newBus func(Limits) *probe) {
	p, topic := newBus(Limits{}), fresh()
	p.subscribe(topic)
	big := bytes.Repeat([]byte(`"0123456789abcdef\n",`), 50_000) // 1 MB
	datas := [][]byte{[]byte(`{}`), {}, []byte("\n"), []byte(" 1 2 3\n4"), {0, 255, 13, 10, 0}, []byte(`"ä€😀"`), big, []byte("end")}
	for i, d := range datas {
		pos, err := p.Publish(t.Context(), topic, hub.Entry{Type: "a.b-c_d", Data: d, At: omni.Millis(i)})
		require.NoError(t, err)
		require.EqualValues(t, i+1, pos.Offset)
		require.NoError(t, p.Announce(t.Context(), topic, hub.Entry{Type: "passing", Data: d, At: omni.Millis(i)}))
	}
	es := p.await(topic, 2*len(datas))
	kept, _, ok, err := p.History(t.Context(), topic, hub.Position{Epoch: es[0].Epoch}, 100)
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, kept, len(datas))
	for i, d := range datas {
		for _, e := range []hub.Entry{es[2*i], es[2*i+1], kept[i]} {
			require.True(t, bytes.Equal(d, e.Data), "data %d", i)
			require.EqualValues(t, i, e.At)
		}
		require.Equal(t, []string{"a.b-c_d", "passing", "a.b-c_d"}, []string{es[2*i].Type, es[2*i+1].Type, kept[i].Type})
	}
}

func testTypes(t *testing.T, newBus func(Limits) *probe) {
	p, topic := newBus(Limits{}), fresh()
	p.subscribe(topic)
	for _, typ := range []string{"", " ", "two words", "a\nb"} {
		e := hub.Entry{Type: typ, Data: json.RawMessage(`1`)}
		_, err := p.Publish(t.Context(), topic, e)
		require.ErrorIs(t, err, omni.ErrInvalid, "%q", typ)
		require.ErrorIs(t, p.Announce(t.Context(), topic, e), omni.ErrInvalid, "%q", typ)
	}
	require.EqualValues(t, 1, p.publish(topic, "x").Offset)
	p.await(topic, 1)
}

// testAgain publishes what may have been published already.
func testAgain(t *testing.T, newBus func(Limits) *probe) {
	p, topic := newBus(Limits{}), fresh()
	p.subscribe(topic)
	put := func(key string, again bool) hub.Position {
		pos, err := p.Publish(t.Context(), topic, hub.Entry{Type: "test", Data: json.RawMessage(`"` + key + ` old\n"`), Key: key, Again: again})
		require.NoError(t, err)
		return pos
	}
	first := put("first", true)
	require.EqualValues(t, 1, first.Offset, "it was not")
	for i := range 450 {
		put(fmt.Sprintf("k%d", i), false)
	}
	require.Equal(t, first, put("first", true))
	require.Equal(t, int64(451), put("k449", true).Offset)
	require.Equal(t, int64(452), put("k449", false).Offset, "who does not ask is not looked for")
	require.Equal(t, int64(453), put("old", true).Offset, "data are no keys")
	require.Equal(t, int64(454), put("", true).Offset, "without a key nothing is the same")
	require.Equal(t, int64(455), put("", true).Offset)
	es := p.await(topic, 455)
	p.inOrder(es, 0)
	kept, _, _, err := p.History(t.Context(), topic, hub.Position{Epoch: first.Epoch}, 1000)
	require.NoError(t, err)
	require.Equal(t, es, kept)
	for _, e := range es {
		require.Equal(t, []any{"test", "", false}, []any{e.Type, e.Key, e.Again})
	}
	_, err = p.Publish(t.Context(), topic, hub.Entry{Type: "test", Key: "two words"})
	require.ErrorIs(t, err, omni.ErrInvalid)
}

// testMany is a node with many connections: what it asks comes in heaps.
func testMany(t *testing.T, newBus func(Limits) *probe) {
	p := newBus(Limits{})
	const n = 1000
	topics := make([]string, n)
	var wg sync.WaitGroup
	var failed atomic.Int32
	for i := range topics {
		topics[i] = fresh()
		wg.Go(func() {
			if err := p.Subscribe(t.Context(), topics[i]); err != nil {
				failed.Add(1)
				return
			}
			for range i%3 + 1 {
				if _, err := p.Publish(t.Context(), topics[i], entry("x")); err != nil {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, failed.Load())
	m, err := p.Positions(t.Context(), topics)
	require.NoError(t, err)
	require.Len(t, m, n)
	for i, topic := range topics {
		require.EqualValues(t, i%3+1, m[topic].Offset)
		p.inOrder(p.await(topic, i%3+1), 0)
	}
}

// testChurn follows and leaves while others publish: whatever is followed is delivered without a hole, and what is left
// is quiet.
func testChurn(t *testing.T, newBus func(Limits) *probe) {
	p, topic := newBus(Limits{}), fresh()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = p.Publish(t.Context(), topic, entry("x"))
			}
		}
	})
	for range 20 {
		before, _ := p.delivered(topic)
		p.subscribe(topic)
		since := p.position(topic)
		require.Eventually(t, func() bool {
			es, _ := p.delivered(topic)
			return len(es) > len(before) && es[len(es)-1].Offset >= since.Offset+3
		}, patience, time.Millisecond)
		require.NoError(t, p.Unsubscribe(t.Context(), topic))
		es, _ := p.delivered(topic)
		es = es[len(before):]
		p.inOrder(es, es[0].Offset-1)
		require.LessOrEqual(t, es[0].Offset, since.Offset+1, "nothing between Subscribe and Positions is missing")
	}
	close(stop)
	wg.Wait()
	es, _ := p.delivered(topic)
	p.publish(topic, "nobody hears it")
	p.subscribe(topic)
	last := p.publish(topic, "heard")
	all := p.await(topic, len(es)+1)
	require.Equal(t, last.Offset, all[len(es)].Offset)
}

func testNodes(t *testing.T, newNode func() *probe) {
	nodes := []*probe{newNode(), newNode(), newNode()}
	topic := fresh()
	for _, n := range nodes {
		n.subscribe(topic)
	}
	const each = 100
	var wg sync.WaitGroup
	for _, n := range nodes {
		for range 4 {
			wg.Go(func() {
				for range each / 4 {
					if _, err := n.Publish(t.Context(), topic, entry("x")); err != nil {
						return
					}
				}
			})
		}
	}
	wg.Wait()
	for _, n := range nodes {
		es := n.await(topic, 3*each)
		n.inOrder(es, 0)
		require.Equal(t, nodes[0].await(topic, 3*each), es)
		require.Equal(t, hub.Position{Epoch: es[0].Epoch, Offset: 3 * each}, n.position(topic))
		kept, _, ok, err := n.History(t.Context(), topic, hub.Position{Epoch: es[0].Epoch, Offset: 3*each - 10}, 100)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, es[3*each-10:], kept)
	}
	require.NoError(t, nodes[0].Announce(t.Context(), topic, entry("passing")))
	for _, n := range nodes {
		require.Zero(t, n.await(topic, 3*each+1)[3*each].Offset)
	}
}

func testOwnTopics(t *testing.T, newNode func() *probe) {
	a, b := newNode(), newNode()
	both, alone := fresh(), fresh()
	a.subscribe(both)
	b.subscribe(both)
	a.subscribe(alone)
	b.publish(alone, "1")
	b.publish(both, "2")
	a.await(alone, 1)
	a.await(both, 1)
	b.await(both, 1)
	require.NoError(t, a.Unsubscribe(t.Context(), both), "the other node follows on")
	a.publish(both, "3")
	b.await(both, 2)
	es, _ := b.delivered(alone)
	require.Empty(t, es, "not followed here")
	es, _ = a.delivered(both)
	require.Len(t, es, 1)
}

func testNodeEnds(t *testing.T, newNode func() *probe) {
	a, b := newNode(), newNode()
	topic := fresh()
	a.subscribe(topic)
	b.subscribe(topic)
	first := a.publish(topic, "1")
	a.await(topic, 1)
	require.NoError(t, a.Close())
	require.Equal(t, hub.Position{Epoch: first.Epoch, Offset: 2}, b.publish(topic, "2"), "what a node published stays")
	b.inOrder(b.await(topic, 2), 0)
	es, _ := a.delivered(topic)
	require.Len(t, es, 1)
	c := newNode()
	es, _, ok, err := c.History(t.Context(), topic, hub.Position{Epoch: first.Epoch}, 10)
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, es, 2)
}

func testNodesOnce(t *testing.T, newNode func() *probe) {
	a, b := newNode(), newNode()
	var got atomic.Int32
	for range 20 {
		key := fresh()
		require.NoError(t, a.PutOnce(t.Context(), key, []byte("value"), time.Minute))
		var wg sync.WaitGroup
		for _, n := range []*probe{a, b, a, b} {
			wg.Go(func() {
				if v, err := n.TakeOnce(t.Context(), key); err == nil && string(v) == "value" {
					got.Add(1)
				}
			})
		}
		wg.Wait()
	}
	require.EqualValues(t, 20, got.Load())
}

func testNodesRate(t *testing.T, newNode func() *probe) {
	a, b := newNode(), newNode()
	key := fresh()
	let := 0
	for range 10 {
		for _, n := range []*probe{a, b} {
			ok, _, err := n.Allow(t.Context(), key, 1, 0.001, 7)
			require.NoError(t, err)
			if ok {
				let++
			}
		}
	}
	require.Equal(t, 7, let)
}

func testNodesRenew(t *testing.T, newNode func() *probe) {
	a, b := newNode(), newNode()
	topic, unseen := fresh(), fresh()
	a.subscribe(topic)
	b.subscribe(topic)
	old := a.publish(topic, "1")
	a.await(topic, 1)
	b.await(topic, 1)
	before, err := a.Positions(t.Context(), []string{topic, unseen})
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, b.Renew(t.Context()))
		now, err := a.Positions(t.Context(), []string{topic, unseen})
		require.NoError(t, err)
		require.NotEqual(t, before[topic].Epoch, now[topic].Epoch)
		require.NotEqual(t, before[unseen].Epoch, now[unseen].Epoch, "somebody may know where it stands")
		require.Zero(t, now[topic].Offset)
		before = now
	}
	es, _, ok, err := a.History(t.Context(), topic, old, 10)
	require.NoError(t, err)
	require.False(t, ok)
	require.Empty(t, es)
	require.Equal(t, hub.Position{Epoch: before[topic].Epoch, Offset: 1}, a.publish(topic, "2"))
	for _, n := range []*probe{a, b} {
		es := n.await(topic, 2)
		require.Equal(t, before[topic].Epoch, es[1].Epoch)
		require.EqualValues(t, 1, es[1].Offset)
	}
	es, _, ok, err = b.History(t.Context(), topic, before[topic], 10)
	require.NoError(t, err)
	require.True(t, ok)
	require.Len(t, es, 1)
}

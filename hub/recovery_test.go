package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/hub"
	"omniservice/hub/membus"
	"omniservice/omni"
	"omniservice/omni/wire"
)

func TestResume(t *testing.T) {
	t.Parallel()
	bus := membus.New(membus.Options{Events: 50, Age: time.Nanosecond})
	n := newNodeOn(t, bus, hub.Options{ReplayEvents: 40, ReplayBytes: 20_000}, desk{})
	put := func(topic string, times int, data any) (pos hub.Position) {
		for range times {
			var err error
			pos, err = n.Publish(t.Context(), topic, "x", data)
			require.NoError(t, err)
		}
		return pos
	}
	<-time.After(2 * time.Millisecond)
	now := put("group/g1", 100, count{1})
	put("group/big", 30, string(make([]byte, 1000)))
	at := func(topic string, offset int64) wire.TopicPosition {
		return wire.TopicPosition{Topic: topic, Epoch: now.Epoch, Offset: offset}
	}
	for _, tc := range []struct {
		name   string
		resume []wire.TopicPosition
		state  string
		from   int64 // first event that comes; 0: none
	}{
		{"nothing asked", nil, wire.Fresh, 0},
		{"another topic asked", []wire.TopicPosition{at("group/g9", 1)}, wire.Fresh, 0},
		{"nothing missed", []wire.TopicPosition{at("group/g1", 100)}, wire.Recovered, 0},
		{"one missed", []wire.TopicPosition{at("group/g1", 99)}, wire.Recovered, 100},
		{"as many as may be", []wire.TopicPosition{at("group/g1", 60)}, wire.Recovered, 61},
		{"more than may be", []wire.TopicPosition{at("group/g1", 59)}, wire.Reset, 0},
		{"before the history", []wire.TopicPosition{at("group/g1", 10)}, wire.Reset, 0},
		{"from the start", []wire.TopicPosition{at("group/g1", 0)}, wire.Reset, 0},
		{"the future", []wire.TopicPosition{at("group/g1", 101)}, wire.Reset, 0},
		{"a negative offset", []wire.TopicPosition{at("group/g1", -1)}, wire.Reset, 0},
		{"another epoch", []wire.TopicPosition{{Topic: "group/g1", Epoch: "old", Offset: 99}}, wire.Reset, 0},
		{"no epoch", []wire.TopicPosition{{Topic: "group/g1", Offset: 99}}, wire.Reset, 0},
		{"too many bytes", []wire.TopicPosition{at("group/big", 0)}, wire.Reset, 0},
	} {
		topic := "group/g1"
		if len(tc.resume) > 0 && tc.resume[0].Topic == "group/big" {
			topic = "group/big"
		}
		last := now.Offset
		if topic == "group/big" {
			last = 30
		}
		c, in := n.connect(t, agent("ana-"+tc.name, topic), tc.resume...)
		require.Equal(t, []wire.TopicState{{Topic: topic, Epoch: now.Epoch, Offset: last, State: tc.state}}, in.Topics, tc.name)
		if tc.from > 0 {
			for o := tc.from; o <= last; o++ {
				require.Equal(t, o, c.next().Offset, tc.name)
			}
		}
		require.NoError(t, n.Announce(t.Context(), topic, "end", nil))
		require.Equal(t, "end", c.next().Type, tc.name)
	}
}

// Events that are published while a client resumes come once each, in order, whatever the moment: of topics that the
// node follows already, and of one that it is only beginning to follow.
func TestResumeMeetsPublish(t *testing.T) {
	t.Parallel()
	n := newNode(t, hub.Options{PerUser: 2000}, desk{})
	const rounds, events = 1000, 4
	known := map[string]wire.TopicPosition{}
	begin, err := n.Publish(t.Context(), "org/o1", "x", count{0})
	require.NoError(t, err)
	known["org/o1"] = wire.TopicPosition{Topic: "org/o1", Epoch: begin.Epoch, Offset: begin.Offset}
	for round := range rounds {
		newest := fmt.Sprintf("group/%d", round)
		known[newest] = wire.TopicPosition{Topic: newest, Epoch: begin.Epoch}
		topics := []string{"org/o1", newest}
		var wg sync.WaitGroup
		start := make(chan struct{})
		for _, topic := range topics {
			wg.Go(func() {
				<-start
				for i := range events {
					if _, err := n.Publish(t.Context(), topic, "x", count{i}); err != nil {
						return
					}
				}
			})
		}
		c := n.dial(t)
		if round%2 == 0 { // rather before
			close(start)
		}
		c.send(wire.CmdConnect, wire.Connect{Ticket: ticket(agent("ana", topics...)), Resume: []wire.TopicPosition{known["org/o1"], known[newest]}})
		if round%2 == 1 { // rather while
			close(start)
		}
		f := c.next()
		require.Equal(t, "ok", f.Type, "the answer comes before any event")
		var in wire.Connected
		require.NoError(t, json.Unmarshal(f.Data, &in))
		for _, s := range in.Topics {
			require.Equal(t, wire.Recovered, s.State)
		}
		for known["org/o1"].Offset < int64(1+(round+1)*events) || known[newest].Offset < events {
			f := c.next()
			k := known[f.Topic]
			require.Equal(t, k.Offset+1, f.Offset, "round %d: %s", round, f.Topic)
			k.Offset++
			known[f.Topic] = k
		}
		wg.Wait()
		delete(known, newest)
		require.NoError(t, c.ws.CloseNow())
	}
}

// weak is a bus that can lose deliveries and refuse calls.
type weak struct {
	*membus.Bus
	lose  atomic.Int32 // so many of the next durable deliveries
	away  atomic.Bool
	calls atomic.Int32 // of History

	mu      sync.Mutex
	deliver func(string, hub.Entry)
	asked   func() // called once, between the answer of Positions and its arrival
	epoch   string // put on what is delivered and asked for, if set
}

var errAway = errors.New("the bus is away")

func (w *weak) Start(ctx context.Context, deliver func(string, hub.Entry)) error {
	w.deliver = deliver
	return w.Bus.Start(ctx, func(topic string, e hub.Entry) {
		if e.Offset > 0 && w.lose.Add(-1) >= 0 {
			return
		}
		if epoch := w.renamed(); epoch != "" {
			e.Epoch = epoch
		}
		deliver(topic, e)
	})
}

func (w *weak) renamed() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.epoch
}

func (w *weak) Publish(ctx context.Context, topic string, e hub.Entry) (hub.Position, error) {
	if w.away.Load() {
		return hub.Position{}, errAway
	}
	return w.Bus.Publish(ctx, topic, e)
}

func (w *weak) Announce(ctx context.Context, topic string, e hub.Entry) error {
	if w.away.Load() {
		return errAway
	}
	return w.Bus.Announce(ctx, topic, e)
}

func (w *weak) Subscribe(ctx context.Context, topic string) error {
	if w.away.Load() {
		return errAway
	}
	return w.Bus.Subscribe(ctx, topic)
}

func (w *weak) Positions(ctx context.Context, topics []string) (map[string]hub.Position, error) {
	if w.away.Load() {
		return nil, errAway
	}
	m, err := w.Bus.Positions(ctx, topics)
	if asked := w.asked; asked != nil {
		w.asked = nil
		asked()
	}
	if epoch := w.renamed(); epoch != "" {
		for t, p := range m {
			m[t] = hub.Position{Epoch: epoch, Offset: p.Offset}
		}
	}
	return m, err
}

func (w *weak) History(ctx context.Context, topic string, since hub.Position, limit int) ([]hub.Entry, hub.Position, bool, error) {
	w.calls.Add(1)
	if w.away.Load() {
		return nil, hub.Position{}, false, errAway
	}
	return w.Bus.History(ctx, topic, since, limit)
}

func (w *weak) Renew(ctx context.Context) error {
	if w.away.Load() {
		return errAway
	}
	return w.Bus.Renew(ctx)
}

func offsets(frames []frame) (os []int64) {
	for _, f := range frames {
		if f.Type == "x" {
			os = append(os, f.Offset)
		}
	}
	return os
}

func publish(t *testing.T, h *hub.Hub, n int) {
	for i := range n {
		_, err := h.Publish(t.Context(), "org/o1", "x", count{i})
		require.NoError(t, err)
	}
}

// A delivery that the bus lost is fetched before what came after it.
func TestHoleIsFilled(t *testing.T) {
	t.Parallel()
	for _, lost := range []int{1, 2, 50} {
		t.Run(fmt.Sprint(lost), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bus := &weak{Bus: membus.New(membus.Options{})}
				c := newTimed(t, bus, hub.Options{}, desk{}, agent("ana", "org/o1"))
				publish(t, c.Hub, 3)
				bus.lose.Store(int32(lost))
				publish(t, c.Hub, lost+5)
				synctest.Wait()
				frames, _, code := c.seen()
				require.Zero(t, code)
				want := make([]int64, lost+8)
				for i := range want {
					want[i] = int64(i + 1)
				}
				require.Equal(t, want, offsets(frames))
				require.EqualValues(t, 1, c.Stats().Resyncs)
				c.stop(t, bus)
			})
		})
	}
}

// A loss that nothing follows is found by the next heartbeat at the latest.
func TestLastEventLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := &weak{Bus: membus.New(membus.Options{})}
		c := newTimed(t, bus, hub.Options{}, desk{}, agent("ana", "org/o1"))
		publish(t, c.Hub, 1)
		bus.lose.Store(1)
		publish(t, c.Hub, 1)
		after(30 * time.Second)
		frames, _, code := c.seen()
		require.Zero(t, code)
		require.Equal(t, []int64{1, 2}, offsets(frames))
		c.stop(t, bus)
	})
}

func TestForeignEpochSendsClientsToResume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := &weak{Bus: membus.New(membus.Options{})}
		c := newTimed(t, bus, hub.Options{}, desk{}, agent("ana", "org/o1"))
		publish(t, c.Hub, 1)
		bus.deliver("org/o1", hub.Entry{Type: "x", Data: json.RawMessage(`1`), Offset: 2, Epoch: "another"})
		synctest.Wait()
		frames, _, code := c.seen()
		require.Equal(t, hub.CloseResync, code)
		require.Equal(t, []int64{1}, offsets(frames))
		c.stop(t, bus)
	})
}

// An entry without a type is no event. What is before it is fetched if the bus has it; else clients resume.
func TestBusTellsOfALoss(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		lost   int32 // events that the bus has and did not deliver
		offset int64 // told
		epoch  string
		want   []int64
		code   int
	}{
		{"nothing new", 0, 1, "", []int64{1}, 0},
		{"one that the bus has", 1, 2, "", []int64{1, 2}, 0},
		{"several that the bus has", 3, 4, "", []int64{1, 2, 3, 4}, 0},
		{"one that the bus has not", 0, 2, "", []int64{1}, hub.CloseResync},
		{"another epoch", 0, 1, "another", []int64{1}, hub.CloseResync},
		{"another epoch, with nothing yet", 0, 0, "another", []int64{1}, hub.CloseResync},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bus := &weak{Bus: membus.New(membus.Options{})}
				c := newTimed(t, bus, hub.Options{}, desk{}, agent("ana", "org/o1"))
				publish(t, c.Hub, 1)
				bus.lose.Store(tc.lost)
				publish(t, c.Hub, int(tc.lost))
				now, err := bus.Positions(t.Context(), []string{"org/o1"})
				require.NoError(t, err)
				epoch := now["org/o1"].Epoch
				if tc.epoch != "" {
					epoch = tc.epoch
				}
				bus.deliver("org/o1", hub.Entry{Offset: tc.offset, Epoch: epoch})
				synctest.Wait()
				frames, _, code := c.seen()
				require.Equal(t, tc.code, code)
				require.Equal(t, tc.want, offsets(frames))
				require.NotContains(t, types(frames), "", "it is no event")
				c.stop(t, bus)
			})
		})
	}
}

func types(frames []frame) (ts []string) {
	for _, f := range frames {
		ts = append(ts, f.Type)
	}
	return ts
}

// What other nodes told and we did not hear may have been that somebody's session has ended: all are looked at again.
func TestLostControl(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		entry func(now hub.Position) hub.Entry
		asked bool
	}{
		{"told by the bus", func(now hub.Position) hub.Entry { return hub.Entry{Offset: now.Offset + 3, Epoch: now.Epoch} }, true},
		{"a hole", func(now hub.Position) hub.Entry {
			return hub.Entry{Type: "close", Data: json.RawMessage(`{"orgId":"o2","userId":"u"}`), Offset: now.Offset + 2, Epoch: now.Epoch}
		}, true},
		{"another epoch", func(hub.Position) hub.Entry {
			return hub.Entry{Type: "close", Data: json.RawMessage(`{"orgId":"o2","userId":"u"}`), Offset: 1, Epoch: "another"}
		}, true},
		{"the next one", func(now hub.Position) hub.Entry {
			return hub.Entry{Type: "close", Data: json.RawMessage(`{"orgId":"o2","userId":"u"}`), Offset: now.Offset + 1, Epoch: now.Epoch}
		}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bus := &weak{Bus: membus.New(membus.Options{})}
				c := newTimed(t, bus, hub.Options{Regrant: func(context.Context, hub.Principal) ([]string, error) {
					return nil, omni.ErrUnauthenticated
				}}, desk{}, agent("ana", "org/o1"))
				require.NoError(t, c.CloseUser(t.Context(), "o2", "somebody", hub.CloseRemoved, ""))
				now, err := bus.Positions(t.Context(), []string{"control"})
				require.NoError(t, err)
				bus.deliver("control", tc.entry(now["control"]))
				synctest.Wait()
				_, _, code := c.seen()
				if tc.asked {
					require.Equal(t, hub.CloseSession, code)
				} else {
					require.Zero(t, code)
				}
				c.stop(t, bus)
			})
		})
	}
}

// A node that starts before its bus hears other nodes once the bus is there.
func TestStartWithoutTheBus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := &weak{Bus: membus.New(membus.Options{})}
		bus.away.Store(true)
		h, err := hub.New(bus, hub.Options{})
		require.NoError(t, err)
		require.NoError(t, h.Start(t.Context()))
		after(time.Minute)
		bus.away.Store(false)
		after(2 * time.Second)
		r := dialPipe(t, h, desk{})
		r.send(t, connectFrame(agent("ana", "org/o1")))
		_, p, err := r.frame()
		require.NoError(t, err)
		require.Contains(t, string(p), `"type":"ok"`)
		_, err = bus.Bus.Publish(t.Context(), "control", hub.Entry{
			Type: "close", Data: json.RawMessage(`{"node":"another","orgId":"o1","userId":"ana","code":4403}`),
		})
		require.NoError(t, err)
		code, _, _ := r.closed(t)
		require.Equal(t, hub.CloseRemoved, code)
		_ = r.Close()
		require.NoError(t, h.Shutdown(t.Context()))
		require.NoError(t, bus.Close())
	})
}

func TestHistoryAway(t *testing.T) {
	t.Parallel()
	for _, back := range []bool{true, false} {
		t.Run(fmt.Sprint(back), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				bus := &weak{Bus: membus.New(membus.Options{})}
				c := newTimed(t, bus, hub.Options{}, desk{}, agent("ana", "org/o1"))
				publish(t, c.Hub, 1)
				bus.lose.Store(1)
				publish(t, c.Hub, 1)
				now, err := bus.Bus.Positions(t.Context(), []string{"org/o1"})
				require.NoError(t, err)
				bus.away.Store(true)
				_, err = bus.Bus.Publish(t.Context(), "org/o1", hub.Entry{Type: "x", Data: json.RawMessage(`3`)})
				require.NoError(t, err)
				synctest.Wait()
				require.EqualValues(t, 2, now["org/o1"].Offset)
				require.EqualValues(t, 1, bus.calls.Load())
				if back {
					bus.away.Store(false)
				}
				after(10 * time.Second)
				frames, _, code := c.seen()
				if back {
					require.Zero(t, code)
					require.Equal(t, []int64{1, 2, 3}, offsets(frames))
				} else {
					require.Equal(t, hub.CloseResync, code)
					require.Equal(t, []int64{1}, offsets(frames), "nothing comes after a hole")
				}
				bus.away.Store(false)
				c.stop(t, bus)
			})
		})
	}
}

func TestHeartbeatFindsANewEpoch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := &weak{Bus: membus.New(membus.Options{})}
		c := newTimed(t, bus, hub.Options{}, desk{}, agent("ana", "org/o1"))
		publish(t, c.Hub, 1)
		bus.mu.Lock()
		bus.epoch = "new"
		bus.mu.Unlock()
		after(26 * time.Second) // nothing is published: the heartbeat finds out
		frames, _, code := c.seen()
		require.Equal(t, hub.CloseResync, code)
		require.Equal(t, []int64{1}, offsets(frames))
		c.stop(t, bus)
	})
}

// While the bus is away events wait, in order, and clients stay.
func TestPublishWaitsForTheBus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := &weak{Bus: membus.New(membus.Options{})}
		c := newTimed(t, bus, hub.Options{PendingPublishes: 11}, desk{}, agent("ana", "org/o1"))
		publish(t, c.Hub, 1)
		bus.away.Store(true)
		for i := range 10 {
			pos, err := c.Publish(t.Context(), "org/o1", "x", count{i + 1})
			require.NoError(t, err)
			require.Zero(t, pos)
		}
		require.ErrorIs(t, c.CloseUser(t.Context(), "o1", "ben", hub.CloseRemoved, ""), errAway)
		require.Error(t, c.Announce(t.Context(), "org/o1", "typing", nil))
		require.Equal(t, 11, c.Stats().Pending)
		after(time.Minute)
		frames, _, code := c.seen()
		require.Zero(t, code)
		require.Equal(t, []int64{1}, offsets(frames))
		var beat wire.HeartbeatData
		require.NoError(t, json.Unmarshal(frames[len(frames)-1].Data, &beat))
		require.Empty(t, beat.Offsets, "nothing is claimed that the bus did not say")

		bus.away.Store(false)
		after(3 * time.Second)
		require.Zero(t, c.Stats().Pending)
		publish(t, c.Hub, 1)
		synctest.Wait()
		frames, _, _ = c.seen()
		require.Equal(t, []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, offsets(frames))
		i := 0
		for _, f := range frames {
			if f.Type == "x" && f.Offset > 1 && f.Offset < 12 {
				i++
				require.Equal(t, i, number(t, f))
			}
		}
		c.stop(t, bus)
	})
}

// What there was no room for is not told. So clients are sent to read again when the bus is back, those of other nodes too.
func TestTooManyEventsForTheBus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := membus.New(membus.Options{})
		bus := &weak{Bus: inner}
		c := newTimed(t, bus, hub.Options{PendingPublishes: 2}, desk{}, agent("ana", "org/o1"))
		second := inner.Node()
		other := newTimed(t, second, hub.Options{}, desk{}, agent("ben", "org/o1"))
		publish(t, c.Hub, 1)
		require.False(t, c.Untold())
		bus.away.Store(true)
		for range 2 {
			_, err := c.Publish(t.Context(), "org/o1", "x", count{})
			require.NoError(t, err)
		}
		_, err := c.Publish(t.Context(), "org/o1", "x", count{})
		require.ErrorIs(t, err, omni.ErrUnavailable)
		after(5 * time.Second)
		require.True(t, c.Untold())
		bus.away.Store(false)
		after(3 * time.Second)
		require.False(t, c.Untold())
		for _, of := range []*timed{c, other} {
			frames, _, code := of.seen()
			require.Equal(t, hub.CloseResync, code)
			require.Equal(t, []int64{1, 2, 3}, offsets(frames), "what there was room for came first")
		}
		c.stop(t, bus)
		other.stop(t, second)
	})
}

func TestShutdownTellsWhatNeverReachedTheBus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := &weak{Bus: membus.New(membus.Options{})}
		c := newTimed(t, bus, hub.Options{}, desk{}, agent("ana", "org/o1"))
		bus.away.Store(true)
		publish(t, c.Hub, 3)
		_ = c.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorContains(t, c.Shutdown(ctx), "3 events")
		require.NoError(t, bus.Close())
	})
}

func TestConnectWhileTheBusIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := &weak{Bus: membus.New(membus.Options{})}
		h, err := hub.New(bus, hub.Options{})
		require.NoError(t, err)
		require.NoError(t, h.Start(t.Context()))
		bus.away.Store(true)
		r := dialPipe(t, h, desk{})
		r.send(t, connectFrame(agent("ana", "org/o1")))
		_, p, err := r.frame()
		require.NoError(t, err)
		require.Contains(t, string(p), `"type":"error"`)
		code, _, _ := r.closed(t)
		require.Equal(t, hub.CloseUnavailable, code)
		_ = r.Close()

		bus.away.Store(false)
		again := dialPipe(t, h, desk{})
		again.send(t, connectFrame(agent("ana", "org/o1")))
		_, p, err = again.frame()
		require.NoError(t, err)
		require.Contains(t, string(p), `"type":"ok"`)
		_ = again.Close()
		require.NoError(t, h.Shutdown(t.Context()))
		require.NoError(t, bus.Close())
	})
}

// A client that comes from a faster node may know more than this node was given yet. It gets nothing twice.
func TestResumeFromAFasterNode(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := &weak{Bus: membus.New(membus.Options{})}
		c := newTimed(t, bus, hub.Options{}, desk{}, agent("ana", "org/o1"))
		bus.lose.Store(2) // here they are only late
		publish(t, c.Hub, 2)
		now, err := bus.Positions(t.Context(), []string{"org/o1"})
		require.NoError(t, err)
		ahead := dialPipe(t, c.Hub, desk{})
		ahead.send(t, masked(text, command(1, wire.CmdConnect, wire.Connect{
			Ticket: ticket(agent("ben", "org/o1")),
			Resume: []wire.TopicPosition{{Topic: "org/o1", Epoch: now["org/o1"].Epoch, Offset: 2}},
		})))
		_, p, err := ahead.frame()
		require.NoError(t, err)
		require.Contains(t, string(p), `"offset":2,"state":"recovered"`)
		es, _, _, err := bus.Bus.History(t.Context(), "org/o1", hub.Position{Epoch: now["org/o1"].Epoch}, 10)
		require.NoError(t, err)
		for _, e := range es {
			bus.deliver("org/o1", e)
		}
		publish(t, c.Hub, 1)
		_, p, err = ahead.frame()
		require.NoError(t, err)
		require.Contains(t, string(p), `"offset":3,`)
		require.NotContains(t, string(p), "\n", "and nothing before it")
		synctest.Wait()
		frames, _, _ := c.seen()
		require.Equal(t, []int64{1, 2, 3}, offsets(frames))
		_ = ahead.Close()
		c.stop(t, bus)
	})
}

// An event that comes after the bus has said where a topic stands, and before the hub has heard it, is not lost.
func TestEventWhileTopicStarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := &weak{Bus: membus.New(membus.Options{})}
		_, err := bus.Bus.Publish(t.Context(), "org/o1", hub.Entry{Type: "x", Data: json.RawMessage(`1`)})
		require.NoError(t, err)
		bus.asked = func() {
			_, err := bus.Bus.Publish(t.Context(), "org/o1", hub.Entry{Type: "x", Data: json.RawMessage(`2`)})
			require.NoError(t, err)
		}
		c := newTimed(t, bus, hub.Options{}, desk{}, agent("ana", "org/o1"))
		publish(t, c.Hub, 1)
		synctest.Wait()
		frames, _, _ := c.seen()
		var in wire.Connected
		require.NoError(t, json.Unmarshal(frames[0].Data, &in))
		require.EqualValues(t, 2, in.Topics[0].Offset)
		require.Equal(t, []int64{3}, offsets(frames))
		c.stop(t, bus)
	})
}

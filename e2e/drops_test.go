package e2e_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/hub"
	"omniservice/internal/testenv"
	"omniservice/omni/wire"
)

// leaky is a bus that loses deliveries of one topic: every tenth, or all while told to.
type leaky struct {
	hub.Bus

	mu      sync.Mutex
	topic   string
	all     bool
	offsets map[int64]time.Time // of durable events of the topic, when they came
	lost    map[int64]bool
}

func (l *leaky) Start(ctx context.Context, deliver func(string, hub.Entry)) error {
	return l.Bus.Start(ctx, func(topic string, e hub.Entry) {
		if !l.loses(topic, e) {
			deliver(topic, e)
		}
	})
}

func (l *leaky) loses(topic string, e hub.Entry) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if topic != l.topic || e.Offset == 0 || e.Type == "" {
		return false
	}
	l.offsets[e.Offset] = time.Now()
	if l.all || e.Offset%10 == 0 {
		l.lost[e.Offset] = true
	}
	return l.lost[e.Offset]
}

// lose says of which topic, and whether all.
func (l *leaky) lose(topic string, all bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.topic, l.all = topic, all
}

// R12: the bus loses every tenth delivery. The hub sees the hole with the next one, and by heartbeat if there is none.
func TestR12_DeliveriesAreLost(t *testing.T) {
	t.Parallel()
	const heartbeat = 2 * time.Second
	for name, url := range map[string]func() string{
		"in process": func() string { return "" },
		"Redis":      func() string { return testenv.StartRedis(t).URL() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const contacts = 20
			perSecond := rate(100)
			bus := &leaky{offsets: map[int64]time.Time{}, lost: map[int64]bool{}}
			d := NewDesk(t, Start(t, Options{
				RedisURL: url(), Hub: hub.Options{Heartbeat: heartbeat},
				Bus: func(inner hub.Bus) hub.Bus { bus.Bus = inner; return bus },
			}))
			fs := followers{newFollower(t, d, d.Ana, d.System), newFollower(t, d, d.Ben, d.System)}
			bus.lose(d.Topic(), false)
			load := begin(d, contacts, perSecond)
			pause(3 * time.Second)
			all := load.end()
			want := taken(all)
			missed, twice, disordered := fs.know(t, want)

			bus.lose(d.Topic(), true)
			d.Account.Receive(t, Phone(0), Number, "the last of all 1000000")
			began := time.Now()
			want["the last of all 1000000"] = true
			m, _, _ := fs.know(t, want)
			byHeartbeat := time.Since(began)

			// What was lost is there so long after the next event came.
			bus.mu.Lock()
			defer bus.mu.Unlock()
			lost, slow := 0, time.Duration(0)
			for _, f := range fs {
				for _, frame := range f.client.Events(wire.MessageCreated) {
					next, ok := bus.offsets[frame.Offset+1]
					if bus.lost[frame.Offset] && ok {
						lost++
						slow = max(slow, frame.Received.Sub(next))
					}
				}
				require.True(t, f.client.Open(), "nobody has to come back")
			}
			t.Logf("R12: %s, every tenth delivery lost under %d webhooks/s: %d messages, %d deliveries lost; missed %d, twice %d, out of order %d; made good at most %v after the next event, %v after the last by heartbeat (every %v)",
				name, perSecond, len(want), lost, missed+m, twice, disordered, slow.Round(100*time.Microsecond), byHeartbeat.Round(time.Millisecond), heartbeat)
			require.Positive(t, lost)
			require.Zero(t, missed+m, "missed")
			require.Zero(t, twice)
			require.Zero(t, disordered)
			require.LessOrEqual(t, slow, time.Second, "noticed")
			require.Less(t, byHeartbeat, heartbeat+5*time.Second, "30 s, at a heartbeat every 25 s")
			require.Zero(t, fs.resets(), fmt.Sprint(fs.codes()))
		})
	}
}

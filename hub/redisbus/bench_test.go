package redisbus_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/hub"
	"omniservice/hub/redisbus"
	"omniservice/internal/testenv"
	"omniservice/omni"
)

func started(b *testing.B, url, prefix string, deliver func(string, hub.Entry)) *redisbus.Bus {
	b.Helper()
	bus := newBus(b, url, redisbus.Options{Prefix: prefix})
	require.NoError(b, bus.Start(b.Context(), deliver))
	b.Cleanup(func() { require.NoError(b, bus.Close()) })
	return bus
}

// BenchmarkPublish is one event of 256 bytes with history, from so many publishers at once, to a topic of each.
func BenchmarkPublish(b *testing.B) {
	url := testenv.StartRedis(b).URL()
	e := hub.Entry{Type: "message.created", Data: []byte(`"` + strings.Repeat("x", 254) + `"`), At: 1763800001123}
	for _, publishers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(publishers), func(b *testing.B) {
			bus := started(b, url, "bench-"+omni.NewToken(4), func(string, hub.Entry) {})
			var left, failed atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for p := range publishers {
				topic := fmt.Sprintf("user/%d", p)
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := bus.Publish(b.Context(), topic, e); err != nil {
							failed.Add(1)
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			require.Zero(b, failed.Load())
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkDeliver is what a node takes for an event that comes in: 64 publishers on another node, 1,000 topics. The
// publishing node is in the same process, so the time holds both.
func BenchmarkDeliver(b *testing.B) {
	url := testenv.StartRedis(b).URL()
	e := hub.Entry{Type: "message.created", Data: []byte(`"` + strings.Repeat("x", 254) + `"`), At: 1763800001123}
	for _, followed := range []bool{false, true} {
		b.Run(fmt.Sprintf("followed=%t", followed), func(b *testing.B) {
			var got atomic.Int64
			prefix := "bench-" + omni.NewToken(4)
			in := started(b, url, prefix, func(string, hub.Entry) { got.Add(1) })
			out := started(b, url, prefix, func(string, hub.Entry) {})
			topics := make([]string, 1000)
			for i := range topics {
				topics[i] = fmt.Sprintf("user/%d", i)
				if followed {
					require.NoError(b, in.Subscribe(b.Context(), topics[i]))
				}
			}
			var next, failed atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						if _, err := out.Publish(b.Context(), topics[n%1000], e); err != nil {
							failed.Add(1)
						}
					}
				})
			}
			wg.Wait()
			if followed {
				testenv.Await(b, "the last delivery", func() bool { return got.Load() == int64(b.N) })
			}
			b.StopTimer()
			require.Zero(b, failed.Load())
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkPositions is what the heartbeats of 1,000 connections ask.
func BenchmarkPositions(b *testing.B) {
	bus := started(b, testenv.StartRedis(b).URL(), "bench-"+omni.NewToken(4), func(string, hub.Entry) {})
	topics := make([]string, 1000)
	for i := range topics {
		topics[i] = fmt.Sprintf("user/%d", i)
	}
	b.ReportAllocs()
	for b.Loop() {
		m, err := bus.Positions(b.Context(), topics)
		require.NoError(b, err)
		require.Len(b, m, 1000)
	}
}

package redisbus_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/hub"
	"omniservice/hub/redisbus"
	"omniservice/internal/testenv"
)

// BenchmarkLeases renews the leases of 10,000 users, as a node does every 12 s, and says what that costs Redis.
func BenchmarkLeases(b *testing.B) {
	const users = 10_000
	for _, orgs := range []int{1, 100, users} {
		b.Run(fmt.Sprintf("orgs=%d", orgs), func(b *testing.B) {
			r := testenv.StartRedis(b)
			bus := newBus(b, r.URL(), redisbus.Options{})
			defer func() { require.NoError(b, bus.Close()) }()
			groups := make([]hub.LeaseGroup, orgs)
			for i := range users {
				g := &groups[i%orgs]
				g.Group = fmt.Sprintf("org/%036d", i%orgs)
				member := fmt.Sprintf("%036d", i)
				e := event(map[string]any{"who": map[string]string{"type": "USER", "id": member, "name": "Ana Example"}, "state": "online", "until": time.Now().UnixMilli()})
				g.Set = append(g.Set, hub.LeaseChange{Member: member, Holder: fmt.Sprintf("%036d", 1), Value: "online Ana Example", Keep: true, Tell: e})
			}
			renew := func() {
				_, err := bus.SetLeases(b.Context(), groups, time.Minute)
				require.NoError(b, err)
			}
			renew()
			before := redisCPU(b, r)
			b.ResetTimer()
			for b.Loop() {
				renew()
			}
			b.StopTimer()
			b.ReportMetric((redisCPU(b, r)-before)*1e6/float64(b.N)/users, "redis-µs/lease")
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/users, "µs/lease")
		})
	}
}

// redisCPU is the processor time that Redis has used, in seconds.
func redisCPU(b *testing.B, r *testenv.Redis) float64 {
	b.Helper()
	total := 0.0
	for line := range strings.SplitSeq(r.Do("INFO", "cpu"), "\n") {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			s, err := strconv.ParseFloat(value, 64)
			require.NoError(b, err)
			total += s
		}
	}
	return total
}

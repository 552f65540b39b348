package redisbus_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/hub"
	"omniservice/hub/redisbus"
	"omniservice/internal/testenv"
)

// TestMemoryPerTopic asks a Redis what topics cost: the table of docs/realtime.md. A topic of which nothing happened costs its
// position, and an event its own size and little more.
func TestMemoryPerTopic(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	bus := newBus(t, r.URL(), redisbus.Options{Prefix: "mem"})
	require.NoError(t, bus.Start(t.Context(), func(string, hub.Entry) {}))
	t.Cleanup(func() { require.NoError(t, bus.Close()) })
	const data = 400
	e := hub.Entry{Type: "message.created", Data: []byte(`"` + strings.Repeat("x", data-2) + `"`), At: 1763800001123}

	used := func(topic string) (bytes int) {
		for _, key := range r.All("KEYS", "*"+topic+"*") {
			n, err := strconv.Atoi(strings.TrimPrefix(r.Do("MEMORY", "USAGE", key, "SAMPLES", "0"), ":"))
			require.NoError(t, err, key)
			bytes += n
		}
		return bytes
	}
	position := 0
	for _, n := range []int{0, 1, 10, 100, 1000} {
		topic := fmt.Sprintf("group/01990000-0000-7000-8000-%012d", n)
		_, err := bus.Positions(t.Context(), []string{topic})
		require.NoError(t, err)
		for range n {
			_, err := bus.Publish(t.Context(), topic, e)
			require.NoError(t, err)
		}
		bytes := used(topic)
		t.Logf("%4d events of %d bytes: %d bytes", n, data, bytes)
		if n == 0 {
			position = bytes
			require.NotZero(t, bytes)
			require.LessOrEqual(t, bytes, 400)
			continue
		}
		require.LessOrEqual(t, bytes, position+500+n*(data+120), "%d events", n)
	}
}

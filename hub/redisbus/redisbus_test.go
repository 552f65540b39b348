package redisbus_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"omniservice/hub"
	"omniservice/hub/bustest"
	"omniservice/hub/redisbus"
	"omniservice/internal/testenv"
	"omniservice/omni"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// conform runs the suite on the Redis at url. Each bus has keys of its own, so the server may be anybody's.
func conform(t *testing.T, url string) {
	bustest.Run(t, func(t *testing.T, l bustest.Limits) func() hub.Bus {
		o := redisbus.Options{Prefix: "test-" + omni.NewToken(6), Events: l.Events, Age: l.Age}
		return func() hub.Bus { return newBus(t, url, o) }
	})
}

func newBus(t testing.TB, url string, o redisbus.Options) *redisbus.Bus {
	t.Helper()
	if o.Prefix == "" {
		o.Prefix = "test-" + omni.NewToken(6)
	}
	b, err := redisbus.New(url, o)
	require.NoError(t, err)
	return b
}

func TestConformance(t *testing.T) {
	t.Parallel()
	conform(t, testenv.StartRedis(t).URL())
}

func TestConformanceCluster(t *testing.T) {
	t.Parallel()
	conform(t, "redis+cluster://"+testenv.StartRedisCluster(t, 3)[1].Addr)
}

// TestConformanceNamed runs on the server that OMNI_TEST_REDIS names, such as redis://127.0.0.1:6379.
func TestConformanceNamed(t *testing.T) {
	t.Parallel()
	url := os.Getenv("OMNI_TEST_REDIS")
	if url == "" {
		url = testenv.StartRedis(t, "--requirepass", "secret").URL()
		url = "redis://:secret@" + url[len("redis://"):]
	}
	conform(t, url)
}

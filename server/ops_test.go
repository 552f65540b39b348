package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/server"
	"omniservice/store/spool"
)

func TestReadinessTellsOfTheSpool(t *testing.T) {
	t.Parallel()
	var st spool.Stats
	s := start(t, func(d *server.Deps, _ *server.Options) { d.Spool = func() spool.Stats { return st } })
	ops := httptest.NewServer(s.server.Ops())
	t.Cleanup(ops.Close)
	get := func(path string) (int, []byte) {
		res, err := ops.Client().Get(ops.URL + path) //nolint:noctx // a test server
		require.NoError(t, err)
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, b
	}
	const mib = 1 << 20
	for name, c := range map[string]struct {
		stats           spool.Stats
		away            bool
		ready, webhooks int
		store, where    string
		spool           string
	}{
		"well":         {spool.Stats{MaxBytes: 100 * mib}, false, 200, 200, "ok", "stored", "empty"},
		"draining":     {spool.Stats{Records: 3, Bytes: mib, MaxBytes: 100 * mib, Oldest: 2 * time.Second}, false, 200, 200, "ok", "spooled", "3 wait, the oldest for 2s"},
		"store away":   {spool.Stats{MaxBytes: 100 * mib}, true, 503, 200, "away", "spooled", "empty"},
		"away long":    {spool.Stats{Records: 3, Bytes: mib, MaxBytes: 100 * mib, Oldest: 25 * time.Hour, Late: true}, true, 503, 200, "away", "spooled", "3 wait, the oldest for 25h0m0s: too long"},
		"nothing left": {spool.Stats{Records: 9, Bytes: 99 * mib, MaxBytes: 100 * mib, Full: true}, true, 503, 503, "away", "refused", "9 wait, the oldest for 0s"},
	} {
		st = c.stats
		s.store.set(c.away)
		status, body := get("/readyz")
		var parts map[string]string
		require.NoError(t, json.Unmarshal(body, &parts))
		require.Equal(t, c.ready, status, name)
		require.Equal(t, c.store, parts["store"], name)
		require.Equal(t, c.where, parts["webhooks"], name)
		require.Equal(t, c.spool, parts["spool"], name)
		status, body = get("/readyz/webhooks")
		require.Equal(t, c.webhooks, status, name)
		require.JSONEq(t, `{"webhooks":"`+c.where+`"}`, string(body), name)
	}
	s.store.set(false)

	st = spool.Stats{Records: 3, Bytes: 4, MaxBytes: 5, Oldest: 6 * time.Second, Appended: 7, Refused: 8, Drained: 9, SetAside: 10}
	_, body := get("/metrics")
	for _, line := range []string{
		"omni_spool_records 3", "omni_spool_bytes 4", "omni_spool_limit_bytes 5", "omni_spool_oldest_seconds 6", "omni_spool_appended_total 7",
		"omni_spool_refused_total 8", "omni_spool_drained_total 9", "omni_spool_set_aside_total 10",
	} {
		require.Contains(t, string(body), "\n"+line+"\n")
	}
	s.server.SetDraining(true)
	status, _ := get("/readyz/webhooks")
	require.Equal(t, http.StatusServiceUnavailable, status)
}

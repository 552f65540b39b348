package omni_test

import (
	"encoding/hex"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

var uuid7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestNewIDIsUUIDv7(t *testing.T) {
	t.Parallel()
	for range 1000 {
		id := omni.NewID()
		require.Regexp(t, uuid7, id)
		require.True(t, omni.ValidID(id))
	}
}

func TestNewIDIsUniqueAndOrderedUnderConcurrency(t *testing.T) {
	t.Parallel()
	const workers, each = 16, 2000
	made := make([][]string, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range each {
				made[w] = append(made[w], omni.NewID())
			}
		})
	}
	wg.Wait()
	all := map[string]bool{}
	for _, ids := range made {
		require.True(t, slices.IsSorted(ids), "each worker's ids come in the order in which it made them")
		for _, id := range ids {
			all[id[:19]] = true // time and counter alone are unique within one process
		}
	}
	require.Len(t, all, workers*each)
}

// TestNewIDAt runs alone: ids of other tests at the same instant would move the clock on between two of its own.
func TestNewIDAt(t *testing.T) {
	now := time.UnixMilli(idMillis(t, omni.NewID())).Add(time.Minute) // ahead of what was made before
	first := omni.NewIDAt(now)
	require.Equal(t, now.UnixMilli(), idMillis(t, first))
	last := first
	for _, back := range []time.Duration{0, time.Millisecond, time.Hour, 40 * 365 * 24 * time.Hour} {
		id := omni.NewIDAt(now.Add(-back))
		require.Greater(t, id, last, "the clock went back by %s", back)
		require.Regexp(t, uuid7, id)
		last = id
	}
	for _, t0 := range []time.Time{{}, time.Unix(-1, 0), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)} {
		id := omni.NewIDAt(t0) // before 1970: there is no such UUIDv7
		require.Greater(t, id, last)
		require.Equal(t, now.UnixMilli(), idMillis(t, id), "a moment before 1970 leaves the clock where it is")
		last = id
	}
	for range 5000 { // more than the 4096 of one millisecond: the time goes on by itself
		id := omni.NewIDAt(now)
		require.Greater(t, id, last)
		last = id
	}
	later := omni.NewIDAt(now.Add(time.Second))
	require.Equal(t, now.Add(time.Second).UnixMilli(), idMillis(t, later))
}

func idMillis(t *testing.T, id string) int64 {
	t.Helper()
	ms, err := strconv.ParseInt(strings.ReplaceAll(id[:13], "-", ""), 16, 64)
	require.NoError(t, err)
	return ms
}

func TestValidID(t *testing.T) {
	t.Parallel()
	good := "019c1f2e-8a3b-7c10-9d55-2f6a1b0c4e77"
	require.True(t, omni.ValidID(good))
	for name, s := range map[string]string{
		"empty": "", "upper case": strings.ToUpper(good), "without hyphens": strings.ReplaceAll(good, "-", ""),
		"braces": "{" + good + "}", "too short": good[:35], "too long": good + "0", "not hex": "g" + good[1:],
		"hyphen in the wrong place": "019c1f2e8-a3b-7c10-9d55-2f6a1b0c4e77", "NUL": good[:35] + "\x00",
		"operator": `{"$ne":null}`, "path": "../../../../../../../../../../etc/pass", "wide digits": strings.Repeat("０", 12),
	} {
		require.False(t, omni.ValidID(s), name)
	}
}

func TestNewToken(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, n := range []int{0, 1, 16, 32} {
		tok := omni.NewToken(n)
		b, err := hex.DecodeString(tok)
		require.NoError(t, err)
		require.Len(t, b, n)
		require.Equal(t, strings.ToLower(tok), tok)
	}
	for range 1000 {
		seen[omni.NewToken(16)] = true
	}
	require.Len(t, seen, 1000)
}

func TestMillis(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 29, 1, 30, 0, 123_987_654, time.FixedZone("CET", 3600))
	m := omni.MillisOf(at)
	require.Equal(t, omni.Millis(at.UnixMilli()), m)
	require.Equal(t, at.Truncate(time.Millisecond).UTC(), m.Time())
	require.Equal(t, time.UTC, m.Time().Location())
	require.Equal(t, m+1500, m.Add(1500*time.Millisecond))
	require.Equal(t, m-60_000, m.Add(-time.Minute))
	require.Equal(t, m, m.Add(999*time.Microsecond))
	require.Zero(t, omni.MillisOf(time.Time{}))
	require.True(t, omni.Millis(0).Time().IsZero())
}

func BenchmarkNewID(b *testing.B) {
	for b.Loop() {
		_ = omni.NewID()
	}
}

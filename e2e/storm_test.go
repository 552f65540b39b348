package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/hub"
	"omniservice/omni/wire"
	"omniservice/store"
	"omniservice/store/faultstore"
)

// socketsFor is how many sockets a test opens that is about many: some, or as many as OMNI_SOCKETS says (make storm).
func socketsFor(t *testing.T, some int) int {
	t.Helper()
	text := os.Getenv("OMNI_SOCKETS")
	if text == "" {
		return some
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err, "OMNI_SOCKETS")
	return n
}

// R26: all sockets are cut at once, and all return, each after a random part of the time that clients give themselves,
// while messages go on. Nobody reads conversations for that: what was missed is in the bus's history.
func TestR26_AllSocketsCutAtOnce(t *testing.T) {
	const contacts, messages = 10, 50
	sockets := socketsFor(t, 1000)
	if Raced {
		sockets = min(sockets, 300)
	}
	spread := max(time.Second, time.Duration(sockets)*time.Millisecond) // clients: at most 20 s
	var fault *faultstore.Store
	d := NewDesk(t, Start(t, Options{
		Limits: unlimited, Hub: hub.Options{PerUser: sockets, PerAddress: 2 * sockets},
		Around: func(st store.Store) store.Store { fault = faultstore.New(st, 1); return fault },
	}))
	fs := make(followers, sockets)
	each(sockets, 32, func(i int) { fs[i] = newFollower(t, d, []*Agent{d.Ana, d.Ben}[i%2], d.System) })
	d.Account.Receive(t, Phone(0), Number, "before 0")
	want := map[string]bool{"before 0": true}
	fs[sockets-1].client.ExpectText(t, "before 0")

	reads := func() int {
		return fault.Calls("ListMessages") + fault.Calls("ListInteractions") + fault.Calls("Message")
	}
	readsBefore, callsBefore := reads(), fault.Calls("*")
	began := time.Now()
	each(sockets, 64, func(i int) { fs[i].client.Cut() })
	var posting sync.WaitGroup
	took := make([]time.Duration, messages)
	posting.Go(func() {
		for i := range messages {
			at := time.Now()
			d.Account.Receive(t, Phone(i%contacts), Number, fmt.Sprintf("meanwhile %d", i))
			took[i] = time.Since(at)
			<-time.After(20 * time.Millisecond)
		}
	})
	for i := range messages {
		want[fmt.Sprintf("meanwhile %d", i)] = true
	}
	var last atomic.Int64
	var returning sync.WaitGroup
	for _, f := range fs {
		returning.Go(func() {
			<-time.After(rand.N(spread)) // as clients do
			end := time.Now().Add(Patience)
			for !f.back(t) && time.Now().Before(end) {
				<-time.After(rand.N(time.Second))
			}
			for at := int64(time.Since(began)); ; {
				if was := last.Load(); at <= was || last.CompareAndSwap(was, at) {
					return
				}
			}
		})
	}
	returning.Wait()
	posting.Wait()
	back := time.Duration(last.Load())
	read, calls := reads()-readsBefore, fault.Calls("*")-callsBefore
	missed, twice, disordered := fs.know(t, want)
	recovered := 0
	for _, f := range fs {
		if f.client.Topic(t, d.Topic()).State == wire.Recovered {
			recovered++
		}
	}
	perSecond := float64(read) / contacts / back.Seconds()
	t.Logf("R26: %d sockets cut at once, back within %v (spread over %v), %d recovered from history; missed %d, twice %d, out of order %d; %d reads of conversations, %.2f per conversation and s (all calls of the store %d); p99 of webhooks meanwhile %v",
		sockets, back.Round(time.Millisecond), spread, recovered, missed, twice, disordered, read, perSecond, calls, p99(took).Round(time.Millisecond))
	require.Less(t, back, 30*time.Second)
	require.Equal(t, sockets, recovered)
	require.Zero(t, missed, "missed")
	require.Zero(t, twice)
	require.Zero(t, disordered)
	require.LessOrEqual(t, perSecond, 1.0, "reads per conversation and second")
}

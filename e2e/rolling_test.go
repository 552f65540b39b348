package e2e_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/internal/testenv"
	"omniservice/server"
)

// unlimited is for tests in which many clients have one address.
var unlimited = server.Limits{
	Address:      server.Rate{PerSecond: 1e5, Burst: 1e5},
	Organisation: server.Rate{PerSecond: 1e5, Burst: 1e5},
	Principal:    server.Rate{PerSecond: 1e5, Burst: 1e5},
}

// Two nodes behind one address are restarted one after the other, under load.
func TestR27_RollingRestart(t *testing.T) {
	t.Parallel()
	const sockets, contacts = 20, 20
	perSecond := rate(100)
	redis := testenv.StartRedis(t)
	d := NewDesk(t, Start(t, Options{RedisURL: redis.URL(), Apart: true, DrainTime: 2 * time.Second, Limits: unlimited}))
	second := d.Node(t)
	lb, front := Balance(t, d.System, second)
	fd := atFront(d, front)
	var ws followers
	for i := range sockets {
		ws = append(ws, newFollower(t, fd, []*Agent{d.Ana, d.Ben}[i%2], front))
	}
	load := begin(fd, contacts, perSecond)
	pause(time.Second)
	slowestExit := time.Duration(0)
	for _, n := range []*System{d.System, second} {
		began := time.Now()
		stopped := make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), Patience)
		defer cancel()
		go func() { stopped <- n.App.Stop(ctx) }()
		for going := true; going; {
			select {
			case err := <-stopped:
				require.NoError(t, err)
				going = false
			case <-time.After(20 * time.Millisecond):
				ws.back(t)
			}
		}
		slowestExit = max(slowestExit, time.Since(began))
		lb.Remove(n)
		n.Boot(t, nil)
		lb.Add(n)
		Eventually(t, "all sockets are open", func() bool { return ws.back(t) })
		pause(500 * time.Millisecond)
	}
	all := load.end()
	want := taken(all)
	missed, twice, disordered := ws.know(t, want)
	lost, rowsTwice, rowsDisordered := checkStored(t, d, want)
	codes := ws.codes()
	t.Logf("R27: 2 nodes behind one address restarted under %d webhooks/s: %d taken, non-2xx %d, p99 %v; %d sockets closed with %v, missed %d, twice %d, out of order %d, resets %d; exit after at most %v",
		perSecond, len(want), not2xx(all), slowest(all), sockets, codes, missed, twice+rowsTwice, disordered+rowsDisordered, ws.resets(), slowestExit.Round(time.Millisecond))
	require.Zero(t, not2xx(all), "non-2xx")
	require.Zero(t, missed+lost, "missed")
	require.Zero(t, twice+rowsTwice, "twice")
	require.Zero(t, disordered+rowsDisordered, "out of order")
	require.Zero(t, ws.resets(), "a stop that was asked for costs nobody a reread")
	require.Less(t, slowestExit, 10*time.Second)
	require.Len(t, codes, 1, "all are told to come back")
	require.Positive(t, codes[1012])
}

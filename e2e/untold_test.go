package e2e_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/internal/testenv"
	"omniservice/omni/wire"
	"omniservice/store"
	"omniservice/store/faultstore"
)

// until lets the console come back whenever its socket was closed, until it knows so many messages.
func (c *console) until(t *testing.T, n int) (returns int) {
	t.Helper()
	Eventually(t, fmt.Sprintf("the console knows %d messages", n), func() bool {
		if !c.client.Open() {
			c.comeBack(t)
			returns++
		}
		return c.known(t) >= n
	})
	return returns
}

// once checks that the store has each of n messages once, that REST gives them, and that the console knows no other.
func (c *console) once(t *testing.T, n int) {
	t.Helper()
	texts := Refetch(t, c.desk.Ana).Texts
	require.Len(t, texts, n)
	for text, times := range texts {
		require.Equal(t, 1, times, text)
	}
	require.Equal(t, n, c.known(t))
	require.Empty(t, c.client.Gaps())
	require.Zero(t, c.client.Repeated())
}

// A node dies with events that it could not tell, Redis being out of its reach, and with a message that it has stored and not
// told. Agents on another node are sent to read again, and know everything.
func TestDeadNodeLeavesNothingUntold(t *testing.T) {
	t.Parallel()
	const lease, contacts = 3 * time.Second, 30
	redis := testenv.StartRedis(t)
	line := testenv.StartProxy(t, redis.Addr)
	d := NewDesk(t, Start(t, Options{RedisURL: redis.URL(), Lease: lease}))
	var fault *faultstore.Store
	dies := d.Node(t, func(o *Options) {
		o.RedisURL = "redis://" + line.Addr
		o.Around = func(st store.Store) store.Store {
			fault = faultstore.New(st, 1)
			return fault
		}
	})
	shared(t, d, 2)
	c := newConsole(t, d)
	for i := range contacts {
		d.Account.On([]*System{d.System, dies}[i%2]).Receive(t, Phone(i), Number, fmt.Sprintf("before %d", i))
	}
	c.client.Until(t, wire.MessageCreated, contacts)

	line.Break()
	for i := range contacts {
		d.Account.On(dies).Receive(t, Phone(i), Number, fmt.Sprintf("meanwhile %d", i))
	}
	d.Drained(t)
	told := c.known(t)
	hang := fault.Inject(faultstore.Fault{Calls: "AppendMessage", After: true, Hang: true})
	for i := range contacts {
		d.Account.On(dies).Receive(t, Phone(i), Number, fmt.Sprintf("in between %d", i))
	}
	Eventually(t, "a message is stored that nobody was told of", func() bool { return fault.Calls("AppendMessage") > contacts/2+5 })
	back := fault.Away() // it stores nothing more, and Redis is out of its reach
	hang()
	died := time.Now()
	returns := c.until(t, 3*contacts)
	took := time.Since(died)
	d.Account.Receive(t, Phone(0), Number, "after")
	c.until(t, 3*contacts+1)
	c.once(t, 3*contacts+1)
	t.Logf("%d of %d messages were told before the node died; with a lease of %v all known %v after that, the socket returned %d times",
		told, 2*contacts, lease, took.Round(time.Millisecond), returns)
	require.Less(t, told, 2*contacts)
	require.Positive(t, returns)
	back()
	line.Mend()
}

// owners counts the work leases of each node that has some, the most first.
func owners(t *testing.T, d *Desk) []int {
	t.Helper()
	ls, err := d.App.Store().ListLocks(t.Context(), "queue/")
	require.NoError(t, err)
	by := map[string]int{}
	for _, l := range ls {
		if l.ExpiresAt.Time().After(time.Now()) {
			by[l.Owner]++
		}
	}
	counts := slices.Collect(maps.Values(by))
	slices.SortFunc(counts, func(a, b int) int { return b - a })
	return counts
}

// shared waits until all leases are held by so many nodes, evenly, and returns how long that took.
func shared(t *testing.T, d *Desk, nodes int) time.Duration {
	t.Helper()
	began := time.Now()
	Eventually(t, fmt.Sprintf("%d nodes share the work", nodes), func() bool {
		counts, sum := owners(t, d), 0
		for _, n := range counts {
			sum += n
		}
		return len(counts) == nodes && sum == 16 && counts[0] == (16+nodes-1)/nodes
	})
	return time.Since(began).Round(time.Millisecond)
}

// Two and three nodes share the work, whoever comes and goes, and every message reaches agents once and in order.
func TestNodesShareTheWork(t *testing.T) {
	t.Parallel()
	redis := testenv.StartRedis(t)
	d := NewDesk(t, Start(t, Options{RedisURL: redis.URL(), Lease: 6 * time.Second}))
	f := newFollower(t, d, d.Ana, d.System)
	load := begin(d, 20, rate(100))
	pause(300 * time.Millisecond)
	second := d.Node(t)
	two := shared(t, d, 2)
	pause(300 * time.Millisecond)
	third := d.Node(t)
	three := shared(t, d, 3)
	pause(300 * time.Millisecond)
	third.Stop(t)
	twoAgain := shared(t, d, 2)
	pause(300 * time.Millisecond)
	second.Stop(t)
	one := shared(t, d, 1)
	all := load.end()
	want := taken(all)
	missed, twice, disordered := followers{f}.know(t, want)
	lost, rowsTwice, rowsDisordered := checkStored(t, d, want)
	t.Logf("leases shared by two nodes %v after the second came, by three after %v, by two %v after one stopped, alone after %v; %d webhooks meanwhile, p99 %v: missed %d, twice %d, out of order %d",
		two, three, twoAgain, one, len(want), slowest(all), missed+lost, twice+rowsTwice, disordered+rowsDisordered)
	require.Zero(t, missed+lost)
	require.Zero(t, twice+rowsTwice)
	require.Zero(t, disordered+rowsDisordered)
	require.Zero(t, not2xx(all))
	require.Zero(t, f.resets)
}

// The only node is killed while Redis does not answer: what it took in, stored and could not tell is there when it is back.
func TestKilledWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	const messages = 40
	redis := testenv.StartRedis(t)
	d := NewDesk(t, StartProcess(t, Options{RedisURL: redis.URL()}))
	c := newConsole(t, d)
	d.Account.Receive(t, Phone(0), Number, "before")
	c.client.ExpectText(t, "before")

	redis.Pause()
	each(messages, 4, func(i int) {
		status, err := d.Account.Post(d.Account.SMS(NewSID(), Phone(i%10), Number, fmt.Sprintf("meanwhile %d", i)))
		if err != nil || status != http.StatusOK {
			t.Errorf("message %d: %d %v", i, status, err)
		}
	})
	Eventually(t, "all events wait for Redis", func() bool { return metric(t, d, "omni_hub_pending_events") >= messages })
	d.Kill(t)
	redis.Resume()
	began := time.Now()
	d.Launch(t)
	c.comeBack(t)
	returns := c.until(t, 1+messages)
	took := time.Since(began)
	d.Account.Receive(t, Phone(0), Number, "after")
	c.until(t, 2+messages)
	c.once(t, 2+messages)
	t.Logf("killed with %d messages untold: all known %v after the start, the socket returned %d times more",
		messages, took.Round(time.Millisecond), returns)
}

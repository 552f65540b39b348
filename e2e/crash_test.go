package e2e_test

import (
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
)

// The program is killed three times while 200 webhooks a second come in. The carrier tries each until it is taken,
// the agent's console comes back and reads again where it has to.
func TestR1_KilledUnderLoad(t *testing.T) {
	const (
		perSecond = 200
		contacts  = 40
		kills     = 3
		between   = 2 * time.Second
	)
	d := NewDesk(t, StartProcess(t, Options{}))
	c := newConsole(t, d)

	var (
		posts        sync.WaitGroup
		stop         = make(chan struct{})
		sent         atomic.Int64
		tries, taken atomic.Int64
		ackedLost    atomic.Int64
	)
	post := func(i int64) {
		form := d.Account.SMS(NewSID(), Phone(int(i)%contacts), Number, fmt.Sprintf("message %d", i))
		retry := time.NewTicker(100 * time.Millisecond)
		defer retry.Stop()
		for range 200 {
			tries.Add(1)
			if status, err := d.Account.Post(form); err == nil && status/100 == 2 {
				taken.Add(1)
				return
			}
			<-retry.C
		}
		ackedLost.Add(1)
	}
	posts.Go(func() {
		tick := time.NewTicker(time.Second / perSecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				i := sent.Add(1) - 1
				posts.Go(func() { post(i) })
			}
		}
	})

	var slowest time.Duration
	for range kills {
		pause(between)
		d.Kill(t)
		slowest = max(slowest, d.Launch(t))
		c.comeBack(t)
	}
	pause(between)
	close(stop)
	posts.Wait()
	total := int(sent.Load())
	require.Zero(t, ackedLost.Load(), "webhooks that were never taken")
	require.EqualValues(t, total, taken.Load())

	Eventually(t, "the console knows every message", func() bool { return c.known(t) >= total })
	pushed := c.texts(t)

	rows, twice := map[string]int{}, 0
	its := d.Alpha.Interactions(t, omni.InteractionOpen)
	require.Len(t, its, contacts)
	for _, it := range its {
		for n, m := range d.Alpha.Messages(t, it.ID) {
			require.Equal(t, int64(n+1), m.Seq, "sequences have no gaps")
			if rows[m.Payload.Text]++; rows[m.Payload.Text] > 1 {
				twice++
			}
		}
	}
	lost, unpushed := 0, 0
	for i := range total {
		text := fmt.Sprintf("message %d", i)
		if rows[text] == 0 {
			lost++
		}
		if pushed[text] == 0 {
			unpushed++
		}
	}
	t.Logf("R1: killed %d times under %d webhooks/s: %d messages in %d tries; lost %d, stored twice %d, not pushed %d; ready again after at most %v",
		kills, perSecond, total, tries.Load(), lost, twice, unpushed, slowest.Round(time.Millisecond))
	require.Zero(t, lost, "lost")
	require.Zero(t, twice, "stored twice")
	require.Zero(t, unpushed, "stored but never pushed")
	require.Less(t, slowest, 2*time.Second, "ready again")
}

// pause lets a load run for a while.
func pause(d time.Duration) { <-time.After(d) }

// console is an agent's console that survives its server: it resumes, and reads again after a reset.
type console struct {
	desk   *Desk
	client *Client

	read map[string]int // texts known from reading again
	past []*Client      // connections that have ended
}

func newConsole(t *testing.T, d *Desk) *console {
	return &console{desk: d, client: d.Ana.Connect(t), read: map[string]int{}}
}

// comeBack connects again, with what the last connection knew.
func (c *console) comeBack(t *testing.T) {
	t.Helper()
	c.client.Cut()
	c.past = append(c.past, c.client)
	c.client = c.desk.Ana.Connect(t, c.client.Positions()...)
	if c.client.Topic(t, c.desk.Topic()).State == wire.Recovered {
		return
	}
	for text, n := range Refetch(t, c.desk.Ana).Texts {
		c.read[text] += n
	}
}

// texts is all that the console knows, by push or by reading after a reset, with how often each was pushed or read.
func (c *console) texts(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	for text, n := range c.read {
		all[text] += n
	}
	for _, client := range append(c.past, c.client) {
		for _, f := range client.Events(wire.MessageCreated) {
			all[Read[wire.Message](t, f).Payload.Text]++
		}
	}
	return all
}

func (c *console) known(t *testing.T) int {
	t.Helper()
	return len(c.texts(t))
}

// SIGTERM under load: what was taken is kept, sockets hear that they shall come back, and the program ends in time.
func TestR27_StopUnderLoad(t *testing.T) {
	t.Parallel()
	const sockets, contacts = 20, 10
	d := NewDesk(t, StartProcess(t, Options{DrainTime: 3 * time.Second}))
	c := newConsole(t, d)
	clients := []*Client{c.client}
	for range sockets - 1 {
		clients = append(clients, d.Ben.Connect(t))
	}

	var (
		posts    sync.WaitGroup
		stop     = make(chan struct{})
		mu       sync.Mutex
		taken    []string
		statuses = map[int]int{}
		unsent   int
	)
	posts.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			posts.Go(func() {
				text := fmt.Sprintf("message %d", i)
				status, err := d.Account.Post(d.Account.SMS(NewSID(), Phone(i%contacts), Number, text))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err != nil:
					unsent++ // refused at the door: the carrier tries again
				default:
					statuses[status]++
					if status == http.StatusOK {
						taken = append(taken, text)
					}
				}
			})
		}
	})
	clients[0].Until(t, wire.MessageCreated, 50)

	began := time.Now()
	ended := d.Terminate(t)
	for _, c := range clients {
		closed := c.Closed(t)
		require.EqualValues(t, 1012, closed.Code)
		require.Regexp(t, `^retry=\d+$`, closed.Reason)
	}
	<-ended
	took := time.Since(began)
	require.Zero(t, d.ExitCode(), "the program ended well:\n%s", d.Log.Tail(20))
	close(stop)
	posts.Wait()
	require.Less(t, took, 10*time.Second)
	require.Len(t, statuses, 1, "answers: %v", statuses)

	d.Launch(t)
	c.comeBack(t)
	require.Equal(t, wire.Reset, c.client.Topic(t, d.Topic()).State, "an embedded bus forgets with its process")
	Eventually(t, "all that was taken is there", func() bool {
		have := c.texts(t)
		for _, text := range taken {
			if have[text] == 0 {
				return false
			}
		}
		return true
	})
	t.Logf("R27: %d sockets closed with 1012, exit after %v; %d webhooks answered %v, %d not taken at the door, lost 0",
		sockets, took.Round(time.Millisecond), len(taken), statuses, unsent)
}

// A burst is queued, not refused.
func TestR31_Burst(t *testing.T) {
	const burst, contacts = 2000, 50
	d := NewDesk(t, StartProcess(t, Options{}))
	ana := d.Ana.Connect(t)
	forms := make([]url.Values, burst)
	for i := range forms {
		forms[i] = d.Account.SMS(NewSID(), Phone(i%contacts), Number, fmt.Sprintf("message %d", i))
	}
	took := make([]time.Duration, burst)
	began := time.Now()
	each(burst, 64, func(i int) {
		at := time.Now()
		status, err := d.Account.Post(forms[i])
		took[i] = time.Since(at)
		if err != nil || status != http.StatusOK {
			t.Errorf("message %d: %d %v", i, status, err)
		}
	})
	posted := time.Since(began)
	ana.Until(t, wire.MessageCreated, burst)
	t.Logf("R31: %d webhooks over 64 connections taken in %v, p99 %v; all pushed after %v",
		burst, posted.Round(time.Millisecond), p99(took).Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	require.Less(t, p99(took), 2*time.Second)
}

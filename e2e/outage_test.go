package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
	"omniservice/store/faultstore"
	"omniservice/store/spool"
)

// outageFor is how long the store is away in these tests: seconds, or as long as OMNI_OUTAGE says (make outage).
func outageFor(t *testing.T, short time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv("OMNI_OUTAGE")
	if text == "" {
		return short
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "OMNI_OUTAGE")
	return d
}

// frail starts a desk whose store can be made to fail.
func frail(t *testing.T, o Options) (*Desk, *faultstore.Store) {
	t.Helper()
	var fault *faultstore.Store
	o.Around = func(st store.Store) store.Store {
		fault = faultstore.New(st, 1)
		return fault
	}
	return NewDesk(t, Start(t, o)), fault
}

// posted is what became of one webhook.
type posted struct {
	text   string
	at     time.Time
	took   time.Duration
	status int // 0: no answer
	retry  string
}

// traffic is contacts who write, each one message after the other was taken.
type traffic struct {
	desk     *Desk
	contacts int
	every    time.Duration // between two messages of a contact

	mu      sync.Mutex
	results []posted
	running sync.WaitGroup
	stop    chan struct{}
}

// rate is how many webhooks a second a test posts: what the program bears with the race detector is much less, and the
// figures are those without.
func rate(perSecond int) int {
	if Raced {
		return perSecond / 5
	}
	return perSecond
}

// begin lets the contacts write until end, together so many a second. A message that is refused is tried again, as a
// carrier does.
func begin(d *Desk, contacts, perSecond int) *traffic {
	l := &traffic{desk: d, contacts: contacts, every: time.Duration(contacts) * time.Second / time.Duration(perSecond), stop: make(chan struct{})}
	for c := range contacts {
		l.running.Go(func() { l.write(c) })
	}
	return l
}

func (l *traffic) write(contact int) {
	offset := time.NewTimer(l.every * time.Duration(contact) / time.Duration(l.contacts))
	defer offset.Stop()
	<-offset.C
	tick := time.NewTicker(l.every)
	defer tick.Stop()
	for n := 0; ; n++ {
		text := fmt.Sprintf("contact %d message %d", contact, n)
		form := l.desk.Account.SMS(NewSID(), Phone(contact), Number, text)
		for {
			p := posted{text: text, at: time.Now()}
			req, err := l.desk.Account.Request(l.desk.Account.WebhookURL, form)
			if err == nil {
				var res *http.Response
				if res, err = l.desk.HTTP().Do(req); err == nil {
					p.status, p.retry = res.StatusCode, res.Header.Get("Retry-After")
					_ = res.Body.Close()
				}
			}
			p.took = time.Since(p.at)
			l.mu.Lock()
			l.results = append(l.results, p)
			l.mu.Unlock()
			if p.status/100 == 2 {
				break
			}
			select { // again, unless the test is over
			case <-l.stop:
				return
			case <-tick.C:
			}
		}
		select {
		case <-l.stop:
			return
		case <-tick.C:
		}
	}
}

// end stops the contacts and returns what became of every webhook.
func (l *traffic) end() []posted {
	close(l.stop)
	l.running.Wait()
	return l.results
}

// between are those that were posted in a stretch of time.
func between(all []posted, from, to time.Time) (some []posted) {
	for _, p := range all {
		if !p.at.Before(from) && p.at.Before(to) {
			some = append(some, p)
		}
	}
	return some
}

// slowest is the p99 of the answers.
func slowest(all []posted) time.Duration {
	ds := make([]time.Duration, 0, len(all))
	for _, p := range all {
		ds = append(ds, p.took)
	}
	return p99(ds).Round(100 * time.Microsecond)
}

func not2xx(all []posted) (n int) {
	for _, p := range all {
		if p.status/100 != 2 {
			n++
		}
	}
	return n
}

// checkAll compares what was taken with what is stored and what the agent's socket got: all of it, once, each contact's in
// order.
func checkAll(t *testing.T, d *Desk, agent *Client, all []posted) (lost, twice, disordered int) {
	t.Helper()
	want := map[string]bool{}
	for _, p := range all {
		if p.status/100 == 2 {
			want[p.text] = true
		}
	}
	Eventually(t, "the agent's socket got all that was taken", func() bool { return len(agent.Events(wire.MessageCreated)) >= len(want) })
	pushed := map[string]int{}
	for _, f := range agent.Events(wire.MessageCreated) {
		pushed[Read[wire.Message](t, f).Payload.Text]++
	}
	rows := map[string]int{}
	for _, it := range d.Alpha.Interactions(t, omni.InteractionOpen) {
		last := -1
		for n, m := range d.Alpha.Messages(t, it.ID) {
			require.Equal(t, int64(n+1), m.Seq, "sequences have no gaps")
			rows[m.Payload.Text]++
			var contact, number int
			_, err := fmt.Sscanf(m.Payload.Text, "contact %d message %d", &contact, &number)
			require.NoError(t, err)
			if number <= last {
				disordered++
			}
			last = number
		}
	}
	for text := range want {
		if rows[text] == 0 || pushed[text] == 0 {
			lost++
		}
		if rows[text] > 1 || pushed[text] > 1 {
			twice++
		}
	}
	return lost, twice, disordered
}

// drained waits until the spool holds nothing, and returns how long that took.
func drained(t *testing.T, d *Desk) time.Duration {
	t.Helper()
	began := time.Now()
	Eventually(t, "the spool is empty", func() bool { return metric(t, d, "omni_spool_records") == 0 })
	return time.Since(began)
}

func metric(t *testing.T, d *Desk, name string) int {
	t.Helper()
	m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(d.Metrics(t))
	require.NotNil(t, m, name)
	f, err := strconv.ParseFloat(m[1], 64)
	require.NoError(t, err)
	return int(f)
}

// ops reads a page of the second address.
func ops(t *testing.T, d *Desk, path string) (status int, parts map[string]string) {
	t.Helper()
	res, err := d.HTTP().Get(d.OpsURL + path) //nolint:noctx // the client has a timeout
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	require.NoError(t, json.NewDecoder(res.Body).Decode(&parts))
	return res.StatusCode, parts
}

func TestR5_StoreAwayIsSpooled(t *testing.T) {
	const contacts = 60
	perSecond := rate(300)
	away := outageFor(t, 5*time.Second)
	if os.Getenv("OMNI_OUTAGE") != "" {
		perSecond = rate(500) // nothing else runs then
	}
	d, fault := frail(t, Options{})
	ana := d.Ana.Connect(t)
	load := begin(d, contacts, perSecond)
	began := time.Now()
	pause(1500 * time.Millisecond)
	from := time.Now()
	back := fault.Away()
	pause(away)
	status, ready := ops(t, d, "/readyz")
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "away", ready["store"])
	require.Equal(t, "spooled", ready["webhooks"])
	status, _ = ops(t, d, "/readyz/webhooks")
	require.Equal(t, http.StatusOK, status)
	waiting := metric(t, d, "omni_spool_records")
	to := time.Now()
	back()
	took := drained(t, d)
	pause(500 * time.Millisecond)
	all := load.end()

	before, during := slowest(between(all, began, from)), between(all, from, to)
	lost, twice, disordered := checkAll(t, d, ana, all)
	t.Logf("R5: store away for %v at %d webhooks/s: %d taken in the outage, %d spooled; lost %d, twice %d, out of order %d, non-2xx %d; p99 in the outage %v (before it %v); drained after %v",
		away, perSecond, len(during), waiting, lost, twice, disordered, not2xx(all), slowest(during), before, took.Round(time.Millisecond))
	require.Positive(t, waiting)
	require.Zero(t, lost)
	require.Zero(t, twice)
	require.Zero(t, disordered)
	require.Zero(t, not2xx(all))
	// 50 ms is the goal, on a machine that does nothing else. Whoever waits for the store waits longer than this.
	require.LessOrEqual(t, slowest(during), max(500*time.Millisecond, 2*before))
	require.Less(t, took, 10*time.Second)
	require.Contains(t, d.Log.String(), "store away, webhooks are spooled")
	require.Contains(t, d.Log.String(), "store back, spool drained")
	require.Empty(t, damagedFiles(t, d))
}

func damagedFiles(t *testing.T, d *Desk) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(d.DataDir, "spool", "*.damaged"))
	require.NoError(t, err)
	return files
}

// A store that does what it was asked and whose answer is lost: what was kept is spooled as well, and is stored once.
func TestR5_LostAnswersStoreNothingTwice(t *testing.T) {
	t.Parallel()
	d, fault := frail(t, Options{})
	ana := d.Ana.Connect(t)
	load := begin(d, 20, rate(100))
	remove := fault.Inject(faultstore.Fault{Calls: "PutInbox", Probability: 0.3, After: true})
	pause(3 * time.Second)
	remove()
	drained(t, d)
	all := load.end()
	lost, twice, disordered := checkAll(t, d, ana, all)
	t.Logf("R5: answers of 30 %% of the writes lost: %d webhooks, %d spooled; lost %d, twice %d, out of order %d, non-2xx %d",
		len(all), metric(t, d, "omni_spool_appended_total"), lost, twice, disordered, not2xx(all))
	require.Zero(t, lost)
	require.Zero(t, twice)
	require.Zero(t, not2xx(all))
}

func TestR6_OutageLongerThanEveryCache(t *testing.T) {
	t.Parallel()
	const contacts = 20
	perSecond := rate(100)
	away := outageFor(t, 3*time.Second)
	d, fault := frail(t, Options{})
	ana := d.Ana.Connect(t)
	load := begin(d, contacts, perSecond)
	pause(500 * time.Millisecond)
	back := fault.Away()
	for range 10 {
		d.Advance(time.Minute)
		pause(away / 10)
	}
	back()
	took := drained(t, d)
	all := load.end()
	lost, twice, disordered := checkAll(t, d, ana, all)
	refused := 0
	for _, p := range all {
		if p.status/100 == 4 {
			refused++
		}
	}
	t.Logf("R6: store away for 10 min of the program's clock: %d webhooks; 4xx %d, non-2xx %d, lost %d, twice %d, out of order %d; drained after %v",
		len(all), refused, not2xx(all), lost, twice, disordered, took.Round(time.Millisecond))
	require.Zero(t, refused)
	require.Zero(t, not2xx(all))
	require.Zero(t, lost)
	require.Zero(t, twice)
	require.Zero(t, disordered)
}

func TestR7_StartWithoutTheStore(t *testing.T) {
	for name, fail := range map[string]func(*faultstore.Store) func(){
		"away":  (*faultstore.Store).Away,
		"stuck": (*faultstore.Store).Stuck,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const webhooks = 100
			d := NewDesk(t, Start(t, Options{}))
			d.Account.Receive(t, Phone(0), Number, "before")
			d.Drained(t)
			d.Stop(t)
			sealed, err := os.ReadFile(filepath.Join(d.DataDir, "accounts.sealed"))
			require.NoError(t, err)
			require.NotContains(t, string(sealed), d.Account.PublicID)

			var fault *faultstore.Store
			var back func()
			took := d.Boot(t, func(st store.Store) store.Store {
				fault = faultstore.New(st, 1)
				back = fail(fault)
				return fault
			})
			status, ready := ops(t, d, "/readyz")
			require.Equal(t, http.StatusServiceUnavailable, status)
			require.Equal(t, "not ready", ready["status"])
			require.Equal(t, "away", ready["store"])
			all := make([]posted, webhooks)
			each(webhooks, 16, func(i int) {
				text := fmt.Sprintf("message %d", i)
				at := time.Now()
				status, err := d.Account.Post(d.Account.SMS(NewSID(), Phone(i%10), Number, text))
				if err == nil {
					all[i] = posted{text: text, at: at, took: time.Since(at), status: status}
				}
			})
			require.Zero(t, not2xx(all))

			// An account that is not known from before may exist: only a store that answers can say that it does not.
			unknown := *d.Account
			unknown.WebhookURL = strings.Replace(d.Account.WebhookURL, d.Account.PublicID, omni.NewToken(16), 1)
			res := post(t, d, &unknown)
			require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
			require.NotEmpty(t, res.Header.Get("Retry-After"))

			back()
			Eventually(t, "the program is ready", func() bool {
				status, _ := ops(t, d, "/readyz")
				return status == http.StatusOK
			})
			drainedAfter := drained(t, d)
			d.Drained(t)
			require.Equal(t, http.StatusNotFound, post(t, d, &unknown).StatusCode)
			rows := map[string]int{}
			for _, it := range d.Alpha.Interactions(t, omni.InteractionOpen) {
				for _, m := range d.Alpha.Messages(t, it.ID) {
					rows[m.Payload.Text]++
				}
			}
			lost, twice := 0, 0
			for _, p := range all {
				if rows[p.text] == 0 {
					lost++
				}
				if rows[p.text] > 1 {
					twice++
				}
			}
			t.Logf("R7: store %s at the start: listens after %v; %d webhooks taken from kept settings, p99 %v; lost %d, twice %d; drained after %v",
				name, took.Round(time.Millisecond), webhooks, slowest(all), lost, twice, drainedAfter.Round(time.Millisecond))
			require.Less(t, took, 2*time.Second)
			require.Zero(t, lost)
			require.Zero(t, twice)
		})
	}
}

// post posts one webhook to the account's URL.
func post(t *testing.T, d *Desk, a *Account) *http.Response {
	t.Helper()
	req, err := a.Request(a.WebhookURL, a.SMS(NewSID(), Phone(0), Number, "to whom"))
	require.NoError(t, err)
	res, err := d.HTTP().Do(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	return res
}

func TestR8_StoreSlowOrStuck(t *testing.T) {
	const contacts = 60
	perSecond := rate(200)
	for name, fail := range map[string]func(*faultstore.Store) func(){
		"2 s slow": func(f *faultstore.Store) func() { return f.Slow(2 * time.Second) },
		"stuck":    (*faultstore.Store).Stuck,
	} {
		t.Run(name, func(t *testing.T) {
			d, fault := frail(t, Options{})
			ana := d.Ana.Connect(t)
			load := begin(d, contacts, perSecond)
			pause(time.Second)
			back := fail(fault)
			from := time.Now()
			goroutines := 0
			var mem runtime.MemStats
			for time.Since(from) < outageFor(t, 4*time.Second) {
				pause(200 * time.Millisecond)
				goroutines = max(goroutines, runtime.NumGoroutine())
			}
			runtime.ReadMemStats(&mem)
			to := time.Now()
			back()
			took := drained(t, d)
			all := load.end()
			lost, twice, disordered := checkAll(t, d, ana, all)
			during := between(all, from, to)
			t.Logf("R8: store %s under %d webhooks/s: %d taken meanwhile, p99 %v, non-2xx %d, lost %d, twice %d, out of order %d; at most %d goroutines, %d MiB of heap; drained after %v",
				name, perSecond, len(during), slowest(during), not2xx(all), lost, twice, disordered, goroutines, mem.HeapInuse>>20, took.Round(time.Millisecond))
			require.LessOrEqual(t, slowest(during), 3*time.Second)
			require.Zero(t, not2xx(all))
			require.Zero(t, lost)
			require.Zero(t, twice)
			require.Zero(t, disordered)
			require.Less(t, goroutines, 3000)
			require.Less(t, mem.HeapInuse, uint64(200<<20))
		})
	}
}

func TestR13_DiskOfTheSpoolFull(t *testing.T) {
	const contacts = 40
	perSecond := rate(200)
	o := Options{Spool: spool.Options{SegmentBytes: 64 << 10}}
	where := "a limit of 256 KiB"
	o.Before = func(dir string) {
		folder := filepath.Join(dir, "spool")
		require.NoError(t, os.Mkdir(folder, 0o700))
		if os.Getuid() == 0 && syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=256k,mode=0700") == nil {
			t.Cleanup(func() { require.NoError(t, syscall.Unmount(folder, 0)) })
			where = "a tmpfs of 256 KiB"
		}
	}
	o.Spool.MaxBytes = 256 << 10
	d, fault := frail(t, o)
	ana := d.Ana.Connect(t)
	load := begin(d, contacts, perSecond)
	ana.Until(t, wire.MessageCreated, 1)
	back := fault.Away()
	Eventually(t, "the spool is full", func() bool { return metric(t, d, "omni_spool_refused_total") > 10 })
	status, ready := ops(t, d, "/readyz/webhooks")
	require.Equal(t, http.StatusServiceUnavailable, status, "%v", ready)
	back()
	took := drained(t, d)
	pause(500 * time.Millisecond)
	all := load.end()
	lost, twice, disordered := checkAll(t, d, ana, all)
	refused := 0
	for _, p := range all {
		if p.status/100 != 2 {
			refused++
			require.Equal(t, http.StatusServiceUnavailable, p.status)
			require.NotEmpty(t, p.retry)
		}
	}
	status, _ = ops(t, d, "/readyz/webhooks")
	require.Equal(t, http.StatusOK, status)
	t.Logf("R13: store away and the spool on %s: %d webhooks taken, %d answered 503 with Retry-After and tried again; lost %d, twice %d, out of order %d; went on when there was room, drained after %v; set aside %d",
		where, len(all)-refused, refused, lost, twice, disordered, took.Round(time.Millisecond), metric(t, d, "omni_spool_set_aside_total"))
	require.Positive(t, refused)
	require.Zero(t, lost)
	require.Zero(t, twice)
	require.Zero(t, disordered)
	require.Empty(t, damagedFiles(t, d))
}

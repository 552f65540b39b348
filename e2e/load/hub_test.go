package load_test

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http/httputil"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/e2e"
	"omniservice/internal/testenv"
	"omniservice/omni"
)

// sizes say how large the scenarios are: as the figures want them, or small enough for every run of the tests.
type sizes struct {
	idle      int           // connections
	idleFor   time.Duration // one heartbeat of each comes in it
	heartbeat time.Duration // 0: the hub's own, 25 s

	sockets  int // of fan-out, bursts and personal
	perBurst int // sockets that one burst goes to
	fanRate  int // deliveries a second of H3
	burst    int // deliveries a second of H5
	calls    int // a second with which H6 begins
	measure  time.Duration
	step     time.Duration // of a search for the highest rate
	steps    int

	returning int // clients of H8

	agents, each int // of mixed: agents, and sockets of each
	webhooks     int // a second
	cutEvery     time.Duration

	storm       int           // sockets of R26
	stormGroups int           // groups that they are spread over
	spread      time.Duration // in which they return

	report bool // the figures are worth printing
}

var (
	wholeSize = sizes{
		idle: 10_000, idleFor: 25 * time.Second,
		sockets: 1000, perBurst: 50, fanRate: 60_000, burst: 100_000, calls: 4000,
		measure: 10 * time.Second, step: 2500 * time.Millisecond, steps: 9,
		returning: 5000,
		agents:    8, each: 15, webhooks: 100, cutEvery: 50 * time.Millisecond,
		storm: 10_000, stormGroups: 100, spread: 20 * time.Second,
		report: true,
	}
	smokeSize = sizes{
		idle: 40, idleFor: time.Second, heartbeat: 400 * time.Millisecond,
		sockets: 20, perBurst: 10, fanRate: 2000, burst: 2000, calls: 200,
		measure: 300 * time.Millisecond, step: 200 * time.Millisecond, steps: 2,
		returning: 40,
		agents:    2, each: 3, webhooks: 50, cutEvery: 40 * time.Millisecond,
		storm: 60, stormGroups: 2, spread: 500 * time.Millisecond,
	}
)

// scenarios are the names below BenchmarkHub.
var scenarios = []struct {
	name string
	run  func(r *rig)
}{
	{"idle", idle}, {"fanout", fanOut}, {"bursts", bursts}, {"personal", personal}, {"batched", batched}, {"reconnect", reconnect}, {"mixed", mixed}, {"storm", storm},
}

// buses are the kinds of bus, by whether there is a Redis.
var buses = []struct {
	name  string
	redis bool
}{{"redis", true}, {"memory", false}}

// BenchmarkHub measures the hub's figures, H1 to H9: each scenario on each bus, with the server on core 0, and load and
// Redis on core 1. It prints a line for each figure, and a table at the end.
func BenchmarkHub(b *testing.B) {
	for _, s := range scenarios {
		b.Run(s.name, func(b *testing.B) {
			for _, bus := range buses {
				b.Run(bus.name, func(b *testing.B) {
					core := pin()
					defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4)) // one of them waits for sockets in the kernel
					s.run(newRig(b, bus.name, bus.redis, core, wholeSize))
					b.ReportMetric(0, "ns/op")
				})
			}
		})
	}
}

// TestHub runs the scenarios small: whatever the machine, nothing is lost and nothing comes twice.
func TestHub(t *testing.T) {
	t.Parallel()
	for _, bus := range buses {
		t.Run(bus.name, func(t *testing.T) {
			t.Parallel()
			for _, s := range scenarios {
				t.Run(s.name, func(t *testing.T) {
					r := newRig(t, bus.name, bus.redis, "", smokeSize)
					s.run(r)
					require.Positive(t, r.checked, "what came was counted")
				})
			}
		})
	}
}

// rig is what a scenario works with.
type rig struct {
	tb      testing.TB
	z       sizes
	bus     string
	cores   string // of the server; empty: all
	cfg     serverConfig
	redis   *testenv.Redis // nil without
	before  string         // load average at the beginning
	checked int            // events that H9 was asked about

	hub    *hubProcess
	f      *flock
	out    *poster
	want   map[string]int64 // events published by topic
	tokens func(i int) string
}

func newRig(tb testing.TB, bus string, redis bool, cores string, z sizes) *rig {
	tb.Helper()
	r := &rig{tb: tb, z: z, bus: bus, cores: cores, before: loadAverage(), want: map[string]int64{}}
	r.cfg = serverConfig{Key: make([]byte, 32), PerGroup: z.sockets, Heartbeat: z.heartbeat}
	_, _ = rand.Read(r.cfg.Key)
	if redis {
		r.redis = testenv.StartRedis(tb)
		r.cfg.Redis = r.redis.URL()
	}
	return r
}

// start starts the server, with users of a group.
func (r *rig) start(perGroup int) {
	r.tb.Helper()
	r.cfg.PerGroup = perGroup
	tokens, err := r.cfg.tokens()
	require.NoError(r.tb, err)
	r.tokens = func(i int) string {
		token, err := tokens.Sign(claims(userName(i)), time.Now().Add(time.Hour))
		if err != nil {
			panic(err) // the key is ours
		}
		return token
	}
	r.hub = startHub(r.tb, r.cfg, r.cores)
}

// connect connects n clients and a way to publish.
func (r *rig) connect(n int) {
	r.tb.Helper()
	r.f = newFlock(r.tb, r.hub.addr, "/ws", n, r.tokens)
	r.f.connect(r.tb, false)
	r.out = newPoster(r.tb, r.hub.addr)
}

// stop ends the server, which must have nothing to say against it.
func (r *rig) stop() {
	r.tb.Helper()
	s := r.hub.stats(r.tb)
	require.Zero(r.tb, s.HandlerPanics)
	r.f.mu.Lock()
	for i := range r.f.socks {
		r.f.hangUp(&r.f.socks[i])
	}
	r.f.mu.Unlock()
	r.hub.stop(r.tb)
}

// figure prints one figure, unless the run is only a small one.
func (r *rig) figure(name, goal, format string, args ...any) {
	r.tb.Helper()
	value := fmt.Sprintf(format, args...)
	if !r.z.report {
		r.tb.Logf("%s: %s", name, value)
		return
	}
	conditions := fmt.Sprintf("%s, load average %s before", versions(), r.before)
	if r.redis != nil {
		conditions = "Redis " + r.redisInfo("redis_version") + ", " + conditions
	}
	board.add(row{figure: name, bus: r.bus, goal: goal, value: value, conditions: conditions})
}

// nothingMissed is H9: it waits for what is still on its way and counts what did not come, or came twice.
func (r *rig) nothingMissed(dropsAllowed bool) {
	r.tb.Helper()
	r.f.within(10*time.Second, func() bool { return r.f.missing(r.want) == 0 })
	r.f.mu.Lock()
	missing, lost, doubled, dropped, why := r.f.missing(r.want), r.f.lost, r.f.doubled, r.f.dropped, r.f.why
	r.checked += r.f.events
	r.f.mu.Unlock()
	if dropped > 0 {
		r.tb.Logf("%d clients were closed: %s", dropped, why)
	}
	r.figure("H9 "+r.tb.Name()[strings.IndexByte(r.tb.Name(), '/')+1:], "0", "lost %d, doubled %d of %d", missing+lost, doubled, r.checked)
	require.Zero(r.tb, missing, "events never came")
	require.Zero(r.tb, lost, "offsets were left out")
	require.Zero(r.tb, doubled, "events came twice")
	if !dropsAllowed {
		require.Zero(r.tb, dropped, "%s", why)
	}
}

func (r *rig) redisInfo(key string) string {
	r.tb.Helper()
	_, rest, _ := strings.Cut(r.redis.Do("INFO", "server"), key+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

// row is a line of the table.
type row struct{ figure, bus, goal, value, conditions string }

// board collects the figures of a run.
var board scores

type scores struct {
	mu   sync.Mutex
	rows []row
}

func (s *scores) add(r row) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = append(s.rows, r)
	goal := ""
	if r.goal != "" {
		goal = " (goal " + r.goal + ")"
	}
	_, _ = fmt.Fprintf(os.Stdout, "\n%s, %s: %s%s; %s\n", r.figure, r.bus, r.value, goal, r.conditions)
}

// table prints all of it.
func (s *scores) table(to io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.rows) == 0 {
		return
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "\nfigure\tbus\tgoal\tmeasured\tconditions\n")
	for _, r := range s.rows {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.figure, r.bus, r.goal, r.value, r.conditions)
	}
	_ = w.Flush()
}

// poster makes calls on kept connections, in the open: a call is due when it is due, whatever became of those before.
type poster struct {
	conns []*connection
	took  func(i int, d time.Duration) // told of each call since it was due; nil: nobody is
}

func newPoster(tb testing.TB, addr string) *poster {
	tb.Helper()
	p := &poster{}
	for range 64 {
		p.conns = append(p.conns, dialTo(tb, addr))
	}
	return p
}

// open makes n calls, rate a second. request makes the bytes of a call, from room that it may use. It returns the first
// error; after one it goes on.
func (p *poster) open(n int, rate float64, request func(b []byte, i int, due time.Time) []byte) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	began := time.Now()
	var wg sync.WaitGroup
	for _, c := range p.conns {
		wg.Go(func() {
			var room []byte
			timer := time.NewTimer(0)
			defer timer.Stop()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				due := began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
				if wait := time.Until(due); wait > 0 {
					timer.Reset(wait)
					<-timer.C
				}
				room = request(room[:0], i, due)
				if err := c.post(room); err != nil {
					failed.CompareAndSwap(nil, &err)
					return
				}
				if p.took != nil {
					p.took(i, time.Since(due))
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// workload is what is published in one call, and to how many sockets it goes.
type workload struct {
	perCall    int
	deliveries int // of a call
	topic      func(call, k int) string
}

// outcome is what came of a rate.
type outcome struct {
	held     bool // all came, nobody was dropped, p99 under 100 ms
	dropped  bool
	rate     float64
	p50, p99 time.Duration
	perM     float64 // CPU seconds of the server per million deliveries
	server   float64 // of its core, in %
	load     float64 // of the load's, without Redis
	why      string
}

func (o outcome) String() string {
	s := fmt.Sprintf("%.0f deliveries/s: %.1f CPU s per million, p50 %s, p99 %s; server %.0f %% and load %.0f %% of a core",
		o.rate, o.perM, round(o.p50), round(o.p99), o.server, o.load)
	if !o.held {
		s += "; not held: " + o.why
	}
	return s
}

func round(d time.Duration) time.Duration { return d.Round(50 * time.Microsecond) }

const held = 100 * time.Millisecond

// run publishes with a rate of calls for a time, and waits until all has come or nothing comes any more.
func (r *rig) run(w workload, rate float64, d time.Duration) outcome {
	r.tb.Helper()
	calls := max(1, int(rate*d.Seconds()))
	f := r.f
	f.mu.Lock()
	f.delays = delays{}
	before, dropped := f.events, f.dropped
	f.mu.Unlock()
	cpu, self, began := cpuOf(r.tb, r.hub.pid), selfCPU(), time.Now()
	err := r.out.open(calls, rate, func(b []byte, i int, due time.Time) []byte {
		head := len("POST /publish HTTP/1.1\r\nHost: load\r\nContent-Length: 000000\r\n\r\n")
		b = append(b, make([]byte, head)...)
		for k := range w.perCall {
			b = append(b, w.topic(i, k)...)
			b = append(b, ' ')
			b = marked(b, due)
			b = append(b, '\n')
		}
		_ = fmt.Appendf(b[:0], "POST /publish HTTP/1.1\r\nHost: load\r\nContent-Length: %06d\r\n\r\n", len(b)-head)
		return b
	})
	require.NoError(r.tb, err)
	for i := range calls {
		for k := range w.perCall {
			r.want[w.topic(i, k)]++
		}
	}
	all := before + calls*w.deliveries
	f.within(5*time.Second, func() bool { return f.events >= all || f.dropped > dropped })
	elapsed := time.Since(began)
	cpu, self = cpuOf(r.tb, r.hub.pid)-cpu, selfCPU()-self
	f.mu.Lock()
	defer f.mu.Unlock()
	came := f.events - before
	o := outcome{
		rate: rate * float64(w.deliveries), p50: f.delays.percentile(50), p99: f.delays.percentile(99), held: true,
		perM: cpu.Seconds() / float64(max(1, came)) * 1e6, server: 100 * cpu.Seconds() / elapsed.Seconds(), load: 100 * self.Seconds() / elapsed.Seconds(),
	}
	switch {
	case f.dropped > dropped:
		o.held, o.dropped, o.why = false, true, "dropped "+strconv.Itoa(f.dropped-dropped)
	case f.events < all:
		o.held, o.why = false, fmt.Sprintf("%d of %d came", came, calls*w.deliveries)
	case o.p99 >= held:
		o.held, o.why = false, "late"
	}
	return o
}

// climb looks for the highest rate of calls that is held, and returns what came of the first if that is not. It goes
// up by a quarter at a time, and tries a rate once more that was only late.
func (r *rig) climb(w workload, rate float64) (best outcome) {
	r.tb.Helper()
	for step := range r.z.steps {
		o := r.run(w, rate, r.z.step)
		if o.p99 >= held && !o.dropped {
			r.tb.Logf("%s", o)
			o = r.run(w, rate, r.z.step)
		}
		r.tb.Logf("%s", o)
		if step == 0 || o.held {
			best = o
		}
		if !o.held {
			break
		}
		rate *= 1.25
	}
	return best
}

func selfCPU() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // of ourselves it cannot fail
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// idle: what connections cost that do nothing.
func idle(r *rig) {
	tb, n := r.tb, r.z.idle
	r.start(r.z.sockets)
	r.hub.stats(tb) // the first request allocates more than itself
	empty := memoryOf(tb, r.hub.pid, "VmRSS")
	r.connect(n)
	cpu := cpuOf(tb, r.hub.pid)
	<-time.After(r.z.idleFor)
	cpu = cpuOf(tb, r.hub.pid) - cpu
	each := func(line string) float64 { return float64(memoryOf(tb, r.hub.pid, line)-empty) / float64(n) / 1024 }
	now := each("VmRSS")
	r.hub.call(tb, "POST", "/collect")
	r.figure("H1", "16 KiB, stretch 12", "%.1f KiB resident for each of %d idle connections over %d KiB of the empty server (%.1f after its garbage is collected, %.1f at most)",
		now, n, empty>>10, each("VmRSS"), each("VmHWM"))
	r.f.until(tb, "each has a heartbeat", func() bool { return r.f.beats >= n && r.f.pings >= n })
	r.f.mu.Lock()
	beats := r.f.beats
	r.f.mu.Unlock()
	r.figure("H2", "8 %, stretch 5", "%.1f %% of a core over %s, %d heartbeats to %d connections", 100*cpu.Seconds()/r.z.idleFor.Seconds(), r.z.idleFor, beats, n)

	const perCall = 20
	o := r.run(workload{perCall: perCall, deliveries: perCall, topic: func(call, k int) string { return userTopic((call*perCall + k) % n) }},
		100, time.Duration(n/perCall)*time.Second/100)
	tb.Logf("one event each: %s", o)
	r.nothingMissed(false)
	r.stop()
}

// fanOut: one event to all.
func fanOut(r *rig) {
	n := r.z.sockets
	r.start(n)
	r.connect(n)
	w := workload{perCall: 1, deliveries: n, topic: func(int, int) string { return groupTopic(0) }}
	rate := float64(r.z.fanRate) / float64(n)
	r.run(w, rate, r.z.step) // warm
	o := r.run(w, rate, r.z.measure)
	r.figure("H3", "13 CPU s, 30 ms", "one event to %d sockets at %s", n, o)
	best := r.climb(w, rate*1.5)
	r.figure("H4", "200,000/s, stretch 300,000", "highest rate held: %s", best)
	r.nothingMissed(true)
	r.stop()
}

// bursts: ten events at once to some.
func bursts(r *rig) {
	const events = 10
	n, per := r.z.sockets, r.z.perBurst
	r.start(per)
	r.connect(n)
	groups := n / per
	w := workload{perCall: events, deliveries: events * per, topic: func(call, _ int) string { return groupTopic(call % groups) }}
	rate := float64(r.z.burst) / float64(w.deliveries)
	r.run(w, rate, r.z.step)
	o := r.run(w, rate, r.z.measure)
	r.figure("H5", "3 CPU s, stretch 1.5", "%d events at once to %d sockets at %s", events, per, o)
	s := r.hub.stats(r.tb)
	r.tb.Logf("%.1f messages in each write", float64(s.Delivered)/float64(max(1, s.Writes)))
	r.nothingMissed(false)
	r.stop()
}

// personal: each socket has a topic of its own, and each call publishes one event.
func personal(r *rig) {
	r.ownTopics("H6", "10,000/s, stretch 15,000", 1, float64(r.z.calls))
}

// batched: the same with 20 events in each call.
func batched(r *rig) {
	r.ownTopics("H7", "20,000/s, stretch 30,000", 20, float64(r.z.calls)/10)
}

func (r *rig) ownTopics(name, goal string, perCall int, rate float64) {
	r.tb.Helper()
	n := r.z.sockets
	r.start(n)
	r.connect(n)
	w := workload{perCall: perCall, deliveries: perCall, topic: func(call, k int) string { return userTopic((call*perCall + k) % n) }}
	r.run(w, rate/2, r.z.step/2)
	best := r.climb(w, rate)
	r.figure(name, goal, "%d sockets with a topic and history each, %d in a call, highest rate held: %s", n, perCall, best)
	r.nothingMissed(true)
	r.stop()
}

// reconnect: the server is killed, each client misses five events, and all come back. A bus in memory ends with its
// server: on it the sockets are cut, and the server lives.
func reconnect(r *rig) {
	const missed = 5
	tb, n := r.tb, r.z.returning
	r.start(r.z.sockets)
	r.connect(n)
	w := workload{perCall: 20, deliveries: 20, topic: func(call, k int) string { return userTopic((call*20 + k) % n) }}
	r.run(w, 500, time.Duration(n/20)*time.Second/500) // so that there is something to come back to

	how := "the server was killed"
	cut := func() {
		r.f.mu.Lock()
		defer r.f.mu.Unlock()
		for i := range r.f.socks {
			r.f.hangUp(&r.f.socks[i])
		}
		r.f.dropped = 0
	}
	publish := r.out
	if r.redis != nil {
		r.hub.kill()
		r.f.until(tb, "all notice", func() bool { return r.f.dropped == n })
		cut()
		other := startHub(tb, r.cfg, "") // another node, on the load's core
		publish = newPoster(tb, other.addr)
		defer other.stop(tb)
	} else {
		how = "the sockets were cut"
		cut()
	}
	err := publish.open(missed*n/20, 1000, func(b []byte, i int, due time.Time) []byte {
		var body []byte
		for k := range 20 {
			topic := userTopic((i*20 + k) % n)
			body = append(append(body, topic...), ' ')
			body = append(marked(body, due), '\n')
		}
		return append(fmt.Appendf(b, "POST /publish HTTP/1.1\r\nHost: load\r\nContent-Length: %d\r\n\r\n", len(body)), body...)
	})
	require.NoError(tb, err)
	for i := range n {
		r.want[userTopic(i)] += missed
	}
	r.f.mu.Lock()
	r.f.delays = delays{}
	before := r.f.events
	r.f.mu.Unlock()

	began := time.Now()
	if r.redis != nil {
		r.hub = startHub(tb, r.cfg, r.cores)
		r.f.serve(tb, r.hub.addr)
	}
	cpu := cpuOf(tb, r.hub.pid)
	r.f.connect(tb, true)
	took := time.Since(began)
	r.f.mu.Lock()
	recovered, reset := r.f.events-before, r.f.reset
	r.f.mu.Unlock()
	r.figure("H8", "3.0 s, 300 MiB; stretch 2.0 s", "%s, %d clients back with %d missed events each after %.2f s (recovered %d of %d, reset %d); %.0f MiB at most, %.2f CPU s",
		how, n, missed, took.Seconds(), recovered, missed*n, reset, float64(memoryOf(tb, r.hub.pid, "VmHWM"))/(1<<20), (cpuOf(tb, r.hub.pid) - cpu).Seconds())
	require.Zero(tb, reset)
	require.Equal(tb, missed*n, recovered)
	r.nothingMissed(false)
	r.stop()
}

// mixed: the whole program. Contacts' webhooks come in, agents hear of them, and all the time some agent's network
// breaks and comes back.
func mixed(r *rig) {
	tb, z := r.tb, r.z
	e2e.Binary(tb)
	redisURL := ""
	if r.redis != nil {
		redisURL = r.redis.URL()
	}
	sys := e2e.StartProcess(tb, e2e.Options{Pin: r.cores, RedisURL: redisURL})
	agents := make([]*e2e.Agent, z.agents)
	for i := range agents {
		agents[i] = sys.Alpha.Agent(tb, fmt.Sprintf("Agent %d", i), omni.RoleAgent)
	}
	account := sys.Alpha.TwilioAccount(tb, "Twilio")
	account.Channel(tb, omni.ChannelSMS, e2e.Number, sys.Alpha.Group(tb, "Support", agents...))
	sockets := z.agents * z.each
	addr := strings.TrimPrefix(sys.URL, "http://")
	f := newFlock(tb, addr, "/ws", sockets, func(i int) string { return agents[i/z.each].Token })
	r.f = f

	n := int(float64(z.webhooks) * max(z.measure, time.Second).Seconds())
	requests := make([][]byte, n)
	for i := range requests {
		req, err := account.Request(account.WebhookURL, account.SMS(e2e.NewSID(), e2e.Phone(i%contacts), e2e.Number, fmt.Sprintf("due:%d When will my parcel come?", i)))
		require.NoError(tb, err)
		requests[i], err = httputil.DumpRequestOut(req, true)
		require.NoError(tb, err)
	}
	posted := make([]int64, n)
	f.due = func(i int64) int64 { return posted[i] } // written before the message can come, under f.mu
	f.connect(tb, false)
	out := newPoster(tb, addr)

	stop, cutting := make(chan struct{}), sync.WaitGroup{}
	cuts := 0
	cutting.Go(func() {
		tick := time.NewTicker(z.cutEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			i := cuts % sockets
			f.mu.Lock()
			back := f.socks[i].back
			if back {
				f.hangUp(&f.socks[i])
			}
			f.mu.Unlock()
			if !back { // of a slow machine: it gets the time
				continue
			}
			if err := f.dial(i, true); err != nil {
				tb.Errorf("dial: %v", err)
				return
			}
			cuts++
		}
	})
	cpu, began := sys.CPU(tb), time.Now()
	err := out.open(n, float64(z.webhooks), func(b []byte, i int, due time.Time) []byte {
		f.mu.Lock()
		posted[i] = due.UnixNano()
		f.mu.Unlock()
		return append(b, requests[i]...)
	})
	elapsed := time.Since(began)
	close(stop)
	cutting.Wait()
	require.NoError(tb, err)
	all := n * sockets
	f.within(10*time.Second, func() bool { return f.events >= all })
	cpu = sys.CPU(tb) - cpu

	f.mu.Lock()
	defer f.mu.Unlock()
	o := outcome{p50: f.delays.percentile(50), p99: f.delays.percentile(99)}
	r.figure("mixed", "p99 50 ms", "%d webhooks/s to %d sockets of %d agents, %d of them cut and back: webhook to socket p50 %s, p99 %s; %.0f %% of a core, %.0f MiB",
		z.webhooks, sockets, z.agents, cuts, round(o.p50), round(o.p99), 100*cpu.Seconds()/elapsed.Seconds(), float64(sys.RSS(tb))/(1<<20))
	r.checked = f.events
	r.figure("H9 "+r.tb.Name()[strings.IndexByte(r.tb.Name(), '/')+1:], "0", "lost %d, doubled %d of %d", all-f.events+f.lost, f.doubled, all)
	require.Equal(tb, all, f.events, "messages never came")
	require.Zero(tb, f.lost, "offsets were left out")
	require.Zero(tb, f.doubled, "events came twice")
	require.Zero(tb, f.reset)
	require.Zero(tb, f.dropped, "%s", f.why)
}

// storm is R26 in the whole program: all sockets are cut at once and return, each after a random part of the time that clients
// give themselves, while messages go on. All are to be recovered from the bus's history: nobody has conversations read for it.
func storm(r *rig) {
	tb, z := r.tb, r.z
	const each = 15 // sockets of an agent
	e2e.Binary(tb)
	redisURL := ""
	if r.redis != nil {
		redisURL = r.redis.URL()
	}
	sys := e2e.StartProcess(tb, e2e.Options{Pin: r.cores, RedisURL: redisURL})
	account := sys.Alpha.TwilioAccount(tb, "Twilio")
	agents := make([]*e2e.Agent, (z.storm+each-1)/each)
	tick := time.NewTicker(25 * time.Millisecond) // what one caller may ask for in a time is limited
	defer tick.Stop()
	for i := range agents {
		agents[i] = sys.Alpha.Agent(tb, fmt.Sprintf("Agent %d", i), omni.RoleAgent)
		<-tick.C
	}
	number := func(group int) string { return fmt.Sprintf("+1500555%04d", group) }
	sockets := make([]int, z.stormGroups) // of each group
	for g := range z.stormGroups {
		first, last := g*len(agents)/z.stormGroups, (g+1)*len(agents)/z.stormGroups
		account.Channel(tb, omni.ChannelSMS, number(g), sys.Alpha.Group(tb, fmt.Sprintf("Group %d", g), agents[first:last]...))
		sockets[g] = min(z.storm, last*each) - first*each
	}
	addr := strings.TrimPrefix(sys.URL, "http://")
	f := newFlock(tb, addr, "/ws", z.storm, func(i int) string { return agents[i/each].Token })
	r.f = f
	f.connect(tb, false)

	// Before and meanwhile the same is posted: a message to each group in turn.
	n := int(float64(z.webhooks) * z.spread.Seconds())
	requests := make([][]byte, 2*n)
	for i := range requests {
		req, err := account.Request(account.WebhookURL, account.SMS(e2e.NewSID(), e2e.Phone(i%contacts), number(i%z.stormGroups), fmt.Sprintf("due:%d When will my parcel come?", i)))
		require.NoError(tb, err)
		requests[i], err = httputil.DumpRequestOut(req, true)
		require.NoError(tb, err)
	}
	// Not under f.mu: whoever posts must not wait for what the sockets have to read.
	posted, wanted := make([]atomic.Int64, len(requests)), new(atomic.Int64)
	f.due = func(i int64) int64 { return posted[i].Load() } // written before the message can come
	want := func() int { return int(wanted.Load()) }
	out := newPoster(tb, addr)
	post := func(from int) (answers *delays, err error) {
		answers = &delays{}
		var mu sync.Mutex
		out.took = func(_ int, d time.Duration) {
			mu.Lock()
			answers.add(d)
			mu.Unlock()
		}
		err = out.open(n, float64(z.webhooks), func(b []byte, i int, due time.Time) []byte {
			posted[from+i].Store(due.UnixNano())
			wanted.Add(int64(sockets[(from+i)%z.stormGroups]))
			return append(b, requests[from+i]...)
		})
		return answers, err
	}
	before, err := post(0)
	require.NoError(tb, err)
	f.until(tb, "all have what came before", func() bool { return f.events >= want() })

	var during *delays
	var posting sync.WaitGroup
	f.mu.Lock()
	for i := range f.socks {
		f.hangUp(&f.socks[i])
	}
	f.mu.Unlock()
	began := time.Now()
	posting.Go(func() { during, err = post(n) })
	for i := range z.storm { // evenly is what chance comes to with so many
		if wait := time.Until(began.Add(z.spread * time.Duration(i) / time.Duration(z.storm))); wait > 0 {
			<-time.After(wait)
		}
		require.NoError(tb, f.dial(i*7919%z.storm, true))
	}
	f.until(tb, "all are back", func() bool { return f.back+f.dropped >= z.storm })
	back := time.Since(began)
	posting.Wait()
	require.NoError(tb, err)
	f.until(tb, "all have what came meanwhile", func() bool { return f.events >= want() })

	f.mu.Lock()
	defer f.mu.Unlock()
	alone, beside := before.percentile(99), during.percentile(99)
	r.figure("R26", "back within 30 s, missed 0, p99 of webhooks <= 2x", "%d sockets cut at once, back after %.1f s (spread over %v), missed %d, twice %d, not from history %d; p99 of %d webhooks/s %s before, %s meanwhile; %.0f MiB",
		z.storm, back.Seconds(), z.spread, want()-f.events+f.lost, f.doubled, f.reset, z.webhooks, round(alone), round(beside), float64(sys.RSS(tb))/(1<<20))
	r.checked = f.events
	require.Equal(tb, want(), f.events, "messages never came, or came twice")
	require.Zero(tb, f.lost, "offsets were left out")
	require.Zero(tb, f.doubled, "events came twice")
	require.Zero(tb, f.reset, "topics that were to be resumed and were not")
	require.Zero(tb, f.dropped, "%s", f.why)
	require.Less(tb, back, 30*time.Second)
	if z.report {
		require.LessOrEqual(tb, beside, 2*alone+15*time.Millisecond)
	}
}

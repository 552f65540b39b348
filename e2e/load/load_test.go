// Package load measures the whole program: signed webhooks, the way to an agent's socket, start and memory. And it
// measures the hub: idle connections, fan-out, bursts, topics of one's own, returning clients, and all of it mixed in
// the whole program.
//
// The program has one core, the load another, where the machine has two and taskset. Run it by `make bench`, or `make
// bench-hub` for the hub alone, on a machine that does nothing else; docs/performance.md says how one scenario is run,
// and holds what came of it and under which conditions. All is on loopback and bounded in time: no scenario of the hub
// takes much more than half a minute.
//
// For the hub's figures this binary is run once more, as a server that has the real hub on a real bus, checks a token
// at connect and publishes what it is told to over HTTP. The clients are raw sockets in one goroutine. A figure counts
// from the moment that an event was due, whatever the load and the server were doing.
package load_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"omniservice/e2e"
	"omniservice/omni/wire"
)

type tests struct{ *testing.M }

func (m tests) Run() int {
	code := e2e.Main(m.M)
	board.table(os.Stdout)
	return code
}

func TestMain(m *testing.M) {
	if config := os.Getenv(serverEnv); config != "" {
		if err := hubServer(config); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(tests{m})
}

const (
	contacts  = 1000
	loadFor   = 8 * time.Second // of each measurement of a rate
	openFor   = 15 * time.Second
	openRate  = 100 // webhooks a second
	coldTries = 9
)

// pin puts the load on core 1 and says where the program goes: to core 0.
var pin = sync.OnceValue(func() string {
	taskset, err := exec.LookPath("taskset")
	if err != nil || runtime.NumCPU() < 2 {
		return ""
	}
	out, err := exec.Command(taskset, "-acp", "1", strconv.Itoa(os.Getpid())).CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "not pinned: %s\n", out)
		return ""
	}
	runtime.GOMAXPROCS(1)
	return "0"
})

// desk starts the pinned program.
func desk(b *testing.B) *e2e.Desk {
	b.Helper()
	e2e.Binary(b)  // built with all cores
	syscall.Sync() // what the measurement before left to be written is not this one's
	return e2e.NewDesk(b, e2e.StartProcess(b, e2e.Options{Pin: pin()}))
}

// webhooks makes signed requests as bytes, ready to be written.
func webhooks(b *testing.B, d *e2e.Desk, n int, text func(i int) string) [][]byte {
	b.Helper()
	all := make([][]byte, n)
	for i := range all {
		r, err := d.Account.Request(d.Account.WebhookURL, d.Account.SMS(e2e.NewSID(), e2e.Phone(i%contacts), e2e.Number, text(i)))
		require.NoError(b, err)
		all[i], err = httputil.DumpRequestOut(r, true)
		require.NoError(b, err)
	}
	return all
}

// connection posts ready-made requests, one after the other, and costs the load little.
type connection struct {
	conn net.Conn
	r    *bufio.Reader
}

func dial(b *testing.B, d *e2e.Desk) *connection {
	b.Helper()
	return dialTo(b, strings.TrimPrefix(d.URL, "http://"))
}

func dialTo(tb testing.TB, addr string) *connection {
	tb.Helper()
	conn, err := net.Dial("tcp", addr) //nolint:noctx // loopback
	require.NoError(tb, err)
	tb.Cleanup(func() { _ = conn.Close() })
	return &connection{conn: conn, r: bufio.NewReader(conn)}
}

// post writes one request and reads its answer.
func (c *connection) post(request []byte) error {
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	status, err := c.r.ReadSlice('\n')
	if err != nil {
		return err
	}
	ok := bytes.HasPrefix(status, []byte("HTTP/1.1 200"))
	length := 0
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			break
		}
		if name, value, _ := bytes.Cut(line, []byte(": ")); string(name) == "Content-Length" {
			if length, err = strconv.Atoi(string(value)); err != nil {
				return err
			}
		}
	}
	if _, err := c.r.Discard(length); err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("not taken: %s", bytes.TrimSpace(status))
	}
	return nil
}

var inboundCount = regexp.MustCompile(`(?m)^omni_inbound_seconds_count\{carrier="Twilio"\} (\d+)`)

// processed is how many messages the pipeline has published.
func processed(b *testing.B, d *e2e.Desk) int {
	b.Helper()
	m := inboundCount.FindStringSubmatch(d.Metrics(b))
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	require.NoError(b, err)
	return n
}

// until waits for the pipeline to be done with n messages, looking seldom, since looking costs too.
func until(b *testing.B, d *e2e.Desk, n int) {
	b.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for processed(b, d) < n {
		<-tick.C
	}
}

// BenchmarkWebhooks posts signed Twilio webhooks as fast as a number of connections can, each waiting for its answer.
func BenchmarkWebhooks(b *testing.B) {
	for _, connections := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("connections=%d", connections), func(b *testing.B) {
			d := desk(b)
			const warm = 500
			requests := webhooks(b, d, 40_000, func(i int) string { return fmt.Sprintf("Hello, this is message %d. When will my parcel come?", i) })
			conns := make([]*connection, connections)
			for i := range conns {
				conns[i] = dial(b, d)
			}
			for _, r := range requests[:warm] {
				require.NoError(b, conns[0].post(r))
			}
			until(b, d, warm)
			requests = requests[warm:]

			var next atomic.Int64
			took := make([][]time.Duration, connections)
			cpu := d.CPU(b)
			b.ResetTimer()
			began := time.Now()
			var wg sync.WaitGroup
			for i, c := range conns {
				wg.Go(func() {
					for time.Since(began) < loadFor {
						n := int(next.Add(1)) - 1
						if n >= len(requests) {
							return
						}
						at := time.Now()
						if err := c.post(requests[n]); err != nil {
							b.Error(err)
							return
						}
						took[i] = append(took[i], time.Since(at))
					}
				})
			}
			wg.Wait()
			elapsed := time.Since(began)
			b.StopTimer()
			all := slices.Concat(took...)
			until(b, d, warm+len(all))
			drained := time.Since(began)
			cpu = d.CPU(b) - cpu

			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(len(all))/elapsed.Seconds(), "webhooks/s")
			b.ReportMetric(millis(percentile(all, 50)), "p50-ms")
			b.ReportMetric(millis(percentile(all, 99)), "p99-ms")
			b.ReportMetric(cpu.Seconds()/float64(len(all))*10_000, "cpu-s/10k")
			b.ReportMetric((drained - elapsed).Seconds(), "drain-s")
			b.ReportMetric(float64(d.RSS(b))/(1<<20), "MiB")
		})
	}
}

// BenchmarkWebhookToSocket posts 100 webhooks a second, whatever becomes of them, and measures until an agent's socket
// has the message.
func BenchmarkWebhookToSocket(b *testing.B) {
	for _, agents := range []int{1, 20} {
		b.Run(fmt.Sprintf("sockets=%d", agents), func(b *testing.B) {
			d := desk(b)
			clients := make([]*e2e.Client, agents)
			for i := range clients {
				clients[i] = d.Ana.Connect(b)
			}
			n := int(openFor.Seconds()) * openRate
			requests := webhooks(b, d, n, func(i int) string { return fmt.Sprintf("[%d] When will my parcel come?", i) })
			free := make(chan *connection, 64)
			for range cap(free) {
				free <- dial(b, d)
			}
			posted, taken := make([]time.Time, n), make([]time.Duration, n)
			cpu := d.CPU(b)
			b.ResetTimer()
			began := time.Now()
			var wg sync.WaitGroup
			for i := range n {
				due := began.Add(time.Duration(i) * time.Second / openRate)
				<-time.After(time.Until(due))
				c := <-free
				posted[i] = due // a load that is late counts as the program's delay
				wg.Go(func() {
					if err := c.post(requests[i]); err != nil {
						b.Error(err)
					}
					taken[i] = time.Since(due)
					free <- c
				})
			}
			wg.Wait()
			var delays []time.Duration
			for _, c := range clients {
				for _, f := range c.Until(b, wire.MessageCreated, n) {
					text := e2e.Read[wire.Message](b, f).Payload.Text
					i, err := strconv.Atoi(text[1:strings.IndexByte(text, ']')])
					require.NoError(b, err)
					delays = append(delays, f.Received.Sub(posted[i]))
				}
			}
			b.StopTimer()
			cpu = d.CPU(b) - cpu
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(millis(percentile(delays, 50)), "p50-ms")
			b.ReportMetric(millis(percentile(delays, 99)), "p99-ms")
			b.ReportMetric(millis(percentile(delays, 100)), "max-ms")
			b.ReportMetric(millis(percentile(taken, 99)), "taken-p99-ms")
			b.ReportMetric(cpu.Seconds()/openFor.Seconds()*100, "cpu-%")
		})
	}
}

// BenchmarkStart measures from the start of the process to its first answered request, and its memory when nothing
// happens.
func BenchmarkStart(b *testing.B) {
	d := desk(b)
	var starts []time.Duration
	for range coldTries {
		d.Kill(b)
		starts = append(starts, d.Launch(b))
	}
	r, err := d.HTTP().Get(d.URL + "/docs") //nolint:noctx // the client has a timeout
	require.NoError(b, err)
	_, err = io.Copy(io.Discard, r.Body)
	require.NoError(b, err)
	require.NoError(b, r.Body.Close())
	require.Equal(b, http.StatusOK, r.StatusCode)
	<-time.After(5 * time.Second) // what the start used is given back
	info, err := os.Stat(e2e.Binary(b))
	require.NoError(b, err)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(millis(percentile(starts, 50)), "start-p50-ms")
	b.ReportMetric(millis(percentile(starts, 100)), "start-max-ms")
	b.ReportMetric(float64(d.RSS(b))/(1<<20), "idle-MiB")
	b.ReportMetric(float64(info.Size())/(1<<20), "binary-MiB")
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func percentile(ds []time.Duration, p float64) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	slices.Sort(ds)
	return ds[min(len(ds)-1, int(float64(len(ds))*p/100))]
}

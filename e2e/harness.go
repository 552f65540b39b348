// Package e2e drives the whole program from outside: carriers' webhooks, REST, sockets and the command line.
//
// Start runs it inside the test, so that the race detector sees it, the clock can be moved and its log is at hand.
// StartProcess runs the real binary, so that it can be killed. Both begin with the same two organisations, Alpha and
// Beta, each with an admin's API key; everything else is set up through REST as a customer's program would.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/app"
	"omniservice/hub"
	"omniservice/omni"
	"omniservice/pipeline"
	"omniservice/server"
	"omniservice/store"
	"omniservice/store/spool"
	"omniservice/store/sqlitestore"
)

// PublicURL is what the carriers' fixtures are signed for.
const PublicURL = "https://sms.example.test"

// Options says how to start a system. The zero value is what most tests want.
type Options struct {
	PublicURL string        // "" means PublicURL
	Debug     bool          // log all there is to log
	DrainTime time.Duration // 0 means 5 s
	Pin       string        // processes only: the cores that it may use, as taskset takes them; "" means all
	RedisURL  string        // where nodes meet; "" means that it runs alone

	Before func(dataDir string)          // called when the data directory is there, before the program starts
	Around func(store.Store) store.Store // put around the program's store; not of processes
	Spool  spool.Options                 // limits of the program's spool; not of processes
	Bus    func(hub.Bus) hub.Bus         // put around the program's bus; not of processes
	Hub    hub.Options                   // limits and times of its hub; not of processes
	Lease  time.Duration                 // after which others take over from a dead node; 0 means 15 s; not of processes
	Limits server.Limits                 // on callers of its API; not of processes
	Shared *http.Client                  // calls environments that share a webhook; not of processes
	Apart  bool                          // the store is no node's own, so that each can be stopped and started again; not of processes

	Doubles   map[omni.CarrierName]string // where further carriers are played: scheme and host of their API
	RetryBase time.Duration               // first wait after a failed send; 0 means 1 s; not of processes
	At        time.Time                   // what its clock shows when it starts; zero means now; not of processes
}

// System is a running gateway with the doubles around it.
type System struct {
	URL       string // where it listens: http://127.0.0.1:port
	OpsURL    string
	PublicURL string
	DataDir   string
	Alpha     *Org
	Beta      *Org
	Twilio    *FakeTwilio
	Log       *LogBuffer
	App       *app.App // nil for a process

	opts  Options
	first *System     // the node that this one shares everything with; nil if it is the first
	store store.Store // that several nodes share; nil if the program opens it
	http  *http.Client
	clock atomic.Int64 // nanoseconds that the program's clock is ahead
	proc  *process

	protocolOnce sync.Once
	protocolDoc  *Protocol
}

func (s *System) level() string {
	if s.opts.Debug {
		return "debug"
	}
	return "info"
}

// apiBases says where carriers' APIs are, as the configuration has it.
func (s *System) apiBases() []string {
	all := []string{"Twilio=" + s.Twilio.URL}
	for name, base := range s.opts.Doubles {
		all = append(all, string(name)+"="+base) // of two the later counts
	}
	return all
}

// Advance moves the clock of a system that runs inside the test.
func (s *System) Advance(d time.Duration) { s.clock.Add(int64(d)) }

// SetClock sets the clock of a system that runs inside the test.
func (s *System) SetClock(at time.Time) { s.clock.Store(int64(time.Until(at))) }

// HTTP is a client with enough idle connections for a load; it follows no redirects.
func (s *System) HTTP() *http.Client { return s.http }

// Start runs the program inside the test and stops it at its end.
func Start(t testing.TB, o Options) *System {
	t.Helper()
	s := prepare(t, o)
	s.Boot(t, o.Around)
	t.Cleanup(func() { s.Stop(t) })
	return s
}

// Node starts another gateway on the same store and Redis. Both have the same organisations: Agent.On and
// Account.On say at which node somebody is. It has the options of the first node, but for Around, unless adjust changes
// them.
func (s *System) Node(t testing.TB, adjust ...func(*Options)) *System {
	t.Helper()
	o := s.opts
	o.Around = nil
	for _, f := range adjust {
		f(&o)
	}
	// As on a machine of its own: only the key is the same.
	dir := t.TempDir()
	key, err := os.ReadFile(filepath.Join(s.DataDir, "secret.key"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret.key"), key, 0o600))
	n := &System{
		PublicURL: s.PublicURL, DataDir: dir, Twilio: s.Twilio, Log: s.Log, opts: o, first: s, http: s.http,
	}
	alpha, beta := *s.Alpha, *s.Beta
	alpha.sys, beta.sys = n, n
	n.Alpha, n.Beta = &alpha, &beta
	if n.store = s.store; n.store == nil {
		n.store = s.App.Store()
	}
	n.Boot(t, o.Around)
	t.Cleanup(func() { n.Stop(t) })
	return n
}

// Boot starts the program on the system's data, with around put around its store, and returns how long it took until a
// request was answered. It is for a system that has been stopped.
func (s *System) Boot(t testing.TB, around func(store.Store) store.Store) time.Duration {
	t.Helper()
	cfg := app.Config{
		Addr: "127.0.0.1:0", OpsAddr: "127.0.0.1:0", PublicURL: s.PublicURL, DataDir: s.DataDir, LogLevel: s.level(),
		DrainTime: s.opts.DrainTime, CarrierAPIBase: s.apiBases(), RedisURL: omni.NewSecret(s.opts.RedisURL),
	}
	clock := s
	if s.first != nil {
		clock = s.first
	}
	began := time.Now()
	a, err := app.New(t.Context(), cfg, app.Options{
		LogTo: s.Log, Store: s.store, Limits: s.opts.Limits,
		Now:    func() time.Time { return time.Now().Add(time.Duration(clock.clock.Load())) },
		Around: around, Spool: s.opts.Spool, Bus: s.opts.Bus, Hub: s.opts.Hub,
		Pipeline: pipeline.Options{LeaseTTL: s.opts.Lease, RetryBase: s.opts.RetryBase, RerouteHTTP: s.opts.Shared},
	})
	require.NoError(t, err)
	require.NoError(t, a.Start(context.WithoutCancel(t.Context())))
	s.App = a
	s.URL, s.OpsURL = "http://"+a.Addr(), "http://"+a.OpsAddr()
	r, err := s.http.Get(s.OpsURL + "/healthz") //nolint:noctx // the client has a timeout
	require.NoError(t, err)
	drain(r)
	return time.Since(began)
}

// Stop stops a program inside the test, unless it has been stopped.
func (s *System) Stop(t testing.TB) {
	t.Helper()
	if s.App == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), Patience)
	defer cancel()
	require.NoError(t, s.App.Stop(ctx))
	s.App = nil
}

// StartProcess runs the real binary and kills it at the test's end.
func StartProcess(t testing.TB, o Options) *System {
	t.Helper()
	s := prepare(t, o)
	s.URL, s.OpsURL = "http://"+freeAddr(t), "http://"+freeAddr(t)
	s.Launch(t)
	t.Cleanup(func() { s.Kill(t) })
	return s
}

// prepare makes all that the program needs before it starts.
func prepare(t testing.TB, o Options) *System {
	t.Helper()
	if o.PublicURL == "" {
		o.PublicURL = PublicURL
	}
	if o.DrainTime == 0 {
		o.DrainTime = 5 * time.Second
	}
	tpl := template(t)
	s := &System{
		PublicURL: o.PublicURL, DataDir: filepath.Join(t.TempDir(), "data"), Log: &LogBuffer{}, opts: o,
		http: &http.Client{
			Timeout: Patience,
			Transport: &http.Transport{
				MaxIdleConnsPerHost: 512, MaxIdleConns: 512, DisableCompression: true,
				DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	require.NoError(t, os.CopyFS(s.DataDir, os.DirFS(tpl.dir)))
	require.NoError(t, os.Chmod(s.DataDir, 0o700))
	require.NoError(t, filepath.WalkDir(s.DataDir, func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return os.Chmod(p, 0o600)
	}))
	if o.Before != nil {
		o.Before(s.DataDir)
	}
	if o.Apart {
		st, err := sqlitestore.New(t.Context(), filepath.Join(s.DataDir, "omniservice.db"), sqlitestore.Options{})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, st.Close()) })
		s.store = st
	}
	if !o.At.IsZero() {
		s.SetClock(o.At)
	}
	alpha, beta := tpl.alpha, tpl.beta
	alpha.sys, beta.sys = s, s
	s.Alpha, s.Beta = &alpha, &beta
	s.Twilio = newFakeTwilio(s)

	t.Cleanup(func() { // runs after the program has stopped
		s.Twilio.Close()
		s.http.CloseIdleConnections()
		if t.Failed() {
			t.Logf("the end of the program's log:\n%s", s.Log.Tail(60))
		}
		for line := range strings.SplitSeq(s.Log.String(), "\n") {
			require.NotContains(t, strings.ToLower(line), "panic", "the program's log speaks of a panic")
			require.NotContains(t, line, "DATA RACE")
		}
	})
	return s
}

// Builder makes the binary at most once in a run of the tests. OMNI_BINARY names one that is built already.
var builder struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// Binary builds the program and returns its path.
func Binary(t testing.TB) string {
	t.Helper()
	builder.once.Do(func() {
		if builder.path = os.Getenv("OMNI_BINARY"); builder.path != "" {
			return
		}
		//nolint:usetesting // it outlives the test: all use it
		if builder.dir, builder.err = os.MkdirTemp("", "omniservice-e2e-"); builder.err != nil {
			return
		}
		builder.path = filepath.Join(builder.dir, "omniservice")
		_, here, _, _ := runtime.Caller(0)
		cmd := exec.Command("go", "build", "-o", builder.path, "./cmd/omniservice") //nolint:noctx // a build has no deadline
		cmd.Dir = filepath.Dir(filepath.Dir(here))
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			builder.err = fmt.Errorf("build: %w\n%s", err, out)
		}
	})
	require.NoError(t, builder.err)
	return builder.path
}

// Main runs a package's tests and removes what Binary and the template left.
func Main(m *testing.M) int {
	code := m.Run()
	for _, dir := range []string{builder.dir, templates.dir} {
		if dir != "" {
			_ = os.RemoveAll(dir)
		}
	}
	return code
}

// templates is a data directory with both organisations, made once by the command line and copied for each system.
var templates struct {
	once        sync.Once
	dir         string
	alpha, beta Org
	err         error
}

type dataTemplate struct {
	dir         string
	alpha, beta Org
}

func template(t testing.TB) dataTemplate {
	t.Helper()
	binary := Binary(t)
	templates.once.Do(func() {
		//nolint:usetesting // it outlives the test: all use it
		if templates.dir, templates.err = os.MkdirTemp("", "omniservice-e2e-data-"); templates.err != nil {
			return
		}
		if templates.alpha, templates.err = createOrg(binary, templates.dir, "Alpha"); templates.err == nil {
			templates.beta, templates.err = createOrg(binary, templates.dir, "Beta")
		}
	})
	require.NoError(t, templates.err)
	return dataTemplate{dir: templates.dir, alpha: templates.alpha, beta: templates.beta}
}

// createOrg makes an organisation as an operator does: its first admin and an API key, by the command line.
func createOrg(binary, dir, name string) (Org, error) {
	var user struct{ UserID, OrganisationID, LoginToken string }
	var key struct{ Key string }
	email := strings.ToLower(name) + "@example.test"
	err := command(&user, binary, "user", "create", "--data-dir", dir, "--email", email, "--name", name+" Admin",
		"--role", "admin", "--organisation", name, "--json")
	if err == nil {
		err = command(&key, binary, "apikey", "create", "--data-dir", dir, "--organisation", user.OrganisationID,
			"--name", "set-up", "--role", "admin", "--json")
	}
	if err == nil && (user.OrganisationID == "" || user.UserID == "" || user.LoginToken == "" || key.Key == "") {
		err = errors.New("the command line left something out of its answer")
	}
	return Org{Name: name, ID: user.OrganisationID, AdminID: user.UserID, LoginToken: user.LoginToken, Key: key.Key}, err
}

func command(out any, binary string, args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w\n%s%s", strings.Join(args[:2], " "), err, stdout.String(), stderr.String())
	}
	if err := json.Unmarshal(stdout.Bytes(), out); err != nil {
		return fmt.Errorf("%s: %w in %q", strings.Join(args[:2], " "), err, stdout.String())
	}
	return nil
}

// process is the running binary.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how; after done
}

// Launch starts the binary on the system's ports and data, and returns how long it took to answer its first request.
func (s *System) Launch(t testing.TB) time.Duration {
	t.Helper()
	binary := Binary(t)
	args := []string{
		"serve", "--addr", strings.TrimPrefix(s.URL, "http://"), "--ops-addr", strings.TrimPrefix(s.OpsURL, "http://"),
		"--public-url", s.PublicURL, "--data-dir", s.DataDir, "--log-level", s.level(),
		"--drain-time", s.opts.DrainTime.String(),
	}
	name := binary
	if s.opts.Pin != "" {
		name, args = "taskset", append([]string{"-c", s.opts.Pin, binary}, args...)
	}
	cmd := exec.Command(name, args...) //nolint:noctx // it lives until it is killed
	cmd.Env = append(os.Environ(), "OMNI_CARRIER_API_BASE="+strings.Join(s.apiBases(), ","), "OMNI_REDIS_URL="+s.opts.RedisURL)
	cmd.Stdout, cmd.Stderr = s.Log, s.Log
	p := &process{cmd: cmd, done: make(chan struct{})}
	began := time.Now()
	require.NoError(t, cmd.Start())
	s.proc = p
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	Eventually(t, "the program answers /readyz", func() bool {
		select {
		case <-p.done:
			t.Fatalf("the program ended: %v\n%s", p.err, s.Log.Tail(40))
		default:
		}
		r, err := s.http.Get(s.OpsURL + "/readyz") //nolint:noctx // the client has a timeout
		if err != nil {
			return false
		}
		defer drain(r)
		return r.StatusCode == http.StatusOK
	})
	return time.Since(began)
}

// Kill ends the process as a power failure does.
func (s *System) Kill(t testing.TB) {
	t.Helper()
	_ = s.proc.cmd.Process.Kill()
	<-s.proc.done
}

// Terminate asks the process to stop and returns a channel that is closed when it has.
func (s *System) Terminate(t testing.TB) <-chan struct{} {
	t.Helper()
	require.NoError(t, s.proc.cmd.Process.Signal(syscall.SIGTERM))
	return s.proc.done
}

// ExitCode is that of a process that has ended.
func (s *System) ExitCode() int { return s.proc.cmd.ProcessState.ExitCode() }

// CPU is the processor time that the process has used.
func (s *System) CPU(t testing.TB) time.Duration {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.proc.cmd.Process.Pid))
	require.NoError(t, err)
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	const hz = 100 // USER_HZ is 100 on every Linux that Go runs on
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime
		n, err := strconv.ParseInt(f, 10, 64)
		require.NoError(t, err)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / hz
}

// RSS is the resident memory of the process, in bytes.
func (s *System) RSS(t testing.TB) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.proc.cmd.Process.Pid))
	require.NoError(t, err)
	n, err := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	require.NoError(t, err)
	return n * int64(os.Getpagesize())
}

// Metrics is the text of /metrics.
func (s *System) Metrics(t testing.TB) string {
	t.Helper()
	r, err := s.http.Get(s.OpsURL + "/metrics") //nolint:noctx // the client has a timeout
	require.NoError(t, err)
	defer drain(r)
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, r.StatusCode)
	return string(b)
}

// Local turns a public URL of ours into one that can be called.
func (s *System) Local(publicURL string) string {
	rest, ok := strings.CutPrefix(publicURL, s.PublicURL)
	if !ok {
		return publicURL
	}
	return s.URL + rest
}

// LogBuffer keeps what the program logs.
type LogBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *LogBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String is all of it.
func (l *LogBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Tail is its last n lines.
func (l *LogBuffer) Tail(n int) string {
	lines := strings.Split(strings.TrimSpace(l.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Eventually waits until cond holds, and fails after Patience.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-deadline.C:
			require.FailNow(t, "it did not happen in time: "+what)
		case <-tick.C:
		}
	}
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// drain lets the connection be used again.
func drain(r *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, 1<<20))
	_ = r.Body.Close()
}

// NewClientID is an id as a console makes it for a message.
func NewClientID() string { return omni.NewID() }

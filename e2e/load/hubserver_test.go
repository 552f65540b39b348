package load_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"omniservice/e2e"
	"omniservice/hub"
	"omniservice/hub/membus"
	"omniservice/hub/redisbus"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server/auth"
)

// serverEnv makes this binary the server of the hub's scenarios instead of a test: the real hub on a real bus, and
// nothing else of the gateway.
const serverEnv = "OMNI_LOAD_HUBSERVER"

// serverConfig is what serverEnv holds, as JSON.
type serverConfig struct {
	Redis     string // URL; empty: the bus is in the process
	Key       []byte // of the tokens
	PerGroup  int    // users of a group: user u7 is in group g0 if it is more than 7
	Heartbeat time.Duration
}

func (c serverConfig) tokens() (*auth.Tokens, error) {
	return auth.NewTokens("load", "load", time.Now, auth.Key{ID: "load", Algorithm: auth.HS256, Secret: c.Key})
}

const loadOrg = "o1"

func userName(i int) string   { return "u" + strconv.Itoa(i) }
func userTopic(i int) string  { return omni.UserTopic(userName(i)) }
func groupTopic(i int) string { return omni.GroupTopic("g" + strconv.Itoa(i)) }
func claims(user string) auth.Claims {
	return auth.Claims{RegisteredClaims: jwt.RegisteredClaims{Subject: user}, OrganisationID: loadOrg, SessionID: "s-" + user}
}

// door lets in who has a token, and gives each a topic of its own, one of its group and one of all.
type door struct {
	tokens   *auth.Tokens
	perGroup int
}

// Authenticate implements hub.Handler.
func (d door) Authenticate(_ context.Context, c wire.Connect, _ hub.Peer) (hub.Principal, error) {
	who, err := d.tokens.Verify(c.Token)
	if err != nil {
		return hub.Principal{}, err
	}
	n, err := strconv.Atoi(strings.TrimPrefix(who.Subject, "u"))
	if err != nil {
		return hub.Principal{}, fmt.Errorf("user %s: %w", who.Subject, omni.ErrUnauthenticated)
	}
	return hub.Principal{
		OrgID: who.OrganisationID, UserID: who.Subject, SessionID: who.SessionID, Role: omni.RoleAgent,
		Topics:    []string{omni.UserTopic(who.Subject), groupTopic(n / d.perGroup), omni.OrgTopic(who.OrganisationID)},
		ExpiresAt: omni.MillisOf(who.ExpiresAt.Time),
	}, nil
}

// Handle implements hub.Handler.
func (door) Handle(_ context.Context, _ *hub.Conn, cmd wire.Command) (any, error) {
	return nil, omni.Problemf(omni.ErrUnsupported, "%s is not supported", cmd.Type)
}

// hubServer runs until standard input ends, so that it does not outlive the load. The first line of its output is its
// address.
func hubServer(config string) error {
	var cfg serverConfig
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		return err
	}
	tokens, err := cfg.tokens()
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var bus hub.Bus = membus.New(membus.Options{})
	if cfg.Redis != "" {
		if bus, err = redisbus.New(cfg.Redis, redisbus.Options{Logger: log}); err != nil {
			return err
		}
	}
	h, err := hub.New(bus, hub.Options{Logger: log, Heartbeat: cfg.Heartbeat, PerAddress: 1 << 20, Drain: time.Millisecond})
	if err != nil {
		return err
	}
	ctx := context.Background()
	if err := h.Start(ctx); err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		_ = h.Accept(w, r, hub.AcceptOptions{Handler: door{tokens, cfg.PerGroup}, AllowNoOrigin: true, Address: host})
	})
	mux.HandleFunc("POST /publish", publisher(h))
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(h.Stats()) })
	mux.HandleFunc("POST /collect", func(http.ResponseWriter, *http.Request) { debug.FreeOSMemory() })
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }()
	if _, err := fmt.Fprintln(os.Stdout, ln.Addr()); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, os.Stdin)

	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err = errors.Join(h.Shutdown(ctx), srv.Close(), bus.Close())
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

// publisher takes calls of one or more lines, each a topic, a space and an event's data. The events of a call are
// published at once.
func publisher(h *hub.Hub) http.HandlerFunc {
	one := func(ctx context.Context, line []byte) error {
		topic, data, _ := bytes.Cut(line, []byte{' '})
		_, err := h.Publish(ctx, string(topic), wire.MessageCreated, json.RawMessage(data))
		return err
	}
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		lines := bytes.Split(bytes.TrimSuffix(body, []byte{'\n'}), []byte{'\n'})
		switch {
		case err != nil:
		case len(lines) == 1:
			err = one(r.Context(), lines[0])
		default:
			var failed atomic.Pointer[error]
			var wg sync.WaitGroup
			for _, line := range lines {
				wg.Go(func() {
					if err := one(r.Context(), line); err != nil {
						failed.Store(&err)
					}
				})
			}
			wg.Wait()
			if p := failed.Load(); p != nil {
				err = *p
			}
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	}
}

// hubProcess is a running server.
type hubProcess struct {
	addr  string
	pid   int
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{} // closed when it has ended
	err   error         // how; after done
	log   e2e.LogBuffer
}

// startHub starts a server on the given cores, all if there are none named. The test ends it.
func startHub(tb testing.TB, cfg serverConfig, cores string) *hubProcess {
	tb.Helper()
	config, err := json.Marshal(cfg)
	require.NoError(tb, err)
	name, err := os.Executable()
	require.NoError(tb, err)
	var args []string
	if cores != "" {
		name, args = "taskset", []string{"-c", cores, name}
	}
	p := &hubProcess{cmd: exec.Command(name, args...), done: make(chan struct{})} //nolint:noctx // it lives until it is ended
	p.cmd.Env = append(os.Environ(), serverEnv+"="+string(config), "GOMAXPROCS=1")
	p.cmd.Stderr = &p.log
	stdout, err := p.cmd.StdoutPipe()
	require.NoError(tb, err)
	p.stdin, err = p.cmd.StdinPipe()
	require.NoError(tb, err)
	require.NoError(tb, p.cmd.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	p.addr, p.pid = strings.TrimSpace(line), p.cmd.Process.Pid
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	tb.Cleanup(p.kill)
	require.NoError(tb, err, "the server did not start: %s", p.log.String())
	return p
}

// stop ends it as an operator does; it must say nothing of a race or a panic.
func (p *hubProcess) stop(tb testing.TB) {
	tb.Helper()
	require.NoError(tb, p.stdin.Close())
	select {
	case <-p.done:
	case <-time.After(e2e.Patience):
		p.kill()
		require.Fail(tb, "the server did not stop", "%s", p.log.Tail(40))
	}
	require.NoError(tb, p.err, "%s", p.log.Tail(40))
}

func (p *hubProcess) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *hubProcess) call(tb testing.TB, method, path string) []byte {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), method, "http://"+p.addr+path, nil)
	require.NoError(tb, err)
	client := http.Client{Timeout: e2e.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	require.NoError(tb, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(tb, err)
	require.NoError(tb, res.Body.Close())
	require.Equal(tb, http.StatusOK, res.StatusCode, "%s", body)
	return body
}

func (p *hubProcess) stats(tb testing.TB) (s hub.Stats) {
	tb.Helper()
	require.NoError(tb, json.Unmarshal(p.call(tb, http.MethodGet, "/stats"), &s))
	return s
}

// cpuOf is the processor time that a process has used.
func cpuOf(tb testing.TB, pid int) time.Duration {
	tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(tb, err)
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	var ticks int64
	for _, f := range fields[11:13] { // utime and stime, in hundredths
		n, err := strconv.ParseInt(f, 10, 64)
		require.NoError(tb, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// memoryOf reads a line of /proc/<pid>/status: VmRSS is resident now, VmHWM the most that ever was. In bytes.
func memoryOf(tb testing.TB, pid int, line string) int64 {
	tb.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(tb, err)
	_, rest, ok := strings.Cut(string(b), line+":")
	require.True(tb, ok)
	n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	require.NoError(tb, err)
	return n << 10
}

// loadAverage is that of the last minute.
func loadAverage() string {
	b, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(b), " ")
	return first
}

// versions says what the figures were measured with.
func versions() string { return runtime.Version() }

// Package testenv starts real servers for tests, on loopback ports of their own and with data in the test's folder, and
// ends them with the test.
package testenv

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a server may take to answer for the first time.
const patience = 10 * time.Second

// Redis is a redis-server of one test.
type Redis struct {
	Addr string // host:port; stays the same over Stop and Start
	Dir  string // of its data

	t    testing.TB
	args []string

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{}
}

// StartRedis starts a redis-server that keeps nothing on disk unless args say so. They are options of redis-server,
// such as "--appendonly", "yes". The test ends it.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	r := NewRedis(t, args...)
	r.Start()
	return r
}

// NewRedis is StartRedis without the start: it only reserves an address.
func NewRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Fatal("there is no redis-server: make test-programs installs it where it may")
	}
	r := &Redis{Addr: freeAddr(t), Dir: t.TempDir(), t: t, args: args}
	t.Cleanup(r.Kill)
	return r
}

// URL is its address as redis://.
func (r *Redis) URL() string { return "redis://" + r.Addr }

// Port is the number after the colon of Addr.
func (r *Redis) Port() string {
	_, port, _ := net.SplitHostPort(r.Addr)
	return port
}

// Start starts it, or starts it again, and waits until it answers.
func (r *Redis) Start() {
	r.t.Helper()
	r.StartWith(append([]string{
		"--port", r.Port(), "--bind", "127.0.0.1", "--dir", r.Dir, "--save", "", "--daemonize", "no", "--logfile", "redis.log",
	}, r.args...)...)
}

// StartWith starts it with these arguments alone. It has to listen on Addr and to write redis.log.
func (r *Redis) StartWith(args ...string) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd != nil {
		r.t.Fatal("redis-server runs already")
	}
	cmd := exec.CommandContext(context.Background(), "redis-server", args...)
	cmd.Dir = r.Dir
	if err := cmd.Start(); err != nil {
		r.t.Fatalf("start redis-server: %v", err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	r.cmd, r.done = cmd, done
	for end := time.Now().Add(patience); !r.answers(); {
		select {
		case <-done:
			r.t.Fatalf("redis-server ended at once: %s", r.log())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(end) {
			r.t.Fatalf("redis-server does not answer: %s", r.log())
		}
	}
}

func (r *Redis) log() string {
	b, _ := os.ReadFile(filepath.Join(r.Dir, "redis.log"))
	return string(b)
}

// answers reports whether the server speaks: any answer will do, also a demand for a password, except that it loads.
func (r *Redis) answers() bool {
	c, err := dial(r.Addr)
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	return err == nil && !strings.HasPrefix(line, "-LOADING")
}

// Stop ends it as an operator would, with what it saves then, and waits until it has ended.
func (r *Redis) Stop() { r.end(syscall.SIGTERM) }

// Kill ends it at once.
func (r *Redis) Kill() { r.end(syscall.SIGKILL) }

func (r *Redis) end(s syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Signal(s)
	select {
	case <-r.done:
	case <-time.After(patience):
		_ = r.cmd.Process.Kill()
		<-r.done
	}
	r.cmd = nil
}

// Pause makes it answer nothing, without closing connections, until Resume.
func (r *Redis) Pause() { r.signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (r *Redis) Resume() { r.signal(syscall.SIGCONT) }

func (r *Redis) signal(s syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cmd != nil {
		_ = r.cmd.Process.Signal(s)
	}
}

// Do sends one command and returns the answer: a line as it is, such as +OK or :1, and of a string what it holds. Of
// several it is their number, such as *3.
func (r *Redis) Do(words ...string) string {
	r.t.Helper()
	head, _ := r.ask(words)
	return head
}

// All sends one command and returns the strings that it answers.
func (r *Redis) All(words ...string) []string {
	r.t.Helper()
	_, all := r.ask(words)
	return all
}

func (r *Redis) ask(words []string) (head string, all []string) {
	r.t.Helper()
	for end := time.Now().Add(patience); ; <-time.After(20 * time.Millisecond) {
		head, all, err := r.try(words)
		if err == nil {
			return head, all
		}
		if time.Now().After(end) { // Sentinel cuts connections when it makes a master
			r.t.Fatalf("%s: %v", words[0], err)
		}
	}
}

func (r *Redis) try(words []string) (head string, all []string, err error) {
	c, err := dial(r.Addr)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	if _, err := io.WriteString(c, b.String()); err != nil {
		return "", nil, err
	}
	in := bufio.NewReader(c)
	if head, err = one(in); err != nil {
		return "", nil, err
	}
	for range count(head, "*") {
		s, err := one(in)
		if err != nil {
			return "", nil, err
		}
		all = append(all, s)
	}
	return head, all, nil
}

// one reads a line, or the string that it announces.
func one(in *bufio.Reader) (string, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimSpace(line)
	n := count(line, "$")
	if n < 0 {
		return line, nil
	}
	bulk := make([]byte, n+2)
	if _, err := io.ReadFull(in, bulk); err != nil {
		return "", err
	}
	return string(bulk[:n]), nil
}

// count is the number after kind, or -1.
func count(line, kind string) int {
	digits, ok := strings.CutPrefix(line, kind)
	n, err := strconv.Atoi(digits)
	if !ok || err != nil {
		return -1
	}
	return n
}

// StartRedisCluster starts n masters that share all slots, and waits until each knows that.
func StartRedisCluster(t testing.TB, n int) []*Redis {
	t.Helper()
	nodes := make([]*Redis, n)
	for i := range nodes {
		nodes[i] = StartRedisNode(t)
		nodes[i].Do("CLUSTER", "SET-CONFIG-EPOCH", fmt.Sprint(i+1))
		nodes[i].Do("CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(i*16384/n), fmt.Sprint((i+1)*16384/n-1))
	}
	for _, r := range nodes[1:] {
		r.Meet(nodes[0])
	}
	for _, r := range nodes {
		Await(t, "a whole cluster", func() bool {
			info := r.Do("CLUSTER", "INFO")
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", n))
		})
	}
	return nodes
}

// StartRedisNode starts a server that can be part of a Cluster and is alone yet.
func StartRedisNode(t testing.TB) *Redis {
	t.Helper()
	// The bus port is Redis's port and 10,000 by default, which may be beyond what there is.
	bus := freeAddr(t)
	_, port, _ := net.SplitHostPort(bus)
	return StartRedis(t, "--cluster-enabled", "yes", "--cluster-port", port, "--cluster-node-timeout", "1000", "--cluster-require-full-coverage", "no")
}

// Meet makes r part of other's Cluster.
func (r *Redis) Meet(other *Redis) {
	var bus string
	for i, a := range other.args {
		if a == "--cluster-port" {
			bus = other.args[i+1]
		}
	}
	r.Do("CLUSTER", "MEET", "127.0.0.1", other.Port(), bus)
}

// Await waits until what is so.
func Await(t testing.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * patience); !so(); {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func dial(addr string) (net.Conn, error) {
	return (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", addr)
}

func listen() (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
}

// freeAddr finds a port that nobody listens on.
func freeAddr(t testing.TB) string {
	t.Helper()
	ln, err := listen()
	if err != nil {
		t.Fatalf("find a port: %v", err)
	}
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

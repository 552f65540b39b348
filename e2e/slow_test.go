package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/omni"
	"omniservice/omni/wire"
)

// One socket of ten stops reading: they are closed and catch up later, and the others do not notice.
func TestR25_SlowReadersAreAlone(t *testing.T) {
	const (
		deliveries  = 10_000 // a second
		perMeasure  = 400
		perAgent    = 18
		conversions = 5
	)
	all := socketsFor(t, 100)
	slow, perSecond := all/10, deliveries/all
	d := NewDesk(t, StartProcess(t, Options{}))
	var agents []*Agent
	for i := range (all + perAgent - 1) / perAgent {
		agents = append(agents, d.Alpha.Agent(t, fmt.Sprintf("Agent %d", i), omni.RoleSupervisor))
	}
	text := strings.Repeat("x", 1500)
	measure := func(round string, watchers []*watcher) time.Duration {
		began := make([]time.Time, perMeasure)
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		var posts sync.WaitGroup
		for i := range perMeasure {
			<-tick.C
			began[i] = time.Now()
			posts.Go(func() {
				status, err := d.Account.Post(d.Account.SMS(NewSID(), Phone(i%conversions), Number, fmt.Sprintf("[%s %d]%s", round, i, text)))
				if err != nil || status != http.StatusOK {
					t.Errorf("message %d: %d %v", i, status, err)
				}
			})
		}
		posts.Wait()
		var delays []time.Duration
		for _, w := range watchers {
			for i, at := range w.await(t, round, perMeasure) {
				delays = append(delays, at.Sub(began[i]))
			}
		}
		return p99(delays)
	}

	var readers []*watcher
	for i := range all - slow {
		readers = append(readers, watch(t, d.System, agents[i/perAgent], 0))
	}
	// What else the machine does can only make it worse: one quiet round of three shows what there is to show.
	var stopped []*watcher
	for round := 1; ; round++ {
		before := measure(fmt.Sprintf("alone-%d", round), readers)
		stopped = nil
		memory := d.RSS(t)
		for i := range slow {
			stopped = append(stopped, watch(t, d.System, agents[(all-slow+i)/perAgent], 4096))
		}
		after := measure(fmt.Sprintf("beside-%d", round), readers)
		each := (d.RSS(t) - memory) / int64(slow)
		t.Logf("R25: webhook to %d sockets at %d/s, p99: %v alone, %v beside %d that do not read, which took %d KiB of memory each",
			len(readers), perSecond, before.Round(100*time.Microsecond), after.Round(100*time.Microsecond), slow, each>>10)
		require.LessOrEqual(t, each, int64(1<<20), "memory of a reader that stopped")
		for _, w := range stopped {
			// Who begins to read again much later finds the connection cut: it was told, and nobody waited for it.
			if code := w.drainUntilClosed(t); all == 100 || code != -1 {
				require.Equal(t, 4008, code, "a reader that stopped is told why")
			}
		}
		// The test itself is busy on the same cores, and the slow ones cost their share of it: a little more is noise.
		if limit := before*12/10 + 15*time.Millisecond; after < limit || round == 3 {
			require.Less(t, after, limit)
			break
		}
	}
	for _, w := range readers {
		require.True(t, w.open(), "the others stay")
	}
	// The slow ones come back where they were.
	c := d.Dial(t, Dialing{Connect: wire.Connect{Token: agents[len(agents)-1].Token, Resume: stopped[0].start}})
	state := c.Topic(t, d.Topic())
	if state.State == wire.Recovered {
		c.Until(t, wire.MessageCreated, perMeasure)
		require.Empty(t, c.Gaps())
	} else {
		require.Equal(t, wire.Reset, state.State)
	}
}

// watcher is a socket that only notes when which message came, and costs the test little.
type watcher struct {
	conn  *websocket.Conn
	start []wire.TopicPosition
	stop  context.CancelFunc
	done  chan struct{}

	mu      sync.Mutex
	changed chan struct{}
	at      map[string]map[int]time.Time
	err     error
}

// watched counts sockets, so that they come from as many addresses: each may open only so many.
var watched atomic.Uint32

// watch connects. With a receive buffer it does not read any further until drainUntilClosed.
func watch(t *testing.T, s *System, a *Agent, receiveBuffer int) *watcher {
	t.Helper()
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+watched.Add(1)%250))}
	transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: from, Control: func(_, _ string, c syscall.RawConn) error {
		if receiveBuffer == 0 {
			return nil
		}
		var err error
		ctlErr := c.Control(func(fd uintptr) {
			// A small window and small segments keep the kernel from holding for us what we do not read.
			if err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer); err == nil {
				err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, 536)
			}
		})
		if ctlErr != nil {
			return ctlErr
		}
		return err
	}}).DialContext}
	dialing, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	conn, _, err := websocket.Dial(dialing, "ws"+strings.TrimPrefix(s.URL, "http")+"/ws", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: transport}, HTTPHeader: http.Header{"Origin": {s.PublicURL}}, Subprotocols: []string{wire.Subprotocol},
	})
	require.NoError(t, err)
	conn.SetReadLimit(1 << 20)
	connect, err := json.Marshal(map[string]any{"id": 1, "type": wire.CmdConnect, "data": wire.Connect{Token: a.Token}})
	require.NoError(t, err)
	require.NoError(t, conn.Write(dialing, websocket.MessageText, connect))
	_, first, err := conn.Read(dialing)
	require.NoError(t, err)
	var reply struct{ Data wire.Connected }
	line, _, _ := bytes.Cut(first, []byte{'\n'})
	require.NoError(t, json.Unmarshal(line, &reply), "%s", line)
	ctx, stop := context.WithCancel(t.Context())
	w := &watcher{conn: conn, stop: stop, done: make(chan struct{}), changed: make(chan struct{}), at: map[string]map[int]time.Time{}}
	for _, s := range reply.Data.Topics {
		w.start = append(w.start, wire.TopicPosition{Topic: s.Topic, Epoch: s.Epoch, Offset: s.Offset})
	}
	if receiveBuffer == 0 {
		go w.read(ctx)
	} else {
		close(w.done)
	}
	t.Cleanup(func() {
		stop()
		_ = conn.CloseNow()
		<-w.done
		transport.CloseIdleConnections()
	})
	return w
}

func (w *watcher) read(ctx context.Context) {
	defer close(w.done)
	for {
		_, b, err := w.conn.Read(ctx)
		now := time.Now()
		w.mu.Lock()
		w.err = err
		for err == nil {
			at := bytes.Index(b, []byte(`"text":"[`))
			if at < 0 {
				break
			}
			b = b[at+len(`"text":"[`):]
			round, rest, _ := strings.Cut(string(b[:bytes.IndexByte(b, ']')]), " ")
			i, _ := strconv.Atoi(rest)
			if w.at[round] == nil {
				w.at[round] = map[int]time.Time{}
			}
			w.at[round][i] = now
		}
		close(w.changed)
		w.changed = make(chan struct{})
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// await waits for n messages of a round.
func (w *watcher) await(t *testing.T, round string, n int) map[int]time.Time {
	t.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	for {
		w.mu.Lock()
		got, changed, err := maps.Clone(w.at[round]), w.changed, w.err
		w.mu.Unlock()
		if len(got) >= n {
			return got
		}
		require.NoError(t, err)
		select {
		case <-changed:
		case <-deadline.C:
			require.FailNow(t, "messages are missing", "%d of %d came in round %s", len(got), n, round)
		}
	}
}

func (w *watcher) open() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err == nil
}

// drainUntilClosed reads again what a stopped reader was sent, to its end, and returns the close code.
func (w *watcher) drainUntilClosed(t *testing.T) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	for {
		if _, _, err := w.conn.Read(ctx); err != nil {
			return int(websocket.CloseStatus(err))
		}
	}
}

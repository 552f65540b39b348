package hub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"omniservice/hub"
	"omniservice/hub/membus"
	"omniservice/omni"
	"omniservice/omni/wire"
)

func TestConnectIsRefused(t *testing.T) {
	t.Parallel()
	refuse := func(err error) desk {
		return desk{auth: func(context.Context, wire.Connect, hub.Peer) (hub.Principal, error) { return hub.Principal{}, err }}
	}
	as := func(p hub.Principal) desk {
		return desk{auth: func(context.Context, wire.Connect, hub.Peer) (hub.Principal, error) { return p, nil }}
	}
	ok := wire.Connect{Ticket: "x"}
	for _, tc := range []struct {
		name string
		desk desk
		in   any
		want omni.Code
		code int
	}{
		{"no credential", desk{}, wire.Connect{}, omni.CodeInvalid, hub.CloseProtocol},
		{"two credentials", desk{}, wire.Connect{Ticket: "x", Token: "y"}, omni.CodeInvalid, hub.CloseProtocol},
		{"no object", desk{}, "x", omni.CodeInvalid, hub.CloseProtocol},
		{"bad ticket", refuse(omni.ErrUnauthenticated), ok, omni.CodeUnauthenticated, hub.CloseSession},
		{"ticket used twice", refuse(omni.ErrNotFound), ok, omni.CodeNotFound, hub.CloseSession},
		{"blocked", refuse(omni.ErrForbidden), ok, omni.CodeForbidden, hub.CloseRemoved},
		{"too often", refuse(omni.ErrRateLimited), ok, omni.CodeRateLimited, hub.ClosePolicy},
		{"store away", refuse(omni.ErrUnavailable), ok, omni.CodeUnavailable, hub.CloseUnavailable},
		{"bug", refuse(errors.New("secret text")), ok, omni.CodeInternal, hub.CloseUnavailable},
		{"panic", desk{auth: func(context.Context, wire.Connect, hub.Peer) (hub.Principal, error) { panic("secret text") }}, ok, omni.CodeInternal, hub.CloseUnavailable},
		{"expired", as(hub.Principal{OrgID: "o1", ExpiresAt: 1}), ok, omni.CodeUnauthenticated, hub.CloseSession},
		{"S4 no organisation", as(hub.Principal{UserID: "ana"}), ok, omni.CodeInternal, hub.CloseUnavailable},
		{"S4 another organisation's topic", as(agent("ana", "org/o2")), ok, omni.CodeInternal, hub.CloseUnavailable},
		{"S4 another user's topic", as(agent("ana", "user/ben")), ok, omni.CodeInternal, hub.CloseUnavailable},
		{"S4 a visitor's topic", as(agent("ana", "visitor/v1")), ok, omni.CodeInternal, hub.CloseUnavailable},
		{"S4 the nodes' topic", as(agent("ana", "control")), ok, omni.CodeInternal, hub.CloseUnavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			n := newNode(t, hub.Options{}, tc.desk)
			c := n.dial(t)
			c.send(wire.CmdConnect, tc.in)
			f := c.next()
			require.Equal(t, "error", f.Type)
			require.EqualValues(t, 1, f.ID)
			require.Equal(t, tc.want, f.Error.Code)
			require.NotContains(t, f.Error.Message, "secret")
			code, _ := c.closed()
			require.Equal(t, tc.code, code)
		})
	}
}

// Nothing is answered before connect.
func TestSec_S2_ConnectComesFirst(t *testing.T) {
	t.Parallel()
	n := newNode(t, hub.Options{ConnectTimeout: 50 * time.Millisecond}, desk{})
	for _, first := range [][]byte{nil, command(1, wire.CmdTyping, nil), command(0, wire.CmdConnect, wire.Connect{Ticket: ticket(agent("ana"))})} {
		r := n.dialRaw(t)
		if first != nil {
			r.send(t, masked(text, first))
		}
		code, _, texts := r.closed(t)
		require.Equal(t, hub.CloseSession, code)
		require.Zero(t, texts)
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	var logged lockedBuffer
	gate := make(chan struct{})
	n := newNode(t, hub.Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))}, desk{handle: func(ctx context.Context, c *hub.Conn, cmd wire.Command) (any, error) {
		switch cmd.Type {
		case "echo":
			return cmd.Data, nil
		case "nothing":
			return nil, nil
		case "who":
			return c.Principal().UserID + " " + c.Peer().Origin, nil
		case "wait":
			<-gate
			return nil, nil
		case "panic":
			panic("boom")
		case "bad":
			return func() {}, nil
		case "conflict":
			p := omni.Problemf(omni.ErrConflict, "Ana took it")
			p.Details = map[string]any{"by": "ana"}
			return nil, p
		case "deadline":
			d, ok := ctx.Deadline()
			return ok && time.Until(d) > 20*time.Second, nil
		}
		return nil, omni.ErrUnsupported
	}})
	c, _ := n.connect(t, agent("ana", "org/o1"))
	ask := func(typ string, data any) frame {
		id := c.send(typ, data)
		f := c.next()
		require.Equal(t, id, f.ID)
		return f
	}
	require.JSONEq(t, `{"n":7}`, string(ask("echo", count{7}).Data))
	require.Nil(t, ask("nothing", nil).Data)
	require.JSONEq(t, `"ana `+site+`"`, string(ask("who", nil).Data))
	require.Equal(t, "true", string(ask("deadline", nil).Data))
	require.Equal(t, omni.CodeUnsupported, ask("else", nil).Error.Code)
	require.Equal(t, omni.CodeInternal, ask("panic", nil).Error.Code)
	require.Equal(t, omni.CodeInternal, ask("bad", nil).Error.Code)
	require.Equal(t, omni.CodeConflict, ask(wire.CmdConnect, nil).Error.Code)
	f := ask("conflict", nil)
	require.Equal(t, "Ana took it", f.Error.Message)
	require.Equal(t, map[string]any{"by": "ana"}, f.Error.Details)
	require.Contains(t, logged.String(), "boom")
	require.EqualValues(t, 1, n.Stats().HandlerPanics)

	c.write([]byte(`{"id":0,"type":"echo"}`))
	require.Equal(t, omni.CodeInvalid, c.next().Error.Code)

	// A slow command holds up the connection's other commands, and nothing else.
	waiting := c.send("wait", nil)
	behind := c.send("echo", count{1})
	_, err := n.Publish(t.Context(), "org/o1", "x", count{1})
	require.NoError(t, err)
	require.Equal(t, "x", c.next().Type)
	close(gate)
	require.Equal(t, waiting, c.next().ID)
	require.Equal(t, behind, c.next().ID)

	// Several commands may stand in one frame.
	c.write([]byte("{\"id\":91,\"type\":\"nothing\"}\n{\"id\":92,\"type\":\"nothing\"}\n"))
	require.EqualValues(t, 91, c.next().ID)
	require.EqualValues(t, 92, c.next().ID)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestSec_S5_ConnectionsOfOneOwnerAreLimited(t *testing.T) {
	t.Parallel()
	n := newNode(t, hub.Options{PerUser: 2, PerVisitor: 1}, desk{})
	refused := func(p hub.Principal) {
		c := n.dial(t)
		c.send(wire.CmdConnect, wire.Connect{Ticket: ticket(p)})
		require.Equal(t, omni.CodeRateLimited, c.next().Error.Code)
		code, _ := c.closed()
		require.Equal(t, hub.ClosePolicy, code)
	}
	ana := agent("ana")
	first, _ := n.connect(t, ana)
	n.connect(t, ana)
	refused(ana)
	visitor := hub.Principal{OrgID: "o1", VisitorID: "ana", Role: omni.RoleVisitor}
	n.connect(t, visitor)
	refused(visitor)
	other := agent("ana")
	other.OrgID = "o2"
	n.connect(t, other)

	require.NoError(t, first.ws.Close(websocket.StatusNormalClosure, ""))
	require.Eventually(t, func() bool { return n.Stats().Connections == 3 }, 5*time.Second, time.Millisecond)
	n.connect(t, ana)
}

func TestSec_S5_ConnectionsOfOneOrganisationAreLimited(t *testing.T) {
	t.Parallel()
	n := newNode(t, hub.Options{PerOrg: 2}, desk{})
	first, _ := n.connect(t, agent("ana"))
	n.connect(t, hub.Principal{OrgID: "o1", VisitorID: "v1", Role: omni.RoleVisitor})
	c := n.dial(t)
	c.send(wire.CmdConnect, wire.Connect{Ticket: ticket(agent("ben"))})
	require.Equal(t, omni.CodeUnavailable, c.next().Error.Code)
	code, _ := c.closed()
	require.Equal(t, hub.CloseUnavailable, code, "it may come back")
	other := agent("ben")
	other.OrgID = "o2"
	n.connect(t, other)

	require.NoError(t, first.ws.Close(websocket.StatusNormalClosure, ""))
	require.Eventually(t, func() bool { return n.Stats().Connections == 2 }, 5*time.Second, time.Millisecond)
	n.connect(t, agent("ben"))
}

// Logout and removal reach open sockets on every node, of that organisation alone.
func TestSec_S3_CloseAcrossNodes(t *testing.T) {
	t.Parallel()
	bus := membus.New(membus.Options{})
	here, there := newNodeOn(t, bus, hub.Options{}, desk{}), newNodeOn(t, bus.Node(), hub.Options{}, desk{})
	foreign := agent("ana")
	foreign.OrgID = "o2"
	stays, _ := there.connect(t, foreign)
	laptop, phone := agent("ana"), agent("ana")
	phone.SessionID = "s-phone"
	a, _ := here.connect(t, laptop)
	b, _ := there.connect(t, laptop)
	c, _ := there.connect(t, phone)
	visitor, _ := there.connect(t, hub.Principal{OrgID: "o1", VisitorID: "v1"})

	require.NoError(t, here.CloseSession(t.Context(), "o1", laptop.SessionID, hub.CloseSession, "logged out"))
	for _, c := range []*client{a, b} {
		code, reason := c.closed()
		require.Equal(t, hub.CloseSession, code)
		require.Equal(t, "logged out", reason)
	}
	require.NoError(t, here.CloseUser(t.Context(), "o1", "ana", hub.CloseRemoved, "removed"))
	code, _ := c.closed()
	require.Equal(t, hub.CloseRemoved, code)
	require.NoError(t, here.CloseVisitor(t.Context(), "o1", "v1", hub.CloseRemoved, "blocked"))
	code, _ = visitor.closed()
	require.Equal(t, hub.CloseRemoved, code)

	stays.send("x", nil)
	require.Equal(t, omni.CodeUnsupported, stays.next().Error.Code, "S4: another organisation's socket lives on")
	require.ErrorIs(t, here.CloseUser(t.Context(), "", "ana", 4403, ""), omni.ErrInvalid)
	require.ErrorIs(t, here.CloseUser(t.Context(), "o1", "", 4403, ""), omni.ErrInvalid)
	require.ErrorIs(t, here.CloseSession(t.Context(), "o1", "", 4403, ""), omni.ErrInvalid)
	require.ErrorIs(t, here.CloseVisitor(t.Context(), "o1", "", 4403, ""), omni.ErrInvalid)
}

// A session that ends while its connection is being let in does not slip through.
func TestSec_S3_CloseDuringConnect(t *testing.T) {
	t.Parallel()
	asked, answer := make(chan struct{}), make(chan struct{})
	n := newNode(t, hub.Options{}, desk{auth: func(context.Context, wire.Connect, hub.Peer) (hub.Principal, error) {
		close(asked)
		<-answer
		return agent("ana"), nil
	}})
	c := n.dial(t)
	c.send(wire.CmdConnect, wire.Connect{Ticket: "x"})
	<-asked
	require.NoError(t, n.CloseUser(t.Context(), "o1", "ana", hub.CloseRemoved, "removed"))
	close(answer)
	require.Equal(t, omni.CodeUnauthenticated, c.next().Error.Code)
}

func TestRegrant(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	topics, fail := []string{"org/o1", "group/g2"}, error(nil)
	bus := membus.New(membus.Options{})
	regrant := func(_ context.Context, p hub.Principal) ([]string, error) {
		mu.Lock()
		defer mu.Unlock()
		return topics, fail
	}
	here := newNodeOn(t, bus, hub.Options{}, desk{})
	there := newNodeOn(t, bus.Node(), hub.Options{Regrant: regrant}, desk{})
	c, _ := there.connect(t, agent("ana", "org/o1", "group/g1"))
	require.NoError(t, here.Regrant(t.Context(), "o1", ""))
	publish := func(topic string) {
		_, err := here.Publish(t.Context(), topic, "x", count{1})
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { // granting happens in the background
		publish("group/g1")
		publish("group/g2")
		_, err := here.Publish(t.Context(), "org/o1", "end", count{1})
		require.NoError(t, err)
		var old, now bool
		for f := c.next(); f.Type != "end"; f = c.next() {
			old = old || f.Topic == "group/g1"
			now = now || f.Topic == "group/g2"
		}
		return now && !old
	}, 5*time.Second, time.Millisecond)

	mu.Lock()
	fail = omni.ErrForbidden
	mu.Unlock()
	require.NoError(t, here.Regrant(t.Context(), "o1", "ana"))
	code, _ := c.closed()
	require.Equal(t, hub.CloseRemoved, code)

	without, _ := here.connect(t, agent("ben"))
	require.NoError(t, there.Regrant(t.Context(), "o1", "ben"))
	code, _ = without.closed()
	require.Equal(t, hub.CloseResync, code)
}

func TestJoinAndLeave(t *testing.T) {
	t.Parallel()
	n := newNode(t, hub.Options{}, desk{handle: func(ctx context.Context, c *hub.Conn, cmd wire.Command) (any, error) {
		var topic string
		_ = json.Unmarshal(cmd.Data, &topic)
		switch cmd.Type {
		case "join":
			return nil, c.Join(ctx, topic)
		case "leave":
			c.Leave(topic)
		case "revoke":
			c.Revoke(topic)
		case "grant":
			return nil, c.Grant(ctx, topic)
		}
		return nil, nil
	}})
	c, _ := n.connect(t, agent("ana", "org/o1"))
	ask := func(typ, topic string) frame {
		c.send(typ, topic)
		f := c.next()
		require.NotZero(t, f.ID)
		return f
	}
	hears := func(topic string) bool {
		require.NoError(t, n.Announce(t.Context(), topic, wire.TypingEvent, count{1}))
		c.send("nothing", "")
		f := c.next()
		if f.Topic == topic {
			c.next()
			return true
		}
		return false
	}
	require.False(t, hears("interaction/i1"))
	require.Equal(t, "ok", ask("join", "interaction/i1").Type)
	require.Equal(t, "ok", ask("join", "interaction/i1").Type)
	require.True(t, hears("interaction/i1"))
	require.Equal(t, "ok", ask("leave", "interaction/i1").Type)
	require.False(t, hears("interaction/i1"))
	require.Equal(t, "ok", ask("leave", "org/o1").Type)
	require.True(t, hears("org/o1"), "a granted topic cannot be left")
	require.Equal(t, "ok", ask("revoke", "org/o1").Type)
	require.False(t, hears("org/o1"))
	require.Equal(t, "ok", ask("grant", "group/g1").Type)
	require.True(t, hears("group/g1"))
	require.Equal(t, omni.CodeForbidden, ask("grant", "user/ben").Error.Code)
	require.Equal(t, omni.CodeForbidden, ask("join", "control").Error.Code)
}

func TestJoinIsLimited(t *testing.T) {
	t.Parallel()
	done := make(chan error, 1)
	n := newNode(t, hub.Options{}, desk{handle: func(ctx context.Context, c *hub.Conn, _ wire.Command) (any, error) {
		for range 128 {
			if err := c.Join(ctx, "interaction/"+omni.NewID()); err != nil {
				done <- err
				return nil, err
			}
		}
		done <- nil
		return nil, c.Join(ctx, "interaction/"+omni.NewID())
	}})
	c, _ := n.connect(t, agent("ana"))
	c.send("go", nil)
	require.NoError(t, <-done)
	require.Equal(t, omni.CodeRateLimited, c.next().Error.Code)
}

// Who does not read is closed with 4008, and nobody else notices.
func TestSec_S7_R25_SlowReaderIsClosed(t *testing.T) {
	t.Parallel()
	n := newNode(t, hub.Options{}, desk{})
	slow := dialPipe(t, n.Hub, desk{})
	slow.send(t, connectFrame(agent("slow", "org/o1")))
	_, _, err := slow.frame()
	require.NoError(t, err)
	quick, _ := n.connect(t, agent("quick", "org/o1"))
	for i := range 300 {
		_, err := n.Publish(t.Context(), "org/o1", "x", count{i})
		require.NoError(t, err)
		require.Equal(t, i, number(t, quick.next()))
	}
	s := n.Stats()
	require.EqualValues(t, 1, s.SlowCloses)
	require.EqualValues(t, 256, s.Dropped)
	require.Zero(t, s.QueueBytes, "what waited is given back at once")
	code, _, texts := slow.closed(t)
	require.Equal(t, hub.CloseSlow, code)
	require.LessOrEqual(t, texts, 2, "only what was being written still comes")
	require.True(t, hub.Reconnect(code))

	// What it missed is there when it comes back, once and in order.
	pos, err := n.Positions(t.Context(), []string{"org/o1"})
	require.NoError(t, err)
	back, in := n.connect(t, agent("slow", "org/o1"), wire.TopicPosition{Topic: "org/o1", Epoch: pos[0].Epoch, Offset: 1})
	require.Equal(t, wire.Recovered, in.Topics[0].State)
	for i := 1; i < 300; i++ {
		require.Equal(t, i, number(t, back.next()))
	}
}

func TestSec_S7_QueueIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	n := newNode(t, hub.Options{}, desk{})
	slow := dialPipe(t, n.Hub, desk{})
	slow.send(t, connectFrame(agent("slow", "org/o1")))
	_, _, err := slow.frame()
	require.NoError(t, err)
	for range 20 {
		_, err := n.Publish(t.Context(), "org/o1", "x", strings.Repeat("x", 60_000))
		require.NoError(t, err)
		require.LessOrEqual(t, n.Stats().QueueBytes, int64(1<<20))
	}
	code, _, _ := slow.closed(t)
	require.Equal(t, hub.CloseSlow, code)
}

func TestShutdownDrains(t *testing.T) {
	t.Parallel()
	begun, finish := make(chan struct{}), make(chan struct{})
	n := newNode(t, hub.Options{Drain: 200 * time.Millisecond}, desk{handle: func(context.Context, *hub.Conn, wire.Command) (any, error) {
		close(begun)
		<-finish
		return "done", nil
	}})
	busy, _ := n.connect(t, agent("busy"))
	busy.send("work", nil)
	<-begun
	var idle []*client
	for i := range 100 { // more than one batch
		c, _ := n.connect(t, agent("a"+string(rune('0'+i/10))))
		idle = append(idle, c)
	}
	ended := make(chan error, 1)
	go func() { ended <- n.Shutdown(t.Context()) }()
	for _, c := range idle {
		code, reason := c.closed()
		require.Equal(t, hub.CloseRestart, code)
		require.Regexp(t, `^retry=\d{4,5}$`, reason)
	}
	_, resp, err := websocket.Dial(t.Context(), n.srv.URL, &websocket.DialOptions{
		Subprotocols: []string{wire.Subprotocol}, HTTPHeader: http.Header{"Origin": {site}},
	})
	require.Error(t, err)
	require.Equal(t, http.StatusServiceUnavailable, resp.StatusCode)
	require.NotEmpty(t, resp.Header.Get("Retry-After"))
	require.Empty(t, ended, "Shutdown waits for the command")
	close(finish)
	require.JSONEq(t, `"done"`, string(busy.next().Data))
	code, _ := busy.closed()
	require.Equal(t, hub.CloseRestart, code)
	require.NoError(t, <-ended)
	require.NoError(t, n.Shutdown(t.Context()), "twice")
}

// Shutdown ends even if nobody answers.
func TestShutdownIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := membus.New(membus.Options{})
		h, err := hub.New(bus, hub.Options{})
		require.NoError(t, err)
		require.NoError(t, h.Start(t.Context()))
		dead := dialPipe(t, h, desk{})
		dead.send(t, connectFrame(agent("dead")))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		require.ErrorIs(t, h.Shutdown(ctx), context.DeadlineExceeded)
		require.LessOrEqual(t, time.Since(begin), 3*time.Second)
		require.Zero(t, h.Stats().Connections)
		require.NoError(t, bus.Close())
	})
}

// timed is a hub in a synctest bubble with one client, whose frames are collected.
type timed struct {
	*hub.Hub
	raw
	mu     sync.Mutex
	frames []frame
	pings  int
	code   int
	over   bool
	answer bool // pings with pongs
}

func newTimed(t *testing.T, bus hub.Bus, o hub.Options, d desk, p hub.Principal) *timed {
	h, err := hub.New(bus, o)
	require.NoError(t, err)
	require.NoError(t, h.Start(t.Context()))
	c := &timed{Hub: h, raw: dialPipe(t, h, d), answer: true}
	go c.readAll()
	c.send(t, connectFrame(p))
	synctest.Wait()
	return c
}

func (c *timed) readAll() {
	for {
		first, p, err := c.frame()
		c.mu.Lock()
		switch {
		case err != nil:
			c.over = true
			c.mu.Unlock()
			return
		case first == shut:
			c.code = int(p[0])<<8 | int(p[1])
		case first == ping:
			c.pings++
			if c.answer {
				_, _ = c.Write(masked(pong, p))
			}
		case first == text:
			for line := range bytes.SplitSeq(p, []byte{'\n'}) {
				var f frame
				_ = json.Unmarshal(line, &f)
				c.frames = append(c.frames, f)
			}
		}
		c.mu.Unlock()
	}
}

func (c *timed) seen() (frames []frame, pings, code int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frames, c.pings, c.code
}

func (c *timed) stop(t *testing.T, bus hub.Bus) {
	_ = c.Close()
	require.NoError(t, c.Shutdown(t.Context()))
	require.NoError(t, bus.Close())
}

func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestSec_S5_Heartbeat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := membus.New(membus.Options{})
		c := newTimed(t, bus, hub.Options{}, desk{}, agent("ana", "org/o1", "group/g1"))
		pos, err := c.Publish(t.Context(), "org/o1", "x", count{1})
		require.NoError(t, err)
		after(26 * time.Second)
		frames, pings, _ := c.seen()
		require.Len(t, frames, 3)
		require.Equal(t, 1, pings)
		beat := frames[2]
		require.Equal(t, wire.Heartbeat, beat.Type)
		require.InDelta(t, float64(omni.MillisOf(time.Now())), float64(beat.At), 15_000)
		var d wire.HeartbeatData
		require.NoError(t, json.Unmarshal(beat.Data, &d))
		require.Equal(t, wire.HeartbeatData{Offsets: map[string]int64{"org/o1": pos.Offset, "group/g1": 0}}, d)

		after(10 * time.Minute)
		frames, pings, code := c.seen()
		require.InDelta(t, 26, len(frames)-1, 2)
		require.InDelta(t, 25, pings, 2)
		require.Zero(t, code, "whoever answers stays")
		c.stop(t, bus)
	})
}

func TestSec_S5_SilentClientIsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := membus.New(membus.Options{})
		c := newTimed(t, bus, hub.Options{}, desk{}, agent("ana", "org/o1"))
		c.mu.Lock()
		c.answer = false
		c.mu.Unlock()
		after(59 * time.Second)
		_, _, code := c.seen()
		require.Zero(t, code)
		after(2 * time.Second)
		_, _, code = c.seen()
		require.Equal(t, hub.CloseSilent, code)
		after(11 * time.Second)
		c.mu.Lock()
		over := c.over
		c.mu.Unlock()
		require.True(t, over, "it is not waited for longer than the closing handshake may take")
		require.Zero(t, c.Stats().Connections)
		c.stop(t, bus)
	})
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := membus.New(membus.Options{})
		p := agent("ana", "org/o1")
		begin := time.Now()
		p.ExpiresAt = omni.MillisOf(begin.Add(5 * time.Minute))
		c := newTimed(t, bus, hub.Options{}, desk{handle: func(_ context.Context, c *hub.Conn, cmd wire.Command) (any, error) {
			ends := omni.MillisOf(begin.Add(8 * time.Minute))
			c.Extend(ends)
			return wire.AuthRefreshed{ExpiresAt: ends}, nil
		}}, p)
		frames, _, _ := c.seen()
		var in wire.Connected
		require.NoError(t, json.Unmarshal(frames[0].Data, &in))
		require.Equal(t, p.ExpiresAt, in.ExpiresAt)
		after(4 * time.Minute)
		c.send(t, masked(text, command(2, wire.CmdAuthRefresh, wire.AuthRefresh{})))
		after(4*time.Minute - time.Second)
		_, _, code := c.seen()
		require.Zero(t, code)
		after(time.Second + time.Millisecond)
		_, _, code = c.seen()
		require.Equal(t, hub.CloseSession, code)
		c.stop(t, bus)
	})
}

func TestIdleTopicsAreLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bus := membus.New(membus.Options{})
		c := newTimed(t, bus, hub.Options{}, desk{}, agent("ana", "org/o1"))
		require.Equal(t, 1, c.Stats().Topics)
		_ = c.Close()
		after(time.Second)
		require.Equal(t, 1, c.Stats().Topics, "a reload costs the bus nothing")
		after(4 * time.Second)
		require.Zero(t, c.Stats().Topics)
		c.stop(t, bus)
	})
}

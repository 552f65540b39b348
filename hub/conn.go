package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"omniservice/omni"
	"omniservice/omni/wire"
)

const (
	maxInbox      = 64        // client frames that may wait for a slow command
	maxInboxBytes = 512 << 10 // of them
	maxJoined     = 128       // passing topics of one connection
	keepQueue     = 8         // places that an empty queue keeps: more is given back
	lastWords     = time.Second
	lastBytes     = 1 << 20
)

// Conn is one client. It has a goroutine that reads; one that writes and one that does commands exist only while
// there is something to write or do. Methods are safe for concurrent use.
type Conn struct {
	hub     *Hub
	id      string
	handler Handler
	peer    Peer
	owner   string // whose limit it counts against; guarded by hub.mu
	ws      *websocket.Conn
	sock    *sock
	timer   *time.Timer
	limit   bucket         // used by the reader alone
	work    sync.WaitGroup // writer and commands
	topics  sync.Mutex     // one change of subscriptions at a time; taken before any other lock

	mu        sync.Mutex
	principal Principal
	subs      []*sub
	ready     bool // connect was answered
	held      bool // events wait until connect is answered
	stale     bool // topics changed while connect was under way
	closing   bool // closeFrame will be, or has been, the last thing written
	dead      bool // nothing is written any more
	writing   bool
	working   bool
	ping      bool
	pong      []byte     // payload of the ping to be answered; nil: none
	backlog   []*message // the answer to connect and what was missed: goes before queue, and is not counted
	queue     []*message
	bytes     int // of queue
	inbox     [][]byte
	inboxSize int
	closeWith []byte // payload of the close frame that is still to be written
	code      int    // that we closed with
	draining  string // reason; empty: not draining
	nextBeat  time.Time
}

// bucket is a rate limit for one goroutine.
type bucket struct {
	tokens float64
	at     time.Time
}

func (b *bucket) take(n int, rate, burst int) bool {
	now := time.Now()
	if b.at.IsZero() {
		b.tokens = float64(burst)
	} else {
		b.tokens = min(float64(burst), b.tokens+now.Sub(b.at).Seconds()*float64(rate))
	}
	b.at = now
	if b.tokens < float64(n) {
		return false
	}
	b.tokens -= float64(n)
	return true
}

// ID identifies the connection in logs, and to its client.
func (c *Conn) ID() string { return c.id }

// Peer is what was known at the handshake.
func (c *Conn) Peer() Peer { return c.peer }

// Principal says whose connection it is; Topics is empty. Before Authenticate has answered it is zero.
func (c *Conn) Principal() Principal {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.principal
}

func (c *Conn) connected() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready {
		c.stale = true
	}
	return c.ready
}

// Join lets the client hear what passes on a topic, such as interaction/<id>, until Leave. Joining twice is joining
// once. The topic is not part of the heartbeat and not resumed.
func (c *Conn) Join(ctx context.Context, topic string) error { return c.follow(ctx, topic, false) }

// Leave ends Join. It does nothing to a granted topic.
func (c *Conn) Leave(topic string) {
	c.unfollow(func(s *sub) bool { return s.topic.name == topic && !s.granted })
}

// Grant gives the client a durable topic from now on. The client finds it in its next heartbeat, with its epoch.
func (c *Conn) Grant(ctx context.Context, topic string) error { return c.follow(ctx, topic, true) }

// Revoke ends Grant, or Join: when it has returned, no event of the topic is queued for the client any more.
func (c *Conn) Revoke(topic string) {
	c.unfollow(func(s *sub) bool { return s.topic.name == topic })
}

// Extend moves the end of the connection; 0 means that it has none.
func (c *Conn) Extend(expires omni.Millis) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.principal.ExpiresAt = expires
	if c.ready && !c.closing && !c.dead {
		c.timer.Reset(time.Until(c.nextTick(time.Now())))
	}
}

// Close sends what waits, then a close frame with one of this package's codes and a reason of at most 123 bytes, and
// cuts the connection when the client has answered, or does not. It does not wait for any of this. Only the first
// Close counts.
func (c *Conn) Close(code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close(code, reason)
}

// close is Close with mu held.
func (c *Conn) close(code int, reason string) {
	if c.closing || c.dead || c.timer == nil { // still in its handshake: start looks again
		return
	}
	c.closing, c.code, c.closeWith = true, code, closePayload(code, reason)
	c.inbox, c.inboxSize = nil, 0
	if c.held { // events must not come before the answer to connect, and that will not come
		c.dropQueue()
		c.held = false
	}
	if code == CloseSlow {
		c.hub.n.slow.Add(1)
		c.dropQueue()
		c.backlog = nil
	}
	c.timer.Reset(c.hub.opts.WriteTimeout)
	c.wakeWriter()
}

func (c *Conn) dropQueue() {
	c.hub.n.dropped.Add(uint64(len(c.queue)))
	c.queue, c.bytes = nil, 0
}

// drain closes the connection as soon as the command that it is in has been answered.
func (c *Conn) drain(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.working {
		c.draining = reason
		return
	}
	c.close(CloseRestart, reason)
}

// cut ends the connection without a word.
func (c *Conn) cut() {
	c.mu.Lock()
	s := c.sock
	c.mu.Unlock()
	if s != nil {
		_ = s.Close()
	}
}

// may reports whether p can have the topic at all: whatever a Handler says, nobody gets another's. Groups are known
// to the Handler alone.
func may(p Principal, topic string) bool {
	kind, id, ok := strings.Cut(topic, "/")
	switch {
	case !ok || id == "":
		return false
	case kind == "org":
		return id == p.OrgID
	case kind == "user":
		return id == p.UserID
	case kind == "visitor":
		return id == p.VisitorID
	default:
		return true
	}
}

func (c *Conn) follow(ctx context.Context, topic string, granted bool) error {
	c.topics.Lock()
	defer c.topics.Unlock()
	joined := 0
	c.mu.Lock()
	p := c.principal
	for _, s := range c.subs {
		if s.topic.name == topic {
			s.granted = s.granted || granted
			c.mu.Unlock()
			return nil
		}
		if !s.granted {
			joined++
		}
	}
	c.mu.Unlock()
	if !may(p, topic) {
		return fmt.Errorf("follow %s: %w", topic, omni.ErrForbidden)
	}
	if !granted && joined >= maxJoined {
		return omni.Problemf(omni.ErrRateLimited, "too many conversations are open in this window: close some")
	}
	s, _, err := c.hub.attach(ctx, c, topic, Position{}, granted)
	if err != nil {
		return err
	}
	return c.keep(s)
}

// keep adds a subscription to a connection that still lives.
func (c *Conn) keep(s *sub) error {
	c.mu.Lock()
	dead := c.dead
	if !dead {
		c.subs = append(c.subs, s)
	}
	c.mu.Unlock()
	if dead {
		c.hub.detach(s)
		return fmt.Errorf("follow %s: the connection is closed: %w", s.topic.name, omni.ErrUnavailable)
	}
	return nil
}

func (c *Conn) unfollow(which func(*sub) bool) {
	c.topics.Lock()
	defer c.topics.Unlock()
	var gone []*sub
	c.mu.Lock()
	c.subs = slices.DeleteFunc(c.subs, func(s *sub) bool {
		if which(s) {
			gone = append(gone, s)
			return true
		}
		return false
	})
	c.mu.Unlock()
	for _, s := range gone {
		c.hub.detach(s)
	}
}

// setTopics makes topics the granted ones.
func (c *Conn) setTopics(ctx context.Context, topics []string) error {
	c.unfollow(func(s *sub) bool { return s.granted && !slices.Contains(topics, s.topic.name) })
	for _, t := range topics {
		if err := c.Grant(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// heard lists the granted topics.
func (c *Conn) heard() []heard {
	c.mu.Lock()
	defer c.mu.Unlock()
	hs := make([]heard, 0, len(c.subs))
	for _, s := range c.subs {
		if s.granted {
			hs = append(hs, heard{topic: s.topic.name, epoch: s.told})
		}
	}
	return hs
}

// ---- reading

// start begins to read. The caller has registered c.
func (c *Conn) start(ws *websocket.Conn, s *sock) {
	c.mu.Lock()
	c.ws, c.sock = ws, s
	c.timer = time.AfterFunc(c.hub.opts.ConnectTimeout, c.tick)
	c.mu.Unlock()
	go c.read()
	c.hub.mu.Lock()
	late := c.hub.state != hubOpen
	c.hub.mu.Unlock()
	if late { // Shutdown began during the handshake and may have looked before
		c.drain("retry=1000")
	}
}

// read runs until the connection ends, and then clears up.
func (c *Conn) read() {
	err := c.readLoop()
	status := websocket.CloseStatus(err)
	if status == -1 && !c.sock.readFail.Load() {
		// coder/websocket does not say goodbye for each of the ways to break the protocol.
		if c.sock.writeClose(closePayload(CloseProtocol, "protocol error")) == nil {
			c.linger()
		}
	}
	c.end(int(status))
}

func (c *Conn) readLoop() error {
	// A context that can end would cost an AfterFunc for each read. Close and the timer end the connection instead.
	ctx := context.Background()
	for {
		typ, r, err := c.ws.Reader(ctx)
		if err != nil {
			return err
		}
		frame, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		switch {
		case typ != websocket.MessageText:
			c.Close(CloseProtocol, "only text")
		case !utf8.Valid(frame):
			c.Close(CloseUTF8, "not UTF-8")
		case !c.allow(1 + bytes.Count(frame, []byte{'\n'})):
			c.Close(ClosePolicy, "too many messages")
		default:
			c.take(frame)
		}
	}
}

func (c *Conn) allow(n int) bool {
	return c.limit.take(n, c.hub.opts.MessageRate, c.hub.opts.MessageBurst)
}

// pinged answers a ping in place of coder/websocket, which would have the reader wait for a slow writer.
func (c *Conn) pinged(_ context.Context, payload []byte) bool {
	if !c.allow(1) {
		c.Close(ClosePolicy, "too many pings")
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pong = append(make([]byte, 0, len(payload)), payload...)
	c.wakeWriter()
	return false
}

// take queues a client's frame for the goroutine that does commands.
func (c *Conn) take(frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing || c.dead {
		return
	}
	if len(c.inbox) >= maxInbox || c.inboxSize+len(frame) > maxInboxBytes {
		c.close(ClosePolicy, "too many messages at once")
		return
	}
	c.inbox = append(c.inbox, frame)
	c.inboxSize += len(frame)
	if !c.working {
		c.working = true
		c.work.Go(c.workLoop)
	}
}

// linger gives a client that still sends the chance to read our close frame: closing at once would reset the
// connection, and the frame would be thrown away unread.
func (c *Conn) linger() {
	if w, ok := c.sock.Conn.(interface{ CloseWrite() error }); ok {
		_ = w.CloseWrite()
	}
	_ = c.sock.SetReadDeadline(time.Now().Add(lastWords))
	_, _ = io.CopyN(io.Discard, c.sock.Conn, lastBytes)
}

// end clears up. status is the client's close code, -1 if it sent none.
func (c *Conn) end(status int) {
	c.mu.Lock()
	c.dead = true
	code := c.code
	subs := c.subs
	c.subs, c.backlog, c.inbox, c.pong = nil, nil, nil, nil
	c.dropQueue()
	c.timer.Stop()
	c.mu.Unlock()
	_ = c.ws.CloseNow()
	c.cut()
	for _, s := range subs {
		c.hub.detach(s)
	}
	c.hub.unregister(c)
	c.work.Wait()
	c.hub.log.Debug("connection ended", "conn_id", c.id, "org_id", c.Principal().OrgID, "reason", max(code, status))
	c.hub.conns.Done()
}

// tick is the connection's one timer: connect in time, heartbeat, silence, expiry, and the end of closing.
func (c *Conn) tick() {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	opts := &c.hub.opts
	silent := now.Sub(time.Unix(0, c.sock.seen.Load()))
	expires := c.principal.ExpiresAt.Time()
	switch {
	case c.dead:
	case c.closing:
		go c.cut() // closing a TLS connection may block
	case !c.ready && c.principal.OrgID == "":
		c.close(CloseSession, "no connect in time")
	case !c.ready:
		c.close(CloseUnavailable, "connect took too long")
	case silent >= opts.Silence:
		c.close(CloseSilent, "no answer")
	case !expires.IsZero() && !now.Before(expires):
		c.close(CloseSession, "session expired")
	default:
		if !now.Before(c.nextBeat) {
			c.nextBeat = c.nextBeat.Add(opts.Heartbeat)
			if c.nextBeat.Before(now) {
				c.nextBeat = now.Add(opts.Heartbeat)
			}
			c.hub.beats.add(c)
		}
		c.timer.Reset(time.Until(c.nextTick(now)))
	}
}

// nextTick is when something may be due. The caller holds mu.
func (c *Conn) nextTick(now time.Time) time.Time {
	at := c.nextBeat
	if s := time.Unix(0, c.sock.seen.Load()).Add(c.hub.opts.Silence); s.Before(at) {
		at = s
	}
	if e := c.principal.ExpiresAt.Time(); !e.IsZero() && e.Before(at) {
		at = e
	}
	if at.Before(now) {
		at = now
	}
	return at
}

// ---- commands

// workLoop does the client's commands in order until none waits.
func (c *Conn) workLoop() {
	for {
		c.mu.Lock()
		if c.draining != "" {
			c.close(CloseRestart, c.draining)
		}
		if len(c.inbox) == 0 || c.closing || c.dead {
			c.working = false
			c.inbox, c.inboxSize = nil, 0
			c.mu.Unlock()
			return
		}
		frame := c.inbox[0]
		c.inbox[0] = nil
		c.inbox = c.inbox[1:]
		c.inboxSize -= len(frame)
		c.mu.Unlock()

		cmds, err := decodeCommands(frame)
		if err != nil {
			c.Close(CloseProtocol, errFrame.Error())
			continue
		}
		for _, cmd := range cmds {
			if c.busy() {
				break
			}
			c.do(cmd)
		}
	}
}

// busy reports whether no further command is to be begun.
func (c *Conn) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing || c.dead || c.draining != ""
}

func (c *Conn) do(cmd wire.Command) {
	ctx, cancel := context.WithTimeout(c.hub.base, c.hub.opts.HandleTimeout)
	defer cancel()
	c.hub.n.commands.Add(1)
	c.mu.Lock()
	ready := c.ready
	c.mu.Unlock()
	switch {
	case !ready && cmd.Type == wire.CmdConnect && cmd.ID > 0:
		c.connect(ctx, cmd)
	case !ready: // before connect nothing is answered
		c.Close(CloseSession, "connect first")
	case cmd.ID <= 0 || cmd.Type == "":
		c.answer(cmd.ID, nil, omni.Problemf(omni.ErrInvalid, "a command needs a positive id and a type"))
	case cmd.Type == wire.CmdConnect:
		c.answer(cmd.ID, nil, omni.Problemf(omni.ErrConflict, "this connection is connected"))
	default:
		data, err := c.call(ctx, cmd)
		c.answer(cmd.ID, data, err)
	}
}

func (c *Conn) call(ctx context.Context, cmd wire.Command) (data any, err error) {
	defer c.recovered(&err)
	return c.handler.Handle(ctx, c, cmd)
}

func (c *Conn) authenticate(ctx context.Context, in wire.Connect) (p Principal, err error) {
	defer c.recovered(&err)
	return c.handler.Authenticate(ctx, in, c.peer)
}

func (c *Conn) recovered(err *error) {
	if v := recover(); v != nil {
		c.hub.n.panics.Add(1)
		*err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
	}
}

// answer queues the answer to a command. What is internal about an error is logged here and told to nobody.
func (c *Conn) answer(id int64, data any, err error) {
	m := c.reply(id, data, err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.push(m)
}

func (c *Conn) reply(id int64, data any, err error) *message {
	if err == nil {
		m, encErr := encode(wire.Reply{ID: id, Type: "ok", Data: data})
		if encErr == nil {
			return m
		}
		err = fmt.Errorf("encode answer: %w", encErr)
	}
	e := ErrorOf(err)
	if e.Code == omni.CodeInternal {
		c.hub.log.Error("command failed", "conn_id", c.id, "org_id", c.Principal().OrgID, "err", err)
	}
	m, encErr := encode(wire.Reply{ID: id, Type: "error", Error: e})
	if encErr != nil { // details that are no JSON
		c.hub.log.Error("error not encoded", "conn_id", c.id, "err", encErr)
		m, _ = encode(wire.Reply{ID: id, Type: "error", Error: ErrorOf(errors.New("details"))})
	}
	return m
}

// connect authenticates the client, gives it its topics and what it missed of them.
//
// Nothing is lost or doubled between history and live: each topic is followed first, from a known offset on, and what
// comes is held back; from history is taken only what is not newer than that offset.
func (c *Conn) connect(ctx context.Context, cmd wire.Command) {
	in, err := parseConnect(cmd.Data)
	if err != nil {
		c.refuse(cmd.ID, err, CloseProtocol)
		return
	}
	asked := time.Now()
	p, err := c.authenticate(ctx, in)
	if err == nil && p.OrgID == "" {
		err = errors.New("a principal without an organisation")
	}
	if err == nil && p.ExpiresAt != 0 && !asked.Before(p.ExpiresAt.Time()) {
		err = omni.Problemf(omni.ErrUnauthenticated, "the session has ended")
	}
	if err == nil {
		err = c.hub.admit(c, p, asked)
	}
	if err != nil {
		c.hub.n.refused.Add(1)
		c.refuse(cmd.ID, err, closeFor(err))
		return
	}
	states, missed, err := c.resume(ctx, p, in.Resume)
	if err != nil {
		c.refuse(cmd.ID, err, closeFor(err))
		return
	}
	answer := c.reply(cmd.ID, wire.Connected{
		ConnectionID: c.id, UserID: p.UserID, VisitorID: p.VisitorID, ServerTime: omni.MillisOf(time.Now()),
		HeartbeatMs: c.hub.opts.Heartbeat.Milliseconds(), ExpiresAt: p.ExpiresAt, Topics: states,
	}, nil)

	c.mu.Lock()
	stale := c.stale
	if !c.closing && !c.dead {
		c.ready, c.held = true, false
		c.backlog = append([]*message{answer}, missed...)
		now := time.Now()
		half := c.hub.opts.Heartbeat / 2
		c.nextBeat = now.Add(half + rand.N(half)) //nolint:gosec // spreads load, hides nothing
		c.timer.Reset(time.Until(c.nextTick(now)))
		c.wakeWriter()
	}
	c.mu.Unlock()
	if stale {
		c.hub.background(func() { //nolint:contextcheck // it outlives this command
			c.hub.regrantConn(c, map[login][]string{})
		})
	}
}

func parseConnect(data json.RawMessage) (wire.Connect, error) {
	var in wire.Connect
	if err := json.Unmarshal(data, &in); err != nil {
		return in, omni.Problemf(omni.ErrInvalid, "the data of connect is not an object as it should be")
	}
	n := 0
	for _, s := range []string{in.Ticket, in.Token, in.APIKey} {
		if s != "" {
			n++
		}
	}
	if n != 1 {
		return in, omni.Problemf(omni.ErrInvalid, "connect needs exactly one of ticket, token and apiKey")
	}
	return in, nil
}

// refuse answers connect with an error and closes.
func (c *Conn) refuse(id int64, err error, code int) {
	m := c.reply(id, nil, err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing && !c.dead {
		c.dropQueue()
		c.held = false
		c.backlog = []*message{m}
		c.close(code, string(ErrorOf(err).Code))
	}
}

// closeFor is the close code after a connect that failed.
func closeFor(err error) int {
	switch ErrorOf(err).Code {
	case omni.CodeUnauthenticated, omni.CodeNotFound:
		return CloseSession
	case omni.CodeForbidden:
		return CloseRemoved
	case omni.CodeRateLimited:
		return ClosePolicy
	case omni.CodeInvalid, omni.CodeUnsupported:
		return CloseProtocol
	default:
		return CloseUnavailable
	}
}

// resume follows p's topics and says for each in which state it is; missed holds the events that go before live ones.
func (c *Conn) resume(ctx context.Context, p Principal, known []wire.TopicPosition) (states []wire.TopicState, missed []*message, err error) {
	c.topics.Lock()
	defer c.topics.Unlock()
	from := make(map[string]Position, len(known))
	for _, k := range known {
		from[k.Topic] = Position{Epoch: k.Epoch, Offset: k.Offset}
	}
	states = make([]wire.TopicState, 0, len(p.Topics))
	room := c.hub.opts.ReplayBytes
	seen := map[string]bool{}
	for _, name := range p.Topics {
		if seen[name] {
			continue
		}
		seen[name] = true
		if !may(p, name) {
			return nil, nil, fmt.Errorf("a principal with a topic %q of somebody else", name)
		}
		since, asked := from[name]
		s, pos, err := c.hub.attach(ctx, c, name, since, true)
		if err != nil {
			return nil, nil, err
		}
		s.told = pos.Epoch
		if err := c.keep(s); err != nil {
			return nil, nil, err
		}
		st := wire.TopicState{Topic: name, Epoch: pos.Epoch, Offset: pos.Offset, State: wire.Fresh}
		if asked {
			var ms []*message
			if ms, err = c.hub.recover(ctx, s, since, &st, room); err != nil {
				return nil, nil, err
			}
			for _, m := range ms {
				room -= m.size()
			}
			missed = append(missed, ms...)
		}
		states = append(states, st)
	}
	return states, missed, nil
}

// recover finds what a client that knows the topic up to since has missed up to st.Offset, from where s gives it
// live events, and sets st.State. If it cannot be had within room bytes the state is wire.Reset.
func (h *Hub) recover(ctx context.Context, s *sub, since Position, st *wire.TopicState, room int) ([]*message, error) {
	missing := st.Offset - since.Offset
	switch {
	case since.Epoch != st.Epoch, since.Offset < 0, missing > int64(h.opts.ReplayEvents):
		h.n.reset.Add(1)
		st.State = wire.Reset
		return nil, nil
	case missing == 0:
		h.n.recovered.Add(1)
		st.State = wire.Recovered
		return nil, nil
	case missing < 0:
		return nil, h.recoverAhead(ctx, s, since, st)
	}
	es, _, ok, err := h.bus.History(ctx, st.Topic, since, int(missing))
	if err != nil {
		return nil, fmt.Errorf("resume %s: %w", st.Topic, omni.Problemf(omni.ErrUnavailable, "what was missed cannot be read at the moment"))
	}
	ms := make([]*message, 0, len(es))
	for i, e := range es {
		m, err := encodeEvent(st.Topic, e)
		if err != nil || e.Offset != since.Offset+int64(i)+1 {
			ok = false
			break
		}
		room -= m.size()
		ms = append(ms, m)
	}
	if !ok || int64(len(ms)) != missing || room < 0 {
		h.n.reset.Add(1)
		st.State = wire.Reset
		return nil, nil
	}
	h.n.recovered.Add(1)
	st.State = wire.Recovered
	return ms, nil
}

// recoverAhead is recover for a client that knows more than this node has been given: it came from a faster node, or
// says what is not so. Which of the two the bus knows. attach has seen to it that the client gets nothing twice.
func (h *Hub) recoverAhead(ctx context.Context, s *sub, since Position, st *wire.TopicState) error {
	now, err := h.bus.Positions(ctx, []string{st.Topic})
	if err != nil {
		return fmt.Errorf("resume %s: %w", st.Topic, omni.Problemf(omni.ErrUnavailable, "what was missed cannot be read at the moment"))
	}
	if p := now[st.Topic]; p.Epoch == since.Epoch && p.Offset >= since.Offset {
		h.n.recovered.Add(1)
		st.State, st.Offset = wire.Recovered, since.Offset
		return nil
	}
	h.n.reset.Add(1)
	s.topic.mu.Lock()
	s.offset = s.topic.pos.Offset
	st.State, st.Epoch, st.Offset = wire.Reset, s.topic.pos.Epoch, s.offset
	s.topic.mu.Unlock()
	return nil
}

// ---- writing

// enqueue queues an event.
func (c *Conn) enqueue(m *message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.push(m)
}

// push is enqueue with mu held. Over the limit it closes the connection rather than leave anything out.
func (c *Conn) push(m *message) {
	if c.closing || c.dead {
		return
	}
	if len(c.queue) >= c.hub.opts.QueueMessages || c.bytes+m.size() > c.hub.opts.QueueBytes {
		c.close(CloseSlow, "too slow")
		return
	}
	c.queue = append(c.queue, m)
	c.bytes += m.size()
	c.wakeWriter()
}

// beat queues a heartbeat and a ping, whose answer shows that the client lives.
func (c *Conn) beat(m *message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ping = true
	c.push(m)
}

// wakeWriter sees to it that somebody writes. The caller holds mu.
func (c *Conn) wakeWriter() {
	if c.writing || c.dead {
		return
	}
	c.writing = true
	c.work.Go(c.writeLoop)
}

// joined are buffers for frames of several messages.
var joined = sync.Pool{New: func() any {
	b := make([]byte, 0, 4<<10)
	return &b
}}

// writeLoop writes until nothing waits.
func (c *Conn) writeLoop() {
	var batch [maxObjects]*message
	for {
		out, ok := c.nextWrite(batch[:0])
		if !ok {
			return
		}
		if c.send(out) != nil {
			c.mu.Lock()
			c.dead, c.writing = true, false
			c.dropQueue()
			c.mu.Unlock()
			c.cut()
			return
		}
	}
}

// outgoingFrames is what one write takes.
type outgoingFrames struct {
	pong      []byte
	ping      bool
	messages  []*message // one text frame
	size      int        // of it
	closeWith []byte
}

// nextWrite takes what one write can hold. It reports false when there is nothing, and the writer has to end.
func (c *Conn) nextWrite(batch []*message) (outgoingFrames, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		c.writing = false
		return outgoingFrames{}, false
	}
	out := outgoingFrames{pong: c.pong, ping: c.ping, messages: batch}
	c.pong, c.ping = nil, false
	if !c.held {
		c.backlog = out.fill(c.backlog)
		before := len(out.messages)
		rest := c.queue
		if len(c.backlog) == 0 {
			c.backlog = nil
			rest = out.fill(c.queue)
		}
		for _, m := range out.messages[before:] {
			c.bytes -= m.size()
		}
		c.setQueue(rest)
	}
	if c.closing && len(c.backlog) == 0 && len(c.queue) == 0 {
		out.closeWith, c.closeWith = c.closeWith, nil
	}
	if out.pong == nil && !out.ping && len(out.messages) == 0 && out.closeWith == nil {
		c.writing = false
		return out, false
	}
	return out, true
}

// setQueue makes rest, the end of queue, the queue. The places before it are used again.
func (c *Conn) setQueue(rest []*message) {
	n := copy(c.queue, rest)
	clear(c.queue[n:])
	c.queue = c.queue[:n]
	if n == 0 && cap(c.queue) > keepQueue {
		c.queue = nil
	}
}

// fill moves messages into the frame while they fit, and returns the rest. One that is too large goes alone.
func (o *outgoingFrames) fill(from []*message) []*message {
	for i, m := range from {
		size := m.size()
		if len(o.messages) > 0 {
			size += 1 + o.size
		}
		if len(o.messages) == maxObjects || len(o.messages) > 0 && size > maxFrame {
			return from[i:]
		}
		o.size = size
		o.messages = append(o.messages, m)
	}
	return nil
}

// send writes o in one write.
func (c *Conn) send(o outgoingFrames) error {
	n := len(o.messages)
	c.hub.n.delivered.Add(uint64(n))
	c.hub.n.writes.Add(1)
	if n == 1 && o.pong == nil && !o.ping && o.closeWith == nil {
		return c.sock.write(o.messages[0].frame, false)
	}
	p := joined.Get().(*[]byte)
	defer joined.Put(p)
	b := (*p)[:0]
	if o.pong != nil {
		b = appendControl(b, finPong, o.pong)
	}
	if o.ping {
		b = appendControl(b, finPing, nil)
	}
	if n > 0 {
		b = appendHead(b, finText, o.size)
		for i, m := range o.messages {
			if i > 0 {
				b = append(b, '\n')
			}
			b = append(b, m.body()...)
		}
	}
	if o.closeWith != nil {
		b = appendControl(b, finClose, o.closeWith)
	}
	*p = b
	return c.sock.write(b, o.closeWith != nil)
}

package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"omniservice/omni"
	"omniservice/omni/wire"
)

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
	c.hub.leases.begin(c, p)
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

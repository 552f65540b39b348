package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"omniservice/internal/wait"
	"omniservice/omni"
)

// controlTopic is how nodes tell each other what concerns connections rather than clients. No client can follow it:
// the topics of clients hold a slash.
const controlTopic = "control"

const (
	controlClose   = "close"
	controlRegrant = "regrant"
	controlSignal  = "signal" // passing: nobody makes good that one was lost
	controlRenew   = "renew"  // passing, too: heartbeats find out
)

// keepRecent is how long a connection that was being let in when its session was closed can still be found out.
const keepRecent = time.Minute

// control names connections of one organisation and what is to be done with them. Empty fields match all.
type control struct {
	Node      string `json:"node"` // who sent it
	OrgID     string `json:"orgId"`
	UserID    string `json:"userId,omitempty"`
	VisitorID string `json:"visitorId,omitempty"`
	SessionID string `json:"sessionId,omitempty"`
	Code      int    `json:"code,omitempty"`
	Reason    string `json:"reason,omitempty"`

	Signal json.RawMessage `json:"signal,omitempty"`
}

type recentControl struct {
	at      time.Time
	op      string
	control control
}

func (c control) matches(p Principal) bool {
	return c.OrgID != "" && c.OrgID == p.OrgID &&
		(c.UserID == "" || c.UserID == p.UserID) &&
		(c.VisitorID == "" || c.VisitorID == p.VisitorID) &&
		(c.SessionID == "" || c.SessionID == p.SessionID)
}

// CloseSession closes the connections of one login, visitor session or API key on all nodes: logout. An error means
// that the other nodes will hear of it later; on this one it is done.
func (h *Hub) CloseSession(ctx context.Context, orgID, sessionID string, code int, reason string) error {
	if sessionID == "" {
		return fmt.Errorf("close session without an id: %w", omni.ErrInvalid)
	}
	return h.tell(ctx, controlClose, control{OrgID: orgID, SessionID: sessionID, Code: code, Reason: reason})
}

// CloseUser closes the connections of one user on all nodes, such as with CloseRemoved. Errors as of CloseSession.
func (h *Hub) CloseUser(ctx context.Context, orgID, userID string, code int, reason string) error {
	if userID == "" {
		return fmt.Errorf("close user without an id: %w", omni.ErrInvalid)
	}
	return h.tell(ctx, controlClose, control{OrgID: orgID, UserID: userID, Code: code, Reason: reason})
}

// CloseVisitor closes the connections of one visitor on all nodes. Errors as of CloseSession.
func (h *Hub) CloseVisitor(ctx context.Context, orgID, visitorID string, code int, reason string) error {
	if visitorID == "" {
		return fmt.Errorf("close visitor without an id: %w", omni.ErrInvalid)
	}
	return h.tell(ctx, controlClose, control{OrgID: orgID, VisitorID: visitorID, Code: code, Reason: reason})
}

// Regrant asks Options.Regrant again for the connections of a user, or of a whole organisation if userID is empty,
// on all nodes: after a change of groups or their members. Errors as of CloseSession.
func (h *Hub) Regrant(ctx context.Context, orgID, userID string) error {
	return h.tell(ctx, controlRegrant, control{OrgID: orgID, UserID: userID})
}

// CloseWhere closes the connections of this node whose principal matches, and says how many. Those that have not
// said who they are belong to nobody and do not match.
func (h *Hub) CloseWhere(match func(Principal) bool, code int, reason string) int {
	n := 0
	for c := range h.eachConn() {
		if p := c.Principal(); p.OrgID != "" && match(p) {
			c.Close(code, reason)
			n++
		}
	}
	return n
}

// tell does c here and has the other nodes do it.
func (h *Hub) tell(ctx context.Context, op string, c control) error {
	if c.OrgID == "" {
		return fmt.Errorf("%s without an organisation: %w", op, omni.ErrInvalid)
	}
	c.Node = h.node
	e, err := newEntry(op, c)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	e.Key = h.key()
	h.obey(op, c) //nolint:contextcheck // asking for topics again outlives the caller
	if h.out.has(controlTopic) {
		err = omni.Problemf(omni.ErrUnavailable, "the bus is away")
	} else if _, err = h.bus.Publish(ctx, controlTopic, e); err == nil {
		return nil
	}
	e.Again = true
	return fmt.Errorf("tell other nodes to %s: %w", op, errors.Join(err, h.out.add(controlTopic, e)))
}

// followControl makes the node hear what others tell.
func (h *Hub) followControl(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := h.bus.Subscribe(ctx, controlTopic)
	if err == nil {
		_, err = h.bus.Positions(ctx, []string{controlTopic}) // so that the bus knows what to make good
	}
	if err != nil {
		return fmt.Errorf("follow other nodes: %w", err)
	}
	return nil
}

// followControlLater does that when the bus is back. Who was let in meanwhile may have been sent away by another node.
func (h *Hub) followControlLater() {
	for pause := outboxFirstPause; ; pause = min(2*pause, outboxLastPause) {
		_ = wait.For(h.base, pause)
		if h.base.Err() != nil {
			return
		}
		if h.followControl(h.base) == nil {
			h.regrantAll()
			return
		}
	}
}

// Signal has Options.Signalled called on the other nodes, with data as JSON. They may miss it.
func (h *Hub) Signal(ctx context.Context, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("signal: %w", err)
	}
	e, err := newEntry(controlSignal, control{Node: h.node, Signal: raw})
	if err == nil {
		err = h.bus.Announce(ctx, controlTopic, e)
	}
	if err != nil {
		return fmt.Errorf("signal: %w", err)
	}
	return nil
}

// Renew has every topic begin anew, on all nodes: their clients come back, hear wire.Reset, and read what is true from the
// store. It is for when a change may be stored that nobody was told of.
func (h *Hub) Renew(ctx context.Context) error {
	if err := h.bus.Renew(ctx); err != nil {
		return fmt.Errorf("begin topics anew: %w", err)
	}
	h.background(h.lookAgain)
	e, err := newEntry(controlRenew, control{Node: h.node})
	if err == nil {
		err = h.bus.Announce(ctx, controlTopic, e)
	}
	if err != nil {
		h.log.WarnContext(ctx, "other nodes not told of new epochs", "err", err) // their heartbeats find out
	}
	return nil
}

// lookAgain asks where all topics of this node stand, and sends the clients of those that began anew to resume.
func (h *Hub) lookAgain() {
	var names []string
	for i := range h.shards {
		h.shards[i].mu.RLock()
		for name := range h.shards[i].topics {
			names = append(names, name)
		}
		h.shards[i].mu.RUnlock()
	}
	for some := range slices.Chunk(names, resyncPage) {
		ctx, cancel := context.WithTimeout(h.base, busTimeout)
		known, err := h.bus.Positions(ctx, some)
		cancel()
		if err != nil {
			h.log.WarnContext(h.base, "positions not read", "err", err)
			return
		}
		now := time.Now()
		for name, p := range known {
			h.behind(name, p, now)
		}
	}
}

// controlled takes what another node told. It must not block.
func (h *Hub) controlled(e Entry) {
	if e.Type == controlSignal || e.Type == controlRenew {
		var c control
		switch err := json.Unmarshal(e.Data, &c); {
		case err != nil || c.Node == h.node:
		case e.Type == controlRenew:
			h.background(h.lookAgain)
		case h.opts.Signalled != nil:
			h.opts.Signalled(c.Signal)
		}
		return
	}
	before := h.told
	h.told = Position{Epoch: e.Epoch, Offset: e.Offset}
	if e.Type == "" || before.Epoch != "" && (e.Epoch != before.Epoch || e.Offset > before.Offset+1) {
		h.log.WarnContext(h.base, "what other nodes told was lost")
		h.background(h.regrantAll)
	}
	if e.Type == "" {
		return
	}
	var c control
	if err := json.Unmarshal(e.Data, &c); err != nil {
		h.log.ErrorContext(h.base, "control message not understood", "err", err)
		return
	}
	if c.Node != h.node && c.OrgID != "" {
		h.obey(e.Type, c)
	}
}

func (h *Hub) obey(op string, c control) {
	h.remember(op, c)
	switch op {
	case controlClose:
		h.CloseWhere(c.matches, c.Code, c.Reason)
	case controlRegrant:
		h.background(func() { h.regrant(c) })
	}
}

// remember keeps c for connections that are just being let in.
func (h *Hub) remember(op string, c control) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	h.recent = slices.DeleteFunc(h.recent, func(r recentControl) bool { return now.Sub(r.at) > keepRecent })
	h.recent = append(h.recent, recentControl{at: now, op: op, control: c})
}

// login is who a connection belongs to, for asking once about several of one login.
type login struct{ user, visitor, session string }

// regrant asks again for the topics of those whom c names.
func (h *Hub) regrant(c control) {
	known := map[login][]string{}
	for conn := range h.eachConn() {
		if c.matches(conn.Principal()) && conn.connected() {
			h.regrantConn(conn, known)
		}
	}
}

// regrantAll asks again for everybody's topics, which also finds out whose session has ended.
func (h *Hub) regrantAll() {
	known := map[login][]string{}
	for conn := range h.eachConn() {
		if conn.connected() {
			h.regrantConn(conn, known)
		}
	}
}

func (h *Hub) regrantConn(conn *Conn, known map[login][]string) {
	if h.opts.Regrant == nil {
		conn.Close(CloseResync, "topics changed")
		return
	}
	ctx, cancel := context.WithTimeout(h.base, busTimeout)
	defer cancel()
	p := conn.Principal()
	key := login{p.UserID, p.VisitorID, p.SessionID}
	topics, ok := known[key]
	var err error
	if !ok {
		topics, err = h.opts.Regrant(ctx, p)
	}
	if err == nil {
		known[key] = topics
		err = conn.setTopics(ctx, topics)
	}
	switch {
	case err == nil:
	case errors.Is(err, omni.ErrUnauthenticated):
		conn.Close(CloseSession, "session ended")
	case errors.Is(err, omni.ErrForbidden):
		conn.Close(CloseRemoved, "removed")
	default:
		h.log.WarnContext(ctx, "topics not granted again", "conn_id", conn.id, "err", err)
		conn.Close(CloseResync, "topics changed")
	}
}

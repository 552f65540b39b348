package hub

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"omniservice/omni"
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
	org     string // the same, of the organisation
	ws      *websocket.Conn
	sock    *sock
	flusher *flusher
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
	available available
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

	// Guarded by leases.mu.
	places  []place
	noPlace bool // it has ended
}

// available is what a visitor was told of whether somebody is there; zero: nothing yet.
type available uint8

const (
	availableYes available = iota + 1
	availableNo
)

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
	c.lookAway(topic)
}

// Grant gives the client a durable topic from now on. The client finds it in its next heartbeat, with its epoch.
func (c *Conn) Grant(ctx context.Context, topic string) error { return c.follow(ctx, topic, true) }

// Revoke ends Grant, or Join: no event of the topic that comes after it has returned goes to the client.
func (c *Conn) Revoke(topic string) {
	c.unfollow(func(s *sub) bool { return s.topic.name == topic })
	c.lookAway(topic)
}

func (c *Conn) lookAway(topic string) {
	if strings.HasPrefix(topic, omni.InteractionTopic("")) {
		c.hub.leases.leave(c, topic)
	}
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

// may reports whether p can have the topic at all: whatever a Handler says, nobody gets another's. Whose groups and
// interactions are is known to the Handler alone.
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
		return kind == "group" || kind == "interaction"
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

func (c *Conn) follows(topic string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.subs, func(s *sub) bool { return s.topic.name == topic })
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

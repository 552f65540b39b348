package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"omniservice/omni"
	"omniservice/omni/wire"
)

// Options adjust a Hub. The zero value works.
type Options struct {
	Logger *slog.Logger // nil means nothing is logged

	Heartbeat      time.Duration // between heartbeats, the first after half to one of it; 0 means 25 s
	Silence        time.Duration // a client that sends not a byte for so long, not even a pong, is closed; 0 means 60 s
	ConnectTimeout time.Duration // from the handshake to the connect command; 0 means 10 s
	WriteTimeout   time.Duration // for one write, and for the client's part of the closing handshake; 0 means 10 s
	HandleTimeout  time.Duration // for one command; 0 means 30 s
	Drain          time.Duration // over which Shutdown closes the connections; 0 means 15 s
	Lease          time.Duration // a user is there for so long after the last word of their node, which comes in less than half of it; 0 means 30 s
	Linger         time.Duration // and for so long after their last connection ended, so that a page can be loaded again unnoticed; 0 means 5 s

	MaxMessage    int // bytes of one client message; 0 means 64 KiB
	QueueMessages int // that may wait for one connection; 0 means 256
	QueueBytes    int // that may wait for one connection; 0 means 1 MiB
	MessageRate   int // client messages and pings a second; 0 means 20
	MessageBurst  int // that may come at once; 0 means 40

	// Most connections at a time, each counted on this node.
	MaxConnections int // in all; 0 means no limit
	PerUser        int // of one user, or of one API key; 0 means 20
	PerVisitor     int // of one visitor; 0 means 5
	PerOrg         int // of one organisation, its visitors among them; 0 means 50,000
	PerAddress     int // from one client address, logged in or not; 0 means 200

	// A client that resumes gets at most so much; a topic that would need more is answered with wire.Reset.
	ReplayEvents int // of one topic; 0 means 1,000
	ReplayBytes  int // of all topics together; 0 means 1 MiB

	// PendingPublishes is how many events wait in memory while the bus is away; 0 means 10,000.
	PendingPublishes int

	// Signalled is called with what another node gave to Hub.Signal. It must not wait. nil: nothing is done with it.
	Signalled func(data json.RawMessage)

	// Available says whether somebody is there for the visitor p, for the passing event availability. It is asked every
	// AvailableEvery about one visitor of each SessionID. nil: visitors are not told.
	Available      func(ctx context.Context, p Principal) (bool, error)
	AvailableEvery time.Duration // 0 means 3 s

	// Regrant says which topics p may have now. It is called for each open connection that Hub.Regrant names.
	// After an error that wraps omni.ErrUnauthenticated or omni.ErrForbidden the connection is closed for good,
	// after any other it has to come back. nil: connections have to come back.
	Regrant func(ctx context.Context, p Principal) ([]string, error)
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	orDefault(&o.Heartbeat, 25*time.Second)
	orDefault(&o.Silence, time.Minute)
	orDefault(&o.ConnectTimeout, 10*time.Second)
	orDefault(&o.WriteTimeout, 10*time.Second)
	orDefault(&o.HandleTimeout, 30*time.Second)
	orDefault(&o.Drain, 15*time.Second)
	orDefault(&o.Lease, 30*time.Second)
	orDefault(&o.Linger, 5*time.Second)
	orDefault(&o.AvailableEvery, 3*time.Second)
	orDefault(&o.MaxMessage, 64<<10)
	orDefault(&o.QueueMessages, 256)
	orDefault(&o.QueueBytes, 1<<20)
	orDefault(&o.MessageRate, 20)
	orDefault(&o.MessageBurst, 40)
	orDefault(&o.PerUser, 20)
	orDefault(&o.PerVisitor, 5)
	orDefault(&o.PerOrg, 50_000)
	orDefault(&o.PerAddress, 200)
	orDefault(&o.ReplayEvents, 1000)
	orDefault(&o.ReplayBytes, 1<<20)
	orDefault(&o.PendingPublishes, 10_000)
	return o
}

// Principal is who a connection belongs to and what it may hear. Either UserID or VisitorID is set, or neither for
// an API key; SessionID names the login, visitor session or key.
type Principal struct {
	OrgID     string
	UserID    string
	Name      string // under which others see that the user is there; empty: they do not
	VisitorID string
	SessionID string
	Role      omni.Role
	Topics    []string    // durable topics, such as user/<id>, org/<id>, group/<id>, visitor/<id>
	ExpiresAt omni.Millis // when the connection ends unless Conn.Extend moves it; 0: never
}

// Peer is what is known of a client before it has said anything.
type Peer struct {
	Address   string // of the client, as AcceptOptions gave it
	Origin    string // empty if the client sent none, which only programs do
	UserAgent string
}

// Handler is what the hub asks about clients. Methods are called from many goroutines at once, but for one
// connection only one at a time. Of an error the client sees what ErrorOf makes of it; a panic becomes an internal one.
type Handler interface {
	// Authenticate says who sends c, or returns an error that wraps omni.ErrUnauthenticated or omni.ErrForbidden.
	Authenticate(ctx context.Context, c wire.Connect, p Peer) (Principal, error)
	// Handle does one command and returns the data of its answer, nil if there is none. It authorises by
	// conn.Principal itself. Its ctx outlives the connection, so that a client's leaving does not break off a send;
	// it ends after Options.HandleTimeout. An unknown command is omni.ErrUnsupported.
	Handle(ctx context.Context, conn *Conn, cmd wire.Command) (any, error)
}

// AcceptOptions says whom Accept lets in.
type AcceptOptions struct {
	Handler Handler // required
	// Origins are the allowed values of the Origin header, compared to the byte: scheme://host[:port] in lower case.
	Origins []string
	// AllowNoOrigin lets in who sends no Origin: programs. Handler.Authenticate must then insist on a credential
	// that no browser sends by itself.
	AllowNoOrigin bool
	Address       string // of the client, for PerAddress and Peer; empty: not known, not counted
}

// Stats are counts since the start of the hub, but for those that say "now".
type Stats struct {
	Connections   int    // now
	Topics        int    // now followed by this node
	QueueBytes    int64  // now waiting for clients
	Pending       int    // events now waiting for the bus
	Accepted      uint64 // handshakes
	Refused       uint64 // handshakes, and connects over a limit
	Commands      uint64
	Delivered     uint64 // events and answers written to sockets
	Writes        uint64 // that took: several messages can share one
	Dropped       uint64 // messages that waited for a connection which then closed
	SlowCloses    uint64 // connections closed with CloseSlow
	Resyncs       uint64 // times that the bus lost a delivery and the hole was filled, or its clients sent to resume
	Recovered     uint64 // topics resumed without loss
	Reset         uint64 // topics whose history did not reach back
	HandlerPanics uint64
}

type counters struct {
	accepted, refused, commands, delivered, writes, dropped, slow, resyncs, recovered, reset, panics atomic.Uint64
}

const (
	shardCount = 64
	stepDrain  = 20 // batches in which Shutdown closes connections
	leastBatch = 64 // connections that one batch has at least
)

// Hub holds the connections of this node. Methods are safe for concurrent use.
//
// Locks, in the order in which they may be held together: shard.mu, topic.mu, Conn.mu. None is held while the hub
// writes to a socket, calls the bus or calls a Handler.
type Hub struct {
	bus       Bus
	opts      Options
	log       *slog.Logger
	node      string
	keys      string // beginning of the keys of this hub's events
	published atomic.Int64
	n         counters

	seed   maphash.Seed
	shards [shardCount]shard

	base   context.Context // of everything that runs here: from Start to the end of Shutdown
	cancel context.CancelFunc
	conns  sync.WaitGroup
	loops  sync.WaitGroup

	loopsMu sync.Mutex
	ended   bool // nothing is added to loops any more

	mu        sync.Mutex
	state     hubState
	open      map[*Conn]struct{}
	addresses map[string]int
	owners    map[string]int
	orgs      map[string]int
	recent    []recentControl
	stopped   chan struct{}
	stopErr   error

	idleMu sync.Mutex
	idle   map[*topic]struct{}

	beats    beats
	leases   leases
	out      outbox
	flushers []flusher
	turn     atomic.Uint32 // of the flushers
	leaving  chan struct{} // holds one for each connection that is being cleared up
	told     Position      // of the last entry of controlTopic; of controlled alone
}

type hubState int

const (
	hubNew hubState = iota
	hubOpen
	hubDraining
)

// New makes a hub on bus, which stays the caller's to close, after Shutdown.
func New(bus Bus, o Options) (*Hub, error) {
	if bus == nil {
		return nil, fmt.Errorf("new hub without a bus: %w", omni.ErrInvalid)
	}
	o = o.withDefaults()
	if o.MaxMessage < 0 || o.QueueMessages < 1 || o.QueueBytes < 1 || o.MessageRate < 1 || o.MessageBurst < 1 {
		return nil, fmt.Errorf("new hub with a limit below 1: %w", omni.ErrInvalid)
	}
	h := &Hub{
		bus: bus, opts: o, log: o.Logger, node: omni.NewID(), keys: omni.NewToken(5), seed: maphash.MakeSeed(),
		open: map[*Conn]struct{}{}, addresses: map[string]int{}, owners: map[string]int{}, orgs: map[string]int{},
		idle: map[*topic]struct{}{}, stopped: make(chan struct{}),
	}
	for i := range h.shards {
		h.shards[i].topics = map[string]*topic{}
	}
	h.flushers = make([]flusher, runtime.GOMAXPROCS(0))
	h.leaving = make(chan struct{}, runtime.GOMAXPROCS(0))
	for i := range h.flushers {
		h.flushers[i].wake = make(chan struct{}, 1)
	}
	h.beats.wake = make(chan struct{}, 1)
	h.leases = leases{wake: make(chan struct{}, 1), groups: map[string]*leaseGroup{}, dirty: map[*hold]struct{}{}}
	h.out = outbox{limit: o.PendingPublishes, waiting: map[string]int{}, wake: make(chan struct{}, 1)}
	return h, nil
}

// Start lets clients in. While the bus is away they are let in and cannot connect. Of ctx only the values are used;
// Shutdown ends what Start begins.
func (h *Hub) Start(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != hubNew {
		return fmt.Errorf("start hub: %w", omni.ErrConflict)
	}
	h.base, h.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := h.bus.Start(h.base, h.deliver); err != nil { //nolint:contextcheck // delivery ends with Shutdown, not with ctx
		h.cancel()
		return fmt.Errorf("start hub: %w", err)
	}
	h.state = hubOpen
	if err := h.followControl(ctx); err != nil {
		h.log.WarnContext(ctx, "started without the bus", "err", err)
		h.loops.Go(h.followControlLater)
	}
	h.loops.Go(h.beatLoop)
	h.loops.Go(h.leaseLoop)
	h.loops.Go(h.janitorLoop)
	h.loops.Go(h.outboxLoop)
	if h.opts.Available != nil {
		h.loops.Go(h.availabilityLoop)
	}
	for i := range h.flushers {
		h.loops.Go(func() { h.flushLoop(&h.flushers[i]) })
	}
	return nil
}

// Shutdown lets nobody in any more, closes the connections in batches over Options.Drain, each after the command
// that it is in, and waits until they are gone and the bus has what waited for it. What is left when ctx ends is cut,
// and the error says so. Later calls wait for the first.
func (h *Hub) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	before := h.state
	h.state = hubDraining
	h.mu.Unlock()
	switch before {
	case hubNew:
		close(h.stopped)
		return nil
	case hubDraining:
		select {
		case <-h.stopped:
			return h.stopErr
		case <-ctx.Done():
			return ctx.Err()
		}
	case hubOpen:
	}

	var errs []error
	h.drain(ctx)
	if !waitFor(ctx, &h.conns) {
		errs = append(errs, fmt.Errorf("drain: %w", ctx.Err()))
		for c := range h.eachConn() {
			c.cut()
		}
	}
	if n := h.out.flush(ctx); n > 0 {
		errs = append(errs, fmt.Errorf("%d events never reached the bus: %w", n, omni.ErrUnavailable))
	}
	h.loopsMu.Lock()
	h.ended = true
	h.loopsMu.Unlock()
	h.cancel()
	// Handlers have their ctx cancelled now. One that does not listen must not hold the process.
	last, done := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer done()
	if !waitFor(last, &h.conns) || !waitFor(last, &h.loops) {
		errs = append(errs, errors.New("something still runs after its context ended"))
	}
	h.stopErr = errors.Join(errs...)
	close(h.stopped)
	return h.stopErr
}

// drain closes all connections, batch by batch.
func (h *Hub) drain(ctx context.Context) {
	all := slices.Collect(h.eachConn())
	size := max(leastBatch, (len(all)+stepDrain-1)/stepDrain)
	step := h.opts.Drain / stepDrain
	left := time.Duration((len(all)+size-1)/size) * step
	for batch := range slices.Chunk(all, size) {
		reason := "retry=" + strconv.FormatInt(max(left, time.Second).Milliseconds(), 10)
		for _, c := range batch {
			c.drain(reason)
		}
		if left -= step; left > 0 {
			select {
			case <-ctx.Done():
				return
			case <-time.After(step):
			}
		}
	}
}

// waitFor reports whether all of wg ended before ctx did.
func waitFor(ctx context.Context, wg *sync.WaitGroup) bool {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// eachConn ranges over a copy of the open connections, in no order.
func (h *Hub) eachConn() func(yield func(*Conn) bool) {
	h.mu.Lock()
	all := make([]*Conn, 0, len(h.open))
	for c := range h.open {
		all = append(all, c)
	}
	h.mu.Unlock()
	return slices.Values(all)
}

// Accept turns the request into a connection of the hub. It returns when the handshake is done; the connection
// then lives until either side closes it, or Shutdown. After an error the answer has been written: 403 for a foreign
// Origin, 400 for a client that does not speak wire.Subprotocol, 503 when there is no room, else as RFC 6455 says.
func (h *Hub) Accept(w http.ResponseWriter, r *http.Request, o AcceptOptions) error {
	if o.Handler == nil {
		return h.refuse(w, http.StatusInternalServerError, fmt.Errorf("accept without a handler: %w", omni.ErrInvalid))
	}
	origins := r.Header.Values("Origin")
	switch {
	case len(origins) == 0 && o.AllowNoOrigin:
	case len(origins) == 1 && slices.Contains(o.Origins, origins[0]):
	default:
		return h.refuse(w, http.StatusForbidden, omni.Problemf(omni.ErrForbidden, "this site may not connect"))
	}
	if !offers(r.Header, wire.Subprotocol) {
		return h.refuse(w, http.StatusBadRequest, omni.Problemf(omni.ErrInvalid, "the client must offer the subprotocol %s", wire.Subprotocol))
	}
	c := &Conn{hub: h, flusher: h.nextFlusher(), id: omni.NewID(), handler: o.Handler, held: true, peer: Peer{Address: o.Address, UserAgent: strings.Clone(r.UserAgent())}}
	if len(origins) == 1 {
		c.peer.Origin = strings.Clone(origins[0])
	}
	if err := h.register(c); err != nil {
		w.Header().Set("Retry-After", "5")
		return h.refuse(w, http.StatusServiceUnavailable, err)
	}
	hj := &hijack{ResponseWriter: w, timeout: h.opts.WriteTimeout}
	ws, err := websocket.Accept(hj, r, &websocket.AcceptOptions{
		Subprotocols:       []string{wire.Subprotocol},
		InsecureSkipVerify: true, // the Origin was compared above, more strictly
		CompressionMode:    websocket.CompressionDisabled,
		OnPingReceived:     c.pinged,
	})
	if err != nil {
		h.unregister(c)
		h.conns.Done()
		h.n.refused.Add(1)
		return fmt.Errorf("accept: %w", err)
	}
	ws.SetReadLimit(int64(h.opts.MaxMessage))
	h.n.accepted.Add(1)
	c.start(ws, hj.sock)
	return nil
}

func (h *Hub) nextFlusher() *flusher {
	return &h.flushers[int(h.turn.Add(1))%len(h.flushers)]
}

func (h *Hub) refuse(w http.ResponseWriter, status int, err error) error {
	h.n.refused.Add(1)
	http.Error(w, err.Error(), status)
	return fmt.Errorf("accept: %w", err)
}

// offers reports whether the client offers the subprotocol, which is compared to the byte.
func offers(header http.Header, protocol string) bool {
	for _, line := range header.Values("Sec-WebSocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			if strings.TrimSpace(p) == protocol {
				return true
			}
		}
	}
	return false
}

// register counts a connection in. unregister and conns.Done undo it.
func (h *Hub) register(c *Conn) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.state != hubOpen:
		return omni.Problemf(omni.ErrUnavailable, "the server is not open")
	case h.opts.MaxConnections > 0 && len(h.open) >= h.opts.MaxConnections:
		return omni.Problemf(omni.ErrUnavailable, "the server is full")
	case c.peer.Address != "" && h.addresses[c.peer.Address] >= h.opts.PerAddress:
		return omni.Problemf(omni.ErrUnavailable, "too many connections from this address")
	}
	if c.peer.Address != "" {
		h.addresses[c.peer.Address]++
	}
	h.open[c] = struct{}{}
	h.conns.Add(1)
	return nil
}

func (h *Hub) unregister(c *Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, c)
	release(h.addresses, c.peer.Address)
	release(h.owners, c.owner)
	release(h.orgs, c.org)
}

func release(counts map[string]int, key string) {
	if counts[key]--; counts[key] <= 0 {
		delete(counts, key)
	}
}

// admit gives a connection its owner. asked is when the owner was looked up: what was revoked since is refused, what
// was granted anew since is asked for again.
func (h *Hub) admit(c *Conn, p Principal, asked time.Time) error {
	limit, owner := h.opts.PerUser, "s/"+p.OrgID+"/"+p.SessionID
	switch {
	case p.VisitorID != "":
		limit, owner = h.opts.PerVisitor, "v/"+p.OrgID+"/"+p.VisitorID
	case p.UserID != "":
		owner = "u/" + p.OrgID + "/" + p.UserID
	}
	stale := false
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.recent {
		if r.at.Before(asked) || !r.control.matches(p) {
			continue
		}
		if r.op == controlClose {
			return omni.Problemf(omni.ErrUnauthenticated, "the session has ended")
		}
		stale = true
	}
	if h.owners[owner] >= limit {
		return omni.Problemf(omni.ErrRateLimited, "too many connections: close another tab or program first")
	}
	if h.orgs[p.OrgID] >= h.opts.PerOrg {
		return omni.Problemf(omni.ErrUnavailable, "too many connections of this organisation: try again later")
	}
	h.owners[owner]++
	h.orgs[p.OrgID]++
	c.owner, c.org = owner, p.OrgID
	c.mu.Lock()
	c.stale = stale
	c.principal = p
	c.principal.Topics = nil // the subscriptions are what counts
	c.mu.Unlock()
	return nil
}

// Publish puts a durable event into the topic's history and before everyone who follows it. data becomes JSON.
//
// While the bus is away the event waits in memory, behind those of the same topic that wait already: then the
// Position is zero and the error nil. omni.ErrUnavailable means that too many wait: the event is not taken, and when the
// bus is back all topics begin anew.
func (h *Hub) Publish(ctx context.Context, topic, typ string, data any) (Position, error) {
	e, err := newEntry(typ, data)
	if err != nil {
		return Position{}, fmt.Errorf("publish %s to %s: %w", typ, topic, err)
	}
	e.Key = h.key()
	if !h.out.has(topic) {
		pos, err := h.bus.Publish(ctx, topic, e)
		if err == nil {
			return pos, nil
		}
		e.Again = true
		h.log.WarnContext(ctx, "event waits for the bus", "op", typ, "err", err)
	}
	if err := h.out.add(topic, e); err != nil {
		return Position{}, fmt.Errorf("publish %s to %s: %w", typ, topic, err)
	}
	return Position{}, nil
}

// key names an event among those of all nodes.
func (h *Hub) key() string { return h.keys + strconv.FormatInt(h.published.Add(1), 36) }

// Announce tells an event that passes, such as typing, to everyone who follows the topic now. It is not kept and not
// tried again. data becomes JSON. A wire.Typing of a conversation is known until it ends to who opens that.
func (h *Hub) Announce(ctx context.Context, topic, typ string, data any) error {
	e, err := newEntry(typ, data)
	typing, ok := data.(wire.Typing)
	switch {
	case err != nil:
	case ok && typ == wire.TypingEvent && typing.Who.ID != "":
		err = h.announceTyping(ctx, topic, typing, e)
	default:
		err = h.bus.Announce(ctx, topic, e)
	}
	if err != nil {
		return fmt.Errorf("announce %s to %s: %w", typ, topic, err)
	}
	return nil
}

func newEntry(typ string, data any) (Entry, error) {
	var b bytes.Buffer
	if err := encodeJSON(&b, data); err != nil {
		return Entry{}, fmt.Errorf("encode: %w", err)
	}
	return Entry{Type: typ, Data: json.RawMessage(b.Bytes()), At: omni.MillisOf(time.Now())}, nil
}

// Positions says where the topics stand now, in the order in which they were asked for: what a REST list is true for.
// Read them before the list, so that the list has at least what they say.
func (h *Hub) Positions(ctx context.Context, topics []string) ([]wire.TopicPosition, error) {
	m, err := h.bus.Positions(ctx, topics)
	if err != nil {
		return nil, fmt.Errorf("read positions: %w", err)
	}
	ps := make([]wire.TopicPosition, len(topics))
	for i, t := range topics {
		ps[i] = wire.TopicPosition{Topic: t, Epoch: m[t].Epoch, Offset: m[t].Offset}
	}
	return ps, nil
}

// Stats counts. It looks at every connection, so call it every few seconds at most.
func (h *Hub) Stats() Stats {
	s := Stats{
		Pending: h.out.len(), Accepted: h.n.accepted.Load(), Refused: h.n.refused.Load(), Commands: h.n.commands.Load(),
		Delivered: h.n.delivered.Load(), Writes: h.n.writes.Load(), Dropped: h.n.dropped.Load(),
		SlowCloses: h.n.slow.Load(), Resyncs: h.n.resyncs.Load(), Recovered: h.n.recovered.Load(),
		Reset: h.n.reset.Load(), HandlerPanics: h.n.panics.Load(),
	}
	for c := range h.eachConn() {
		s.Connections++
		c.mu.Lock()
		s.QueueBytes += int64(c.bytes)
		c.mu.Unlock()
	}
	for i := range h.shards {
		h.shards[i].mu.RLock()
		s.Topics += len(h.shards[i].topics)
		h.shards[i].mu.RUnlock()
	}
	return s
}

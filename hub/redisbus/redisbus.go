package redisbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"omniservice/hub"
	"omniservice/omni"
)

// Options adjust a Bus. The zero value works.
type Options struct {
	Logger *slog.Logger // nil means nothing is logged

	// Prefix of all keys and channels; empty means that of the URL, or "omni". It holds no braces.
	Prefix string

	Events   int           // newest events of a topic that are kept however old they are; 0 means 1,000
	Age      time.Duration // events younger than this are kept however many there are; 0 means 10 min
	Bytes    int           // of a topic's history, whatever Events and Age say; 0 means 8 MiB
	Idle     time.Duration // a history goes after this without an event, at least 4/3 of Age; 0 means 1 h, or that if it is more
	Remember time.Duration // epoch and offset go after this without an event or a question; 0 means 24 h

	Timeout time.Duration // to connect, and for an answer; 0 means 2 s
	Probe   time.Duration // how often a connection for deliveries is tried; after three without a sound it is made anew; 0 means 5 s

	Partitions int // of a Cluster: how many hash tags the topics share, the same on all nodes; 0 means 256
}

func (o Options) withDefaults(t target) Options {
	orDefault(&o.Logger, slog.New(slog.DiscardHandler))
	orDefault(&o.Prefix, t.prefix)
	orDefault(&o.Events, 1000)
	orDefault(&o.Age, 10*time.Minute)
	orDefault(&o.Bytes, 8<<20)
	orDefault(&o.Idle, max(time.Hour, o.Age/3*4))
	orDefault(&o.Remember, max(24*time.Hour, o.Idle))
	orDefault(&o.Timeout, 2*time.Second)
	orDefault(&o.Probe, 5*time.Second)
	orDefault(&o.Partitions, 256)
	if t.kind != cluster {
		o.Partitions = 1
	}
	return o
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Bus is one node's end of the bus. Errors of its methods wrap omni.ErrUnavailable when Redis cannot be had; that is
// known after Options.Timeout at most twice, and at once after that until it is back.
//
// Locks are taken in this order: Bus.mu, then link.mu; topic.mu, then repairs.mu; deliver runs under topic.mu alone.
type Bus struct {
	o      Options
	log    *slog.Logger
	nonce  string // first part of what makes this node's epochs unique
	made   atomic.Int64
	limits [5]any // Events, Age, Bytes, Idle and Remember as scripts take them

	partition []partition
	client    *redis.Client        // of the one server; nil on a Cluster
	nodes     *redis.ClusterClient // nil unless it is a Cluster
	redirect  func(o *op)          // does an op that a server of the Cluster sent elsewhere; nil without one
	announce  string               // PUBLISH or SPUBLISH
	target    target

	base   context.Context // ends with Close
	stop   context.CancelFunc
	listen context.Context // of deliveries: ends with that of Start, too; nil before
	work   sync.WaitGroup  // everything that runs

	lanesMu sync.RWMutex
	lanes   map[*redis.Client]*lane
	closed  bool

	mu       sync.Mutex
	deliver  func(topic string, e hub.Entry)
	ended    bool
	topics   map[string]*topic
	links    map[*redis.Client]*link
	homeless map[*topic]struct{} // wanted, and without a link
	place    chan struct{}

	workers []*worker
	repairs repairs
}

var _ hub.Bus = (*Bus)(nil)

// partition holds the beginnings of names that share a hash tag.
type partition struct{ run, meta, list, channel, once, bucket, lease, ends, alive string }

// New makes a bus on the Redis at url, which has one of these forms, and rediss instead of redis for TLS:
//
//	redis://user:password@host:port/db                       one server
//	unix:///run/redis.sock?db=0                              one server on this machine
//	redis+sentinel://host:port,host:port/db?master=name      the master that Sentinels name
//	redis+cluster://host:port,host:port                      a Cluster, by some of its nodes
//
// Options of the URL: prefix of all keys and channels; sentinel_username and sentinel_password; with TLS the files ca,
// cert and key, and server_name. New does not connect: a node starts without Redis, and finds it when it is there.
func New(url string, o Options) (*Bus, error) {
	t, err := parseURL(url)
	if err != nil {
		return nil, fmt.Errorf("redis bus: %w", err)
	}
	o = o.withDefaults(t)
	if o.Events < 1 || o.Age < 0 || o.Bytes < 1 || o.Idle < o.Age/3*4 || o.Timeout < 0 || o.Partitions < 1 || strings.ContainsAny(o.Prefix, "{}") {
		return nil, fmt.Errorf("redis bus: %w", omni.Problemf(omni.ErrInvalid, "limits must be positive, Idle 4/3 of Age and the prefix without braces"))
	}
	b := &Bus{
		o: o, log: o.Logger, nonce: omni.NewToken(5), target: t, announce: "publish",
		limits: [5]any{o.Events, o.Age.Milliseconds(), o.Bytes, o.Idle.Milliseconds(), o.Remember.Milliseconds()},
		lanes:  map[*redis.Client]*lane{}, topics: map[string]*topic{}, links: map[*redis.Client]*link{},
		homeless: map[*topic]struct{}{}, place: make(chan struct{}, 1),
	}
	for i := range o.Partitions {
		head := o.Prefix + "{" + strconv.Itoa(i) + "}"
		b.partition = append(b.partition, partition{
			run: head + "run", meta: head + "t:", list: head + "h:", channel: head + "c:", once: head + "o:", bucket: head + "b:", lease: head + "l:", ends: head + "e:", alive: head + "alive",
		})
	}
	for range runtime.GOMAXPROCS(0) {
		b.workers = append(b.workers, &worker{bus: b, wake: make(chan struct{}, 1), types: map[string]string{}})
	}
	b.repairs.wake = make(chan struct{}, 1)
	b.base, b.stop = context.WithCancel(context.Background())
	b.connect(t)
	return b, nil
}

// poolSize is far more than the few connections that are used at a time. It is also after how many failed dials, in all
// of its life, a pool no longer dials when it is asked to.
const poolSize = 1000

// connect makes the clients. Nothing is retried by them: an event must not be published twice by mistake, and who
// waits is told at once.
func (b *Bus) connect(t target) {
	const name = "omniservice"
	redis.SetLogger(&logging.VoidLogger{}) // it writes to standard error what our own errors say; set atomically
	dial := t.dialer(b.o.Timeout)
	switch t.kind {
	case single:
		b.client = redis.NewClient(&redis.Options{
			Network: t.network, Addr: t.addrs[0], Username: t.username, Password: t.password, DB: t.db, TLSConfig: t.tls, Dialer: dial,
			ClientName: name, Protocol: 2, DisableIdentity: true, MaxRetries: -1, DialTimeout: b.o.Timeout, DialerRetries: 1,
			ReadTimeout: b.o.Timeout, WriteTimeout: b.o.Timeout, PoolSize: poolSize, PipelinePoolSize: -1,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		})
	case sentinel:
		b.client = redis.NewFailoverClient(&redis.FailoverOptions{
			MasterName: t.master, SentinelAddrs: t.addrs, SentinelUsername: t.sentinelUsername, SentinelPassword: t.sentinelPassword,
			Username: t.username, Password: t.password, DB: t.db, TLSConfig: t.tls, Dialer: dial,
			ClientName: name, Protocol: 2, DisableIdentity: true, MaxRetries: -1, DialTimeout: b.o.Timeout, DialerRetries: 1,
			ReadTimeout: b.o.Timeout, WriteTimeout: b.o.Timeout, PoolSize: poolSize, PipelinePoolSize: -1,
		})
	case cluster:
		b.announce, b.redirect = "spublish", b.follow
		b.nodes = redis.NewClusterClient(&redis.ClusterOptions{
			Addrs: t.addrs, Username: t.username, Password: t.password, TLSConfig: t.tls, Dialer: dial,
			ClientName: name, Protocol: 2, DisableIdentity: true, MaxRetries: -1, MaxRedirects: 3, DialTimeout: b.o.Timeout, DialerRetries: 1,
			ReadTimeout: b.o.Timeout, WriteTimeout: b.o.Timeout, PoolSize: poolSize, PipelinePoolSize: -1,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		})
	}
}

// Start implements hub.Bus.
func (b *Bus) Start(ctx context.Context, deliver func(topic string, e hub.Entry)) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("start bus: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended || b.deliver != nil {
		return fmt.Errorf("start bus: %w", omni.ErrConflict)
	}
	var end context.CancelFunc
	b.listen, end = context.WithCancel(b.base)
	context.AfterFunc(ctx, end)
	b.deliver = deliver
	for _, w := range b.workers {
		b.work.Go(w.run)
	}
	b.work.Go(b.repairLoop)
	b.work.Go(b.placeLoop)
	return nil
}

// Close implements hub.Bus.
func (b *Bus) Close() error {
	b.mu.Lock()
	first := !b.ended
	b.ended = true
	b.mu.Unlock()
	if !first {
		return nil
	}
	b.lanesMu.Lock()
	b.closed = true
	for _, l := range b.lanes {
		l.end()
	}
	b.lanesMu.Unlock()
	b.stop()
	b.work.Wait()
	if b.nodes != nil {
		return b.nodes.Close()
	}
	return b.client.Close()
}

// part is where a topic or key lives.
func (b *Bus) part(name string) int {
	if len(b.partition) == 1 {
		return 0
	}
	return int(hash(name) % uint32(len(b.partition)))
}

// hash is the same on all nodes.
func hash(s string) uint32 {
	h := uint32(2166136261) // FNV-1a
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}

// server is the client of the server that a partition is on.
func (b *Bus) server(ctx context.Context, part int) (*redis.Client, error) {
	if b.nodes == nil {
		return b.client, nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.o.Timeout)
	defer cancel()
	c, err := b.nodes.MasterForKey(ctx, b.partition[part].alive)
	if err != nil {
		return nil, unavailable(err)
	}
	return c, nil
}

func (b *Bus) lane(ctx context.Context, part int) (*lane, error) {
	c, err := b.server(ctx, part)
	if err != nil {
		return nil, err
	}
	b.lanesMu.RLock()
	l := b.lanes[c]
	b.lanesMu.RUnlock()
	if l != nil {
		return l, nil
	}
	b.lanesMu.Lock()
	defer b.lanesMu.Unlock()
	if b.closed {
		return nil, omni.Problemf(omni.ErrUnavailable, "the bus is closed")
	}
	if l = b.lanes[c]; l == nil {
		l = &lane{bus: b, client: c, key: b.partition[part].alive}
		b.lanes[c] = l
	}
	return l, nil
}

// dropLane forgets the lane to a server of a Cluster that is nobody's master any more, and reports whether it did.
func (b *Bus) dropLane(l *lane, err error) bool {
	if b.nodes == nil {
		return false
	}
	b.nodes.ReloadState(b.base)
	if !errors.Is(err, redis.ErrClosed) && !redis.HasErrorPrefix(err, "MOVED") {
		for i := range b.partition {
			if c, err := b.server(b.base, i); err == nil && c == l.client {
				return false
			}
		}
	}
	b.lanesMu.Lock()
	delete(b.lanes, l.client)
	b.lanesMu.Unlock()
	l.mu.Lock()
	l.away = omni.Problemf(omni.ErrUnavailable, "the cluster has changed")
	l.mu.Unlock()
	return true
}

// follow does an op whose partition is on another server than we thought. It has not run there.
func (b *Bus) follow(o *op) {
	b.nodes.ReloadState(b.base)
	o.cmd.SetErr(nil)
	_ = b.nodes.Process(b.base, o.cmd)
	if redis.HasErrorPrefix(o.cmd.Err(), "NOSCRIPT") {
		whole := redis.NewCmd(b.base, append([]any{"eval", o.script.source}, o.cmd.Args()[2:]...)...)
		_ = b.nodes.Process(b.base, whole)
		o.cmd.SetVal(whole.Val())
		o.cmd.SetErr(whole.Err())
	}
	err := o.cmd.Err()
	if err != nil && !errors.Is(err, redis.Nil) {
		err = unavailable(err)
	}
	o.finish(err)
}

// send gives a command to the lane of its partition. It goes on its way whatever becomes of ctx.
func (b *Bus) send(ctx context.Context, part int, s *script, size int, args ...any) *op {
	//nolint:contextcheck // who waits may give up, and what is under way with it goes on
	o := &op{cmd: redis.NewCmd(b.base, args...), script: s, size: size, done: make(chan struct{})}
	l, err := b.lane(ctx, part)
	if err != nil {
		o.finish(err)
		return o
	}
	l.send(o)
	return o
}

func (b *Bus) unique() string { return b.nonce + strconv.FormatInt(b.made.Add(1), 36) }

func millis() string { return strconv.FormatInt(time.Now().UnixMilli(), 10) }

// names are a topic's keys and channel, cut from one string.
func (b *Bus) names(part int, name string) (meta, list, channel string) {
	p := &b.partition[part]
	all := p.meta + name + p.list + name + p.channel + name
	m, l := len(p.meta)+len(name), len(p.list)+len(name)
	return all[:m], all[m : m+l], all[m+l:]
}

// encode is what follows offset and epoch in a message, and an element of a history. There is room for a head.
func encode(head string, e hub.Entry) ([]byte, error) {
	if e.Type == "" || strings.ContainsAny(e.Type, " \n") || strings.ContainsAny(e.Key, " \n") {
		return nil, fmt.Errorf("an event of type %q with key %q: %w", e.Type, e.Key, omni.ErrInvalid)
	}
	body := make([]byte, 0, len(head)+len(e.Type)+len(e.Key)+len(e.Data)+24)
	body = append(body, head...)
	body = append(body, ' ')
	body = strconv.AppendInt(body, int64(e.At), 10)
	body = append(body, ' ')
	body = append(body, e.Type...)
	if e.Key != "" {
		body = append(body, ' ')
		body = append(body, e.Key...)
	}
	body = append(body, '\n')
	return append(body, e.Data...), nil
}

// Publish implements hub.Bus.
func (b *Bus) Publish(ctx context.Context, name string, e hub.Entry) (hub.Position, error) {
	if err := ctx.Err(); err != nil {
		return hub.Position{}, fmt.Errorf("publish to %s: %w", name, err)
	}
	body, err := encode("", e)
	if err != nil {
		return hub.Position{}, fmt.Errorf("publish to %s: %w", name, err)
	}
	var again string
	if e.Again {
		again = e.Key
	}
	part := b.part(name)
	meta, list, channel := b.names(part, name)
	v, err := b.send(ctx, part, publishScript, len(body), "evalsha", publishScript.sha, 4, b.partition[part].run, meta, list, channel,
		millis(), b.unique(), body, b.limits[0], b.limits[1], b.limits[2], b.limits[3], b.limits[4], b.announce, again).wait(ctx)
	if err != nil {
		return hub.Position{}, fmt.Errorf("publish to %s: %w", name, err)
	}
	vs, ok := v.([]any)
	if !ok || len(vs) != 2 {
		return hub.Position{}, fmt.Errorf("publish to %s: %w", name, errAnswer)
	}
	return position(vs)
}

var errAnswer = omni.Problemf(omni.ErrUnavailable, "redis answered what it should not")

func position(vs []any) (hub.Position, error) {
	epoch, ok := vs[0].(string)
	offset, ok2 := vs[1].(int64)
	if !ok || !ok2 {
		return hub.Position{}, errAnswer
	}
	return hub.Position{Epoch: epoch, Offset: offset}, nil
}

// Announce implements hub.Bus.
func (b *Bus) Announce(ctx context.Context, name string, e hub.Entry) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("announce to %s: %w", name, err)
	}
	body, err := encode("0 -", e)
	if err != nil {
		return fmt.Errorf("announce to %s: %w", name, err)
	}
	part := b.part(name)
	if _, err := b.send(ctx, part, nil, len(body), b.announce, b.partition[part].channel+name, body).wait(ctx); err != nil {
		return fmt.Errorf("announce to %s: %w", name, err)
	}
	return nil
}

// History implements hub.Bus.
func (b *Bus) History(ctx context.Context, name string, since hub.Position, limit int) ([]hub.Entry, hub.Position, bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, hub.Position{}, false, fmt.Errorf("read history of %s: %w", name, err)
	}
	es, now, ok, err := b.askHistory(ctx, name, since, limit)(ctx)
	if err != nil {
		return nil, hub.Position{}, false, fmt.Errorf("read history of %s: %w", name, err)
	}
	return es, now, ok, nil
}

// askHistory sends a question. The function that it returns waits for the answer.
func (b *Bus) askHistory(ctx context.Context, name string, since hub.Position, limit int) func(context.Context) ([]hub.Entry, hub.Position, bool, error) {
	part := b.part(name)
	meta, list, _ := b.names(part, name)
	o := b.send(ctx, part, historyScript, 256, "evalsha", historyScript.sha, 3, b.partition[part].run, meta, list,
		millis(), b.unique(), since.Epoch, since.Offset, limit, b.limits[4])
	return func(ctx context.Context) ([]hub.Entry, hub.Position, bool, error) {
		v, err := o.wait(ctx)
		if err != nil {
			return nil, hub.Position{}, false, err
		}
		vs, ok := v.([]any)
		if !ok || len(vs) < 3 {
			return nil, hub.Position{}, false, errAnswer
		}
		now, err := position(vs)
		if err != nil || vs[2] != int64(1) || len(vs) == 3 {
			return nil, now, err == nil && vs[2] == int64(1), err
		}
		texts, _ := vs[3].([]any)
		es := make([]hub.Entry, len(texts))
		for i, t := range texts {
			text, _ := t.(string)
			at, rest, ok := strings.Cut(strings.TrimPrefix(text, " "), " ")
			typ, data, ok2 := strings.Cut(rest, "\n")
			typ, _, _ = strings.Cut(typ, " ")
			ms, err := strconv.ParseInt(at, 10, 64)
			if !ok || !ok2 || err != nil {
				return nil, now, false, errAnswer
			}
			es[i] = hub.Entry{Type: typ, Data: []byte(data), At: omni.Millis(ms), Offset: since.Offset + int64(i) + 1, Epoch: now.Epoch}
		}
		return es, now, true, nil
	}
}

// Renew implements hub.Bus.
func (b *Bus) Renew(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("renew: %w", err)
	}
	asked := make([]*op, 0, len(b.partition))
	for part := range b.partition {
		asked = append(asked, b.send(ctx, part, renewScript, 64, "evalsha", renewScript.sha, 1, b.partition[part].run, millis(), b.unique()))
	}
	for _, o := range asked {
		if _, err := o.wait(ctx); err != nil {
			return fmt.Errorf("renew: %w", err)
		}
	}
	return nil
}

// positionKeys is how many topics one script looks at: others wait for it.
const positionKeys = 128

// Positions implements hub.Bus.
func (b *Bus) Positions(ctx context.Context, topics []string) (map[string]hub.Position, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read positions: %w", err)
	}
	m, err := b.positions(ctx, topics, "")
	if err != nil {
		return nil, fmt.Errorf("read positions: %w", err)
	}
	for t, p := range b.followed(m) {
		t.begin(p)
	}
	return m, nil
}

// followed returns those of the topics that events come of now.
func (b *Bus) followed(m map[string]hub.Position) map[*topic]hub.Position {
	b.mu.Lock()
	defer b.mu.Unlock()
	ts := map[*topic]hub.Position{}
	for name, p := range m {
		if t := b.topics[name]; t != nil && t.state == live && !t.based {
			t.based = true
			ts[t] = p
		}
	}
	return ts
}

// positions asks for all topics at once. With how as "anew" the server looks whether it is another process by now.
func (b *Bus) positions(ctx context.Context, topics []string, how string) (map[string]hub.Position, error) {
	parts := make([][]string, len(b.partition))
	for _, name := range topics {
		p := b.part(name)
		parts[p] = append(parts[p], name)
	}
	type question struct {
		names []string
		op    *op
	}
	var asked []question
	for part, names := range parts {
		for len(names) > 0 {
			some := names[:min(len(names), positionKeys)]
			names = names[len(some):]
			args := make([]any, 0, len(some)+9)
			args = append(args, "evalsha", positionsScript.sha, len(some)+1, b.partition[part].run)
			for _, name := range some {
				args = append(args, b.partition[part].meta+name)
			}
			args = append(args, millis(), b.unique(), b.limits[3], b.limits[4], how)
			asked = append(asked, question{some, b.send(ctx, part, positionsScript, 64*len(some), args...)})
		}
	}
	m := make(map[string]hub.Position, len(topics))
	for _, q := range asked {
		v, err := q.op.wait(ctx)
		if err != nil {
			return nil, err
		}
		vs, ok := v.([]any)
		if !ok || len(vs) != 2*len(q.names) {
			return nil, errAnswer
		}
		for i, name := range q.names {
			if m[name], err = position(vs[2*i : 2*i+2]); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

// PutOnce implements hub.Bus.
func (b *Bus) PutOnce(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	part := b.part(key)
	o := b.send(ctx, part, nil, len(value), "set", b.partition[part].once+key, value, "px", max(ttl.Milliseconds(), 1))
	if _, err := o.wait(ctx); err != nil {
		return fmt.Errorf("put: %w", err)
	}
	return nil
}

// TakeOnce implements hub.Bus.
func (b *Bus) TakeOnce(ctx context.Context, key string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("take: %w", err)
	}
	part := b.part(key)
	v, err := b.send(ctx, part, nil, 64, "getdel", b.partition[part].once+key).wait(ctx)
	if errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("take: %w", omni.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("take: %w", err)
	}
	text, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("take: %w", errAnswer)
	}
	return []byte(text), nil
}

// Allow implements hub.Bus.
func (b *Bus) Allow(ctx context.Context, key string, n int, rate float64, burst int) (bool, time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return false, 0, fmt.Errorf("allow: %w", err)
	}
	if n < 0 || n > burst || !(rate > 0) || math.IsInf(rate, 0) {
		return false, 0, fmt.Errorf("allow %d of %d at %g a second: %w", n, burst, rate, omni.ErrInvalid)
	}
	part := b.part(key)
	v, err := b.send(ctx, part, allowScript, 128, "evalsha", allowScript.sha, 1, b.partition[part].bucket+key,
		n, strconv.FormatFloat(rate, 'g', -1, 64), burst).wait(ctx)
	if err != nil {
		return false, 0, fmt.Errorf("allow: %w", err)
	}
	micros, ok := v.(int64)
	if !ok {
		return false, 0, fmt.Errorf("allow: %w", errAnswer)
	}
	return micros == 0, time.Duration(micros) * time.Microsecond, nil
}

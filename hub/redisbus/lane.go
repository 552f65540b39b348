package redisbus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"omniservice/internal/wait"
	"omniservice/omni"
)

const (
	batchOps    = 256 // of one pipeline
	batchBytes  = 1 << 20
	flushers    = 2 // pipelines of one server at a time: while it works on one, the next is collected and sent
	firstProbe  = 20 * time.Millisecond
	lastProbe   = 250 * time.Millisecond
	probeExpiry = time.Minute
)

// op is one command on its way.
type op struct {
	cmd    *redis.Cmd
	script *script // of cmd, if it is one
	size   int     // bytes, roughly
	done   chan struct{}
	left   atomic.Bool // nobody waits: not worth sending
	err    error       // set before done is closed
}

func (o *op) finish(err error) {
	o.err = err
	close(o.done)
}

// wait returns the answer of Redis, or an error that wraps omni.ErrUnavailable, redis.Nil or ctx's own.
func (o *op) wait(ctx context.Context) (any, error) {
	select {
	case <-o.done:
	case <-ctx.Done():
		o.left.Store(true)
		return nil, ctx.Err()
	}
	if o.err != nil {
		return nil, o.err
	}
	return o.cmd.Val(), nil
}

// lane is the way to one server. What comes while pipelines are under way leaves together with the next.
type lane struct {
	bus    *Bus
	client *redis.Client
	key    string // written to find out whether the server is back

	mu      sync.Mutex
	queue   []*op
	running int
	away    error // why nothing is sent; nil: all is well
	closed  bool
}

// send takes o, which is finished at some time, within twice the bus's Timeout.
func (l *lane) send(o *op) {
	l.mu.Lock()
	if err := l.refusal(); err != nil {
		l.mu.Unlock()
		o.finish(err)
		return
	}
	l.queue = append(l.queue, o)
	if l.running < flushers {
		l.running++
		l.bus.work.Go(l.flush) // under mu: not after end
	}
	l.mu.Unlock()
}

// refusal is why nothing can be sent. The caller holds mu.
func (l *lane) refusal() error {
	if l.closed {
		return omni.Problemf(omni.ErrUnavailable, "the bus is closed")
	}
	return l.away
}

func (l *lane) state() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refusal()
}

// take returns what goes into the next pipeline, or nil: then this flusher has ended.
func (l *lane) take() []*op {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, size := 0, 0
	for n < len(l.queue) && n < batchOps && size < batchBytes {
		size += l.queue[n].size
		n++
	}
	if n == 0 {
		l.running--
		return nil
	}
	batch := l.queue[:n:n]
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		l.queue = nil
	}
	return batch
}

func (l *lane) flush() {
	for batch := l.take(); batch != nil; batch = l.take() {
		l.exec(batch)
	}
}

func (l *lane) exec(batch []*op) {
	pipe := l.client.Pipeline()
	sent := batch[:0]
	for _, o := range batch {
		if o.left.Load() {
			o.finish(context.Canceled)
			continue
		}
		_ = pipe.Process(l.bus.base, o.cmd)
		sent = append(sent, o)
	}
	if len(sent) == 0 {
		return
	}
	_, _ = pipe.Exec(l.bus.base) // each command has its own error
	var again []*op
	var gone error
	answered := false
	for _, o := range sent {
		err := o.cmd.Err()
		switch {
		case err == nil, errors.Is(err, redis.Nil):
			answered = true
			o.finish(err)
		case redis.HasErrorPrefix(err, "NOSCRIPT"):
			answered = true
			again = append(again, o)
		case l.bus.redirect != nil && (redis.HasErrorPrefix(err, "MOVED") || redis.HasErrorPrefix(err, "ASK")):
			answered = true
			l.bus.work.Go(func() { l.bus.redirect(o) })
		default:
			err = unavailable(err)
			if isAway(o.cmd.Err()) {
				gone = err
			} else {
				answered = true
			}
			o.finish(err)
		}
	}
	if gone != nil && !answered {
		l.down(gone)
	}
	if len(again) > 0 {
		l.load(again)
	}
}

// load sends scripts that the server does not know, whole. They have not run.
func (l *lane) load(ops []*op) {
	whole := make([]*op, len(ops))
	known := map[*script]bool{}
	for i, o := range ops {
		args := o.cmd.Args()
		if !known[o.script] { // what follows in the same pipeline finds it
			known[o.script] = true
			args = append([]any{"eval", o.script.source}, args[2:]...)
		}
		whole[i] = &op{cmd: redis.NewCmd(l.bus.base, args...), script: o.script, done: make(chan struct{})}
	}
	l.exec(whole)
	for i, o := range ops {
		<-whole[i].done
		if err := whole[i].err; err != nil {
			o.finish(err)
			continue
		}
		o.cmd.SetErr(nil)
		o.cmd.SetVal(whole[i].cmd.Val())
		o.finish(nil)
	}
}

func unavailable(err error) error {
	text, _, _ := strings.Cut(err.Error(), "\n") // errors of scripts go on with where they are
	return fmt.Errorf("%w: redis: %s", omni.ErrUnavailable, text)
}

// isAway reports whether the server as a whole cannot do anything for us.
func isAway(err error) bool {
	if _, answered := errors.AsType[redis.Error](err); !answered {
		return true // network, timeout, closed
	}
	for _, p := range []string{"LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "NOAUTH", "WRONGPASS", "NOREPLICAS", "ERR max number of clients"} {
		if redis.HasErrorPrefix(err, p) {
			return true
		}
	}
	return false
}

// down fails what waits, and all that comes until the server is back.
func (l *lane) down(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.queue {
		o.finish(err)
	}
	l.queue = nil
	if l.away != nil || l.closed {
		return
	}
	l.away = err
	l.bus.log.Warn("redis is away", "err", err)
	l.bus.work.Go(l.probe)
}

// probe asks the server whether it is back, until it is or is nobody's server any more.
func (l *lane) probe() {
	for pause := firstProbe; ; pause = min(2*pause, lastProbe) {
		if wait.For(l.bus.base, pause) != nil {
			return
		}
		err := l.try()
		if err == nil {
			l.mu.Lock()
			l.away = nil
			l.mu.Unlock()
			l.bus.log.Info("redis is back")
			return
		}
		if l.bus.dropLane(l, err) {
			return
		}
	}
}

// try finds out whether the server takes writes. It dials by itself first: a pool whose dials fail too often looks for
// the server once a second only.
func (l *lane) try() error {
	ctx, cancel := context.WithTimeout(l.bus.base, l.bus.o.Timeout)
	defer cancel()
	o := l.client.Options()
	conn, err := o.Dialer(ctx, o.Network, o.Addr)
	if err != nil {
		return err
	}
	if err := conn.Close(); err != nil {
		return err
	}
	return l.client.Set(ctx, l.key, "", probeExpiry).Err()
}

// end fails what waits and what comes.
func (l *lane) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, o := range l.queue {
		o.finish(l.refusal())
	}
	l.queue = nil
}

package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"omniservice/omni"
	"omniservice/store"
)

// worker serves the partitions p with p % workers == index, so that one conversation is always one worker's.
type worker struct {
	index      int
	partitions []int
	signal     chan struct{}
}

func newWorker(index, workers int) *worker {
	w := &worker{index: index, signal: make(chan struct{}, 1)}
	for p := index; p < store.Partitions; p += workers {
		w.partitions = append(w.partitions, p)
	}
	return w
}

func (w *worker) kick() {
	select {
	case w.signal <- struct{}{}:
	default: // it will look anyway
	}
}

// kick has a partition looked into now, by this node or by the one that has its lease.
func (p *Pipeline) kick(ws []*worker, partition int) {
	w := ws[partition%len(ws)]
	w.kick()
	if p.o.Elsewhere != nil && !p.leases.held(w.index, p.millis()) {
		p.o.Elsewhere(w.index)
	}
}

// KickWorker makes the workers of one index look for work now: another node's Options.Elsewhere was called with it.
func (p *Pipeline) KickWorker(index int) {
	if index < 0 || index >= len(p.inbox) {
		return
	}
	p.inbox[index].kick()
	p.outbox[index].kick()
	p.media[index].kick()
}

// drain works off what is due and returns when to come back at the latest; 0 means nothing is known to become due.
type drain func(ctx context.Context, w *worker) (next omni.Millis, err error)

// work calls drain whenever there may be something to do: on a signal, when something becomes due, and every
// Options.Poll for what another node left.
func (p *Pipeline) work(ctx context.Context, w *worker, d drain) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.signal:
		case <-timer.C:
		}
		wait := p.o.Poll
		if p.leases.held(w.index, p.millis()) {
			next, err := d(ctx, w)
			switch {
			case ctx.Err() != nil:
				return nil
			case err != nil:
				p.log.Log(ctx, p.levelOf(err, slog.LevelError), "queue", "err", err)
				wait = min(wait, time.Second)
			case next > 0:
				wait = min(wait, max(0, time.Duration(next-p.millis())*time.Millisecond))
			}
		}
		timer.Reset(wait)
	}
}

// levelOf is the level of a failure: while the store is known to be away what follows from it is no news.
func (p *Pipeline) levelOf(err error, level slog.Level) slog.Level {
	if p.outage.away.Load() && isAway(err) {
		return slog.LevelDebug
	}
	return level
}

// eachConversation calls f for every key's items, in order within a key, several keys at once.
func eachConversation[T any](ctx context.Context, items []T, key func(T) string, f func(context.Context, T)) {
	byKey := map[string][]T{}
	var order []string
	for _, it := range items {
		k := key(it)
		if _, ok := byKey[k]; !ok {
			order = append(order, k)
		}
		byKey[k] = append(byKey[k], it)
	}
	var g errgroup.Group
	g.SetLimit(8)
	for _, k := range order {
		g.Go(func() error {
			for _, it := range byKey[k] {
				if ctx.Err() == nil {
					f(ctx, it)
				}
			}
			return nil
		})
	}
	_ = g.Wait()
}

// leases are this node's rights to the workers' partitions. (MessageQueueLock)
type leases struct {
	mu    sync.Mutex
	locks []omni.MessageQueueLock // zero: not held
	now   chan struct{}           // renew them, it is time
}

func (l *leases) init(n int) {
	l.locks, l.now = make([]omni.MessageQueueLock, n), make(chan struct{}, 1)
}

// renew asks for them to be taken or renewed now.
func (l *leases) renew() {
	select {
	case l.now <- struct{}{}:
	default:
	}
}

func (l *leases) held(i int, now omni.Millis) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.locks[i].ExpiresAt > now
}

func (l *leases) set(i int, k omni.MessageQueueLock) (gained bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	gained = l.locks[i].Owner == ""
	l.locks[i] = k
	return gained
}

func (l *leases) all() []omni.MessageQueueLock {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]omni.MessageQueueLock(nil), l.locks...)
}

// keepLeases takes and renews leases until ctx ends, then gives them back.
func (p *Pipeline) keepLeases(ctx context.Context) error {
	t := time.NewTicker(p.o.LeaseTTL / 3)
	defer t.Stop()
	for {
		p.renewLeases(ctx)
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			for _, l := range p.leases.all() {
				if l.Token == 0 {
					continue
				}
				if err := p.store.ReleaseLock(ctx, l); err != nil {
					p.log.WarnContext(ctx, "release lease", "err", err)
				}
			}
			return nil
		case <-t.C:
		case <-p.leases.now:
		}
	}
}

func (p *Pipeline) renewLeases(ctx context.Context) {
	var g errgroup.Group
	for i := range p.inbox {
		g.Go(func() error {
			l, err := p.store.AcquireLock(ctx, leaseKey(i), p.o.Node, p.millis(), p.o.LeaseTTL)
			switch {
			case err == nil:
				ended := !p.leases.held(i, p.millis())
				if p.leases.set(i, l) || ended {
					p.KickWorker(i)
				}
			case errors.Is(err, omni.ErrConflict):
				p.leases.set(i, omni.MessageQueueLock{})
			case ctx.Err() == nil:
				if isAway(err) {
					p.goAway(ctx, err)
				}
				p.log.Log(ctx, p.levelOf(err, slog.LevelWarn), "renew lease", "err", err)
			}
			return nil
		})
	}
	_ = g.Wait()
}

func leaseKey(i int) string {
	const digits = "0123456789"
	if i < 10 {
		return "queue/0" + digits[i:i+1]
	}
	return "queue/" + digits[i/10:i/10+1] + digits[i%10:i%10+1]
}

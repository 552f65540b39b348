package pipeline

import (
	"context"
	"log/slog"
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

// KickWorker makes the workers of one index look for work now, or leases be shared out if it is Freed: another node's
// Options.Elsewhere was called with it.
func (p *Pipeline) KickWorker(index int) {
	if index == Freed {
		p.leases.renew()
	}
	if index < 0 || index >= len(p.inbox) {
		return
	}
	p.inbox[index].kick()
	p.outbox[index].kick()
	p.media[index].kick()
}

// mayGoOn reports whether a worker may take the next of what waits.
func (p *Pipeline) mayGoOn(ctx context.Context, w *worker) bool {
	return ctx.Err() == nil && p.leases.held(w.index, p.millis())
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
		if p.leases.enter(w.index, p.millis()) {
			next, err := d(ctx, w)
			p.leases.leave(w.index)
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

// eachConversation calls f for every key's items, in order within a key until f says that it goes no further, several keys
// at once.
func eachConversation[T any](ctx context.Context, items []T, key func(T) string, f func(context.Context, T) (further bool)) {
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
			further := true
			for _, it := range byKey[k] {
				further = further && ctx.Err() == nil && f(ctx, it)
			}
			return nil
		})
	}
	_ = g.Wait()
}

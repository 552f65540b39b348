package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"omniservice/omni"
)

// leases are this node's rights to the workers' partitions. (MessageQueueLock)
//
// A lease that this node has too many of is given back when none of its workers is at work any more: until then it is
// renewed and no work is begun.
type leases struct {
	mu   sync.Mutex
	all  []lease
	stop bool          // this node takes no more
	now  chan struct{} // renew them, it is time
}

type lease struct {
	lock    omni.MessageQueueLock // zero: not held
	busy    int                   // workers at work under it
	leaving bool                  // to be given back
}

func (l *leases) init(n int) {
	l.all, l.now = make([]lease, n), make(chan struct{}, 1)
}

// renew asks for them to be taken or renewed now.
func (l *leases) renew() {
	select {
	case l.now <- struct{}{}:
	default:
	}
}

// held reports whether work may be begun.
func (l *leases) held(i int, now omni.Millis) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[i].mayWork(now)
}

func (k lease) mayWork(now omni.Millis) bool { return !k.leaving && k.lock.ExpiresAt > now }

// enter begins work if that may be. leave ends it.
func (l *leases) enter(i int, now omni.Millis) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.all[i].mayWork(now) {
		return false
	}
	l.all[i].busy++
	return true
}

func (l *leases) leave(i int) {
	l.mu.Lock()
	l.all[i].busy--
	last := l.all[i].leaving && l.all[i].busy == 0
	l.mu.Unlock()
	if last {
		l.renew() // which gives it back
	}
}

// end has all of them given back.
func (l *leases) end() {
	l.mu.Lock()
	l.stop = true
	l.mu.Unlock()
	l.renew()
}

// plan decides by the share of this node which leases it keeps, and how many it lacks.
func (l *leases) plan(share int) (lacks int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stop {
		share = 0
	}
	for i := range l.all {
		k := &l.all[i]
		if k.lock.Token == 0 {
			continue
		}
		k.leaving = share <= 0
		share--
	}
	return max(0, share)
}

// get returns one, and whether it can be given back now. After that no work is begun under it.
func (l *leases) get(i int) (k omni.MessageQueueLock, done bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[i].lock, l.all[i].leaving && l.all[i].busy == 0
}

// set notes what became of one, and reports whether work may begin that could not before.
func (l *leases) set(i int, k omni.MessageQueueLock, now omni.Millis) (gained bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.all[i].mayWork(now)
	l.all[i].lock = k
	if k.Token == 0 {
		l.all[i].leaving = false
	}
	return !before && l.all[i].mayWork(now)
}

// Leases is how many of the workers' leases this node holds.
func (p *Pipeline) Leases() int {
	p.leases.mu.Lock()
	defer p.leases.mu.Unlock()
	n, now := 0, p.millis()
	for _, k := range p.leases.all {
		if k.lock.ExpiresAt > now {
			n++
		}
	}
	return n
}

const (
	leasePrefix = "queue/"
	releaseWait = 2 * time.Second
	takeTries   = 4 // while others take what was free
)

func leaseKey(i int) string { return fmt.Sprintf("%s%02d", leasePrefix, i) }

// keepLeases takes, renews and gives back leases until ctx ends, then gives back what is left, and this node's place.
func (p *Pipeline) keepLeases(ctx context.Context) {
	t := time.NewTicker(p.o.LeaseTTL / 3)
	defer t.Stop()
	for {
		if ctx.Err() == nil {
			p.renewLeases(ctx)
		}
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWait)
			defer cancel()
			var g errgroup.Group
			for i := range p.inbox {
				g.Go(func() error { p.giveBack(ctx, i); return nil })
			}
			_ = g.Wait()
			p.depart(ctx)
			p.shareAnew()
			return
		case <-t.C:
		case <-p.leases.now:
		}
	}
}

// giveBack ends a lease that this node holds, for the next one to take.
func (p *Pipeline) giveBack(ctx context.Context, i int) {
	l, _ := p.leases.get(i)
	if l.Token == 0 {
		return
	}
	if err := p.store.ReleaseLock(ctx, l); err != nil {
		if errors.Is(err, context.Canceled) {
			return // on the way out, which tries again
		}
		p.log.Log(ctx, p.levelOf(err, slog.LevelWarn), "release lease", "err", err) // it is tried again, or it runs out
		return
	}
	p.leases.set(i, omni.MessageQueueLock{}, p.millis())
}

func (p *Pipeline) renewLeases(ctx context.Context) {
	if err := p.meet(ctx); err != nil && ctx.Err() == nil {
		p.leaseFailed(ctx, err)
	}
	if p.members.place.Token == 0 {
		return // before others know of this node it changes nothing
	}
	lacks := p.leases.plan(p.share())
	var g errgroup.Group
	var freed sync.Once
	for i := range p.inbox {
		l, done := p.leases.get(i)
		switch {
		case l.Token == 0:
		case done:
			g.Go(func() error { p.giveBack(ctx, i); freed.Do(p.shareAnew); return nil })
		default:
			g.Go(func() error { p.acquire(ctx, i); return nil })
		}
	}
	_ = g.Wait()
	for try := 0; lacks > 0 && try < takeTries && ctx.Err() == nil; try++ {
		free, err := p.free(ctx)
		if err != nil {
			p.leaseFailed(ctx, err)
			return
		}
		if len(free) == 0 {
			return
		}
		rand.Shuffle(len(free), func(a, b int) { free[a], free[b] = free[b], free[a] }) // #nosec G404 -- so that two nodes want different ones
		for _, i := range free[:min(lacks, len(free))] {
			g.Go(func() error { p.acquire(ctx, i); return nil })
		}
		_ = g.Wait()
		lacks = p.leases.plan(p.share())
	}
}

// acquire takes or renews a lease.
func (p *Pipeline) acquire(ctx context.Context, i int) {
	l, err := p.store.AcquireLock(ctx, leaseKey(i), p.o.Node, p.millis(), p.o.LeaseTTL)
	switch {
	case err == nil:
		if p.leases.set(i, l, p.millis()) {
			p.KickWorker(i)
		}
	case errors.Is(err, omni.ErrConflict):
		p.leases.set(i, omni.MessageQueueLock{}, p.millis())
	default:
		p.leaseFailed(ctx, err)
	}
}

func (p *Pipeline) leaseFailed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if isAway(err) {
		p.goAway(ctx, err)
	}
	p.log.Log(ctx, p.levelOf(err, slog.LevelWarn), "renew lease", "err", err)
}

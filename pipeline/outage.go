package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/spool"
)

// A webhook has to be durable within the 10 to 15 s that carriers wait, whatever the store does. So it is given to the
// store for storeWait only; then it goes into the spool on this node's disk. From then on the store is *away*: nobody
// waits for it any more, all webhooks go through the spool, and those that wait for the store at that moment turn to the
// spool at once. One goroutine tries to bring back what the spool holds. When that works it goes on until the spool is
// empty, holds new webhooks up for the last few records, and ends the outage.
//
// As long as anything is spooled everything is: so a later webhook of a conversation never overtakes an earlier one on
// this node. What two nodes took in during an outage of one of them is ordered by when it reached the store.
const (
	storeWait  = 250 * time.Millisecond // for a webhook to be taken by the store, and for a setting to be read
	spoolWait  = 2 * time.Second        // for the spool to take it
	drainWait  = 5 * time.Second        // for the store to take a batch from the spool
	drainMost  = 512                    // records of a batch
	drainLast  = 64                     // records at most for which new webhooks are held up
	probeFirst = 50 * time.Millisecond  // between attempts to reach the store, doubling
	probeLast  = time.Second
)

var errStoreSlow = fmt.Errorf("the store is slow: %w", omni.ErrUnavailable)

// outage is whether the store is away.
type outage struct {
	away  atomic.Bool
	gate  sync.RWMutex  // read: a webhook goes into the spool; write: the last ones leave it
	began chan struct{} // an outage began

	mu    sync.Mutex
	since time.Time
	soon  context.Context //nolint:containedctx // ends when the store goes away: who waits for it then need not
	stop  context.CancelFunc

	poison uint64 // sequence of a record that the store refuses; of the draining goroutine alone
	tries  int    // how often
}

func (o *outage) init() {
	o.began = make(chan struct{}, 1)
	o.soon, o.stop = context.WithCancel(context.Background())
}

// isAway says whether an error means that the store is away, not that it says no.
func isAway(err error) bool {
	return errors.Is(err, omni.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// Away tells since when the store has been taken to be away; zero: it is there.
func (p *Pipeline) Away() time.Time {
	if !p.outage.away.Load() {
		return time.Time{}
	}
	p.outage.mu.Lock()
	defer p.outage.mu.Unlock()
	return p.outage.since
}

// goAway begins an outage, unless there is one or no spool to turn to. err is how the store failed, nil if records were
// found in the spool.
func (p *Pipeline) goAway(ctx context.Context, err error) {
	o := &p.outage
	if p.o.Spool == nil || !o.away.CompareAndSwap(false, true) {
		return
	}
	o.mu.Lock()
	o.since = p.now()
	o.stop()
	o.mu.Unlock()
	select {
	case o.began <- struct{}{}:
	default:
	}
	if err != nil {
		p.log.WarnContext(ctx, "store away, webhooks are spooled", "err", err)
	}
}

// storeSoon is ctx for as long as somebody waits for the store who could turn elsewhere: until the store goes away. Who asks
// although it is away may wait for storeWait.
func (p *Pipeline) storeSoon(ctx context.Context) (context.Context, context.CancelFunc) {
	if p.o.Spool == nil {
		return context.WithCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, storeWait)
	p.outage.mu.Lock()
	soon := p.outage.soon
	p.outage.mu.Unlock()
	if soon.Err() != nil {
		return ctx, cancel
	}
	stop := context.AfterFunc(soon, cancel)
	return ctx, func() { stop(); cancel() }
}

// taken is a webhook that has to be kept.
type taken struct {
	Records []store.InboxRecord `json:"records,omitempty"`
	Aside   []store.SetAside    `json:"aside,omitempty"`
}

// keep makes a webhook durable, in the store or in the spool.
func (p *Pipeline) keep(ctx context.Context, w taken) error {
	if p.o.Spool == nil {
		return p.keepInStore(ctx, w)
	}
	for {
		if !p.outage.away.Load() {
			soon, cancel := p.storeSoon(ctx)
			err := p.keepInStore(soon, w)
			cancel()
			if err == nil {
				return nil
			}
			if ctx.Err() != nil {
				return err
			}
			p.goAway(ctx, err)
		}
		if spooled, err := p.keepInSpool(ctx, w); spooled || err != nil {
			return err
		}
	}
}

func (p *Pipeline) keepInStore(ctx context.Context, w taken) error {
	if len(w.Records) > 0 {
		if err := p.store.PutInbox(ctx, w.Records...); err != nil {
			return fmt.Errorf("put webhook into the inbox: %w", err)
		}
		for _, r := range w.Records {
			p.kick(p.inbox, r.Partition)
		}
	}
	for _, s := range w.Aside {
		if err := p.store.PutAside(ctx, s); err != nil {
			return fmt.Errorf("set webhook aside: %w", err)
		}
	}
	return nil
}

// keepInSpool returns false if the store has come back meanwhile.
func (p *Pipeline) keepInSpool(ctx context.Context, w taken) (spooled bool, err error) {
	data, err := json.Marshal(w)
	if err != nil {
		return false, fmt.Errorf("spool webhook: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, spoolWait)
	defer cancel()
	p.outage.gate.RLock()
	defer p.outage.gate.RUnlock()
	if !p.outage.away.Load() {
		return false, nil
	}
	return true, p.o.Spool.Append(ctx, data)
}

// drainSpool brings back what was spooled, until ctx ends.
func (p *Pipeline) drainSpool(ctx context.Context) error {
	if p.o.Spool == nil {
		return nil
	}
	pause := probeFirst
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.outage.began:
		case <-retry.C:
		}
		err := p.bringBack(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			pause = probeFirst
		default:
			if !isAway(err) {
				p.log.ErrorContext(ctx, "drain spool", "err", err)
			}
			retry.Reset(pause)
			pause = min(2*pause, probeLast)
		}
	}
}

// bringBack moves what is in the spool to the inbox, and ends the outage when all of it has moved.
func (p *Pipeline) bringBack(ctx context.Context) error {
	for p.outage.away.Load() && ctx.Err() == nil {
		began := time.Now()
		n, err := p.drainBatch(ctx, drainWait)
		if err != nil {
			return err
		}
		slow := time.Since(began) > storeWait/2
		switch {
		case n == 0 && slow:
			return errStoreSlow // webhooks would wait for it in vain
		case n <= drainLast && !slow:
			if err := p.comeBack(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// comeBack holds new webhooks up, moves the last ones, and ends the outage.
func (p *Pipeline) comeBack(ctx context.Context) error {
	o := &p.outage
	o.gate.Lock()
	defer o.gate.Unlock()
	deadline := time.Now().Add(storeWait)
	for !p.o.Spool.Empty() {
		if _, err := p.drainBatch(ctx, max(time.Millisecond, time.Until(deadline))); err != nil {
			return err
		}
	}
	o.mu.Lock()
	o.soon, o.stop = context.WithCancel(context.Background())
	since := o.since
	o.mu.Unlock()
	o.away.Store(false)
	p.log.InfoContext(ctx, "store back, spool drained", "op", p.now().Sub(since).Round(time.Millisecond).String())
	p.leases.renew()
	p.kept.refresh()
	return nil
}

// drainBatch moves the oldest records to the inbox and returns how many. If there are none it asks the store whether it
// is there.
func (p *Pipeline) drainBatch(ctx context.Context, wait time.Duration) (int, error) {
	limit := drainMost
	if p.outage.poison > 0 {
		limit = 1
	}
	batch, err := p.o.Spool.Next(limit)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if len(batch.Records) == 0 {
		return 0, p.store.Ping(ctx)
	}
	var all taken
	for i, r := range batch.Records {
		var w taken
		if err := json.Unmarshal(r.Data, &w); err != nil {
			if len(batch.Records) > 1 {
				p.outage.poison, p.outage.tries = batch.Records[i].Seq, maxAttempts // to be met alone
				return 0, fmt.Errorf("read a spooled webhook: %w", err)
			}
			return 1, p.giveUp(batch)
		}
		all.Records, all.Aside = append(all.Records, w.Records...), append(all.Aside, w.Aside...)
	}
	if err := p.keepInStore(ctx, all); err != nil {
		return 0, p.refused(batch, err)
	}
	if p.outage.poison > 0 && batch.Records[len(batch.Records)-1].Seq >= p.outage.poison {
		p.outage.poison, p.outage.tries = 0, 0
	}
	if err := p.o.Spool.Done(batch); err != nil {
		p.log.WarnContext(ctx, "drain spool", "err", err) // it may come again after a crash
	}
	return len(batch.Records), nil
}

// refused looks for the record of a batch that the store does not take though it is there, and gives that one up after
// maxAttempts.
func (p *Pipeline) refused(b spool.Batch, err error) error {
	if isAway(err) {
		return err
	}
	o := &p.outage
	if len(b.Records) > 1 {
		o.poison, o.tries = b.Records[len(b.Records)-1].Seq, 0 // one of these
		return err
	}
	if o.tries++; o.tries < maxAttempts {
		return err
	}
	o.tries = 0
	return errors.Join(err, p.giveUp(b))
}

func (p *Pipeline) giveUp(b spool.Batch) error {
	if p.outage.poison <= b.Records[0].Seq {
		p.outage.poison, p.outage.tries = 0, 0
	}
	return p.o.Spool.SetAside(b, "refused")
}

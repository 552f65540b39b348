package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"omniservice/omni"
)

// A node shows that it is there by a lease of its own: a *place*, of which there are as many as there were ever nodes at
// once. It is given back by a node that has told all that it stored. So a place whose lease ran out is that of a node
// which died, and which may have stored changes that nobody was told of: whoever finds it has all topics begin anew.

const (
	placePrefix = "node/"
	maxPlaces   = 1000
	renewWait   = 5 * time.Second // for one attempt to begin the topics anew
	renewPause  = time.Second     // before the next
)

// Freed is no worker: given to Options.Elsewhere, and by it to KickWorker, it says that leases may be shared out anew.
const Freed = -1

func placeKey(i int) string { return fmt.Sprintf("%s%03d", placePrefix, i) }

// members is what this node knows of the nodes that there are. All but owed is of the goroutine of keepLeases alone.
type members struct {
	place omni.MessageQueueLock // of this node; zero: it has none
	alive int                   // nodes that there are, this one among them, when last looked

	owed owed
}

// owed is how often topics were to begin anew, and up to which of these they have.
type owed struct {
	wake chan struct{}

	mu          sync.Mutex
	asked, done int
}

func (o *owed) add() {
	o.mu.Lock()
	o.asked++
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

func (o *owed) open() (asked int, owing bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asked, o.asked > o.done
}

func (o *owed) paid(asked int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done = max(o.done, asked)
}

// untold notes that a change may be stored which nobody was told of, and never will be.
func (p *Pipeline) untold() {
	if p.o.Renew != nil {
		p.members.owed.add()
	}
}

// renewTopics begins the topics anew whenever something is untold, until ctx ends.
func (p *Pipeline) renewTopics(ctx context.Context) error {
	o := &p.members.owed
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-o.wake:
		}
		for {
			asked, owing := o.open()
			if !owing {
				break
			}
			try, cancel := context.WithTimeout(ctx, renewWait)
			err := p.o.Renew(try)
			cancel()
			if err == nil {
				o.paid(asked)
				p.log.WarnContext(ctx, "changes may be untold, clients read again")
				continue
			}
			if !isAway(err) {
				p.log.ErrorContext(ctx, "begin topics anew", "err", err)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(renewPause):
			}
		}
	}
}

// Join gives this node its place among the others, before it changes anything. Run does it if it was not done, or could
// not be.
func (p *Pipeline) Join(ctx context.Context) error {
	m := &p.members
	if m.place.Token != 0 {
		return nil
	}
	places, err := p.store.ListLocks(ctx, placePrefix)
	if err != nil {
		return fmt.Errorf("join the other nodes: %w", err)
	}
	taken := map[string]bool{}
	for _, l := range places {
		switch {
		case l.ExpiresAt == 0:
		case l.Owner != p.o.Node:
			taken[l.Key] = true
		case m.place.Token == 0: // a process of our name, which was killed
			if err := p.take(ctx, l.Key); err != nil {
				return err
			}
			p.inherit()
		default:
			if err := p.store.ReleaseLock(ctx, l); err != nil {
				return fmt.Errorf("join the other nodes: %w", err)
			}
		}
	}
	for i := 0; m.place.Token == 0 && i < maxPlaces; i++ {
		if taken[placeKey(i)] {
			continue
		}
		if err := p.take(ctx, placeKey(i)); err != nil && !errors.Is(err, omni.ErrConflict) {
			return err
		}
	}
	if m.place.Token == 0 {
		return fmt.Errorf("join the other nodes: all %d places are taken: %w", maxPlaces, omni.ErrUnavailable)
	}
	p.shareAnew()
	return nil
}

// take makes a place this node's.
func (p *Pipeline) take(ctx context.Context, key string) error {
	l, err := p.store.AcquireLock(ctx, key, p.o.Node, p.millis(), p.o.LeaseTTL)
	if err != nil {
		return fmt.Errorf("join the other nodes: %w", err)
	}
	p.members.place = l
	return nil
}

// inherit notes that a node died. A bus that nobody else uses died with it, and what it held.
func (p *Pipeline) inherit() {
	if p.o.Elsewhere != nil {
		p.untold()
	}
}

func (p *Pipeline) shareAnew() {
	if p.o.Elsewhere != nil {
		p.o.Elsewhere(Freed)
	}
}

// meet renews this node's place, counts the nodes and takes over from those that died.
func (p *Pipeline) meet(ctx context.Context) error {
	m := &p.members
	if m.place.Token != 0 {
		switch err := p.take(ctx, m.place.Key); {
		case errors.Is(err, omni.ErrConflict): // it ended while we slept, and somebody took it
			m.place = omni.MessageQueueLock{}
		case err != nil:
			return err
		}
	}
	if err := p.Join(ctx); err != nil {
		return err
	}
	places, err := p.store.ListLocks(ctx, placePrefix)
	if err != nil {
		return fmt.Errorf("meet the other nodes: %w", err)
	}
	now := p.millis()
	alive := map[string]bool{p.o.Node: true}
	for _, l := range places {
		switch {
		case l.ExpiresAt == 0 || l.Owner == p.o.Node:
		case l.ExpiresAt > now:
			alive[l.Owner] = true
		default:
			if err := p.bury(ctx, l); err != nil {
				return err
			}
		}
	}
	m.alive = len(alive)
	return nil
}

// bury frees the place of a node that died. Of several that try one does. What it may have left untold is owed from here
// on by this node, whose own place says so if it dies as well.
func (p *Pipeline) bury(ctx context.Context, dead omni.MessageQueueLock) error {
	l, err := p.store.AcquireLock(ctx, dead.Key, p.o.Node, p.millis(), p.o.LeaseTTL)
	if errors.Is(err, omni.ErrConflict) {
		return nil
	}
	if err == nil {
		p.log.WarnContext(ctx, "a node died", "op", dead.Owner)
		p.inherit()
		err = p.store.ReleaseLock(ctx, l)
	}
	if err != nil {
		return fmt.Errorf("take over from a dead node: %w", err)
	}
	return nil
}

// depart gives this node's place back, unless something is untold: then the next one who looks has the topics begin anew.
func (p *Pipeline) depart(ctx context.Context) {
	if p.members.place.Token == 0 {
		return
	}
	if _, owing := p.members.owed.open(); owing || p.o.AllTold != nil && !p.o.AllTold() {
		p.log.WarnContext(ctx, "stopped with changes untold, clients will read again")
		return
	}
	if err := p.store.ReleaseLock(ctx, p.members.place); err != nil {
		p.log.WarnContext(ctx, "release place", "err", err)
	}
}

// share is how many workers' leases this node may hold: the nodes that there are share them, none has more than that.
func (p *Pipeline) share() int {
	n := max(1, p.members.alive)
	return (len(p.inbox) + n - 1) / n
}

// free lists the workers whose lease nobody else holds now, nor this node.
func (p *Pipeline) free(ctx context.Context) ([]int, error) {
	ls, err := p.store.ListLocks(ctx, leasePrefix)
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	now := p.millis()
	var all []int
	for i := range p.inbox {
		key := leaseKey(i)
		held := slices.ContainsFunc(ls, func(l omni.MessageQueueLock) bool {
			return l.Key == key && l.ExpiresAt > now && l.Owner != p.o.Node // one of our name may have died
		})
		if ours, _ := p.leases.get(i); !held && ours.Token == 0 {
			all = append(all, i)
		}
	}
	return all, nil
}

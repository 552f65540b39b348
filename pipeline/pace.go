package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/store"
)

// paces hold senders to what their carriers take in a time (carriers.Paced).
//
// They are kept in this process: the sender's share of a node is that of its leases, since a recipient's messages are always
// one lease's. So all nodes together send at the carrier's pace, and between two messages to one recipient lies what the
// carrier wants. After a restart a sender may send its burst once more.
type paces struct {
	mu      sync.Mutex
	senders map[string]time.Time // by account and sender: when the next message would be due if there were no burst
	pairs   map[string]time.Time // the same by account, sender and recipient
	slots   map[string]time.Time // by message: when it may go, having waited for its sender
}

// maxPaces bounds what is remembered of each kind. What has passed is forgotten first; with still more of it, all is.
const maxPaces = 100_000

// slotKept is how long after its moment a message's slot is its own.
const slotKept = time.Minute

// turn says when m may go: now, or at a later moment. Asked for again at that moment, the answer is now.
func (p *Pipeline) turn(a *Account, m omni.ServiceMessage) (at time.Time, now bool) {
	paced, ok := a.Carrier.(carriers.Paced)
	if !ok {
		return at, true
	}
	pace := paced.Pace(m.Publish.ChannelType.Family(), m.Publish.Sender)
	held, all := p.Leases(), len(p.outbox)
	return p.paces.turn(a.Record.ID+"|"+m.Publish.Sender, m.Publish.Target.Address, m.ID, pace, float64(max(held, 1))/float64(all), p.now())
}

// turn is as Pipeline.turn, for a sender of whose pace this node has a share.
func (q *paces) turn(sender, recipient, messageID string, pace carriers.Pace, share float64, now time.Time) (at time.Time, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if slot, waited := q.slots[messageID]; waited {
		if now.Before(slot) {
			return slot, false
		}
		delete(q.slots, messageID)
		q.note(&q.pairs, sender+"|"+recipient, pace.PairEvery, now)
		return now, true
	}
	pair := sender + "|" + recipient
	// A recipient who has to be left alone holds up no other: nothing of the sender's pace is taken for them yet.
	if at = earliest(q.pairs[pair], pace.PairEvery, pace.PairBurst, now); at.After(now) {
		return at, false
	}
	every, burst := time.Duration(0), 0
	if pace.PerSecond > 0 {
		every = time.Duration(float64(time.Second) / (pace.PerSecond * share))
		burst = max(1, int(pace.PerSecond))
		if pace.Burst > 0 {
			burst = pace.Burst
		}
		burst = max(1, int(float64(burst)*share))
	}
	at = earliest(q.senders[sender], every, burst, now)
	q.note(&q.senders, sender, every, at)
	if at.After(now) {
		if q.slots == nil || len(q.slots) >= maxPaces {
			q.slots = passed(q.slots, now.Add(-slotKept))
		}
		q.slots[messageID] = at
		return at, false
	}
	q.note(&q.pairs, pair, pace.PairEvery, now)
	return now, true
}

// earliest is when the next may go, given when it would be due without a burst.
func earliest(due time.Time, every time.Duration, burst int, now time.Time) time.Time {
	at := due.Add(-time.Duration(max(burst, 1)-1) * every)
	if every <= 0 || at.Before(now) {
		return now
	}
	return at
}

// note counts one that goes at a moment.
func (*paces) note(all *map[string]time.Time, key string, every time.Duration, at time.Time) {
	if every <= 0 {
		return
	}
	if *all == nil || len(*all) >= maxPaces {
		*all = passed(*all, at)
	}
	due := (*all)[key]
	if due.Before(at) {
		due = at
	}
	(*all)[key] = due.Add(every)
}

// passed is what of all is after a moment; nothing if that is still too much.
func passed(all map[string]time.Time, moment time.Time) map[string]time.Time {
	left := map[string]time.Time{}
	for k, at := range all {
		if at.After(moment) {
			left[k] = at
		}
	}
	if len(left) >= maxPaces {
		clear(left)
	}
	return left
}

// putOff has a message wait for its turn. Others' are not held up by it.
func (p *Pipeline) putOff(ctx context.Context, it store.OutboxItem, at time.Time) error {
	err := p.store.PutOff(ctx, it.Message.Tenant, it.Message.ID, omni.MillisOf(at.Add(time.Millisecond-1))) // never earlier
	if err != nil && !errors.Is(err, omni.ErrConflict) && !errors.Is(err, omni.ErrNotFound) {
		return fmt.Errorf("put message %s off: %w", it.Message.ID, err)
	}
	return nil
}

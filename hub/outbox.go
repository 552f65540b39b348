package hub

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"omniservice/internal/wait"
	"omniservice/omni"
)

const (
	outboxFirstPause = 50 * time.Millisecond
	outboxLastPause  = time.Second
)

// outbox holds what the bus could not take, in the order in which it came.
type outbox struct {
	limit int
	wake  chan struct{}

	mu      sync.Mutex
	queue   []outgoing
	waiting map[string]int // topic -> how many of queue
	lost    int            // for how many there was no room: clients have to read again
	renewed int            // up to which of these they have been sent to
	empty   chan struct{}  // closed when queue is empty; nil if nobody waits for that
}

type outgoing struct {
	topic string
	entry Entry
}

func (o *outbox) has(topic string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.waiting[topic] > 0
}

func (o *outbox) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue)
}

func (o *outbox) add(topic string, e Entry) error {
	o.mu.Lock()
	if len(o.queue) >= o.limit {
		o.lost++
		o.mu.Unlock()
		return omni.Problemf(omni.ErrUnavailable, "too many events wait for the bus")
	}
	o.queue = append(o.queue, outgoing{topic, e})
	o.waiting[topic]++
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
	return nil
}

// owes says up to which lost event clients have to be sent to read again, if they have.
func (o *outbox) owes() (upTo int, owing bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lost, o.lost > o.renewed
}

func (o *outbox) paid(upTo int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.renewed = upTo
}

func (o *outbox) first() (outgoing, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		return outgoing{}, false
	}
	return o.queue[0], true
}

// again notes that the bus may have the first one.
func (o *outbox) again() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.queue[0].entry.Again = true
}

func (o *outbox) drop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	release(o.waiting, o.queue[0].topic)
	o.queue[0] = outgoing{}
	if o.queue = o.queue[1:]; len(o.queue) == 0 {
		o.queue = nil
		if o.empty != nil {
			close(o.empty)
			o.empty = nil
		}
	}
}

// flush waits until nothing waits or ctx ends, and returns how many still do.
func (o *outbox) flush(ctx context.Context) int {
	o.mu.Lock()
	if len(o.queue) == 0 {
		o.mu.Unlock()
		return 0
	}
	if o.empty == nil {
		o.empty = make(chan struct{})
	}
	empty := o.empty
	o.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
	return o.len()
}

// outboxLoop gives the bus what waits, one by one, until it takes it.
func (h *Hub) outboxLoop() {
	pause := outboxFirstPause
	for {
		next, ok := h.out.first()
		upTo, owing := h.out.owes()
		if !ok && owing {
			switch err := h.renewLost(); {
			case err == nil:
				h.out.paid(upTo)
			case h.base.Err() != nil:
				return
			default:
				_ = wait.For(h.base, pause/2+rand.N(pause/2)) //nolint:gosec // as below
				pause = min(2*pause, outboxLastPause)
			}
			continue
		}
		if !ok {
			select {
			case <-h.base.Done():
				return
			case <-h.out.wake:
			}
			continue
		}
		err := h.offer(next)
		switch {
		case err == nil:
			pause = outboxFirstPause
		case h.base.Err() != nil:
			return
		case errors.Is(err, omni.ErrInvalid): // it never will be taken, and must not hold up the rest
			h.log.ErrorContext(h.base, "event refused by the bus", "op", next.entry.Type, "err", err)
		default:
			h.out.again()
			_ = wait.For(h.base, pause/2+rand.N(pause/2)) //nolint:gosec // spreads load, hides nothing
			pause = min(2*pause, outboxLastPause)
			continue
		}
		h.out.drop()
	}
}

// renewLost has topics begin anew because there was no room for events of some of them.
func (h *Hub) renewLost() error {
	ctx, cancel := context.WithTimeout(h.base, busTimeout)
	defer cancel()
	return h.Renew(ctx)
}

// Untold reports whether events wait for the bus, or were lost and clients have not been sent to read again.
func (h *Hub) Untold() bool {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	return len(h.out.queue) > 0 || h.out.lost > h.out.renewed
}

func (h *Hub) offer(o outgoing) error {
	ctx, cancel := context.WithTimeout(h.base, busTimeout)
	defer cancel()
	_, err := h.bus.Publish(ctx, o.topic, o.entry)
	return err
}

package app

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"omniservice/hub"
)

const (
	signalTimeout = 2 * time.Second
	signalPause   = 250 * time.Millisecond // before it is tried again
)

// signals tell other nodes that this one has put work into their partitions. What comes while one is under way goes
// out with the next.
type signals struct {
	wake chan struct{}

	mu  sync.Mutex
	due map[int]struct{}
}

func newSignals() *signals { return &signals{wake: make(chan struct{}, 1), due: map[int]struct{}{}} }

func (s *signals) add(worker int) {
	s.mu.Lock()
	s.due[worker] = struct{}{}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *signals) take() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]int, 0, len(s.due))
	for w := range s.due {
		all = append(all, w)
	}
	clear(s.due)
	slices.Sort(all)
	return all
}

// run sends what was added until ctx ends, and then once more: leases were given back.
func (s *signals) run(ctx context.Context, h *hub.Hub, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			last := context.WithoutCancel(ctx)
			if err := s.send(last, h, s.take()); err != nil {
				log.DebugContext(last, "other nodes not told of work", "err", err)
			}
			return
		case <-s.wake:
		}
		workers := s.take()
		err := s.send(ctx, h, workers)
		if err == nil {
			continue
		}
		log.DebugContext(ctx, "other nodes not told of work", "err", err)
		for _, w := range workers { // what comes meanwhile is told with them
			s.add(w)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(signalPause):
		}
	}
}

func (*signals) send(ctx context.Context, h *hub.Hub, workers []int) error {
	if len(workers) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, signalTimeout)
	defer cancel()
	return h.Signal(ctx, workers)
}

// signalled takes what run of another node sent.
func (a *App) signalled(data json.RawMessage) {
	var workers []int
	if err := json.Unmarshal(data, &workers); err != nil {
		a.log.Warn("signal not understood", "err", err)
		return
	}
	for _, w := range workers {
		a.pipeline.KickWorker(w)
	}
}

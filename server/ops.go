package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/pprof"
	"time"

	"omniservice/store/spool"
)

// readyTime is how long store and bus together have to answer.
const readyTime = 2 * time.Second

// SetDraining makes /readyz say no, so that a load balancer sends nothing new. It does not close anything.
func (s *Server) SetDraining(on bool) { s.draining.Store(on) }

// buildOps makes the handler of the second address: health, readiness, metrics, and profiles where configured.
func (s *Server) buildOps() {
	s.metrics.hub.Store(s.d.Hub)
	if s.d.Spool != nil {
		s.metrics.spool.Store(&s.d.Spool)
	}
	m := http.NewServeMux()
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	m.HandleFunc("GET /readyz", s.ready)
	m.HandleFunc("GET /readyz/webhooks", s.readyForWebhooks)
	m.Handle("GET /metrics", s.metrics.Handler())
	if s.o.Profiling {
		m.HandleFunc("GET /debug/pprof/", pprof.Index)
		m.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		m.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		m.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		m.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	s.ops = m
}

// ready says whether this node can do its work: the store answers, and the node is not going away. A bus that is away is
// named and changes nothing: webhooks and REST go on without it, and as all nodes have the same one, none would be left.
// The spool is told of too: that it holds something is no reason not to be ready.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	parts := map[string]string{"status": "ok", "store": "ok", "bus": "ok"}
	status := http.StatusOK
	ask := func(part func(ctx context.Context) error) error { // one that hangs does not cost the others their time
		ctx, cancel := context.WithTimeout(ctx, readyTime/2)
		defer cancel()
		return part(ctx)
	}
	if err := ask(func(ctx context.Context) error {
		_, err := s.d.Bus.Positions(ctx, []string{"readyz"})
		return err
	}); err != nil {
		s.log.WarnContext(ctx, "not whole", "reason", "bus", "err", err)
		parts["bus"], parts["status"] = "away", "degraded"
	}
	if err := ask(s.d.Store.Ping); err != nil {
		s.log.WarnContext(ctx, "not ready", "reason", "store", "err", err)
		parts["store"], parts["status"], status = "away", "not ready", http.StatusServiceUnavailable
	}
	if s.draining.Load() {
		parts["status"], status = "draining", http.StatusServiceUnavailable
	}
	if s.d.Spool != nil {
		parts["spool"] = spoolState(s.d.Spool())
		parts["webhooks"] = s.webhookState(parts["store"] == "ok")
	}
	answer(w, status, parts)
}

// readyForWebhooks says whether this node takes webhooks, which it does without a store too: what a load balancer should
// ask for /webhooks.
func (s *Server) readyForWebhooks(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTime)
	defer cancel()
	state := s.webhookState(s.d.Store.Ping(ctx) == nil)
	status := http.StatusOK
	if s.draining.Load() || state == "refused" {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, map[string]string{"webhooks": state})
}

// webhookState is where webhooks go: stored, spooled, or refused with 503.
func (s *Server) webhookState(stored bool) string {
	if s.d.Spool == nil {
		if stored {
			return "stored"
		}
		return "refused"
	}
	st := s.d.Spool()
	switch {
	case st.Records == 0 && stored:
		return "stored"
	case st.Full:
		return "refused"
	default:
		return "spooled"
	}
}

func spoolState(st spool.Stats) string {
	switch {
	case st.Records == 0:
		return "empty"
	case st.Late:
		return fmt.Sprintf("%d wait, the oldest for %s: too long", st.Records, st.Oldest.Round(time.Second))
	default:
		return fmt.Sprintf("%d wait, the oldest for %s", st.Records, st.Oldest.Round(time.Second))
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

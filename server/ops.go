package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"
	"time"
)

// readyTime is how long store and bus have to answer.
const readyTime = 2 * time.Second

// SetDraining makes /readyz say no, so that a load balancer sends nothing new. It does not close anything.
func (s *Server) SetDraining(on bool) { s.draining.Store(on) }

// buildOps makes the handler of the second address: health, readiness, metrics, and profiles where configured.
func (s *Server) buildOps() {
	s.metrics.hub.Store(s.d.Hub)
	m := http.NewServeMux()
	m.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	m.HandleFunc("GET /readyz", s.ready)
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
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), readyTime)
	defer cancel()
	parts := map[string]string{"status": "ok", "store": "ok", "bus": "ok"}
	status := http.StatusOK
	if _, err := s.d.Bus.Positions(ctx, []string{"readyz"}); err != nil {
		s.log.WarnContext(ctx, "not whole", "reason", "bus", "err", err)
		parts["bus"], parts["status"] = "away", "degraded"
	}
	if err := s.d.Store.Ping(ctx); err != nil {
		s.log.WarnContext(ctx, "not ready", "reason", "store", "err", err)
		parts["store"], parts["status"], status = "away", "not ready", http.StatusServiceUnavailable
	}
	if s.draining.Load() {
		parts["status"], status = "draining", http.StatusServiceUnavailable
	}
	answer(w, status, parts)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

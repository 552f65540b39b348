package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/time/rate"

	"omniservice/omni"
)

type requestIDKey struct{}

// requestID names the request that ctx belongs to.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// identify gives the request its id: ours, since one from outside could be anything.
func (s *Server) identify(c *gin.Context) {
	id := omni.NewToken(8)
	c.Header("X-Request-Id", id)
	c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), requestIDKey{}, id))
	c.Next()
}

// accessLog writes one line for a request: its route, never its path or query, which hold ids and tokens.
func (s *Server) accessLog(c *gin.Context) {
	begin := time.Now()
	c.Next()
	took := time.Since(begin)
	route := c.FullPath()
	if route == "" {
		route = "other"
	}
	status := c.Writer.Status()
	s.metrics.request(c.Request.Method, route, status, took)
	level := slog.LevelDebug
	switch {
	case status >= http.StatusInternalServerError:
		level = slog.LevelWarn
	case strings.HasPrefix(route, "/api/") || strings.HasPrefix(route, "/livechat/"):
		level = slog.LevelInfo
	}
	ctx := c.Request.Context()
	if !s.log.Enabled(ctx, level) {
		return
	}
	s.log.LogAttrs(ctx, level, "request", slog.String("op", c.Request.Method+" "+route), slog.Int("status", status),
		slog.Int64("micros", took.Microseconds()), slog.String("request_id", requestID(ctx)))
}

// recovery answers 500 where a handler panicked. The log gets the place; the value only where Go itself made it,
// since any other may hold what was sent.
func (s *Server) recovery(c *gin.Context) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v)
		}
		what := fmt.Sprintf("panic of type %T", v)
		if e, ok := v.(runtime.Error); ok {
			what = e.Error()
		}
		s.log.ErrorContext(c.Request.Context(), "panic", "op", c.FullPath(), "reason", what,
			"request_id", requestID(c.Request.Context()), "stack", string(debug.Stack()))
		if !c.Writer.Written() {
			s.writeProblem(c, errors.New(what))
			return
		}
		c.Abort()
	}()
	c.Next()
}

// Content security policies of the areas (rule M6). Styles may be inline: the console's component kit sets them.
const (
	policyAPI  = "default-src 'none'; frame-ancestors 'none'"
	policyPage = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; " +
		"font-src 'self' data:; media-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
)

// secure sets the headers that every answer has. Areas that show pages replace the policy.
func (s *Server) secure(c *gin.Context) {
	h := c.Writer.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "strict-origin-when-cross-origin")
	h.Set("Content-Security-Policy", policyAPI)
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	if s.https {
		h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
	c.Next()
}

// cors answers the origins of the list and no other.
func (s *Server) cors(c *gin.Context) {
	origin := c.GetHeader("Origin")
	c.Writer.Header().Add("Vary", "Origin")
	if origin == "" || !s.ownOrigin(origin) {
		if c.Request.Method == http.MethodOptions {
			c.AbortWithStatus(http.StatusNoContent)
			return
		}
		c.Next()
		return
	}
	h := c.Writer.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "ETag, Retry-After, X-Request-Id")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	if c.Request.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, POST, PATCH, PUT, DELETE")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, X-CSRF-Token")
		h.Set("Access-Control-Max-Age", "600")
		c.AbortWithStatus(http.StatusNoContent)
		return
	}
	c.Next()
}

// preflight answers a browser that asks whether a page of another origin may call REST.
func (s *Server) preflight(c *gin.Context) {
	p := c.Request.URL.Path
	if c.Request.Method == http.MethodOptions && (strings.HasPrefix(p, "/api/v1/") || strings.HasPrefix(p, "/livechat/v1/")) {
		s.cors(c)
	}
}

// ownOrigin reports whether pages of an origin are ours.
func (s *Server) ownOrigin(origin string) bool { return slices.Contains(s.origins, origin) }

// Rate is how often something may be done: so many a second, and so many at once.
type Rate struct {
	PerSecond float64
	Burst     int
}

func (r Rate) or(d Rate) Rate {
	if r.PerSecond <= 0 || r.Burst <= 0 {
		return d
	}
	return r
}

// addresses limits what comes from one address to this node. An IPv6 address counts as its /64, which is what one
// customer of a provider has.
type addresses struct {
	limit Rate
	now   func() time.Time

	mu   sync.Mutex
	byIP map[string]*rate.Limiter
}

// maxAddresses bounds the addresses that are remembered.
const maxAddresses = 50_000

func newAddresses(limit Rate, now func() time.Time) *addresses {
	return &addresses{limit: limit, now: now, byIP: map[string]*rate.Limiter{}}
}

func (a *addresses) of(ip string) *rate.Limiter {
	a.mu.Lock()
	defer a.mu.Unlock()
	l, ok := a.byIP[ip]
	if !ok {
		if len(a.byIP) >= maxAddresses {
			for k, v := range a.byIP {
				if v.TokensAt(a.now()) >= float64(a.limit.Burst) {
					delete(a.byIP, k)
				}
			}
			if len(a.byIP) >= maxAddresses {
				clear(a.byIP)
			}
		}
		l = rate.NewLimiter(rate.Limit(a.limit.PerSecond), a.limit.Burst)
		a.byIP[ip] = l
	}
	return l
}

// allow takes one, or says how long to wait.
func (a *addresses) allow(ip string) (wait time.Duration, ok bool) {
	now := a.now()
	l := a.of(ip)
	if l.AllowN(now, 1) {
		return 0, true
	}
	return time.Duration((1 - l.TokensAt(now)) / a.limit.PerSecond * float64(time.Second)), false
}

// peer is the address that limits count: the client's, where a trusted proxy tells it.
func peer(c *gin.Context) string {
	ip, err := netip.ParseAddr(c.ClientIP())
	if err != nil {
		return "unknown"
	}
	ip = ip.Unmap()
	if ip.Is6() {
		if p, err := ip.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}

// limitAddress refuses what one address asks too often.
func (s *Server) limitAddress(c *gin.Context) {
	if wait, ok := s.addresses.allow(peer(c)); !ok {
		s.writeProblem(c, tooMany(wait))
		return
	}
	c.Next()
}

func tooMany(wait time.Duration) error {
	p := omni.Problemf(omni.ErrRateLimited, "Too many requests. Wait a little.")
	p.RetryAfter = max(wait, time.Second)
	return p
}

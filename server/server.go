package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"omniservice/carriers"
	"omniservice/hub"
	"omniservice/omni"
	"omniservice/server/auth"
	"omniservice/store"
	"omniservice/store/spool"
)

// Deps is what the server serves. All but Spool, Media, Simulator and the web programs are required.
type Deps struct {
	Store    store.Store
	Bus      hub.Bus
	Hub      *hub.Hub
	Pipeline Pipeline
	Carriers *carriers.Registry
	// Seal encrypts a credential of a carrier account: pipeline.SealCredential with the program's keys.
	Seal func(rec omni.CarrierAccount, name, value string) (omni.SealedSecret, error)
	// Publish announces what is durable on a hub topic.
	Publish func(ctx context.Context, topic, typ string, data any) error
	// Metrics are the program's; nil makes new ones.
	Metrics *Metrics
	// Spool tells what webhooks wait on this node's disk for the store; nil: it has no spool.
	Spool func() spool.Stats
	// Media gives the files of messages; nil gives none.
	Media Media
	// Simulator plays customers in demo mode.
	Simulator Simulator
	// Console, Widget and DemoSite are the built web programs; nil shows a page that says how to build them.
	Console, Widget, DemoSite fs.FS
}

// Options sets the server up. PublicURL and the keys are required.
type Options struct {
	PublicURL      string   // scheme, host and port that browsers and carriers use, no slash at the end
	MediaURL       string   // scheme, host and port that files are got from, if it is not PublicURL: another that leads here too
	AllowedOrigins []string // other sites whose pages may use REST and sockets, such as a development server
	TrustedProxies []string // addresses or networks of proxies whose X-Forwarded-For is believed
	Demo           bool     // demo pages; also allows plain http and both names of this machine
	Profiling      bool     // /debug/pprof on the ops handler
	Version        string   // of the program, for /docs

	AccessKeys  []auth.Key // sign access tokens; the first signs
	VisitorKeys []auth.Key // sign visitors' tokens
	MediaKeys   [][]byte   // sign links to files, at least 32 bytes each; the first signs. Required with Media

	Limits Limits
	Auth   auth.Options // its times; issuer, keys, clock and log are set here

	Now func() time.Time // nil means time.Now
	Log *slog.Logger     // nil means no log
}

// Limits are how much the server takes. A zero Rate means the default.
type Limits struct {
	Address      Rate // REST, pages and sockets of one address; 100 a second, 400 at once
	Organisation Rate // REST of one organisation, over all nodes; 200 a second, 800 at once
	Principal    Rate // REST of one user, API key or visitor, over all nodes; 50 a second, 200 at once
	Visitors     Rate // new visitors from one address; 1 a second, 60 at once
	Uploads      Rate // files of one user or API key, over all nodes; 1 a second, 100 at once
}

// Server serves two addresses: Public and Ops.
type Server struct {
	d    Deps
	o    Options
	log  *slog.Logger
	now  func() time.Time
	auth *auth.Service

	https     bool
	mediaHost string   // of MediaURL
	origins   []string // of our own pages, and of those that may use what they use

	metrics     *Metrics
	addresses   *addresses
	newVisitors *addresses
	widgets     *widgets

	visitorUpdates *addresses // by visitor
	availability   availability

	api      huma.API
	routes   []Route
	public   *gin.Engine
	ops      *http.ServeMux
	draining atomic.Bool
}

// New makes the server. Options that would be unsafe are errors that say what to change (rule B5).
func New(d Deps, o Options) (*Server, error) {
	if d.Store == nil || d.Bus == nil || d.Hub == nil || d.Pipeline == nil || d.Carriers == nil || d.Seal == nil || d.Publish == nil {
		return nil, errors.New("the server needs a store, a bus, a hub, a pipeline, carriers, a sealer and a publisher")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if d.Metrics == nil {
		d.Metrics = NewMetrics()
	}
	s := &Server{d: d, o: o, log: o.Log, now: o.Now, metrics: d.Metrics}
	if err := s.checkAddresses(); err != nil {
		return nil, err
	}
	if err := s.checkMedia(); err != nil {
		return nil, err
	}
	s.o.Limits = Limits{
		Address:      o.Limits.Address.or(Rate{100, 400}),
		Organisation: o.Limits.Organisation.or(Rate{200, 800}),
		Principal:    o.Limits.Principal.or(Rate{50, 200}),
		Visitors:     o.Limits.Visitors.or(Rate{1, 60}),
		Uploads:      o.Limits.Uploads.or(Rate{1, 100}),
	}
	s.addresses = newAddresses(s.o.Limits.Address, o.Now)
	s.newVisitors = newAddresses(s.o.Limits.Visitors, o.Now)
	s.visitorUpdates = newAddresses(visitorUpdates, o.Now)
	s.availability.byChannel = map[string]knownAvailability{}
	s.widgets = newWidgets(d.Store, o.Now)

	ao := o.Auth
	ao.Issuer, ao.AccessKeys, ao.VisitorKeys, ao.Now, ao.Log = o.PublicURL, o.AccessKeys, o.VisitorKeys, o.Now, o.Log
	var err error
	if s.auth, err = auth.New(d.Store, d.Bus, ao); err != nil {
		return nil, err
	}
	useProblems()
	if err := s.buildPublic(); err != nil {
		return nil, err
	}
	s.buildOps()
	return s, nil
}

// checkAddresses checks the public URL and the lists of origins, and remembers what follows from them.
func (s *Server) checkAddresses() error {
	u, err := url.Parse(s.o.PublicURL)
	if err != nil || !omni.ValidOrigin(s.o.PublicURL) {
		return fmt.Errorf("the public URL %q must be like https://chat.example.com, without a path", s.o.PublicURL)
	}
	s.https = u.Scheme == "https"
	if !s.https && !s.o.Demo && !loopback(u.Hostname()) {
		return fmt.Errorf("the public URL %s must begin with https: carriers' signatures and logins would go over the net unprotected", s.o.PublicURL)
	}
	s.origins = []string{s.o.PublicURL}
	if s.o.Demo && loopback(u.Hostname()) {
		for _, host := range []string{"localhost", "127.0.0.1"} {
			same := *u
			same.Host = host
			if u.Port() != "" {
				same.Host = net.JoinHostPort(host, u.Port())
			}
			if o := same.String(); !slices.Contains(s.origins, o) {
				s.origins = append(s.origins, o)
			}
		}
	}
	for _, o := range s.o.AllowedOrigins {
		if !omni.ValidOrigin(o) {
			return fmt.Errorf("allowed origin %q must be like https://www.example.com, without a path and without *", o)
		}
		s.origins = append(s.origins, o)
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// Public serves browsers, carriers and programs.
func (s *Server) Public() http.Handler { return s.public }

// Ops serves health and metrics, on an address that is not public.
func (s *Server) Ops() http.Handler { return s.ops }

// Auth is who may log in.
func (s *Server) Auth() *auth.Service { return s.auth }

// HTTPServer is an http.Server for one of the handlers, with the limits of rule B4. What net/http itself has to say
// goes to log, as records that are one line each (rule K4).
func HTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second, // sockets are hijacked and have deadlines of their own
		IdleTimeout:       90 * time.Second,
		MaxHeaderBytes:    32 << 10,
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12},
	}
}

func (s *Server) buildPublic() error {
	gin.SetMode(gin.ReleaseMode)
	g := gin.New()
	g.HandleMethodNotAllowed = true
	g.RedirectTrailingSlash = false
	g.ContextWithFallback = false
	if err := g.SetTrustedProxies(s.o.TrustedProxies); err != nil {
		return fmt.Errorf("trusted proxies: %w", err)
	}
	g.Use(s.identify, s.accessLog, s.recovery, s.secure)
	s.public = g

	g.GET("/webhooks/:carrier/:account", s.webhook)
	g.POST("/webhooks/:carrier/:account", s.webhook)

	limited := g.Group("/", s.limitAddress)
	limited.GET("/ws", s.agentSocket)
	limited.GET("/livechat/ws", s.visitorSocket)
	s.buildAPI(limited)
	s.buildDocs(limited)
	if s.d.Media != nil {
		limited.GET(mediaRoute, s.serveMedia)
		limited.GET(carrierRoute, s.serveCarrier)
		limited.HEAD(carrierRoute, s.serveCarrier)
	}
	if s.o.Demo {
		s.buildDemo(limited)
	}
	s.buildStatic(g, limited)
	g.NoMethod(s.limitAddress, s.preflight, func(c *gin.Context) {
		s.writeProblem(c, &withStatus{http.StatusMethodNotAllowed, omni.Problemf(omni.ErrInvalid, "This address does not take %s.", c.Request.Method)})
	})
	return nil
}

func (s *Server) millis() omni.Millis { return omni.MillisOf(s.now()) }

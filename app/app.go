package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"omniservice/carriers"
	"omniservice/carriers/bandwidth"
	"omniservice/carriers/inteliquent"
	"omniservice/carriers/messagebird"
	"omniservice/carriers/pubnub"
	"omniservice/carriers/testcarrier"
	"omniservice/carriers/twilio"
	"omniservice/carriers/whatsapp"
	"omniservice/hub"
	"omniservice/hub/membus"
	"omniservice/hub/redisbus"
	"omniservice/internal/folder"
	"omniservice/internal/httpout"
	"omniservice/internal/seal"
	"omniservice/omni"
	"omniservice/pipeline"
	"omniservice/server"
	"omniservice/server/auth"
	"omniservice/store"
	"omniservice/store/spool"
	"omniservice/store/sqlitestore"
	"omniservice/web"
)

// Options is what tests and commands decide beside the configuration.
type Options struct {
	Version string
	LogTo   io.Writer             // where JSON log lines go; nil means os.Stderr
	Out     io.Writer             // where people are told which pages there are; nil means nowhere
	Now     func() time.Time      // nil means time.Now
	Limits  server.Limits         // zero means the server's own
	Store   store.Store           // that several gateways of one test share, who do not close it; nil means the one in DataDir
	Hub     hub.Options           // its limits and times; the rest is set here
	Bus     func(hub.Bus) hub.Bus // put around the bus, so that tests can make it fail

	Pipeline pipeline.Options // its times; the rest is set here

	Around func(store.Store) store.Store // put around the store, so that tests can make it fail
	Spool  spool.Options                 // its limits and its disk; the rest is set here
}

// App is a gateway. Make it with New, Start it once, Stop it once.
type App struct {
	cfg  Config
	o    Options
	log  *slog.Logger
	keys *seal.Keyring

	store     store.Store
	opened    preparation
	spool     *spool.Spool   // nil only for documents
	media     *folder.Folder // nil only for documents
	uploads   *folder.Folder // the same
	bus       hub.Bus
	hub       *hub.Hub
	test      *testcarrier.Provider
	simulator *simulator // nil unless it is a demo
	doubles   *doubles   // nil unless it is a demo
	pipeline  *pipeline.Pipeline
	server    *server.Server
	reg       *carriers.Registry
	signals   *signals // nil if there is no other node

	public, ops *http.Server
	publicLn    net.Listener
	opsLn       net.Listener
	serving     errgroup.Group
	telling     sync.WaitGroup
	preparing   sync.WaitGroup
	stopWork    context.CancelFunc
	worked      chan error
	failed      chan error
}

// New checks the configuration and opens what the gateway needs. Everything that is wrong with the configuration is
// reported at once.
func New(ctx context.Context, cfg Config, o Options) (_ *App, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if o.LogTo == nil {
		o.LogTo = os.Stderr
	}
	if o.Out == nil {
		o.Out = io.Discard
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	a := &App{
		cfg: cfg, o: o, worked: make(chan error, 1), failed: make(chan error, 4),
		log: slog.New(slog.NewJSONHandler(o.LogTo, &slog.HandlerOptions{Level: cfg.level()})),
	}
	defer func() {
		if err != nil {
			a.close()
		}
	}()

	// The port has to be known before anything is made whose address carriers and browsers are told.
	lc := net.ListenConfig{}
	if a.publicLn, err = lc.Listen(ctx, "tcp", cfg.Addr); err != nil {
		return nil, fmt.Errorf("listen on OMNI_ADDR: %w", err)
	}
	if a.opsLn, err = lc.Listen(ctx, "tcp", cfg.OpsAddr); err != nil {
		return nil, fmt.Errorf("listen on OMNI_OPS_ADDR: %w", err)
	}
	if a.cfg.PublicURL == "" {
		a.cfg.PublicURL = fmt.Sprintf("http://localhost:%d", a.publicLn.Addr().(*net.TCPAddr).Port)
	}

	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if a.keys, err = cfg.keyring(); err != nil {
		return nil, err
	}
	if err := a.openStore(ctx); err != nil {
		return nil, err
	}
	if err := a.openSpool(); err != nil {
		return nil, err
	}
	if a.media, err = folder.Open(filepath.Join(cfg.DataDir, mediaName)); err != nil {
		return nil, fmt.Errorf("media folder: %w", err)
	}
	if a.uploads, err = folder.Open(filepath.Join(cfg.DataDir, mediaName, uploadsName)); err != nil {
		return nil, fmt.Errorf("folder of uploads: %w", err)
	}
	if cfg.Demo {
		if err := a.openDoubles(ctx); err != nil {
			return nil, err
		}
	}
	if err := a.assemble(); err != nil { //nolint:contextcheck // what it makes outlives ctx; requests bring their own
		return nil, err
	}
	return a, nil
}

// providers lists the carriers that there are.
func (a *App) providers() (*carriers.Registry, error) {
	a.test = testcarrier.New(testcarrier.Options{Now: a.o.Now})
	return carriers.NewRegistry(a.test, twilio.New(), whatsapp.New(), bandwidth.New(), inteliquent.New(), messagebird.New(), pubnub.New())
}

func (a *App) assemble() error {
	var err error
	if a.reg, err = a.providers(); err != nil {
		return err
	}
	if a.bus, err = a.openBus(); err != nil {
		return err
	}
	if a.o.Bus != nil {
		a.bus = a.o.Bus(a.bus)
	}
	ho := a.o.Hub
	ho.Logger, ho.Drain = a.log, a.cfg.DrainTime
	ho.Regrant = func(ctx context.Context, p hub.Principal) ([]string, error) { return a.server.Regrant(ctx, p) }
	ho.Available = func(ctx context.Context, p hub.Principal) (bool, error) { return a.server.Available(ctx, p) }
	ho.Signalled = a.signalled
	if a.hub, err = hub.New(a.bus, ho); err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	bases, err := a.cfg.carrierAPIBase()
	if err != nil {
		return err
	}
	if a.doubles != nil {
		a.doubles.bases(bases)
	}
	metrics := server.NewMetrics()
	po := a.o.Pipeline
	po.Node, po.PublicURL, po.APIBase, po.Now, po.Log, po.Metrics = a.node(), a.cfg.PublicURL, bases, a.o.Now, a.log, metrics.Pipeline()
	po.HTTP = httpout.New(httpout.Options{AllowLoopback: len(bases) > 0})
	po.MediaHTTP = httpout.New(httpout.Options{
		Timeout: pipeline.FetchTimeout, MaxBody: pipeline.MaxFile, AllowLoopback: a.cfg.Demo || len(bases) > 0,
	})
	po.Renew, po.AllTold = a.hub.Renew, func() bool { return !a.hub.Untold() }
	if a.media != nil {
		po.Media, po.Uploads = a.media, a.uploads
		po.FileURL = func(m omni.ServiceMessage, f omni.MediaReference) string { return a.server.FileLink(m, f) }
	}
	if !a.cfg.RedisURL.IsZero() {
		a.signals = newSignals()
		po.Elsewhere = a.signals.add
	}
	if a.spool != nil {
		po.Spool, po.KeepIn = a.spool, filepath.Join(a.cfg.DataDir, accountsName)
	}
	a.pipeline, err = pipeline.New(a.store, a.reg, a.keys, publisher{a.hub}, po)
	if err != nil {
		return fmt.Errorf("pipeline: %w", err)
	}
	access, err := a.signingKeys("access token")
	if err != nil {
		return err
	}
	visitors, err := a.signingKeys("visitor token")
	if err != nil {
		return err
	}
	links, err := a.keys.Derive("media url")
	if err != nil {
		return err
	}
	deps := server.Deps{
		Store: a.store, Bus: a.bus, Hub: a.hub, Pipeline: a.pipeline, Carriers: a.reg, Seal: sealer(a.keys),
		Publish: publisher{a.hub}.Publish, Metrics: metrics,
	}
	if a.media != nil {
		deps.Media = a.media
	}
	if a.spool != nil {
		deps.Spool = a.spool.Stats
	}
	if web.Built() {
		deps.Console, deps.Widget, deps.DemoSite = web.Console(), web.Widget(), web.Demo()
	}
	if a.cfg.Demo {
		a.simulator = newSimulator(a)
		deps.Simulator = a.simulator
	}
	so := server.Options{
		PublicURL: a.cfg.PublicURL, MediaURL: a.cfg.MediaURL, AllowedOrigins: a.cfg.AllowedOrigins, TrustedProxies: a.cfg.TrustedProxies, Demo: a.cfg.Demo,
		Profiling: a.cfg.Pprof, Version: a.o.Version, AccessKeys: access, VisitorKeys: visitors, Limits: a.o.Limits,
		Now: a.o.Now, Log: a.log,
	}
	for _, k := range links {
		so.MediaKeys = append(so.MediaKeys, k.Key)
	}
	if a.server, err = server.New(deps, so); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	a.public, a.ops = server.HTTPServer(a.server.Public(), a.log), server.HTTPServer(a.server.Ops(), a.log)
	return nil
}

// openBus does not connect: a gateway starts without Redis, and finds it when it is there.
func (a *App) openBus() (hub.Bus, error) {
	if a.cfg.RedisURL.IsZero() {
		return membus.New(membus.Options{}), nil
	}
	return redisbus.New(a.cfg.RedisURL.Reveal(), redisbus.Options{Logger: a.log})
}

// node names this gateway in leases. Alone on an embedded store it keeps its name over restarts, so that it goes on at
// once with what it had taken.
func (a *App) node() string {
	if a.o.Store == nil && a.cfg.MongoURI.IsZero() {
		return "embedded"
	}
	return omni.NewID()
}

// shared is a store that somebody else closes.
type shared struct{ store.Store }

func (shared) Close() error { return nil }

func sealer(k *seal.Keyring) func(omni.CarrierAccount, string, string) (omni.SealedSecret, error) {
	return func(rec omni.CarrierAccount, name, value string) (omni.SealedSecret, error) {
		return pipeline.SealCredential(k, rec, name, value)
	}
}

// signingKeys are the keys for tokens of one kind: the current master key's signs, the others' still verify.
func (a *App) signingKeys(purpose string) ([]auth.Key, error) {
	derived, err := a.keys.Derive(purpose)
	if err != nil {
		return nil, err
	}
	keys := make([]auth.Key, 0, len(derived))
	for _, d := range derived {
		keys = append(keys, auth.Key{ID: d.ID, Algorithm: auth.HS256, Secret: d.Key})
	}
	return keys, nil
}

// Start serves. It returns once requests are answered; Failed tells of what goes wrong later.
func (a *App) Start(ctx context.Context) error {
	if err := a.hub.Start(ctx); err != nil {
		return fmt.Errorf("start hub: %w", err)
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	a.preparing.Go(func() { a.prepareStore(work) })
	demo, err := a.startDemo(ctx)
	if err != nil {
		cancel()
		a.preparing.Wait()
		return err
	}
	a.stopWork = cancel
	if err := a.pipeline.Join(ctx); err != nil { // before anybody can change anything, if that can be
		a.log.WarnContext(ctx, "other nodes do not know of this one yet", "err", err)
	}
	telling, quiet := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer quiet()
		err := a.pipeline.Run(work)
		if err != nil {
			a.failed <- fmt.Errorf("pipeline: %w", err)
		}
		a.worked <- err
	}()
	if a.signals != nil {
		a.telling.Go(func() { a.signals.run(telling, a.hub, a.log) })
	}
	for _, s := range []struct {
		srv *http.Server
		ln  net.Listener
	}{{a.public, a.publicLn}, {a.ops, a.opsLn}} {
		a.serving.Go(func() error {
			err := s.srv.Serve(s.ln)
			if errors.Is(err, http.ErrServerClosed) {
				return nil
			}
			a.failed <- fmt.Errorf("serve %s: %w", s.ln.Addr(), err)
			return err
		})
	}
	debug.FreeOSMemory() // the start needs 20 MiB more than an idle gateway: documents are rendered, a password is hashed
	a.log.InfoContext(ctx, "started", "op", a.publicLn.Addr().String())
	return a.greet(demo)
}

// startDemo makes what a demo shows, which needs the store.
func (a *App) startDemo(ctx context.Context) (Demo, error) {
	if !a.cfg.Demo {
		return Demo{}, nil
	}
	if err := a.opened.wait(ctx); err != nil {
		return Demo{}, err
	}
	d, err := ensureDemo(ctx, a.store, a.keys, a.reg, a.cfg.PublicURL, a.o.Now())
	if err != nil {
		return d, err
	}
	return d, a.doubles.connect(ctx, d.OrganisationID)
}

// greet tells people which pages there are.
func (a *App) greet(d Demo) error {
	url := a.cfg.PublicURL
	text := fmt.Sprintf("omniservice %s\n\n  console       %s/\n  API           %s/docs\n  health        http://%s/readyz\n", a.o.Version, url, url, a.opsLn.Addr())
	if a.cfg.Demo {
		text = fmt.Sprintf(`omniservice %s, demo

  console       %s
                logs in as Ana, once; as Ben: %s
  demo website  %s/demo
  simulator     %s/demo/simulator
  API           %s/docs
  health        http://%s/readyz

`, a.o.Version, d.LoginLink, d.AgentLink, url, url, url, a.opsLn.Addr())
	}
	_, err := io.WriteString(a.o.Out, text)
	return err
}

// Failed tells of an error that ends the gateway while it runs.
func (a *App) Failed() <-chan error { return a.failed }

// Stop ends in the reverse order of Start: no new connections, sockets closed in batches, requests and sends finished,
// queues given back, store closed. It takes no longer than ctx.
func (a *App) Stop(ctx context.Context) error {
	a.server.SetDraining(true)
	errs := []error{a.hub.Shutdown(ctx)}
	for _, s := range []*http.Server{a.public, a.ops} {
		if err := s.Shutdown(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop serving: %w", err), s.Close())
		}
	}
	if a.stopWork != nil {
		errs = append(errs, a.serving.Wait())
		a.stopWork()
		a.preparing.Wait()
		select {
		case err := <-a.worked:
			errs = append(errs, err)
			a.telling.Wait() // ends with the bus's answer or refusal
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("the pipeline did not stop in time: %w", ctx.Err()))
		}
	}
	a.close()
	a.log.InfoContext(ctx, "stopped")
	return errors.Join(errs...)
}

// close lets go of what New opened.
func (a *App) close() {
	if a.simulator != nil {
		_ = a.simulator.Close()
	}
	if a.doubles != nil {
		_ = a.doubles.Close()
	}
	if a.test != nil {
		a.test.Close()
	}
	closers := []io.Closer{a.publicLn, a.opsLn, a.bus, a.store}
	if a.spool != nil {
		closers = append(closers, a.spool)
	}
	for _, c := range closers {
		if c == nil {
			continue
		}
		if err := c.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			a.log.Warn("close", "err", err)
		}
	}
	for _, f := range []*folder.Folder{a.media, a.uploads} {
		if f != nil {
			_ = f.Close()
		}
	}
}

// Addr is where the public surface listens.
func (a *App) Addr() string { return a.publicLn.Addr().String() }

// OpsAddr is where health and metrics listen.
func (a *App) OpsAddr() string { return a.opsLn.Addr().String() }

// PublicURL is the address that browsers and carriers use.
func (a *App) PublicURL() string { return a.cfg.PublicURL }

// Store gives tests the store under the gateway.
func (a *App) Store() store.Store { return a.store }

// Routes lists what can be called, for tests made from it.
func (a *App) Routes() []server.Route { return a.server.Routes() }

// OpenAPI returns the document of the REST API as YAML.
func OpenAPI() ([]byte, error) {
	ctx := context.Background()
	st, err := sqlitestore.New(ctx, ":memory:", sqlitestore.Options{})
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	a := &App{
		cfg: Config{PublicURL: "http://localhost:8080"}, o: Options{Now: time.Now}, log: slog.New(slog.DiscardHandler), store: st,
	}
	defer a.close()
	if a.keys, err = seal.New("doc", map[string][]byte{"doc": []byte("only for the document, signs nothing"[:seal.KeySize])}); err != nil {
		return nil, err
	}
	if err := a.assemble(); err != nil {
		return nil, err
	}
	return a.server.OpenAPI()
}

// publisher lets the pipeline publish through the hub.
type publisher struct{ hub *hub.Hub }

func (p publisher) Publish(ctx context.Context, topic, typ string, data any) error {
	_, err := p.hub.Publish(ctx, topic, typ, data)
	return err
}

func (p publisher) Announce(ctx context.Context, topic, typ string, data any) error {
	return p.hub.Announce(ctx, topic, typ, data)
}

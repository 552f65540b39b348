// Package pipeline is what happens to a message: from a verified webhook or a visitor's frame to a stored message that
// agents see, and from an agent's words to a carrier and back as a status.
//
// Every step may be repeated: a crash at any point leaves a record in the inbox or outbox, and doing it again
// changes nothing that was done. Events are published only after what they report is durable.
package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"omniservice/carriers"
	"omniservice/internal/httpout"
	"omniservice/internal/seal"
	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/spool"
)

// Publisher brings events to clients.
type Publisher interface {
	// Publish announces something durable on a topic, with the topic's next offset.
	Publish(ctx context.Context, topic, typ string, data any) error
	// Announce tells who listens now; nobody hears of it later.
	Announce(ctx context.Context, topic, typ string, data any) error
}

// Metrics observes the pipeline. Nil functions observe nothing.
type Metrics struct {
	Webhook func(c omni.CarrierName, m carriers.ResponseMetric, t carriers.MessageType)
	Inbound func(c omni.CarrierName, sinceReceived time.Duration) // a message was published
	Send    func(c omni.CarrierName, reason omni.Reason, took time.Duration)
	Aside   func(reason store.SetAsideReason)
}

// Options sets a pipeline up. The zero value works for tests.
type Options struct {
	Node        string                      // names this node in leases; "" means a new id. An embedded node keeps one name, so that its leases outlive a crash
	PublicURL   string                      // scheme and host that carriers reach us under, without a slash at the end
	Spool       *spool.Spool                // takes webhooks while the store is away; nil: they are refused then
	KeepIn      string                      // file in which carrier accounts are kept, sealed, for a start without the store; "" keeps none on disk
	HTTP        *http.Client                // for carriers; nil means http.DefaultClient
	Media       Media                       // keeps files; nil leaves them with the carrier: they stay pending
	RerouteHTTP *http.Client                // for other environments that share a webhook; nil means one that calls public addresses only, within 5 s
	MediaHTTP   *http.Client                // for files; nil means one that calls public addresses only, within MaxFile and FetchTimeout
	Uploads     Uploads                     // keeps files that agents upload; nil takes none
	APIBase     map[omni.CarrierName]string // scheme and host of a carrier's API where it is not the real one
	Now         func() time.Time            // nil means time.Now
	Log         *slog.Logger                // nil means no log
	Metrics     Metrics
	Workers     int           // for each of inbox, outbox and files; 0 means 16
	LeaseTTL    time.Duration // 0 means 15 s; renewed at a third of it
	Poll        time.Duration // how often leftovers are looked for; 0 means 5 s
	Templates   time.Duration // how often carriers are asked for their templates, give or take a tenth; 0 means an hour

	// FileURL gives the address that carriers fetch a file of a message from, for some hours. nil: there is none.
	FileURL func(m omni.ServiceMessage, f omni.MediaReference) string

	// Elsewhere is told that there is work for workers whose lease another node has, or Freed: the other nodes should
	// call KickWorker with it. It must not wait, and may fail: Poll finds what nobody heard of. nil: there is no other
	// node, and what Publisher holds ends with this process.
	Elsewhere func(index int)

	// Renew has all topics of Publisher begin anew, so that clients read from the store what they were not told: another
	// node died between storing and telling, or this one could not tell. It is tried until it succeeds. nil: nothing is done.
	Renew func(ctx context.Context) error
	// AllTold reports, when Run has done its work, whether all that was published has been told. nil: it has.
	AllTold func() bool

	RetryBase time.Duration // first wait after a failure, doubling from there; 0 means 1 s
}

// Pipeline moves messages. Make it with New, then Run it; the methods for commands work as soon as it is made.
type Pipeline struct {
	store store.Store
	reg   *carriers.Registry
	keys  *seal.Keyring
	pub   Publisher
	o     Options
	now   func() time.Time
	log   *slog.Logger

	caches    caches
	kept      kept
	outage    outage
	leases    leases
	members   members
	order     order
	unsure    unsure
	finished  finished
	stuck     stuck
	paces     paces
	healths   healths
	rerouter  rerouter
	templates templateSyncs

	courtesies courtesies

	inbox  []*worker
	outbox []*worker
	media  []*worker

	fetching chan struct{} // one for each file that is being fetched

	breakersMu sync.Mutex
	breakers   map[string]*breaker

	catchUps catchUps
}

// New makes a pipeline.
func New(st store.Store, reg *carriers.Registry, keys *seal.Keyring, pub Publisher, o Options) (*Pipeline, error) {
	if st == nil || reg == nil || keys == nil || pub == nil {
		return nil, fmt.Errorf("pipeline needs a store, carriers, keys and a publisher: %w", omni.ErrInvalid)
	}
	if o.Node == "" {
		o.Node = omni.NewID()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Workers <= 0 {
		o.Workers = 16
	}
	if o.LeaseTTL <= 0 {
		o.LeaseTTL = 15 * time.Second
	}
	if o.Poll <= 0 {
		o.Poll = 5 * time.Second
	}
	if o.Templates <= 0 {
		o.Templates = time.Hour
	}
	if o.RetryBase <= 0 {
		o.RetryBase = time.Second
	}
	if o.MediaHTTP == nil {
		o.MediaHTTP = httpout.New(httpout.Options{Timeout: FetchTimeout, MaxBody: MaxFile})
	}
	if o.RerouteHTTP == nil {
		o.RerouteHTTP = httpout.New(httpout.Options{Timeout: forwardTimeout})
	}
	p := &Pipeline{
		store: st, reg: reg, keys: keys, pub: pub, o: o, now: o.Now, log: o.Log,
		fetching: make(chan struct{}, 16), breakers: map[string]*breaker{},
	}
	p.caches.init(o.Now)
	p.catchUps.init()
	if err := p.kept.init(o.KeepIn, keys); err != nil {
		p.log.Warn("start without kept accounts", "err", err)
	}
	p.outage.init()
	if o.Spool != nil && !o.Spool.Empty() {
		p.goAway(context.Background(), nil) // what is in there comes first
	}
	p.leases.init(o.Workers)
	p.members.owed.wake = make(chan struct{}, 1)
	p.order.init()
	p.healths.init()
	p.courtesies.init()
	p.rerouter.init()
	p.templates.init()
	for i := range o.Workers {
		p.inbox = append(p.inbox, newWorker(i, o.Workers))
		p.outbox = append(p.outbox, newWorker(i, o.Workers))
		p.media = append(p.media, newWorker(i, o.Workers))
	}
	return p, nil
}

// Run works on inbox, outbox and files until ctx ends. What is under way then is finished, and leases are given back.
func (p *Pipeline) Run(ctx context.Context) error {
	defer p.o.MediaHTTP.CloseIdleConnections()
	defer p.o.RerouteHTTP.CloseIdleConnections()
	leasing, end := context.WithCancel(context.WithoutCancel(ctx))
	var keeping sync.WaitGroup
	keeping.Go(func() { p.keepLeases(leasing) })
	defer context.AfterFunc(ctx, p.leases.end)()
	g, ctx := errgroup.WithContext(ctx)
	for i := range p.inbox {
		g.Go(func() error { return p.work(ctx, p.inbox[i], p.drainInbox) })
		g.Go(func() error { return p.work(ctx, p.outbox[i], p.drainOutbox) })
		if p.o.Media != nil {
			g.Go(func() error { return p.work(ctx, p.media[i], p.drainMedia) })
		}
	}
	g.Go(func() error { return p.sweep(ctx) })
	g.Go(func() error { return p.keepCaughtUp(ctx) })
	g.Go(func() error { return p.keepChanges(ctx) })
	g.Go(func() error { return p.wakeSnoozed(ctx) })
	g.Go(func() error { return p.drainSpool(ctx) })
	g.Go(func() error { return p.keepAccounts(ctx) })
	g.Go(func() error { return p.renewTopics(ctx) })
	g.Go(func() error { return p.keepHealth(ctx) })
	g.Go(func() error { return p.doCourtesies(ctx) })
	g.Go(func() error { return p.keepCapabilities(ctx) })
	g.Go(func() error { return p.keepTemplates(ctx) })
	err := g.Wait()
	p.rerouter.under.Wait()
	end()
	keeping.Wait()
	return err
}

// Kick makes every worker look for work now.
func (p *Pipeline) Kick() {
	for i := range p.inbox {
		p.KickWorker(i)
	}
}

// sweep removes what has passed its end date, once at the start and then hourly.
func (p *Pipeline) sweep(ctx context.Context) error {
	t := time.NewTicker(time.Hour)
	defer t.Stop()
	for {
		if _, err := p.store.Sweep(ctx, p.millis()); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "sweep", "err", err)
		}
		if err := p.sweepUploads(ctx); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "sweep", "err", err)
		}
		if p.o.Spool != nil {
			if err := p.o.Spool.Tidy(); err != nil {
				p.log.WarnContext(ctx, "sweep", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

// settleEvery is how often changes are numbered that nobody has asked for yet.
const settleEvery = 30 * time.Second

// keepChanges keeps the store's changes quick to tell (see store.Changes). Whoever asks for them does the same, so nothing rests
// on this.
func (p *Pipeline) keepChanges(ctx context.Context) error {
	t := time.NewTicker(settleEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if _, err := p.store.SettleChanges(ctx); err != nil && ctx.Err() == nil {
			p.log.WarnContext(ctx, "settle changes", "err", err)
		}
	}
}

func (p *Pipeline) millis() omni.Millis { return omni.MillisOf(p.now()) }

// publish announces what is durable, also when nobody waits for it any more. An event that cannot be published is the
// hub's to repair; here it is only logged, because the change that it reports has happened.
func (p *Pipeline) publish(ctx context.Context, topic, typ string, data any) {
	if err := p.pub.Publish(context.WithoutCancel(ctx), topic, typ, data); err != nil {
		p.log.ErrorContext(ctx, "publish", "op", typ, "err", err)
	}
}

package testcarrier

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

const maxBody = 1 << 20

// Options changes how a Provider works. The zero value is right.
type Options struct {
	Now    func() time.Time // nil means time.Now
	Random func() float64   // in [0,1); nil means rand.Float64
}

// Provider opens Test accounts and remembers for each how it behaves and what it delivered. Its methods are safe
// for concurrent use. Close it to end the goroutines that report statuses.
type Provider struct {
	now     func() time.Time
	random  func() float64
	started time.Time
	ctx     context.Context // ends with Close: reports have no caller whose context they could use
	stop    context.CancelFunc
	reports sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	accounts map[string]*account // by the account's id
}

// New returns a Provider.
func New(o Options) *Provider {
	p := &Provider{now: o.Now, random: o.Random, accounts: map[string]*account{}}
	if p.now == nil {
		p.now = time.Now
	}
	if p.random == nil {
		p.random = rand.Float64
	}
	p.started = p.now()
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p
}

// Close stops the reports that are still to come and waits for those under way. After it, Send fails.
func (p *Provider) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop()
	p.reports.Wait()
}

// Name implements carriers.Provider.
func (*Provider) Name() omni.CarrierName { return omni.CarrierTest }

// MaxBody implements carriers.Provider.
func (*Provider) MaxBody() int64 { return maxBody }

// Open implements carriers.Provider.
func (p *Provider) Open(a carriers.Account, o carriers.Options) (carriers.Carrier, error) {
	secrets, err := readSecrets(a)
	if err != nil {
		return nil, err
	}
	return &Carrier{provider: p, accountID: a.ID, secrets: secrets, deliver: o.Deliver, checks: checks}, nil
}

// account returns what is known of an account. p.mu must be held.
func (p *Provider) account(id string) *account {
	a, ok := p.accounts[id]
	if !ok {
		a = newAccount()
		p.accounts[id] = a
	}
	return a
}

// Behaviour returns how an account behaves.
func (p *Provider) Behaviour(accountID string) Behaviour {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.account(accountID).behaviour
	b.Statuses = slices.Clone(b.Statuses)
	return b
}

// SetBehaviour changes how an account behaves from the next message on. What is wrong with b is an omni.Problem of
// kind ErrInvalid with Fields.
func (p *Provider) SetBehaviour(accountID string, b Behaviour) error {
	if err := b.Validate(); err != nil {
		return err
	}
	b.Statuses = slices.Clone(b.Statuses)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.account(accountID).behaviour = b
	return nil
}

// Outbox returns the last messages that an account delivered to a recipient, oldest first: at most 100, and those
// of the last 1,000 recipients. An empty recipient stands for all of them.
func (p *Provider) Outbox(accountID, recipient string) []Delivery {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.account(accountID).outbox(recipient)
}

// Carrier is one Test account.
type Carrier struct {
	provider  *Provider
	accountID string
	secrets   []omni.Secret // newest first
	deliver   carriers.Deliverer
	checks    []check
}

// Name implements carriers.Carrier.
func (*Carrier) Name() omni.CarrierName { return omni.CarrierTest }

// String keeps the secrets out of whatever prints a Carrier.
func (c *Carrier) String() string { return "test account " + c.accountID }

// GoString does the same for %#v.
func (c *Carrier) GoString() string { return c.String() }

// Capabilities implements carriers.Carrier. They are like those of real carriers, so that what works here works there.
func (*Carrier) Capabilities(family omni.ChannelType) (omni.Capabilities, bool) {
	switch family {
	case omni.ChannelSMS:
		return omni.Capabilities{
			MaxTextLength: 1600, Segmented: true,
			MediaTypes: []string{"image/*", "audio/*", "video/*", "application/pdf", "text/vcard"}, MaxMediaBytes: 5 << 20, MaxMediaCount: 10,
			Captions: true, DeliveryStatus: true,
		}, true
	case omni.ChannelWhatsApp:
		return omni.Capabilities{
			MaxTextLength: 4096,
			MediaTypes:    []string{"image/*", "audio/*", "video/*", "application/pdf", "text/plain"}, MaxMediaBytes: 16 << 20, MaxMediaCount: 1,
			Captions: true, Templates: true, WindowHours: 24, DeliveryStatus: true, ReadStatus: true, ReplyTo: true,
		}, true
	default:
		return omni.Capabilities{}, false
	}
}

package simulate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"omniservice/carriers"
	"omniservice/internal/wait"
	"omniservice/omni"
)

// What a Double remembers, the newest of each.
const (
	maxAttempts = 10_000
	maxFiles    = 1_000
)

// Reports that the gateway does not take are brought again, after 1, 2, 4 ... times the first pause.
const (
	reportTries = 6
	reportPause = 500 * time.Millisecond
)

// maxAnswer is how much of the gateway's answer to a webhook is read, in bytes.
const maxAnswer = 4 << 10

// Options says how a Double is made. The zero value takes every message and reports nothing.
type Options struct {
	Account    carriers.Account // zero means that of the Player
	Base       string           // scheme and host under which the gateway reaches this double, for addresses of files
	WebhookURL string           // of the account at the gateway, without query
	HTTP       *http.Client     // posts webhooks; nil means one that waits 10 s at most
	Now        func() time.Time // nil means time.Now
	Seed       uint64           // of all that is left to chance
	Behaviour  Behaviour
	Watch      func(Note) // told of all that happens, in any goroutine; nil: nobody is
}

// Note tells somebody who watches a Double what happened.
type Note struct {
	At      time.Time
	Request string // method, path and status of a request to the API
	Attempt *Attempt
	Inbound *Inbound // what was posted as a customer's
	Mark    *Mark
	Report  *Report // what was posted about Of
	Of      *Sent
	Err     error // of Inbound and Report: why the gateway did not take it
}

// Attempt is a message that came with the right credentials.
type Attempt struct {
	Sent

	Taken bool
	Fault Fault // zero: none
}

// Double is one account at a provider. Its methods are safe for concurrent use. It implements http.Handler, with the
// provider's API, and Desk. Close it to end its reports.
type Double struct {
	player Player
	acc    carriers.Account
	api    http.Handler
	o      Options
	ctx    context.Context //nolint:containedctx // ends with Close: reports have no caller whose context they could use
	stop   context.CancelFunc
	work   sync.WaitGroup

	mu         sync.Mutex
	closed     bool
	base       string
	webhookURL string
	behaviour  Behaviour
	script     []Fault
	chance     *rand.Rand
	attempts   []Attempt
	marks      []Mark
	files      map[string]File
	fileIDs    []string // oldest first
	templates  []omni.MessageTemplate
}

var (
	_ Desk         = (*Double)(nil)
	_ http.Handler = (*Double)(nil)
)

// New makes the double of an account at a Player's provider. What is wrong with o.Behaviour is omni.ErrInvalid.
func New(p Player, o Options) (*Double, error) {
	if err := o.Behaviour.Validate(); err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.HTTP == nil {
		o.HTTP = &http.Client{Timeout: 10 * time.Second}
	}
	d := &Double{
		player: p, acc: o.Account, o: o, base: o.Base, webhookURL: o.WebhookURL, behaviour: o.Behaviour.clone(),
		chance: rand.New(rand.NewPCG(o.Seed, 1)), //nolint:gosec // repeatable chance is what it is for
		files:  map[string]File{},
	}
	if d.acc.Config == nil && d.acc.Credentials == nil {
		d.acc = p.Account()
	}
	d.ctx, d.stop = context.WithCancel(context.Background())
	d.api = p.API(d.acc, d)
	return d, nil
}

// Close drops reports that are still to come and waits for those under way. Nothing is taken any more.
func (d *Double) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.stop()
	d.work.Wait()
}

// Player is the provider that is played.
func (d *Double) Player() Player { return d.player }

// Account is the account that the double knows.
func (d *Double) Account() carriers.Account { return d.acc }

// SetAddresses tells under which scheme and host the gateway reaches the double, and where its account's webhooks go.
// An empty one stays as it is.
func (d *Double) SetAddresses(base, webhookURL string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.base, d.webhookURL = cmp.Or(base, d.base), cmp.Or(webhookURL, d.webhookURL)
}

// SetBehaviour changes what happens to messages from the next one on. What is wrong with b is omni.ErrInvalid.
func (d *Double) SetBehaviour(b Behaviour) error {
	if err := b.Validate(); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.behaviour = b.clone()
	return nil
}

// Script says what happens to the next messages, one after the other, whatever else was said: a zero Fault means none.
func (d *Double) Script(faults ...Fault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.script = append(d.script, faults...)
}

// Attempts lists the newest messages that came with the right credentials, taken or not, oldest first.
func (d *Double) Attempts() []Attempt {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.attempts)
}

// Sent lists the newest messages that were taken, oldest first.
func (d *Double) Sent() []Sent {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []Sent
	for i := range d.attempts {
		if d.attempts[i].Taken {
			all = append(all, d.attempts[i].Sent)
		}
	}
	return all
}

// Marks lists the newest of what was to be shown beside messages, oldest first.
func (d *Double) Marks() []Mark {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.marks)
}

// ServeHTTP implements http.Handler.
func (d *Double) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if d.o.Watch == nil {
		d.api.ServeHTTP(w, r)
		return
	}
	k := &keeper{ResponseWriter: w}
	done := false
	defer func() {
		outcome := "no answer"
		switch {
		case done && k.status == 0:
			outcome = "200"
		case k.status != 0:
			outcome = fmt.Sprint(k.status)
		}
		d.tell(Note{Request: r.Method + " " + r.URL.Path + " " + outcome})
	}()
	d.api.ServeHTTP(k, r)
	done = true
}

// keeper keeps the status of an answer.
type keeper struct {
	http.ResponseWriter

	status int
}

// WriteHeader implements http.ResponseWriter.
func (k *keeper) WriteHeader(status int) {
	if k.status == 0 {
		k.status = status
	}
	k.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (k *keeper) Unwrap() http.ResponseWriter { return k.ResponseWriter }

func (d *Double) tell(n Note) {
	if d.o.Watch != nil {
		n.At = d.o.Now()
		d.o.Watch(n)
	}
}

// Take implements Desk.
func (d *Double) Take(s Sent) Verdict {
	if s.At.IsZero() {
		s.At = d.o.Now()
	}
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	f := d.next()
	a := Attempt{Sent: s, Taken: f.taken(), Fault: f}
	d.attempts = append(d.attempts, a)
	if len(d.attempts) > maxAttempts {
		d.attempts = slices.Delete(d.attempts, 0, len(d.attempts)-maxAttempts)
	}
	var early chan struct{} // closed when the first report has come
	if a.Taken {
		if all, delay := d.plan(f), d.behaviour.Delay; len(all) > 0 {
			if d.chance.Float64() < d.behaviour.Early {
				early = make(chan struct{})
			}
			d.work.Go(func() { d.reportAll(s, all, delay, early) })
		}
	}
	d.mu.Unlock()
	if a.Taken && s.Kept != nil {
		s.Kept()
	}
	d.tell(Note{Attempt: &a})
	if early != nil {
		<-early
	}
	if f.silent() {
		panic(http.ErrAbortHandler)
	}
	return f.verdict()
}

// Note implements Desk.
func (d *Double) Note(m Mark) {
	if m.At.IsZero() {
		m.At = d.o.Now()
	}
	d.mu.Lock()
	d.marks = append(d.marks, m)
	if len(d.marks) > maxAttempts {
		d.marks = slices.Delete(d.marks, 0, len(d.marks)-maxAttempts)
	}
	d.mu.Unlock()
	d.tell(Note{Mark: &m})
}

// next is what happens to the message that comes now. d.mu must be held.
func (d *Double) next() Fault {
	if len(d.script) > 0 {
		f := d.script[0]
		d.script = d.script[1:]
		return f
	}
	if len(d.behaviour.Faults) == 0 {
		return Fault{}
	}
	at := d.chance.Float64()
	for _, f := range d.behaviour.Faults {
		if at < f.Share {
			return f
		}
		at -= f.Share
	}
	return Fault{}
}

// plan lists what will be reported of a message, in that order. d.mu must be held.
func (d *Double) plan(f Fault) []Report {
	reported := d.behaviour.Reports
	if f.Kind == Fail {
		reported = []Report{{Status: f.status(), Code: f.Code}}
	}
	all := make([]Report, 0, len(reported)*(1+d.behaviour.Duplicates))
	for _, r := range reported {
		all = append(all, slices.Repeat([]Report{r}, 1+d.behaviour.Duplicates)...)
	}
	if d.behaviour.Shuffle {
		d.chance.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	return all
}

// reportAll brings the reports of a message, one after the other, and each again that was not taken. The first does not
// wait if somebody waits for it.
func (d *Double) reportAll(s Sent, all []Report, delay time.Duration, first chan struct{}) {
	for i, r := range all {
		if i == 0 && first != nil {
			_ = d.Report(d.ctx, s, r) // the watcher hears of it
			close(first)
			continue
		}
		if wait.For(d.ctx, delay) != nil {
			return
		}
		pause := reportPause
		for try := 1; d.Report(d.ctx, s, r) != nil && try < reportTries; try++ {
			if wait.For(d.ctx, pause) != nil {
				return
			}
			pause *= 2
		}
	}
}

// Report tells the gateway what became of a message. A status that the provider does not report is left out.
func (d *Double) Report(ctx context.Context, s Sent, r Report) error {
	d.mu.Lock()
	to := cmp.Or(s.Callback, d.webhookURL)
	d.mu.Unlock()
	if to == "" {
		return nil // nobody wants to know
	}
	req, err := d.player.Report(d.acc, to, s, r, d.o.Now())
	if errors.Is(err, omni.ErrInvalid) {
		return nil
	}
	if err == nil {
		err = d.Post(ctx, req)
	}
	if err != nil {
		err = fmt.Errorf("report %s of message %s: %w", r.Status, s.ID, err)
	}
	d.tell(Note{Report: &r, Of: &s, Err: err})
	return err
}

// Receive brings the gateway what a customer did, and returns once it was taken. What the provider cannot bring is
// omni.ErrInvalid.
func (d *Double) Receive(ctx context.Context, in Inbound) error {
	req, err := d.Webhook(in)
	if err != nil {
		return err
	}
	if err = d.Post(ctx, req); err != nil {
		err = fmt.Errorf("bring a message: %w", err)
	}
	d.tell(Note{Inbound: &in, Err: err})
	return err
}

// Webhook makes the signed request of Receive. Receive sends it; others may change it, or send it twice.
func (d *Double) Webhook(in Inbound) (*http.Request, error) {
	d.mu.Lock()
	in.Base = cmp.Or(in.Base, d.base)
	to := d.webhookURL
	for _, id := range in.Files[min(len(in.Files), len(in.FileTypes)):] {
		in.FileTypes = append(slices.Clone(in.FileTypes), d.files[id].ContentType)
	}
	d.mu.Unlock()
	if to == "" {
		return nil, omni.Problemf(omni.ErrInvalid, "the double does not know the address of the account's webhooks")
	}
	return d.player.Inbound(d.acc, to, in, d.o.Now())
}

// Post makes one request to the gateway, such as Webhook's. What is not answered with success is an error.
func (d *Double) Post(ctx context.Context, r *http.Request) error {
	resp, err := d.o.HTTP.Do(r.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("post: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the gateway answered %d %.200s", resp.StatusCode, answer)
	}
	return nil
}

// AddFile implements Desk.
func (d *Double) AddFile(id string, f File) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.files[id]; !ok {
		d.fileIDs = append(d.fileIDs, id)
	}
	d.files[id] = f
	if len(d.fileIDs) > maxFiles {
		delete(d.files, d.fileIDs[0])
		d.fileIDs = slices.Delete(d.fileIDs, 0, 1)
	}
}

// File implements Desk.
func (d *Double) File(id string) (File, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.files[id]
	return f, ok
}

// SetTemplates implements Desk.
func (d *Double) SetTemplates(all []omni.MessageTemplate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.templates = slices.Clone(all)
}

// Templates implements Desk.
func (d *Double) Templates() []omni.MessageTemplate {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.templates)
}

// Now implements Desk.
func (d *Double) Now() time.Time { return d.o.Now() }

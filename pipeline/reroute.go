package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"omniservice/carriers"
	"omniservice/carriers/reroute"
	"omniservice/omni"
	"omniservice/store"
)

const (
	forwardTimeout = 5 * time.Second    // of one attempt
	forwardFor     = 24 * time.Hour     // how long a part is tried
	forwardLease   = 2 * forwardTimeout // an attempt that was not heard of by then died with its node
	mostForwards   = 32                 // attempts at once, of all environments
	keptAttempts   = 50                 // of each mapping, on each node
)

// rerouter gives other environments their parts of shared webhooks. An attempt holds up no worker.
type rerouter struct {
	room  chan struct{} // one for each attempt under way
	under sync.WaitGroup

	mu       sync.Mutex
	attempts map[string][]reroute.HTTPResponse // by mapping, newest first
	down     map[string]omni.Millis            // by mapping: not tried again before
}

func (r *rerouter) init() {
	r.room = make(chan struct{}, mostForwards)
	r.attempts, r.down = map[string][]reroute.HTTPResponse{}, map[string]omni.Millis{}
}

func (r *rerouter) note(mapping string, a reroute.HTTPResponse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.attempts) >= maxCached {
		clear(r.attempts)
	}
	all := slices.Insert(r.attempts[mapping], 0, a)
	r.attempts[mapping] = all[:min(len(all), keptAttempts)]
}

// Share cuts a verified webhook into what is ours and what other environments get. own is nil if nothing is ours. What was
// forwarded to us is ours, whatever the mappings say: nothing goes round in a circle.
func (p *Pipeline) Share(ctx context.Context, a *Account, r carriers.WebhookRequest) (own []byte, elsewhere []reroute.Destination, err error) {
	s, ok := a.Carrier.(reroute.Sharer)
	if !ok || r.Method != http.MethodPost || len(r.Header.Values(reroute.Header)) > 0 {
		return r.Body, nil, nil
	}
	mappings, err := p.reroutes(ctx, a.Record)
	if err != nil {
		return nil, nil, fmt.Errorf("mappings of account %s: %w", a.Record.ID, err)
	}
	own, elsewhere, err = reroute.Split(s, mappings, r.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("split webhook of account %s: %w", a.Record.ID, err)
	}
	return own, elsewhere, nil
}

func (p *Pipeline) reroutes(ctx context.Context, a omni.CarrierAccount) ([]omni.RerouteMapping, error) {
	return p.caches.reroutes.get(a.ID, func() ([]omni.RerouteMapping, error) {
		soon, cancel := p.storeSoon(ctx)
		defer cancel()
		return readAll(soon, func(ctx context.Context, pg store.Page) (store.List[omni.RerouteMapping], error) {
			return p.store.RerouteMappings().List(ctx, a.Tenant, a.ID, pg)
		})
	})
}

// forwards makes a record of each part that another environment gets.
func forwards(base store.InboxRecord, elsewhere []reroute.Destination) []store.InboxRecord {
	records := make([]store.InboxRecord, 0, len(elsewhere))
	for _, d := range elsewhere {
		rec := base
		rec.ID, rec.RerouteID = omni.NewID(), d.Mapping.ID
		rec.Partition = store.InboxPartition(base.AccountID, rec.ID)
		rec.Raw = store.RawPayload{Method: http.MethodPost, Body: d.Body}
		records = append(records, rec)
	}
	return records
}

// forward begins an attempt to give another environment its part. The worker goes on at once.
func (p *Pipeline) forward(ctx context.Context, r store.InboxRecord) outcome {
	now := p.millis()
	p.rerouter.mu.Lock()
	until := p.rerouter.down[r.RerouteID]
	p.rerouter.mu.Unlock()
	if until > now { // another part of that environment has just failed
		return outcome{id: r.ID, again: until, err: p.store.RetryInbox(ctx, r.ID, r.Attempts, until, r.LastError)}
	}
	select {
	case p.rerouter.room <- struct{}{}:
	default:
		soon := now.Add(reactionAgain)
		return outcome{id: r.ID, again: soon, err: p.store.RetryInbox(ctx, r.ID, r.Attempts, soon, r.LastError)}
	}
	lease := now.Add(forwardLease)
	if err := p.store.RetryInbox(ctx, r.ID, r.Attempts, lease, r.LastError); err != nil {
		<-p.rerouter.room
		return outcome{id: r.ID, stays: true, err: err}
	}
	p.rerouter.under.Go(func() {
		defer func() { <-p.rerouter.room }()
		ctx, cancel := context.WithTimeout(ctx, forwardLease)
		defer cancel()
		if err := p.attempt(ctx, r); err != nil {
			p.log.WarnContext(ctx, "store what became of a forwarded webhook", "account_id", r.AccountID, "err", err)
		}
	})
	return outcome{id: r.ID, again: lease}
}

// attempt forwards a part once and stores what came of it. An error is one of the store.
func (p *Pipeline) attempt(ctx context.Context, r store.InboxRecord) error {
	res, err := p.forwardOnce(ctx, r)
	ctx = context.WithoutCancel(ctx) // a stop of the gateway ends the attempt, and what came of it is stored all the same
	switch {
	case errors.Is(err, omni.ErrNotFound), errors.Is(err, omni.ErrInvalid):
		return p.setAside(ctx, r, store.SetAsideNotForwarded, "the mapping is gone")
	case err != nil:
		return err
	case res.OK():
		p.rerouter.mu.Lock()
		delete(p.rerouter.down, r.RerouteID)
		p.rerouter.mu.Unlock()
		return p.store.DoneInbox(ctx, r.ID)
	case !res.Retryable(), p.millis() > r.ReceivedAt.Add(forwardFor):
		return p.setAside(ctx, r, store.SetAsideNotForwarded, fmt.Sprintf("status %d", res.Status))
	}
	r.Attempts++
	again := p.millis().Add(p.backoff(r.Attempts))
	p.rerouter.mu.Lock()
	if len(p.rerouter.down) >= maxCached {
		clear(p.rerouter.down)
	}
	p.rerouter.down[r.RerouteID] = again
	p.rerouter.mu.Unlock()
	return p.store.RetryInbox(ctx, r.ID, r.Attempts, again, string(omni.CodeUnavailable)) // Options.Poll finds it then
}

func (p *Pipeline) forwardOnce(ctx context.Context, r store.InboxRecord) (res reroute.HTTPResponse, err error) {
	m, err := p.store.RerouteMappings().Get(ctx, r.Tenant, r.RerouteID)
	if err != nil {
		return res, fmt.Errorf("mapping %s: %w", r.RerouteID, err)
	}
	if m.Disabled || m.URL == "" {
		return res, fmt.Errorf("mapping %s: %w", r.RerouteID, omni.ErrNotFound)
	}
	a, err := p.AccountByID(ctx, r.Tenant, r.AccountID)
	if err != nil {
		return res, fmt.Errorf("account %s: %w", r.AccountID, err)
	}
	s, ok := a.Carrier.(reroute.Sharer)
	if !ok {
		return res, fmt.Errorf("account %s shares nothing: %w", r.AccountID, omni.ErrNotFound)
	}
	res = reroute.Forward(ctx, p.o.RerouteHTTP, s, m, r.Raw.Body, p.now)
	p.rerouter.note(m.ID, res)
	p.log.InfoContext(ctx, "webhook forwarded", "carrier", r.Carrier, "account_id", r.AccountID,
		"org_id", r.Tenant.OrganisationID, "attempt", r.Attempts+1, "reason", fmt.Sprintf("status %d", res.Status))
	return res, nil
}

// Attempts are the newest attempts of this node to forward by a mapping, newest first.
func (p *Pipeline) Attempts(mappingID string) []reroute.HTTPResponse {
	p.rerouter.mu.Lock()
	defer p.rerouter.mu.Unlock()
	return slices.Clone(p.rerouter.attempts[mappingID])
}

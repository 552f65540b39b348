package pipeline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/store"
)

// Webhooks that did not arrive while no gateway ran, or while an account was disabled, may be gone for good. A carrier that
// keeps what was written (carriers.CatchUp) is asked for it then, for each open conversation since the contact last wrote.
// What it tells goes into the inbox as if a webhook had brought it; what is there already is left out.

const (
	catchUpPrefix  = "catch-up/"
	catchUpHold    = 2 * time.Minute // renewed with every conversation
	catchUpCall    = 30 * time.Second
	catchUpAgain   = 5 * time.Second // after the store was away
	catchUpMost    = 500             // conversations of an account, those with the newest activity
	catchUpLook    = 5_000           // conversations of an organisation that are looked at for them
	catchUpBack    = 72 * time.Hour  // the longest gap that is filled
	catchUpOverlap = time.Minute     // clocks differ, and messages pass each other
	catchUpBatch   = 100             // events that are put into the inbox at once
	catchUpTries   = 3               // failures in a row after which an account is left alone
)

// catchUps are the accounts that wait to be caught up with.
type catchUps struct {
	mu      sync.Mutex
	waiting map[string]omni.Tenant // by account
	wake    chan struct{}
}

func (c *catchUps) init() { c.waiting, c.wake = map[string]omni.Tenant{}, make(chan struct{}, 1) }

func (c *catchUps) add(t omni.Tenant, accountID string) {
	c.mu.Lock()
	c.waiting[accountID] = omni.Org(t.OrganisationID)
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *catchUps) take() map[string]omni.Tenant {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.waiting
	c.waiting = map[string]omni.Tenant{}
	return all
}

// CatchUp has an account's carrier asked, in the background, for what webhooks did not bring. An account of a carrier that
// cannot tell is omni.ErrUnsupported.
func (p *Pipeline) CatchUp(ctx context.Context, t omni.Tenant, accountID string) error {
	a, err := p.AccountByID(ctx, t, accountID)
	if err != nil {
		return fmt.Errorf("carrier account %s: %w", accountID, err)
	}
	if _, ok := a.Carrier.(carriers.CatchUp); !ok {
		return omni.Problemf(omni.ErrUnsupported, "%s does not keep messages that could be asked for", a.Record.Carrier)
	}
	p.catchUps.add(t, accountID)
	return nil
}

// keepCaughtUp catches up with all accounts at the start, and with single ones when asked, until ctx ends.
func (p *Pipeline) keepCaughtUp(ctx context.Context) error {
	start := time.NewTimer(0)
	defer start.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-start.C:
			if err := p.catchUpAll(ctx); err != nil && ctx.Err() == nil {
				p.log.Log(ctx, p.levelOf(err, slog.LevelWarn), "catch up", "err", err)
				start.Reset(catchUpAgain)
			}
		case <-p.catchUps.wake:
		}
		for id, t := range p.catchUps.take() {
			if err := p.catchUp(ctx, t, id); err != nil && ctx.Err() == nil {
				p.log.WarnContext(ctx, "catch up", "account_id", id, "org_id", t.OrganisationID, "err", err)
			}
		}
	}
}

// catchUpAll has all accounts wait whose carriers can be asked.
func (p *Pipeline) catchUpAll(ctx context.Context) error {
	orgs, err := readAll(ctx, p.store.AllOrganisations)
	if err != nil {
		return fmt.Errorf("list organisations: %w", err)
	}
	can := map[omni.CarrierName]bool{} // of a carrier one account tells for all
	for _, o := range orgs {
		all, err := readAll(ctx, func(ctx context.Context, pg store.Page) (store.List[omni.CarrierAccount], error) {
			return p.store.CarrierAccounts(ctx, omni.Org(o.ID), pg)
		})
		if err != nil {
			return fmt.Errorf("list carrier accounts: %w", err)
		}
		for _, rec := range all {
			if rec.Disabled {
				continue
			}
			able, known := can[rec.Carrier]
			if !known {
				a, err := p.reopen(rec)
				if err != nil {
					continue // its own trouble, which whoever uses it is told
				}
				_, able = a.Carrier.(carriers.CatchUp)
				can[rec.Carrier] = able
			}
			if able {
				p.catchUps.add(rec.Tenant, rec.ID)
			}
		}
	}
	return nil
}

// missedAt is an address to ask for, since when, and by which channels of ours its messages came.
type missedAt struct {
	address string
	channel omni.DigitalChannel
	since   omni.Millis
}

// catchUp asks an account's carrier. Of several nodes one does.
func (p *Pipeline) catchUp(ctx context.Context, t omni.Tenant, accountID string) error {
	a, err := p.AccountByID(ctx, t, accountID)
	if errors.Is(err, omni.ErrNotFound) {
		return nil // it was disabled meanwhile
	}
	if err != nil {
		return fmt.Errorf("carrier account: %w", err)
	}
	c, ok := a.Carrier.(carriers.CatchUp)
	if !ok {
		return nil
	}
	lease, err := p.catchUpLease(ctx, accountID)
	if errors.Is(err, omni.ErrConflict) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseWait)
		defer cancel()
		_ = p.store.ReleaseLock(ctx, lease) // or it runs out
	}()
	places, err := p.placesMissed(ctx, a)
	if err != nil {
		return err
	}
	found, failures := 0, 0
	for _, m := range places {
		if lease, err = p.catchUpLease(ctx, accountID); err != nil {
			return err
		}
		n, err := p.catchUpAt(ctx, a, c, m)
		found += n
		failure, refused := errors.AsType[*carriers.SendError](err)
		switch {
		case err == nil:
			failures = 0
		case ctx.Err() != nil || isAway(err) || refused && failure.Reason == omni.ReasonMisconfigured:
			return err // the next would fare no better
		default:
			if failures++; failures == catchUpTries {
				return err
			}
		}
	}
	p.log.InfoContext(ctx, "caught up", "carrier", a.Record.Carrier, "account_id", accountID, "org_id", t.OrganisationID,
		"op", fmt.Sprintf("%d conversations, %d events", len(places), found))
	return nil
}

func (p *Pipeline) catchUpLease(ctx context.Context, accountID string) (omni.MessageQueueLock, error) {
	l, err := p.store.AcquireLock(ctx, catchUpPrefix+accountID, p.o.Node, p.millis(), catchUpHold)
	if err != nil {
		return l, fmt.Errorf("lease for catching up: %w", err)
	}
	return l, nil
}

// placesMissed lists the addresses of an account's conversations that are not resolved.
func (p *Pipeline) placesMissed(ctx context.Context, a *Account) ([]missedAt, error) {
	t := omni.Org(a.Record.Tenant.OrganisationID)
	all, err := readAll(ctx, func(ctx context.Context, pg store.Page) (store.List[omni.DigitalChannel], error) {
		return p.store.Channels(ctx, t, pg)
	})
	if err != nil {
		return nil, fmt.Errorf("list channels: %w", err)
	}
	channels := map[string]omni.DigitalChannel{}
	for _, ch := range all {
		if ch.CarrierAccountID == a.Record.ID && !ch.Disabled {
			channels[ch.ID] = ch
		}
	}
	if len(channels) == 0 {
		return nil, nil
	}
	groups, err := p.groups(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("list groups: %w", err)
	}
	f := store.InteractionFilter{}
	for _, g := range groups {
		f.GroupIDs = append(f.GroupIDs, g.ID)
	}
	var places []missedAt
	for _, f.State = range []omni.InteractionState{omni.InteractionOpen, omni.InteractionSnoozed} {
		if places, err = p.addPlaces(ctx, t, f, channels, places); err != nil {
			return nil, err
		}
	}
	return places, nil
}

func (p *Pipeline) addPlaces(ctx context.Context, t omni.Tenant, f store.InteractionFilter, channels map[string]omni.DigitalChannel, places []missedAt) ([]missedAt, error) {
	oldest := p.millis().Add(-catchUpBack)
	pg := store.Page{Limit: store.MaxPage}
	for seen := 0; seen < catchUpLook && len(places) < catchUpMost; {
		l, err := p.store.ListInteractions(ctx, t, f, pg)
		if err != nil {
			return nil, fmt.Errorf("list conversations: %w", err)
		}
		seen += len(l.Items)
		for _, it := range l.Items {
			ch, ok := channels[it.DigitalChannelID]
			if !ok || len(places) == catchUpMost {
				continue
			}
			ch, err := p.addressed(ctx, ch, it)
			if errors.Is(err, omni.ErrConflict) {
				continue
			}
			if err != nil {
				return nil, err
			}
			since := it.LastInboundAt
			if since == 0 {
				since = it.CreatedAt
			}
			since = max(since.Add(-catchUpOverlap), oldest)
			i := slices.IndexFunc(places, func(m missedAt) bool { return m.address == ch.Address && m.channel.ID == ch.ID })
			if i < 0 {
				places = append(places, missedAt{ch.Address, ch, since})
				continue
			}
			places[i].since = min(places[i].since, since)
		}
		if l.Next == "" {
			break
		}
		pg.Cursor = l.Next
	}
	return places, nil
}

// catchUpAt asks for one address and puts what is new into the inbox.
func (p *Pipeline) catchUpAt(ctx context.Context, a *Account, c carriers.CatchUp, m missedAt) (int, error) {
	ask, cancel := context.WithTimeout(ctx, catchUpCall)
	events, err := c.Missed(ask, m.address, m.since)
	cancel()
	if err != nil {
		return 0, fmt.Errorf("ask for what was missed: %w", err)
	}
	var fresh []omni.CarrierChannelEvent
	for _, e := range events {
		if e.Kind == omni.EventMessage {
			// Accepting it again would change no message, but might open a conversation that was resolved since.
			_, err := p.store.MessageByCarrierID(ctx, a.Record.Tenant, m.channel.ID, e.CarrierMessageID)
			if err == nil {
				continue
			}
			if !errors.Is(err, omni.ErrNotFound) {
				return 0, fmt.Errorf("look for a message: %w", err)
			}
		}
		fresh = append(fresh, e)
	}
	for some := range slices.Chunk(fresh, catchUpBatch) {
		if err := p.Accept(ctx, a, carriers.WebhookRequest{}, carriers.Parsed{Events: some}); err != nil {
			return 0, err
		}
	}
	return len(fresh), nil
}

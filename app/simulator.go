package app

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"omniservice/carriers/testcarrier"
	"omniservice/omni"
	"omniservice/pipeline"
	"omniservice/server"
	"omniservice/store"
)

// simulator plays customers of the demo's Test carrier. What they write is posted to the gateway's own webhook
// address, signed, like a carrier would do it.
type simulator struct {
	app *App

	mu      sync.Mutex
	account omni.CarrierAccount // found once

	late     sync.WaitGroup // messages whose delay runs
	lateCtx  context.Context
	lateStop context.CancelFunc
}

func newSimulator(a *App) *simulator {
	s := &simulator{app: a}
	s.lateCtx, s.lateStop = context.WithCancel(context.Background())
	return s
}

// Close drops messages whose delay has not passed.
func (s *simulator) Close() error {
	s.lateStop()
	s.late.Wait()
	return nil
}

func (s *simulator) demo(ctx context.Context) (omni.CarrierAccount, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.account.ID != "" {
		return s.account, nil
	}
	u, err := s.app.store.UserByEmail(ctx, demoAdminEmail)
	if err != nil {
		return omni.CarrierAccount{}, fmt.Errorf("find the demo: %w", err)
	}
	l, err := s.app.store.CarrierAccounts(ctx, omni.Org(u.OrganisationID), store.Page{Limit: store.MaxPage})
	if err != nil {
		return omni.CarrierAccount{}, fmt.Errorf("find the demo's carrier account: %w", err)
	}
	for _, a := range l.Items {
		if a.Carrier == omni.CarrierTest {
			s.account = a
			return a, nil
		}
	}
	return omni.CarrierAccount{}, omni.Problemf(omni.ErrNotFound, "the demo has no Test carrier account any more")
}

// Config implements server.Simulator.
func (s *simulator) Config(ctx context.Context) (server.DemoConfig, error) {
	c := server.DemoConfig{WidgetID: demoWidget, Channels: []server.DemoChannel{}}
	a, err := s.demo(ctx)
	if err != nil {
		return c, err
	}
	l, err := s.app.store.Channels(ctx, a.Tenant, store.Page{Limit: store.MaxPage})
	if err != nil {
		return c, fmt.Errorf("channels of the demo: %w", err)
	}
	for _, ch := range l.Items {
		if ch.CarrierAccountID == a.ID && !ch.Disabled {
			c.Channels = append(c.Channels, server.DemoChannel{ChannelType: ch.ChannelType, Name: ch.Name, Address: ch.Address})
		}
	}
	return c, nil
}

// Inbound implements server.Simulator. With a delay it returns at once.
func (s *simulator) Inbound(ctx context.Context, m server.SimulatedMessage) error {
	a, err := s.demo(ctx)
	if err != nil {
		return err
	}
	to, err := s.address(ctx, a, m.ChannelType)
	if err != nil {
		return err
	}
	secret, err := pipeline.OpenCredential(s.app.keys, a, "secret")
	if err != nil {
		return err
	}
	client := testcarrier.Client{
		URL:    "http://" + s.app.Addr() + "/webhooks/" + a.Carrier.Path() + "/" + a.PublicID,
		Secret: secret, HTTP: &http.Client{Timeout: 10 * time.Second}, Now: s.app.o.Now,
	}
	in := testcarrier.Inbound{
		ChannelType: m.ChannelType, From: m.From, To: to, Text: m.Text, MediaURL: m.MediaURL, ProfileName: m.Name,
		Fragments: m.Fragments, Duplicates: m.Duplicates, DelayMs: int(m.DelayMs),
	}
	if err := in.Validate(); err != nil {
		return err
	}
	if in.DelayMs == 0 {
		return client.Post(ctx, in)
	}
	s.late.Go(func() {
		if err := client.Post(s.lateCtx, in); err != nil && s.lateCtx.Err() == nil {
			s.app.log.WarnContext(s.lateCtx, "simulated message", "err", err)
		}
	})
	return nil
}

// address is our number for a channel type.
func (s *simulator) address(ctx context.Context, a omni.CarrierAccount, typ omni.ChannelType) (string, error) {
	c, err := s.Config(ctx)
	if err != nil {
		return "", err
	}
	for _, ch := range c.Channels {
		if ch.ChannelType == typ.Family() {
			return ch.Address, nil
		}
	}
	return "", omni.Problemf(omni.ErrNotFound, "carrier account %s has no %s channel", a.Name, typ)
}

// Outbox implements server.Simulator.
func (s *simulator) Outbox(ctx context.Context, address string) ([]server.SimulatedDelivery, error) {
	a, err := s.demo(ctx)
	if err != nil {
		return nil, err
	}
	all := s.app.test.Outbox(a.ID, address)
	out := make([]server.SimulatedDelivery, 0, len(all))
	for _, d := range all {
		out = append(out, server.SimulatedDelivery{
			ID: d.ID, Channel: d.ChannelType, From: d.From, To: d.To, Text: d.Text, Status: d.Status, At: d.At, MediaURLs: d.MediaURLs,
		})
	}
	return out, nil
}

// Behave implements server.Simulator.
func (s *simulator) Behave(ctx context.Context, b server.SimulatedBehaviour) error {
	a, err := s.demo(ctx)
	if err != nil {
		return err
	}
	return s.app.test.SetBehaviour(a.ID, testcarrier.Behaviour{
		DelayMs: int(b.DelayMs), FailCode: b.FailCode, FailRate: b.FailRate, Statuses: b.Statuses, Shuffle: b.Shuffle, Duplicates: b.Duplicates,
	})
}

package app

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"omniservice/carriers/simulate"
	"omniservice/carriers/testcarrier"
	"omniservice/omni"
	"omniservice/pipeline"
	"omniservice/server"
	"omniservice/store"
)

// simulator plays customers of the demo's carriers: of the Test carrier by itself, of others by their doubles. What they
// write is posted to the gateway's own webhook address, signed, like a carrier would do it.
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
		_, err := s.app.doubles.find(ch.Carrier)
		if (ch.CarrierAccountID == a.ID || err == nil) && !ch.Disabled {
			c.Channels = append(c.Channels, server.DemoChannel{Carrier: ch.Carrier, ChannelType: ch.ChannelType, Name: ch.Name, Address: ch.Address})
		}
	}
	return c, nil
}

// tests reports whether a carrier's name means the Test carrier.
func tests(carrier omni.CarrierName) bool { return carrier == "" || carrier == omni.CarrierTest }

// Inbound implements server.Simulator. With a delay it returns at once.
func (s *simulator) Inbound(ctx context.Context, m server.SimulatedMessage) error {
	if !tests(m.Carrier) {
		return s.played(ctx, m)
	}
	a, err := s.demo(ctx)
	if err != nil {
		return err
	}
	to, err := s.address(ctx, omni.CarrierTest, m.ChannelType)
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
	s.later(func() error { return client.Post(s.lateCtx, in) })
	return nil
}

// later does what takes its time, until the simulator is closed.
func (s *simulator) later(do func() error) {
	s.late.Go(func() {
		if err := do(); err != nil && s.lateCtx.Err() == nil {
			s.app.log.WarnContext(s.lateCtx, "simulated message", "err", err)
		}
	})
}

// played brings a message by a carrier's double.
func (s *simulator) played(ctx context.Context, m server.SimulatedMessage) error {
	d, err := s.app.doubles.find(m.Carrier)
	if err != nil {
		return err
	}
	if m.MediaURL != "" || m.Fragments > 1 {
		return omni.Problemf(omni.ErrInvalid, "Only the Test carrier brings files by their address, and texts in parts.")
	}
	to, err := s.address(ctx, m.Carrier, m.ChannelType)
	if err != nil {
		return err
	}
	in := simulate.Inbound{ChannelType: m.ChannelType, From: m.From, To: to, Text: m.Text, ProfileName: m.Name}
	post := func(ctx context.Context) error { return d.played.Deliver(ctx, d.Double, in, 1+m.Duplicates) }
	if m.DelayMs == 0 {
		return post(ctx)
	}
	s.later(func() error {
		timer := time.NewTimer(time.Duration(m.DelayMs) * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
			return post(s.lateCtx)
		case <-s.lateCtx.Done():
			return s.lateCtx.Err()
		}
	})
	return nil
}

// address is our address at a carrier for a channel type.
func (s *simulator) address(ctx context.Context, carrier omni.CarrierName, typ omni.ChannelType) (string, error) {
	c, err := s.Config(ctx)
	if err != nil {
		return "", err
	}
	for _, ch := range c.Channels {
		if ch.Carrier == carrier && ch.ChannelType == typ.Family() {
			return ch.Address, nil
		}
	}
	return "", omni.Problemf(omni.ErrNotFound, "The demo has no %s channel at %s.", typ, carrier)
}

// Outbox implements server.Simulator.
func (s *simulator) Outbox(ctx context.Context, carrier omni.CarrierName, address string) ([]server.SimulatedDelivery, error) {
	if !tests(carrier) {
		d, err := s.app.doubles.find(carrier)
		if err != nil {
			return nil, err
		}
		var out []server.SimulatedDelivery
		for _, m := range d.outbox(address) {
			text := m.Text
			if m.Template != "" && text == "" {
				text = "Template " + m.Template
			}
			out = append(out, server.SimulatedDelivery{
				ID: m.ID, Channel: m.ChannelType, From: m.From, To: m.To, Text: text, MediaURLs: m.FileURLs, Status: d.status(m.ID), At: omni.MillisOf(m.At),
			})
		}
		return out, nil
	}
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
	if !tests(b.Carrier) {
		d, err := s.app.doubles.find(b.Carrier)
		if err != nil {
			return err
		}
		how := simulate.Behaviour{
			Delay: time.Duration(b.DelayMs) * time.Millisecond, Shuffle: b.Shuffle, Duplicates: b.Duplicates,
			Faults: []simulate.Fault{{Kind: simulate.Refuse, Share: b.FailRate, Code: b.FailCode}},
		}
		for _, status := range b.Statuses {
			how.Reports = append(how.Reports, simulate.Report{Status: status})
		}
		return d.SetBehaviour(how)
	}
	a, err := s.demo(ctx)
	if err != nil {
		return err
	}
	return s.app.test.SetBehaviour(a.ID, testcarrier.Behaviour{
		DelayMs: int(b.DelayMs), FailCode: b.FailCode, FailRate: b.FailRate, Statuses: b.Statuses, Shuffle: b.Shuffle, Duplicates: b.Duplicates,
	})
}

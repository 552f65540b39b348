package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"omniservice/carriers"
	"omniservice/carriers/simulate"
	"omniservice/internal/seal"
	"omniservice/omni"
	"omniservice/pipeline"
	"omniservice/store"
)

// maxReported bounds what a demo remembers of reports.
const maxReported = 1_000

// playedHere ends the names of the demo's accounts at carriers that are played.
const playedHere = " (played here)"

// double is a carrier that is played beside a demo: its API on loopback, and what it reported.
type double struct {
	*simulate.Double

	played Played
	base   string
	server *http.Server

	mu       sync.Mutex
	reported map[string]omni.Status // the highest, by the double's id of a message
	order    []string
}

// doubles are the carriers that are played beside a demo, so that each can be tried.
type doubles struct {
	app     *App
	all     []*double
	serving sync.WaitGroup
}

// openDoubles plays every carrier whose API is not somewhere else by configuration.
func (a *App) openDoubles(ctx context.Context) error {
	elsewhere, err := a.cfg.carrierAPIBase()
	if err != nil {
		return err
	}
	a.doubles = &doubles{app: a}
	for _, p := range PlayedProviders() {
		if _, ok := elsewhere[p.Provider.Name()]; ok {
			continue
		}
		if err := a.doubles.open(ctx, p); err != nil {
			return fmt.Errorf("play carrier %s: %w", p.Provider.Name(), err)
		}
	}
	return nil
}

func (d *doubles) open(ctx context.Context, p Played) error {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	one := &double{played: p, base: "http://" + ln.Addr().String(), reported: map[string]omni.Status{}}
	one.Double, err = simulate.New(p.Player, simulate.Options{
		Base: one.base, Now: d.app.o.Now, Watch: one.note,
		HTTP:      &http.Client{Timeout: 10 * time.Second, Transport: toSelf{d.app}},
		Behaviour: simulate.Behaviour{Reports: simulate.AllRead(), Delay: 300 * time.Millisecond},
	})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	one.SetTemplates(p.Templates)
	one.server = &http.Server{Handler: one, ReadHeaderTimeout: 10 * time.Second}
	d.all = append(d.all, one)
	d.serving.Go(func() { _ = one.server.Serve(ln) }) // ends with Close
	return nil
}

// bases says where their APIs are.
func (d *doubles) bases(into map[omni.CarrierName]string) {
	for _, one := range d.all {
		into[one.played.Provider.Name()] = one.base
	}
}

// find returns the double of a carrier.
func (d *doubles) find(name omni.CarrierName) (*double, error) {
	for _, one := range d.all {
		if one.played.Provider.Name() == name {
			return one, nil
		}
	}
	return nil, omni.Problemf(omni.ErrNotFound, "carrier %s is not played here", name)
}

// Close ends them.
func (d *doubles) Close() error {
	for _, one := range d.all {
		_ = one.server.Close()
		one.Close()
	}
	d.serving.Wait()
	return nil
}

// note remembers what was reported.
func (o *double) note(n simulate.Note) {
	if n.Report == nil || n.Err != nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	was, known := o.reported[n.Of.ID]
	if !known {
		o.order = append(o.order, n.Of.ID)
	}
	if !known || n.Report.Status.Rank() > was.Rank() {
		o.reported[n.Of.ID] = n.Report.Status
	}
	if len(o.order) > maxReported {
		delete(o.reported, o.order[0])
		o.order = o.order[1:]
	}
}

// outbox lists what was delivered to an address, oldest first.
func (o *double) outbox(address string) []simulate.Sent {
	var all []simulate.Sent
	for _, s := range o.Sent() {
		if s.Reaction == "" && (address == "" || s.To == address) {
			all = append(all, s)
		}
	}
	return all[max(0, len(all)-maxReported):]
}

// status is the highest that was reported of a message; queued before the first report.
func (o *double) status(id string) omni.Status {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s, ok := o.reported[id]; ok {
		return s
	}
	return omni.StatusQueued
}

// toSelf carries what the doubles post to the gateway's own listener, whatever the world calls it.
type toSelf struct{ app *App }

// RoundTrip implements http.RoundTripper.
func (s toSelf) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.String(), s.app.cfg.PublicURL+"/") {
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host = "http", s.app.Addr()
	}
	return http.DefaultTransport.RoundTrip(r)
}

// connect makes the demo's accounts and channels at the doubles, unless they are there, and tells the doubles where
// their webhooks go.
func (d *doubles) connect(ctx context.Context, org string) error {
	t := omni.Org(org)
	accounts, err := d.app.store.CarrierAccounts(ctx, t, store.Page{Limit: store.MaxPage})
	if err != nil {
		return fmt.Errorf("carrier accounts of the demo: %w", err)
	}
	channels, err := d.app.store.Channels(ctx, t, store.Page{Limit: store.MaxPage})
	if err != nil {
		return fmt.Errorf("channels of the demo: %w", err)
	}
	if len(channels.Items) == 0 {
		return nil // somebody took the demo apart
	}
	for _, one := range d.all {
		publicID := ""
		for _, a := range accounts.Items {
			if a.Carrier == one.played.Provider.Name() {
				publicID = a.PublicID
				break
			}
		}
		if publicID == "" {
			if publicID, err = makePlayed(ctx, d.app.store, d.app.keys, t, channels.Items[0].GroupID, one.played, d.app.o.Now()); err != nil {
				return fmt.Errorf("carrier %s of the demo: %w", one.played.Provider.Name(), err)
			}
		}
		one.SetAddresses("", d.app.cfg.PublicURL+"/webhooks/"+one.played.Provider.Name().Path()+"/"+publicID)
	}
	return nil
}

// makePlayed makes an account at a double, with a channel for each family that it has.
func makePlayed(ctx context.Context, st store.Store, keys *seal.Keyring, t omni.Tenant, groupID string, p Played, now time.Time) (publicID string, err error) {
	made, name := p.Player.Account(), p.Provider.Name()
	carrier, err := p.Provider.Open(made, carriers.Options{WebhookURL: "http://localhost/webhooks/" + name.Path() + "/demo", Now: time.Now})
	if err != nil {
		return "", fmt.Errorf("open account: %w", err)
	}
	at := omni.MillisOf(now)
	acc := omni.CarrierAccount{
		ID: omni.NewIDAt(now), Tenant: t, PublicID: omni.NewToken(16), Carrier: name, Name: string(name) + playedHere,
		Config: made.Config, Credentials: map[string][]omni.SealedSecret{}, Version: 1, CreatedAt: at, SchemaVersion: omni.CurrentSchema,
	}
	for field := range made.Credentials {
		secret, err := pipeline.SealCredential(keys, acc, field, made.Credential(field).Reveal())
		if err != nil {
			return "", err
		}
		acc.Credentials[field] = []omni.SealedSecret{secret}
	}
	if err := st.CreateCarrierAccount(ctx, t, acc); err != nil {
		return "", fmt.Errorf("create account: %w", err)
	}
	for _, family := range omni.ChannelTypes {
		address := p.Player.Address(family)
		if address == "" || family != family.Family() {
			continue
		}
		ch := omni.DigitalChannel{
			ID: omni.NewIDAt(now), Tenant: t, GroupID: groupID, Name: string(name) + " " + string(family), ChannelType: family, Address: address,
			Carrier: name, CarrierAccountID: acc.ID, Version: 1, CreatedAt: at, SchemaVersion: omni.CurrentSchema,
		}
		if string(name) == string(family) {
			ch.Name = string(name)
		}
		ch.Capabilities, _ = carrier.Capabilities(family)
		if err := ch.Validate(); err != nil {
			return "", err
		}
		if err := st.CreateChannel(ctx, t, ch); err != nil {
			return "", fmt.Errorf("create channel %s: %w", ch.Name, err)
		}
	}
	return acc.PublicID, nil
}

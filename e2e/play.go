package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/app"
	"omniservice/carriers"
	"omniservice/carriers/simulate"
	"omniservice/omni"
)

// Stage is a desk whose account is at a carrier that is played: webhooks and API go through HTTP both ways.
type Stage struct {
	*Desk

	Double   *simulate.Double
	Carrier  carriers.Carrier            // the account as the gateway has it, to ask what it can
	Channels map[omni.ChannelType]string // ids, by family
	Families []omni.ChannelType          // that the carrier has
	player   simulate.Player
}

// Play starts a system with the double of a carrier, and sets up an account with a channel for each of its families.
func Play(t testing.TB, p app.Played, o Options, so simulate.Options) *Stage {
	t.Helper()
	outside := &outside{tr: &http.Transport{MaxIdleConnsPerHost: 64}}
	so.HTTP = &http.Client{Transport: outside, Timeout: Patience}
	double, err := simulate.New(p.Player, so)
	require.NoError(t, err)
	server := httptest.NewServer(double)
	t.Cleanup(func() { // after the program has stopped
		double.Close()
		server.Close()
		outside.tr.CloseIdleConnections()
	})
	o.Doubles = map[omni.CarrierName]string{p.Provider.Name(): server.URL}
	s := &Stage{Double: double, Channels: map[omni.ChannelType]string{}, player: p.Player}
	s.Desk = NewTeam(t, Start(t, o))
	outside.sys.Store(s.System)
	s.Account = s.Alpha.PlayedAccount(t, p, double.Account())
	double.SetAddresses(server.URL, s.Account.WebhookURL)
	s.Carrier, err = p.Provider.Open(double.Account(), carriers.Options{WebhookURL: s.Account.WebhookURL})
	require.NoError(t, err)
	for _, family := range omni.ChannelTypes {
		if family == family.Family() && p.Player.Address(family) != "" {
			s.Channels[family] = s.Account.Channel(t, family, p.Player.Address(family), s.Group)
			s.Families = append(s.Families, family)
		}
	}
	require.NotEmpty(t, s.Families)
	s.Channel = s.Channels[s.Families[0]]
	return s
}

// PlayedAccount makes an account with the settings of a double.
func (o *Org) PlayedAccount(t testing.TB, p app.Played, a carriers.Account) *Account {
	t.Helper()
	secrets := map[string]string{}
	for name := range a.Credentials {
		secrets[name] = a.Credential(name).Reveal()
	}
	acc := &Account{Org: o}
	o.create(t, "/api/v1/carrier-accounts", map[string]any{
		"carrier": p.Provider.Name(), "name": string(p.Provider.Name()), "config": a.Config, "credentials": secrets,
	}, acc)
	require.NotEmpty(t, acc.PublicID)
	return acc
}

// Customer makes the address of the i-th customer of a family.
func (s *Stage) Customer(family omni.ChannelType, i int) string {
	if like := s.player.Customer(family); !strings.HasPrefix(like, "+") {
		return fmt.Sprintf("%s-%d", like, i)
	}
	return Phone(i)
}

// Inbound is a message of the i-th customer.
func (s *Stage) Inbound(family omni.ChannelType, i int, text string) simulate.Inbound {
	return simulate.Inbound{ChannelType: family, From: s.Customer(family, i), To: s.player.Address(family), Text: text}
}

// outside is how a carrier reaches the gateway: by its public URL.
type outside struct {
	tr  *http.Transport
	sys atomic.Pointer[System]
}

// RoundTrip implements http.RoundTripper.
func (o *outside) RoundTrip(r *http.Request) (*http.Response, error) {
	s := o.sys.Load()
	if s == nil {
		return nil, errors.New("the gateway has not been started")
	}
	u, err := url.Parse(s.Local(r.URL.String()))
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.URL = u
	return o.tr.RoundTrip(r)
}

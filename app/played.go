package app

import (
	"fmt"
	"maps"
	"strings"
	"unicode"

	"omniservice/carriers"
	"omniservice/carriers/bandwidth"
	"omniservice/carriers/inteliquent"
	"omniservice/carriers/messagebird"
	"omniservice/carriers/simulate"
	"omniservice/carriers/twilio"
	"omniservice/carriers/whatsapp"
	"omniservice/omni"
)

// Played is a provider that can be played on this machine.
type Played struct {
	Provider carriers.Provider
	Player   simulate.Player
}

// PlayedProviders lists all of them, in the order of omni.CarrierNames. The Test carrier is none: it plays itself.
func PlayedProviders() []Played {
	return []Played{
		{messagebird.New(), messagebird.Player{}},
		{whatsapp.New(), whatsapp.Player{}},
		{twilio.New(), twilio.Player{}},
		{bandwidth.New(), bandwidth.Player{}},
		{inteliquent.New(), inteliquent.Player{}},
	}
}

// PlayedProvider finds one by its name in URLs, such as twilio.
func PlayedProvider(name string) (Played, error) {
	var all []string
	for _, p := range PlayedProviders() {
		if p.Provider.Name().Path() == strings.ToLower(name) {
			return p, nil
		}
		all = append(all, p.Provider.Name().Path())
	}
	return Played{}, omni.Problemf(omni.ErrNotFound, "carrier %q cannot be played: there are %s", name, strings.Join(all, ", "))
}

// Variable is the environment variable of a setting or credential of an account: authToken of Twilio is
// OMNI_TWILIO_AUTH_TOKEN.
func Variable(carrier omni.CarrierName, field string) string {
	var b strings.Builder
	for _, r := range field {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return "OMNI_" + strings.ToUpper(string(carrier)) + "_" + b.String()
}

// Account is the account that is played: the Player's own, with what is set in the environment in the place of it. A
// secret may be in a file, which the variable with _FILE behind its name names. given are the fields that were set. What
// the provider would not open is omni.ErrInvalid.
func (p Played) Account(getenv func(string) string) (a carriers.Account, given map[string]bool, err error) {
	a = p.Player.Account()
	a.Config, a.Credentials = maps.Clone(a.Config), maps.Clone(a.Credentials)
	given = map[string]bool{}
	for _, f := range p.Provider.Fields() {
		name := Variable(p.Provider.Name(), f.Name)
		value, err := ReadSecret(getenv, name)
		if err != nil {
			return a, nil, err
		}
		if value.IsZero() {
			continue
		}
		given[f.Name] = true
		if f.Secret {
			a.Credentials[f.Name] = []omni.Secret{value}
		} else {
			a.Config[f.Name] = value.Reveal()
		}
	}
	if _, err := p.Provider.Open(a, carriers.Options{WebhookURL: "https://gateway.example/webhooks/" + p.Provider.Name().Path() + "/simulated"}); err != nil {
		return a, nil, fmt.Errorf("account at %s: %w", p.Provider.Name(), err)
	}
	return a, given, nil
}

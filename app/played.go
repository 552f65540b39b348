package app

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"time"
	"unicode"

	"omniservice/carriers"
	"omniservice/carriers/bandwidth"
	"omniservice/carriers/inteliquent"
	"omniservice/carriers/messagebird"
	"omniservice/carriers/pubnub"
	"omniservice/carriers/simulate"
	"omniservice/carriers/twilio"
	"omniservice/carriers/whatsapp"
	"omniservice/omni"
)

// Played is a provider that can be played on this machine.
type Played struct {
	Provider  carriers.Provider
	Player    simulate.Player
	Templates []omni.MessageTemplate // that the account has from the beginning
}

// PlayedProviders lists all of them, in the order of omni.CarrierNames. The Test carrier is none: it plays itself.
func PlayedProviders() []Played {
	return []Played{
		{Provider: messagebird.New(), Player: messagebird.Player{}},
		{Provider: whatsapp.New(), Player: whatsapp.Player{}, Templates: whatsapp.ExampleTemplates()},
		{Provider: twilio.New(), Player: twilio.Player{}},
		{Provider: bandwidth.New(), Player: bandwidth.Player{}},
		{Provider: inteliquent.New(), Player: inteliquent.Player{}},
		{Provider: pubnub.New(), Player: pubnub.NewPlayer()},
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

// Deliver brings what a customer did so many times: once, and again as a provider does that heard no answer, with a
// signature of its own each time.
func (p Played) Deliver(ctx context.Context, d *simulate.Double, in simulate.Inbound, times int) error {
	for n := range times {
		r, err := d.Webhook(in)
		if err != nil {
			return err
		}
		if n == 0 && times > 1 && in.ID == "" {
			if in.ID, err = p.messageID(d.Account(), r); err != nil {
				return err
			}
		}
		if err := d.Post(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// messageID reads the id that a Player gave a message.
func (p Played) messageID(a carriers.Account, r *http.Request) (string, error) {
	c, err := p.Provider.Open(a, carriers.Options{})
	if err != nil {
		return "", fmt.Errorf("account at %s: %w", p.Provider.Name(), err)
	}
	w := carriers.WebhookRequest{Method: r.Method, URL: r.URL.String(), Header: r.Header, Now: time.Now()}
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return "", fmt.Errorf("read webhook: %w", err)
		}
		if w.Body, err = io.ReadAll(body); err != nil {
			return "", fmt.Errorf("read webhook: %w", err)
		}
	}
	parsed, err := c.Parse(w)
	if err != nil || len(parsed.Events) == 0 {
		return "", fmt.Errorf("read webhook of %s: %w", p.Provider.Name(), err)
	}
	return parsed.Events[0].CarrierMessageID, nil
}

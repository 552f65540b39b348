package main

import (
	"fmt"
	"net/http"
	"time"

	"omniservice/carriers/testcarrier"
	"omniservice/omni"
)

type simulateCmd struct {
	URL        string        `required:"" help:"Webhook URL of a Test carrier account, as the API shows it."`
	From       string        `default:"+14155550123" help:"The customer's number."`
	To         string        `required:"" help:"Our number: the address of one of the account's channels."`
	Text       string        `default:"Hello" help:"What the customer writes."`
	Channel    string        `default:"SMS" enum:"SMS,MMS,WhatsApp" help:"SMS, MMS or WhatsApp."`
	MediaURL   string        `help:"Address of a file that comes with it."`
	Name       string        `help:"What the customer calls themselves."`
	Fragments  int           `help:"Deliver the text in so many parts."`
	Duplicates int           `help:"Deliver everything so many times more."`
	Delay      time.Duration `help:"Wait so long first."`
}

// Run takes the account's secret from OMNI_TEST_SECRET: secrets are no flags.
func (s *simulateCmd) Run(e *env) error {
	secret := e.getenv("OMNI_TEST_SECRET")
	if secret == "" {
		return fmt.Errorf("OMNI_TEST_SECRET must hold the secret of the Test carrier account: %w", omni.ErrInvalid)
	}
	err := testcarrier.Client{URL: s.URL, Secret: omni.NewSecret(secret), HTTP: &http.Client{Timeout: 10 * time.Second}}.Post(e.ctx, testcarrier.Inbound{
		ChannelType: omni.ChannelType(s.Channel), From: s.From, To: s.To, Text: s.Text, MediaURL: s.MediaURL, ProfileName: s.Name,
		Fragments: s.Fragments, Duplicates: s.Duplicates, DelayMs: int(s.Delay.Milliseconds()),
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.stdout, "taken")
	return err
}

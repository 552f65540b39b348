package pipeline

import (
	"context"
	"fmt"
	"strings"

	"omniservice/omni"
	"omniservice/omni/wire"
)

// The words of the North American carriers' rules, as a whole message, in any case.
var (
	stopWords  = wordSet("STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT")
	startWords = wordSet("START", "UNSTOP")
)

func wordSet(words ...string) map[string]bool {
	m := make(map[string]bool, len(words))
	for _, w := range words {
		m[w] = true
	}
	return m
}

// consentWords changes what the sender allows if they say so: by the carrier's word for it, or on SMS by ours.
func (p *Pipeline) consentWords(ctx context.Context, in *incoming, e omni.CarrierChannelEvent, id omni.ContactIdentity, steps *stepList) error {
	word := strings.ToUpper(strings.TrimSpace(e.OptOut))
	if word == "" && in.channel.ChannelType == omni.ChannelSMS {
		word = strings.ToUpper(strings.Trim(in.payload.TextBody(), " \t\r\n.!"))
	}
	stop, start := stopWords[word], startWords[word]
	if !stop && !start || stop == (id.OptedOutAt > 0) {
		return nil
	}
	return p.setConsent(ctx, in.tenant, in.channel, id, stop, word, in.receivedAt, steps)
}

// setConsent records and announces that an identity does or does not want messages.
func (p *Pipeline) setConsent(ctx context.Context, t omni.Tenant, ch omni.DigitalChannel, id omni.ContactIdentity, optedOut bool, by string, at omni.Millis, steps *stepList) error {
	id, changed, err := p.store.SetConsent(ctx, omni.ConsentUpdate{
		Tenant: omni.Org(t.OrganisationID), ChannelType: id.ChannelType, Address: id.Address, OptedOut: optedOut, By: by, At: at,
	})
	if err != nil {
		return fmt.Errorf("set consent: %w", err)
	}
	if !changed {
		return nil
	}
	if steps != nil {
		steps.done("consent", map[bool]string{true: "opted out", false: "opted in"}[optedOut])
	}
	home := p.homeTopic(ctx, omni.Interaction{Tenant: t, GroupID: ch.GroupID})
	p.publish(ctx, home, wire.ConsentChanged, wire.ConsentChange{
		ContactID: id.ContactID, ChannelType: id.ChannelType, Address: id.Address, OptedOut: optedOut, By: by,
	})
	return nil
}

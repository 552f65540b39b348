package pipeline

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
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
		ContactID: id.ContactID, ChannelType: id.ChannelType, Address: id.Address, OptedOut: optedOut,
		Marketing: strings.HasPrefix(by, omni.MarketingBy), By: strings.TrimPrefix(by, omni.MarketingBy),
	})
	return nil
}

// preference records that a person has stopped marketing messages, or wants them again. Of one whom we do not know there is
// nothing to record: the carrier will say so again when we write to them.
func (p *Pipeline) preference(ctx context.Context, r *store.InboxRecord, e omni.CarrierChannelEvent) error {
	stop := e.Status == "stop"
	if !stop && e.Status != "resume" && e.Status != "signup" {
		return p.unknown(ctx, r, e)
	}
	ch, ok, err := p.channelOf(ctx, r, e)
	if err != nil || !ok {
		return err
	}
	id, err := p.store.IdentityByAddress(ctx, r.Tenant, ch.ChannelType, e.From)
	if errors.Is(err, omni.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("identity of a preference: %w", err)
	}
	at := e.OccurredAt
	if at <= 0 {
		at = r.ReceivedAt
	}
	return p.setConsent(ctx, r.Tenant, ch, id, stop, omni.MarketingBy+string(e.Status), at, nil)
}

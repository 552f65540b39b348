package testcarrier

import (
	"cmp"
	"slices"

	"omniservice/carriers"
	"omniservice/omni"
)

const (
	maxPerRecipient = 100
	maxRecipients   = 1_000
	maxRemembered   = maxPerRecipient * maxRecipients / 10
)

// Delivery is a message that reached a recipient.
type Delivery struct {
	ID               string           `json:"id"` // our id of the message
	CarrierMessageID string           `json:"carrierMessageId"`
	ChannelType      omni.ChannelType `json:"channelType"`
	From             string           `json:"from"`
	To               string           `json:"to"`
	Text             string           `json:"text"`
	MediaURLs        []string         `json:"mediaUrls,omitempty"`
	At               omni.Millis      `json:"at"`
	Status           omni.Status      `json:"status"` // the highest that was reported; queued before the first report

	number uint64 // in the order of delivery
}

// account is what the provider remembers of one account. The provider's lock guards it.
type account struct {
	behaviour  Behaviour
	sent       uint64
	recipients map[string][]*Delivery
	order      []string // of recipients, the one longest ago first

	results  map[string]carriers.SendResult // by our id, for Lookup
	resultOf []string                       // ids in results, oldest first
	forgot   bool                           // some were dropped

	templates     []omni.MessageTemplate
	madeTemplates int
}

func newAccount() *account {
	return &account{recipients: map[string][]*Delivery{}, results: map[string]carriers.SendResult{}, templates: builtIn()}
}

func (a *account) add(d *Delivery, result carriers.SendResult) {
	a.sent++
	d.number = a.sent
	if i := slices.Index(a.order, d.To); i >= 0 {
		a.order = slices.Delete(a.order, i, i+1)
	}
	a.order = append(a.order, d.To)
	if len(a.order) > maxRecipients {
		delete(a.recipients, a.order[0])
		a.order = slices.Delete(a.order, 0, 1)
	}
	all := append(a.recipients[d.To], d)
	if len(all) > maxPerRecipient {
		all = slices.Delete(all, 0, len(all)-maxPerRecipient)
	}
	a.recipients[d.To] = all

	if _, ok := a.results[d.ID]; !ok {
		a.resultOf = append(a.resultOf, d.ID)
	}
	a.results[d.ID] = result
	if len(a.resultOf) > maxRemembered {
		delete(a.results, a.resultOf[0])
		a.resultOf = slices.Delete(a.resultOf, 0, 1)
		a.forgot = true
	}
}

func (a *account) outbox(recipient string) []Delivery {
	var all []Delivery
	for to, deliveries := range a.recipients {
		if recipient != "" && to != recipient {
			continue
		}
		for _, d := range deliveries {
			all = append(all, *d)
		}
	}
	slices.SortFunc(all, func(x, y Delivery) int { return cmp.Compare(x.number, y.number) })
	return all
}

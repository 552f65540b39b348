package inteliquent

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// Words of an older form that tell a receipt even where the flag is missing.
const (
	typeDelivery = "message_delivery"
	typeFailed   = "message_failed"
)

// WebhookBody is the body of a webhook: a message, or a receipt for one of ours. (Seed: InteliquentWebhookBody.)
//
// Numbers come as text and, in the vendor's own example, without quotes; a single recipient may come without a list.
type WebhookBody struct {
	ReferenceID     carriers.Scalar  `json:"referenceId"` // of the message
	From            carriers.Scalar  `json:"from"`        // digits: eleven with a leading 1, sometimes ten
	To              carriers.Strings `json:"to"`          // several: a group
	Text            carriers.Scalar  `json:"text"`
	DeliveryReceipt carriers.Scalar  `json:"deliveryReceipt"` // true: a receipt
	MediaURLs       carriers.Strings `json:"mediaUrls"`

	// Of receipts. None of these is confirmed.
	Status      carriers.Scalar `json:"status"`
	Type        carriers.Scalar `json:"type"`
	Reason      carriers.Scalar `json:"reason"`
	Description carriers.Scalar `json:"description"`
	Error       json.RawMessage `json:"error"`
}

// Parse implements carriers.Carrier. A webhook tells one thing.
func (c *Carrier) Parse(r carriers.WebhookRequest) (carriers.Parsed, error) {
	r.Body = carriers.WithoutMark(r.Body)
	if err := carriers.CheckNesting(r.Body); err != nil {
		return carriers.Parsed{}, err
	}
	var b WebhookBody
	if err := json.Unmarshal(r.Body, &b); err != nil {
		return carriers.Parsed{}, carriers.MalformedJSON(err)
	}
	if start := bytes.TrimLeft(r.Body, " \t\r\n"); start[0] != '{' {
		return carriers.Parsed{}, carriers.Malformed(errors.New("not an object"))
	}
	e := omni.CarrierChannelEvent{Carrier: omni.CarrierInteliquent, ChannelType: omni.ChannelSMS}
	var err error
	if e.CarrierMessageID, err = carriers.ID("referenceId", string(b.ReferenceID)); err != nil {
		return carriers.Parsed{}, err
	}
	receipt := b.isReceipt()
	if e.From, err = number("from", string(b.From)); err != nil && !receipt {
		return carriers.Parsed{}, err
	}
	var to []string
	for _, n := range b.To {
		n, err := number("to", n)
		switch {
		case err != nil && !receipt:
			return carriers.Parsed{}, err
		case n != "":
			to = append(to, n)
		}
	}
	if receipt {
		return c.receipt(e, b, to), nil
	}
	return c.message(e, b, to)
}

// isReceipt reports whether b is about a message of ours: what is one must never be taken for an inbound message.
func (b WebhookBody) isReceipt() bool {
	switch strings.ToLower(string(b.Type)) {
	case typeDelivery, typeFailed:
		return true
	default:
		return strings.ToLower(strings.TrimSpace(string(b.DeliveryReceipt))) == "true"
	}
}

// number writes a number as E.164: what is no digit is left out, ten digits get +1, eleven that begin with 1 get +. Names,
// which have letters, stay as they are, and so do short codes.
func number(field, s string) (string, error) {
	s = strings.TrimSpace(s)
	if strings.ContainsFunc(s, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= 0x80 }) {
		return carriers.Address(field, s)
	}
	if _, err := carriers.Address(field, s); err != nil {
		return "", err
	}
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
	address, err := carriers.Address(field, digits)
	if err == nil && address == digits && digits != "" && s[0] == '+' {
		address = "+" + digits
	}
	return address, err
}

// message is what somebody wrote to us. Of a group all recipients are kept, and each of our numbers among them gets it;
// where they are not configured the first recipient is taken for ours.
func (c *Carrier) message(e omni.CarrierChannelEvent, b WebhookBody, to []string) (carriers.Parsed, error) {
	if e.From == "" {
		return carriers.Parsed{}, carriers.Missing("from")
	}
	if len(to) == 0 {
		return carriers.Parsed{}, carriers.Missing("to")
	}
	e.Kind, e.Direction = omni.EventMessage, omni.Inbound
	e.Text = omni.CleanText(string(b.Text))
	e.Media = carriers.FilesAt(omni.CarrierInteliquent, b.MediaURLs)
	if len(to) > 1 {
		e.Recipients = to
	}
	if len(to) > 1 || len(e.Media) > 0 {
		e.ChannelType = omni.ChannelMMS
	}
	var p carriers.Parsed
	for _, n := range c.ours(to) {
		e.To = n
		e.Media = slices.Clone(e.Media)
		e.Recipients = slices.Clone(e.Recipients)
		p.Events = append(p.Events, e)
	}
	return p, nil
}

// ours are the recipients that are numbers of this account, each once.
func (c *Carrier) ours(to []string) []string {
	var all []string
	for _, n := range to {
		if slices.Contains(c.config.Numbers, n) && !slices.Contains(all, n) {
			all = append(all, n)
		}
	}
	if len(all) == 0 {
		return to[:1]
	}
	return all
}

// receipt is what became of a message of ours. It is found by its id; the addresses are told as they came, where they are
// addresses at all, unless they are known to be the wrong way round.
func (c *Carrier) receipt(e omni.CarrierChannelEvent, b WebhookBody, to []string) carriers.Parsed {
	status, ok := b.status()
	if !ok {
		return carriers.Parsed{Ignored: []carriers.Ignored{carriers.Ignore(carriers.UnknownStatus, string(b.Status))}}
	}
	e.Kind, e.Direction, e.Status = omni.EventStatus, omni.Outbound, status
	if len(to) > 0 {
		e.To = to[0]
	}
	if slices.Contains(c.config.Numbers, e.To) && !slices.Contains(c.config.Numbers, e.From) {
		e.From, e.To = e.To, e.From
	}
	if len(to) > 1 {
		e.Recipients = to
	}
	if len(to) > 1 || len(carriers.FilesAt(omni.CarrierInteliquent, b.MediaURLs)) > 0 {
		e.ChannelType = omni.ChannelMMS
	}
	if omni.ValidID(e.CarrierMessageID) {
		e.ClientReference = e.CarrierMessageID // ours, if Inteliquent took the one that we gave
	}
	if status == omni.StatusFailed || status == omni.StatusUndeliverable {
		e.Reason = omni.ReasonRejected
		e.Metadata.Set("reason", omni.CleanName(b.why()))
	}
	return carriers.Parsed{Events: []omni.CarrierChannelEvent{e}}
}

// why is what a receipt says of a failure, in words.
func (b WebhookBody) why() string {
	var inner struct {
		Message carriers.Scalar `json:"message"`
	}
	switch {
	case b.Reason != "":
		return string(b.Reason)
	case b.Description != "":
		return string(b.Description)
	case json.Unmarshal(b.Error, &inner) == nil:
		return string(inner.Message)
	default:
		return ""
	}
}

// taken is the answer to every webhook that is durable.
const taken = `{"statusCode":"200","status":"success"}`

// Respond implements carriers.Carrier.
func (*Carrier) Respond(p carriers.Parsed) carriers.HTTPResponse {
	r := carriers.Taken(p)
	r.ContentType, r.Body = "application/json", taken
	return r
}

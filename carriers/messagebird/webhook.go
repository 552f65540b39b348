package messagebird

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

// families are the channels that we have of those that Conversations and Bird have, by their words.
var families = map[string]omni.ChannelType{
	"sms": omni.ChannelSMS, "mms": omni.ChannelMMS, "whatsapp": omni.ChannelWhatsApp, "whatsapp_sandbox": omni.ChannelWhatsApp,
}

// Parse implements carriers.Carrier. A webhook tells one thing. Which product it is of shows in its form: an event and a
// payload are Bird's, a type and a message those of Conversations, all else is SMS and MMS.
func (c *Carrier) Parse(r carriers.WebhookRequest) (carriers.Parsed, error) {
	r.Body = carriers.WithoutMark(r.Body)
	if c.config.scheme != schemeBird && !isJSON(r) {
		p, err := readParams(r)
		if err != nil {
			return carriers.Parsed{}, err
		}
		return parseClassic(p)
	}
	if err := carriers.CheckNesting(r.Body); err != nil {
		return carriers.Parsed{}, err
	}
	var shape struct {
		Service      present
		Event        present
		Payload      present
		Message      object
		Conversation object
		Originator   present
		Shortcode    present
	}
	if err := json.Unmarshal(r.Body, &shape); err != nil {
		return carriers.Parsed{}, carriers.MalformedJSON(err)
	}
	classic := bool(shape.Originator || shape.Shortcode)
	switch {
	case c.config.scheme == schemeBird || bool(shape.Payload) && !classic || bool(shape.Event && shape.Service):
		return c.parseBird(r.Body)
	case bool(shape.Message || shape.Conversation) && !classic:
		return c.parseConversation(r.Body)
	}
	p, err := decodeJSON(r.Body)
	if err != nil {
		return carriers.Parsed{}, err
	}
	return parseClassic(p)
}

// present notes that a member is there.
type present bool

// UnmarshalJSON implements json.Unmarshaler.
func (p *present) UnmarshalJSON([]byte) error {
	*p = true
	return nil
}

// object notes that a member is there and an object.
type object bool

// UnmarshalJSON implements json.Unmarshaler.
func (o *object) UnmarshalJSON(raw []byte) error {
	*o = raw[0] == '{'
	return nil
}

func ignored(name, word string) carriers.Parsed {
	return carriers.Parsed{Ignored: []carriers.Ignored{carriers.Ignore(name, word)}}
}

func told(e omni.CarrierChannelEvent) carriers.Parsed {
	return carriers.Parsed{Events: []omni.CarrierChannelEvent{e}}
}

// parseClassic reads a message on a number, one on a short code, or a report. Only a report has no sender.
func parseClassic(p params) (carriers.Parsed, error) {
	e := omni.CarrierChannelEvent{Carrier: omni.CarrierMessageBird, ChannelType: omni.ChannelSMS}
	switch {
	case strings.TrimSpace(p.last("shortcode")) != "":
		return parseMessage(e, p, shortCode)
	case p.has("status", "statusDatetime", "statusReason", "statusErrorCode") && strings.TrimSpace(p.last("originator")) == "":
		return parseReport(e, p)
	default:
		return parseMessage(e, p, number)
	}
}

// names are what the fields of a message are called.
type names struct {
	id, to, text, at string
	time             func(string) omni.Millis
}

var (
	number    = names{id: "id", to: "recipient", text: "body", at: "createdDatetime", time: instant}
	shortCode = names{id: "mid", to: "shortcode", text: "message", at: "receive_datetime", time: compact}
)

func parseMessage(e omni.CarrierChannelEvent, p params, n names) (carriers.Parsed, error) {
	var err error
	if e.CarrierMessageID, err = carriers.ID(n.id, strings.TrimSpace(p.last(n.id))); err != nil {
		return carriers.Parsed{}, err
	}
	if e.From, err = needed("originator", p.last("originator")); err != nil {
		return carriers.Parsed{}, err
	}
	if n.id == shortCode.id {
		e.To, err = carriers.Address(n.to, p.last(n.to))
		e.Keyword, e.NetworkCode = omni.CleanName(p.last("keyword")), omni.CleanName(p.last("operator"))
	} else {
		e.To, err = needed(n.to, p.last(n.to))
	}
	if err != nil {
		return carriers.Parsed{}, err
	}
	e.Text = omni.CleanText(p.last(n.text))
	addresses := p.all("mediaUrls")
	for _, a := range addresses {
		e.Media = appendFile(e.Media, a, "", "", "")
	}
	switch {
	case e.Text != "" || len(e.Media) > 0:
	case !p.has(n.text) && len(addresses) == 0:
		return carriers.Parsed{}, carriers.Missing(n.text)
	default:
		return ignored(carriers.Empty, ""), nil
	}
	if len(e.Media) > 0 {
		e.ChannelType = omni.ChannelMMS
	}
	e.Kind, e.Direction = omni.EventMessage, omni.Inbound
	e.OccurredAt = n.time(p.last(n.at))
	return told(e), nil
}

func parseReport(e omni.CarrierChannelEvent, p params) (carriers.Parsed, error) {
	var err error
	if e.CarrierMessageID, err = carriers.ID("id", strings.TrimSpace(p.last("id"))); err != nil {
		return carriers.Parsed{}, err
	}
	if e.To, err = address("recipient", p.last("recipient")); err != nil {
		return carriers.Parsed{}, err
	}
	e.OccurredAt = instant(p.last("statusDatetime"))
	e.ClientReference = reference(p.last("reference"))
	if n, err := strconv.Atoi(p.last("messagePartCount")); err == nil && n > 0 && n <= 255 {
		e.Segments = n
	}
	e.NetworkCode = omni.CleanName(p.last("mccmnc"))
	return parseStatus(e, "status", p.last("status"), classicStatuses, p.last("statusErrorCode"))
}

// parseStatus ends the reading of a status.
func parseStatus(e omni.CarrierChannelEvent, field, word string, statuses map[string]omni.Status, code string) (carriers.Parsed, error) {
	word = strings.TrimSpace(word)
	if word == "" {
		return carriers.Parsed{}, carriers.Missing(field)
	}
	status, ok := statuses[word]
	if !ok {
		return ignored(carriers.UnknownStatus, word), nil
	}
	e.Kind, e.Direction, e.Status = omni.EventStatus, omni.Outbound, status
	e.ErrorCode = carriers.Ignore("", code).Value
	e.Reason = reasonOf(status, e.ErrorCode)
	e.Retryable = e.Reason.Retryable()
	return told(e), nil
}

// needed is the address of one end, which must be there.
func needed(field, s string) (string, error) {
	a, err := address(field, s)
	if err == nil && a == "" {
		err = carriers.Missing(field)
	}
	return a, err
}

// reference is our id of a message as it came back.
func reference(s string) string {
	if id, err := carriers.ID("", strings.TrimSpace(s)); err == nil && len(id) <= maxReference {
		return id
	}
	return ""
}

// appendFile adds a file, unless it only says how the others are laid out.
func appendFile(files []omni.MediaReference, address, contentType, name string, kind omni.MediaType) []omni.MediaReference {
	address, contentType = omni.CleanText(strings.TrimSpace(address)), omni.CleanName(contentType)
	if address == "" || len(files) == maxFiles || carriers.Presentation(address, contentType) {
		return files
	}
	if kind == "" {
		kind = omni.MediaTypeOf(contentType)
	}
	return append(files, omni.MediaReference{
		Carrier: omni.CarrierMessageBird, Type: kind, ContentType: contentType, FileName: omni.CleanName(name),
		State: omni.MediaPending, External: omni.ExternalRef{URL: address},
	})
}

// instant reads a time of RFC 3339, 0 if it is none. The plus of its offset becomes a space where the carrier did not
// escape it.
func instant(s string) omni.Millis {
	s = strings.TrimSpace(s)
	if i := strings.LastIndexByte(s, ' '); i > len("2026-11-22") {
		s = s[:i] + "+" + s[i+1:]
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	return millis(at, err)
}

// compact reads the time of a short code's message. Nobody says in which zone it is; it is taken as UTC.
func compact(s string) omni.Millis {
	at, err := time.Parse("20060102150405", strings.TrimSpace(s))
	return millis(at, err)
}

func millis(at time.Time, err error) omni.Millis {
	if err != nil || at.Unix() <= 0 {
		return 0
	}
	return omni.MillisOf(at)
}

// Respond implements carriers.Carrier. The carrier wants the text OK, at least for SMS.
func (*Carrier) Respond(p carriers.Parsed) carriers.HTTPResponse {
	r := carriers.Taken(p)
	r.ContentType, r.Body = "text/plain; charset=utf-8", "OK"
	return r
}

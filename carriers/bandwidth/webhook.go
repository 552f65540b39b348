package bandwidth

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

// Types of webhooks that bring what somebody wrote. The last two come from RCS business messages alone.
const (
	typeReceived   = "message-received"
	typeSuggestion = "suggestion-response"
	typeLocation   = "requested-location-response"
)

// event is one event of a webhook.
type event struct {
	Type        string          `json:"type"`
	Time        carriers.Scalar `json:"time"` // RFC 3339, up to microseconds
	Description carriers.Scalar `json:"description"`
	To          carriers.Scalar `json:"to"` // whom this copy, or this status, is about
	CarrierName carriers.Scalar `json:"carrierName"`
	ErrorCode   carriers.Scalar `json:"errorCode"`
	Message     message         `json:"message"`
}

// message is the message that an event is about.
type message struct {
	ID           string           `json:"id"`
	Owner        string           `json:"owner"` // our number
	Time         carriers.Scalar  `json:"time"`
	SegmentCount carriers.Scalar  `json:"segmentCount"` // of the original; the text is whole
	Direction    carriers.Scalar  `json:"direction"`    // in or out
	To           carriers.Strings `json:"to"`           // several: a group
	From         string           `json:"from"`
	Text         string           `json:"text"`
	Media        carriers.Strings `json:"media"`
	Tag          carriers.Scalar  `json:"tag"` // ours, as it was sent
	Channel      carriers.Scalar  `json:"channel"`

	// Of multi-channel messages. They are read only where they are looked for.
	Content            json.RawMessage `json:"content"`
	SuggestionResponse json.RawMessage `json:"suggestionResponse"`
	LocationResponse   json.RawMessage `json:"locationResponse"`
}

// Parse implements carriers.Carrier. The body is a list of events; a single one, which newer descriptions show, is taken
// as well.
func (c *Carrier) Parse(r carriers.WebhookRequest) (carriers.Parsed, error) {
	var p carriers.Parsed
	err := carriers.EachObject(r.Body, func(entry []byte) error {
		var e event
		if err := json.Unmarshal(entry, &e); err != nil {
			return carriers.MalformedJSON(err)
		}
		return add(&p, e)
	})
	if err != nil {
		return carriers.Parsed{}, err
	}
	if len(p.Events)+len(p.Ignored) == 0 {
		p.Ignored = []carriers.Ignored{carriers.Ignore(carriers.Empty, "")}
	}
	return p, nil
}

// add puts an event into p, in our words. Type and direction are looked at before anything else: webhooks of both
// directions may come to one address, and whoever answers a status writes to himself for ever.
func add(p *carriers.Parsed, in event) error {
	out := false
	switch in.Type {
	case "":
		return carriers.Missing("type")
	case typeReceived, typeSuggestion, typeLocation:
	default:
		if _, ok := (DeliveryStatus{Type: in.Type}).Status(); !ok {
			p.Ignored = append(p.Ignored, carriers.Ignore(carriers.UnknownEvent, in.Type))
			return nil
		}
		out = true
	}
	if way := in.Message.Direction; out && way == "in" || !out && way == "out" {
		p.Ignored = append(p.Ignored, carriers.Ignore(carriers.UnknownEvent, in.Type+" "+string(way)))
		return nil
	}
	e := omni.CarrierChannelEvent{Carrier: omni.CarrierBandwidth, ChannelType: omni.ChannelSMS, OccurredAt: occurredAt(in)}
	var err error
	if e.CarrierMessageID, err = carriers.ID("message.id", in.Message.ID); err != nil {
		return err
	}
	if e.From, err = carriers.Address("message.from", in.Message.From); err != nil {
		return err
	}
	if out {
		err = readStatus(&e, in)
	} else {
		err = readMessage(&e, in)
	}
	if err != nil {
		return err
	}
	e.Metadata.Set("carrierName", omni.CleanName(string(in.CarrierName)))
	p.Events = append(p.Events, e)
	return nil
}

// occurredAt is when it happened; 0 if the event tells no time that can be read.
func occurredAt(in event) omni.Millis {
	for _, s := range []carriers.Scalar{in.Time, in.Message.Time} {
		if t, err := time.Parse(time.RFC3339, string(s)); err == nil && t.UnixMilli() > 0 {
			return omni.MillisOf(t)
		}
	}
	return 0
}

// firstAddress is the first address that is not empty, and the field that it stands in.
func firstAddress(fields ...[2]string) (string, error) {
	for _, f := range fields {
		address, err := carriers.Address(f[0], f[1])
		if address != "" || err != nil {
			return address, err
		}
	}
	return "", nil
}

// readGroup sets who else got the message; a message to several is an MMS.
func readGroup(e *omni.CarrierChannelEvent, to []string) error {
	for _, t := range to {
		address, err := carriers.Address("message.to", t)
		if err != nil {
			return err
		}
		if address != "" {
			e.Recipients = append(e.Recipients, address)
		}
	}
	if len(e.Recipients) > 1 {
		e.ChannelType = omni.ChannelMMS
	} else {
		e.Recipients = nil
	}
	return nil
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

// readStatus reads what became of a message that we sent. Bandwidth's pages do not agree on what owner is there.
func readStatus(e *omni.CarrierChannelEvent, in event) error {
	e.Kind, e.Direction = omni.EventStatus, omni.Outbound
	var err error
	if e.To, err = firstAddress([2]string{"to", string(in.To)}, [2]string{"message.to", first(in.Message.To)}); err != nil {
		return err
	}
	if err := readGroup(e, in.Message.To); err != nil {
		return err
	}
	if len(carriers.FilesAt(omni.CarrierBandwidth, in.Message.Media)) > 0 {
		e.ChannelType = omni.ChannelMMS
	}
	if n := len(in.Message.Tag); n <= 4*maxTag {
		e.ClientReference = omni.CleanText(string(in.Message.Tag))
	}
	d := DeliveryStatus{Type: in.Type}
	if in.Type == typeFailed && in.ErrorCode != "0" {
		d.Code = carriers.Ignore("", string(in.ErrorCode)).Value
	}
	e.Status, _ = d.Status()
	e.ErrorCode, e.Reason = d.Code, d.Reason()
	e.Retryable = e.Reason.Retryable()
	if in.Type == typeFailed {
		e.Metadata.Set("description", omni.CleanName(string(in.Description)))
	}
	return nil
}

// readMessage reads what somebody wrote to us. Of a group message each of our numbers gets a webhook of its own, whose
// owner it is.
func readMessage(e *omni.CarrierChannelEvent, in event) error {
	if e.From == "" {
		return carriers.Missing("message.from")
	}
	e.Kind, e.Direction = omni.EventMessage, omni.Inbound
	var err error
	e.To, err = firstAddress([2]string{"message.owner", in.Message.Owner}, [2]string{"to", string(in.To)}, [2]string{"message.to", first(in.Message.To)})
	if err != nil {
		return err
	}
	if e.To == "" {
		return carriers.Missing("message.owner")
	}
	if err := readGroup(e, in.Message.To); err != nil {
		return err
	}
	e.Text = omni.CleanText(in.Message.Text)
	e.Media = carriers.FilesAt(omni.CarrierBandwidth, in.Message.Media)
	if n, err := strconv.Atoi(string(in.Message.SegmentCount)); err == nil && n > 0 && n <= 255 {
		e.Segments = n
	}
	readRich(e, in)
	if len(e.Media) > 0 {
		e.ChannelType = omni.ChannelMMS
	}
	for i := range e.Media {
		if e.OccurredAt > 0 {
			e.Media[i].External.ExpiresAt = e.OccurredAt.Add(mediaLife)
		}
	}
	return nil
}

// readRich reads what a multi-channel (RCS) message has besides, or instead of, text and files. What is not as
// Bandwidth's description says is left out: the message itself is still one.
func readRich(e *omni.CarrierChannelEvent, in event) {
	switch channel := strings.ToUpper(string(in.Message.Channel)); channel {
	case "", "SMS", "MMS":
	default:
		e.Metadata.Set("channel", omni.CleanName(channel))
	}
	var content struct {
		Text  string `json:"text"`
		Media struct {
			FileURL string `json:"fileUrl"`
		} `json:"media"`
	}
	if json.Unmarshal(in.Message.Content, &content) == nil {
		if e.Text == "" {
			e.Text = omni.CleanText(content.Text)
		}
		if content.Media.FileURL != "" && len(e.Media) == 0 {
			e.Media = carriers.FilesAt(omni.CarrierBandwidth, []string{content.Media.FileURL})
		}
	}
	switch in.Type {
	case typeSuggestion:
		var pressed struct {
			Text         string `json:"text"`
			PostbackData string `json:"postbackData"`
		}
		if json.Unmarshal(in.Message.SuggestionResponse, &pressed) == nil {
			e.ButtonPayload = omni.CleanText(pressed.PostbackData)
			if e.Text == "" {
				e.Text = omni.CleanText(pressed.Text)
			}
		}
	case typeLocation:
		var place struct {
			Latitude  *float64 `json:"latitude"`
			Longitude *float64 `json:"longitude"`
		}
		if json.Unmarshal(in.Message.LocationResponse, &place) == nil && place.Latitude != nil && place.Longitude != nil {
			if l := (omni.Location{Latitude: *place.Latitude, Longitude: *place.Longitude}); l.Validate() == nil {
				if e.Location = &l; e.Text == "" {
					e.Text = l.Geo()
				}
			}
		}
	}
	if in.Type != typeReceived && e.Text == "" && e.Location == nil && e.ButtonPayload == "" {
		e.Unsupported = in.Type
	}
}

// Respond implements carriers.Carrier. Bandwidth looks at the status alone; what is not 2xx comes again for a day.
func (*Carrier) Respond(p carriers.Parsed) carriers.HTTPResponse { return carriers.Taken(p) }

package testcarrier

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"omniservice/carriers"
	"omniservice/omni"
)

const (
	maxFiles   = 10  // of one message
	maxMembers = 100 // of the body's object
)

// Body is the body of a webhook.
type Body struct {
	Events []Event `json:"events"`
}

// Event is one event of a webhook. The package's comment says what each kind needs.
type Event struct {
	Kind          string      `json:"kind"` // message, status or reaction
	ID            string      `json:"id,omitempty"`
	Channel       string      `json:"channel,omitempty"` // SMS, MMS or WhatsApp
	From          string      `json:"from,omitempty"`
	To            string      `json:"to,omitempty"`
	Text          string      `json:"text,omitempty"`
	Media         Files       `json:"media,omitempty"`
	Fragment      *Fragment   `json:"fragment,omitempty"`
	ProfileName   string      `json:"profileName,omitempty"`
	ReplyTo       string      `json:"replyTo,omitempty"`
	ButtonPayload string      `json:"buttonPayload,omitempty"`
	OptOut        string      `json:"optOut,omitempty"`
	Reaction      string      `json:"reaction,omitempty"`  // an emoji; of a reaction, "" takes it away
	MessageID     string      `json:"messageId,omitempty"` // of a status or a reaction: our id of the message
	Status        string      `json:"status,omitempty"`
	ErrorCode     string      `json:"errorCode,omitempty"`
	At            omni.Millis `json:"at,omitempty"`
}

// File is a file of a message.
type File struct {
	URL         string `json:"url"`
	ContentType string `json:"contentType,omitempty"`
}

// Fragment tells which part of a longer text an event holds.
type Fragment struct {
	Reference string `json:"reference"`
	Index     int    `json:"index"` // from 1
	Total     int    `json:"total"`
}

// Files are the files of a message, at most 10.
type Files []File

// UnmarshalJSON implements json.Unmarshaler. It stops at what is too long before it has room for it.
func (f *Files) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return errors.New("media is not a list")
	}
	*f = nil
	for d.More() {
		if len(*f) == maxFiles {
			return fmt.Errorf("more than %d files", maxFiles)
		}
		var file File
		if err := d.Decode(&file); err != nil {
			return fmt.Errorf("media: %w", err)
		}
		*f = append(*f, file)
	}
	return nil
}

// Parse implements carriers.Carrier.
func (c *Carrier) Parse(r carriers.WebhookRequest) (carriers.Parsed, error) {
	if err := carriers.CheckNesting(r.Body); err != nil {
		return carriers.Parsed{}, err
	}
	var (
		p carriers.Parsed
		e Event
	)
	d := json.NewDecoder(bytes.NewReader(r.Body))
	if err := open(d, '{'); err != nil {
		return carriers.Parsed{}, err
	}
	for n := 0; d.More(); n++ {
		if n == maxMembers {
			return carriers.Parsed{}, carriers.Malformed(fmt.Errorf("more than %d members", maxMembers))
		}
		key, err := d.Token()
		if err != nil {
			return carriers.Parsed{}, carriers.MalformedJSON(err)
		}
		if key != "events" {
			var other json.RawMessage
			if err := d.Decode(&other); err != nil {
				return carriers.Parsed{}, carriers.MalformedJSON(err)
			}
			continue
		}
		if err := open(d, '['); err != nil {
			return carriers.Parsed{}, err
		}
		for d.More() {
			if len(p.Events)+len(p.Ignored) == carriers.MaxEvents {
				return carriers.Parsed{}, carriers.Malformed(fmt.Errorf("more than %d events", carriers.MaxEvents))
			}
			e = Event{}
			if err := d.Decode(&e); err != nil {
				return carriers.Parsed{}, carriers.MalformedJSON(err)
			}
			if err := add(&p, e); err != nil {
				return carriers.Parsed{}, err
			}
		}
		if _, err := d.Token(); err != nil {
			return carriers.Parsed{}, carriers.MalformedJSON(err)
		}
	}
	if _, err := d.Token(); err != nil {
		return carriers.Parsed{}, carriers.MalformedJSON(err)
	}
	if d.More() {
		return carriers.Parsed{}, carriers.Malformed(errors.New("more than one JSON value"))
	}
	if len(p.Events)+len(p.Ignored) == 0 {
		p.Ignored = []carriers.Ignored{carriers.Ignore(carriers.Empty, "")}
	}
	return p, nil
}

// open reads the beginning of an object or a list.
func open(d *json.Decoder, want json.Delim) error {
	t, err := d.Token()
	if err != nil {
		return carriers.MalformedJSON(err)
	}
	if t != want {
		return carriers.Malformed(fmt.Errorf("no %s where one has to be", want))
	}
	return nil
}

// add puts an event into p, in our words.
func add(p *carriers.Parsed, in Event) error {
	e := omni.CarrierChannelEvent{Carrier: omni.CarrierTest, ChannelType: omni.ChannelType(in.Channel), OccurredAt: max(0, in.At)}
	switch e.ChannelType {
	case "":
		e.ChannelType = omni.ChannelSMS
	case omni.ChannelSMS, omni.ChannelMMS, omni.ChannelWhatsApp:
	default:
		p.Ignored = append(p.Ignored, carriers.Ignore(carriers.UnknownEvent, in.Channel))
		return nil
	}
	var err error
	if e.From, err = carriers.Address("from", in.From); err != nil {
		return err
	}
	if e.To, err = carriers.Address("to", in.To); err != nil {
		return err
	}
	switch in.Kind {
	case "message":
		return addMessage(p, e, in)
	case "status":
		return addStatus(p, e, in)
	case "reaction":
		return addReaction(p, e, in)
	default:
		p.Ignored = append(p.Ignored, carriers.Ignore(carriers.UnknownEvent, in.Kind))
		return nil
	}
}

func addMessage(p *carriers.Parsed, e omni.CarrierChannelEvent, in Event) error {
	var err error
	if e.CarrierMessageID, err = carriers.ID("id", in.ID); err != nil {
		return err
	}
	if e.From == "" {
		return carriers.Missing("from")
	}
	if e.To == "" {
		return carriers.Missing("to")
	}
	e.Kind, e.Direction = omni.EventMessage, omni.Inbound
	e.Text = omni.CleanText(in.Text)
	for _, f := range in.Media {
		kind := omni.CleanName(f.ContentType)
		if f.URL == "" {
			return carriers.Missing("url")
		}
		if carriers.Presentation(f.URL, kind) {
			continue
		}
		e.Media = append(e.Media, omni.MediaReference{
			Carrier: omni.CarrierTest, Type: omni.MediaTypeOf(kind), ContentType: kind, State: omni.MediaPending,
			External: omni.ExternalRef{URL: omni.CleanText(f.URL)},
		})
	}
	if len(e.Media) > 0 && e.ChannelType == omni.ChannelSMS {
		e.ChannelType = omni.ChannelMMS
	}
	if f := in.Fragment; f != nil {
		e.Fragment = &omni.MessageFragment{Reference: f.Reference, Index: f.Index, Total: f.Total, Text: e.Text}
		if e.Fragment.Validate() != nil {
			return carriers.Malformed(errors.New("fragment is not valid"))
		}
	}
	if in.ReplyTo != "" {
		if e.ReplyTo, err = carriers.ID("replyTo", in.ReplyTo); err != nil {
			return err
		}
	}
	switch in.OptOut {
	case "STOP", "START", "HELP":
		e.OptOut = in.OptOut
	}
	e.ProfileName = omni.CleanName(in.ProfileName)
	e.ButtonPayload = omni.CleanText(in.ButtonPayload)
	p.Events = append(p.Events, e)
	return nil
}

func addStatus(p *carriers.Parsed, e omni.CarrierChannelEvent, in Event) error {
	if omni.ValidID(in.MessageID) {
		e.ClientReference = in.MessageID
	}
	if in.ID != "" || e.ClientReference == "" {
		id, err := carriers.ID("id", in.ID)
		if err != nil {
			return err
		}
		e.CarrierMessageID = id
	}
	if in.Status == "" {
		return carriers.Missing("status")
	}
	status, ok := statuses[in.Status]
	if !ok {
		p.Ignored = append(p.Ignored, carriers.Ignore(carriers.UnknownStatus, in.Status))
		return nil
	}
	e.Kind, e.Direction, e.Status = omni.EventStatus, omni.Outbound, status
	setFailure(&e, carriers.Ignore("", in.ErrorCode).Value)
	p.Events = append(p.Events, e)
	return nil
}

func addReaction(p *carriers.Parsed, e omni.CarrierChannelEvent, in Event) error {
	var err error
	if e.CarrierMessageID, err = carriers.ID("id", in.ID); err != nil {
		return err
	}
	if e.From == "" {
		return carriers.Missing("from")
	}
	if e.To == "" {
		return carriers.Missing("to")
	}
	if omni.ValidID(in.MessageID) {
		e.ClientReference = in.MessageID
	}
	if in.ReplyTo != "" || e.ClientReference == "" {
		if e.ReplyTo, err = carriers.ID("replyTo", in.ReplyTo); err != nil {
			return err
		}
	}
	e.Kind, e.Direction, e.Reaction = omni.EventReaction, omni.Inbound, omni.CleanText(in.Reaction)
	p.Events = append(p.Events, e)
	return nil
}

// setFailure gives a status that is a failure its code and what that means.
func setFailure(e *omni.CarrierChannelEvent, code string) {
	e.ErrorCode = code
	if e.Status == omni.StatusFailed || e.Status == omni.StatusUndeliverable {
		e.Reason = Reason(code)
		e.Retryable = e.Reason.Retryable()
	}
}

// Respond implements carriers.Carrier.
func (*Carrier) Respond(p carriers.Parsed) carriers.HTTPResponse {
	r := carriers.Taken(p)
	if r.MessageType == carriers.TypeMessage && p.Events[0].Fragment != nil {
		r.Metric = carriers.FragmentReceived
	}
	return r
}

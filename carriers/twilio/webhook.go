package twilio

import (
	"strconv"
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// messageParam is the parameter of our status callback that holds our id of the message. Twilio gives it back.
const messageParam = "m"

// whatsAppPrefix begins addresses of WhatsApp. What follows is a number or, without plus, a business-scoped id.
const whatsAppPrefix = "whatsapp:"

// maxFiles bounds the files that are looked for in one message. Twilio's own limit is 10.
const maxFiles = 32

// noReply is the TwiML document that sends nothing back.
const noReply = `<?xml version="1.0" encoding="UTF-8"?><Response/>`

// Parse implements carriers.Carrier. A Twilio webhook tells one thing.
func (c *Carrier) Parse(r carriers.WebhookRequest) (carriers.Parsed, error) {
	p, err := readParams(r)
	if err != nil {
		return carriers.Parsed{}, err
	}
	word, isStatus := statusWord(p)
	id, err := carriers.ID("MessageSid", p.get("MessageSid"))
	if err != nil {
		return carriers.Parsed{}, err
	}
	account := strings.TrimSpace(p.get("AccountSid"))
	if account == "" && !isStatus {
		return carriers.Parsed{}, carriers.Missing("AccountSid")
	}
	if account != "" && account != c.config.accountSID {
		return carriers.Parsed{}, &carriers.WebhookError{Name: carriers.ForeignAccount, Kind: omni.ErrForbidden}
	}
	e := omni.CarrierChannelEvent{Carrier: omni.CarrierTwilio, ChannelType: omni.ChannelSMS, CarrierMessageID: id}
	foreign, err := readAddresses(&e, p)
	switch {
	case err != nil:
		return carriers.Parsed{}, err
	case foreign != "":
		return ignored(carriers.UnknownEvent, foreign), nil
	case isStatus:
		return parseStatus(e, p, word, r.URL)
	default:
		return parseMessage(e, p)
	}
}

func ignored(name, word string) carriers.Parsed {
	return carriers.Parsed{Ignored: []carriers.Ignored{carriers.Ignore(name, word)}}
}

// statusWord returns the status that a webhook tells; ok is false for an inbound message. Callbacks of messages
// made by older API calls have the word in SmsStatus alone.
func statusWord(p params) (word string, ok bool) {
	if word, ok := p.find("MessageStatus"); ok {
		return word, true
	}
	switch word := p.get("SmsStatus"); word {
	case "", "received", "receiving":
		return "", false
	default:
		return word, true
	}
}

// readAddresses sets From, To and ChannelType. foreign is the prefix of a channel that we do not have.
func readAddresses(e *omni.CarrierChannelEvent, p params) (foreign string, err error) {
	if p.get("ChannelPrefix") == "whatsapp" {
		e.ChannelType = omni.ChannelWhatsApp
	}
	for _, end := range []struct {
		field string
		to    *string
	}{{"From", &e.From}, {"To", &e.To}} {
		address := strings.TrimSpace(p.get(end.field))
		if rest, ok := strings.CutPrefix(address, whatsAppPrefix); ok {
			e.ChannelType = omni.ChannelWhatsApp
			address = strings.TrimSpace(rest)
		} else if prefix, _, ok := strings.Cut(address, ":"); ok {
			foreign = prefix
		}
		if *end.to, err = carriers.Address(end.field, address); err != nil {
			return "", err
		}
	}
	return foreign, nil
}

func parseStatus(e omni.CarrierChannelEvent, p params, word, address string) (carriers.Parsed, error) {
	word = strings.TrimSpace(word)
	if word == "" {
		return carriers.Parsed{}, carriers.Missing("MessageStatus")
	}
	status, ok := statuses[word]
	if !ok {
		return ignored(carriers.UnknownStatus, word), nil
	}
	e.Kind, e.Direction, e.Status = omni.EventStatus, omni.Outbound, status
	e.ErrorCode = carriers.Ignore("", p.get("ErrorCode")).Value
	e.Reason = reasonOf(status, e.ErrorCode)
	e.Retryable = e.Reason.Retryable()
	// RawDlrDoneDate is not used: nobody says in which zone it is.
	if id, _ := queryParam(address, messageParam); omni.ValidID(id) {
		e.ClientReference = id
	}
	return carriers.Parsed{Events: []omni.CarrierChannelEvent{e}}, nil
}

func parseMessage(e omni.CarrierChannelEvent, p params) (carriers.Parsed, error) {
	if e.From == "" {
		return carriers.Parsed{}, carriers.Missing("From")
	}
	if e.To == "" {
		return carriers.Parsed{}, carriers.Missing("To")
	}
	e.Kind, e.Direction = omni.EventMessage, omni.Inbound
	e.Text = omni.CleanText(p.get("Body"))
	e.Media = readFiles(p)
	if len(e.Media) > 0 && e.ChannelType == omni.ChannelSMS {
		e.ChannelType = omni.ChannelMMS
	}
	if n, err := strconv.Atoi(p.get("NumSegments")); err == nil && n > 0 && n <= 255 {
		e.Segments = n
	}
	switch word := p.get("OptOutType"); word {
	case "STOP", "START", "HELP":
		e.OptOut = word
	}
	e.ProfileName = omni.CleanName(p.get("ProfileName"))
	e.ButtonPayload = omni.CleanText(p.get("ButtonPayload"))
	if id, err := carriers.ID("", p.get("OriginalRepliedMessageSid")); err == nil {
		e.ReplyTo = id
	}
	if e.Text == "" && len(e.Media) == 0 {
		readOther(&e, p)
	}
	return carriers.Parsed{Events: []omni.CarrierChannelEvent{e}}, nil
}

// readOther finds the content of a message that has neither text nor files: the label of a button, a place as
// text, or else the word for a kind that cannot be shown.
func readOther(e *omni.CarrierChannelEvent, p params) {
	if label := omni.CleanText(p.get("ButtonText")); label != "" {
		e.Text = label
		return
	}
	if place, text := location(p); text != "" {
		e.Location, e.Text = place, text
		return
	}
	switch kind := carriers.Ignore("", p.get("MessageType")).Value; kind {
	case "", "text":
	default:
		e.Unsupported = kind
	}
}

// location reads a place, and writes it on lines: its label, its address, latitude and longitude. There is none if the text is empty.
func location(p params) (*omni.Location, string) {
	latitude, err1 := strconv.ParseFloat(p.get("Latitude"), 64)
	longitude, err2 := strconv.ParseFloat(p.get("Longitude"), 64)
	if err1 != nil || err2 != nil || !(latitude >= -90 && latitude <= 90 && longitude >= -180 && longitude <= 180) {
		return nil, ""
	}
	l := omni.Location{Latitude: latitude, Longitude: longitude, Name: omni.CleanName(p.get("Label")), Address: omni.CleanName(p.get("Address"))}
	var lines []string
	for _, line := range []string{l.Name, l.Address} {
		if line != "" {
			lines = append(lines, line)
		}
	}
	lines = append(lines, strconv.FormatFloat(latitude, 'f', -1, 64)+", "+strconv.FormatFloat(longitude, 'f', -1, 64))
	text := strings.Join(lines, "\n")
	if l.Validate() != nil { // a name that is too long stands in the text
		return nil, text
	}
	return &l, text
}

// readFiles returns the files of a message without what only says how an MMS is laid out.
func readFiles(p params) []omni.MediaReference {
	count, err := strconv.Atoi(p.get("NumMedia"))
	if err != nil {
		count = 0
	}
	var files []omni.MediaReference
	for i := range maxFiles {
		n := strconv.Itoa(i)
		address := omni.CleanText(strings.TrimSpace(p.get("MediaUrl" + n)))
		if address == "" {
			if i >= count {
				break
			}
			continue
		}
		kind := omni.CleanName(p.get("MediaContentType" + n))
		if carriers.Presentation(address, kind) {
			continue
		}
		files = append(files, omni.MediaReference{
			Carrier:     omni.CarrierTwilio,
			Type:        omni.MediaTypeOf(kind),
			ContentType: kind,
			State:       omni.MediaPending,
			External:    omni.ExternalRef{URL: address},
		})
	}
	return files
}

// Respond implements carriers.Carrier. Twilio reads the answer to a message as TwiML, and would send what another
// text says; the answer to a status it ignores.
func (*Carrier) Respond(p carriers.Parsed) carriers.HTTPResponse {
	r := carriers.Taken(p)
	if r.MessageType == carriers.TypeMessage {
		r.ContentType, r.Body = "text/xml; charset=utf-8", noReply
	}
	return r
}

package whatsapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf16"

	"omniservice/carriers"
	"omniservice/omni"
)

// product is what Meta calls WhatsApp in its calls.
const product = "whatsapp"

// Limits of what is sent, in UTF-16 code units. Source: the pages of each message type, read 2026-11-23.
const (
	maxText       = 4096
	maxCaption    = 1024
	maxBodyText   = 1024 // of an interactive message; of a list 4096
	maxHeader     = 60
	maxFooter     = 60
	maxButtons    = 3
	maxButton     = 20
	maxButtonID   = 256
	maxRows       = 10
	maxRow        = 24
	maxRowID      = 200
	maxRowWords   = 72
	maxSection    = 24
	maxFlowButton = 30
	maxReference  = 512
)

// OutboundPayload is a message as Meta takes it. (Seed: WhatsAppPayload.)
type OutboundPayload struct {
	MessagingProduct string           `json:"messaging_product"` // whatsapp
	RecipientType    string           `json:"recipient_type"`    // individual
	To               string           `json:"to,omitempty"`      // digits
	Recipient        string           `json:"recipient,omitempty"`
	Type             string           `json:"type"`
	Context          *replyContext    `json:"context,omitempty"`
	Text             *outText         `json:"text,omitempty"`
	Image            *outFile         `json:"image,omitempty"`
	Video            *outFile         `json:"video,omitempty"`
	Audio            *outFile         `json:"audio,omitempty"`
	Document         *outFile         `json:"document,omitempty"`
	Sticker          *outFile         `json:"sticker,omitempty"`
	Location         *outLocation     `json:"location,omitempty"`
	Contacts         []outCard        `json:"contacts,omitempty"`
	Reaction         *Reaction        `json:"reaction,omitempty"`
	Interactive      *outInteractive  `json:"interactive,omitempty"`
	Template         *MessageTemplate `json:"template,omitempty"`
	CallbackData     string           `json:"biz_opaque_callback_data,omitempty"` // our id: it comes back with every status
}

type replyContext struct {
	MessageID string `json:"message_id"`
}

type outText struct {
	Body       string `json:"body"`
	PreviewURL bool   `json:"preview_url,omitempty"`
}

type outFile struct {
	ID       string `json:"id,omitempty"`
	Link     string `json:"link,omitempty"`
	Caption  string `json:"caption,omitempty"`
	Filename string `json:"filename,omitempty"`
}

type outLocation struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Name      string  `json:"name,omitempty"`
	Address   string  `json:"address,omitempty"`
}

type outCard struct {
	Name struct {
		FormattedName string `json:"formatted_name"`
		FirstName     string `json:"first_name"`
	} `json:"name"`
	Phones []outPhone `json:"phones,omitempty"`
	Emails []outEmail `json:"emails,omitempty"`
	Org    *outOrg    `json:"org,omitempty"`
}

type outPhone struct {
	Phone string `json:"phone"`
}

type outEmail struct {
	Email string `json:"email"`
}

type outOrg struct {
	Company string `json:"company"`
}

type outInteractive struct {
	Type   string     `json:"type"`
	Header *outHeader `json:"header,omitempty"`
	Body   *outBody   `json:"body,omitempty"`
	Footer *outBody   `json:"footer,omitempty"`
	Action outAction  `json:"action"`
}

type outHeader struct {
	Type     string   `json:"type"`
	Text     string   `json:"text,omitempty"`
	Image    *outFile `json:"image,omitempty"`
	Video    *outFile `json:"video,omitempty"`
	Document *outFile `json:"document,omitempty"`
}

type outBody struct {
	Text string `json:"text"`
}

type outAction struct {
	Name       string       `json:"name,omitempty"`
	Button     string       `json:"button,omitempty"`
	Buttons    []outButton  `json:"buttons,omitempty"`
	Sections   []outSection `json:"sections,omitempty"`
	Parameters any          `json:"parameters,omitempty"`
}

type outButton struct {
	Type  string `json:"type"`
	Reply outRow `json:"reply"`
}

type outSection struct {
	Title string   `json:"title,omitempty"`
	Rows  []outRow `json:"rows"`
}

type outRow struct {
	ID          string `json:"id"`
	Title       string `json:"title"`
	Description string `json:"description,omitempty"`
}

// malformed refuses a message before it is sent.
func malformed(format string, args ...any) error {
	return &carriers.SendError{Reason: omni.ReasonMalformed, Err: fmt.Errorf(format, args...)}
}

// Send implements carriers.Carrier. POST /{phone number id}/messages
func (c *Carrier) Send(ctx context.Context, m omni.ServiceMessage) (carriers.SendResult, error) {
	if m.Publish == nil || m.Publish.Sender == "" || m.Publish.Target.Address == "" {
		return carriers.SendResult{}, malformed("the message has no sender or no recipient")
	}
	if m.Publish.ChannelType != omni.ChannelWhatsApp {
		return carriers.SendResult{}, malformed("no channel of type %s here", m.Publish.ChannelType)
	}
	o := OutboundPayload{MessagingProduct: product, RecipientType: "individual"}
	if err := o.recipient(m.Publish.Target.Address); err != nil {
		return carriers.SendResult{}, err
	}
	if m.Publish.ReplyTo != "" {
		o.Context = &replyContext{m.Publish.ReplyTo}
	}
	if len(m.ID) <= maxReference {
		o.CallbackData = m.ID
	}
	if err := checkPayload(m.Payload); err != nil {
		return carriers.SendResult{}, err
	}
	phoneID, err := c.phoneID(ctx, m.Publish.Sender)
	if err != nil {
		return carriers.SendResult{}, err
	}
	files := sending{ctx: ctx, c: c, phoneID: phoneID}
	if err := o.fill(&files, m.Payload); err != nil {
		return carriers.SendResult{}, err
	}
	a, err := c.call(ctx, http.MethodPost, "/"+phoneID+"/messages", nil, o)
	if err != nil {
		return carriers.SendResult{}, c.heldBack(err, m.Publish, files)
	}
	c.state.release(m.Publish.Sender, pair(m.Publish))
	return taken(a, address(m.Publish.Target.Address))
}

// recipient sets who the message goes to: a number, or the business-scoped id of a person whose number we do not know.
func (o *OutboundPayload) recipient(to string) error {
	digits := strings.TrimPrefix(address(to), "+")
	switch {
	case strings.Trim(digits, "0123456789") == "" && digits != "" && len(digits) <= 20:
		o.To = digits
	case carriers.IsUserID(to):
		o.Recipient = to
	default:
		return malformed("the recipient is neither a number nor a user id of WhatsApp")
	}
	return nil
}

// phoneID finds the id of one of our numbers: it was configured, came with a webhook, or is asked for.
func (c *Carrier) phoneID(ctx context.Context, sender string) (string, error) {
	sender = address(sender)
	if id := c.state.phoneID(sender); id != "" {
		return id, nil
	}
	if c.config.wabaID == "" {
		return "", &carriers.SendError{Reason: omni.ReasonMisconfigured, Err: errors.New("the id of our number is not known: enter the business account's id, or that of the number")}
	}
	if _, err := c.phones(ctx); err != nil {
		return "", notSent(err)
	}
	if id := c.state.phoneID(sender); id != "" {
		return id, nil
	}
	return "", &carriers.SendError{Reason: omni.ReasonMisconfigured, Err: errors.New("the business account does not have our number")}
}

// notSent changes what went wrong before a message was sent: whatever it was, Meta does not have the message.
func notSent(err error) error {
	var s *carriers.SendError
	if errors.As(err, &s) && s.Reason == omni.ReasonUnknown {
		again := *s
		again.Reason = omni.ReasonUnreachable
		return &again
	}
	return err
}

func pair(p *omni.PublishChannel) string { return p.Sender + " " + p.Target.Address }

// heldBack says how long to wait where Meta wants less: for one recipient 4 to the power of n seconds, n being how often it
// happened in a row; for our number 2 to the power of n.
func (c *Carrier) heldBack(err error, p *omni.PublishChannel, files sending) error {
	var s *carriers.SendError
	if !errors.As(err, &s) {
		return err
	}
	code := ErrorCode(s.Code)
	s.Tries = tries[code]
	if code == CodeMediaUpload || code == CodeInvalidParameter || code == CodeMediaURL {
		for _, key := range files.used {
			c.state.dropUpload(key) // it may be gone at Meta: the next try uploads it again
		}
	}
	if s.RetryAfter == 0 && s.Retryable() {
		switch code {
		case CodePairRate:
			s.RetryAfter = 1 << (2 * min(c.state.hold(pair(p), c.now()), 5))
		case CodeThroughput:
			s.RetryAfter = 1 << min(c.state.hold(p.Sender, c.now()), 6)
		default:
			if f, ok := code.find(); ok {
				s.RetryAfter = f.wait
			}
		}
	}
	return err
}

// taken reads an answer of success. If it makes no sense, Meta has the message all the same: its status brings our id.
func taken(a carriers.Answer, to string) (carriers.SendResult, error) {
	var answer struct {
		Contacts []struct {
			WaID   text `json:"wa_id"`
			UserID text `json:"user_id"`
		} `json:"contacts"`
		Messages []struct {
			ID string `json:"id"`
		} `json:"messages"`
	}
	if err := lenient(a.Body, &answer); err != nil {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonUnknown, Err: carriers.MalformedJSON(err)}
	}
	if len(answer.Messages) == 0 {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonUnknown, Err: carriers.Missing("messages")}
	}
	id, err := carriers.ID("messages.id", answer.Messages[0].ID)
	if err != nil {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonUnknown, Err: err}
	}
	result := carriers.SendResult{CarrierMessageID: id, Status: omni.StatusQueued}
	if len(answer.Contacts) == 1 {
		known, id := address(string(answer.Contacts[0].WaID)), string(answer.Contacts[0].UserID)
		if len(known) <= 21 && strings.HasPrefix(known, "+") && known != to {
			result.RecipientAliases = append(result.RecipientAliases, known)
		}
		if carriers.IsUserID(id) && id != to {
			result.RecipientAliases = append(result.RecipientAliases, id)
		}
	}
	return result, nil
}

func units(s string) int { return len(utf16.Encode([]rune(s))) }

// checkPayload refuses what Meta would refuse, before anything is uploaded or sent.
func checkPayload(p omni.MessagePayload) error {
	body, files := p.TextBody(), p.Files()
	switch p.Type {
	case omni.PayloadTemplate, omni.PayloadLocation, omni.PayloadContacts:
		return nil
	case omni.PayloadInteractive:
		if p.Interactive == nil {
			return malformed("the message has no content")
		}
		return checkInteractive(*p.Interactive, body)
	default: // text and files
	}
	switch {
	case body == "" && len(files) == 0:
		return malformed("the message has neither text nor files")
	case len(files) == 0 && units(body) > maxText:
		return malformed("the text has %d characters, and %d is the most", units(body), maxText)
	case len(files) > 1:
		return malformed("the message has %d files, and 1 is the most", len(files))
	case len(files) == 1 && units(body) > maxCaption:
		return malformed("the text beside the file has %d characters, and %d is the most", units(body), maxCaption)
	}
	return nil
}

// fill sets the part that the payload is, and its type.
func (o *OutboundPayload) fill(files *sending, p omni.MessagePayload) error {
	switch {
	case p.Type == omni.PayloadTemplate && p.Template != nil:
		return o.template(files, *p.Template)
	case p.Type == omni.PayloadInteractive && p.Interactive != nil:
		return o.interactive(files, *p.Interactive, p.TextBody())
	case p.Type == omni.PayloadLocation && p.Location != nil:
		o.Type = "location"
		o.Location = &outLocation{p.Location.Latitude, p.Location.Longitude, p.Location.Name, p.Location.Address}
		return nil
	case p.Type == omni.PayloadContacts && len(p.Contacts) > 0:
		o.Type, o.Contacts = "contacts", outCards(p.Contacts)
		return nil
	case len(p.Files()) > 0:
		return o.file(files, p.Files()[0], p.TextBody())
	case p.TextBody() != "":
		o.Type = "text"
		o.Text = &outText{Body: p.TextBody(), PreviewURL: strings.Contains(p.TextBody(), "https://") || strings.Contains(p.TextBody(), "http://")}
		return nil
	default:
		return malformed("the message has no content")
	}
}

func (o *OutboundPayload) file(files *sending, ref omni.MediaReference, caption string) error {
	kind := kindOf(ref, caption != "")
	f, err := files.out(ref, kind)
	if err != nil {
		return err
	}
	f.Caption = caption
	o.Type = string(kind)
	switch kind {
	case kindImage:
		o.Image = f
	case kindVideo:
		o.Video = f
	case kindAudio:
		o.Audio = f
	case kindSticker:
		o.Sticker = f
	case kindDocument:
		o.Document = f
	}
	return nil
}

func outCards(cards []omni.ContactCard) []outCard {
	all := make([]outCard, 0, len(cards))
	for _, c := range cards {
		var card outCard
		card.Name.FormattedName, card.Name.FirstName = c.Name, c.Name
		for _, p := range c.Phones {
			card.Phones = append(card.Phones, outPhone{p})
		}
		for _, e := range c.Emails {
			card.Emails = append(card.Emails, outEmail{e})
		}
		if c.Organisation != "" {
			card.Org = &outOrg{c.Organisation}
		}
		all = append(all, card)
	}
	return all
}

// checkInteractive refuses what Meta would refuse, or cut.
func checkInteractive(m omni.InteractiveMessage, body string) error {
	atMost := func(what, s string, most int) error {
		if n := units(s); n > most {
			return malformed("%s has %d characters, and %d is the most", what, n, most)
		}
		return nil
	}
	longest := maxBodyText
	if m.Type == omni.InteractiveList {
		longest = maxText
	}
	errs := []error{atMost("the text", body, longest), atMost("the header", m.Header, maxHeader), atMost("the footer", m.Footer, maxFooter)}
	if body == "" {
		errs = append(errs, malformed("an interactive message needs a text"))
	}
	seen := map[string]bool{}
	for _, c := range m.Choices {
		if c.ID == "" || c.Title == "" || seen[c.ID] {
			errs = append(errs, malformed("each choice needs a title, and an id of its own"))
		}
		seen[c.ID] = true
	}
	switch m.Type {
	case omni.InteractiveButtons:
		if len(m.Choices) == 0 || len(m.Choices) > maxButtons {
			errs = append(errs, malformed("there are %d buttons; 1 to %d are possible, more in a list", len(m.Choices), maxButtons))
		}
		for _, c := range m.Choices {
			errs = append(errs, atMost("a button", c.Title, maxButton), atMost("the id of a button", c.ID, maxButtonID))
			if c.Description != "" {
				errs = append(errs, malformed("a button has no description; a row of a list has"))
			}
		}
	case omni.InteractiveList:
		if len(m.Choices) == 0 || len(m.Choices) > maxRows {
			errs = append(errs, malformed("there are %d rows, and 1 to %d are possible", len(m.Choices), maxRows))
		}
		if m.Button == "" || m.HeaderFile != nil {
			errs = append(errs, malformed("a list needs a button that opens it, and no file as header"))
		}
		errs = append(errs, atMost("the button", m.Button, maxButton))
		sections := sectionsOf(m.Choices)
		for _, s := range sections {
			if s.Title == "" && len(sections) > 1 {
				errs = append(errs, malformed("where a list has sections, each needs a title"))
			}
			errs = append(errs, atMost("a section", s.Title, maxSection))
		}
		for _, c := range m.Choices {
			errs = append(errs, atMost("a row", c.Title, maxRow), atMost("a description", c.Description, maxRowWords), atMost("the id of a row", c.ID, maxRowID))
		}
	case omni.InteractiveURL:
		if m.Button == "" || m.URL == "" {
			errs = append(errs, malformed("a link needs an address, and a text for its button"))
		}
		errs = append(errs, atMost("the button", m.Button, maxButton))
	case omni.InteractiveLocation:
		if m.Header != "" || m.HeaderFile != nil || m.Footer != "" {
			errs = append(errs, malformed("a question for a place has neither header nor footer"))
		}
	case omni.InteractiveFlow:
		if !json.Valid([]byte(m.Flow)) || !strings.HasPrefix(strings.TrimSpace(string(m.Flow)), "{") {
			errs = append(errs, malformed("a form needs its parameters"))
		}
		errs = append(errs, atMost("the button", m.Button, maxFlowButton))
	default:
		errs = append(errs, malformed("no interactive message of type %s here", m.Type))
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// sectionsOf puts rows that stand together under their heading.
func sectionsOf(choices []omni.InteractiveChoice) []outSection {
	var all []outSection
	for _, c := range choices {
		if len(all) == 0 || all[len(all)-1].Title != c.Section {
			all = append(all, outSection{Title: c.Section})
		}
		last := &all[len(all)-1]
		last.Rows = append(last.Rows, outRow{c.ID, c.Title, c.Description})
	}
	return all
}

func (o *OutboundPayload) interactive(files *sending, m omni.InteractiveMessage, body string) error {
	out := &outInteractive{Type: string(m.Type), Body: &outBody{body}}
	if m.Header != "" {
		out.Header = &outHeader{Type: "text", Text: m.Header}
	}
	if m.HeaderFile != nil {
		header, err := files.header(*m.HeaderFile)
		if err != nil {
			return err
		}
		out.Header = header
	}
	if m.Footer != "" {
		out.Footer = &outBody{m.Footer}
	}
	switch m.Type {
	case omni.InteractiveButtons:
		for _, c := range m.Choices {
			out.Action.Buttons = append(out.Action.Buttons, outButton{Type: "reply", Reply: outRow{ID: c.ID, Title: c.Title}})
		}
	case omni.InteractiveList:
		out.Action.Button, out.Action.Sections = m.Button, sectionsOf(m.Choices)
	case omni.InteractiveURL:
		out.Action.Name, out.Action.Parameters = "cta_url", map[string]string{"display_text": m.Button, "url": m.URL}
	case omni.InteractiveLocation:
		out.Action.Name = "send_location"
	case omni.InteractiveFlow:
		parameters := map[string]any{"flow_message_version": "3"}
		if err := json.Unmarshal([]byte(m.Flow), &parameters); err != nil {
			return malformed("the parameters of the form are no object")
		}
		if m.Button != "" {
			parameters["flow_cta"] = m.Button
		}
		if cta, _ := parameters["flow_cta"].(string); units(cta) > maxFlowButton {
			return malformed("the button has %d characters, and %d is the most", units(cta), maxFlowButton)
		}
		out.Action.Name, out.Action.Parameters = "flow", parameters
	}
	o.Type, o.Interactive = "interactive", out
	return nil
}

// template makes the components that fill a template's places. Those without any are left out.
func (o *OutboundPayload) template(files *sending, m omni.TemplateMessage) error {
	out := &MessageTemplate{Name: m.Name, Language: TemplateLanguage{m.Language}}
	for _, c := range m.Components {
		if len(c.Parameters) == 0 {
			continue
		}
		component := TemplateComponent{Type: c.Type, SubType: c.SubType}
		if c.Type == "button" {
			component.Index = strconv.Itoa(c.Index)
		}
		for _, p := range c.Parameters {
			parameter, err := files.parameter(p)
			if err != nil {
				return err
			}
			component.Parameters = append(component.Parameters, parameter)
		}
		out.Components = append(out.Components, component)
	}
	o.Type, o.Template = "template", out
	return nil
}

// parameter fills one place of a template.
func (s *sending) parameter(p omni.TemplateParameter) (map[string]any, error) {
	out := map[string]any{"type": p.Type}
	if p.Name != "" {
		out["parameter_name"] = p.Name
	}
	switch p.Type {
	case "text":
		if strings.ContainsAny(p.Text, "\n\r\t") || strings.Contains(p.Text, "     ") {
			return nil, malformed("what fills a place has a line break, a tab or more than four spaces in a row")
		}
		if p.Text == "" {
			return nil, malformed("a place is not filled")
		}
		out["text"] = p.Text
	case "payload", "coupon_code":
		out[p.Type] = p.Text
	case "image", "video", "document":
		if p.File == nil {
			return nil, malformed("a place needs a file")
		}
		f, err := s.out(*p.File, fileKind(p.Type))
		if err != nil {
			return nil, err
		}
		out[p.Type] = f
	case "location":
		if p.Location == nil {
			return nil, malformed("a place needs a location")
		}
		out["location"] = &outLocation{p.Location.Latitude, p.Location.Longitude, p.Location.Name, p.Location.Address}
	default: // currency, date_time, action and what Meta may think of
		if !json.Valid([]byte(p.Value)) {
			return nil, malformed("a place of type %s needs a value", p.Type)
		}
		out[p.Type] = json.RawMessage(p.Value)
	}
	return out, nil
}

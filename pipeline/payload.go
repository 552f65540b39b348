package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/store"
)

// windowMargin is how long before its end the time for free text is taken to be over: a message needs a while on its way.
const windowMargin = time.Minute

// payload is what a message that is not of text alone says, with the uploads that are in it; of text it is the text.
func (p *Pipeline) payload(ctx context.Context, a Actor, ch omni.DigitalChannel, id omni.ContactIdentity, c wire.SendMessage) (pl omni.MessagePayload, files []omni.MediaFile, err error) {
	switch {
	case c.Payload.Template != nil:
		return p.templatePayload(ctx, a, ch, id, c)
	case rich(c.Payload):
		pl, err = richPayload(ch.Capabilities, c.Payload)
		return pl, nil, err
	default:
		return omni.TextPayload(c.Payload.Text), nil, nil
	}
}

// rich reports whether a message is more than text.
func rich(c wire.SendPayload) bool {
	return c.Template != nil || c.Interactive != nil || c.Location != nil || len(c.Contacts) > 0
}

// checkRich says what is wrong with the form of a message that is more than text.
func checkRich(c wire.SendPayload) error {
	n := 0
	for _, there := range []bool{len(c.Files) > 0, c.Template != nil, c.Interactive != nil, c.Location != nil, len(c.Contacts) > 0} {
		if there {
			n++
		}
	}
	switch {
	case n > 1:
		return fieldProblem("payload", "must be one of files, template, interactive, location and contacts")
	case c.Interactive == nil && c.Text != "":
		return fieldProblem("payload.text", "must be empty: this message has a text of its own")
	case c.Interactive != nil && strings.TrimSpace(c.Text) == "":
		return fieldProblem("payload.text", "must not be empty: it stands above what can be chosen")
	}
	return nil
}

// templatePayload makes the payload of a template, filled in. Only those of the channel's account that can be used are taken.
func (p *Pipeline) templatePayload(ctx context.Context, a Actor, ch omni.DigitalChannel, id omni.ContactIdentity, c wire.SendMessage) (omni.MessagePayload, []omni.MediaFile, error) {
	none := omni.MessagePayload{}
	if !ch.Capabilities.Templates {
		return none, nil, omni.Problemf(omni.ErrUnsupported, "the channel %q carries no templates", ch.Name)
	}
	rec, err := p.chosenTemplate(ctx, a.Tenant, ch, *c.Payload.Template)
	if err != nil {
		return none, nil, err
	}
	if err := mayUse(rec, id); err != nil {
		return none, nil, err
	}
	m, files, err := p.templateMessage(ctx, a, ch, rec, c)
	if err != nil {
		return none, nil, err
	}
	manager, err := p.templateManager(ctx, a.Tenant, ch.CarrierAccountID)
	if err != nil {
		return none, nil, fmt.Errorf("account of channel %s: %w", ch.ID, err)
	}
	text, err := manager.FillTemplate(rec, m)
	if err != nil {
		return none, nil, beneath("payload.template.", err)
	}
	pl := omni.MessagePayload{Type: omni.PayloadTemplate, Template: &m}
	if text = omni.CleanText(text); text != "" {
		pl.Text = &omni.TextMessage{Body: text}
	}
	return pl, files, beneath("payload.", pl.Validate())
}

// beneath puts the fields of a problem under another one.
func beneath(prefix string, err error) error {
	pr, ok := errors.AsType[*omni.Problem](err)
	if !ok || len(pr.Fields) == 0 {
		return err
	}
	moved := *pr
	moved.Fields = make(map[string]string, len(pr.Fields))
	for f, text := range pr.Fields {
		moved.Fields[prefix+f] = text
	}
	return &moved
}

// chosenTemplate finds the template that a message names. One of another account is as one that is not there.
func (p *Pipeline) chosenTemplate(ctx context.Context, t omni.Tenant, ch omni.DigitalChannel, c wire.SendTemplate) (omni.MessageTemplate, error) {
	var rec omni.MessageTemplate
	err := omni.ErrNotFound
	switch {
	case c.TemplateID != "" && omni.ValidID(c.TemplateID):
		rec, err = p.store.Templates().Get(ctx, t, c.TemplateID)
	case c.TemplateID == "" && c.Name != "" && c.Language != "":
		rec, err = p.store.Templates().Find(ctx, t, omni.MessageTemplate{CarrierAccountID: ch.CarrierAccountID, Name: c.Name, Language: c.Language})
	case c.TemplateID == "":
		return rec, fieldProblem("payload.template.templateId", "or name and language are required")
	}
	if err == nil && rec.CarrierAccountID != ch.CarrierAccountID || errors.Is(err, omni.ErrNotFound) {
		return rec, omni.Problemf(omni.ErrNotFound, "this channel has no such template; choose one of those that it has")
	}
	if err != nil {
		return rec, fmt.Errorf("find template: %w", err)
	}
	return rec, nil
}

// mayUse says why a template must not go to an identity.
func mayUse(m omni.MessageTemplate, id omni.ContactIdentity) error {
	if !m.Usable() {
		return fieldProblem("payload.template.templateId", fmt.Sprintf("is a template that cannot be sent now: it is %s at the carrier", m.Status))
	}
	if m.Category == omni.TemplateMarketing && id.NoMarketing() {
		return omni.Problemf(omni.ErrOptedOut, "the recipient wants no marketing messages; send a template of another category")
	}
	return nil
}

// templateHeader is the field of what fills a template's header.
const templateHeader = "payload.template.header"

// templateMessage is rec with what a client fills it with, and the uploads among that.
func (p *Pipeline) templateMessage(ctx context.Context, a Actor, ch omni.DigitalChannel, rec omni.MessageTemplate, c wire.SendMessage) (omni.TemplateMessage, []omni.MediaFile, error) {
	m := omni.TemplateMessage{TemplateID: rec.ID, Name: rec.Name, Language: rec.Language}
	var files []omni.MediaFile
	for _, w := range c.Payload.Template.Components {
		at := "payload.template." + clip(w.Type)
		oc := omni.TemplateComponent{Type: w.Type, SubType: w.SubType, Index: w.Index, Parameters: []omni.TemplateParameter{}}
		for _, v := range w.Parameters {
			op := omni.TemplateParameter{Type: v.Type, Name: v.Name, Text: v.Text, Value: omni.RawJSON(v.Value)}
			if v.Location != nil {
				l := omni.Location(*v.Location)
				op.Location = &l
			}
			switch {
			case v.FileID != "" && (v.URL != "" || w.Type != "header" || len(files) > 0):
				return m, nil, fieldProblem(at, "must have one file: an upload fills a header, and no address stands beside it")
			case v.FileID != "":
				f, err := p.templateFile(ctx, a, ch, c.ClientID, at, v)
				if err != nil {
					return m, nil, err
				}
				ref := reference(f)
				op.File, files = &ref, append(files, f)
			case v.URL != "":
				if !fetchable(v.URL) {
					return m, nil, fieldProblem(at, "must be a file at an https address of at most 2000 bytes")
				}
				op.File = &omni.MediaReference{
					Type: omni.MediaType(v.Type), State: omni.MediaReady, FileName: omni.CleanName(v.FileName), External: omni.ExternalRef{URL: v.URL},
				}
			}
			oc.Parameters = append(oc.Parameters, op)
		}
		m.Components = append(m.Components, oc)
	}
	return m, files, beneath("payload.template.", m.Validate())
}

// templateFile finds the upload that fills a place, if it is of that place's kind and the channel carries it.
func (p *Pipeline) templateFile(ctx context.Context, a Actor, ch omni.DigitalChannel, clientID, at string, v wire.TemplateParameter) (omni.MediaFile, error) {
	files, err := p.uploaded(ctx, a, clientID, at, []string{v.FileID})
	if err != nil {
		return omni.MediaFile{}, err
	}
	f := files[0]
	if string(f.Type) != v.Type {
		return f, fieldProblem(at, fmt.Sprintf("needs one %s; %s is %s", clip(v.Type), quoted(f.FileName), f.ContentType))
	}
	return f, filesFit(ch.Capabilities, at, "", []omni.MediaReference{reference(f)})
}

// fetchable reports whether a carrier can be given an address of a file.
func fetchable(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= 2000 && u.Scheme == "https" && u.Host != "" && u.User == nil
}

// maySendTemplate looks again at a template that was filled in before, and has not gone out.
func (p *Pipeline) maySendTemplate(ctx context.Context, t omni.Tenant, ch omni.DigitalChannel, id omni.ContactIdentity, m omni.TemplateMessage) error {
	rec, err := p.chosenTemplate(ctx, t, ch, wire.SendTemplate{TemplateID: m.TemplateID, Name: m.Name, Language: m.Language})
	if err != nil {
		return err
	}
	return mayUse(rec, id)
}

// windowOpen reports whether free text may be sent in an interaction: by the time since its contact last wrote, and by what
// the carrier said since.
func (p *Pipeline) windowOpen(ctx context.Context, ch omni.DigitalChannel, it omni.Interaction) (bool, error) {
	if ch.Capabilities.WindowHours == 0 {
		return true, nil
	}
	if !ch.Capabilities.WindowOpen(it.LastInboundAt, p.millis().Add(windowMargin)) {
		return false, nil
	}
	const back = 20 // messages without an answer among which the carrier's word is looked for
	newest, err := p.store.ListMessages(ctx, it.Tenant, it.ID, store.MessageWindow{Limit: back})
	if err != nil {
		return false, fmt.Errorf("messages of interaction %s: %w", it.ID, err)
	}
	slices.SortFunc(newest, func(a, b omni.ServiceMessage) int { return int(b.Sequence - a.Sequence) })
	for _, m := range newest {
		switch {
		case m.Direction == omni.Inbound && m.WrittenAt() > 0:
			return true, nil
		case m.Reason == omni.ReasonWindowClosed:
			return false, nil
		}
	}
	return true, nil
}

// stillOpen looks at the time for free text again, right before m is sent. What cannot be read now was looked at when m was taken.
func (p *Pipeline) stillOpen(ctx context.Context, ch omni.DigitalChannel, m omni.ServiceMessage) bool {
	if m.Payload.Type == omni.PayloadTemplate || ch.Capabilities.WindowHours == 0 {
		return true
	}
	it, err := p.store.Interaction(ctx, m.Tenant, m.InteractionID)
	if err != nil {
		return true
	}
	open, err := p.windowOpen(ctx, ch, it)
	return err != nil || open
}

// templateRefused says why a template cannot go out any more, nil if it can.
func (p *Pipeline) templateRefused(ctx context.Context, ch omni.DigitalChannel, id omni.ContactIdentity, m omni.ServiceMessage) *carriers.SendError {
	if m.Payload.Template == nil {
		return nil
	}
	err := p.maySendTemplate(ctx, m.Tenant, ch, id, *m.Payload.Template)
	switch omni.CodeOf(err) {
	case omni.CodeOptedOut:
		return &carriers.SendError{Reason: omni.ReasonOptedOut, Err: err}
	case omni.CodeNotFound, omni.CodeInvalid:
		return &carriers.SendError{Reason: omni.ReasonMalformed, Code: "template_not_usable", Err: err}
	default:
		return nil
	}
}

// richPayload makes the payload of a message with something to choose, a place or contacts.
func richPayload(able omni.Capabilities, c wire.SendPayload) (omni.MessagePayload, error) {
	var pl omni.MessagePayload
	switch {
	case c.Interactive != nil:
		m := interactiveOf(*c.Interactive)
		if !slices.Contains(able.Interactive, m.Type) {
			return pl, omni.Problemf(omni.ErrUnsupported, "this channel carries no messages of type %s", clip(string(m.Type)))
		}
		if err := checkInteractive(m, c.Text); err != nil {
			return pl, err
		}
		pl = omni.MessagePayload{Type: omni.PayloadInteractive, Text: &omni.TextMessage{Body: c.Text}, Interactive: &m}
	case c.Location != nil:
		if !able.Location {
			return pl, omni.Problemf(omni.ErrUnsupported, "this channel carries no places; write the address as text")
		}
		l := omni.Location(*c.Location)
		pl = omni.MessagePayload{Type: omni.PayloadLocation, Text: &omni.TextMessage{Body: placeText(l)}, Location: &l}
	default:
		if !able.ContactCards {
			return pl, omni.Problemf(omni.ErrUnsupported, "this channel carries no contacts; write them as text")
		}
		for _, w := range c.Contacts {
			pl.Contacts = append(pl.Contacts, omni.ContactCard(w))
		}
		pl.Type, pl.Text = omni.PayloadContacts, &omni.TextMessage{Body: cardsText(pl.Contacts)}
	}
	return pl, beneath("payload.", pl.Validate())
}

func interactiveOf(w wire.Interactive) omni.InteractiveMessage {
	m := omni.InteractiveMessage{Type: w.Type, Header: w.Header, Footer: w.Footer, Button: w.Button, URL: w.URL, Flow: omni.RawJSON(w.Flow)}
	for _, c := range w.Choices {
		m.Choices = append(m.Choices, omni.InteractiveChoice(c))
	}
	return m
}

// placeText names a place: by its name and address, or where it has none by its coordinates.
func placeText(l omni.Location) string {
	var parts []string
	for _, s := range []string{l.Name, l.Address} {
		if s = omni.CleanName(s); s != "" {
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 {
		return l.Geo()
	}
	return strings.Join(parts, ", ")
}

// checkInteractive says what is longer than its reader's program shows. These are WhatsApp's limits: no other carrier here has
// such messages. Source: interactive messages, read 2026-11-20.
func checkInteractive(m omni.InteractiveMessage, body string) error {
	const at = "payload.interactive."
	fields := map[string]string{}
	atMost := func(field, text string, most int) {
		if utf8.RuneCountInString(text) > most {
			fields[field] = fmt.Sprintf("must be at most %d characters", most)
		}
	}
	title, text, button := 20, 1024, 20
	switch m.Type {
	case omni.InteractiveButtons:
		if len(m.Choices) > 3 {
			fields[at+"choices"] = "must be at most 3 buttons; make it a list"
		}
	case omni.InteractiveList:
		title, text = 24, 4096
	case omni.InteractiveFlow:
		button = 30
	case omni.InteractiveURL, omni.InteractiveLocation:
	}
	atMost("payload.text", body, text)
	atMost(at+"header", m.Header, 60)
	atMost(at+"footer", m.Footer, 60)
	atMost(at+"button", m.Button, button)
	needsButton := m.Type == omni.InteractiveList || m.Type == omni.InteractiveURL || m.Type == omni.InteractiveFlow
	if needsButton && strings.TrimSpace(m.Button) == "" {
		fields[at+"button"] = "is required: it is what is pressed"
	}
	for _, c := range m.Choices {
		atMost(at+"choices.title", c.Title, title)
		atMost(at+"choices.description", c.Description, 72)
		if m.Type == omni.InteractiveButtons && (c.Description != "" || c.Section != "") {
			fields[at+"choices.description"] = "belongs to a list; a button has its title alone"
		}
		if m.Type == omni.InteractiveList {
			atMost(at+"choices.section", c.Section, 24)
			atMost(at+"choices.id", c.ID, 200)
		}
	}
	if m.Type == omni.InteractiveFlow {
		var flow map[string]json.RawMessage
		if json.Unmarshal([]byte(m.Flow), &flow) != nil || len(flow["flow_id"]) == 0 {
			fields[at+"flow"] = "must be an object with flow_id"
		}
	}
	if len(fields) == 0 {
		return nil
	}
	pr := omni.Problemf(omni.ErrInvalid, "the message is longer or has more than its reader can be shown")
	pr.Fields = fields
	return pr
}

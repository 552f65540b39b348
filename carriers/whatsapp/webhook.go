package whatsapp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"omniservice/carriers"
	"omniservice/omni"
)

const (
	webhookObject = "whatsapp_business_account"

	// maxChanges is how many entries, and how many changes, a body may have. Meta puts at most a thousand updates in one.
	maxChanges = carriers.MaxEvents

	// mediaFor is how long Meta keeps a file that somebody sent to us.
	mediaForMillis = 7 * 24 * 60 * 60 * 1000

	// maxMembers is how many members of a notice are kept at most.
	maxMembers = 64

	// maxContacts is how many contacts of a webhook are looked at. There is at most one for each message and status.
	maxContacts = 2 * carriers.MaxEvents
)

// WebhookPayload is the body of a webhook. (Seed: WhatsAppWebhookPayload.)
type WebhookPayload struct {
	Object text        `json:"object"`
	Entry  List[Entry] `json:"entry"`
}

// Entry is what happened at one account. (Seed: WhatsAppEntry.)
type Entry struct {
	ID      text         `json:"id"`
	Time    stamp        `json:"time"`
	Changes List[Change] `json:"changes"`
}

// Change is one thing that happened. (Seed: WhatsAppChange.)
type Change struct {
	Field text            `json:"field"`
	Value json.RawMessage `json:"value"`
}

// MessageValue is the value of a change that brings messages or statuses. (Seed: WhatsAppMessageValue.)
type MessageValue struct {
	MessagingProduct text                 `json:"messaging_product"`
	Metadata         Metadata             `json:"metadata"`
	Contacts         List[Contact]        `json:"contacts"`
	Messages         List[Message]        `json:"messages"`
	MessageEchoes    List[Message]        `json:"message_echoes"`
	Statuses         List[Status]         `json:"statuses"`
	Errors           List[reported]       `json:"errors"`
	UserPreferences  List[userPreference] `json:"user_preferences"`
}

// Metadata names the number of ours that a value is about. (Seed: WhatsAppMetadata.)
type Metadata struct {
	DisplayPhoneNumber text `json:"display_phone_number"`
	PhoneNumberID      text `json:"phone_number_id"`
}

// Contact is a person that messages of the same value are from. (Seed: WhatsAppContact.)
type Contact struct {
	WaID            text    `json:"wa_id"`
	UserID          text    `json:"user_id"`
	ParentUserID    text    `json:"parent_user_id"`
	Profile         Profile `json:"profile"`
	IdentityKeyHash text    `json:"identity_key_hash"` // changes when the person may be another
}

// Profile is how a person calls themselves. (Seed: WhatsAppProfile.)
type Profile struct {
	Name     text `json:"name"`
	Username text `json:"username"`
}

// userPreference is whether a person wants marketing messages.
type userPreference struct {
	WaID      text  `json:"wa_id"`
	UserID    text  `json:"user_id"`
	Detail    text  `json:"detail"`
	Category  text  `json:"category"`
	Value     text  `json:"value"`
	Timestamp stamp `json:"timestamp"`
}

func (p *WebhookPayload) read(raw []byte) {
	for name, value := range members(bytes.TrimSpace(raw)) {
		switch name {
		case "object":
			p.Object = textOf(value)
		case "entry":
			p.Entry = listOf[Entry](value)
		}
	}
}

func (e *Entry) read(raw []byte) {
	for name, value := range members(raw) {
		switch name {
		case "id":
			e.ID = textOf(value)
		case "time":
			_ = e.Time.UnmarshalJSON(value) // which never fails
		case "changes":
			e.Changes = listOf[Change](value)
		}
	}
}

func (c *Change) read(raw []byte) {
	for name, value := range members(raw) {
		switch name {
		case "field":
			c.Field = textOf(value)
		case "value":
			c.Value = value
		}
	}
}

func (v *MessageValue) read(raw []byte) {
	for name, value := range members(raw) {
		switch name {
		case "messaging_product":
			v.MessagingProduct = textOf(value)
		case "metadata":
			for name, value := range members(value) {
				switch name {
				case "display_phone_number":
					v.Metadata.DisplayPhoneNumber = textOf(value)
				case "phone_number_id":
					v.Metadata.PhoneNumberID = textOf(value)
				}
			}
		case "contacts":
			v.Contacts = listOf[Contact](value)
		case "messages":
			v.Messages = listOf[Message](value)
		case "message_echoes":
			v.MessageEchoes = listOf[Message](value)
		case "statuses":
			v.Statuses = listOf[Status](value)
		case "errors":
			v.Errors = listOf[reported](value)
		case "user_preferences":
			v.UserPreferences = listOf[userPreference](value)
		}
	}
}

// Parse implements carriers.Carrier.
func (c *Carrier) Parse(r carriers.WebhookRequest) (carriers.Parsed, error) {
	if err := carriers.CheckNesting(r.Body); err != nil {
		return carriers.Parsed{}, err
	}
	if err := lenient(r.Body, &struct{}{}); err != nil {
		return carriers.Parsed{}, carriers.MalformedJSON(err)
	}
	var payload WebhookPayload
	payload.read(r.Body)
	b := batch{state: c.state}
	if payload.Object != webhookObject {
		return b.parsed, b.ignore(carriers.UnknownEvent, string(payload.Object))
	}
	entries, changes := 0, 0
	for entry := range payload.Entry.All() {
		if entries++; entries > maxChanges {
			return carriers.Parsed{}, tooMany("entries")
		}
		if c.config.wabaID != "" && string(entry.ID) != c.config.wabaID {
			if err := b.ignore(carriers.UnknownEvent, string(entry.ID)); err != nil {
				return carriers.Parsed{}, err
			}
			continue
		}
		for change := range entry.Changes.All() {
			if changes++; changes > maxChanges {
				return carriers.Parsed{}, tooMany("changes")
			}
			if err := b.change(entry, change); err != nil {
				return carriers.Parsed{}, err
			}
		}
	}
	if len(b.parsed.Events)+len(b.parsed.Ignored) == 0 {
		_ = b.ignore(carriers.Empty, "")
	}
	return b.parsed, nil
}

func tooMany(what string) error {
	return carriers.Malformed(fmt.Errorf("more than %d %s", carriers.MaxEvents, what))
}

// Respond implements carriers.Carrier. Meta looks at the status alone.
func (*Carrier) Respond(p carriers.Parsed) carriers.HTTPResponse {
	r := carriers.Taken(p)
	if r.MessageType == carriers.TypeMessage && p.Events[0].Kind != omni.EventMessage { // a notice
		r.MessageType = carriers.TypeUnknown
	}
	return r
}

// batch collects what one webhook says.
type batch struct {
	parsed carriers.Parsed
	state  *state
	seen   map[string]bool // ids of messages, and of statuses with their words

	entry    Entry
	field    string
	ours     string // the address of ours that the value is about
	contacts List[Contact]
	known    []Contact // those contacts, once somebody asked for one
	looked   int       // contacts that were looked at in the whole webhook
}

func (b *batch) full() error {
	if len(b.parsed.Events)+len(b.parsed.Ignored) >= carriers.MaxEvents {
		return tooMany("events")
	}
	return nil
}

func (b *batch) add(e omni.CarrierChannelEvent) error {
	if err := b.full(); err != nil {
		return err
	}
	b.parsed.Events = append(b.parsed.Events, e)
	return nil
}

func (b *batch) ignore(name, word string) error {
	if err := b.full(); err != nil {
		return err
	}
	b.parsed.Ignored = append(b.parsed.Ignored, carriers.Ignore(name, word))
	return nil
}

// first reports whether something comes up for the first time in this webhook.
func (b *batch) first(key string) bool {
	if b.seen[key] {
		return false
	}
	if b.seen == nil {
		b.seen = map[string]bool{}
	}
	b.seen[key] = true
	return true
}

func (b *batch) event(kind omni.EventKind, direction omni.Direction) omni.CarrierChannelEvent {
	return omni.CarrierChannelEvent{
		Kind: kind, Direction: direction, Carrier: omni.CarrierWhatsApp, ChannelType: omni.ChannelWhatsApp, OccurredAt: omni.Millis(b.entry.Time),
	}
}

// change reads one change. An error is one of the whole body; what is wrong with a part of it costs that part alone.
func (b *batch) change(entry Entry, c Change) error {
	b.entry, b.field = entry, string(c.Field)
	if len(c.Value) == 0 || c.Value[0] != '{' {
		return b.ignore(carriers.Empty, b.field)
	}
	switch b.field {
	case "messages", "smb_message_echoes", "message_echoes", "user_preferences":
		return b.value(c.Value)
	case "message_template_status_update", "message_template_quality_update", "message_template_components_update", "template_category_update":
		return b.template(c.Value)
	case "phone_number_quality_update", "phone_number_name_update", "account_update", "account_alerts", "account_review_update",
		"business_capability_update", "security":
		return b.account(c.Value)
	default:
		return b.ignore(carriers.UnknownEvent, b.field)
	}
}

func (b *batch) value(raw []byte) error {
	var v MessageValue
	v.read(raw)
	b.ours, b.contacts = address(string(v.Metadata.DisplayPhoneNumber)), v.Contacts
	b.known = nil
	if b.ours == "" {
		b.ours = b.state.number(string(v.Metadata.PhoneNumberID))
	} else {
		b.state.learn(b.ours, string(v.Metadata.PhoneNumberID))
	}
	several := v.Messages.Len() + v.Statuses.Len()
	if several > 1 {
		b.parsed.Events = slices.Grow(b.parsed.Events, min(several, carriers.MaxEvents-len(b.parsed.Events)))
	}
	before := len(b.parsed.Events) + len(b.parsed.Ignored)
	for m := range v.Messages.All() {
		if err := b.message(m, omni.Inbound); err != nil {
			return err
		}
	}
	for m := range v.MessageEchoes.All() {
		if err := b.message(m, omni.Outbound); err != nil {
			return err
		}
	}
	for s := range v.Statuses.All() {
		if err := b.status(s); err != nil {
			return err
		}
	}
	for e := range v.Errors.All() {
		if err := b.failure(e); err != nil {
			return err
		}
	}
	for p := range v.UserPreferences.All() {
		if err := b.preference(p); err != nil {
			return err
		}
	}
	if len(b.parsed.Events)+len(b.parsed.Ignored) == before && several == 0 {
		return b.ignore(carriers.Empty, b.field)
	}
	return nil
}

// failure is an error of the account or the app, that no message is to blame for.
func (b *batch) failure(failed reported) error {
	e := b.event(omni.EventError, omni.Inbound)
	e.To, e.Field, e.Text = b.ours, b.field, omni.CleanText(string(failed.Title))
	e.ErrorCode = word(string(failed.Code))
	if f, ok := ErrorCode(e.ErrorCode).find(); ok {
		e.Reason = f.reason
		e.Retryable = e.Reason.Retryable()
	}
	set(&e.Metadata, "details", failed.details())
	return b.add(e)
}

func (e reported) details() text {
	if e.Data.Details != "" {
		return e.Data.Details
	}
	return e.Details
}

func (b *batch) preference(p userPreference) error {
	e := b.event(omni.EventPreference, omni.Inbound)
	e.From, e.To, e.Field = addressOf(p.WaID, p.UserID), b.ours, b.field
	if e.From == "" {
		return b.ignore(carriers.UnknownEvent, b.field)
	}
	e.Text = omni.CleanText(string(p.Detail))
	e.Status = omni.Status(carriers.Ignore("", string(p.Value)).Value)
	if len(e.Status) > 64 {
		e.Status = ""
	}
	if p.Timestamp != 0 {
		e.OccurredAt = omni.Millis(p.Timestamp)
	}
	set(&e.Metadata, "category", p.Category)
	if e.From != string(p.UserID) {
		set(&e.Metadata, "userId", p.UserID)
	}
	return b.add(e)
}

// contact finds who an address or a user id belongs to, in the contacts of the value.
func (b *batch) contact(from, userID text) Contact {
	if b.known == nil {
		b.known = []Contact{}
		for c := range b.contacts.All() {
			if b.looked++; b.looked > maxContacts {
				break
			}
			b.known = append(b.known, c)
		}
	}
	for _, c := range b.known {
		if from != "" && (c.WaID == from || c.UserID == from) || userID != "" && c.UserID == userID {
			return c
		}
	}
	return Contact{}
}

// addressOf is the address of a person: their number, or else their business-scoped user id. "" if neither is one.
func addressOf(waID, userID text) string {
	for _, s := range []text{waID, userID} {
		a, err := carriers.Address("from", address(string(s)))
		if err == nil && a != "" {
			return a
		}
	}
	return ""
}

// address writes a phone number as plus and digits, whatever stands between them. What is no number is left alone.
func address(s string) string {
	s = strings.TrimSpace(s)
	digits := strings.Map(func(r rune) rune {
		if r == '+' || unicode.IsPunct(r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) { // of the last are marks of direction
			return -1
		}
		return r
	}, s)
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return s
	}
	return "+" + digits
}

// set adds what Meta wrote to the metadata of an event.
func set(m *omni.Metadata, key string, value text) { m.Set(key, omni.CleanText(string(value))) }

func setTime(m *omni.Metadata, key string, at stamp) {
	if at != 0 {
		m.Set(key, strconv.FormatInt(int64(at), 10))
	}
}

// setJSON adds JSON to the metadata, without white space. What would have to be cut is left out: half of it is none.
func setJSON(m *omni.Metadata, key string, raw []byte) {
	var b bytes.Buffer
	if len(raw) == 0 || json.Compact(&b, raw) != nil || b.Len() > 4096 {
		return
	}
	switch b.String() {
	case "null", "{}", "[]", `""`:
	default:
		m.Set(key, omni.CleanText(b.String()))
	}
}

// flatten adds the members of an object to the metadata: plain values as they are, others as JSON.
func flatten(m *omni.Metadata, object []byte, known ...string) {
	n := 0
	for name, raw := range members(object) {
		if n++; n > maxMembers {
			return
		}
		key := camel(name)
		if key == "" || len(key) > 64 || slices.Contains(known, name) {
			continue
		}
		var plain text
		if _ = lenient(raw, &plain); plain != "" {
			set(m, key, plain)
		} else {
			setJSON(m, key, raw)
		}
	}
}

// camel writes snake_case in camel case.
func camel(s string) string {
	head, rest, more := strings.Cut(s, "_")
	for more {
		var part string
		part, rest, more = strings.Cut(rest, "_")
		if part != "" {
			head += strings.ToUpper(part[:1]) + part[1:]
		}
	}
	return omni.CleanName(head)
}

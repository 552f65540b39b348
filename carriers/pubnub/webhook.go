package pubnub

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"omniservice/carriers"
	"omniservice/omni"
)

const (
	maxAddress   = 255 // bytes
	maxTimetoken = 20  // digits; 17 until the year 2286
	maxFiles     = 32  // that are looked for in one message
	maxFileURL   = 2000
	maxMetaKey   = 64 // bytes
)

// cut is written behind a text of which not all could be kept.
const cut = " …"

// Parse implements carriers.Carrier. What it does not understand is reported and no error: PubNub would send the whole batch
// again, and in the end drop it.
func (c *Carrier) Parse(r carriers.WebhookRequest) (carriers.Parsed, error) {
	body, err := readJSON(carriers.WithoutMark(r.Body))
	if err != nil {
		return carriers.Parsed{}, err
	}
	p := parser{c: c}
	switch body.kind() {
	case '[':
		bodies := 0
		for element := range body.elements() {
			if bodies++; bodies > carriers.MaxEvents {
				p.count = bodies
			}
			if p.count > carriers.MaxEvents {
				break
			}
			p.body(element)
		}
	case '{':
		p.body(body)
	default:
		p.ignore(carriers.UnknownEvent, "no object")
	}
	if p.count > carriers.MaxEvents {
		return carriers.Parsed{}, carriers.Malformed(fmt.Errorf("more than %d events", carriers.MaxEvents))
	}
	if p.count == 0 {
		p.ignore(carriers.Empty, "")
	}
	return p.out, nil
}

// parser collects what one webhook, or one answer of the history, says.
type parser struct {
	c     *Carrier
	out   carriers.Parsed
	count int // things said, our own among them
}

// ignore reports a part that nothing follows from: each kind once, because every report keeps the whole webhook.
func (p *parser) ignore(name, word string) {
	ignored := carriers.Ignore(name, word)
	if !slices.Contains(p.out.Ignored, ignored) {
		p.out.Ignored = append(p.out.Ignored, ignored)
	}
}

// body reads one body, in an envelope or without.
func (p *parser) body(v value) {
	var event, schema, data, about value
	for name, m := range v.members() {
		switch string(name) {
		case "event":
			event = m
		case "dataSchema":
			schema = m
		case "schema":
			if schema == nil {
				schema = m
			}
		case "data":
			data = m
		case "metadata":
			about = m
		}
	}
	channel := about.member("pubsub").member("channel")
	if channel == nil {
		channel = about.member("pubsub.channel")
	}
	if event.kind() != '{' {
		p.items(schema, data, channel)
		return
	}
	payload := event.member("payload")
	switch {
	case payload.kind() == '{':
		inner := payload.member("dataSchema")
		if inner == nil {
			inner = payload.member("schema")
		}
		if inner == nil {
			inner = schema
		}
		p.items(inner, payload.member("data"), channel)
	case event.member("eventPayload") != nil:
		p.publishV1(event)
	default:
		p.count++
		p.ignoreSchema(event.member("eventType"))
	}
}

// publishV1 reads a message in an envelope of version 1.
func (p *parser) publishV1(event value) {
	p.count++
	kind, _ := event.member("eventType").text()
	if !strings.Contains(kind, "message.publish") && !strings.Contains(kind, "file.publish") {
		p.ignore(carriers.UnknownEvent, kind)
		return
	}
	it := readItem(event)
	for name, m := range event.member("eventPayload").members() {
		switch string(name) {
		case "message":
			it.message = m
		case "meta":
			it.meta = m
		case "fileId":
			it.fileID, _ = m.text()
		case "fileName":
			it.fileName, _ = m.text()
		}
	}
	p.message(it)
}

// items reads a list of events of one kind; what is no list is one of them.
func (p *parser) items(schema, data, channel value) {
	kind := kindOf(schema)
	list := data.elements()
	if data.kind() == '{' {
		list = func(yield func(value) bool) { yield(data) }
	}
	if len(p.out.Events) == 0 && (kind == published || kind == actionAdded || kind == actionRemoved) {
		n := 0
		for range list {
			if n++; n == carriers.MaxEvents {
				break
			}
		}
		p.out.Events = make([]omni.CarrierChannelEvent, 0, n)
	}
	for element := range list {
		if p.count++; p.count > carriers.MaxEvents {
			return
		}
		it := readItem(element)
		if it.channel == "" {
			it.channel, _ = channel.text()
		}
		switch kind {
		case published:
			p.message(it)
		case actionAdded:
			p.action(it, false)
		case actionRemoved:
			p.action(it, true)
		default:
			p.ignoreSchema(schema)
		}
	}
}

// The kinds of events that something follows from.
const (
	other = iota
	published
	actionAdded
	actionRemoved
)

// kindOf tells what a schema's events are, by its name alone: its version changes.
func kindOf(schema value) int {
	switch {
	case bytes.Contains(schema, []byte("messages.pubsub.publish")), bytes.Contains(schema, []byte("messages.pubsub.file")):
		return published
	case bytes.Contains(schema, []byte("messages.action.created")):
		return actionAdded
	case bytes.Contains(schema, []byte("messages.action.deleted")):
		return actionRemoved
	default:
		return other
	}
}

// ignoreSchema reports a schema that is not known by its last part, without version.
func (p *parser) ignoreSchema(schema value) {
	word, _ := schema.text()
	word, _, _ = strings.Cut(word, "?")
	p.ignore(carriers.UnknownEvent, path.Base("/"+word))
}

// item is one event: a message, a file or a message action.
type item struct {
	channel, user string
	timetoken     string // of the message
	id            string // of the event
	subscribeKey  string
	at            string // ISO 8601
	message, meta value
	fileID        string
	fileName      string
	kind, value   string // of a message action
	deep          bool
}

func readItem(v value) item {
	var it item
	if carriers.CheckNesting(v) != nil {
		it.deep = true
	}
	for name, m := range v.members() {
		switch string(name) {
		case "channel":
			it.channel, _ = m.text()
		case "senderId":
			it.user, _ = m.text()
		case "userId", "uuid":
			if it.user == "" {
				it.user, _ = m.text()
			}
		case "timetoken", "messageTimetoken":
			it.timetoken = m.digits()
		case "id":
			it.id, _ = m.text()
		case "subKey", "subscribeKey":
			it.subscribeKey, _ = m.text()
		case "timestamp", "iso8601timestamp":
			it.at, _ = m.text()
		case "message":
			it.message = m
		case "meta":
			it.meta = m
		case "fileId":
			it.fileID, _ = m.text()
		case "fileName":
			it.fileName, _ = m.text()
		case "type":
			it.kind, _ = m.text()
		case "value":
			it.value, _ = m.text()
		}
	}
	return it
}

// event begins the event of an item. ok is false if nothing follows from it: it is not whole, of another keyset, or our own.
func (p *parser) event(it item) (e omni.CarrierChannelEvent, ok bool) {
	switch {
	case it.subscribeKey != "" && it.subscribeKey != p.c.config.subscribeKey:
		p.ignore(carriers.UnknownEvent, "another subscribe key")
		return e, false
	case it.deep:
		p.ignore(carriers.UnknownEvent, "nested too deeply")
		return e, false
	case !omni.ValidPubNubChannel(it.channel):
		p.ignore(carriers.UnknownEvent, "no channel")
		return e, false
	case it.timetoken == "":
		p.ignore(carriers.UnknownEvent, "no timetoken")
		return e, false
	case !validUser(it.user):
		p.ignore(carriers.UnknownEvent, "no user id")
		return e, false
	case it.user == p.c.config.userID:
		return e, false // our own: there is as much of it as we send, and nobody needs to know
	}
	return omni.CarrierChannelEvent{
		Direction: omni.Inbound, Carrier: omni.CarrierPubNub, ChannelType: omni.ChannelPubNub,
		From: it.user, To: it.channel, OccurredAt: it.time(),
	}, true
}

// time is when it happened, as the event says, or else as the timetoken of a message does.
func (it item) time() omni.Millis {
	if at, err := time.Parse(time.RFC3339, it.at); err == nil && at.Unix() > 0 {
		return omni.MillisOf(at)
	}
	if it.kind != "" {
		return 0 // the timetoken is that of the message that was acted on
	}
	return timeOf(it.timetoken)
}

// timeOf is the moment of a timetoken, 0 if it is none.
func timeOf(timetoken string) omni.Millis {
	n, err := strconv.ParseUint(timetoken, 10, 63)
	if err != nil {
		return 0
	}
	return omni.Millis(n / 10_000)
}

// messageID is the id of a message.
func messageID(channel, timetoken string) string { return channel + ":" + timetoken }

// message reads a message or a file.
func (p *parser) message(it item) {
	it.kind = ""
	e, ok := p.event(it)
	if !ok {
		return
	}
	e.Kind, e.CarrierMessageID = omni.EventMessage, messageID(it.channel, it.timetoken)
	said := it.message
	if file := said.member("file"); said.kind() == '{' && it.fileID == "" && file.kind() == '{' {
		// As the history has a file that was sent.
		it.fileID, _ = file.member("id").text()
		it.fileName, _ = file.member("name").text()
		if inner := said.member("message"); inner != nil {
			said = inner
		}
	}
	if f, ok := p.c.file(it.channel, it.fileID, it.fileName); ok {
		e.Media = append(e.Media, f)
	}
	shown := len(e.Media) > 0
	switch said.kind() {
	case '"':
		text, _ := said.text()
		e.Text, shown = clean(text), true
	case '{':
		text, ok := said.member("text").text()
		e.Text, shown = clean(text), shown || ok
		e.Media = append(e.Media, p.c.files(it.channel, said.member("files"))...)
		shown = shown || len(e.Media) > 0
		if answered := said.member("replyTo").digits(); answered != "" {
			e.ReplyTo = messageID(it.channel, answered)
		}
	case '0', 't', 'f', '[':
		e.Text, shown = clean(said.compact()), true
	}
	if !shown {
		p.ignore(carriers.UnknownEvent, "no text and no file") // what an app tells itself
		return
	}
	e.Metadata = metadata(it.meta)
	p.out.Events = append(p.out.Events, e)
}

// clean is omni.CleanText that shows where it cut.
func clean(text string) string {
	if len(text) <= omni.MaxText {
		return omni.CleanText(text)
	}
	end := omni.MaxText - len(cut)
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return omni.CleanText(text[:end] + cut)
}

// metadata keeps what the app told beside a message.
func metadata(meta value) omni.Metadata {
	var out omni.Metadata
	if text, ok := meta.text(); ok {
		out.Set("meta", omni.CleanText(text))
		return out
	}
	for name, m := range meta.members() {
		key, ok := value(bytes.Join([][]byte{{'"'}, name, {'"'}}, nil)).text()
		if key = omni.CleanName(key); !ok || key == "" || len(key) > maxMetaKey || m.kind() == 'n' {
			continue
		}
		text, ok := m.text()
		if !ok {
			text = m.compact()
		}
		out.Set(key, omni.CleanText(text))
	}
	return out
}

// action reads a message action that was added or removed.
func (p *parser) action(it item, removed bool) {
	if it.kind == "" {
		it.kind = "no type"
	}
	e, ok := p.event(it)
	if !ok {
		return
	}
	of := messageID(it.channel, it.timetoken)
	switch {
	case it.kind == "reaction" && (removed || it.value != ""):
		e.Kind, e.ReplyTo = omni.EventReaction, of
		if e.Reaction = omni.CleanText(it.value); removed {
			e.Metadata.Set(carriers.MetadataTaken, e.Reaction)
			e.Reaction = ""
		}
		id, err := carriers.ID("id", it.id)
		if err != nil {
			id = of
		}
		e.CarrierMessageID = id
	case it.kind == "receipt" && !removed:
		status, ok := statuses[it.value]
		if !ok {
			p.ignore(carriers.UnknownStatus, it.value)
			return
		}
		e.Kind, e.Direction, e.Status, e.CarrierMessageID = omni.EventStatus, omni.Outbound, status, of
		e.From, e.To = p.c.config.userID, it.channel
	default:
		p.ignore(carriers.UnknownEvent, it.kind)
		return
	}
	p.out.Events = append(p.out.Events, e)
}

// Respond implements carriers.Carrier. PubNub looks at the status alone.
func (*Carrier) Respond(p carriers.Parsed) carriers.HTTPResponse { return carriers.Taken(p) }

var errNoID = errors.New("the id of the message is not a channel, a colon and a timetoken")

// splitID takes the id of a message apart. A channel's name holds no colon.
func splitID(id string) (channel, timetoken string, err error) {
	channel, timetoken, _ = strings.Cut(id, ":")
	if !omni.ValidPubNubChannel(channel) || value(timetoken).digits() != timetoken || timetoken == "" {
		return "", "", errNoID
	}
	return channel, timetoken, nil
}

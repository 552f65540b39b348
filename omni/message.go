package omni

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Identity is how one end of a message is known on its channel. (Seed: Identity.)
type Identity struct {
	ChannelType ChannelType `json:"channelType"    bson:"channelType"`
	Address     string      `json:"address"        bson:"address"`        // E.164 with +, short code, alphanumeric sender, business-scoped id, visitor id
	Name        string      `json:"name,omitempty" bson:"name,omitempty"` // what they call themselves; hostile text
}

// Validate reports what is wrong as ErrInvalid.
func (i Identity) Validate() error {
	bad := invalid{}
	bad.require(i.ChannelType.Valid(), "channelType", "is not a channel type")
	bad.require(i.Address != "" && len(i.Address) <= 255, "address", "must be 1 to 255 bytes")
	return bad.err("identity")
}

// Limits of Metadata.
const (
	maxMetadata      = 32   // entries
	maxMetadataKey   = 64   // bytes
	maxMetadataValue = 4096 // bytes
)

// Metadata is what a carrier tells of a message and what no field is for: an advertisement that led to it, the lines of an
// order, the id of a pressed button. Keys are ours, in camel case; values are hostile text.
type Metadata map[string]string

// Set adds an entry, cut to what an entry may hold. An empty value adds nothing, nor does one too many.
func (m *Metadata) Set(key, value string) {
	if value == "" || len(*m) >= maxMetadata {
		return
	}
	if *m == nil {
		*m = Metadata{}
	}
	if len(value) > maxMetadataValue {
		value = strings.ToValidUTF8(value[:maxMetadataValue], "")
	}
	(*m)[key] = value
}

// Validate reports what is wrong as ErrInvalid.
func (m Metadata) Validate() error {
	bad := invalid{}
	bad.require(len(m) <= maxMetadata, "metadata", "must be at most 32 entries")
	for k, v := range m {
		bad.require(k != "" && len(k) <= maxMetadataKey, "metadata", "must have keys of 1 to 64 bytes")
		bad.require(len(v) <= maxMetadataValue, "metadata", "must have values of at most 4096 bytes")
	}
	return bad.err("metadata")
}

// ReceivedChannel tells through which of our channels a message came or went. (Seed: ReceivedChannel.)
type ReceivedChannel struct {
	DigitalChannelID string      `json:"digitalChannelId"  bson:"digitalChannelId"`
	ChannelType      ChannelType `json:"channelType"       bson:"channelType"`
	Carrier          CarrierName `json:"carrier,omitempty" bson:"carrier,omitempty"` // empty for LiveChat, which has none
	Address          string      `json:"address"           bson:"address"`           // our number or name on that channel
	SenderType       SenderType  `json:"senderType"        bson:"senderType"`
}

// Validate reports what is wrong as ErrInvalid.
func (r ReceivedChannel) Validate() error {
	bad := invalid{}
	bad.require(ValidID(r.DigitalChannelID), "digitalChannelId", "must be an id")
	bad.require(r.ChannelType.Valid(), "channelType", "is not a channel type")
	bad.require(r.Carrier.Valid() || r.Carrier == "" && r.ChannelType == ChannelLiveChat, "carrier", "is not a carrier")
	bad.require(r.SenderType.Valid(), "senderType", "must be CONTACT or USER")
	return bad.err("channel")
}

// ServiceMessage is a message on its whole way through the gateway, and as it is stored. (Seed: ServiceMessage.)
type ServiceMessage struct {
	ID               string           `json:"id"                         bson:"_id"`
	Tenant           Tenant           `json:"tenant"                     bson:"tenant"` // UserID: the agent who wrote it
	InteractionID    string           `json:"interactionId"              bson:"interactionId"`
	Sequence         int64            `json:"sequence"                   bson:"sequence"` // place in the interaction: 1, 2, 3 ... without gaps, given by the store
	Direction        Direction        `json:"direction"                  bson:"direction"`
	Channel          ReceivedChannel  `json:"channel"                    bson:"channel"`
	ContactID        string           `json:"contactId"                  bson:"contactId"`
	From             Identity         `json:"from"                       bson:"from"`
	To               Identity         `json:"to"                         bson:"to"`
	Payload          MessagePayload   `json:"payload"                    bson:"payload"`
	ClientID         string           `json:"clientId,omitempty"         bson:"clientId,omitempty"`         // the sender's own id: the same again is the same message
	CarrierMessageID string           `json:"carrierMessageId,omitempty" bson:"carrierMessageId,omitempty"` // unique per digital channel
	ReplyTo          string           `json:"replyTo,omitempty"          bson:"replyTo,omitempty"`          // id of one of our messages; inbound: the carrier's id where we do not have that message
	Segments         int              `json:"segments,omitempty"         bson:"segments,omitempty"`         // SMS parts; 0 unknown
	Status           Status           `json:"status,omitempty"           bson:"status,omitempty"`           // outbound only
	StatusAt         Millis           `json:"statusAt,omitempty"         bson:"statusAt,omitempty"`
	StatusHistory    []DeliveryStatus `json:"statusHistory,omitempty"   bson:"statusHistory,omitempty"`  // every status that changed it, oldest first
	Reason           Reason           `json:"reason,omitempty"           bson:"reason,omitempty"`        // why it failed
	ErrorCode        string           `json:"errorCode,omitempty"        bson:"errorCode,omitempty"`     // the carrier's own code
	Metadata         Metadata         `json:"metadata,omitempty"         bson:"metadata,omitempty"`      // what the carrier told beside it
	EditedAt         Millis           `json:"editedAt,omitempty"         bson:"editedAt,omitempty"`      // when its sender changed it; 0: never
	DeletedAt        Millis           `json:"deletedAt,omitempty"        bson:"deletedAt,omitempty"`     // when its sender took it back; 0: not
	Edits            []MessageEdit    `json:"edits,omitempty"            bson:"edits,omitempty"`         // what it said before, oldest first
	Publish          *PublishChannel  `json:"publish,omitempty"          bson:"publish,omitempty"`       // outbound: what it goes out by
	WorkflowSteps    []WorkflowSteps  `json:"workflowSteps,omitempty"    bson:"workflowSteps,omitempty"` // what was done with it, in order
	SentAt           Millis           `json:"sentAt,omitempty"           bson:"sentAt,omitempty"`        // inbound: when it was written, by the carrier's clock; 0 if it tells none
	ReceivedAt       Millis           `json:"receivedAt"                 bson:"receivedAt"`              // when the gateway got it
	CreatedAt        Millis           `json:"createdAt"                  bson:"createdAt"`               // when it was stored
	SchemaVersion    SchemaVersion    `json:"schemaVersion"              bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid. Sequence is the store's to give and is not looked at.
func (m ServiceMessage) Validate() error {
	bad := invalid{}
	bad.require(ValidID(m.ID), "id", "must be an id")
	bad.nest("tenant", m.Tenant.Validate())
	bad.require(ValidID(m.InteractionID), "interactionId", "must be an id")
	bad.require(m.Direction.Valid(), "direction", "must be INBOUND or OUTBOUND")
	bad.nest("channel", m.Channel.Validate())
	bad.require(ValidID(m.ContactID), "contactId", "must be an id")
	bad.nest("from", m.From.Validate())
	bad.nest("to", m.To.Validate())
	bad.nest("payload", m.Payload.Validate())
	bad.require(m.Direction != Outbound || m.Status.Valid(), "status", "is not a status")
	bad.require(m.Reason == "" || m.Reason.Valid(), "reason", "is not a reason")
	bad.require(len(m.ClientID) <= 255, "clientId", "must be at most 255 bytes")
	bad.require(len(m.CarrierMessageID) <= 255, "carrierMessageId", "must be at most 255 bytes")
	bad.require(m.ReceivedAt > 0, "receivedAt", "is required")
	bad.nest("metadata", m.Metadata.Validate())
	bad.nest("schemaVersion", m.SchemaVersion.Validate())
	return bad.err("message")
}

// maxEdits is how many earlier texts are kept of a message: the first, and the newest of the others.
const maxEdits = 20

// MessageEdit is what the sender of a message makes of it later, or what it said until then.
type MessageEdit struct {
	At      Millis `json:"at"                bson:"at"`                // when; of an earlier text: since when it had said that
	Text    string `json:"text"              bson:"text"`              // the new text, or the earlier one
	Deleted bool   `json:"deleted,omitempty" bson:"deleted,omitempty"` // they took it back: no text
}

// Edited is the message after e, which shares nothing with m that is changed. changed is false for what was done before, and
// for what is older than what is known: what was taken back stays so.
func (m ServiceMessage) Edited(e MessageEdit) (after ServiceMessage, changed bool) {
	text := CleanText(e.Text)
	switch {
	case m.DeletedAt > 0, !e.Deleted && (e.At <= m.EditedAt || text == m.Payload.TextBody()):
		return m, false
	case e.Deleted:
		m.DeletedAt, text = e.At, ""
	}
	if old := m.Payload.TextBody(); old != "" {
		since := m.EditedAt
		if since == 0 {
			since = m.ReceivedAt
		}
		m.Edits = append(slices.Clone(m.Edits), MessageEdit{At: since, Text: old})
		if len(m.Edits) > maxEdits {
			m.Edits = slices.Delete(m.Edits, 1, 2)
		}
	}
	if !e.Deleted {
		m.EditedAt = e.At
	}
	m.Payload.Text = nil
	if text != "" || m.Payload.Type == PayloadText {
		m.Payload.Text = &TextMessage{Body: text}
	}
	return m, true
}

// Attempts is how often a person had the message sent again after it had failed. What the gateway tries again by itself has
// a reason in the history.
func (m ServiceMessage) Attempts() int {
	n := 0
	for _, s := range m.StatusHistory {
		if s.Status == StatusQueued && s.Reason == "" {
			n++
		}
	}
	return n
}

// MetadataSystem is in the metadata of a message that nobody wrote: a line of the carrier about the conversation.
const MetadataSystem = "system"

// WrittenAt is when the message was written, as far as anybody knows: by the carrier's clock, unless that is ahead of ours. A
// webhook may come days after its message. It is 0 for what nobody wrote.
func (m ServiceMessage) WrittenAt() Millis {
	if m.Metadata[MetadataSystem] != "" {
		return 0
	}
	if m.SentAt > 0 && m.SentAt < m.ReceivedAt {
		return m.SentAt
	}
	return m.ReceivedAt
}

// Preview is the start of the message as one line, at most 120 characters, for lists.
func (m ServiceMessage) Preview() string {
	s := CleanName(m.Payload.TextBody())
	if s == "" {
		return ""
	}
	if utf8.RuneCountInString(s) > 120 {
		s = string([]rune(s)[:119]) + "…"
	}
	return s
}

// CarrierChannelEvent is one thing that a carrier reported, in our words. (Seed: CarrierChannelEvent.)
//
// A status describes an outbound message: From is our sender, To the end user. Fields that a kind does not use are empty.
// Of what is about an account, a template or a preference, Status is the carrier's own word.
type CarrierChannelEvent struct {
	Kind             EventKind        `json:"kind"                      bson:"kind"`
	Direction        Direction        `json:"direction"                 bson:"direction"`
	Carrier          CarrierName      `json:"carrier"                   bson:"carrier"`
	ChannelType      ChannelType      `json:"channelType"               bson:"channelType"`
	CarrierMessageID string           `json:"carrierMessageId"          bson:"carrierMessageId"`
	From             string           `json:"from"                      bson:"from"`
	To               string           `json:"to"                        bson:"to"`
	Recipients       []string         `json:"recipients,omitempty"      bson:"recipients,omitempty"` // all recipients of a group message
	Text             string           `json:"text"                      bson:"text"`
	Media            []MediaReference `json:"media"                     bson:"media"`
	Status           Status           `json:"status"                    bson:"status"` // of a template, account or preference: the carrier's word
	ErrorCode        string           `json:"errorCode"                 bson:"errorCode"`
	Reason           Reason           `json:"reason,omitempty"          bson:"reason,omitempty"`    // what ErrorCode means here
	Retryable        bool             `json:"retryable,omitempty"       bson:"retryable,omitempty"` // the carrier's table says that the message may be sent again
	ReplyTo          string           `json:"replyTo"                   bson:"replyTo"`             // the carrier's id of the message that this answers
	Reaction         string           `json:"reaction"                  bson:"reaction"`
	Segments         int              `json:"segments,omitempty"        bson:"segments,omitempty"`
	OptOut           string           `json:"optOut,omitempty"          bson:"optOut,omitempty"` // STOP, START or HELP where the carrier acted on it
	ButtonPayload    string           `json:"buttonPayload,omitempty"   bson:"buttonPayload,omitempty"`
	ProfileName      string           `json:"profileName,omitempty"     bson:"profileName,omitempty"`
	ClientReference  string           `json:"clientReference,omitempty" bson:"clientReference,omitempty"` // our message id, as it came back
	Keyword          string           `json:"keyword,omitempty"         bson:"keyword,omitempty"`
	NetworkCode      string           `json:"networkCode,omitempty"     bson:"networkCode,omitempty"` // the mobile network's own code
	Field            string           `json:"field,omitempty"           bson:"field,omitempty"`       // the part of the webhook that it came from
	Unsupported      string           `json:"unsupported,omitempty"     bson:"unsupported,omitempty"` // the carrier's word for a content that we cannot show
	Location         *Location        `json:"location,omitempty"        bson:"location,omitempty"`
	Contacts         []ContactCard    `json:"contacts,omitempty"        bson:"contacts,omitempty"`
	Metadata         Metadata         `json:"metadata,omitempty"        bson:"metadata,omitempty"`   // what has no place elsewhere
	Fragment         *MessageFragment `json:"fragment,omitempty"        bson:"fragment,omitempty"`   // set if this is one part of a longer text
	OccurredAt       Millis           `json:"occurredAt,omitempty"      bson:"occurredAt,omitempty"` // the carrier's time; 0 if it gives none
}

// Contact is the address of the end user: the sender of what is inbound, the recipient of what is outbound.
func (e CarrierChannelEvent) Contact() string {
	if e.Direction == Outbound {
		return e.To
	}
	return e.From
}

// Validate reports what is wrong as ErrInvalid.
func (e CarrierChannelEvent) Validate() error {
	bad := invalid{}
	bad.require(e.Kind.Valid(), "kind", "is not an event kind")
	bad.require(e.Direction.Valid(), "direction", "must be INBOUND or OUTBOUND")
	bad.require(e.Carrier.Valid(), "carrier", "is not a carrier")
	bad.require(e.ChannelType.Valid(), "channelType", "is not a channel type")
	bad.require(e.Status == "" || e.Status.Valid() || e.Kind.ownWords() && len(e.Status) <= 64, "status", "is not a status")
	bad.require(e.Reason == "" || e.Reason.Valid(), "reason", "is not a reason")
	bad.require(len(e.CarrierMessageID) <= 255, "carrierMessageId", "must be at most 255 bytes")
	switch e.Kind {
	case EventMessage:
		bad.require(e.CarrierMessageID != "", "carrierMessageId", "is required for a message")
		bad.require(e.From != "", "from", "is required for a message")
		bad.require(e.To != "", "to", "is required for a message")
	case EventStatus:
		bad.require(e.CarrierMessageID != "" || e.ClientReference != "", "carrierMessageId", "is required for a status")
		bad.require(e.Status != "", "status", "is required for a status")
	default: // nothing further holds for every carrier
	}
	if e.Fragment != nil {
		bad.nest("fragment", e.Fragment.Validate())
	}
	if e.Location != nil {
		bad.nest("location", e.Location.Validate())
	}
	bad.require(len(e.Contacts) <= maxContactCards, "contacts", "must be at most 50")
	for _, c := range e.Contacts {
		bad.nest("contacts", c.Validate())
	}
	bad.nest("metadata", e.Metadata.Validate())
	return bad.err("carrier event")
}

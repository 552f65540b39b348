// Package wire holds what clients read and write: the frames of the realtime protocol and the records that REST and
// events share. They are built from the domain's types and never are them, so that a stored field does not get out
// by accident.
package wire

import (
	"encoding/json"
	"maps"
	"slices"

	"omniservice/omni"
)

// Subprotocol is the WebSocket subprotocol of version 1.
const Subprotocol = "omni.v1"

// Names of durable events.
const (
	MessageCreated      = "message.created"      // data: Message
	MessageStatus       = "message.status"       // data: StatusChange
	MessageUpdated      = "message.updated"      // data: Message
	MessageDeleted      = "message.deleted"      // data: MessageDeletion
	MessageReaction     = "message.reaction"     // data: ReactionChange
	MediaReady          = "media.ready"          // data: FileChange; a message.updated with the whole message follows
	MediaFailed         = "media.failed"         // data: FileChange; the same
	InteractionCreated  = "interaction.created"  // data: Interaction
	InteractionUpdated  = "interaction.updated"  // data: InteractionChange
	InteractionAssigned = "interaction.assigned" // data: InteractionChange
	InteractionResolved = "interaction.resolved" // data: InteractionChange
	InteractionReopened = "interaction.reopened" // data: InteractionChange
	InteractionMoved    = "interaction.moved"    // data: InteractionChange, on the home that it left too
	InteractionSnoozed  = "interaction.snoozed"  // data: InteractionChange
	NoteCreated         = "note.created"         // data: Note, for people of the organisation; those whom it calls get it on their own topic too
	DraftUpdated        = "draft.updated"        // data: Draft, for its user alone
	ContactUpdated      = "contact.updated"      // data: ContactChange
	ConsentChanged      = "consent.changed"      // data: ConsentChange
	SettingsChanged     = "settings.changed"     // data: SettingsChange
	SessionEnded        = "session.ended"        // data: SessionEnd
	ChannelHealth       = "channel.health"       // data: HealthChange
	TemplateStatus      = "template.status"      // data: TemplateChange
)

// Names of passing events.
const (
	TypingEvent   = "typing"    // data: Typing
	ViewingEvent  = "viewing"   // data: Viewing
	PresenceEvent = "presence"  // data: Presence
	Heartbeat     = "heartbeat" // data: HeartbeatData

	AvailabilityEvent = "availability" // data: Availability, for visitors alone
)

// Names of commands.
const (
	CmdConnect              = "connect"
	CmdAuthRefresh          = "auth.refresh"
	CmdMessageSend          = "message.send"
	CmdMessageRead          = "message.read"
	CmdMessageRetry         = "message.retry"
	CmdMessageReact         = "message.react"
	CmdTyping               = "typing"
	CmdViewing              = "viewing"
	CmdPresenceSet          = "presence.set"
	CmdInteractionOpen      = "interaction.open"
	CmdInteractionCloseView = "interaction.close_view"
	CmdInteractionClaim     = "interaction.claim"
	CmdInteractionAssign    = "interaction.assign"
	CmdInteractionRelease   = "interaction.release"
	CmdInteractionResolve   = "interaction.resolve"
	CmdInteractionReopen    = "interaction.reopen"
	CmdConversationEnd      = "conversation.end" // a visitor's
	CmdVisitorUpdate        = "visitor.update"   // the same
	CmdInteractionMove      = "interaction.move"
	CmdInteractionSnooze    = "interaction.snooze"
	CmdInteractionLabel     = "interaction.label"
	CmdNoteAdd              = "note.add"
	CmdDraftSave            = "draft.save"
)

// Command is a frame from a client.
type Command struct {
	ID   int64           `json:"id"`
	Type string          `json:"type"`
	Data json.RawMessage `json:"data,omitempty"`
}

// Reply answers a command: Type is "ok" or "error".
type Reply struct {
	ID    int64  `json:"id"`
	Type  string `json:"type"`
	Data  any    `json:"data,omitempty"`
	Error *Error `json:"error,omitempty"`
}

// Error is why a command failed.
type Error struct {
	Code         omni.Code         `json:"code"`
	Message      string            `json:"message"`
	Fields       map[string]string `json:"fields,omitempty"`
	Details      map[string]any    `json:"details,omitempty"`
	RetryAfterMs int64             `json:"retryAfterMs,omitempty"`
}

// Event is a frame from the server that answers nothing. Offset is 0 in passing events.
type Event struct {
	Type   string          `json:"type"`
	Topic  string          `json:"topic,omitempty"`
	Offset int64           `json:"offset,omitempty"`
	At     omni.Millis     `json:"at"`
	Data   json.RawMessage `json:"data,omitempty"`
}

// Connect is the data of the first command. Exactly one of Ticket, Token and APIKey is set.
type Connect struct {
	Ticket string          `json:"ticket,omitempty"`
	Token  string          `json:"token,omitempty"`
	APIKey string          `json:"apiKey,omitempty"`
	Client string          `json:"client,omitempty"` // name/version, for the log
	Resume []TopicPosition `json:"resume,omitempty"`
}

// TopicPosition is how far somebody knows a topic.
type TopicPosition struct {
	Topic  string `json:"topic"`
	Epoch  string `json:"epoch"`
	Offset int64  `json:"offset"`
}

// Connected answers connect.
type Connected struct {
	ConnectionID string       `json:"connectionId"`
	UserID       string       `json:"userId,omitempty"`    // agents and programs
	VisitorID    string       `json:"visitorId,omitempty"` // visitors
	ServerTime   omni.Millis  `json:"serverTime"`
	HeartbeatMs  int64        `json:"heartbeatMs"`
	ExpiresAt    omni.Millis  `json:"expiresAt,omitempty"` // auth.refresh is due before
	Topics       []TopicState `json:"topics"`
}

// The states of a topic after connect.
const (
	Fresh     = "fresh"     // nothing was asked for
	Recovered = "recovered" // all that was missed follows, nothing twice
	Reset     = "reset"     // history does not reach back: read again by REST
)

// TopicState is one granted topic.
type TopicState struct {
	Topic  string `json:"topic"`
	Epoch  string `json:"epoch"`
	Offset int64  `json:"offset"`
	State  string `json:"state"`
}

// HeartbeatData carries the newest offset of each topic of the connection, as the bus knows it.
type HeartbeatData struct {
	Offsets map[string]int64  `json:"offsets"`
	Epochs  map[string]string `json:"epochs,omitempty"` // only topics whose epoch is not the one that connect told
}

// AuthRefresh is the data of auth.refresh.
type AuthRefresh struct {
	Token string `json:"token"`
}

// AuthRefreshed answers auth.refresh.
type AuthRefreshed struct {
	ExpiresAt omni.Millis `json:"expiresAt"`
}

// SendMessage is the data of message.send. Agents name an interaction, or a channel and an address; visitors neither.
type SendMessage struct {
	InteractionID string      `json:"interactionId,omitempty"`
	ChannelID     string      `json:"channelId,omitempty"`
	To            string      `json:"to,omitempty"`
	ClientID      string      `json:"clientId"` // UUIDv7: the same again answers the same message
	Payload       SendPayload `json:"payload"`
	ReplyTo       string      `json:"replyTo,omitempty"` // id of a message of the same interaction

	// SeenOffset is the seq of the newest message of the interaction that the sender has seen: the one number that is the
	// same in every topic, in REST and after a reset. If somebody else wrote after it the answer is conflict, with by and
	// message; the same ClientID again goes through. 0: the sender does not say. Not for visitors.
	SeenOffset int64 `json:"seenOffset,omitempty"`
}

// SendPayload is what to send: a text, files, or one of the others. Visitors send text and files.
type SendPayload struct {
	Text        string        `json:"text,omitempty"`  // beside Interactive what stands above it, beside Files what goes with them; beside the others empty
	Files       []string      `json:"files,omitempty"` // ids of uploads, in order; beside text only where the channel takes captions
	Template    *SendTemplate `json:"template,omitempty"`
	Interactive *Interactive  `json:"interactive,omitempty"`
	Location    *Location     `json:"location,omitempty"`
	Contacts    []ContactCard `json:"contacts,omitempty"`
}

// SendTemplate is an approved template of the channel's account, with what fills its places.
type SendTemplate struct {
	TemplateID string              `json:"templateId,omitempty"`
	Name       string              `json:"name,omitempty"` // and language, instead of templateId
	Language   string              `json:"language,omitempty"`
	Components []TemplateComponent `json:"components,omitempty"` // parts without places are left out
}

// TemplateComponent fills the places of one part of a template.
type TemplateComponent struct {
	Type       string              `json:"type"`              // header, body or button
	SubType    string              `json:"subType,omitempty"` // button: quick_reply, url, copy_code, flow, catalog or mpm
	Index      int                 `json:"index,omitempty"`   // button: its place, from 0
	Parameters []TemplateParameter `json:"parameters"`        // numbered places in order, named ones in any
}

// TemplateParameter fills one place.
type TemplateParameter struct {
	Type     string          `json:"type"`               // text, payload, coupon_code, image, video, document, location, currency, date_time or action
	Name     string          `json:"name,omitempty"`     // of a named place
	Text     string          `json:"text,omitempty"`     // text, payload or coupon_code
	URL      string          `json:"url,omitempty"`      // image, video or document: https, the carrier fetches it
	FileID   string          `json:"fileId,omitempty"`   // instead of url, of a header: a file that was uploaded
	FileName string          `json:"fileName,omitempty"` // of url
	Location *Location       `json:"location,omitempty"`
	Value    json.RawMessage `json:"value,omitempty"` // currency, date_time and action, as the carrier describes them
}

// Interactive is what can be pressed, chosen or filled in.
type Interactive struct {
	Type    omni.InteractiveType `json:"type"`
	Header  string               `json:"header,omitempty"`
	Footer  string               `json:"footer,omitempty"`
	Choices []Choice             `json:"choices,omitempty"` // buttons, or the rows of a list
	Button  string               `json:"button,omitempty"`  // what opens the list, the address or the form
	URL     string               `json:"url,omitempty"`
	Flow    json.RawMessage      `json:"flow,omitempty"` // as the carrier describes it; only to send
}

// Choice is a button or a row.
type Choice struct {
	ID          string `json:"id"` // comes back as buttonPayload
	Title       string `json:"title"`
	Description string `json:"description,omitempty"` // of a row
	Section     string `json:"section,omitempty"`     // of a row: its heading
}

// Location is a place on Earth. Text has its name and address too, or its coordinates.
type Location struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
	Name      string  `json:"name,omitempty"`
	Address   string  `json:"address,omitempty"`
}

// ContactCard is a contact that somebody passes on: text from outside. Text has a line for each.
type ContactCard struct {
	Name         string   `json:"name"`
	Phones       []string `json:"phones,omitempty"`
	Emails       []string `json:"emails,omitempty"`
	Organisation string   `json:"organisation,omitempty"`
}

// TemplateRef names the template that a message was made of.
type TemplateRef struct {
	TemplateID string `json:"templateId,omitempty"`
	Name       string `json:"name"`
	Language   string `json:"language"`
}

// RetryMessage is the data of message.retry.
type RetryMessage struct {
	MessageID string `json:"messageId"`
}

// ReactMessage is the data of message.react.
type ReactMessage struct {
	MessageID string `json:"messageId"`
	Emoji     string `json:"emoji"` // "" takes away what one had put there
}

// ReadMessage is the data of message.read.
type ReadMessage struct {
	InteractionID string `json:"interactionId,omitempty"` // visitors leave it out
	Seq           int64  `json:"seq"`
}

// TypingCommand is the data of the command typing.
type TypingCommand struct {
	InteractionID string `json:"interactionId,omitempty"` // visitors leave it out
	Stop          bool   `json:"stop,omitempty"`
}

// ViewingCommand is the data of the command viewing, about an interaction that the client has open: whether its user
// looks at it. To open one is to look at it.
type ViewingCommand struct {
	InteractionID string `json:"interactionId"`
	Stop          bool   `json:"stop,omitempty"`
}

// SetPresence is the data of presence.set.
type SetPresence struct {
	State omni.PresenceState `json:"state"` // online, away or busy
}

// InteractionRef is the data of interaction.open and interaction.close_view.
type InteractionRef struct {
	InteractionID string `json:"interactionId"`
}

// InteractionOpened answers interaction.open.
type InteractionOpened struct {
	Topic       string      `json:"topic"` // interaction/<id>
	Interaction Interaction `json:"interaction"`
	Viewers     []Viewing   `json:"viewers,omitempty"` // other users who look at it now
	Typing      []Typing    `json:"typing,omitempty"`  // others who type now
}

// InteractionAction is the data of claim, release, resolve and reopen.
type InteractionAction struct {
	InteractionID string `json:"interactionId"`
	Version       int64  `json:"version"`
}

// AssignInteraction is the data of interaction.assign.
type AssignInteraction struct {
	InteractionID string `json:"interactionId"`
	Version       int64  `json:"version"`
	Owner         Owner  `json:"owner"`
}

// MoveInteraction is the data of interaction.move.
type MoveInteraction struct {
	InteractionID string `json:"interactionId"`
	Version       int64  `json:"version"`
	GroupID       string `json:"groupId"`
}

// SnoozeInteraction is the data of interaction.snooze.
type SnoozeInteraction struct {
	InteractionID string      `json:"interactionId"`
	Version       int64       `json:"version"`
	Until         omni.Millis `json:"until"`
}

// LabelInteraction is the data of interaction.label.
type LabelInteraction struct {
	InteractionID string   `json:"interactionId"`
	Version       int64    `json:"version"`
	LabelIDs      []string `json:"labelIds"` // all that it has from now on
}

// AddNote is the data of note.add.
type AddNote struct {
	InteractionID string   `json:"interactionId"`
	ClientID      string   `json:"clientId"` // UUIDv7, the note's id from then on: the same again answers the same note
	Body          string   `json:"body"`
	Mentions      []string `json:"mentions,omitempty"` // ids of users who see the interaction
}

// Note is what an agent wrote beside an interaction.
type Note struct {
	ID            string      `json:"id"`
	InteractionID string      `json:"interactionId"`
	UserID        string      `json:"userId"` // who wrote it
	Body          string      `json:"body"`
	Mentions      []string    `json:"mentions,omitempty"`
	EditedAt      omni.Millis `json:"editedAt,omitempty"`
	Version       int64       `json:"version"`
	At            omni.Millis `json:"at"`
}

// NewNote makes the client's view of n.
func NewNote(n omni.Note) Note {
	return Note{
		ID: n.ID, InteractionID: n.InteractionID, UserID: n.Tenant.UserID, Body: n.Body, Mentions: n.Mentions, EditedAt: n.EditedAt,
		Version: n.Version, At: n.CreatedAt,
	}
}

// SaveDraft is the data of draft.save. A text that was sent is saved as an empty one.
type SaveDraft struct {
	InteractionID string        `json:"interactionId"`
	Tab           omni.DraftTab `json:"tab"`
	Text          string        `json:"text"`
	ReplyTo       string        `json:"replyTo,omitempty"` // id of a message of the same interaction
	Version       int64         `json:"version"`           // that was read; 0: there was none. Of another one the answer is conflict, with draft
}

// Draft is what the user of the connection has written and not sent, one for each interaction and tab.
type Draft struct {
	InteractionID string        `json:"interactionId"`
	Tab           omni.DraftTab `json:"tab"`
	Text          string        `json:"text"`
	ReplyTo       string        `json:"replyTo,omitempty"`
	Version       int64         `json:"version"`
	At            omni.Millis   `json:"at"` // when it was saved
}

// NewDraft makes the client's view of d.
func NewDraft(d omni.Draft) Draft {
	return Draft{InteractionID: d.InteractionID, Tab: d.Tab, Text: d.Text, ReplyTo: d.ReplyTo, Version: d.Version, At: d.UpdatedAt}
}

// Owner is who works on an interaction.
type Owner struct {
	Type omni.OrganisationalEntity `json:"type"`
	ID   string                    `json:"id"`
}

// File is a file of a message.
type File struct {
	ID          string          `json:"id,omitempty"`
	Type        omni.MediaType  `json:"type"`
	ContentType string          `json:"contentType,omitempty"`
	Size        int64           `json:"size,omitempty"`
	Name        string          `json:"name,omitempty"`
	State       omni.MediaState `json:"state"`
	Failure     string          `json:"failure,omitempty"`
	URL         string          `json:"url,omitempty"`      // signed, for 10 to 15 minutes, relative to the public URL or absolute; only in REST answers to agents
	URLUntil    omni.Millis     `json:"urlUntil,omitempty"` // when URL ends; ask for the message again then
}

// Payload is what a message says.
type Payload struct {
	Type          omni.PayloadType `json:"type"`
	Text          string           `json:"text,omitempty"`
	Files         []File           `json:"files,omitempty"`
	ButtonPayload string           `json:"buttonPayload,omitempty"`
	Unsupported   string           `json:"unsupported,omitempty"`
	Template      *TemplateRef     `json:"template,omitempty"` // Text is what its reader sees
	Interactive   *Interactive     `json:"interactive,omitempty"`
	Location      *Location        `json:"location,omitempty"`
	Contacts      []ContactCard    `json:"contacts,omitempty"`
}

// Message is a message as clients see it.
type Message struct {
	ID            string           `json:"id"`
	InteractionID string           `json:"interactionId"`
	Seq           int64            `json:"seq"`
	Direction     omni.Direction   `json:"direction"`
	ChannelType   omni.ChannelType `json:"channelType"`
	UserID        string           `json:"userId,omitempty"` // the agent who wrote it
	Payload       Payload          `json:"payload"`
	ClientID      string           `json:"clientId,omitempty"`
	ReplyTo       string           `json:"replyTo,omitempty"`
	Segments      int              `json:"segments,omitempty"`
	Status        omni.Status      `json:"status,omitempty"`   // outbound only
	StatusAt      omni.Millis      `json:"statusAt,omitempty"` // left out while it is the same as At
	Attempt       int              `json:"attempt,omitempty"`  // how often somebody had it sent again after it had failed
	Reason        omni.Reason      `json:"reason,omitempty"`
	ErrorCode     string           `json:"errorCode,omitempty"`
	ErrorText     string           `json:"errorText,omitempty"` // the reason in words for an agent, and what can be done
	At            omni.Millis      `json:"at"`                  // when the gateway got it
	EditedAt      omni.Millis      `json:"editedAt,omitempty"`  // when its sender changed it
	DeletedAt     omni.Millis      `json:"deletedAt,omitempty"` // when its sender took it back: of its payload there is the type alone then
	Metadata      omni.Metadata    `json:"metadata,omitempty"`  // what the carrier told beside it: text from outside
	Reactions     []Reaction       `json:"reactions,omitempty"` // oldest first; in what REST reads and in message.updated
}

// Reaction is an emoji on a message. A sender has one on a message: of two the later counts, by At.
type Reaction struct {
	SenderType omni.SenderType `json:"senderType"`
	SenderID   string          `json:"senderId"` // a contact's identity, or a user
	Emoji      string          `json:"emoji"`    // text from outside; in message.reaction "" says that it was taken away
	At         omni.Millis     `json:"at"`
}

// NewReactions makes the clients' view of reactions, by the message that they are to.
func NewReactions(rs []omni.Reaction) map[string][]Reaction {
	views := make(map[string][]Reaction, len(rs))
	for _, r := range rs {
		views[r.MessageID] = append(views[r.MessageID], Reaction{SenderType: r.SenderType, SenderID: r.SenderID, Emoji: r.Emoji, At: r.At})
	}
	return views
}

// VisitorMessage is a message as a website visitor sees it.
type VisitorMessage struct {
	ID         string         `json:"id"`
	Seq        int64          `json:"seq"`
	Direction  omni.Direction `json:"direction"` // INBOUND: the visitor wrote it
	SenderName string         `json:"senderName,omitempty"`
	Payload    Payload        `json:"payload"`
	ClientID   string         `json:"clientId,omitempty"`
	Status     omni.Status    `json:"status,omitempty"`
	At         omni.Millis    `json:"at"`
}

// NewMessage makes the client's view of m.
func NewMessage(m omni.ServiceMessage) Message {
	v := Message{
		ID: m.ID, InteractionID: m.InteractionID, Seq: m.Sequence, Direction: m.Direction, ChannelType: m.Channel.ChannelType,
		UserID: m.Tenant.UserID, ClientID: m.ClientID, ReplyTo: m.ReplyTo, Segments: m.Segments,
		Status: m.Status, StatusAt: m.StatusAt, Attempt: m.Attempts(), Reason: m.Reason, ErrorCode: m.ErrorCode, ErrorText: ReasonText(m.Reason),
		At: m.ReceivedAt, EditedAt: m.EditedAt, DeletedAt: m.DeletedAt, Metadata: maps.Clone(m.Metadata),
		Payload: Payload{
			Type: m.Payload.Type, Text: m.Payload.TextBody(),
			ButtonPayload: m.Payload.ButtonPayload, Unsupported: m.Payload.Unsupported,
		},
	}
	if v.StatusAt == v.At {
		v.StatusAt = 0
	}
	if m.DeletedAt > 0 {
		v.Payload, v.Metadata = Payload{Type: m.Payload.Type}, nil
		return v
	}
	v.Payload.addRich(m.Payload)
	files := m.Payload.Files()
	if t := m.Payload.Template; t != nil { // those that we have
		files = append(files, slices.DeleteFunc(t.Files(), func(f omni.MediaReference) bool { return f.ID == "" })...)
	}
	for _, f := range files {
		v.Payload.Files = append(v.Payload.Files, File{
			ID: f.ID, Type: f.Type, ContentType: f.ContentType, Size: f.Size,
			Name: omni.CleanName(f.FileName), State: f.State, Failure: f.Failure,
		})
	}
	return v
}

// addRich adds what is more than text and files.
func (v *Payload) addRich(p omni.MessagePayload) {
	if t := p.Template; t != nil {
		v.Template = &TemplateRef{TemplateID: t.TemplateID, Name: t.Name, Language: t.Language}
	}
	if i := p.Interactive; i != nil {
		v.Interactive = &Interactive{Type: i.Type, Header: i.Header, Footer: i.Footer, Button: i.Button, URL: i.URL}
		for _, c := range i.Choices {
			v.Interactive.Choices = append(v.Interactive.Choices, Choice(c))
		}
	}
	if l := p.Location; l != nil {
		v.Location = &Location{Latitude: l.Latitude, Longitude: l.Longitude, Name: omni.CleanName(l.Name), Address: omni.CleanName(l.Address)}
	}
	for _, c := range p.Contacts {
		v.Contacts = append(v.Contacts, ContactCard{
			Name: omni.CleanName(c.Name), Phones: slices.Clone(c.Phones), Emails: slices.Clone(c.Emails), Organisation: omni.CleanName(c.Organisation),
		})
	}
}

// ReasonText puts a reason into words for an agent: what happened and what can be done.
func ReasonText(r omni.Reason) string {
	switch r {
	case omni.ReasonThrottled:
		return "The carrier is busy. The message is tried again by itself."
	case omni.ReasonUnreachable:
		return "The carrier or the phone could not be reached."
	case omni.ReasonRejected:
		return "The carrier or the recipient refused this message. Check the number or try another channel."
	case omni.ReasonMisconfigured:
		return "The carrier refused it because of how this channel is set up. An admin has to look at the carrier account."
	case omni.ReasonOptedOut:
		return "The recipient has opted out. They have to write START before you can message them again."
	case omni.ReasonWindowClosed:
		return "The time for free text is over. Send a template, or wait for the contact to write."
	case omni.ReasonMalformed:
		return "The carrier cannot take this message. Change it and send it again."
	case omni.ReasonUnknown:
		return "The carrier gave no answer, so it may or may not have arrived. It is not sent again by itself."
	default:
		return ""
	}
}

// StatusChange is the data of message.status. Of one attempt only a higher status counts (omni.Status.Rank); of a higher
// attempt any does, which begins with queued again; of a lower one none.
type StatusChange struct {
	MessageID     string      `json:"messageId"`
	InteractionID string      `json:"interactionId"`
	Status        omni.Status `json:"status"`
	Attempt       int         `json:"attempt,omitempty"` // as in Message
	At            omni.Millis `json:"at"`
	Reason        omni.Reason `json:"reason,omitempty"`
	ErrorCode     string      `json:"errorCode,omitempty"`
	ErrorText     string      `json:"errorText,omitempty"`
}

// MessageDeletion is the data of message.deleted: its sender took it back. It keeps its place in the conversation.
type MessageDeletion struct {
	MessageID     string      `json:"messageId"`
	InteractionID string      `json:"interactionId"`
	At            omni.Millis `json:"at"`
}

// ReactionChange is the data of message.reaction. Who knows a later reaction of the same sender to the message keeps it.
type ReactionChange struct {
	MessageID     string   `json:"messageId"`
	InteractionID string   `json:"interactionId"`
	Reaction      Reaction `json:"reaction"`
}

// Interaction is a conversation as clients see it.
type Interaction struct {
	ID             string                `json:"id"`
	ContactID      string                `json:"contactId"`
	ChannelID      string                `json:"channelId"`
	ChannelType    omni.ChannelType      `json:"channelType"`
	GroupID        string                `json:"groupId"`
	FolderID       string                `json:"folderId,omitempty"`
	LabelIDs       []string              `json:"labelIds,omitempty"`
	Owner          Owner                 `json:"owner"`
	State          omni.InteractionState `json:"state"`
	ContactName    string                `json:"contactName,omitempty"`
	ContactAddress string                `json:"contactAddress"`
	LastSeq        int64                 `json:"lastSeq"`
	LastMessageAt  omni.Millis           `json:"lastMessageAt"`
	LastPreview    string                `json:"lastPreview,omitempty"`
	LastDirection  omni.Direction        `json:"lastDirection,omitempty"`
	LastInboundAt  omni.Millis           `json:"lastInboundAt,omitempty"`
	WaitingSince   omni.Millis           `json:"waitingSince,omitempty"`
	Unread         int                   `json:"unread"`
	AgentReadSeq   int64                 `json:"agentReadSeq"`
	ContactReadSeq int64                 `json:"contactReadSeq"`
	Version        int64                 `json:"version"`
	CreatedAt      omni.Millis           `json:"createdAt"`
	ResolvedAt     omni.Millis           `json:"resolvedAt,omitempty"`
	SnoozedUntil   omni.Millis           `json:"snoozedUntil,omitempty"`
}

// NewInteraction makes the client's view of i.
func NewInteraction(i omni.Interaction) Interaction {
	return Interaction{
		ID: i.ID, ContactID: i.ContactID, ChannelID: i.DigitalChannelID, ChannelType: i.ChannelType, GroupID: i.GroupID,
		FolderID: i.FolderID, LabelIDs: i.LabelIDs, Owner: Owner(i.Owner), State: i.State, ContactName: i.ContactName,
		ContactAddress: i.ContactAddress, LastSeq: i.LastSequence, LastMessageAt: i.LastMessageAt, LastPreview: i.LastPreview,
		LastDirection: i.LastDirection, LastInboundAt: i.LastInboundAt, WaitingSince: i.WaitingSince, Unread: i.Unread,
		AgentReadSeq: i.AgentReadSeq, ContactReadSeq: i.ContactReadSeq, Version: i.Version, CreatedAt: i.CreatedAt,
		ResolvedAt: i.ResolvedAt, SnoozedUntil: i.SnoozedUntil,
	}
}

// InteractionChange is the data of interaction.updated, .assigned, .moved, .snoozed, .resolved and .reopened: ids, what
// changed, who did it. Who does not know the interaction of one that was moved to them reads it.
type InteractionChange struct {
	InteractionID  string                 `json:"interactionId"`
	Version        int64                  `json:"version,omitempty"` // 0: the version stayed (read marks)
	Owner          *Owner                 `json:"owner,omitempty"`
	State          *omni.InteractionState `json:"state,omitempty"`
	ResolvedAt     *omni.Millis           `json:"resolvedAt,omitempty"`
	SnoozedUntil   *omni.Millis           `json:"snoozedUntil,omitempty"`
	GroupID        *string                `json:"groupId,omitempty"`
	FolderID       *string                `json:"folderId,omitempty"`
	LabelIDs       *[]string              `json:"labelIds,omitempty"` // all of them; [] is none
	AgentReadSeq   *int64                 `json:"agentReadSeq,omitempty"`
	ContactReadSeq *int64                 `json:"contactReadSeq,omitempty"`
	Unread         *int                   `json:"unread,omitempty"`
	ContactName    *string                `json:"contactName,omitempty"`
	By             string                 `json:"by,omitempty"`     // user id; empty: the system
	Reason         string                 `json:"reason,omitempty"` // such as "claimed", "contact wrote again"
}

// FileChange is the data of media.ready and media.failed: what came of fetching a file of a message. Links to it are in
// REST answers alone.
type FileChange struct {
	MessageID     string `json:"messageId"`
	InteractionID string `json:"interactionId"`
	Index         int    `json:"index"` // in Payload.Files
	File          File   `json:"file"`
}

// ContactChange is the data of contact.updated: ids, what changed, who did it.
type ContactChange struct {
	ContactID  string             `json:"contactId"`
	Version    int64              `json:"version"`
	Name       *string            `json:"name,omitempty"`
	Language   *string            `json:"language,omitempty"`
	Labels     *[]string          `json:"labels,omitempty"`     // all of them
	Attributes *map[string]string `json:"attributes,omitempty"` // all of them
	By         string             `json:"by,omitempty"`         // user id
}

// UpdateVisitor is the data of visitor.update: what a visitor says of themselves. What is empty stays as it is.
type UpdateVisitor struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
	Phone string `json:"phone,omitempty"`
	Page  string `json:"page,omitempty"` // address of the page that they are on
}

// ConsentChange is the data of consent.changed.
type ConsentChange struct {
	ContactID   string           `json:"contactId"`
	ChannelType omni.ChannelType `json:"channelType"`
	Address     string           `json:"address"`
	OptedOut    bool             `json:"optedOut"`
	Marketing   bool             `json:"marketing,omitempty"` // of marketing messages alone
	By          string           `json:"by"`
}

// SettingsChange is the data of settings.changed: what to read again.
type SettingsChange struct {
	Kind string `json:"kind"` // user, group, channel, carrier-account, folder, label, organisation
	ID   string `json:"id"`
}

// HealthChange is the data of channel.health.
type HealthChange struct {
	ChannelID string `json:"channelId"`
	State     string `json:"state"` // ok, degraded or down
	Reason    string `json:"reason,omitempty"`
}

// TemplateChange is the data of template.status: what a template is now. One that was deleted is gone from lists.
type TemplateChange struct {
	TemplateID       string                `json:"templateId"`
	CarrierAccountID string                `json:"carrierAccountId"`
	Name             string                `json:"name"`
	Language         string                `json:"language"`
	Category         omni.TemplateCategory `json:"category"`
	Status           omni.TemplateStatus   `json:"status"`
	Quality          omni.TemplateQuality  `json:"quality"`
	Reason           string                `json:"reason,omitempty"` // the carrier's word for why it was refused or stopped
	Usable           bool                  `json:"usable"`
	Version          int64                 `json:"version"`
}

// SessionEnd is the data of session.ended.
type SessionEnd struct {
	Reason string `json:"reason"`
}

// Typing is the data of the passing event typing.
type Typing struct {
	InteractionID string      `json:"interactionId"`
	Who           Person      `json:"who"`
	Until         omni.Millis `json:"until"` // 0: stopped
}

// Viewing is the data of the passing event viewing: a user looks at an interaction, or no longer does. It is told when
// that begins and when it ends, whatever ends it, and not while it goes on.
type Viewing struct {
	InteractionID string      `json:"interactionId"`
	Who           Person      `json:"who"`
	Until         omni.Millis `json:"until"` // when it ends if nobody renews it; 0: it has ended
}

// Presence is the data of the passing event presence: a user comes, goes, or is in another state. It is told as Viewing
// is, while at most 500 users are there; of more a client reads the list now and then.
type Presence struct {
	Who   Person             `json:"who"`
	State omni.PresenceState `json:"state"`
	Until omni.Millis        `json:"until"` // when they are gone if nobody renews it; 0: they are
}

// Availability is the data of the passing event availability: whether somebody of the team is there for a visitor. It is
// told without a topic, soon after connect and when it changes, and never says who.
type Availability struct {
	Online bool `json:"online"`
}

// Person is who does something, as others may see them.
type Person struct {
	Type omni.SenderType `json:"type"`
	ID   string          `json:"id,omitempty"`
	Name string          `json:"name,omitempty"`
}

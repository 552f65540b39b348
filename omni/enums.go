package omni

import (
	"slices"
	"strings"
)

// ChannelType is the kind of channel a person talks over. (Seed: ChannelType.)
type ChannelType string

// The channel types.
const (
	ChannelSMS      ChannelType = "SMS"
	ChannelMMS      ChannelType = "MMS"
	ChannelWhatsApp ChannelType = "WhatsApp"
	ChannelPubNub   ChannelType = "PubNub"
	ChannelLiveChat ChannelType = "LiveChat"
)

// ChannelTypes lists every channel type.
var ChannelTypes = []ChannelType{ChannelSMS, ChannelMMS, ChannelWhatsApp, ChannelPubNub, ChannelLiveChat}

// Valid reports whether c is one of ChannelTypes.
func (c ChannelType) Valid() bool { return isOneOf(c, ChannelTypes) }

// Family is the type under which identities and channels are kept: a person has one identity for SMS and MMS.
func (c ChannelType) Family() ChannelType {
	if c == ChannelMMS {
		return ChannelSMS
	}
	return c
}

// CarrierName names a provider. (Seed: CarrierName.) PubNub is both a channel type and a carrier.
type CarrierName string

// The carriers.
const (
	CarrierTest        CarrierName = "Test"
	CarrierMessageBird CarrierName = "MessageBird"
	CarrierWhatsApp    CarrierName = "WhatsApp"
	CarrierTwilio      CarrierName = "Twilio"
	CarrierBandwidth   CarrierName = "Bandwidth"
	CarrierInteliquent CarrierName = "Inteliquent"
	CarrierPubNub      CarrierName = "PubNub"
)

// CarrierNames lists every carrier.
var CarrierNames = []CarrierName{
	CarrierTest, CarrierMessageBird, CarrierWhatsApp, CarrierTwilio, CarrierBandwidth, CarrierInteliquent, CarrierPubNub,
}

// Valid reports whether c is one of CarrierNames.
func (c CarrierName) Valid() bool { return isOneOf(c, CarrierNames) }

// Path is the carrier's name in URLs: lower case.
func (c CarrierName) Path() string { return strings.ToLower(string(c)) }

// CarrierByPath finds the carrier whose Path is s.
func CarrierByPath(s string) (CarrierName, bool) {
	for _, c := range CarrierNames {
		if c.Path() == s {
			return c, true
		}
	}
	return "", false
}

// Direction tells who sent a message. (Seed: ServiceDirection.)
type Direction string

// The directions.
const (
	Inbound  Direction = "INBOUND"  // from the contact to us
	Outbound Direction = "OUTBOUND" // from us to the contact
)

// Directions lists both directions.
var Directions = []Direction{Inbound, Outbound}

// Valid reports whether d is one of Directions.
func (d Direction) Valid() bool { return isOneOf(d, Directions) }

// GroupType tells who sees a channel group. (Seed: DigitalChannelGroupType.)
type GroupType string

// The group types.
const (
	GroupPrivate GroupType = "PRIVATE" // one user
	GroupShared  GroupType = "SHARED"  // all members
)

// GroupTypes lists both group types.
var GroupTypes = []GroupType{GroupPrivate, GroupShared}

// Valid reports whether g is one of GroupTypes.
func (g GroupType) Valid() bool { return isOneOf(g, GroupTypes) }

// FolderType tells whether a folder stays. (Seed: FolderType.)
type FolderType string

// The folder types.
const (
	FolderDefault   FolderType = "DEFAULT"
	FolderTemporary FolderType = "TEMPORARY" // has an end date
)

// FolderTypes lists both folder types.
var FolderTypes = []FolderType{FolderDefault, FolderTemporary}

// Valid reports whether f is one of FolderTypes.
func (f FolderType) Valid() bool { return isOneOf(f, FolderTypes) }

// SenderType tells what kind of sender a message has. (Seed: SenderType.)
type SenderType string

// The sender types.
const (
	SenderContact SenderType = "CONTACT"
	SenderUser    SenderType = "USER"
)

// SenderTypes lists both sender types.
var SenderTypes = []SenderType{SenderContact, SenderUser}

// Valid reports whether s is one of SenderTypes.
func (s SenderType) Valid() bool { return isOneOf(s, SenderTypes) }

// OrganisationalEntity is what can own an interaction. (Seed: OrganisationalEntity.)
type OrganisationalEntity string

// The organisational entities.
const (
	EntityUser  OrganisationalEntity = "User"
	EntityGroup OrganisationalEntity = "Group"
)

// OrganisationalEntities lists both entities.
var OrganisationalEntities = []OrganisationalEntity{EntityUser, EntityGroup}

// Valid reports whether e is one of OrganisationalEntities.
func (e OrganisationalEntity) Valid() bool { return isOneOf(e, OrganisationalEntities) }

// MediaType is the broad kind of a file. (Seed: MediaType.)
type MediaType string

// The media types.
const (
	MediaImage    MediaType = "image"
	MediaVideo    MediaType = "video"
	MediaAudio    MediaType = "audio"
	MediaDocument MediaType = "document"
)

// MediaTypes lists every media type.
var MediaTypes = []MediaType{MediaImage, MediaVideo, MediaAudio, MediaDocument}

// Valid reports whether m is one of MediaTypes.
func (m MediaType) Valid() bool { return isOneOf(m, MediaTypes) }

// MediaTypeOf gives the media type of a MIME content type: its first half where that is image, video or audio,
// else document.
func MediaTypeOf(contentType string) MediaType {
	switch major, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(contentType)), "/"); MediaType(major) {
	case MediaImage:
		return MediaImage
	case MediaVideo:
		return MediaVideo
	case MediaAudio:
		return MediaAudio
	default:
		return MediaDocument
	}
}

// MediaConvertJobStatus is the end of a media conversion. (Seed: MediaConvertJobStatus.)
type MediaConvertJobStatus string

// The conversion results. An empty status is a job that has not ended.
const (
	ConvertComplete     MediaConvertJobStatus = "Complete"
	ConvertFailed       MediaConvertJobStatus = "Failed"
	ConvertIncompatible MediaConvertJobStatus = "Incompatible"
)

// MediaConvertJobStatuses lists every conversion result.
var MediaConvertJobStatuses = []MediaConvertJobStatus{ConvertComplete, ConvertFailed, ConvertIncompatible}

// Valid reports whether s is one of MediaConvertJobStatuses.
func (s MediaConvertJobStatus) Valid() bool { return isOneOf(s, MediaConvertJobStatuses) }

// Status is how far an outbound message has come. Statuses are ranked: see Rank.
type Status string

// The statuses, in rank order. Failed and undeliverable share a rank: the first of them stays.
const (
	StatusQueued        Status = "queued"        // durable here, not yet taken by the carrier
	StatusUnknown       Status = "unknown"       // handed to the carrier, which gave no answer; never sent again by itself
	StatusSent          Status = "sent"          // taken by the carrier
	StatusFailed        Status = "failed"        // it will not be sent
	StatusUndeliverable Status = "undeliverable" // sent, and refused by a network or a handset
	StatusDelivered     Status = "delivered"     // on the recipient's device
	StatusRead          Status = "read"          // seen by the recipient
)

// Statuses lists every status, in rank order.
var Statuses = []Status{
	StatusQueued, StatusUnknown, StatusSent, StatusFailed, StatusUndeliverable, StatusDelivered, StatusRead,
}

// Valid reports whether s is one of Statuses.
func (s Status) Valid() bool { return isOneOf(s, Statuses) }

// Rank orders statuses: a message's status changes only to one of higher rank. A delivery that comes after a
// failure wins, because the recipient has the message. The empty status ranks 0.
func (s Status) Rank() int {
	switch s {
	case StatusQueued:
		return 10
	case StatusUnknown:
		return 15
	case StatusSent:
		return 20
	case StatusFailed, StatusUndeliverable:
		return 30
	case StatusDelivered:
		return 40
	case StatusRead:
		return 50
	default:
		return 0
	}
}

// Reason is why a message failed. What happens next follows from it alone.
type Reason string

// The reasons.
const (
	ReasonThrottled     Reason = "throttled"     // too fast; try again later
	ReasonUnreachable   Reason = "unreachable"   // carrier, network or handset away; try again
	ReasonRejected      Reason = "rejected"      // refused for good
	ReasonMisconfigured Reason = "misconfigured" // refused until somebody changes the account or channel
	ReasonOptedOut      Reason = "opted_out"     // the recipient does not want messages
	ReasonWindowClosed  Reason = "window_closed" // free text is not allowed now; a template may be
	ReasonMalformed     Reason = "malformed"     // the carrier cannot read or take this message
	ReasonUnknown       Reason = "unknown"       // the outcome is not known; never sent again by itself
)

// Reasons lists every reason.
var Reasons = []Reason{
	ReasonThrottled, ReasonUnreachable, ReasonRejected, ReasonMisconfigured,
	ReasonOptedOut, ReasonWindowClosed, ReasonMalformed, ReasonUnknown,
}

// Valid reports whether r is one of Reasons.
func (r Reason) Valid() bool { return isOneOf(r, Reasons) }

// Retryable reports whether the same message may be tried again by itself.
func (r Reason) Retryable() bool { return r == ReasonThrottled || r == ReasonUnreachable }

// InteractionState is where an interaction stands.
type InteractionState string

// The interaction states.
const (
	InteractionOpen     InteractionState = "open"
	InteractionSnoozed  InteractionState = "snoozed"
	InteractionResolved InteractionState = "resolved"
)

// InteractionStates lists every interaction state.
var InteractionStates = []InteractionState{InteractionOpen, InteractionSnoozed, InteractionResolved}

// Valid reports whether s is one of InteractionStates.
func (s InteractionState) Valid() bool { return isOneOf(s, InteractionStates) }

// Role is what a principal may do.
type Role string

// The roles. Admin, supervisor and agent are users'; service is an API key's; visitor is a website visitor's.
const (
	RoleAdmin      Role = "admin"
	RoleSupervisor Role = "supervisor"
	RoleAgent      Role = "agent"
	RoleService    Role = "service"
	RoleVisitor    Role = "visitor"
)

// UserRoles lists the roles that a user can have.
var UserRoles = []Role{RoleAdmin, RoleSupervisor, RoleAgent}

// Roles lists every role.
var Roles = []Role{RoleAdmin, RoleSupervisor, RoleAgent, RoleService, RoleVisitor}

// Valid reports whether r is one of Roles.
func (r Role) Valid() bool { return isOneOf(r, Roles) }

// PresenceState is how a user is there for others.
type PresenceState string

// The presence states.
const (
	PresenceOnline  PresenceState = "online"
	PresenceAway    PresenceState = "away"
	PresenceBusy    PresenceState = "busy"
	PresenceOffline PresenceState = "offline" // has no connection; nobody sets it
)

// PresenceStates lists every presence state.
var PresenceStates = []PresenceState{PresenceOnline, PresenceAway, PresenceBusy, PresenceOffline}

// Valid reports whether s is one of PresenceStates.
func (s PresenceState) Valid() bool { return isOneOf(s, PresenceStates) }

// EventKind is what a carrier's event tells.
type EventKind string

// The event kinds.
const (
	EventMessage    EventKind = "message"
	EventStatus     EventKind = "status"
	EventReaction   EventKind = "reaction"
	EventTemplate   EventKind = "template"
	EventAccount    EventKind = "account"
	EventSystem     EventKind = "system"
	EventEdit       EventKind = "edit"
	EventDelete     EventKind = "delete"
	EventPreference EventKind = "preference"
	EventError      EventKind = "error"
)

// EventKinds lists every event kind.
var EventKinds = []EventKind{
	EventMessage, EventStatus, EventReaction, EventTemplate, EventAccount,
	EventSystem, EventEdit, EventDelete, EventPreference, EventError,
}

// Valid reports whether k is one of EventKinds.
func (k EventKind) Valid() bool { return isOneOf(k, EventKinds) }

// ownWords reports whether the status of such an event is a word of the carrier: APPROVED, RED, stop.
func (k EventKind) ownWords() bool {
	return k == EventTemplate || k == EventAccount || k == EventPreference
}

// PayloadType is the kind of a message's content.
type PayloadType string

// The payload types.
const (
	PayloadText        PayloadType = "text"        // Text is set
	PayloadImage       PayloadType = "image"       // Image is set: nothing but images, with or without text
	PayloadMedia       PayloadType = "media"       // Media is set: files of any kind, with or without text
	PayloadTemplate    PayloadType = "template"    // Template is set; Text is what its reader sees
	PayloadInteractive PayloadType = "interactive" // Interactive is set; Text is its body
	PayloadLocation    PayloadType = "location"    // Location is set; Text names the place
	PayloadContacts    PayloadType = "contacts"    // Contacts is set; Text has a line for each
	PayloadUnsupported PayloadType = "unsupported" // a kind that we cannot show; Unsupported names it
)

// PayloadTypes lists every payload type.
var PayloadTypes = []PayloadType{
	PayloadText, PayloadImage, PayloadMedia, PayloadTemplate, PayloadInteractive, PayloadLocation, PayloadContacts, PayloadUnsupported,
}

// Valid reports whether p is one of PayloadTypes.
func (p PayloadType) Valid() bool { return isOneOf(p, PayloadTypes) }

// InteractiveType is what the reader of an interactive message can do.
type InteractiveType string

// The interactive types, by WhatsApp's words.
const (
	InteractiveButtons  InteractiveType = "button"                   // press one of up to 3 buttons
	InteractiveList     InteractiveType = "list"                     // choose from a list
	InteractiveURL      InteractiveType = "cta_url"                  // open an address
	InteractiveLocation InteractiveType = "location_request_message" // tell where they are
	InteractiveFlow     InteractiveType = "flow"                     // fill in a form
)

// InteractiveTypes lists every interactive type.
var InteractiveTypes = []InteractiveType{InteractiveButtons, InteractiveList, InteractiveURL, InteractiveLocation, InteractiveFlow}

// Valid reports whether t is one of InteractiveTypes.
func (t InteractiveType) Valid() bool { return isOneOf(t, InteractiveTypes) }

// MediaState is where a file stands on its way to us.
type MediaState string

// The media states.
const (
	MediaPending MediaState = "pending" // not yet fetched from the carrier
	MediaReady   MediaState = "ready"   // stored here
	MediaFailed  MediaState = "failed"  // cannot be had
)

// MediaStates lists every media state.
var MediaStates = []MediaState{MediaPending, MediaReady, MediaFailed}

// Valid reports whether s is one of MediaStates.
func (s MediaState) Valid() bool { return isOneOf(s, MediaStates) }

func isOneOf[T comparable](v T, all []T) bool {
	return slices.Contains(all, v)
}

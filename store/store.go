// Package store defines what the gateway keeps, as small interfaces per aggregate, and what each call guarantees.
// sqlitestore is the embedded implementation; storetest is the suite that every implementation passes.
//
// Rules for all of it:
//   - Every call on an organisation's data takes its omni.Tenant; another organisation's records are
//     omni.ErrNotFound, as if they did not exist. The few calls without one (Doors, queues, locks) say why.
//   - A write that returned nil is durable. A write that returned an error wrapping omni.ErrUnavailable may or may
//     not have happened; every write is safe to repeat with the same ids: creating the very same record again is no error.
//   - A record that names another organisation than the tenant is omni.ErrNotFound too.
//   - Values are copies: a caller may change what it got or gave.
//   - Lists are paged by cursor, say their order, and give at most MaxPage items.
//   - Errors wrap the kinds of package omni.
package store

import (
	"context"
	"time"

	"omniservice/omni"
)

// MaxPage is the most items that one page holds.
const MaxPage = 200

// Page asks for a part of a list. The zero Page is its beginning, 50 items.
type Page struct {
	Cursor string // from the page before; "" begins. One that was not given by the same list is omni.ErrInvalid
	Limit  int    // 0 means 50; more than MaxPage means MaxPage
}

// List is one page of a list.
type List[T any] struct {
	Items []T
	Next  string // cursor of the next page; "" on the last
}

// Store is everything. Close waits for writes that have begun.
type Store interface {
	Organisations
	Users
	Sessions
	APIKeys
	Groups
	Folders
	CarrierAccounts
	Channels
	Contacts
	Consents
	Aliases
	ExternalIDs
	Interactions
	Messages
	Reactions
	Inbox
	Deliveries
	Fragments
	Outbox
	Media
	Locks
	Idempotency
	Audit
	Doors
	Desk
	Rules
	Files
	Search
	Changes
	Moving

	// Sweep removes what has passed its end date: sessions, one-time tokens, idempotency keys, early statuses,
	// set-aside webhooks, fragments, deliveries. It returns how many records went.
	Sweep(ctx context.Context, now omni.Millis) (int, error)
	// Ping reports whether the store can read and write now.
	Ping(ctx context.Context) error
	Close() error
}

// Doors are the only calls without a tenant: each turns something globally unique, that its bearer had to know,
// into a record that says which organisation it belongs to.
type Doors interface {
	UserByEmail(ctx context.Context, email string) (omni.User, error)
	SessionByID(ctx context.Context, id string) (omni.Session, error)
	APIKeyByHash(ctx context.Context, hash string) (omni.APIKey, error)
	CarrierAccountByPublicID(ctx context.Context, publicID string) (omni.CarrierAccount, error)
	// LiveChatChannel finds a LiveChat channel by the public id of its widget.
	LiveChatChannel(ctx context.Context, publicID string) (omni.DigitalChannel, error)
	// TakeOneTimeToken removes a token and returns it: of any number of callers one gets it. Expired ones are omni.ErrNotFound.
	TakeOneTimeToken(ctx context.Context, hash string, now omni.Millis) (omni.OneTimeToken, error)
	// AllOrganisations lists every organisation, oldest first: for the program itself, never for a request.
	AllOrganisations(ctx context.Context, p Page) (List[omni.Organisation], error)
}

// Organisations keeps organisations.
type Organisations interface {
	CreateOrganisation(ctx context.Context, o omni.Organisation) error
	Organisation(ctx context.Context, t omni.Tenant) (omni.Organisation, error)
	// UpdateOrganisation replaces the record if its stored Version is o.Version, and stores Version+1; else omni.ErrConflict.
	UpdateOrganisation(ctx context.Context, t omni.Tenant, o omni.Organisation) (omni.Organisation, error)
}

// Users keeps users. The e-mail address is unique over all organisations: omni.ErrConflict.
type Users interface {
	CreateUser(ctx context.Context, t omni.Tenant, u omni.User) error
	User(ctx context.Context, t omni.Tenant, id string) (omni.User, error)
	UpdateUser(ctx context.Context, t omni.Tenant, u omni.User) (omni.User, error) // by Version, like UpdateOrganisation
	Users(ctx context.Context, t omni.Tenant, p Page) (List[omni.User], error)     // by name, then id
}

// Sessions keeps logins and one-time tokens.
type Sessions interface {
	CreateSession(ctx context.Context, t omni.Tenant, s omni.Session) error
	// RotateSession replaces the refresh hash if old is the current one; else omni.ErrConflict and nothing changes.
	// An ended session is omni.ErrNotFound.
	RotateSession(ctx context.Context, t omni.Tenant, id, old, next string, expires omni.Millis) (omni.Session, error)
	// EndSession ends a session. One that has ended stays as it was, and is no error.
	EndSession(ctx context.Context, t omni.Tenant, id string, at omni.Millis) error
	// EndSessions ends all sessions of a user and returns their ids.
	EndSessions(ctx context.Context, t omni.Tenant, userID string, at omni.Millis) ([]string, error)
	PutOneTimeToken(ctx context.Context, t omni.Tenant, o omni.OneTimeToken) error
}

// APIKeys keeps API keys.
type APIKeys interface {
	CreateAPIKey(ctx context.Context, t omni.Tenant, k omni.APIKey) error
	APIKeys(ctx context.Context, t omni.Tenant, p Page) (List[omni.APIKey], error) // newest first
	DeleteAPIKey(ctx context.Context, t omni.Tenant, id string) error
}

// Groups keeps channel groups.
type Groups interface {
	CreateGroup(ctx context.Context, t omni.Tenant, g omni.DigitalChannelGroup) error
	Group(ctx context.Context, t omni.Tenant, id string) (omni.DigitalChannelGroup, error)
	UpdateGroup(ctx context.Context, t omni.Tenant, g omni.DigitalChannelGroup) (omni.DigitalChannelGroup, error)
	Groups(ctx context.Context, t omni.Tenant, p Page) (List[omni.DigitalChannelGroup], error) // by name, then id
}

// Folders keeps folders.
type Folders interface {
	CreateFolder(ctx context.Context, t omni.Tenant, f omni.Folder) error
	Folder(ctx context.Context, t omni.Tenant, id string) (omni.Folder, error)
	UpdateFolder(ctx context.Context, t omni.Tenant, f omni.Folder) (omni.Folder, error)
	Folders(ctx context.Context, t omni.Tenant, p Page) (List[omni.Folder], error) // by name, then id
}

// CarrierAccounts keeps accounts at carriers. PublicID is unique over all: omni.ErrConflict.
type CarrierAccounts interface {
	CreateCarrierAccount(ctx context.Context, t omni.Tenant, a omni.CarrierAccount) error
	CarrierAccount(ctx context.Context, t omni.Tenant, id string) (omni.CarrierAccount, error)
	UpdateCarrierAccount(ctx context.Context, t omni.Tenant, a omni.CarrierAccount) (omni.CarrierAccount, error)
	CarrierAccounts(ctx context.Context, t omni.Tenant, p Page) (List[omni.CarrierAccount], error) // by name, then id
}

// Channels keeps digital channels. (carrier account, family, address) is unique; so is a widget's public id.
type Channels interface {
	CreateChannel(ctx context.Context, t omni.Tenant, c omni.DigitalChannel) error
	Channel(ctx context.Context, t omni.Tenant, id string) (omni.DigitalChannel, error)
	ChannelByAddress(ctx context.Context, t omni.Tenant, accountID string, family omni.ChannelType, address string) (omni.DigitalChannel, error)
	UpdateChannel(ctx context.Context, t omni.Tenant, c omni.DigitalChannel) (omni.DigitalChannel, error)
	Channels(ctx context.Context, t omni.Tenant, p Page) (List[omni.DigitalChannel], error) // by name, then id
}

// Contacts keeps contacts and their identities.
type Contacts interface {
	// ResolveIdentity finds the identity of (family, address) or creates it, with a new contact, from the ids given
	// in want: of any number of callers at the same instant one creates. created tells which happened. An address is that
	// of an identity or one of its aliases (Aliases); want.Aliases are looked for too, in order, if the address itself is
	// not there. What is new of address and aliases is added to the aliases of what is found, but for those that are another
	// identity's, and for more than omni.MaxAliases.
	// A name in want that differs from the stored identity's replaces it; a contact without a name takes it.
	ResolveIdentity(ctx context.Context, t omni.Tenant, want omni.ContactIdentity) (c omni.Contact, i omni.ContactIdentity, created bool, err error)
	Identity(ctx context.Context, t omni.Tenant, id string) (omni.ContactIdentity, error)
	IdentityByAddress(ctx context.Context, t omni.Tenant, family omni.ChannelType, address string) (omni.ContactIdentity, error)
	Identities(ctx context.Context, t omni.Tenant, contactID string) ([]omni.ContactIdentity, error) // oldest first
	Contact(ctx context.Context, t omni.Tenant, id string) (omni.Contact, error)
	UpdateContact(ctx context.Context, t omni.Tenant, c omni.Contact) (omni.Contact, error)
	Contacts(ctx context.Context, t omni.Tenant, p Page) (List[omni.Contact], error) // newest first
	// SetConsent records u and makes it the identity's state, unless a newer one is there. changed tells whether the state did.
	// An address without an identity is omni.ErrNotFound, and nothing is recorded.
	SetConsent(ctx context.Context, u omni.ConsentUpdate) (i omni.ContactIdentity, changed bool, err error)
}

// InteractionFilter narrows a list of interactions. GroupIDs is what the caller may see: empty means nothing at all.
type InteractionFilter struct {
	GroupIDs   []string
	OwnerID    string                // user id: only theirs
	Unassigned bool                  // only those that no user owns
	State      omni.InteractionState // "" means open
	ContactID  string
}

// InteractionChange is what an action does to an interaction. Nil fields stay.
type InteractionChange struct {
	Owner      *omni.InteractionOwner
	State      *omni.InteractionState
	GroupID    *string
	FolderID   *string
	LabelIDs   *[]string // all of them; empty: none
	ResolvedAt *omni.Millis
	ResolvedBy *string

	SnoozedUntil *omni.Millis
	SnoozedAfter *int64
}

// OpenOutcome tells how OpenInteraction found its interaction.
type OpenOutcome string

// The outcomes.
const (
	OpenFound    OpenOutcome = "found"
	OpenReopened OpenOutcome = "reopened"
	OpenCreated  OpenOutcome = "created"
)

// Counts are the numbers on the tabs of the list: open interactions.
type Counts struct {
	Mine       int `json:"mine"`
	Unassigned int `json:"unassigned"`
	All        int `json:"all"`
}

// Interactions keeps interactions.
type Interactions interface {
	// OpenInteraction returns the interaction of want.IdentityID and want.DigitalChannelID that is not resolved. If there
	// is none, it reopens the newest one resolved at or after reopenSince, else it creates want. Of any number of
	// callers at the same instant one creates or reopens; the others find. Reopening raises Version, clears ResolvedAt,
	// ResolvedBy and ChangedBy, and leaves the owner.
	OpenInteraction(ctx context.Context, t omni.Tenant, want omni.Interaction, reopenSince omni.Millis) (omni.Interaction, OpenOutcome, error)
	Interaction(ctx context.Context, t omni.Tenant, id string) (omni.Interaction, error)
	// ChangeInteraction applies c if the stored Version is version, and raises it; ChangedBy becomes the user of t. Else it
	// returns the stored interaction and omni.ErrConflict. Reopening while another one of the same identity and channel is open is
	// omni.ErrConflict too.
	ChangeInteraction(ctx context.Context, t omni.Tenant, id string, version int64, c InteractionChange) (omni.Interaction, error)
	// SnoozesDue returns snoozed interactions whose SnoozedUntil is not after now, earliest first. It spans organisations,
	// because a worker serves all.
	SnoozesDue(ctx context.Context, now omni.Millis, limit int) ([]omni.Interaction, error)
	// MarkRead raises AgentReadSeq (by USER) or ContactReadSeq (by CONTACT) to seq, at most to LastSequence; changed is
	// false if it was there already. Agents' reading recounts Unread.
	MarkRead(ctx context.Context, t omni.Tenant, id string, by omni.SenderType, seq int64) (i omni.Interaction, changed bool, err error)
	// ListInteractions gives newest activity first, then id descending.
	ListInteractions(ctx context.Context, t omni.Tenant, f InteractionFilter, p Page) (List[omni.Interaction], error)
	// CountInteractions counts open ones up to 100 each: more is reported as 100. UserID of t decides what is mine.
	CountInteractions(ctx context.Context, t omni.Tenant, groupIDs []string) (Counts, error)
}

// MessageWindow asks for messages of an interaction. Exactly one of Before and After may be set.
type MessageWindow struct {
	Before int64 // only sequences below it, newest first
	After  int64 // only sequences above it, oldest first
	Limit  int   // 0 means 50; at most MaxPage
}

// Messages keeps messages.
type Messages interface {
	// AppendMessage stores m as the next of its interaction: it sets Sequence, raises the interaction's LastSequence and
	// what lists show of it (preview, unread, waiting), and if it GoesOut puts it into the outbox, all in one step. Files of an inbound message that are pending wait to be fetched (Media) from then on. An outbound message with a user in its Tenant ends the waiting. The interaction's state is not
	// looked at: Appended has it. If a message with the same (digital channel, carrier message id), or the same
	// (interaction, ClientID), or the same ID, is there already, nothing changes, and that one is returned with created false.
	AppendMessage(ctx context.Context, t omni.Tenant, m omni.ServiceMessage) (Appended, error)
	Message(ctx context.Context, t omni.Tenant, id string) (omni.ServiceMessage, error)
	MessageByCarrierID(ctx context.Context, t omni.Tenant, channelID, carrierMessageID string) (omni.ServiceMessage, error)
	ListMessages(ctx context.Context, t omni.Tenant, interactionID string, w MessageWindow) ([]omni.ServiceMessage, error)
	// ApplyStatus moves an outbound message to s.Status if that ranks higher than its own, and appends to its history. It
	// is the one with s.MessageID, else the one with s.CarrierMessageID, in s.DigitalChannelID. applied is false if the
	// rank was not higher. If there is no such message yet the status is kept for a day, applied by the call that
	// stores the carrier's id (MarkSent), and omni.ErrNotFound is returned. A message without a carrier's id takes that of
	// s. One that is shown to have gone or failed (sent or higher) leaves the outbox.
	ApplyStatus(ctx context.Context, t omni.Tenant, s omni.DeliveryStatus) (m omni.ServiceMessage, applied bool, err error)
	// EditMessage makes of a message what omni.ServiceMessage.Edited says; changed tells whether anything is other than before.
	EditMessage(ctx context.Context, t omni.Tenant, messageID string, e omni.MessageEdit) (m omni.ServiceMessage, changed bool, err error)
}

// GoesOut reports whether a new message has to be sent: it is outbound and not LiveChat, which is read here, and has not gone
// already, as what was written on our side with another program.
func GoesOut(m omni.ServiceMessage) bool {
	return m.Direction == omni.Outbound && m.Channel.ChannelType != omni.ChannelLiveChat && m.Status.Rank() < omni.StatusSent.Rank()
}

// Appended is the result of AppendMessage.
type Appended struct {
	Message     omni.ServiceMessage
	Interaction omni.Interaction // as it is after the append
	Created     bool             // false: it had been stored before
}

// InboxRecord is a webhook, or the part of one that concerns one conversation, on its way into the pipeline.
type InboxRecord struct {
	ID         string                     `json:"id"`
	Tenant     omni.Tenant                `json:"tenant"`
	AccountID  string                     `json:"accountId"`
	Carrier    omni.CarrierName           `json:"carrier"`
	Partition  int                        `json:"partition"` // 0 to Partitions-1, from the conversation's key
	Events     []omni.CarrierChannelEvent `json:"events"`
	Raw        RawPayload                 `json:"raw"`
	RerouteID  string                     `json:"rerouteId,omitempty"` // the omni.RerouteMapping whose environment gets Raw; "": it is ours
	Attempts   int                        `json:"attempts"`            // how often it failed
	NotBefore  omni.Millis                `json:"notBefore"`           // not tried earlier; 0: at once
	LastError  string                     `json:"lastError"`           // kind of the last failure
	ReceivedAt omni.Millis                `json:"receivedAt"`
}

// RawPayload is a request as it came, so that it can be looked at and played again.
type RawPayload struct {
	Method string            `json:"method,omitempty"`
	Query  string            `json:"query,omitempty"`
	Header map[string]string `json:"header,omitempty"` // those that matter, never signatures or credentials
	Body   []byte            `json:"body,omitempty"`
}

// Partitions is the number of parts that inbox and outbox are divided into, so that nodes can share the work while
// each conversation stays in order.
const Partitions = 64

// SetAsideReason tells why a webhook was kept instead of processed.
type SetAsideReason string

// The reasons.
const (
	SetAsidePoison          SetAsideReason = "poison"            // failed 5 times
	SetAsideChannelNotFound SetAsideReason = "channel_not_found" // no channel of ours has that address
	SetAsideMessageNotFound SetAsideReason = "message_not_found" // a reaction to a message that its sender has not with us
	SetAsideUnknown         SetAsideReason = "unknown"           // a kind of event that we do not know
	SetAsideNotForwarded    SetAsideReason = "not_forwarded"     // its environment did not take it
)

// SetAside is a webhook that waits for a person, until an end date.
type SetAside struct {
	Record    InboxRecord    `json:"record"`
	Reason    SetAsideReason `json:"reason"`
	Detail    string         `json:"detail"` // a word of ours or of the carrier; never a value from the body
	At        omni.Millis    `json:"at"`
	ExpiresAt omni.Millis    `json:"expiresAt"`
}

// Inbox keeps webhooks from their acknowledgement until the pipeline is done with them. It spans organisations,
// because a worker serves all; each record names its tenant, which the server took from the carrier account.
type Inbox interface {
	PutInbox(ctx context.Context, rs ...InboxRecord) error
	// PendingInbox returns records of the given partitions that may be tried at now, oldest first.
	PendingInbox(ctx context.Context, partitions []int, now omni.Millis, limit int) ([]InboxRecord, error)
	// DoneInbox removes records. Ids that are not there are no error.
	DoneInbox(ctx context.Context, ids ...string) error
	// RetryInbox records a failure and when to try again.
	RetryInbox(ctx context.Context, id string, attempts int, notBefore omni.Millis, lastError string) error
	// PutAside stores s and removes its record from the inbox, in one step.
	PutAside(ctx context.Context, s SetAside) error
	// ListAside gives an organisation's set-aside webhooks, newest first.
	ListAside(ctx context.Context, t omni.Tenant, p Page) (List[SetAside], error)
	// ReplayAside puts a set-aside record back into the inbox with attempts 0.
	ReplayAside(ctx context.Context, t omni.Tenant, recordID string) (InboxRecord, error)
}

// Fragments keeps parts of texts until all of them are there.
type Fragments interface {
	// PutFragment keeps f as a part of the text named key, until expires, and returns all parts that are there, by
	// Index. The same index again changes nothing (the first ReceivedAt stays). joined is true once JoinFragments
	// was called for the key: then nothing is kept.
	PutFragment(ctx context.Context, t omni.Tenant, key string, f omni.MessageFragment, expires omni.Millis) (parts []omni.MessageFragment, joined bool, err error)
	// JoinFragments notes, until expires, that the text of key has been joined, and drops its parts.
	JoinFragments(ctx context.Context, t omni.Tenant, key string, expires omni.Millis) error
}

// OutboxItem is a message that has to go out.
type OutboxItem struct {
	Message   omni.ServiceMessage
	Attempts  int         // how often a send failed
	NotBefore omni.Millis // not tried earlier
	SendingAt omni.Millis // set while a send is under way; one that stays set was interrupted and its outcome is unknown
	Partition int
}

// Outbox is the messages that wait to be sent: a part of the messages themselves, so that a message and the duty to
// send it are stored in one step. It spans organisations like Inbox.
type Outbox interface {
	// PendingOutbox returns what may be tried at now in the given partitions, oldest first. Of one recipient and channel
	// only the oldest is looked at: while it is not due, none of them is given, so that order is kept. One whose
	// SendingAt is set is given too.
	PendingOutbox(ctx context.Context, partitions []int, now omni.Millis, limit int) ([]OutboxItem, error)
	// MarkSending notes, durably, that a send begins. If one has begun that is omni.ErrConflict, and a message that is not
	// in the outbox omni.ErrNotFound: in both cases it is not for the caller to send.
	MarkSending(ctx context.Context, t omni.Tenant, messageID string, at omni.Millis) error
	// MarkSent takes a message out of the outbox, stores the carrier's id, raises its status, and applies statuses that
	// came early. It returns the message as it is then. A carrier's id that another message of the channel has is left out.
	MarkSent(ctx context.Context, t omni.Tenant, messageID, carrierMessageID string, segments int, s omni.DeliveryStatus) (omni.ServiceMessage, error)
	// MarkRetry puts a message back for later: its status stays, reason, code and history take what is new in s. One that
	// has left the outbox is omni.ErrConflict.
	MarkRetry(ctx context.Context, t omni.Tenant, messageID string, notBefore omni.Millis, s omni.DeliveryStatus) error
	// PutOff has a message looked at again at notBefore, and changes nothing else: it is not its turn yet. One that is being
	// sent is omni.ErrConflict, and one that is not in the outbox omni.ErrNotFound.
	PutOff(ctx context.Context, t omni.Tenant, messageID string, notBefore omni.Millis) error
	// MarkEnded takes a message out of the outbox with a final status: failed, or unknown.
	MarkEnded(ctx context.Context, t omni.Tenant, messageID string, s omni.DeliveryStatus) (omni.ServiceMessage, error)
	// Requeue puts a message that is failed or undeliverable back into the outbox, as a new attempt: the one way for its
	// status to go back. It becomes s, which is queued and goes into the history, without reason, code and the carrier's id,
	// which was that of the attempt before: what a carrier still says of that does not find the message any more. It comes
	// after what its recipient is being sent then. Any other message is omni.ErrConflict.
	Requeue(ctx context.Context, t omni.Tenant, messageID string, s omni.DeliveryStatus) (omni.ServiceMessage, error)
	// NextOutbox returns the earliest NotBefore of the given partitions, 0 if nothing waits: at least 1 for what is due at
	// once. Messages behind others of their recipient, and those being sent, do not count.
	NextOutbox(ctx context.Context, partitions []int) (omni.Millis, error)
}

// MediaItem is a file of an inbound message that has to be fetched from where it lies.
type MediaItem struct {
	Message   omni.ServiceMessage
	Index     int         // of the file in Message.Payload.Files
	Attempts  int         // how often fetching it failed
	NotBefore omni.Millis // not tried earlier; 0: at once
}

// Media is the files that wait to be fetched: a part of the messages themselves, so that an inbound message and the
// duty to fetch its files are stored in one step. It spans organisations like Inbox.
type Media interface {
	// PendingMedia returns the files of the given partitions that may be tried at now, oldest message first, and in order
	// within a message.
	PendingMedia(ctx context.Context, partitions []int, now omni.Millis, limit int) ([]MediaItem, error)
	// SetMedia stores what came of trying to fetch the file of a message at index. One that is ready or failed is
	// replaced by ref and leaves the queue; one that is pending stays as it was, counts a failure, and is due again at
	// notBefore. A file that does not wait any more is omni.ErrConflict, and nothing changes.
	SetMedia(ctx context.Context, t omni.Tenant, messageID string, index int, ref omni.MediaReference, notBefore omni.Millis) (omni.ServiceMessage, error)
	// NextMedia returns the earliest NotBefore of the given partitions, 0 if nothing waits: at least 1 for what is due at once.
	NextMedia(ctx context.Context, partitions []int) (omni.Millis, error)
}

// Partition gives the part of inbox or outbox that a conversation belongs to (FNV-1a of its key).
func Partition(key string) int {
	h := uint32(2166136261)
	for i := range len(key) {
		h = (h ^ uint32(key[i])) * 16777619
	}
	return int(h % Partitions)
}

// InboxPartition is the part of the inbox that a conversation belongs to: that of the carrier account and the contact.
func InboxPartition(accountID, contact string) int { return Partition(accountID + "|" + contact) }

// OutboxPartition is the part of the outbox that a message belongs to: that of its channel and recipient. Of the
// messages with the same channel and To.Address one is sent at a time.
func OutboxPartition(m omni.ServiceMessage) int {
	return Partition(m.Channel.DigitalChannelID + "|" + m.To.Address)
}

// MediaPartition is the part of the files to fetch that a message's belong to.
func MediaPartition(messageID string) int { return Partition(messageID) }

// MaxLocks is how many leases ListLocks returns at most.
const MaxLocks = 1000

// Locks are leases with fencing numbers.
type Locks interface {
	// AcquireLock takes or renews the lease of key until now+ttl. A lease of somebody else that has not ended is
	// omni.ErrConflict. Token grows when the owner changes or the lease had ended, and stays on renewal.
	AcquireLock(ctx context.Context, key, owner string, now omni.Millis, ttl time.Duration) (omni.MessageQueueLock, error)
	// ReleaseLock ends the lease if owner and token are still its own.
	ReleaseLock(ctx context.Context, l omni.MessageQueueLock) error
	// ListLocks returns the leases whose key begins with prefix, by key, at most MaxLocks: also those that have ended. One
	// that was released has an ExpiresAt of 0.
	ListLocks(ctx context.Context, prefix string) ([]omni.MessageQueueLock, error)
}

// IdempotencyRecord is what became of a request with an Idempotency-Key.
type IdempotencyRecord struct {
	Key       string
	BodyHash  string // hex SHA-256 of method, path and body
	Done      bool
	Status    int
	Body      []byte
	ExpiresAt omni.Millis
}

// Idempotency keeps keys of requests.
type Idempotency interface {
	// ReserveKey stores r if its key is free and returns (r, true). If it is taken it returns what is there and false.
	ReserveKey(ctx context.Context, t omni.Tenant, r IdempotencyRecord, now omni.Millis) (IdempotencyRecord, bool, error)
	// CompleteKey stores the answer of a reserved key.
	CompleteKey(ctx context.Context, t omni.Tenant, r IdempotencyRecord) error
	// DropKey frees a reserved key whose request failed before it changed anything.
	DropKey(ctx context.Context, t omni.Tenant, key string) error
}

// Audit keeps records that can be added and read, never changed.
type Audit interface {
	AppendAudit(ctx context.Context, t omni.Tenant, r omni.AuditRecord) error
	AuditRecords(ctx context.Context, t omni.Tenant, p Page) (List[omni.AuditRecord], error) // newest first
}

// Package simulate plays messaging providers on loopback: their HTTP API, and the webhooks that they post. With it every channel
// can be tried without an account, and tests go through real HTTP both ways.
//
// What is particular to a provider is its Player, in the provider's own package: words, signatures, answers. What all have in
// common is the Double: what was sent, what goes wrong, and what comes back.
package simulate

import (
	"net/http"
	"slices"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

// Player plays one provider. Methods are safe for concurrent use.
type Player interface {
	Name() omni.CarrierName

	// Account is an account at the double, in the words of the provider's Fields: made up, valid for Open, and the same each time.
	Account() carriers.Account

	// Address is an address of ours that the account may have, for a channel of a family; "" if it has no such channels.
	// Customer is an address of somebody who writes to it.
	Address(family omni.ChannelType) string
	Customer(family omni.ChannelType) string

	// Inbound makes the signed webhook that brings what a customer did. What the provider cannot bring is omni.ErrInvalid.
	Inbound(a carriers.Account, webhookURL string, in Inbound, now time.Time) (*http.Request, error)

	// Report makes the signed webhook that tells what became of a message, to an address that is s.Callback where there is
	// one. A status that the provider does not report is omni.ErrInvalid.
	Report(a carriers.Account, webhookURL string, s Sent, r Report, now time.Time) (*http.Request, error)

	// API serves the provider's HTTP API: it checks the credentials of a, reads what is sent, gives it to d, and answers as the
	// provider does. Of files and templates it serves what d has.
	API(a carriers.Account, d Desk) http.Handler
}

// Desk keeps what a provider is given, and decides how it is answered.
type Desk interface {
	// Take notes a message, or not, and says how to answer. It ends the handler (http.ErrAbortHandler) where no answer is to
	// be given.
	Take(s Sent) Verdict
	// Note notes what the provider was asked to show beside messages.
	Note(m Mark)
	// AddFile keeps a file that was uploaded, under an id that the provider gives it.
	AddFile(id string, f File)
	// File finds a file by that id.
	File(id string) (File, bool)
	// SetTemplates keeps the account's templates; Templates gives them.
	SetTemplates(all []omni.MessageTemplate)
	Templates() []omni.MessageTemplate
	// Now is the provider's clock.
	Now() time.Time
}

// Verdict is how a request is answered. A 500 without a code gets none from the Player either: whoever reads it cannot know
// whether the message was taken.
type Verdict struct {
	Status     int    // HTTP; 0: taken
	Code       string // the provider's error code; "" means the one that it has for that status, if it has one
	RetryAfter int    // seconds, for its header; 0: none
}

// File is a file at the provider.
type File struct {
	Name        string
	ContentType string
	Body        []byte
}

// Sent is a message that the provider was given.
type Sent struct {
	ID          string           // the provider's id, made by the Player before Take
	Reference   string           // our id, as it is in a tag, a callback or a reference; "" if none came
	ChannelType omni.ChannelType // MMS for an SMS with files
	From, To    string           // E.164 for numbers
	Text        string
	FileURLs    []string // addresses of files
	FileIDs     []string // files that were uploaded before
	Template    string   // its name; "" if it is none
	ReplyTo     string   // the provider's id of the message that is answered
	Reaction    string   // with ReplyTo: an emoji that was put there
	Location    *omni.Location
	Contacts    []omni.ContactCard
	Callback    string // where its statuses go, where the provider is told with each message; "" means the account's webhook
	Raw         []byte // the body as it came
	At          time.Time

	// Kept is called once the provider has the message, whether it says so or not. nil: nobody has to know.
	Kept func()
}

// Mark is what is shown to a customer beside messages.
type Mark struct {
	Kind      MarkKind
	From, To  string // E.164 for numbers; To is "" where the provider is told a message alone
	MessageID string // the provider's id of the message that it is about, "" if about none
	At        time.Time
}

// MarkKind is what a Mark shows.
type MarkKind string

// The kinds of marks.
const (
	MarkRead    MarkKind = "read"    // we have read their message, and all before it
	MarkTyping  MarkKind = "typing"  // we are writing
	MarkUnreact MarkKind = "unreact" // what we had put on the message is taken away
)

// Act is what a customer does with the message that ReplyTo names, beside answering it and reacting to it.
type Act string

// The acts.
const (
	Unreact Act = "unreact" // takes Reaction away, which they had put there
	Edit    Act = "edit"    // puts Text in the place of what they had written
	Delete  Act = "delete"  // takes back what they had written
)

// Inbound is what a customer did.
type Inbound struct {
	ID          string           // the provider's id; "" means a new one
	ChannelType omni.ChannelType // MMS for an SMS with files
	From, To    string           // E.164 for numbers
	Text        string
	Files       []string // ids of files that the Desk has
	FileTypes   []string // the content type of each of Files; a Double fills them in
	Base        string   // scheme and host of the double's API, for addresses of files
	ReplyTo     string   // the provider's id of the message that is answered
	Reaction    string   // with ReplyTo: an emoji that is put there
	Act         Act
	Location    *omni.Location
	Contacts    []omni.ContactCard
	Unknown     string // a kind of message that the gateway does not know, in the provider's words
	ProfileName string
}

// What an Inbound may have that not every provider brings, as Inbound.Only names it.
const (
	Place    = "a place"
	Cards    = "contacts"
	NewKinds = "a message of another kind"
)

// Only reports as omni.ErrInvalid what the customer did beside writing, answering and reacting, if it is not among can: an Act,
// Place, Cards or NewKinds.
func (in Inbound) Only(provider omni.CarrierName, can ...string) error {
	for what, there := range map[string]bool{
		string(in.Act): in.Act != "", Place: in.Location != nil, Cards: len(in.Contacts) > 0, NewKinds: in.Unknown != "",
	} {
		if there && !slices.Contains(can, what) {
			return omni.Problemf(omni.ErrInvalid, "%s does not bring: %s", provider, what)
		}
	}
	return nil
}

// Report is what became of a message.
type Report struct {
	Status omni.Status // queued, sent, delivered, read, failed or undeliverable
	Code   string      // the provider's error code, for failed and undeliverable
}

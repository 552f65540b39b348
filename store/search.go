package store

import (
	"context"

	"omniservice/omni"
)

// MaxQuery is how many bytes a search query may have. A longer one is omni.ErrInvalid.
const MaxQuery = 1000

// Search finds messages and contacts by what is written in them.
//
// A query is plain text. Everything in it that is a word, a number or a symbol has to be found, each anywhere in the
// record, in any order; package search says precisely what that means, and every store finds the same:
//
//   - A word is found where a word begins with it: "ord" finds "order" and "ordering", not "border". Case, accents,
//     Arabic vowel signs and the width of letters do not matter: "muller" finds "Müller".
//   - What is written without spaces (Chinese, Japanese, Korean, Thai, Lao, Khmer, Burmese) and emoji are found anywhere.
//   - A number of at least three digits is found inside numbers, whatever stands between the digits: "4155550100",
//     "+1 (415) 555-0100" and "555 0100" find each other's digits. A shorter one is a word.
//   - Words between "double quotes" are found only whole, one after the other.
//
// Nothing else has a meaning: AND, OR, NEAR, *, - and so on are text like any other. A query without a word, a number or
// a symbol finds nothing.
//
// What it cannot do: find the end or the middle of a word in a script that writes spaces; know word forms ("mice" for
// "mouse"), synonyms, misspellings, or other transliterations ("Mueller" for "Müller"); find a national number by its
// international form ("0171 123456" by "+49 171 123456"; the other way round works); rank; find what comes after the
// first 16,384 characters of a record.
//
// What was written is found soon afterwards, not at once: within a second, unless the store is behind with its work. What
// is found is always as it is now, and of those who may see it now.
type Search interface {
	// SearchMessages gives messages whose text or file names match, newest first: in the order of their storing or of
	// their ids, which is nearly the same.
	// A page may hold fewer than were asked for, or none, although Next says that the list goes on: looking through
	// much that does not match is spread over several calls.
	SearchMessages(ctx context.Context, t omni.Tenant, q MessageSearch, p Page) (List[MessageHit], error)
	// SearchContacts gives contacts whose name, labels, external ids, or names and addresses on channels match, newest
	// first. Pages are as those of SearchMessages.
	SearchContacts(ctx context.Context, t omni.Tenant, q ContactSearch, p Page) (List[ContactHit], error)
}

// MessageSearch says which messages are wanted. GroupIDs is what the caller may see: empty means nothing at all.
type MessageSearch struct {
	Query         string
	GroupIDs      []string       // of the interactions that the messages belong to
	InteractionID string         // "" means any
	ContactID     string         // of the interaction; "" means any
	ChannelID     string         // "" means any
	Direction     omni.Direction // "" means both
	From, Until   omni.Millis    // created at or after From, and before Until; 0 means no bound
}

// MessageHit is a message that was found.
type MessageHit struct {
	Message     omni.ServiceMessage
	Interaction omni.Interaction // that it belongs to
	Snippet     Snippet          // of the text, or of a file's name where only that matches
}

// ContactSearch says which contacts are wanted.
type ContactSearch struct {
	Query string
}

// ContactHit is a contact that was found.
type ContactHit struct {
	Contact    omni.Contact
	Identities []omni.ContactIdentity // oldest first
	Name       Snippet                // the name, whole, with what matches in it
	Also       []Snippet              // what else matches: addresses, names on channels, labels, external ids
}

// Snippet is a part of a text with the places that match. Text is as hostile as what it was taken from.
type Snippet struct {
	Text  string // one line; "…" where something was left out
	Marks []Mark // ascending, apart from each other
}

// Mark is a place in a text: from byte Start to before byte End of its UTF-8 form, never within a character.
type Mark struct{ Start, End int }

package store

import (
	"context"

	"omniservice/omni"
)

// Consents is the ledger of what was said about consent: SetConsent adds to it, nothing is ever removed or changed.
type Consents interface {
	// Consents gives every word about an identity's consent, newest first; of those of one moment each comes once, always
	// in the same order. Channel type and address are the identity's as they are now.
	Consents(ctx context.Context, t omni.Tenant, identityID string, p Page) (List[omni.ConsentUpdate], error)
}

// Aliases keeps the other addresses of identities: numbers that changed or are written in several ways, carriers' own ids
// of people. Whatever finds an identity by its address finds it by its aliases too.
type Aliases interface {
	// AddAlias makes a.Address an alias of the identity. An address that is its own already changes nothing. One of another
	// identity is omni.ErrConflict, and one more than omni.MaxAliases omni.ErrInvalid.
	AddAlias(ctx context.Context, t omni.Tenant, identityID string, a omni.IdentityAlias) (omni.ContactIdentity, error)
	// RemoveAlias takes an alias away. One that is not there changes nothing.
	RemoveAlias(ctx context.Context, t omni.Tenant, identityID, address string) (omni.ContactIdentity, error)
	// ChangeAddress makes address what the identity is written to. The one that it had becomes an alias, since at; an alias
	// that address was is one no more. An address of another identity is omni.ErrConflict, and one alias too many
	// omni.ErrInvalid.
	ChangeAddress(ctx context.Context, t omni.Tenant, identityID, address string, at omni.Millis) (omni.ContactIdentity, error)
}

// ExternalIDs keeps links to records of other systems. Those of a contact are changed by UpdateContact.
type ExternalIDs interface {
	// SetExternalIDs replaces the links of an identity.
	SetExternalIDs(ctx context.Context, t omni.Tenant, identityID string, ids []omni.ExternalID) (omni.ContactIdentity, error)
	// ContactsByExternalID gives the contacts that are linked to a record, or have an identity that is: oldest first, at
	// most MaxPage. There may be several, until somebody merges them.
	ContactsByExternalID(ctx context.Context, t omni.Tenant, system, id string) ([]omni.Contact, error)
}

// Reactions keeps who reacted to messages, and how.
type Reactions interface {
	// SetReaction makes r the reaction of its sender to its message, unless a later one (by At) is there; without an emoji
	// it takes the reaction away, and is remembered so that an older one that comes late does not bring it back. changed
	// tells whether anything else is shown than before: then the message has changed, for Changes. A message that is not
	// there is omni.ErrNotFound.
	SetReaction(ctx context.Context, t omni.Tenant, r omni.Reaction) (changed bool, err error)
	// Reactions gives the reactions to messages, oldest first, without those that were taken away. More than MaxPage messages
	// are omni.ErrInvalid.
	Reactions(ctx context.Context, t omni.Tenant, messageIDs ...string) ([]omni.Reaction, error)
}

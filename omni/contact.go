package omni

import "strings"

// ExternalID links a contact or identity to a record of another system. (Seed: ExternalId.)
type ExternalID struct {
	System   string `json:"system"             bson:"system"` // such as "salesforce"
	ID       string `json:"id"                 bson:"id"`
	URL      string `json:"url,omitempty"      bson:"url,omitempty"` // where a person can see the record
	SyncedAt Millis `json:"syncedAt,omitempty" bson:"syncedAt,omitempty"`
}

// Validate reports what is wrong as ErrInvalid.
func (e ExternalID) Validate() error {
	bad := invalid{}
	bad.require(validName(e.System), "system", nameRule)
	bad.require(e.ID != "" && len(e.ID) <= 255, "id", "must be 1 to 255 bytes")
	return bad.err("external id")
}

// ExternalIDLookupResponse is what another system answers when asked who an address is. (Seed: ExternalIdLookupResponse.)
type ExternalIDLookupResponse struct {
	Found       bool              `json:"found"                bson:"found"`
	ExternalIDs []ExternalID      `json:"externalIds"          bson:"externalIds"`
	Name        string            `json:"name,omitempty"       bson:"name,omitempty"`
	Attributes  map[string]string `json:"attributes,omitempty" bson:"attributes,omitempty"`
	LookedUpAt  Millis            `json:"lookedUpAt"           bson:"lookedUpAt"`
}

// Contact is a person who writes to us or to whom we write. (Seed: Contact.)
type Contact struct {
	ID            string            `json:"id"                    bson:"_id"`
	Tenant        Tenant            `json:"tenant"                bson:"tenant"`
	Name          string            `json:"name"                  bson:"name"`               // empty until known; hostile text
	Language      string            `json:"language,omitempty"    bson:"language,omitempty"` // BCP 47
	Labels        []string          `json:"labels,omitempty"      bson:"labels,omitempty"`   // ids of Labels, or words of their own
	Attributes    map[string]string `json:"attributes,omitempty"  bson:"attributes,omitempty"`
	ExternalIDs   []ExternalID      `json:"externalIds,omitempty" bson:"externalIds,omitempty"`
	Version       int64             `json:"version"               bson:"version"`
	CreatedAt     Millis            `json:"createdAt"             bson:"createdAt"`
	UpdatedAt     Millis            `json:"updatedAt"             bson:"updatedAt"`
	SchemaVersion SchemaVersion     `json:"schemaVersion"         bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (c Contact) Validate() error {
	bad := invalid{}
	bad.require(ValidID(c.ID), "id", "must be an id")
	bad.nest("tenant", c.Tenant.Validate())
	bad.require(c.Name == "" || validName(c.Name), "name", nameRule)
	bad.require(len(c.Labels) <= 50, "labels", "must be at most 50")
	bad.require(len(c.Attributes) <= 100, "attributes", "must be at most 100")
	for _, e := range c.ExternalIDs {
		bad.nest("externalIds", e.Validate())
	}
	bad.nest("schemaVersion", c.SchemaVersion.Validate())
	return bad.err("contact")
}

// ContactIdentity is one address under which a contact is known. (Seed: ContactIdentity.)
// It is unique per organisation, channel family and address.
type ContactIdentity struct {
	ID            string          `json:"id"                    bson:"_id"`
	Tenant        Tenant          `json:"tenant"                bson:"tenant"`
	ContactID     string          `json:"contactId"             bson:"contactId"`
	ChannelType   ChannelType     `json:"channelType"           bson:"channelType"` // a family: SMS stands for MMS too
	Address       string          `json:"address"               bson:"address"`
	Name          string          `json:"name,omitempty"        bson:"name,omitempty"`       // what they call themselves on this channel
	Verified      bool            `json:"verified"              bson:"verified"`             // the channel vouches for the address; false for what a website visitor claims
	OptedOutAt    Millis          `json:"optedOutAt,omitempty"  bson:"optedOutAt,omitempty"` // set while they do not want messages
	OptOutBy      string          `json:"optOutBy,omitempty"    bson:"optOutBy,omitempty"`   // the word or code that set it
	Marketing     *MarketingWord  `json:"marketing,omitempty"   bson:"marketing,omitempty"`  // what was last said about marketing messages; nil: nothing was
	Aliases       []IdentityAlias `json:"aliases,omitempty"    bson:"aliases,omitempty"`     // other addresses that are the same as this one
	ExternalIDs   []ExternalID    `json:"externalIds,omitempty" bson:"externalIds,omitempty"`
	LastSeenAt    Millis          `json:"lastSeenAt,omitempty"  bson:"lastSeenAt,omitempty"`
	CreatedAt     Millis          `json:"createdAt"             bson:"createdAt"`
	SchemaVersion SchemaVersion   `json:"schemaVersion"         bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (i ContactIdentity) Validate() error {
	bad := invalid{}
	bad.require(ValidID(i.ID), "id", "must be an id")
	bad.nest("tenant", i.Tenant.Validate())
	bad.require(ValidID(i.ContactID), "contactId", "must be an id")
	bad.require(i.ChannelType.Valid() && i.ChannelType == i.ChannelType.Family(), "channelType", "must be a channel family")
	bad.require(i.Address != "" && len(i.Address) <= 255, "address", "must be 1 to 255 bytes")
	bad.require(len(i.Aliases) <= MaxAliases, "aliases", "must be at most 20")
	for _, a := range i.Aliases {
		bad.nest("aliases", a.Validate())
	}
	bad.nest("schemaVersion", i.SchemaVersion.Validate())
	return bad.err("contact identity")
}

// NoMarketing reports whether marketing messages are not wanted: these alone, or none at all.
func (i ContactIdentity) NoMarketing() bool {
	return i.OptedOutAt > 0 || i.Marketing != nil && i.Marketing.OptedOut
}

// Say notes a word about marketing messages, unless a newer one is there. changed tells whether it says something else than
// the one before it.
func (i *ContactIdentity) Say(u ConsentUpdate) (changed bool) {
	if i.Marketing != nil && u.At < i.Marketing.At {
		return false
	}
	changed = u.OptedOut != (i.Marketing != nil && i.Marketing.OptedOut)
	i.Marketing = &MarketingWord{OptedOut: u.OptedOut, By: strings.TrimPrefix(u.By, MarketingBy), At: u.At}
	return changed
}

// MarketingWord is what was said about marketing messages, which can be stopped while others are wanted.
type MarketingWord struct {
	OptedOut bool   `json:"optedOut" bson:"optedOut"`
	By       string `json:"by"       bson:"by"` // the word or code that said it
	At       Millis `json:"at"       bson:"at"`
}

// MaxAliases is how many aliases an identity can have.
const MaxAliases = 20

// AliasKind is why an address stands for another one.
type AliasKind string

// The kinds of alias.
const (
	AliasFormer  AliasKind = "former"  // the address that it had before
	AliasVariant AliasKind = "variant" // another way to write it, by national rules: +521… and +52…, Brazil's ninth digit
	AliasUserID  AliasKind = "user_id" // the carrier's own id of the person, such as WhatsApp's business-scoped user id
	AliasLinked  AliasKind = "linked"  // an address that came with one that was known already
)

// AliasKinds lists every kind of alias.
var AliasKinds = []AliasKind{AliasFormer, AliasVariant, AliasUserID, AliasLinked}

// Valid reports whether k is one of AliasKinds.
func (k AliasKind) Valid() bool { return isOneOf(k, AliasKinds) }

// IdentityAlias is an address that stands for an identity beside its own, on the same channel family. An address is one
// identity's in an organisation, be it its own or an alias.
type IdentityAlias struct {
	Address string    `json:"address" bson:"address"`
	Kind    AliasKind `json:"kind"    bson:"kind"`
	At      Millis    `json:"at"      bson:"at"` // since when it is known
}

// Validate reports what is wrong as ErrInvalid.
func (a IdentityAlias) Validate() error {
	bad := invalid{}
	bad.require(a.Address != "" && len(a.Address) <= 255, "address", "must be 1 to 255 bytes")
	bad.require(a.Kind.Valid(), "kind", "must be former, variant, user_id or linked")
	return bad.err("alias")
}

// ConsentUpdate changes whether an identity wants messages. (Seed: UpdateConsentParams.)
type ConsentUpdate struct {
	Tenant      Tenant      `json:"tenant"      bson:"tenant"`
	ChannelType ChannelType `json:"channelType" bson:"channelType"` // a family
	Address     string      `json:"address"     bson:"address"`
	OptedOut    bool        `json:"optedOut"    bson:"optedOut"`
	By          string      `json:"by"          bson:"by"` // the word they wrote, the carrier's code, or the user who did it; after MarketingBy if it is about marketing messages alone
	At          Millis      `json:"at"          bson:"at"`
}

// MarketingBy begins ConsentUpdate.By of a word about marketing messages alone.
const MarketingBy = "marketing: "

// Marketing reports whether the word is about marketing messages alone.
func (c ConsentUpdate) Marketing() bool { return strings.HasPrefix(c.By, MarketingBy) }

// Validate reports what is wrong as ErrInvalid.
func (c ConsentUpdate) Validate() error {
	bad := invalid{}
	bad.nest("tenant", c.Tenant.Validate())
	bad.require(c.ChannelType.Valid(), "channelType", "is not a channel type")
	bad.require(c.Address != "", "address", "is required")
	bad.require(c.By != "", "by", "must say who or what changed it")
	bad.require(c.At > 0, "at", "is required")
	return bad.err("consent update")
}

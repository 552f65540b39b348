package omni

// UserTopic is the hub topic of one user. A topic's name is unique over all organisations because ids are.
func UserTopic(id string) string { return "user/" + id }

// GroupTopic is the hub topic of a channel group.
func GroupTopic(id string) string { return "group/" + id }

// OrgTopic is the hub topic of an organisation.
func OrgTopic(id string) string { return "org/" + id }

// InteractionTopic is the hub topic of those who have an interaction open: passing events only.
func InteractionTopic(id string) string { return "interaction/" + id }

// VisitorTopic is the hub topic of a website visitor.
func VisitorTopic(id string) string { return "visitor/" + id }

// InteractionOwner is who works on an interaction. (Seed: InteractionOwner.)
type InteractionOwner struct {
	Type OrganisationalEntity `json:"type" bson:"type"`
	ID   string               `json:"id"   bson:"id"`
}

// Interaction is the conversation between one contact identity and one digital channel. (Seed: Interaction.)
// At any time at most one per identity and channel is not resolved.
type Interaction struct {
	ID               string           `json:"id"                       bson:"_id"`
	Tenant           Tenant           `json:"tenant"                   bson:"tenant"`
	ContactID        string           `json:"contactId"                bson:"contactId"`
	IdentityID       string           `json:"identityId"               bson:"identityId"`
	DigitalChannelID string           `json:"digitalChannelId"         bson:"digitalChannelId"`
	ChannelType      ChannelType      `json:"channelType"              bson:"channelType"`
	GroupID          string           `json:"groupId"                  bson:"groupId"`
	FolderID         string           `json:"folderId,omitempty"       bson:"folderId,omitempty"`
	LabelIDs         []string         `json:"labelIds,omitempty"       bson:"labelIds,omitempty"` // of Labels; one that is gone is no longer shown
	Owner            InteractionOwner `json:"owner"                    bson:"owner"`              // Group: nobody has taken it yet
	State            InteractionState `json:"state"                    bson:"state"`
	ContactName      string           `json:"contactName"              bson:"contactName"` // copies for lists
	ContactAddress   string           `json:"contactAddress"           bson:"contactAddress"`
	LastSequence     int64            `json:"lastSequence"             bson:"lastSequence"`  // sequence of the newest message; 0: none
	LastMessageAt    Millis           `json:"lastMessageAt"            bson:"lastMessageAt"` // newest activity: what lists are ordered by
	LastPreview      string           `json:"lastPreview"              bson:"lastPreview"`
	LastDirection    Direction        `json:"lastDirection,omitempty"  bson:"lastDirection,omitempty"`
	LastInboundAt    Millis           `json:"lastInboundAt,omitempty"  bson:"lastInboundAt,omitempty"`
	WaitingSince     Millis           `json:"waitingSince,omitempty"   bson:"waitingSince,omitempty"` // oldest inbound without an answer; 0: none waits
	Unread           int              `json:"unread"                   bson:"unread"`                 // inbound messages that no agent has read
	AgentReadSeq     int64            `json:"agentReadSeq"             bson:"agentReadSeq"`           // up to which message agents have read
	ContactReadSeq   int64            `json:"contactReadSeq"           bson:"contactReadSeq"`         // up to which message a visitor has read
	Version          int64            `json:"version"                  bson:"version"`                // grows with owner, state, group, folder and labels; messages and read marks leave it
	ChangedBy        string           `json:"changedBy,omitempty"      bson:"changedBy,omitempty"`    // user id of who made that version; empty: nobody
	CreatedAt        Millis           `json:"createdAt"                bson:"createdAt"`
	ResolvedAt       Millis           `json:"resolvedAt,omitempty"     bson:"resolvedAt,omitempty"`
	ResolvedBy       string           `json:"resolvedBy,omitempty"     bson:"resolvedBy,omitempty"`   // user id
	SnoozedUntil     Millis           `json:"snoozedUntil,omitempty"   bson:"snoozedUntil,omitempty"` // when it opens again by itself; 0: it is not snoozed
	SnoozedAfter     int64            `json:"snoozedAfter,omitempty"   bson:"snoozedAfter,omitempty"` // the newest message when it was snoozed: what the contact writes after it opens it again
	SchemaVersion    SchemaVersion    `json:"schemaVersion"            bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (i Interaction) Validate() error {
	bad := invalid{}
	bad.require(ValidID(i.ID), "id", "must be an id")
	bad.nest("tenant", i.Tenant.Validate())
	bad.require(ValidID(i.ContactID), "contactId", "must be an id")
	bad.require(ValidID(i.IdentityID), "identityId", "must be an id")
	bad.require(ValidID(i.DigitalChannelID), "digitalChannelId", "must be an id")
	bad.require(ValidID(i.GroupID), "groupId", "must be an id")
	bad.require(i.ChannelType.Valid(), "channelType", "is not a channel type")
	bad.require(i.Owner.Type.Valid(), "owner.type", "must be User or Group")
	bad.require(ValidID(i.Owner.ID), "owner.id", "must be an id")
	bad.require(i.State.Valid(), "state", "must be open, snoozed or resolved")
	bad.require(len(i.LabelIDs) <= 50, "labelIds", "must be at most 50")
	for _, id := range i.LabelIDs {
		bad.require(ValidID(id), "labelIds", "must be ids")
	}
	bad.nest("schemaVersion", i.SchemaVersion.Validate())
	return bad.err("interaction")
}

// Folder sorts the interactions of a group. (Seed: IFolder.)
type Folder struct {
	ID            string        `json:"id"               bson:"_id"`
	Tenant        Tenant        `json:"tenant"           bson:"tenant"`
	GroupID       string        `json:"groupId"          bson:"groupId"`
	Name          string        `json:"name"             bson:"name"`
	Type          FolderType    `json:"type"             bson:"type"`
	EndsAt        Millis        `json:"endsAt,omitempty" bson:"endsAt,omitempty"` // TEMPORARY: when it goes
	Version       int64         `json:"version"          bson:"version"`
	CreatedAt     Millis        `json:"createdAt"        bson:"createdAt"`
	SchemaVersion SchemaVersion `json:"schemaVersion"    bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (f Folder) Validate() error {
	bad := invalid{}
	bad.require(ValidID(f.ID), "id", "must be an id")
	bad.nest("tenant", f.Tenant.Validate())
	bad.require(ValidID(f.GroupID), "groupId", "must be an id")
	bad.require(validName(f.Name), "name", nameRule)
	bad.require(f.Type.Valid(), "type", "must be DEFAULT or TEMPORARY")
	bad.require(f.Type != FolderTemporary || f.EndsAt > 0, "endsAt", "is required for a temporary folder")
	bad.require(f.Type != FolderDefault || f.EndsAt == 0, "endsAt", "must be empty for a default folder")
	bad.nest("schemaVersion", f.SchemaVersion.Validate())
	return bad.err("folder")
}

package omni

// Note is what an agent writes beside an interaction: people of the organisation see it, the contact never does. It can
// be edited, by Version.
type Note struct {
	ID            string        `json:"id"                 bson:"_id"`
	Tenant        Tenant        `json:"tenant"             bson:"tenant"` // UserID: who wrote it
	InteractionID string        `json:"interactionId"      bson:"interactionId"`
	Body          string        `json:"body"               bson:"body"`               // UTF-8, at most MaxText bytes
	Mentions      []string      `json:"mentions,omitempty" bson:"mentions,omitempty"` // ids of the users that it calls
	EditedAt      Millis        `json:"editedAt,omitempty" bson:"editedAt,omitempty"` // 0: as it was written
	EditedBy      string        `json:"editedBy,omitempty" bson:"editedBy,omitempty"` // user id
	Version       int64         `json:"version"            bson:"version"`
	CreatedAt     Millis        `json:"createdAt"          bson:"createdAt"`
	SchemaVersion SchemaVersion `json:"schemaVersion"      bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (n Note) Validate() error {
	bad := invalid{}
	bad.require(ValidID(n.ID), "id", "must be an id")
	bad.nest("tenant", n.Tenant.Validate())
	bad.require(n.Tenant.UserID != "", "tenant.userId", "must be the user who wrote it")
	bad.require(ValidID(n.InteractionID), "interactionId", "must be an id")
	bad.require(n.Body != "" && validText(n.Body), "body", "must be 1 to 65536 bytes of UTF-8 without NUL")
	bad.require(len(n.Mentions) <= 50, "mentions", "must be at most 50")
	for _, id := range n.Mentions {
		bad.require(ValidID(id), "mentions", "must be ids")
	}
	bad.require(n.EditedBy == "" || ValidID(n.EditedBy), "editedBy", "must be an id")
	bad.nest("schemaVersion", n.SchemaVersion.Validate())
	return bad.err("note")
}

// DraftTab is the part of the composer that a draft is written in. A text of one is never sent as the other.
type DraftTab string

// The tabs.
const (
	DraftReply DraftTab = "reply"
	DraftNote  DraftTab = "note"
)

// DraftTabs lists both tabs.
var DraftTabs = []DraftTab{DraftReply, DraftNote}

// Valid reports whether d is one of DraftTabs.
func (d DraftTab) Valid() bool { return isOneOf(d, DraftTabs) }

// Draft is what a user has written and not sent: one for each interaction and tab. It is saved by Version, so that a device
// that has not seen what another one saved does not undo it.
type Draft struct {
	ID            string        `json:"id"                bson:"_id"`
	Tenant        Tenant        `json:"tenant"            bson:"tenant"`
	UserID        string        `json:"userId"            bson:"userId"`
	InteractionID string        `json:"interactionId"     bson:"interactionId"`
	Tab           DraftTab      `json:"tab"               bson:"tab"`
	Text          string        `json:"text"              bson:"text"`              // UTF-8, at most MaxText bytes
	ReplyTo       string        `json:"replyTo,omitempty" bson:"replyTo,omitempty"` // id of the message that it answers
	Version       int64         `json:"version"           bson:"version"`
	UpdatedAt     Millis        `json:"updatedAt"         bson:"updatedAt"`
	SchemaVersion SchemaVersion `json:"schemaVersion"     bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (d Draft) Validate() error {
	bad := invalid{}
	bad.require(ValidID(d.ID), "id", "must be an id")
	bad.nest("tenant", d.Tenant.Validate())
	bad.require(ValidID(d.UserID), "userId", "must be an id")
	bad.require(ValidID(d.InteractionID), "interactionId", "must be an id")
	bad.require(d.Tab.Valid(), "tab", "must be reply or note")
	bad.require(validText(d.Text), "text", "must be at most 65536 bytes of UTF-8 without NUL")
	bad.require(d.ReplyTo == "" || ValidID(d.ReplyTo), "replyTo", "must be an id")
	bad.nest("schemaVersion", d.SchemaVersion.Validate())
	return bad.err("draft")
}

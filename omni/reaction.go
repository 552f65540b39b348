package omni

import "unicode/utf8"

// MaxEmoji is how many bytes a reaction has at most.
const MaxEmoji = 64

// Reaction is an emoji that somebody put on a message: one for each message and sender.
type Reaction struct {
	Tenant        Tenant        `json:"tenant"        bson:"tenant"`
	MessageID     string        `json:"messageId"     bson:"messageId"`
	SenderType    SenderType    `json:"senderType"    bson:"senderType"`
	SenderID      string        `json:"senderId"      bson:"senderId"` // identity of a contact, or user
	Emoji         string        `json:"emoji"         bson:"emoji"`    // empty: taken away
	At            Millis        `json:"at"            bson:"at"`
	SchemaVersion SchemaVersion `json:"schemaVersion" bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (r Reaction) Validate() error {
	bad := invalid{}
	bad.nest("tenant", r.Tenant.Validate())
	bad.require(ValidID(r.MessageID), "messageId", "must be an id")
	bad.require(r.SenderType.Valid(), "senderType", "must be CONTACT or USER")
	bad.require(ValidID(r.SenderID), "senderId", "must be an id")
	bad.require(len(r.Emoji) <= MaxEmoji && utf8.ValidString(r.Emoji), "emoji", "must be at most 64 bytes of UTF-8")
	bad.require(r.At > 0, "at", "is required")
	bad.nest("schemaVersion", r.SchemaVersion.Validate())
	return bad.err("reaction")
}

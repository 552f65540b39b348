package omni

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// CannedReply is a text, with files, that agents send by its shortcut. The shortcut is unique in its group, or in the
// organisation for those of all groups, whatever the case of its letters.
type CannedReply struct {
	ID            string           `json:"id"                   bson:"_id"`
	Tenant        Tenant           `json:"tenant"               bson:"tenant"`
	GroupID       string           `json:"groupId"              bson:"groupId"`  // empty: of all groups
	Shortcut      string           `json:"shortcut"             bson:"shortcut"` // what is typed after "/": no spaces
	Name          string           `json:"name"                 bson:"name"`
	Text          string           `json:"text"                 bson:"text"` // may hold variables, which the composer fills
	Files         []MediaReference `json:"files,omitempty"      bson:"files,omitempty"`
	Version       int64            `json:"version"              bson:"version"`
	CreatedAt     Millis           `json:"createdAt"            bson:"createdAt"`
	SchemaVersion SchemaVersion    `json:"schemaVersion"        bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (c CannedReply) Validate() error {
	bad := invalid{}
	bad.require(ValidID(c.ID), "id", "must be an id")
	bad.nest("tenant", c.Tenant.Validate())
	bad.require(c.GroupID == "" || ValidID(c.GroupID), "groupId", "must be an id")
	bad.require(validShortcut(c.Shortcut), "shortcut", "must be 1 to 50 characters without spaces and slashes")
	bad.require(validName(c.Name), "name", nameRule)
	bad.require(validText(c.Text), "text", "must be at most 65536 bytes of UTF-8 without NUL")
	bad.require(c.Text != "" || len(c.Files) > 0, "text", "is required where there are no files")
	bad.require(len(c.Files) <= 10, "files", "must be at most 10")
	for _, f := range c.Files {
		bad.nest("files", f.Validate())
	}
	bad.nest("schemaVersion", c.SchemaVersion.Validate())
	return bad.err("canned reply")
}

func validShortcut(s string) bool {
	return s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= 50 &&
		!strings.ContainsFunc(s, func(r rune) bool { return r == '/' || unicode.IsSpace(r) || unicode.IsControl(r) })
}

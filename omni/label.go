package omni

import "strings"

// Label is a mark that an organisation puts on contacts and interactions, which hold its id. Its name is unique in the
// organisation, whatever the case of its letters.
type Label struct {
	ID            string        `json:"id"               bson:"_id"`
	Tenant        Tenant        `json:"tenant"           bson:"tenant"`
	Name          string        `json:"name"             bson:"name"`
	Colour        string        `json:"colour,omitempty" bson:"colour,omitempty"` // #rrggbb
	Version       int64         `json:"version"          bson:"version"`
	CreatedAt     Millis        `json:"createdAt"        bson:"createdAt"`
	SchemaVersion SchemaVersion `json:"schemaVersion"    bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (l Label) Validate() error {
	bad := invalid{}
	bad.require(ValidID(l.ID), "id", "must be an id")
	bad.nest("tenant", l.Tenant.Validate())
	bad.require(validName(l.Name), "name", nameRule)
	bad.require(l.Colour == "" || validColour(l.Colour), "colour", "must be like #1a73e8")
	bad.nest("schemaVersion", l.SchemaVersion.Validate())
	return bad.err("label")
}

// FoldName is what names are compared by where case makes no difference. Two ways of composing the same accented letter
// stay two names.
func FoldName(s string) string { return strings.ToLower(s) }

func validColour(s string) bool { return len(s) == 7 && s[0] == '#' && isHex(s[1:]) }

package omni

import (
	"net/url"
	"strings"
)

// Webhook is an address of somebody else's that we tell what happens.
type Webhook struct {
	ID            string         `json:"id"                    bson:"_id"`
	Tenant        Tenant         `json:"tenant"                bson:"tenant"`
	Name          string         `json:"name"                  bson:"name"`
	URL           string         `json:"url"                   bson:"url"`                   // https; fetched only under the rules for outside addresses
	Events        []string       `json:"events"                bson:"events"`                // what it is told, such as "message.created"
	Secrets       []SealedSecret `json:"-"                     bson:"secrets"`               // for signatures: newest first, at most 2 valid at once
	Disabled      bool           `json:"disabled"              bson:"disabled"`              // by a person
	PausedAt      Millis         `json:"pausedAt,omitempty"    bson:"pausedAt,omitempty"`    // by us, because too much failed; 0: not paused
	PauseReason   string         `json:"pauseReason,omitempty" bson:"pauseReason,omitempty"` // in words for an admin
	Version       int64          `json:"version"               bson:"version"`
	CreatedAt     Millis         `json:"createdAt"             bson:"createdAt"`
	SchemaVersion SchemaVersion  `json:"schemaVersion"         bson:"schemaVersion"`
}

// Active reports whether anything is delivered to it.
func (w Webhook) Active() bool { return !w.Disabled && w.PausedAt == 0 }

// Validate reports what is wrong as ErrInvalid.
func (w Webhook) Validate() error {
	bad := invalid{}
	bad.require(ValidID(w.ID), "id", "must be an id")
	bad.nest("tenant", w.Tenant.Validate())
	bad.require(validName(w.Name), "name", nameRule)
	bad.require(validHTTPS(w.URL), "url", "must be an https address of at most 2000 bytes, without a user name")
	bad.require(len(w.Events) > 0 && len(w.Events) <= 100, "events", "must name 1 to 100 events")
	for _, e := range w.Events {
		bad.require(validEventName(e), "events", "must be names such as message.created")
	}
	bad.require(len(w.Secrets) > 0, "secrets", "must hold at least one")
	bad.require(len(w.PauseReason) <= 2000, "pauseReason", "must be at most 2000 bytes")
	bad.nest("schemaVersion", w.SchemaVersion.Validate())
	return bad.err("webhook")
}

func validHTTPS(s string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= 2000 && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.Fragment == ""
}

func validEventName(s string) bool {
	return s != "" && len(s) <= 100 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '.' && r != '_'
	})
}

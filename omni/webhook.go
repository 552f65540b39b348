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

// DeliveryState is where a delivery to a webhook stands.
type DeliveryState string

// The delivery states.
const (
	DeliveryPending   DeliveryState = "pending"   // waits to be tried, for the first time or again
	DeliveryDelivered DeliveryState = "delivered" // the receiver took it
	DeliveryFailed    DeliveryState = "failed"    // it will not be tried again by itself
)

// DeliveryStates lists every delivery state.
var DeliveryStates = []DeliveryState{DeliveryPending, DeliveryDelivered, DeliveryFailed}

// Valid reports whether s is one of DeliveryStates.
func (s DeliveryState) Valid() bool { return isOneOf(s, DeliveryStates) }

// WebhookDelivery is an event on its way to a webhook, and what came of it.
type WebhookDelivery struct {
	ID            string        `json:"id"                   bson:"_id"`
	Tenant        Tenant        `json:"tenant"               bson:"tenant"`
	WebhookID     string        `json:"webhookId"            bson:"webhookId"`
	EventID       string        `json:"eventId"              bson:"eventId"` // the same in all deliveries of an event: receivers tell doubles by it
	Event         string        `json:"event"                bson:"event"`   // such as "message.created"
	Body          RawJSON       `json:"body"                 bson:"body"`
	State         DeliveryState `json:"state"                bson:"state"`
	Attempts      int           `json:"attempts"             bson:"attempts"`             // how often it was tried
	NotBefore     Millis        `json:"notBefore"            bson:"notBefore"`            // not tried earlier; 0: at once
	HTTPStatus    int           `json:"httpStatus,omitempty" bson:"httpStatus,omitempty"` // of the last answer; 0: none came
	Error         string        `json:"error,omitempty"      bson:"error,omitempty"`      // why the last try failed, in words for an admin
	TriedAt       Millis        `json:"triedAt,omitempty"    bson:"triedAt,omitempty"`    // when the last try began
	Millis        int64         `json:"millis,omitempty"     bson:"millis,omitempty"`     // how long the last try took, in milliseconds
	CreatedAt     Millis        `json:"createdAt"            bson:"createdAt"`
	ExpiresAt     Millis        `json:"expiresAt"            bson:"expiresAt"` // when the record goes, whatever its state
	SchemaVersion SchemaVersion `json:"schemaVersion"        bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (d WebhookDelivery) Validate() error {
	bad := invalid{}
	bad.require(ValidID(d.ID), "id", "must be an id")
	bad.nest("tenant", d.Tenant.Validate())
	bad.require(ValidID(d.WebhookID), "webhookId", "must be an id")
	bad.require(ValidID(d.EventID), "eventId", "must be an id")
	bad.require(validEventName(d.Event), "event", "must be a name such as message.created")
	bad.require(d.Body != "" && validRawJSON(d.Body), "body", rawJSONRule)
	bad.require(d.State.Valid(), "state", "must be pending, delivered or failed")
	bad.require(d.Attempts >= 0, "attempts", "must not be negative")
	bad.require(len(d.Error) <= 2000, "error", "must be at most 2000 bytes")
	bad.require(d.ExpiresAt > d.CreatedAt, "expiresAt", "must be after createdAt")
	bad.nest("schemaVersion", d.SchemaVersion.Validate())
	return bad.err("webhook delivery")
}

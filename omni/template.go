package omni

import "strings"

// TemplateCategory is what a message template is for: carriers charge and limit by it.
type TemplateCategory string

// The template categories, by the carrier's words.
const (
	TemplateMarketing      TemplateCategory = "MARKETING"
	TemplateUtility        TemplateCategory = "UTILITY"
	TemplateAuthentication TemplateCategory = "AUTHENTICATION"
)

// TemplateCategories lists every template category.
var TemplateCategories = []TemplateCategory{TemplateMarketing, TemplateUtility, TemplateAuthentication}

// Valid reports whether c is one of TemplateCategories.
func (c TemplateCategory) Valid() bool { return isOneOf(c, TemplateCategories) }

// TemplateStatus is where a message template stands at the carrier.
type TemplateStatus string

// The template statuses, by the carrier's words. Only an approved template can be sent.
const (
	TemplateApproved        TemplateStatus = "APPROVED"
	TemplatePending         TemplateStatus = "PENDING"
	TemplateRejected        TemplateStatus = "REJECTED"
	TemplateInAppeal        TemplateStatus = "IN_APPEAL"
	TemplatePaused          TemplateStatus = "PAUSED"
	TemplateDisabled        TemplateStatus = "DISABLED"
	TemplateLimitExceeded   TemplateStatus = "LIMIT_EXCEEDED"
	TemplateArchived        TemplateStatus = "ARCHIVED"
	TemplateLocked          TemplateStatus = "LOCKED"
	TemplatePendingDeletion TemplateStatus = "PENDING_DELETION"
	TemplateDeleted         TemplateStatus = "DELETED"
	TemplateOther           TemplateStatus = "OTHER" // a word that we do not know
)

// TemplateStatuses lists every template status.
var TemplateStatuses = []TemplateStatus{
	TemplateApproved, TemplatePending, TemplateRejected, TemplateInAppeal, TemplatePaused, TemplateDisabled,
	TemplateLimitExceeded, TemplateArchived, TemplateLocked, TemplatePendingDeletion, TemplateDeleted, TemplateOther,
}

// Valid reports whether s is one of TemplateStatuses.
func (s TemplateStatus) Valid() bool { return isOneOf(s, TemplateStatuses) }

// TemplateQuality is what recipients make of a message template, by the carrier's score.
type TemplateQuality string

// The template qualities.
const (
	QualityGreen   TemplateQuality = "GREEN"
	QualityYellow  TemplateQuality = "YELLOW"
	QualityRed     TemplateQuality = "RED"
	QualityUnknown TemplateQuality = "UNKNOWN"
)

// TemplateQualities lists every template quality.
var TemplateQualities = []TemplateQuality{QualityGreen, QualityYellow, QualityRed, QualityUnknown}

// Valid reports whether q is one of TemplateQualities.
func (q TemplateQuality) Valid() bool { return isOneOf(q, TemplateQualities) }

// MessageTemplate is a text that a carrier has approved, as we last saw it there. Its account, name and language together
// are unique.
type MessageTemplate struct {
	ID               string           `json:"id"                       bson:"_id"`
	Tenant           Tenant           `json:"tenant"                   bson:"tenant"`
	CarrierAccountID string           `json:"carrierAccountId"         bson:"carrierAccountId"`
	CarrierID        string           `json:"carrierId,omitempty"      bson:"carrierId,omitempty"` // the carrier's id of it, in decimal
	Name             string           `json:"name"                     bson:"name"`                // lower-case letters, digits and _
	Language         string           `json:"language"                 bson:"language"`            // as the carrier writes it: en_US
	Category         TemplateCategory `json:"category"                 bson:"category"`
	Status           TemplateStatus   `json:"status"                   bson:"status"`
	Quality          TemplateQuality  `json:"quality"                  bson:"quality"`
	NamedParameters  bool             `json:"namedParameters"          bson:"namedParameters"`          // {{name}} instead of {{1}}
	Components       RawJSON          `json:"components"               bson:"components"`               // header, body, footer and buttons, as the carrier describes them
	RejectedReason   string           `json:"rejectedReason,omitempty" bson:"rejectedReason,omitempty"` // the carrier's word for why
	SyncedAt         Millis           `json:"syncedAt"                 bson:"syncedAt"`                 // when the carrier last told of it
	Version          int64            `json:"version"                  bson:"version"`
	CreatedAt        Millis           `json:"createdAt"                bson:"createdAt"`
	SchemaVersion    SchemaVersion    `json:"schemaVersion"            bson:"schemaVersion"`
}

// Usable reports whether the template can be sent.
func (m MessageTemplate) Usable() bool { return m.Status == TemplateApproved }

// Validate reports what is wrong as ErrInvalid.
func (m MessageTemplate) Validate() error {
	bad := invalid{}
	bad.require(ValidID(m.ID), "id", "must be an id")
	bad.nest("tenant", m.Tenant.Validate())
	bad.require(ValidID(m.CarrierAccountID), "carrierAccountId", "must be an id")
	bad.require(len(m.CarrierID) <= 255, "carrierId", "must be at most 255 bytes")
	bad.require(validTemplateName(m.Name), "name", "must be 1 to 512 lower-case letters, digits and underscores")
	bad.require(m.Language != "" && len(m.Language) <= 20, "language", "must be 1 to 20 bytes")
	bad.require(m.Category.Valid(), "category", "must be MARKETING, UTILITY or AUTHENTICATION")
	bad.require(m.Status.Valid(), "status", "is not a template status")
	bad.require(m.Quality.Valid(), "quality", "must be GREEN, YELLOW, RED or UNKNOWN")
	bad.require(m.Components != "" && validRawJSON(m.Components), "components", rawJSONRule)
	bad.require(len(m.RejectedReason) <= 255, "rejectedReason", "must be at most 255 bytes")
	bad.nest("schemaVersion", m.SchemaVersion.Validate())
	return bad.err("message template")
}

func validTemplateName(s string) bool {
	return s != "" && len(s) <= 512 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
	})
}

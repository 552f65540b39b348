package omni

// RerouteMapper is what of a notification a mapping looks at. (Seed: ReRoutingMapper.)
type RerouteMapper string

// The mappers, in the order in which they are tried: the first mapping that matches wins.
const (
	RerouteByWABA           RerouteMapper = "WABA_ID"
	RerouteByPhoneNumber    RerouteMapper = "PHONE_NUMBER_ID"
	RerouteByTemplatePrefix RerouteMapper = "TEMPLATE_NAME_PREFIX"
	RerouteDefault          RerouteMapper = "DEFAULT" // matches everything; has no key
)

// RerouteMappers lists every mapper.
var RerouteMappers = []RerouteMapper{RerouteByWABA, RerouteByPhoneNumber, RerouteByTemplatePrefix, RerouteDefault}

// Valid reports whether m is one of RerouteMappers.
func (m RerouteMapper) Valid() bool { return isOneOf(m, RerouteMappers) }

// RerouteMapping says which environment gets the notifications of a webhook that several environments share.
// (Seed: ReRouterMapping.) Account, mapper and key together are unique.
type RerouteMapping struct {
	ID               string        `json:"id"               bson:"_id"`
	Tenant           Tenant        `json:"tenant"           bson:"tenant"`
	CarrierAccountID string        `json:"carrierAccountId" bson:"carrierAccountId"` // whose webhook is shared
	Mapper           RerouteMapper `json:"mapper"           bson:"mapper"`
	Key              string        `json:"key"              bson:"key"`         // what the mapper has to find
	Environment      string        `json:"environment"      bson:"environment"` // a name for people
	URL              string        `json:"url"              bson:"url"`         // https; empty: this environment
	Disabled         bool          `json:"disabled"         bson:"disabled"`
	Version          int64         `json:"version"          bson:"version"`
	CreatedAt        Millis        `json:"createdAt"        bson:"createdAt"`
	SchemaVersion    SchemaVersion `json:"schemaVersion"    bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (m RerouteMapping) Validate() error {
	bad := invalid{}
	bad.require(ValidID(m.ID), "id", "must be an id")
	bad.nest("tenant", m.Tenant.Validate())
	bad.require(ValidID(m.CarrierAccountID), "carrierAccountId", "must be an id")
	bad.require(m.Mapper.Valid(), "mapper", "must be WABA_ID, PHONE_NUMBER_ID, TEMPLATE_NAME_PREFIX or DEFAULT")
	bad.require(m.Mapper == RerouteDefault || m.Key != "" && len(m.Key) <= 255, "key", "must be 1 to 255 bytes")
	bad.require(m.Mapper != RerouteDefault || m.Key == "", "key", "must be empty for DEFAULT")
	bad.require(validName(m.Environment), "environment", nameRule)
	bad.require(m.URL == "" || validHTTPS(m.URL), "url", "must be an https address of at most 2000 bytes, without a user name")
	bad.nest("schemaVersion", m.SchemaVersion.Validate())
	return bad.err("re-router mapping")
}

package omni

// Tenant is the organisation, and where one acts the user, on whose behalf something happens. (Seed: Tenant.)
// The store takes one in every call and offers no query without it.
type Tenant struct {
	OrganisationID string `json:"organisationId"   bson:"organisationId"`
	UserID         string `json:"userId,omitempty" bson:"userId,omitempty"` // empty: the system acts
}

// Org is the tenant of an organisation without a user.
func Org(organisationID string) Tenant { return Tenant{OrganisationID: organisationID} }

// Validate reports a missing organisation or a malformed id as ErrInvalid.
func (t Tenant) Validate() error {
	bad := invalid{}
	bad.require(ValidID(t.OrganisationID), "organisationId", "must be an id")
	bad.require(t.UserID == "" || ValidID(t.UserID), "userId", "must be an id")
	return bad.err("tenant")
}

// Organisation is a customer of the gateway; everything stored belongs to exactly one.
type Organisation struct {
	ID             string        `json:"id"                       bson:"_id"`
	Name           string        `json:"name"                     bson:"name"`
	DefaultCountry string        `json:"defaultCountry,omitempty" bson:"defaultCountry,omitempty"` // ISO 3166-1 alpha-2, for numbers without a country code
	ReopenMinutes  int           `json:"reopenMinutes"            bson:"reopenMinutes"`            // a resolved interaction reopens within this time of its end; later a new one begins
	Version        int64         `json:"version"                  bson:"version"`
	CreatedAt      Millis        `json:"createdAt"                bson:"createdAt"`
	SchemaVersion  SchemaVersion `json:"schemaVersion"            bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (o Organisation) Validate() error {
	bad := invalid{}
	bad.require(ValidID(o.ID), "id", "must be an id")
	bad.require(validName(o.Name), "name", nameRule)
	bad.require(o.DefaultCountry == "" || isCountry(o.DefaultCountry), "defaultCountry", "must be two letters such as US")
	bad.require(o.ReopenMinutes >= 0 && o.ReopenMinutes <= 60*24*365, "reopenMinutes", "must be between 0 and 525600")
	bad.nest("schemaVersion", o.SchemaVersion.Validate())
	return bad.err("organisation")
}

func isCountry(s string) bool {
	return len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}

// User is a person of an organisation who logs in: an agent, a supervisor or an admin.
type User struct {
	ID             string        `json:"id"                  bson:"_id"`
	OrganisationID string        `json:"organisationId"      bson:"organisationId"`
	Email          string        `json:"email"               bson:"email"` // lower case; unique over all organisations
	Name           string        `json:"name"                bson:"name"`
	Role           Role          `json:"role"                bson:"role"`
	PasswordHash   string        `json:"-"                   bson:"passwordHash,omitempty"` // argon2id in PHC form; empty: no password set
	Disabled       bool          `json:"disabled"            bson:"disabled"`               // removed: cannot log in, open sockets close
	Version        int64         `json:"version"             bson:"version"`
	CreatedAt      Millis        `json:"createdAt"           bson:"createdAt"`
	SchemaVersion  SchemaVersion `json:"schemaVersion"       bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (u User) Validate() error {
	bad := invalid{}
	bad.require(ValidID(u.ID), "id", "must be an id")
	bad.require(ValidID(u.OrganisationID), "organisationId", "must be an id")
	bad.require(validEmail(u.Email), "email", "must be an e-mail address in lower case")
	bad.require(validName(u.Name), "name", nameRule)
	bad.require(isOneOf(u.Role, UserRoles), "role", "must be admin, supervisor or agent")
	bad.nest("schemaVersion", u.SchemaVersion.Validate())
	return bad.err("user")
}

// Session is one login of a user. Its refresh token is single-use: each refresh replaces RefreshHash.
type Session struct {
	ID             string   `json:"id"                bson:"_id"`
	OrganisationID string   `json:"organisationId"    bson:"organisationId"`
	UserID         string   `json:"userId"            bson:"userId"`
	RefreshHash    string   `json:"-"                 bson:"refreshHash"`    // hex SHA-256 of the only refresh token that is valid
	PreviousHashes []string `json:"-"                 bson:"previousHashes"` // used ones, newest last, at most 50: one coming again ends the session
	CreatedAt      Millis   `json:"createdAt"         bson:"createdAt"`
	ExpiresAt      Millis   `json:"expiresAt"         bson:"expiresAt"`
	EndedAt        Millis   `json:"endedAt,omitempty" bson:"endedAt,omitempty"` // logged out, removed, or a token used twice
}

// APIKey lets a program in. The key itself is shown once; only its hash is kept.
type APIKey struct {
	ID             string `json:"id"                   bson:"_id"`
	OrganisationID string `json:"organisationId"       bson:"organisationId"`
	Name           string `json:"name"                 bson:"name"`
	Role           Role   `json:"role"                 bson:"role"` // service, or admin for programs that set the gateway up
	Hash           string `json:"-"                    bson:"hash"` // hex SHA-256 of the key, unique
	Hint           string `json:"hint"                 bson:"hint"` // last 4 characters
	CreatedAt      Millis `json:"createdAt"            bson:"createdAt"`
	ExpiresAt      Millis `json:"expiresAt,omitempty"  bson:"expiresAt,omitempty"` // 0: never
}

// Validate reports what is wrong as ErrInvalid.
func (k APIKey) Validate() error {
	bad := invalid{}
	bad.require(ValidID(k.ID), "id", "must be an id")
	bad.require(ValidID(k.OrganisationID), "organisationId", "must be an id")
	bad.require(validName(k.Name), "name", nameRule)
	bad.require(k.Role == RoleService || k.Role == RoleAdmin, "role", "must be service or admin")
	bad.require(len(k.Hash) == 64, "hash", "must be 64 hex digits")
	return bad.err("API key")
}

// OneTimeToken is a login link or another thing that works once.
type OneTimeToken struct {
	Hash           string `json:"-"              bson:"_id"` // hex SHA-256 of the token
	OrganisationID string `json:"organisationId" bson:"organisationId"`
	UserID         string `json:"userId"         bson:"userId"`
	Purpose        string `json:"purpose"        bson:"purpose"` // "login"
	ExpiresAt      Millis `json:"expiresAt"      bson:"expiresAt"`
}

// AuditRecord tells who did something that must be traceable. Records are only ever added.
type AuditRecord struct {
	ID             string            `json:"id"               bson:"_id"`
	OrganisationID string            `json:"organisationId"   bson:"organisationId"`
	ActorID        string            `json:"actorId"          bson:"actorId"` // user or API key; "system" for the program itself
	Action         string            `json:"action"           bson:"action"`  // such as "user.create"
	TargetID       string            `json:"targetId"         bson:"targetId"`
	Details        map[string]string `json:"details,omitempty" bson:"details,omitempty"` // never secrets
	At             Millis            `json:"at"               bson:"at"`
}

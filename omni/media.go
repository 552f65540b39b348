package omni

// ExternalRef is where a file lies outside. (Seed: ExternalRef.)
type ExternalRef struct {
	ID        string `json:"id,omitempty"        bson:"id,omitempty"`        // the carrier's id, where it has one
	URL       string `json:"url,omitempty"       bson:"url,omitempty"`       // hostile: fetched only under the rules for outside addresses
	ExpiresAt Millis `json:"expiresAt,omitempty" bson:"expiresAt,omitempty"` // 0: not known to end
}

// MediaReference is a file of a message: where it came from, and where we keep it. (Seed: MediaReference.)
type MediaReference struct {
	ID          string      `json:"id,omitempty"          bson:"id,omitempty"` // ours; empty until a record of it is kept
	Carrier     CarrierName `json:"carrier,omitempty"     bson:"carrier,omitempty"`
	Type        MediaType   `json:"type"                  bson:"type"`
	ContentType string      `json:"contentType,omitempty" bson:"contentType,omitempty"` // MIME, as claimed until State is ready, then as sniffed
	Size        int64       `json:"size,omitempty"        bson:"size,omitempty"`        // bytes; 0 unknown
	FileName    string      `json:"fileName,omitempty"    bson:"fileName,omitempty"`    // a label only; hostile text
	SHA256      string      `json:"sha256,omitempty"      bson:"sha256,omitempty"`      // lower-case hex: of the stored bytes; until State is ready, of those that the carrier says it has, empty if it does not say
	State       MediaState  `json:"state"                 bson:"state"`
	Failure     string      `json:"failure,omitempty"     bson:"failure,omitempty"` // why State is failed, in words for an agent
	External    ExternalRef `json:"external"              bson:"external"`
}

// Validate reports what is wrong as ErrInvalid.
func (r MediaReference) Validate() error {
	bad := invalid{}
	bad.require(r.ID == "" || ValidID(r.ID), "id", "must be an id")
	bad.require(r.Carrier == "" || r.Carrier.Valid(), "carrier", "is not a carrier")
	bad.require(r.Type.Valid(), "type", "must be image, video, audio or document")
	bad.require(r.State.Valid(), "state", "must be pending, ready or failed")
	bad.require(r.Size >= 0, "size", "must not be negative")
	bad.require(r.ID != "" || r.External.ID != "" || r.External.URL != "", "external", "must say where the file is")
	return bad.err("media reference")
}

// MediaConvertJob tracks the conversion of a file to a type that a channel or browser takes. (Seed: MediaConvertJob.)
type MediaConvertJob struct {
	ID            string                `json:"id"                   bson:"_id"`
	Tenant        Tenant                `json:"tenant"               bson:"tenant"`
	MessageID     string                `json:"messageId"            bson:"messageId"`
	MediaID       string                `json:"mediaId"              bson:"mediaId"` // what is converted
	FromType      string                `json:"fromType"             bson:"fromType"`
	ToType        string                `json:"toType"               bson:"toType"`
	ExternalJobID string                `json:"externalJobId,omitempty" bson:"externalJobId,omitempty"` // of the service that converts; empty: we do. Unique in the organisation
	Status        MediaConvertJobStatus `json:"status,omitempty"     bson:"status,omitempty"`           // empty: not ended. What it is then stays
	ResultID      string                `json:"resultId,omitempty"   bson:"resultId,omitempty"`         // the converted file
	Attempts      int                   `json:"attempts"             bson:"attempts"`
	Error         string                `json:"error,omitempty"      bson:"error,omitempty"`
	CreatedAt     Millis                `json:"createdAt"            bson:"createdAt"`
	EndedAt       Millis                `json:"endedAt,omitempty"    bson:"endedAt,omitempty"`
	Version       int64                 `json:"version"              bson:"version"`
	SchemaVersion SchemaVersion         `json:"schemaVersion"        bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (j MediaConvertJob) Validate() error {
	bad := invalid{}
	bad.require(ValidID(j.ID), "id", "must be an id")
	bad.nest("tenant", j.Tenant.Validate())
	bad.require(ValidID(j.MessageID), "messageId", "must be an id")
	bad.require(ValidID(j.MediaID), "mediaId", "must be an id")
	bad.require(j.FromType != "", "fromType", "is required")
	bad.require(j.ToType != "", "toType", "is required")
	bad.require(len(j.ExternalJobID) <= 255, "externalJobId", "must be at most 255 bytes")
	bad.require(j.Status == "" || j.Status.Valid(), "status", "must be Complete, Failed or Incompatible")
	bad.require(j.Status != ConvertComplete || ValidID(j.ResultID), "resultId", "must be an id once the job is complete")
	bad.nest("schemaVersion", j.SchemaVersion.Validate())
	return bad.err("media conversion job")
}

// MediaFile is the record of a file that we keep: one that a message brought or takes, or that came of a conversion.
type MediaFile struct {
	ID            string        `json:"id"                 bson:"_id"` // MediaReference.ID of messages that have it
	Tenant        Tenant        `json:"tenant"             bson:"tenant"`
	MessageID     string        `json:"messageId"          bson:"messageId"` // empty until a message has it
	Type          MediaType     `json:"type"               bson:"type"`
	ContentType   string        `json:"contentType"        bson:"contentType"`        // MIME, as sniffed
	Size          int64         `json:"size"               bson:"size"`               // bytes
	SHA256        string        `json:"sha256"             bson:"sha256"`             // lower-case hex
	FileName      string        `json:"fileName,omitempty" bson:"fileName,omitempty"` // a label only; hostile text
	FromID        string        `json:"fromId,omitempty"   bson:"fromId,omitempty"`   // the file that it was converted from
	Version       int64         `json:"version"            bson:"version"`
	CreatedAt     Millis        `json:"createdAt"          bson:"createdAt"`
	SchemaVersion SchemaVersion `json:"schemaVersion"      bson:"schemaVersion"`
}

// Validate reports what is wrong as ErrInvalid.
func (f MediaFile) Validate() error {
	bad := invalid{}
	bad.require(ValidID(f.ID), "id", "must be an id")
	bad.nest("tenant", f.Tenant.Validate())
	bad.require(f.MessageID == "" || ValidID(f.MessageID), "messageId", "must be an id")
	bad.require(f.Type.Valid(), "type", "must be image, video, audio or document")
	bad.require(f.ContentType != "" && len(f.ContentType) <= 255, "contentType", "must be 1 to 255 bytes")
	bad.require(f.Size >= 0, "size", "must not be negative")
	bad.require(len(f.SHA256) == 64 && isHex(f.SHA256), "sha256", "must be 64 hex digits")
	bad.require(len(f.FileName) <= 255, "fileName", "must be at most 255 bytes")
	bad.require(f.FromID == "" || ValidID(f.FromID), "fromId", "must be an id")
	bad.nest("schemaVersion", f.SchemaVersion.Validate())
	return bad.err("file")
}

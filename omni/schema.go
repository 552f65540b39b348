package omni

import (
	"encoding/json"
	"fmt"
	"time"
)

// SchemaVersion says after which version of its model a stored aggregate was written. (Seed: SchemaVersion.)
type SchemaVersion struct {
	Version int       `json:"version" bson:"version"` // counts from 1
	Date    time.Time `json:"date"    bson:"date"`    // when that version came into use, UTC
}

// CurrentSchema is the version that this program writes.
var CurrentSchema = SchemaVersion{Version: 1, Date: time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)}

// Validate reports a version below 1 or a missing date as ErrInvalid.
func (v SchemaVersion) Validate() error {
	bad := invalid{}
	bad.require(v.Version >= 1, "version", "must be 1 or more")
	bad.require(!v.Date.IsZero(), "date", "is required")
	return bad.err("schema version")
}

type schemaVersionJSON struct {
	Version int    `json:"version"`
	Date    string `json:"date"`
}

const schemaDate = "2006-01-02T15:04:05.000Z"

// MarshalJSON writes the date with milliseconds: {"version":1,"date":"2024-01-15T00:00:00.000Z"}.
func (v SchemaVersion) MarshalJSON() ([]byte, error) {
	return json.Marshal(schemaVersionJSON{v.Version, v.Date.UTC().Format(schemaDate)})
}

// UnmarshalJSON reads what MarshalJSON writes, and any RFC 3339 date.
func (v *SchemaVersion) UnmarshalJSON(b []byte) error {
	var j schemaVersionJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return fmt.Errorf("schema version: %w", ErrInvalid)
	}
	d, err := time.Parse(time.RFC3339Nano, j.Date)
	if err != nil {
		return fmt.Errorf("schema version date %q: %w", j.Date, ErrInvalid)
	}
	v.Version, v.Date = j.Version, d.UTC()
	return nil
}

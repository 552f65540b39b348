package omni

import (
	"encoding/json"
	"fmt"
)

// RawJSON is JSON that the gateway keeps and passes on without looking into it. Empty stands for null. It is kept with
// its meaning, not to the byte: white space and escapes may change.
type RawJSON string

// Valid reports whether r is empty or JSON.
func (r RawJSON) Valid() bool { return r == "" || json.Valid([]byte(r)) }

// MarshalJSON implements json.Marshaler.
func (r RawJSON) MarshalJSON() ([]byte, error) {
	if r == "" {
		return []byte("null"), nil
	}
	if !r.Valid() {
		return nil, fmt.Errorf("raw JSON: %w", ErrInvalid)
	}
	return []byte(r), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *RawJSON) UnmarshalJSON(b []byte) error {
	*r = ""
	if string(b) != "null" {
		*r = RawJSON(b)
	}
	return nil
}

// maxRawJSON is the most bytes of RawJSON in a record.
const maxRawJSON = 256 << 10

const rawJSONRule = "must be JSON of at most 262144 bytes"

func validRawJSON(r RawJSON) bool { return len(r) <= maxRawJSON && r.Valid() }

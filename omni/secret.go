package omni

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// Secret is a password, token or key. It prints, logs and turns into JSON as "[redacted]"; Reveal gives the value.
//
// The value sits behind a pointer because fmt calls no method on an unexported field of a struct that it prints:
// it would show a string there, and shows an address instead.
type Secret struct{ value *string }

// NewSecret wraps value.
func NewSecret(value string) Secret { return Secret{&value} }

// Reveal returns the value. Call it only where the value is used.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether no secret is set.
func (s Secret) IsZero() bool { return s.Reveal() == "" }

// Hint returns the last 4 characters of a secret of at least 12, else "": enough to tell two apart, too little to use.
func (s Secret) Hint() string {
	value := s.Reveal()
	if len(value) < 12 {
		return ""
	}
	return value[len(value)-4:]
}

// Format implements fmt.Formatter, so that no verb shows the value.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// String implements fmt.Stringer.
func (Secret) String() string { return redacted }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON implements json.Marshaler.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// UnmarshalJSON implements json.Unmarshaler: a secret can be read, never written.
func (s *Secret) UnmarshalJSON(b []byte) error {
	var value string
	if err := json.Unmarshal(b, &value); err != nil {
		return fmt.Errorf("secret: %w", ErrInvalid) // without err, which may quote the value
	}
	*s = NewSecret(value)
	return nil
}

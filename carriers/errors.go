package carriers

import (
	"fmt"

	"omniservice/omni"
)

// Names of what can be wrong with a webhook.
const (
	MissingSignature   = "missing_signature"
	BadSignature       = "bad_signature"
	ExpiredSignature   = "expired_signature"
	MissingCredentials = "missing_credentials"
	BadCredentials     = "bad_credentials"
	MalformedBody      = "malformed_body"
	MissingField       = "missing_field"
	ForeignAccount     = "foreign_account" // the body names another account than the configured one
)

// Names of what is acknowledged and changes nothing.
const (
	UnknownStatus = "unknown_status"
	UnknownEvent  = "unknown_event"
	Empty         = "empty"
)

// WebhookError refuses a webhook.
type WebhookError struct {
	Name  string // one of the constants above
	Field string // for MissingField: the carrier's name of it
	Kind  error  // omni.ErrUnauthenticated, omni.ErrForbidden or omni.ErrInvalid

	// Status is the HTTP status of the answer; 0 means 403 for what is not authentic, and 400 for what cannot be read.
	Status int
	// Authenticate is the WWW-Authenticate of a 401: what the provider has to bring.
	Authenticate string

	Err error // the cause, for the log; never holds a secret or a value of the request
}

// Error implements error.
func (e *WebhookError) Error() string {
	s := e.Name
	if e.Field != "" {
		s += " " + e.Field
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the kind and the cause to errors.Is and errors.As.
func (e *WebhookError) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}

// Unauthenticated refuses a request that the provider did not send.
func Unauthenticated(name string) *WebhookError {
	return &WebhookError{Name: name, Kind: omni.ErrUnauthenticated}
}

// Malformed refuses a body that cannot be read.
func Malformed(err error) *WebhookError {
	return &WebhookError{Name: MalformedBody, Kind: omni.ErrInvalid, Err: err}
}

// Missing refuses a body without a field that must be there.
func Missing(field string) *WebhookError {
	return &WebhookError{Name: MissingField, Field: field, Kind: omni.ErrInvalid}
}

// SendError says why a send failed. All else follows from its Reason.
type SendError struct {
	Reason     omni.Reason
	Code       string // the provider's own code, such as "131047"; empty if it gave none
	RetryAfter int    // seconds that the provider asked us to wait; 0 if it did not
	Tries      int    // how often a message is sent at most that fails so, if another try may work; 0: as long as it is of use
	Err        error  // the cause, kept for errors.Is and for the log
}

// Error implements error.
func (e *SendError) Error() string {
	s := "send: " + string(e.Reason)
	if e.Code != "" {
		s += " (code " + e.Code + ")"
	}
	if e.Err != nil {
		s = fmt.Sprintf("%s: %v", s, e.Err)
	}
	return s
}

// Unwrap returns the cause.
func (e *SendError) Unwrap() error { return e.Err }

// Retryable reports whether the same message may be sent again by itself.
func (e *SendError) Retryable() bool { return e.Reason.Retryable() }

// Failure is what a provider's code means: why a message failed, and what an agent is told of it.
type Failure struct {
	Reason omni.Reason
	Words  string // a sentence or two
}

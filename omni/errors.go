package omni

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The kinds of error. Everything that is none of these is internal: its text is for the log only.
var (
	ErrInvalid         = errors.New("invalid")
	ErrUnauthenticated = errors.New("unauthenticated")
	ErrForbidden       = errors.New("forbidden")
	ErrNotFound        = errors.New("not found")
	ErrConflict        = errors.New("conflict")
	ErrRateLimited     = errors.New("rate limited")
	ErrUnavailable     = errors.New("unavailable")
	ErrUnsupported     = errors.New("unsupported")
	ErrWindowClosed    = errors.New("window closed")
	ErrOptedOut        = errors.New("opted out")
)

// Code is the word for an error that clients see, over REST and over the socket.
type Code string

// The codes, one for each kind.
const (
	CodeInvalid         Code = "invalid"
	CodeUnauthenticated Code = "unauthenticated"
	CodeForbidden       Code = "forbidden"
	CodeNotFound        Code = "not_found"
	CodeConflict        Code = "conflict"
	CodeRateLimited     Code = "rate_limited"
	CodeUnavailable     Code = "unavailable"
	CodeUnsupported     Code = "unsupported"
	CodeWindowClosed    Code = "window_closed"
	CodeOptedOut        Code = "opted_out"
	CodeInternal        Code = "internal"
)

var kinds = []struct {
	err  error
	code Code
}{
	{ErrInvalid, CodeInvalid},
	{ErrUnauthenticated, CodeUnauthenticated},
	{ErrForbidden, CodeForbidden},
	{ErrNotFound, CodeNotFound},
	{ErrConflict, CodeConflict},
	{ErrRateLimited, CodeRateLimited},
	{ErrUnavailable, CodeUnavailable},
	{ErrUnsupported, CodeUnsupported},
	{ErrWindowClosed, CodeWindowClosed},
	{ErrOptedOut, CodeOptedOut},
}

// CodeOf returns the code of err's kind: CodeInternal if it has none, "" for nil. The kind of a Problem is the one
// that it states, whatever its cause is.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if p, ok := errors.AsType[*Problem](err); ok {
		err = p.Kind
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.code
		}
	}
	return CodeInternal
}

// Problem is an error with words for the person or program that caused it. Its Message and Details may be
// shown to them; those of no other error may.
type Problem struct {
	Kind       error             // one of the kinds above
	Message    string            // what is wrong and what to do, in one sentence
	Fields     map[string]string // path of a field -> what is wrong with it; nil if no field is to blame
	Details    map[string]any    // what the code promises besides, such as who won a conflict
	RetryAfter time.Duration     // for ErrRateLimited and ErrUnavailable: when to come back; 0 if unknown
	Err        error             // the cause, for the log; may be nil
}

// Problemf makes a Problem of a kind with a formatted message.
func Problemf(kind error, format string, args ...any) *Problem {
	return &Problem{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Error implements error.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.Message)
	if p.Err != nil {
		b.WriteString(": ")
		b.WriteString(p.Err.Error())
	}
	return b.String()
}

// Unwrap gives the kind and the cause to errors.Is and errors.As.
func (p *Problem) Unwrap() []error {
	if p.Err == nil {
		return []error{p.Kind}
	}
	return []error{p.Kind, p.Err}
}

// invalid collects what is wrong with a value, field by field.
type invalid map[string]string

func (v invalid) require(ok bool, field, problem string) {
	if _, seen := v[field]; !ok && !seen {
		v[field] = problem
	}
}

func (v invalid) nest(field string, err error) {
	var p *Problem
	switch {
	case err == nil:
	case errors.As(err, &p) && len(p.Fields) > 0:
		for f, text := range p.Fields {
			v.require(false, field+"."+f, text)
		}
	default:
		v.require(false, field, err.Error())
	}
}

func (v invalid) err(what string) error {
	if len(v) == 0 {
		return nil
	}
	p := Problemf(ErrInvalid, "the %s is not valid", what)
	p.Fields = v
	return p
}

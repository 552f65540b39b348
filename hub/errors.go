package hub

import (
	"context"
	"errors"

	"omniservice/omni"
	"omniservice/omni/wire"
)

// words are what clients read of an error that brought none of its own.
var words = map[omni.Code]string{
	omni.CodeInvalid:         "this is not valid",
	omni.CodeUnauthenticated: "log in again",
	omni.CodeForbidden:       "you may not do this",
	omni.CodeNotFound:        "there is no such thing, or you may not see it",
	omni.CodeConflict:        "somebody else was faster: look again",
	omni.CodeRateLimited:     "too many requests: wait a little",
	omni.CodeUnavailable:     "this does not work at the moment: try again",
	omni.CodeUnsupported:     "this is not supported",
	omni.CodeWindowClosed:    "the time for free text is over",
	omni.CodeOptedOut:        "the recipient has opted out",
	omni.CodeInternal:        "something went wrong here: try again, and tell your admin if it stays so",
}

// ErrorOf turns an error into what a client may know of it: an omni.Problem's own words and details, of others only
// the code of their kind. Running out of time counts as unavailable. nil gives nil.
func ErrorOf(err error) *wire.Error {
	if err == nil {
		return nil
	}
	code := omni.CodeOf(err)
	if code == omni.CodeInternal && errors.Is(err, context.DeadlineExceeded) {
		code = omni.CodeUnavailable
	}
	e := &wire.Error{Code: code, Message: words[code]}
	var p *omni.Problem
	if code != omni.CodeInternal && errors.As(err, &p) {
		if p.Message != "" {
			e.Message = p.Message
		}
		e.Fields, e.Details, e.RetryAfterMs = p.Fields, p.Details, p.RetryAfter.Milliseconds()
	}
	return e
}

package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"omniservice/omni"
)

// Problem is the body of every error answer (RFC 9457), with the code that sockets give for the same error.
type Problem struct {
	Type      string            `json:"type,omitempty" doc:"Not used: the code says what happened"`
	Title     string            `json:"title" doc:"The HTTP status in words"`
	Status    int               `json:"status"`
	Detail    string            `json:"detail,omitempty" doc:"What is wrong and what to do, for people"`
	Code      omni.Code         `json:"code" doc:"What is wrong, for programs" enum:"invalid,unauthenticated,forbidden,not_found,conflict,rate_limited,unavailable,unsupported,window_closed,opted_out,internal"`
	Errors    []ProblemLocation `json:"errors,omitempty" nullable:"false" doc:"Which parts of the request are wrong"`
	Fields    map[string]string `json:"fields,omitempty" doc:"Path of a field to what is wrong with it"`
	Details   map[string]any    `json:"details,omitempty" doc:"What the code promises besides, such as the record that won a conflict"`
	RequestID string            `json:"requestId" doc:"Names this request in the log"`

	header http.Header
}

// ProblemLocation is one thing that is wrong with a request.
type ProblemLocation struct {
	Location string `json:"location" doc:"Where, such as body.name or query.limit"`
	Message  string `json:"message"`
}

// Error implements error.
func (p *Problem) Error() string { return string(p.Code) + ": " + p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header { return p.header }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// statuses are the HTTP statuses of the codes.
var statuses = map[omni.Code]int{
	omni.CodeInvalid:         http.StatusBadRequest,
	omni.CodeUnauthenticated: http.StatusUnauthorized,
	omni.CodeForbidden:       http.StatusForbidden,
	omni.CodeNotFound:        http.StatusNotFound,
	omni.CodeConflict:        http.StatusConflict,
	omni.CodeRateLimited:     http.StatusTooManyRequests,
	omni.CodeUnavailable:     http.StatusServiceUnavailable,
	omni.CodeUnsupported:     http.StatusUnprocessableEntity,
	omni.CodeWindowClosed:    http.StatusUnprocessableEntity,
	omni.CodeOptedOut:        http.StatusUnprocessableEntity,
	omni.CodeInternal:        http.StatusInternalServerError,
}

// words are what people read of an error that brings no words of its own.
var words = map[omni.Code]string{
	omni.CodeInvalid:         "The request is not valid.",
	omni.CodeUnauthenticated: "Log in again.",
	omni.CodeForbidden:       "You may not do this.",
	omni.CodeNotFound:        "There is no such thing, or you may not see it.",
	omni.CodeConflict:        "It was changed meanwhile. Read it again.",
	omni.CodeRateLimited:     "Too many requests. Wait a little.",
	omni.CodeUnavailable:     "Something is away for the moment. Try again.",
	omni.CodeUnsupported:     "This is not supported here.",
	omni.CodeWindowClosed:    "The time for free text is over.",
	omni.CodeOptedOut:        "The recipient does not want messages.",
	omni.CodeInternal:        "Something went wrong here. Try again, and name the request id if it stays.",
}

// withStatus is an error with an HTTP status of its own, where the kind alone does not give it.
type withStatus struct {
	status int
	err    error
}

func (w *withStatus) Error() string { return w.err.Error() }
func (w *withStatus) Unwrap() error { return w.err }

// withHeader is an error whose answer has headers.
type withHeader struct {
	header http.Header
	err    error
}

func (w *withHeader) Error() string { return w.err.Error() }
func (w *withHeader) Unwrap() error { return w.err }

// problemOf turns an error into the answer. Only an omni.Problem's own words are shown; all else is told by its code.
func problemOf(ctx context.Context, err error) *Problem {
	if done, ok := errors.AsType[*Problem](err); ok {
		return done
	}
	code := omni.CodeOf(err)
	if code == omni.CodeInternal && (errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)) {
		code = omni.CodeUnavailable
	}
	p := &Problem{Status: statuses[code], Code: code, Detail: words[code], RequestID: requestID(ctx), header: http.Header{}}
	var retryAfter int
	if told, ok := errors.AsType[*omni.Problem](err); ok {
		if told.Message != "" && code != omni.CodeInternal {
			p.Detail = told.Message
		}
		p.Fields, p.Details = told.Fields, told.Details
		retryAfter = int(math.Ceil(told.RetryAfter.Seconds()))
	}
	if code == omni.CodeRateLimited || code == omni.CodeUnavailable {
		p.header.Set("Retry-After", strconv.Itoa(max(1, retryAfter)))
	}
	if code == omni.CodeUnauthenticated {
		p.header.Set("WWW-Authenticate", "Bearer")
	}
	if s, ok := errors.AsType[*withStatus](err); ok {
		p.Status = s.status
	}
	if h, ok := errors.AsType[*withHeader](err); ok {
		maps.Copy(p.header, h.header)
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// writeProblem answers a request that no operation answers.
func (s *Server) writeProblem(c *gin.Context, err error) {
	p := problemOf(c.Request.Context(), err)
	s.logFailure(c.Request.Context(), c.FullPath(), p, err)
	maps.Copy(c.Writer.Header(), p.header)
	c.Header("Content-Type", problemType)
	c.Header("Cache-Control", "no-store")
	c.Status(p.Status)
	_ = json.NewEncoder(c.Writer).Encode(p)
	c.Abort()
}

// logFailure writes what the caller is not told.
func (s *Server) logFailure(ctx context.Context, op string, p *Problem, err error) {
	switch {
	case p.Status >= http.StatusInternalServerError && p.Code == omni.CodeInternal:
		s.log.ErrorContext(ctx, "request failed", "op", op, "request_id", p.RequestID, "err", err)
	case p.Status >= http.StatusInternalServerError:
		s.log.WarnContext(ctx, "request not served", "op", op, "request_id", p.RequestID, "err", err)
	}
}

var setErrors sync.Once

// useProblems makes huma's own errors Problems. huma keeps this in package variables, so it is done once.
func useProblems() {
	setErrors.Do(func() {
		huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
			return humaProblem("", status, msg, errs)
		}
		huma.NewErrorWithContext = func(ctx huma.Context, status int, msg string, errs ...error) huma.StatusError {
			return humaProblem(requestID(ctx.Context()), status, msg, errs)
		}
	})
}

// humaProblem is what huma found wrong with a request. Values of the request are left out of it.
func humaProblem(request string, status int, msg string, errs []error) *Problem {
	p := &Problem{Status: status, Code: omni.CodeInvalid, Detail: words[omni.CodeInvalid], RequestID: request}
	switch {
	case status == http.StatusUnprocessableEntity: // ours is 400; 422 is for what is well-formed
		p.Status = http.StatusBadRequest
	case status == http.StatusRequestEntityTooLarge:
		p.Detail = "The request is too large."
	case status == http.StatusRequestTimeout:
		p.Detail = "The request took too long to arrive."
	case status >= http.StatusInternalServerError && msg == "cannot read request body":
		p.Status, p.Detail = http.StatusBadRequest, "The request ended early."
	case status >= http.StatusInternalServerError:
		p.Code, p.Detail = omni.CodeInternal, words[omni.CodeInternal]
		errs = nil
	}
	for _, err := range errs {
		d, ok := err.(huma.ErrorDetailer)
		if !ok || d.ErrorDetail() == nil {
			continue
		}
		detail := d.ErrorDetail()
		p.Errors = append(p.Errors, ProblemLocation{Location: detail.Location, Message: plainMessage(detail.Message)})
		if field, ok := strings.CutPrefix(detail.Location, "body."); ok {
			if p.Fields == nil {
				p.Fields = map[string]string{}
			}
			p.Fields[field] = plainMessage(detail.Message)
		}
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// plainMessage leaves out what a decoder says about the bytes that it was given.
func plainMessage(msg string) string {
	for _, prefix := range []string{"invalid character", "json:", "unexpected end", "unmarshal"} {
		if strings.HasPrefix(msg, prefix) {
			return "is not valid JSON"
		}
	}
	return msg
}

// invalidField is an omni.ErrInvalid that blames one field.
func invalidField(field, text string) error {
	p := omni.Problemf(omni.ErrInvalid, "%s %s.", field, text)
	p.Fields = map[string]string{field: text}
	return p
}

// preconditionFailed answers an If-Match that is not of the stored version.
func preconditionFailed(what string) error {
	return &withStatus{
		status: http.StatusPreconditionFailed,
		err:    omni.Problemf(omni.ErrConflict, "The %s was changed meanwhile. Read it again.", what),
	}
}

// version reads an If-Match header: the version in quotes.
func version(ifMatch string) (int64, error) {
	if ifMatch == "" {
		return 0, &withStatus{
			status: http.StatusPreconditionRequired,
			err:    omni.Problemf(omni.ErrInvalid, "The header If-Match with the version that you read is required."),
		}
	}
	v, err := strconv.ParseInt(strings.Trim(strings.TrimPrefix(ifMatch, "W/"), `"`), 10, 64)
	if err != nil || v < 0 {
		return 0, omni.Problemf(omni.ErrInvalid, "The header If-Match must be a version in quotes, such as \"3\".")
	}
	return v, nil
}

func etag(v int64) string { return fmt.Sprintf(`"%d"`, v) }

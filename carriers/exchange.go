package carriers

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"omniservice/omni"
)

// MaxAnswer is the largest answer of a carrier's API that is read, in bytes (rule O2).
const MaxAnswer = 1 << 20

// maxRetryAfter bounds how long a carrier can make us wait, in seconds.
const maxRetryAfter = 24 * 60 * 60

// Answer is what a carrier's API answered.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte // nil where it could not be read; at most MaxAnswer
}

// Exchange makes one request of a Send. It fails with a *SendError if there is no answer, whose reason is
// unreachable where nothing can have reached the carrier, and unknown where something may have: that message must
// not be sent again by itself. An answer of success whose body is lost is unknown too. Redirects are answers: a
// message and its credentials go to one host.
func Exchange(client *http.Client, r *http.Request) (Answer, error) {
	if client == nil {
		client = http.DefaultClient
	}
	var written atomic.Bool
	// A connection that was closed while it was idle is replaced by another one only if nothing went out on it.
	trace := &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { written.Store(false) },
		WroteHeaders: func() { written.Store(true) },
	}
	once := *client
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := once.Do(r.WithContext(httptrace.WithClientTrace(r.Context(), trace))) //nolint:gosec // the address is configured, and the client refuses private ones
	if err != nil {
		reason := omni.ReasonUnreachable
		if written.Load() {
			reason = omni.ReasonUnknown
		}
		return Answer{}, &SendError{Reason: reason, Err: withoutURL(err)}
	}
	defer func() { _ = resp.Body.Close() }()
	a := Answer{Status: resp.StatusCode, Header: resp.Header}
	body, err := io.ReadAll(io.LimitReader(resp.Body, MaxAnswer+1))
	if err == nil && len(body) > MaxAnswer {
		err = fmt.Errorf("more than %d bytes", MaxAnswer)
	}
	switch {
	case err == nil:
		a.Body = body
	case resp.StatusCode/100 == 2:
		return a, &SendError{Reason: omni.ReasonUnknown, Err: fmt.Errorf("read the answer: %w", withoutURL(err))}
	}
	return a, nil
}

// withoutURL drops the URL from a client's error: it may hold an address or a key.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// Refused makes the error of an answer that is not a success and whose code says no more than its status.
func (a Answer) Refused(reason omni.Reason, code string, now time.Time) *SendError {
	e := &SendError{Reason: reason, Code: code, Err: fmt.Errorf("http status %d", a.Status)}
	if reason.Retryable() {
		e.RetryAfter = retryAfter(a.Header, now)
	}
	return e
}

// ReasonOfStatus says why a send failed by the HTTP status of its answer, for answers that carry no code. A status
// of success means that the answer could not be understood, though the carrier took the message.
//
// Of the 5xx only 503 says that nothing was done; after the others the message may be on its way.
func ReasonOfStatus(status int) omni.Reason {
	switch status {
	case http.StatusTooManyRequests:
		return omni.ReasonThrottled
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusServiceUnavailable:
		return omni.ReasonUnreachable
	case http.StatusUnauthorized, http.StatusPaymentRequired, http.StatusForbidden, http.StatusNotFound,
		http.StatusMethodNotAllowed, http.StatusProxyAuthRequired, http.StatusGone:
		return omni.ReasonMisconfigured
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType,
		http.StatusUnprocessableEntity:
		return omni.ReasonMalformed
	}
	switch {
	case status >= 300 && status < 400:
		return omni.ReasonMisconfigured // the API is not where the configuration says
	case status >= 400 && status < 500:
		return omni.ReasonRejected
	default:
		return omni.ReasonUnknown
	}
}

// retryAfter reads the header of that name (RFC 9110 §10.2.3) in whole seconds, 0 if there is none.
func retryAfter(h http.Header, now time.Time) int {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	if n, err := strconv.Atoi(v); err == nil {
		return min(max(n, 0), maxRetryAfter)
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	return int(min(max(at.Sub(now).Round(time.Second).Seconds(), 0), maxRetryAfter))
}

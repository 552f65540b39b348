package whatsapp

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

// GraphError is what the Graph API said of a call that it refused. It stands in the chain of the *carriers.SendError that
// call gives. Error leaves out the words: they may repeat a recipient's number.
type GraphError struct {
	Status      int // HTTP
	Code        ErrorCode
	Subcode     string
	Message     string // begins with the code: (#131030) …
	Details     string // what exactly is wrong
	UserTitle   string // in words for people, where Meta has some
	UserMessage string
	Transient   bool   // Meta says that another try may work
	TraceID     string // by which Meta's support finds the call
}

// Error implements error.
func (e *GraphError) Error() string {
	s := fmt.Sprintf("http status %d, code %s", e.Status, e.Code)
	if e.Subcode != "" {
		s += ", subcode " + e.Subcode
	}
	if e.TraceID != "" {
		s += ", trace " + e.TraceID
	}
	return s
}

// Words is what Meta says is wrong, for the person who caused it.
func (e *GraphError) Words() string {
	for _, s := range []string{e.UserMessage, e.Details, e.Message} {
		if s = omni.CleanName(s); s != "" {
			return s
		}
	}
	return ""
}

// call makes one call of the Graph API. path begins after the version, such as /{phone number id}/messages; body is made
// JSON, nil is none. An answer that is no success is a *carriers.SendError, of which errors.As finds the *GraphError if
// Meta gave one.
func (c *Carrier) call(ctx context.Context, method, path string, query url.Values, body any) (carriers.Answer, error) {
	if body == nil {
		return c.request(ctx, method, path, query, "", nil, 0)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return carriers.Answer{}, &carriers.SendError{Reason: omni.ReasonMalformed, Err: errors.New("the message is no JSON")}
	}
	return c.request(ctx, method, path, query, "application/json", bytes.NewReader(raw), int64(len(raw)))
}

// request is call for a body of any kind and known length; -1 if the length is not known.
func (c *Carrier) request(
	ctx context.Context, method, path string, query url.Values, contentType string, body io.Reader, length int64,
) (carriers.Answer, error) {
	r, err := c.newRequest(ctx, method, path, query, body)
	if err != nil {
		return carriers.Answer{}, err
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
		r.ContentLength = length
	}
	r.Header.Set("Accept", "application/json")
	return c.exchange(r)
}

func (c *Carrier) newRequest(ctx context.Context, method, path string, query url.Values, body io.Reader) (*http.Request, error) {
	address := c.api + "/" + c.config.version + path
	if c.config.proof {
		if query == nil {
			query = url.Values{}
		}
		query.Set("appsecret_proof", c.proof())
	}
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, &carriers.SendError{Reason: omni.ReasonMisconfigured, Err: errors.New("the base of the API is not a URL")}
	}
	r.Header.Set("Authorization", "Bearer "+c.config.accessToken.Reveal())
	return r, nil
}

func (c *Carrier) exchange(r *http.Request) (carriers.Answer, error) {
	a, err := carriers.Exchange(c.http, r)
	switch {
	case err != nil:
		return a, err
	case a.Status/100 == 2:
		return a, nil
	default:
		return a, c.refused(a)
	}
}

// proof is the appsecret_proof: that who has the token has the app's secret too.
func (c *Carrier) proof() string {
	mac := hmac.New(sha256.New, []byte(c.config.appSecrets[0].Reveal()))
	mac.Write([]byte(c.config.accessToken.Reveal()))
	return hex.EncodeToString(mac.Sum(nil))
}

// refused reads an answer that is no success.
func (c *Carrier) refused(a carriers.Answer) *carriers.SendError {
	var answer struct {
		Error *struct {
			Message     text            `json:"message"`
			Code        text            `json:"code"`
			Subcode     text            `json:"error_subcode"`
			Data        json.RawMessage `json:"error_data"` // an object, or a text
			UserTitle   text            `json:"error_user_title"`
			UserMessage text            `json:"error_user_msg"`
			Transient   flag            `json:"is_transient"`
			TraceID     text            `json:"fbtrace_id"`
		} `json:"error"`
	}
	if lenient(a.Body, &answer) != nil || answer.Error == nil {
		return a.Refused(carriers.ReasonOfStatus(a.Status), "", c.now())
	}
	e := &GraphError{
		Status: a.Status, Code: codeOf(string(answer.Error.Code)), Subcode: word(string(answer.Error.Subcode)),
		Message: string(answer.Error.Message), UserTitle: string(answer.Error.UserTitle), UserMessage: string(answer.Error.UserMessage),
		Transient: bool(answer.Error.Transient), TraceID: word(string(answer.Error.TraceID)),
	}
	var data struct {
		Details text `json:"details"`
	}
	_ = lenient(answer.Error.Data, &data)
	if e.Details = string(data.Details); e.Details == "" {
		var plain text
		_ = lenient(answer.Error.Data, &plain)
		e.Details = string(plain)
	}
	if e.Code == "" {
		return a.Refused(carriers.ReasonOfStatus(a.Status), "", c.now())
	}
	s := a.Refused(reasonOfAnswer(e), string(e.Code), c.now())
	s.Err = e
	if s.RetryAfter == 0 && s.Retryable() {
		s.RetryAfter = regainAfter(a.Header)
	}
	return s
}

// regainAfter reads from the header of use how many seconds a limit still holds, 0 if it tells nothing.
func regainAfter(h http.Header) int {
	var use map[string][]struct {
		Minutes int `json:"estimated_time_to_regain_access"`
	}
	if json.Unmarshal([]byte(h.Get("X-Business-Use-Case-Usage")), &use) != nil {
		return 0
	}
	longest := 0
	for _, all := range use {
		for _, u := range all {
			longest = max(longest, u.Minutes)
		}
	}
	return min(longest, 24*60) * 60
}

// Problem makes of a failed call what a person is told: an omni.Problem, with the words that Meta has for it.
func Problem(err error) error {
	s, ok := errors.AsType[*carriers.SendError](err)
	if !ok {
		return err
	}
	p := omni.Problemf(omni.ErrInvalid, "Meta refused the call")
	switch s.Reason {
	case omni.ReasonThrottled:
		p = omni.Problemf(omni.ErrRateLimited, "Meta takes no more calls now; try again later")
	case omni.ReasonUnreachable, omni.ReasonUnknown:
		p = omni.Problemf(omni.ErrUnavailable, "Meta did not answer; try again later")
	case omni.ReasonMisconfigured:
		p = omni.Problemf(omni.ErrForbidden, "Meta refused the access token; check the account's credentials")
	default: // what is wrong is in the call
	}
	if g, ok := errors.AsType[*GraphError](err); ok && g.Words() != "" {
		p.Message = "Meta says: " + g.Words()
	}
	p.RetryAfter = time.Duration(s.RetryAfter) * time.Second
	p.Err = err
	return p
}

// word is a short word of Meta's: what is no word is "".
func word(s string) string {
	if s == "" || len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return ""
	}
	return s
}

package inteliquent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf16"

	"omniservice/carriers"
	"omniservice/omni"
)

// request is the body of POST /publishMessages. One recipient is named in it, always: several would make a group of an
// MMS, in which each sees the others.
type request struct {
	From        string   `json:"from"` // eleven digits, without plus
	To          []string `json:"to"`
	Text        string   `json:"text,omitempty"`
	MediaURLs   []string `json:"mediaUrls,omitempty"` // makes it an MMS
	ReferenceID string   `json:"referenceId,omitempty"`
}

// Send implements carriers.Carrier. That Inteliquent has a message is the last word where the account has no receipts.
func (c *Carrier) Send(ctx context.Context, m omni.ServiceMessage) (carriers.SendResult, error) {
	body, err := body(m)
	if err != nil {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonMalformed, Err: err}
	}
	a, err := c.post(ctx, "/publishMessages", body)
	switch {
	case err != nil:
		return carriers.SendResult{}, err
	case a.Status/100 == 2:
		return c.answered(a)
	default:
		return carriers.SendResult{}, c.refused(a)
	}
}

// post calls the API. A failure is a *SendError.
func (c *Carrier) post(ctx context.Context, path string, body []byte) (carriers.Answer, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.api+apiPath+path, bytes.NewReader(body))
	if err != nil {
		return carriers.Answer{}, &carriers.SendError{Reason: omni.ReasonMisconfigured, Err: errors.New("the base of the API is not a URL")}
	}
	r.Header.Set("Authorization", "Bearer "+c.config.OutboundKey.Reveal())
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	return carriers.Exchange(c.http, r)
}

// body writes a message, or says why Inteliquent would not take it.
func body(m omni.ServiceMessage) ([]byte, error) {
	if m.Publish == nil || m.Publish.Sender == "" || m.Publish.Target.Address == "" {
		return nil, errors.New("the message has no sender or no recipient")
	}
	if f := m.Publish.ChannelType.Family(); f != omni.ChannelSMS {
		return nil, fmt.Errorf("no channel of type %s here", m.Publish.ChannelType)
	}
	switch m.Payload.Type {
	case omni.PayloadText, omni.PayloadImage, omni.PayloadMedia:
	default:
		return nil, fmt.Errorf("a message of type %s cannot be sent as SMS or MMS", m.Payload.Type)
	}
	from, to := m.Publish.Sender, m.Publish.Target.Address
	switch {
	case !isNumber(from):
		return nil, errors.New("the sender is not a number of North America")
	case !isNumber(to):
		return nil, errors.New("the recipient is not a number of North America")
	}
	q := request{From: from[1:], To: []string{to[1:]}, Text: m.Payload.TextBody(), ReferenceID: m.ID}
	if n := len(utf16.Encode([]rune(q.Text))); n > maxText {
		return nil, fmt.Errorf("the text has %d characters, and %d is the most", n, maxText)
	}
	files := m.Payload.Files()
	if len(files) > maxFiles {
		return nil, fmt.Errorf("the message has %d files, and %d is the most", len(files), maxFiles)
	}
	size := int64(0)
	for _, f := range files {
		if f.External.URL == "" {
			return nil, errors.New("a file has no address that Inteliquent can fetch it from")
		}
		size += f.Size
		q.MediaURLs = append(q.MediaURLs, f.External.URL)
	}
	switch {
	case size > maxMMS:
		return nil, fmt.Errorf("the files have %d bytes together, and %d is the most", size, maxMMS)
	case q.Text == "" && len(files) == 0:
		return nil, errors.New("the message has neither text nor files")
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(q); err != nil {
		return nil, fmt.Errorf("write the message: %w", err)
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

// isNumber reports whether s is a number of North America as E.164 writes it.
func isNumber(s string) bool {
	return len(s) == 12 && s[:2] == "+1" && strings.Trim(s[2:], "0123456789") == ""
}

// answer is what the API answers.
type answer struct {
	Success *bool           `json:"success"`
	Reason  carriers.Scalar `json:"reason"`
	Result  struct {
		ReferenceID carriers.Scalar `json:"referenceId"`
		Responses   []struct {
			Status carriers.Scalar `json:"status"`
		} `json:"resultResponses"`
	} `json:"result"`
	StatusCode carriers.Scalar `json:"statusCode"` // of the other form
}

// answered reads an answer with the status of a success, which may say that there was none. If it makes no sense,
// Inteliquent may have the message all the same.
func (c *Carrier) answered(a carriers.Answer) (carriers.SendResult, error) {
	var said answer
	if err := json.Unmarshal(a.Body, &said); err != nil {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonUnknown, Err: carriers.MalformedJSON(err)}
	}
	switch {
	case said.Success != nil && !*said.Success:
		return carriers.SendResult{}, c.failed(a, word(string(said.Reason)))
	case said.Success == nil && isCode(string(said.StatusCode)):
		return carriers.SendResult{}, a.Refused(reasonOf(string(said.StatusCode)), string(said.StatusCode), c.now())
	case said.Success == nil:
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonUnknown, Err: errors.New("the answer does not say whether it is a success")}
	}
	for _, r := range said.Result.Responses {
		if s := strings.ToUpper(string(r.Status)); s != "" && s != "SUCCESS" {
			return carriers.SendResult{}, c.failed(a, word(string(r.Status)))
		}
	}
	id, err := carriers.ID("referenceId", string(said.Result.ReferenceID))
	if err != nil {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonUnknown, Err: err}
	}
	return carriers.SendResult{CarrierMessageID: id, Status: omni.StatusSent}, nil
}

// failed makes the error of an answer that says in a word that the message was not taken. No list of words is known.
func (c *Carrier) failed(a carriers.Answer, code string) error {
	if f, ok := reasons[code]; ok {
		return a.Refused(f.Reason, code, c.now())
	}
	return a.Refused(omni.ReasonRejected, code, c.now())
}

// refused reads an answer with any other status. Its words are left out: they may repeat the recipient's number.
func (c *Carrier) refused(a carriers.Answer) error {
	code := strconv.Itoa(a.Status)
	var said answer
	if json.Unmarshal(a.Body, &said) != nil || said.StatusCode == "" && said.Success == nil {
		if a.Status == http.StatusRequestTimeout { // not in Inteliquent's words: something in between has lost patience
			return a.Refused(omni.ReasonUnknown, "", c.now()) // so the code means something else
		}
		return a.Refused(reasonOf(code), code, c.now())
	}
	if isCode(string(said.StatusCode)) && string(said.StatusCode[0]) == code[:1] {
		code = string(said.StatusCode)
	}
	return a.Refused(reasonOf(code), code, c.now())
}

// word keeps the API's word for a failure, unless it may hold a number of somebody.
func word(s string) string {
	digits := 0
	for _, r := range s {
		switch {
		case r >= '0' && r <= '9':
			digits++
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r == '_' || r == '-' || r == ' ':
		default:
			return ""
		}
	}
	if len(s) > 64 || digits > 4 {
		return ""
	}
	return s
}

package bandwidth

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
	"unicode/utf8"

	"omniservice/carriers"
	"omniservice/omni"
)

// request is the body of POST /api/v2/users/{accountId}/messages. One recipient is named in it, always: several would
// make it a group, in which each sees the others.
type request struct {
	ApplicationID string   `json:"applicationId"`
	From          string   `json:"from"`
	To            []string `json:"to"`
	Text          string   `json:"text,omitempty"`
	Media         []string `json:"media,omitempty"`
	Tag           string   `json:"tag,omitempty"` // our id of the message: every status brings it back
	Priority      string   `json:"priority,omitempty"`
}

// Send implements carriers.Carrier.
func (c *Carrier) Send(ctx context.Context, m omni.ServiceMessage) (carriers.SendResult, error) {
	body, err := c.body(m)
	if err != nil {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonMalformed, Err: err}
	}
	a, err := c.call(ctx, func() (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.api+mediaPath+c.config.AccountID+"/messages", bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
		r.Header.Set("Accept", "application/json")
		return r, nil
	})
	switch {
	case err != nil:
		return carriers.SendResult{}, err
	case a.Status/100 == 2:
		return taken(a)
	default:
		return carriers.SendResult{}, c.refused(a)
	}
}

// body writes a message, or says why Bandwidth would not take it.
func (c *Carrier) body(m omni.ServiceMessage) ([]byte, error) {
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
	case !isNumber(from) && !isShortCode(from) && !isName(from):
		return nil, errors.New("the sender is neither a number with its country code, nor a short code, nor a name of at most 11 characters")
	case !isNumber(to):
		return nil, errors.New("the recipient is not a number with its country code")
	case from == to:
		return nil, errors.New("sender and recipient are the same")
	}
	q := request{
		ApplicationID: c.config.ApplicationID, From: from, To: []string{to},
		Text: m.Payload.TextBody(), Tag: m.ID, Priority: c.config.Priority,
	}
	if n := len(utf16.Encode([]rune(q.Text))); n > maxText {
		return nil, fmt.Errorf("the text has %d characters, and %d is the most", n, maxText)
	}
	var err error
	if q.Media, err = addresses(m.Payload.Files(), from); err != nil {
		return nil, err
	}
	if q.Text == "" && len(q.Media) == 0 {
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

// addresses are where Bandwidth fetches files from.
func addresses(files []omni.MediaReference, from string) ([]string, error) {
	if len(files) > maxFiles {
		return nil, fmt.Errorf("the message has %d files, and %d is the most", len(files), maxFiles)
	}
	var all []string
	size := int64(0)
	for _, f := range files {
		switch {
		case f.External.URL == "":
			return nil, errors.New("a file has no address that Bandwidth can fetch it from")
		case utf8.RuneCountInString(f.External.URL) > maxFileURL:
			return nil, fmt.Errorf("the address of a file is longer than %d characters", maxFileURL)
		}
		size += f.Size
		all = append(all, f.External.URL)
	}
	limit := int64(maxMMS)
	if isTollFree(from) {
		limit = maxTollFreeMMS
	}
	if size > limit {
		return nil, fmt.Errorf("the files have %d bytes together, and from this number %d is the most", size, limit)
	}
	return all, nil
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// isNumber reports whether s is a number as E.164 writes it.
func isNumber(s string) bool {
	digits, ok := strings.CutPrefix(s, "+")
	return ok && isDigits(digits) && digits[0] != '0' && len(digits) >= 7 && len(digits) <= 15
}

func isShortCode(s string) bool { return isDigits(s) && len(s) >= 3 && len(s) <= 8 }

// isName reports whether s is a sender in letters: at least one of them, and digits, blanks and some signs.
func isName(s string) bool {
	letters := 0
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z':
			letters++
		case r >= '0' && r <= '9' || strings.ContainsRune(" -+_&", r):
		default:
			return false
		}
	}
	return letters > 0 && len(s) <= maxAlphanumerics
}

// isTollFree reports whether s is a toll-free number of North America.
func isTollFree(s string) bool {
	if len(s) != 12 || !strings.HasPrefix(s, "+18") {
		return false
	}
	switch s[2:5] {
	case "800", "833", "844", "855", "866", "877", "888":
		return true
	default:
		return false
	}
}

// taken reads an answer of success. If it makes no sense, Bandwidth has the message all the same: its status tells our id.
func taken(a carriers.Answer) (carriers.SendResult, error) {
	var answer struct {
		ID           string          `json:"id"`
		SegmentCount carriers.Scalar `json:"segmentCount"`
	}
	if err := json.Unmarshal(a.Body, &answer); err != nil {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonUnknown, Err: carriers.MalformedJSON(err)}
	}
	id, err := carriers.ID("id", answer.ID)
	if err != nil {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonUnknown, Err: err}
	}
	result := carriers.SendResult{CarrierMessageID: id, Status: omni.StatusQueued}
	if n, err := strconv.Atoi(string(answer.SegmentCount)); err == nil && n > 0 && n <= 255 {
		result.Segments = n
	}
	return result, nil
}

// refused reads any other answer. Its words are left out: they may repeat the recipient's number.
//
// Bandwidth says that what it answers with 4xx or 5xx is not sent. So a 5xx that is Bandwidth's own may be tried again;
// one of something in between says nothing of the message.
func (c *Carrier) refused(a carriers.Answer) error {
	var answer struct {
		Type      carriers.Scalar `json:"type"`
		ErrorCode carriers.Scalar `json:"errorCode"`
		Timestamp carriers.Scalar `json:"timestamp"` // of the other shape, which has no type
		Path      carriers.Scalar `json:"path"`
	}
	if json.Unmarshal(a.Body, &answer) != nil {
		return a.Refused(carriers.ReasonOfStatus(a.Status), "", c.now())
	}
	if f, ok := reasons[string(answer.ErrorCode)]; ok {
		return a.Refused(f.Reason, string(answer.ErrorCode), c.now())
	}
	kind := word(string(answer.Type))
	if f, ok := types[kind]; ok && a.Status/100 == 4 {
		return a.Refused(f.Reason, kind, c.now())
	}
	reason := carriers.ReasonOfStatus(a.Status)
	if a.Status/100 == 5 && (kind != "" || answer.Timestamp != "" && answer.Path != "") {
		reason = omni.ReasonUnreachable
	}
	return a.Refused(reason, kind, c.now())
}

// word keeps an error code of the API: what is not small letters with hyphens or underscores is none.
func word(s string) string {
	if len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-_") != "" {
		return ""
	}
	return s
}

package twilio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf16"

	"omniservice/carriers"
	"omniservice/omni"
)

// Send implements carriers.Carrier. POST /2010-04-01/Accounts/{AccountSid}/Messages.json
func (c *Carrier) Send(ctx context.Context, m omni.ServiceMessage) (carriers.SendResult, error) {
	form, err := c.form(m)
	if err != nil {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonMalformed, Err: err}
	}
	address := c.api + "/2010-04-01/Accounts/" + c.config.accountSID + "/Messages.json"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonMisconfigured, Err: errors.New("the base of the API is not a URL")}
	}
	user, password := c.config.login()
	r.SetBasicAuth(user, password.Reveal())
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "application/json")
	a, err := carriers.Exchange(c.http, r)
	switch {
	case err != nil:
		return carriers.SendResult{}, err
	case a.Status == http.StatusOK || a.Status == http.StatusCreated:
		return taken(a)
	default:
		return carriers.SendResult{}, c.refused(a)
	}
}

func (c *Carrier) form(m omni.ServiceMessage) (url.Values, error) {
	if m.Publish == nil || m.Publish.Sender == "" || m.Publish.Target.Address == "" {
		return nil, errors.New("the message has no sender or no recipient")
	}
	prefix := ""
	switch m.Publish.ChannelType {
	case omni.ChannelSMS, omni.ChannelMMS:
	case omni.ChannelWhatsApp:
		prefix = whatsAppPrefix
	default:
		return nil, fmt.Errorf("no channel of type %s here", m.Publish.ChannelType)
	}
	form := url.Values{"To": {prefix + m.Publish.Target.Address}}
	service := c.config.messagingServiceSID
	if isSID("MG", m.Publish.Sender) {
		service = m.Publish.Sender // the channel is the service itself: it chooses the number
	} else {
		form.Set("From", prefix+m.Publish.Sender)
	}
	if service != "" {
		form.Set("MessagingServiceSid", service)
	}
	text, files := m.Payload.TextBody(), m.Payload.Files()
	if n := len(utf16.Encode([]rune(text))); n > maxText {
		return nil, fmt.Errorf("the text has %d characters, and %d is the most", n, maxText)
	}
	if text == "" && len(files) == 0 {
		return nil, errors.New("the message has neither text nor files")
	}
	if text != "" {
		form.Set("Body", text)
	}
	for _, f := range files {
		if f.External.URL == "" {
			return nil, errors.New("a file has no address that Twilio can fetch it from")
		}
		form.Add("MediaUrl", f.External.URL)
	}
	if c.webhookURL != "" {
		form.Set("StatusCallback", c.webhookURL+"?"+messageParam+"="+url.QueryEscape(m.ID))
	}
	return form, nil
}

// taken reads an answer of success. If it makes no sense, Twilio has the message all the same: the status callback
// will tell its id.
func taken(a carriers.Answer) (carriers.SendResult, error) {
	var answer struct {
		SID         string      `json:"sid"`
		Status      string      `json:"status"`
		NumSegments json.Number `json:"num_segments"`
		ErrorCode   json.Number `json:"error_code"`
	}
	if err := json.Unmarshal(a.Body, &answer); err != nil {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonUnknown, Err: carriers.MalformedJSON(err)}
	}
	id, err := carriers.ID("sid", answer.SID)
	if err != nil {
		return carriers.SendResult{}, &carriers.SendError{Reason: omni.ReasonUnknown, Err: err}
	}
	result := carriers.SendResult{CarrierMessageID: id, Status: omni.StatusQueued}
	switch status := statuses[answer.Status]; status {
	case omni.StatusFailed, omni.StatusUndeliverable:
		code := answer.ErrorCode.String()
		return carriers.SendResult{}, &carriers.SendError{Reason: reasonOf(status, code), Code: code}
	case omni.StatusSent, omni.StatusDelivered, omni.StatusRead:
		result.Status = omni.StatusSent
	default:
	}
	if n, err := strconv.Atoi(answer.NumSegments.String()); err == nil && n > 0 && n <= 255 {
		result.Segments = n
	}
	return result, nil
}

// refused reads any other answer. Its words are left out: they repeat the recipient's number.
func (c *Carrier) refused(a carriers.Answer) error {
	var answer struct {
		Code json.Number `json:"code"`
	}
	code := ""
	if json.Unmarshal(a.Body, &answer) == nil {
		code = answer.Code.String()
	}
	if len(code) > 16 {
		code = ""
	}
	if f, ok := reasons[code]; ok {
		return a.Refused(f.Reason, code, c.now())
	}
	return a.Refused(carriers.ReasonOfStatus(a.Status), code, c.now())
}

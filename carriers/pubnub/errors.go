package pubnub

import (
	"bytes"
	"net/http"
	"strconv"

	"omniservice/carriers"
	"omniservice/omni"
)

// reasons tells what an HTTP status of PubNub's API means for a message; 200 is that of an answer which says by itself that it is
// no success, 403 also that of a wrong signature, and of a clock that is off by 60 s. Source: "Publish" and "Error codes", read 2026-11-23.
//
// PubNub takes no idempotency key. A message that it answered with 5xx is sent again all the same: apps tell a second copy by
// its omniMessageId. Only where there was no answer the outcome is unknown.
var reasons = map[int]carriers.Failure{
	http.StatusOK:                    {Reason: omni.ReasonRejected, Words: "PubNub answered that it has not taken the message."},
	http.StatusBadRequest:            {Reason: omni.ReasonMalformed, Words: "PubNub does not take the message as it is, or a key of the account is not valid."},
	http.StatusUnauthorized:          {Reason: omni.ReasonMisconfigured, Words: "PubNub does not know the account's keys. An admin has to look at it."},
	http.StatusForbidden:             {Reason: omni.ReasonMisconfigured, Words: "The gateway may not write to this channel: its token has run out or lacks the right, or its clock is wrong. An admin has to look at it."},
	http.StatusNotFound:              {Reason: omni.ReasonMisconfigured, Words: "PubNub has no such address. An admin has to look at the account's keys."},
	http.StatusRequestEntityTooLarge: {Reason: omni.ReasonMalformed, Words: "The message is too long: PubNub takes less than 32 KiB. Shorten it, or send it as a file."},
	http.StatusRequestURITooLong:     {Reason: omni.ReasonMalformed, Words: "The message is too long for a signed one. Shorten it, or send it as a file."},
	http.StatusTooManyRequests:       {Reason: omni.ReasonThrottled, Words: "Too many messages at once."},
	http.StatusInternalServerError:   {Reason: omni.ReasonUnreachable, Words: "PubNub has a fault."},
	http.StatusBadGateway:            {Reason: omni.ReasonUnreachable, Words: "PubNub has a fault."},
	http.StatusServiceUnavailable:    {Reason: omni.ReasonUnreachable, Words: "PubNub is not available now."},
	http.StatusGatewayTimeout:        {Reason: omni.ReasonUnreachable, Words: "PubNub has a fault."},
}

// reasonOf says why a request failed. body is looked at for what the status does not tell.
func reasonOf(status int, body []byte) omni.Reason {
	if status == http.StatusBadRequest && namesKey(body) {
		return omni.ReasonMisconfigured
	}
	if f, ok := reasons[status]; ok {
		return f.Reason
	}
	if status >= 500 {
		return omni.ReasonUnreachable
	}
	return carriers.ReasonOfStatus(status)
}

// namesKey reports whether PubNub says that a key is not valid, in an answer of either form.
func namesKey(body []byte) bool {
	low := bytes.ToLower(body)
	return bytes.Contains(low, []byte("invalid")) && bytes.Contains(low, []byte("key"))
}

// refused is the error of an answer. Its words are left out: they may repeat a channel's name.
func (c *Carrier) refused(a carriers.Answer) *carriers.SendError {
	return a.Refused(reasonOf(a.Status, a.Body), strconv.Itoa(a.Status), c.now())
}

// Explain implements carriers.Explainer.
func (*Provider) Explain(code string) (meaning, advice string, ok bool) {
	status, err := strconv.Atoi(code)
	f, known := reasons[status]
	return f.Words, "", err == nil && known
}

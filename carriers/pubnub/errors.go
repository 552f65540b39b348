package pubnub

import (
	"bytes"
	"net/http"
	"strconv"

	"omniservice/carriers"
	"omniservice/omni"
)

// reasons tells what an HTTP status of PubNub's API means for a message. Source: "Publish" and "Error codes", read 2026-11-23.
//
// PubNub takes no idempotency key. A message that it answered with 5xx is sent again all the same: apps tell a second copy by
// its omniMessageId. Only where there was no answer the outcome is unknown.
var reasons = map[int]omni.Reason{
	http.StatusBadRequest:            omni.ReasonMalformed,     // channel or JSON; a key that is not valid is told by the words
	http.StatusForbidden:             omni.ReasonMisconfigured, // no grant, wrong signature, or a clock that is off by 60 s
	http.StatusNotFound:              omni.ReasonMisconfigured, // wrong path: there is no such API
	http.StatusRequestEntityTooLarge: omni.ReasonMalformed,     // 32 KiB or more
	http.StatusRequestURITooLong:     omni.ReasonMalformed,     // of a signed message, which goes out in the URL
	http.StatusTooManyRequests:       omni.ReasonThrottled,
}

// reasonOf says why a request failed. body is looked at for what the status does not tell.
func reasonOf(status int, body []byte) omni.Reason {
	if status == http.StatusBadRequest && namesKey(body) {
		return omni.ReasonMisconfigured
	}
	if r, ok := reasons[status]; ok {
		return r
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

package inteliquent

import (
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// reasons tells what the codes mean with which the API answers a message that it does not take: they are those of HTTP,
// in the answer's statusCode or as its status. There are no codes in receipts, and of the words in answers of 200 no list is known.
//
// 408 is Inteliquent's word for a message that is not right, and no time-out: the same message will not be taken later.
var reasons = map[string]carriers.Failure{
	"400": {Reason: omni.ReasonMalformed, Words: "Inteliquent cannot read the message."},
	"401": {Reason: omni.ReasonMisconfigured, Words: "The outbound API key is wrong. An admin has to look at the account."},
	"403": {Reason: omni.ReasonMisconfigured, Words: "The account may not send, or not from this number. An admin has to look at it."},
	"404": {Reason: omni.ReasonMisconfigured, Words: "The API is not where it was."},
	"405": {Reason: omni.ReasonMisconfigured, Words: "The API is not where it was."},
	"408": {Reason: omni.ReasonRejected, Words: "Inteliquent does not take the message: is it from a number with messaging, to a number of North America?"},
	"413": {Reason: omni.ReasonMalformed, Words: "The message is too large."},
	"415": {Reason: omni.ReasonMalformed, Words: "Inteliquent cannot read the message."},
	"422": {Reason: omni.ReasonMalformed, Words: "Inteliquent cannot read the message."},
	"429": {Reason: omni.ReasonThrottled, Words: "Too many messages in a short time."},
	"500": {Reason: omni.ReasonUnknown, Words: "Inteliquent has a fault. The message may have gone out all the same."},
	"502": {Reason: omni.ReasonUnknown, Words: "Inteliquent has a fault. The message may have gone out all the same."},
	"503": {Reason: omni.ReasonUnreachable, Words: "Inteliquent is away for a while."},
	"504": {Reason: omni.ReasonUnknown, Words: "Inteliquent has a fault. The message may have gone out all the same."},
}

// reasonOf says why a message was not taken. What is not in the table is final where it begins with 4; after 5 the
// message may be on its way all the same.
func reasonOf(code string) omni.Reason {
	if f, ok := reasons[code]; ok {
		return f.Reason
	}
	switch {
	case strings.HasPrefix(code, "3"):
		return omni.ReasonMisconfigured
	case strings.HasPrefix(code, "4"):
		return omni.ReasonRejected
	default:
		return omni.ReasonUnknown
	}
}

// isCode reports whether s is an HTTP status that is no success.
func isCode(s string) bool {
	return len(s) == 3 && s >= "300" && s <= "599" && strings.Trim(s, "0123456789") == ""
}

// Explain implements carriers.Explainer.
func (*Provider) Explain(code string) (meaning, advice string, ok bool) {
	f, ok := reasons[code]
	return f.Words, "", ok
}

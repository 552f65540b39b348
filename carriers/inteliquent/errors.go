package inteliquent

import (
	"strings"

	"omniservice/omni"
)

// reasons tells what the codes mean with which the API answers a message that it does not take: they are those of HTTP,
// in the answer's statusCode or as its status. The comments are for agents. There are no codes in receipts.
//
// 408 is Inteliquent's word for a message that is not right, and no time-out: the same message will not be taken later.
var reasons = map[string]omni.Reason{
	"400": omni.ReasonMalformed,     // Inteliquent cannot read the message.
	"401": omni.ReasonMisconfigured, // The outbound API key is wrong.
	"403": omni.ReasonMisconfigured, // The account may not send, or not from this number.
	"404": omni.ReasonMisconfigured, // The API is not where it was.
	"405": omni.ReasonMisconfigured, // The API is not where it was.
	"408": omni.ReasonRejected,      // Inteliquent does not take the message: is it from a number with messaging, to a number of North America?
	"413": omni.ReasonMalformed,     // The message is too large.
	"415": omni.ReasonMalformed,     // Inteliquent cannot read the message.
	"422": omni.ReasonMalformed,     // Inteliquent cannot read the message.
	"429": omni.ReasonThrottled,     // Too many messages in a short time.
	"503": omni.ReasonUnreachable,   // Inteliquent is away for a while.
}

// reasonOf says why a message was not taken. What is not in the table is final where it begins with 4; after 5 the
// message may be on its way all the same.
func reasonOf(code string) omni.Reason {
	if r, ok := reasons[code]; ok {
		return r
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

package twilio

import "omniservice/omni"

// reasons tells what Twilio's error codes mean for the message: an answer of the API has one, and so has a status of
// failed or undelivered. Whether a retry is right follows from the code, not from the status: 63018 comes as failed.
// Source: https://www.twilio.com/docs/api/errors, read 2026-11-22; which reason a code has is our reading of its page.
var reasons = map[string]failure{
	"20003": {omni.ReasonMisconfigured, "Twilio refused the credentials of the account. An admin has to look at it."},
	"20404": {omni.ReasonMisconfigured, "Twilio does not know this account. An admin has to look at its account SID."},
	"20429": {omni.ReasonThrottled, "Too many messages at once. It is tried again by itself."},
	"20500": {omni.ReasonUnreachable, "Twilio had an internal fault."},
	"20503": {omni.ReasonUnreachable, "Twilio is not available now. The message is tried again by itself."},

	"21211": {omni.ReasonRejected, "The recipient's number is not a valid one."},
	"21408": {omni.ReasonMisconfigured, "This account may not send to that country. An admin can allow it at Twilio."},
	"21602": {omni.ReasonMalformed, "The message has no text."},
	"21603": {omni.ReasonMalformed, "The message has no sender."},
	"21604": {omni.ReasonMalformed, "The message has no recipient."},
	"21606": {omni.ReasonMisconfigured, "Our number may not be used to send there."},
	"21608": {omni.ReasonMisconfigured, "This is a trial account at Twilio: it sends only to numbers that were verified there."},
	"21609": {omni.ReasonMisconfigured, "Twilio does not take the address for statuses: its host must have no underscore."},
	"21610": {omni.ReasonOptedOut, "The recipient has opted out. They have to write START before you can message them again."},
	"21611": {omni.ReasonThrottled, "Too many messages of this sender are waiting. It is tried again by itself."},
	"21612": {omni.ReasonRejected, "There is no way from our number to the recipient's."},
	"21614": {omni.ReasonRejected, "The recipient's number is not a mobile number."},
	"21617": {omni.ReasonMalformed, "The text is longer than 1600 characters. Send it in parts."},
	"21620": {omni.ReasonMalformed, "The address of a file is not valid."},
	"21623": {omni.ReasonMalformed, "There are too many files in one message."},
	"21655": {omni.ReasonMalformed, "The content template is not valid."},
	"21656": {omni.ReasonMalformed, "What fills the content template is not valid."},
	"21703": {omni.ReasonMisconfigured, "The messaging service has no sender. An admin can add one at Twilio."},
	"21704": {omni.ReasonMisconfigured, "The messaging service has no sender for this recipient. An admin can add one at Twilio."},

	"30001": {omni.ReasonThrottled, "Too many messages are waiting at Twilio. It is tried again by itself."},
	"30002": {omni.ReasonMisconfigured, "The account is suspended. An admin has to ask Twilio."},
	"30003": {omni.ReasonUnreachable, "The recipient's phone is off, abroad, or out of use."},
	"30004": {omni.ReasonRejected, "The recipient or their network has blocked the message."},
	"30005": {omni.ReasonRejected, "The recipient's number is not in use."},
	"30006": {omni.ReasonRejected, "The recipient's number is a landline, or its network cannot be reached."},
	"30007": {omni.ReasonRejected, "The network took the message for spam. Say it in other words."},
	"30008": {omni.ReasonUnreachable, "The network reported a fault without saying which."},
	"30010": {omni.ReasonRejected, "The message would cost more than the account's limit."},
	"30011": {omni.ReasonRejected, "The recipient cannot get pictures and files. Send text."},
	"30017": {omni.ReasonThrottled, "The recipient's network is busy. The message is tried again by itself."},
	"30018": {omni.ReasonMisconfigured, "Our number must be registered for that country."},
	"30019": {omni.ReasonMalformed, "The file is larger than the recipient's network takes."},
	"30022": {omni.ReasonThrottled, "Too many messages of our campaign at once. It is tried again by itself."},
	"30023": {omni.ReasonThrottled, "Our campaign's messages of today are used up."},
	"30027": {omni.ReasonThrottled, "Our campaign's messages of today to T-Mobile are used up."},
	"30032": {omni.ReasonMisconfigured, "Our toll-free number is not verified yet."},
	"30034": {omni.ReasonMisconfigured, "Our number is not registered for a campaign (10DLC)."},
	"30036": {omni.ReasonUnreachable, "The message waited for too long and was given up."},
	"30410": {omni.ReasonUnreachable, "The network did not answer in time."},

	"63003": {omni.ReasonRejected, "The recipient is not on this channel."},
	"63016": {omni.ReasonWindowClosed, "More than 24 hours have passed since the contact wrote. Send a template, or wait for the contact to write."},
	"63018": {omni.ReasonThrottled, "Too many messages of our number on WhatsApp at once. It is tried again by itself."},
	"63019": {omni.ReasonUnreachable, "The channel could not fetch the file."},
	"63024": {omni.ReasonRejected, "The recipient's address is not valid on this channel."},
	"63032": {omni.ReasonRejected, "WhatsApp does not deliver this message to this person."},
	"63033": {omni.ReasonRejected, "The recipient has blocked us."},
	"63038": {omni.ReasonThrottled, "The account's messages of today are used up."},
}

// reasonOf says why a message has a status, given the code that came with it. A code that we do not know, or none,
// is a refusal: only a code can say that another try is right.
func reasonOf(s omni.Status, code string) omni.Reason {
	if s != omni.StatusFailed && s != omni.StatusUndeliverable {
		return ""
	}
	if f, ok := reasons[code]; ok {
		return f.reason
	}
	return omni.ReasonRejected
}

// failure is why a message failed, and what an agent is told of it.
type failure struct {
	reason omni.Reason
	words  string
}

// Explain implements carriers.Explainer.
func (*Provider) Explain(code string) (meaning, advice string, ok bool) {
	f, ok := reasons[code]
	return f.words, "", ok
}

package twilio

import (
	"omniservice/carriers"
	"omniservice/omni"
)

// reasons tells what Twilio's error codes mean for the message: an answer of the API has one, and so has a status of
// failed or undelivered. Whether a retry is right follows from the code, not from the status: 63018 comes as failed.
// Source: https://www.twilio.com/docs/api/errors, read 2026-11-22; which reason a code has is our reading of its page.
var reasons = map[string]carriers.Failure{
	"20003": {Reason: omni.ReasonMisconfigured, Words: "Twilio refused the credentials of the account. An admin has to look at it."},
	"20404": {Reason: omni.ReasonMisconfigured, Words: "Twilio does not know this account. An admin has to look at its account SID."},
	"20429": {Reason: omni.ReasonThrottled, Words: "Too many messages at once. Try it again in a while."},
	"20500": {Reason: omni.ReasonUnreachable, Words: "Twilio had an internal fault."},
	"20503": {Reason: omni.ReasonUnreachable, Words: "Twilio is not available now. Try it again in a while."},

	"21211": {Reason: omni.ReasonRejected, Words: "The recipient's number is not a valid one."},
	"21408": {Reason: omni.ReasonMisconfigured, Words: "This account may not send to that country. An admin can allow it at Twilio."},
	"21602": {Reason: omni.ReasonMalformed, Words: "The message has no text."},
	"21603": {Reason: omni.ReasonMalformed, Words: "The message has no sender."},
	"21604": {Reason: omni.ReasonMalformed, Words: "The message has no recipient."},
	"21606": {Reason: omni.ReasonMisconfigured, Words: "Our number may not be used to send there."},
	"21608": {Reason: omni.ReasonMisconfigured, Words: "This is a trial account at Twilio: it sends only to numbers that were verified there."},
	"21609": {Reason: omni.ReasonMisconfigured, Words: "Twilio does not take the address for statuses: its host must have no underscore."},
	"21610": {Reason: omni.ReasonOptedOut, Words: "The recipient has opted out. They have to write START before you can message them again."},
	"21611": {Reason: omni.ReasonThrottled, Words: "Too many messages of this sender are waiting. Try it again in a while."},
	"21612": {Reason: omni.ReasonRejected, Words: "There is no way from our number to the recipient's."},
	"21614": {Reason: omni.ReasonRejected, Words: "The recipient's number is not a mobile number."},
	"21617": {Reason: omni.ReasonMalformed, Words: "The text is longer than 1600 characters. Send it in parts."},
	"21620": {Reason: omni.ReasonMalformed, Words: "The address of a file is not valid."},
	"21623": {Reason: omni.ReasonMalformed, Words: "There are too many files in one message."},
	"21655": {Reason: omni.ReasonMalformed, Words: "The content template is not valid."},
	"21656": {Reason: omni.ReasonMalformed, Words: "What fills the content template is not valid."},
	"21703": {Reason: omni.ReasonMisconfigured, Words: "The messaging service has no sender. An admin can add one at Twilio."},
	"21704": {Reason: omni.ReasonMisconfigured, Words: "The messaging service has no sender for this recipient. An admin can add one at Twilio."},

	"30001": {Reason: omni.ReasonThrottled, Words: "Too many messages are waiting at Twilio. Try it again in a while."},
	"30002": {Reason: omni.ReasonMisconfigured, Words: "The account is suspended. An admin has to ask Twilio."},
	"30003": {Reason: omni.ReasonUnreachable, Words: "The recipient's phone is off, abroad, or out of use."},
	"30004": {Reason: omni.ReasonRejected, Words: "The recipient or their network has blocked the message."},
	"30005": {Reason: omni.ReasonRejected, Words: "The recipient's number is not in use."},
	"30006": {Reason: omni.ReasonRejected, Words: "The recipient's number is a landline, or its network cannot be reached."},
	"30007": {Reason: omni.ReasonRejected, Words: "The network took the message for spam. Say it in other words."},
	"30008": {Reason: omni.ReasonUnreachable, Words: "The network reported a fault without saying which."},
	"30010": {Reason: omni.ReasonRejected, Words: "The message would cost more than the account's limit."},
	"30011": {Reason: omni.ReasonRejected, Words: "The recipient cannot get pictures and files. Send text."},
	"30017": {Reason: omni.ReasonThrottled, Words: "The recipient's network is busy. Try it again in a while."},
	"30018": {Reason: omni.ReasonMisconfigured, Words: "Our number must be registered for that country."},
	"30019": {Reason: omni.ReasonMalformed, Words: "The file is larger than the recipient's network takes."},
	"30022": {Reason: omni.ReasonThrottled, Words: "Too many messages of our campaign at once. Try it again in a while."},
	"30023": {Reason: omni.ReasonThrottled, Words: "Our campaign's messages of today are used up."},
	"30027": {Reason: omni.ReasonThrottled, Words: "Our campaign's messages of today to T-Mobile are used up."},
	"30032": {Reason: omni.ReasonMisconfigured, Words: "Our toll-free number is not verified yet."},
	"30034": {Reason: omni.ReasonMisconfigured, Words: "Our number is not registered for a campaign (10DLC)."},
	"30036": {Reason: omni.ReasonUnreachable, Words: "The message waited for too long and was given up."},
	"30410": {Reason: omni.ReasonUnreachable, Words: "The network did not answer in time."},

	"63003": {Reason: omni.ReasonRejected, Words: "The recipient is not on this channel."},
	"63016": {Reason: omni.ReasonWindowClosed, Words: "More than 24 hours have passed since the contact wrote. Send a template, or wait for the contact to write."},
	"63018": {Reason: omni.ReasonThrottled, Words: "Too many messages of our number on WhatsApp at once. Try it again in a while."},
	"63019": {Reason: omni.ReasonUnreachable, Words: "The channel could not fetch the file."},
	"63024": {Reason: omni.ReasonRejected, Words: "The recipient's address is not valid on this channel."},
	"63032": {Reason: omni.ReasonRejected, Words: "WhatsApp does not deliver this message to this person."},
	"63033": {Reason: omni.ReasonRejected, Words: "The recipient has blocked us."},
	"63038": {Reason: omni.ReasonThrottled, Words: "The account's messages of today are used up."},
}

// reasonOf says why a message has a status, given the code that came with it. A code that we do not know, or none,
// is a refusal: only a code can say that another try is right.
func reasonOf(s omni.Status, code string) omni.Reason {
	if s != omni.StatusFailed && s != omni.StatusUndeliverable {
		return ""
	}
	if f, ok := reasons[code]; ok {
		return f.Reason
	}
	return omni.ReasonRejected
}

// Explain implements carriers.Explainer.
func (*Provider) Explain(code string) (meaning, advice string, ok bool) {
	f, ok := reasons[code]
	return f.Words, "", ok
}

package twilio

import "omniservice/omni"

// reasons tells what Twilio's error codes mean for the message: an answer of the API has one, and so has a status of
// failed or undelivered. Whether a retry is right follows from the code, not from the status: 63018 comes as failed.
// Source: https://www.twilio.com/docs/api/errors, read 2026-11-22; which reason a code has is our reading of its page.
var reasons = map[string]omni.Reason{
	"20003": omni.ReasonMisconfigured, // credentials refused
	"20404": omni.ReasonMisconfigured, // no such resource: the account in the path is wrong
	"20429": omni.ReasonThrottled,     // too many requests; this one was not processed
	"20500": omni.ReasonUnreachable,   // internal fault
	"20503": omni.ReasonUnreachable,   // service unavailable

	"21211": omni.ReasonRejected,      // recipient is not a valid number
	"21408": omni.ReasonMisconfigured, // no permission for that region
	"21602": omni.ReasonMalformed,     // no text
	"21603": omni.ReasonMalformed,     // no sender
	"21604": omni.ReasonMalformed,     // no recipient
	"21606": omni.ReasonMisconfigured, // not a sender that this account may use for that destination
	"21608": omni.ReasonMisconfigured, // trial account, recipient not verified
	"21609": omni.ReasonMisconfigured, // status callback is not a URL that Twilio takes; underscores in the host are not
	"21610": omni.ReasonOptedOut,      // recipient has opted out
	"21611": omni.ReasonThrottled,     // the sender's queue is full
	"21612": omni.ReasonRejected,      // no route between this sender and this recipient
	"21614": omni.ReasonRejected,      // not a mobile number
	"21617": omni.ReasonMalformed,     // text over 1600 characters
	"21620": omni.ReasonMalformed,     // URL of a file is not valid
	"21623": omni.ReasonMalformed,     // too many files
	"21655": omni.ReasonMalformed,     // content template not valid
	"21656": omni.ReasonMalformed,     // content variables not valid
	"21703": omni.ReasonMisconfigured, // messaging service has no sender
	"21704": omni.ReasonMisconfigured, // messaging service has no sender for this recipient

	"30001": omni.ReasonThrottled,     // queue overflow
	"30002": omni.ReasonMisconfigured, // account suspended
	"30003": omni.ReasonUnreachable,   // handset off, roaming or gone
	"30004": omni.ReasonRejected,      // blocked by recipient or network
	"30005": omni.ReasonRejected,      // unknown handset
	"30006": omni.ReasonRejected,      // landline, or a network out of reach
	"30007": omni.ReasonRejected,      // filtered as spam
	"30008": omni.ReasonUnreachable,   // unknown fault of the network
	"30010": omni.ReasonRejected,      // over the maximum price
	"30011": omni.ReasonRejected,      // recipient cannot take MMS
	"30017": omni.ReasonThrottled,     // network congested
	"30018": omni.ReasonMisconfigured, // sender must be registered
	"30019": omni.ReasonMalformed,     // larger than the network takes
	"30022": omni.ReasonThrottled,     // rate limit of 10DLC
	"30023": omni.ReasonThrottled,     // daily cap of 10DLC
	"30027": omni.ReasonThrottled,     // daily cap of T-Mobile
	"30032": omni.ReasonMisconfigured, // toll-free number not verified
	"30034": omni.ReasonMisconfigured, // 10DLC sender not registered
	"30036": omni.ReasonUnreachable,   // its time in the queue ran out
	"30410": omni.ReasonUnreachable,   // provider timed out

	"63003": omni.ReasonRejected,     // channel does not know the recipient
	"63016": omni.ReasonWindowClosed, // WhatsApp: free text after 24 hours of silence
	"63018": omni.ReasonThrottled,    // WhatsApp: rate limit of the sender
	"63019": omni.ReasonUnreachable,  // channel could not fetch the file
	"63024": omni.ReasonRejected,     // recipient not valid on the channel
	"63032": omni.ReasonRejected,     // WhatsApp will not deliver to this user
	"63033": omni.ReasonRejected,     // recipient blocked us
	"63038": omni.ReasonThrottled,    // daily limit of the account
}

// reasonOf says why a message has a status, given the code that came with it. A code that we do not know, or none,
// is a refusal: only a code can say that another try is right.
func reasonOf(s omni.Status, code string) omni.Reason {
	if s != omni.StatusFailed && s != omni.StatusUndeliverable {
		return ""
	}
	if r, ok := reasons[code]; ok {
		return r
	}
	return omni.ReasonRejected
}

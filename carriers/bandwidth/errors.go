package bandwidth

import (
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// reasons tells what Bandwidth's error codes mean for a message that has failed. Source:
// https://dev.bandwidth.com/docs/messaging/errors, read 2026-11-23; which reason a code has is our reading of it.
//
// The first digit tells whose fault it is: 4 the message's or the account's, so that another try ends the same way; 5 the
// service's; 9 nobody knows. Bandwidth asks for at most one more try where a network reported the fault.
var reasons = map[string]carriers.Failure{
	"4001": {Reason: omni.ReasonMisconfigured, Words: "This account may not use that service."},
	"4301": {Reason: omni.ReasonMalformed, Words: "The text holds characters that cannot be sent."},
	"4302": {Reason: omni.ReasonMalformed, Words: "Our number is not written as a number."},
	"4303": {Reason: omni.ReasonMalformed, Words: "The recipient's number is not written as a number."},
	"4350": {Reason: omni.ReasonMalformed, Words: "The message cannot be written for the recipient's network; is the number right?"},
	"4360": {Reason: omni.ReasonRejected, Words: "The message waited for longer than it was good for."},
	"4401": {Reason: omni.ReasonRejected, Words: "There is no way to this number: are sender and recipient the same?"},
	"4403": {Reason: omni.ReasonMisconfigured, Words: "Our number may not send messages."},
	"4404": {Reason: omni.ReasonRejected, Words: "The recipient's number may not get messages."},
	"4405": {Reason: omni.ReasonMisconfigured, Words: "Our number is not in use."},
	"4406": {Reason: omni.ReasonRejected, Words: "The recipient's number is not in use."},
	"4407": {Reason: omni.ReasonMisconfigured, Words: "Our number is not tied to this account."},
	"4408": {Reason: omni.ReasonMisconfigured, Words: "The recipient's number is not tied to an account."},
	"4409": {Reason: omni.ReasonRejected, Words: "The recipient's number cannot get pictures."},
	"4410": {Reason: omni.ReasonUnreachable, Words: "A file could not be fetched."},
	"4411": {Reason: omni.ReasonMalformed, Words: "The files are too large together."},
	"4412": {Reason: omni.ReasonMalformed, Words: "A file is of a type that cannot be sent."},
	"4420": {Reason: omni.ReasonRejected, Words: "There is no way to the recipient's network."},
	"4421": {Reason: omni.ReasonRejected, Words: "There is no way to the recipient's network."},
	"4431": {Reason: omni.ReasonMisconfigured, Words: "This account may not send from a short code."},
	"4432": {Reason: omni.ReasonMisconfigured, Words: "This account may not send to that country."},
	"4433": {Reason: omni.ReasonMisconfigured, Words: "This account may not send from a toll-free number."},
	"4434": {Reason: omni.ReasonRejected, Words: "This toll-free number does not take messages."},
	"4435": {Reason: omni.ReasonMalformed, Words: "A group has at most ten members."},
	"4451": {Reason: omni.ReasonMisconfigured, Words: "The account's id is wrong."},
	"4452": {Reason: omni.ReasonMisconfigured, Words: "The application's id is wrong."},
	"4470": {Reason: omni.ReasonRejected, Words: "Bandwidth took the message for spam. Say it in other words."},
	"4481": {Reason: omni.ReasonMisconfigured, Words: "Our number is on a block list."},
	"4482": {Reason: omni.ReasonRejected, Words: "The recipient's number is on a block list."},
	"4492": {Reason: omni.ReasonRejected, Words: "Emergency numbers get no messages."},
	"4493": {Reason: omni.ReasonMisconfigured, Words: "The account may not send."},

	"4700": {Reason: omni.ReasonRejected, Words: "The recipient's network or phone does not take this kind of message."},
	"4701": {Reason: omni.ReasonUnreachable, Words: "The recipient's network cannot be reached now."},
	"4702": {Reason: omni.ReasonUnreachable, Words: "The recipient's phone is off, full or barred."},
	"4711": {Reason: omni.ReasonMalformed, Words: "A file is too large for the recipient's network."},
	"4712": {Reason: omni.ReasonMalformed, Words: "A file is of a type that the recipient's network does not take."},
	"4720": {Reason: omni.ReasonRejected, Words: "The recipient's number cannot get messages: a landline, or not in use."},
	"4721": {Reason: omni.ReasonRejected, Words: "The recipient's number was given up. It may belong to somebody else soon."},
	"4730": {Reason: omni.ReasonUnreachable, Words: "There is no way to the phone now; it may be abroad."},
	"4740": {Reason: omni.ReasonMisconfigured, Words: "The recipient's network does not accept our number."},
	"4750": {Reason: omni.ReasonRejected, Words: "The recipient's network refused the message and did not say why."},
	"4751": {Reason: omni.ReasonMalformed, Words: "The message is too long for the recipient's network."},
	"4752": {Reason: omni.ReasonMalformed, Words: "The recipient's network could not read the message."},
	"4770": {Reason: omni.ReasonRejected, Words: "The recipient's network took the message for spam. Say it in other words."},
	"4771": {Reason: omni.ReasonRejected, Words: "Networks refuse links that public services have shortened. Write the whole link."},
	"4772": {Reason: omni.ReasonRejected, Words: "The sender or the recipient is blocked."},
	"4773": {Reason: omni.ReasonMisconfigured, Words: "The campaign of our number is not active."},
	"4774": {Reason: omni.ReasonMisconfigured, Words: "Our number is not registered right."},
	"4775": {Reason: omni.ReasonOptedOut, Words: "The recipient does not want messages from this number."},
	"4780": {Reason: omni.ReasonThrottled, Words: "Today's share of messages to T-Mobile is used up. Try tomorrow."},
	"4781": {Reason: omni.ReasonThrottled, Words: "Too many messages to AT&T in a short time."},
	"4785": {Reason: omni.ReasonThrottled, Words: "Too many messages to this network in a short time."},
	"4790": {Reason: omni.ReasonRejected, Words: "The recipient's network does not take messages from our short code."},
	"4791": {Reason: omni.ReasonRejected, Words: "The recipient's network does not take this short code's campaign."},
	"4792": {Reason: omni.ReasonMisconfigured, Words: "Our short code is not known to the recipient's network."},
	"4793": {Reason: omni.ReasonMisconfigured, Words: "Our short code has run out."},
	"4795": {Reason: omni.ReasonMisconfigured, Words: "Our toll-free number is not verified."},

	"5100": {Reason: omni.ReasonUnreachable, Words: "Bandwidth has a fault."},
	"5101": {Reason: omni.ReasonUnreachable, Words: "Bandwidth has a fault."},
	"5106": {Reason: omni.ReasonUnreachable, Words: "Bandwidth tried for long and did not get it out."},
	"5111": {Reason: omni.ReasonUnreachable, Words: "Bandwidth has a fault."},
	"5201": {Reason: omni.ReasonUnreachable, Words: "Bandwidth tried for long and did not get it out."},
	"5211": {Reason: omni.ReasonUnreachable, Words: "Bandwidth is busy."},
	"5220": {Reason: omni.ReasonUnreachable, Words: "Bandwidth has a fault."},
	"5231": {Reason: omni.ReasonRejected, Words: "Not all parts of the message arrived at Bandwidth."},
	"5500": {Reason: omni.ReasonUnreachable, Words: "The recipient's network could not take the message."},
	"5501": {Reason: omni.ReasonUnreachable, Words: "There is no way to the recipient's network now."},
	"5600": {Reason: omni.ReasonThrottled, Words: "The recipient's network is congested."},
	"5610": {Reason: omni.ReasonUnreachable, Words: "The recipient's network has a fault."},
	"5620": {Reason: omni.ReasonUnreachable, Words: "The recipient's network has a fault."},
	"5630": {Reason: omni.ReasonUnreachable, Words: "The recipient's network did not answer."},
	"5650": {Reason: omni.ReasonUnreachable, Words: "The recipient's network has a fault."},
	"5999": {Reason: omni.ReasonUnreachable, Words: "Bandwidth does not know what went wrong."},

	"9902": {Reason: omni.ReasonUnknown, Words: "Nobody said whether the message arrived. It probably did."},
	"9999": {Reason: omni.ReasonUnreachable, Words: "The recipient's network reported a fault that Bandwidth does not know."},
}

// types tells what the types of refusals mean with which the API answers a message; it sends none of them. The others
// have the meaning of their HTTP status.
var types = map[string]carriers.Failure{
	"request-validation":              {Reason: omni.ReasonMalformed, Words: "Bandwidth does not take the message as it is."},
	"unauthorized":                    {Reason: omni.ReasonMisconfigured, Words: "The credentials are wrong, or not this account's."},
	"forbidden":                       {Reason: omni.ReasonMisconfigured, Words: "The credentials have no right to send."},
	"unsupported-content-type":        {Reason: omni.ReasonMalformed, Words: "Bandwidth does not take the message as it is."},
	"max-message-queue-size-exceeded": {Reason: omni.ReasonThrottled, Words: "Bandwidth's queue for this account is full."},
}

// reasonOf says why a message has failed. Of codes that are not in the table the first digit counts: what begins with 4
// would end the same way again, what begins with 5 may be tried again. No code is no word that another try is right.
func reasonOf(code string) omni.Reason {
	if f, ok := reasons[code]; ok {
		return f.Reason
	}
	if strings.HasPrefix(code, "5") && len(code) == 4 {
		return omni.ReasonUnreachable
	}
	return omni.ReasonRejected
}

// Explain implements carriers.Explainer.
func (*Provider) Explain(code string) (meaning, advice string, ok bool) {
	f, ok := reasons[code]
	if !ok {
		f, ok = types[code]
	}
	return f.Words, "", ok
}

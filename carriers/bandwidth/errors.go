package bandwidth

import (
	"strings"

	"omniservice/omni"
)

// reasons tells what Bandwidth's error codes mean for a message that has failed. Source:
// https://dev.bandwidth.com/docs/messaging/errors, read 2026-11-23; which reason a code has is our reading of it.
//
// The first digit tells whose fault it is: 4 the message's or the account's, so that another try ends the same way; 5 the
// service's; 9 nobody knows. Bandwidth asks for at most one more try where a network reported the fault.
var reasons = map[string]failure{
	"4001": {omni.ReasonMisconfigured, "This account may not use that service."},
	"4301": {omni.ReasonMalformed, "The text holds characters that cannot be sent."},
	"4302": {omni.ReasonMalformed, "Our number is not written as a number."},
	"4303": {omni.ReasonMalformed, "The recipient's number is not written as a number."},
	"4350": {omni.ReasonMalformed, "The message cannot be written for the recipient's network; is the number right?"},
	"4360": {omni.ReasonRejected, "The message waited for longer than it was good for."},
	"4401": {omni.ReasonRejected, "There is no way to this number: are sender and recipient the same?"},
	"4403": {omni.ReasonMisconfigured, "Our number may not send messages."},
	"4404": {omni.ReasonRejected, "The recipient's number may not get messages."},
	"4405": {omni.ReasonMisconfigured, "Our number is not in use."},
	"4406": {omni.ReasonRejected, "The recipient's number is not in use."},
	"4407": {omni.ReasonMisconfigured, "Our number is not tied to this account."},
	"4408": {omni.ReasonMisconfigured, "The recipient's number is not tied to an account."},
	"4409": {omni.ReasonRejected, "The recipient's number cannot get pictures."},
	"4410": {omni.ReasonUnreachable, "A file could not be fetched."},
	"4411": {omni.ReasonMalformed, "The files are too large together."},
	"4412": {omni.ReasonMalformed, "A file is of a type that cannot be sent."},
	"4420": {omni.ReasonRejected, "There is no way to the recipient's network."},
	"4421": {omni.ReasonRejected, "There is no way to the recipient's network."},
	"4431": {omni.ReasonMisconfigured, "This account may not send from a short code."},
	"4432": {omni.ReasonMisconfigured, "This account may not send to that country."},
	"4433": {omni.ReasonMisconfigured, "This account may not send from a toll-free number."},
	"4434": {omni.ReasonRejected, "This toll-free number does not take messages."},
	"4435": {omni.ReasonMalformed, "A group has at most ten members."},
	"4451": {omni.ReasonMisconfigured, "The account's id is wrong."},
	"4452": {omni.ReasonMisconfigured, "The application's id is wrong."},
	"4470": {omni.ReasonRejected, "Bandwidth took the message for spam. Say it in other words."},
	"4481": {omni.ReasonMisconfigured, "Our number is on a block list."},
	"4482": {omni.ReasonRejected, "The recipient's number is on a block list."},
	"4492": {omni.ReasonRejected, "Emergency numbers get no messages."},
	"4493": {omni.ReasonMisconfigured, "The account may not send."},

	"4700": {omni.ReasonRejected, "The recipient's network or phone does not take this kind of message."},
	"4701": {omni.ReasonUnreachable, "The recipient's network cannot be reached now."},
	"4702": {omni.ReasonUnreachable, "The recipient's phone is off, full or barred."},
	"4711": {omni.ReasonMalformed, "A file is too large for the recipient's network."},
	"4712": {omni.ReasonMalformed, "A file is of a type that the recipient's network does not take."},
	"4720": {omni.ReasonRejected, "The recipient's number cannot get messages: a landline, or not in use."},
	"4721": {omni.ReasonRejected, "The recipient's number was given up. It may belong to somebody else soon."},
	"4730": {omni.ReasonUnreachable, "There is no way to the phone now; it may be abroad."},
	"4740": {omni.ReasonMisconfigured, "The recipient's network does not accept our number."},
	"4750": {omni.ReasonRejected, "The recipient's network refused the message and did not say why."},
	"4751": {omni.ReasonMalformed, "The message is too long for the recipient's network."},
	"4752": {omni.ReasonMalformed, "The recipient's network could not read the message."},
	"4770": {omni.ReasonRejected, "The recipient's network took the message for spam. Say it in other words."},
	"4771": {omni.ReasonRejected, "Networks refuse links that public services have shortened. Write the whole link."},
	"4772": {omni.ReasonRejected, "The sender or the recipient is blocked."},
	"4773": {omni.ReasonMisconfigured, "The campaign of our number is not active."},
	"4774": {omni.ReasonMisconfigured, "Our number is not registered right."},
	"4775": {omni.ReasonOptedOut, "The recipient does not want messages from this number."},
	"4780": {omni.ReasonThrottled, "Today's share of messages to T-Mobile is used up. Try tomorrow."},
	"4781": {omni.ReasonThrottled, "Too many messages to AT&T in a short time."},
	"4785": {omni.ReasonThrottled, "Too many messages to this network in a short time."},
	"4790": {omni.ReasonRejected, "The recipient's network does not take messages from our short code."},
	"4791": {omni.ReasonRejected, "The recipient's network does not take this short code's campaign."},
	"4792": {omni.ReasonMisconfigured, "Our short code is not known to the recipient's network."},
	"4793": {omni.ReasonMisconfigured, "Our short code has run out."},
	"4795": {omni.ReasonMisconfigured, "Our toll-free number is not verified."},

	"5100": {omni.ReasonUnreachable, "Bandwidth has a fault."},
	"5101": {omni.ReasonUnreachable, "Bandwidth has a fault."},
	"5106": {omni.ReasonUnreachable, "Bandwidth tried for long and did not get it out."},
	"5111": {omni.ReasonUnreachable, "Bandwidth has a fault."},
	"5201": {omni.ReasonUnreachable, "Bandwidth tried for long and did not get it out."},
	"5211": {omni.ReasonUnreachable, "Bandwidth is busy."},
	"5220": {omni.ReasonUnreachable, "Bandwidth has a fault."},
	"5231": {omni.ReasonRejected, "Not all parts of the message arrived at Bandwidth."},
	"5500": {omni.ReasonUnreachable, "The recipient's network could not take the message."},
	"5501": {omni.ReasonUnreachable, "There is no way to the recipient's network now."},
	"5600": {omni.ReasonThrottled, "The recipient's network is congested."},
	"5610": {omni.ReasonUnreachable, "The recipient's network has a fault."},
	"5620": {omni.ReasonUnreachable, "The recipient's network has a fault."},
	"5630": {omni.ReasonUnreachable, "The recipient's network did not answer."},
	"5650": {omni.ReasonUnreachable, "The recipient's network has a fault."},
	"5999": {omni.ReasonUnreachable, "Bandwidth does not know what went wrong."},

	"9902": {omni.ReasonUnknown, "Nobody said whether the message arrived. It probably did."},
	"9999": {omni.ReasonUnreachable, "The recipient's network reported a fault that Bandwidth does not know."},
}

// types tells what the types of refusals mean with which the API answers a message; it sends none of them. The others
// have the meaning of their HTTP status.
var types = map[string]failure{
	"request-validation":              {omni.ReasonMalformed, "Bandwidth does not take the message as it is."},
	"unauthorized":                    {omni.ReasonMisconfigured, "The credentials are wrong, or not this account's."},
	"forbidden":                       {omni.ReasonMisconfigured, "The credentials have no right to send."},
	"unsupported-content-type":        {omni.ReasonMalformed, "Bandwidth does not take the message as it is."},
	"max-message-queue-size-exceeded": {omni.ReasonThrottled, "Bandwidth's queue for this account is full."},
}

// reasonOf says why a message has failed. Of codes that are not in the table the first digit counts: what begins with 4
// would end the same way again, what begins with 5 may be tried again. No code is no word that another try is right.
func reasonOf(code string) omni.Reason {
	if f, ok := reasons[code]; ok {
		return f.reason
	}
	if strings.HasPrefix(code, "5") && len(code) == 4 {
		return omni.ReasonUnreachable
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
	if !ok {
		f, ok = types[code]
	}
	return f.words, "", ok
}

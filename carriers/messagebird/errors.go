package messagebird

import (
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// source is who gives a code. The same number means different things: 9 is an illegal subscriber to a network, and a
// missing parameter to the API.
type source int

const (
	fromNetwork source = iota // statusErrorCode, failure.source.code
	fromAPI                   // errors[].code of an answer
)

// code is a code of a source. Parameter is what an answer of the API complains of, where that makes a difference.
type code struct {
	source    source
	number    string
	parameter string
}

// reasons tells what codes mean for the message. Sources: "SMS errors & error codes" and "SMS platform extended error
// codes" at docs.bird.com, and "Errors" of the REST API, read 2026-11-22. Of the network's below 100 the carrier's own pages
// name 1, 2, 3, 5 and 34; the others are the numbers of GSM MAP (3GPP TS 29.002) that the list follows. 104 to 107 are told
// apart by our reading.
var reasons = map[code]carriers.Failure{
	{number: "1"}:   {Reason: omni.ReasonRejected, Words: "The recipient's number does not exist."},
	{number: "2"}:   {Reason: omni.ReasonRejected, Words: "The network does not find the recipient's phone."},
	{number: "3"}:   {Reason: omni.ReasonRejected, Words: "The network does not find the recipient's phone."},
	{number: "5"}:   {Reason: omni.ReasonRejected, Words: "The network does not know the recipient."},
	{number: "6"}:   {Reason: omni.ReasonUnreachable, Words: "The recipient's phone is off or out of reach."},
	{number: "9"}:   {Reason: omni.ReasonRejected, Words: "The recipient's network does not let this subscriber in."},
	{number: "11"}:  {Reason: omni.ReasonRejected, Words: "The recipient's contract has no SMS."},
	{number: "12"}:  {Reason: omni.ReasonRejected, Words: "The recipient's network does not let this phone in."},
	{number: "13"}:  {Reason: omni.ReasonRejected, Words: "The recipient's number is barred."},
	{number: "21"}:  {Reason: omni.ReasonRejected, Words: "The recipient's network or phone does not take this kind of message."},
	{number: "27"}:  {Reason: omni.ReasonUnreachable, Words: "The recipient's phone is off or out of reach."},
	{number: "31"}:  {Reason: omni.ReasonUnreachable, Words: "The recipient's phone is busy."},
	{number: "32"}:  {Reason: omni.ReasonUnreachable, Words: "The recipient's phone could not take the message; its memory may be full."},
	{number: "33"}:  {Reason: omni.ReasonThrottled, Words: "Too many messages wait for the recipient."},
	{number: "34"}:  {Reason: omni.ReasonUnreachable, Words: "The recipient's network has a fault."},
	{number: "35"}:  {Reason: omni.ReasonMalformed, Words: "Something is missing in the message, the recipient's network says."},
	{number: "36"}:  {Reason: omni.ReasonMalformed, Words: "Something in the message is not right, the recipient's network says."},
	{number: "103"}: {Reason: omni.ReasonOptedOut, Words: "The recipient has opted out. They have to write START before you can message them again."},
	{number: "104"}: {Reason: omni.ReasonMisconfigured, Words: "Our number is not registered for that country. An admin can register it at MessageBird."},
	{number: "105"}: {Reason: omni.ReasonMisconfigured, Words: "Our campaign, or what it may say, is not registered. An admin can register it at MessageBird."},
	{number: "106"}: {Reason: omni.ReasonThrottled, Words: "Our campaign's messages are used up for now."},
	{number: "107"}: {Reason: omni.ReasonThrottled, Words: "Too many messages of our campaign at once."},

	{source: fromAPI, number: "2"}:                           {Reason: omni.ReasonMisconfigured, Words: "The access key is wrong, or may not do that. An admin has to look at the account."},
	{source: fromAPI, number: "9"}:                           {Reason: omni.ReasonMalformed, Words: "Something is missing in the message."},
	{source: fromAPI, number: "9", parameter: "recipients"}:  {Reason: omni.ReasonRejected, Words: "The recipient's number is not one that it could go to."},
	{source: fromAPI, number: "9", parameter: "originator"}:  {Reason: omni.ReasonMisconfigured, Words: "Our number or name is not a sender of this account."},
	{source: fromAPI, number: "10"}:                          {Reason: omni.ReasonMalformed, Words: "Something in the message is not right."},
	{source: fromAPI, number: "10", parameter: "recipients"}: {Reason: omni.ReasonRejected, Words: "The recipient's number is not one that it could go to."},
	{source: fromAPI, number: "10", parameter: "originator"}: {Reason: omni.ReasonMisconfigured, Words: "Our number or name is not a sender of this account."},
	{source: fromAPI, number: "20"}:                          {Reason: omni.ReasonMisconfigured, Words: "The account has no such channel or number. An admin has to look at its settings."},
	{source: fromAPI, number: "21"}:                          {Reason: omni.ReasonMalformed, Words: "The message cannot be read."},
	{source: fromAPI, number: "25"}:                          {Reason: omni.ReasonMisconfigured, Words: "The balance of the account is used up. An admin has to top it up."},
	{source: fromAPI, number: "98"}:                          {Reason: omni.ReasonMisconfigured, Words: "The account has no such channel or number. An admin has to look at its settings."},
	{source: fromAPI, number: "99"}:                          {Reason: omni.ReasonUnknown, Words: "MessageBird has a fault. The message may have gone out all the same."},
}

// known finds what a code means.
func known(c code) (omni.Reason, bool) {
	if f, ok := reasons[c]; ok {
		return f.Reason, true
	}
	c.parameter = ""
	f, ok := reasons[c]
	return f.Reason, ok
}

// reasonOf says why a message has a status, given the network's code that came with it. A code that we do not know, or
// none, is a refusal: only a code can say that another try is right.
func reasonOf(s omni.Status, number string) omni.Reason {
	if s != omni.StatusFailed && s != omni.StatusUndeliverable {
		return ""
	}
	if r, ok := known(code{number: strings.TrimSpace(number)}); ok {
		return r
	}
	return omni.ReasonRejected
}

// Explain implements carriers.Explainer. Who gave a code is not kept with it: of one that both the network and the API give, both
// meanings are told.
func (*Provider) Explain(number string) (meaning, advice string, ok bool) {
	network, theirs := reasons[code{number: number}]
	api, own := reasons[code{source: fromAPI, number: number}]
	switch {
	case theirs && own:
		return network.Words, "If it was MessageBird that refused it: " + strings.ToLower(api.Words[:1]) + api.Words[1:], true
	case own:
		return api.Words, "", true
	default:
		return network.Words, "", theirs
	}
}

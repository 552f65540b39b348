package messagebird

import (
	"strings"

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
var reasons = map[code]omni.Reason{
	{number: "1"}:   omni.ReasonRejected,      // unknown subscriber
	{number: "2"}:   omni.ReasonRejected,      // unknown base station
	{number: "3"}:   omni.ReasonRejected,      // unknown switching centre
	{number: "5"}:   omni.ReasonRejected,      // unidentified subscriber
	{number: "6"}:   omni.ReasonUnreachable,   // subscriber absent
	{number: "9"}:   omni.ReasonRejected,      // illegal subscriber
	{number: "11"}:  omni.ReasonRejected,      // not provisioned for SMS
	{number: "12"}:  omni.ReasonRejected,      // illegal equipment
	{number: "13"}:  omni.ReasonRejected,      // barred
	{number: "21"}:  omni.ReasonRejected,      // facility not supported
	{number: "27"}:  omni.ReasonUnreachable,   // subscriber absent
	{number: "31"}:  omni.ReasonUnreachable,   // subscriber busy
	{number: "32"}:  omni.ReasonUnreachable,   // the handset's memory is full
	{number: "33"}:  omni.ReasonThrottled,     // waiting list full
	{number: "34"}:  omni.ReasonUnreachable,   // system failure
	{number: "35"}:  omni.ReasonMalformed,     // data missing
	{number: "36"}:  omni.ReasonMalformed,     // unexpected value
	{number: "103"}: omni.ReasonOptedOut,      // recipient opted out
	{number: "104"}: omni.ReasonMisconfigured, // sender not registered
	{number: "105"}: omni.ReasonMisconfigured, // content or campaign not registered
	{number: "106"}: omni.ReasonThrottled,     // campaign's volume exceeded
	{number: "107"}: omni.ReasonThrottled,     // campaign's throughput exceeded

	{source: fromAPI, number: "2"}:                           omni.ReasonMisconfigured, // request not allowed: the key is wrong
	{source: fromAPI, number: "9"}:                           omni.ReasonMalformed,     // missing parameters
	{source: fromAPI, number: "9", parameter: "recipients"}:  omni.ReasonRejected,      // no number that it could go to
	{source: fromAPI, number: "9", parameter: "originator"}:  omni.ReasonMisconfigured, // not a sender
	{source: fromAPI, number: "10"}:                          omni.ReasonMalformed,     // invalid parameters
	{source: fromAPI, number: "10", parameter: "recipients"}: omni.ReasonRejected,
	{source: fromAPI, number: "10", parameter: "originator"}: omni.ReasonMisconfigured,
	{source: fromAPI, number: "20"}:                          omni.ReasonMisconfigured, // not found
	{source: fromAPI, number: "21"}:                          omni.ReasonMalformed,     // bad request
	{source: fromAPI, number: "25"}:                          omni.ReasonMisconfigured, // not enough balance
	{source: fromAPI, number: "98"}:                          omni.ReasonMisconfigured, // not found
	{source: fromAPI, number: "99"}:                          omni.ReasonUnknown,       // internal error: it may have been sent
}

// known finds what a code means.
func known(c code) (omni.Reason, bool) {
	if r, ok := reasons[c]; ok {
		return r, true
	}
	c.parameter = ""
	r, ok := reasons[c]
	return r, ok
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

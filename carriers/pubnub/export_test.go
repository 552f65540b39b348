package pubnub

import (
	"slices"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
	"omniservice/omni"
)

// Mutants returns copies of a Carrier that each lack one part of Verify.
func Mutants(of carriers.Carrier) map[string]carriers.Carrier {
	original := of.(*Carrier)
	all := map[string]carriers.Carrier{}
	for i, part := range original.checks {
		c := *original
		c.checks = slices.Delete(slices.Clone(c.checks), i, i+1)
		all["check: "+part.name] = &c
	}
	if original.config.scheme == schemeHeader {
		for i, part := range original.spellings {
			c := *original
			c.spellings = slices.Delete(slices.Clone(c.spellings), i, i+1)
			all["token "+part.name] = &c
		}
		header := *original
		header.config.header = defaultHeader
		all["a header of its own"] = &header
	}
	one := *original
	one.config.tokens = one.config.tokens[:1]
	all["the previous token"] = &one
	return all
}

// The tables, and the routine of signatures.
var (
	Reasons  = carriertest.Reasons(reasons)
	ReasonOf = reasonOf
	Statuses = statuses
	Sign     = sign
	Encode   = encode
)

// MaxMessage is the smallest message that PubNub refuses.
const MaxMessage = maxMessage

// MessageAt is the id of a message that was sent on a channel at a moment.
func MessageAt(channel string, m omni.Millis) string { return messageID(channel, timetokenOf(m)) }

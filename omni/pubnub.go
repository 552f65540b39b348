package omni

import (
	"strings"
	"unicode/utf8"
)

// maxPubNubChannel is the longest name of a PubNub channel, in characters. Source: "Channels" of PubNub's documentation,
// read 2026-11-23.
const maxPubNubChannel = 92

// maxPubNubBytes leaves room in a message id for the timetoken behind the channel's name.
const maxPubNubBytes = 230

// ValidPubNubChannel reports whether s can be the name of a PubNub channel: 1 to 92 characters of UTF-8 without comma,
// colon, asterisk, slash, backslash, spaces and control characters. Such a name is one conversation.
func ValidPubNubChannel(s string) bool {
	return s != "" && len(s) <= maxPubNubBytes && utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxPubNubChannel &&
		!strings.ContainsFunc(s, func(r rune) bool {
			return r <= ' ' || r == 0x7f || strings.ContainsRune(",:*/\\\u0085\u00a0\u2028\u2029", r)
		})
}

// AddressPattern reports whether an address of ours stands for all that begin as it does, and with what: a PubNub channel of
// ours may be "support-*".
func AddressPattern(family ChannelType, address string) (prefix string, ok bool) {
	if family != ChannelPubNub {
		return "", false
	}
	return strings.CutSuffix(address, "*")
}

// validPubNubAddress is the rule for the address of a channel: a name, or the beginning of one with an asterisk behind it.
func validPubNubAddress(s string) bool {
	prefix, _ := AddressPattern(ChannelPubNub, s)
	return ValidPubNubChannel(prefix)
}

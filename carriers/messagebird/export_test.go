package messagebird

import (
	"slices"
	"time"

	"omniservice/carriers"
)

// Mutants returns copies of a Carrier that each lack one part of Verify. What only a second request can fail has a test
// of its own.
func Mutants(of carriers.Carrier) map[string]carriers.Carrier {
	original := of.(*Carrier)
	scheme := original.config.scheme
	all := map[string]carriers.Carrier{}
	for i, part := range original.checks {
		if part.name == usedBefore || scheme == schemeNone {
			continue
		}
		c := *original
		c.used = newUsedTokens(maxUsed)
		c.checks = slices.Delete(slices.Clone(c.checks), i, i+1)
		all[scheme+": "+part.name] = &c
	}
	one := *original
	one.used = newUsedTokens(maxUsed)
	one.config.signingKeys = one.config.signingKeys[:1]
	all[scheme+": the previous key"] = &one
	return all
}

// WithoutMemory returns a copy of a Carrier that forgets tokens.
func WithoutMemory(of carriers.Carrier) carriers.Carrier {
	c := *of.(*Carrier)
	c.checks = slices.DeleteFunc(slices.Clone(c.checks), func(part check) bool { return part.name == usedBefore })
	return &c
}

// Used is a memory of tokens.
type Used struct{ *usedTokens }

// NewUsed makes one for so many.
func NewUsed(most int) Used { return Used{newUsedTokens(most)} }

// Add is add; false if it is remembered already.
func (u Used) Add(id string, until, now time.Time) bool {
	before := u.has(id, now)
	u.add(id, until, now)
	return !before
}

// Len is how many are remembered.
func (u Used) Len() int { return len(u.ending) }

// ReasonsOf gives the table of codes of the network, or of the API.
func ReasonsOf(api bool) map[string]string {
	all := map[string]string{}
	for c, f := range reasons {
		if (c.source == fromAPI) == api {
			all[c.number+c.parameter] = string(f.Reason)
		}
	}
	return all
}

// The tables.
var (
	ClassicStatuses      = classicStatuses
	ConversationStatuses = conversationStatuses
	BirdStatuses         = birdStatuses
)

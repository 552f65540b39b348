package whatsapp

import (
	"slices"

	"omniservice/carriers"
)

// Mutants returns copies of a Carrier that each lack one part of Verify or of Challenge.
func Mutants(of carriers.Carrier) map[string]carriers.Carrier {
	original := of.(*Carrier)
	all := map[string]carriers.Carrier{}
	for i, part := range original.checks {
		c := *original
		c.checks = slices.Delete(slices.Clone(c.checks), i, i+1)
		all["check: "+part.name] = &c
	}
	for i, part := range original.challenges {
		c := *original
		c.challenges = slices.Delete(slices.Clone(c.challenges), i, i+1)
		all["challenge: "+part.name] = &c
	}
	first := *original
	first.config.appSecrets = first.config.appSecrets[:1]
	all["the previous secret"] = &first
	token := *original
	token.config.verifyTokens = token.config.verifyTokens[:1]
	all["the previous verify token"] = &token
	return all
}

// Statuses is the table.
var Statuses = statuses

// Class is the class of a code, as the letter that stands for it.
func (c ErrorCode) Class() string {
	f, _ := c.find()
	return string(rune(f.class))
}

// Reason is the reason of a code.
func (c ErrorCode) Reason() string {
	f, _ := c.find()
	return string(f.reason)
}

package twilio

import (
	"slices"

	"omniservice/carriers"
	"omniservice/carriers/carriertest"
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
	for i, part := range original.spellings {
		c := *original
		c.spellings = slices.Delete(slices.Clone(c.spellings), i, i+1)
		all["URL "+part.name] = &c
	}
	one := *original
	one.config.authTokens = one.config.authTokens[:1]
	all["the previous token"] = &one
	return all
}

// Reasons and Statuses are the tables.
var (
	Reasons  = carriertest.Reasons(reasons)
	Statuses = statuses
)

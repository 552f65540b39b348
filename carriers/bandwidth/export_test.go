package bandwidth

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
	for i, part := range original.logins {
		c := *original
		c.logins = slices.Delete(slices.Clone(c.logins), i, i+1)
		all["login "+part.name] = &c
	}
	if len(original.config.Passwords) > 1 {
		c := *original
		c.config.Passwords = c.config.Passwords[:1]
		all["the previous password"] = &c
	}
	return all
}

// The tables.
var (
	Reasons  = carriertest.Reasons(reasons)
	Types    = carriertest.Reasons(types)
	Statuses = statuses
)

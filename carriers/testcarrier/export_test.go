package testcarrier

import (
	"slices"

	"omniservice/carriers"
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
	one := *original
	one.secrets = one.secrets[:1]
	all["the previous secret"] = &one
	return all
}

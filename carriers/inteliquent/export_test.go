package inteliquent

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
	for i, part := range original.digests {
		c := *original
		c.digests = slices.Delete(slices.Clone(c.digests), i, i+1)
		all["digest "+part.name] = &c
	}
	if len(original.config.APIKeys) > 1 {
		c := *original
		c.config.APIKeys = c.config.APIKeys[:1]
		all["the previous key"] = &c
	}
	if len(original.config.HeaderValues) > 1 {
		c := *original
		c.config.HeaderValues = c.config.HeaderValues[:1]
		all["the previous header value"] = &c
	}
	return all
}

// The tables.
var (
	Reasons  = carriertest.Reasons(reasons)
	Statuses = statuses
)

package carriers

import (
	"fmt"
	"strings"

	"omniservice/omni"
)

// Registry finds a provider by name. It does not change after it is made.
type Registry struct{ byName map[omni.CarrierName]Provider }

// NewRegistry makes the registry of the given providers. Two of the same name are an error.
func NewRegistry(providers ...Provider) (*Registry, error) {
	r := &Registry{byName: make(map[omni.CarrierName]Provider, len(providers))}
	for _, p := range providers {
		if _, ok := r.byName[p.Name()]; ok {
			return nil, fmt.Errorf("carrier %s is registered twice: %w", p.Name(), omni.ErrConflict)
		}
		r.byName[p.Name()] = p
	}
	return r, nil
}

// Provider returns the provider of a name, or omni.ErrNotFound.
func (r *Registry) Provider(name omni.CarrierName) (Provider, error) {
	p, ok := r.byName[name]
	if !ok {
		return nil, omni.Problemf(omni.ErrNotFound, "there is no carrier %q here", name)
	}
	return p, nil
}

// Explain puts a code of a provider into words for an agent; "" if nobody here knows it.
func (r *Registry) Explain(name omni.CarrierName, code string) string {
	e, ok := r.byName[name].(Explainer)
	if !ok || code == "" {
		return ""
	}
	meaning, advice, _ := e.Explain(code)
	return strings.TrimSpace(meaning + " " + advice)
}

// Providers returns all of them, in the order of omni.CarrierNames.
func (r *Registry) Providers() []Provider {
	var all []Provider
	for _, n := range omni.CarrierNames {
		if p, ok := r.byName[n]; ok {
			all = append(all, p)
		}
	}
	return all
}

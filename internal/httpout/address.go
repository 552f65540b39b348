package httpout

import (
	"fmt"
	"net/netip"
)

// notPublic lists what is inside the ranges of public addresses and is none, or is one that must not be called.
// Sources: IANA IPv4 and IPv6 Special-Purpose Address Registries, read 2026-11-23; the last is Azure's host agent,
// which answers with machine secrets at an address that looks public.
var notPublic = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	"168.63.129.16/32",
)

var (
	globalUnicast = netip.MustParsePrefix("2000::/3")
	nat64         = netip.MustParsePrefix("64:ff9b::/96")
)

func prefixes(all ...string) []netip.Prefix {
	p := make([]netip.Prefix, len(all))
	for i, s := range all {
		p[i] = netip.MustParsePrefix(s)
	}
	return p
}

// Public reports whether a is an address of the public internet. IPv4 addresses inside IPv6 ones (mapped, NAT64)
// are judged as what they lead to; tunnels (6to4, Teredo) are never public.
func Public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || a.Zone() != "" {
		return false
	}
	if nat64.Contains(a) {
		b := a.As16()
		a = netip.AddrFrom4([4]byte(b[12:]))
	}
	if a.Is6() && !globalUnicast.Contains(a) {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

func permit(a netip.Addr, loopback bool) error {
	if Public(a) || loopback && a.Unmap().IsLoopback() {
		return nil
	}
	return fmt.Errorf("dial %s: %w", a, ErrForbiddenAddress)
}

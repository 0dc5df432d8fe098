package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// ErrRefused: the policy does not allow the dialled address. Nothing was sent.
// Test with errors.Is.
var ErrRefused = errors.New("destination refused")

// denied4 are the IPv4 networks without public servers: private, loopback (the
// Lambda runtime API), link-local (credentials and metadata), shared, reserved,
// documentation and multicast.
var denied4 = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)

// global6 is the only IPv6 network from which public addresses are assigned. A
// list of allowed space, unlike one of denied space, is right about ranges that
// are registered later. Outside it are all forms that embed an IPv4 address
// (mapped, translated, NAT64), unique local and link-local addresses.
var global6 = netip.MustParsePrefix("2000::/3")

// denied6 are the networks inside global6 without public servers: protocol
// assignments (Teredo, ORCHID, benchmarks), documentation and 6to4.
var denied6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")

var loopbacks = prefixes("127.0.0.0/8", "::1/128")

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}

// Dialer returns a dialer that checks each address just before it connects. A
// private one reaches only Allow; the other reaches public addresses and Allow. A
// refused dial fails with ErrRefused. The timeout is for one dial with all its
// addresses, name resolution included.
func (p Policy) Dialer(private bool, timeout time.Duration) *net.Dialer {
	control := func(_ context.Context, _, address string, _ syscall.RawConn) error {
		target, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: not an IP address and port", ErrRefused)
		}
		return p.checkAddr(target.Addr().WithZone(""), private)
	}
	return &net.Dialer{Timeout: timeout, ControlContext: control}
}

func (p Policy) checkAddr(addr netip.Addr, private bool) error {
	switch {
	case p.allows(addr):
		return nil
	case private:
		return fmt.Errorf("%w: %s is outside PROVIDER_ALLOW_CIDRS", ErrRefused, addr)
	case !isPublic(addr):
		return fmt.Errorf("%w: %s is not a public address; add its network to PROVIDER_ALLOW_CIDRS if it is intended", ErrRefused, addr)
	}
	return nil
}

// isPublic judges a mapped address as IPv6: no public server is dialled by that
// form, so ::ffff:8.8.8.8 is refused like ::ffff:10.0.0.5.
func isPublic(addr netip.Addr) bool {
	if addr.Is4() {
		return !contains(denied4, addr)
	}
	return global6.Contains(addr) && !contains(denied6, addr)
}

// allows reports whether Allow contains the address. An IPv4-mapped IPv6 address
// (::ffff:10.0.0.5) is the IPv4 address.
func (p Policy) allows(addr netip.Addr) bool { return contains(p.Allow, addr.Unmap()) }

func (p Policy) allowsLoopback() bool {
	return slices.ContainsFunc(p.Allow, func(allowed netip.Prefix) bool {
		return slices.ContainsFunc(loopbacks, allowed.Overlaps)
	})
}

func contains(networks []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}

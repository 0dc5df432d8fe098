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

// denied are the networks without public servers: private, loopback (the Lambda
// runtime API), link-local (credentials and metadata), shared, reserved,
// documentation, multicast, and IPv6 networks that embed IPv4 addresses, which
// would bypass a check of IPv4 only.
var denied = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
	"192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/96", "::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001:db8::/32",
	"2002::/16", "3fff::/20", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)

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
	case contains(denied, addr):
		return fmt.Errorf("%w: %s is not a public address; add its network to PROVIDER_ALLOW_CIDRS if it is intended", ErrRefused, addr)
	}
	return nil
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

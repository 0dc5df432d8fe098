package egress_test

import (
	"net/netip"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/egress"
)

// TestDialerJudgesRangeEdges dials the first and the last address of each refused
// range and their neighbours on both sides.
func TestDialerJudgesRangeEdges(t *testing.T) {
	const refused, open = false, true
	ranges := []struct {
		network       string
		before, after bool // whether the neighbouring address is reachable
	}{
		{"0.0.0.0/8", refused, open},
		{"10.0.0.0/8", open, open},
		{"100.64.0.0/10", open, open},
		{"127.0.0.0/8", open, open},
		{"169.254.0.0/16", open, open},
		{"172.16.0.0/12", open, open},
		{"192.0.0.0/24", open, open},
		{"192.0.2.0/24", open, open},
		{"192.88.99.0/24", open, open},
		{"192.168.0.0/16", open, open},
		{"198.18.0.0/15", open, open},
		{"198.51.100.0/24", open, open},
		{"203.0.113.0/24", open, open},
		{"224.0.0.0/4", open, refused},
		{"240.0.0.0/4", refused, refused},

		{"2001::/23", open, open},
		{"2001:db8::/32", open, open},
		{"2002::/16", open, open},
		{"3fff::/20", open, open},

		{"::/3", refused, open},
		{"4000::/2", open, refused},
		{"8000::/1", refused, refused},
		// Inside the above: each had a server of its own kind that must stay out of reach.
		{"::/96", refused, refused},
		{"::ffff:0:0/96", refused, refused},
		{"::ffff:0:0:0/96", refused, refused},
		{"64:ff9b::/96", refused, refused},
		{"64:ff9b:1::/48", refused, refused},
		{"100::/64", refused, refused},
		{"2001:2::/48", refused, refused},
		{"2001:20::/28", refused, refused},
		{"5f00::/16", refused, refused},
		{"fc00::/7", refused, refused},
		{"fd00:ec2::/64", refused, refused},
		{"fe80::/10", refused, refused},
		{"fec0::/10", refused, refused},
		{"ff00::/8", refused, refused},
	}
	dialer := egress.Policy{}.Dialer(false, 0)
	for _, tt := range ranges {
		t.Run("AZ-41 "+tt.network, func(t *testing.T) {
			first, last := edges(netip.MustParsePrefix(tt.network))
			wantReach(t, dialer, first.String(), refused)
			wantReach(t, dialer, last.String(), refused)
			wantNeighbour(t, first.Prev(), tt.before)
			wantNeighbour(t, last.Next(), tt.after)
		})
	}
}

// wantNeighbour checks an address in its own form and, for IPv4, in the forms
// that embed it in IPv6: none of those is a public server's.
func wantNeighbour(t *testing.T, addr netip.Addr, want bool) {
	t.Helper()
	if !addr.IsValid() {
		return // before the first address of a family, or after the last
	}
	dialer := egress.Policy{}.Dialer(false, 0)
	wantReach(t, dialer, addr.String(), want)
	if addr.Is4() {
		for _, prefix := range []string{"::", "::ffff:", "::ffff:0:", "64:ff9b::"} {
			wantReach(t, dialer, prefix+addr.String(), false)
		}
	}
}

func edges(network netip.Prefix) (first, last netip.Addr) {
	first = network.Masked().Addr()
	bytes := first.AsSlice()
	for bit := network.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ = netip.AddrFromSlice(bytes)
	return first, last
}

// TestDialerJudgesMappedFormsOfAllow: an address in Allow is reached in both of
// its forms, and its neighbour in neither.
func TestDialerJudgesMappedFormsOfAllow(t *testing.T) {
	policy := allow("10.1.0.0/16")
	for _, private := range []bool{false, true} {
		dialer := policy.Dialer(private, 0)
		for address, want := range map[string]bool{"10.1.255.255": true, "10.2.0.0": false, "10.0.255.255": false} {
			wantReach(t, dialer, address, want)
			wantReach(t, dialer, "::ffff:"+address, want)
		}
	}
}

package egress_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/egress/egresstest"
)

func TestDialerJudgesAddresses(t *testing.T) {
	private := allow("10.1.0.0/16", "fd00:1::/32", "93.184.0.0/16")
	tests := []struct {
		name            string
		address         string
		public, private bool // reachable by a dialer of that kind
	}{
		{"AZ-41 public IPv4", "8.8.8.8", true, false},
		{"AZ-41 public IPv6", "2606:4700::1111", true, false},
		{"AZ-41 this network", "0.0.0.0", false, false},
		{"AZ-41 10/8", "10.255.255.255", false, false},
		{"AZ-41 allowed part of 10/8", "10.1.2.3", true, true},
		{"AZ-41 allowed public network", "93.184.216.34", true, true},
		{"AZ-41 shared", "100.64.0.1", false, false},
		{"AZ-41 below shared", "100.63.255.255", true, false},
		{"AZ-41 above shared", "100.128.0.0", true, false},
		{"AZ-41 Lambda runtime API", "127.0.0.1", false, false},
		{"AZ-41 loopback's end", "127.255.255.254", false, false},
		{"AZ-41 instance metadata", "169.254.169.254", false, false},
		{"AZ-41 container credentials", "169.254.170.2", false, false},
		{"AZ-41 172.16/12", "172.31.255.255", false, false},
		{"AZ-41 above 172.16/12", "172.32.0.0", true, false},
		{"AZ-41 IETF", "192.0.0.8", false, false},
		{"AZ-41 documentation 1", "192.0.2.1", false, false},
		{"AZ-41 192.168/16", "192.168.0.1", false, false},
		{"AZ-41 benchmark", "198.19.255.255", false, false},
		{"AZ-41 documentation 2", "198.51.100.1", false, false},
		{"AZ-41 documentation 3", "203.0.113.1", false, false},
		{"AZ-41 multicast", "224.0.0.1", false, false},
		{"AZ-41 reserved", "240.0.0.1", false, false},
		{"AZ-41 broadcast", "255.255.255.255", false, false},
		{"AZ-41 unspecified", "::", false, false},
		{"AZ-41 IPv6 loopback", "::1", false, false},
		{"AZ-41 IPv4-compatible", "::7f00:1", false, false},
		{"AZ-41 IPv4-mapped metadata", "::ffff:169.254.169.254", false, false},
		{"AZ-41 IPv4-mapped public", "::ffff:8.8.8.8", false, false},
		{"AZ-41 IPv4-mapped allowed", "::ffff:10.1.2.3", true, true},
		{"AZ-41 NAT64", "64:ff9b::a9fe:a9fe", false, false},
		{"AZ-41 local NAT64", "64:ff9b:1::1", false, false},
		{"AZ-41 discard", "100::1", false, false},
		{"AZ-41 documentation", "2001:db8::1", false, false},
		{"AZ-41 6to4", "2002:7f00:1::1", false, false},
		{"AZ-41 Teredo", "2001:0:1::1", false, false},
		{"AZ-41 metadata over IPv6", "fd00:ec2::254", false, false},
		{"AZ-41 unique local", "fc00::1", false, false},
		{"AZ-41 allowed unique local", "fd00:1::1", true, true},
		{"AZ-41 link-local", "fe80::1", false, false},
		{"AZ-41 link-local with a zone", "fe80::1%eth0", false, false},
		{"AZ-41 IPv6 multicast", "ff02::1", false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantReach(t, private.Dialer(false, 0), tt.address, tt.public)
			wantReach(t, private.Dialer(true, 0), tt.address, tt.private)
		})
	}
}

func wantReach(t *testing.T, d *net.Dialer, address string, want bool) {
	t.Helper()
	err := d.ControlContext(t.Context(), "tcp", net.JoinHostPort(address, "443"), nil)
	if (err == nil) != want || err != nil && !errors.Is(err, egress.ErrRefused) {
		t.Errorf("dial of %s: error %v, want reachable %v", address, err, want)
	}
}

func TestDialerRefusesWhatIsNoAddress(t *testing.T) {
	err := egress.Policy{}.Dialer(false, 0).ControlContext(t.Context(), "unix", "/run/x", nil)
	if !errors.Is(err, egress.ErrRefused) {
		t.Errorf("error %v, want ErrRefused", err)
	}
}

// TestDialRebinding dials one public name three times while its address changes.
// Only allowed dials reach the listener.
func TestDialRebinding(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	target := net.JoinHostPort("login.example.com", port)
	address := netip.MustParseAddr("127.0.0.1")
	resolver := egresstest.Resolver(func(string) []netip.Addr { return []netip.Addr{address} })

	closed := egress.Policy{}.Dialer(false, time.Second)
	closed.Resolver = resolver
	if _, err := closed.DialContext(t.Context(), "tcp", target); !errors.Is(err, egress.ErrRefused) {
		t.Errorf("BI-44 public name at loopback: error %v, want ErrRefused", err)
	}

	open := allow("127.0.0.1/32").Dialer(true, time.Second)
	open.Resolver = resolver
	ours, err := open.DialContext(t.Context(), "tcp", target)
	if err != nil {
		t.Fatalf("AZ-41 name inside Allow: %v", err)
	}
	defer ours.Close()

	address = netip.MustParseAddr("127.0.0.2")
	if _, err := open.DialContext(t.Context(), "tcp", target); !errors.Is(err, egress.ErrRefused) {
		t.Errorf("BI-44 rebound outside Allow: error %v, want ErrRefused", err)
	}

	theirs, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	if got, want := theirs.RemoteAddr().String(), ours.LocalAddr().String(); got != want {
		t.Errorf("BI-44 first connection came from %s, want %s: a refused dial connected", got, want)
	}
}

// Package egress decides where the service may connect to.
//
// One policy is asked twice: for each URL a connection declares, so that the
// operator reads what is wrong with it, and again for each address at dial
// time, after name resolution, so that a public name which resolves (or later
// rebinds) to a private address, the metadata service or the Lambda runtime
// API is refused before a byte is sent.
//
// The two halves rely on each other. With Policy.Allow set, a name that breaks
// the public rules (plain http, a private suffix, port 80) passes the first
// only because [Destination.Inside] then makes the second demand that every
// address dialled lies inside Allow.
package egress

import (
	"errors"
	"net/netip"
	"net/url"
)

// Policy is what may be reached. The zero Policy allows public addresses only,
// over https, on port 443 or 1024 and above.
type Policy struct {
	// Allow are networks that may be reached although private or loopback.
	// Inside them plain http, IP literals, localhost and any port are accepted.
	Allow []netip.Prefix
}

// Destination is a URL that a Policy accepts.
type Destination struct {
	URL *url.URL
	// Private is true when only Policy.Allow makes the URL acceptable: dial it
	// with a dialer for the inside and no other.
	Private bool
}

// CheckURL reports what is wrong with a URL that a connection declares. The
// error names the fault and how to mend it, never a part of the URL that could
// hold a credential.
func (p Policy) CheckURL(raw string) error {
	_, err := p.Parse(raw)
	return err
}

// Parse reads a URL that the policy accepts. Its errors are those of CheckURL.
func (p Policy) Parse(raw string) (Destination, error) {
	u, err := parse(raw)
	if err != nil {
		return Destination{}, err
	}
	host := u.Hostname()
	if addr, err := netip.ParseAddr(host); err == nil {
		return p.literal(u, addr)
	}
	if err := checkName(host); err != nil {
		return Destination{}, err
	}
	err = publicRules(u)
	if err == nil {
		return Destination{URL: u}, nil
	}
	if len(p.Allow) == 0 || isLocalhost(host) && !p.allowsLoopback() {
		return Destination{}, err
	}
	return Destination{URL: u, Private: true}, nil
}

// literal judges a URL whose host is an IP address: it is as reachable as its
// address is inside Allow, whatever the scheme and port.
func (p Policy) literal(u *url.URL, addr netip.Addr) (Destination, error) {
	if addr.Zone() != "" {
		return Destination{}, errors.New("names an IPv6 zone; remove it")
	}
	if !p.inside(addr) {
		return Destination{}, errors.New("names an IP address; write the server's public name, or list the address's network in PROVIDER_ALLOW_CIDRS")
	}
	return Destination{URL: u, Private: true}, nil
}

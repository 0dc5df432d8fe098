// Package egress decides which servers the service may connect to.
//
// A policy is applied twice. It checks each URL that a connection declares, so
// that the operator sees what is wrong with it. It checks again each address at
// dial time, after name resolution: a public name that resolves (or later
// rebinds) to a private address, the metadata service or the Lambda runtime API
// is refused before a byte is sent.
//
// The two checks depend on each other. With Policy.Allow set, a name that breaks
// the public rules (plain http, a private suffix, port 80) passes the first check
// only because [Destination.Private] makes the second one require that every
// dialled address is in Allow.
package egress

import (
	"errors"
	"net/netip"
	"net/url"
)

// Policy is the set of allowed destinations. The zero Policy allows public addresses only,
// over https, on port 443 or 1024 and above.
type Policy struct {
	// Allow are networks that are allowed although private or loopback. In them
	// plain http, IP literals, localhost and any port are accepted.
	Allow []netip.Prefix
}

// Destination is a URL that a Policy accepts.
type Destination struct {
	URL *url.URL
	// Private is true when only Policy.Allow makes the URL acceptable. Dial it only
	// with a dialer for private destinations.
	Private bool
}

// CheckURL reports what is wrong with a URL that a connection declares. The
// error says how to fix it, and never shows a part of the URL that could contain
// a credential.
func (p Policy) CheckURL(raw string) error {
	_, err := p.Parse(raw)
	return err
}

// Parse parses a URL that the policy accepts. Its errors are those of CheckURL.
func (p Policy) Parse(raw string) (Destination, error) {
	u, err := parse(raw)
	if err != nil {
		return Destination{}, err
	}
	host := u.Hostname()
	if addr, err := netip.ParseAddr(host); err == nil {
		return p.parseLiteral(u, addr)
	}
	if err := checkHostName(host); err != nil {
		return Destination{}, err
	}
	err = checkPublic(u)
	if err == nil {
		return Destination{URL: u}, nil
	}
	if len(p.Allow) == 0 || isLocalhost(host) && !p.allowsLoopback() {
		return Destination{}, err
	}
	return Destination{URL: u, Private: true}, nil
}

// parseLiteral accepts a URL whose host is an IP address in Allow, whatever its
// scheme and port.
func (p Policy) parseLiteral(u *url.URL, addr netip.Addr) (Destination, error) {
	if addr.Zone() != "" {
		return Destination{}, errors.New("contains an IPv6 zone; remove it")
	}
	if !p.allows(addr) {
		return Destination{}, errors.New("contains an IP address; use the server's public name, or add the address's network to PROVIDER_ALLOW_CIDRS")
	}
	return Destination{URL: u, Private: true}, nil
}

// Package egress decides where the service may connect to.
//
// One policy is asked twice: for each URL a connection declares, so that the
// operator reads what is wrong with it, and again for each address at dial
// time, after name resolution, so that a public name which resolves (or later
// rebinds) to a private address, the metadata service or the Lambda runtime
// API is refused before a byte is sent.
package egress

import "net/netip"

// Policy is what may be reached. The zero Policy allows public addresses only,
// over https, on port 443 or 1024 and above.
type Policy struct {
	// Allow are networks that may be reached although private or loopback.
	// Inside them plain http, IP literals, localhost and any port are accepted.
	Allow []netip.Prefix
}

// Package apihost says what the host name of a service's URL tells: the region that
// requests are signed for, and whether the service is on this machine.
package apihost

import (
	"net/netip"
	"regexp"
)

// gateway matches the host names that API Gateway assigns, those of VPC endpoints and
// of dual-stack APIs too.
var gateway = regexp.MustCompile(`\.execute-api\.([a-z0-9-]+)\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)$`)

// Region returns the region in the host name of an API, and nothing for other hosts.
func Region(host string) string {
	if found := gateway.FindStringSubmatch(host); found != nil {
		return found[1]
	}
	return ""
}

// IsLoopback reports whether a host, in lower case and without port, is this machine's
// loopback interface.
func IsLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

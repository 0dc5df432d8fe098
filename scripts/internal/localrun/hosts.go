package localrun

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// hosts are the names, besides loopback, under which a server of a local run may be
// addressed.
//
// The callers' keys are public, so any program that can send a request gets a token. A web
// page can: it makes its own name resolve to 127.0.0.1 (DNS rebinding), and then the
// browser lets it read the responses. The Host header still has the page's name.
type hosts []string

// serves reports whether a request with this Host header is answered. The port does
// not matter: a name that is not served is not served on any port.
func (h hosts) serves(header string) bool {
	host, _, err := net.SplitHostPort(header)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(header, "["), "]") // without a port
	}
	host = strings.ToLower(host)
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback() || slices.Contains(h, host)
}

// guard answers 403 instead of next for a host that is not served.
func (h hosts) guard(variable string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.serves(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		denyHost(w, "the Host header names neither loopback nor a host of "+variable+"; use 127.0.0.1, or add the host's name to the variable")
	})
}

// denyHost writes the error in the form of the service's own errors (RFC 9457). It
// does not repeat the host.
func denyHost(w http.ResponseWriter, detail string) {
	text, _ := json.Marshal(map[string]any{ // strings, a number and a boolean: it cannot fail
		"type": "urn:tokenvend:error:access_denied", "title": "Access denied", "status": http.StatusForbidden,
		"detail": detail, "error": "access_denied", "error_description": detail, "retryable": false,
	})
	header := w.Header()
	header.Set("Content-Type", "application/problem+json")
	header.Set("Cache-Control", "no-store")
	header.Set("Pragma", "no-cache")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusForbidden)
	_, _ = w.Write(text) // the client may have disconnected
}

// hostPattern is a host name, as in a Host header: no port and no wildcard.
var hostPattern = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// readHosts reads names that are separated by commas or white space.
func readHosts(lookup func(string) (string, bool), variable string) (hosts, error) {
	text, _ := lookup(variable)
	names := strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	var read hosts
	for _, name := range names {
		host := strings.ToLower(name)
		if _, err := netip.ParseAddr(host); err != nil && !hostPattern.MatchString(host) {
			return nil, fmt.Errorf("%s has %q; use host names or IP addresses without scheme and port, separated by commas, such as host.docker.internal", variable, name)
		}
		read = append(read, host)
	}
	return read, nil
}

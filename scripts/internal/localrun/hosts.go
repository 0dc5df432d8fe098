package localrun

import (
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/tokenvend/tokenvend/pkg/client/apihost"
	"github.com/tokenvend/tokenvend/scripts/internal/localhttp"
)

// hosts are the names, besides loopback, under which a server of a local run may be
// addressed. The callers' keys are public, so any program that can send a request gets a
// token; a web page must not.
type hosts []string

// serves reports whether a request with this Host header is answered.
func (h hosts) serves(header string) bool {
	host := localhttp.Host(header)
	return apihost.IsLoopback(host) || slices.Contains(h, host)
}

// guard answers 403 instead of next for a host that is not served. It does not repeat
// the host.
func (h hosts) guard(variable string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.serves(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		localhttp.Denied("the Host header names neither loopback nor a host of " + variable + "; use 127.0.0.1, or add the host's name to the variable").Write(w)
	})
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

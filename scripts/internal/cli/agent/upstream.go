package agent

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/client/apihost"
)

// Upstream is where requests with one connection's token may go: an origin and a prefix
// of paths.
type Upstream struct {
	base *url.URL
	// prefix is the escaped path without a slash at the end.
	prefix string
}

// ParseUpstream reads an https URL, or an http URL of loopback, without query.
func ParseUpstream(text string) (Upstream, error) {
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return Upstream{}, errors.New("the upstream must be a URL without user, query and fragment, such as https://crm.example/api")
	}
	if base.Scheme != "https" && (base.Scheme != "http" || !apihost.IsLoopback(base.Hostname())) {
		return Upstream{}, errors.New("the upstream must use https, unless it is on loopback")
	}
	cleaned, err := clean(base.EscapedPath())
	if err != nil {
		return Upstream{}, err
	}
	return Upstream{base: base, prefix: strings.TrimSuffix(cleaned, "/")}, nil
}

// errOutside says that a path leads out of the allowed prefix.
var errOutside = errors.New("the path leads out of the allowed prefix")

// join returns the URL of a path below the prefix. The path is escaped and untrusted.
func (u Upstream) join(path, query string) (*url.URL, error) {
	cleaned, err := clean(path)
	if err != nil {
		return nil, err
	}
	escaped := u.prefix + cleaned
	decoded, err := url.PathUnescape(escaped)
	if err != nil {
		return nil, errOutside
	}
	return &url.URL{Scheme: u.base.Scheme, Host: u.base.Host, Path: decoded, RawPath: escaped, RawQuery: query}, nil
}

// clean resolves the dot segments of an escaped path and removes empty segments but the
// last. A path that leads above its root is errOutside, and so is one that would after
// more decoding, because the upstream may decode more than once and may take a backslash
// for a slash.
func clean(path string) (string, error) {
	var kept []string
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, segment := range segments {
		decoded, err := decode(segment)
		isLast := i == len(segments)-1
		switch {
		case err != nil:
			return "", errOutside
		case segment == "..":
			if len(kept) == 0 {
				return "", errOutside
			}
			kept = kept[:len(kept)-1]
		case segment == ".", segment == "":
		case hidesDots(decoded):
			return "", errOutside
		default:
			kept = append(kept, segment)
			continue
		}
		if isLast && path != "" {
			kept = append(kept, "") // it names a folder
		}
	}
	if len(kept) == 0 {
		return "", nil
	}
	return "/" + strings.Join(kept, "/"), nil
}

// maxDecodings is how often a segment may have been encoded.
const maxDecodings = 4

// decode decodes a segment until nothing is encoded.
func decode(segment string) (string, error) {
	for range maxDecodings {
		next, err := url.PathUnescape(segment)
		if err != nil || next == segment {
			return segment, nil //nolint:nilerr // a percent sign that encodes nothing
		}
		segment = next
	}
	return "", errors.New("the path is encoded too often")
}

// hidesDots reports whether a decoded segment has a dot segment in it for a server that
// splits at encoded slashes and backslashes, or cuts parameters off at a semicolon.
func hidesDots(decoded string) bool {
	for _, part := range strings.FieldsFunc(decoded, func(r rune) bool { return r == '/' || r == '\\' }) {
		name, _, _ := strings.Cut(part, ";")
		if name == "." || name == ".." {
			return true
		}
	}
	return strings.ContainsRune(decoded, 0)
}

// relocate returns the Location of a redirect for the workload: below the prefix, the
// path at the agent, because at the upstream itself the agent adds no token. Another
// origin is an error.
func (u Upstream) relocate(name string, from *url.URL, location string) (string, error) {
	to, err := from.Parse(location)
	if err != nil || to.Scheme != u.base.Scheme || !strings.EqualFold(to.Host, u.base.Host) {
		return "", fmt.Errorf("the upstream redirects to a host that is not allowed for %s", name)
	}
	rest, below := strings.CutPrefix(to.EscapedPath(), u.prefix)
	if !below || rest != "" && rest[0] != '/' {
		return to.String(), nil
	}
	at := &url.URL{RawQuery: to.RawQuery, Fragment: to.Fragment}
	return "/to/" + name + rest + at.String(), nil
}

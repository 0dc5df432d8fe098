package consent

import (
	"strings"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// With the prefix, browsers accept the cookie only from this host over https.
// Over http, as in a local run, they reject a cookie with the prefix.
const (
	cookieName = "tokenvend-consent"
	hostPrefix = "__Host-"
)

func (p startParams) cookieName() string {
	if p.secure() {
		return hostPrefix + cookieName
	}
	return cookieName
}

// cookie binds the browser that is redirected to the provider. Where it does not
// return to this deployment there is nothing to bind.
func (p startParams) cookie(value string) Cookie {
	if !p.usesOwnCallback() {
		return Cookie{}
	}
	return Cookie{Name: p.cookieName(), Value: redact.New(value), Secure: p.secure(), MaxAge: pendingFor}
}

// clearCookie deletes the cookie.
func (p startParams) clearCookie() Cookie { return Cookie{Name: p.cookieName(), Secure: p.secure()} }

// boundToBrowser reports whether the browser has the cookie of its redirect. Two
// cookies of the name prove nothing: an attacker can plant one.
func (p startParams) boundToBrowser(a authRequest, headers []string) bool {
	values := cookieValues(p.cookieName(), headers)
	return len(values) == 1 && a.Cookie != "" && matches(a.Cookie, values[0])
}

// cookieValues returns the values of the cookies of that name (RFC 6265 §5.4).
func cookieValues(name string, headers []string) []string {
	var values []string
	for _, header := range headers {
		for pair := range strings.SplitSeq(header, ";") {
			if n, value, _ := strings.Cut(strings.TrimSpace(pair), "="); n == name {
				values = append(values, value)
			}
		}
	}
	return values
}

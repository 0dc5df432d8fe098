package consent

import (
	"crypto/subtle"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// The prefix makes browsers refuse the cookie from anybody but this very host
// over https; over plain http, as in a local run, they refuse the prefix.
const (
	cookieName = "tokenvend-consent"
	hostPrefix = "__Host-"
)

func (o origin) cookieName() string {
	if o.secure() {
		return hostPrefix + cookieName
	}
	return cookieName
}

// cookie binds the browser that sets out. Where it does not come back to us
// there is nothing to bind.
func (o origin) cookie(value string) Cookie {
	if !o.returnsToUs() {
		return Cookie{}
	}
	return Cookie{Name: o.cookieName(), Value: redact.New(value), Secure: o.secure(), MaxAge: pendingFor}
}

// clearing is the cookie that takes it back.
func (o origin) clearing() Cookie { return Cookie{Name: o.cookieName(), Secure: o.secure()} }

// cameBack reports in constant time whether the browser has the cookie that it
// left with. Two of one name prove nothing: one of them was planted.
func (o origin) cameBack(left departed, headers []string) bool {
	values := cookieValues(o.cookieName(), headers)
	if len(values) != 1 || left.Cookie == "" {
		return false
	}
	return subtle.ConstantTimeCompare([]byte(left.Cookie), []byte(digest(values[0]))) == 1
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

package oauth

import (
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

const (
	maxRefreshToken = 32 << 10 // bytes
	// maxRefreshLifetime is the longest lifetime of a refresh token accepted; a
	// longer one most likely has another unit.
	maxRefreshLifetime = 5 * 365 * 24 * time.Hour
	maxSubject         = 128 // characters
)

// readGrant reads the members about the grant: the refresh token, its lifetime and
// the subject. An invalid one is omitted, because the access token is usable
// without it. A refresh token of which nothing can be known is a failure.
func (a *answer) readGrant() *failure {
	shape := a.request.Response
	value := member(a.root, shape.RefreshToken, "refresh_token")
	if _, bad := value.(strictjson.Unusable); bad {
		return unusable("refresh_token", shape.RefreshToken, "is "+kindOf(value))
	}
	refresh, ok := refreshTokenOf(value)
	if !ok {
		a.departs("refresh_token")
	}
	a.token.RefreshToken = refresh
	expiry, ok := a.refreshExpiry()
	if !ok {
		a.departs("refresh_token_expires_in")
	}
	a.token.RefreshTokenExpiresAt = expiry
	a.token.Subject = a.user()
	return nil
}

// refreshTokenOf accepts what RFC 6749 App. A.17 allows, up to a maximum length.
// An absent one is the empty secret: the client keeps the current one (§6).
func refreshTokenOf(value any) (refresh redact.Secret, ok bool) {
	text, isText := value.(string)
	switch {
	case value == nil, isText && text == "":
		return redact.Secret{}, true
	case isText && len(text) <= maxRefreshToken && isPrintable(text):
		return redact.New(text), true
	}
	return redact.Secret{}, false
}

// refreshExpiry is when the refresh token expires; zero is unknown. There is no
// standard member. Some servers send 0 for "never".
func (a *answer) refreshExpiry() (at time.Time, ok bool) {
	pointer := a.request.Response.RefreshTokenExpiresIn
	if pointer == "" {
		return time.Time{}, true
	}
	value := member(a.root, pointer, "")
	figure, ok := figureOf(value)
	seconds := math.Floor(figure)
	switch {
	case value == nil, ok && seconds == 0:
		return time.Time{}, true
	case !ok || seconds < 0 || seconds > maxRefreshLifetime.Seconds():
		return time.Time{}, false
	}
	return a.requestedAt.Add(time.Duration(seconds) * time.Second), true
}

// user is who consented: the declared member, else the sub claim of the id_token
// (OpenID Connect Core §2). The id_token is not kept.
func (a *answer) user() string {
	if pointer := a.request.Response.User; pointer != "" {
		value := member(a.root, pointer, "")
		name, ok := extra.Text(value)
		if user := printableUser(name); ok && user != "" && !a.request.EchoesSecret(user) {
			return user
		}
		if value != nil {
			a.departs("user")
		}
	}
	text, _ := a.root["id_token"].(string)
	subject, _ := jwtClaims(text)["sub"].(string)
	return printableUser(subject)
}

// printableUser is the name of a user if it is printable and short, else nothing.
func printableUser(subject string) string {
	unprintable := strings.ContainsFunc(subject, func(r rune) bool { return !unicode.IsPrint(r) })
	if unprintable || utf8.RuneCountInString(subject) > maxSubject {
		return ""
	}
	return subject
}

// recoverRefreshToken looks for a new refresh token in a response that is
// otherwise unusable. The server acted on the request, so the refresh token that
// was sent may be used up, and the new one exists nowhere else.
func (a *answer) recoverRefreshToken(f *failure) {
	refresh, _ := refreshTokenOf(member(a.root, a.request.Response.RefreshToken, "refresh_token"))
	if refresh.IsZero() {
		return
	}
	f.RefreshToken, f.conclusive = refresh, true
	f.RefreshTokenExpiresAt, _ = a.refreshExpiry()
}

package oauth

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

const (
	maxRefreshToken = 16 << 10 // bytes
	// maxRefreshLifetime is the longest lifetime of a refresh token accepted; a
	// longer one most likely has another unit.
	maxRefreshLifetime = 5 * 365 * 24 * time.Hour
	maxSubject         = 128 // characters
)

// readGrant reads the members about the grant: the refresh token, its lifetime and
// the subject. An invalid one is omitted with a warning, because the access token
// is usable without it.
func (t *Token) readGrant(root map[string]any, shape provider.Shape) {
	refresh, ok := refreshTokenOf(member(root, shape.RefreshToken, "refresh_token"))
	if !ok {
		t.Warnings = append(t.Warnings, audit.RefreshTokenUnusable)
	}
	t.RefreshToken = refresh
	expiry, ok := time.Time{}, true
	if shape.RefreshTokenExpiresIn != "" { // there is no standard member
		expiry, ok = refreshExpiry(member(root, shape.RefreshTokenExpiresIn, ""), t.RequestedAt)
	}
	if !ok {
		t.Warnings = append(t.Warnings, audit.RefreshTokenLifetimeUnusable)
	}
	t.RefreshTokenExpiresAt = expiry
	t.Subject = subjectOf(root["id_token"])
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

// refreshExpiry is when a refresh token expires; zero is unknown. Some servers
// send 0 for "never".
func refreshExpiry(value any, requestedAt time.Time) (time.Time, bool) {
	seconds, ok := secondsOf(value)
	switch {
	case value == nil, ok && seconds == 0:
		return time.Time{}, true
	case !ok || seconds < 0 || seconds > maxRefreshLifetime.Seconds():
		return time.Time{}, false
	}
	return requestedAt.Add(time.Duration(seconds) * time.Second), true
}

// subjectOf returns the sub claim of an id_token (OpenID Connect Core §2) if it is
// printable and short, else nothing. The id_token is not kept.
func subjectOf(idToken any) string {
	text, _ := idToken.(string)
	subject, _ := jwtClaim(text, "sub").(string)
	unprintable := strings.ContainsFunc(subject, func(r rune) bool { return !unicode.IsPrint(r) })
	if unprintable || utf8.RuneCountInString(subject) > maxSubject {
		return ""
	}
	return subject
}

// recoverRefreshToken looks for a new refresh token in a response that is
// otherwise unusable. The server acted on the request, so the refresh token that
// was sent may be used up, and the new one exists nowhere else. It is searched in
// the text, because another member that breaks a rule of JSON does not matter.
func (resp response) recoverRefreshToken(f *failure, r Request, s span) {
	refresh, _ := refreshTokenOf(valueAt(resp.text(), cmp.Or(r.Response.RefreshToken, "/refresh_token")))
	if refresh.IsZero() {
		return
	}
	f.RefreshToken, f.conclusive = refresh, true
	if pointer := r.Response.RefreshTokenExpiresIn; pointer != "" {
		f.RefreshTokenExpiresAt, _ = refreshExpiry(valueAt(resp.text(), pointer), s.requestedAt)
	}
}

// valueAt follows a pointer (RFC 6901) through objects whose other members may
// break rules of strictjson. It returns nil unless each name occurs exactly once.
func valueAt(text []byte, pointer string) any {
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for name := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		if text = onlyMember(text, unescape.Replace(name)); text == nil {
			return nil
		}
	}
	value, err := strictjson.Parse(text)
	if err != nil {
		return nil
	}
	return value
}

// onlyMember returns the text of the member of that name if it occurs exactly
// once, else nil.
func onlyMember(text []byte, name string) json.RawMessage {
	members, err := strictjson.Members(text)
	if err != nil {
		return nil
	}
	var found json.RawMessage
	for _, m := range members {
		if m.Name != name {
			continue
		}
		if found != nil {
			return nil
		}
		found = m.Text
	}
	return found
}

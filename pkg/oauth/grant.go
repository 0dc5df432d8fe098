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
	// maxRefreshLifetime is the longest life of a refresh token believed; what is
	// stated beyond it is most likely another unit.
	maxRefreshLifetime = 5 * 365 * 24 * time.Hour
	maxSubject         = 128 // characters
)

// readGrant reads what an answer says of the consent behind the access token.
// None of it is worth refusing that token for: what cannot be used is left out,
// with a warning.
func (t *Token) readGrant(root map[string]any, shape provider.Shape) {
	refresh, ok := refreshTokenOf(member(root, shape.RefreshToken, "refresh_token"))
	if !ok {
		t.Warnings = append(t.Warnings, audit.RefreshTokenUnusable)
	}
	t.RefreshToken = refresh
	end, ok := time.Time{}, true
	if shape.RefreshTokenExpiresIn != "" { // there is no standard member
		end, ok = refreshEnd(member(root, shape.RefreshTokenExpiresIn, ""), t.RequestedAt)
	}
	if !ok {
		t.Warnings = append(t.Warnings, audit.RefreshTokenLifetimeUnusable)
	}
	t.RefreshTokenExpiresAt = end
	t.Subject = subjectOf(root["id_token"])
}

// refreshTokenOf accepts what RFC 6749 App. A.17 allows, and not too much of it.
// None at all is the empty secret: the one in use stays (§6).
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

// refreshEnd reads the end of a refresh token. It is zero when unknown; some
// servers say 0 for "no end".
func refreshEnd(value any, requestedAt time.Time) (time.Time, bool) {
	seconds, ok := secondsOf(value)
	switch {
	case value == nil, ok && seconds == 0:
		return time.Time{}, true
	case !ok || seconds < 0 || seconds > maxRefreshLifetime.Seconds():
		return time.Time{}, false
	}
	return requestedAt.Add(time.Duration(seconds) * time.Second), true
}

// subjectOf returns the sub claim of an id_token (OpenID Connect Core §2) if
// people can read it, else nothing. The id_token is not kept.
func subjectOf(idToken any) string {
	text, _ := idToken.(string)
	subject, _ := jwtClaim(text, "sub").(string)
	unprintable := strings.ContainsFunc(subject, func(r rune) bool { return !unicode.IsPrint(r) })
	if unprintable || utf8.RuneCountInString(subject) > maxSubject {
		return ""
	}
	return subject
}

// rescue looks for a new refresh token in an answer that cannot be used. The
// server acted, so that the one that was sent may be spent; nobody would ever
// see this one again. It is looked for in the text, not in what was parsed of
// it, because a member that breaks a rule of JSON need not concern this one.
func (a answer) rescue(f *failure, r Request, s span) {
	refresh, _ := refreshTokenOf(valueAt(a.text(), cmp.Or(r.Response.RefreshToken, "/refresh_token")))
	if refresh.IsZero() {
		return
	}
	f.RefreshToken, f.conclusive = refresh, true
	if pointer := r.Response.RefreshTokenExpiresIn; pointer != "" {
		f.RefreshTokenExpiresAt, _ = refreshEnd(valueAt(a.text(), pointer), s.requestedAt)
	}
}

// valueAt follows a pointer (RFC 6901) through objects whose other members may
// break rules of strictjson. It returns nil unless each name stands there
// exactly once.
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

// onlyMember returns the text of the member of that name if there is one and
// only one, else nil.
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

package oauth

import (
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

const (
	maxAccessToken = 16 << 10 // bytes
	maxScope       = 4 << 10  // bytes
)

// ID returns the token's id.
func (t Token) ID() string { return TokenID(t.AccessToken) }

// TokenID is the first 16 hexadecimal digits of SHA-256 of an access token. It
// joins logs, audit and rejection without the token.
func TokenID(accessToken redact.Secret) string {
	return digest.Short(accessToken.Reveal())
}

// Lifetime is how long the token lives in all, counted from the instant before
// it was asked for.
func (t Token) Lifetime() time.Duration { return t.ExpiresAt.Sub(t.RequestedAt) }

// span is the time a request took.
type span struct{ requestedAt, answeredAt time.Time }

// readToken reads the token out of an answer, or why there is none. Members
// that are not asked for are ignored (RFC 6749 §5.1), among them a refresh
// token that came with client_credentials (§4.4.3).
func readToken(a answer, r Request, s span) (Token, *failure) {
	if a.status != 200 {
		return Token{}, a.about(a.refusal(r.Response))
	}
	var token Token
	root, failure := a.object()
	if failure == nil {
		failure = a.declined(root, r.Response)
	}
	if failure == nil {
		token, failure = tokenOf(root, r, s)
	}
	if failure != nil && failure.Kind == Malformed && r.spends() {
		a.rescue(failure, r, s)
	}
	return token, a.about(failure)
}

// declined finds the refusals that come with status 200: an error member, or
// the success flag of servers that have one.
func (a answer) declined(root map[string]any, shape provider.Shape) *failure {
	failure := fail(Rejected, ReasonError)
	failure.conclusive = true
	if !saysError(member(root, shape.Error, "error")) {
		if shape.Success == "" {
			return nil
		}
		success, ok := member(root, shape.Success, "").(bool)
		if !ok {
			return malformed("success")
		}
		if success {
			return nil
		}
		failure.Reason = "success"
	}
	a.explain(failure, root, shape)
	return failure
}

// saysError tells an error from the ways of saying that there is none.
func saysError(value any) bool { return value != nil && value != "" && value != false }

func tokenOf(root map[string]any, r Request, s span) (Token, *failure) {
	access, ok := member(root, r.Response.AccessToken, "access_token").(string)
	if !ok || !isAccessToken(access) {
		return Token{}, malformed("access_token")
	}
	scope, ok := scopeOf(member(root, r.Response.Scope, "scope"), r.Scope)
	if !ok || r.reveals(scope) {
		return Token{}, malformed("scope")
	}
	token := Token{
		AccessToken: redact.New(access),
		TokenType:   "Bearer",
		RequestedAt: s.requestedAt,
		Scope:       scope,
	}
	if !token.readType(member(root, r.Response.TokenType, "token_type")) {
		return Token{}, malformed("token_type")
	}
	if !token.readLifetime(member(root, r.Response.ExpiresIn, "expires_in"), r.DefaultExpiresIn) {
		return Token{}, malformed("expires_in")
	}
	if exp, ok := jwtExpiry(access); ok && exp.Before(token.ExpiresAt) {
		token.ExpiresAt = exp
	}
	if !token.ExpiresAt.After(s.answeredAt) {
		return Token{}, malformed("expires_in")
	}
	if r.spends() {
		token.readGrant(root, r.Response)
	}
	return token, nil
}

// member returns what the pointer points at, or the member of the standard
// name when there is no pointer; nil when it is absent or null.
func member(root map[string]any, pointer, standard string) any {
	if pointer == "" {
		return root[standard]
	}
	value, _ := strictjson.Lookup(root, pointer)
	return value
}

// isAccessToken accepts what can stand in an Authorization header without
// splitting it: VCHAR (RFC 6749 App. A.12, RFC 6750 §2.1), and not too much.
func isAccessToken(text string) bool {
	return len(text) <= maxAccessToken && isVisible(text)
}

// scopeOf is the server's word, or what was asked for when it is silent
// (RFC 6749 §5.1).
func scopeOf(value any, asked string) (string, bool) {
	if value == nil {
		return asked, true
	}
	scope, ok := value.(string)
	printable := !strings.ContainsFunc(scope, func(r rune) bool { return r < ' ' || r > '~' })
	return scope, ok && printable && len(scope) <= maxScope
}

// reveals reports whether a text repeats a secret of the request: callers are
// told the scope, and may know no secret.
func (r Request) reveals(text string) bool {
	for _, secret := range []redact.Secret{r.ClientSecret, r.RefreshToken, r.Code, r.CodeVerifier} {
		if hidden := secret.Reveal(); len(hidden) >= window && strings.Contains(text, hidden) {
			return true
		}
	}
	return false
}

// readType accepts bearer tokens only: any other kind must not be used without
// understanding it (RFC 6749 §7.1), and what we vend is presented as a bearer's.
func (t *Token) readType(value any) bool {
	if value == nil {
		t.Warnings = append(t.Warnings, audit.TokenTypeMissing)
		return true
	}
	text, ok := value.(string)
	return ok && strings.EqualFold(text, "Bearer")
}

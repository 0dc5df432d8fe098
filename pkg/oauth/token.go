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

// TokenID is the first 16 hexadecimal digits of SHA-256 of an access token. Logs,
// audit entries and rejections name a token by it, without the token itself.
func TokenID(accessToken redact.Secret) string { return digest.Short(accessToken.Reveal()) }

// Lifetime is the token's total lifetime, counted from the instant before it was
// requested.
func (t Token) Lifetime() time.Duration { return t.ExpiresAt.Sub(t.RequestedAt) }

// span is the time a request took.
type span struct{ requestedAt, answeredAt time.Time }

// readToken reads the token in a response, or why there is none. Other members
// are ignored (RFC 6749 §5.1), among them a refresh token that came with
// client_credentials (§4.4.3).
func readToken(resp response, r Request, s span) (Token, *failure) {
	if resp.status != 200 {
		return Token{}, resp.complete(resp.refusal(r.Response))
	}
	var token Token
	root, failure := resp.object()
	if failure == nil {
		failure = resp.refusalIn200(root, r.Response)
	}
	if failure == nil {
		token, failure = tokenOf(root, r, s)
	}
	if failure != nil && failure.Kind == Malformed && r.isOneTime() {
		resp.recoverRefreshToken(failure, r, s)
	}
	return token, resp.complete(failure)
}

// refusalIn200 finds refusals that come with status 200: an error member, or a
// false success flag for servers that send one.
func (r response) refusalIn200(root map[string]any, shape provider.Shape) *failure {
	failure := fail(Rejected, ReasonError)
	failure.conclusive = true
	if !hasError(member(root, shape.Error, "error")) {
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
	r.addDetails(failure, root, shape)
	return failure
}

// hasError distinguishes an error from the values by which servers say that
// there is none.
func hasError(value any) bool { return value != nil && value != "" && value != false }

func tokenOf(root map[string]any, r Request, s span) (Token, *failure) {
	access, ok := member(root, r.Response.AccessToken, "access_token").(string)
	if !ok || !isAccessToken(access) {
		return Token{}, malformed("access_token")
	}
	scope, ok := scopeOf(member(root, r.Response.Scope, "scope"), r.Scope)
	if !ok || r.echoesSecret(scope) {
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
	if r.isOneTime() {
		token.readGrant(root, r.Response)
	}
	return token, nil
}

// member returns the value at the pointer, or the member with the standard name
// if there is no pointer. It is nil when absent or null.
func member(root map[string]any, pointer, standard string) any {
	if pointer == "" {
		return root[standard]
	}
	value, _ := strictjson.Lookup(root, pointer)
	return value
}

// isAccessToken accepts the characters that an Authorization header can carry
// (VCHAR; RFC 6749 App. A.12, RFC 6750 §2.1), up to a maximum length.
func isAccessToken(text string) bool {
	return len(text) <= maxAccessToken && isVisible(text)
}

// scopeOf is the scope in the response, or the requested one if the response has
// none (RFC 6749 §5.1).
func scopeOf(value any, requested string) (string, bool) {
	if value == nil {
		return requested, true
	}
	scope, ok := value.(string)
	printable := !strings.ContainsFunc(scope, func(r rune) bool { return r < ' ' || r > '~' })
	return scope, ok && printable && len(scope) <= maxScope
}

// echoesSecret reports whether a text contains a secret of the request. Callers
// see the scope and must not see a secret.
func (r Request) echoesSecret(text string) bool {
	for _, secret := range []redact.Secret{r.ClientSecret, r.RefreshToken, r.Code, r.CodeVerifier} {
		if hidden := secret.Reveal(); len(hidden) >= window && strings.Contains(text, hidden) {
			return true
		}
	}
	return false
}

// readType accepts bearer tokens only. A token of another type must not be used
// without understanding the type (RFC 6749 §7.1), and callers present what they
// get as a bearer token.
func (t *Token) readType(value any) bool {
	if value == nil {
		t.Warnings = append(t.Warnings, audit.TokenTypeMissing)
		return true
	}
	text, ok := value.(string)
	return ok && strings.EqualFold(text, "Bearer")
}

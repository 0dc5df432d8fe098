package oauth

import (
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

const (
	maxAccessToken = 32 << 10 // bytes
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

// readToken reads the token in a response, or why there is none. Four things
// decide: a refusal, the access token, the refresh token and the lifetime. What is
// odd elsewhere is noted as a departure, because it makes no token unusable. Other
// members are ignored (RFC 6749 §5.1), among them a refresh token that came with
// client_credentials (§4.4.3).
func readToken(resp response, r Request, s span) (Token, *failure) {
	if !isSuccess(resp.status) {
		return Token{}, resp.complete(resp.refusal(r.Response))
	}
	root, failure := resp.object()
	a := answer{root: root, request: r, span: s, date: resp.date}
	if failure == nil {
		failure = resp.refusalIn200(root, r.Response)
	}
	if failure == nil {
		failure = a.read()
	}
	if failure != nil && failure.Kind == Malformed && r.isOneTime() {
		a.recoverRefreshToken(failure)
	}
	if failure != nil {
		return Token{}, resp.complete(failure)
	}
	slices.Sort(a.token.Departures)
	a.token.Departures = slices.Compact(a.token.Departures)
	return a.token, nil
}

// refusalIn200 finds refusals that come with a status of success: an error member,
// or a false success flag for servers that send one.
func (r response) refusalIn200(root map[string]any, shape provider.Shape) *failure {
	failure := fail(Rejected, ReasonError)
	failure.conclusive = true
	if !hasError(member(root, shape.Error, "error")) {
		if shape.Success == "" {
			return nil
		}
		value := member(root, shape.Success, "")
		success, ok := value.(bool)
		if !ok {
			return unusable("success", shape.Success, "is "+kindOf(value)+", not true or false")
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

// answer is a token response while its members are read into token.
type answer struct {
	root    map[string]any
	request Request
	span
	// date is the Date of the response; zero when it has none.
	date  time.Time
	token Token
}

func (a *answer) read() *failure {
	a.token.RequestedAt, a.token.TokenType = a.requestedAt, "Bearer"
	if failure := a.readAccessToken(); failure != nil {
		return failure
	}
	if failure := a.readType(); failure != nil {
		return failure
	}
	a.readScope()
	if a.request.isOneTime() {
		if failure := a.readGrant(); failure != nil {
			return failure
		}
	}
	return a.readLifetime()
}

// departs notes a member that departs from the specification.
func (a *answer) departs(member string) { a.token.Departures = append(a.token.Departures, member) }

// readAccessToken accepts the characters that an Authorization header can carry
// (VCHAR; RFC 6749 App. A.12, RFC 6750 §2.1), up to a maximum length.
func (a *answer) readAccessToken() *failure {
	pointer := a.request.Response.AccessToken
	value := member(a.root, pointer, "access_token")
	text, isText := value.(string)
	switch {
	case !isText:
		return unusable("access_token", pointer, "is "+kindOf(value))
	case text == "":
		return unusable("access_token", pointer, "is empty")
	case len(text) > maxAccessToken:
		return unusable("access_token", pointer, "is longer than 32 KiB")
	case !isVisible(text):
		return unusable("access_token", pointer, "has a character that a header cannot carry")
	}
	a.token.AccessToken = redact.New(text)
	return nil
}

// boundTypes are the token types, in lower case, whose tokens are of no use
// without the key or the method that goes with them (RFC 6749 §7.1).
var boundTypes = []string{"dpop", "pop", "n_a", "mac", "hmac"}

// readType serves every type that is not bound to a key as Bearer: servers send
// their own words for it.
func (a *answer) readType() *failure {
	pointer := a.request.Response.TokenType
	text, _ := member(a.root, pointer, "token_type").(string)
	switch {
	case slices.Contains(boundTypes, strings.ToLower(text)):
		return unusable("token_type", pointer, "is not Bearer: such a token is of no use without its key")
	case !strings.EqualFold(text, "Bearer"):
		a.departs("token_type")
	}
	return nil
}

// readScope reads the granted scope. It is the requested one if the response has
// none (RFC 6749 §5.1), or has one that cannot be reported to callers.
func (a *answer) readScope() {
	a.token.Scope = a.request.Scope
	value := member(a.root, a.request.Response.Scope, "scope")
	if value == nil {
		return
	}
	scope, ok := scopeOf(value)
	ok = ok && !a.request.echoesSecret(scope)
	if ok {
		a.token.Scope = scope
	}
	if _, isText := value.(string); !isText || !ok {
		a.departs("scope")
	}
}

// scopeOf is a scope as text. Some servers send a list of scope tokens.
func scopeOf(value any) (scope string, ok bool) {
	switch v := value.(type) {
	case string:
		scope = v
	case []any:
		tokens := make([]string, len(v))
		for i, one := range v {
			if tokens[i], ok = one.(string); !ok {
				return "", false
			}
		}
		scope = strings.Join(tokens, " ")
	default:
		return "", false
	}
	printable := !strings.ContainsFunc(scope, func(r rune) bool { return r < ' ' || r > '~' })
	return scope, printable && len(scope) <= maxScope
}

// echoesSecret reports whether a text contains a secret of the request. Callers
// see the text and must not see a secret.
func (r Request) echoesSecret(text string) bool {
	for _, secret := range []redact.Secret{r.ClientSecret, r.RefreshToken, r.Code, r.CodeVerifier} {
		if hidden := secret.Reveal(); len(hidden) >= window && strings.Contains(text, hidden) {
			return true
		}
	}
	return false
}

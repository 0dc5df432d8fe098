package oauth

import (
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/extra"
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

// refusalIn200 finds refusals that come with a status of success: an error member, or
// a flag for servers that send one.
func (r response) refusalIn200(root map[string]any, shape provider.Shape) *failure {
	failure := fail(Rejected, ReasonError)
	failure.conclusive = true
	isCode := shape.SuccessEquals != nil && shape.Error == shape.Success // it has a value for success too
	if isCode || !hasError(member(root, shape.Error, "error")) {
		if shape.Success == "" {
			return nil
		}
		value := member(root, shape.Success, "")
		success, ok := meansSuccess(value, shape.SuccessEquals)
		switch {
		case !ok && shape.SuccessEquals == nil:
			return unusable("success", shape.Success, "is "+kindOf(value)+", not true or false")
		case !ok:
			return unusable("success", shape.Success, "is "+kindOf(value))
		case success:
			return nil
		}
		failure.Reason = "success"
	}
	r.addDetails(failure, root, shape)
	return failure
}

// meansSuccess compares a flag with the value that means success; nil is true.
func meansSuccess(value, want any) (success, ok bool) {
	if want == nil {
		success, ok = value.(bool)
		return success, ok
	}
	text, ok := extra.Text(value)
	if !ok {
		return false, false
	}
	number, isNumber := value.(json.Number)
	if wanted, both := want.(json.Number); isNumber && both {
		a, _ := figureOf(number)
		b, _ := figureOf(wanted)
		return a == b, true
	}
	wanted, _ := extra.Text(want)
	return reflect.TypeOf(value) == reflect.TypeOf(want) && text == wanted, true
}

// hasError distinguishes an error from the values by which servers say that
// there is none.
func hasError(value any) bool {
	if number, ok := value.(json.Number); ok {
		code, _ := figureOf(number)
		return code != 0
	}
	return value != nil && value != "" && value != false
}

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
	a.readExtra()
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
	ok = ok && !a.request.EchoesSecret(scope)
	if ok {
		a.token.Scope = a.request.canonicalScope(scope)
	}
	if _, isText := value.(string); !isText || !ok {
		a.departs("scope")
	}
}

// canonicalScope writes a granted scope as the requested one is written: with spaces,
// and each token by the name under which it was requested.
func (r Request) canonicalScope(scope string) string {
	if r.ScopeSeparator == "" && len(r.ScopeAliases) == 0 {
		return scope
	}
	if r.ScopeSeparator != "" {
		scope = strings.ReplaceAll(scope, r.ScopeSeparator, " ")
	}
	requested := strings.Fields(strings.ReplaceAll(r.Scope, cmp.Or(r.ScopeSeparator, " "), " "))
	tokens := strings.Fields(scope)
	for i, token := range tokens {
		for _, name := range requested {
			if !slices.Contains(requested, token) && slices.Contains(r.ScopeAliases[name], token) {
				tokens[i] = name
			}
		}
	}
	return strings.Join(tokens, " ")
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

// readExtra reads what callers get besides the token. A value that is not one, is
// too long or repeats a secret of the request or the response is left out.
func (a *answer) readExtra() {
	shape := a.request.Response
	refresh, _ := member(a.root, shape.RefreshToken, "refresh_token").(string)
	for _, name := range slices.Sorted(maps.Keys(shape.Extra)) {
		value := member(a.root, shape.Extra[name], "")
		if value == nil {
			continue
		}
		text, _ := extra.Text(value)
		secret := a.request.EchoesSecret(text) || echoes(text, refresh)
		if secret || !a.token.Extra.Add(name, value) {
			a.departs("extra/" + name)
		}
	}
}

// EchoesSecret reports whether a text contains a secret of the client, in any
// encoding that an echo may have.
func (a Authentication) EchoesSecret(text string) bool {
	if echoes(text, a.ClientSecret.Reveal()) {
		return true
	}
	for _, value := range a.Headers {
		if echoes(text, value.Reveal()) {
			return true
		}
	}
	return false
}

// EchoesSecret is [Authentication.EchoesSecret] for all secrets of a request.
func (r Request) EchoesSecret(text string) bool {
	for _, secret := range []redact.Secret{r.RefreshToken, r.Code, r.CodeVerifier, r.Password} {
		if echoes(text, secret.Reveal()) {
			return true
		}
	}
	return r.Authentication.EchoesSecret(text)
}

// echoes reports whether a text contains a secret. A short secret must be the whole
// text: it may be a part of any word.
func echoes(text, secret string) bool {
	if secret == "" || len(secret) < window {
		return secret != "" && text == secret
	}
	return slices.ContainsFunc(encodings(secret), func(form string) bool { return strings.Contains(text, form) })
}

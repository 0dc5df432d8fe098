package connection

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrScope: a scope is malformed, or contains a token that the connection does
// not allow. The error's text names what is allowed.
var ErrScope = errors.New("scope is not allowed")

// NormalizeScope returns the tokens of a scope (RFC 6749 §3.3) sorted and without
// repetition, so that two ways to write one scope are equal. An empty scope
// stays empty; a malformed one is an ErrScope.
func NormalizeScope(scope string) (string, error) {
	if scope == "" {
		return "", nil
	}
	tokens, err := scopeTokens(scope)
	if err != nil {
		return "", fmt.Errorf("%w: it %w", ErrScope, err)
	}
	slices.Sort(tokens)
	return strings.Join(slices.Compact(tokens), " "), nil
}

// ChooseScope returns requested, normalized, if all its tokens are in allowed.
// A malformed scope or another token is an ErrScope.
func ChooseScope(allowed []string, requested string) (string, error) {
	scope, err := NormalizeScope(requested)
	if err != nil {
		return "", err
	}
	for token := range strings.SplitSeq(scope, " ") {
		if slices.Contains(allowed, token) {
			continue
		}
		if len(allowed) == 0 {
			return "", fmt.Errorf("%w: callers of this connection cannot choose a scope; omit it", ErrScope)
		}
		return "", fmt.Errorf("%w: choose from %s", ErrScope, strings.Join(allowed, " "))
	}
	return scope, nil
}

// EffectiveScope returns the scope parameter for a caller that requests a scope:
// the connection's own, exactly as declared, when requested is empty.
func (c Connection) EffectiveScope(requested string) (string, error) {
	if requested == "" {
		return c.Scope, nil
	}
	return ChooseScope(c.AllowedScopes, requested)
}

func (r *reader) scope() {
	r.c.Scope = r.server.Scope[string(r.c.GrantType)]
	if !r.has(mScope) {
		return
	}
	text, ok := r.text(mScope)
	if !ok {
		return
	}
	if _, err := scopeTokens(text); err != nil {
		r.report(mScope, "%v", err)
	}
	r.c.Scope = text
}

func (r *reader) allowedScopes() { r.c.AllowedScopes = r.texts(mAllowedScopes, checkScopeToken) }

func checkScopeToken(text string) error {
	if !isScopeToken(text) {
		return errors.New("is not one scope token: it must not contain a space, quote, backslash, control or non-ASCII character (RFC 6749 §3.3)")
	}
	return nil
}

// scopeTokens splits a scope by RFC 6749 §3.3: tokens of %x21, %x23-5B and
// %x5D-7E with one space between two. Its error continues a sentence that names
// the scope.
func scopeTokens(scope string) ([]string, error) {
	tokens := strings.Split(scope, " ")
	for _, token := range tokens {
		if token == "" {
			return nil, errors.New("is empty or has superfluous spaces; write tokens with one space between two")
		}
		if !isScopeToken(token) {
			return nil, errors.New("contains a character that is not allowed in a scope (a quote, a backslash, a control or non-ASCII character; RFC 6749 §3.3)")
		}
	}
	return tokens, nil
}

func isScopeToken(token string) bool {
	for i := range len(token) {
		if c := token[i]; c < 0x21 || c > 0x7e || c == '"' || c == '\\' {
			return false
		}
	}
	return token != ""
}

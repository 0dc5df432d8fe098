package connection

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrScope: a scope is malformed, or holds a token that the connection does not
// allow. The error's text names what is allowed.
var ErrScope = errors.New("scope is not allowed")

// NormalizeScope returns the tokens of a scope (RFC 6749 §3.3) sorted and once
// each, so that two ways to write one scope are one. An empty scope stays
// empty; a malformed one is an ErrScope.
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

// ChooseScope returns what to ask the provider for when a caller wants
// requested and may choose from allowed: requested, normalised. What is not
// allowed, or malformed, is an ErrScope.
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
			return "", fmt.Errorf("%w: this connection lets its callers choose none; leave it out", ErrScope)
		}
		return "", fmt.Errorf("%w: choose from %s", ErrScope, strings.Join(allowed, " "))
	}
	return scope, nil
}

// EffectiveScope returns the scope parameter for a caller who asks for
// requested: the connection's own, exactly as declared, when that is empty.
func (c Connection) EffectiveScope(requested string) (string, error) {
	if requested == "" {
		return c.Scope, nil
	}
	return ChooseScope(c.AllowedScopes, requested)
}

// scopeTokens splits a scope by RFC 6749 §3.3: tokens of %x21, %x23-5B and
// %x5D-7E, one space between two. The error is a predicate.
func scopeTokens(scope string) ([]string, error) {
	tokens := strings.Split(scope, " ")
	for _, token := range tokens {
		if token == "" {
			return nil, errors.New("is empty, or has a space at an end or two together; write tokens with one space between two")
		}
		if !isScopeToken(token) {
			return nil, errors.New(`has a character that scopes exclude (a quote, a backslash, a control or one outside ASCII; RFC 6749 §3.3)`)
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

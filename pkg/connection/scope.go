package connection

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/provider"
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
	if err := provider.CheckScope(scope); err != nil {
		return "", fmt.Errorf("%w: it %w", ErrScope, err)
	}
	tokens := strings.Split(scope, " ")
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
	if text, ok := r.Text(mScope); ok {
		r.c.Scope = text
	}
}

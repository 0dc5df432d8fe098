package sandbox

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// entrySuccess is a response whose members are where the entry says.
func (srv *server) entrySuccess(i issue) any {
	at, root := srv.entry.Response, map[string]any{}
	put(root, cmp.Or(at.AccessToken, "/access_token"), i.accessToken)
	if kind := cmp.Or(srv.habit.tokenType, "Bearer"); kind != "-" {
		put(root, cmp.Or(at.TokenType, "/token_type"), kind)
	}
	srv.putLifetime(root, i)
	if i.refreshToken != nil {
		put(root, cmp.Or(at.RefreshToken, "/refresh_token"), i.refreshToken)
	}
	if i.refreshTokenExpiresIn > 0 {
		put(root, at.RefreshTokenExpiresIn, i.refreshTokenExpiresIn)
	}
	if i.scope != "" {
		put(root, cmp.Or(at.Scope, "/scope"), srv.grantedScope(i.scope))
	}
	if i.user != "" {
		put(root, at.User, i.user)
	}
	for name, pointer := range at.Extra {
		put(root, pointer, "sandbox-"+name)
	}
	if at.Success != "" {
		put(root, at.Success, orTrue(at.SuccessEquals))
	}
	return root
}

// putLifetime states the lifetime where and how the entry says.
func (srv *server) putLifetime(root map[string]any, i issue) {
	at, life := srv.entry.Response, i.expiresIn
	if i.expiresIn == int64(endless/time.Second) {
		life = 0
	}
	switch {
	case srv.habit.zero:
		put(root, cmp.Or(at.ExpiresIn, "/expires_in"), 0)
	case life == 0 || srv.habit.silent:
	case at.ExpiresAt != "" && srv.habit.dated:
		put(root, at.ExpiresAt, i.expiresAt.Format(time.RFC3339))
	case at.ExpiresAt != "":
		put(root, at.ExpiresAt, i.expiresAt.Unix())
	default:
		unit := cmp.Or(at.ExpiresInUnit, time.Second)
		put(root, cmp.Or(at.ExpiresIn, "/expires_in"), int64(time.Duration(life)*time.Second/unit))
	}
}

// grantedScope is the scope by the server's own names and with its separator.
func (srv *server) grantedScope(scope string) any {
	tokens, _ := scopeTokens(scope)
	for i, token := range tokens {
		if others := srv.entry.ScopeAliases[token]; len(others) > 0 {
			tokens[i] = others[0]
		}
	}
	if srv.habit.list {
		return tokens
	}
	return strings.Join(tokens, cmp.Or(srv.entry.ScopeSeparator, " "))
}

// entryRefusal has the error where the entry says, and a status as RFC 6749 §5.2 says
// unless the server flags success in the body.
func (srv *server) entryRefusal(r refusal, _ credentials) response {
	at, root, code := srv.entry.Response, map[string]any{}, r.code
	if code == invalidGrant && len(at.Ended) > 0 {
		code = at.Ended[0]
	}
	put(root, cmp.Or(at.ErrorDescription, "/error_description"), r.description)
	_, numbered := at.SuccessEquals.(json.Number)
	if _, err := strconv.Atoi(code); err == nil && numbered {
		put(root, cmp.Or(at.Error, "/error"), json.Number(code))
	} else if at.Error == "" || at.Error != at.Success {
		put(root, cmp.Or(at.Error, "/error"), code)
	}
	if at.Success != "" {
		put(root, at.Success, unlike(at.SuccessEquals))
	}
	status := http.StatusBadRequest
	switch {
	case r.code == invalidGrant && srv.habit.ended != 0:
		status = srv.habit.ended
	case srv.habit.refused != 0:
		status = srv.habit.refused
	case at.Success != "":
		status = http.StatusOK
	case r.code == invalidClient:
		status = http.StatusUnauthorized
	}
	return jsonResponse(r.statusOr(status), root, r.code)
}

// orTrue is the value of a flag that means success.
func orTrue(equals any) any {
	if equals == nil {
		return true
	}
	return equals
}

// unlike is a value of the same kind that means failure.
func unlike(equals any) any {
	switch v := equals.(type) {
	case json.Number:
		return 36004004
	case string:
		return "not " + v
	case bool:
		return !v
	}
	return false
}

// put sets the member at a JSON Pointer (RFC 6901), and makes the objects above it. An
// empty pointer, and one where a value is already, sets nothing: two members may be at
// one place.
func put(root map[string]any, pointer string, value any) {
	if pointer == "" {
		return
	}
	names := strings.Split(pointer[1:], "/")
	for i, name := range names {
		name = strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
		below, ok := root[name].(map[string]any)
		switch {
		case i == len(names)-1:
			if _, taken := root[name]; !taken {
				root[name] = value
			}
			return
		case !ok:
			below = map[string]any{}
			root[name] = below
		}
		root = below
	}
}

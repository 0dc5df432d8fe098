package sandbox

import (
	"net/http"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
)

// cliquify follows Cliquify's page "access-token": a response nested under "token"
// with a success flag, a lifetime of thirty days, no refresh token, and no scopes.
// The page shows no error, so errors have the flag and a message, but no OAuth error
// code.
func cliquify() *server {
	return &server{
		provider:   "cliquify",
		prefix:     "/cliquify",
		tokenPath:  "/oauth/access-token",
		auth:       []provider.ClientAuth{provider.ClientSecretPost},
		grantTypes: []string{clientCredentials},
		expiresIn:  30 * 24 * time.Hour,
		jwt:        true,
		newClient:  func(e entropy) (string, string) { return e.hex(12), e.opaque(30) },
		declare:    func(d *declaration, base string) { d.TokenURL = base + "/oauth/access-token" },
		scope:      func(*client, string) (string, *refusal) { return "", nil },
		success:    cliquifySuccess,
		refuse:     cliquifyRefusal,
	}
}

func cliquifySuccess(i issue) any {
	type token struct {
		TokenType   string `json:"token_type"`
		ExpiresIn   int64  `json:"expires_in"`
		AccessToken string `json:"access_token"`
	}
	return struct {
		Success bool  `json:"success"`
		Token   token `json:"token"`
	}{true, token{"Bearer", i.expiresIn, i.accessToken}}
}

func cliquifyRefusal(r refusal, _ credentials) response {
	status := http.StatusBadRequest
	if r.code == invalidClient {
		status = http.StatusUnauthorized
	}
	return jsonResponse(r.statusOr(status), struct {
		Success bool   `json:"success"`
		Message string `json:"message"`
	}{false, r.description}, r.code)
}

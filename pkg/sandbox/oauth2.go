package sandbox

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
)

// plainOAuth2 is a server that implements RFC 6749 only. Register adds its clients;
// each uses exactly the authentication method for which it is registered (RFC 6749
// §2.3, RFC 7523 §2.2). Delegated clients always get a refresh token, whatever the
// scope, and it does not expire.
func plainOAuth2() *server {
	return &server{
		provider:   "oauth2",
		prefix:     "/oauth2",
		tokenPath:  "/token",
		grantTypes: []string{clientCredentials, authorizationCode, refreshToken},
		expiresIn:  time.Hour,
		delegation: &delegation{
			brand:          "OAuth 2.0",
			authorizePath:  "/authorize",
			revocationPath: "/revoke",
			codeLife:       10 * time.Minute, // RFC 6749 §4.1.2 recommends no more
			people:         []person{{Email: "ada@crm.example", Name: "Ada"}, {Email: "grace@crm.example", Name: "Grace"}},
			scope:          scopeAmong,
		},
		newClient: func(e entropy) (string, string) { return "client " + e.opaque(9), e.specialSecret() },
		declare:   func(d *declaration, base string) { d.TokenURL = base + "/token" },
		scope:     scopeAmong,
		success: func(i issue) any {
			return struct {
				AccessToken           string          `json:"access_token"`
				TokenType             string          `json:"token_type"`
				ExpiresIn             int64           `json:"expires_in"`
				RefreshToken          json.RawMessage `json:"refresh_token,omitempty"`
				RefreshTokenExpiresIn int64           `json:"refresh_token_expires_in,omitempty"`
				Scope                 string          `json:"scope,omitempty"`
				IDToken               string          `json:"id_token,omitempty"`
			}{i.accessToken, "Bearer", i.expiresIn, i.refreshToken, i.refreshTokenExpiresIn, i.scope, i.idToken}
		},
		refuse: plainRefusal,
	}
}

// plainRefusal follows RFC 6749 §5.2, with the challenge that it requires when the
// client used the Authorization header.
func plainRefusal(r refusal, from credentials) response {
	status := http.StatusBadRequest
	if r.code == invalidClient {
		status = http.StatusUnauthorized
	}
	resp := jsonResponse(r.statusOr(status), struct {
		Error            string `json:"error"`
		ErrorDescription string `json:"error_description,omitempty"`
	}{r.code, r.description}, r.code)
	if r.code == invalidClient && from.method == provider.ClientSecretBasic {
		resp.header.Set("WWW-Authenticate", `Basic realm="sandbox"`)
	}
	return resp
}

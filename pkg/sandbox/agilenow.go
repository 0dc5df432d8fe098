package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
)

// agileNow follows Agile.Now's "Client Credentials Grant": a path with capital
// letters, the secret in the form or as Basic, a lifetime of one hour minus one
// second, an unrequested refresh token that no grant type accepts, and errors
// without an error code.
func agileNow() *server {
	return &server{
		provider:     "agile-now",
		prefix:       "/agile-now",
		tokenPath:    "/oAuth/rest/v2/Token",
		auth:         []provider.ClientAuth{provider.ClientSecretPost, provider.ClientSecretBasic},
		grantTypes:   []string{clientCredentials},
		expiresIn:    3599 * time.Second,
		jwt:          true,
		refreshToken: true,
		newClient:    func(e entropy) (string, string) { return e.uuid(), e.specialSecret() },
		declare:      func(d *declaration, base string) { d.BaseURL = base },
		scope:        agileNowScope,
		success: func(i issue) any {
			return struct {
				TokenType    string          `json:"token_type"`
				ExpiresIn    int64           `json:"expires_in"`
				AccessToken  string          `json:"access_token"`
				RefreshToken json.RawMessage `json:"refresh_token"`
			}{"Bearer", i.expiresIn, i.accessToken, i.refreshToken}
		},
		refuse: agileNowRefusal,
	}
}

// agileNowScopes are the scopes of the registered client; "*" requests all of them.
func agileNowScopes() []string {
	return []string{"openid", "profile", "name", "email", "orders.read", "orders.write"}
}

func agileNowScope(c *client, requested string) (string, *refusal) {
	switch requested {
	case "":
		return "openid profile name", nil
	case "*":
		return strings.Join(c.scopes, " "), nil
	}
	return scopeAmong(c, requested)
}

// agileNowRefusal repeats the description in an array, as the document shows. The
// document does not name the array; this name is invented.
func agileNowRefusal(r refusal, _ credentials) response {
	text := r.description
	if r.code == invalidClient {
		text = "Client authentication failed."
	}
	return jsonResponse(r.statusOr(http.StatusBadRequest), struct {
		ErrorDescription string   `json:"error_description"`
		Messages         []string `json:"messages"`
	}{text, []string{text}}, r.code)
}

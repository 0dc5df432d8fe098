package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
)

// agileNow is the server of Agile.Now's "Client Credentials Grant": a path
// with capitals, the secret in the form or as Basic, a lifetime one second
// short of an hour, a refresh token that nobody asked for and that no grant
// type accepts, and errors without an error code.
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
		newClient:    func(e entropy) (string, string) { return e.uuid(), e.awkward() },
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

// agileNowScopes is what a client of ours may have there; "*" means all of it.
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

// agileNowRefusal repeats the description in a list, as the document shows;
// the name of the list did not survive there, so this one is ours.
func agileNowRefusal(r refusal, _ credentials) answer {
	text := r.description
	if r.code == invalidClient {
		text = "Client authentication failed."
	}
	return jsonAnswer(r.statusOr(http.StatusBadRequest), struct {
		ErrorDescription string   `json:"error_description"`
		Messages         []string `json:"messages"`
	}{text, []string{text}}, r.code)
}

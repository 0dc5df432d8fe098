package sandbox

import (
	"net/http"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
)

// creativeForce is the server of "Getting started with Client Credentials Flow
// for Creative Force Gateway API": the secret in the form and nowhere else,
// the scope cfgateway, an hour, and tokens that die when a new secret is
// generated or the on-behalf user changes. Its error answers are those of the
// IdentityServer product behind /connect/token: 400 for invalid_client too.
func creativeForce() *server {
	return &server{
		provider:       "creative-force",
		prefix:         "/creative-force",
		tokenPath:      "/connect/token",
		auth:           []provider.ClientAuth{provider.ClientSecretPost},
		grantTypes:     []string{clientCredentials},
		expiresIn:      time.Hour,
		diesWithSecret: true,
		newClient:      func(e entropy) (string, string) { return e.uuid(), e.hex(32) },
		declare: func(d *declaration, base string) {
			d.TokenURL = base + "/connect/token"
			if d.GrantType == authorizationCode {
				d.AuthorizationURL = base + "/connect/authorize"
			}
		},
		scope: creativeForceScope,
		success: func(i issue) any {
			return struct {
				AccessToken string `json:"access_token"`
				ExpiresIn   int64  `json:"expires_in"`
				TokenType   string `json:"token_type"`
				Scope       string `json:"scope"`
			}{i.accessToken, i.expiresIn, "Bearer", i.scope}
		},
		refuse: func(r refusal, _ credentials) answer {
			return jsonAnswer(r.statusOr(http.StatusBadRequest), struct {
				Error string `json:"error"`
			}{r.code}, r.code)
		},
	}
}

// creativeForceScope: the document lists scope=cfgateway among the parameters
// and gives no default.
func creativeForceScope(_ *client, requested string) (string, *refusal) {
	if requested != "cfgateway" {
		return "", &refusal{code: invalidScope}
	}
	return requested, nil
}

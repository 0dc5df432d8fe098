package sandbox

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
)

// creativeForce follows two documents. "Getting started with Client Credentials Flow
// for Creative Force Gateway API": the secret in the form only, the scope cfgateway,
// a lifetime of one hour, and tokens that are revoked when a new secret is generated
// or the on-behalf user changes. For the document on the authorization code grant
// see creativeForceUsers. Error responses and undocumented paths are those of
// IdentityServer, the product behind /connect/token: 400 for invalid_client too.
func creativeForce() *server {
	return &server{
		provider:              "creative-force",
		prefix:                "/creative-force",
		tokenPath:             "/connect/token",
		auth:                  []provider.ClientAuth{provider.ClientSecretPost},
		grantTypes:            []string{clientCredentials, authorizationCode, refreshToken},
		expiresIn:             time.Hour,
		rotationRevokesTokens: true,
		delegation:            creativeForceUsers(),
		newClient:             func(e entropy) (string, string) { return e.uuid(), e.hex(32) },
		declare: func(d *declaration, base string) {
			d.TokenURL = base + "/connect/token"
		},
		scope: creativeForceScope,
		success: func(i issue) any {
			return struct {
				AccessToken           string          `json:"access_token"`
				ExpiresIn             int64           `json:"expires_in"`
				TokenType             string          `json:"token_type"`
				RefreshToken          json.RawMessage `json:"refresh_token,omitempty"`
				RefreshTokenExpiresIn int64           `json:"refresh_token_expires_in,omitempty"`
				Scope                 string          `json:"scope"`
			}{i.accessToken, i.expiresIn, "Bearer", i.refreshToken, i.refreshTokenExpiresIn, i.scope}
		},
		refuse: func(r refusal, _ credentials) response {
			return jsonResponse(r.statusOr(http.StatusBadRequest), struct {
				Error string `json:"error"`
			}{r.code}, r.code)
		},
	}
}

// creativeForceScope: the document has the parameter scope=cfgateway, and no default.
func creativeForceScope(_ *client, requested string) (string, *refusal) {
	if requested != "cfgateway" {
		return "", &refusal{code: invalidScope}
	}
	return requested, nil
}

// creativeForceUsers follows the document on the authorization code grant: codes
// valid for 30 minutes, refresh tokens for 30 days, a redirect URI not on localhost,
// the scope in the redirect, a refresh with the same scope, and users with Developer
// API permissions. For a refresh the document shows no new refresh token and uses
// "the refresh_token from step 3": it does not rotate.
func creativeForceUsers() *delegation {
	return &delegation{
		brand:            "Creative Force",
		authorizePath:    "/connect/authorize",
		revocationPath:   "/connect/revocation",
		codeLife:         30 * time.Minute,
		refreshLife:      30 * 24 * time.Hour,
		offlineScope:     "offline_access",
		sameScope:        true,
		scopeInRedirect:  true,
		refusesLocalhost: true,
		people: []person{
			{Email: "ada@studio.example", Name: "Ada, production manager"},
			{Email: "grace@studio.example", Name: "Grace, integrations"},
			{Email: "freelancer@studio.example", Name: "Freelance photographer", ineligible: "This user lacks the Developer API permissions. An administrator can grant them in the user's role."},
		},
		scope: creativeForceConsentScope,
	}
}

// creativeForceConsentScope: "cfgateway is Required to access the Creative Force
// Gateway API"; the only other scope is offline_access.
func creativeForceConsentScope(_ *client, requested string) (string, *refusal) {
	asked, ok := scopeTokens(requested)
	known := !slices.ContainsFunc(asked, func(t string) bool { return t != "cfgateway" && t != "offline_access" })
	if !ok || !known || !slices.Contains(asked, "cfgateway") {
		return "", &refusal{code: invalidScope, description: "Request cfgateway, and offline_access for a refresh token."}
	}
	return requested, nil
}

package sandbox

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
)

// The grant types (RFC 6749 §4.1.3, §4.4.2, §6).
const (
	clientCredentials = "client_credentials"
	authorizationCode = "authorization_code"
	refreshToken      = "refresh_token"
)

// The error codes of a token endpoint (RFC 6749 §5.2). The counters use them also
// for servers that do not send them.
const (
	invalidRequest       = "invalid_request"
	invalidClient        = "invalid_client"
	invalidScope         = "invalid_scope"
	unauthorizedClient   = "unauthorized_client"
	unsupportedGrantType = "unsupported_grant_type"
	invalidGrant         = "invalid_grant"
)

// server is one authorization server: what differs between the providers, as data
// if possible and as functions otherwise.
type server struct {
	// provider is its name in the catalogue; prefix begins its paths.
	provider, prefix string
	// tokenPath is the documented path of the token endpoint.
	tokenPath string
	// auth are the documented authentication methods; empty: each client has its own.
	auth []provider.ClientAuth
	// grantTypes are those that the token endpoint supports.
	grantTypes []string
	// expiresIn is the documented lifetime of an access token.
	expiresIn time.Duration
	// jwt: access tokens look like JSON Web Tokens; otherwise they are opaque.
	jwt bool
	// refreshToken: even client_credentials returns a refresh token.
	refreshToken bool
	// rotationRevokesTokens: a new secret revokes all access tokens.
	rotationRevokesTokens bool
	// delegation is its support for users; nil for none.
	delegation *delegation

	// entry is what the catalogue declares; nil for the servers that are written by hand.
	// habit is what it does not say.
	entry *provider.Provider
	habit habit
	// The endpoints of an entry. revokeAt is empty if it has none.
	token, refreshAt, authorizeAt, revokeAt endpointAt

	// newClient makes an id and a secret in the format of the provider.
	newClient func(e entropy) (id, secret string)
	// declare adds the addresses of this server to a client's connection file.
	declare func(d *declaration, base string)
	// scope returns the granted scope for a requested one ("" is none).
	scope func(c *client, requested string) (string, *refusal)
	// success and refuse make its responses.
	success func(i issue) any
	refuse  func(r refusal, from credentials) response
}

// issue is a new token that is sent to a client.
type issue struct {
	accessToken, scope string
	// user is on whose behalf it was minted; empty for none.
	user      string
	expiresAt time.Time
	expiresIn int64 // seconds
	// refreshToken is the JSON of the member, because a server may also send null or
	// an empty string; nil omits it.
	refreshToken json.RawMessage
	// refreshTokenExpiresIn is in seconds; zero omits it.
	refreshTokenExpiresIn int64
	// idToken names the user who consented; empty omits it.
	idToken string
}

// asJSON is a JSON string.
func asJSON(text string) json.RawMessage { return json.RawMessage(strconv.Quote(text)) }

// refusal is why a token request fails.
type refusal struct {
	code, description string
	// status replaces the server's; zero does not.
	status int
}

// response is a complete response, made before a byte of it is sent, so that a fault
// can truncate or replace it.
type response struct {
	status  int
	header  http.Header
	body    []byte
	outcome string // its name in the counters
}

// jsonResponse is a response of a token endpoint (RFC 6749 §5.1: never cached).
func jsonResponse(status int, body any, outcome string) response {
	text, err := json.Marshal(body)
	if err != nil {
		panic("sandbox: unmarshalable response: " + err.Error())
	}
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("Pragma", "no-cache")
	return response{status: status, header: header, body: text, outcome: outcome}
}

func (resp response) write(w http.ResponseWriter) {
	for name, values := range resp.header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.status)
	_, _ = w.Write(resp.body) // a client that has left needs no response
}

// statusOr is the refusal's status if it has one, else the server's.
func (r refusal) statusOr(status int) int { return cmp.Or(r.status, status) }

// scopeTokens splits a scope parameter (RFC 6749 §3.3); ok is false when it
// breaks the grammar's spacing.
func scopeTokens(scope string) (tokens []string, ok bool) {
	tokens = strings.Split(scope, " ")
	return tokens, !slices.Contains(tokens, "")
}

// scopeAmong grants the requested scope if the client is registered for all of it.
// Without a requested scope it grants everything that the client is registered for.
func scopeAmong(c *client, requested string) (string, *refusal) {
	if requested == "" {
		return strings.Join(c.scopes, " "), nil
	}
	tokens, ok := scopeTokens(requested)
	if !ok {
		return "", &refusal{code: invalidScope, description: "The scope is malformed."}
	}
	for _, t := range tokens {
		if !slices.Contains(c.scopes, t) {
			return "", &refusal{code: invalidScope, description: "The client is not registered for that scope."}
		}
	}
	return requested, nil
}

// Package provider is the catalogue of authorization servers: their endpoints
// and peculiarities, as data.
//
// One embedded JSON file under catalogue/ is one provider; one file of the same
// name under vectors/ is its documented request and response, which a test
// replays through the real token-endpoint client. Code appears only where
// behaviour differs, and so far none does.
package provider

import "time"

// ClientAuth is how a client authenticates at the token endpoint (RFC 6749
// §2.3, RFC 7523). It is stated, never probed: a probe doubles failing calls
// and can lock the client.
type ClientAuth string

// The client authentication methods.
const (
	ClientSecretPost     ClientAuth = "client_secret_post"
	ClientSecretBasic    ClientAuth = "client_secret_basic"     // RFC 6749 §2.3.1: id and secret form-encoded first
	ClientSecretBasicRaw ClientAuth = "client_secret_basic_raw" // for servers that do not decode
	PrivateKeyJWT        ClientAuth = "private_key_jwt"
	NoClientAuth         ClientAuth = "none"
)

// Shape says where the members of a token response stand, as JSON Pointers
// (RFC 6901). An empty pointer means the RFC 6749 place, except Success, where
// empty means that the server sends no such flag.
type Shape struct {
	AccessToken           string `json:"access_token,omitempty"`
	TokenType             string `json:"token_type,omitempty"`
	ExpiresIn             string `json:"expires_in,omitempty"`
	RefreshToken          string `json:"refresh_token,omitempty"`
	RefreshTokenExpiresIn string `json:"refresh_token_expires_in,omitempty"`
	Scope                 string `json:"scope,omitempty"`
	Success               string `json:"success,omitempty"`
	Error                 string `json:"error,omitempty"`
	ErrorDescription      string `json:"error_description,omitempty"`
}

// Provider is one entry of the catalogue. What it leaves empty a connection
// must state, or RFC 6749's default holds.
type Provider struct {
	Name string
	// TokenPath, when set, is appended to the connection's base_url byte for
	// byte: a provider with a tenant host.
	TokenPath string
	// TokenURL and AuthorizationURL are absolute.
	TokenURL, AuthorizationURL string
	// ClientAuth is the method the provider's documents use.
	ClientAuth ClientAuth
	// Scope is the default scope parameter by grant type; absent means not sent.
	Scope map[string]string
	// Response is where the members stand in this provider's answers.
	Response Shape
	// DefaultExpiresIn is assumed when the server states no lifetime; zero
	// leaves the service's own default.
	DefaultExpiresIn time.Duration
	// RefreshTokenExpiresIn is the documented life of a refresh token; zero is unknown.
	RefreshTokenExpiresIn time.Duration
	// RepeatScope: the requests for a code's and for a refresh token's access
	// token repeat the scope that was consented to. RFC 6749 §4.1.3 has no scope
	// there and §6 needs none, so that other servers are not sent one.
	RepeatScope bool
	// NewTokenRevokesOld: each new access token ends the one before, so that
	// renewing ahead would pull the token from under its users.
	NewTokenRevokesOld bool
}

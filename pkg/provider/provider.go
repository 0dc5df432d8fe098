// Package provider is the catalogue of authorization servers: their endpoints
// and where they differ from RFC 6749, as data.
//
// One embedded JSON file under catalogue/ is one provider. The file of the same
// name under vectors/ holds its documented request and response, which a test
// replays through the token-endpoint client. Code is added only where behaviour
// differs, and so far none does.
//
// The types that oauth and connection share are here too, because connection
// must not depend on an HTTP client.
package provider

import "time"

// Shape gives the location of each member of a token response as a JSON Pointer
// (RFC 6901). An empty pointer is the location that RFC 6749 defines. Success is
// the exception: empty means that the server sends no such flag.
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

// Provider is one entry of the catalogue. For a field that is empty the
// connection must state a value, or the default of RFC 6749 applies.
type Provider struct {
	Name string
	// TokenPath, when set, is appended to the connection's base_url byte for
	// byte, for a provider with one host per tenant.
	TokenPath string
	// TokenURL and AuthorizationURL are absolute.
	TokenURL, AuthorizationURL string
	// ClientAuth is the method in the provider's documentation.
	ClientAuth ClientAuth
	// Scope is the default scope parameter by grant type; absent means not sent.
	Scope map[string]string
	// Response is where this provider's responses have their members.
	Response Shape
	// DefaultExpiresIn is the lifetime of a token when a response states none;
	// zero is the service's default.
	DefaultExpiresIn time.Duration
	// RefreshTokenExpiresIn is the documented lifetime of a refresh token; zero is unknown.
	RefreshTokenExpiresIn time.Duration
	// RepeatScope: token requests with a code or a refresh token repeat the
	// scope that was consented to. RFC 6749 §4.1.3 has no scope there and §6
	// needs none, so other servers are not sent one.
	RepeatScope bool
	// NewTokenRevokesOld: each new access token revokes the one before. Renewal
	// ahead of expiry would then revoke a token that callers still use.
	NewTokenRevokesOld bool
}

// Package oauth is a strict OAuth 2.0 client: for the token and revocation
// endpoints (RFC 6749, 7009, 7523), and for the two addresses that a browser
// carries between us and the authorization endpoint (RFC 6749 §4.1, 7636, 9207).
//
// It is ours because it is what the service exists for. It never follows a
// redirect, never repeats a request whose effect is unknown, reads a bounded
// answer, believes nothing that RFC 6749 does not let it believe, and lets no
// byte of an answer reach an error message unscrubbed. It is not an HTTP
// library: what it does not need, it does not offer.
package oauth

import (
	"crypto"
	"net/url"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// Authentication is the client and how it proves itself.
type Authentication struct {
	Method       provider.ClientAuth
	ClientID     string
	ClientSecret redact.Secret
	// PrivateKey and KeyID sign the assertion of private_key_jwt (RFC 7523).
	PrivateKey crypto.Signer
	KeyID      string
	// Audience of the assertion; empty means the endpoint's URL.
	Audience string
}

// Request is one token request.
type Request struct {
	TokenURL string
	Authentication
	// GrantType is the grant_type parameter: client_credentials, authorization_code
	// or refresh_token.
	GrantType string
	// Code, RedirectURI and CodeVerifier go with authorization_code (RFC 6749
	// §4.1.3, RFC 7636 §4.5); an empty verifier is not sent.
	Code         redact.Secret
	RedirectURI  string
	CodeVerifier redact.Secret
	// RefreshToken goes with refresh_token (RFC 6749 §6).
	RefreshToken redact.Secret
	// Scope is sent as it is; empty means that the parameter is omitted.
	Scope string
	// Params are extra parameters; several values of one name are sent in order.
	Params url.Values
	// Response says where the answer's members stand.
	Response provider.Shape
	// DefaultExpiresIn is the lifetime assumed when the server states none; zero means 300 s.
	DefaultExpiresIn time.Duration
}

// Token is a validated answer of a token endpoint.
type Token struct {
	AccessToken redact.Secret
	// TokenType is always "Bearer".
	TokenType string
	// RequestedAt is the wall-clock instant before the request was sent; the
	// lifetime counts from it. Both are UTC without a monotonic reading.
	RequestedAt, ExpiresAt time.Time
	// ExpiresInAssumed is true when the server stated no lifetime.
	ExpiresInAssumed bool
	// Scope is what was granted: the server's word, or what was asked for when it is silent (RFC 6749 §5.1).
	Scope string
	// RefreshToken is the one that came along; empty when none did, and always
	// with client_credentials (RFC 6749 §4.4.3).
	RefreshToken redact.Secret
	// RefreshTokenExpiresAt is its end where the server states one, else zero.
	RefreshTokenExpiresAt time.Time
	// Subject is who consented, by the word of the id_token that came along. It is
	// for people to read, unverified, and decides nothing.
	Subject string
	// Warnings are deviations from the specification that were tolerated.
	Warnings []audit.Warning
	Trace    Trace
}

// Trace is what a request cost, for the audit entry.
type Trace struct {
	// Calls is how many requests reached for the endpoint.
	Calls int
	// Latency is the whole time spent, pauses included.
	Latency time.Duration
	// Status is the HTTP status of the last answer; zero when there was none.
	Status int
}

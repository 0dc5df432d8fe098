// Package oauth is a strict OAuth 2.0 client for the token and revocation
// endpoints (RFC 6749, 7009, 7523). It also builds authorization requests and
// parses authorization responses, which a browser carries (RFC 6749 §4.1, 7636,
// 9207).
//
// It does not use an existing library because its rules are the purpose of the
// service: it never follows a redirect, never repeats a request whose effect is
// unknown, reads responses of bounded size, accepts only what RFC 6749 allows,
// and lets no byte of a response into an error message without scrubbing it. It
// is not a general HTTP client.
package oauth

import (
	"crypto"
	"crypto/x509"
	"net/url"
	"time"

	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// Authentication is the client's identity and credentials.
type Authentication struct {
	Method       provider.ClientAuth
	ClientID     string
	ClientSecret redact.Secret
	// Headers are secret headers of every request, by canonical name.
	Headers map[string]redact.Secret
	// PrivateKey and KeyID sign assertions (RFC 7523).
	PrivateKey crypto.Signer
	KeyID      string
	// Certificate is that of the key; nil means that assertions do not name it.
	Certificate *x509.Certificate
	// Algorithm is the JWS algorithm for an RSA key; empty is RS256. Other keys decide
	// themselves.
	Algorithm string
	// Assertion is what the client's assertion says.
	Assertion Assertion
}

// Assertion is what an assertion says (RFC 7523 §3) besides its defaults.
type Assertion struct {
	// Issuer and Subject are empty for the client id.
	Issuer, Subject string
	// Audience is empty for the endpoint's URL. One is sent as a string unless
	// AudienceArray is set: with an array, one server could use it at another.
	Audience      []string
	AudienceArray bool
	// Claims are further claims, as decoded by strictjson.
	Claims map[string]any
	// Lifetime is zero for 60 seconds.
	Lifetime time.Duration
}

// Request is one token request.
type Request struct {
	TokenURL string
	Authentication
	// GrantType is client_credentials, authorization_code, refresh_token, jwt_bearer
	// (RFC 7523 §2.1) or password (RFC 6749 §4.3).
	GrantType string
	// Grant is the assertion of jwt_bearer.
	Grant Assertion
	// Username and Password are for password.
	Username string
	Password redact.Secret
	// Code, RedirectURI and CodeVerifier are for authorization_code (RFC 6749
	// §4.1.3, RFC 7636 §4.5); an empty verifier is not sent.
	Code         redact.Secret
	RedirectURI  string
	CodeVerifier redact.Secret
	// RefreshToken is for refresh_token (RFC 6749 §6).
	RefreshToken redact.Secret
	// Scope is sent unchanged, but with ScopeSeparator for each space; empty means that
	// the parameter is omitted. An empty ScopeSeparator is a space.
	Scope, ScopeSeparator string
	// ScopeAliases are, by scope token, other names under which it is granted.
	ScopeAliases map[string][]string
	// Shape is how the request differs from RFC 6749.
	Shape provider.RequestShape
	// Params are extra parameters; several values of one name are sent in order.
	Params url.Values
	// Response is where the response has its members.
	Response provider.Shape
	// DefaultExpiresIn is the lifetime when the response states none; zero means 300 s.
	DefaultExpiresIn time.Duration
	// NeverExpires: the token does not end when the response states no lifetime.
	NeverExpires bool
	// Timeout is the time for all attempts; zero means [Config.Budget].
	Timeout time.Duration
}

// Token is a validated response of a token endpoint.
type Token struct {
	AccessToken redact.Secret
	// TokenType is always "Bearer".
	TokenType string
	// RequestedAt is the wall-clock instant before the request was sent; the
	// lifetime counts from it. Both are UTC without a monotonic reading.
	// ExpiresAt is zero for a token that does not end.
	RequestedAt, ExpiresAt time.Time
	// ExpiresInAssumed is true when the response stated no lifetime.
	ExpiresInAssumed bool
	// Scope is the granted scope: the one in the response, or the requested one if
	// the response has none (RFC 6749 §5.1).
	Scope string
	// RefreshToken is the refresh token in the response. It is empty when there was
	// none, and always with client_credentials (RFC 6749 §4.4.3).
	RefreshToken redact.Secret
	// RefreshTokenExpiresAt is when it expires if the response says so, else zero.
	RefreshTokenExpiresAt time.Time
	// Subject is who consented: the declared member, or the sub claim of the id_token,
	// which is not verified. No access depends on it.
	Subject string
	// Extra is what callers get besides the token.
	Extra extra.Values
	// Departures are the members of the response, sorted, that depart from the
	// specification and were tolerated.
	Departures []string
	Trace      Trace
}

// Trace is what a request took, for the audit entry.
type Trace struct {
	// Calls is the number of HTTP requests that were attempted.
	Calls int
	// Latency is the total time, pauses included.
	Latency time.Duration
	// Status is the HTTP status of the last response; zero when there was none.
	Status int
}

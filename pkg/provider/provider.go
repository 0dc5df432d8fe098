// Package provider is the catalogue of authorization servers: their endpoints
// and where they differ from RFC 6749, as data.
//
// One embedded JSON file under catalogue/ is one provider. The file of the same
// name under vectors/ holds its documented request and response, which a test
// replays through the token-endpoint client. Code is added only where behaviour
// differs, and so far none does.
//
// The types that oauth and connection share are here too, because connection
// must not depend on an HTTP client. The zero value of each is a server that
// follows RFC 6749.
package provider

import "time"

// Provider is one authorization server: an entry of the catalogue, or an object
// that a connection declares. For a field that is empty the connection must state
// a value, or the default of RFC 6749 applies.
type Provider struct {
	// Name is the catalogue's name; of a declared object it is [Inline].
	Name string
	// Title is the name that a person knows. Documentation are the vendor's pages.
	Title         string
	Documentation []string
	// Verified is the date (2006-01-02) on which every member was last compared
	// with the vendor's pages; empty is never.
	Verified string
	// Note is what an operator should know of the provider.
	Note string
	// Variables are the names that stand in braces in the other members. Resolve
	// replaces them.
	Variables map[string]Variable

	// TokenPath, when set, is appended to the connection's base_url byte for
	// byte, for a provider with one host per tenant.
	TokenPath string
	// TokenURL, AuthorizationURL and RevocationURL are absolute. RefreshURL is
	// where refresh tokens are sent; empty is TokenURL. An authorization URL may
	// have a query and a fragment.
	TokenURL, RefreshURL, AuthorizationURL, RevocationURL string
	Issuer                                                string

	// GrantTypes are the grants that the server offers. Nil is client_credentials
	// and authorization_code; an empty list is none: the vendor issues API keys only.
	GrantTypes []string
	// ClientAuth is the method in the provider's documentation.
	ClientAuth ClientAuth
	// Scope is the default scope parameter by grant type; absent means not sent.
	Scope map[string]string
	// ScopeSeparator is between two scope tokens on the wire; empty is a space.
	ScopeSeparator string
	// ScopeAliases are, by scope token, the other names under which the server
	// reports it as granted.
	ScopeAliases map[string][]string

	Request RequestShape
	// TokenParams are extra parameters of a request with a code, with client
	// credentials, with an assertion or with a password; RefreshParams of one with a
	// refresh token; AuthorizationParams of the authorization request.
	TokenParams, RefreshParams, AuthorizationParams Params
	Response                                        Shape
	Callback                                        Callback

	// DefaultExpiresIn is the lifetime of a token when a response states none;
	// zero is the service's default.
	DefaultExpiresIn time.Duration
	// NeverExpires: a token for which the response states no lifetime does not end
	// (default_expires_in is "never").
	NeverExpires bool
	RefreshToken RefreshToken
	// NoEarlyRefresh: the server refuses a new token, or repeats the old one,
	// before that expires (early_refresh is false).
	NoEarlyRefresh bool
	// NoPKCE: the server refuses PKCE (RFC 7636), or accepts no client secret beside it
	// (pkce is false).
	NoPKCE bool
	// NewTokenRevokesOld: each new access token revokes the one before. Renewal
	// ahead of expiry would then revoke a token that callers still use.
	NewTokenRevokesOld bool
	// RevocationEndsGrant: revoking any token of a user and client revokes all of
	// them.
	RevocationEndsGrant bool
	Present             Present
	// MaxRenewalGroups bounds the groups in which the connection's tokens are renewed
	// at once; zero is the service's default.
	MaxRenewalGroups int
}

// Inline is the name of a provider that a connection declares as an object. No
// entry of the catalogue has it.
const Inline = "inline"

// Variable is one name that a connection gives a value for.
type Variable struct {
	// Pattern is an RE2 pattern that must match the whole value; empty is any.
	Pattern string
	// About tells the operator what to write.
	About string
	// Default is the value when the connection gives none; empty is none.
	Default string
	// Values is the closed list of values; empty is any.
	Values []string
	// Host: the value is a whole host name.
	Host bool
}

// Params are extra parameters by name; several values of one name are sent in
// order.
type Params = map[string][]string

// Body is how the parameters of a token request are encoded.
type Body string

// The encodings. The empty Body is BodyForm.
const (
	BodyForm  Body = "form"  // RFC 6749
	BodyJSON  Body = "json"  // one JSON object of strings
	BodyQuery Body = "query" // a GET with the parameters in its query
)

// RequestShape is how token requests differ from RFC 6749.
type RequestShape struct {
	Body Body
	// Headers are fixed ones by canonical name. In a value, {uuid} stands for a UUID
	// that is new for each request.
	Headers map[string]string
	// Names are other names of parameters, by the name in RFC 6749.
	Names map[string]string
	// GrantType are other values of grant_type, by the value in RFC 6749:
	// client_credentials, authorization_code, refresh_token, password, or jwt_bearer
	// for urn:ietf:params:oauth:grant-type:jwt-bearer.
	GrantType map[string]string
	// RepeatScope: token requests with a code or a refresh token repeat the
	// scope that was consented to. RFC 6749 §4.1.3 has no scope there and §6
	// needs none, so other servers are not sent one.
	RepeatScope bool
}

// Shape gives the location of each member of a token response as a JSON Pointer
// (RFC 6901). An empty pointer is the location that RFC 6749 defines; members
// that it does not define are then not read.
type Shape struct {
	AccessToken, TokenType, ExpiresIn   string
	RefreshToken, RefreshTokenExpiresIn string
	Scope, Error, ErrorDescription      string
	// ExpiresAt is the instant of the end: epoch seconds or milliseconds, or RFC 3339.
	ExpiresAt string
	// ExpiresInUnit is the declared unit of expires_in: a second, a millisecond or a
	// minute. Zero is none declared.
	ExpiresInUnit time.Duration
	// Success is a flag. SuccessEquals is the value that means success: a string, a
	// json.Number or a bool; nil accepts what reads as true.
	Success       string
	SuccessEquals any
	// Ended are error codes that mean that the grant has ended, besides
	// invalid_grant. A number is in decimal.
	Ended []string
	// User is who consented.
	User string
	// Extra are, by name, further values that callers get.
	Extra map[string]string
}

// Callback is how the authorization response differs from RFC 6749 §4.1.2.
type Callback struct {
	// Code is the name of the parameter with the code; empty is "code".
	Code string
	// Extra are, by name, the parameters whose values callers get.
	Extra map[string]string
}

// Rotation is what the use of a refresh token does to it.
type Rotation string

// The kinds of rotation. The empty Rotation is unknown and treated as strict.
const (
	RotationKept      Rotation = "kept"       // it stays valid
	RotationGrace     Rotation = "grace"      // it stays valid for RefreshToken.Grace
	RotationUntilUsed Rotation = "until_used" // it stays valid until its successor is used
	RotationStrict    Rotation = "strict"     // it ends
)

// RefreshToken is what the documentation says about refresh tokens. A duration of
// zero is unknown.
type RefreshToken struct {
	// ExpiresIn is the lifetime from its issue, IdleExpiresIn from its last use.
	ExpiresIn, IdleExpiresIn time.Duration
	Rotation                 Rotation
	// Grace is how long a used one is still accepted; RotationGrace only.
	Grace time.Duration
}

// Present is how a caller puts the token into a request: Header with the value
// Prefix and the token. The zero Present is Authorization and "Bearer ".
type Present struct {
	Header, Prefix string
}

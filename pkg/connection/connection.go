// Package connection parses what an operator declares: one client registration
// at a provider, its name, its scopes, and which callers may use it.
//
// A declaration is untrusted input. It is read strictly and completely, and each
// error names the file or secret, the member, and how to fix it, never a value.
package connection

//go:generate go test . -run TestSchema -update

import (
	"crypto"
	"crypto/x509"
	"net/url"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// GrantType is the OAuth grant that a connection uses.
type GrantType string

// The supported grant types.
const (
	ClientCredentials GrantType = "client_credentials" // RFC 6749 §4.4
	AuthorizationCode GrantType = "authorization_code" // RFC 6749 §4.1
	JWTBearer         GrantType = "jwt_bearer"         // RFC 7523 §2.1
	Password          GrantType = "password"           // RFC 6749 §4.3
)

// Connection is one declaration, validated and completed from the catalogue: all
// defaults are filled in.
type Connection struct {
	Name      Name
	Provider  string
	GrantType GrantType

	ClientID     string
	ClientSecret redact.Secret // empty with client_auth none and private_key_jwt
	ClientAuth   provider.ClientAuth
	// PrivateKey and KeyID sign the assertions of client_auth private_key_jwt and of
	// grant_type jwt_bearer.
	PrivateKey crypto.Signer
	KeyID      string
	// Certificate gives assertions their x5t and x5t#S256; nil is none.
	Certificate *x509.Certificate
	// SigningAlgorithm is the JWS algorithm for an RSA key; empty is RS256. For other
	// keys the key decides.
	SigningAlgorithm string
	Assertion        Assertion
	// Username and Password are for grant_type password only.
	Username string
	Password redact.Secret
	// Headers are secret headers of token, refresh and revocation requests, by
	// canonical name.
	Headers map[string]redact.Secret

	// Scope is the scope parameter, exactly as declared; empty means not sent.
	Scope string
	// AllowedScopes are the scope tokens that a caller may request instead of Scope.
	AllowedScopes []string
	// ScopeSeparator and ScopeAliases are those of [provider.Provider].
	ScopeSeparator string
	ScopeAliases   map[string][]string

	TokenURL         string
	RefreshURL       string // empty: TokenURL
	AuthorizationURL string // may have a query and a fragment
	RevocationURL    string // empty: tokens are not revoked
	Issuer           string
	RedirectURI      string // empty: the deployment's callback; not always a URL
	PKCE             bool

	// TokenParams, RefreshParams and AuthorizationParams are extra parameters (see
	// [provider.Provider]); several values of one name are sent in order.
	TokenParams         url.Values
	RefreshParams       url.Values
	AuthorizationParams url.Values

	// Request, Response and Callback are where the provider differs from RFC 6749.
	Request  provider.RequestShape
	Response provider.Shape
	Callback provider.Callback
	// DefaultExpiresIn is the lifetime of a token when a response states none.
	DefaultExpiresIn time.Duration
	// NeverExpires: a token for which the response states no lifetime does not end.
	NeverExpires bool
	// RefreshToken is what the provider documents about its refresh tokens.
	RefreshToken provider.RefreshToken
	// EarlyRefresh is false for a server that refuses a new token, or repeats the
	// old one, before that expires.
	EarlyRefresh bool
	// NewTokenRevokesOld: each new access token revokes the one before, so none is
	// requested ahead of need.
	NewTokenRevokesOld bool
	// RevocationEndsGrant: revoking any token of a user and client revokes all of
	// them.
	RevocationEndsGrant bool
	// Present is how a caller puts the token into a request.
	Present provider.Present
	// MaxRenewalGroups bounds the groups in which tokens are renewed at once; zero
	// is the service's default.
	MaxRenewalGroups int
	// TokenTimeout is the time for one token request; zero is the service's default.
	TokenTimeout time.Duration

	Callers Callers
	// References are the values that come from other secrets, in the order of reading.
	References []Reference

	// ConfigHash identifies the declaration. It does not depend on white space, on
	// the order of members, or on other members of a bundle.
	ConfigHash string
	// InputsHash identifies what a token is requested with, apart from the client's
	// proof, and ProofHash that proof (client secret, key, certificate). Whoever knows
	// one can guess a short secret, so neither is stored unsealed.
	InputsHash, ProofHash string
	// SecretIncarnation is a hash of the secret's ARN. A secret that is deleted and
	// created again under the same name has another one.
	SecretIncarnation string
	// SecretVersion is the version of the secret that it was read from, and
	// SecretCreatedAt when that was created; zero is unknown.
	SecretVersion   string
	SecretCreatedAt time.Time
}

// Assertion is what an assertion (RFC 7523 §3) says besides the defaults. With
// grant_type jwt_bearer it is the grant's assertion, otherwise the client's.
type Assertion struct {
	// Issuer and Subject are empty for the client id. A Subject may contain
	// {subject}, which stands for the subject of the request.
	Issuer, Subject string
	// Subjects are, by subject of the request, the subjects of the assertion. It is
	// nil unless the declaration has such an object; Subject is empty then.
	Subjects map[string]string
	// Audience is empty for the issuer or the endpoint's URL. Otherwise it is sent as
	// one string, or as an array if AudienceArray.
	Audience      []string
	AudienceArray bool
	// Claims are further claims, as decoded by strictjson.
	Claims map[string]any
	// Lifetime is zero for 60 seconds.
	Lifetime time.Duration
}

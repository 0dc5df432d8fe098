// Package connection parses what an operator declares: one client registration
// at a provider, its name, its scopes, and which callers may use it.
//
// A declaration is untrusted input. It is read strictly and completely, and each
// error names the file or secret, the member, and how to fix it, never a value.
package connection

import (
	"crypto"
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
	PrivateKey   crypto.Signer // private_key_jwt only
	KeyID        string

	// Scope is the scope parameter, exactly as declared; empty means not sent.
	Scope string
	// AllowedScopes are the scope tokens that a caller may request instead of Scope.
	AllowedScopes []string

	TokenURL         string
	AuthorizationURL string
	RevocationURL    string // empty: tokens are not revoked
	Issuer           string
	RedirectURI      string // empty: the deployment's callback
	PKCE             bool

	// TokenParams and AuthorizationParams are extra parameters; several values of
	// one name are sent in order.
	TokenParams         url.Values
	AuthorizationParams url.Values

	Response provider.Shape
	// DefaultExpiresIn is the lifetime of a token when a response states none.
	DefaultExpiresIn time.Duration
	// RefreshTokenExpiresIn is the lifetime of a refresh token; zero is unknown.
	RefreshTokenExpiresIn time.Duration
	// RepeatScope: token requests of a delegated connection repeat the scope
	// that was consented to.
	RepeatScope bool
	// EarlyRefresh is false for a server that refuses a new token, or repeats the
	// old one, before that expires.
	EarlyRefresh bool
	// NewTokenRevokesOld: each new access token revokes the one before, so none is
	// requested ahead of need.
	NewTokenRevokesOld bool

	Callers Callers

	// ConfigHash identifies the declaration. It does not depend on white space, on
	// the order of members, or on other members of a bundle.
	ConfigHash string
	// SecretIncarnation is a hash of the secret's ARN. A secret that is deleted and
	// created again under the same name has another one.
	SecretIncarnation string
	// SecretVersion is the version of the secret that it was read from.
	SecretVersion string
}

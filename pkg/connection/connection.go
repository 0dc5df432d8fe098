// Package connection owns what an operator declares: one configured
// relationship with a provider, its names, and the second gate on who may use it.
//
// A declaration is untrusted input. It is read strictly, whole, and each error
// names the file or secret, the member, and how to mend it, never a value.
package connection

import (
	"crypto"
	"net/url"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// GrantType is the OAuth grant a connection's tokens come from.
type GrantType string

// The grant types that exist here.
const (
	ClientCredentials GrantType = "client_credentials" // RFC 6749 §4.4
	AuthorizationCode GrantType = "authorization_code" // RFC 6749 §4.1
)

// Connection is one declaration, validated and completed from the catalogue:
// nothing in it needs a default any more.
type Connection struct {
	Name      Name
	Provider  string
	GrantType GrantType

	ClientID     string
	ClientSecret redact.Secret // empty for none and private_key_jwt
	ClientAuth   provider.ClientAuth
	PrivateKey   crypto.Signer // private_key_jwt only
	KeyID        string

	// Scope is the scope parameter, exactly as declared; empty means that it is not sent.
	Scope string
	// AllowedScopes are the scope tokens a caller may choose from instead of Scope.
	AllowedScopes []string

	TokenURL         string
	AuthorizationURL string
	RevocationURL    string // empty: the server has none
	Issuer           string
	RedirectURI      string // empty: the deployment's own callback
	PKCE             bool

	// TokenParams and AuthorizationParams are extra parameters; a list repeats, in order.
	TokenParams         url.Values
	AuthorizationParams url.Values

	Response provider.Shape
	// DefaultExpiresIn is assumed when the server states no lifetime.
	DefaultExpiresIn time.Duration
	// RefreshTokenExpiresIn is the life of a refresh token; zero is unknown.
	RefreshTokenExpiresIn time.Duration
	// RepeatScope: token requests of a delegated connection repeat the scope
	// that was consented to.
	RepeatScope bool
	// EarlyRefresh false: the server refuses, or repeats the old token, before expiry.
	EarlyRefresh bool
	// NewTokenRevokesOld: each new access token ends the one before, so that
	// none is fetched ahead of need.
	NewTokenRevokesOld bool

	Callers Callers

	// ConfigHash identifies the declaration: of the member's own JSON in a bundle,
	// insensitive to white space and member order.
	ConfigHash string
	// SecretIncarnation is the hash of the secret's ARN: a namesake made later differs.
	SecretIncarnation string
	// SecretVersion is the version of the secret it was read from.
	SecretVersion string
}

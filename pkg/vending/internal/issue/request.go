package issue

import (
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// GrantType is the grant_type of a token request.
type GrantType string

// The grant types that are requested.
const (
	ClientCredentials GrantType = "client_credentials" // RFC 6749 §4.4
	AuthorizationCode GrantType = "authorization_code" // RFC 6749 §4.1.3
	RefreshToken      GrantType = "refresh_token"      // RFC 6749 §6
)

// Request is a token request, apart from the declaration.
type Request struct {
	GrantType GrantType
	// Scope is the caller's choice for client_credentials, where empty means the
	// connection's own. For the other types it is what was consented to.
	Scope string
	// Granted is the scope that the provider stated before for the same refresh
	// token's grant; empty is unknown.
	Granted string
	// Code, Verifier and RedirectURI belong to authorization_code.
	Code, Verifier redact.Secret
	RedirectURI    string
	RefreshToken   redact.Secret
}

// scope is the scope that the token is requested with.
func (r Request) scope(conn connection.Connection) (string, error) {
	if r.GrantType == ClientCredentials {
		return conn.EffectiveScope(r.Scope)
	}
	return r.Scope, nil
}

// AllowsClientOf reports whether the request may be made with the client of to instead
// of from's: a code or a refresh token is sent by the client that it was given
// to, and by no other.
func (r Request) AllowsClientOf(from, to connection.Connection) bool {
	sameClient := declaration.ClientID(from) == declaration.ClientID(to) && from.SecretIncarnation == to.SecretIncarnation
	return from.GrantType == to.GrantType && (r.GrantType == ClientCredentials || sameClient)
}

// to is the request as the client of conn makes it. A refresh repeats the scope
// only to servers that require it: to others the shorter request means the same
// and widens nothing (RFC 6749 §6).
func (r Request) to(conn connection.Connection, scope string) oauth.Request {
	if r.GrantType != ClientCredentials && !conn.Request.RepeatScope {
		scope = ""
	}
	return oauth.Request{
		TokenURL: conn.TokenURL, Authentication: authentication(conn), Params: conn.TokenParams,
		Response: conn.Response, DefaultExpiresIn: conn.DefaultExpiresIn,
		GrantType: string(r.GrantType), Scope: scope,
		Code: r.Code, CodeVerifier: r.Verifier, RedirectURI: r.RedirectURI, RefreshToken: r.RefreshToken,
	}
}

func authentication(conn connection.Connection) oauth.Authentication {
	return oauth.Authentication{
		Method: conn.ClientAuth, ClientID: conn.ClientID, ClientSecret: conn.ClientSecret,
		PrivateKey: conn.PrivateKey, KeyID: conn.KeyID, Audience: conn.Issuer,
	}
}

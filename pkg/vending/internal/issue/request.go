package issue

import (
	"cmp"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// GrantType is the grant_type of a token request.
type GrantType string

// The grant types that are requested.
const (
	ClientCredentials GrantType = "client_credentials" // RFC 6749 §4.4
	AuthorizationCode GrantType = "authorization_code" // RFC 6749 §4.1.3
	RefreshToken      GrantType = "refresh_token"      // RFC 6749 §6
	JWTBearer         GrantType = "jwt_bearer"         // RFC 7523 §2.1
	Password          GrantType = "password"           // RFC 6749 §4.3
)

// Request is a token request, apart from the declaration.
type Request struct {
	GrantType GrantType
	// Scope is the caller's choice where no user consents, and empty means the
	// connection's own. Otherwise it is what was consented to.
	Scope string
	// Subject is that of the request, for which jwt_bearer has an assertion.
	Subject string
	// Granted is the scope that the provider stated before for the same refresh
	// token's grant; empty is unknown.
	Granted string
	// Extra is what callers get besides the token, as far as it is known before the
	// request. The response replaces values of the same names.
	Extra extra.Values
	// Code, Verifier and RedirectURI belong to authorization_code.
	Code, Verifier redact.Secret
	RedirectURI    string
	RefreshToken   redact.Secret
}

// scope is the scope that the token is requested with.
func (r Request) scope(conn connection.Connection) (string, error) {
	if !r.consented() {
		return conn.EffectiveScope(r.Scope)
	}
	return r.Scope, nil
}

// consented reports whether the request carries what a user's consent left.
func (r Request) consented() bool {
	return r.GrantType == AuthorizationCode || r.GrantType == RefreshToken
}

// AllowsClientOf reports whether the request may be made with the client of to instead
// of from's: a code or a refresh token is sent by the client that it was given
// to, and by no other.
func (r Request) AllowsClientOf(from, to connection.Connection) bool {
	sameClient := declaration.BoundClient(from) == declaration.BoundClient(to) && from.SecretIncarnation == to.SecretIncarnation
	return from.GrantType == to.GrantType && (!r.consented() || sameClient)
}

// to is the request as the client of conn makes it. An exchange or a refresh repeats
// the scope only to servers that require it: to others the shorter request means the
// same and widens nothing (RFC 6749 §6).
func (r Request) to(conn connection.Connection, scope string) (oauth.Request, error) {
	if r.consented() && !conn.Request.RepeatScope {
		scope = ""
	}
	request := oauth.Request{
		TokenURL: conn.TokenURL, Authentication: authentication(conn), Params: conn.TokenParams,
		Shape: conn.Request, Response: conn.Response, Timeout: conn.TokenTimeout,
		DefaultExpiresIn: conn.DefaultExpiresIn, NeverExpires: conn.NeverExpires,
		GrantType: string(r.GrantType), Scope: scope, ScopeSeparator: conn.ScopeSeparator, ScopeAliases: conn.ScopeAliases,
		Code: r.Code, CodeVerifier: r.Verifier, RedirectURI: r.RedirectURI, RefreshToken: r.RefreshToken,
	}
	switch r.GrantType {
	case RefreshToken:
		request.TokenURL, request.Params = cmp.Or(conn.RefreshURL, conn.TokenURL), conn.RefreshParams
	case Password:
		request.Username, request.Password = conn.Username, conn.Password
	case JWTBearer:
		subject, err := rules.AssertionSubject(conn, r.Subject)
		if err != nil {
			return oauth.Request{}, err
		}
		request.Grant = assertion(conn)
		request.Grant.Subject = subject
	case ClientCredentials, AuthorizationCode: // have no more
	}
	return request, nil
}

func assertion(conn connection.Connection) oauth.Assertion {
	a := oauth.Assertion{
		Issuer: conn.Assertion.Issuer, Subject: conn.Assertion.Subject,
		Audience: conn.Assertion.Audience, AudienceArray: conn.Assertion.AudienceArray,
		Claims: conn.Assertion.Claims, Lifetime: conn.Assertion.Lifetime,
	}
	if len(a.Audience) == 0 && conn.Issuer != "" {
		a.Audience = []string{conn.Issuer}
	}
	return a
}

// authentication is how the client of conn proves itself. With jwt_bearer the
// declared assertion is the grant's, and the client's has the defaults.
func authentication(conn connection.Connection) oauth.Authentication {
	own := conn
	if conn.GrantType == connection.JWTBearer {
		own.Assertion = connection.Assertion{}
	}
	return oauth.Authentication{
		Method: conn.ClientAuth, ClientID: conn.ClientID, ClientSecret: conn.ClientSecret, Headers: conn.Headers,
		PrivateKey: conn.PrivateKey, KeyID: conn.KeyID, Certificate: conn.Certificate, Algorithm: conn.SigningAlgorithm,
		Assertion: assertion(own),
	}
}

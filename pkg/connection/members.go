package connection

import (
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/provider"
)

// The names of a declaration's members.
const (
	mProvider         = "provider"
	mGrantType        = "grant_type"
	mClientID         = "client_id"
	mClientAuth       = "client_auth"
	mClientSecret     = "client_secret"
	mPrivateKey       = "private_key"
	mKeyID            = "key_id"
	mScope            = "scope"
	mAllowedScopes    = "allowed_scopes"
	mBaseURL          = "base_url"
	mTokenURL         = "token_url"
	mRevocationURL    = "revocation_url"
	mIssuer           = "issuer"
	mAuthorizationURL = "authorization_url"
	mRedirectURI      = "redirect_uri"
	mPKCE             = "pkce"
	mAuthzParams      = "authorization_params"
	mRefreshExpiresIn = "refresh_token_expires_in"
	mTokenParams      = "token_params"
	mResponse         = "response"
	mDefaultExpiresIn = "default_expires_in"
	mEarlyRefresh     = "early_refresh"
	mCallers          = "callers"
)

// member is one member of a declaration.
type member struct {
	name string
	// read sets what the member declares, or its default. It is nil for a member
	// that is read together with another one.
	read func(*reader)
	// only is the grant type that uses the member; with another one the member is
	// an error. Empty is both.
	only GrantType
}

// members are all members, in the order in which they are read and their errors
// are reported. A new member needs its name above and one entry here.
func members() []member {
	return []member{
		{name: mProvider}, // this and the grant type are read first: the others depend on them
		{name: mGrantType},
		{name: mClientID, read: (*reader).clientID},
		{name: mClientAuth, read: (*reader).clientAuth},
		{name: mClientSecret}, // with client_auth
		{name: mPrivateKey},   // with client_auth
		{name: mKeyID},        // with client_auth
		{name: mScope, read: (*reader).scope},
		{name: mAllowedScopes, read: (*reader).allowedScopes, only: ClientCredentials},
		{name: mBaseURL}, // with token_url
		{name: mTokenURL, read: (*reader).tokenURL},
		{name: mRevocationURL, read: func(r *reader) { r.c.RevocationURL = r.endpoint(mRevocationURL, "") }},
		{name: mIssuer, read: func(r *reader) { r.c.Issuer = r.endpoint(mIssuer, "") }},
		{name: mAuthorizationURL, read: (*reader).authorizationURL, only: AuthorizationCode},
		{name: mRedirectURI, read: (*reader).redirectURI, only: AuthorizationCode},
		{name: mPKCE, read: func(r *reader) { r.c.PKCE = r.boolean(mPKCE, true) }, only: AuthorizationCode},
		{name: mAuthzParams, read: (*reader).authorizationParams, only: AuthorizationCode},
		{name: mRefreshExpiresIn, read: (*reader).refreshExpiresIn, only: AuthorizationCode},
		{name: mTokenParams, read: func(r *reader) { r.c.TokenParams = r.params(mTokenParams) }},
		{name: mResponse, read: (*reader).response},
		{name: mDefaultExpiresIn, read: (*reader).defaultExpiresIn},
		{name: mEarlyRefresh, read: func(r *reader) { r.c.EarlyRefresh = r.boolean(mEarlyRefresh, true) }},
		{name: mCallers, read: (*reader).callers},
	}
}

func memberNames() []string {
	var names []string
	for _, m := range members() {
		names = append(names, m.name)
	}
	return names
}

const (
	// defaultExpiresIn is the lifetime of a token when neither the declaration nor
	// the catalogue states one.
	defaultExpiresIn = 300 * time.Second
	maxExpiresIn     = 90 * 24 * time.Hour
	// maxRefreshExpiresIn is five years, longer than any server states.
	maxRefreshExpiresIn = 5 * 365 * 24 * time.Hour
)

// reader completes one connection from its declaration and its catalogue entry.
type reader struct {
	declaration
	server provider.Provider
	egress egress.Policy
	c      *Connection
}

// read reads all members. A wrong provider or grant type would cause errors in
// other members that are not worth reporting.
func (p Parser) read(d declaration) Connection {
	d.rejectUnknown(memberNames())
	server, known := d.provider()
	c := Connection{Provider: server.Name, NewTokenRevokesOld: server.NewTokenRevokesOld}
	if c.GrantType = d.grantType(); c.GrantType == "" || !known {
		return c
	}
	c.Request = server.Request
	r := &reader{declaration: d, server: server, egress: p.Egress, c: &c}
	for _, m := range members() {
		switch {
		case m.only != "" && m.only != c.GrantType:
			r.rejectUnused("is used with grant_type "+string(m.only)+" only", m.name)
		case m.read != nil:
			m.read(r)
		}
	}
	return c
}

func (d declaration) provider() (provider.Provider, bool) {
	name, ok := d.text(mProvider)
	if !ok {
		d.require(mProvider)
		return provider.Provider{}, false
	}
	p, known := provider.Lookup(name)
	if !known {
		hint := ""
		if near, ok := nearest(name, provider.Names()); ok {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		d.report(mProvider, "must be one of %s%s", join(provider.Names()), hint)
	}
	return p, known
}

func (d declaration) grantType() GrantType {
	if !d.has(mGrantType) {
		return ClientCredentials
	}
	text, ok := d.text(mGrantType)
	if !ok {
		return ""
	}
	if g := GrantType(text); g == ClientCredentials || g == AuthorizationCode {
		return g
	}
	d.report(mGrantType, "must be %s or %s", ClientCredentials, AuthorizationCode)
	return ""
}

func (r *reader) refreshExpiresIn() {
	r.c.RefreshToken = r.server.RefreshToken
	r.c.RefreshToken.ExpiresIn = r.seconds(mRefreshExpiresIn, r.server.RefreshToken.ExpiresIn, maxRefreshExpiresIn)
}

func (r *reader) defaultExpiresIn() {
	fallback := r.server.DefaultExpiresIn
	if fallback == 0 {
		fallback = defaultExpiresIn
	}
	r.c.DefaultExpiresIn = r.seconds(mDefaultExpiresIn, fallback, maxExpiresIn)
}

package connection

import (
	"slices"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/strictjson/object"
)

// The names of a declaration's members that the code refers to.
const (
	mSchema           = "$schema"
	mProvider         = "provider"
	mVariables        = "variables"
	mGrantType        = "grant_type"
	mClientID         = "client_id"
	mClientAuth       = "client_auth"
	mClientSecret     = "client_secret"
	mPrivateKey       = "private_key"
	mKeyID            = "key_id"
	mCertificate      = "certificate"
	mAlgorithm        = "signing_algorithm"
	mAssertion        = "assertion"
	mUsername         = "username"
	mPassword         = "password"
	mHeaders          = "headers"
	mScope            = "scope"
	mAllowedScopes    = "allowed_scopes"
	mBaseURL          = "base_url"
	mTokenURL         = "token_url"
	mRefreshURL       = "refresh_url"
	mRevocationURL    = "revocation_url"
	mIssuer           = "issuer"
	mAuthorizationURL = "authorization_url"
	mRedirectURI      = "redirect_uri"
	mPKCE             = "pkce"
	mAuthzParams      = "authorization_params"
	mTokenParams      = "token_params"
	mRefreshExpiresIn = "refresh_token_expires_in"
	mTokenTimeout     = "token_timeout"
	mCallers          = "callers"
)

const (
	// defaultExpiresIn is the lifetime of a token when neither the declaration nor
	// the catalogue states one.
	defaultExpiresIn = 300 * time.Second
	// maxRefreshExpiresIn is five years, longer than any server states.
	maxRefreshExpiresIn = 5 * 365 * 24 * time.Hour
	maxTokenTimeout     = 20 * time.Second
)

// member is one member of a declaration.
type member struct {
	object.Field
	// read sets what the member declares, or its default. It is nil for a member
	// that is read together with another one.
	read func(*reader)
	// only are the grant types that use the member; with another one the member is
	// an error. Nil is all.
	only []GrantType
}

// members returns all members, in the order in which they are read and their errors
// are reported: first those that a provider may state too, then those of a
// connection only. A new member needs its name above and one entry here.
var members = sync.OnceValue(allMembers)

func allMembers() []member {
	consent := []GrantType{AuthorizationCode}
	own := []member{
		{Field: object.Field{Name: mSchema, Form: object.Text{}}},
		{Field: object.Field{Name: mProvider, Form: object.Either{object.Text{}, object.Struct{Fields: provider.Fields()}}, Required: true}},
		{Field: object.Field{Name: mVariables, Form: object.Map{Each: object.Text{}}}},
		{Field: object.Field{Name: mGrantType, Form: object.Text{Pattern: "^(client_credentials|authorization_code|jwt_bearer|password)$"}}},
		{Field: object.Field{Name: mClientID, Form: orReference(exact), Required: true}, read: (*reader).clientID},
		{Field: object.Field{Name: mClientSecret, Form: orReference(object.Text{Exact: true, Blank: true})}, read: (*reader).clientAuth},
		{Field: object.Field{Name: mPrivateKey, Form: orReference(object.Text{Pattern: `-----BEGIN (EC |RSA )?PRIVATE KEY-----\s`})}, read: (*reader).privateKey},
		{Field: object.Field{Name: mKeyID, Form: exact}},                                                                    // with private_key
		{Field: object.Field{Name: mCertificate, Form: orReference(object.Text{Pattern: `-----BEGIN CERTIFICATE-----\s`})}}, // with private_key
		{Field: object.Field{Name: mAlgorithm, Form: object.Text{Values: algs}}},                                            // with private_key
		{Field: object.Field{Name: mAssertion, Form: object.Struct{Fields: assertionFields()}}, read: (*reader).assertion},
		{Field: object.Field{Name: mUsername, Form: exact}, read: (*reader).username, only: []GrantType{Password}},
		{Field: object.Field{Name: mPassword, Form: orReference(exact)}, read: (*reader).password, only: []GrantType{Password}},
		{Field: object.Field{Name: mHeaders, Form: provider.Headers(orReference(provider.HeaderValue))}, read: (*reader).headers},
		{Field: object.Field{Name: mScope, Form: provider.Scope}, read: (*reader).scope},
		{
			Field: object.Field{Name: mAllowedScopes, Form: object.List{Each: provider.ScopeToken}},
			read:  func(r *reader) { r.c.AllowedScopes = r.Texts(mAllowedScopes) },
			only:  []GrantType{ClientCredentials, JWTBearer, Password},
		},
		{Field: object.Field{Name: mBaseURL, Form: object.Text{Pattern: `^https?://[^\s/?#@]+(/?|/[^\s?#]*[^\s?#/]/?)$`}}, read: (*reader).endpoints},
		{Field: object.Field{Name: mRedirectURI, Form: object.Text{Pattern: "^[!-~]+$"}}, read: (*reader).redirectURI, only: consent},
		{Field: object.Field{Name: mRefreshExpiresIn, Form: provider.Seconds(maxRefreshExpiresIn)}, read: (*reader).refreshToken, only: consent},
		{
			Field: object.Field{Name: mTokenTimeout, Form: provider.Seconds(maxTokenTimeout)},
			read:  func(r *reader) { r.c.TokenTimeout = r.Seconds(mTokenTimeout, 0) },
		},
		{Field: object.Field{Name: mCallers, Form: object.List{Each: object.Struct{Fields: callerFields()}, Repeats: true}}, read: (*reader).callers},
	}
	all := make([]member, 0, 40)
	for _, field := range provider.Shared() {
		m := member{Field: field}
		if slices.Contains([]string{mRefreshURL, mAuthorizationURL, mAuthzParams, mPKCE}, field.Name) {
			m.only = consent
		}
		all = append(all, m)
	}
	return append(all, own...)
}

// Fields returns all members of a declaration. The slice is shared and must not be
// changed.
var Fields = sync.OnceValue(func() []object.Field {
	fields := make([]object.Field, 0, 40)
	for _, m := range members() {
		fields = append(fields, m.Field)
	}
	return fields
})

var exact = object.Text{Exact: true}

// reader completes one connection from its declaration and its provider.
type reader struct {
	object.Reader
	server provider.Provider
	parser Parser
	egress egress.Policy
	c      *Connection
	// values are the texts that the references stand for, by member. unread is why one
	// of them cannot be read now.
	values map[string]string
	unread error
}

// read reads all members. A wrong provider or grant type would cause errors in
// other members that are not worth reporting.
func (p Parser) read(d object.Reader) *reader {
	d.Check(Fields())
	c := &Connection{}
	r := &reader{Reader: d, parser: p, egress: p.Egress, c: c, values: map[string]string{}}
	if !r.provider() || !r.grantType() {
		return r
	}
	r.fromProvider()
	for _, m := range members() {
		switch {
		case m.only != nil && !slices.Contains(m.only, c.GrantType):
			r.RejectUnused("is used with grant_type "+object.Join(m.only)+" only", m.Name)
		case m.read != nil:
			m.read(r)
		}
	}
	return r
}

// fromProvider copies what only the provider states, and what Override has read.
func (r *reader) fromProvider() {
	s, c := r.server, r.c
	c.Request, c.Response, c.Callback = s.Request, s.Response, s.Callback
	c.TokenParams, c.RefreshParams = s.TokenParams, s.RefreshParams
	if c.Delegated() {
		c.AuthorizationParams, c.RefreshToken, c.PKCE = s.AuthorizationParams, s.RefreshToken, !s.NoPKCE
	}
	c.ScopeSeparator, c.ScopeAliases = s.ScopeSeparator, s.ScopeAliases
	c.DefaultExpiresIn, c.NeverExpires = s.DefaultExpiresIn, s.NeverExpires
	if c.DefaultExpiresIn == 0 {
		c.DefaultExpiresIn = defaultExpiresIn
	}
	c.EarlyRefresh, c.NewTokenRevokesOld = !s.NoEarlyRefresh, s.NewTokenRevokesOld
	c.RevocationEndsGrant, c.Present, c.MaxRenewalGroups = s.RevocationEndsGrant, s.Present, s.MaxRenewalGroups
}

func (r *reader) refreshToken() {
	r.c.RefreshToken.ExpiresIn = r.Seconds(mRefreshExpiresIn, r.server.RefreshToken.ExpiresIn)
}

package vending

import (
	"cmp"
	"context"
	"net/http"
	"reflect"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// mint asks the provider. A refusal that may mean "this secret is not (or not
// yet, or no longer) the one registered" is not taken at its word: the secret
// is read once more past every cache, and then the previous version is tried,
// once, when nothing but the client differs in it. So a rotation is noticed by
// nobody, whichever side moved first. A token minted with the previous version
// counts as the current declaration's. What the job goes by afterwards is the
// declaration that was refused, so that the refusal is remembered against it.
func (c *Core) mint(ctx context.Context, j *refreshJob) (token.Issued, error) {
	ctx, cancel := context.WithTimeout(ctx, providerBudget)
	defer cancel()
	conn := j.conn
	if previous, ok := c.previousSecret(ctx, conn); ok {
		if m, err := c.ask(ctx, previous, conn, *j); err == nil || !mayBeWrongSecret(err) {
			audit.From(ctx).SecretFallback = err == nil
			return m, err
		}
		c.fallback.forget(conn)
		return c.ask(ctx, conn, conn, *j)
	}
	m, err := c.ask(ctx, conn, conn, *j)
	if err == nil || !mayBeWrongSecret(err) {
		return m, err
	}
	current, loadErr := c.declarations.Load(ctx, conn.Name, true)
	if loadErr != nil || !j.stillFor(current) {
		return token.Issued{}, err
	}
	if current.ConfigHash != conn.ConfigHash {
		j.conn = current
		if m, err = c.ask(ctx, current, current, *j); err == nil || !mayBeWrongSecret(err) {
			return m, err
		}
	}
	previous, ok := c.previous(ctx, current)
	if !ok || sameClient(previous, conn) || !j.stillFor(previous) {
		return token.Issued{}, err
	}
	m, fallbackErr := c.ask(ctx, previous, current, *j)
	if fallbackErr == nil {
		return c.rememberFallback(ctx, current, m), nil
	}
	if refusal := rules.ProviderError(fallbackErr); refusal.Ambiguous || !refusal.RefreshToken.IsZero() {
		return token.Issued{}, fallbackErr // what it may have spent, or brought, must not be forgotten
	}
	return token.Issued{}, err
}

// stillFor reports whether the job may be done with conn's client too: a code or
// a refresh token is shown to nobody but the client that it was given to.
func (j refreshJob) stillFor(conn connection.Connection) bool {
	sameClient := declaration.ClientID(conn) == declaration.ClientID(j.conn) && conn.SecretIncarnation == j.conn.SecretIncarnation
	return conn.GrantType == j.conn.GrantType && (!conn.Delegated() || sameClient)
}

// rememberFallback notes that the previous version is the one that works.
func (c *Core) rememberFallback(ctx context.Context, conn connection.Connection, m token.Issued) token.Issued {
	audit.From(ctx).SecretFallback = true
	c.fallback.remember(conn, c.clock.Now())
	return m
}

// ask makes one token request with the client of with, on behalf of the declaration of conn.
func (c *Core) ask(ctx context.Context, with, conn connection.Connection, j refreshJob) (token.Issued, error) {
	asked, err := j.askedScope(conn)
	if err != nil {
		return token.Issued{}, &problem.Error{Code: problem.InvalidScope, Detail: err.Error(), Cause: err}
	}
	entry := audit.From(ctx)
	entry.SecretVersion = with.SecretVersion
	t, err := c.minter.Token(ctx, request(with, asked, j))
	if err != nil {
		refusal := rules.ProviderError(err)
		note(&entry.Provider, refusal.Trace, string(rules.Code(refusal)))
		entry.Provider.Code, entry.Provider.Description = refusal.Code, refusal.Description
		entry.SetCause(refusal)
		return token.Issued{}, refusal
	}
	note(&entry.Provider, t.Trace, "ok")
	entry.Warn(t.Warnings...)
	return token.Issued{
		RefreshToken: t.RefreshToken, RefreshExpiresAt: t.RefreshTokenExpiresAt, ConsentedBy: t.Subject,
		Token: Token{
			AccessToken: t.AccessToken, ID: t.ID(), Scope: cmp.Or(t.Scope, asked), AskedScope: asked,
			MintedAt: t.RequestedAt, ExpiresAt: t.ExpiresAt, ExpiresInAssumed: t.ExpiresInAssumed,
			EarlyRefresh: conn.EarlyRefresh, Callers: conn.Callers,
			ConfigHash: conn.ConfigHash, SecretVersion: conn.SecretVersion, SecretIncarnation: conn.SecretIncarnation,
		},
	}, nil
}

// askedScope is what the token is asked for with: what was consented to, or what
// the caller chose.
func (j refreshJob) askedScope(conn connection.Connection) (string, error) {
	switch {
	case j.code != nil:
		return j.code.Scope, nil
	case j.conn.Delegated():
		return j.grant.scope, nil
	}
	return conn.EffectiveScope(j.scope)
}

// note adds a request to what the audit entry says of the provider.
func note(p *audit.Provider, t oauth.Trace, outcome string) {
	p.Calls += t.Calls
	p.Latency += t.Latency
	p.Status, p.Outcome = t.Status, outcome
}

// request is the token request of a job, by the client of conn. A scope is
// repeated to those servers only that want it: to others a shorter request says
// the same, and widens nothing (RFC 6749 §6).
func request(conn connection.Connection, scope string, j refreshJob) oauth.Request {
	r := oauth.Request{
		TokenURL: conn.TokenURL, Authentication: authentication(conn), Params: conn.TokenParams,
		Response: conn.Response, DefaultExpiresIn: conn.DefaultExpiresIn,
		GrantType: string(connection.ClientCredentials), Scope: scope,
	}
	if !conn.Delegated() {
		return r
	}
	if !conn.RepeatScope {
		r.Scope = ""
	}
	if j.code != nil {
		r.GrantType = string(connection.AuthorizationCode)
		r.Code, r.CodeVerifier, r.RedirectURI = j.code.Code, j.code.Verifier, j.code.RedirectURI
		return r
	}
	r.GrantType, r.RefreshToken = grantRefresh, j.grant.refreshToken
	return r
}

// grantRefresh is the grant type of a refresh (RFC 6749 §6).
const grantRefresh = "refresh_token"

func authentication(conn connection.Connection) oauth.Authentication {
	return oauth.Authentication{
		Method: conn.ClientAuth, ClientID: conn.ClientID, ClientSecret: conn.ClientSecret,
		PrivateKey: conn.PrivateKey, KeyID: conn.KeyID, Audience: conn.Issuer,
	}
}

// mayBeWrongSecret reports whether a refusal may be about the client's secret:
// invalid_client, or a 400 or 401 that gives no known reason.
func mayBeWrongSecret(err error) bool {
	refusal := rules.ProviderError(err)
	if refusal.Kind != oauth.Rejected {
		return false
	}
	vague := refusal.Trace.Status == http.StatusBadRequest || refusal.Trace.Status == http.StatusUnauthorized
	return refusal.Code == "invalid_client" || refusal.Code == "" && vague
}

// previous reads the version before the current one, if it is of use: only the
// client differs in it.
func (c *Core) previous(ctx context.Context, current connection.Connection) (connection.Connection, bool) {
	s, err := c.declarations.Secrets.Load(ctx, current.Name.Secret(), clientsecret.Previous, true)
	if err != nil {
		return connection.Connection{}, false
	}
	previous, err := c.declarations.Parser.Parse(current.Name, s)
	if err != nil || sameClient(previous, current) {
		return connection.Connection{}, false
	}
	return previous, reflect.DeepEqual(withoutClient(previous), withoutClient(current))
}

func withoutClient(conn connection.Connection) connection.Connection {
	conn.ClientID, conn.ClientSecret, conn.PrivateKey, conn.KeyID = "", redact.Secret{}, nil, ""
	conn.ConfigHash, conn.SecretVersion = "", ""
	return conn
}

func sameClient(a, b connection.Connection) bool {
	return a.ClientID == b.ClientID && a.ClientSecret == b.ClientSecret && a.KeyID == b.KeyID &&
		reflect.DeepEqual(a.PrivateKey, b.PrivateKey)
}

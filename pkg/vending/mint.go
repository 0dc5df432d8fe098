package vending

import (
	"context"
	"net/http"
	"reflect"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// mint asks the provider. A refusal that may mean "this secret is not (or not
// yet, or no longer) the one registered" is not taken at its word: the secret
// is read once more past every cache, and then the previous version is tried,
// once, when nothing but the client differs in it. So a rotation is noticed by
// nobody, whichever side moved first. A token minted with the previous version
// counts as the current declaration's. What the job goes by afterwards is the
// declaration that was refused, so that the refusal is remembered against it.
func (c *Core) mint(ctx context.Context, j *job) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, providerBudget)
	defer cancel()
	conn, scope := j.conn, j.scope
	if previous, ok := c.labelled(ctx, conn); ok {
		if t, err := c.ask(ctx, previous, conn, scope); err == nil || !doubtsClient(err) {
			audit.From(ctx).SecretFallback = err == nil
			return t, err
		}
		c.labels.forget(conn)
		return c.ask(ctx, conn, conn, scope)
	}
	t, err := c.ask(ctx, conn, conn, scope)
	if err == nil || !doubtsClient(err) {
		return t, err
	}
	current, loadErr := c.declarations.load(ctx, conn.Name, true)
	if loadErr != nil || actsForItself(current) != nil {
		return Token{}, err
	}
	if current.Hash != conn.Hash {
		j.conn = current
		if t, err = c.ask(ctx, current, current, scope); err == nil || !doubtsClient(err) {
			return t, err
		}
	}
	previous, ok := c.previous(ctx, current)
	if !ok || sameClient(previous, conn) {
		return Token{}, err
	}
	if t, fallbackErr := c.ask(ctx, previous, current, scope); fallbackErr == nil {
		return c.fellBack(ctx, current, t), nil
	}
	return Token{}, err
}

// fellBack notes that the previous version is the one that works.
func (c *Core) fellBack(ctx context.Context, conn connection.Connection, t Token) Token {
	audit.From(ctx).SecretFallback = true
	c.labels.remember(conn, c.now())
	return t
}

// ask makes one token request with the client of with, on behalf of the declaration of conn.
func (c *Core) ask(ctx context.Context, with, conn connection.Connection, scope string) (Token, error) {
	asked, err := conn.EffectiveScope(scope)
	if err != nil {
		return Token{}, &problem.Error{Code: problem.InvalidScope, Detail: err.Error(), Cause: err}
	}
	account := audit.From(ctx)
	account.SecretVersion = with.SecretVersion
	t, err := c.minter.Token(ctx, request(with, asked))
	if err != nil {
		refusal := asProviderError(err)
		note(&account.Provider, refusal.Trace, string(codeOf(refusal)))
		account.Provider.Code, account.Provider.Description = refusal.Code, refusal.Description
		account.Explain(refusal)
		return Token{}, refusal
	}
	note(&account.Provider, t.Trace, "ok")
	account.Warn(t.Warnings...)
	return Token{
		AccessToken: t.AccessToken, ID: t.ID(), Scope: t.Scope, AskedScope: asked,
		MintedAt: t.RequestedAt, ExpiresAt: t.ExpiresAt, ExpiresInAssumed: t.ExpiresInAssumed,
		EarlyRefresh: conn.EarlyRefresh, Callers: conn.Callers,
		Declaration: conn.Hash, SecretVersion: conn.SecretVersion, Generation: conn.Generation,
	}, nil
}

// note adds a request to what the audit entry says of the provider.
func note(p *audit.Provider, t oauth.Trace, outcome string) {
	p.Calls += t.Calls
	p.Latency += t.Latency
	p.Status, p.Outcome = t.Status, outcome
}

func request(conn connection.Connection, scope string) oauth.Request {
	return oauth.Request{
		TokenURL: conn.TokenURL, Authentication: authentication(conn),
		GrantType: string(conn.GrantType), Scope: scope, Params: conn.TokenParams,
		Response: conn.Response, DefaultExpiresIn: conn.DefaultExpiresIn,
	}
}

func authentication(conn connection.Connection) oauth.Authentication {
	return oauth.Authentication{
		Method: conn.ClientAuth, ClientID: conn.ClientID, ClientSecret: conn.ClientSecret,
		PrivateKey: conn.PrivateKey, KeyID: conn.KeyID, Audience: conn.Issuer,
	}
}

// doubtsClient reports whether a refusal may be about the client's secret:
// invalid_client, or a 400 or 401 that gives no known reason.
func doubtsClient(err error) bool {
	refusal := asProviderError(err)
	if refusal.Kind != oauth.Rejected {
		return false
	}
	vague := refusal.Trace.Status == http.StatusBadRequest || refusal.Trace.Status == http.StatusUnauthorized
	return refusal.Code == "invalid_client" || refusal.Code == "" && vague
}

// previous reads the version before the current one, if it is of use: only the
// client differs in it.
func (c *Core) previous(ctx context.Context, current connection.Connection) (connection.Connection, bool) {
	s, err := c.declarations.secrets.Load(ctx, current.Name.Secret(), clientsecret.Previous, true)
	if err != nil {
		return connection.Connection{}, false
	}
	previous, err := c.declarations.parser.Parse(current.Name, s)
	if err != nil || sameClient(previous, current) {
		return connection.Connection{}, false
	}
	return previous, reflect.DeepEqual(withoutClient(previous), withoutClient(current))
}

func withoutClient(conn connection.Connection) connection.Connection {
	conn.ClientID, conn.ClientSecret, conn.PrivateKey, conn.KeyID = "", redact.Secret{}, nil, ""
	conn.Hash, conn.SecretVersion = "", ""
	return conn
}

func sameClient(a, b connection.Connection) bool {
	return a.ClientID == b.ClientID && a.ClientSecret == b.ClientSecret && a.KeyID == b.KeyID &&
		reflect.DeepEqual(a.PrivateKey, b.PrivateKey)
}

// Package issue sends token requests and revocation requests to the provider.
//
// It hides the rotation of a client secret from callers, whichever side rotates
// first: after a refusal the secret is read again, bypassing every cache, and then
// the previous version is tried once. The package stores nothing and holds no
// lease; its caller has made sure that the result can be stored.
package issue

import (
	"cmp"
	"context"
	"maps"
	"net/http"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/declared"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// Minter requests tokens from a provider; vending.Minter describes it.
type Minter interface {
	Token(ctx context.Context, r oauth.Request) (oauth.Token, error)
}

// Revoker revokes a token; vending.Revoker describes it.
type Revoker interface {
	Revoke(ctx context.Context, r oauth.Revocation) error
}

// Config configures an Issuer.
type Config struct {
	Loader   declaration.Loader
	Declared *declared.Declarations
	Minter   Minter
	Revoker  Revoker
	Clock    rules.Clock
}

// Issuer asks providers for tokens. It is safe for concurrent use.
type Issuer struct {
	loader   declaration.Loader
	declared *declared.Declarations
	minter   Minter
	revoker  Revoker
	clock    rules.Clock
	fallback secretFallback
}

// New returns an Issuer.
func New(c Config) *Issuer {
	return &Issuer{loader: c.Loader, declared: c.Declared, minter: c.Minter, revoker: c.Revoker, clock: c.Clock}
}

// Issue asks the provider for a token of conn. It returns the declaration that
// was asked for last, which is newer than conn when the secret was read again,
// so that a refusal is remembered against it. An error is a *oauth.Error or a
// *problem.Error.
//
// A refusal may mean that the secret is not, not yet or no longer the registered
// one. Then the secret is read again past every cache, and the previous version
// is tried once if only the client differs in it. A token issued with the
// previous version counts as the current declaration's.
func (i *Issuer) Issue(ctx context.Context, conn declared.InForce, r Request) (token.Issued, declared.InForce, error) {
	ctx, cancel := context.WithTimeout(ctx, Budget(conn.Connection))
	defer cancel()
	if previous, ok := i.knownFallback(ctx, conn.Connection); ok {
		issued, err := i.ask(ctx, previous, conn, r)
		if err == nil || !mayBeWrongSecret(err) {
			audit.From(ctx).SecretFallback = err == nil
			return issued, conn, err
		}
		i.fallback.forget(conn.Connection)
		issued, err = i.ask(ctx, conn.Connection, conn, r)
		return issued, conn, err
	}
	issued, err := i.ask(ctx, conn.Connection, conn, r)
	if err == nil || !mayBeWrongSecret(err) {
		return issued, conn, err
	}
	return i.askAgain(ctx, conn, r, err)
}

// askAgain follows a refusal that may be about conn's secret.
func (i *Issuer) askAgain(ctx context.Context, conn declared.InForce, r Request, refusal error) (token.Issued, declared.InForce, error) {
	refused := conn
	current, err := i.declared.Reload(ctx, conn.Name)
	switch {
	case declaration.Gone(err) && rules.ProviderError(refusal).RefreshToken.IsZero():
		return token.Issued{}, refused, err
	case err != nil || !r.AllowsClientOf(refused.Connection, current.Connection):
		return token.Issued{}, refused, refusal
	}
	if current.ConfigHash != conn.ConfigHash {
		refused = current
		issued, err := i.ask(ctx, current.Connection, current, r)
		if err == nil || !mayBeWrongSecret(err) {
			return issued, refused, err
		}
		refusal = err
	}
	previous, ok := i.previous(ctx, current.Connection)
	if !ok || sameClient(previous, conn.Connection) || !r.AllowsClientOf(refused.Connection, previous) {
		return token.Issued{}, refused, refusal
	}
	issued, err := i.ask(ctx, previous, current, r)
	if err == nil {
		audit.From(ctx).SecretFallback = true
		i.fallback.remember(current.Connection, i.clock.Now())
		return issued, refused, nil
	}
	if p := rules.ProviderError(err); p.Ambiguous || !p.RefreshToken.IsZero() {
		refusal = err // it may have used up the refresh token, or contains the next one
	}
	return token.Issued{}, refused, refusal
}

// ask makes one token request with the client of with, on behalf of the declaration of
// conn. The token copies the mint id of conn's record.
func (i *Issuer) ask(ctx context.Context, with connection.Connection, conn declared.InForce, r Request) (token.Issued, error) {
	scope, err := r.scope(conn.Connection)
	if err != nil {
		return token.Issued{}, &problem.Error{Code: problem.InvalidScope, Detail: err.Error(), Cause: err}
	}
	request, err := r.to(with, scope)
	if err != nil {
		return token.Issued{}, err
	}
	entry := audit.From(ctx)
	entry.SecretVersion = with.SecretVersion
	t, err := i.minter.Token(ctx, request)
	if err != nil {
		refusal := rules.ProviderError(err)
		note(&entry.Provider, refusal.Trace, string(rules.Code(refusal)))
		entry.Provider.Code, entry.Provider.Description = refusal.Code, refusal.Description
		entry.SetCause(refusal)
		return token.Issued{}, refusal
	}
	note(&entry.Provider, t.Trace, "ok")
	entry.Depart(t.Departures...)
	return token.Issued{
		RefreshToken: t.RefreshToken, RefreshExpiresAt: t.RefreshTokenExpiresAt, ConsentedBy: t.Subject,
		Token: token.Token{
			AccessToken: t.AccessToken, ID: t.ID(), Scope: cmp.Or(t.Scope, r.Granted, scope), AskedScope: scope,
			MintedAt: t.RequestedAt, ExpiresAt: t.ExpiresAt, ExpiresInAssumed: t.ExpiresInAssumed,
			EarlyRefresh: conn.EarlyRefresh && !conn.NewTokenRevokesOld, RevokedByNext: conn.NewTokenRevokesOld, Callers: conn.Callers, Departures: t.Departures,
			Extra:  known(r.Extra, request).Over(t.Extra),
			MintID: conn.Record.MintID, ConfigHash: conn.ConfigHash, SecretVersion: conn.SecretVersion, SecretIncarnation: conn.SecretIncarnation,
		},
	}, nil
}

// known is what callers get besides the token, without what repeats a secret of the
// request.
func known(values extra.Values, request oauth.Request) extra.Values {
	values = maps.Clone(values)
	maps.DeleteFunc(values, func(_ string, value any) bool {
		text, _ := extra.Text(value)
		return request.EchoesSecret(text)
	})
	return values
}

// note adds a request to what the audit entry says of the provider.
func note(p *audit.Provider, t oauth.Trace, outcome string) {
	p.Calls += t.Calls
	p.Latency += t.Latency
	p.Status, p.Outcome = t.Status, outcome
}

// mayBeWrongSecret reports whether a refusal may be about the client's secret:
// invalid_client, or a 400 or 401 without an error code.
func mayBeWrongSecret(err error) bool {
	refusal := rules.ProviderError(err)
	if refusal.Kind != oauth.Rejected {
		return false
	}
	vague := refusal.Trace.Status == http.StatusBadRequest || refusal.Trace.Status == http.StatusUnauthorized
	return refusal.Code == "invalid_client" || refusal.Code == "" && vague
}

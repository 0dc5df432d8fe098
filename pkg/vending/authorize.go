package vending

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// Delegated returns the declaration in force of a delegated connection, read
// past every cache, if r's caller may use it for r's subject. Every error is a
// *problem.Error.
func (c *Core) Delegated(ctx context.Context, r Request) (connection.Connection, error) {
	c.flushPending(ctx)
	conn, err := c.declarations.Load(ctx, r.Connection, true)
	if err == nil {
		err = r.access().PermitConsent(conn)
	}
	return conn, rules.Problem(err)
}

// Authorize exchanges the code of a consent and stores what it brings, over the
// grant that may have been there: that one is revoked afterwards. Nothing is
// sent before the result can be stored, and when anything fails the former
// grant goes on working. Every error is a *problem.Error, or Consume's.
func (c *Core) Authorize(ctx context.Context, a Authorization) error {
	key := tokenstore.Key{Connection: string(a.Connection.Name), Subject: string(a.Subject)}
	j := refreshJob{key: key, conn: a.Connection, code: &a}
	return explainInvalidGrant(c.adopt(ctx, &j, newGrant{before: a.Consume, scope: a.Scope}),
		"the provider says that the code has expired or was used; start again with POST …/authorization")
}

// Import stores a grant made elsewhere, once a refresh has proved that it lives.
// Every error is a *problem.Error.
func (c *Core) Import(ctx context.Context, i Import) error {
	conn, err := c.Delegated(ctx, i.Request)
	if err != nil {
		return err
	}
	scope := cmp.Or(i.Scope, conn.Scope)
	j := refreshJob{key: i.key(), conn: conn, grant: grant{refreshToken: i.RefreshToken, scope: scope}}
	return explainInvalidGrant(c.adopt(ctx, &j, newGrant{scope: scope, refreshToken: i.RefreshToken, expiresAt: i.ExpiresAt}),
		"the provider says that this refresh token is not valid for this client; nothing was stored")
}

// explainInvalidGrant tells invalid_grant in the words of what was tried: somebody has to
// consent, and nothing was stored.
func explainInvalidGrant(err error, detail string) error {
	var p *problem.Error
	if errors.As(err, &p) && p.Provider != nil && p.Provider.Error == rules.InvalidGrant {
		return &problem.Error{Code: problem.AuthorizationRequired, Detail: detail, Provider: p.Provider, Cause: p.Cause}
	}
	return err
}

// newGrant is how a new grant comes.
type newGrant struct {
	// before is called when everything is ready for the provider to be asked.
	before func(context.Context) error
	// scope is what was consented to.
	scope string
	// refreshToken is what an import brought, expiresAt its end; what the answer
	// brings replaces them.
	refreshToken redact.Secret
	expiresAt    time.Time
}

// adopt obtains a grant and stores it. The lease keeps refreshes of the former
// one out of the way meanwhile.
func (c *Core) adopt(ctx context.Context, j *refreshJob, a newGrant) error {
	c.flushPending(ctx)
	if err := c.prepare(ctx); err != nil {
		return err
	}
	item, owner, err := c.holdLease(ctx, j.key)
	if err != nil {
		return problem.Of(rules.Unavailable(err))
	}
	if err := c.reloadDeclaration(ctx, j); err != nil {
		c.release(ctx, item, owner)
		return problem.Of(err)
	}
	if a.alreadyStored(item, j.conn) {
		c.release(ctx, item, owner)
		return c.verifyStored(ctx, *j, item, a)
	}
	if a.before != nil {
		if err := a.before(ctx); err != nil {
			c.release(ctx, item, owner)
			return err
		}
	}
	m, err := c.mint(ctx, j)
	if err != nil {
		c.release(ctx, item, owner)
		if !a.imported() {
			c.revokeOrphan(ctx, j.conn, rules.ProviderError(err).RefreshToken)
		}
		return rules.ProviderProblem(err)
	}
	if m.RefreshToken == (redact.Secret{}) && !a.imported() {
		return rules.Problem(c.storeTokenOnly(ctx, *j, item, owner, m))
	}
	return rules.Problem(c.storeGrant(ctx, *j, item, owner, m, a))
}

// imported: the grant was made elsewhere. It may be an elder or a younger brother
// of the one that is stored, and to revoke one of a family ends all (RFC 7009
// §2.1): so nothing is revoked on its account.
func (a newGrant) imported() bool { return a.refreshToken != (redact.Secret{}) }

// alreadyStored reports whether what is brought is the very grant that item has.
func (a newGrant) alreadyStored(item tokenstore.Item, conn connection.Connection) bool {
	return a.imported() && rules.Fingerprint(a.refreshToken) == item.Grant.Fingerprint && declaration.GrantUsable(item.Grant, conn)
}

// reloadDeclaration makes the job go by the declaration in force, which may have changed
// while the lease was waited for. A code or a refresh token is still of use to
// the client that it was given to, and to no other.
func (c *Core) reloadDeclaration(ctx context.Context, j *refreshJob) error {
	current, err := c.declarations.Load(ctx, j.conn.Name, true)
	if err != nil {
		return err
	}
	if !j.stillFor(current) {
		return problem.New(problem.AuthorizationRequired, "connection "+string(j.conn.Name)+
			" has been declared anew meanwhile; start again with POST …/authorization")
	}
	j.conn = current
	return nil
}

// verifyStored proves that the grant of item lives, as any refresh does: under its
// mark and its fence. Adopting it would revoke it as the former one.
func (c *Core) verifyStored(ctx context.Context, j refreshJob, item tokenstore.Item, a newGrant) error {
	e, err := c.run(ctx, refreshJob{key: j.key, conn: j.conn, replaces: item.Token.ID, retryDeadGrant: true})
	if err == nil {
		err = c.amendStored(ctx, j, e.item, a)
	}
	if err != nil {
		return problem.Of(rules.Unavailable(flightProblem(err)))
	}
	return nil
}

// amendStored notes what an import says of a grant that was stored already, if
// the refresh token is still the imported one.
func (c *Core) amendStored(ctx context.Context, j refreshJob, item tokenstore.Item, a newGrant) error {
	if !a.alreadyStored(item, j.conn) {
		return nil
	}
	like := item.Grant
	like.ExpiresAt = cmp.Or(a.expiresAt, like.ExpiresAt)
	g, err := c.sealGrant(ctx, j.key, like, a.refreshToken, a.scope)
	if err != nil {
		return err
	}
	_, err = c.persist(ctx, pendingWrite{commit: &tokenstore.Commit{
		Key: j.key, Version: grantOnly, Consumed: item.Grant.Fingerprint, Grant: g, Now: c.clock.Now()}})
	rules.WarnOfEnd(ctx, g, c.clock.Now())
	return err
}

// revokeOrphan revokes a refresh token that cannot be kept: nobody would know of it.
func (c *Core) revokeOrphan(ctx context.Context, conn connection.Connection, token redact.Secret) {
	if token == (redact.Secret{}) {
		return
	}
	if err := c.revokeRefreshToken(ctx, conn, token); err != nil {
		audit.From(ctx).Warn(audit.RefreshTokenNotRevoked)
	}
}

// holdLease takes the lease of an item whose grant is to be replaced, after
// whoever is refreshing it.
func (c *Core) holdLease(ctx context.Context, key tokenstore.Key) (tokenstore.Item, string, error) {
	owner, err := c.random.Owner()
	if err != nil {
		return tokenstore.Item{}, "", err
	}
	for until := c.clock.Now().Add(waitBudget); ; {
		if rules.Remaining(ctx) < providerBudget+persistBudget {
			return tokenstore.Item{}, "", rules.InProgress("too little of the invocation's time is left to ask the provider")
		}
		item, err := c.store.Acquire(ctx, tokenstore.Acquire{Key: key, Owner: owner, Now: c.clock.Now(), TTL: leaseTTL})
		switch {
		case errors.Is(err, tokenstore.ErrGrantCorrupt):
			return item, "", rules.CorruptGrant(ctx, key, err)
		case !errors.Is(err, tokenstore.ErrHeld):
			return item, owner, err
		case !c.clock.Now().Before(until):
			return item, "", rules.InProgress("this token is being refreshed; ask again")
		}
		if err := c.clock.Wait(ctx, c.random.Jitter(leasePoll)); err != nil {
			return item, "", err
		}
	}
}

// leasePoll is the pause between looks at a lease that somebody else has.
const leasePoll = 200 * time.Millisecond

// storeGrant stores a new grant and its token, then revokes the grant that it
// replaced. The version fences the write; when others moved it on meanwhile the
// new consent still is the newer one.
func (c *Core) storeGrant(ctx context.Context, j refreshJob, item tokenstore.Item, owner string, m token.Issued, a newGrant) error {
	g, err := c.sealNewGrant(ctx, j, m, a)
	if err != nil {
		return err
	}
	stored, err := c.sealToken(ctx, j.key, m.Token)
	if err != nil {
		return err
	}
	adopt := tokenstore.StoreGrant{Key: j.key, Owner: owner, Version: item.Version, SecretIncarnation: m.SecretIncarnation, Token: stored,
		Grant: g, RenewSlot: rules.GrantSlot(j.key, j.conn, m.Token, g), Now: c.clock.Now()}
	adopted, err := c.persistGrant(ctx, j, item, &adopt, a)
	switch {
	case errors.Is(err, tokenstore.ErrSuperseded) && rules.SameConsent(adopted.Grant, g):
		c.rememberHolder(ctx, adopted) // it was stored, and refreshed before its own answer came
	case errors.Is(err, tokenstore.ErrSuperseded):
		if !a.imported() {
			c.revokeOrphan(ctx, j.conn, m.RefreshToken)
		}
		return rules.InProgress("the grant was changed by others while it was being stored; consent again")
	case err != nil:
		return rules.Unavailable(err)
	case adopt.Token.ID == "":
		if err := c.drop(ctx, adopted, j.conn.SecretVersion); err != nil {
			return err // the grant is stored; its next token waits for the table
		}
	default:
		c.memory.put(j.key, record{item: adopted, token: m.Token, readAt: c.clock.Now(), source: FromProvider})
	}
	rules.WarnOfEnd(ctx, g, c.clock.Now())
	if !a.imported() {
		c.revokeFormer(ctx, j.conn, item, g)
	}
	return nil
}

// persistGrant stores a new grant over what others may have made of the item
// meanwhile. But once it may have been stored, a version that moved may have
// moved over it: to write it again could bring back a refresh token that has
// been spent, or a grant that was disconnected.
//
// A consent that came meanwhile is the newer one, a disconnection the last word.
// Where a drop asks for another declaration, the grant is stored without the
// token that the former one minted.
func (c *Core) persistGrant(ctx context.Context, j refreshJob, was tokenstore.Item, adopt *tokenstore.StoreGrant, a newGrant) (adopted tokenstore.Item, err error) {
	for range attempts + 1 {
		adopted, err = c.persist(ctx, pendingWrite{adopt: adopt, imported: a.imported()})
		unchanged := rules.SameConsent(adopted.Grant, was.Grant) || adopted.Grant.Fingerprint == "" && was.Grant.Fingerprint == ""
		if !errors.Is(err, tokenstore.ErrSuperseded) || errors.Is(err, errUncertain) || !unchanged {
			break
		}
		adopt.Version = adopted.Version
		if adopted.RequiredSecretVersion == "" {
			continue
		}
		minted := j.conn.ConfigHash
		if c.reloadDeclaration(ctx, &j) != nil {
			break
		}
		if j.conn.ConfigHash != minted {
			adopt.Token, adopt.RenewSlot = tokenstore.SealedToken{}, rules.KeepAliveSlot(j.key, adopt.Grant)
		}
	}
	return adopted, err
}

// sealNewGrant is the stored form of the grant that m brought.
func (c *Core) sealNewGrant(ctx context.Context, j refreshJob, m token.Issued, a newGrant) (tokenstore.SealedGrant, error) {
	now := c.clock.Now()
	g := tokenstore.SealedGrant{SecretIncarnation: j.conn.SecretIncarnation, Client: declaration.ClientID(j.conn),
		ConsentedBy: m.ConsentedBy, ConsentedAt: now, RefreshedAt: now}
	token := m.RefreshToken
	if token == (redact.Secret{}) || token == a.refreshToken {
		token = a.refreshToken
		g.ExpiresAt = cmp.Or(m.RefreshExpiresAt, a.expiresAt) // how old it is, only the importer knows
	} else {
		g.ExpiresAt = rules.RefreshTokenEnd(j.conn, m)
	}
	return c.sealGrant(ctx, j.key, g, token, a.scope)
}

// storeTokenOnly stores the token of a consent that left no refresh token
// behind: it serves until it ends, and then somebody has to consent again. A
// grant that is there stays.
func (c *Core) storeTokenOnly(ctx context.Context, j refreshJob, item tokenstore.Item, owner string, m token.Issued) error {
	audit.From(ctx).Warn(audit.NoRefreshToken)
	stored, err := c.sealToken(ctx, j.key, m.Token)
	if err != nil {
		return err
	}
	commit := tokenstore.Commit{Key: j.key, Owner: owner, Version: item.Version, SecretIncarnation: m.SecretIncarnation, Token: stored,
		RenewSlot: rules.KeepAliveSlot(j.key, item.Grant), Now: c.clock.Now()}
	committed, err := c.persist(ctx, pendingWrite{commit: &commit})
	switch {
	case errors.Is(err, tokenstore.ErrSuperseded):
		c.release(ctx, item, owner)
		return rules.InProgress("the connection's token was changed by others while this one was being stored; consent again")
	case err != nil:
		return rules.Unavailable(err)
	}
	c.memory.put(j.key, record{item: committed, token: m.Token, readAt: c.clock.Now(), source: FromProvider})
	return nil
}

// revokeBudget bounds revoking what somebody else no longer waits for.
const revokeBudget = 3 * time.Second

// revokeFormer ends the grant that a new consent replaced, as well as it can be done.
func (c *Core) revokeFormer(ctx context.Context, conn connection.Connection, former tokenstore.Item, g tokenstore.SealedGrant) {
	if !declaration.GrantUsable(former.Grant, conn) || former.Grant.Fingerprint == g.Fingerprint {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, revokeBudget)
	defer cancel()
	old, err := c.openGrant(ctx, former)
	if err == nil {
		err = c.revokeRefreshToken(ctx, conn, old.refreshToken)
	}
	if err != nil {
		audit.From(ctx).Warn(audit.RefreshTokenNotRevoked)
	}
}

// revokeRefreshToken tells the provider that a grant is not wanted any more (RFC
// 7009 §2.1), where it has an endpoint for that.
func (c *Core) revokeRefreshToken(ctx context.Context, conn connection.Connection, token redact.Secret) error {
	if conn.RevocationURL == "" {
		return nil
	}
	return c.revoker.Revoke(ctx, oauth.Revocation{RevocationURL: conn.RevocationURL,
		Authentication: authentication(conn), Token: token, TokenTypeHint: "refresh_token"})
}

// Disconnect revokes a grant at the provider and forgets it, with its tokens.
// While the provider cannot be reached the grant stays, so that it can be tried
// again; one that refuses to revoke, or cannot, keeps nobody from forgetting.
// Every error is a *problem.Error.
func (c *Core) Disconnect(ctx context.Context, r Request) error {
	conn, err := c.Delegated(ctx, r)
	if err != nil {
		return err
	}
	key := r.key()
	if c.pending.has(key) {
		return problem.Of(rules.Unavailable(errPendingWrite))
	}
	item, err := c.store.Get(ctx, key, true)
	if err != nil && !errors.Is(err, tokenstore.ErrCorrupt) {
		return problem.Of(rules.Unavailable(err))
	}
	if err == nil {
		if err := c.revokeAtProvider(ctx, conn, item); err != nil {
			return problem.Of(err)
		}
	}
	before, err := c.dropItem(ctx, tokenstore.Drop{Key: key, RequiredSecretVersion: conn.SecretVersion, Grant: true})
	if err == nil {
		c.revokeFormer(ctx, conn, before, item.Grant) // a refresh may have replaced the one just revoked
	}
	return rules.Problem(err)
}

// revokeAtProvider revokes the refresh token of an item, if it has one that can be read.
func (c *Core) revokeAtProvider(ctx context.Context, conn connection.Connection, item tokenstore.Item) error {
	if !declaration.GrantUsable(item.Grant, conn) {
		return nil
	}
	g, err := c.openGrant(ctx, item)
	if problem.Is(err, problem.InternalError) {
		audit.From(ctx).Warn(audit.RefreshTokenNotRevoked)
		return nil
	}
	if err != nil {
		return err
	}
	err = c.revokeRefreshToken(ctx, conn, g.refreshToken)
	if err == nil {
		return nil
	}
	refusal := rules.ProviderError(err)
	note(&audit.From(ctx).Provider, refusal.Trace, string(rules.Code(refusal)))
	if refusal.Kind == oauth.Unavailable || refusal.Kind == oauth.Timeout {
		return rules.ProviderProblem(refusal)
	}
	audit.From(ctx).Warn(audit.RefreshTokenNotRevoked)
	return nil
}

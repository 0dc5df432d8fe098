package vending

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// grant is a stored grant, opened.
type grant struct {
	tokenstore.SealedGrant
	refreshToken redact.Secret
	// scope is what was consented to.
	scope string
}

// sealedGrant is what is sealed of a grant.
type sealedGrant struct {
	RefreshToken string `json:"r"`
	Scope        string `json:"s,omitempty"`
}

// fingerprint names a refresh token where it must not stand itself.
func fingerprint(refreshToken redact.Secret) string {
	sum := sha256.Sum256([]byte(refreshToken.Reveal()))
	return hex.EncodeToString(sum[:8])
}

// clientOf identifies whom a grant was given to: it survives every other edit of
// the declaration.
func clientOf(conn connection.Connection) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{conn.Provider, conn.TokenURL, conn.Issuer, conn.ClientID}, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// granted reports whether g can be used by conn: it is there, and was given to
// this very client.
func granted(g tokenstore.SealedGrant, conn connection.Connection) bool {
	return g.Fingerprint != "" && g.Client == clientOf(conn) && g.SecretIncarnation == conn.SecretIncarnation
}

// grantEnded reports whether the provider's word that the grant is dead stands: until
// somebody consents again, or changes what it was said to.
func grantEnded(item tokenstore.Item, conn connection.Connection, now time.Time) bool {
	return item.Failure.Code == string(problem.AuthorizationRequired) && active(item, conn, now)
}

// requireConsent refuses a connection whose user has to be asked (again).
func requireConsent(item tokenstore.Item, conn connection.Connection, now time.Time) error {
	name := string(conn.Name)
	if item.Key.Subject != "" {
		name += " for subject " + item.Key.Subject
	}
	switch {
	case item.Grant.Fingerprint == "":
		return problem.New(problem.AuthorizationRequired, "nobody has consented to connection "+name+" yet; start with POST …/authorization")
	case !granted(item.Grant, conn):
		return problem.New(problem.AuthorizationRequired, "the consent to connection "+name+
			" was given to another client: provider, token_url, issuer or client_id have changed since, or the secret was deleted and made again; "+
			"start anew with POST …/authorization")
	case grantEnded(item, conn, now):
		return remembered(item.Failure, now)
	}
	return nil
}

// grantIdentity binds a sealed refresh token to its item, attribute and generation.
func grantIdentity(key tokenstore.Key, generation string) []string {
	return []string{key.Connection, key.Subject, key.Variant, "grant", generation}
}

// openGrant unseals the refresh token of an item. One that is damaged is nobody's
// to overwrite: only a new consent replaces it (BI-72).
func (c *Core) openGrant(ctx context.Context, item tokenstore.Item) (grant, error) {
	plain, err := c.sealer.Open(ctx, item.Grant.Sealed, grantIdentity(item.Key, item.Grant.SecretIncarnation)...)
	if err != nil && !errors.Is(err, seal.ErrCorrupt) {
		return grant{}, &problem.Error{Code: problem.StoreUnavailable, Cause: err, RetryAfter: time.Second,
			Detail: "the keyset that opens the stored grant cannot be had"}
	}
	var s sealedGrant
	if err == nil {
		err = json.Unmarshal(plain, &s)
	}
	g := grant{SealedGrant: item.Grant, refreshToken: redact.New(s.RefreshToken), scope: s.Scope}
	if err == nil && fingerprint(g.refreshToken) != item.Grant.Fingerprint {
		err = fmt.Errorf("the sealed refresh token is not the one that its fingerprint names")
	}
	if err != nil {
		return grant{}, corruptGrant(ctx, item.Key, err)
	}
	return g, nil
}

// corruptGrant is what everybody gets who needs a grant that cannot be read.
func corruptGrant(ctx context.Context, key tokenstore.Key, cause error) error {
	audit.From(ctx).Warn(audit.GrantCorrupt)
	return &problem.Error{Code: problem.InternalError, Cause: cause,
		Detail: "the stored grant of connection " + key.Connection + " cannot be read and was left as it is; " +
			"restore the table or the keyset, or disconnect it with DELETE …/authorization and consent again"}
}

// sealGrant makes the stored form of a refresh token; what else is stored of the
// grant stands in like.
func (c *Core) sealGrant(ctx context.Context, key tokenstore.Key, like tokenstore.SealedGrant, refreshToken redact.Secret, scope string) (tokenstore.SealedGrant, error) {
	plain, err := json.Marshal(sealedGrant{RefreshToken: refreshToken.Reveal(), Scope: scope})
	if err != nil {
		return tokenstore.SealedGrant{}, fmt.Errorf("encode grant of %s: %w", key.Connection, err)
	}
	like.Fingerprint = fingerprint(refreshToken)
	if like.Sealed, err = c.sealer.Seal(ctx, plain, grantIdentity(key, like.SecretIncarnation)...); err != nil {
		return tokenstore.SealedGrant{}, fmt.Errorf("seal grant of %s: %w", key.Connection, err)
	}
	return like, nil
}

// renewed is g after a refresh brought m. A server that sends no refresh token
// keeps the old one in force (RFC 6749 §6), with the life that it had.
func (c *Core) renewed(ctx context.Context, key tokenstore.Key, g grant, conn connection.Connection, m token.Issued) (tokenstore.SealedGrant, error) {
	next, token := g.SealedGrant, g.refreshToken
	next.RefreshedAt = m.MintedAt
	rotated := m.RefreshToken.Reveal() != "" && m.RefreshToken != g.refreshToken
	if rotated {
		token, next.ExpiresAt = m.RefreshToken, endOf(conn, m)
	} else if !m.RefreshExpiresAt.IsZero() {
		next.ExpiresAt = m.RefreshExpiresAt
	}
	return c.sealGrant(ctx, key, next, token, g.scope)
}

// endOf is the end of a new refresh token: the server's word, or the provider's
// documented life, counted from before it was asked for; zero is unknown.
func endOf(conn connection.Connection, m token.Issued) time.Time {
	if !m.RefreshExpiresAt.IsZero() || conn.RefreshTokenExpiresIn == 0 {
		return m.RefreshExpiresAt
	}
	return m.MintedAt.Add(conn.RefreshTokenExpiresIn)
}

const (
	// keepAliveEvery is the longest that a refresh token goes unused.
	keepAliveEvery = 24 * time.Hour
	// warnEarly and warnLate are how long before its end a refresh token is warned of.
	warnEarly, warnLate = 7 * 24 * time.Hour, 24 * time.Hour
)

// keepAliveFor is how long a grant may go without a refresh: a day, or a quarter of
// its refresh token's life.
func keepAliveFor(g tokenstore.SealedGrant) time.Duration {
	if life := g.ExpiresAt.Sub(g.RefreshedAt); !g.ExpiresAt.IsZero() && life > 0 {
		return min(keepAliveEvery, life/4)
	}
	return keepAliveEvery
}

// warnOfEnd tells operators in time that somebody has to consent again.
func warnOfEnd(ctx context.Context, g tokenstore.SealedGrant, now time.Time) {
	switch left := g.ExpiresAt.Sub(now); {
	case g.ExpiresAt.IsZero() || left > warnEarly:
	case left > warnLate:
		audit.From(ctx).Warn(audit.GrantExpiresIn7Days)
	default:
		audit.From(ctx).Warn(audit.GrantExpiresIn1Day)
	}
}

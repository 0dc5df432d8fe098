package vending

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
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
	if err == nil && rules.Fingerprint(g.refreshToken) != item.Grant.Fingerprint {
		err = fmt.Errorf("the sealed refresh token is not the one that its fingerprint names")
	}
	if err != nil {
		return grant{}, rules.CorruptGrant(ctx, item.Key, err)
	}
	return g, nil
}

// sealGrant makes the stored form of a refresh token; what else is stored of the
// grant stands in like.
func (c *Core) sealGrant(ctx context.Context, key tokenstore.Key, like tokenstore.SealedGrant, refreshToken redact.Secret, scope string) (tokenstore.SealedGrant, error) {
	plain, err := json.Marshal(sealedGrant{RefreshToken: refreshToken.Reveal(), Scope: scope})
	if err != nil {
		return tokenstore.SealedGrant{}, fmt.Errorf("encode grant of %s: %w", key.Connection, err)
	}
	like.Fingerprint = rules.Fingerprint(refreshToken)
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
		token, next.ExpiresAt = m.RefreshToken, rules.RefreshTokenEnd(conn, m)
	} else if !m.RefreshExpiresAt.IsZero() {
		next.ExpiresAt = m.RefreshExpiresAt
	}
	return c.sealGrant(ctx, key, next, token, g.scope)
}

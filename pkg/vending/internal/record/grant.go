package record

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/declared"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// Grant is a stored grant, opened.
type Grant struct {
	tokenstore.SealedGrant
	// RefreshToken is empty where AccessToken, which has no end, is the grant.
	RefreshToken, AccessToken redact.Secret
	// Departures are those of the response with AccessToken.
	Departures []string
	// Scope is the scope that was consented to, and Granted the one that the
	// provider stated last: it holds for a refresh that states none.
	Scope, Granted string
	// Extra is what callers get besides the token. A value stays until a response has
	// another one: some come with the consent only.
	Extra extra.Values
}

// sealedGrant is the sealed part of a grant.
type sealedGrant struct {
	RefreshToken string       `json:"r"`
	AccessToken  string       `json:"t,omitempty"`
	Scope        string       `json:"s,omitempty"`
	Granted      string       `json:"g,omitempty"` // where it differs from Scope
	Extra        extra.Values `json:"x,omitempty"`
	Departures   []string     `json:"d,omitempty"`
	// Bound and ConsentedAt (epoch milliseconds) must equal the item's attributes. The
	// release before this one does not seal them.
	Bound       string `json:"b,omitempty"`
	ConsentedAt int64  `json:"a,omitempty"`
}

// matches reports whether the attributes beside s are those that it was sealed with.
func (s sealedGrant) matches(g tokenstore.SealedGrant) bool {
	return s.Bound == "" || s.Bound == g.Bound && s.ConsentedAt == g.ConsentedAt.UnixMilli()
}

// grantIdentity binds a sealed refresh token to its item, attribute and secret.
func grantIdentity(key tokenstore.Key, incarnation string) []string {
	return []string{key.Connection, key.Subject, key.Variant, "grant", incarnation}
}

// credential is what the grant consists of.
func (g Grant) credential() redact.Secret {
	if !g.AccessToken.IsZero() {
		return g.AccessToken
	}
	return g.RefreshToken
}

// OpenGrant opens the grant of an item. A damaged one is left as it is:
// only a new consent replaces it (BI-72).
func (r *Records) OpenGrant(ctx context.Context, item tokenstore.Item) (Grant, error) {
	plain, err := r.sealer.Open(ctx, item.Grant.Sealed, grantIdentity(item.Key, item.Grant.SecretIncarnation)...)
	if err != nil && !errors.Is(err, seal.ErrCorrupt) {
		return Grant{}, rules.KeysetUnavailable(err)
	}
	var s sealedGrant
	if err == nil {
		err = json.Unmarshal(plain, &s)
	}
	g := Grant{SealedGrant: item.Grant, RefreshToken: redact.New(s.RefreshToken), AccessToken: redact.New(s.AccessToken),
		Scope: s.Scope, Granted: cmp.Or(s.Granted, s.Scope), Extra: s.Extra, Departures: s.Departures}
	if err == nil && (rules.Fingerprint(g.credential()) != item.Grant.Fingerprint || g.AccessToken.IsZero() == item.Grant.IsAccessToken()) {
		err = fmt.Errorf("the sealed grant does not match its fingerprint")
	}
	if err == nil && !s.matches(item.Grant) {
		err = fmt.Errorf("the grant's attributes are not those that it was sealed with")
	}
	if err != nil {
		return Grant{}, rules.CorruptGrant(ctx, item.Key, err)
	}
	return g, nil
}

// SealGrant makes the stored form of g: its token and scope are sealed,
// the fingerprint follows, the rest stays as it is.
func (r *Records) SealGrant(ctx context.Context, key tokenstore.Key, g Grant) (tokenstore.SealedGrant, error) {
	s := sealedGrant{RefreshToken: g.RefreshToken.Reveal(), AccessToken: g.AccessToken.Reveal(), Scope: g.Scope, Extra: g.Extra,
		Departures: g.Departures, Bound: g.Bound, ConsentedAt: g.ConsentedAt.UnixMilli()}
	if g.Granted != g.Scope {
		s.Granted = g.Granted
	}
	plain, err := json.Marshal(s)
	if err != nil {
		return tokenstore.SealedGrant{}, fmt.Errorf("encode grant of %s: %w", key.Connection, err)
	}
	sealed := g.SealedGrant
	sealed.Fingerprint = rules.Fingerprint(g.credential())
	if sealed.Sealed, err = r.sealer.Seal(ctx, plain, grantIdentity(key, sealed.SecretIncarnation)...); err != nil {
		return tokenstore.SealedGrant{}, fmt.Errorf("seal grant of %s: %w", key.Connection, err)
	}
	return sealed, nil
}

// Token is the access token of a grant that is one, under the declaration in force. A
// changed declaration ends no such grant, so its token copies the current mint id.
func (g Grant) Token(conn declared.InForce) token.Token {
	return token.Token{
		AccessToken: g.AccessToken, ID: g.Fingerprint, Scope: g.Granted, AskedScope: g.Scope, MintedAt: g.ConsentedAt,
		EarlyRefresh: conn.EarlyRefresh, Callers: conn.Callers, Departures: g.Departures, Extra: g.Extra,
		MintID: conn.Record.MintID, ConfigHash: conn.ConfigHash, SecretVersion: conn.SecretVersion, SecretIncarnation: conn.SecretIncarnation,
	}
}

// Refreshed is g after a refresh issued t. A server that sends no refresh token
// keeps the old one in force (RFC 6749 §6), with its former end.
func (g Grant) Refreshed(conn connection.Connection, t token.Issued) Grant {
	g.RefreshedAt, g.Granted, g.Extra = t.MintedAt, cmp.Or(t.Scope, g.Granted), g.Extra.Over(t.Extra)
	g.Client, g.Bound = declaration.ClientID(conn), declaration.BoundClient(conn)
	switch {
	case !t.RefreshToken.IsZero() && t.RefreshToken != g.RefreshToken:
		g.RefreshToken, g.ExpiresAt = t.RefreshToken, rules.RefreshTokenExpiry(conn, t)
	case !t.RefreshExpiresAt.IsZero():
		g.ExpiresAt = t.RefreshExpiresAt
	}
	return g
}

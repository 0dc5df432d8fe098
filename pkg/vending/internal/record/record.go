package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// cacheAge is how long a cached token is served without reading the table. It
// bounds how long a rejection or a drop elsewhere goes unnoticed here.
const cacheAge = 10 * time.Second

// Record is an item with its token opened. The zero token means that there is
// none.
type Record struct {
	Item   tokenstore.Item
	Token  token.Token
	Source token.Source

	readAt time.Time
	// unstored: the table has not accepted the token. Only this process has it,
	// and the slot that it belongs to.
	unstored bool
	slot     string
	// corrupt: the table has an item that cannot be decoded.
	corrupt bool
}

// Missing reports whether the table has no item, so that there is nothing to
// delete and no holder to fence.
func (r Record) Missing() bool {
	item := r.Item
	return !r.corrupt && item.Version == 0 && item.Lease.Seq == 0 && len(item.Variants) == 0
}

// WithoutToken is a record whose token is not to be served.
func (r Record) WithoutToken() Record {
	r.Token = token.Token{}
	return r
}

// fresh is false for a record from the future: a clock that was set back makes
// no record younger. A token that its successor revokes is read each time.
func (r Record) fresh(now time.Time) bool {
	age := now.Sub(r.readAt)
	return age >= 0 && age < cacheAge && !r.Token.RevokedByNext
}

// newerThan reports whether a token that the table has not accepted is still the
// newest: nothing was stored or dropped since it was minted. A scope variant's
// is not kept beyond cacheAge, because no drop reaches one that is not listed.
func (r Record) newerThan(found Record) bool {
	return r.unstored && r.Item.Key.Variant == "" && found.Item.Version <= r.Item.Version
}

// sealedToken is the sealed part of a token. Names are short because items are
// billed by size.
type sealedToken struct {
	AccessToken string `json:"t"`
	Scope       string `json:"s,omitempty"`
	AskedScope  string `json:"q,omitempty"`
	MintedAt    int64  `json:"m"` // epoch milliseconds, as ExpiresAt
	ExpiresAt   int64  `json:"e"` // tokenstore.NoEnd without an end
	Assumed     bool   `json:"a,omitempty"`
	NoEarly     bool   `json:"n,omitempty"`
	Revoked     bool   `json:"v,omitempty"` // RevokedByNext
	// Callers are read by the release before this one; here the record decides.
	Callers connection.Callers `json:"c,omitempty"`
	Extra   extra.Values       `json:"x,omitempty"`
	// MintID must equal the item's attribute, and Bound and ConsentedAt (epoch
	// milliseconds) those of its grant. The release before this one does not seal them.
	MintID      string `json:"d,omitempty"`
	Bound       string `json:"b,omitempty"`
	ConsentedAt int64  `json:"o,omitempty"`
}

// matches reports whether the attributes beside s are those that it was sealed with.
func (s sealedToken) matches(item tokenstore.Item) bool {
	g := item.Grant
	return (s.MintID == "" || s.MintID == item.Token.MintID) && (s.Bound == "" || s.Bound == g.Bound) &&
		(s.ConsentedAt == 0 || g.Fingerprint != "" && s.ConsentedAt == g.ConsentedAt.UnixMilli())
}

// Open opens the token of an item and remembers nothing. A token that is damaged
// or sealed for another item is a miss. Without the keyset it is an error.
func (r *Records) Open(ctx context.Context, item tokenstore.Item) (Record, error) {
	rec := Record{Item: item, readAt: r.clock.Now(), Source: token.FromTable}
	if len(item.Token.Sealed) == 0 {
		return rec, nil
	}
	plain, err := r.sealer.Open(ctx, item.Token.Sealed, tokenIdentity(item.Key, item.SecretIncarnation)...)
	if err == nil {
		rec.Token, err = decodeToken(plain, item)
	} else if !errors.Is(err, seal.ErrCorrupt) {
		return Record{}, rules.KeysetUnavailable(err)
	}
	if err != nil {
		audit.From(ctx).Warn(audit.SealedTokenCorrupt)
	}
	return rec, nil
}

// tokenIdentity binds a sealed token to its item, attribute and secret.
func tokenIdentity(key tokenstore.Key, incarnation string) []string {
	return []string{key.Connection, key.Subject, key.Variant, "token", incarnation}
}

func decodeToken(plain []byte, item tokenstore.Item) (token.Token, error) {
	var s sealedToken
	if err := json.Unmarshal(plain, &s); err != nil || s.AccessToken == "" {
		return token.Token{}, fmt.Errorf("decode sealed token of %s", item.Key.Connection)
	}
	if !s.matches(item) {
		return token.Token{}, fmt.Errorf("the attributes of %s are not those that its token was sealed with", item.Key.Connection)
	}
	expiresAt := time.UnixMilli(s.ExpiresAt).UTC()
	if expiresAt.Equal(tokenstore.NoEnd) {
		expiresAt = time.Time{}
	}
	return token.Token{
		AccessToken: redact.New(s.AccessToken), ID: item.Token.ID, Scope: s.Scope, AskedScope: s.AskedScope,
		MintedAt: time.UnixMilli(s.MintedAt).UTC(), ExpiresAt: expiresAt,
		ExpiresInAssumed: s.Assumed, EarlyRefresh: !s.NoEarly, RevokedByNext: s.Revoked, Callers: s.Callers,
		MintID: s.MintID, ConfigHash: item.Token.ConfigHash, SecretVersion: item.Token.SecretVersion, SecretIncarnation: item.SecretIncarnation,
		Departures: item.Token.Departures, Extra: s.Extra,
	}, nil
}

// SealToken turns a token into its stored form. g is the grant that is stored with it;
// zero is none.
func (r *Records) SealToken(ctx context.Context, key tokenstore.Key, t token.Token, g tokenstore.SealedGrant) (tokenstore.SealedToken, error) {
	s := sealedToken{
		AccessToken: t.AccessToken.Reveal(), Scope: t.Scope, AskedScope: t.AskedScope,
		MintedAt: t.MintedAt.UnixMilli(), ExpiresAt: t.End().UnixMilli(),
		Assumed: t.ExpiresInAssumed, NoEarly: !t.EarlyRefresh, Revoked: t.RevokedByNext, Callers: t.Callers, MintID: t.MintID,
		Extra: t.Extra, Bound: g.Bound,
	}
	if g.Fingerprint != "" {
		s.ConsentedAt = g.ConsentedAt.UnixMilli()
	}
	plain, err := json.Marshal(s)
	if err != nil {
		return tokenstore.SealedToken{}, fmt.Errorf("encode token of %s: %w", key.Connection, err)
	}
	sealed, err := r.sealer.Seal(ctx, plain, tokenIdentity(key, t.SecretIncarnation)...)
	if err != nil {
		return tokenstore.SealedToken{}, fmt.Errorf("seal token of %s: %w", key.Connection, err)
	}
	return tokenstore.SealedToken{ID: t.ID, Sealed: sealed, MintedAt: t.MintedAt, ExpiresAt: t.End(), MintID: t.MintID,
		ConfigHash: t.ConfigHash, SecretVersion: t.SecretVersion, Departures: t.Departures, ExtraNames: t.Extra.Names()}, nil
}

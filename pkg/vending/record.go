package vending

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// memoryAge is how long a remembered token is served without looking at the
// table. It bounds how long a rejection or a drop elsewhere goes unnoticed here.
const memoryAge = 10 * time.Second

// record is an item with its token opened. The zero token means that there is none.
type record struct {
	item   tokenstore.Item
	token  Token
	readAt time.Time
	source Source
	// unstored: the table did not take the token; this process alone has it, and
	// knows the slot that it belongs to.
	unstored bool
	slot     string
}

func (e record) fresh(now time.Time) bool {
	age := now.Sub(e.readAt)
	return age >= 0 && age < memoryAge // a clock set back makes nothing younger
}

// sealedToken is what is sealed of a token. Short names: items are billed by size.
type sealedToken struct {
	AccessToken string             `json:"t"`
	Scope       string             `json:"s,omitempty"`
	AskedScope  string             `json:"q,omitempty"`
	MintedAt    int64              `json:"m"` // epoch milliseconds, as ExpiresAt
	ExpiresAt   int64              `json:"e"`
	Assumed     bool               `json:"a,omitempty"`
	NoEarly     bool               `json:"n,omitempty"`
	Callers     connection.Callers `json:"c,omitempty"`
}

// lookup finds the token of key in memory or in the table. An error is
// tokenstore.ErrUnavailable when the table cannot be had and memory has nothing
// valid, else a *problem.Error.
func (c *Core) lookup(ctx context.Context, key tokenstore.Key) (record, Source, error) {
	now := c.clock.Now()
	known, ok := c.memory.get(key)
	valid := ok && known.token.Valid(now)
	if valid && known.fresh(now) {
		return known, FromMemory, nil
	}
	e, err := c.readShared(ctx, key, valid)
	if err == nil && ok && e.item.Version < known.item.Version {
		e, err = c.read(ctx, key, true) // a stale replica answered
	}
	if valid && err == nil && known.newerThan(e) {
		if known = c.storeLate(ctx, known, e.item.Version); known.token.Valid(now) {
			return known, FromMemory, nil
		}
		return e, FromTable, nil
	}
	if valid && err != nil {
		audit.From(ctx).Warn(audit.StoreUnavailable)
		return known, FromMemory, nil
	}
	return e, FromTable, err
}

// newerThan reports whether a token that the table did not take is still the best
// there is: nothing was stored or dropped since it was minted. A scope variant's
// is not kept beyond memoryAge: no drop would reach one that is not listed.
func (e record) newerThan(found record) bool {
	return e.unstored && e.item.Key.Variant == "" && found.item.Version <= e.item.Version
}

// staleReadBudget bounds the look at the table of a caller who could be served from
// memory: some fifty times what the table takes.
const staleReadBudget = 500 * time.Millisecond

func (c *Core) readShared(ctx context.Context, key tokenstore.Key, valid bool) (record, error) {
	if valid {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, staleReadBudget)
		defer cancel()
	}
	return c.memory.reads.do(ctx, key, c.clock.Now(), func(ctx context.Context) (record, error) { return c.read(ctx, key, false) })
}

// read reads and opens one item, and remembers it. What an eventually consistent
// read found does not overrule a newer version that is known.
func (c *Core) read(ctx context.Context, key tokenstore.Key, consistent bool) (record, error) {
	item, err := c.store.Get(ctx, key, consistent)
	if errors.Is(err, tokenstore.ErrGrantCorrupt) {
		return record{}, rules.CorruptGrant(ctx, key, err)
	}
	if errors.Is(err, tokenstore.ErrCorrupt) {
		audit.From(ctx).Warn(audit.ItemCorrupt)
		return record{item: tokenstore.Item{Key: key}}, nil
	}
	if err != nil {
		return record{}, err
	}
	e, err := c.open(ctx, item)
	switch {
	case err != nil:
	case consistent:
		c.memory.put(key, e)
	default:
		c.memory.putIfNewer(key, e)
	}
	return e, err
}

// open unseals the token of an item. What is damaged or belongs elsewhere is a
// miss; what cannot be opened for want of the keyset is not.
func (c *Core) open(ctx context.Context, item tokenstore.Item) (record, error) {
	e := record{item: item, readAt: c.clock.Now(), source: FromTable}
	if len(item.Token.Sealed) == 0 {
		return e, nil
	}
	plain, err := c.sealer.Open(ctx, item.Token.Sealed, associated(item.Key, item.SecretIncarnation)...)
	if err == nil {
		e.token, err = decodeToken(plain, item)
	} else if !errors.Is(err, seal.ErrCorrupt) {
		return record{}, &problem.Error{Code: problem.StoreUnavailable, Cause: err, RetryAfter: time.Second,
			Detail: "the keyset that opens stored tokens cannot be had"}
	}
	if err != nil {
		audit.From(ctx).Warn(audit.SealedTokenCorrupt)
	}
	return e, nil
}

// associated binds a sealed token to its item, attribute and generation.
func associated(key tokenstore.Key, generation string) []string {
	return []string{key.Connection, key.Subject, key.Variant, "token", generation}
}

func decodeToken(plain []byte, item tokenstore.Item) (Token, error) {
	var s sealedToken
	if err := json.Unmarshal(plain, &s); err != nil || s.AccessToken == "" {
		return Token{}, fmt.Errorf("decode sealed token of %s", item.Key.Connection)
	}
	return Token{
		AccessToken: redact.New(s.AccessToken), ID: item.Token.ID, Scope: s.Scope, AskedScope: s.AskedScope,
		MintedAt: time.UnixMilli(s.MintedAt).UTC(), ExpiresAt: time.UnixMilli(s.ExpiresAt).UTC(),
		ExpiresInAssumed: s.Assumed, EarlyRefresh: !s.NoEarly, Callers: s.Callers,
		ConfigHash: item.Token.ConfigHash, SecretVersion: item.Token.SecretVersion, SecretIncarnation: item.SecretIncarnation,
	}, nil
}

// sealToken turns a token into its stored form.
func (c *Core) sealToken(ctx context.Context, key tokenstore.Key, t Token) (tokenstore.SealedToken, error) {
	plain, err := json.Marshal(sealedToken{
		AccessToken: t.AccessToken.Reveal(), Scope: t.Scope, AskedScope: t.AskedScope,
		MintedAt: t.MintedAt.UnixMilli(), ExpiresAt: t.ExpiresAt.UnixMilli(),
		Assumed: t.ExpiresInAssumed, NoEarly: !t.EarlyRefresh, Callers: t.Callers,
	})
	if err != nil {
		return tokenstore.SealedToken{}, fmt.Errorf("encode token of %s: %w", key.Connection, err)
	}
	sealed, err := c.sealer.Seal(ctx, plain, associated(key, t.SecretIncarnation)...)
	if err != nil {
		return tokenstore.SealedToken{}, fmt.Errorf("seal token of %s: %w", key.Connection, err)
	}
	return tokenstore.SealedToken{ID: t.ID, Sealed: sealed, MintedAt: t.MintedAt, ExpiresAt: t.ExpiresAt,
		ConfigHash: t.ConfigHash, SecretVersion: t.SecretVersion}, nil
}

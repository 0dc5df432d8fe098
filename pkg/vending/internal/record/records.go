package record

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/flight"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/declared"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// Store is what records need of the token store; vending.Store describes it.
type Store interface {
	Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error)
	GetWithDeclaration(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, tokenstore.DeclarationRecord, error)
	Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error)
	StoreGrant(ctx context.Context, g tokenstore.StoreGrant) (tokenstore.Item, error)
	Drop(ctx context.Context, d tokenstore.Drop) (tokenstore.Item, error)
	MarkUsed(ctx context.Context, key tokenstore.Key, version int64) error
}

// Sealer protects what is stored; vending.Sealer describes it.
type Sealer interface {
	Prefetch(ctx context.Context) error
	Seal(ctx context.Context, plaintext []byte, ad ...string) ([]byte, error)
	Open(ctx context.Context, sealed []byte, ad ...string) ([]byte, error)
}

// Config configures Records.
type Config struct {
	Store  Store
	Sealer Sealer
	Clock  rules.Clock
	Random rules.Random
	// Declared decides which tokens are served. One that the table has not accepted is
	// kept only while it is among them.
	Declared *declared.Declarations
}

// Records reads and writes opened items. It is safe for concurrent use.
type Records struct {
	store    Store
	sealer   Sealer
	clock    rules.Clock
	random   rules.Random
	declared *declared.Declarations

	cache cache
	// reads are shared by concurrent callers. One that started before this
	// process was frozen is not joined: its result predates the freeze.
	reads   flight.Group[tokenstore.Key, Found]
	late    rules.Throttle
	pending pendingWrites
}

const (
	// joinableRead is the age at which a read is no longer joined.
	joinableRead = time.Second
	// lateStoreEvery bounds how often an unstored token is offered to the table.
	lateStoreEvery = 5 * time.Second
	// staleReadBudget bounds the read for a caller who could be served from the
	// cache: some fifty times what the table takes.
	staleReadBudget = 500 * time.Millisecond
)

// New returns Records with an empty cache.
func New(c Config) *Records {
	return &Records{
		store: c.Store, sealer: c.Sealer, clock: c.Clock, random: c.Random, declared: c.Declared,
		reads: flight.Group[tokenstore.Key, Found]{MaxAge: joinableRead, Now: c.Clock.Now},
		late:  rules.Throttle{Every: lateStoreEvery},
	}
}

// Found is a record with the declaration record that decides about it.
type Found struct {
	Record
	// Declared is zero where the connection has none. Unknown: the table does not
	// answer, and none is remembered.
	Declared declaration.Record
	Unknown  bool
}

// Lookup finds the token of key and its declaration record in the cache or in the
// table. An error is tokenstore.ErrUnavailable when the table does not answer and the
// cache has no valid token, else a *problem.Error.
func (r *Records) Lookup(ctx context.Context, key tokenstore.Key) (Found, error) {
	now, name := r.clock.Now(), connection.Name(key.Connection)
	known, ok := r.cache.get(key)
	known.Source = token.FromMemory
	valid := ok && known.Token.Valid(now)
	if valid && known.fresh(now) {
		if d, remembered := r.declared.Remembered(name); remembered {
			return Found{Record: known, Declared: d}, nil
		}
	}
	found, err := r.getShared(ctx, key, valid)
	if err == nil && ok && found.Item.Version < known.Item.Version {
		found, err = r.Find(ctx, key, true) // a stale replica answered
	}
	if valid && err == nil && known.newerThan(found.Record) {
		if known = r.storeLate(ctx, known, found.Item.Version); known.Token.Valid(now) {
			found.Record = known
		}
		return found, nil
	}
	if valid && err != nil {
		audit.From(ctx).Warn(audit.StoreUnavailable)
		d, isKnown := r.declared.LastKnown(name)
		return Found{Record: known, Declared: d, Unknown: !isKnown}, nil
	}
	return found, err
}

// getShared joins the read of another caller, if there is one. A caller whose
// leader failed reads for itself, because its own deadline may be later; not from a
// throttled table, which would get a request from each.
func (r *Records) getShared(ctx context.Context, key tokenstore.Key, valid bool) (Found, error) {
	if valid {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, staleReadBudget)
		defer cancel()
	}
	entry := new(audit.Entry)
	found, led, err := r.reads.Do(ctx, key, func(ctx context.Context) (Found, error) {
		return r.Visit(audit.With(ctx, entry), key)
	})
	switch {
	case led:
		audit.From(ctx).Merge(entry)
		return found, err
	case err == nil, errors.Is(err, tokenstore.ErrThrottled):
		return found, err
	case ctx.Err() != nil:
		return Found{}, fmt.Errorf("%w: %w", tokenstore.ErrUnavailable, ctx.Err())
	}
	return r.Visit(ctx, key)
}

// Peek reads one item without a token, eventually consistent, and joins the read of
// another caller.
func (r *Records) Peek(ctx context.Context, key tokenstore.Key) (Record, error) {
	found, _, err := r.reads.Do(ctx, key, func(ctx context.Context) (Found, error) {
		rec, err := r.Get(ctx, key, false)
		return Found{Record: rec}, err
	})
	return found.Record, err
}

// Visit reads one item, eventually consistent, and the declaration record with it
// unless that is remembered.
func (r *Records) Visit(ctx context.Context, key tokenstore.Key) (Found, error) {
	d, remembered := r.declared.Remembered(connection.Name(key.Connection))
	if !remembered {
		return r.Find(ctx, key, false)
	}
	rec, err := r.Get(ctx, key, false)
	return Found{Record: rec, Declared: d}, err
}

// Find reads one item and its declaration record at once; see Get.
func (r *Records) Find(ctx context.Context, key tokenstore.Key, consistent bool) (Found, error) {
	at, name := r.clock.Now(), connection.Name(key.Connection)
	item, stored, err := r.store.GetWithDeclaration(ctx, key, consistent)
	rec, err := r.opened(ctx, key, item, err, consistent)
	if err != nil {
		return Found{}, err
	}
	found := Found{Record: rec}
	if !consistent && r.declared.Behind(name, stored.Version) {
		found.Declared, err = r.declared.Read(ctx, name) // a stale replica answered
	} else {
		found.Declared, err = r.declared.Take(ctx, stored, at)
	}
	return found, err
}

// Get reads and opens one item, and remembers it. The result of an eventually
// consistent read does not replace a newer version that is known. An item that
// cannot be decoded is a miss, unless it contains a grant.
func (r *Records) Get(ctx context.Context, key tokenstore.Key, consistent bool) (Record, error) {
	item, err := r.store.Get(ctx, key, consistent)
	return r.opened(ctx, key, item, err, consistent)
}

// opened is the result of reading an item, or of the error that came instead.
func (r *Records) opened(ctx context.Context, key tokenstore.Key, item tokenstore.Item, err error, consistent bool) (Record, error) {
	if errors.Is(err, tokenstore.ErrGrantCorrupt) {
		return Record{}, rules.CorruptGrant(ctx, key, err)
	}
	if errors.Is(err, tokenstore.ErrCorrupt) {
		audit.From(ctx).Warn(audit.ItemCorrupt)
		return Record{Item: tokenstore.Item{Key: key}, corrupt: true}, nil
	}
	if err != nil {
		return Record{}, err
	}
	rec, err := r.Open(ctx, item)
	switch {
	case err != nil:
	case consistent:
		r.cache.put(rec)
	default:
		r.cache.putIfNewer(rec)
	}
	return rec, err
}

// Accept opens an item that a write has returned, and remembers it.
func (r *Records) Accept(ctx context.Context, item tokenstore.Item) (Record, error) {
	rec, err := r.Open(ctx, item)
	if err == nil {
		r.cache.put(rec)
	}
	return rec, err
}

// Update returns rec with the item that a write has made of it, and remembers it.
func (r *Records) Update(rec Record, item tokenstore.Item) Record {
	rec.Item = item
	r.cache.put(rec)
	return rec
}

// Issued remembers a token that was just issued and stored as item.
func (r *Records) Issued(item tokenstore.Item, t token.Token) Record {
	rec := Record{Item: item, Token: t, readAt: r.clock.Now(), Source: token.FromProvider}
	r.cache.put(rec)
	return rec
}

// IssuedUnstored remembers a token that the table has not accepted. It is valid
// nevertheless, and belongs to slot when it has been stored.
func (r *Records) IssuedUnstored(item tokenstore.Item, t token.Token, slot string) Record {
	rec := Record{Item: item, Token: t, readAt: r.clock.Now(), Source: token.FromProvider, unstored: true, slot: slot}
	r.cache.put(rec)
	return rec
}

// KnownVersion is the version of key that this process has seen last.
func (r *Records) KnownVersion(key tokenstore.Key) int64 {
	known, _ := r.cache.get(key)
	return known.Item.Version
}

// MarkUsed records once per token that a caller uses it, so that only such
// tokens are renewed ahead. A mark that is not written costs one such renewal.
func (r *Records) MarkUsed(ctx context.Context, rec Record) {
	if rec.Item.Used {
		return
	}
	rec.Item.Used = true
	r.cache.put(rec)
	if err := r.store.MarkUsed(ctx, rec.Item.Key, rec.Item.Version); err != nil {
		audit.From(ctx).Warn(audit.InUseMarkNotWritten)
	}
}

// Prepare makes sure, before the provider is asked, that its answer can be sealed.
func (r *Records) Prepare(ctx context.Context) error {
	if err := r.sealer.Prefetch(ctx); err != nil {
		return rules.KeysetUnavailable(err)
	}
	return nil
}

package vending_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// table is the table that the processes of a scheduler share, with its observer.
type table struct {
	*scheduler
	store    vending.Store // what processes use: the true store, or a broken one
	truth    *memory.Store // what is stored
	past     *replicas     // what replicas may still answer
	observer observer
	// oldest, when set, is the age at which a delayed acquisition is refused. A store
	// decides by the asker's clock whether a lease is absurdly far ahead, so a request
	// older than ten minutes would take over a valid lease.
	oldest time.Duration
}

// observer checks every call of the table. An error is the table's result.
type observer interface {
	acquired(op *operation, a tokenstore.Acquire, before tokenstore.Item, err error)
	committed(c tokenstore.Commit, before tokenstore.Item, err error)
	adopted(a tokenstore.StoreGrant, before tokenstore.Item, err error)
	failed(f tokenstore.Fail)
	released(r tokenstore.Release)
	rejected()
	dropped(d tokenstore.Drop, before tokenstore.Item)
	// changed is called for every call, with the item before and after it.
	changed(what string, before, after tokenstore.Item)
	// callFailed: a caller does not know the outcome of its call.
	callFailed(op *operation)
}

func newTable(s *scheduler) *table {
	t := &table{scheduler: s, truth: memory.New()}
	t.store, t.past = t.truth, &replicas{t: t, past: map[tokenstore.Key][]snapshot{}, records: map[string][]recordSnapshot{}}
	return t
}

// stored is the item as it is stored.
func (t *table) stored(key tokenstore.Key) tokenstore.Item {
	item, err := t.truth.Get(context.Background(), key, true)
	if err != nil {
		panic(err) // the memory store fails for an ended context only
	}
	return item
}

// tablePort is the table as one process reaches it.
type tablePort struct{ *table }

func (p *tablePort) Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error) {
	if item := p.stored(key); outageItem(key) && item.Failure.Count == 0 {
		return item, nil // not worth a gate: it would only thin out what the scripts are about
	}
	what := "read"
	if consistent {
		what = "read consistently"
	}
	item, err := tableCall(ctx, p.table, what, key, func(v outcome) (tokenstore.Item, error) {
		if v == outdated && !consistent {
			return p.past.oldest(key), nil
		}
		return p.store.Get(ctx, key, consistent)
	})
	if err == nil && !outageItem(key) {
		operationOf(ctx).read = item.Token.ID
	}
	return item, err
}

// outageItem reports whether key is that of an item without a token, which records
// that a provider does not answer.
func outageItem(key tokenstore.Key) bool { return key.Variant == "provider" }

func (p *tablePort) GetWithDeclaration(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, tokenstore.DeclarationRecord, error) {
	what := "read with declaration"
	if consistent {
		what += " consistently"
	}
	type both struct {
		item   tokenstore.Item
		record tokenstore.DeclarationRecord
	}
	found, err := tableCall(ctx, p.table, what, key, func(v outcome) (found both, err error) {
		if v == outdated && !consistent {
			return both{p.past.oldest(key), p.past.oldestRecord(key.Connection)}, nil
		}
		found.item, found.record, err = p.store.GetWithDeclaration(ctx, key, consistent)
		return found, err
	})
	if err == nil {
		operationOf(ctx).read = found.item.Token.ID
	}
	return found.item, found.record, err
}

func (p *tablePort) ReadDeclarations(ctx context.Context, connections []string, consistent bool) ([]tokenstore.DeclarationRecord, error) {
	return tableCall(ctx, p.table, "read declaration", tokenstore.Key{Connection: connections[0]}, func(outcome) ([]tokenstore.DeclarationRecord, error) {
		return p.store.ReadDeclarations(ctx, connections, consistent)
	})
}

func (p *tablePort) WriteDeclaration(ctx context.Context, d tokenstore.DeclarationRecord) (tokenstore.DeclarationRecord, error) {
	return tableCall(ctx, p.table, "write declaration", tokenstore.Key{Connection: d.Connection}, func(outcome) (tokenstore.DeclarationRecord, error) {
		written, err := p.store.WriteDeclaration(detached(ctx), d)
		p.past.rememberRecord(d.Connection)
		return written, err
	})
}

func (p *tablePort) Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error) {
	began := p.time()
	item, err := tableCall(ctx, p.table, "acquire", a.Key, func(outcome) (tokenstore.Item, error) {
		if p.oldest > 0 && p.time().Sub(began) > p.oldest {
			return tokenstore.Item{Key: a.Key}, tokenstore.ErrUnavailable
		}
		before := p.stored(a.Key)
		item, err := p.store.Acquire(detached(ctx), a)
		p.observer.acquired(operationOf(ctx), a, before, err)
		return item, err
	})
	if op := operationOf(ctx); err != nil && op.hold != nil && op.hold.owner == a.Owner {
		op.hold = nil // it is held, and its holder does not know that
	}
	return item, err
}

func (p *tablePort) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	return tableCall(ctx, p.table, "commit", c.Key, func(outcome) (tokenstore.Item, error) {
		before := p.stored(c.Key)
		item, err := p.store.Commit(detached(ctx), c)
		p.observer.committed(c, before, err)
		return item, err
	})
}

func (p *tablePort) Fail(ctx context.Context, f tokenstore.Fail) error {
	return p.write(ctx, "fail", f.Key, func() error {
		p.observer.failed(f)
		return p.store.Fail(detached(ctx), f)
	})
}

func (p *tablePort) Release(ctx context.Context, r tokenstore.Release) error {
	return p.write(ctx, "release", r.Key, func() error {
		p.observer.released(r)
		return p.store.Release(detached(ctx), r)
	})
}

func (p *tablePort) Reject(ctx context.Context, r tokenstore.Reject) (tokenstore.Item, error) {
	return tableCall(ctx, p.table, "reject", r.Key, func(outcome) (tokenstore.Item, error) {
		p.observer.rejected()
		return p.store.Reject(detached(ctx), r)
	})
}

func (p *tablePort) Drop(ctx context.Context, d tokenstore.Drop) (tokenstore.Item, error) {
	return tableCall(ctx, p.table, "drop", d.Key, func(outcome) (tokenstore.Item, error) {
		before := p.stored(d.Key)
		was, err := p.store.Drop(detached(ctx), d)
		p.observer.dropped(d, before)
		return was, err
	})
}

func (p *tablePort) StoreGrant(ctx context.Context, a tokenstore.StoreGrant) (tokenstore.Item, error) {
	return tableCall(ctx, p.table, "adopt", a.Key, func(outcome) (tokenstore.Item, error) {
		before := p.stored(a.Key)
		item, err := p.store.StoreGrant(detached(ctx), a)
		p.observer.adopted(a, before, err)
		return item, err
	})
}

func (p *tablePort) Subjects(ctx context.Context, connection string, limit int, after string) ([]tokenstore.Item, string, error) {
	return p.store.Subjects(ctx, connection, limit, after)
}

func (p *tablePort) MarkUsed(ctx context.Context, key tokenstore.Key, version int64) error {
	return p.write(ctx, "mark used", key, func() error { return p.store.MarkUsed(detached(ctx), key, version) })
}

func (p *tablePort) AddVariant(ctx context.Context, key tokenstore.Key, variant string) error {
	return p.write(ctx, "add variant", key, func() error { return p.store.AddVariant(detached(ctx), key, variant) })
}

func (p *tablePort) SetForcedRefreshes(ctx context.Context, key tokenstore.Key, was, forced []tokenstore.ForcedRefresh) error {
	return p.write(ctx, "set forced", key, func() error { return p.store.SetForcedRefreshes(detached(ctx), key, was, forced) })
}

func (p *tablePort) RemoveVariant(ctx context.Context, key tokenstore.Key, variant string) error {
	return p.write(ctx, "remove variant", key, func() error { return p.store.RemoveVariant(detached(ctx), key, variant) })
}

func (p *tablePort) write(ctx context.Context, what string, key tokenstore.Key, carryOut func() error) error {
	_, err := tableCall(ctx, p.table, what, key, func(outcome) (struct{}, error) { return struct{}{}, carryOut() })
	return err
}

// tableCall is a call to the table, with the item looked at before and after.
func tableCall[T any](ctx context.Context, t *table, what string, key tokenstore.Key, carryOut func(outcome) (T, error)) (T, error) {
	result, err := call(ctx, t.scheduler, what+" "+keyText(key), func(v outcome) (T, error) {
		before := t.stored(key)
		result, err := carryOut(v)
		t.past.remember(key)
		t.observer.changed(what, before, t.stored(key))
		return result, err
	}, tokenstore.ErrUnavailable)
	if errors.Is(err, tokenstore.ErrUnavailable) {
		op := operationOf(ctx)
		op.storeFailed, op.failedAt = true, t.clock(op.process)
		t.observer.callFailed(op)
	}
	return result, err
}

// detached lets a write succeed although its sender no longer waits for it.
func detached(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

func operationOf(ctx context.Context) *operation { return ctx.Value(operationKey{}).(*operation) }

func keyText(key tokenstore.Key) string {
	if key.Variant == "" {
		return key.Connection
	}
	return key.Connection + "/" + key.Variant[:4]
}

// replicas are the states that an eventually consistent read may return.
type replicas struct {
	t    *table
	past map[tokenstore.Key][]snapshot
	// records are by connection.
	records map[string][]recordSnapshot
}

// recordSnapshot is a declaration record as it was until an instant.
type recordSnapshot struct {
	record tokenstore.DeclarationRecord
	until  time.Time
}

// rememberRecord records a declaration record as it is after a write.
func (r *replicas) rememberRecord(connection string) {
	found, err := r.t.truth.ReadDeclarations(context.Background(), []string{connection}, true)
	if err != nil {
		panic(err) // the memory store fails for an ended context only
	}
	now, list := r.t.time(), r.records[connection]
	if n := len(list); n > 0 {
		list[n-1].until = now
	} else {
		list = append(list, recordSnapshot{record: tokenstore.DeclarationRecord{Connection: connection}, until: now})
	}
	r.records[connection] = append(list, recordSnapshot{record: found[0]})
}

// oldestRecord is the oldest declaration record that a replica may have.
func (r *replicas) oldestRecord(connection string) tokenstore.DeclarationRecord {
	horizon := r.t.time().Add(-replicaLag)
	for _, s := range r.records[connection] {
		if s.until.IsZero() || s.until.After(horizon) {
			return s.record
		}
	}
	return tokenstore.DeclarationRecord{Connection: connection}
}

// snapshot is an item as it was until an instant.
type snapshot struct {
	item  tokenstore.Item
	until time.Time
}

// replicaLag bounds the age of an eventually consistent result.
const replicaLag = 3 * time.Second

// remember records the item as it is after a call.
func (r *replicas) remember(key tokenstore.Key) {
	now, list := r.t.time(), r.past[key]
	if n := len(list); n > 0 {
		list[n-1].until = now
	} else {
		list = append(list, snapshot{item: tokenstore.Item{Key: key}, until: now})
	}
	r.past[key] = append(list, snapshot{item: r.t.stored(key)})
}

// keys are those of all calls so far, in a stable order.
func (r *replicas) keys() []tokenstore.Key {
	return slices.SortedFunc(maps.Keys(r.past), func(a, b tokenstore.Key) int { return strings.Compare(keyText(a), keyText(b)) })
}

// oldest is the oldest state that a replica may have.
func (r *replicas) oldest(key tokenstore.Key) tokenstore.Item {
	horizon := r.t.time().Add(-replicaLag)
	for _, s := range r.past[key] {
		if s.until.IsZero() || s.until.After(horizon) {
			return s.item
		}
	}
	return tokenstore.Item{Key: key}
}

// Package metered counts what the table would be billed for.
//
// It stands in front of the memory store and works out, from each item before
// and after, what DynamoDB charges for the request that the table's adapter
// makes of the operation: items weigh what their attributes weigh there, a write
// to the renewal index counts only when the item's entry in it changes, and a
// query costs by the size of what it read. A test holds it against the adapter
// over an engine that counts for itself.
//
// It also refuses what DynamoDB refuses for its size.
package metered

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
)

const (
	readUnit  = 4 << 10 // bytes
	writeUnit = 1 << 10
	// queryPage is how much one query reads at most.
	queryPage = 1 << 20
	// maxItem is the largest item that DynamoDB takes.
	maxItem = 400 << 10
)

// Units are capacity units.
type Units struct{ Read, Write float64 }

func (u Units) minus(v Units) Units { return Units{Read: u.Read - v.Read, Write: u.Write - v.Write} }

// Usage is what was consumed, by what it was consumed for.
type Usage struct {
	// Items are reads and writes of tokens' items, Index those of the renewal
	// index, Notes the renewer's own.
	Items, Index, Notes Units
	// Requests is how many there were.
	Requests int
}

// Since is what was consumed after an earlier usage.
func (u Usage) Since(before Usage) Usage {
	return Usage{
		Items: u.Items.minus(before.Items), Index: u.Index.minus(before.Index), Notes: u.Notes.minus(before.Notes),
		Requests: u.Requests - before.Requests,
	}
}

// Total is everything.
func (u Usage) Total() Units {
	return Units{
		Read:  u.Items.Read + u.Index.Read + u.Notes.Read,
		Write: u.Items.Write + u.Index.Write + u.Notes.Write,
	}
}

// Table is a token store that counts. It is safe for concurrent use.
type Table struct {
	store *memory.Store

	mu    sync.Mutex
	usage Usage
	bytes int // of all items
	items int
}

// New returns an empty table.
func New() *Table { return &Table{store: memory.New()} }

// Usage is what was consumed so far.
func (t *Table) Usage() Usage {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.usage
}

// Size is how many items there are and what they weigh, in bytes.
func (t *Table) Size() (items, bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.items, t.bytes
}

// ScanUnits are the read units that one eventually consistent scan of the
// items as they stand would consume.
func (t *Table) ScanUnits() float64 {
	_, bytes := t.Size()
	return units(bytes, readUnit) / 2
}

// Get reads one item.
func (t *Table) Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	item, err := t.store.Get(ctx, key, consistent)
	t.usage.Requests++
	t.usage.Items.Read += readCost(itemSize(item), consistent)
	return item, err
}

// Acquire is one write, refused or not.
func (t *Table) Acquire(ctx context.Context, a tokenstore.Acquire) (item tokenstore.Item, err error) {
	t.write(ctx, a.Key, func() int {
		item, err = t.store.Acquire(ctx, a)
		return 1
	})
	return item, err
}

// Commit is one write, and a second one when the lease is no longer the owner's.
func (t *Table) Commit(ctx context.Context, c tokenstore.Commit) (item tokenstore.Item, err error) {
	t.write(ctx, c.Key, func() int {
		before, _ := t.store.Get(ctx, c.Key, true)
		item, err = t.store.Commit(ctx, c)
		if before.Version == c.Version && before.Lease.Owner != c.Owner {
			return 2
		}
		return 1
	})
	return item, err
}

// StoreGrant is one write, and a second one when the lease is no longer the owner's.
func (t *Table) StoreGrant(ctx context.Context, a tokenstore.StoreGrant) (item tokenstore.Item, err error) {
	t.write(ctx, a.Key, func() int {
		before, _ := t.store.Get(ctx, a.Key, true)
		item, err = t.store.StoreGrant(ctx, a)
		if before.Version == a.Version && before.Lease.Owner != a.Owner {
			return 2
		}
		return 1
	})
	return item, err
}

// Fail is one write when the failure outlives everything else of the item, and
// two otherwise: the adapter moves the item's end first where that is needed.
func (t *Table) Fail(ctx context.Context, f tokenstore.Fail) (err error) {
	t.write(ctx, f.Key, func() int {
		before, _ := t.store.Get(ctx, f.Key, true)
		err = t.store.Fail(ctx, f)
		if !before.Token.ExpiresAt.Before(f.Failure.NextAttemptAt) || before.Lease.Owner != f.Owner {
			return 2
		}
		return 1
	})
	return err
}

// Release is one write.
func (t *Table) Release(ctx context.Context, r tokenstore.Release) error {
	return t.edit(ctx, r.Key, func() error { return t.store.Release(ctx, r) })
}

// Reject is one write.
func (t *Table) Reject(ctx context.Context, r tokenstore.Reject) (item tokenstore.Item, err error) {
	err = t.edit(ctx, r.Key, func() error {
		item, err = t.store.Reject(ctx, r)
		return err
	})
	return item, err
}

// Drop is one write.
func (t *Table) Drop(ctx context.Context, d tokenstore.Drop) (item tokenstore.Item, err error) {
	err = t.edit(ctx, d.Key, func() error {
		item, err = t.store.Drop(ctx, d)
		return err
	})
	return item, err
}

// MarkUsed is one write.
func (t *Table) MarkUsed(ctx context.Context, key tokenstore.Key, version int64) error {
	return t.edit(ctx, key, func() error { return t.store.MarkUsed(ctx, key, version) })
}

// AddVariant is one write.
func (t *Table) AddVariant(ctx context.Context, key tokenstore.Key, variant string) error {
	own := tokenstore.Key{Connection: key.Connection, Subject: key.Subject}
	return t.edit(ctx, own, func() error { return t.store.AddVariant(ctx, own, variant) })
}

// SetForcedRefreshes is one write.
func (t *Table) SetForcedRefreshes(ctx context.Context, key tokenstore.Key, was, forced []time.Time) error {
	return t.edit(ctx, key, func() error { return t.store.SetForcedRefreshes(ctx, key, was, forced) })
}

// RemoveVariant is one write.
func (t *Table) RemoveVariant(ctx context.Context, key tokenstore.Key, variant string) error {
	own := tokenstore.Key{Connection: key.Connection, Subject: key.Subject}
	return t.edit(ctx, own, func() error { return t.store.RemoveVariant(ctx, own, variant) })
}

// Reslot is one write.
func (t *Table) Reslot(ctx context.Context, key tokenstore.Key, from, to string) error {
	return t.edit(ctx, key, func() error { return t.store.Reslot(ctx, key, from, to) })
}

// Due is one query of the index: a page is as much as DynamoDB puts in one.
func (t *Table) Due(ctx context.Context, slot, next string) ([]tokenstore.Key, string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.usage.Requests++
	var page []tokenstore.Key
	read := 0
	for first := true; first || next != "" && read < queryPage; first = false {
		keys, more, err := t.store.Due(ctx, slot, next)
		if err != nil {
			return nil, "", err
		}
		for _, key := range keys {
			read += entrySize(key, slot)
		}
		page, next = append(page, keys...), more
	}
	t.usage.Index.Read += readCost(read, false)
	return page, next, nil
}

// Subjects is one query of a connection's items.
func (t *Table) Subjects(ctx context.Context, connection string, limit int, after string) ([]tokenstore.Item, string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	items, next, err := t.store.Subjects(ctx, connection, limit, after)
	t.usage.Requests++
	read := 0
	for _, item := range items {
		read += itemSize(item)
	}
	t.usage.Items.Read += readCost(read, true)
	return items, next, err
}

// ReadDocument is one consistent read.
func (t *Table) ReadDocument(ctx context.Context, name string) (tokenstore.Document, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	note, err := t.store.ReadDocument(ctx, name)
	t.usage.Requests++
	t.usage.Notes.Read += readCost(noteSize(note), true)
	return note, err
}

// WriteDocument is one write. A note that is too large for an item is refused.
func (t *Table) WriteDocument(ctx context.Context, n tokenstore.Document) (tokenstore.Document, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, err := t.store.ReadDocument(ctx, n.Name)
	if err != nil {
		return tokenstore.Document{}, err
	}
	t.usage.Requests++
	if size := noteSize(n); size > maxItem {
		return tokenstore.Document{}, fmt.Errorf("write note: %w: %d bytes are more than an item may have", tokenstore.ErrUnavailable, size)
	}
	t.usage.Notes.Write += units(max(noteSize(before), noteSize(n)), writeUnit)
	return t.store.WriteDocument(ctx, n)
}

// edit counts an operation that is always one write.
func (t *Table) edit(ctx context.Context, key tokenstore.Key, do func() error) (err error) {
	t.write(ctx, key, func() int {
		err = do()
		return 1
	})
	return err
}

// write counts as many writes as do says it took: those whose condition failed
// cost what the item weighs, the last what it weighs before or after.
func (t *Table) write(ctx context.Context, key tokenstore.Key, do func() (writes int)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, _ := t.store.Get(ctx, key, true)
	writes := do()
	after, _ := t.store.Get(ctx, key, true)
	was, is := itemSize(before), itemSize(after)
	t.usage.Requests += writes
	t.usage.Items.Write += float64(writes-1)*units(was, writeUnit) + units(max(was, is), writeUnit)
	t.usage.Index.Write += indexCost(before, after)
	t.bytes += is - was
	if was == 0 && is > 0 {
		t.items++
	}
}

// indexCost is a write for the entry that goes and one for that which comes.
func indexCost(before, after tokenstore.Item) float64 {
	if before.RenewSlot == after.RenewSlot {
		return 0
	}
	cost := 0.0
	for _, slot := range []string{before.RenewSlot, after.RenewSlot} {
		if slot != "" {
			cost += units(entrySize(before.Key, slot), writeUnit)
		}
	}
	return cost
}

// units are what bytes cost, and never nothing.
func units(bytes, unit int) float64 { return float64(max(1, (bytes+unit-1)/unit)) }

// readCost is half as much when the read need not be consistent.
func readCost(bytes int, consistent bool) float64 {
	if consistent {
		return units(bytes, readUnit)
	}
	return units(bytes, readUnit) / 2
}

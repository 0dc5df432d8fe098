// Package metered is a token store in memory that counts what DynamoDB would
// charge for an ordinary day: reads, refreshes, marks of use, renewals and the
// renewer's own records. It computes the size of an item from the attributes
// that the real adapter writes, and a test compares its counts with the
// capacity that an engine reports for the same operations.
//
// Operations that an ordinary day does not have (failures, rejections, drops)
// reach the memory store uncounted.
package metered

import (
	"context"
	"sync"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
)

// The sizes that DynamoDB bills by, in bytes.
const (
	readUnit  = 4 << 10
	writeUnit = 1 << 10
)

// Units are capacity units.
type Units struct{ Read, Write float64 }

func (u Units) minus(v Units) Units { return Units{Read: u.Read - v.Read, Write: u.Write - v.Write} }

// Usage is what was consumed, by purpose.
type Usage struct {
	// Items are the tokens' items, Declarations the connections' records, Index is the
	// renewal index, and Documents are the renewer's own records.
	Items, Declarations, Index, Documents Units
	// Reads and Writes count the requests for tokens' items.
	Reads, Writes int
}

// Since returns what was consumed after an earlier usage.
func (u Usage) Since(before Usage) Usage {
	return Usage{
		Items: u.Items.minus(before.Items), Declarations: u.Declarations.minus(before.Declarations),
		Index: u.Index.minus(before.Index), Documents: u.Documents.minus(before.Documents),
		Reads: u.Reads - before.Reads, Writes: u.Writes - before.Writes,
	}
}

// Table is the store. It is safe for concurrent use.
type Table struct {
	*memory.Store

	mu    sync.Mutex
	usage Usage
	items int
	bytes int
}

// New returns an empty table.
func New() *Table { return &Table{Store: memory.New()} }

// Usage returns what was consumed so far.
func (t *Table) Usage() Usage {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.usage
}

// Size returns the number of tokens' items and their size in bytes.
func (t *Table) Size() (items, bytes int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.items, t.bytes
}

// Get is one read.
func (t *Table) Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	item, err := t.Store.Get(ctx, key, consistent)
	t.usage.Reads++
	t.usage.Items.Read += readCost(Size(item), consistent)
	return item, err
}

// Acquire is one write, also when the lease is held.
func (t *Table) Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error) {
	defer t.write(ctx, a.Key)()
	return t.Store.Acquire(ctx, a)
}

// Commit is one write.
func (t *Table) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	defer t.write(ctx, c.Key)()
	return t.Store.Commit(ctx, c)
}

// MarkUsed is one write.
func (t *Table) MarkUsed(ctx context.Context, key tokenstore.Key, version int64) error {
	defer t.write(ctx, key)()
	return t.Store.MarkUsed(ctx, key, version)
}

// Reslot is one write.
func (t *Table) Reslot(ctx context.Context, key tokenstore.Key, from, to string) error {
	defer t.write(ctx, key)()
	return t.Store.Reslot(ctx, key, from, to)
}

// write counts the write of an item that happens before the returned function
// is called. An item costs its size before or after, whichever is larger; the
// index costs a write for the entry that is removed and one for the new entry.
func (t *Table) write(ctx context.Context, key tokenstore.Key) (done func()) {
	t.mu.Lock()
	ctx = context.WithoutCancel(ctx) // only an ended context makes the memory store fail
	before, _ := t.Store.Get(ctx, key, true)
	return func() {
		defer t.mu.Unlock()
		after, _ := t.Store.Get(ctx, key, true)
		was, is := Size(before), Size(after)
		t.usage.Writes++
		t.usage.Items.Write += units(max(was, is), writeUnit)
		if before.RenewSlot != after.RenewSlot {
			t.usage.Index.Write += entryCost(before) + entryCost(after)
		}
		t.bytes += is - was
		if was == 0 && is > 0 {
			t.items++
		}
	}
}

// Due is one query of the index.
func (t *Table) Due(ctx context.Context, slot, next string) ([]tokenstore.Key, string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys, next, err := t.Store.Due(ctx, slot, next)
	bytes := 0
	for _, key := range keys {
		bytes += entrySize(key, slot)
	}
	t.usage.Index.Read += readCost(bytes, false)
	return keys, next, err
}

// ReadDocument is one consistent read.
func (t *Table) ReadDocument(ctx context.Context, name string) (tokenstore.Document, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	document, err := t.Store.ReadDocument(ctx, name)
	t.usage.Documents.Read += readCost(documentSize(document), true)
	return document, err
}

// WriteDocument is one write.
func (t *Table) WriteDocument(ctx context.Context, d tokenstore.Document) (tokenstore.Document, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, err := t.Store.ReadDocument(ctx, d.Name)
	if err != nil {
		return tokenstore.Document{}, err
	}
	t.usage.Documents.Write += units(max(documentSize(before), documentSize(d)), writeUnit)
	return t.Store.WriteDocument(ctx, d)
}

// GetWithDeclaration is one request, and one read of each.
func (t *Table) GetWithDeclaration(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, tokenstore.DeclarationRecord, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	item, record, err := t.Store.GetWithDeclaration(ctx, key, consistent)
	t.usage.Reads++
	t.usage.Items.Read += readCost(Size(item), consistent)
	t.usage.Declarations.Read += readCost(declarationSize(record), consistent)
	return item, record, err
}

// ReadDeclarations is one read of each record.
func (t *Table) ReadDeclarations(ctx context.Context, connections []string, consistent bool) ([]tokenstore.DeclarationRecord, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	records, err := t.Store.ReadDeclarations(ctx, connections, consistent)
	for _, d := range records {
		t.usage.Declarations.Read += readCost(declarationSize(d), consistent)
	}
	return records, err
}

// WriteDeclaration is one write, and the first write of a record one of the index.
func (t *Table) WriteDeclaration(ctx context.Context, d tokenstore.DeclarationRecord) (tokenstore.DeclarationRecord, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before, err := t.Store.ReadDeclarations(ctx, []string{d.Connection}, true)
	if err != nil {
		return tokenstore.DeclarationRecord{Connection: d.Connection}, err
	}
	after, err := t.Store.WriteDeclaration(ctx, d)
	t.usage.Declarations.Write += units(max(declarationSize(before[0]), declarationSize(after)), writeUnit)
	if before[0].Version == 0 && after.Version > 0 {
		t.usage.Index.Write++
	}
	return after, err
}

// DeclaredConnections is one query of the index.
func (t *Table) DeclaredConnections(ctx context.Context, shard int, next string) ([]string, string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	names, next, err := t.Store.DeclaredConnections(ctx, shard, next)
	bytes := 0
	for _, name := range names {
		bytes += size(declarationKey(name))
	}
	t.usage.Index.Read += readCost(bytes, false)
	return names, next, err
}

func entryCost(item tokenstore.Item) float64 {
	if item.RenewSlot == "" {
		return 0
	}
	return units(entrySize(item.Key, item.RenewSlot), writeUnit)
}

// units is the number of started units, at least one.
func units(bytes, unit int) float64 { return float64(max(1, (bytes+unit-1)/unit)) }

// readCost halves the units of an eventually consistent read.
func readCost(bytes int, consistent bool) float64 {
	if consistent {
		return units(bytes, readUnit)
	}
	return units(bytes, readUnit) / 2
}

package dynamo

import (
	"maps"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/expression"
)

// index keeps entries by partition, in order. A table's own items are in one,
// and each secondary index is one.
type index struct {
	// name is empty for the table's own.
	name string
	key  expression.Key
	// primary is the table's key, which makes the order of entries total.
	primary expression.Key
	// projects says whether an entry keeps that attribute; nil keeps all.
	projects func(name string) bool

	partitions map[string][]attribute.Item
}

// partitionOf names the partition of a hash value.
func partitionOf(hash attribute.Value) string {
	if hash.Kind() == attribute.Numeric {
		return "N" + hash.Number().String()
	}
	return string(hash.Kind()) + hash.Text()
}

// entry is the item as it stands in the index; nil when it does not, for want
// of one of its keys.
func (ix *index) entry(item attribute.Item) attribute.Item {
	for _, name := range keyNames(ix.key) {
		if _, ok := item[name]; !ok {
			return nil
		}
	}
	if ix.projects == nil {
		return item
	}
	entry := maps.Clone(item)
	maps.DeleteFunc(entry, func(name string, _ attribute.Value) bool { return !ix.projects(name) })
	return entry
}

// keyNames are the attributes of a key, the hash first.
func keyNames(key expression.Key) []string {
	if key.Range == "" {
		return []string{key.Hash}
	}
	return []string{key.Hash, key.Range}
}

// compare orders entries within a partition.
func (ix *index) compare(a, b attribute.Item) int {
	for _, name := range []string{ix.key.Range, ix.primary.Hash, ix.primary.Range} {
		if name == "" {
			continue
		}
		if order := a[name].Compare(b[name]); order != 0 {
			return order
		}
	}
	return 0
}

func (ix *index) insert(item attribute.Item) {
	entry := ix.entry(item)
	if entry == nil {
		return
	}
	name := partitionOf(entry[ix.key.Hash])
	at, _ := slices.BinarySearchFunc(ix.partitions[name], entry, ix.compare)
	ix.partitions[name] = slices.Insert(ix.partitions[name], at, entry)
}

func (ix *index) remove(item attribute.Item) {
	entry := ix.entry(item)
	if entry == nil {
		return
	}
	name := partitionOf(entry[ix.key.Hash])
	at, found := slices.BinarySearchFunc(ix.partitions[name], entry, ix.compare)
	if !found {
		return
	}
	ix.partitions[name] = slices.Delete(ix.partitions[name], at, at+1)
	if len(ix.partitions[name]) == 0 {
		delete(ix.partitions, name)
	}
}

// all are the entries of every partition; the order of partitions is stable.
func (ix *index) all() []attribute.Item {
	names := slices.SortedFunc(maps.Keys(ix.partitions), strings.Compare)
	var entries []attribute.Item
	for _, name := range names {
		entries = append(entries, ix.partitions[name]...)
	}
	return entries
}

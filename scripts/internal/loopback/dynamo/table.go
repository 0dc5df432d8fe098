package dynamo

import (
	"strconv"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/attribute"
	"github.com/tokenvend/tokenvend/scripts/internal/loopback/expression"
)

// The largest item and key values, in bytes.
const (
	maxItem  = 400 << 10
	maxHash  = 2048
	maxRange = 1024
)

// table is one table. Its lock makes each write atomic.
type table struct {
	createTableInput
	createdAt time.Time
	key       expression.Key
	kinds     map[string]attribute.Kind

	mu      sync.RWMutex
	items   map[string]attribute.Item
	before  map[string]attribute.Item // each item before its latest write
	own     *index
	indexes []*index
	ttl     string // the attribute that expires items; empty when switched off
}

// identity is the place of an item, told from any other by its key.
func (t *table) identity(item attribute.Item) string {
	place := ""
	for _, name := range keyNames(t.key) {
		part := partitionOf(item[name])
		place += strconv.Itoa(len(part)) + " " + part
	}
	return place
}

// keyOf is the key of an item.
func (t *table) keyOf(item attribute.Item) attribute.Item {
	key := attribute.Item{}
	for _, name := range keyNames(t.key) {
		key[name] = item[name]
	}
	return key
}

// checkKey refuses what is not exactly a key of the table.
func (t *table) checkKey(key attribute.Item) error {
	names := keyNames(t.key)
	if len(key) != len(names) {
		return awsjson.Invalid("The provided key element does not match the schema")
	}
	for _, name := range names {
		if key[name].Kind() != t.kinds[name] {
			return awsjson.Invalid("The provided key element does not match the schema")
		}
	}
	return t.checkKeyValues(key)
}

// checkKeyValues refuses keys that are empty or too long.
func (t *table) checkKeyValues(item attribute.Item) error {
	for i, name := range keyNames(t.key) {
		limit := []int{maxHash, maxRange}[i]
		switch v := item[name]; {
		case v.Kind() != attribute.Numeric && v.Text() == "":
			return awsjson.Invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: %s", name)
		case v.Size() > limit:
			return awsjson.Invalid("One or more parameter values were invalid: Size of the key attribute has exceeded the maximum size limit of %d bytes. Key: %s", limit, name)
		}
	}
	return nil
}

// checkItem refuses an item that cannot be put.
func (t *table) checkItem(item attribute.Item) error {
	for _, name := range keyNames(t.key) {
		switch kind := item[name].Kind(); kind {
		case t.kinds[name]:
		case "":
			return awsjson.Invalid("One or more parameter values were invalid: Missing the key %s in the item", name)
		default:
			return awsjson.Invalid("One or more parameter values were invalid: Type mismatch for key %s expected: %s actual: %s", name, t.kinds[name], kind)
		}
	}
	if err := t.checkKeyValues(item); err != nil {
		return err
	}
	if item.Size() > maxItem {
		return awsjson.Invalid("Item size has exceeded the maximum allowed size")
	}
	return t.checkIndexKeys(item)
}

// checkIndexKeys refuses an item that a secondary index could not hold.
func (t *table) checkIndexKeys(item attribute.Item) error {
	for _, ix := range t.indexes {
		for _, name := range keyNames(ix.key) {
			v, ok := item[name]
			switch {
			case !ok:
			case v.Kind() != t.kinds[name]:
				return awsjson.Invalid("One or more parameter values were invalid: Type mismatch for Index Key %s Expected: %s Actual: %s IndexName: %s", name, t.kinds[name], v.Kind(), ix.name)
			case v.Kind() != attribute.Numeric && v.Text() == "":
				return awsjson.Invalid("One or more parameter values are not valid. A value specified for a secondary index key is not supported. The AttributeValue for a key attribute cannot contain an empty string value. IndexName: %s, IndexKey: %s", ix.name, name)
			}
		}
	}
	return nil
}

// replace puts after where before stands; either may be nil, for an item that
// is not there. The lock is held.
func (t *table) replace(place string, before, after attribute.Item) {
	for _, ix := range append(t.indexes[:len(t.indexes):len(t.indexes)], t.own) {
		ix.remove(before)
		ix.insert(after)
	}
	t.before[place] = before
	if after == nil {
		delete(t.items, place)
		return
	}
	t.items[place] = after
}

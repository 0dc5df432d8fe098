package awsstub

import (
	"encoding/json"
	"fmt"
	"maps"
	"sync"
)

// item is one item as the wire writes it: {"name":{"S":"…"}}.
type item map[string]value

// value is one attribute value, for example {"S":"…"}.
type value map[string]json.RawMessage

// Traffic is what a table was asked.
type Traffic struct {
	// Reads are eventually consistent GetItems, ConsistentReads the others.
	Reads, ConsistentReads int
	// Writes are UpdateItems; WriteUnits what they cost: a unit for each begun
	// kilobyte of the larger of the item before and after, and one for each entry
	// of the index that appears or goes.
	Writes, WriteUnits int
	// LargestItem is the size in bytes of the largest item that was written.
	LargestItem int
}

type table struct {
	mu sync.Mutex
	// indexed is the attribute that the sparse index of keys is by.
	indexed string
	items   map[string]item
	traffic Traffic
}

func newTable(indexed string) *table { return &table{indexed: indexed, items: map[string]item{}} }

func (t *table) take() Traffic {
	t.mu.Lock()
	defer t.mu.Unlock()
	traffic := t.traffic
	t.traffic = Traffic{}
	return traffic
}

func (t *table) get(body []byte) (any, error) {
	var asked struct {
		Key            item
		ConsistentRead bool
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if asked.ConsistentRead {
		t.traffic.ConsistentReads++
	} else {
		t.traffic.Reads++
	}
	found, ok := t.items[identify(asked.Key)]
	if !ok {
		return map[string]any{}, nil
	}
	return map[string]any{"Item": found}, nil
}

// updating is an UpdateItem request. Its condition is not judged.
type updating struct {
	Key                       item
	UpdateExpression          string
	ExpressionAttributeNames  map[string]string
	ExpressionAttributeValues map[string]value
	ReturnValues              string
}

func (t *table) update(body []byte) (any, error) {
	var asked updating
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	key := identify(asked.Key)
	before := t.items[key]
	after := maps.Clone(before)
	if after == nil {
		after = maps.Clone(asked.Key)
	}
	if err := asked.apply(before, after); err != nil {
		return nil, err
	}
	if err := t.charge(before, after); err != nil {
		return nil, err
	}
	t.items[key] = after
	switch asked.ReturnValues {
	case "", "NONE":
		return map[string]any{}, nil
	case "ALL_NEW":
		return map[string]any{"Attributes": after}, nil
	case "ALL_OLD":
		return map[string]any{"Attributes": before}, nil
	}
	return nil, fmt.Errorf("ReturnValues %s is not played", asked.ReturnValues)
}

func (t *table) charge(before, after item) error {
	was, err := before.size()
	if err != nil {
		return err
	}
	is, err := after.size()
	if err != nil {
		return err
	}
	t.traffic.Writes++
	t.traffic.WriteUnits += max(units(was), units(is)) + indexUnits(before[t.indexed], after[t.indexed])
	t.traffic.LargestItem = max(t.traffic.LargestItem, is)
	return nil
}

// indexUnits is what an index of keys pays for a change of its own key: nothing
// when that stays.
func indexUnits(before, after value) int {
	if string(before["S"]) == string(after["S"]) {
		return 0
	}
	cost := 0
	for _, entry := range []value{before, after} {
		if entry != nil {
			cost++
		}
	}
	return cost
}

// identify is the primary key as one text.
func identify(key item) string { return string(key["pk"]["S"]) + string(key["sk"]["S"]) }

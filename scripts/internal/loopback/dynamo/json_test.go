package dynamo_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
)

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// changed is an item with attributes of its own changed; null takes one away.
func changed(t *testing.T, item, changes string) map[string]any {
	t.Helper()
	var result, over map[string]any
	decode(t, item, &result)
	decode(t, changes, &over)
	for name, value := range over {
		if result[name] = value; value == nil {
			delete(result, name)
		}
	}
	return sorted(result)
}

// sorted puts sets in order, which they have not on the wire.
func sorted(item map[string]any) map[string]any {
	for _, value := range item {
		for kind, members := range value.(map[string]any) {
			if kind == "SS" || kind == "NS" || kind == "BS" {
				slices.SortFunc(members.([]any), func(a, b any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
			}
		}
	}
	return item
}

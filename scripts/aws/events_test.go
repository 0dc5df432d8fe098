package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestEventsExist finds names that were left behind when an event was renamed.
func TestEventsExist(t *testing.T) {
	names := slices.AppendSeq(slices.Collect(maps.Keys(withoutHistory)), maps.Values(first))
	for _, name := range names {
		if _, err := os.Stat(filepath.Join("../../events", name+".json")); err != nil {
			t.Errorf("no event %s: %v", name, err)
		}
	}
}

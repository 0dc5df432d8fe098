package dynamo_test

import (
	"flag"
	"os"
	"testing"
)

// TestMain draws fewer random runs than the suite's default of 100: each of
// their steps is a request under the race detector here, and the store itself is
// tested at length beside its own code. -rapid.checks says otherwise.
func TestMain(m *testing.M) {
	_ = flag.Set("rapid.checks", "10")
	flag.Parse()
	os.Exit(m.Run())
}

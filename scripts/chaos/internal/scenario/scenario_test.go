package scenario_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/chaos/internal/scenario"
	"github.com/tokenvend/tokenvend/scripts/internal/engine/enginetest"
	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// bootstraps is where the functions were built, once for all tests.
var bootstraps string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	folder, err := os.MkdirTemp("", "chaos-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	bootstraps = folder
	if err := fleet.Build(context.Background(), folder); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// TestScenarios plays, with real processes, every scenario that needs no
// patience.
func TestScenarios(t *testing.T) {
	endpoint := enginetest.Endpoint(t)
	for _, s := range scenario.All() {
		if s.FullOnly {
			continue
		}
		t.Run(s.ID+" "+s.Title, func(t *testing.T) {
			t.Parallel()
			r := s.Run(t.Context(), scenario.Config{Bootstraps: bootstraps, DynamoDB: endpoint})
			for _, broken := range r.Broken {
				t.Error(broken)
			}
			if t.Failed() {
				t.Logf("%d calls; %v\n%s", r.Calls, r.Outcomes, lastLines(r.Log, 30))
			}
		})
	}
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

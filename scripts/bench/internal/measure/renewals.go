package measure

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/tokenvend/tokenvend/scripts/internal/scorecard"
)

// renewing names the rows of the renewer as a whole.
const renewing = "renewals of a day, in a burst, and after an outage (simulated; takes minutes)"

// renewals takes the rows of package renewals. They are measured in simulated
// time, which only a test has (testing/synctest), so go test runs them.
func renewals(ctx context.Context, c Config) []scorecard.Row {
	file := filepath.Join(c.Folder, "renewals.json")
	args := []string{"test", "-count=1", "-timeout=1h", "-run=^TestFigures$", "github.com/tokenvend/tokenvend/scripts/bench/internal/renewals",
		"-figures=" + file, fmt.Sprintf("-full=%v", !c.Short)}
	rows, err := runFigures(exec.CommandContext(ctx, "go", args...), file)
	if err != nil {
		return []scorecard.Row{{What: renewing, Err: err}}
	}
	return rows
}

func runFigures(cmd *exec.Cmd, file string) (rows []scorecard.Row, err error) {
	if said, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("simulate: %w: %s", err, strings.TrimSpace(string(said)))
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read the simulated rows: %w", err)
	}
	return rows, json.Unmarshal(text, &rows)
}

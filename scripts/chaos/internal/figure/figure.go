// Package figure measures what the design promises of many processes together:
// how often the provider is called, and how long callers wait, when thousands
// ask at once. golang.org/x/oauth2 is measured in the same run for comparison.
package figure

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
	"github.com/tokenvend/tokenvend/scripts/internal/scorecard"
)

// Config is what All needs.
type Config struct {
	// Folder is where the programs of callers are built; Root is that of the tree.
	Folder, Root string
	// DynamoDB is the endpoint of an engine.
	DynamoDB string
	// Runs is how often the stampede is repeated.
	Runs int
	// Progress gets a line now and then.
	Progress io.Writer
}

// The size of a stampede.
const (
	processes = 8
	callers   = 1000 // in each process
)

// All measures everything.
func All(ctx context.Context, c Config) []scorecard.Row {
	if err := build(ctx, c); err != nil {
		return []scorecard.Row{{What: "programs of the figures", Err: err}}
	}
	const what = "provider calls: 8 processes × 1,000 cold callers"
	rows, err := c.measure(ctx, what)
	if err != nil {
		return []scorecard.Row{{What: what, Err: err}}
	}
	return rows
}

// build makes the two programs of callers.
func build(ctx context.Context, c Config) error {
	for _, program := range []string{"crowd", "compare"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(c.Folder, program), ".")
		cmd.Dir = filepath.Join(c.Root, "scripts", "chaos", "internal", program)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", program, err, strings.TrimSpace(string(said)))
		}
	}
	return nil
}

// env is a fleet without processes of functions, and many callers instead.
type env struct {
	Config
	*fleet.Fleet
	crowd crowd
}

// measure runs the stampede and its baseline on one fleet.
func (c Config) measure(ctx context.Context, what string) ([]scorecard.Row, error) {
	f, err := fleet.Start(ctx, fleet.Config{Bootstraps: c.Folder, DynamoDB: c.DynamoDB})
	defer f.Close() //nolint:staticcheck // ends what a failed start left as well
	if err != nil {
		return nil, err
	}
	crowd, err := startCrowd(ctx, f, filepath.Join(c.Folder, "crowd"))
	defer crowd.stop()
	if err != nil {
		return nil, err
	}
	e := env{Config: c, Fleet: f, crowd: crowd}
	rows, err := e.stampede(what)
	if err != nil {
		return nil, err
	}
	library, err := e.library(ctx)
	return append(rows, scorecard.Row{What: "golang.org/x/oauth2 there, in one run", Measured: library, Err: err}), nil
}

// latency is how long the provider takes to issue a token.
const latency = 200 * time.Millisecond

// register adds a cold connection.
func (e env) register(name string) error {
	if err := e.Register(name); err != nil {
		return err
	}
	return e.Provider.Fault(name, sandbox.Fault{Latency: latency})
}

// stampede has every caller of every process ask at once for a cold connection.
func (e env) stampede(what string) ([]scorecard.Row, error) {
	const limit = 2*latency + 200*time.Millisecond
	most, unserved := 0, 0
	var slowest time.Duration
	for run := range e.Runs {
		name := fmt.Sprintf("cold-%03d", run)
		if err := e.register(name); err != nil {
			return nil, err
		}
		r, err := e.crowd.ask(task{Connection: name, Callers: callers})
		if err != nil {
			return nil, err
		}
		most, slowest = max(most, e.Provider.TokenRequests(name)), max(slowest, r.slowest())
		unserved += processes*callers - r.Served
		if (run+1)%20 == 0 {
			fmt.Fprintf(e.Progress, "stampede %d of %d: %d calls at most, slowest caller %d ms\n", run+1, e.Runs, most, slowest.Milliseconds())
		}
	}
	return []scorecard.Row{
		{What: what, Aim: fmt.Sprintf("1 in each of %d runs", e.Runs),
			Measured: fmt.Sprintf("at most %d in a run, %d callers unserved", most, unserved), Met: most == 1 && unserved == 0},
		{What: "slowest of these callers, provider latency 200 ms", Aim: fmt.Sprintf("≤ %d ms", limit.Milliseconds()),
			Measured: fmt.Sprintf("%d ms", slowest.Milliseconds()), Met: slowest <= limit},
	}, nil
}

// library has callers of golang.org/x/oauth2 ask in the same way, once.
func (e env) library(ctx context.Context) (string, error) {
	const name = "compared"
	if err := e.register(name); err != nil {
		return "", err
	}
	var declared task
	if err := json.Unmarshal(e.Provider.Connections()[name], &declared); err != nil {
		return "", fmt.Errorf("read a declaration: %w", err)
	}
	declared.Callers = callers
	crowd, err := startCrowd(ctx, e.Fleet, filepath.Join(e.Folder, "compare"))
	defer crowd.stop()
	if err != nil {
		return "", err
	}
	r, err := crowd.ask(declared)
	// The sandbox counts requests that it could not match to a client apart.
	calls := e.Provider.TokenRequests(name) + e.Provider.UnknownClients().Total
	return fmt.Sprintf("%d calls, slowest caller %d ms", calls, r.SlowestMS), err
}

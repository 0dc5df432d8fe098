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
	cold := c.measure(ctx, "provider calls: 8 processes × 1,000 cold callers", stampede)
	return append(cold, c.measure(ctx, "the same against a provider that answers 503", failing)...)
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

// measure runs one measurement on a fleet of its own.
func (c Config) measure(ctx context.Context, what string, work func(context.Context, env, string) ([]scorecard.Row, error)) []scorecard.Row {
	figures, err := func() ([]scorecard.Row, error) {
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
		return work(ctx, env{Config: c, Fleet: f, crowd: crowd}, what)
	}()
	if err != nil {
		return []scorecard.Row{{What: what, Err: err}}
	}
	return figures
}

// register adds a cold connection whose provider misbehaves as the fault says.
func (e env) register(name string, fault sandbox.Fault) error {
	if err := e.Register(name); err != nil {
		return err
	}
	return e.Provider.Fault(name, fault)
}

// stampede has every caller of every process ask at once for a cold connection.
func stampede(_ context.Context, e env, what string) ([]scorecard.Row, error) {
	const latency = 200 * time.Millisecond
	const limit = 2*latency + 200*time.Millisecond
	most, unserved := 0, 0
	var slowest time.Duration
	for run := range e.Runs {
		name := fmt.Sprintf("cold-%03d", run)
		if err := e.register(name, sandbox.Fault{Latency: latency}); err != nil {
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

// failing has every caller ask twice in each of four backoff windows of a
// provider that answers 503, and the library's callers once.
func failing(ctx context.Context, e env, what string) ([]scorecard.Row, error) {
	const name = "failing"
	if err := e.register(name, sandbox.Fault{Status: 503}); err != nil {
		return nil, err
	}
	most, slowest := 0, time.Duration(0)
	var each []string
	for range 4 {
		before := e.Provider.TokenRequests(name)
		for range 2 {
			r, err := e.crowd.ask(task{Connection: name, Callers: callers})
			if err != nil {
				return nil, err
			}
			slowest = max(slowest, r.slowest())
		}
		calls := e.Provider.TokenRequests(name) - before
		most, each = max(most, calls), append(each, fmt.Sprint(calls))
		if err := e.windowEnds(ctx, name); err != nil {
			return nil, err
		}
	}
	library, err := e.library(ctx)
	return []scorecard.Row{
		{What: what, Aim: "≤ 2 calls per backoff window", Measured: strings.Join(each, ", ") + " in the windows", Met: most <= 2},
		{What: "slowest of these callers", Aim: "< 1000 ms", Measured: fmt.Sprintf("%d ms", slowest.Milliseconds()), Met: slowest < time.Second},
		{What: "golang.org/x/oauth2 there, asked once", Measured: library, Err: err},
	}, nil
}

// windowEnds waits until a failed connection may be tried again.
func (e env) windowEnds(ctx context.Context, name string) error {
	item, err := e.Item(ctx, name)
	if err != nil {
		return err
	}
	timer := time.NewTimer(time.Until(fleet.Instant(item["next_attempt_at"])))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// library has callers of golang.org/x/oauth2 ask a failing server once.
func (e env) library(ctx context.Context) (string, error) {
	const name = "compared"
	if err := e.register(name, sandbox.Fault{Status: 503}); err != nil {
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

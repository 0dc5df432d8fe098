// Package figure measures what the design promises of the fleet as a whole: how
// often the provider is called, and how long anybody waits, when thousands ask
// at once and when holders die. Baselines are taken in the same run.
package figure

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/scripts/chaos/internal/scenario"
	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// Figure is one line: what was aimed at, and what was measured.
type Figure struct {
	What, Aim, Measured string
	// Met tells a pass from a miss; it means nothing when Err is set, or when
	// there is no Aim.
	Met bool
	Err error
}

// Verdict is the word in the last column.
func (f Figure) Verdict() string {
	switch {
	case f.Err != nil:
		return "not measured"
	case f.Aim == "":
		return "baseline"
	case f.Met:
		return "pass"
	}
	return "miss"
}

// Config says what is measured with.
type Config struct {
	// Bootstraps is the folder of the built functions; Root that of the tree.
	Bootstraps, Root string
	// DynamoDB is the endpoint of an engine.
	DynamoDB string
	// Runs is how often the stampede is repeated.
	Runs int
	// Progress gets a line now and then.
	Progress io.Writer
}

// latency is the provider's in every stampede.
const latency = 200 * time.Millisecond

// The size of a stampede.
const (
	crowds  = 8
	callers = 1000
)

// All measures everything but what scenarios tell.
func All(ctx context.Context, c Config) []Figure {
	if err := build(ctx, c); err != nil {
		return []Figure{{What: "programs of the figures", Err: err}}
	}
	var all []Figure
	for _, measure := range []func(context.Context, Config) []Figure{stampede, bootstraps, failing, delegated} {
		all = append(all, measure(ctx, c)...)
	}
	return all
}

// build makes the two programs of callers.
func build(ctx context.Context, c Config) error {
	for _, program := range []string{"crowd", "compare"} {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(c.Bootstraps, program), ".")
		cmd.Dir = filepath.Join(c.Root, "scripts", "chaos", program)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", program, err, strings.TrimSpace(string(said)))
		}
	}
	return nil
}

// open starts a fleet without processes. On an error it leaves nothing running.
func open(ctx context.Context, c Config) (*fleet.Fleet, error) {
	f, err := fleet.Start(ctx, fleet.Config{Bootstraps: c.Bootstraps, DynamoDB: c.DynamoDB})
	if err != nil {
		f.Close()
	}
	return f, err
}

func unmeasured(what string, err error) []Figure { return []Figure{{What: what, Err: err}} }

// register makes a cold connection whose provider does as the fault says.
func register(ctx context.Context, f *fleet.Fleet, name string, fault sandbox.Fault) error {
	if err := f.Register(ctx, name); err != nil {
		return err
	}
	return f.Provider.Fault(name, fault)
}

// stampede has every caller of every process ask at once for a cold connection.
func stampede(ctx context.Context, c Config) []Figure {
	const what = "provider calls: 8 processes × 1,000 cold callers"
	f, err := open(ctx, c)
	if err != nil {
		return unmeasured(what, err)
	}
	defer f.Close()
	crowd, err := gather(ctx, f, filepath.Join(c.Bootstraps, "crowd"))
	defer crowd.dismiss()
	if err != nil {
		return unmeasured(what, err)
	}
	most, unserved := 0, 0
	var slowest time.Duration
	for run := range c.Runs {
		name := fmt.Sprintf("cold-%03d", run)
		if err := register(ctx, f, name, sandbox.Fault{Latency: latency}); err != nil {
			return unmeasured(what, err)
		}
		report, err := crowd.ask(order{Connection: name, Callers: callers})
		if err != nil {
			return unmeasured(what, err)
		}
		most, slowest = max(most, f.Provider.TokenRequests(name)), max(slowest, report.slowest)
		unserved += crowds*callers - report.served
		if (run+1)%20 == 0 {
			fmt.Fprintf(c.Progress, "stampede %d of %d: %d calls at most, slowest caller %d ms\n", run+1, c.Runs, most, slowest.Milliseconds())
		}
	}
	limit := 2*latency + 200*time.Millisecond
	return []Figure{
		{What: what, Aim: fmt.Sprintf("1 in each of %d runs", c.Runs),
			Measured: fmt.Sprintf("at most %d in a run, %d callers unserved", most, unserved), Met: most == 1 && unserved == 0},
		{What: "slowest of these callers, provider latency 200 ms", Aim: fmt.Sprintf("≤ %d ms", limit.Milliseconds()),
			Measured: fmt.Sprintf("%d ms", slowest.Milliseconds()), Met: slowest <= limit},
	}
}

// bootstraps has 16 real processes ask at once, cold.
func bootstraps(ctx context.Context, c Config) []Figure {
	const what = "provider calls: 16 bootstraps, cold, at once"
	const runs = 20
	f, err := open(ctx, c)
	if err != nil {
		return unmeasured(what, err)
	}
	defer f.Close()
	most, unserved := 0, 0
	for run := range runs {
		name := fmt.Sprintf("cold-%03d", run)
		if err := register(ctx, f, name, sandbox.Fault{Latency: latency}); err != nil {
			return unmeasured(what, err)
		}
		processes := f.Vends(16)
		for _, p := range processes {
			p.Kill()
		}
		for _, a := range fleet.AskAll(ctx, processes, fleet.TokenOf(name)) {
			if a.Status != 200 {
				unserved++
			}
		}
		most = max(most, f.Provider.TokenRequests(name))
	}
	return []Figure{{What: what, Aim: fmt.Sprintf("1 in each of %d runs", runs),
		Measured: fmt.Sprintf("at most %d in a run, %d callers unserved", most, unserved), Met: most == 1 && unserved == 0}}
}

// failing has every caller ask in each of several backoff windows of a provider
// that answers 503, and the library's callers once.
func failing(ctx context.Context, c Config) []Figure {
	const what = "the same against a provider that answers 503"
	f, err := open(ctx, c)
	if err != nil {
		return unmeasured(what, err)
	}
	defer f.Close()
	crowd, err := gather(ctx, f, filepath.Join(c.Bootstraps, "crowd"))
	defer crowd.dismiss()
	if err != nil {
		return unmeasured(what, err)
	}
	const name = "failing"
	if err := register(ctx, f, name, sandbox.Fault{Status: 503}); err != nil {
		return unmeasured(what, err)
	}
	w, err := windows(ctx, f, crowd, name)
	if err != nil {
		return unmeasured(what, err)
	}
	library, err := compared(ctx, f, c)
	return []Figure{
		{What: what, Aim: "≤ 2 calls per backoff window", Measured: w.calls, Met: w.most <= 2},
		{What: "slowest of these callers", Aim: "< 1000 ms", Measured: fmt.Sprintf("%d ms", w.slowest.Milliseconds()), Met: w.slowest < time.Second},
		{What: "golang.org/x/oauth2 there, asked once", Measured: library, Err: err},
	}
}

// delegated has every caller of every process ask at once for an expired token
// of a user, of a server that ends the grant when a refresh token comes twice.
func delegated(ctx context.Context, c Config) []Figure {
	const what = "refreshes: 8 processes × 1,000 callers, one expired delegated token"
	f, err := open(ctx, c)
	if err != nil {
		return unmeasured(what, err)
	}
	defer f.Close()
	crowd, err := gather(ctx, f, filepath.Join(c.Bootstraps, "crowd"))
	defer crowd.dismiss()
	if err != nil {
		return unmeasured(what, err)
	}
	most, reused, unserved := 0, 0, 0
	runs := max(c.Runs/10, 1)
	for run := range runs {
		name := fmt.Sprintf("user-%03d", run)
		if err := f.Delegate(ctx, name, sandbox.RefreshPolicy{Rotation: sandbox.RotateAndDetect}, 2*time.Hour); err != nil {
			return unmeasured(what, err)
		}
		if err := f.Provider.Fault(name, sandbox.Fault{Latency: latency}); err != nil {
			return unmeasured(what, err)
		}
		report, err := crowd.ask(order{Connection: name, Callers: callers})
		if err != nil {
			return unmeasured(what, err)
		}
		counted, err := f.Provider.Counters(name)
		if err != nil {
			return unmeasured(what, err)
		}
		most, reused = max(most, counted.Refresh.Requests), reused+counted.Refresh.Superseded
		unserved += crowds*callers - report.served
	}
	return []Figure{{What: what, Aim: fmt.Sprintf("1 in each of %d runs", runs),
		Measured: fmt.Sprintf("at most %d in a run, %d presented twice, %d callers unserved", most, reused, unserved),
		Met:      most == 1 && reused == 0 && unserved == 0}}
}

// Stored tells how long new refresh tokens were stored nowhere.
func Stored(results []scenario.Result) []Figure {
	const limit = 20 * time.Millisecond
	var all []Figure
	for _, r := range results {
		if r.Storing > 0 {
			all = append(all, Figure{What: "refresh token, from the provider's answer to stored, median", Aim: "≤ 20 ms",
				Measured: fmt.Sprintf("%.1f ms", float64(r.Storing.Microseconds())/1000), Met: r.Storing <= limit})
		}
	}
	return all
}

// Killed tells of the scenarios in which a holder was killed.
func Killed(results []scenario.Result) []Figure {
	const limit = 20 * time.Second
	kills, calls := 0, 0
	var slowest time.Duration
	for _, r := range results {
		if r.Recovered == 0 || !strings.HasPrefix(r.Title, "the holder is killed") {
			continue // those of refresh tokens count otherwise
		}
		kills++
		calls += r.Calls - 1
		slowest = max(slowest, r.Recovered)
	}
	if kills == 0 {
		return nil
	}
	return []Figure{
		{What: fmt.Sprintf("next success after a holder was killed, at each of %d steps", kills), Aim: "≤ 20 s",
			Measured: fmt.Sprintf("%.1f s at most", slowest.Seconds()), Met: slowest <= limit},
		{What: "extra provider calls of these", Aim: fmt.Sprintf("≤ %d, the kills", kills),
			Measured: fmt.Sprint(calls), Met: calls <= kills},
	}
}

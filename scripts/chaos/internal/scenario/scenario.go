// Package scenario runs failures of a fleet with real processes of the functions
// that ship. Each scenario has the id of the requirement that it proves.
//
// A scenario checks its own outcome. Package fleet checks what must hold of every
// answer and every log line (INV-1, INV-5, INV-6). Scenarios wait for events, not
// for time, except where a lease must expire or a provider must be slow. The short
// form, which go test runs, moves the stored end of the lease instead, and leaves
// out scenarios that need real time.
package scenario

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// Scenario is one case.
type Scenario struct {
	// ID is the requirement's; several may share one.
	ID, Title string
	// FullOnly: it needs real time, so the short form leaves it out.
	FullOnly bool
	// Alone: it loads or measures the machine, so no other runs beside it.
	Alone bool
	run   func(context.Context, *env)
}

// All are the scenarios in the order of their ids.
func All() []Scenario {
	return slices.Concat(holders(), providers(), secrets(), stores(), clocks(), renewals(), callers(), grants())
}

// Config says how scenarios are run.
type Config struct {
	// Bootstraps is the folder of the built functions.
	Bootstraps string
	// DynamoDB is the endpoint of an engine; required.
	DynamoDB string
	// Full lets real time pass.
	Full bool
	// Soak is how long the soak test runs at full length.
	Soak time.Duration
}

// Result is the outcome of a scenario.
type Result struct {
	ID, Title string
	// Calls is how many token requests reached the provider.
	Calls int
	// Outcomes counts the callers' answers.
	Outcomes map[string]int
	// Broken are the expectations and invariants that did not hold.
	Broken []string
	// Facts are figures for the report.
	Facts []string
	// Log is the end of the processes' output.
	Log  string
	Took time.Duration
}

// Passed reports whether everything held.
func (r Result) Passed() bool { return len(r.Broken) == 0 }

// OutcomeCounts lists the outcomes in a stable order: "16× 200, 1× no answer".
func (r Result) OutcomeCounts() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(r.Outcomes)) {
		parts = append(parts, fmt.Sprintf("%d× %s", r.Outcomes[name], name))
	}
	return strings.Join(parts, ", ")
}

// Run runs the scenario on a fleet of its own.
func (s Scenario) Run(ctx context.Context, c Config) Result {
	began := time.Now()
	e := &env{config: c, outcomes: map[string]int{}}
	if err := e.run(ctx, s); err != nil {
		e.broken = append(e.broken, "could not run: "+err.Error())
	}
	r := Result{ID: s.ID, Title: s.Title, Outcomes: e.outcomes, Broken: e.broken, Facts: e.facts,
		Log: e.log.tail(), Took: time.Since(began)}
	if e.Fleet != nil {
		r.Calls = e.calls + e.Gate.Calls(fleet.Token)
	}
	return r
}

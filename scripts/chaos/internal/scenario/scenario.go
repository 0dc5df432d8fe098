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
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
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
	run   func(context.Context, *env) error
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

// env is the fleet of a scenario, and what the scenario found.
type env struct {
	*fleet.Fleet
	config Config
	log    tail

	mu        sync.Mutex
	outcomes  map[string]int
	broken    []string
	facts     []string
	storing   storing
	calls     int // before the counts were reset
	recovered time.Duration
}

func (e *env) run(ctx context.Context, s Scenario) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute+e.config.Soak)
	defer cancel()
	f, err := fleet.Start(ctx, fleet.Config{Bootstraps: e.config.Bootstraps, DynamoDB: e.config.DynamoDB, Output: &e.log})
	e.Fleet = f
	if err != nil {
		f.Close() // what did start
		return err
	}
	defer f.Close()
	if err := s.run(ctx, e); err != nil {
		return err
	}
	violations, err := f.Violations(ctx)
	e.broken = append(e.broken, violations...)
	return err
}

// expect records what does not hold.
func (e *env) expect(holds bool, format string, args ...any) {
	if holds {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.broken = append(e.broken, fmt.Sprintf(format, args...))
}

func (e *env) fact(format string, args ...any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.facts = append(e.facts, fmt.Sprintf(format, args...))
}

// expectCalls bounds the token requests since resetCounts.
func (e *env) expectCalls(least, most int) {
	calls := e.Gate.Calls(fleet.Token)
	e.expect(least <= calls && calls <= most, "INV-2: %d calls to the provider, want %d to %d", calls, least, most)
}

// resetCounts sets the counts of requests to zero.
func (e *env) resetCounts() {
	e.calls += e.Gate.Calls(fleet.Token)
	e.Gate.Reset()
}

// vend is the environment of the vend function of that number.
func (e *env) vend(number int) *fleet.Process { return e.Process(fleet.Vend, number) }

// ask asks one process and counts the outcome.
func (e *env) ask(ctx context.Context, p *fleet.Process, ask fleet.Ask) fleet.Answer {
	return e.count(p.Ask(ctx, ask))
}

func (e *env) count(a fleet.Answer) fleet.Answer {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.outcomes[a.Outcome()]++
	return a
}

// askAll asks every process at once.
func (e *env) askAll(ctx context.Context, processes []*fleet.Process, ask fleet.Ask) []fleet.Answer {
	answers := fleet.AskAll(ctx, processes, ask)
	for _, a := range answers {
		e.count(a)
	}
	return answers
}

// asking asks in the background.
func (e *env) asking(ctx context.Context, p *fleet.Process, ask fleet.Ask) <-chan fleet.Answer {
	answer := make(chan fleet.Answer, 1)
	go func() { answer <- e.ask(ctx, p, ask) }()
	return answer
}

// expectOutcome checks that an answer is one of those that are right.
func (e *env) expectOutcome(a fleet.Answer, right ...string) {
	e.expect(slices.Contains(right, a.Outcome()), "a caller got %s (%s%s), want %s", a.Outcome(), a.Detail, because(a.Err), strings.Join(right, " or "))
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// expireLease ends the lease of a connection. At full length it expires by itself.
func (e *env) expireLease(ctx context.Context, connection string) error {
	if e.config.Full {
		return nil
	}
	return e.Change(ctx, connection, values{"lease_until": fleet.Millis(time.Now().Add(-time.Second))})
}

// served asks one process until it has a token, at most for that long, and follows
// each Retry-After, as callers do.
func (e *env) served(ctx context.Context, p *fleet.Process, connection string, within time.Duration) fleet.Answer {
	began := time.Now()
	for {
		a := e.ask(ctx, p, fleet.TokenOf(connection))
		took := time.Since(began)
		if a.Status == 200 || took > within || ctx.Err() != nil {
			e.expect(a.Status == 200, "INV-7: no token after %s: %s", took.Round(time.Second), a.Outcome())
			e.recovered = took
			return a
		}
		e.pause(ctx, min(max(a.RetryAfter, 100*time.Millisecond), time.Second))
	}
}

// pause waits for d.
func (e *env) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// tail keeps the end of its input.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 256 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if len(t.text) > 2*tailSize {
		t.text = bytes.Clone(t.text[len(t.text)-tailSize:])
	}
	return len(p), nil
}

func (t *tail) tail() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}

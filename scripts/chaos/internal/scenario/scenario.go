// Package scenario holds what can happen to a fleet, each case under the id of
// the requirement it proves, with real processes of the functions that ship.
//
// A scenario says what must come of it in its own words; what must hold of
// every answer and every log line (INV-1, INV-5, INV-6) is judged by package
// fleet along the way. Waiting is always for something that happens. Only where
// a lease must lapse or a provider must be slow does wall-clock time pass, and
// only at full length: the short form, which go test runs, has the stored lease
// end early instead, and leaves out what is nothing but patience.
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
	// Patient: it takes real time whatever the form, so the short one has none of it.
	Patient bool
	// Alone: it loads the machine, or measures it, and shares it with no other.
	Alone bool
	run   func(context.Context, *stage) error
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

// Result is what came of a scenario.
type Result struct {
	ID, Title string
	// Calls is how many token requests reached the provider.
	Calls int
	// Outcomes counts what callers got.
	Outcomes map[string]int
	// Broken are the expectations and invariants that did not hold.
	Broken []string
	// Facts are figures worth telling.
	Facts []string
	// Log is the end of what the processes wrote.
	Log  string
	Took time.Duration
	// Recovered is how long the fleet took to serve again after a holder's death;
	// zero where that was not the question.
	Recovered time.Duration
	// Storing is the median of how long a new refresh token was stored nowhere;
	// zero where that was not the question.
	Storing time.Duration
}

// Passed reports whether everything held.
func (r Result) Passed() bool { return len(r.Broken) == 0 }

// Heard tells what callers got, in a stable order: "16× 200, 1× no answer".
func (r Result) Heard() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(r.Outcomes)) {
		parts = append(parts, fmt.Sprintf("%d× %s", r.Outcomes[name], name))
	}
	return strings.Join(parts, ", ")
}

// Run plays the scenario on a fleet of its own.
func (s Scenario) Run(ctx context.Context, c Config) Result {
	began := time.Now()
	st := &stage{config: c, outcomes: map[string]int{}}
	if err := st.play(ctx, s); err != nil {
		st.broken = append(st.broken, "could not be played: "+err.Error())
	}
	r := Result{ID: s.ID, Title: s.Title, Outcomes: st.outcomes, Broken: st.broken, Facts: st.facts,
		Log: st.log.tail(), Took: time.Since(began), Recovered: st.recovered, Storing: st.storing.median()}
	if st.Fleet != nil {
		r.Calls = st.calls + st.Gate.Calls(fleet.Token)
	}
	return r
}

// stage is a fleet with a scenario on it.
type stage struct {
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

func (s *stage) play(ctx context.Context, sc Scenario) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute+s.config.Soak)
	defer cancel()
	f, err := fleet.Start(ctx, fleet.Config{Bootstraps: s.config.Bootstraps, DynamoDB: s.config.DynamoDB, Output: &s.log})
	s.Fleet = f
	if err != nil {
		f.Close() // what did start
		return err
	}
	defer f.Close()
	if err := sc.run(ctx, s); err != nil {
		return err
	}
	violations, err := f.Violations(ctx)
	s.broken = append(s.broken, violations...)
	return err
}

// expect notes what does not hold.
func (s *stage) expect(holds bool, format string, args ...any) {
	if holds {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken = append(s.broken, fmt.Sprintf(format, args...))
}

func (s *stage) fact(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts = append(s.facts, fmt.Sprintf(format, args...))
}

// expectCalls bounds the token requests since the counts were last taken.
func (s *stage) expectCalls(least, most int) {
	calls := s.Gate.Calls(fleet.Token)
	s.expect(least <= calls && calls <= most, "INV-2: %d calls to the provider, want %d to %d", calls, least, most)
}

// newAct starts the counts anew.
func (s *stage) newAct() {
	s.calls += s.Gate.Calls(fleet.Token)
	s.Gate.Reset()
}

// vend is the environment of the vend function of that number.
func (s *stage) vend(number int) *fleet.Process { return s.Process(fleet.Vend, number) }

// ask asks one process and notes the outcome.
func (s *stage) ask(ctx context.Context, p *fleet.Process, ask fleet.Ask) fleet.Answer {
	return s.heard(p.Ask(ctx, ask))
}

func (s *stage) heard(a fleet.Answer) fleet.Answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outcomes[a.Outcome()]++
	return a
}

// askAll asks every process at once.
func (s *stage) askAll(ctx context.Context, processes []*fleet.Process, ask fleet.Ask) []fleet.Answer {
	answers := fleet.AskAll(ctx, processes, ask)
	for _, a := range answers {
		s.heard(a)
	}
	return answers
}

// asking asks in the background.
func (s *stage) asking(ctx context.Context, p *fleet.Process, ask fleet.Ask) <-chan fleet.Answer {
	answer := make(chan fleet.Answer, 1)
	go func() { answer <- s.ask(ctx, p, ask) }()
	return answer
}

// expectOutcome holds an answer against the ones that are right.
func (s *stage) expectOutcome(a fleet.Answer, right ...string) {
	s.expect(slices.Contains(right, a.Outcome()), "a caller got %s (%s%s), want %s", a.Outcome(), a.Detail, because(a.Err), strings.Join(right, " or "))
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// lapse has the lease of a connection end: at full length nothing needs doing.
func (s *stage) lapse(ctx context.Context, connection string) error {
	if s.config.Full {
		return nil
	}
	return s.Change(ctx, connection, values{"lease_until": fleet.Millis(time.Now().Add(-time.Second))})
}

// served asks one process until it has a token, for so long at most. It is how
// callers wait out a lease: each answer says to come again.
func (s *stage) served(ctx context.Context, p *fleet.Process, connection string, within time.Duration) fleet.Answer {
	began := time.Now()
	for {
		a := s.ask(ctx, p, fleet.TokenOf(connection))
		took := time.Since(began)
		if a.Status == 200 || took > within || ctx.Err() != nil {
			s.expect(a.Status == 200, "INV-7: no token after %s: %s", took.Round(time.Second), a.Outcome())
			s.recovered = took
			return a
		}
		s.pause(ctx, min(max(a.RetryAfter, 100*time.Millisecond), time.Second))
	}
}

// pause lets real time pass.
func (s *stage) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// tail keeps the end of what is written to it.
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

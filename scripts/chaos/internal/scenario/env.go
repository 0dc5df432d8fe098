package scenario

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

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
	performed := make(chan struct{})
	go func() { // a goroutine of its own, so that must can end it
		defer close(performed)
		s.run(ctx, e)
	}()
	<-performed
	violations, err := f.Violations(ctx)
	e.broken = append(e.broken, violations...)
	return err
}

// must ends the scenario unless err is nil, as Fatal ends a test. Only the
// goroutine of the scenario itself may call it.
func (e *env) must(err error) {
	if err != nil {
		e.expect(false, "could not run: %v", err)
		runtime.Goexit()
	}
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

// item is a connection's own item as it is stored.
func (e *env) item(ctx context.Context, connection string) values {
	item, err := e.Item(ctx, connection)
	e.must(err)
	return item
}

// mint stores a token of that age, and returns its id.
func (e *env) mint(ctx context.Context, connection string, age time.Duration) string {
	id, err := e.Mint(ctx, connection, age)
	e.must(err)
	return id
}

// renew sends an event to the renew function.
func (e *env) renew(ctx context.Context, event []byte) fleet.Summary {
	done, err := e.Process(fleet.Renew, 0).Send(ctx, event)
	e.must(err)
	return done
}

// fault sets the faults of a connection's provider; none makes it work again.
func (e *env) fault(connection string, faults ...sandbox.Fault) {
	e.must(e.Provider.Fault(connection, faults...))
}

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

// counted is the outcomes so far.
func (e *env) counted() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return maps.Clone(e.outcomes)
}

// expectAllServed checks that every answer so far has a token, and counts them.
func (e *env) expectAllServed(rule string) (asked int) {
	for outcome, n := range e.counted() {
		asked += n
		e.expect(outcome == "200", "%s: %d× %s", rule, n, outcome)
	}
	return asked
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

// heldAtCommit asks in the background, and returns when the commit is about to be
// written. It is written after release is called.
func (e *env) heldAtCommit(ctx context.Context, p *fleet.Process, connection string) (answer <-chan fleet.Answer, release func()) {
	met, release := e.Gate.Hold(fleet.Commit, fleet.Arrived)
	answer = e.asking(ctx, p, fleet.TokenOf(connection))
	select {
	case <-met:
	case a := <-answer:
		release()
		e.must(fmt.Errorf("no commit came: %s", a.Outcome()))
	}
	return answer, release
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
func (e *env) expireLease(ctx context.Context, connection string) {
	if !e.config.Full {
		e.expireLeaseNow(ctx, connection)
	}
}

// expireLeaseNow ends the lease of a connection, if there is one, at full length too.
func (e *env) expireLeaseNow(ctx context.Context, connection string) {
	if e.item(ctx, connection)["lease_owner"] != nil {
		e.must(e.Change(ctx, connection, values{"lease_until": fleet.Millis(time.Now().Add(-time.Second))}))
	}
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

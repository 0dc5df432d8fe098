package scenario

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenvend/tokenvend/pkg/sandbox"
	"github.com/tokenvend/tokenvend/scripts/internal/fleet"
)

// providers are the scenarios of token endpoints that fail or misbehave.
func providers() []Scenario {
	return []Scenario{
		{ID: "FI-10", Title: "the provider fails once", run: retried(sandbox.Fault{Status: 500, Count: 1})},
		{ID: "FI-11", Title: "the provider fails while a token is valid", run: failingServed},
		{ID: "FI-11", Title: "the provider fails and there is no token", run: failingEmpty},
		{ID: "FI-12", Title: "429 with Retry-After 120", run: throttled},
		{ID: "FI-14", Title: "connection refused", run: unreachable("")},
		{ID: "FI-14", Title: "the provider's name does not resolve", run: unreachable("https://unresolved.invalid")},
		{ID: "FI-15", Title: "TLS: expired certificate, another host's, unknown authority, TLS 1.1", run: badTLS},
		{ID: "FI-16", Title: "307 to another server", run: redirected},
		{ID: "FI-17", Title: "the answer begins and hangs", FullOnly: true, run: hanging(sandbox.Fault{Status: 200, Body: `{"access_`, Hang: true})},
		{ID: "FI-17", Title: "the answer never begins", FullOnly: true, run: hanging(sandbox.Fault{Hang: true})},
		{ID: "FI-17", Title: "one byte a second", FullOnly: true, run: drip},
		{ID: "FI-18", Title: "the answer is cut in the middle", run: retried(sandbox.Fault{Truncate: true, Count: 1})},
		{ID: "FI-18", Title: "the token is issued and its answer reset", run: retried(sandbox.Fault{Reset: true, Processed: true, Count: 1})},
		{ID: "FI-19", Title: "200 with a maintenance page", run: maintenance},
		{ID: "FI-20", Title: "a body without an end", run: oversized(endless)},
		{ID: "FI-20", Title: "a gzip bomb", run: oversized(bomb)},
		{ID: "FI-20", Title: "a header of a megabyte", run: oversized(longHeader)},
	}
}

func retried(f sandbox.Fault) func(context.Context, *env) {
	return func(ctx context.Context, e *env) {
		e.fault(crm, f)
		e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "200")
		e.expectCalls(2, 2)
	}
}

// failingServed has tokens of three ages when the provider fails: one within its
// early refresh, one within the last seconds of its life, and one that has expired.
func failingServed(ctx context.Context, e *env) {
	e.must(e.Provider.SetLifetime(crm, 100*time.Second))
	for _, age := range []struct {
		ago     time.Duration
		outcome string
	}{
		{86 * time.Second, "200 stale"}, {93 * time.Second, "200 stale"}, {101 * time.Second, "503 provider_unavailable"},
	} {
		name := fmt.Sprintf("aged-%d", age.ago/time.Second)
		e.must(e.Register(name))
		e.must(e.Provider.SetLifetime(name, 100*time.Second))
		e.mint(ctx, name, age.ago)
		e.resetCounts()
		e.fault(name, answer(500))
		for _, p := range e.Vends(4) {
			e.expectOutcome(e.ask(ctx, p, fleet.TokenOf(name)), age.outcome)
		}
		e.expectCalls(1, 2)
	}
}

// failingEmpty answers all callers at once with one failure. A new version of the
// secret clears the stored failure.
func failingEmpty(ctx context.Context, e *env) {
	e.fault(crm, answer(503))
	for _, a := range e.askAll(ctx, e.Vends(16), fleet.TokenOf(crm)) {
		e.expectOutcome(a, "503 provider_unavailable")
		e.expect(a.RetryAfter > 0, "no Retry-After")
		e.expect(a.Took < 3*time.Second, "a caller waited %s for a failure", a.Took)
	}
	e.expectCalls(1, 2)
	e.expectRecovery(ctx, crm)
}

// expectRecovery ends the provider's fault and expects the next caller to be
// served: at full length after the Retry-After, otherwise after a new version of the
// secret, which clears the stored failure at once.
func (e *env) expectRecovery(ctx context.Context, connection string) {
	e.fault(connection)
	e.resetCounts()
	if e.config.Full {
		e.served(ctx, e.vend(0), connection, 2*leaseTTL)
	} else {
		e.must(e.PutSecret(connection, e.Provider.Connections()[connection]))
		e.expectOutcome(e.ask(ctx, e.vend(31), fleet.TokenOf(connection)), "200")
	}
	e.expectCalls(1, 1)
}

func throttled(ctx context.Context, e *env) {
	e.fault(crm, sandbox.Fault{Status: 429, RetryAfter: "120"})
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "503 provider_unavailable")
	e.expectCalls(1, 1)
	e.resetCounts()
	for _, a := range e.askAll(ctx, e.Vends(4), fleet.TokenOf(crm)) {
		e.expectOutcome(a, "503 provider_unavailable")
		e.expect(a.RetryAfter > 110*time.Second && a.RetryAfter <= 120*time.Second, "Retry-After is %s", a.RetryAfter)
	}
	e.expectCalls(0, 0)
}

func unreachable(address string) func(context.Context, *env) {
	return func(ctx context.Context, e *env) {
		if address == "" {
			free, err := fleet.Unserved()
			e.must(err)
			address = "http://" + free
		}
		e.declareAt("gone", address)
		for _, a := range e.askAll(ctx, e.Vends(4), fleet.TokenOf("gone")) {
			e.expectOutcome(a, "503 provider_unavailable")
			e.expect(a.Took < 10*time.Second, "a caller waited %s", a.Took)
		}
	}
}

func redirected(ctx context.Context, e *env) {
	var reached atomic.Int64
	elsewhere := e.Listen(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	e.fault(crm, sandbox.Fault{Redirect: elsewhere + "/token", Status: 307})
	e.expectOutcome(e.ask(ctx, e.vend(0), fleet.TokenOf(crm)), "502 provider_malformed")
	e.expect(reached.Load() == 0, "OC-20: the other server got %d requests", reached.Load())
	e.expectCalls(1, 1)
}

// budget is how long a caller may wait for a refresh that fails.
const budget = 12 * time.Second

func hanging(f sandbox.Fault) func(context.Context, *env) {
	return func(ctx context.Context, e *env) {
		e.fault(crm, f)
		a := e.ask(ctx, e.vend(0), fleet.TokenOf(crm))
		e.expectOutcome(a, "504 provider_timeout")
		e.expect(a.Took < budget, "a caller waited %s", a.Took)
		e.expectNoLease(ctx, crm)
		e.expectRecovery(ctx, crm)
	}
}

func (e *env) expectNoLease(ctx context.Context, connection string) {
	e.expect(e.item(ctx, connection)["lease_owner"] == nil, "the lease was not released")
}

func drip(ctx context.Context, e *env) {
	e.declare("drip", func(w http.ResponseWriter, r *http.Request) {
		for range 60 {
			_, err := w.Write([]byte(" "))
			if err != nil || http.NewResponseController(w).Flush() != nil || r.Context().Err() != nil {
				return
			}
			wait(r.Context(), time.Second)
		}
	})
	a := e.ask(ctx, e.vend(0), fleet.TokenOf("drip"))
	e.expectOutcome(a, "504 provider_timeout")
	e.expect(a.Took < budget, "a caller waited %s", a.Took)
	e.expectNoLease(ctx, "drip")
}

func maintenance(ctx context.Context, e *env) {
	e.fault(crm, sandbox.Fault{Body: "<h1>maintenance</h1>", ContentType: "text/html"})
	for _, a := range e.askAll(ctx, e.Vends(4), fleet.TokenOf(crm)) {
		e.expectOutcome(a, "502 provider_malformed")
	}
	e.expectCalls(1, 1)
	e.expectRecovery(ctx, crm)
}

func oversized(endpoint http.HandlerFunc) func(context.Context, *env) {
	return func(ctx context.Context, e *env) {
		e.declare("swollen", endpoint)
		p := e.vend(0)
		e.must(p.Start(ctx))
		e.expectOutcome(e.ask(ctx, p, fleet.TokenOf(crm)), "200")
		before, err := p.Use()
		e.must(err)
		e.expectOutcome(e.ask(ctx, p, fleet.TokenOf("swollen")), "502 provider_malformed")
		after, err := p.Use()
		e.must(err)
		e.expect(after.Resident-before.Resident < 16<<20, "the process grew by %d KiB", (after.Resident-before.Resident)>>10)
	}
}

func endless(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	block := bytes.Repeat([]byte(" "), 64<<10)
	for r.Context().Err() == nil {
		if _, err := w.Write(block); err != nil {
			return
		}
	}
}

// packed is 32 MiB of white space in a few kilobytes.
var packed = sync.OnceValue(func() []byte {
	var text bytes.Buffer
	z, _ := gzip.NewWriterLevel(&text, gzip.BestSpeed) // the level exists
	block := bytes.Repeat([]byte(" "), 1<<20)
	for range 32 {
		_, _ = z.Write(block) // writes to a buffer do not fail
	}
	_ = z.Close()
	return text.Bytes()
})

func bomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	_, _ = w.Write(packed()) // the client closes the connection early
}

func longHeader(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Long", string(bytes.Repeat([]byte("x"), 1<<20)))
	grant(w)
}

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

// providers are the cases of a token endpoint that does not do as it should.
func providers() []Scenario {
	return []Scenario{
		{ID: "FI-10", Title: "the provider fails once", run: retried(sandbox.Fault{Status: 500, Count: 1})},
		{ID: "FI-11", Title: "the provider fails while a token lives on", run: failingServed},
		{ID: "FI-11", Title: "the provider fails and there is no token", run: failingEmpty},
		{ID: "FI-12", Title: "429 with Retry-After 120", run: throttled},
		{ID: "FI-14", Title: "connection refused", run: unreachable("")},
		{ID: "FI-14", Title: "the provider's name does not resolve", run: unreachable("https://nobody.invalid")},
		{ID: "FI-15", Title: "TLS: expired, another's, self-made certificate, TLS 1.1", run: badTLS},
		{ID: "FI-16", Title: "307 to somebody else", run: redirected},
		{ID: "FI-17", Title: "the answer begins and hangs", Patient: true, run: hanging(sandbox.Fault{Status: 200, Body: `{"access_`, Hang: true})},
		{ID: "FI-17", Title: "the answer never begins", Patient: true, run: hanging(sandbox.Fault{Hang: true})},
		{ID: "FI-17", Title: "one byte a second", Patient: true, run: drip},
		{ID: "FI-18", Title: "the answer is cut in the middle", run: retried(sandbox.Fault{Truncate: true, Count: 1})},
		{ID: "FI-18", Title: "the token is issued and its answer reset", run: retried(sandbox.Fault{Reset: true, Processed: true, Count: 1})},
		{ID: "FI-19", Title: "200 with a maintenance page", run: maintenance},
		{ID: "FI-20", Title: "a body without an end", run: swollen(endless)},
		{ID: "FI-20", Title: "a gzip bomb", run: swollen(bomb)},
		{ID: "FI-20", Title: "a header of a megabyte", run: swollen(longHeader)},
	}
}

func retried(f sandbox.Fault) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		if err := s.Provider.Fault(crm, f); err != nil {
			return err
		}
		s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(crm)), "200")
		s.expectCalls(2, 2)
		return nil
	}
}

// failingServed meets a failing provider with tokens of three ages: one that is
// usable and late in its life, one that is only valid, and one that is neither.
func failingServed(ctx context.Context, s *stage) error {
	if err := s.Provider.SetLifetime(crm, 100*time.Second); err != nil {
		return err
	}
	for _, age := range []struct {
		ago     time.Duration
		outcome string
	}{
		{86 * time.Second, "200 stale"}, {93 * time.Second, "200 stale"}, {101 * time.Second, "503 provider_unavailable"},
	} {
		name := fmt.Sprintf("aged-%d", age.ago/time.Second)
		if err := s.Register(ctx, name); err != nil {
			return err
		}
		if err := s.Provider.SetLifetime(name, 100*time.Second); err != nil {
			return err
		}
		if _, err := s.Mint(ctx, name, age.ago); err != nil {
			return err
		}
		s.newAct()
		if err := s.Provider.Fault(name, answer(500)); err != nil {
			return err
		}
		for _, p := range s.Vends(4) {
			s.expectOutcome(s.ask(ctx, p, fleet.TokenOf(name)), age.outcome)
		}
		s.expectCalls(1, 2)
	}
	return nil
}

// failingEmpty has everybody answered at once with one failure, and the memory
// of it cleared by a new version of the secret.
func failingEmpty(ctx context.Context, s *stage) error {
	if err := s.Provider.Fault(crm, answer(503)); err != nil {
		return err
	}
	for _, a := range s.askAll(ctx, s.Vends(16), fleet.TokenOf(crm)) {
		s.expectOutcome(a, "503 provider_unavailable")
		s.expect(a.RetryAfter > 0, "no Retry-After")
		s.expect(a.Took < 3*time.Second, "a caller waited %s for a failure", a.Took)
	}
	s.expectCalls(1, 2)
	return s.mended(ctx, crm)
}

// mended has the provider work again and the next caller served: at full length
// after the pause that was announced, else by a new version of the secret, which
// clears the memory of a failure at once.
func (s *stage) mended(ctx context.Context, connection string) error {
	if err := s.Provider.Fault(connection); err != nil {
		return err
	}
	s.newAct()
	if s.config.Full {
		s.served(ctx, s.vend(0), connection, 2*leaseTTL)
	} else {
		if err := s.PutSecret(ctx, connection, s.Provider.Connections()[connection]); err != nil {
			return err
		}
		s.expectOutcome(s.ask(ctx, s.vend(31), fleet.TokenOf(connection)), "200")
	}
	s.expectCalls(1, 1)
	return nil
}

func throttled(ctx context.Context, s *stage) error {
	if err := s.Provider.Fault(crm, sandbox.Fault{Status: 429, RetryAfter: "120"}); err != nil {
		return err
	}
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(crm)), "503 provider_unavailable")
	s.expectCalls(1, 1)
	s.newAct()
	for _, a := range s.askAll(ctx, s.Vends(4), fleet.TokenOf(crm)) {
		s.expectOutcome(a, "503 provider_unavailable")
		s.expect(a.RetryAfter > 110*time.Second && a.RetryAfter <= 120*time.Second, "Retry-After is %s", a.RetryAfter)
	}
	s.expectCalls(0, 0)
	return nil
}

func unreachable(address string) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		if address == "" {
			free, err := fleet.Unserved()
			if err != nil {
				return err
			}
			address = "http://" + free
		}
		if err := s.declareAt(ctx, "gone", address); err != nil {
			return err
		}
		for _, a := range s.askAll(ctx, s.Vends(4), fleet.TokenOf("gone")) {
			s.expectOutcome(a, "503 provider_unavailable")
			s.expect(a.Took < 10*time.Second, "a caller waited %s", a.Took)
		}
		return nil
	}
}

func redirected(ctx context.Context, s *stage) error {
	var reached atomic.Int64
	elsewhere := s.Listen(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	if err := s.Provider.Fault(crm, sandbox.Fault{Redirect: elsewhere + "/token", Status: 307}); err != nil {
		return err
	}
	s.expectOutcome(s.ask(ctx, s.vend(0), fleet.TokenOf(crm)), "502 provider_malformed")
	s.expect(reached.Load() == 0, "OC-20: the other server got %d requests", reached.Load())
	s.expectCalls(1, 1)
	return nil
}

// budget is what a refresh may take, with the time to say so.
const budget = 12 * time.Second

func hanging(f sandbox.Fault) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		if err := s.Provider.Fault(crm, f); err != nil {
			return err
		}
		a := s.ask(ctx, s.vend(0), fleet.TokenOf(crm))
		s.expectOutcome(a, "504 provider_timeout")
		s.expect(a.Took < budget, "a caller waited %s", a.Took)
		if err := s.expectNoLease(ctx, crm); err != nil {
			return err
		}
		return s.mended(ctx, crm)
	}
}

func (s *stage) expectNoLease(ctx context.Context, connection string) error {
	item, err := s.Item(ctx, connection)
	s.expect(item["lease_owner"] == nil, "the lease was not released")
	return err
}

func drip(ctx context.Context, s *stage) error {
	err := s.declare(ctx, "drip", func(w http.ResponseWriter, r *http.Request) {
		for range 60 {
			_, err := w.Write([]byte(" "))
			if err != nil || http.NewResponseController(w).Flush() != nil || r.Context().Err() != nil {
				return
			}
			wait(r.Context(), time.Second)
		}
	})
	if err != nil {
		return err
	}
	a := s.ask(ctx, s.vend(0), fleet.TokenOf("drip"))
	s.expectOutcome(a, "504 provider_timeout")
	s.expect(a.Took < budget, "a caller waited %s", a.Took)
	return s.expectNoLease(ctx, "drip")
}

func maintenance(ctx context.Context, s *stage) error {
	if err := s.Provider.Fault(crm, sandbox.Fault{Body: "<h1>maintenance</h1>", ContentType: "text/html"}); err != nil {
		return err
	}
	for _, a := range s.askAll(ctx, s.Vends(4), fleet.TokenOf(crm)) {
		s.expectOutcome(a, "502 provider_malformed")
	}
	s.expectCalls(1, 1)
	return s.mended(ctx, crm)
}

func swollen(endpoint http.HandlerFunc) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		if err := s.declare(ctx, "swollen", endpoint); err != nil {
			return err
		}
		p := s.vend(0)
		if err := p.Start(ctx); err != nil {
			return err
		}
		s.expectOutcome(s.ask(ctx, p, fleet.TokenOf(crm)), "200")
		before, err := p.Use()
		if err != nil {
			return err
		}
		s.expectOutcome(s.ask(ctx, p, fleet.TokenOf("swollen")), "502 provider_malformed")
		after, err := p.Use()
		s.expect(after.Resident-before.Resident < 16<<20, "the process grew by %d KiB", (after.Resident-before.Resident)>>10)
		return err
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
		_, _ = z.Write(block) // a buffer takes everything
	}
	_ = z.Close()
	return text.Bytes()
})

func bomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	_, _ = w.Write(packed()) // the client hangs up before its end
}

func longHeader(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Long", string(bytes.Repeat([]byte("x"), 1<<20)))
	grant(w)
}

package vending_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// hangs makes the provider leave each request without a response until the client
// gives up.
func (d *delegation) hangs() {
	d.idp.during = func(oauth.Request) { time.Sleep(8 * time.Second) }
	d.idp.after = func(oauth.Request) *oauth.Error { return unanswered() }
}

// manyScopes declares crm with n scopes that callers may choose, and returns a request
// of each.
func (f *fleet) manyScopes(n int) []vending.Request {
	allowed, requests := "", []vending.Request(nil)
	for i := range n {
		r := crm()
		r.Scope = fmt.Sprintf("scope-%d", i)
		requests = append(requests, r)
		allowed += fmt.Sprintf(`,%q`, r.Scope)
	}
	f.declare("crm", `{"provider":"oauth2","client_id":"app","client_secret":"hush","token_url":"https://idp.example.com/token","scope":"all","allowed_scopes":[`+allowed[1:]+`]}`)
	return requests
}

// manySubjects is a delegation with n subjects, whose tokens have expired.
func manySubjects(t *testing.T, n int) (*delegation, []vending.Request) {
	d := newDelegation(t, keeps)
	d.inRealTime()
	var requests []vending.Request
	for i := range n {
		requests = append(requests, of(fmt.Sprintf("user-%d", i)))
		d.consent(d.process(), requests[i])
	}
	time.Sleep(2 * time.Hour)
	return d, requests
}

// load is four requests a second for a minute, in turn.
type load struct {
	requests []vending.Request
	// environment returns an environment that is idle, and what to call afterwards.
	environment func() (*vending.Core, func())
	mu          sync.Mutex
	held        time.Duration
}

const loadWindow, loadInterval = time.Minute, 250 * time.Millisecond

// run returns the time for which the requests held an environment within the window.
func (l *load) run(t *testing.T) time.Duration {
	end := time.Now().Add(loadWindow)
	var wg sync.WaitGroup
	for i := 0; time.Now().Before(end); time.Sleep(loadInterval) {
		r := l.requests[i%len(l.requests)]
		i++
		wg.Go(func() {
			core, idle := l.environment()
			defer idle()
			began := time.Now()
			p := wantCode(t, second(core.Vend(t.Context(), r)), problem.ProviderTimeout)
			if p.RetryAfter <= 0 {
				t.Errorf("Retry-After %v", p.RetryAfter)
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			l.held += min(time.Since(began), end.Sub(began))
		})
	}
	wg.Wait()
	return l.held
}

// cold makes each request start an environment of its own.
func cold(process func() *vending.Core) func() (*vending.Core, func()) {
	return func() (*vending.Core, func()) { return process(), func() {} }
}

// warm reuses the environments that are idle, as Lambda does.
func warm(process func() *vending.Core) func() (*vending.Core, func()) {
	var mu sync.Mutex
	var idle []*vending.Core
	return func() (*vending.Core, func()) {
		mu.Lock()
		defer mu.Unlock()
		var core *vending.Core
		if last := len(idle) - 1; last >= 0 {
			core, idle = idle[last], idle[:last]
		} else {
			core = process()
		}
		return core, func() {
			mu.Lock()
			defer mu.Unlock()
			idle = append(idle, core)
		}
	}
}

// TestHangingProviderHoldsFewEnvironments counts the time for which execution
// environments are held by requests for a provider that does not answer, from the
// first failure on.
func TestHangingProviderHoldsFewEnvironments(t *testing.T) {
	one := func(t *testing.T) (*fleet, func() *vending.Core, []vending.Request) {
		f := newFleet(t)
		f.hangs()
		return f, f.process, []vending.Request{crm()}
	}
	scopes := func(t *testing.T) (*fleet, func() *vending.Core, []vending.Request) {
		f := newFleet(t)
		requests := f.manyScopes(8)
		f.hangs()
		return f, f.process, requests
	}
	subjects := func(t *testing.T) (*fleet, func() *vending.Core, []vending.Request) {
		d, requests := manySubjects(t, 40)
		d.hangs()
		return d.fleet, d.process, requests
	}
	for _, c := range []struct {
		name    string
		fixture func(*testing.T) (*fleet, func() *vending.Core, []vending.Request)
		pool    func(func() *vending.Core) func() (*vending.Core, func())
	}{
		{"one token", one, cold},
		{"8 scopes", scopes, cold},
		{"40 subjects", subjects, cold},
		{"40 subjects, warm", subjects, warm},
	} {
		for _, fraction := range []jitter{0, 0.5, 0.999} {
			t.Run(fmt.Sprintf("FI-02 CR-18 %s, jitter %v", c.name, fraction), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f, process, requests := c.fixture(t)
					f.random = fraction
					l := &load{requests: requests, environment: c.pool(process)}
					wantCode(t, second(process().Vend(t.Context(), requests[0])), problem.ProviderTimeout)
					held := l.run(t)
					t.Logf("%.1f environment-seconds in %v", held.Seconds(), loadWindow)
					if held > loadWindow {
						t.Errorf("held %v in %v, want at most one second a second", held, loadWindow)
					}
				})
			})
		}
	}
}

// TestOutageConcernsWhatDoesNotAnswer: what one caller has learned of a provider holds
// for as much as does not answer, and for no longer.
func TestOutageConcernsWhatDoesNotAnswer(t *testing.T) {
	elsewhere := vending.Request{Connection: "erp", Caller: principal}
	neighbour := vending.Request{Connection: "hr", Caller: principal}
	// failing is a fleet of which one scope of crm has just failed so.
	failing := func(t *testing.T, err *oauth.Error) (*fleet, []vending.Request) {
		f := newFleet(t)
		scopes := f.manyScopes(2)
		f.declare("hr", valid)
		f.declare("erp", `{"provider":"oauth2","client_id":"app","client_secret":"hush","token_url":"https://other.example.com/token"}`)
		f.server.failing(err)
		wantCode(t, second(f.process().Vend(t.Context(), scopes[0])), problem.Code(err.Kind))
		f.server.failing(nil)
		return f, scopes
	}
	timeout := &oauth.Error{Kind: oauth.Timeout, Reason: oauth.ReasonTimeout, Trace: oauth.Trace{Calls: 1}}
	refused := &oauth.Error{Kind: oauth.Unavailable, Reason: oauth.ReasonDial}
	unreachable := &oauth.Error{Kind: oauth.Unavailable, Reason: oauth.ReasonDial, Trace: oauth.Trace{Latency: 3 * time.Second}}
	slow := &oauth.Error{Kind: oauth.Unavailable, Reason: oauth.ReasonStatus, Trace: oauth.Trace{Calls: 1, Status: 504, Latency: 5 * time.Second}}
	for name, c := range map[string]struct {
		err    *oauth.Error
		shared bool
	}{
		"CR-18 a time-out":                    {timeout, true},
		"CR-18 no connection for seconds":     {unreachable, true},
		"CR-18 not a refused connection":      {refused, false},
		"CR-18 a slow 504":                    {slow, true},
		"CR-18 not an answer with 503":        {unavailable, false},
		"CR-18 not a 4xx":                     {&oauth.Error{Kind: oauth.Rejected, Code: "invalid_scope", Trace: oauth.Trace{Calls: 1, Status: 400}}, false},
		"CR-18 not an unusable answer":        {&oauth.Error{Kind: oauth.Malformed, Trace: oauth.Trace{Calls: 1, Status: 200}}, false},
		"CR-18 not a caller who has given up": {&oauth.Error{Kind: oauth.Timeout, Reason: oauth.ReasonCanceled}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f, scopes := failing(t, c.err)
			_, err := f.process().Vend(t.Context(), scopes[1])
			if c.shared {
				if p := wantCode(t, err, problem.Code(c.err.Kind)); p.RetryAfter < 2*time.Second {
					t.Errorf("Retry-After %v", p.RetryAfter)
				}
			} else if err != nil {
				t.Errorf("another scope: %v", err)
			}
			f.vend(f.process(), elsewhere)
			f.vend(f.process(), neighbour)
		})
	}
	t.Run("CR-18 connections of one host do not affect each other", func(t *testing.T) {
		f, _ := failing(t, timeout)
		f.server.failing(timeout)
		wantCode(t, second(f.process().Vend(t.Context(), neighbour)), problem.ProviderTimeout)
		f.server.failing(nil)
		f.declare("new", valid)
		f.vend(f.process(), vending.Request{Connection: "new", Caller: principal})
	})
	t.Run("CR-18 a forgotten token forgets the outage", func(t *testing.T) {
		f, scopes := failing(t, timeout)
		if err := f.process().Forget(t.Context(), crm(), false); err != nil {
			t.Fatal(err)
		}
		f.vend(f.process(), scopes[1])
	})
	t.Run("INV-7 a provider that recovers is used within the longest pause, by all", func(t *testing.T) {
		f, scopes := failing(t, timeout)
		f.server.failing(timeout)
		for range 20 {
			wantCode(t, second(f.process().Vend(t.Context(), scopes[1])), problem.ProviderTimeout)
			f.clock.advance(30 * time.Second)
		}
		wantCode(t, second(f.process().Vend(t.Context(), scopes[0])), problem.ProviderTimeout)
		f.server.failing(nil)
		f.clock.advance(30 * time.Second)
		for _, r := range append(scopes, neighbour) {
			f.vend(f.process(), r)
		}
	})
	t.Run("CR-19 a changed declaration is not kept waiting", func(t *testing.T) {
		f, scopes := failing(t, timeout)
		f.declare("crm", `{"provider":"oauth2","client_id":"app","client_secret":"hush","token_url":"https://other.example.com/token","allowed_scopes":["scope-1"]}`)
		f.vend(f.process(), scopes[1])
	})
	t.Run("CR-24 a valid token is served meanwhile", func(t *testing.T) {
		f, scopes := failing(t, timeout)
		f.clock.advance(3 * time.Second)
		f.vend(f.process(), scopes[1])
		f.clock.advance(55 * time.Minute)
		f.server.failing(timeout)
		wantCode(t, second(f.process().Vend(t.Context(), scopes[0])), problem.ProviderTimeout)
		calls := f.server.calls()
		if v := f.vend(f.process(), scopes[1]); !v.Stale || f.server.calls() != calls {
			t.Errorf("stale %v, %d calls more", v.Stale, f.server.calls()-calls)
		}
	})
}

// TestOutageOfGrants: subjects share an outage and nothing else.
func TestOutageOfGrants(t *testing.T) {
	two := func(t *testing.T) *delegation {
		d := newDelegation(t, keeps)
		d.consent(d.process(), of("a"))
		d.consent(d.process(), of("b"))
		return d
	}
	t.Run("CR-18 the invalid_grant of one subject is not another's", func(t *testing.T) {
		d := two(t)
		d.clock.advance(2 * time.Hour)
		d.idp.after = func(oauth.Request) *oauth.Error { return invalidGrant() }
		wantCode(t, second(d.process().Vend(t.Context(), of("a"))), problem.AuthorizationRequired)
		d.idp.after = nil
		d.vend(d.process(), of("b"))
	})
	t.Run("CR-28 a rejection asks once in spite of an outage", func(t *testing.T) {
		d := two(t)
		d.clock.advance(time.Minute)
		rejected := of("b")
		rejected.RejectedTokenID = d.vend(d.process(), of("b")).ID
		a := of("a")
		a.RejectedTokenID = d.vend(d.process(), of("a")).ID
		d.idp.after = func(oauth.Request) *oauth.Error { return unanswered() }
		wantCode(t, second(d.process().Vend(t.Context(), a)), problem.ProviderTimeout)
		d.idp.after = nil
		d.vend(d.process(), rejected)
	})
	t.Run("CR-27 a renewal is not kept from asking", func(t *testing.T) {
		d := two(t)
		d.clock.advance(2 * time.Hour)
		d.idp.after = func(oauth.Request) *oauth.Error { return unanswered() }
		wantCode(t, second(d.process().Vend(t.Context(), of("a"))), problem.ProviderTimeout)
		d.idp.after = nil
		renewal, err := d.process().Inspect(t.Context(), d.grantOf(of("b")).Key, time.Time{})
		if err != nil || !renewal.Due() {
			t.Fatalf("due %v, %v", renewal.Due(), err)
		}
		if renewed, err := renewal.Run(t.Context()); !renewed || err != nil {
			t.Errorf("renewed %v, %v", renewed, err)
		}
	})
	t.Run("CR-18 an outage's items hold no token and are no subject", func(t *testing.T) {
		d := two(t)
		d.clock.advance(2 * time.Hour)
		d.idp.after = func(oauth.Request) *oauth.Error { return unanswered() }
		wantCode(t, second(d.process().Vend(t.Context(), of("a"))), problem.ProviderTimeout)
		items, _, err := d.store.Subjects(t.Context(), "user", 10, "")
		if err != nil || len(items) != 2 {
			t.Errorf("%d subjects, %v", len(items), err)
		}
	})
}

package vending_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

// TestUnusableResponseIsNamed: every caller learns what could not be used.
func TestUnusableResponseIsNamed(t *testing.T) {
	f := newFleet(t)
	f.server.failing(&oauth.Error{Kind: oauth.Malformed, Reason: "expires_in", Detail: "expires_in is a list"})
	for range 2 { // the first asks, the second is answered from memory
		p := wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ProviderMalformed)
		if !strings.HasSuffix(p.Detail, ": expires_in is a list") {
			t.Errorf("OC-35 detail %q does not name the member", p.Detail)
		}
	}
	if f.server.calls() != 1 || f.item("crm").Failure.Detail != "expires_in is a list" {
		t.Errorf("%d calls, failure %+v", f.server.calls(), f.item("crm").Failure)
	}
}

// TestTokenThatEndsNow: a server that repeats a token until it ends is asked again
// after a second, however often that happened.
func TestTokenThatEndsNow(t *testing.T) {
	f := newFleet(t)
	f.server.failing(&oauth.Error{Kind: oauth.Unavailable, Reason: "expires_in", Momentary: true, RetryAfter: time.Second})
	for range 5 {
		p := wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ProviderUnavailable)
		if p.RetryAfter != time.Second {
			t.Errorf("OC-33 Retry-After %v, want a second", p.RetryAfter)
		}
		f.clock.advance(time.Second)
	}
	f.server.failing(nil)
	if v := f.vend(f.process(), crm()); v.Stale || f.server.calls() != 6 {
		t.Errorf("OC-33 stale %v after %d calls", v.Stale, f.server.calls())
	}
}

// TestDeparturesAreReported: the audit line and the stored token name the members
// that depart from the specification.
func TestDeparturesAreReported(t *testing.T) {
	f := newFleet(t)
	f.server.departures = []string{"scope", "token_type"}
	ctx, entry := audited(t)
	if _, err := f.process().Vend(ctx, crm()); err != nil {
		t.Fatal(err)
	}
	var line bytes.Buffer
	audit.NewWriter(audit.Config{Output: &line, Now: f.clock.Now}).Write(entry)
	if want := `"response_departures":["scope","token_type"]`; !contains(line.String(), want) {
		t.Errorf("OC-37 no %s in %s", want, line.String())
	}
	if got := f.item("crm").Token.Departures; !slices.Equal(got, f.server.departures) {
		t.Errorf("OC-37 stored departures %v", got)
	}
}

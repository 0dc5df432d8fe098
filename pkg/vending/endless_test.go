package vending_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

const years = 10 * 365 * day

// Each caller has another unique id; the same one has another session's name.
func (d *delegation) reportBy(id string, rejected string) (*audit.Entry, error) {
	d.t.Helper()
	r := user()
	r.CallerID, r.RejectedTokenID = id, rejected
	ctx, entry := audited(d.t)
	_, err := d.process().Vend(ctx, r)
	return entry, err
}

func (d *delegation) vendBy(id string) (vending.Vended, error) {
	d.t.Helper()
	r := user()
	r.CallerID = id
	return d.process().Vend(d.t.Context(), r)
}

// endless is a delegation whose default subject has consented and got an access token
// without end, and no refresh token.
func endless(t *testing.T) (*delegation, vending.Vended) {
	d := newDelegation(t, rotates)
	d.idp.endless, d.idp.noRefreshToken = true, true
	d.consentAs("jane")
	d.clock.advance(time.Minute)
	v := d.vend(d.process(), user())
	if v.AccessToken.Reveal() != "access_1" || !v.ExpiresAt.IsZero() {
		t.Fatalf("CR-40 got a token until %v", v.ExpiresAt)
	}
	return d, v
}

func TestEndlessClientCredentials(t *testing.T) {
	f := newFleet(t)
	f.server.endless = true
	core := f.process()
	first := f.vend(core, crm())
	if item := f.item("crm"); item.RenewSlot != "" || !item.Token.ExpiresAt.Equal(tokenstore.NoEnd) {
		t.Errorf("CR-40 slot %q, expiry %v", item.RenewSlot, item.Token.ExpiresAt)
	}
	f.clock.advance(years)
	again := f.vend(f.process(), crm())
	if again.ID != first.ID || f.server.calls() != 1 || again.RefreshIn(f.clock.Now()) != time.Hour {
		t.Errorf("CR-40 after ten years: token %s, %d calls, refresh in %v", again.ID, f.server.calls(), again.RefreshIn(f.clock.Now()))
	}
	r := crm()
	r.MinTTL = years
	f.vend(f.process(), r)
	r.RejectedTokenID = first.ID
	if v := f.vend(f.process(), r); v.ID == first.ID || f.server.calls() != 2 {
		t.Errorf("CR-40 a report mints another: token %s, %d calls", v.ID, f.server.calls())
	}
	f.declare("crm", `{"provider":"oauth2","client_id":"app","client_secret":"hush","token_url":"https://idp.example.com/token","scope":"other"}`)
	f.clock.advance(time.Minute)
	if _, err := f.process().Reconcile(t.Context(), vending.Changed{Secret: "crm", Former: []string{"crm"}}); err != nil {
		t.Fatal(err)
	}
	if v := f.vend(f.process(), crm()); v.Scope != "other" {
		t.Errorf("CR-40 after a change of the declaration: scope %q", v.Scope)
	}
}

func TestEndlessGrantOutlivesChanges(t *testing.T) {
	for name, change := range map[string]func(*delegation){
		"CR-40 ten years":             func(d *delegation) { d.clock.advance(years) },
		"CR-40 another client secret": func(d *delegation) { d.declare("user", declaredBy("app", "changed")) },
		"CR-40 its token was forgotten": func(d *delegation) {
			if err := d.process().Forget(d.t.Context(), user(), false); err != nil {
				d.t.Fatal(err)
			}
		},
		"CR-40 its token was forgotten while the provider does not answer": func(d *delegation) {
			d.idp.unavailable = true
			if err := d.process().Forget(d.t.Context(), user(), false); err != nil {
				d.t.Fatal(err)
			}
		},
		"CR-40 a crash while its token was stored again": func(d *delegation) {
			if err := d.process().Forget(d.t.Context(), user(), false); err != nil {
				d.t.Fatal(err)
			}
			d.store.refuse("commit", true)
			if _, err := d.process().Vend(d.t.Context(), user()); !problem.Is(err, problem.StoreUnavailable) {
				d.t.Errorf("got %v", err)
			}
			d.store.refuse("commit", false)
			d.clock.advance(time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			d, first := endless(t)
			change(d)
			d.clock.advance(11 * time.Second)
			_, err := d.process().Reconcile(t.Context(), vending.Changed{Secret: "user", Former: []string{"user"}})
			if err != nil {
				t.Fatal(err)
			}
			v := d.vend(d.process(), user())
			if v.ID != first.ID || v.Scope != first.Scope || !v.ExpiresAt.IsZero() || d.idp.calls() != 1 {
				t.Errorf("token %s until %v with scope %q, %d calls", v.ID, v.ExpiresAt, v.Scope, d.idp.calls())
			}
			item := d.grantOf(user())
			if item.RenewSlot != "" || !item.Grant.IsAccessToken() {
				t.Errorf("slot %q, grant %+v", item.RenewSlot, item.Grant)
			}
		})
	}
}

func TestEndlessGrantReported(t *testing.T) {
	const ann, bob = "AROAANN:one", "AROABOB:one"
	type step struct {
		after  time.Duration
		by     string
		ends   bool // for all
		counts bool // a write
	}
	for name, steps := range map[string][]step{
		"CR-41 one principal":                              {{by: ann, counts: true}},
		"CR-41 the same principal in another session":      {{by: ann, counts: true}, {after: time.Minute, by: "AROAANN:two"}},
		"CR-41 the same principal after ten minutes":       {{by: ann, counts: true}, {after: 10 * time.Minute, by: ann, ends: true, counts: true}},
		"CR-41 the same principal a moment before that":    {{by: ann, counts: true}, {after: 10*time.Minute - 1, by: ann}},
		"CR-41 a second principal":                         {{by: ann, counts: true}, {by: bob, ends: true, counts: true}},
		"CR-41 more principals after it ended for all":     {{by: ann, counts: true}, {by: bob, ends: true, counts: true}, {by: "AROAEVE:one", ends: true, counts: true}},
		"CR-41 the same principals after it ended for all": {{by: ann, counts: true}, {by: bob, ends: true, counts: true}, {after: time.Hour, by: bob, ends: true}},
	} {
		t.Run(name, func(t *testing.T) {
			d, v := endless(t)
			for _, s := range steps {
				d.clock.advance(s.after)
				before := d.grantOf(user())
				entry, err := d.reportBy(s.by, v.ID)
				if !problem.Is(err, problem.AuthorizationRequired) || !contains(problem.Of(err).Detail, "was reported dead at 2026-01-01T") {
					t.Fatalf("report by %s: %v", s.by, err)
				}
				item := d.grantOf(user())
				if (item.Version != before.Version) != s.counts || warned(entry, "reported_dead") != s.counts || warned(entry, "grant_ended") != (s.counts && s.ends) {
					t.Errorf("report by %s: %d reports, warned %v", s.by, len(item.ForcedRefreshes), warned(entry, "reported_dead"))
				}
				if len(item.Grant.Sealed) == 0 || len(d.idp.requests) != 1 {
					t.Error("the grant is not kept, or the provider was asked")
				}
				if _, err := d.vendBy(s.by); !problem.Is(err, problem.AuthorizationRequired) {
					t.Errorf("the principal that reported it: %v", err)
				}
				if _, err := d.vendBy("AROAOTHER:one"); problem.Is(err, problem.AuthorizationRequired) != s.ends || err != nil != s.ends {
					t.Errorf("another principal: %v", err)
				}
			}
		})
	}
}

// The last eight reports are kept, and what they ended stays so.
func TestEndlessGrantReportedByMany(t *testing.T) {
	d, v := endless(t)
	for i := range 12 {
		if _, err := d.reportBy("AROA"+string(rune('A'+i))+":one", v.ID); !problem.Is(err, problem.AuthorizationRequired) {
			t.Fatal(err)
		}
		d.clock.advance(time.Second)
	}
	if n := len(d.grantOf(user()).ForcedRefreshes); n != 8 {
		t.Errorf("CR-41 %d reports are kept", n)
	}
	if _, err := d.vendBy("AROAOTHER:one"); !problem.Is(err, problem.AuthorizationRequired) {
		t.Errorf("CR-41 another principal: %v", err)
	}
}

func TestEndlessGrantAfterReports(t *testing.T) {
	reported := func(t *testing.T) *delegation {
		d, v := endless(t)
		for _, id := range []string{"AROAANN:one", "AROABOB:one"} {
			_, _ = d.reportBy(id, v.ID)
		}
		return d
	}
	t.Run("CR-41 a report of a dropped token counts", func(t *testing.T) {
		d, v := endless(t)
		if err := d.process().Forget(t.Context(), user(), false); err != nil {
			t.Fatal(err)
		}
		if _, err := d.reportBy("AROAANN:one", v.ID); !problem.Is(err, problem.AuthorizationRequired) {
			t.Error(err)
		}
		if _, err := d.vendBy("AROABOB:one"); err != nil {
			t.Error(err)
		}
	})
	t.Run("CR-41 reports stay when its token is forgotten", func(t *testing.T) {
		d := reported(t)
		if err := d.process().Forget(t.Context(), user(), false); err != nil {
			t.Fatal(err)
		}
		if _, err := d.vendBy("AROAEVE:one"); !problem.Is(err, problem.AuthorizationRequired) {
			t.Error(err)
		}
	})
	t.Run("CR-41 clearing the reports serves it again", func(t *testing.T) {
		d := reported(t)
		r := user()
		r.CallerID, r.ClearReport = "AROAOPS:one", true
		v := d.vend(d.process(), r)
		if v.AccessToken.Reveal() != "access_1" || len(d.grantOf(user()).ForcedRefreshes) != 0 {
			t.Error("the reports were not cleared")
		}
		if _, err := d.vendBy("AROAANN:one"); err != nil {
			t.Error(err)
		}
	})
	t.Run("CR-41 a principal that is not allowed clears nothing", func(t *testing.T) {
		d := reported(t)
		d.declare("user", strings.Replace(declaredBy("app", "hush"), "{", `{"callers":[{"principal":"arn:aws:iam::111122223333:role/other"}],`, 1))
		d.clock.advance(time.Minute)
		if _, err := d.process().Reconcile(t.Context(), vending.Changed{Secret: "user"}); err != nil {
			t.Fatal(err)
		}
		r := user()
		r.ClearReport = true
		if _, err := d.process().Vend(t.Context(), r); !problem.Is(err, problem.AccessDenied) || len(d.grantOf(user()).ForcedRefreshes) != 2 {
			t.Error(err)
		}
	})
	t.Run("CR-41 a new consent replaces it", func(t *testing.T) {
		d := reported(t)
		d.consentAs("jane")
		if v, err := d.vendBy("AROAANN:one"); err != nil || v.AccessToken.Reveal() != "access_2" || len(d.idp.revoked) > 0 {
			t.Errorf("%v, revoked %v", err, d.idp.revoked)
		}
	})
	t.Run("CR-41 a report within its first half minute is 429", func(t *testing.T) {
		d := newDelegation(t, rotates)
		d.idp.endless, d.idp.noRefreshToken = true, true
		d.consentAs("jane")
		if _, err := d.reportBy("AROAANN:one", d.vend(d.process(), user()).ID); !problem.Is(err, problem.RateLimited) {
			t.Error(err)
		}
	})
}

func TestEndlessGrantConsents(t *testing.T) {
	t.Run("AZ-30 the token of another user is revoked when that is replaced", func(t *testing.T) {
		d, _ := endless(t)
		d.consentAs("joe")
		if len(d.idp.revoked) != 1 || d.idp.revoked[0] != "access_1" {
			t.Errorf("revoked %v", d.idp.revoked)
		}
	})
	t.Run("AZ-30 a refresh token of the same user stays", func(t *testing.T) {
		d := newDelegation(t, rotates)
		d.consentAs("jane")
		d.idp.endless, d.idp.noRefreshToken = true, true
		d.consentAs("jane")
		item := d.grantOf(user())
		if item.Grant.IsAccessToken() || item.RenewSlot == "" || !item.Token.ExpiresAt.Equal(tokenstore.NoEnd) {
			t.Errorf("grant %+v", item.Grant)
		}
	})
	t.Run("AZ-30 a refresh token of an unknown user is replaced", func(t *testing.T) {
		d := newDelegation(t, rotates)
		d.consentAs("")
		d.idp.endless, d.idp.noRefreshToken = true, true
		if entry := d.consentAs("jane"); !d.grantOf(user()).Grant.IsAccessToken() || len(d.idp.revoked) > 0 || !warned(entry, "not_revoked") {
			t.Errorf("revoked %v", d.idp.revoked)
		}
	})
	for name, reported := range map[string]bool{"AZ-30 an ending token of its user changes nothing": false, "AZ-30 one of its user after a report replaces it": true} {
		t.Run(name, func(t *testing.T) {
			d, v := endless(t)
			if reported {
				_, _ = d.reportBy("AROAANN:one", v.ID)
			}
			d.idp.endless = false
			if _, err := d.withoutRefreshToken("jane", 2*day); err != nil {
				t.Fatal(err)
			}
			if got := d.vend(d.process(), user()); (got.ID == v.ID) == reported {
				t.Errorf("served %s", got.AccessToken.Reveal())
			}
		})
	}
	t.Run("OC-14 disconnecting revokes it", func(t *testing.T) {
		d, _ := endless(t)
		if err := d.process().Disconnect(t.Context(), user()); err != nil || len(d.idp.revoked) != 1 || d.idp.revoked[0] != "access_1" {
			t.Errorf("%v, revoked %v", err, d.idp.revoked)
		}
		_, err := d.process().Vend(t.Context(), user())
		if !problem.Is(err, problem.AuthorizationRequired) || d.grantOf(user()).Grant.Fingerprint != "" {
			t.Error(err)
		}
	})
}

// To revoke such a token is to disconnect it.
func TestForgetDoesNotEndAGrant(t *testing.T) {
	t.Run("OC-14 a token without end", func(t *testing.T) {
		d, _ := endless(t)
		err := d.process().Forget(t.Context(), user(), true)
		if !problem.Is(err, problem.InvalidRequest) || !contains(problem.Of(err).Detail, "DELETE …/authorization") || len(d.idp.revoked) > 0 {
			t.Errorf("%v, revoked %v", err, d.idp.revoked)
		}
	})
	t.Run("OC-14 where revoking one token revokes all", func(t *testing.T) {
		d := newDelegation(t, rotates)
		d.declare("user", `{"provider":{"token_url":"https://idp.example.com/token","authorization_url":"https://idp.example.com/authorize",
			"revocation_url":"https://idp.example.com/revoke","revocation_ends_grant":true},
			"grant_type":"authorization_code","client_id":"app","client_secret":"hush","scope":"files"}`)
		d.consentAs("jane")
		err := d.process().Forget(t.Context(), user(), true)
		if !problem.Is(err, problem.InvalidRequest) || !contains(problem.Of(err).Detail, "DELETE …/authorization") {
			t.Error(err)
		}
		if entry := d.consentAs("joe"); !warned(entry, "not_revoked") || len(d.idp.revoked) > 0 {
			t.Errorf("AZ-30 revoked %v", d.idp.revoked)
		}
		if err := d.process().Disconnect(t.Context(), user()); err != nil || len(d.idp.revoked) != 1 {
			t.Errorf("%v, revoked %v", err, d.idp.revoked)
		}
	})
}

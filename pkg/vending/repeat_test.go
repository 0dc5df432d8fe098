package vending_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// declares makes the provider of the connection declare members.
func (d *delegation) declares(members string) {
	d.declare("user", strings.Replace(fmt.Sprintf(userConnection, "hush"), `"oauth2"`, "{"+members+"}", 1))
}

// lostOnce loses the answer of the next refresh.
func (d *delegation) lostOnce() {
	lost := false
	d.idp.after = func(r oauth.Request) *oauth.Error {
		if lost || r.GrantType != "refresh_token" {
			return nil
		}
		lost = true
		return unanswered()
	}
}

func TestLostAnswerByRotation(t *testing.T) {
	const kept, untilUsed = `"refresh_token":{"rotation":"kept"}`, `"refresh_token":{"rotation":"until_used"}`
	graceOf := func(seconds int) string {
		return fmt.Sprintf(`"refresh_token":{"rotation":"grace","grace":%d}`, seconds)
	}
	for _, c := range []struct {
		name, declared string
		server         rotation
		calls          int // of refreshes, while the old token is valid
	}{
		{"kept", kept, keeps, 2},
		{"until_used", untilUsed, rotatesSoft, 2},
		{"grace within its time", graceOf(30), rotatesSoft, 2},
		{"grace that is over before a request arrives", graceOf(1), rotatesSoft, 1},
		{"strict", `"refresh_token":{"rotation":"strict"}`, rotates, 1},
		{"not stated", `"title":"Some server"`, keeps, 1},
	} {
		t.Run("CR-42 "+c.name+": an answer that is lost", func(t *testing.T) {
			d := newDelegation(t, c.server)
			d.declares(c.declared)
			d.consent(d.process(), user())
			first := d.vend(d.process(), user())
			d.clock.advance(52 * time.Minute)
			d.lostOnce()
			v := d.vend(d.process(), user())
			if again := v.ID != first.ID && !v.Stale; again != (c.calls == 2) || d.idp.calls() != 1+c.calls {
				t.Errorf("served %s, stale: %v, %d calls", v.AccessToken.Reveal(), v.Stale, d.idp.calls())
			}
			if d.idp.reused > 0 {
				t.Error("a refresh token that is used up was sent")
			}
		})
	}
	for _, c := range []struct {
		name, declared string
		after          time.Duration
		again          bool
	}{
		{"kept", kept, 21 * time.Second, true},
		{"until_used", untilUsed, 21 * time.Second, true},
		{"grace within its time", graceOf(60), 21 * time.Second, true},
		{"grace that may be over, by another clock", graceOf(60), 50 * time.Second, false},
		{"not stated", `"title":"Some server"`, 21 * time.Second, false},
	} {
		t.Run("CR-42 "+c.name+": a holder that died", func(t *testing.T) {
			d := newDelegation(t, rotatesSoft)
			d.declares(c.declared)
			d.consent(d.process(), user())
			first := d.vend(d.process(), user())
			d.clock.advance(52 * time.Minute)
			_, err := d.store.Store.Acquire(t.Context(), tokenstore.Acquire{
				Key: tokenstore.Key{Connection: "user"}, Owner: "dead", Now: d.clock.Now(), TTL: 19 * time.Second, UsesRefreshToken: true})
			if err != nil {
				t.Fatal(err)
			}
			d.clock.advance(c.after)
			if v := d.vend(d.process(), user()); (v.ID != first.ID) != c.again {
				t.Errorf("served %s, %d calls", v.AccessToken.Reveal(), d.idp.calls())
			}
		})
	}
	t.Run("CR-42 an answer that is lost twice is not asked for a third time under one lease", func(t *testing.T) {
		d := newDelegation(t, keeps)
		d.declares(kept)
		d.consent(d.process(), user())
		d.clock.advance(52 * time.Minute)
		d.idp.after = func(oauth.Request) *oauth.Error { return unanswered() }
		if v := d.vend(d.process(), user()); !v.Stale || d.idp.calls() != 3 {
			t.Errorf("stale: %v, %d calls", v.Stale, d.idp.calls())
		}
		d.idp.after = nil
		d.clock.advance(time.Minute)
		if v := d.vend(d.process(), user()); v.Stale || d.idp.calls() != 4 {
			t.Errorf("a minute later: stale: %v, %d calls", v.Stale, d.idp.calls())
		}
	})
}

func TestNewTokenRevokesOld(t *testing.T) {
	const members = `"new_token_revokes_old":true,"refresh_token":{"rotation":"strict"}`
	d := newDelegation(t, rotates)
	d.declares(members)
	core := d.process()
	d.consent(core, user())
	first := d.vend(core, user())
	d.clock.advance(55 * time.Minute)
	v := d.vend(core, user())
	if left := v.ExpiresAt.Sub(d.clock.Now()); v.ID != first.ID || v.RefreshIn(d.clock.Now()) != left {
		t.Errorf("CR-43 token %s, refresh in %v of %v", v.ID, v.RefreshIn(d.clock.Now()), left)
	}
	plan, err := core.Inspect(t.Context(), tokenstore.Key{Connection: "user"}, time.Time{})
	if err != nil || plan.Due() {
		t.Errorf("CR-43 renewed ahead: %v, %v", plan.Due(), err)
	}
	r := user()
	r.RejectedTokenID = v.ID
	next := d.vend(d.process(), r) // the token in core's memory is revoked by this
	if served := d.vend(core, user()); served.ID != next.ID || served.ID == first.ID {
		t.Errorf("CR-43 served %s from memory, want %s", served.ID, next.ID)
	}
}

func TestRefusedInTheLastSeconds(t *testing.T) {
	refusal := func(code string) *oauth.Error {
		return &oauth.Error{Kind: oauth.Rejected, Reason: "error", Code: code, GrantEnded: code == "invalid_grant", Trace: oauth.Trace{Calls: 1, Status: 400}}
	}
	for _, c := range []struct {
		name     string
		refusals int
		err      *oauth.Error
		after    time.Duration
		calls    int
		want     problem.Code
	}{
		{"one refusal", 1, refusal("invalid_request"), time.Hour, 2, ""},
		{"three refusals", 3, refusal("invalid_request"), time.Hour, 4, ""},
		{"four refusals", 4, refusal("invalid_request"), time.Hour, 4, problem.ProviderUnavailable},
		{"invalid_grant", 4, refusal("invalid_grant"), time.Hour, 1, problem.ProviderRejected},
		{"long after its end", 4, refusal("invalid_request"), 2 * time.Hour, 1, problem.ProviderRejected},
	} {
		t.Run("OC-33 "+c.name, func(t *testing.T) {
			f := newFleet(t)
			f.declare("crm", `{"provider":{"token_url":"https://idp.example.com/token","early_refresh":false},"client_id":"app","client_secret":"hush"}`)
			f.vend(f.process(), crm())
			f.clock.advance(c.after)
			refused := 0
			f.server.refuse = func(oauth.Request) *oauth.Error {
				if refused++; refused <= c.refusals {
					return c.err
				}
				return nil
			}
			_, err := f.process().Vend(t.Context(), crm())
			if c.want == "" && err != nil || c.want != "" && !problem.Is(err, c.want) || f.server.calls() != 1+c.calls {
				t.Fatalf("got %v after %d calls", err, f.server.calls()-1)
			}
			if c.want == problem.ProviderUnavailable && problem.Of(err).RetryAfter != time.Second {
				t.Errorf("Retry-After %v", problem.Of(err).RetryAfter)
			}
		})
	}
}

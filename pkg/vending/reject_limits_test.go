package vending_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// rejecter rejects the current token of one item on behalf of principals.
type rejecter struct {
	*fleet
	core    *vending.Core
	request vending.Request
}

// reject rejects the current token as a principal, once it is old enough.
func (r rejecter) reject(callerID string) error {
	r.t.Helper()
	current := r.vend(r.core, r.request)
	r.clock.advance(rejectPause)
	rejection := r.request
	rejection.CallerID, rejection.RejectedTokenID = callerID, current.ID
	v, err := r.core.Vend(r.t.Context(), rejection)
	if err == nil && v.ID == current.ID {
		r.t.Errorf("%s got the token back that it rejected", callerID)
	}
	return err
}

const rejectPause = 31 * time.Second

const brokenCaller = "AROABROKEN:session"

// ownRejecter rejects tokens of the connection crm.
func ownRejecter(t *testing.T) rejecter {
	f := newFleet(t)
	return rejecter{f, f.process(), crm()}
}

func TestRejectionsOfOnePrincipal(t *testing.T) {
	t.Run("CR-23 FI-42 one broken caller leaves forced refreshes to the others", func(t *testing.T) {
		r := ownRejecter(t)
		for range 3 {
			noError(t, r.reject(brokenCaller))
		}
		p := wantCode(t, r.reject(brokenCaller), problem.RateLimited)
		if want := 10*time.Minute - 3*rejectPause; p.RetryAfter != want {
			t.Errorf("pause %v, want %v", p.RetryAfter, want)
		}
		noError(t, r.reject("AROAOTHER:session"))
	})
	t.Run("CR-23 the session's name and the ARN do not distinguish principals", func(t *testing.T) {
		r := ownRejecter(t)
		for i := range 3 {
			noError(t, r.reject(fmt.Sprintf("AROABROKEN:session-%d", i)))
		}
		wantCode(t, r.reject("AROABROKEN:another"), problem.RateLimited)
	})
	t.Run("CR-23 federated users of one account are distinguished", func(t *testing.T) {
		r := ownRejecter(t)
		for range 3 {
			noError(t, r.reject("111122223333:ann"))
		}
		wantCode(t, r.reject("111122223333:ann"), problem.RateLimited)
		noError(t, r.reject("111122223333:bob"))
	})
}

func TestRejectionsInAll(t *testing.T) {
	t.Run("FI-42 fifty callers force ten refreshes in ten minutes", func(t *testing.T) {
		r := ownRejecter(t)
		calls, refused := r.server.calls(), 0
		for i := range 15 {
			err := r.reject(fmt.Sprintf("AROA%d:session", i))
			if problem.Is(err, problem.RateLimited) {
				refused++
			} else {
				noError(t, err)
			}
		}
		if forced := r.server.calls() - calls - 1; forced != 10 || refused != 5 {
			t.Errorf("%d refreshes forced, %d refused, want 10 and 5", forced, refused)
		}
		r.clock.advance(10*time.Minute - 15*rejectPause)
		noError(t, r.reject("AROA15:session"))
	})
	t.Run("CR-23 scope variants count on the connection's own item", func(t *testing.T) {
		r := ownRejecter(t)
		r.declare("crm", `{"provider":"oauth2","client_id":"app","client_secret":"hush","token_url":"https://idp.example.com/token","allowed_scopes":["a","b"]}`)
		for _, scope := range []string{"a", "b", ""} {
			r.request.Scope = scope
			noError(t, r.reject(brokenCaller))
		}
		for _, scope := range []string{"a", "b", ""} {
			r.request.Scope = scope
			wantCode(t, r.reject(brokenCaller), problem.RateLimited)
			noError(t, r.reject("AROAOTHER:session"))
		}
		if n := len(r.item("crm").ForcedRefreshes); n != 6 {
			t.Errorf("%d counted, want 6", n)
		}
	})
	t.Run("CR-23 refreshes that a former release counted are no principal's", func(t *testing.T) {
		r := ownRejecter(t)
		now := r.clock.Now()
		r.vend(r.core, r.request)
		forced := []tokenstore.ForcedRefresh{{At: now}, {At: now}, {At: now}}
		noError(t, r.store.SetForcedRefreshes(t.Context(), tokenstore.Key{Connection: "crm"}, nil, forced))
		for range 3 {
			noError(t, r.reject(brokenCaller))
		}
		wantCode(t, r.reject(brokenCaller), problem.RateLimited)
	})
}

func TestRejectionOfSubjects(t *testing.T) {
	d := newDelegation(t, rotates)
	core := d.process()
	for _, subject := range []string{"ann", "bob"} {
		d.consent(core, of(subject))
	}
	ann, bob := rejecter{d.fleet, core, of("ann")}, rejecter{d.fleet, core, of("bob")}
	for range 3 {
		noError(t, ann.reject("AROABROKEN:session"))
	}
	wantCode(t, ann.reject("AROABROKEN:session"), problem.RateLimited)
	t.Run("CR-23 each subject is counted by itself", func(t *testing.T) { noError(t, bob.reject("AROABROKEN:session")) })
}

func TestRejectionAfterAnEdit(t *testing.T) {
	const edited = `{"provider":"oauth2","client_id":"app","client_secret":"new","token_url":"https://idp.example.com/token"}`
	young := func(t *testing.T) (*fleet, *vending.Core, vending.Request) {
		f := newFleet(t)
		core, r := f.process(), crm()
		r.RejectedTokenID = f.vend(core, r).ID
		f.clock.advance(2 * time.Second)
		return f, core, r
	}
	t.Run("CR-23 FI-23 a token whose declaration has changed is never too young", func(t *testing.T) {
		f, core, r := young(t)
		wantCode(t, second(core.Vend(t.Context(), r)), problem.RateLimited)
		f.clock.advance(time.Second)
		f.declare("crm", edited)
		if v := f.vend(core, r); v.ID == r.RejectedTokenID || v.SecretVersion == "" {
			t.Errorf("got %s, want a token of the new declaration", v.ID)
		}
	})
	t.Run("CR-23 FI-23 nor for long between two reads of the secret", func(t *testing.T) {
		f, core, r := young(t)
		f.secrets.stale = map[string]clientsecret.Secret{"crm": f.secrets.versions["crm"][0]}
		wantCode(t, second(core.Vend(t.Context(), r)), problem.RateLimited)
		f.declare("crm", edited)
		p := wantCode(t, second(core.Vend(t.Context(), r)), problem.RateLimited)
		if p.RetryAfter <= 0 || p.RetryAfter > time.Second {
			t.Errorf("Retry-After %v, want what is left of a second", p.RetryAfter)
		}
		f.clock.advance(p.RetryAfter)
		if v := f.vend(core, r); v.ID == r.RejectedTokenID {
			t.Error("the token of the former declaration is served")
		}
	})
	t.Run("CR-23 the token of the new declaration is too young again", func(t *testing.T) {
		f, core, r := young(t)
		f.declare("crm", edited)
		r.RejectedTokenID = f.vend(core, r).ID
		wantCode(t, second(core.Vend(t.Context(), r)), problem.RateLimited)
	})
	t.Run("CR-38 nor is the token of a secret that was deleted and created again", func(t *testing.T) {
		f, core, r := young(t)
		f.secrets.versions["crm"][0].ARN = "arn:test:crm-made-again"
		f.vend(core, r)
	})
	t.Run("CR-23 an edit that removes the caller is obeyed, and forces nothing", func(t *testing.T) {
		f, core, r := young(t)
		f.declare("crm", edited[:len(edited)-1]+`,"callers":[{"principal":"arn:aws:iam::111122223333:role/other"}]}`)
		wantCode(t, second(core.Vend(t.Context(), r)), problem.AccessDenied)
		if n := len(f.item("crm").ForcedRefreshes); n != 0 {
			t.Errorf("%d forced refreshes counted", n)
		}
	})
	t.Run("CR-23 forced refreshes after edits count", func(t *testing.T) {
		f, core, r := young(t)
		for i := range 3 {
			f.declare("crm", fmt.Sprintf(edited[:len(edited)-1]+`,"scope":"s%d"}`, i))
			f.clock.advance(time.Second)
			r.RejectedTokenID = f.vend(core, r).ID
		}
		f.declare("crm", edited)
		wantCode(t, second(core.Vend(t.Context(), r)), problem.RateLimited)
	})
	t.Run("FI-34 a secret that cannot be read leaves the token too young", func(t *testing.T) {
		f, core, r := young(t)
		for _, kind := range []error{clientsecret.ErrUnavailable, clientsecret.ErrUnreadable} {
			f.secrets.fail = kind
			if p := wantCode(t, second(core.Vend(t.Context(), r)), problem.RateLimited); p.RetryAfter <= 0 {
				t.Errorf("%v: no pause", kind)
			}
		}
	})
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestConcurrentRejections: of many callers that report one token, those that lose
// the race force nothing.
func TestConcurrentRejections(t *testing.T) {
	for _, scope := range []string{"", "a"} {
		t.Run("FI-42 of fifty concurrent callers one forces a refresh, scope "+scope, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				f.inRealTime(time.Second)
				f.declare("crm", valid[:len(valid)-1]+`,"allowed_scopes":["a","b"]}`)
				r := crm()
				r.Scope = scope
				r.RejectedTokenID = f.vend(f.process(), r).ID
				time.Sleep(time.Minute)
				var wg sync.WaitGroup
				for i := range 50 {
					r, core := r, f.process()
					r.CallerID = fmt.Sprintf("AROA%d:session", i)
					wg.Go(func() { _, _ = core.Vend(t.Context(), r) })
				}
				wg.Wait()
				counted := len(f.item("crm").ForcedRefreshes)
				if counted != 1 || f.server.calls() != 2 {
					t.Errorf("%d forced refreshes counted, %d calls, want 1 and 2", counted, f.server.calls())
				}
			})
		})
	}
}

func TestRejectionThatLosesTheRace(t *testing.T) {
	f := newFleet(t)
	f.declare("crm", valid[:len(valid)-1]+`,"allowed_scopes":["a","b"]}`)
	r := crm()
	r.Scope = "a"
	r.RejectedTokenID = f.vend(f.process(), r).ID
	f.clock.advance(time.Minute)
	reads := 0
	f.store.before = func(operation string) {
		if operation != "get consistent" {
			return
		}
		if reads++; reads == 2 { // the variant is read, and now the connection's own item
			winner := r
			winner.CallerID = "AROAWINNER:session"
			f.vend(f.process(), winner)
		}
	}
	loser := r
	loser.CallerID = "AROALOSER:session"
	f.vend(f.process(), loser)
	if counted := len(f.item("crm").ForcedRefreshes); counted != 1 || f.server.calls() != 2 {
		t.Errorf("CR-23 %d forced refreshes counted, %d calls, want 1 and 2", counted, f.server.calls())
	}
}

package vending_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

func TestMinTTLBeyondTheLifetimeCostsOneCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.inRealTime(200 * time.Millisecond)
		var wg sync.WaitGroup
		for range 16 {
			core := f.process()
			for range 10 {
				wg.Go(func() {
					r := crm()
					r.MinTTL = 2 * time.Hour
					if _, err := core.Vend(t.Context(), r); !problem.Is(err, problem.InvalidRequest) {
						t.Errorf("CR-01 %v, want invalid_request", err)
					}
				})
			}
		}
		wg.Wait()
		if f.server.calls() != 1 {
			t.Errorf("INV-2 %d provider calls, want 1", f.server.calls())
		}
	})
}

// cachedProcess is a process with the cache of secrets that the functions have.
func (f *fleet) cachedProcess() *vending.Core {
	return vending.New(vending.Config{
		Store: f.store, Minter: f.server, Revoker: f.server, Sealer: f.sealer, Now: f.now, Wait: f.wait,
		Secrets: clientsecret.NewCache(clientsecret.CacheConfig{Source: f.secrets, Now: f.now}),
	})
}

func scoped(scope string) string { return strings.Replace(valid, "{", `{"scope":"`+scope+`",`, 1) }

func TestChangeReachesItemsWithoutAToken(t *testing.T) {
	t.Run("CR-21 a cold connection is not minted with a cached copy of its bundle", func(t *testing.T) {
		f := newFleet(t)
		bundle := func(scope string) string {
			return fmt.Sprintf(`{"connections":{"a":%s,"b":%s}}`, scoped("x"), scoped(scope))
		}
		f.declare("bun", bundle("old"))
		core := f.cachedProcess()
		f.vend(core, vending.Request{Connection: "bun.a", Caller: principal})
		f.declare("bun", bundle("new"))
		if _, err := f.process().Reconcile(t.Context(), vending.Changed{Secret: "bun", Former: []string{"bun.a", "bun.b"}}); err != nil {
			t.Fatal(err)
		}
		if v := f.vend(core, vending.Request{Connection: "bun.b", Caller: principal}); v.Scope != "new" {
			t.Errorf("minted with scope %q", v.Scope)
		}
	})
	t.Run("INV-1 what a mint under way brings is not served after the change", func(t *testing.T) {
		f := newFleet(t)
		f.declare("crm", scoped("old"))
		f.server.during = func() {
			f.server.during = nil
			f.declare("crm", scoped("new"))
			if _, err := f.process().Reconcile(t.Context(), vending.Changed{Secret: "crm", Former: []string{"crm"}}); err != nil {
				t.Error(err)
			}
		}
		core := f.cachedProcess()
		f.vend(core, crm())
		f.clock.advance(10 * time.Second)
		for _, process := range []*vending.Core{core, f.process()} {
			if v := f.vend(process, crm()); v.Scope != "new" || f.server.calls() != 2 {
				t.Errorf("then scope %q after %d calls", v.Scope, f.server.calls())
			}
		}
	})
	t.Run("INV-2 a secret seen for the first time costs its first mint nothing", func(t *testing.T) {
		f := newFleet(t)
		f.server.during = func() {
			f.server.during = nil
			if change, err := f.process().Reconcile(t.Context(), vending.Changed{Secret: "crm"}); err != nil || change.Recorded != 0 {
				t.Errorf("%+v, %v", change, err)
			}
		}
		f.vend(f.process(), crm())
		f.vend(f.process(), crm())
		if f.server.calls() != 1 {
			t.Errorf("%d provider calls, want 1", f.server.calls())
		}
	})
}

func TestGrantTypeChanged(t *testing.T) {
	const delegated = `{"provider":"creative-force","grant_type":"authorization_code","client_id":"app","client_secret":"hush"}`
	t.Run("a delegated connection's client asks for no token of its own", func(t *testing.T) {
		f := newFleet(t)
		core := f.cachedProcess()
		f.vend(core, crm())
		f.declare("crm", delegated)
		change, err := f.process().Reconcile(t.Context(), vending.Changed{Secret: "crm", Former: []string{"crm"}})
		if err != nil || change.Recorded != 1 {
			t.Errorf("%+v, %v", change, err)
		}
		f.clock.advance(15 * time.Second) // what memory had is read again
		wantCode(t, second(core.Vend(t.Context(), crm())), problem.AuthorizationRequired)
		if f.server.calls() != 1 {
			t.Errorf("%d provider calls, want 1", f.server.calls())
		}
	})
}

func TestVariantsAreBounded(t *testing.T) {
	declare := func(f *fleet, scopes int) {
		allowed := make([]string, scopes)
		for i := range allowed {
			allowed[i] = fmt.Sprintf("%q", fmt.Sprintf("s%02d", i))
		}
		f.declare("crm", strings.Replace(valid, "{", `{"allowed_scopes":[`+strings.Join(allowed, ",")+`],`, 1))
	}
	variant := func(i int) vending.Request {
		r := crm()
		r.Scope = fmt.Sprintf("s%02d", i)
		return r
	}
	t.Run("CR-37 32 at a time, then 429 until one expires", func(t *testing.T) {
		f := newFleet(t)
		declare(f, 40)
		core := f.process()
		for i := range 32 {
			f.vend(core, variant(i))
		}
		p := wantCode(t, second(core.Vend(t.Context(), variant(32))), problem.RateLimited)
		if f.server.calls() != 32 || p.RetryAfter <= 0 || p.RetryAfter > time.Hour {
			t.Errorf("%d calls, pause %v", f.server.calls(), p.RetryAfter)
		}
		f.vend(core, variant(31))
		f.vend(core, crm())
		f.clock.advance(p.RetryAfter)
		f.vend(core, variant(32))
		if n := len(f.item("crm").Variants); n != 1 {
			t.Errorf("%d variants are listed, want the valid one", n)
		}
		f.vend(core, variant(0)) // its item is still there, and no longer listed
		if n := len(f.item("crm").Variants); n != 2 {
			t.Errorf("%d variants are remembered, want both", n)
		}
	})
	t.Run("CR-23 forced refreshes are limited per connection, its variants included", func(t *testing.T) {
		f := newFleet(t)
		declare(f, 4)
		core := f.process()
		reject := func(r vending.Request) error {
			v := f.vend(core, r)
			f.clock.advance(31 * time.Second)
			r.RejectedTokenID = v.ID
			_, err := core.Vend(t.Context(), r)
			return err
		}
		for _, r := range []vending.Request{crm(), variant(0), variant(1)} {
			if err := reject(r); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range []vending.Request{crm(), variant(1), variant(2)} {
			wantCode(t, reject(r), problem.RateLimited)
		}
	})
}

// lagging answers eventually consistent reads with the item before its latest drop.
type lagging struct {
	*memory.Store
	before map[tokenstore.Key]tokenstore.Item
}

func (s *lagging) Drop(ctx context.Context, d tokenstore.Drop) (tokenstore.Item, error) {
	before, err := s.Store.Drop(ctx, d)
	s.before[d.Key] = before
	return before, err
}

func (s *lagging) GetWithDeclaration(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, tokenstore.DeclarationRecord, error) {
	_, record, err := s.Store.GetWithDeclaration(ctx, key, consistent)
	if err != nil {
		return tokenstore.Item{}, record, err
	}
	item, err := s.Get(ctx, key, consistent)
	return item, record, err
}

func (s *lagging) Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error) {
	if old, ok := s.before[key]; ok && !consistent {
		return old, nil
	}
	return s.Store.Get(ctx, key, consistent)
}

func TestDroppedTokensStayDropped(t *testing.T) {
	t.Run("FI-32 although a replica still has them", func(t *testing.T) {
		f := newFleet(t)
		core := vending.New(vending.Config{
			Store:   &lagging{memory.New(), map[tokenstore.Key]tokenstore.Item{}},
			Secrets: f.secrets, Minter: f.server, Revoker: f.server, Sealer: f.sealer, Now: f.now, Wait: f.wait,
		})
		v := f.vend(core, crm())
		if err := core.Forget(t.Context(), crm(), false); err != nil {
			t.Fatal(err)
		}
		if again := f.vend(core, crm()); again.ID == v.ID {
			t.Error("the dropped token was served again")
		}
	})
	t.Run("FI-26 although the table is down and memory had them", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		v := f.vend(core, crm())
		if err := f.process().Forget(t.Context(), crm(), false); err != nil {
			t.Fatal(err)
		}
		f.clock.advance(15 * time.Second)
		f.server.failing(unavailable)
		wantCode(t, second(core.Vend(t.Context(), crm())), problem.ProviderUnavailable) // it read that the token is gone
		f.server.failing(nil)
		f.store.setDown(true)
		if again := f.vend(core, crm()); again.ID == v.ID {
			t.Error("the dropped token was served again")
		}
	})
}

func TestTokenThatWasNotStoredIsKept(t *testing.T) {
	f := newFleet(t)
	core := f.process()
	for _, operation := range []string{"acquire", "commit"} { // reads work throughout
		f.store.refuse(operation, true)
	}
	first := f.vend(core, crm())
	for range 20 {
		f.clock.advance(20 * time.Second)
		if v := f.vend(core, crm()); v.ID != first.ID {
			t.Fatal("CR-32 another token was minted")
		}
	}
	f.store.refuse("commit", false)
	f.clock.advance(20 * time.Second)
	f.vend(core, crm())
	if item := f.item("crm"); item.Token.ID != first.ID || item.RenewSlot == "" || f.server.calls() != 1 {
		t.Errorf("FI-50 the table holds %q in slot %q after %d calls, want the token in its slot", item.Token.ID, item.RenewSlot, f.server.calls())
	}
	if v := f.vend(f.process(), crm()); v.ID != first.ID {
		t.Error("another process does not get it")
	}
}

func TestHeldLeaseIsRemembered(t *testing.T) {
	f := newFleet(t)
	core := f.process()
	f.vend(core, crm())
	f.clock.advance(52 * time.Minute)
	f.vend(core, vending.Request{Connection: "crm", Caller: principal, MinTTL: time.Second}) // token_2 now
	f.clock.advance(52 * time.Minute)
	other := f.process()
	f.server.during = func() {
		f.server.during = nil
		before := f.store.count("acquire")
		for range 100 {
			f.vend(core, crm())
		}
		if tries := f.store.count("acquire") - before; tries > 1 {
			t.Errorf("CR-30 %d tries for the lease by 100 callers who have a usable token", tries)
		}
	}
	f.vend(other, crm())
}

func TestChangeKeepsARecentFailure(t *testing.T) {
	f := newFleet(t)
	f.vend(f.process(), crm())
	f.server.failing(&oauth.Error{Kind: oauth.Unavailable, RetryAfter: 2 * time.Minute, Trace: oauth.Trace{Calls: 1, Status: 503}})
	f.declare("crm", scoped("new"))
	change, err := f.process().Reconcile(t.Context(), vending.Changed{Secret: "crm", Former: []string{"crm"}})
	if err != nil || change.Recorded != 1 || change.Reissued != 0 {
		t.Fatalf("%+v, %v", change, err)
	}
	p := wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ProviderUnavailable)
	if f.server.calls() != 2 || p.RetryAfter != 2*time.Minute {
		t.Errorf("FI-12 %d calls, pause %v; want no call before it is over", f.server.calls(), p.RetryAfter)
	}
}

func TestRenewalThatCannotBeStoredFailed(t *testing.T) {
	f := newFleet(t)
	f.vend(f.process(), crm())
	f.clock.advance(50 * time.Minute)
	plan, err := f.process().Inspect(t.Context(), tokenstore.Key{Connection: "crm"}, f.now().Add(45*time.Minute))
	if err != nil || !plan.Due() {
		t.Fatalf("plan %v, %v", plan, err)
	}
	f.server.during = func() { f.store.setDown(true) }
	renewed, err := plan.Run(t.Context())
	wantCode(t, err, problem.StoreUnavailable)
	if renewed {
		t.Error("CR-25 it counts as renewed")
	}
}

func TestSecretFallbackEndsWithTheProvidersRotation(t *testing.T) {
	f := newFleet(t)
	f.declare("crm", strings.Replace(valid, "hush", "new", 1))
	accepted := "hush"
	f.server.refuse = func(r oauth.Request) *oauth.Error {
		if r.ClientSecret.Reveal() == accepted {
			return nil
		}
		return &oauth.Error{Kind: oauth.Rejected, Code: "invalid_client", Trace: oauth.Trace{Calls: 1, Status: 401}}
	}
	core := f.process()
	calls := func() int {
		before := f.server.calls()
		if err := core.Forget(t.Context(), crm(), false); err != nil {
			t.Fatal(err)
		}
		f.vend(core, crm())
		return f.server.calls() - before
	}
	got := []int{calls(), calls()}
	accepted = "new"
	got = append(got, calls(), calls())
	if fmt.Sprint(got) != "[2 1 2 1]" {
		t.Errorf("CR-20 calls per refresh %v, want [2 1 2 1]", got)
	}
}

func TestAnyOtherRejectedIDIsNoRejection(t *testing.T) {
	f := newFleet(t)
	core := f.process()
	f.vend(core, crm())
	f.clock.advance(52 * time.Minute)
	f.server.failing(unavailable)
	r := crm()
	r.RejectedTokenID = "0123456789abcdef"
	if v := f.vend(core, r); !v.Stale || v.AccessToken.Reveal() != "token_1" {
		t.Errorf("got %s (stale %v)", v.AccessToken.Reveal(), v.Stale)
	}
}

func TestSlowTableIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.inRealTime(0)
		core := f.process()
		f.vend(core, crm())
		time.Sleep(time.Minute)
		f.store.hanging(true)
		began := time.Now()
		v := f.vend(core, crm())
		if took := time.Since(began); took > time.Second || v.Source != vending.FromMemory {
			t.Errorf("FI-26 served from %s after %v", v.Source, took)
		}
	})
}

package vending_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Each test here is the shortest sequence that shows a fault which the property
// test found.

const (
	secondDeclaration = `{"provider":"oauth2","client_id":"app","client_secret":"new","token_url":"https://idp.example.com/token"}`
	scopedDeclaration = `{"provider":"oauth2","client_id":"app","client_secret":%q,"token_url":"https://idp.example.com/token",
		"scope":"all","allowed_scopes":["read"]}`
)

// cached makes the fleet's processes use the connection's current version until
// they bypass their caches.
func (f *fleet) cached(name string) {
	versions := f.secrets.versions[name]
	f.secrets.stale = map[string]clientsecret.Secret{name: versions[len(versions)-1]}
}

// secretUsed is the client secret of the latest request to the provider.
func (f *fleet) secretUsed() string {
	return f.server.requests[len(f.server.requests)-1].ClientSecret.Reveal()
}

func reconciled(t *testing.T, core *vending.Core, name string) vending.Change {
	t.Helper()
	change, err := core.Reconcile(t.Context(), vending.Changed{Secret: name, Former: []string{name}})
	if err != nil {
		t.Fatalf("reconcile %s: %v", name, err)
	}
	return change
}

func TestPropertyCachedSecretsEndWithAChange(t *testing.T) {
	t.Run("INV-1 a cold connection that was reconciled is not minted for with a cached copy", func(t *testing.T) {
		f := newFleet(t)
		f.cached("crm")
		f.declare("crm", secondDeclaration)
		reconciled(t, f.process(), "crm")
		if f.vend(f.process(), crm()); f.secretUsed() != "new" {
			t.Error("the replaced declaration minted a token that no reconciliation would find")
		}
	})
	t.Run("INV-1 nor one that was reconciled during its mint", func(t *testing.T) {
		f := newFleet(t)
		f.cached("crm")
		other := f.process()
		f.server.during = func() {
			f.server.during = nil
			f.declare("crm", secondDeclaration)
			reconciled(t, other, "crm")
		}
		if v := f.vend(f.process(), crm()); v.SecretVersion != "v2" {
			t.Errorf("got a token of %s, want v2", v.SecretVersion)
		}
	})
	t.Run("INV-1 nor a scope that reconciliation does not know", func(t *testing.T) {
		f := newFleet(t)
		f.declare("crm", fmt.Sprintf(scopedDeclaration, "hush"))
		f.cached("crm")
		other := f.process()
		f.store.before = func(operation string) { // the lease of the scope's item is about to be taken
			if operation == "acquire" {
				f.store.before = nil
				f.declare("crm", fmt.Sprintf(scopedDeclaration, "new"))
				reconciled(t, other, "crm")
			}
		}
		r := crm()
		r.Scope = "read"
		if f.vend(f.process(), r); f.secretUsed() != "new" {
			t.Error("the replaced declaration minted a token for the scope")
		}
	})
	t.Run("INV-1 nor one whose token was forgotten after the change", func(t *testing.T) {
		f := newFleet(t)
		f.cached("crm")
		f.declare("crm", secondDeclaration)
		f.vend(f.process(), crm())
		if err := f.process().Forget(t.Context(), crm(), false); err != nil {
			t.Fatal(err)
		}
		if f.vend(f.process(), crm()); f.secretUsed() != "new" {
			t.Error("the replaced declaration minted the next token")
		}
	})
	t.Run("FI-49 a deleted connection does not come back with a mint in progress", func(t *testing.T) {
		f := newFleet(t)
		f.cached("crm")
		other := f.process()
		f.server.during = func() {
			f.server.during = nil
			delete(f.secrets.versions, "crm")
			reconciled(t, other, "crm")
		}
		wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ConnectionNotFound)
		wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ConnectionNotFound)
		if item := f.item("crm"); item.Lease.Owner != "" || f.server.calls() != 1 {
			t.Errorf("lease of %q after %d calls; want none, and one call", item.Lease.Owner, f.server.calls())
		}
	})
	t.Run("CR-38 a recreated secret does not get the former one's token", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		f.vend(core, crm())
		f.secrets.versions["crm"][0].ARN, f.secrets.versions["crm"][0].VersionID = "arn:test:crm:again", "w1"
		f.clock.advance(11 * time.Second)
		if change := reconciled(t, core, "crm"); change.Reissued != 1 {
			t.Errorf("reissued %d, want the one that is in use", change.Reissued)
		}
		if v := f.vend(f.process(), crm()); v.AccessToken.Reveal() != "token_2" {
			t.Errorf("got %s, want token_2", v.AccessToken.Reveal())
		}
	})
	t.Run("INV-2 a token that another process has reissued is kept", func(t *testing.T) {
		f := newFleet(t)
		f.vend(f.process(), crm())
		f.declare("crm", secondDeclaration)
		other := f.process()
		f.store.before = func(operation string) {
			if operation == "acquire" {
				f.store.before = nil
				reconciled(t, other, "crm")
			}
		}
		change := reconciled(t, f.process(), "crm")
		if item := f.item("crm"); change.Reissued != 0 || item.Token.SecretVersion != "v2" || f.server.calls() != 2 {
			t.Errorf("reissued %d, stored %q after %d calls; want the reissued token kept", change.Reissued, item.Token.SecretVersion, f.server.calls())
		}
	})
}

func TestPropertyFailuresAreSharedAcrossVersions(t *testing.T) {
	t.Run("CR-19 a cached copy does not bypass the failure of a newer version", func(t *testing.T) {
		f := newFleet(t)
		f.server.failing(unavailable)
		behind, ahead := f.process(), f.process()
		_, _ = behind.Vend(t.Context(), crm())
		f.clock.advance(31 * time.Second)
		old := f.secrets.versions["crm"][0]
		f.declare("crm", secondDeclaration)
		wantCode(t, second(ahead.Vend(t.Context(), crm())), problem.ProviderUnavailable)
		f.secrets.stale = map[string]clientsecret.Secret{"crm": old}
		calls := f.server.calls()
		wantCode(t, second(behind.Vend(t.Context(), crm())), problem.ProviderUnavailable)
		if got := f.server.calls() - calls; got != 0 {
			t.Errorf("%d calls before the next attempt is due, want none", got)
		}
	})
	t.Run("FI-21 a refused cached copy is read again, and the refusal remembered for the current version", func(t *testing.T) {
		f := newFleet(t)
		f.cached("crm")
		f.declare("crm", secondDeclaration)
		f.server.failing(&oauth.Error{Kind: oauth.Rejected, Code: "invalid_client", Trace: oauth.Trace{Calls: 1, Status: 401}})
		wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ProviderRejected)
		f.secrets.stale = nil
		calls := f.server.calls()
		wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ProviderRejected)
		if got := f.server.calls() - calls; calls != 2 || got != 0 {
			t.Errorf("%d calls and then %d, want 2 and none", calls, got)
		}
	})
}

func TestPropertyOnlyValidTokensAreServed(t *testing.T) {
	t.Run("INV-1 a token that expires during the request is not served", func(t *testing.T) {
		f := newFleet(t)
		f.server.lifetime = 2 * time.Second
		f.store.before = func(operation string) {
			if operation == "commit" {
				f.clock.advance(3 * time.Second)
			}
		}
		wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.RefreshInProgress)
	})
	t.Run("CR-01 from the provider with less than a second left", func(t *testing.T) {
		f := newFleet(t)
		f.server.lifetime = 2 * time.Second
		f.server.during = func() { f.clock.advance(1500 * time.Millisecond) }
		wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.RefreshInProgress)
	})
	for _, c := range []struct {
		from   vending.Source
		down   bool
		refuse problem.Code
	}{
		{vending.FromMemory, true, problem.StoreUnavailable},
		{vending.FromTable, false, problem.ProviderUnavailable},
	} {
		t.Run("CR-24 stale, from "+string(c.from)+", in its last second", func(t *testing.T) {
			f := newFleet(t)
			core := f.process()
			v := f.vend(core, crm())
			f.server.failing(unavailable)
			f.store.setDown(c.down)
			f.clock.advance(v.ExpiresAt.Add(-time.Second).Sub(f.clock.Now()))
			if got := f.vend(core, crm()); got.Source != c.from || !got.Stale {
				t.Errorf("with a second left: from %s, stale %v", got.Source, got.Stale)
			}
			f.clock.advance(time.Nanosecond)
			wantCode(t, second(core.Vend(t.Context(), crm())), c.refuse)
		})
	}
	t.Run("CR-32 a caller that has left does not count as a failure of the table", func(t *testing.T) {
		f := newFleet(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantCode(t, second(f.process().Vend(ctx, crm())), problem.RefreshInProgress)
		if f.server.calls() != 0 {
			t.Errorf("%d calls without a caller", f.server.calls())
		}
	})
	t.Run("FI-09 with the table down and no time left the provider is not asked", func(t *testing.T) {
		f := newFleet(t)
		f.store.setDown(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantCode(t, second(f.process().Vend(ctx, crm())), problem.RefreshInProgress)
		if f.server.calls() != 0 {
			t.Errorf("%d calls, want none", f.server.calls())
		}
	})
}

package vending_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// allows is the declaration of a delegated connection for some principals.
func allows(principals ...string) string {
	rules := make([]string, len(principals))
	for i, p := range principals {
		rules[i] = fmt.Sprintf(`{"principal":%q}`, p)
	}
	return strings.Replace(fmt.Sprintf(userConnection, "hush"), "{", `{"callers":[`+strings.Join(rules, ",")+`],`, 1)
}

func TestDeclarationRecord_CR21_removedPrincipal(t *testing.T) {
	t.Run("CR-21 is refused in ten seconds, by one write and no call, with 2,000 subjects", func(t *testing.T) {
		d := newDelegation(t, rotates)
		d.declare("user", allows(principal, someoneElse))
		warm, renewer := d.process(), d.process()
		d.consent(warm, of("s0000"))
		template := d.grantOf(of("s0000"))
		for i := 1; i < 2000; i++ {
			copied := tokenstore.StoreGrant{Key: keyOf(fmt.Sprintf("s%04d", i)), Token: template.Token, Grant: template.Grant,
				SecretIncarnation: template.SecretIncarnation, Now: d.clock.Now()}
			if _, err := d.store.StoreGrant(t.Context(), copied); err != nil {
				t.Fatal(err)
			}
		}
		removed := of("s0000")
		removed.Caller = someoneElse
		d.vend(warm, removed)
		d.declare("user", allows(principal))
		writes, calls := d.store.count("write declaration"), d.idp.calls()
		change, err := renewer.Reconcile(t.Context(), vending.Changed{Secret: "user", Former: []string{"user"}})
		if err != nil || change.Recorded != 1 || change.Reissued != 0 || d.store.count("write declaration") != writes+1 {
			t.Errorf("%+v, %d writes, %v", change, d.store.count("write declaration")-writes, err)
		}
		wantCode(t, second(d.process().Vend(t.Context(), removed)), problem.AccessDenied)
		d.clock.advance(10 * time.Second)
		wantCode(t, second(warm.Vend(t.Context(), removed)), problem.AccessDenied)
		if v := d.vend(warm, of("s0000")); v.Source == vending.FromProvider || d.idp.calls() != calls {
			t.Errorf("from %s, %d calls to the provider", v.Source, d.idp.calls()-calls)
		}
	})
}

// asFormerRelease replaces the table by one with the connection's item alone, as the
// release before this one stores it: without a mint id and without a record.
func (f *fleet) asFormerRelease(name string) tokenstore.Item {
	f.t.Helper()
	item := f.item(name)
	identity := []string{name, "", "", "token", item.SecretIncarnation}
	text, err := f.sealer.Open(f.t.Context(), item.Token.Sealed, identity...)
	if err != nil {
		f.t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil || members["d"] == nil {
		f.t.Fatalf("no mint id, %v", err)
	}
	delete(members, "d")
	if text, err = json.Marshal(members); err != nil {
		f.t.Fatal(err)
	}
	if item.Token.Sealed, err = f.sealer.Seal(f.t.Context(), text, identity...); err != nil {
		f.t.Fatal(err)
	}
	f.store.Store = memory.New()
	if _, err := f.store.Commit(f.t.Context(), tokenstore.Commit{Key: item.Key, SecretIncarnation: item.SecretIncarnation,
		Token: item.Token, Used: true, Now: f.clock.Now()}); err != nil {
		f.t.Fatal(err)
	}
	return item
}

func TestDeclarationRecord_CR21_rules(t *testing.T) {
	t.Run("CR-21 the first vend writes it, the next ones read it with the token, and memory needs neither", func(t *testing.T) {
		f := newFleet(t)
		core := f.process()
		f.vend(core, crm())
		reads := f.store.count("get") + f.store.count("read declarations")
		for range 100 {
			f.vend(core, crm())
		}
		if n := f.store.count("get") + f.store.count("read declarations") - reads; n != 0 || f.store.count("write declaration") != 1 {
			t.Errorf("%d reads and %d writes, want none and one", n, f.store.count("write declaration"))
		}
		loads := f.secrets.loads
		if f.vend(f.process(), crm()); f.secrets.loads != loads || f.store.count("write declaration") != 1 {
			t.Error("a cold process reads the secret, or writes the record")
		}
	})
	t.Run("CR-37 a scope that is no longer allowed is refused although its token is stored", func(t *testing.T) {
		f := newFleet(t)
		f.declare("crm", strings.Replace(valid, "{", `{"allowed_scopes":["read"],`, 1))
		core, r := f.process(), crm()
		r.Scope = "read"
		f.vend(core, r)
		f.declare("crm", strings.Replace(valid, "{", `{"allowed_scopes":["write"],`, 1))
		reconcileSecret(t, f, f.process(), "crm")
		wantCode(t, second(core.Vend(t.Context(), r)), problem.InvalidScope)
		if f.server.calls() != 1 {
			t.Errorf("%d calls", f.server.calls())
		}
	})
	t.Run("FI-48 a token that the release before this one stored is served, and an upgrade calls no provider", func(t *testing.T) {
		f := newFleet(t)
		v := f.vend(f.process(), crm())
		former := f.asFormerRelease("crm")
		for _, process := range []*vending.Core{f.process(), f.process()} {
			if _, err := process.Reconcile(t.Context(), vending.Changed{Secret: "crm"}); err != nil {
				t.Fatal(err)
			}
			if got := f.vend(process, crm()); got.ID != v.ID || f.server.calls() != 1 {
				t.Errorf("got %s after %d calls", got.ID, f.server.calls())
			}
		}
		if item := f.item("crm"); item.Token.ID != former.Token.ID {
			t.Error("the stored token was replaced")
		}
		f.declare("crm", scoped("new"))
		reconcileSecret(t, f, f.process(), "crm")
		if got := f.vend(f.process(), crm()); got.ID == v.ID {
			t.Error("it is served after its declaration has changed")
		}
	})
	t.Run("CR-20 after the rotation of a client secret subjects keep their tokens, the connection does not", func(t *testing.T) {
		d, core := consented(t, rotates)
		d.consent(core, of("ann"))
		own, ann := d.vend(core, user()), d.vend(core, of("ann"))
		d.declare("user", fmt.Sprintf(userConnection, "another"))
		if change := reconcileSecret(t, d.fleet, d.process(), "user"); change.Reissued != 1 {
			t.Errorf("%d tokens reissued, want the connection's own", change.Reissued)
		}
		if v := d.vend(core, of("ann")); v.ID != ann.ID {
			t.Error("the subject's token was replaced")
		}
		if v := d.vend(core, user()); v.ID == own.ID {
			t.Error("the connection's own token was kept")
		}
	})
	t.Run("CR-32 while the table is down the last known record decides, for ten minutes", func(t *testing.T) {
		f := newFleet(t)
		only := func(p string) string { return strings.Replace(valid, "{", `{"callers":[{"principal":"`+p+`"}],`, 1) }
		f.declare("crm", only(principal))
		core := f.process()
		f.vend(core, crm())
		f.declare("crm", only(someoneElse))
		f.store.setDown(true)
		f.clock.advance(9 * time.Minute)
		f.vend(core, crm())
		f.clock.advance(time.Minute)
		wantCode(t, second(core.Vend(t.Context(), crm())), problem.AccessDenied)
	})
	t.Run("CR-21 a server that refuses early refreshes keeps the token to its end", func(t *testing.T) {
		f := newFleet(t)
		late := strings.Replace(valid, "{", `{"early_refresh":false,`, 1)
		f.declare("crm", late)
		core := f.process()
		v := f.vend(core, crm())
		f.declare("crm", strings.Replace(late, "hush", "another", 1))
		reconcileSecret(t, f, f.process(), "crm")
		if got := f.vend(core, crm()); got.ID != v.ID || f.server.calls() != 1 {
			t.Errorf("got %s after %d calls", got.ID, f.server.calls())
		}
		f.clock.advance(time.Hour)
		if got := f.vend(core, crm()); got.ID == v.ID {
			t.Error("it is kept beyond its end")
		}
	})
	t.Run("CR-22 a renewal that visits a token of another declaration replaces it", func(t *testing.T) {
		d, core := consented(t, rotates)
		d.consent(core, of("ann"))
		before := d.vend(core, of("ann"))
		d.declare("user", strings.Replace(fmt.Sprintf(userConnection, "hush"), "{", `{"token_params":{"a":"b"},`, 1))
		reconcileSecret(t, d.fleet, d.process(), "user")
		plan, err := d.process().Inspect(t.Context(), keyOf("ann"), d.clock.Now().Add(time.Minute))
		if err != nil || !plan.Due() {
			t.Fatalf("due %v, %v", plan.Due(), err)
		}
		if _, err := plan.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v := d.vend(core, of("ann")); v.ID == before.ID || v.Source == vending.FromProvider {
			t.Errorf("%s from %s", v.ID, v.Source)
		}
	})
	t.Run("CR-21 an event is awaited, ignored when it is late, and fails when its version does not come", func(t *testing.T) {
		f := newFleet(t)
		f.vend(f.process(), crm())
		changed := func(version string) (vending.Change, error) {
			c := vending.Changed{Secret: "crm"}
			c.Event.Version, c.Event.At = version, f.clock.Now()
			return f.process().Reconcile(t.Context(), c)
		}
		began := f.clock.Now()
		_, err := changed("v2")
		wantCode(t, err, problem.RefreshInProgress)
		if waited := f.clock.Now().Sub(began); waited != 7*time.Second {
			t.Errorf("waited %s, want 7 s", waited)
		}
		f.declare("crm", scoped("new"))
		if c, err := changed("v2"); err != nil || c.Recorded != 1 {
			t.Errorf("%+v, %v", c, err)
		}
		if c, err := changed("v1"); err != nil || !c.Ignored {
			t.Errorf("a late event: %+v, %v", c, err)
		}
	})
}

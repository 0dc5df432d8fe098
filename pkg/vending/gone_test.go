package vending_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// losses are the ways in which a secret stops declaring a connection, and what
// its callers get.
var losses = []struct {
	name string
	// lose does it to the secret of that name.
	lose func(f *fleet, name string)
	want problem.Code
}{
	{"FI-35 it has no text", func(f *fleet, _ string) { f.secrets.fail = fmt.Errorf("secret: %w", clientsecret.ErrNoText) }, problem.ConnectionMisconfigured},
	{"BI-60 it is not JSON", func(f *fleet, name string) { f.declare(name, "x") }, problem.ConnectionMisconfigured},
	{"BI-52 it is invalid", func(f *fleet, name string) { f.declare(name, `{"provider":"oauth2"}`) }, problem.ConnectionMisconfigured},
	{"CR-38 it is deleted", func(f *fleet, name string) { delete(f.secrets.versions, name) }, problem.ConnectionNotFound},
}

func TestGoneDeclaration(t *testing.T) {
	for _, loss := range losses {
		// vended has a token that its provider would replace, and then no declaration.
		vended := func(t *testing.T, age time.Duration) (*fleet, *vending.Core, vending.Request) {
			f := newFleet(t)
			core, r := f.process(), crm()
			r.RejectedTokenID = f.vend(core, crm()).ID
			f.clock.advance(age)
			loss.lose(f, "crm")
			return f, core, r
		}
		t.Run(loss.name+": a token that is due is not served in its place", func(t *testing.T) {
			f, core, _ := vended(t, 55*time.Minute)
			wantCode(t, second(core.Vend(t.Context(), crm())), loss.want)
			wantCode(t, second(f.process().Vend(t.Context(), crm())), loss.want)
		})
		t.Run(loss.name+": nor one that was rejected, however young", func(t *testing.T) {
			for _, age := range []time.Duration{time.Second, time.Minute} {
				_, core, r := vended(t, age)
				wantCode(t, second(core.Vend(t.Context(), r)), loss.want)
			}
		})
		t.Run(loss.name+": nor while the table is down", func(t *testing.T) {
			f, _, _ := vended(t, 0)
			f.store.setDown(true)
			wantCode(t, second(f.process().Vend(t.Context(), crm())), loss.want)
		})
		t.Run(loss.name+": nor a remembered failure", func(t *testing.T) {
			f := newFleet(t)
			core := f.process()
			f.server.failing(unavailable)
			wantCode(t, second(core.Vend(t.Context(), crm())), problem.ProviderUnavailable)
			f.secrets.stale = map[string]clientsecret.Secret{"crm": f.secrets.versions["crm"][0]}
			loss.lose(f, "crm")
			wantCode(t, second(core.Vend(t.Context(), crm())), loss.want)
		})
		t.Run(loss.name+": reconciling it is one write, after which its tokens are refused", func(t *testing.T) {
			f, core, _ := vended(t, 0)
			before, writes := f.item("crm"), f.store.count("write declaration")
			change := reconcileSecret(t, f, core, "crm")
			if after := f.item("crm"); change.Recorded != 1 || f.store.count("write declaration") != writes+1 || after.Version != before.Version {
				t.Errorf("%d records written, item at version %d, want 1 and %d", change.Recorded, after.Version, before.Version)
			}
			wantCode(t, second(core.Vend(t.Context(), crm())), loss.want)
			wantCode(t, second(f.process().Vend(t.Context(), crm())), loss.want)
			if again := reconcileSecret(t, f, core, "crm"); again.Recorded != 0 || f.server.calls() != 1 {
				t.Errorf("then %d records written, %d calls", again.Recorded, f.server.calls())
			}
		})
		t.Run(loss.name+": restored, it serves the same token at once", func(t *testing.T) {
			f, core, r := vended(t, 0)
			reconcileSecret(t, f, core, "crm")
			wantCode(t, second(core.Vend(t.Context(), crm())), loss.want)
			f.secrets.fail = nil
			f.declare("crm", valid)
			f.clock.advance(10 * time.Second) // it is looked for once in that time
			if v := f.vend(core, crm()); v.ID != r.RejectedTokenID || f.server.calls() != 1 {
				t.Errorf("got %s from %s, %d calls", v.ID, v.Source, f.server.calls())
			}
		})
	}
}

func reconcileSecret(t *testing.T, f *fleet, core *vending.Core, former ...string) vending.Change {
	t.Helper()
	change, err := core.Reconcile(t.Context(), vending.Changed{Secret: former[0], Former: former})
	if err != nil {
		t.Fatal(err)
	}
	f.clock.advance(11 * time.Second) // other processes read the table again
	return change
}

func TestGoneDeclarationOfAGrant(t *testing.T) {
	for _, loss := range losses {
		t.Run(loss.name+": the tokens of all subjects are refused by one write, and the grants stay", func(t *testing.T) {
			d := newDelegation(t, rotates)
			core := d.process()
			for _, subject := range []string{"", "ann"} {
				d.consent(core, of(subject))
			}
			before := d.secrets.versions["user"]
			loss.lose(d.fleet, "user")
			if change := reconcileSecret(t, d.fleet, core, "user"); change.Recorded != 1 {
				t.Errorf("%d records written, want 1", change.Recorded)
			}
			for _, subject := range []string{"", "ann"} {
				wantCode(t, second(core.Vend(t.Context(), of(subject))), loss.want)
				if item := d.grantOf(of(subject)); item.Grant.Fingerprint == "" {
					t.Errorf("subject %q: grant %q", subject, item.Grant.Fingerprint)
				}
			}
			d.secrets.fail = nil
			d.declare("user", before[0].Text.Reveal())
			d.clock.advance(10 * time.Second)
			for _, subject := range []string{"", "ann"} {
				if v := d.vend(core, of(subject)); v.Source == vending.FromProvider {
					t.Errorf("subject %q: from %s, want the stored token at once", subject, v.Source)
				}
			}
		})
	}
}

func TestGoneDeclarationOfABundle(t *testing.T) {
	member := func(name string) string {
		return fmt.Sprintf(`%q:{"provider":"oauth2","client_id":%[1]q,"client_secret":"hush","token_url":"https://idp.example.com/token"}`, name)
	}
	both := `{"connections":{` + member("a") + `,` + member("b") + `}}`
	vended := func(t *testing.T) (*fleet, *vending.Core, vending.Request, vending.Request) {
		f := newFleet(t)
		f.declare("bun", both)
		core := f.process()
		a, b := crm(), crm()
		a.Connection, b.Connection = "bun.a", "bun.b"
		f.vend(core, a)
		f.vend(core, b)
		f.vend(core, crm())
		return f, core, a, b
	}
	for name, text := range map[string]string{
		"FI-35 a bundle without a text": "", "BI-60 a bundle that is not JSON": "{", "BI-40 a bundle beside another member": `{"connections":{},"x":1}`,
	} {
		t.Run(name+" loses all its members, and no other connection", func(t *testing.T) {
			f, core, a, b := vended(t)
			f.declare("bun", text)
			if change := reconcileSecret(t, f, core, "bun", "bun.a", "bun.b"); change.Recorded != 2 {
				t.Errorf("%d records written, want 2", change.Recorded)
			}
			for _, r := range []vending.Request{a, b} {
				wantCode(t, second(core.Vend(t.Context(), r)), problem.ConnectionMisconfigured)
			}
			if v := f.vend(core, crm()); v.Source == vending.FromProvider {
				t.Error("another connection lost its token")
			}
		})
	}
	t.Run("BI-55 an invalid member loses its own token only", func(t *testing.T) {
		f, core, a, b := vended(t)
		f.declare("bun", `{"connections":{`+member("a")+`,"b":{"provider":1}}}`)
		if change := reconcileSecret(t, f, core, "bun", "bun.a", "bun.b"); change.Recorded != 3 {
			t.Errorf("%d records written, want those of both members and of the bundle", change.Recorded)
		}
		if v := f.vend(core, a); v.Source == vending.FromProvider {
			t.Error("the valid member lost its token")
		}
		wantCode(t, second(core.Vend(t.Context(), b)), problem.ConnectionMisconfigured)
	})
}

func TestUnreadableSecretChangesNothing(t *testing.T) {
	for name, failure := range map[string]error{
		"FI-34 access denied": fmt.Errorf("%w (AccessDeniedException)", clientsecret.ErrUnreadable),
		"FI-34 throttled":     fmt.Errorf("%w (ThrottlingException)", clientsecret.ErrUnavailable),
		"FI-34 out of time":   fmt.Errorf("%w (timeout)", clientsecret.ErrUnavailable),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			core := f.process()
			v := f.vend(core, crm())
			before := f.item("crm")
			f.secrets.fail = failure
			if _, err := core.Reconcile(t.Context(), vending.Changed{Secret: "crm", Former: []string{"crm"}}); err == nil {
				t.Error("a secret that cannot be read counts as reconciled")
			}
			if after := f.item("crm"); after.Version != before.Version {
				t.Error("the item was changed")
			}
			f.clock.advance(55 * time.Minute)
			if got := f.vend(core, crm()); got.ID != v.ID || !got.Stale {
				t.Errorf("got %s, stale %v, want the valid token, stale", got.ID, got.Stale)
			}
		})
		t.Run(name+": a token that could not be stored is kept", func(t *testing.T) {
			f := newFleet(t)
			core := f.process()
			f.store.refuse("commit", true)
			v := f.vend(core, crm())
			f.store.refuse("commit", false)
			f.secrets.fail = failure
			f.clock.advance(11 * time.Second)
			if got := f.vend(core, crm()); got.ID != v.ID {
				t.Errorf("got %s, want %s", got.ID, v.ID)
			}
			f.secrets.fail = nil
			f.clock.advance(11 * time.Second)
			f.vend(core, crm())
			if id := f.item("crm").Token.ID; id != v.ID {
				t.Errorf("stored %q, want %s", id, v.ID)
			}
		})
	}
}

func TestSecretLostWhileTheProviderRefuses(t *testing.T) {
	t.Run("FI-35 the answer is that the declaration is gone, and nothing is remembered", func(t *testing.T) {
		f := newFleet(t)
		f.secrets.stale = map[string]clientsecret.Secret{"crm": f.secrets.versions["crm"][0]}
		f.secrets.versions["crm"][0].Text = redact.New("x")
		f.server.failing(&oauth.Error{Kind: oauth.Rejected, Code: "invalid_client", Trace: oauth.Trace{Calls: 1, Status: 401}})
		wantCode(t, second(f.process().Vend(t.Context(), crm())), problem.ConnectionMisconfigured)
		if item := f.item("crm"); item.Failure != (tokenstore.Failure{}) || item.Lease.Owner != "" {
			t.Errorf("failure %+v, lease of %q", item.Failure, item.Lease.Owner)
		}
	})
}

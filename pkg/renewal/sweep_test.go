package renewal_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// stored is the declaration record of a connection as the table has it.
func (f *fixture) stored(name string) tokenstore.DeclarationRecord {
	f.t.Helper()
	records, err := f.store.ReadDeclarations(f.t.Context(), []string{name}, true)
	if err != nil {
		f.t.Fatal(err)
	}
	return records[0]
}

// tamper replaces the text of a connection's record, as a table writer can.
func (f *fixture) tamper(name string, sealed []byte) {
	f.t.Helper()
	d := f.stored(name)
	d.Sealed = sealed
	if _, err := f.store.WriteDeclaration(f.t.Context(), d); err != nil {
		f.t.Fatal(err)
	}
}

// callersDeclared is a declaration that lets only one user have tokens.
func callersDeclared(user string) string {
	return fmt.Sprintf(`{"provider":"oauth2","client_id":"crm","client_secret":"hush","token_url":"https://idp.example.com/token",
		"callers":[{"principal":"arn:aws:iam::111122223333:user/%s"}]}`, user)
}

// What a table writer did to a record is corrected by the next complete comparison.
func TestSweepCorrectsRecords_CR21(t *testing.T) {
	bundle := func(members string) string { return `{"connections":{` + members + `}}` }
	both := bundle(`"a":` + declaration("a") + `,"b":` + declaration("b"))
	for name, c := range map[string]struct {
		secret, before, after, connection string
		tampered                          func(before, now []byte) []byte
		// served while the record is tampered with, and after the sweep.
		served, corrected bool
	}{
		"a former record lets a removed caller in": {"crm", declaration("crm"), callersDeclared("y"), "crm",
			func(before, _ []byte) []byte { return before }, true, false},
		"a former record keeps a new caller out": {"crm", callersDeclared("y"), declaration("crm"), "crm",
			func(before, _ []byte) []byte { return before }, false, true},
		"a record without a text": {"crm", callersDeclared("y"), declaration("crm"), "crm",
			func(_, _ []byte) []byte { return nil }, true, true}, // it counts as missing, and the secret decides
		"a damaged record": {"crm", declaration("crm"), callersDeclared("y"), "crm",
			func(_, now []byte) []byte { now[len(now)-1] ^= 1; return now }, false, false},
		"a former record of a removed member": {"bundle", both, bundle(`"a":` + declaration("a")), "bundle.b",
			func(before, _ []byte) []byte { return before }, true, false},
		"a member's record without a text": {"bundle", bundle(`"a":` + declaration("a")), both, "bundle.b",
			func(_, _ []byte) []byte { return nil }, true, true},
		"the record of the bundle without a text": {"bundle", both, bundle(`"a":` + declaration("a")), "bundle",
			func(_, _ []byte) []byte { return nil }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.secrets.put(c.secret, c.before)
				f.ticks(1)
				f.refuses(c.connection) // a token is stored, if the caller may have one
				before := f.stored(c.connection).Sealed
				f.secrets.put(c.secret, c.after)
				f.ticks(1)
				time.Sleep(11 * time.Second)
				f.refuses(c.connection)
				intact := f.stored(c.connection)
				f.tamper(c.connection, c.tampered(before, append([]byte(nil), intact.Sealed...)))
				time.Sleep(11 * time.Second)
				if served := !f.refuses(c.connection); served != c.served {
					t.Errorf("before the sweep it is served: %v, want %v", served, c.served)
				}
				f.tamper(c.connection, c.tampered(before, append([]byte(nil), intact.Sealed...)))
				if sum := f.ticks(1); sum.Recorded != 1 {
					t.Errorf("%+v, want one record written", sum)
				}
				time.Sleep(11 * time.Second)
				if served := !f.refuses(c.connection); served != c.corrected {
					t.Errorf("after the sweep it is served: %v, want %v", served, c.corrected)
				}
				loads := f.secrets.loads
				if sum := f.ticks(2); sum.Recorded != 0 || f.secrets.loads != loads {
					t.Errorf("later ticks wrote %d records and read %d secrets", sum.Recorded, f.secrets.loads-loads)
				}
			})
		})
	}
}

// Another process finds what happened while none ran.
func TestSweepOfANewProcess_CR21(t *testing.T) {
	for name, c := range map[string]struct {
		edit   func(f *fixture)
		served bool
	}{
		"CR-38 the secret was deleted":                {func(f *fixture) { f.secrets.remove("crm") }, false},
		"FI-35 the secret was scheduled for deletion": {func(f *fixture) { f.secrets.edit("crm", losses[0].lose) }, false},
		"CR-21 the secret has another version":        {func(f *fixture) { f.secrets.put("crm", declaration("other")) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.secrets.put("crm", declaration("crm"))
				f.vend("crm")
				f.ticks(1)
				c.edit(f)
				f.renewer = f.process()
				if sum := f.ticks(1); sum.Recorded != 1 {
					t.Errorf("%+v, want one record written", sum)
				}
				if time.Sleep(11 * time.Second); f.refuses("crm") == c.served {
					t.Errorf("served: %v, want %v", !c.served, c.served)
				}
			})
		})
	}
}

// A declaration that was never valid has no record. It is read once for each version.
func TestSweepOfADeclarationThatWasNeverValid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.secrets.put("crm", `{"provider":"unknown"}`)
		f.secrets.put("bundle", `{"connections":{"a":`+declaration("a")+`,"b":{}}}`)
		f.secrets.put("erp", declaration("erp"))
		f.secrets.edit("erp", losses[0].lose)
		if sum := f.ticks(3); sum.Recorded != 2 || f.secrets.loads != 4 { // the bundle twice, because its members were not known

			t.Errorf("BI-52 %d records written and %d secrets read, want 2 and 4", sum.Recorded, f.secrets.loads)
		}
		f.secrets.put("crm", declaration("crm"))
		if sum := f.ticks(1); sum.Recorded != 1 || f.secrets.loads != 5 {
			t.Errorf("CR-21 corrected: %d records written and %d secrets read, want 1 and 5", sum.Recorded, f.secrets.loads)
		}
	})
}

// What was gone is in force again without a caller's request.
func TestSweepRestoresRecords_FI35(t *testing.T) {
	eachLoss(t, func(f *fixture, lose func(*text)) {
		f.secrets.put("crm", declaration("crm"))
		v := f.vend("crm")
		f.ticks(1)
		before := f.secrets.texts["crm"]
		f.secrets.edit("crm", lose)
		f.ticks(1)
		f.secrets.edit("crm", func(x *text) { *x = before })
		if sum := f.ticks(1); sum.Recorded != 1 {
			f.t.Errorf("%+v", sum)
		}
		if got := f.vend("crm"); got.ID != v.ID {
			f.t.Error("the same declaration does not serve the same token")
		}
	})
}

// While the table does not answer, nothing counts as changed.
func TestSweepOfAThrottledTable_CR31(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.secrets.put("crm", declaration("crm"))
		f.vend("crm")
		f.ticks(1)
		f.secrets.put("crm", declaration("other"))
		f.store.Throttle(true)
		loads := f.secrets.loads
		time.Sleep(time.Minute)
		run := f.renewer.Tick(t.Context())
		if run.Recorded != 0 || f.secrets.loads != loads || run.Failed["store_unavailable"] == 0 {
			t.Errorf("%+v", run)
		}
		f.store.Throttle(false)
		if sum := f.ticks(1); sum.Recorded != 1 {
			t.Errorf("%+v, want one record written", sum)
		}
	})
}

// lines are the audit lines of renewals, by their outcomes.
func (f *fixture) lines(connection string) (outcomes []string) {
	for _, line := range strings.Split(f.log.String(), "\n") {
		var l struct{ Action, Outcome, Connection, Source string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Action == "renew" && l.Connection == connection {
			outcomes = append(outcomes, l.Outcome+" "+l.Source)
		}
	}
	return outcomes
}

func TestReissueIsAudited_AZ56(t *testing.T) {
	for name, c := range map[string]struct {
		refuse func(oauth.Request) error
		want   []string
	}{
		"replaced": {nil, []string{"ok provider"}},
		"refused": {func(oauth.Request) error {
			return &oauth.Error{Kind: oauth.Rejected, Trace: oauth.Trace{Calls: 1, Status: 401}}
		}, []string{"provider_rejected none"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.secrets.put("crm", declaration("before"))
				f.secrets.put("erp", declaration("erp"))
				f.vend("crm")
				f.vend("erp")
				f.ticks(1)
				f.secrets.put("crm", declaration("after"))
				f.server.refuse = c.refuse
				f.ticks(2)
				if diff := cmp.Diff(c.want, f.lines("crm")); diff != "" {
					t.Errorf("lines (-want +got):\n%s", diff)
				}
				if others := f.lines("erp"); len(others) > 0 {
					t.Errorf("an unchanged connection has the lines %q", others)
				}
			})
		})
	}
}

// A token that was not replaced, because the table failed after the record was written,
// is replaced by the next tick.
func TestReissueIsRepeated_CR21(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.secrets.put("crm", declaration("before"))
		f.vend("crm")
		f.ticks(1)
		f.secrets.put("crm", declaration("after"))
		core := failing{f.core, 1}
		f.renewer = renewal.New(renewal.Config{Core: &core, Index: f.store, Documents: f.store, Versions: f.secrets, Audit: f.audit})
		if sum := f.ticks(1); sum.Recorded != 1 || sum.Reissued != 0 {
			t.Fatalf("%+v", sum)
		}
		if sum := f.ticks(1); sum.Recorded != 0 || sum.Reissued != 1 {
			t.Errorf("%+v, want one token reissued", sum)
		}
		if sum := f.ticks(1); sum.Reissued != 0 {
			t.Errorf("%+v, want nothing left", sum)
		}
	})
}

// failing is a core whose first reissues fail with an error of the table.
type failing struct {
	*vending.Core
	left int
}

func (f *failing) Reconcile(ctx context.Context, c vending.Changed) (vending.Change, error) {
	if f.left == 0 {
		return f.Core.Reconcile(ctx, c)
	}
	f.left--
	c.Reissue = func(context.Context, vending.Renewal) (bool, error) {
		return false, problem.New(problem.StoreUnavailable, "down")
	}
	change, err := f.Core.Reconcile(ctx, c)
	if err == nil {
		err = problem.New(problem.StoreUnavailable, "down")
	}
	return change, err
}

// noting is a core that notes the connections of each reconciled secret.
type noting struct {
	*vending.Core
	former []string
}

func (n *noting) Reconcile(ctx context.Context, c vending.Changed) (vending.Change, error) {
	n.former = c.Former
	return n.Core.Reconcile(ctx, c)
}

// A secret that cannot be read for hours takes no more memory with each tick.
func TestSweepOfASecretThatStaysUnreadable_FI34(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.secrets.put("bundle", `{"connections":{"a":`+declaration("a")+`,"b":`+declaration("b")+`}}`)
		f.ticks(1)
		f.secrets.edit("bundle", func(x *text) { x.denied, x.version = true, x.version+1 })
		core := noting{Core: f.core}
		f.renewer = renewal.New(renewal.Config{Core: &core, Index: f.store, Documents: f.store, Versions: f.secrets, Audit: f.audit})
		f.ticks(5)
		if diff := cmp.Diff([]string{"bundle", "bundle.a", "bundle.b"}, core.former); diff != "" {
			t.Errorf("connections to reconcile (-want +got):\n%s", diff)
		}
	})
}

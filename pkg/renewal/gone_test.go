package renewal_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// tokenID is the id of the stored token; empty when there is none.
func (f *fixture) tokenID(name string) string {
	f.t.Helper()
	item, err := f.store.Get(f.t.Context(), tokenstore.Key{Connection: name}, true)
	if err != nil {
		f.t.Fatal(err)
	}
	return item.Token.ID
}

func (f *fixture) refuses(name string) bool {
	_, err := f.core.Vend(f.t.Context(), vending.Request{Connection: connection.Name(name), Caller: "arn:aws:iam::111122223333:user/x"})
	return err != nil
}

func TestSecretWithoutText(t *testing.T) {
	for _, loss := range []struct {
		name string
		lose func(*text)
	}{
		{"FI-35 scheduled for deletion", func(x *text) { x.scheduled = true }},
		{"FI-35 binary", func(x *text) { x.binary, x.version = true, x.version+1 }},
		{"BI-60 not JSON", func(x *text) { x.text, x.version = "x", x.version+1 }},
	} {
		t.Run(loss.name+": the next tick drops its tokens, once", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.secrets.put("crm", declaration("crm"))
				f.secrets.put("erp", declaration("erp"))
				f.vend("crm")
				erp := f.vend("erp")
				f.ticks(1)
				f.secrets.edit("crm", loss.lose)
				if sum := f.ticks(1); sum.Dropped != 1 || sum.Reissued != 0 || f.tokenID("crm") != "" {
					t.Errorf("%+v, token %q", sum, f.tokenID("crm"))
				}
				if time.Sleep(11 * time.Second); !f.refuses("crm") || f.vend("erp").ID != erp.ID {
					t.Error("the token is served, or another connection's is not")
				}
				loads := f.secrets.loads
				if sum := f.ticks(3); sum.Dropped != 0 || f.secrets.loads != loads {
					t.Errorf("%+v, read %d times more", sum, f.secrets.loads-loads)
				}
				if strings.Contains(f.log.String(), "connection_misconfigured") {
					t.Error("a reconciled secret counts as a failure of the tick")
				}
			})
		})
		t.Run(loss.name+": never seen before", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.secrets.put("crm", declaration("crm"))
				f.vend("crm")
				f.secrets.edit("crm", loss.lose)
				loads := f.secrets.loads
				if sum := f.ticks(3); sum.Dropped != 1 || f.secrets.loads != loads+1 {
					t.Errorf("%+v, read %d times, want 1", sum, f.secrets.loads-loads)
				}
			})
		})
		t.Run(loss.name+": restored, it works at once and its token stays", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.secrets.put("crm", declaration("crm"))
				f.vend("crm")
				f.ticks(1)
				f.secrets.edit("crm", loss.lose)
				f.ticks(1)
				f.secrets.put("crm", declaration("crm"))
				time.Sleep(11 * time.Second)
				v := f.vend("crm")
				f.ticks(2)
				time.Sleep(11 * time.Second)
				if got := f.vend("crm"); got.ID != v.ID {
					t.Error("the new token was dropped")
				}
			})
		})
		t.Run(loss.name+": all members of a bundle", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.secrets.put("bundle", fmt.Sprintf(`{"connections":{"a":%s,"b":%s}}`, declaration("a"), declaration("b")))
				f.vend("bundle.a")
				f.vend("bundle.b")
				f.ticks(1)
				f.secrets.edit("bundle", loss.lose)
				if sum := f.ticks(2); sum.Dropped != 2 || f.tokenID("bundle.a")+f.tokenID("bundle.b") != "" {
					t.Errorf("%+v", sum)
				}
			})
		})
		t.Run(loss.name+": Secrets Manager's event", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(t)
				f.secrets.put("crm", declaration("crm"))
				f.vend("crm")
				f.secrets.edit("crm", loss.lose)
				if run := f.renewer.SecretChanged(t.Context(), "crm"); run.Dropped != 1 || len(run.Failed) != 0 {
					t.Errorf("%+v", run)
				}
			})
		})
	}
	t.Run("FI-34 a secret that the role may not read keeps its token, and is read again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t)
			f.secrets.put("crm", declaration("crm"))
			v := f.vend("crm")
			f.ticks(1)
			f.secrets.edit("crm", func(x *text) { x.denied, x.version = true, x.version+1 })
			loads := f.secrets.loads
			if sum := f.ticks(2); sum.Dropped != 0 || f.secrets.loads != loads+2 || f.tokenID("crm") != v.ID {
				t.Errorf("%+v, read %d times, want 2", sum, f.secrets.loads-loads)
			}
		})
	})
}

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

// losses are the ways in which a secret stops declaring a connection but stays.
var losses = []struct {
	name string
	lose func(*text)
}{
	{"FI-35 scheduled for deletion", func(x *text) { x.scheduled = true }},
	{"FI-35 binary", func(x *text) { x.binary, x.version = true, x.version+1 }},
	{"BI-60 not JSON", func(x *text) { x.text, x.version = "x", x.version+1 }},
}

// eachLoss runs a test for each loss, in a bubble of its own.
func eachLoss(t *testing.T, test func(f *fixture, lose func(*text))) {
	for _, loss := range losses {
		t.Run(loss.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(newFixture(t), loss.lose) })
		})
	}
}

func TestSecretWithoutTextLosesItsTokensOnce(t *testing.T) {
	eachLoss(t, func(f *fixture, lose func(*text)) {
		f.secrets.put("crm", declaration("crm"))
		f.secrets.put("erp", declaration("erp"))
		f.vend("crm")
		erp := f.vend("erp")
		f.ticks(1)
		f.secrets.edit("crm", lose)
		if sum := f.ticks(1); sum.Recorded != 1 || sum.Reissued != 0 {
			f.t.Errorf("%+v", sum)
		}
		if time.Sleep(11 * time.Second); !f.refuses("crm") || f.vend("erp").ID != erp.ID {
			f.t.Error("the token is served, or another connection's is not")
		}
		loads := f.secrets.loads
		if sum := f.ticks(3); sum.Recorded != 0 || f.secrets.loads != loads {
			f.t.Errorf("%+v, read %d times more", sum, f.secrets.loads-loads)
		}
		if strings.Contains(f.log.String(), "connection_misconfigured") {
			f.t.Error("a reconciled secret counts as a failure of the tick")
		}
	})
}

func TestSecretWithoutTextThatWasNeverSeen(t *testing.T) {
	eachLoss(t, func(f *fixture, lose func(*text)) {
		f.secrets.put("crm", declaration("crm"))
		f.vend("crm")
		f.secrets.edit("crm", lose)
		loads := f.secrets.loads
		if sum := f.ticks(3); sum.Recorded != 1 || f.secrets.loads != loads+1 {
			f.t.Errorf("%+v, read %d times, want 1", sum, f.secrets.loads-loads)
		}
	})
}

func TestSecretWithoutTextRestored(t *testing.T) {
	eachLoss(t, func(f *fixture, lose func(*text)) {
		f.secrets.put("crm", declaration("crm"))
		f.vend("crm")
		f.ticks(1)
		before := f.secrets.texts["crm"]
		f.secrets.edit("crm", lose)
		f.ticks(1)
		f.secrets.edit("crm", func(x *text) { *x = before })
		time.Sleep(11 * time.Second)
		v := f.vend("crm")
		f.ticks(2)
		time.Sleep(11 * time.Second)
		if got := f.vend("crm"); got.ID != v.ID {
			f.t.Error("the new token was dropped")
		}
	})
}

func TestBundleWithoutText(t *testing.T) {
	eachLoss(t, func(f *fixture, lose func(*text)) {
		f.secrets.put("bundle", fmt.Sprintf(`{"connections":{"a":%s,"b":%s}}`, declaration("a"), declaration("b")))
		f.vend("bundle.a")
		f.vend("bundle.b")
		f.ticks(1)
		f.secrets.edit("bundle", lose)
		if sum := f.ticks(2); sum.Recorded != 3 {
			f.t.Errorf("%+v", sum)
		}
		if time.Sleep(11 * time.Second); !f.refuses("bundle.a") || !f.refuses("bundle.b") {
			f.t.Error("a token is served")
		}
	})
}

func TestEventOfASecretWithoutText(t *testing.T) {
	eachLoss(t, func(f *fixture, lose func(*text)) {
		f.secrets.put("crm", declaration("crm"))
		f.vend("crm")
		f.secrets.edit("crm", lose)
		if run := f.renewer.SecretChanged(f.t.Context(), "crm", vending.Changed{}.Event); run.Recorded != 1 || len(run.Failed) != 0 {
			f.t.Errorf("%+v", run)
		}
	})
}

func TestDeniedSecretKeepsItsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.secrets.put("crm", declaration("crm"))
		v := f.vend("crm")
		f.ticks(1)
		f.secrets.edit("crm", func(x *text) { x.denied, x.version = true, x.version+1 })
		loads := f.secrets.loads
		if sum := f.ticks(2); sum.Recorded != 0 || f.secrets.loads != loads+2 || f.tokenID("crm") != v.ID {
			t.Errorf("FI-34 %+v, read %d times, want 2", sum, f.secrets.loads-loads)
		}
	})
}

package renewal_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestChange(t *testing.T) {
	t.Run("CR-21 a changed declaration's token is reissued by the next tick", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t)
			f.secrets.put("crm", declaration("before"))
			f.vend("crm")
			f.ticks(1)
			f.secrets.put("crm", declaration("after"))
			sum := f.ticks(1)
			time.Sleep(11 * time.Second)
			if v := f.vend("crm"); sum.Reissued != 1 || v.AccessToken.Reveal() != "after_1" {
				t.Errorf("reissued %d, then vended %s", sum.Reissued, v.AccessToken.Reveal())
			}
		})
	})
	t.Run("CR-21 white space changes nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t)
			f.secrets.put("crm", declaration("crm"))
			f.vend("crm")
			f.ticks(1)
			f.secrets.put("crm", " "+declaration("crm"))
			if sum := f.ticks(1); sum.Reissued != 0 || sum.Recorded != 1 {
				t.Errorf("%+v", sum)
			}
		})
	})
	t.Run("CR-21 a token that cannot be reissued is refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t)
			f.secrets.put("crm", declaration("before"))
			f.vend("crm")
			f.ticks(1)
			f.secrets.put("crm", `{"provider":"unknown"}`)
			sum := f.ticks(1)
			time.Sleep(11 * time.Second)
			if sum.Recorded != 1 || !f.refuses("crm") {
				t.Errorf("%d records written, refused %v", sum.Recorded, f.refuses("crm"))
			}
		})
	})
	t.Run("CR-21 in a bundle, only the changed connection is reissued", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t)
			bundle := func(a, b string) string {
				return fmt.Sprintf(`{"connections":{"a":%s,"b":%s}}`, declaration(a), declaration(b))
			}
			f.secrets.put("bundle", bundle("a", "b"))
			a, b := f.vend("bundle.a"), f.vend("bundle.b")
			f.ticks(1)
			f.secrets.put("bundle", bundle("a", "changed"))
			f.ticks(1)
			time.Sleep(11 * time.Second)
			if got := f.vend("bundle.a"); got.ID != a.ID {
				t.Error("the unchanged connection's token was replaced")
			}
			if got := f.vend("bundle.b"); got.ID == b.ID {
				t.Error("the changed connection's token was not replaced")
			}
			f.secrets.put("bundle", fmt.Sprintf(`{"connections":{"a":%s}}`, declaration("a")))
			if sum := f.ticks(1); sum.Recorded != 3 {
				t.Errorf("a removed connection: %+v, want the records of both and of the bundle written", sum)
			}
			if time.Sleep(11 * time.Second); !f.refuses("bundle.b") || f.vend("bundle.a").ID != a.ID {
				t.Error("a removed connection's token is served, or the other's is not")
			}
		})
	})
	t.Run("CR-38 a deleted secret's token is refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t)
			f.secrets.put("crm", declaration("crm"))
			f.vend("crm")
			f.ticks(1)
			f.secrets.remove("crm")
			if sum := f.ticks(1); sum.Recorded != 1 {
				t.Errorf("%+v", sum)
			}
			loads := f.secrets.loads
			if f.ticks(3); f.secrets.loads != loads {
				t.Error("the deleted secret is read in every tick")
			}
		})
	})
	t.Run("CR-21 a comparison of many secrets is spread over ticks", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t)
			for i := range 2500 {
				f.secrets.put(fmt.Sprintf("c%04d", i), declaration("x"))
			}
			f.vend("c2400")
			f.ticks(3)
			f.secrets.put("c2400", declaration("changed"))
			if sum := f.ticks(3); sum.Reissued != 1 {
				t.Errorf("%+v", sum)
			}
		})
	})
	t.Run("a new process reads only the changed secrets", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFixture(t)
			for i := range 20 {
				f.secrets.put(fmt.Sprint("c", i), declaration("x"))
			}
			f.ticks(1)
			f.secrets.put("c7", declaration("y"))
			loads := f.secrets.loads
			f.process().Tick(t.Context())
			if looked := f.secrets.loads - loads; looked != 1 {
				t.Errorf("%d secrets read, want 1", looked)
			}
		})
	})
}

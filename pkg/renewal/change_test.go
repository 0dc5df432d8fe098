package renewal_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

func TestChange(t *testing.T) {
	t.Run("CR-21 a changed declaration's token is reissued by the next tick", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			h.secrets.put("crm", declaration("before"))
			h.vend("crm")
			h.ticks(1)
			h.secrets.put("crm", declaration("after"))
			sum := h.ticks(1)
			time.Sleep(11 * time.Second)
			if v := h.vend("crm"); sum.Reissued != 1 || v.AccessToken.Reveal() != "after_1" {
				t.Errorf("reissued %d, then vended %s", sum.Reissued, v.AccessToken.Reveal())
			}
		})
	})
	t.Run("CR-21 white space changes nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			h.secrets.put("crm", declaration("crm"))
			h.vend("crm")
			h.ticks(1)
			h.secrets.put("crm", " "+declaration("crm"))
			if sum := h.ticks(1); sum.Reissued+sum.Dropped != 0 {
				t.Errorf("%+v", sum)
			}
		})
	})
	t.Run("CR-21 what cannot be reissued is dropped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			h.secrets.put("crm", declaration("before"))
			h.vend("crm")
			h.ticks(1)
			h.secrets.put("crm", `{"provider":"nobody"}`)
			sum := h.ticks(1)
			item, _ := h.store.Get(t.Context(), tokenstore.Key{Connection: "crm"}, true)
			if sum.Dropped != 1 || item.Token.ID != "" || item.RequiredSecretVersion != "v2" {
				t.Errorf("dropped %d, item %+v", sum.Dropped, item)
			}
		})
	})
	t.Run("CR-21 of a bundle only the member that changed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			bundle := func(a, b string) string {
				return fmt.Sprintf(`{"connections":{"a":%s,"b":%s}}`, declaration(a), declaration(b))
			}
			h.secrets.put("bundle", bundle("a", "b"))
			a, b := h.vend("bundle.a"), h.vend("bundle.b")
			h.ticks(1)
			h.secrets.put("bundle", bundle("a", "changed"))
			h.ticks(1)
			time.Sleep(11 * time.Second)
			if got := h.vend("bundle.a"); got.ID != a.ID {
				t.Error("the other member's token was replaced")
			}
			if got := h.vend("bundle.b"); got.ID == b.ID {
				t.Error("the changed member's token was not")
			}
			h.secrets.put("bundle", fmt.Sprintf(`{"connections":{"a":%s}}`, declaration("a")))
			if sum := h.ticks(1); sum.Dropped != 1 {
				t.Errorf("a member that is gone: %+v, want its token dropped", sum)
			}
		})
	})
	t.Run("CR-38 a deleted secret's token is dropped", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			h.secrets.put("crm", declaration("crm"))
			h.vend("crm")
			h.ticks(1)
			h.secrets.remove("crm")
			if sum := h.ticks(1); sum.Dropped != 1 {
				t.Errorf("%+v", sum)
			}
			loads := h.secrets.loads
			if h.ticks(3); h.secrets.loads != loads {
				t.Error("it is looked at again and again")
			}
		})
	})
	t.Run("CR-21 a sweep of many secrets is spread over ticks", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			for i := range 2500 {
				h.secrets.put(fmt.Sprintf("c%04d", i), declaration("x"))
			}
			h.vend("c2400")
			h.ticks(3)
			h.secrets.put("c2400", declaration("changed"))
			if sum := h.ticks(3); sum.Reissued != 1 {
				t.Errorf("%+v", sum)
			}
		})
	})
	t.Run("a process that starts anew looks only at what changed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			h := newHouse(t)
			for i := range 20 {
				h.secrets.put(fmt.Sprint("c", i), declaration("x"))
			}
			h.ticks(1)
			h.secrets.put("c7", declaration("y"))
			loads := h.secrets.loads
			h.process().Tick(t.Context())
			if looked := h.secrets.loads - loads; looked != 1 {
				t.Errorf("%d secrets read, want 1", looked)
			}
		})
	})
}

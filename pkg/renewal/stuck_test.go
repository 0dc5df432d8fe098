package renewal_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
)

// immovable is an index whose items cannot be moved while it is down.
type immovable struct {
	*memory.Store
	down *bool
}

func (i immovable) Reslot(ctx context.Context, key tokenstore.Key, from, to string) error {
	if *i.down {
		return tokenstore.ErrUnavailable
	}
	return i.Store.Reslot(ctx, key, from, to)
}

// What a minute could not be left with has its turn in the next one again: a
// retry slot comes round once only.
func TestUnmovedIsVisitedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		h.ticks(1)
		h.secrets.put("a", declaration("a"))
		h.vend("a")
		time.Sleep(46 * time.Minute)
		down, core := true, broken{h.core, func(tokenstore.Key) error { return problem.New(problem.StoreUnavailable, "x") }}
		r := renewal.New(renewal.Config{Core: core, Index: immovable{h.store, &down}, Documents: h.store, Versions: h.secrets, Audit: h.audit})
		if run := r.Tick(t.Context()); run.Due != 1 {
			t.Fatalf("%+v", run)
		}
		down = false
		time.Sleep(time.Minute)
		if run := r.Tick(t.Context()); run.Due != 1 {
			t.Errorf("CR-25 a minute later: %+v", run)
		}
		item, _ := h.store.Get(t.Context(), tokenstore.Key{Connection: "a"}, true)
		if !strings.HasPrefix(item.RenewSlot, "at/") {
			t.Errorf("CR-25 slot %s", item.RenewSlot)
		}
	})
}

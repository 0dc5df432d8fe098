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

// immovable is an index whose items cannot be moved while down is true.
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

// An item that could not be moved to the next minute is visited again, because a
// retry slot is due only once.
func TestUnmovedItemIsVisitedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		f.ticks(1)
		f.secrets.put("a", declaration("a"))
		f.vend("a")
		time.Sleep(46 * time.Minute)
		down, core := true, broken{f.core, func(tokenstore.Key) error { return problem.New(problem.StoreUnavailable, "x") }}
		r := renewal.New(renewal.Config{Core: core, Index: immovable{f.store, &down}, Documents: f.store, Versions: f.secrets, Audit: f.audit})
		if run := r.Tick(t.Context()); run.Due != 1 {
			t.Fatalf("%+v", run)
		}
		down = false
		time.Sleep(time.Minute)
		if run := r.Tick(t.Context()); run.Due != 1 {
			t.Errorf("CR-25 a minute later: %+v", run)
		}
		item, _ := f.store.Get(t.Context(), tokenstore.Key{Connection: "a"}, true)
		if !strings.HasPrefix(item.RenewSlot, "at/") {
			t.Errorf("CR-25 slot %s", item.RenewSlot)
		}
	})
}

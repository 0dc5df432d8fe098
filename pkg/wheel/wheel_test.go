package wheel_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenvend/tokenvend/pkg/wheel"
)

func TestCycle(t *testing.T) {
	tests := []struct {
		lifetime time.Duration
		want     wheel.Minute
	}{
		{time.Second, 0}, {5*time.Minute - time.Second, 0}, {5 * time.Minute, 3}, {6 * time.Minute, 3}, {10 * time.Minute, 5},
		{20 * time.Minute, 15}, {55 * time.Minute, 30}, {3599 * time.Second, 45}, {time.Hour, 45}, {90 * time.Minute, 60},
		{24 * time.Hour, 720}, {30 * 24 * time.Hour, 30240}, {90 * 24 * time.Hour, 30240},
	}
	for _, tt := range tests {
		if got := wheel.Cycle(tt.lifetime); got != tt.want {
			t.Errorf("Cycle(%v) = %d min, want %d", tt.lifetime, got, tt.want)
		}
	}
}

// visits reports whether slot is due in a minute.
func visits(slot string, minute wheel.Minute) bool {
	for shard := range wheel.Shards {
		if slices.Contains(wheel.DueSlots(shard, minute-1, minute), slot) {
			return true
		}
	}
	return false
}

// TestVisitedInTime checks that a token with a slot is visited before it becomes
// unusable, for every lifetime and any instant of minting, and that it is not
// visited between two visits that NextVisit returns.
func TestVisitedInTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lifetime := time.Duration(rapid.Int64Range(1, 90*24*3600).Draw(t, "lifetime")) * time.Second
		minted := time.Unix(rapid.Int64Range(1_700_000_000, 1_900_000_000).Draw(t, "minted"), 0).UTC()
		slot := wheel.Slot(rapid.StringMatching(`[a-z0-9-]{1,20}`).Draw(t, "key"), lifetime)
		if lifetime < 5*time.Minute {
			if slot != "" {
				t.Fatalf("a token of %v has slot %q", lifetime, slot)
			}
			return
		}
		unusable := minted.Add(lifetime - min(time.Minute, lifetime/10))
		next, ok := wheel.NextVisit(slot, minted)
		if !ok || !next.After(minted) || !next.Before(unusable) {
			t.Fatalf("slot %s: minted %v, unusable %v, next visit %v", slot, minted, unusable, next)
		}
		if !visits(slot, wheel.MinuteOf(next)) {
			t.Fatalf("slot %s is not due at its next visit %v", slot, next)
		}
		between := wheel.MinuteOf(minted) + 1 + wheel.Minute(rapid.Int64Range(0, 100).Draw(t, "between"))
		if between < wheel.MinuteOf(next) && visits(slot, between) {
			t.Fatalf("slot %s is due at %v, before its next visit %v", slot, between.Start(), next)
		}
	})
}

// TestRenewalsPerLifetime checks that renewing at each visit that cannot wait for
// the next one costs little more than one call per 75 % of an hour's lifetime.
func TestRenewalsPerLifetime(t *testing.T) {
	const lifetime, days = time.Hour, 10
	for key := range 50 {
		slot := wheel.Slot(fmt.Sprint("connection-", key), lifetime)
		now := time.Unix(1_700_000_000+int64(key)*137, 0).UTC()
		end, minted, calls := now.Add(days*24*time.Hour), now, 1
		for {
			visit, _ := wheel.NextVisit(slot, now)
			if now = visit; now.After(end) {
				break
			}
			next, _ := wheel.NextVisit(slot, now)
			unusable := minted.Add(lifetime - time.Minute)
			if !unusable.After(now) {
				t.Fatalf("key %d: unusable at %v, visited at %v", key, unusable, now)
			}
			if unusable.Before(next.Add(wheel.Slack)) {
				minted, calls = now, calls+1
			}
		}
		if most := float64(days*24) / 0.75 * 1.05; float64(calls) > most {
			t.Errorf("key %d: %d calls in %d days, want at most %.0f", key, calls, days, most)
		}
	}
}

func TestDueSlots(t *testing.T) {
	const now = wheel.Minute(29_000_000)
	t.Run("one phase of each cycle, and the minute's retries", func(t *testing.T) {
		slots := wheel.DueSlots(2, now-1, now)
		if len(slots) != 17 || slots[16] != "at/29000000/2" || slots[0] != fmt.Sprintf("3/%d/2", now%3) {
			t.Errorf("slots %v", slots)
		}
	})
	t.Run("nothing twice in one minute", func(t *testing.T) {
		if slots := wheel.DueSlots(0, now, now); len(slots) != 0 {
			t.Errorf("slots %v", slots)
		}
		if slots := wheel.DueSlots(0, now+5, now); len(slots) != 0 {
			t.Errorf("after the clock was set back: %v", slots)
		}
	})
	t.Run("missed minutes are included, each phase once", func(t *testing.T) {
		slots := wheel.DueSlots(1, now-100, now)
		phases, retries := map[string]int{}, 0
		for _, slot := range slots {
			if strings.HasPrefix(slot, "at/") {
				retries++
			}
			phases[slot]++
		}
		for slot, n := range phases {
			if n != 1 {
				t.Errorf("slot %s comes %d times", slot, n)
			}
		}
		if retries != 100 || phases["3/0/1"]+phases["3/1/1"]+phases["3/2/1"] != 3 {
			t.Errorf("%d retries, phases %v", retries, phases)
		}
	})
	t.Run("a first run is bounded", func(t *testing.T) {
		if n := len(wheel.DueSlots(0, 0, now)); n > 60_000 {
			t.Errorf("%d slots", n)
		}
	})
}

func TestRetrySlot(t *testing.T) {
	at := time.Unix(29_000_000*60, 0)
	tests := []struct {
		name string
		at   time.Time
		want string
	}{
		{"on the minute", at, "at/29000000/"},
		{"within a minute it is the next minute, never too early", at.Add(time.Millisecond), "at/29000001/"},
	}
	for _, tt := range tests {
		if got := wheel.RetrySlot("crm", tt.at); !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: %s, want %s…", tt.name, got, tt.want)
		}
	}
	if _, ok := wheel.NextVisit(wheel.RetrySlot("crm", at), at); ok {
		t.Error("a retry slot has a next visit")
	}
}

func TestSpread(t *testing.T) {
	phases, shards := map[string]int{}, map[string]int{}
	const keys = 45_000
	for i := range keys {
		parts := strings.Split(wheel.Slot(fmt.Sprintf("customer-%d", i), time.Hour), "/")
		phases[parts[1]]++
		shards[parts[2]]++
	}
	if len(phases) != 45 || len(shards) != wheel.Shards {
		t.Fatalf("%d phases, %d shards", len(phases), len(shards))
	}
	for phase, n := range phases {
		if n < keys/45*8/10 || n > keys/45*12/10 {
			t.Errorf("phase %s holds %d of %d", phase, n, keys)
		}
	}
}

func TestUnknownSlots(t *testing.T) {
	for _, slot := range []string{"", "45", "45/1", "0/0/0", "45/45/0", "45/-1/0", "x/y/z", "at/1/1", "45/1/0/0"} {
		if _, ok := wheel.NextVisit(slot, time.Unix(0, 0)); ok {
			t.Errorf("slot %q has a next visit", slot)
		}
	}
}

// The slots of records are stored, so a connection keeps its shard.
func TestRecordSlots(t *testing.T) {
	now := wheel.MinuteOf(time.Unix(1_767_323_045, 0))
	perShard := make([]int, wheel.Shards)
	for i := range 4_000 {
		perShard[wheel.RecordShard(fmt.Sprintf("customer-%d", i))]++
	}
	for shard, n := range perShard {
		slot := wheel.RecordSlot(shard)
		if slices.Contains(wheel.DueSlots(shard, now-30240, now), slot) {
			t.Errorf("CR-25 slot %q is due", slot)
		}
		if _, ok := wheel.NextVisit(slot, now.Start()); ok {
			t.Errorf("CR-25 slot %q has a next visit", slot)
		}
		if n < 800 || n > 1_200 {
			t.Errorf("shard %d has %d of 4,000", shard, n)
		}
	}
	if got := wheel.RecordSlot(wheel.RecordShard("crm")); got != "record/0" {
		t.Errorf("slot %q", got)
	}
}

// Package wheel computes the slots of renewal: the slot of a timing wheel that a
// token belongs to, and the slots that are due in a given minute.
//
// The slot is the key of an index, and a renewal does not change it, so a renewal
// does not write to the index. A slot consists of a cycle, a phase and a shard.
// The cycle is one of a fixed ladder of cycles, chosen by the token's lifetime.
// The phase is a hash of the token's key, so the load is spread evenly over the
// cycle and each token keeps its phase. In every minute, one phase of each cycle
// is due. Only a token whose renewal failed moves: to the retry slot of the
// minute of its next attempt, and back after a success.
//
// The package is pure: it has no clock and no store.
package wheel

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

// Shards is the number of shards of each slot. They limit the size of one
// partition of the index.
const Shards = 4

// shortest is the shortest lifetime that is renewed ahead of expiry. Shorter ones
// would need more than one visit per minute.
const shortest = 5 * time.Minute

// Slack is the possible delay of a visit. A token that would become unusable
// within Slack after its next visit is renewed now.
const Slack = 2 * time.Minute

// ladder lists the cycles in ascending order. Slots are stored, so changing the
// ladder moves every stored slot: a token in the slot of a removed cycle is not
// due again until a refresh on demand gives it a new slot.
var ladder = [...]Minute{3, 5, 10, 15, 20, 30, 45, 60, 120, 180, 360, 720, 1440, 2880, 10080, 30240}

// Minute counts minutes since the epoch.
type Minute int64

// MinuteOf returns the minute that contains t.
func MinuteOf(t time.Time) Minute { return Minute(t.Unix() / 60) }

// Start returns the instant at which the minute begins, in UTC.
func (m Minute) Start() time.Time { return time.Unix(int64(m)*60, 0).UTC() }

// Cycle returns the longest cycle that is at most 75 % of the lifetime, with a
// tolerance of 2 % (so that 3599 s counts as an hour). It returns zero for a
// lifetime that is too short to be renewed ahead of expiry.
func Cycle(lifetime time.Duration) Minute {
	if lifetime < shortest {
		return 0
	}
	most := Minute(lifetime.Seconds() * 0.75 * 1.02 / 60)
	cycle := Minute(0)
	for _, c := range ladder {
		if c <= most {
			cycle = c
		}
	}
	return cycle
}

// Slot returns the slot of the token of key, or "" if its lifetime is too short
// for one.
func Slot(key string, lifetime time.Duration) string {
	cycle := Cycle(lifetime)
	if cycle == 0 {
		return ""
	}
	h := hash(key)
	return slot(cycle, Minute(h%uint64(cycle)), shard(h)) //nolint:gosec // a cycle is positive
}

// RetrySlot returns the slot for an attempt not before at: that of the first
// minute that begins at or after it.
func RetrySlot(key string, at time.Time) string {
	minute := MinuteOf(at)
	if minute.Start().Before(at) {
		minute++
	}
	return fmt.Sprintf("at/%d/%d", minute, shard(hash(key)))
}

// RecordSlot returns the slot that lists the declaration records of a shard. It is
// due in no minute.
func RecordSlot(shard int) string { return "record/" + strconv.Itoa(shard) }

// RecordShard returns the shard of a connection's declaration record.
func RecordShard(connection string) int { return shard(hash(connection)) }

// DueSlots returns the slots of a shard that are due in the minutes after last, up
// to and including now. It includes minutes that were missed. Each slot is
// returned once, however many minutes there are.
func DueSlots(shard int, last, now Minute) []string {
	var slots []string
	for _, cycle := range ladder {
		first := max(last+1, now-cycle+1)
		for minute := first; minute <= now; minute++ {
			slots = append(slots, slot(cycle, minute%cycle, shard))
		}
	}
	for minute := max(last+1, now-longestRetry+1); minute <= now; minute++ {
		slots = append(slots, fmt.Sprintf("at/%d/%d", minute, shard))
	}
	return slots
}

// longestRetry bounds the missed minutes whose retry slots are returned. A token
// that has waited for a day is left to be refreshed on demand.
const longestRetry Minute = 24 * 60

// NextVisit returns the instant after now at which slot is due again. It returns
// false for a retry slot, which is due only once, and for an unknown slot.
func NextVisit(slot string, now time.Time) (time.Time, bool) {
	parts := strings.Split(slot, "/")
	if len(parts) != 3 || parts[0] == "at" {
		return time.Time{}, false
	}
	cycle, err1 := strconv.ParseInt(parts[0], 10, 64)
	phase, err2 := strconv.ParseInt(parts[1], 10, 64)
	if err1 != nil || err2 != nil || cycle <= 0 || phase < 0 || phase >= cycle {
		return time.Time{}, false
	}
	next := MinuteOf(now) + 1
	next += (Minute(phase) - next%Minute(cycle) + Minute(cycle)) % Minute(cycle)
	return next.Start(), true
}

func slot(cycle, phase Minute, shard int) string {
	return strconv.FormatInt(int64(cycle), 10) + "/" + strconv.FormatInt(int64(phase), 10) + "/" + strconv.Itoa(shard)
}

// hash spreads keys. Its results are stored as part of slots: another function
// would move every token to another slot.
func hash(key string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	sum := h.Sum64()
	// FNV's low bits are similar for short, similar keys; mix them.
	sum ^= sum >> 33
	sum *= 0xff51afd7ed558ccd
	sum ^= sum >> 33
	return sum
}

// shard uses other bits of the hash than the phase does.
func shard(h uint64) int { return int((h >> 40) % Shards) }

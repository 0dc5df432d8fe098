// Package wheel is the arithmetic of renewal: which slot of the timing wheel a
// token belongs to, and which slots have their turn in a given minute.
//
// What is due is found by an index whose key a renewal does not rewrite. A slot
// is a cycle, a phase in it, and a shard. The cycle is a rung of a fixed ladder,
// chosen by the token's lifetime; the phase is a hash of the token's key, so
// load spreads evenly and stably over the cycle. Every minute each rung is asked
// for the one phase whose turn it is. Only what failed moves, to the slot of the
// minute of its next attempt, and back when it succeeds.
//
// The package is pure: no clock, no store.
package wheel

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"
)

// Shards divide each slot, so that no partition of the index grows large.
const Shards = 4

// shortest is the least lifetime that is renewed ahead: shorter tokens would be
// visited more often than a wheel of minutes can turn.
const shortest = 5 * time.Minute

// Slack is added to the next visit when judging whether to wait for it: a visit
// may be late by as much without a caller noticing.
const Slack = 2 * time.Minute

// Ladder are the cycles that exist, in minutes, ascending.
var ladder = [...]Minute{3, 5, 10, 15, 20, 30, 45, 60, 120, 180, 360, 720, 1440, 2880, 10080, 30240}

// Minute counts minutes since the epoch.
type Minute int64

// MinuteOf returns the minute that t lies in.
func MinuteOf(t time.Time) Minute { return Minute(t.Unix() / 60) }

// Start is the instant a minute begins, in UTC.
func (m Minute) Start() time.Time { return time.Unix(int64(m)*60, 0).UTC() }

// Cycle returns the longest rung that is at most 75 % of the lifetime, with 2 %
// of tolerance (so that 3599 s counts as an hour); zero when the token is too
// short to be renewed ahead.
func Cycle(lifetime time.Duration) Minute {
	if lifetime < shortest {
		return 0
	}
	most := Minute(lifetime.Seconds() * 0.75 * 1.02 / 60)
	cycle := Minute(0)
	for _, rung := range ladder {
		if rung <= most {
			cycle = rung
		}
	}
	return cycle
}

// Slot returns the slot of the token of key, empty when it is too short to have
// one.
func Slot(key string, lifetime time.Duration) string {
	cycle := Cycle(lifetime)
	if cycle == 0 {
		return ""
	}
	h := hash(key)
	return slot(cycle, Minute(h%uint64(cycle)), shard(h)) //nolint:gosec // a cycle is positive
}

// RetrySlot returns the slot of what is to be tried again at an instant: that
// of the first minute that does not begin before it.
func RetrySlot(key string, at time.Time) string {
	minute := MinuteOf(at)
	if minute.Start().Before(at) {
		minute++
	}
	return fmt.Sprintf("at/%d/%d", minute, shard(hash(key)))
}

// DueSlots returns the slots of a shard that have their turn in the minutes after
// last up to and including now, each once. Minutes that were missed are made
// up: however many they are, a phase comes once.
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

// longestRetry bounds how many missed minutes of retries are made up: what
// waited a day for its turn is left to the vend path.
const longestRetry Minute = 24 * 60

// NextVisit returns the instant after now at which slot has its turn again.
// What was in a retry slot, or in none that is understood, has no other: false.
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

// hash spreads keys. It is part of what is stored: another function would move
// every token to another slot.
func hash(key string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	sum := h.Sum64()
	// FNV's low bits of short, similar keys are close together; mix them.
	sum ^= sum >> 33
	sum *= 0xff51afd7ed558ccd
	sum ^= sum >> 33
	return sum
}

// shard uses other bits of the hash than the phase does.
func shard(h uint64) int { return int((h >> 40) % Shards) }

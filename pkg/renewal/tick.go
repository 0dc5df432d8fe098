package renewal

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/wheel"
)

// renewDue renews the tokens of the slots that are due since the last complete
// minute.
func (r *Renewer) renewDue(ctx context.Context, run *stats) {
	now := r.now()
	pool := newHostPool(ctx, r, run)
	var shards errgroup.Group
	cursors := make([]*cursor, wheel.Shards)
	for shard := range cursors {
		shards.Go(func() error {
			c, err := r.readCursor(ctx, shard, wheel.MinuteOf(now))
			if err != nil {
				run.failed(err)
				return nil
			}
			if r.visitShard(ctx, c, now, pool, run) {
				cursors[shard] = c
			}
			return nil
		})
	}
	_ = shards.Wait()
	pool.wait()
	for _, c := range cursors {
		if c != nil && !run.mustRepeat(c.shard) {
			r.advance(ctx, c, wheel.MinuteOf(now), run)
		}
	}
}

// visitShard visits every token in the due slots of a shard. It reports whether
// it read all slots; if not, the cursor does not advance, and the next tick
// begins at the same minute.
func (r *Renewer) visitShard(ctx context.Context, c *cursor, now time.Time, pool *hostPool, run *stats) (complete bool) {
	var visits errgroup.Group
	visits.SetLimit(maxVisits / wheel.Shards)
	defer func() { _ = visits.Wait() }()
	for _, slot := range wheel.DueSlots(c.shard, c.last, wheel.MinuteOf(now)) {
		next, _ := wheel.NextVisit(slot, now)
		err := r.eachDue(ctx, slot, run, func(key tokenstore.Key) {
			visits.Go(func() error {
				r.visit(ctx, visit{key: key, shard: c.shard, slot: slot, next: next, now: now}, pool, run)
				return nil
			})
		})
		if err != nil {
			return false
		}
	}
	return true
}

// eachDue calls do with each key of a slot. It returns an error if it could not
// read the slot to its end.
func (r *Renewer) eachDue(ctx context.Context, slot string, run *stats, do func(tokenstore.Key)) error {
	for next, first := "", true; first || next != ""; first = false {
		if err := ctx.Err(); err != nil {
			return err
		}
		keys, more, err := r.index.Due(ctx, slot, next)
		if err != nil {
			run.failed(storeProblem(err))
			return err
		}
		run.due(len(keys))
		for _, key := range keys {
			do(key)
		}
		next = more
	}
	return nil
}

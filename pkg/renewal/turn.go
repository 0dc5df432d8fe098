package renewal

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/pkg/wheel"
)

// turn renews what is due since the last minute that was dispatched.
func (r *Renewer) turn(ctx context.Context, run *tally) {
	now := r.now()
	lanes := newLanes(ctx, r, run)
	var shards errgroup.Group
	cursors := make([]*cursor, wheel.Shards)
	for shard := range cursors {
		shards.Go(func() error {
			c, err := r.readCursor(ctx, shard, wheel.MinuteOf(now))
			if err != nil {
				run.failed(err)
				return nil
			}
			if r.dispatch(ctx, c, now, lanes, run) {
				cursors[shard] = c
			}
			return nil
		})
	}
	_ = shards.Wait()
	lanes.wait()
	for _, c := range cursors {
		if c != nil && !run.isStuck(c.shard) {
			r.advance(ctx, c, wheel.MinuteOf(now), run)
		}
	}
}

// cursor is the last minute of a shard that was dispatched.
type cursor struct {
	shard int
	last  wheel.Minute
	note  tokenstore.Document
}

// readCursor reads the cursor of a shard; the first ever is the minute before
// now. One that cannot be read, or lies in the future because a clock was
// wrong, starts anew: each visit decides for itself whether there is work.
func (r *Renewer) readCursor(ctx context.Context, shard int, now wheel.Minute) (*cursor, error) {
	note, err := r.notes.ReadDocument(ctx, fmt.Sprintf("cursor/%d", shard))
	if err != nil {
		return nil, storeProblem(err)
	}
	c := &cursor{shard: shard, last: now - 1, note: note}
	if minute, err := strconv.ParseInt(string(note.Text), 10, 64); err == nil && minute > 0 && wheel.Minute(minute) <= now {
		c.last = wheel.Minute(minute)
	}
	return c, nil
}

// advance moves a cursor when its minutes are done. Another tick that moved it
// meanwhile did the same work.
func (r *Renewer) advance(ctx context.Context, c *cursor, now wheel.Minute, run *tally) {
	c.note.Text = strconv.AppendInt(nil, int64(now), 10)
	if _, err := r.notes.WriteDocument(ctx, c.note); err != nil && !errors.Is(err, tokenstore.ErrSuperseded) {
		run.failed(storeProblem(err))
	}
}

// dispatch looks at everything in the slots of a shard whose turn it is. It
// reports whether every key was seen; otherwise the cursor stays, and the next
// tick begins at the same minute.
func (r *Renewer) dispatch(ctx context.Context, c *cursor, now time.Time, lanes *lanes, run *tally) (complete bool) {
	var visits errgroup.Group
	visits.SetLimit(looks / wheel.Shards)
	defer func() { _ = visits.Wait() }()
	for _, slot := range wheel.DueSlots(c.shard, c.last, wheel.MinuteOf(now)) {
		next, _ := wheel.NextVisit(slot, now)
		for cursor, first := "", true; first || cursor != ""; first = false {
			if ctx.Err() != nil {
				return false
			}
			keys, more, err := r.index.Due(ctx, slot, cursor)
			if err != nil {
				run.failed(storeProblem(err))
				return false
			}
			run.due(len(keys))
			for _, key := range keys {
				visits.Go(func() error {
					r.visit(ctx, visit{key: key, shard: c.shard, slot: slot, next: next, now: now}, lanes, run)
					return nil
				})
			}
			cursor = more
		}
	}
	return true
}

// visit is one look at one token.
type visit struct {
	key   tokenstore.Key
	shard int
	slot  string
	// next is when the slot has its turn again; zero for a retry slot.
	next, now time.Time
}

func (r *Renewer) visit(ctx context.Context, v visit, lanes *lanes, run *tally) {
	if !timeLeft(ctx) {
		r.postpone(ctx, v, run)
		return
	}
	entry := r.audit.Begin()
	plan, err := guarded(func() (*vending.Renewal, error) { return r.core.Inspect(audit.With(ctx, entry), v.key, v.next) })
	if problem.Is(err, problem.InternalError) {
		r.tell(entry, v.key, err) // a grant that cannot be read, above all: its caller may be long in coming
	}
	switch {
	case err != nil:
		run.failed(err)
		r.retry(ctx, v, err, run)
	case plan == nil:
		run.skipped()
		r.goHome(ctx, v, run)
	default:
		lanes.add(v, plan)
	}
}

// guarded turns a panic into an error, so that one token's never stops the run.
// What was panicked with may hold anything and is told to nobody; its type is.
func guarded[T any](work func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = problem.Of(fmt.Errorf("panicked with a %T", p))
		}
	}()
	return work()
}

// postpone leaves a token that could not be begun to the next minute.
func (r *Renewer) postpone(ctx context.Context, v visit, run *tally) {
	run.leftOver()
	r.reslot(ctx, v, run)
}

// retry leaves a token to the next minute when it failed for a reason that
// passes, and of which nothing is remembered: the table's, or a busy lease. What
// the provider said has a retry slot of its own already.
func (r *Renewer) retry(ctx context.Context, v visit, err error, run *tally) {
	if code := problem.Of(err).Code; code == problem.StoreUnavailable || code == problem.RefreshInProgress {
		r.reslot(ctx, v, run)
		return
	}
	r.goHome(ctx, v, run)
}

// goHome returns what has nothing more to do in a retry slot, which never has
// its turn again, to its own: above all a grant, which is kept alive from there.
func (r *Renewer) goHome(ctx context.Context, v visit, run *tally) {
	if !v.next.IsZero() {
		return
	}
	home, err := r.core.RegularSlot(ctx, v.key)
	switch {
	case err != nil:
		run.failed(err)
		r.reslot(ctx, v, run)
	case home != "":
		r.move(ctx, v, home, run)
	}
}

func (r *Renewer) reslot(ctx context.Context, v visit, run *tally) {
	r.move(ctx, v, vending.RetrySlot(v.key, (wheel.MinuteOf(v.now)+1).Start()), run)
}

func (r *Renewer) move(ctx context.Context, v visit, to string, run *tally) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := r.index.Reslot(ctx, v.key, v.slot, to); err != nil {
		run.failed(storeProblem(err))
		run.stuck(v.shard)
	}
}

// renew runs one plan and writes its audit line.
func (r *Renewer) renew(ctx context.Context, p planned, run *tally) {
	plan := p.plan
	entry := r.audit.Begin()
	renewed, err := guarded(func() (bool, error) { return plan.Run(audit.With(ctx, entry)) })
	switch {
	case err != nil:
		run.failed(err)
		r.retry(ctx, p.visit, err, run)
	case renewed:
		entry.Source = string(vending.FromProvider)
		run.renewed()
	default:
		run.skipped()
		return // somebody else renewed it, and wrote so
	}
	r.tell(entry, plan.Key, err)
}

// tell writes the audit line of one token's renewal.
func (r *Renewer) tell(entry *audit.Entry, key tokenstore.Key, err error) {
	entry.Action, entry.Outcome = "renew", "ok"
	entry.Connection, entry.Subject = key.Connection, key.Subject
	if err != nil {
		entry.Outcome = string(problem.Of(err).Code)
		entry.SetCause(problem.Of(err).Cause)
	}
	r.audit.Write(entry)
}

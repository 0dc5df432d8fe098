package renewal

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/pkg/wheel"
)

// visit is the inspection of one token in a due slot.
type visit struct {
	key   tokenstore.Key
	shard int
	slot  string
	// next is the next time at which the slot is due; zero for a retry slot.
	next, now time.Time
}

// visit inspects one token, and queues its renewal if it needs one.
func (r *Renewer) visit(ctx context.Context, v visit, pool *hostPool, run *stats) {
	if !timeLeft(ctx) {
		r.postpone(ctx, v, run)
		return
	}
	entry := r.audit.Begin()
	plan, err := recovered(func() (vending.Renewal, error) { return r.core.Inspect(audit.With(ctx, entry), v.key, v.next) })
	if problem.Is(err, problem.InternalError) {
		r.write(entry, v.key, err) // a corrupt grant, for example, which no caller may use for a long time
	}
	switch {
	case err != nil:
		run.failed(err)
		r.retry(ctx, v, err, run)
	case !plan.Due():
		run.skipped()
		r.returnToRegularSlot(ctx, v, run)
	default:
		pool.add(v, plan)
	}
}

// recovered returns a panic of work as an error, so that one token cannot end the
// run. The error contains the type of the panic's value and not the value, which
// may be a secret.
func recovered[T any](work func() (T, error)) (result T, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = problem.Of(fmt.Errorf("panicked with a %T", p))
		}
	}()
	return work()
}

// postpone leaves a token for the next minute because no time is left to start.
func (r *Renewer) postpone(ctx context.Context, v visit, run *stats) {
	run.leftOver()
	r.moveToNextMinute(ctx, v, run)
}

// retry leaves a token for the next minute after a temporary error that is not
// recorded in the item: an error of the table, or a lease held by another owner.
// After an error of the provider, the item already has a retry slot.
func (r *Renewer) retry(ctx context.Context, v visit, err error, run *stats) {
	if code := problem.Of(err).Code; code == problem.StoreUnavailable || code == problem.RefreshInProgress {
		r.moveToNextMinute(ctx, v, run)
		return
	}
	r.returnToRegularSlot(ctx, v, run)
}

// returnToRegularSlot moves an item out of a retry slot, which is visited only
// once. Grants must return or they are never kept alive.
func (r *Renewer) returnToRegularSlot(ctx context.Context, v visit, run *stats) {
	if !v.next.IsZero() {
		return
	}
	slot, err := r.core.RegularSlot(ctx, v.key)
	switch {
	case err != nil:
		run.failed(err)
		r.moveToNextMinute(ctx, v, run)
	case slot != "":
		r.move(ctx, v, slot, run)
	}
}

func (r *Renewer) moveToNextMinute(ctx context.Context, v visit, run *stats) {
	r.move(ctx, v, vending.RetrySlot(v.key, (wheel.MinuteOf(v.now)+1).Start()), run)
}

// move moves an item to another slot, even after ctx has ended. If that fails,
// the shard's minutes are repeated, because a retry slot is due only once.
func (r *Renewer) move(ctx context.Context, v visit, to string, run *stats) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := r.index.Reslot(ctx, v.key, v.slot, to); err != nil {
		run.failed(storeProblem(err))
		run.repeat(v.shard)
	}
}

// renew runs one renewal that a visit planned.
func (r *Renewer) renew(ctx context.Context, p planned, run *stats) {
	renewed, err := r.run(ctx, p.plan)
	switch {
	case err != nil:
		run.failed(err)
		r.retry(ctx, p.visit, err, run)
	case renewed:
		run.renewed()
	default:
		run.skipped()
	}
}

// run runs one renewal and writes its audit line. If another process renews the token,
// that one writes the line.
func (r *Renewer) run(ctx context.Context, plan vending.Renewal) (renewed bool, err error) {
	entry := r.audit.Begin()
	renewed, err = recovered(func() (bool, error) { return plan.Run(audit.With(ctx, entry)) })
	if renewed {
		entry.Source = string(vending.FromProvider)
	}
	if renewed || err != nil {
		r.write(entry, plan.Key, err)
	}
	return renewed, err
}

// write writes the audit line of one token's renewal.
func (r *Renewer) write(entry *audit.Entry, key tokenstore.Key, err error) {
	entry.Action, entry.Outcome = "renew", "ok"
	entry.Connection, entry.Subject = key.Connection, key.Subject
	if err != nil {
		entry.Outcome = string(problem.Of(err).Code)
		entry.SetCause(problem.Of(err).Cause)
	}
	r.audit.Write(entry)
}

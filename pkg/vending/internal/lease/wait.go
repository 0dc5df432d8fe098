package lease

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Wait says what Hold does while another process holds the lease.
type Wait struct {
	Until time.Time
	// Never: return ErrBusy instead.
	Never bool
	// Result is called with each state of the item, and ends the wait if that is all
	// the caller needs. Nil waits for the lease itself.
	Result func(rec record.Record, now time.Time) (done bool, err error)
	// ReplacesGrant: the new grant also replaces one that is not stored yet.
	ReplacesGrant bool
	// Outage: the lease is that of an outage, which has no grant.
	Outage bool
}

// former is the failure of the attempt before the one under item's lease.
func (w Wait) former(r *Refresh, item tokenstore.Item) tokenstore.Failure {
	if w.ReplacesGrant {
		return tokenstore.Failure{} // it was not this grant's
	}
	return r.Former(item)
}

// until is when the wait for the holder of item's lease ends. The holder's clock
// may be ahead.
func (w Wait) until(r *Refresh, item tokenstore.Item, now time.Time) time.Time {
	if w.former(r, item).Count == 0 {
		return w.Until
	}
	acquiredAt := earlier(item.Lease.Until.Add(-TTLOf(r.Conn.Connection)), now)
	return earlier(w.Until, acquiredAt.Add(retryWait))
}

const (
	pollFloor, pollCap = 100 * time.Millisecond, time.Second
)

// await polls until the other holder's result is there, its lease has ended
// without one (errLeaseEnded), or the time is up.
func (l *Leases) await(ctx context.Context, r *Refresh, w Wait, item tokenstore.Item) (record.Record, error) {
	until := earlier(w.Until, l.clock.Now().Add(rules.Remaining(ctx)-answerBudget))
	var owner string
	for pause := pollFloor; ; pause = min(pause*3/2, pollCap) {
		now := l.clock.Now()
		if item.Lease.Owner != owner {
			owner, until = item.Lease.Owner, earlier(until, w.until(r, item, now))
		}
		pause := min(l.random.Jitter(pause), until.Sub(now))
		if left := item.Lease.Until.Sub(now); left > 0 {
			pause = min(pause, left+time.Millisecond) // the lease of a crashed holder is taken over at once
		}
		if pause <= 0 {
			return record.Record{}, unanswered(w.former(r, item), now)
		}
		if err := l.clock.Wait(ctx, pause); err != nil {
			return record.Record{}, err
		}
		rec, err := l.records.Get(ctx, r.Key, true)
		if err != nil {
			return record.Record{}, rules.Unavailable(err)
		}
		now, item = l.clock.Now(), rec.Item
		if w.Result != nil {
			if done, err := w.Result(rec, now); err != nil {
				return record.Record{}, err
			} else if done {
				return rec, nil
			}
		}
		if item.Lease.Owner == "" || !item.Lease.Until.After(now) {
			return record.Record{}, errLeaseEnded
		}
	}
}

// Former is the failure of item, if this attempt would be the next one after it:
// one for the same reasons. A grant that has ended is no such failure, because the
// provider has answered.
func (r Refresh) Former(item tokenstore.Item) tokenstore.Failure {
	if !declaration.FailureApplies(item, r.Conn.Connection) || item.Failure.Code == string(problem.AuthorizationRequired) {
		return tokenstore.Failure{}
	}
	return item.Failure
}

// Follows sets the failure of the attempt before r: of the provider, or else of the
// item.
func (r *Refresh) Follows(outage, item tokenstore.Item) {
	if r.After = r.Former(outage); r.After.Count == 0 {
		r.After = r.Former(item)
	}
}

// patience is how long a caller waits for another one of this process, as for a
// holder elsewhere.
func (r Refresh) patience(age time.Duration) time.Duration {
	if r.After.Count == 0 {
		return waitBudget
	}
	return min(waitBudget, retryWait-age)
}

// unanswered is the error of a caller that has waited long enough.
func unanswered(former tokenstore.Failure, now time.Time) error {
	if former.Count == 0 {
		return rules.InProgress("another process is refreshing this token")
	}
	return rules.Retrying(former, now)
}

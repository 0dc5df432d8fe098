package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/issue"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

var (
	errLeaseEnded = errors.New("the lease ended without a result")
	errNoLease    = errors.New("acquire the lease")
)

// Wait says what Hold does while another process holds the lease.
type Wait struct {
	Until time.Time
	// Never: return ErrBusy instead.
	Never bool
	// Result is shown each state of the item, and ends the wait where that is all
	// the caller needs. Nil waits for the lease itself.
	Result func(rec record.Record, now time.Time) (done bool, err error)
	// ReplacesGrant: the grant that comes replaces one that is not stored yet.
	ReplacesGrant bool
}

// Hold takes the lease of r's item, after another holder if there is one. Without
// an error either holder is set, or found is the result of the other holder.
func (l *Leases) Hold(ctx context.Context, r *Refresh, w Wait) (holder *Holder, found record.Record, err error) {
	for {
		if err := issue.RequireTime(rules.Remaining(ctx), issue.RefreshBudget); err != nil {
			return nil, found, err
		}
		if l.FlushPending(ctx); !w.ReplacesGrant && l.records.Pending(r.Key) {
			return nil, found, rules.Unavailable(record.ErrPendingWrite)
		}
		owner, err := l.random.Owner()
		if err != nil {
			return nil, found, err
		}
		item, err := l.store.Acquire(ctx, tokenstore.Acquire{Key: r.Key, Owner: owner, Now: l.clock.Now(), TTL: TTL,
			UsesRefreshToken: r.Conn.Delegated() && !w.ReplacesGrant})
		switch {
		case err == nil:
			return &Holder{leases: l, req: r, rec: record.Record{Item: item}, owner: owner,
				remaining: func() time.Duration { return rules.Remaining(ctx) }}, found, nil
		case errors.Is(err, tokenstore.ErrGrantCorrupt):
			return nil, found, rules.CorruptGrant(ctx, r.Key, err)
		case errors.Is(err, tokenstore.ErrHeld) && w.Never:
			// The callers that come meanwhile see the lease and do not ask for it: that
			// would be a write for each.
			_, _ = l.records.Accept(ctx, item)
			return nil, found, ErrBusy
		case !errors.Is(err, tokenstore.ErrHeld):
			return nil, found, fmt.Errorf("%w: %w", errNoLease, err)
		}
		if found, err = l.await(ctx, r.Key, w); !errors.Is(err, errLeaseEnded) {
			return nil, found, err
		}
	}
}

const (
	pollFloor, pollCap = 100 * time.Millisecond, time.Second
)

// await polls until the other holder's result is there, its lease has ended
// without one (errLeaseEnded), or the time is up.
func (l *Leases) await(ctx context.Context, key tokenstore.Key, w Wait) (record.Record, error) {
	until := earlier(w.Until, l.clock.Now().Add(rules.Remaining(ctx)-answerBudget))
	var leaseEnds time.Time
	for pause := pollFloor; ; pause = min(pause*3/2, pollCap) {
		now := l.clock.Now()
		pause := min(l.random.Jitter(pause), until.Sub(now))
		if left := leaseEnds.Sub(now); left > 0 {
			pause = min(pause, left+time.Millisecond) // the lease of a holder that died is taken over at once
		}
		if pause <= 0 {
			return record.Record{}, rules.InProgress("another process is refreshing this token")
		}
		if err := l.clock.Wait(ctx, pause); err != nil {
			return record.Record{}, err
		}
		rec, err := l.records.Get(ctx, key, true)
		if err != nil {
			return record.Record{}, rules.Unavailable(err)
		}
		now, leaseEnds = l.clock.Now(), rec.Item.Lease.Until
		if w.Result != nil {
			if done, err := w.Result(rec, now); err != nil {
				return record.Record{}, err
			} else if done {
				return rec, nil
			}
		}
		if rec.Item.Lease.Owner == "" || !rec.Item.Lease.Until.After(now) {
			return record.Record{}, errLeaseEnded
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

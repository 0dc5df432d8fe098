package lease

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/flight"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/declared"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/issue"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Store is what leases need of the token store; vending.Store describes it.
type Store interface {
	Get(ctx context.Context, key tokenstore.Key, consistent bool) (tokenstore.Item, error)
	Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error)
	Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error)
	Fail(ctx context.Context, f tokenstore.Fail) error
	Release(ctx context.Context, r tokenstore.Release) error
	AddVariant(ctx context.Context, key tokenstore.Key, variant string) error
	RemoveVariant(ctx context.Context, key tokenstore.Key, variant string) error
}

// Config configures Leases.
type Config struct {
	Store    Store
	Records  *record.Records
	Issuer   *issue.Issuer
	Loader   declaration.Loader
	Declared *declared.Declarations
	Clock    rules.Clock
	Random   rules.Random
}

// Leases refreshes items under their lease. It is safe for concurrent use.
type Leases struct {
	store    Store
	records  *record.Records
	issuer   *issue.Issuer
	loader   declaration.Loader
	declared *declared.Declarations
	clock    rules.Clock
	random   rules.Random

	flights  flight.Group[tokenstore.Key, record.Record]
	degraded rules.Throttle
}

// New returns Leases.
func New(c Config) *Leases {
	return &Leases{
		store: c.Store, records: c.Records, issuer: c.Issuer, loader: c.Loader, declared: c.Declared,
		clock: c.Clock, random: c.Random, flights: flight.Group[tokenstore.Key, record.Record]{Now: c.Clock.Now},
		degraded: rules.Throttle{Every: degradedEvery},
	}
}

// ErrBusy reports that another process is refreshing and was not waited for.
var ErrBusy = errors.New("another process is refreshing")

// Busy reports whether a refresh of key is running in this process.
func (l *Leases) Busy(key tokenstore.Key) bool { return l.flights.Busy(key) }

// Do shares one refresh among the callers of this process. The result of another
// caller's refresh may not satisfy this caller, which then refreshes itself, once. Every error is for the caller.
func (l *Leases) Do(ctx context.Context, r Refresh) (record.Record, error) {
	if err := ctx.Err(); err != nil {
		return record.Record{}, callerError(err) // a caller that has left starts no refresh
	}
	var rec record.Record
	for range attempts {
		var led bool
		var err error
		rec, led, err = l.share(ctx, r)
		switch {
		case errors.Is(err, ErrBusy) && !led && !r.NoWait:
			continue // the caller that led it would not wait; this one will
		case errors.Is(err, flight.ErrSlow):
			return record.Record{}, unanswered(r.After, l.clock.Now())
		case err != nil:
			return record.Record{}, callerError(err)
		case led || r.SatisfiedBy(rec.Token, l.clock.Now()):
			return rec, nil
		}
	}
	if rec.Token.ID == "" {
		return record.Record{}, callerError(ErrBusy)
	}
	return rec, nil
}

// share runs the refresh, or waits for the one that is running. It continues when
// the caller that began it leaves, because others wait for it.
func (l *Leases) share(ctx context.Context, r Refresh) (record.Record, bool, error) {
	entry := new(audit.Entry)
	rec, led, err := l.flights.Go(ctx, r.Key, r.patience, func(ctx context.Context) (record.Record, error) {
		return l.Run(audit.With(ctx, entry), r)
	})
	if led {
		audit.From(ctx).Merge(entry)
	}
	return rec, led, err
}

func callerError(err error) error {
	switch {
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return rules.InProgress("the invocation ended before the refresh did")
	case errors.Is(err, ErrBusy):
		return rules.InProgress("another process is refreshing this token")
	}
	return err
}

// Run takes the lease and refreshes, or waits for the holder's result.
func (l *Leases) Run(ctx context.Context, r Refresh) (record.Record, error) {
	if r.StoreDown {
		return l.withoutStore(ctx, r, tokenstore.ErrUnavailable)
	}
	until := l.clock.Now().Add(waitBudget)
	for range attempts {
		rec, err := l.runOnce(ctx, &r, until)
		if !errors.Is(err, tokenstore.ErrSuperseded) {
			return rec, err
		}
	}
	return record.Record{}, rules.InProgress("the token was changed by others while it was being refreshed")
}

func (l *Leases) runOnce(ctx context.Context, r *Refresh, until time.Time) (record.Record, error) {
	probe, err := l.admit(ctx, r, until)
	if err != nil {
		return record.Record{}, err
	}
	if probe != nil {
		defer probe.releaseUnlessEnded(ctx)
	}
	holder, found, err := l.Hold(ctx, r, Wait{Until: until, Never: r.NoWait || !r.ForCaller, Result: r.result})
	switch {
	case errors.Is(err, errNoLease) && declared.TableDown(err) && r.ForCaller && !r.NoWait:
		return l.withoutStore(ctx, *r, err)
	case errors.Is(err, errNoLease):
		return record.Record{}, rules.Unavailable(err)
	case err != nil || holder == nil:
		return found, err
	}
	holder.probe = probe
	audit.From(ctx).LeaseSeq = holder.rec.Item.Lease.Seq
	return holder.refresh(ctx)
}

package lease

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// A provider that does not answer holds each execution environment that asks it for
// as long as a request may take, and the failure of one token does not keep callers
// of other subjects and scopes from finding out for themselves. So such a failure is
// recorded for the connection too, in an item that has no token. After the pause the
// one who has that item's lease asks the provider, for whichever token a caller wants;
// the others wait until the lease is two seconds old. Any answer removes what is
// recorded, and so does forgetting the token.

// outageVariant takes the place of a scope's digest in the item's key.
const outageVariant = "provider"

// OutageKey is the key of the item that records an outage of a connection's provider.
func OutageKey(connection string) tokenstore.Key {
	return tokenstore.Key{Connection: connection, Variant: outageVariant}
}

// outage is the refresh that the lease of the outage's item stands for.
func (r Refresh) outage() *Refresh {
	return &Refresh{Key: OutageKey(r.Key.Connection), Conn: r.Conn}
}

// Outage returns the failure that is recorded of the provider of r's connection as if
// it were that connection's own, and sets r.Probe. It is none too if it cannot be
// read, because the token's own item will tell, and if r does not depend on it: a
// caller who has just rejected the token of a grant may ask once.
func (l *Leases) Outage(ctx context.Context, r *Refresh) (latest tokenstore.Item) {
	if r.RetryDeadGrant && r.Conn.Delegated() {
		return latest
	}
	o := r.outage()
	rec, err := l.records.Lookup(ctx, o.Key)
	if r.Probe = err == nil && declaration.FailureApplies(rec.Item, o.Conn.Connection); r.Probe {
		latest.Failure = rec.Item.Failure
		latest.Failure.Cause = declaration.FailureCause(latest, r.Conn.Connection)
	}
	return latest
}

// admit lets callers ask the provider: all of them while it answers, and one at a
// time while it does not. It returns the lease that lets this one ask; nil without an
// outage. The renewer has limits of its own.
func (l *Leases) admit(ctx context.Context, r *Refresh, until time.Time) (*Holder, error) {
	if !r.Probe {
		return nil, nil //nolint:nilnil // no outage is no error
	}
	return l.holdOutage(ctx, r.outage(), Wait{Until: until, Never: r.NoWait, Outage: true})
}

// holdOutage takes the lease of an outage's item. The holder is nil when the outage
// has ended, or the table cannot tell.
func (l *Leases) holdOutage(ctx context.Context, o *Refresh, w Wait) (*Holder, error) {
	w.Result = o.outageEnded
	h, _, err := l.Hold(ctx, o, w)
	switch {
	case errors.Is(err, errNoLease):
		return h, nil
	case err != nil || h == nil:
		return h, err
	}
	if err := o.backoff(h.rec.Item, l.clock.Now()); err != nil {
		h.release(ctx)
		return nil, err
	}
	return h, nil
}

// outageEnded ends the wait for the one who asks: the provider has answered, or not.
func (r Refresh) outageEnded(rec record.Record, now time.Time) (done bool, err error) {
	err = r.backoff(rec.Item, now)
	return err != nil || !declaration.FailureApplies(rec.Item, r.Conn.Connection), err
}

// noteOutage shares with the fleet whether the provider has answered h's request,
// which failed with err or did not. A request that was not sent says nothing.
func (h *Holder) noteOutage(ctx context.Context, err error) {
	if p := (*problem.Error)(nil); errors.As(err, &p) {
		return
	}
	var noAnswer *oauth.Error
	if err != nil && rules.NoAnswer(rules.ProviderError(err)) {
		noAnswer = rules.ProviderError(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rules.SaveBudget)
	defer cancel()
	o := h.probe
	if o == nil && noAnswer != nil {
		o = h.newOutage(ctx)
	}
	if o != nil {
		h.recordOutage(ctx, o, noAnswer)
	}
}

// newOutage takes the lease of an outage's item that had no failure before the
// request. It returns nil if others have recorded one meanwhile, or are about to.
func (h *Holder) newOutage(ctx context.Context) *Holder {
	l, o := h.leases, h.req.outage()
	owner, err := l.random.Owner()
	if err != nil {
		return nil
	}
	item, err := l.store.Acquire(ctx, tokenstore.Acquire{Key: o.Key, Owner: owner, Now: l.clock.Now(), TTL: TTL})
	if err != nil {
		return nil
	}
	held := &Holder{leases: l, req: o, rec: record.Record{Item: item}, owner: owner}
	if declaration.InBackoff(item, o.Conn.Connection, l.clock.Now()) {
		held.release(ctx)
		return nil
	}
	return held
}

// recordOutage writes the failure of h's request to the item of o, or removes the
// failure there when the provider has answered, and ends the lease.
func (h *Holder) recordOutage(ctx context.Context, o *Holder, noAnswer *oauth.Error) {
	l, now := h.leases, h.leases.clock.Now()
	var failure tokenstore.Failure
	if noAnswer != nil {
		failure = rules.FailedRefresh{Item: o.rec.Item, Conn: o.req.Conn.Connection, Err: noAnswer, At: now, Jitter: l.random.Fraction()}.Failure()
	}
	o.ended = true
	if l.store.Fail(ctx, tokenstore.Fail{Key: o.req.Key, Owner: o.owner, Failure: failure, Now: now}) != nil {
		audit.From(ctx).Warn(audit.FailureNotStored)
	}
}

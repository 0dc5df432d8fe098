package lease

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// A provider that does not answer holds each execution environment that asks it for
// as long as a request may take, and the failure of one token does not keep callers
// of other subjects, scopes and connections from finding out for themselves. So such
// a failure is recorded for the connection and for the provider's host too, in two
// items that have no token. After the pause the one who has an item's lease asks the
// provider, for whichever token a caller wants; the others wait until the lease is
// two seconds old. Any answer removes what is recorded.
//
// A host counts only once two of its connections had no answer: what is wrong with
// one of them must not delay the others.

// outageVariant takes the place of a scope's digest in the keys of those items.
const outageVariant = "provider"

// outages is how many items record an outage: that of the host and that of the
// connection, in the order in which their leases are taken.
const outages, ofHost = 2, 0

// hostMemory is how long a host's first connection without an answer is remembered.
const hostMemory = time.Minute

// outage is the refresh that the lease of an outage's item stands for. Any connection
// may ask a host, so that a host's failures depend on no declaration.
func (r Refresh) outage(i int) *Refresh {
	if i == ofHost {
		host := digest.Short(declaration.Host(r.Conn.TokenURL)) // no connection has a slash in its name
		return &Refresh{Key: tokenstore.Key{Connection: "host/" + host, Variant: outageVariant}}
	}
	return &Refresh{Key: tokenstore.Key{Connection: r.Key.Connection, Variant: outageVariant}, Conn: r.Conn}
}

// Outage returns the failure that is recorded of the provider of r's connection as if
// it were that connection's own, and sets r.Probe. It is none too if it cannot be
// read, because the token's own item will tell, and if r does not depend on it: a
// caller who has just rejected the token of a grant may ask once.
func (l *Leases) Outage(ctx context.Context, r *Refresh) (latest tokenstore.Item) {
	if r.RetryDeadGrant && r.Conn.Delegated() {
		return latest
	}
	for i := range outages {
		o := r.outage(i)
		rec, err := l.records.Peek(ctx, o.Key)
		r.Probe[i] = err == nil && declaration.FailureApplies(rec.Item, o.Conn.Connection)
		if r.Probe[i] && !rec.Item.Failure.NextAttemptAt.Before(latest.Failure.NextAttemptAt) {
			latest.Failure = rec.Item.Failure
			latest.Failure.Cause = declaration.FailureCause(latest, r.Conn.Connection)
		}
	}
	return latest
}

// probe is the leases of the outages' items, as far as there are outages.
type probe [outages]*Holder

// admit lets callers ask the provider: all of them while it answers, and one at a
// time while it does not. The renewer has limits of its own.
func (l *Leases) admit(ctx context.Context, r *Refresh, until time.Time) (p probe, err error) {
	for i := range outages {
		if r.Probe[i] && err == nil {
			p[i], err = l.holdOutage(ctx, r.outage(i), Wait{Until: until, Never: r.NoWait, Outage: true})
		}
	}
	if err != nil {
		p.release(ctx)
		return probe{}, err
	}
	return p, nil
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

// release ends the leases if the provider was not asked.
func (p probe) release(ctx context.Context) {
	for _, h := range p {
		if h != nil {
			h.releaseUnlessEnded(ctx)
		}
	}
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
	for i, o := range h.probe {
		if o == nil && noAnswer != nil {
			o = h.newOutage(ctx, i)
		}
		if o != nil {
			h.recordOutage(ctx, i, o, noAnswer)
		}
	}
}

// newOutage takes the lease of an outage's item that had no failure before the
// request. It returns nil if others have recorded one meanwhile, or are about to.
func (h *Holder) newOutage(ctx context.Context, i int) *Holder {
	l, o := h.leases, h.req.outage(i)
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
func (h *Holder) recordOutage(ctx context.Context, i int, o *Holder, noAnswer *oauth.Error) {
	l, now := h.leases, h.leases.clock.Now()
	var failure tokenstore.Failure
	if noAnswer != nil {
		failure = rules.FailedRefresh{Item: o.rec.Item, Conn: h.req.outage(i).Conn.Connection, Err: noAnswer, At: now, Jitter: l.random.Fraction()}.Failure()
		if i == ofHost {
			failure = h.hostFailure(o.rec.Item, failure)
		}
	}
	o.ended = true
	if l.store.Fail(ctx, tokenstore.Fail{Key: o.req.Key, Owner: o.owner, Failure: failure, Now: now}) != nil {
		audit.From(ctx).Warn(audit.FailureNotStored)
	}
}

// hostFailure is the failure that a host's item gets after f: that of this connection,
// which concerns no other, unless the item has one of the host, or of another
// connection a moment ago.
func (h *Holder) hostFailure(item tokenstore.Item, f tokenstore.Failure) tokenstore.Failure {
	first, before := digest.Short("first", h.req.Key.Connection), item.Failure
	age := f.FailedAt.Sub(before.FailedAt)
	switch {
	case before.Cause == declaration.FailureCause(item, connection.Connection{}):
	case before.Count == 0, before.Cause == first, age > hostMemory:
		f.Cause = first
	}
	return f
}

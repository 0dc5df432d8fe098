package lease

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/issue"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Holder has the lease of one item.
type Holder struct {
	leases *Leases
	req    *Refresh
	// rec is the item as it is under the lease; its token is opened by examine.
	rec   record.Record
	owner string
	// remaining is what is left of the invocation.
	remaining func() time.Duration
	// probe is the lease under which the provider may be asked during an outage.
	probe *Holder
	// ended: the lease has been ended, or it is up to the outcome to end it.
	ended bool
}

// refresh calls the provider, unless, as of the read under the lease, the token is
// already valid or a recent failure forbids it.
func (h *Holder) refresh(ctx context.Context) (record.Record, error) {
	ctx, cancel := context.WithTimeout(ctx, TTLOf(h.req.Conn.Connection)-rules.SaveBudget)
	defer cancel()
	defer h.releaseUnlessEnded(ctx)
	l, grantType := h.leases, h.req.Conn.GrantType
	if err := h.examine(ctx); err != nil {
		return record.Record{}, err
	}
	now := l.clock.Now()
	if h.req.SatisfiedBy(h.rec.Token, now) {
		return h.rec, nil
	}
	if h.req.Conn.GrantType != grantType {
		return record.Record{}, tokenstore.ErrSuperseded // the lease was taken for another grant type
	}
	if h.rec.Item.Grant.IsAccessToken() && h.req.Conn.Delegated() {
		return h.restore(ctx)
	}
	if err := h.req.backoff(h.rec.Item, now); err != nil {
		return record.Record{}, err
	}
	if err := l.records.Prepare(ctx); err != nil {
		return record.Record{}, err
	}
	return h.exchange(ctx, sourceOf(h.req.Conn.Connection))
}

// exchange asks the provider and stores what it issues, or the failure.
func (h *Holder) exchange(ctx context.Context, s source) (record.Record, error) {
	if err := s.ready(ctx, h); err != nil {
		return record.Record{}, err
	}
	if err := h.requireTime(issue.RefreshBudget(h.req.Conn.Connection)); err != nil {
		return record.Record{}, err
	}
	// From here on the write of the outcome ends the lease. To release it, even
	// after a panic, would remove the mark of a refresh token that was sent.
	h.ended = true
	issued, conn, err := h.ask(ctx, s)
	h.req.Conn = conn
	defer h.noteOutage(ctx, err) // after the outcome of the request is stored
	if err != nil {
		return record.Record{}, s.failed(ctx, h, err)
	}
	rec, err := s.store(ctx, h, issued)
	if err == nil && h.req.ForCaller {
		err = h.stillAccepted(ctx, rec)
	}
	return rec, err
}

// stillAccepted refuses what was issued when the declaration has changed meanwhile:
// its caller does not get it either (FI-49). The error asks for another
// attempt. Without an answer of the table the token is good for those who wait.
func (h *Holder) stillAccepted(ctx context.Context, rec record.Record) error {
	if rec.Token.ID == "" {
		return nil // a new grant, whose token no caller waits for
	}
	r, err := h.leases.declared.Read(ctx, h.req.Conn.Name)
	if err == nil && r.MintID != "" && (r.Gone != "" || !rules.Accepted(r, h.req.Key.Subject, rec.Token)) {
		return tokenstore.ErrSuperseded
	}
	return nil
}

// examine opens the item, and takes the declaration that the record names. The record
// is read consistently under the lease, so a token copies the mint id of a declaration
// that was in force when the lease was held. A token of another declaration counts as
// none.
func (h *Holder) examine(ctx context.Context) error {
	if err := h.announceVariant(ctx); err != nil {
		return err
	}
	rec, err := h.leases.records.Accept(ctx, h.rec.Item)
	if err != nil {
		return err
	}
	if h.req.Conn, err = h.leases.declared.UnderLease(ctx, h.req.Conn.Connection); err != nil {
		return rules.Unavailable(err)
	}
	if h.rec = rec; !rules.Accepted(h.req.Conn.Record, rec.Item.Key.Subject, rec.Token) {
		h.rec = rec.WithoutToken()
	}
	return nil
}

func (h *Holder) releaseUnlessEnded(ctx context.Context) {
	if !h.ended {
		h.release(ctx)
	}
}

// release ends the lease without a result. A lease that cannot be released expires.
func (h *Holder) release(ctx context.Context) {
	h.ended = true
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rules.SaveBudget)
	defer cancel()
	release := tokenstore.Release{Key: h.req.Key, Owner: h.owner, OutcomeUnknown: rules.OutcomeUnknown(h.rec.Item), DeleteAfter: h.unusedAfter()}
	if h.leases.store.Release(ctx, release) != nil {
		audit.From(ctx).Warn(audit.LeaseNotReleased)
	}
}

// unusedAfter is when the item is of no more use; zero for one with a grant.
func (h *Holder) unusedAfter() time.Time {
	if h.rec.Item.Grant.Fingerprint != "" {
		return time.Time{}
	}
	return later(h.leases.clock.Now(), h.rec.Item.Token.ExpiresAt)
}

// fail stores a failure, which ends the lease, and returns it for the caller.
// The caller of fail sets Failure, RenewSlot and OutcomeUnknown.
func (h *Holder) fail(ctx context.Context, f tokenstore.Fail, reason error) error {
	h.ended = true
	f.Key, f.Owner, f.Now = h.req.Key, h.owner, f.Failure.FailedAt
	if f.DeleteAfter = h.unusedAfter(); !f.DeleteAfter.IsZero() {
		f.DeleteAfter = later(f.DeleteAfter, f.Failure.NextAttemptAt)
	}
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), rules.SaveBudget)
	defer cancel()
	if h.leases.store.Fail(detached, f) != nil {
		audit.From(ctx).Warn(audit.FailureNotStored)
	}
	if h.rec.Token.Valid(f.Now) {
		item := h.rec.Item
		item.Failure, item.Lease = f.Failure, tokenstore.Lease{}
		h.rec = h.leases.records.Update(h.rec, item)
	}
	p := rules.Remembered(f.Failure, f.Now)
	p.Cause = reason
	return p
}

package lease

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/issue"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

// clientCredentials obtains a token without a user's consent: for the connection
// itself (RFC 6749 §4.4, §4.3), or for a user of whom the client may speak (RFC 7523
// §2.1).
type clientCredentials struct{}

func (clientCredentials) ready(context.Context, *Holder) error { return nil }

func (clientCredentials) request(r Refresh) issue.Request {
	return issue.Request{GrantType: issue.GrantType(r.Conn.GrantType), Scope: r.Want.Scope, Subject: r.Key.Subject}
}

// store does not end with the caller's context: a token that was issued is kept.
func (c clientCredentials) store(ctx context.Context, h *Holder, t token.Issued) (record.Record, error) {
	l := h.leases
	sealed, err := l.records.SealToken(ctx, h.req.Key, t.Token, tokenstore.SealedGrant{})
	if err != nil {
		return c.keepUnstored(ctx, h, t.Token, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rules.SaveBudget)
	defer cancel()
	commit := tokenstore.Commit{Key: h.req.Key, Owner: h.owner, Version: h.rec.Item.Version, SecretIncarnation: t.SecretIncarnation,
		Token: sealed, Used: h.req.ForCaller, RenewSlot: rules.RenewSlot(h.req.Key, h.req.Conn.Connection, t.Token), Now: l.clock.Now()}
	for pause := 100 * time.Millisecond; ; pause *= 2 {
		item, err := l.store.Commit(ctx, commit)
		switch {
		case err == nil:
			return l.records.Issued(item, t.Token), nil
		case errors.Is(err, tokenstore.ErrSuperseded):
			return h.superseded(ctx, err)
		case l.clock.Wait(ctx, l.random.Jitter(pause)) != nil, pause > time.Second:
			return c.keepUnstored(ctx, h, t.Token, err)
		}
	}
}

// keepUnstored serves from memory what could not be stored, which is valid
// nevertheless. A renewal has no caller to serve and fails.
func (clientCredentials) keepUnstored(ctx context.Context, h *Holder, t token.Token, err error) (record.Record, error) {
	entry := audit.From(ctx)
	entry.Warn(audit.TokenNotStored)
	entry.SetCause(err)
	if !h.req.ForCaller {
		h.release(ctx)
		return record.Record{}, rules.Unavailable(err)
	}
	return h.leases.records.IssuedUnstored(h.rec.Item, t, rules.RenewSlot(h.req.Key, h.req.Conn.Connection, t)), nil
}

// superseded looks for the change that incremented the item's version. The superseded
// error asks for another attempt.
func (h *Holder) superseded(ctx context.Context, superseded error) (record.Record, error) {
	h.release(ctx)
	rec, err := h.leases.records.Get(ctx, h.req.Key, true)
	if err != nil {
		return record.Record{}, rules.Unavailable(err)
	}
	if !h.req.SatisfiedBy(rec.Token, h.leases.clock.Now()) {
		return record.Record{}, superseded
	}
	return rec, nil
}

// failed shares a provider's failure with the fleet.
func (clientCredentials) failed(ctx context.Context, h *Holder, err error) error {
	if p := (*problem.Error)(nil); errors.As(err, &p) {
		h.release(ctx)
		return err
	}
	now, refusal := h.leases.clock.Now(), rules.ProviderError(err)
	failure := rules.FailedRefresh{Item: h.rec.Item, Conn: h.req.Conn.Connection, Err: refusal, At: now,
		Served: h.rec.Token.Valid(now) && !h.req.Rejected, Jitter: h.leases.random.Fraction()}.Failure()
	return h.fail(ctx, tokenstore.Fail{Failure: failure, RenewSlot: rules.SlotAfterFailure(h.rec.Item, h.rec.Token, failure)}, refusal)
}

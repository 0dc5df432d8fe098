package vending

import (
	"context"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// report records that a resource server refuses the access token of a grant that has
// nothing else. It forces no refresh, so no limit counts it. The error says what the
// report has ended.
func (c *Core) report(ctx context.Context, r Request, rec record.Record, by declaration.Record) (Vended, error) {
	if err := r.access().PermitToken(ctx, rec.Token, by); err != nil {
		return Vended{}, err
	}
	if err := c.oldEnough(ctx, r, rec, by); err != nil {
		return Vended{}, err
	}
	one := r.forcedRefresh(c.clock.Now())
	reports, changed := declaration.ReportsOf(rec.Item).With(one)
	if changed {
		item, err := c.store.Reject(ctx, tokenstore.Reject{Key: rec.Item.Key, Version: rec.Item.Version, TokenID: rec.Token.ID,
			Read: rec.Item.ForcedRefreshes, ForcedRefreshes: reports})
		if err != nil {
			return Vended{}, unavailable(err)
		}
		audit.From(ctx).Warn(audit.ReportedDead)
		if reports.Dead() {
			audit.From(ctx).Warn(audit.GrantEnded)
		}
		rec = c.records.Update(rec, item)
	}
	return Vended{}, rules.RequireUnreported(rec.Item, one.By)
}

// unrejected is r without the report.
func (r Request) unrejected() Request {
	r.RejectedTokenID = ""
	return r
}

// clearReport forgets the reports of a token, and serves it.
func (c *Core) clearReport(ctx context.Context, r Request) (Vended, error) {
	found, err := c.records.Find(ctx, r.key(), true)
	if err != nil {
		return Vended{}, rules.Unavailable(err)
	}
	rec, by, err := c.judged(ctx, r.key(), found)
	if err == nil {
		err = r.access().PermitRecord(by)
	}
	if err != nil {
		return Vended{}, err
	}
	if reports := declaration.ReportsOf(rec.Item); len(reports) > 0 {
		if err := c.store.SetForcedRefreshes(ctx, rec.Item.Key, reports, nil); err != nil {
			return Vended{}, err
		}
		item := rec.Item
		item.ForcedRefreshes = nil
		rec = c.records.Update(rec, item)
	}
	return c.vendFrom(ctx, r, rec, by)
}

package vending

import (
	"context"

	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/declared"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Changed is a secret that may have changed.
type Changed struct {
	// Secret is its name, and Former are the connections that it is known to have
	// declared.
	Secret string
	Former []string
	// Event is what reported the change; zero is none.
	Event declaration.Event
	// Reissue runs each reissue of a token, and may record its outcome; nil only runs it.
	Reissue func(ctx context.Context, r Renewal) (renewed bool, err error)
}

// Change is the result of reconciling one secret.
type Change struct {
	// ARN and VersionID are those of the version that was read; empty when there is
	// none.
	ARN, VersionID string
	// Unrecorded are connections without a record: they never had a valid declaration.
	Unrecorded []string
	// Ignored: the event that reported the change came late. Another one reports the
	// version that is current by now.
	Ignored bool
	// Recorded counts the declaration records that were written, and Reissued the
	// tokens that were replaced.
	Recorded, Reissued int
}

// Reconcile writes the declaration records of a secret that has changed: then every
// process refuses the tokens that the secret does not declare any more. Those of
// the connection itself and its scope variants that are in use are reissued at
// once, those of its subjects when they are asked for or visited. Every error is a
// *problem.Error, after which the secret has to be reconciled again.
func (c *Core) Reconcile(ctx context.Context, changed Changed) (Change, error) {
	c.FlushPending(ctx)
	if e := changed.Event; e.Version != "" {
		current, err := c.await(ctx, changed.Secret, e)
		if err != nil || !current {
			return Change{Ignored: true}, rules.Problem(err)
		}
	}
	synced, err := c.declared.Sync(ctx, declared.Secret{Name: changed.Secret, Former: changed.Former, Event: changed.Event})
	change := Change{ARN: synced.Secret.ARN, VersionID: synced.Secret.VersionID, Unrecorded: synced.Unrecorded, Recorded: synced.Written}
	if err != nil {
		return change, problem.Of(rules.Unavailable(err))
	}
	for _, conn := range synced.InForce {
		reissued, err := c.reissueAll(ctx, conn, changed)
		if change.Reissued += reissued; err != nil {
			return change, problem.Of(err)
		}
	}
	return change, nil
}

// Declarations reads the declaration records of connections, eventually consistent and
// in their order. A missing record, and one that cannot be read, is empty. Every
// error is a *problem.Error.
func (c *Core) Declarations(ctx context.Context, connections []string) ([]declaration.Record, error) {
	records, err := c.declared.Survey(ctx, connections)
	if err != nil {
		return nil, problem.Of(rules.Unavailable(err))
	}
	return records, nil
}

// reissueAll reissues the connection's own token and those of its scope variants that
// are in use and were issued under another declaration. It stops when the provider
// fails: their callers ask for them.
func (c *Core) reissueAll(ctx context.Context, conn declared.InForce, changed Changed) (reissued int, err error) {
	own := tokenstore.Key{Connection: string(conn.Name)}
	rec, err := c.records.Get(ctx, own, true)
	if problem.Is(err, problem.InternalError) {
		return 0, nil // a corrupt grant serves no caller
	}
	if err != nil {
		return 0, rules.Unavailable(err)
	}
	all := []record.Record{rec}
	for _, v := range rec.Item.Variants {
		variant, err := c.records.Get(ctx, tokenstore.Key{Connection: own.Connection, Variant: v}, true)
		if err != nil {
			return 0, rules.Unavailable(err)
		}
		all = append(all, variant)
	}
	for _, rec := range all {
		plan := c.reissue(conn, rec)
		if !plan.Due() {
			continue
		}
		done, err := changed.reissue(ctx, plan)
		if done {
			reissued++
		}
		if err != nil {
			return reissued, nil //nolint:nilerr // it is remembered with the token, which is not served any more
		}
	}
	return reissued, nil
}

// reissue plans to replace rec's token if it is in use and conn's record does not accept
// it.
func (c *Core) reissue(conn declared.InForce, rec record.Record) Renewal {
	now := c.clock.Now()
	if !rec.Item.Used || !rec.Token.Valid(now) || rules.Accepted(conn.Record, "", rec.Token) ||
		!rules.Renewable(rec.Item, conn.Connection, rec.WithoutToken().Token, now) {
		return Renewal{}
	}
	return newRenewal(c.leases, conn, rec.Item.Key, rec.Token.AskedScope, "")
}

func (c Changed) reissue(ctx context.Context, r Renewal) (bool, error) {
	if c.Reissue == nil {
		return r.Run(ctx)
	}
	return c.Reissue(ctx, r)
}

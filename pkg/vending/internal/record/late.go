package record

import (
	"context"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// storeLate tries from time to time to store a token that the table did not
// accept before, over the version that it has now, and returns the record as it
// is then. A token that its declaration record does not accept is forgotten instead.
func (r *Records) storeLate(ctx context.Context, rec Record, version int64) Record {
	if r.late.Try(rec.Item.Key, r.clock.Now()) > 0 {
		return rec
	}
	current, err := r.declared.Current(ctx, connection.Name(rec.Item.Key.Connection))
	if err != nil && !declaration.Gone(err) {
		return rec // a secret that cannot be read does not make the token wrong
	}
	if err != nil || !rules.Accepted(current.Record, rec.Item.Key.Subject, rec.Token) {
		forgotten := Record{Item: rec.Item, readAt: r.clock.Now()}
		r.cache.put(forgotten)
		return forgotten
	}
	if rec.Token.MintID == "" { // issued while there was no record to copy it from
		rec.Token.MintID = current.Record.MintID
	}
	stored, err := r.SealToken(ctx, rec.Item.Key, rec.Token, tokenstore.SealedGrant{})
	if err != nil {
		return rec
	}
	ctx, cancel := context.WithTimeout(ctx, staleReadBudget)
	defer cancel()
	item, err := r.store.Commit(ctx, tokenstore.Commit{Key: rec.Item.Key, Version: version, SecretIncarnation: rec.Token.SecretIncarnation,
		Token: stored, Used: true, RenewSlot: rec.slot, Now: r.clock.Now()})
	if err != nil {
		audit.From(ctx).Warn(audit.TokenNotStored)
		return rec
	}
	rec.Item, rec.unstored, rec.readAt = item, false, r.clock.Now()
	r.cache.put(rec)
	return rec
}

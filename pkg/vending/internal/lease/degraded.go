package lease

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/issue"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// degradedEvery bounds minting while the table is down to once per key and
// process in that time, because no lease coordinates the fleet then.
const degradedEvery = 30 * time.Second

// withoutStore serves a caller while the table does not answer: it mints without a
// lease and keeps the token in memory. A refresh token is not used where its
// successor cannot be stored.
func (l *Leases) withoutStore(ctx context.Context, r Refresh, cause error) (record.Record, error) {
	s, ok := sourceOf(r.Conn.Connection).(clientCredentials)
	if !ok {
		return record.Record{}, rules.Unavailable(cause)
	}
	if rules.Remaining(ctx) < issue.Budget(r.Conn.Connection) {
		return record.Record{}, rules.InProgress("too little of the invocation's time is left to ask the provider")
	}
	if wait := l.degraded.Try(r.Key, l.clock.Now()); wait > 0 {
		return record.Record{}, &problem.Error{Code: problem.StoreUnavailable, RetryAfter: wait,
			Detail: "the token table is unavailable; this instance's fallback mint is rate limited"}
	}
	issued, conn, err := l.issuer.Issue(ctx, r.Conn, s.request(r))
	if err != nil {
		p := rules.ProviderProblem(rules.ProviderError(err))
		p.RetryAfter = max(p.RetryAfter, degradedEvery)
		return record.Record{}, p
	}
	item := tokenstore.Item{Key: r.Key, Version: l.records.KnownVersion(r.Key)}
	rec := l.records.IssuedUnstored(item, issued.Token, rules.RenewSlot(r.Key, conn.Connection, issued.Token))
	audit.From(ctx).Warn(audit.StoreUnavailable, audit.TokenNotStored)
	return rec, nil
}

package lease

import (
	"context"
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/declared"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/issue"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

const (
	// earlyTries bounds repeating a request that came before the token's end, and
	// earlyPause is the time between two of them.
	earlyTries = 3
	earlyPause = time.Second
	// nearEnd is how far the server's clock may be off when a token ends.
	nearEnd = 5 * time.Second
)

// ask requests a token, and repeats the request where the server is declared to allow
// it: when a refresh had no answer (CR-42), and when a new token was refused in the
// last seconds of the one before (OC-33).
func (h *Holder) ask(ctx context.Context, s source) (issued token.Issued, conn declared.InForce, err error) {
	issuer, request := h.leases.issuer, s.request(*h.req)
	issued, conn, err = issuer.Issue(ctx, h.req.Conn, request)
	if r, ok := s.(*refreshToken); ok && r.lost(h, err) {
		issued, conn, err = issuer.Issue(ctx, conn, request)
	}
	if !h.tooEarly(conn.Connection, err) {
		return issued, conn, err
	}
	for range earlyTries {
		if h.leases.clock.Wait(ctx, earlyPause) != nil || h.requireTime(issue.RefreshBudget(conn.Connection)) != nil {
			break
		}
		if issued, conn, err = issuer.Issue(ctx, conn, request); !refused(err) {
			return issued, conn, err
		}
	}
	return issued, conn, stillTooEarly(err)
}

// tooEarly reports whether err may be the refusal of a server that issues no new token
// before the one before has ended.
func (h *Holder) tooEarly(conn connection.Connection, err error) bool {
	before := h.rec.Item.Token
	if conn.EarlyRefresh || before.ID == "" || !refused(err) {
		return false
	}
	left := before.ExpiresAt.Sub(h.leases.clock.Now())
	return left > -nearEnd && left < nearEnd
}

// refused reports whether the server refused a request for another reason than that the
// grant has ended.
func refused(err error) bool {
	if p := (*problem.Error)(nil); err == nil || errors.As(err, &p) {
		return false
	}
	refusal := rules.ProviderError(err)
	return refusal.Kind == oauth.Rejected && !rules.IsInvalidGrant(refusal)
}

// stillTooEarly is the failure that a refusal means then. The next attempt is due in a
// second, however often it was refused.
func stillTooEarly(err error) error {
	e := *rules.ProviderError(err)
	e.Kind, e.Momentary, e.RetryAfter = oauth.Unavailable, true, earlyPause
	e.Detail = "the server refuses a new token in the last seconds of the one before"
	return &e
}

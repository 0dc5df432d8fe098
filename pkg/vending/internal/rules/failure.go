package rules

import (
	"math"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

const (
	backoffFloor = 2 * time.Second
	// BackoffUnserved caps the pause while callers have no token.
	BackoffUnserved = 30 * time.Second
	// backoffServed caps it while a valid one is still served.
	backoffServed = 15 * time.Minute
)

// Never is the next attempt of a grant that has ended: only a caller's rejection
// or a new consent leads to another one.
var Never = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// FailedRefresh describes a refresh that failed.
type FailedRefresh struct {
	// Item is the item before the refresh, Conn the declaration that was refused.
	Item tokenstore.Item
	Conn connection.Connection
	Err  *oauth.Error
	At   time.Time
	// Served: callers still have a valid token.
	Served bool
	// Jitter is in [0, 1).
	Jitter float64
}

// Failure returns the record of f that the fleet shares.
func (f FailedRefresh) Failure() tokenstore.Failure {
	cause := declaration.FailureCause(f.Item, f.Conn)
	count := 1
	if f.Item.Failure.Cause == cause {
		count = f.Item.Failure.Count + 1
	}
	pause := max(backoff(count, f.Served, f.Jitter), f.Err.RetryAfter)
	if f.Err.Momentary {
		pause = f.Err.RetryAfter
	}
	return tokenstore.Failure{
		Count: count, Code: string(Code(f.Err)), Status: f.Err.Trace.Status, ProviderCode: f.Err.Code, Detail: f.Err.Detail,
		FailedAt: f.At, NextAttemptAt: f.At.Add(pause), Cause: cause,
	}
}

// backoff doubles from 2 s with ± 25 % jitter, never under 2 s, to its cap.
func backoff(count int, served bool, jitter float64) time.Duration {
	limit := BackoffUnserved
	if served {
		limit = backoffServed
	}
	pause := float64(backoffFloor) * math.Pow(2, float64(min(count, 32)-1)) * (0.75 + jitter/2)
	return min(max(time.Duration(min(pause, float64(limit))), backoffFloor), limit)
}

// Retrying is the error of a failure whose next attempt has begun and may take
// long.
func Retrying(f tokenstore.Failure, now time.Time) *problem.Error {
	p := Remembered(f, now)
	p.RetryAfter = max(p.RetryAfter, backoffFloor)
	return p
}

// Remembered returns the original error of a failure with what remains of its pause.
func Remembered(f tokenstore.Failure, now time.Time) *problem.Error {
	code := problem.Code(f.Code)
	p := &problem.Error{
		Code: code, Detail: providerDetail(code, f.Detail), RetryAfter: f.NextAttemptAt.Sub(now),
		Provider: &problem.Provider{Status: f.Status, Error: f.ProviderCode},
	}
	if code == problem.AuthorizationRequired {
		p.RetryAfter = 0 // only a user can change that
		p.Detail = "the provider reported at " + instant(f.FailedAt) + " that the grant has ended: a user has to consent again, starting with POST …/authorization"
	}
	return p
}

package vending

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

const (
	backoffFloor = 2 * time.Second
	// backoffEmpty caps the pause while callers have nothing, backoffServed
	// while a valid token is still being served.
	backoffEmpty, backoffServed = 30 * time.Second, 15 * time.Minute
)

// cause fingerprints what a failure is remembered against: another secret
// version, declaration or refresh token deserves a new attempt at once.
func cause(item tokenstore.Item, conn connection.Connection) string {
	parts := conn.SecretVersion + "\x00" + conn.ConfigHash + "\x00" + conn.SecretIncarnation
	if conn.Delegated() {
		parts += "\x00" + item.Grant.Fingerprint
	}
	sum := sha256.Sum256([]byte(parts))
	return hex.EncodeToString(sum[:8])
}

// nextFailure is what the fleet remembers after err, given the item as it stood
// before. jitter is in [0, 1).
func nextFailure(item tokenstore.Item, err *oauth.Error, conn connection.Connection, f failureFacts) tokenstore.Failure {
	count := 1
	if item.Failure.Cause == cause(item, conn) {
		count = item.Failure.Count + 1
	}
	pause := max(backoff(count, f.served, f.jitter), err.RetryAfter)
	return tokenstore.Failure{
		Count: count, Code: string(codeOf(err)), Status: err.Trace.Status, ProviderCode: err.Code,
		FailedAt: f.now, NextAttemptAt: f.now.Add(pause), Cause: cause(item, conn),
	}
}

type failureFacts struct {
	now time.Time
	// served: a valid token is still there for callers.
	served bool
	jitter float64
}

// backoff doubles from 2 s with ± 25 % jitter, never under 2 s, to its cap.
func backoff(count int, served bool, jitter float64) time.Duration {
	limit := backoffEmpty
	if served {
		limit = backoffServed
	}
	pause := float64(backoffFloor) * math.Pow(2, float64(min(count, 32)-1)) * (0.75 + jitter/2)
	return min(max(time.Duration(min(pause, float64(limit))), backoffFloor), limit)
}

// active reports whether the item's failure forbids a call to the provider for conn now.
func active(item tokenstore.Item, conn connection.Connection, now time.Time) bool {
	f := item.Failure
	return f.Count > 0 && f.NextAttemptAt.After(now) && f.Cause == cause(item, conn)
}

// remembered is the original error again, with what remains of its pause.
func remembered(f tokenstore.Failure, now time.Time) *problem.Error {
	code := problem.Code(f.Code)
	p := &problem.Error{
		Code: code, Detail: providerDetail(code), RetryAfter: f.NextAttemptAt.Sub(now),
		Provider: &problem.Provider{Status: f.Status, Error: f.ProviderCode},
	}
	if code == problem.AuthorizationRequired {
		p.RetryAfter = 0 // time mends nothing here
	}
	return p
}

// providerProblem is a provider's failure for the caller, when nothing remembers it.
func providerProblem(err *oauth.Error) *problem.Error {
	code := codeOf(err)
	return &problem.Error{Code: code, Detail: providerDetail(code), RetryAfter: err.RetryAfter, Cause: err,
		Provider: &problem.Provider{Status: err.Trace.Status, Error: err.Code}}
}

// codeOf maps the kinds of a provider's failure to the API's codes, one to one.
func codeOf(err *oauth.Error) problem.Code {
	switch err.Kind {
	case oauth.Rejected:
		return problem.ProviderRejected
	case oauth.Malformed:
		return problem.ProviderMalformed
	case oauth.Timeout:
		return problem.ProviderTimeout
	case oauth.Misconfigured:
		return problem.ConnectionMisconfigured
	default:
		return problem.ProviderUnavailable
	}
}

func providerDetail(code problem.Code) string {
	switch code {
	case problem.ProviderRejected:
		return "the provider refused the token request; compare the connection's client id, client secret and scope with what is registered there"
	case problem.ProviderMalformed:
		return "the provider's token endpoint gave an answer that cannot be used; check token_url and response"
	case problem.ProviderTimeout:
		return "the provider did not answer in time"
	case problem.AuthorizationRequired:
		return "the provider says that the grant has ended: somebody has to consent again, starting with POST …/authorization"
	case problem.ConnectionMisconfigured:
		return "the connection declares an endpoint or a key that may not be used"
	default:
		return "the provider cannot be reached, or is not able to answer now"
	}
}

// asProviderError returns err as the oauth client's error; anything else from a
// Minter is a fault of ours and counts as no answer.
func asProviderError(err error) *oauth.Error {
	var p *oauth.Error
	if errors.As(err, &p) {
		return p
	}
	return &oauth.Error{Kind: oauth.Unavailable, Reason: "internal"}
}

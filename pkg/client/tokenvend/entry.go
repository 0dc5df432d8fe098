package tokenvend

import (
	"cmp"
	"sync"
	"time"
)

// The times of a cache entry.
const (
	maxMargin     = time.Minute // a token is not returned during the last minute of its life
	refreshAgain  = 30 * time.Second
	reportAgain   = 10 * time.Minute
	spreadPercent = 10
)

// entry is the cached token of one key, and what is remembered of failures.
type entry struct {
	mu    sync.Mutex
	token *Token    // nil: none yet
	fresh time.Time // no refresh before, while the token is usable
	// given is the longest life that could not be had: asking for as much again is
	// useless before fresh. After a failure it is without limit.
	given time.Duration

	failure *Error // of the last refresh, when no usable token was left
	retryAt time.Time

	reportAfter time.Time // no reports of rejected tokens before
}

// lookup returns the token if it is usable, and whether it needs no refresh.
func (e *entry) lookup(now time.Time, minTTL time.Duration) (token *Token, fresh bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.token == nil || !e.token.live(now) {
		return nil, false
	}
	return e.token, now.Before(e.fresh) && (e.token.lasts(now, minTTL) || minTTL <= e.given)
}

// other returns the usable token unless it has that id.
func (e *entry) other(now time.Time, id string) *Token {
	if token, _ := e.lookup(now, 0); token != nil && token.ID != id {
		return token
	}
	return nil
}

// put keeps an answer, unless a later request was answered before.
func (e *entry) put(now time.Time, t *Token, minTTL time.Duration, random float64) *Token {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failure, e.retryAt = nil, time.Time{}
	if e.token != nil && e.token.sent.After(t.sent) {
		return e.token
	}
	repeated := e.token != nil && e.token.ID == t.ID
	e.token, e.given = t, 0
	if !t.lasts(now, minTTL) {
		e.given = minTTL
	}
	if repeated || t.Stale {
		e.fresh = now.Add(cmp.Or(t.retry, again(t, now)))
	} else {
		e.fresh = t.sent.Add(t.refresh + time.Duration(float64(t.refresh)*random*spreadPercent/100))
	}
	return t
}

// again is the time to the next try when the service names none.
func again(t *Token, now time.Time) time.Duration {
	if t.usable.IsZero() {
		return refreshAgain
	}
	return min(refreshAgain, t.usable.Sub(now)/2)
}

// fail remembers when the next refresh may be tried.
func (e *entry) fail(now time.Time, err *Error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.failure, e.retryAt = err, now.Add(err.RetryAfter)
	if err.Code == CodeAuthorizationRequired {
		e.retryAt = now.Add(cmp.Or(err.RetryAfter, refreshAgain))
	}
	if e.token == nil || !e.token.live(now) {
		return
	}
	e.fresh, e.given = now.Add(cmp.Or(err.RetryAfter, again(e.token, now))), 1<<63-1
}

// remembered returns the last error while the service need not be asked again, with the
// time that remains.
func (e *entry) remembered(now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failure == nil || !now.Before(e.retryAt) || e.token != nil && e.token.live(now) {
		return nil
	}
	last := *e.failure
	last.RetryAfter = e.retryAt.Sub(now)
	return last.typed()
}

// endUnlimited ends a rejected token that has no end of its own and was not replaced.
func (e *entry) endUnlimited(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.token != nil && e.token.ID == id && e.token.usable.IsZero() {
		e.token = nil
	}
}

// reportsStopped reports whether rejections are not reported, because the resource server
// refused a fresh token too.
func (e *entry) reportsStopped(now time.Time) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return now.Before(e.reportAfter)
}

// stopReports stops reports for a while; a zero instant allows them again.
func (e *entry) stopReports(until time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reportAfter = until
}

package consent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// maxPending is how many pending sessions a principal may have (AZ-31).
const maxPending = 20

// pendingAttempts bounds the retries of a conditional write.
const pendingAttempts = 16

// pendingLimit limits the pending sessions of each principal. It is a throttle,
// not a record: an entry is removed when its session is over, and ignored when
// the session can no longer be pending.
type pendingLimit struct {
	documents Pending
	now       func() time.Time
}

// pendingSessions is the text of a principal's document.
type pendingSessions struct {
	Pending []pendingSession `json:"pending"`
}

// pendingSession is one session: a prefix of its key, and the end of its wait.
type pendingSession struct {
	Session string    `json:"session"`
	Until   time.Time `json:"until"`
}

func keyPrefix(key string) string { return key[:16] }

func documentName(principalID string) string { return "consent/" + digest.Long(principalID) }

// add counts a session, or returns rate_limited with the time until the first
// pending session expires.
func (l pendingLimit) add(ctx context.Context, principalID, key string) error {
	return l.update(ctx, principalID, func(p *pendingSessions) error {
		if len(p.Pending) >= maxPending {
			return tooManyPending(p.Pending, l.now())
		}
		p.Pending = append(p.Pending, pendingSession{Session: keyPrefix(key), Until: l.now().Add(pendingFor)})
		return nil
	})
}

// remove stops counting a session. It is best effort: the entry expires soon.
func (l pendingLimit) remove(ctx context.Context, principalID, key string) {
	err := l.update(ctx, principalID, func(p *pendingSessions) error {
		p.Pending = slices.DeleteFunc(p.Pending, func(s pendingSession) bool { return s.Session == keyPrefix(key) })
		return nil
	})
	if err != nil {
		audit.From(ctx).Warn(audit.PendingSessionKept)
	}
}

func tooManyPending(all []pendingSession, now time.Time) error {
	first := slices.MinFunc(all, func(a, b pendingSession) int { return a.Until.Compare(b.Until) })
	return &problem.Error{Code: problem.RateLimited, RetryAfter: max(time.Second, first.Until.Sub(now)),
		Detail: fmt.Sprintf("you have %d pending consent sessions, which is the maximum; complete one or wait until one expires", maxPending)}
}

func (l pendingLimit) update(ctx context.Context, principalID string, change func(*pendingSessions) error) error {
	for range pendingAttempts {
		document, err := l.documents.ReadDocument(ctx, documentName(principalID))
		if err != nil {
			return unavailable("the list of pending consent sessions is unavailable", err)
		}
		p := l.parse(ctx, document)
		if err := change(&p); err != nil {
			return err
		}
		if document.Text, err = json.Marshal(p); err != nil {
			return internal(err)
		}
		_, err = l.documents.WriteDocument(ctx, document)
		if err == nil {
			return nil
		}
		if !errors.Is(err, tokenstore.ErrSuperseded) {
			return unavailable("the list of pending consent sessions is unavailable", err)
		}
	}
	return unavailable("too many consent sessions are being started at once", tokenstore.ErrSuperseded)
}

// parse returns the sessions that are still pending. A corrupt document counts
// as empty: refusing would lock the principal out for good, to protect a mere
// throttle.
func (l pendingLimit) parse(ctx context.Context, document tokenstore.Document) pendingSessions {
	var p pendingSessions
	if document.Version > 0 && json.Unmarshal(document.Text, &p) != nil {
		audit.From(ctx).Warn(audit.PendingLimitCorrupt)
		return pendingSessions{}
	}
	now := l.now()
	p.Pending = slices.DeleteFunc(p.Pending, func(s pendingSession) bool {
		// An end further away than a whole wait was written with a wrong clock.
		return !now.Before(s.Until) || s.Until.Sub(now) > pendingFor+time.Minute
	})
	return p
}

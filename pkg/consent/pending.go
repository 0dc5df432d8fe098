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

const (
	// maxPending is how many pending sessions a principal may have, maxPendingOf how
	// many for one connection and subject (AZ-31).
	maxPending, maxPendingOf = 500, 3
)

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

// pendingSession is one session: its key, a digest of its connection and subject,
// and the end of its wait. An entry of the former release has a prefix of the key
// and no digest.
type pendingSession struct {
	Session string    `json:"session"`
	Of      string    `json:"of,omitempty"`
	Until   time.Time `json:"until"`
}

// is reports whether s is the session of key.
func (s pendingSession) is(key string) bool { return s.Session == key || s.Session == key[:16] }

func documentName(principalID string) string { return "consent/" + digest.Long(principalID) }

// add counts a session. The keys of those of its connection and subject that are too
// many by then are returned, the oldest first, so that they can be ended; they count
// until they are removed. A principal with too many sessions is rate_limited until the
// first expires.
func (l pendingLimit) add(ctx context.Context, principalID, key string, p startParams) (former []string, err error) {
	of := digest.Short(string(p.Connection), string(p.Subject))
	err = l.update(ctx, principalID, func(all *pendingSessions) error {
		former = all.excess(of)
		if len(all.Pending)-len(former) >= maxPending {
			return tooManyPending(all.Pending, l.now())
		}
		all.Pending = append(all.Pending, pendingSession{Session: key, Of: of, Until: l.now().Add(pendingFor)})
		return nil
	})
	return former, err
}

// excess returns the keys of the oldest sessions of a connection and subject that have
// to end so that there is room for one more.
func (p *pendingSessions) excess(of string) []string {
	var same []string // in the order of their start
	for _, s := range p.Pending {
		if s.Of == of {
			same = append(same, s.Session)
		}
	}
	return same[:max(0, len(same)-maxPendingOf+1)]
}

// remove stops counting sessions. It is best effort: an entry expires soon, and one
// that is excess is removed by the next start.
func (l pendingLimit) remove(ctx context.Context, principalID string, keys ...string) {
	if len(keys) == 0 {
		return
	}
	err := l.update(ctx, principalID, func(p *pendingSessions) error {
		p.Pending = slices.DeleteFunc(p.Pending, func(s pendingSession) bool { return slices.ContainsFunc(keys, s.is) })
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

package consent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// maxPending is how many sessions of one principal may wait for a browser (AZ-31).
const maxPending = 20

// rosterTries is how often a roster is tried against others who change it too.
const rosterTries = 16

// roster counts the pending sessions of each principal. It is a throttle: a
// place is held until the session is over, or could not be pending any more.
type roster struct {
	notes Pending
	now   func() time.Time
}

// places is the text of a principal's roster.
type places struct {
	Pending []place `json:"pending"`
}

// place is one session: the beginning of its key, and the end of its wait.
type place struct {
	Session string    `json:"session"`
	Until   time.Time `json:"until"`
}

func placeOf(key string) string { return key[:16] }

func rosterName(principalID string) string { return "consent/" + digest(principalID)[:32] }

// enter takes a place, or is rate_limited until one becomes free.
func (r roster) enter(ctx context.Context, principalID, key string) error {
	return r.amend(ctx, principalID, func(p *places) error {
		if len(p.Pending) >= maxPending {
			return full(p.Pending, r.now())
		}
		p.Pending = append(p.Pending, place{Session: placeOf(key), Until: r.now().Add(pendingFor)})
		return nil
	})
}

// leave gives the place of a session back, as far as that can be done: it ends
// by itself before long.
func (r roster) leave(ctx context.Context, principalID, key string) {
	err := r.amend(ctx, principalID, func(p *places) error {
		p.Pending = slices.DeleteFunc(p.Pending, func(in place) bool { return in.Session == placeOf(key) })
		return nil
	})
	if err != nil {
		audit.From(ctx).Warn(audit.PendingSessionKept)
	}
}

func full(taken []place, now time.Time) error {
	first := slices.MinFunc(taken, func(a, b place) int { return a.Until.Compare(b.Until) })
	return &problem.Error{Code: problem.RateLimited, RetryAfter: max(time.Second, first.Until.Sub(now)),
		Detail: fmt.Sprintf("%d consent sessions that you started still wait for a browser; complete one, or wait until one expires", maxPending)}
}

func (r roster) amend(ctx context.Context, principalID string, change func(*places) error) error {
	for range rosterTries {
		note, err := r.notes.ReadDocument(ctx, rosterName(principalID))
		if err != nil {
			return unavailable("the roster of pending consents cannot be read", err)
		}
		p := r.parse(ctx, note)
		if err := change(&p); err != nil {
			return err
		}
		if note.Text, err = json.Marshal(p); err != nil {
			return internal(err)
		}
		_, err = r.notes.WriteDocument(ctx, note)
		if err == nil {
			return nil
		}
		if !errors.Is(err, tokenstore.ErrSuperseded) {
			return unavailable("the roster of pending consents cannot be written", err)
		}
	}
	return unavailable("too many consents are being started at once", tokenstore.ErrSuperseded)
}

// parse returns the places that are still taken. A text that cannot be
// understood counts as none: it would lock its principal out for good, and is
// no more than a throttle.
func (r roster) parse(ctx context.Context, note tokenstore.Document) places {
	var p places
	if note.Version > 0 && json.Unmarshal(note.Text, &p) != nil {
		audit.From(ctx).Warn(audit.PendingLimitCorrupt)
		return places{}
	}
	now := r.now()
	p.Pending = slices.DeleteFunc(p.Pending, func(in place) bool {
		// An end beyond a whole wait was written by no sound clock.
		return !now.Before(in.Until) || in.Until.Sub(now) > pendingFor+time.Minute
	})
	return p
}

package vending

import (
	"context"
	"encoding/base64"
	"errors"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// checkCallers tells how a valid declaration stands, with up to limit of its subjects.
func (d *Directory) checkCallers(ctx context.Context, conn connection.Connection, limit int, next string) (Status, error) {
	s := Status{Connection: string(conn.Name), Provider: conn.Provider, GrantType: conn.GrantType, State: Ready}
	// Who has just consented asks next how that came out: no replica may tell.
	item, err := d.store.Get(ctx, tokenstore.Key{Connection: string(conn.Name)}, conn.Delegated())
	switch {
	case errors.Is(err, tokenstore.ErrGrantCorrupt):
		audit.From(ctx).Warn(audit.GrantCorrupt)
		s.State, s.LastError = Failing, problem.InternalError
	case errors.Is(err, tokenstore.ErrCorrupt): // a miss: the next vend replaces it
		audit.From(ctx).Warn(audit.ItemCorrupt)
	case err != nil:
		return Status{}, unavailable(err)
	}
	if conn.Delegated() {
		return d.judgeDelegated(ctx, conn, item, s, page{limit, next})
	}
	if err == nil && item.Failure.Count > 0 && item.Failure.Cause == cause(item, conn) {
		s.State, s.LastError, s.NextAttemptAt = Failing, problem.Code(item.Failure.Code), item.Failure.NextAttemptAt
	}
	return s, nil
}

// page is a part of the subjects: up to limit after a cursor.
type page struct {
	limit int
	next  string
}

// judgeDelegated completes the status of a connection that acts for users. Its
// own state is that of its default subject; where nobody consented as that, the
// one among the others that needs a person most.
func (d *Directory) judgeDelegated(ctx context.Context, conn connection.Connection, own tokenstore.Item, s Status, p page) (Status, error) {
	after, err := decodeCursor(p.next)
	if err != nil {
		return Status{}, err
	}
	byDefault := consented(own) || s.State == Failing
	if byDefault && s.State != Failing {
		first := d.subject(string(connection.DefaultSubject), own, conn)
		s.State, s.LastError, s.NextAttemptAt = first.State, first.LastError, first.NextAttemptAt
		if p.next == "" {
			s.Subjects = append(s.Subjects, first)
		}
	}
	room := p.limit - len(s.Subjects)
	items, next, err := d.store.Subjects(ctx, string(conn.Name), max(room, 1), after)
	if err != nil {
		return Status{}, problem.Of(unavailable(err))
	}
	if room == 0 && len(items) > 0 {
		items, next = nil, firstPage // only looked for, to tell whether there is another page
	}
	for _, item := range items {
		if consented(item) || item.Version == 0 {
			s.Subjects = append(s.Subjects, d.subject(item.Key.Subject, item, conn))
		}
	}
	if !byDefault {
		s.State = worstState(s.Subjects)
	}
	s.Next = encodeCursor(next)
	return s, nil
}

// consented reports whether an item holds what a consent left behind. One that
// does not is what remains of a grant that was disconnected, or of an import
// that was refused: a subject of nobody's.
func consented(item tokenstore.Item) bool { return item.Grant.Fingerprint != "" || item.Token.ID != "" }

// worstState is the state that a person should look at first; nobody's consent at
// all is one that is required.
func worstState(subjects []SubjectStatus) State {
	if len(subjects) == 0 {
		return AuthorizationRequired
	}
	state := Ready
	for _, s := range subjects {
		if s.State == AuthorizationRequired || s.State == Failing && state == Ready {
			state = s.State
		}
	}
	return state
}

// subject tells how one grant stands.
func (d *Directory) subject(name string, item tokenstore.Item, conn connection.Connection) SubjectStatus {
	g, now := item.Grant, d.now()
	s := SubjectStatus{Subject: name, State: Ready, ConsentedBy: g.ConsentedBy, ConsentedAt: g.ConsentedAt, RenewBy: g.ExpiresAt}
	served := item.Token.ExpiresAt.After(now) && item.Token.ConfigHash == conn.ConfigHash
	over := !g.ExpiresAt.IsZero() && !g.ExpiresAt.After(now) && !served
	failed := item.Failure.Count > 0 && item.Failure.Cause == cause(item, conn)
	switch {
	case item.Version == 0:
		s.State, s.LastError = Failing, problem.InternalError
	case over || grantEnded(item, conn, now) || !granted(g, conn) && (g.Fingerprint != "" || !served):
		s.State = AuthorizationRequired
	case failed:
		s.State, s.LastError, s.NextAttemptAt = Failing, problem.Code(item.Failure.Code), item.Failure.NextAttemptAt
	}
	return s
}

// firstPage is a name that no subject has, for the page that begins with the first.
const firstPage = "-"

// A cursor of subjects is the last name of the page before.
func encodeCursor(name string) string { return base64.RawURLEncoding.EncodeToString([]byte(name)) }

func decodeCursor(next string) (string, error) {
	name, err := base64.RawURLEncoding.DecodeString(next)
	if err != nil {
		return "", badCursor(err)
	}
	if string(name) == firstPage {
		return "", nil
	}
	if _, err := connection.ParseSubject(string(name)); err != nil && next != "" {
		return "", badCursor(err)
	}
	return string(name), nil
}

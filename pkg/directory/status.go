package directory

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// State is the state of a connection or of one of its subjects.
type State string

// The states.
const (
	Ready                 State = "ready"
	AuthorizationRequired State = "authorization_required"
	Failing               State = "failing"
	Misconfigured         State = "misconfigured"
)

// Status is the state of a connection. It contains no secret and no token.
type Status struct {
	Connection, Provider string
	GrantType            connection.GrantType
	State                State
	// Problem says what is wrong with a misconfigured connection, and how to fix it;
	// of a failing one, what could not be used of the provider's response.
	Problem string
	// Warnings are the members of the provider's last response that depart from RFC
	// 6749, ExtraNames the names of what callers get besides the token; both sorted,
	// for a connection without subjects.
	Warnings, ExtraNames []string
	// LastError and NextAttemptAt describe a failing one.
	LastError     problem.Code
	NextAttemptAt time.Time
	// Subjects are the subjects of a delegated connection that have consented, one
	// page of them. Next is the cursor of the next page, empty on the last.
	Subjects []SubjectStatus
	Next     string
}

// SubjectStatus is the state of one subject of a delegated connection.
type SubjectStatus struct {
	Subject string
	State   State
	// ConsentedBy is the user who consented, where the provider says so. Access
	// never depends on it. ConsentedAt is when.
	ConsentedBy string
	ConsentedAt time.Time
	// RenewBy is the expiry of the refresh token, or of the access token after a
	// consent without a refresh token. A user has to consent again by then. Zero is
	// unknown.
	RenewBy time.Time
	// Problem, Warnings and ExtraNames are as in Status. A warning is also
	// no_refresh_token, of a token that is served to its end, and reported_dead, of one
	// without end that a caller has reported.
	Problem              string
	Warnings, ExtraNames []string
	// LastError and NextAttemptAt describe a failing one.
	LastError     problem.Code
	NextAttemptAt time.Time
}

// page is a part of the subjects: up to limit after a cursor, or none if only the
// state is needed.
type page struct {
	limit     int
	next      string
	stateOnly bool
}

// judgedSubjects is how many subjects decide the state of a connection in a list.
const judgedSubjects = 100

// status reports the state of a connection whose declaration is valid.
func (d *Directory) status(ctx context.Context, conn connection.Connection, p page) (Status, error) {
	s := Status{Connection: string(conn.Name), Provider: conn.Provider, GrantType: conn.GrantType, State: Ready}
	// The state is often asked for right after a consent: no replica may answer.
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
		return d.delegatedStatus(ctx, conn, item, s, p)
	}
	if err == nil && declaration.FailureApplies(item, conn) {
		s.State, s.LastError, s.NextAttemptAt = Failing, problem.Code(item.Failure.Code), item.Failure.NextAttemptAt
		s.Problem = item.Failure.Detail
	}
	s.Warnings, s.ExtraNames = item.Token.Departures, item.Token.ExtraNames
	return s, nil
}

// delegatedStatus completes the status of a delegated connection. Its state is
// that of its default subject. Without a consent of that one it is the state,
// among the other subjects, that most needs a user's or operator's attention.
func (d *Directory) delegatedStatus(ctx context.Context, conn connection.Connection, own tokenstore.Item, s Status, p page) (Status, error) {
	by, err := d.record(ctx, conn)
	if err != nil {
		return Status{}, err
	}
	byDefault := consented(own) || s.State == Failing
	var first []SubjectStatus
	if byDefault && s.State != Failing {
		own := d.subject(string(connection.DefaultSubject), own, conn, by)
		s.State, s.LastError, s.NextAttemptAt, s.Problem = own.State, own.LastError, own.NextAttemptAt, own.Problem
		first = []SubjectStatus{own}
	}
	if p.stateOnly {
		return d.withState(ctx, conn, by, s, byDefault)
	}
	if p.next == "" {
		s.Subjects = first
	}
	subjects, next, err := d.subjects(ctx, conn, by, p.limit-len(s.Subjects), p.next)
	if err != nil {
		return Status{}, err
	}
	s.Subjects, s.Next = append(s.Subjects, subjects...), next
	if !byDefault {
		s.State = worst(s.Subjects)
	}
	return s, nil
}

// withState completes a status without subjects. It reads them only if they decide
// the state.
func (d *Directory) withState(ctx context.Context, conn connection.Connection, by declaration.Record, s Status, byDefault bool) (Status, error) {
	if byDefault {
		return s, nil
	}
	subjects, _, err := d.subjects(ctx, conn, by, judgedSubjects, "")
	s.State = worst(subjects)
	return s, err
}

// subjects reads up to limit named subjects after a cursor, and the next cursor. A
// limit of zero reads only whether there is another page.
func (d *Directory) subjects(ctx context.Context, conn connection.Connection, by declaration.Record, limit int, cursor string) ([]SubjectStatus, string, error) {
	after, err := decodeCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	items, next, err := d.store.Subjects(ctx, string(conn.Name), max(limit, 1), after)
	if err != nil {
		return nil, "", unavailable(err)
	}
	if limit == 0 && len(items) > 0 {
		items, next = nil, beforeFirst
	}
	var found []SubjectStatus
	for _, item := range items {
		if consented(item) || item.Version == 0 {
			found = append(found, d.subject(item.Key.Subject, item, conn, by))
		}
	}
	return found, encodeCursor(next), nil
}

// consented reports whether an item holds the result of a consent. One that does
// not is left over from a grant that was disconnected or an import that was
// refused, and is no subject.
func consented(item tokenstore.Item) bool { return item.Grant.Fingerprint != "" || item.Token.ID != "" }

// worst is the state that needs attention first. Without any subject a consent
// is required.
func worst(subjects []SubjectStatus) State {
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

// record is the declaration record that decides which tokens are served. Without one
// that can be read, the declaration itself decides.
func (d *Directory) record(ctx context.Context, conn connection.Connection) (declaration.Record, error) {
	stored, err := d.store.ReadDeclarations(ctx, []string{string(conn.Name)}, true)
	if err != nil {
		return declaration.Record{}, unavailable(err)
	}
	if len(stored[0].Sealed) == 0 {
		return declaration.Of(conn), nil
	}
	text, err := d.sealer.Open(ctx, stored[0].Sealed, declaration.Identity(string(conn.Name))...)
	if errors.Is(err, seal.ErrUnavailable) {
		return declaration.Record{}, &problem.Error{Code: problem.StoreUnavailable, Cause: err, RetryAfter: time.Second,
			Detail: "the keyset of stored records cannot be read"}
	}
	r, decodeErr := declaration.Decode(text)
	if err != nil || decodeErr != nil || r.MintID == "" {
		return declaration.Of(conn), nil
	}
	return r, nil
}

// subject reports the state of one grant.
func (d *Directory) subject(name string, item tokenstore.Item, conn connection.Connection, by declaration.Record) SubjectStatus {
	g, now := item.Grant, d.now()
	s := SubjectStatus{Subject: name, State: Ready, ConsentedBy: g.ConsentedBy, ConsentedAt: g.ConsentedAt, RenewBy: g.ExpiresAt,
		Warnings: item.Token.Departures, ExtraNames: item.Token.ExtraNames}
	if g.Fingerprint == "" {
		s.ConsentedAt, s.RenewBy = item.Token.MintedAt, item.Token.ExpiresAt
		s.warn(audit.NoRefreshToken)
	}
	if len(declaration.ReportsOf(item)) > 0 {
		s.warn(audit.ReportedDead)
	}
	t := item.Token
	served := t.ExpiresAt.After(now) && by.Accepts(item.Key.Subject, t.MintID, t.ConfigHash, item.SecretIncarnation)
	over := !g.ExpiresAt.IsZero() && !g.ExpiresAt.After(now) && !served
	switch {
	case item.Version == 0:
		s.State, s.LastError = Failing, problem.InternalError
	case over || declaration.GrantEnded(item, conn, now) || !declaration.GrantUsable(g, conn) && (g.Fingerprint != "" || !served):
		s.State = AuthorizationRequired
	case declaration.FailureApplies(item, conn):
		s.State, s.LastError, s.NextAttemptAt = Failing, problem.Code(item.Failure.Code), item.Failure.NextAttemptAt
		s.Problem = item.Failure.Detail
	}
	return s
}

// warn adds a warning to those of the provider's response.
func (s *SubjectStatus) warn(w audit.Warning) {
	s.Warnings = append(slices.Clone(s.Warnings), string(w))
	slices.Sort(s.Warnings)
}

func unavailable(err error) error {
	return &problem.Error{Code: problem.StoreUnavailable, Cause: err, RetryAfter: time.Second,
		Detail: "the token table does not answer"}
}

package vending

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

// State is how a connection stands.
type State string

// The states.
const (
	Ready                 State = "ready"
	AuthorizationRequired State = "authorization_required"
	Failing               State = "failing"
	Misconfigured         State = "misconfigured"
)

// Status is what may be told of a connection. It holds no secret and no token.
type Status struct {
	Connection, Provider string
	GrantType            connection.GrantType
	State                State
	// Problem says what is wrong with a misconfigured connection, and how to mend it.
	Problem string
	// LastError and NextAttemptAt describe a failing one.
	LastError     problem.Code
	NextAttemptAt time.Time
	// Subjects are those of a delegated connection that somebody consented for, one
	// page of them, and Next is the cursor of the next page, empty on the last.
	Subjects []SubjectStatus
	Next     string
}

// SubjectStatus is how one subject of a delegated connection stands.
type SubjectStatus struct {
	Subject string
	State   State
	// ConsentedBy is who consented, where the provider says so; nothing decides
	// by it. ConsentedAt is when.
	ConsentedBy string
	ConsentedAt time.Time
	// RenewBy is when the refresh token ends, so that somebody has to consent
	// anew; zero is unknown.
	RenewBy time.Time
	// LastError and NextAttemptAt describe a failing one.
	LastError     problem.Code
	NextAttemptAt time.Time
}

// Lister lists secrets. Errors are those of clientsecret.
type Lister interface {
	// List returns up to limit secrets and the cursor of the next page, empty on the last.
	List(ctx context.Context, limit int, next string) ([]clientsecret.Entry, string, error)
}

// DirectoryConfig is what a Directory is made of.
type DirectoryConfig struct {
	Store   Reader
	Secrets Secrets
	Lister  Lister
	Parser  connection.Parser
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
}

// Directory tells which connections there are and how they stand. It is safe
// for concurrent use.
type Directory struct {
	declarations declarations
	store        Reader
	lister       Lister
	now          func() time.Time
}

// statusReads bounds how many items are read at once for one page.
const statusReads = 16

// NewDirectory returns a Directory.
func NewDirectory(c DirectoryConfig) *Directory {
	return &Directory{
		declarations: declarations{secrets: c.Secrets, parser: c.Parser},
		store:        c.Store, lister: c.Lister, now: wallClock(c.Now),
	}
}

// Status tells how one connection stands, with up to limit of its subjects after
// the cursor next. A misconfigured one has a status; one that does not exist is
// a *problem.Error, as is every other error.
func (d *Directory) Status(ctx context.Context, name connection.Name, limit int, next string) (Status, error) {
	conn, err := d.declarations.load(ctx, name, false)
	if problem.Is(err, problem.ConnectionMisconfigured) {
		return misconfigured(string(name), errors.Unwrap(err)), nil
	}
	if err != nil {
		return Status{}, problem.Of(err)
	}
	if next != "" && !conn.Delegated() {
		return Status{}, badCursor(nil)
	}
	return d.checkCallers(ctx, conn, limit, next)
}

// List returns up to limit statuses in the source's order, and the cursor of
// the next page, empty on the last. Every error is a *problem.Error.
func (d *Directory) List(ctx context.Context, limit int, next string) ([]Status, string, error) {
	at, err := parsePosition(next)
	if err != nil {
		return nil, "", err
	}
	var found []connection.Entry
	for len(found) < limit && !at.end {
		var more []connection.Entry
		if more, at, err = d.page(ctx, limit-len(found), at); err != nil {
			return nil, "", err
		}
		found = append(found, more...)
	}
	statuses, err := d.judgeAll(ctx, found)
	return statuses, at.String(), err
}

// position is where a listing goes on: after the first Skip connections of the
// page of secrets that begins at Cursor. A bundle can outgrow a page.
type position struct {
	Cursor string `json:"c,omitempty"`
	Skip   int    `json:"s,omitempty"`
	end    bool
}

func parsePosition(next string) (position, error) {
	var at position
	if next == "" {
		return at, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(next)
	if err == nil {
		err = json.Unmarshal(text, &at)
	}
	if err != nil || at.Skip < 0 || at == (position{}) {
		return position{}, badCursor(err)
	}
	return at, nil
}

func badCursor(err error) error {
	return &problem.Error{Code: problem.InvalidRequest, Cause: err,
		Detail: "next is not a cursor that a listing returned; start again without it"}
}

// String is the cursor handed out; empty at the end.
func (p position) String() string {
	if p.end {
		return ""
	}
	text, err := json.Marshal(p)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// page expands one secret after the other until limit connections are found.
// Secrets are read one page of at most limit at a time.
func (d *Directory) page(ctx context.Context, limit int, at position) ([]connection.Entry, position, error) {
	secrets, cursor, err := d.lister.List(ctx, limit, at.Cursor)
	if err != nil {
		return nil, at, listProblem(err)
	}
	var found []connection.Entry
	for _, s := range secrets {
		found = append(found, d.expand(s)...)
	}
	skip := min(at.Skip, len(found))
	if found = found[skip:]; len(found) > limit {
		return found[:limit], position{Cursor: at.Cursor, Skip: skip + limit}, nil
	}
	// A smaller page than the one that was cut may end before the cut.
	return found, position{Cursor: cursor, Skip: at.Skip - skip, end: cursor == ""}, nil
}

func (d *Directory) expand(s clientsecret.Entry) []connection.Entry {
	if s.Err != nil {
		return []connection.Entry{{Name: s.Name, Err: s.Err}}
	}
	return d.declarations.parser.Expand(s.Secret)
}

func listProblem(err error) error {
	if errors.Is(err, clientsecret.ErrBadCursor) {
		return badCursor(err)
	}
	return &problem.Error{Code: problem.StoreUnavailable, Cause: err, RetryAfter: time.Second,
		Detail: "the connections' secrets cannot be listed now"}
}

// judgeAll completes what was found with what the table knows.
func (d *Directory) judgeAll(ctx context.Context, found []connection.Entry) ([]Status, error) {
	statuses := make([]Status, len(found))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(statusReads)
	for i, f := range found {
		if f.Err != nil {
			statuses[i] = misconfigured(f.Name, f.Err)
			continue
		}
		g.Go(func() (err error) {
			statuses[i], err = d.checkCallers(ctx, f.Connection, subjectsPage, "")
			return err
		})
	}
	return statuses, g.Wait()
}

func misconfigured(name string, err error) Status {
	return Status{Connection: name, State: Misconfigured, Problem: err.Error()}
}

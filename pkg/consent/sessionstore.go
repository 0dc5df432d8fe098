package consent

import (
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// book reads and writes records. Its errors are *problem.Error.
type book struct {
	sessions Sessions
	rand     io.Reader
}

// amendments is how often a change is tried against those of others. A session
// has few: each browser that leaves, its answer, and three wrong codes.
const amendments = 8

// create writes a new session.
func (b book) create(ctx context.Context, key string, r record) error {
	return bookProblem(b.write(ctx, tokenstore.Session{ID: key}, r))
}

// open reads a session.
func (b book) open(ctx context.Context, key string) (record, error) {
	_, r, err := b.read(ctx, key)
	return r, err
}

// amend changes a session in one conditional write. When somebody else was
// faster, change is asked again about the session as it stands then; its error
// is returned, and nothing is written.
func (b book) amend(ctx context.Context, key string, change func(*record) error) (record, error) {
	for range amendments {
		s, r, err := b.read(ctx, key)
		if err == nil {
			err = change(&r)
		}
		if err != nil {
			return record{}, err
		}
		err = b.write(ctx, s, r)
		if !errors.Is(err, tokenstore.ErrSuperseded) {
			return r, bookProblem(err)
		}
	}
	return record{}, unavailable("the consent session is being changed by others all the time", tokenstore.ErrSuperseded)
}

func (b book) read(ctx context.Context, key string) (tokenstore.Session, record, error) {
	s, err := b.sessions.Session(ctx, key)
	switch {
	case errors.Is(err, tokenstore.ErrCorrupt):
		audit.From(ctx).Warn(audit.SessionCorrupt)
		return s, record{}, gone("this consent session cannot be read")
	case err != nil:
		return s, record{}, bookProblem(err)
	case s.Version == 0:
		return s, record{}, gone("there is no such consent session, or not any more")
	}
	r, err := parseRecord(s.Text)
	switch {
	case errors.Is(err, errSchema):
		audit.From(ctx).Warn(audit.SessionSchemaUnknown)
		return s, record{}, gone("this consent session was started by another release of the service")
	case err != nil:
		audit.From(ctx).Warn(audit.SessionCorrupt)
		return s, record{}, gone("this consent session cannot be read")
	}
	return s, r, nil
}

func (b book) write(ctx context.Context, s tokenstore.Session, r record) (err error) {
	if r.Writing, err = drawWord(b.rand); err != nil {
		return err
	}
	if s.Text, err = json.Marshal(r); err != nil {
		return err
	}
	s.DeleteAfter = r.sweepAt()
	_, err = b.sessions.WriteSession(ctx, s)
	return err
}

func bookProblem(err error) error {
	switch p := (*problem.Error)(nil); {
	case err == nil, errors.As(err, &p):
		return err
	case errors.Is(err, errRandom):
		return internal(err)
	}
	return unavailable("the table of consent sessions does not answer", err)
}

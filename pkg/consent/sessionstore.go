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

// sessionStore reads and writes session records. Its errors are *problem.Error.
type sessionStore struct {
	sessions Sessions
	rand     io.Reader
}

// updateAttempts bounds the retries of a conditional write. A session has few
// writers: up to four browsers, the response, and three wrong codes.
const updateAttempts = 8

// create writes a new session.
func (s sessionStore) create(ctx context.Context, key string, r record) error {
	return storeError(s.write(ctx, tokenstore.Session{ID: key}, r))
}

// get reads a session.
func (s sessionStore) get(ctx context.Context, key string) (record, error) {
	_, r, err := s.read(ctx, key)
	return r, err
}

// update changes a session in one conditional write. If another writer was
// faster, it reads the session again and repeats change. An error of change is
// returned and nothing is written.
func (s sessionStore) update(ctx context.Context, key string, change func(*record) error) (record, error) {
	for range updateAttempts {
		stored, r, err := s.read(ctx, key)
		if err == nil {
			err = change(&r)
		}
		if err != nil {
			return record{}, err
		}
		err = s.write(ctx, stored, r)
		if !errors.Is(err, tokenstore.ErrSuperseded) {
			return r, storeError(err)
		}
	}
	return record{}, unavailable("too many concurrent changes of this consent session", tokenstore.ErrSuperseded)
}

func (s sessionStore) read(ctx context.Context, key string) (tokenstore.Session, record, error) {
	stored, err := s.sessions.Session(ctx, key)
	switch {
	case errors.Is(err, tokenstore.ErrCorrupt):
		audit.From(ctx).Warn(audit.SessionCorrupt)
		return stored, record{}, sessionExpired("this consent session is unreadable")
	case err != nil:
		return stored, record{}, storeError(err)
	case stored.Version == 0:
		return stored, record{}, sessionExpired("no such consent session exists")
	}
	r, err := parseRecord(stored.Text)
	switch {
	case errors.Is(err, errSchema):
		audit.From(ctx).Warn(audit.SessionSchemaUnknown)
		return stored, record{}, sessionExpired("this consent session was started by another release of the service")
	case err != nil:
		audit.From(ctx).Warn(audit.SessionCorrupt)
		return stored, record{}, sessionExpired("this consent session is unreadable")
	}
	return stored, r, nil
}

func (s sessionStore) write(ctx context.Context, stored tokenstore.Session, r record) (err error) {
	if r.WriteID, err = newID(s.rand); err != nil {
		return err
	}
	if stored.Text, err = json.Marshal(r); err != nil {
		return err
	}
	stored.DeleteAfter = r.deleteAfter()
	_, err = s.sessions.WriteSession(ctx, stored)
	return err
}

func storeError(err error) error {
	switch p := (*problem.Error)(nil); {
	case err == nil, errors.As(err, &p):
		return err
	case errors.Is(err, errRandom):
		return internal(err)
	}
	return unavailable("the table of consent sessions is unavailable", err)
}

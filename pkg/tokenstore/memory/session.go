package memory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Session reads a consent session; a missing session has Version 0.
func (s *Store) Session(ctx context.Context, id string) (tokenstore.Session, error) {
	if err := s.check(ctx, "read session"); err != nil {
		return tokenstore.Session{ID: id}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	session := s.sessions[id]
	session.ID, session.Text = id, slices.Clone(session.Text)
	return session, nil
}

// WriteSession replaces the session of that version. Repeating the same write
// succeeds.
func (s *Store) WriteSession(ctx context.Context, session tokenstore.Session) (tokenstore.Session, error) {
	if err := s.check(ctx, "write session"); err != nil {
		return tokenstore.Session{ID: session.ID}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	current := s.sessions[session.ID]
	next := tokenstore.Session{
		ID: session.ID, Version: session.Version + 1, Text: slices.Clone(session.Text),
		DeleteAfter: time.Unix(session.DeleteAfter.Unix(), 0).UTC(),
	}
	alreadyApplied := current.Version == next.Version && slices.Equal(current.Text, next.Text)
	if current.Version != session.Version && !alreadyApplied {
		return tokenstore.Session{ID: session.ID}, fmt.Errorf("write session: %w", tokenstore.ErrSuperseded)
	}
	s.sessions[session.ID] = next
	next.Text = slices.Clone(next.Text)
	return next, nil
}

package memory

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Session reads a session; one that does not exist has Version 0.
func (s *Store) Session(ctx context.Context, id string) (tokenstore.Session, error) {
	if err := alive(ctx, "read session"); err != nil {
		return tokenstore.Session{ID: id}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	session := s.sessions[id]
	session.ID, session.Text = id, slices.Clone(session.Text)
	return session, nil
}

// WriteSession replaces a session of that version. Writing the same again succeeds.
func (s *Store) WriteSession(ctx context.Context, session tokenstore.Session) (tokenstore.Session, error) {
	if err := alive(ctx, "write session"); err != nil {
		return tokenstore.Session{ID: session.ID}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stands := s.sessions[session.ID]
	next := tokenstore.Session{
		ID: session.ID, Version: session.Version + 1, Text: slices.Clone(session.Text),
		SweepAt: time.Unix(session.SweepAt.Unix(), 0).UTC(),
	}
	landed := stands.Version == next.Version && slices.Equal(stands.Text, next.Text)
	if stands.Version != session.Version && !landed {
		return tokenstore.Session{ID: session.ID}, fmt.Errorf("write session: %w", tokenstore.ErrSuperseded)
	}
	s.sessions[session.ID] = next
	next.Text = slices.Clone(next.Text)
	return next, nil
}

package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Sessions is everything that a store of consent sessions implements.
type Sessions interface {
	Session(ctx context.Context, id string) (tokenstore.Session, error)
	WriteSession(ctx context.Context, s tokenstore.Session) (tokenstore.Session, error)
}

// RunSessions runs the suite of sessions. No two tests share an id.
func RunSessions(t *testing.T, open func(t *testing.T) Sessions) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s Sessions)
	}{
		{"a session that does not exist has no version", missingSession},
		{"each write increments the version, and only the current one is accepted", sessionVersions},
		{"CR-36 the same write repeated succeeds once", repeatedSession},
		{"FI-43 of 50 writers one succeeds", sessionRace},
		{"two sessions are independent", sessionsApart},
		{"ended context", sessionEndedContext},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func sessionID(t *testing.T) string { return key(t).Connection }

func session(t *testing.T, s Sessions, id string) tokenstore.Session {
	t.Helper()
	got, err := s.Session(t.Context(), id)
	if err != nil {
		t.Fatalf("Session: %v", err)
	}
	return got
}

func missingSession(t *testing.T, s Sessions) {
	diff(t, "session", tokenstore.Session{ID: sessionID(t)}, session(t, s, sessionID(t)))
}

func sessionVersions(t *testing.T, s Sessions) {
	current := tokenstore.Session{ID: sessionID(t)}
	for i := range 3 {
		current.Text, current.DeleteAfter = []byte{0, byte(i)}, start.Add(time.Duration(i)*time.Hour)
		want := current
		want.Version, want.DeleteAfter = int64(i+1), current.DeleteAfter.Truncate(time.Second).UTC()
		written, err := s.WriteSession(t.Context(), current)
		if err != nil {
			t.Fatalf("WriteSession: %v", err)
		}
		diff(t, "written", want, written)
		diff(t, "stored", want, session(t, s, want.ID))
		current = written
	}
	for _, version := range []int64{0, 1, 2, 4} {
		stale := tokenstore.Session{ID: current.ID, Version: version, Text: []byte("stale"), DeleteAfter: start}
		if _, err := s.WriteSession(t.Context(), stale); !errors.Is(err, tokenstore.ErrSuperseded) {
			t.Errorf("WriteSession at version %d: %v, want ErrSuperseded", version, err)
		}
	}
	diff(t, "stored", current, session(t, s, current.ID))
	current.Text[0] = 'x'
	diff(t, "a returned value is the caller's", []byte{0, 2}, session(t, s, current.ID).Text)
}

func repeatedSession(t *testing.T, s Sessions) {
	w := tokenstore.Session{ID: sessionID(t), Text: []byte("x"), DeleteAfter: start}
	for range 2 {
		if got, err := s.WriteSession(t.Context(), w); err != nil || got.Version != 1 {
			t.Errorf("WriteSession: version %d, %v, want 1", got.Version, err)
		}
	}
}

func sessionRace(t *testing.T, s Sessions) {
	succeeded := 0
	for _, err := range race(50, func(i int) error {
		_, err := s.WriteSession(t.Context(), tokenstore.Session{ID: sessionID(t), Text: fmt.Append(nil, i), DeleteAfter: start})
		return err
	}) {
		if err == nil {
			succeeded++
		} else if !errors.Is(err, tokenstore.ErrSuperseded) {
			t.Errorf("WriteSession: %v, want ErrSuperseded", err)
		}
	}
	if succeeded != 1 {
		t.Errorf("%d succeeded, want 1", succeeded)
	}
}

func sessionsApart(t *testing.T, s Sessions) {
	for _, suffix := range []string{"a", "b"} {
		w := tokenstore.Session{ID: sessionID(t) + suffix, Text: []byte(suffix), DeleteAfter: start}
		if _, err := s.WriteSession(t.Context(), w); err != nil {
			t.Fatalf("WriteSession: %v", err)
		}
	}
	diff(t, "first", []byte("a"), session(t, s, sessionID(t)+"a").Text)
}

func sessionEndedContext(t *testing.T, s Sessions) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, readErr := s.Session(ctx, sessionID(t))
	_, writeErr := s.WriteSession(ctx, tokenstore.Session{ID: sessionID(t), Text: []byte("x"), DeleteAfter: start})
	for _, err := range []error{readErr, writeErr} {
		if !errors.Is(err, tokenstore.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want ErrUnavailable because the context was canceled", err)
		}
	}
	diff(t, "session", tokenstore.Session{ID: sessionID(t)}, session(t, s, sessionID(t)))
}

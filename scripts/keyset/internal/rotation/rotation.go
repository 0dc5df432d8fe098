package rotation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/prompt"
	"github.com/tokenvend/tokenvend/scripts/internal/secretwriter"
)

const (
	// settles is how long a new key waits before anything is sealed with it.
	// Whoever meets an unknown key fetches the keyset anew; the time is for that
	// fetch never to be answered with the version before.
	settles = 5 * time.Minute
	// forgotten is how long an execution environment may go on sealing with the
	// key that was primary when it started. Lambda ends them within some hours.
	forgotten = 24 * time.Hour
)

// Rotation works on one keyset. Every field is required unless it says otherwise.
type Rotation struct {
	Editor secretwriter.Editor
	// Secret is the keyset's name or ARN.
	Secret string
	// Seals counts what is stored under each key; nil for a keyset that seals
	// nothing that is stored.
	Seals func(ctx context.Context) (map[string]Use, error)
	// Now is the wall clock, and Rand secure randomness; nil means crypto/rand.
	Now   func() time.Time
	Rand  io.Reader
	Asker *prompt.Asker
	Out   io.Writer
}

// state is the keyset as it is.
type state struct {
	keyset
	version secretwriter.Version
	// age is how long ago it was changed.
	age time.Duration
}

func (r Rotation) read(ctx context.Context) (state, error) {
	version, err := r.Editor.Read(ctx, r.Secret)
	if err != nil {
		return state{}, fmt.Errorf("the keyset: %w", err)
	}
	keys, err := parse(ctx, version.Text)
	return state{keyset: keys, version: version, age: r.Now().Sub(version.MadeAt)}, err
}

// write replaces the keyset by another that the service takes.
func (r Rotation) write(ctx context.Context, before state, after keyset) error {
	if err := judge(ctx, after.text()); err != nil {
		return err
	}
	return r.Editor.Replace(ctx, before.version, after.text())
}

// Status tells of each key.
func (r Rotation) Status(ctx context.Context) error {
	s, err := r.read(ctx)
	if err != nil {
		return err
	}
	uses, err := r.uses(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.Out, "changed %s ago\n", s.age.Round(time.Second))
	for _, id := range s.ids() {
		fmt.Fprintf(r.Out, "  %-4s %s%s\n", id, s.role(id), stored(uses, id))
	}
	return nil
}

func (s state) role(id string) string {
	switch id {
	case s.primary():
		return "primary"
	case s.waiting():
		return "to become primary"
	}
	return "opens what it sealed"
}

func stored(uses map[string]Use, id string) string {
	if uses == nil {
		return ""
	}
	return fmt.Sprintf("; seals %d items", uses[id].Items)
}

func (r Rotation) uses(ctx context.Context) (map[string]Use, error) {
	if r.Seals == nil {
		return nil, nil
	}
	return r.Seals(ctx)
}

// Rotate does the step that is due: adds a key, or makes the one that was added
// primary. With again it begins another rotation although one has just ended.
func (r Rotation) Rotate(ctx context.Context, again bool) error {
	s, err := r.read(ctx)
	if err != nil {
		return err
	}
	switch waiting := s.waiting(); {
	case waiting != "" && s.age < settles:
		return r.later(fmt.Sprintf("%s becomes primary after a while", waiting), settles-s.age)
	case waiting != "":
		return r.promote(ctx, s, waiting)
	case s.age < forgotten && !again:
		fmt.Fprintf(r.Out, "Nothing is due: the keyset was changed %s ago, and %s is primary. -again begins another rotation all the same.\n",
			s.age.Round(time.Second), s.primary())
		return nil
	}
	return r.add(ctx, s)
}

// ErrEarly says that the next step is not due yet.
var ErrEarly = errors.New("it is too early")

func (r Rotation) later(what string, in time.Duration) error {
	return fmt.Errorf("%w: %s; run this again in %s", ErrEarly, what, in.Round(time.Second))
}

func (r Rotation) add(ctx context.Context, s state) error {
	id := s.next()
	if err := r.Asker.Agree("Add the key " + id + "?"); err != nil {
		return err
	}
	after, err := s.withKey(id, r.Rand)
	if err != nil {
		return err
	}
	if err := r.write(ctx, s, after); err != nil {
		return fmt.Errorf("add a key: %w", err)
	}
	fmt.Fprintf(r.Out, "%s is added. Run this again in %s to make it primary.\n", id, settles)
	return nil
}

func (r Rotation) promote(ctx context.Context, s state, id string) error {
	if err := r.Asker.Agree("Seal with " + id + " from now on?"); err != nil {
		return err
	}
	if err := r.write(ctx, s, s.with(primaryMember, id)); err != nil {
		return fmt.Errorf("make %s primary: %w", id, err)
	}
	fmt.Fprintf(r.Out, "%s is primary. What older keys sealed is sealed anew when it is next written; they stay until you drop them, in %s at the earliest.\n", id, forgotten)
	return nil
}

// ErrNeeded says that a key may still be needed.
var ErrNeeded = errors.New("the key stays")

// Drop takes a key away that nothing is sealed with, and nothing will be.
func (r Rotation) Drop(ctx context.Context, id string) error {
	s, err := r.read(ctx)
	if err != nil {
		return err
	}
	if err := s.mayDrop(id); err != nil {
		return err
	}
	uses, err := r.uses(ctx)
	if err != nil {
		return fmt.Errorf("look for what it sealed: %w", err)
	}
	if use := uses[id]; use.Items > 0 {
		return fmt.Errorf("%w: %d items are sealed with it (%s). They are sealed anew when they are next written; of a grant that nobody refreshes any more, have somebody consent again, or disconnect it",
			ErrNeeded, use.Items, strings.Join(use.Examples, ", "))
	}
	if err := r.Asker.Type("Nothing that is sealed with "+id+" can be read any more, should there be a copy of the table.", id); err != nil {
		return err
	}
	if err := r.write(ctx, s, s.without(id)); err != nil {
		return fmt.Errorf("drop %s: %w", id, err)
	}
	fmt.Fprintf(r.Out, "%s is dropped; the version before stays readable in Secrets Manager as AWSPREVIOUS until the next change.\n", id)
	return nil
}

func (s state) mayDrop(id string) error {
	switch {
	case !s.has(id):
		return fmt.Errorf("the keyset has no key %q", id)
	case id == s.primary():
		return fmt.Errorf("%w: it is primary", ErrNeeded)
	case id == s.waiting():
		return fmt.Errorf("%w: it is to become primary", ErrNeeded)
	case s.age < forgotten:
		return fmt.Errorf("%w: the keyset was changed %s ago, and functions that started before may seal with it until %s have passed",
			ErrNeeded, s.age.Round(time.Second), forgotten)
	}
	return nil
}

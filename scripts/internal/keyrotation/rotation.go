package keyrotation

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
	// promoteAfter is how long a new key waits before it becomes primary. A function
	// that meets an unknown key reads the keyset again; the wait ensures that this
	// read does not return the previous version.
	promoteAfter = 5 * time.Minute
	// dropAfter is how long an execution environment may seal with the key that was
	// primary when it started. Lambda ends environments within hours.
	dropAfter = 24 * time.Hour
)

var (
	// ErrTooEarly says that the next step is not due yet.
	ErrTooEarly = errors.New("too early")
	// ErrKeyNeeded says that a key may still be needed.
	ErrKeyNeeded = errors.New("the key is not dropped")
)

// Rotation works on one keyset. Every field is required unless it says otherwise.
type Rotation struct {
	Editor secretwriter.Editor
	// Secret is the name or ARN of the keyset's secret.
	Secret string
	// Uses counts the stored items that each key seals. It is nil for a keyset that
	// seals nothing in the table.
	Uses func(ctx context.Context) (map[string]Use, error)
	// Now is the wall clock, and Rand secure randomness; nil means crypto/rand.
	Now    func() time.Time
	Rand   io.Reader
	Prompt *prompt.Prompt
	Out    io.Writer
}

// state is the keyset as read.
type state struct {
	keyset
	version secretwriter.Version
	// age is the time since its last change.
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

// write replaces the keyset, if the service accepts the new one.
func (r Rotation) write(ctx context.Context, before state, after keyset) error {
	if err := validate(ctx, after.text()); err != nil {
		return err
	}
	return r.Editor.Replace(ctx, before.version, after.text())
}

func (r Rotation) uses(ctx context.Context) (map[string]Use, error) {
	if r.Uses == nil {
		return nil, nil //nolint:nilnil // nothing is counted
	}
	return r.Uses(ctx)
}

// Rotate does the step that is due: it adds a key, or makes the added key primary.
// With again it adds a key even if the last rotation has just ended.
func (r Rotation) Rotate(ctx context.Context, again bool) error {
	s, err := r.read(ctx)
	if err != nil {
		return err
	}
	switch waiting := s.waiting(); {
	case waiting != "" && s.age < promoteAfter:
		return fmt.Errorf("%w: %s can become primary in %s; run this again then", ErrTooEarly, waiting, (promoteAfter - s.age).Round(time.Second))
	case waiting != "":
		return r.promote(ctx, s, waiting)
	case s.age < dropAfter && !again:
		fmt.Fprintf(r.Out, "Nothing is due: the keyset was changed %s ago, and %s is primary. Use --again to start another rotation now.\n",
			s.age.Round(time.Second), s.primary())
		return nil
	}
	return r.add(ctx, s)
}

func (r Rotation) add(ctx context.Context, s state) error {
	id := s.next()
	if err := r.Prompt.Confirm(ctx, "Add the key "+id+"?"); err != nil {
		return err
	}
	after, err := s.withKey(id, r.Rand)
	if err != nil {
		return err
	}
	if err := r.write(ctx, s, after); err != nil {
		return fmt.Errorf("add a key: %w", err)
	}
	fmt.Fprintf(r.Out, "%s is added. Run this again in %s to make it primary.\n", id, promoteAfter)
	return nil
}

func (r Rotation) promote(ctx context.Context, s state, id string) error {
	if err := r.Prompt.Confirm(ctx, "Make "+id+" the primary key?"); err != nil {
		return err
	}
	if err := r.write(ctx, s, s.with(primaryMember, id)); err != nil {
		return fmt.Errorf("make %s primary: %w", id, err)
	}
	fmt.Fprintf(r.Out, "%s is primary. Stored items are sealed with it when they are next written. Older keys stay until you drop them, in %s at the earliest.\n", id, dropAfter)
	return nil
}

// Drop removes a key that seals nothing and will seal nothing.
func (r Rotation) Drop(ctx context.Context, id string) error {
	s, err := r.read(ctx)
	if err != nil {
		return err
	}
	if err := s.checkDrop(id); err != nil {
		return err
	}
	uses, err := r.uses(ctx)
	if err != nil {
		return fmt.Errorf("count the items that it seals: %w", err)
	}
	if use := uses[id]; use.Items > 0 {
		return fmt.Errorf("%w: it seals %d items (%s). Items are sealed again when they are next written; for a grant that is no longer refreshed, have a user consent again, or disconnect it",
			ErrKeyNeeded, use.Items, strings.Join(use.Examples, ", "))
	}
	if err := r.Prompt.ConfirmName(ctx, "Whatever "+id+" seals becomes unreadable, for example in a backup of the table.", id); err != nil {
		return err
	}
	if err := r.write(ctx, s, s.without(id)); err != nil {
		return fmt.Errorf("drop %s: %w", id, err)
	}
	fmt.Fprintf(r.Out, "%s is dropped. The previous version stays in Secrets Manager as AWSPREVIOUS until the next change.\n", id)
	return nil
}

func (s state) checkDrop(id string) error {
	switch {
	case !s.has(id):
		return fmt.Errorf("the keyset has no key %q", id)
	case id == s.primary():
		return fmt.Errorf("%w: it is primary", ErrKeyNeeded)
	case id == s.waiting():
		return fmt.Errorf("%w: it is about to become primary", ErrKeyNeeded)
	case s.age < dropAfter:
		return fmt.Errorf("%w: the keyset was changed %s ago, and functions that started before that may seal with it for %s",
			ErrKeyNeeded, s.age.Round(time.Second), dropAfter)
	}
	return nil
}

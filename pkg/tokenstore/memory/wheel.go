package memory

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// duePage is how many keys one page of a slot has.
const duePage = 100

// Due returns some keys of a slot, and the cursor of the rest, empty at the end.
func (s *Store) Due(ctx context.Context, slot, next string) ([]tokenstore.Key, string, error) {
	if err := alive(ctx, "find due"); err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var due []tokenstore.Key
	for key, item := range s.items {
		if slot != "" && item.RenewSlot == slot && position(key) > next {
			due = append(due, key)
		}
	}
	slices.SortFunc(due, func(a, b tokenstore.Key) int { return strings.Compare(position(a), position(b)) })
	if len(due) <= duePage {
		return due, "", nil
	}
	return due[:duePage], position(due[duePage-1]), nil
}

func position(key tokenstore.Key) string {
	return key.Connection + "/" + key.Subject + "/" + key.Variant
}

// Reslot moves an item from one slot to another, if it is still in the first.
func (s *Store) Reslot(ctx context.Context, key tokenstore.Key, from, to string) error {
	if err := alive(ctx, "move slot"); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if item := s.read(key); from != "" && item.RenewSlot == from {
		item.RenewSlot = to
		s.write(item)
	}
	return nil
}

// ReadNote reads a note; one that does not exist has Version 0.
func (s *Store) ReadNote(ctx context.Context, name string) (tokenstore.Note, error) {
	if err := alive(ctx, "read note"); err != nil {
		return tokenstore.Note{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	note := s.notes[name]
	note.Name, note.Text = name, slices.Clone(note.Text)
	return note, nil
}

// WriteNote replaces a note of that version. Writing the same again succeeds.
func (s *Store) WriteNote(ctx context.Context, n tokenstore.Note) (tokenstore.Note, error) {
	if err := alive(ctx, "write note"); err != nil {
		return tokenstore.Note{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stands := s.notes[n.Name]
	if stands.Version != n.Version && !(stands.Version == n.Version+1 && slices.Equal(stands.Text, n.Text)) {
		return tokenstore.Note{}, fmt.Errorf("write note: %w", tokenstore.ErrSuperseded)
	}
	n.Version++
	n.Text = slices.Clone(n.Text)
	s.notes[n.Name] = n
	return n, nil
}

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

// slots is the renewal index: what is due is found without looking at what is
// not, as in a table. The places of a slot are in order and none is empty.
type slots map[string][]place

// place is one item of a slot. Its position is also the cursor after it.
type place struct {
	position string
	key      tokenstore.Key
}

// move takes a key from one slot to another; no slot is the empty one.
func (s slots) move(key tokenstore.Key, from, to string) {
	if from == to {
		return
	}
	at := position(key)
	if i, found := s.find(from, at); found {
		s[from] = slices.Delete(s[from], i, i+1)
		if len(s[from]) == 0 {
			delete(s, from)
		}
	}
	if to == "" {
		return
	}
	i, _ := s.find(to, at)
	s[to] = slices.Insert(s[to], i, place{position: at, key: key})
}

// find is where a position stands in a slot, or would.
func (s slots) find(slot, position string) (int, bool) {
	return slices.BinarySearchFunc(s[slot], position, func(p place, position string) int {
		return strings.Compare(p.position, position)
	})
}

// page is what follows next in a slot, at most duePage keys.
func (s slots) page(slot, next string) (keys []tokenstore.Key, more string) {
	from, exact := s.find(slot, next)
	if exact {
		from++
	}
	rest := s[slot][from:]
	if len(rest) > duePage {
		rest, more = rest[:duePage], rest[duePage-1].position
	}
	for _, p := range rest {
		keys = append(keys, p.key)
	}
	return keys, more
}

func position(key tokenstore.Key) string {
	return key.Connection + "/" + key.Subject + "/" + key.Variant
}

// Due returns some keys of a slot, and the cursor of the rest, empty at the end.
func (s *Store) Due(ctx context.Context, slot, next string) ([]tokenstore.Key, string, error) {
	if err := alive(ctx, "find due"); err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	keys, more := s.slots.page(slot, next)
	return keys, more, nil
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

// ReadDocument reads a note; one that does not exist has Version 0.
func (s *Store) ReadDocument(ctx context.Context, name string) (tokenstore.Document, error) {
	if err := alive(ctx, "read note"); err != nil {
		return tokenstore.Document{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	note := s.notes[name]
	note.Name, note.Text = name, slices.Clone(note.Text)
	return note, nil
}

// WriteDocument replaces a note of that version. Writing the same again succeeds.
func (s *Store) WriteDocument(ctx context.Context, n tokenstore.Document) (tokenstore.Document, error) {
	if err := alive(ctx, "write note"); err != nil {
		return tokenstore.Document{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	stands := s.notes[n.Name]
	if stands.Version != n.Version && !(stands.Version == n.Version+1 && slices.Equal(stands.Text, n.Text)) {
		return tokenstore.Document{}, fmt.Errorf("write note: %w", tokenstore.ErrSuperseded)
	}
	n.Version++
	n.Text = slices.Clone(n.Text)
	s.notes[n.Name] = n
	return n, nil
}

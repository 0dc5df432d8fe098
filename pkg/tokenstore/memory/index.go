package memory

import (
	"context"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// duePage is the number of keys in one page of a slot.
const duePage = 100

// slots is the renewal index. As in a table, finding the due items does not read
// the others. The entries of a slot are sorted, and no slot is empty.
type slots map[string][]slotEntry

// slotEntry is one item of a slot. Its position is also the cursor after it.
type slotEntry struct {
	position string
	key      tokenstore.Key
}

// move moves a key from one slot to another. The empty string is no slot.
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
	s[to] = slices.Insert(s[to], i, slotEntry{position: at, key: key})
}

// find returns the index of a position in a slot, or the index at which to insert it.
func (s slots) find(slot, position string) (int, bool) {
	return slices.BinarySearchFunc(s[slot], position, func(e slotEntry, position string) int {
		return strings.Compare(e.position, position)
	})
}

// page returns at most duePage keys of a slot, beginning after next, and the cursor
// of the page after it.
func (s slots) page(slot, next string) (keys []tokenstore.Key, more string) {
	from, exact := s.find(slot, next)
	if exact {
		from++
	}
	rest := s[slot][from:]
	if len(rest) > duePage {
		rest, more = rest[:duePage], rest[duePage-1].position
	}
	for _, e := range rest {
		keys = append(keys, e.key)
	}
	return keys, more
}

func position(key tokenstore.Key) string {
	return key.Connection + "/" + key.Subject + "/" + key.Variant
}

// Due returns one page of the keys of a slot, and the cursor of the next page, empty
// at the end.
func (s *Store) Due(ctx context.Context, slot, next string) ([]tokenstore.Key, string, error) {
	if err := s.check(ctx, "find due"); err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	keys, more := s.slots.page(slot, next)
	return keys, more, nil
}

// Reslot moves an item from one slot to another if it is still in the first.
func (s *Store) Reslot(ctx context.Context, key tokenstore.Key, from, to string) error {
	if err := s.check(ctx, "move slot"); err != nil {
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

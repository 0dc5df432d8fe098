package memory

import (
	"context"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// StoreGrant stores grant and token of a new consent, fenced by the version, and
// replaces any stored grant. It ends the lease if a.Owner has it. A repeated call
// succeeds and changes nothing.
func (s *Store) StoreGrant(ctx context.Context, a tokenstore.StoreGrant) (tokenstore.Item, error) {
	if err := s.check(ctx, "store grant"); err != nil {
		return tokenstore.Item{Key: a.Key}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	item := s.read(a.Key)
	switch {
	case a.AlreadyApplied(item):
		return item, nil
	case item.Version != a.Version:
		return item, tokenstore.ErrSuperseded
	}
	return s.write(tokenstore.Item{
		Key: a.Key, Version: item.Version + 1, SecretIncarnation: a.SecretIncarnation, Token: a.Token, Grant: a.Grant,
		RenewSlot: a.RenewSlot, Lease: released(item.Lease, a.Owner), Variants: item.Variants,
	}), nil
}

// Subjects returns up to limit items of a connection's named subjects, in the
// order of their names, beginning after the name after. The second result is the
// after of the next page, empty on the last. Items that were never committed are
// omitted.
func (s *Store) Subjects(ctx context.Context, connection string, limit int, after string) ([]tokenstore.Item, string, error) {
	if err := s.check(ctx, "list subjects"); err != nil {
		return nil, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var items []tokenstore.Item
	for key, item := range s.items {
		if key.Connection == connection && key.Subject > after && key.Variant == "" && item.Version > 0 {
			items = append(items, clone(item))
		}
	}
	slices.SortFunc(items, func(a, b tokenstore.Item) int { return strings.Compare(a.Key.Subject, b.Key.Subject) })
	if limit = max(limit, 1); len(items) <= limit {
		return items, "", nil
	}
	return items[:limit], items[limit-1].Key.Subject, nil
}

// newAttempt returns the mark of a's use of the item's refresh token.
func newAttempt(item tokenstore.Item, a tokenstore.Acquire) tokenstore.RefreshAttempt {
	return tokenstore.RefreshAttempt{
		Fingerprint: item.Grant.Fingerprint, Attempt: a.Owner, StartedAt: a.Now, Before: item.RefreshAttempt.Fingerprint,
	}
}

// cleared returns no mark if owner wrote it, and the mark otherwise.
func cleared(mark tokenstore.RefreshAttempt, owner string) tokenstore.RefreshAttempt {
	if mark.Attempt != owner {
		return mark
	}
	return tokenstore.RefreshAttempt{}
}

package storetest

import (
	"context"
	"errors"
	"maps"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Throttled is a store, with its sessions, that refuses every request because it has
// too many.
type Throttled interface {
	Store
	Sessions
}

// RunThrottled checks that every operation of a throttled store returns
// ErrThrottled. A caller that took the store for unavailable would bypass it, as
// would the rest of the fleet (CR-31).
func RunThrottled(t *testing.T, s Throttled) {
	calls := leaseCalls(s, key(t))
	maps.Copy(calls, editCalls(s, key(t)))
	maps.Copy(calls, otherCalls(s, key(t)))
	maps.Copy(calls, declarationCalls(s, key(t)))
	for name, call := range calls {
		t.Run("CR-31 "+name, func(t *testing.T) {
			err := call(t.Context())
			if !errors.Is(err, tokenstore.ErrThrottled) || !errors.Is(err, tokenstore.ErrUnavailable) {
				t.Errorf("%v, want ErrThrottled", err)
			}
			ended, cancel := context.WithCancel(t.Context())
			cancel()
			if err := call(ended); !errors.Is(err, tokenstore.ErrUnavailable) || !errors.Is(err, context.Canceled) {
				t.Errorf("%v, want ErrUnavailable because the context was canceled", err)
			}
		})
	}
}

type calls map[string]func(context.Context) error

func leaseCalls(s Store, k tokenstore.Key) calls {
	return calls{
		"Get":            func(ctx context.Context) error { _, err := s.Get(ctx, k, false); return err },
		"Get consistent": func(ctx context.Context) error { _, err := s.Get(ctx, k, true); return err },
		"Acquire":        func(ctx context.Context) error { _, err := s.Acquire(ctx, acquire(k, "owner", start)); return err },
		"Commit": func(ctx context.Context) error {
			_, err := s.Commit(ctx, committed(k, "owner", 1, "token_1"))
			return err
		},
		"StoreGrant": func(ctx context.Context) error {
			_, err := s.StoreGrant(ctx, tokenstore.StoreGrant{Key: k, Now: start})
			return err
		},
		"Fail":    func(ctx context.Context) error { return s.Fail(ctx, failed(k, "owner", 1)) },
		"Release": func(ctx context.Context) error { return s.Release(ctx, tokenstore.Release{Key: k, Owner: "owner"}) },
	}
}

func editCalls(s Store, k tokenstore.Key) calls {
	return calls{
		"Reject": func(ctx context.Context) error {
			_, err := s.Reject(ctx, tokenstore.Reject{Key: k, Version: 1, TokenID: "token_1"})
			return err
		},
		"Drop": func(ctx context.Context) error {
			_, err := s.Drop(ctx, tokenstore.Drop{Key: k, Now: start})
			return err
		},
		"MarkUsed": func(ctx context.Context) error { return s.MarkUsed(ctx, k, 1) },
		"SetForcedRefreshes": func(ctx context.Context) error {
			return s.SetForcedRefreshes(ctx, k, nil, []tokenstore.ForcedRefresh{{At: start}})
		},
		"AddVariant":    func(ctx context.Context) error { return s.AddVariant(ctx, k, "variant") },
		"RemoveVariant": func(ctx context.Context) error { return s.RemoveVariant(ctx, k, "variant") },
	}
}

func otherCalls(s Throttled, k tokenstore.Key) calls {
	return calls{
		"Subjects":     func(ctx context.Context) error { _, _, err := s.Subjects(ctx, k.Connection, 10, ""); return err },
		"Due":          func(ctx context.Context) error { _, _, err := s.Due(ctx, "slot", ""); return err },
		"Reslot":       func(ctx context.Context) error { return s.Reslot(ctx, k, "from", "to") },
		"ReadDocument": func(ctx context.Context) error { _, err := s.ReadDocument(ctx, "cursor"); return err },
		"WriteDocument": func(ctx context.Context) error {
			_, err := s.WriteDocument(ctx, tokenstore.Document{Name: "cursor"})
			return err
		},
		"Session": func(ctx context.Context) error { _, err := s.Session(ctx, k.Connection); return err },
		"WriteSession": func(ctx context.Context) error {
			_, err := s.WriteSession(ctx, tokenstore.Session{ID: k.Connection, DeleteAfter: start})
			return err
		},
	}
}

package seal_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
)

// source is a source of the keyset that counts its fetches. Each fetch waits until
// gate has a value or is closed; with a nil gate it does not wait.
type source struct {
	gate chan struct{}

	mu      sync.Mutex
	text    string
	err     error
	fetches int
}

func (s *source) fetch(ctx context.Context) (redact.Secret, error) {
	if s.gate != nil {
		select {
		case <-ctx.Done():
			return redact.Secret{}, ctx.Err()
		case <-s.gate:
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetches++
	return redact.New(s.text), s.err
}

func (s *source) set(text string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text, s.err = text, err
}

func (s *source) want(t *testing.T, fetches int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fetches != fetches {
		t.Errorf("%d fetches of the keyset, want %d", s.fetches, fetches)
	}
}

func TestKeysetIsFetchedOnce(t *testing.T) {
	src := &source{text: oneKey}
	s := seal.New(seal.Config{Keyset: src.fetch})
	src.want(t, 0)
	if err := s.Prefetch(t.Context()); err != nil {
		t.Fatalf("Prefetch: %v", err)
	}
	for range 3 {
		sealed := mustSeal(t, s, "token_1", identity...)
		if _, err := s.Open(t.Context(), sealed, identity...); err != nil {
			t.Fatalf("Open: %v", err)
		}
	}
	src.want(t, 1)
}

func TestKeysetIsFetchedOnceForManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{text: oneKey, gate: make(chan struct{})}
		s := seal.New(seal.Config{Keyset: src.fetch})
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { mustSeal(t, s, "token_1", identity...) })
		}
		synctest.Wait()
		close(src.gate)
		all.Wait()
		src.want(t, 1)
	})
}

func TestKeysetFailureIsRetriedAtNextUse(t *testing.T) {
	broken := errors.New("the source is down")
	src := &source{err: broken}
	s := seal.New(seal.Config{Keyset: src.fetch})
	_, err := s.Seal(t.Context(), []byte("token_1"), identity...)
	wantUnavailable(t, "FI-36 Seal", err)
	if !errors.Is(err, broken) {
		t.Errorf("Seal: %v, want the source's error within", err)
	}
	src.set(`{"primary":"k1"}`, nil)
	wantUnavailable(t, "FI-36 Prefetch of a bad keyset", s.Prefetch(t.Context()))
	src.set(oneKey, nil)
	mustSeal(t, s, "token_1", identity...)
	src.want(t, 3)
}

// A caller that gives up does not wait for the fetch, and does not fail it for others.
func TestKeysetCallersGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{text: oneKey, gate: make(chan struct{})}
		s := seal.New(seal.Config{Keyset: src.fetch})
		prefetch := func(limit time.Duration) <-chan error {
			result := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), limit)
				defer cancel()
				result <- s.Prefetch(ctx)
			}()
			synctest.Wait()
			return result
		}
		leader, hasty, patient := prefetch(2*time.Second), prefetch(time.Second), prefetch(time.Minute)
		for name, cancelled := range map[string]<-chan error{"follower": hasty, "leader": leader} {
			err := <-cancelled
			wantUnavailable(t, name, err)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v, want its own deadline", name, err)
			}
		}
		close(src.gate)
		if err := <-patient; err != nil {
			t.Errorf("the patient follower: %v", err)
		}
		src.want(t, 1)
	})
}

func TestKeysetFetchThatPanicsBlocksNoCaller(t *testing.T) {
	calls := 0
	s := seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) {
		if calls++; calls == 1 {
			panic("in the source")
		}
		return redact.New(oneKey), nil
	}})
	func() {
		defer func() { _ = recover() }()
		_ = s.Prefetch(t.Context())
	}()
	if err := s.Prefetch(t.Context()); err != nil {
		t.Errorf("Prefetch: %v", err)
	}
}

// clock is a wall clock that a test sets.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func TestUnknownKey(t *testing.T) {
	sealed := mustSeal(t, sealer(rotated), "token_1", identity...)
	begin := func(t *testing.T) (*seal.Sealer, *source, *clock) {
		src, clk := &source{text: oneKey}, &clock{at: time.Unix(1767323045, 0)}
		s := seal.New(seal.Config{Keyset: src.fetch, Now: clk.now})
		if err := s.Prefetch(t.Context()); err != nil {
			t.Fatalf("Prefetch: %v", err)
		}
		return s, src, clk
	}
	t.Run("FI-36 is found in a fresh keyset", func(t *testing.T) {
		s, src, _ := begin(t)
		src.set(rotated, nil)
		for range 2 {
			if opened, err := s.Open(t.Context(), sealed, identity...); err != nil || string(opened) != "token_1" {
				t.Errorf("Open: %q, %v", opened, err)
			}
		}
		src.want(t, 2)
	})
	t.Run("FI-36 is searched for once a minute, and stays unavailable", func(t *testing.T) {
		s, src, clk := begin(t)
		for _, step := range []struct {
			after   time.Duration
			fetches int
		}{{0, 2}, {59 * time.Second, 2}, {time.Second, 3}, {0, 3}} {
			clk.at = clk.at.Add(step.after)
			_, err := s.Open(t.Context(), sealed, identity...)
			wantUnavailable(t, "Open", err)
			src.want(t, step.fetches)
		}
	})
	t.Run("CR-10 a clock set back does not end the search", func(t *testing.T) {
		s, src, clk := begin(t)
		_, err := s.Open(t.Context(), sealed, identity...)
		wantUnavailable(t, "Open", err)
		clk.at = clk.at.Add(-time.Hour)
		src.set(rotated, nil)
		if _, err := s.Open(t.Context(), sealed, identity...); err != nil {
			t.Errorf("Open: %v", err)
		}
	})
	t.Run("FI-36 a search that failed does not count, and the held keyset stays", func(t *testing.T) {
		s, src, _ := begin(t)
		for _, bad := range []struct {
			text string
			err  error
		}{{"", errors.New("the source is down")}, {"{}", nil}} {
			src.set(bad.text, bad.err)
			_, err := s.Open(t.Context(), sealed, identity...)
			wantUnavailable(t, "Open", err)
			mustSeal(t, s, "token_1", identity...)
		}
		src.set(rotated, nil)
		if _, err := s.Open(t.Context(), sealed, identity...); err != nil {
			t.Errorf("Open: %v", err)
		}
	})
	t.Run("FI-36 garbage with a new key id each time cannot overload the source", func(t *testing.T) {
		s, src, _ := begin(t)
		for i := range 500 {
			id := fmt.Sprintf("k%03d", i)
			garbage := append([]byte{1, byte(len(id))}, id+"0123456789ab0123456789abcdef"...)
			_, err := s.Open(t.Context(), garbage, identity...)
			wantUnavailable(t, "Open", err)
		}
		src.want(t, 1+8)
	})
}

func TestUnknownKeyIsSearchedForOnceByManyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sealed := mustSeal(t, sealer(rotated), "token_1", identity...)
		src := &source{text: oneKey, gate: make(chan struct{}, 1)}
		src.gate <- struct{}{}
		s := seal.New(seal.Config{Keyset: src.fetch})
		if err := s.Prefetch(t.Context()); err != nil {
			t.Fatalf("Prefetch: %v", err)
		}
		src.set(rotated, nil)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if _, err := s.Open(t.Context(), sealed, identity...); err != nil {
					t.Errorf("Open: %v", err)
				}
			})
		}
		synctest.Wait()
		close(src.gate)
		all.Wait()
		src.want(t, 2)
	})
}

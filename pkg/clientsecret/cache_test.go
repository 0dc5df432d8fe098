package clientsecret_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
)

// numbered is a source that counts its reads: the version id is the number of the read.
type numbered struct {
	mu    sync.Mutex
	reads int
	err   error
	// during runs within a read, after it got its number.
	during func(read int)
}

func (n *numbered) Load(_ context.Context, name string, _ clientsecret.Stage, _ bool) (clientsecret.Secret, error) {
	n.mu.Lock()
	n.reads++
	read, err, during := n.reads, n.err, n.during
	n.mu.Unlock()
	if during != nil {
		during(read)
	}
	return clientsecret.Secret{Name: name, VersionID: fmt.Sprint(read)}, err
}

// fixture is a cache in front of a numbered source, with an adjustable clock.
type fixture struct {
	*clientsecret.Cache
	source *numbered
	now    time.Time
}

func newFixture(maxSecrets int) *fixture {
	s := &fixture{source: &numbered{}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	s.Cache = clientsecret.NewCache(clientsecret.CacheConfig{
		Source: s.source, Now: func() time.Time { return s.now }, MaxSecrets: maxSecrets,
	})
	return s
}

func (s *fixture) expect(t *testing.T, name string, fresh bool, version string) {
	t.Helper()
	secret, err := s.Load(t.Context(), name, clientsecret.Current, fresh)
	if err != nil || secret.VersionID != version || secret.Name != name {
		t.Errorf("%s: got read %s of %q (%v), want read %s", name, secret.VersionID, secret.Name, err, version)
	}
}

func TestCacheAge(t *testing.T) {
	tests := []struct {
		name string
		step time.Duration
		want string
	}{
		{"CR-22 cached for a minute", 60*time.Second - 1, "1"},
		{"CR-22 and no longer", 60 * time.Second, "2"},
		{"CR-11 a clock set back makes the age unknown", -time.Second, "2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newFixture(0)
			s.expect(t, "crm", false, "1")
			s.now = s.now.Add(test.step)
			s.expect(t, "crm", false, test.want)
		})
	}
}

func TestCacheAgeCountsFromTheStartOfTheRead(t *testing.T) {
	s := newFixture(0)
	s.source.during = func(int) { s.now = s.now.Add(40 * time.Second) }
	s.expect(t, "crm", false, "1")
	s.now = s.now.Add(20 * time.Second)
	s.expect(t, "crm", false, "2")
}

func TestCacheMaxAgeNeverExceedsAMinute(t *testing.T) {
	s := newFixture(0)
	c := clientsecret.NewCache(clientsecret.CacheConfig{
		Source: s.source, Now: func() time.Time { return s.now }, MaxAge: time.Hour,
	})
	for _, want := range []string{"1", "2"} {
		secret, err := c.Load(t.Context(), "crm", clientsecret.Current, false)
		if err != nil || secret.VersionID != want {
			t.Errorf("CR-22: got read %s, want %s (%v)", secret.VersionID, want, err)
		}
		s.now = s.now.Add(time.Minute)
	}
}

func TestCacheFreshBypassesAndReplaces(t *testing.T) {
	s := newFixture(0)
	s.expect(t, "crm", false, "1")
	s.expect(t, "crm", true, "2")
	s.expect(t, "crm", false, "2")
}

func TestCachePreviousIsNotCached(t *testing.T) {
	s := newFixture(0)
	for _, want := range []string{"1", "2"} {
		secret, err := s.Load(t.Context(), "crm", clientsecret.Previous, false)
		if err != nil || secret.VersionID != want {
			t.Errorf("got read %s, want %s (%v)", secret.VersionID, want, err)
		}
	}
	s.expect(t, "crm", false, "3")
}

func TestCacheFailures(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string // the read that answers once the source is available again
	}{
		{"CR-22 an unavailable source keeps the cached secret", clientsecret.ErrUnavailable, "1"},
		{"CR-22 a deleted secret is dropped", clientsecret.ErrNotFound, "3"},
		{"FI-34 a secret that may not be read keeps the cached one", clientsecret.ErrUnreadable, "1"},
		{"FI-35 a secret without a text is dropped", clientsecret.ErrNoText, "3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newFixture(0)
			s.expect(t, "crm", false, "1")
			s.source.err = fmt.Errorf("crm: %w", test.err)
			if _, err := s.Load(t.Context(), "crm", clientsecret.Current, true); !errors.Is(err, test.err) {
				t.Fatalf("got %v", err)
			}
			s.source.err = nil
			s.expect(t, "crm", false, test.want)
		})
	}
}

func TestCacheFailuresAreNotCached(t *testing.T) {
	s := newFixture(0)
	s.source.err = clientsecret.ErrNotFound
	if _, err := s.Load(t.Context(), "crm", clientsecret.Current, false); !errors.Is(err, clientsecret.ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	s.source.err = nil
	s.expect(t, "crm", false, "2")
}

// A slow read begins before the secret changes and ends after a fresh read has
// seen the change: its result is outdated.
func TestCacheSlowReadDoesNotReplaceAFreshOne(t *testing.T) {
	s := newFixture(0)
	s.source.during = func(read int) {
		if read == 1 {
			s.expect(t, "crm", true, "2")
		}
	}
	s.expect(t, "crm", false, "1")
	s.expect(t, "crm", false, "2")
}

func TestCacheIsBounded(t *testing.T) {
	s := newFixture(2)
	s.expect(t, "a", false, "1")
	s.expect(t, "b", false, "2")
	s.expect(t, "b", true, "3") // needs no eviction
	s.expect(t, "a", false, "1")
	s.expect(t, "c", false, "4") // evicts the oldest, a
	s.expect(t, "b", false, "3")
	s.expect(t, "c", false, "4")
	s.expect(t, "a", false, "5")
}

func TestCacheConcurrentUse(t *testing.T) {
	s := newFixture(2)
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			for j := range 50 {
				name := string(rune('a' + (i+j)%4))
				secret, err := s.Load(context.Background(), name, clientsecret.Current, j%5 == 0)
				if err != nil || secret.Name != name {
					t.Errorf("%s: got %q, %v", name, secret.Name, err)
				}
			}
		})
	}
	wait.Wait()
}

func TestConcurrentCallersShareARead(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
	}{
		{"CR-22 of a secret", nil},
		{"CR-22 and of an error", clientsecret.ErrUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newFixture(0)
				s.source.err = test.err
				answered := make(chan struct{})
				s.source.during = func(int) { <-answered }
				var wg sync.WaitGroup
				for range 100 {
					wg.Go(func() {
						if _, err := s.Load(t.Context(), "crm", clientsecret.Current, false); !errors.Is(err, test.err) {
							t.Errorf("got %v, want %v", err, test.err)
						}
					})
				}
				synctest.Wait()
				close(answered)
				wg.Wait()
				if s.source.reads != 1 {
					t.Errorf("%d reads for 100 callers", s.source.reads)
				}
			})
		})
	}
}

func TestWaitingCallerMayLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFixture(0)
		answered := make(chan struct{})
		s.source.during = func(int) { <-answered }
		first, second := make(chan error), make(chan error)
		began, give := context.WithCancel(t.Context())
		go func() {
			_, err := s.Load(began, "crm", clientsecret.Current, false)
			first <- err
		}()
		synctest.Wait()
		waits, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := s.Load(waits, "crm", clientsecret.Current, false)
			second <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-second; !errors.Is(err, clientsecret.ErrUnavailable) {
			t.Errorf("the caller that left got %v", err)
		}
		give() // other callers may still wait for the result
		close(answered)
		if err := <-first; err != nil {
			t.Errorf("the read ended with its first caller: %v", err)
		}
	})
}

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

// numbered is a source whose answers count: the version id is the number of the read.
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

// setup is a cache in front of a numbered source, and a clock to turn.
type setup struct {
	*clientsecret.Cache
	source *numbered
	now    time.Time
}

func newSetup(maxSecrets int) *setup {
	s := &setup{source: &numbered{}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	s.Cache = clientsecret.NewCache(clientsecret.CacheConfig{
		Source: s.source, Now: func() time.Time { return s.now }, MaxSecrets: maxSecrets,
	})
	return s
}

func (s *setup) expect(t *testing.T, name string, fresh bool, version string) {
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
		{"CR-22 kept for a minute", 60*time.Second - 1, "1"},
		{"CR-22 and no longer", 60 * time.Second, "2"},
		{"CR-11 a clock set back makes the age unknown", -time.Second, "2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSetup(0)
			s.expect(t, "crm", false, "1")
			s.now = s.now.Add(test.step)
			s.expect(t, "crm", false, test.want)
		})
	}
}

func TestCacheAgeCountsFromTheStartOfTheRead(t *testing.T) {
	s := newSetup(0)
	s.source.during = func(int) { s.now = s.now.Add(40 * time.Second) }
	s.expect(t, "crm", false, "1")
	s.now = s.now.Add(20 * time.Second)
	s.expect(t, "crm", false, "2")
}

func TestCacheMaxAgeNeverExceedsAMinute(t *testing.T) {
	s := newSetup(0)
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

func TestCacheFreshGoesPastAndReplaces(t *testing.T) {
	s := newSetup(0)
	s.expect(t, "crm", false, "1")
	s.expect(t, "crm", true, "2")
	s.expect(t, "crm", false, "2")
}

func TestCachePreviousIsNotKept(t *testing.T) {
	s := newSetup(0)
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
		want string // the read that answers once the source is well again
	}{
		{"CR-22 an unavailable source leaves what is kept", clientsecret.ErrUnavailable, "1"},
		{"CR-22 a deleted secret is dropped", clientsecret.ErrNotFound, "3"},
		{"FI-35 an unreadable secret is dropped", clientsecret.ErrUnreadable, "3"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newSetup(0)
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

func TestCacheFailuresAreNotRemembered(t *testing.T) {
	s := newSetup(0)
	s.source.err = clientsecret.ErrNotFound
	if _, err := s.Load(t.Context(), "crm", clientsecret.Current, false); !errors.Is(err, clientsecret.ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	s.source.err = nil
	s.expect(t, "crm", false, "2")
}

// A slow read began before the secret changed and ends after a fresh read saw
// the change: what it brings is out of date.
func TestCacheSlowReadDoesNotUndoAFreshOne(t *testing.T) {
	s := newSetup(0)
	s.source.during = func(read int) {
		if read == 1 {
			s.expect(t, "crm", true, "2")
		}
	}
	s.expect(t, "crm", false, "1")
	s.expect(t, "crm", false, "2")
}

func TestCacheIsBounded(t *testing.T) {
	s := newSetup(2)
	s.expect(t, "a", false, "1")
	s.expect(t, "b", false, "2")
	s.expect(t, "b", true, "3") // takes no room
	s.expect(t, "a", false, "1")
	s.expect(t, "c", false, "4") // the oldest, a, makes room
	s.expect(t, "b", false, "3")
	s.expect(t, "c", false, "4")
	s.expect(t, "a", false, "5")
}

func TestCacheConcurrentUse(t *testing.T) {
	s := newSetup(2)
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

func TestCallersAtOnceShareARead(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
	}{
		{"CR-22 of an answer", nil},
		{"CR-22 and of a failure", clientsecret.ErrUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSetup(0)
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

func TestAWaitingCallerMayGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSetup(0)
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
			t.Errorf("who gave up got %v", err)
		}
		give() // the others may still want the answer
		close(answered)
		if err := <-first; err != nil {
			t.Errorf("the read ended with its first caller: %v", err)
		}
	})
}

// Package renewals measures how the renewer keeps many tokens fresh: an ordinary
// day, a burst of renewals, and the first tick after an outage.
//
// Core and renewer are the ones that ship; the table, the secrets and the
// provider are in memory. All time is that of package time, so a caller runs
// the measurements in a testing/synctest bubble, where a day takes seconds.
package renewals

import (
	"context"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/assembly"
	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

const (
	caller = "arn:aws:iam::111122223333:role/app"
	// usesPerLifetime is how often a token is asked for on average.
	usesPerLifetime = 4
)

// service is the composed service, with its secrets and callers. Connection
// number n declares client number n of a provider.
type service struct {
	connections int
	lifetime    func(n int) time.Duration
	hosts       int
	cores       []*vending.Core // one for each execution environment of the vend function
	renewer     *renewal.Renewer
	provider    *provider

	mu               sync.Mutex
	loads, pages     int
	served, unserved int
	failed           map[string]int
}

// newService composes the service over a table. lifetime is that of each
// connection's tokens, and connections are spread over the hosts evenly.
func newService(t assembly.Store, connections, hosts int, lifetime func(n int) time.Duration) *service {
	s := &service{connections: connections, lifetime: lifetime, hosts: hosts, failed: map[string]int{}}
	s.provider = newProvider(lifetime)
	parts := assembly.Service{
		Store: t, Secrets: secrets{service: s}, CacheSecrets: true, Provider: s.provider, Sealer: newSealer(),
		Audit: audit.NewWriter(audit.Config{Output: io.Discard}),
	}
	const environments = 8
	for range environments {
		s.cores = append(s.cores, parts.Core())
	}
	s.renewer = parts.Renewer(parts.Core())
	return s
}

func newSealer() *seal.Sealer {
	keyset := redact.New(`{"primary":"k1","k1":"a key that only these simulations use"}`)
	return seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) { return keyset, nil }})
}

// call requests every connection's token until ctx ends, at independent random
// times and in random execution environments. wait returns when the callers have
// ended.
func (s *service) call(ctx context.Context) (wait func()) {
	var callers sync.WaitGroup
	for n := range s.connections {
		callers.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(n))) //nolint:gosec // a seed
			mean := s.lifetime(n) / usesPerLifetime
			for pause(ctx, min(time.Duration(random.ExpFloat64()*float64(mean)), s.lifetime(n))) {
				s.vend(ctx, s.cores[random.IntN(len(s.cores))], n)
			}
		})
	}
	return callers.Wait
}

func (s *service) vend(ctx context.Context, core *vending.Core, n int) {
	_, err := core.Vend(ctx, vending.Request{Connection: connection.Name(secretName(n)), Caller: caller})
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.served++
	} else if ctx.Err() == nil {
		s.unserved++
	}
}

// ticks invokes the renewer in every minute of a span.
func (s *service) ticks(ctx context.Context, span time.Duration) {
	for range int(span / time.Minute) {
		pause(ctx, time.Minute)
		s.tick(ctx)
	}
}

func (s *service) tick(ctx context.Context) audit.Run {
	run := s.renewer.Tick(ctx)
	for code, n := range run.Failed {
		s.failed[code] += n
	}
	return run
}

// pause reports false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Package cast plays everybody the service deals with: providers that issue
// tokens, the source of connections' secrets, and the service's own execution
// environments, composed of the real core and the real renewer.
package cast

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Clock is the time that everybody lives in.
type Clock interface {
	Now() time.Time
	Wait(ctx context.Context, d time.Duration) error
}

// Store is what an execution environment asks of the table.
type Store interface {
	vending.Store
	renewal.Index
	renewal.Notes
}

// Environment is where one function runs: ports to the outside, and a clock.
type Environment struct {
	Clock   Clock
	Store   Store
	Secrets Secrets
	Minter  vending.Minter
	// Rand makes lease owners and jitter; safe for concurrent use.
	Rand io.Reader
	// Sealer is shared by all environments of one deployment.
	Sealer *seal.Sealer
	// Egress is where providers may be; the zero policy is in public.
	Egress egress.Policy
}

// Secrets is a source of secrets.
type Secrets interface {
	clientsecret.Loader
	renewal.Versions
}

// Core composes the core as the functions do, with their cache of secrets.
func (e Environment) Core() *vending.Core {
	return vending.New(vending.Config{
		Store:   patient{e.Store},
		Secrets: clientsecret.NewCache(clientsecret.CacheConfig{Source: e.Secrets, Now: e.Clock.Now}),
		Parser:  connection.Parser{Egress: e.Egress},
		Minter:  e.Minter, Revoker: noRevocation{}, Sealer: e.Sealer,
		Now: e.Clock.Now, Wait: e.Clock.Wait, Rand: e.Rand,
	})
}

// Renewer composes the renewer as the renew function does.
func (e Environment) Renewer() *renewal.Renewer {
	return renewal.New(renewal.Config{
		Core: e.Core(), Index: e.Store, Notes: e.Store, Versions: e.Secrets, Now: e.Clock.Now,
		Audit: audit.NewWriter(audit.Config{Output: io.Discard, Now: e.Clock.Now}),
	})
}

// patient is a store whose writes after a refresh take no real time: the
// deadlines that the core sets them are of the machine's clock, and a busy
// machine would miss them where the simulated one has not moved.
type patient struct{ vending.Store }

func (s patient) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	return s.Store.Commit(context.WithoutCancel(ctx), c)
}

func (s patient) Fail(ctx context.Context, f tokenstore.Fail) error {
	return s.Store.Fail(context.WithoutCancel(ctx), f)
}

func (s patient) Release(ctx context.Context, r tokenstore.Release) error {
	return s.Store.Release(context.WithoutCancel(ctx), r)
}

// noRevocation stands where no provider has a revocation endpoint.
type noRevocation struct{}

func (noRevocation) Revoke(context.Context, oauth.Revocation) error { return nil }

// NewSealer returns a sealer of a keyset that is always at hand.
func NewSealer() *seal.Sealer {
	keyset := redact.New(`{"primary":"k1","k1":"a key of a simulation and nothing else"}`)
	return seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) { return keyset, nil }})
}

// Dice are seeded randomness that is safe for concurrent use.
type Dice struct {
	mu     sync.Mutex
	stream *rand.ChaCha8
	rand   *rand.Rand
}

// NewDice returns the dice of a seed.
func NewDice(seed uint64) *Dice {
	var key [32]byte
	copy(key[:], fmt.Sprintf("%032d", seed))
	stream := rand.NewChaCha8(key)
	return &Dice{stream: stream, rand: rand.New(stream)}
}

// Read fills p; it never fails.
func (d *Dice) Read(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stream.Read(p)
}

// Chance is true with that probability.
func (d *Dice) Chance(probability float64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.Float64() < probability
}

// Below is a number from 0 to n-1.
func (d *Dice) Below(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rand.IntN(n)
}

// Around is a time with that mean, exponentially distributed: what passes
// between callers who know nothing of each other. It is at most limit.
func (d *Dice) Around(mean, limit time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return min(time.Duration(d.rand.ExpFloat64()*float64(mean)), limit)
}

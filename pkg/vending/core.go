package vending

import (
	"context"
	"io"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/declared"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/issue"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/lease"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/record"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
)

// Config configures a Core.
type Config struct {
	Store   Store
	Secrets Secrets
	Parser  connection.Parser
	Minter  Minter
	Revoker Revoker
	Sealer  Sealer
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
	// Rand is the source of lease owners and jitter; nil means crypto/rand.
	Rand io.Reader
	// Wait pauses between polls of a lease; nil means a timer.
	Wait func(context.Context, time.Duration) error
}

// Core vends tokens. It is safe for concurrent use.
type Core struct {
	loader      declaration.Loader
	declared    *declared.Declarations
	store       Store
	records     *record.Records
	issuer      *issue.Issuer
	leases      *lease.Leases
	clock       rules.Clock
	random      rules.Random
	secretReads rules.Throttle // reading the secret of a failing connection again
	rejectReads rules.Throttle // reading the secret of a token that is too new to reject
}

// LeaseTTL is how long a lease lasts, and so how long a crashed holder blocks
// others.
const LeaseTTL = lease.TTL

const (
	// secretReadEvery bounds reading a failing connection's secret past the cache, and
	// editLookEvery that of a connection whose new token is rejected.
	secretReadEvery = 5 * time.Second
	rejectReadEvery = time.Second
)

// New returns a Core.
func New(c Config) *Core {
	clock, random := rules.NewClock(c.Now, c.Wait), rules.Random{Source: c.Rand}
	loader := declaration.Loader{Secrets: c.Secrets, Parser: c.Parser}
	known := declared.New(declared.Config{Store: c.Store, Sealer: c.Sealer, Loader: loader, Clock: clock, Random: random})
	records := record.New(record.Config{Store: c.Store, Sealer: c.Sealer, Clock: clock, Random: random, Declared: known})
	issuer := issue.New(issue.Config{Loader: loader, Declared: known, Minter: c.Minter, Revoker: c.Revoker, Clock: clock})
	return &Core{
		loader: loader, declared: known, store: c.Store, records: records, issuer: issuer, clock: clock, random: random,
		leases: lease.New(lease.Config{
			Store: c.Store, Records: records, Issuer: issuer, Loader: loader, Declared: known, Clock: clock, Random: random,
		}),
		secretReads: rules.Throttle{Every: secretReadEvery},
		rejectReads: rules.Throttle{Every: rejectReadEvery},
	}
}

// FlushPending stores what an earlier invocation could not store. The renewer calls
// it in each run, because a run may call no other method.
func (c *Core) FlushPending(ctx context.Context) { c.leases.FlushPending(ctx) }

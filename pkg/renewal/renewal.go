// Package renewal renews tokens ahead of their expiry and writes the
// declaration records of secrets that have changed. It runs on a schedule and not in a caller's
// request.
//
// A tick is driven by the clock and a stored cursor, not by the event that
// started it. So a duplicate, late or concurrent event is harmless: each renewal
// takes the lease and reads the item again before it calls a provider. The
// number of concurrent renewals is bounded, in total and per provider host, so
// that a provider that does not respond delays only its own tokens. A tick stops
// starting renewals while there is still time to store the results of the
// running ones. The rest is left to the next minute.
package renewal

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Index finds the items of a slot, and the declaration records. Errors are tokenstore.ErrUnavailable.
type Index interface {
	// Due returns one page of the keys of a slot, and the cursor of the next page,
	// empty at the end.
	Due(ctx context.Context, slot, next string) ([]tokenstore.Key, string, error)
	// Reslot moves an item from one slot to another. It changes nothing if the item
	// is no longer in the first.
	Reslot(ctx context.Context, key tokenstore.Key, from, to string) error
	// DeclaredConnections returns one page of the connections of a shard that have a
	// declaration record, and the cursor of the next page, empty at the end.
	DeclaredConnections(ctx context.Context, shard int, next string) ([]string, string, error)
}

// Documents stores the small records of the renewer itself.
type Documents interface {
	// ReadDocument reads a document consistently; a missing one has Version 0.
	ReadDocument(ctx context.Context, name string) (tokenstore.Document, error)
	// WriteDocument replaces the document of that Version and returns it as
	// written. tokenstore.ErrSuperseded when another process has written it.
	WriteDocument(ctx context.Context, d tokenstore.Document) (tokenstore.Document, error)
}

// Core renews one token; *vending.Core implements it. Errors are *problem.Error.
type Core interface {
	// Inspect returns the renewal of a token, which is not due if it needs none before next.
	Inspect(ctx context.Context, key tokenstore.Key, next time.Time) (vending.Renewal, error)
	// FlushPending writes what an earlier invocation could not store.
	FlushPending(ctx context.Context)
	// RegularSlot returns the slot a token returns to after a retry.
	RegularSlot(ctx context.Context, key tokenstore.Key) (string, error)
	// Reconcile writes the declaration records of a changed secret.
	Reconcile(ctx context.Context, c vending.Changed) (vending.Change, error)
	// Declarations reads the declaration records of connections, eventually
	// consistent and in their order. A missing record is empty.
	Declarations(ctx context.Context, connections []string) ([]declaration.Record, error)
}

// Versions lists the current version of each secret.
type Versions interface {
	Versions(ctx context.Context, limit int, next string) ([]clientsecret.Version, string, error)
}

// References tells the versions of secrets that connections refer to.
type References interface {
	// Version returns the current version of a secret by its name or ARN. It has no
	// VersionID if there is none.
	Version(ctx context.Context, id string) (clientsecret.Version, error)
}

// Config configures a Renewer.
type Config struct {
	Core      Core
	Index     Index
	Documents Documents
	Versions  Versions
	// References is nil where connections may refer to no other secret.
	References References
	Audit      *audit.Writer
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
}

// Renewer renews tokens. It is safe for concurrent use.
type Renewer struct {
	core      Core
	index     Index
	documents Documents
	audit     *audit.Writer
	now       func() time.Time
	sweep     *sweep
}

const (
	// maxRenewals bounds the concurrent calls to providers, maxPerHost those to
	// one host.
	maxRenewals, maxPerHost = 64, 16
	// maxVisits bounds the items read concurrently.
	maxVisits = 64
	// reserve is the time of an invocation that must remain to start a renewal: the
	// time budgets for the provider and the store, and a few seconds to finish.
	reserve = 20 * time.Second
)

// A renewal that is started can use its whole lease. The constant overflows, and
// the package does not compile, where the reserve no longer covers that.
const _ = uint(reserve - vending.LeaseTTL)

// New returns a Renewer.
func New(c Config) *Renewer {
	if c.Now == nil {
		c.Now = time.Now
	}
	now := func() time.Time { return c.Now().Round(0).UTC() }
	r := &Renewer{core: c.Core, index: c.Index, documents: c.Documents, audit: c.Audit, now: now}
	r.sweep = newSweep(c.Core, c.Index, c.Versions, c.References, r.run)
	return r
}

// Tick does the work of one minute, and of earlier minutes that were missed. It
// returns a summary of what was done, also after errors, and writes the summary
// as one audit line.
func (r *Renewer) Tick(ctx context.Context) audit.Run {
	began := r.now()
	r.core.FlushPending(ctx)
	run := newStats()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.sweep.tick(ctx, run)
	}()
	r.renewDue(ctx, run)
	<-done
	summary := run.summary("tick", r.now().Sub(began))
	r.audit.WriteRun(summary)
	return summary
}

// SecretChanged reconciles one secret that an event reports as changed. The event is to
// be repeated if the summary contains a failure.
func (r *Renewer) SecretChanged(ctx context.Context, name string, event declaration.Event) audit.Run {
	began := r.now()
	run := newStats()
	r.sweep.event(ctx, name, event, run)
	summary := run.summary("change", r.now().Sub(began))
	r.audit.WriteRun(summary)
	return summary
}

// timeLeft reports whether enough time remains to start a renewal.
func timeLeft(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() == nil && (!ok || time.Until(deadline) >= reserve)
}

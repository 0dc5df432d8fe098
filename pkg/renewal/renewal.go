// Package renewal works off the caller's path: every minute it renews the
// tokens whose turn it is, and makes what is stored agree with secrets that
// changed.
//
// A tick is chosen by the wheel and its own cursor, never by the event that
// began it, so a duplicate, late or concurrent event costs nothing: each
// renewal takes the fleet's lease and looks again before it calls anybody. Work
// is bounded in all and per provider host, so that one provider that hangs
// delays nobody else, and it stops while there is time to store what is under
// way. What could not be begun is left to the next minute.
package renewal

import (
	"context"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// Index finds what is due. Errors are tokenstore.ErrUnavailable.
type Index interface {
	// Due returns some keys of a slot, and the cursor of the rest, empty at the end.
	Due(ctx context.Context, slot, next string) ([]tokenstore.Key, string, error)
	// Reslot moves an item from one slot to another; it is a no-op when the item
	// has left the first one.
	Reslot(ctx context.Context, key tokenstore.Key, from, to string) error
}

// Documents are the small records of the renewer itself.
type Documents interface {
	// ReadDocument reads a note, consistently; one that does not exist has Version 0.
	ReadDocument(ctx context.Context, name string) (tokenstore.Document, error)
	// WriteDocument replaces a note of that Version, and returns it as written.
	// tokenstore.ErrSuperseded when another has been written meanwhile.
	WriteDocument(ctx context.Context, n tokenstore.Document) (tokenstore.Document, error)
}

// Core renews; *vending.Core is one. Errors are *problem.Error.
type Core interface {
	Inspect(ctx context.Context, key tokenstore.Key, next time.Time) (*vending.Renewal, error)
	// FlushPending stores what an earlier invocation could not.
	FlushPending(ctx context.Context)
	// RegularSlot is the slot of a token that has no more to do in its retry slot.
	RegularSlot(ctx context.Context, key tokenstore.Key) (string, error)
	Reconcile(ctx context.Context, c vending.Changed) (vending.Change, error)
}

// Versions lists which version of each secret is current; both sources do.
type Versions interface {
	Versions(ctx context.Context, limit int, next string) ([]clientsecret.Version, string, error)
}

// Config is what a Renewer is made of.
type Config struct {
	Core      Core
	Index     Index
	Documents Documents
	Versions  Versions
	Audit     *audit.Writer
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
}

// Renewer renews. It is safe for concurrent use.
type Renewer struct {
	core   Core
	index  Index
	notes  Documents
	audit  *audit.Writer
	now    func() time.Time
	ledger *ledger
}

const (
	// atOnce bounds the calls to providers under way, perHost those to one.
	atOnce, perHost = 64, 16
	// looks bounds the items looked at at once.
	looks = 64
	// reserve is what must be left of an invocation to begin a renewal: the
	// provider's and the store's budgets and some seconds to leave in order.
	reserve = 20 * time.Second
)

// New returns a Renewer.
func New(c Config) *Renewer {
	if c.Now == nil {
		c.Now = time.Now
	}
	now := func() time.Time { return c.Now().Round(0).UTC() }
	return &Renewer{core: c.Core, index: c.Index, notes: c.Documents, audit: c.Audit, now: now,
		ledger: newLedger(c.Core, c.Documents, c.Versions)}
}

// Tick does one minute's work and everything that was missed before it. The
// summary is what was done, whatever went wrong; one audit line holds it.
func (r *Renewer) Tick(ctx context.Context) audit.Run {
	began := r.now()
	r.core.FlushPending(ctx)
	run := newTally()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.ledger.sweep(ctx, run)
	}()
	r.turn(ctx, run)
	<-done
	summary := run.summary("tick", r.now().Sub(began))
	r.audit.WriteRun(summary)
	return summary
}

// SecretChanged looks at one secret that is said to have changed.
func (r *Renewer) SecretChanged(ctx context.Context, name string) audit.Run {
	began := r.now()
	run := newTally()
	r.ledger.changed(ctx, name, run)
	summary := run.summary("change", r.now().Sub(began))
	r.audit.WriteRun(summary)
	return summary
}

// timeLeft reports whether there is time to begin something. A deadline that
// has passed leaves none.
func timeLeft(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() == nil && (!ok || time.Until(deadline) >= reserve)
}

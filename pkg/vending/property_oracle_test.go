package vending_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// oracle knows the true state and checks every step against the invariants. It
// keeps the first violation.
type oracle struct {
	w *env

	holds           map[string]*holding             // by owner
	failures        map[tokenstore.Key]*failureSeen // as the fleet remembers them
	drops           map[tokenstore.Key]int          // turns
	ends            map[string]time.Time            // when a token was removed from the table, by id
	reconciliations []reconciliation
	// Provider calls, and the events that explain each besides an expired token.
	refusals, faults, crashes, moved, takeovers, commits int
}

// holding is one acquisition of the lease.
type holding struct {
	op    *operation
	owner string
	key   tokenstore.Key
	clock time.Time // of the holder, when it asked
	item  tokenstore.Item
	// done: its holder ended it; takenOver: another process took over.
	done, takenOver bool
	asks            int
	asked           int // number of the newest version of the secret it asked with
}

// failureSeen is a failure with the version of the secret that failed.
type failureSeen struct {
	tokenstore.Failure
	version int
}

// reconciliation is one that succeeded.
type reconciliation struct {
	name      string
	begunTurn int
	end       time.Time
}

const (
	leaseTTL      = vending.LeaseTTL
	believableFor = time.Minute
	maxAsks       = 3 // in one refresh: the cached secret, the current one, the previous one
	maxSkew       = 5 * time.Second
	// beliefLimit is how long a process may use what it read: ten seconds of cache, a
	// clock set back by twice the skew meanwhile, and a lagging replica.
	beliefLimit = 10*time.Second + 2*maxSkew + replicaLag + time.Second
)

func newOracle(w *env) *oracle {
	return &oracle{w: w, holds: map[string]*holding{}, failures: map[tokenstore.Key]*failureSeen{},
		drops: map[tokenstore.Key]int{}, ends: map[string]time.Time{}}
}

func (o *oracle) violated(invariant, format string, args ...any) {
	o.w.violated(invariant, format, args...)
}

// acquired checks an acquisition: no other holder may have the lease by the clocks of
// the two.
func (o *oracle) acquired(op *operation, a tokenstore.Acquire, before tokenstore.Item, err error) {
	if errors.Is(err, tokenstore.ErrHeld) && before.Lease.Owner == a.Owner {
		o.violated("FI-29", "#%d waits for its own lease", op.id)
	}
	if a.TTL != leaseTTL {
		o.violated("CR-06", "#%d asks for a lease of %v", op.id, a.TTL)
	}
	if err != nil {
		return
	}
	for owner, h := range o.holds {
		if owner == a.Owner || h.key != a.Key || h.done || h.takenOver {
			continue
		}
		until := h.clock.Add(leaseTTL)
		if a.Now.After(until) || until.After(a.Now.Add(leaseTTL+believableFor)) {
			h.takenOver = true
			o.takeovers++
			continue
		}
		o.violated("INV-2", "#%d holds the lease of %s beside #%d", op.id, keyText(a.Key), h.op.id)
	}
	if _, again := o.holds[a.Owner]; !again {
		o.holds[a.Owner] = &holding{op: op, owner: a.Owner, key: a.Key, clock: a.Now}
	}
	op.hold, op.asks = o.holds[a.Owner], 0
	op.hold.item = before // a repeated acquisition answers with what it finds
}

func (o *oracle) released(r tokenstore.Release) { o.ended(r.Owner) }

// ended: a lease was ended by its holder.
func (o *oracle) ended(owner string) {
	if h := o.holds[owner]; h != nil {
		h.done = true
	}
}

// committed checks a write that succeeded: it replaces the version that its holder
// read, and brings back no token that was dropped after its mint.
func (o *oracle) committed(c tokenstore.Commit, before tokenstore.Item, err error) {
	h := o.holds[c.Owner]
	o.ended(c.Owner)
	if err != nil {
		return
	}
	if h == nil { // a token that was minted while the table was down, stored late
		delete(o.failures, c.Key)
		return
	}
	token := o.w.idp.issued[c.Token.ID]
	token.stored = true
	delete(o.failures, c.Key)
	if before.Token.ID == c.Token.ID {
		return // its own write, recognised
	}
	o.commits++
	if before.Version != h.item.Version {
		o.violated("FI-07", "#%d overwrites version %d of %s, having seen %d", h.op.id, before.Version, keyText(c.Key), h.item.Version)
	}
	if o.drops[c.Key] > token.turn {
		o.violated("FI-49", "#%d brings back a token of %s from before it was dropped", h.op.id, keyText(c.Key))
	}
}

func (o *oracle) failed(f tokenstore.Fail) {
	h := o.holds[f.Owner]
	if h == nil || h.done || h.takenOver {
		return
	}
	o.ended(f.Owner)
	o.failures[f.Key] = &failureSeen{Failure: f.Failure, version: h.asked}
}

func (o *oracle) adopted(tokenstore.StoreGrant, tokenstore.Item, error) {
	o.violated("CR", "a client_credentials connection stored a grant")
}

func (o *oracle) rejected() { o.moved++ }

func (o *oracle) dropped(d tokenstore.Drop, _ tokenstore.Item) {
	o.moved++
	o.drops[d.Key] = o.w.turn
	delete(o.failures, d.Key)
}

func (o *oracle) callFailed(*operation) { o.faults++ }

// changed checks the item after any call.
func (o *oracle) changed(what string, before, after tokenstore.Item) {
	if after.Version < before.Version {
		o.violated("INV", "%s sets the version of %s back from %d to %d", what, keyText(after.Key), before.Version, after.Version)
	}
	if id := before.Token.ID; id != "" && id != after.Token.ID {
		o.ends[id] = o.w.time()
	}
}

// asked checks a call to the provider before its response.
func (o *oracle) asked(op *operation, r oauth.Request, sentAt time.Time) {
	h := op.hold
	if h == nil || h.done {
		o.askedWithoutLease(op, r.ClientID+" "+r.Scope, sentAt)
		return
	}
	h.asked = max(h.asked, o.w.secretHistory.number(r))
	if h.asks++; h.asks > maxAsks {
		o.violated("INV-2", "#%d asks %d times under one lease", op.id, h.asks)
	}
	if h.asks == 1 {
		o.checkNeed(h)
		o.checkBackoff(h)
	}
}

// askedWithoutLease checks a call without a lease: only while the table does not
// answer, and rarely.
func (o *oracle) askedWithoutLease(op *operation, what string, now time.Time) {
	if !op.storeFailed {
		o.violated("INV-2", "#%d asks the provider without a lease", op.id)
	}
	if op.asks++; op.asks > maxAsks {
		o.violated("INV-2", "#%d asks %d times without a lease", op.id, op.asks)
	}
	if last, known := op.process.withoutLeaseAt[what]; known && op.asks == 1 && !op.stepped && now.Sub(last) >= 0 && now.Sub(last) < 30*time.Second {
		o.violated("CR-32", "#%d asks without a lease %v after the process did so before", op.id, now.Sub(last))
	}
	if op.asks == 1 {
		op.process.withoutLeaseAt[what] = op.failedAt // or later
		o.faults++
	}
}

// checkNeed: a holder that asks had, under its lease, no token that was good enough. A
// replaced version is exempt: another operation of the process may have read that.
func (o *oracle) checkNeed(h *holding) {
	op, item := h.op, h.item
	token := item.Token
	switch version := o.w.secretHistory.byID[token.SecretVersion]; {
	case token.ID == "", item.RejectedID == token.ID, version.number != op.loaded, version.replacedTurn > 0,
		op.replacing && token.ID == op.read, op.stepped:
		return
	}
	now, life := o.w.clock(op.process), token.ExpiresAt.Sub(token.MintedAt)
	if token.MintedAt.After(now.Add(2 * maxSkew)) {
		return // by a clock that is ahead: its expiry is not believable
	}
	left := token.ExpiresAt.Sub(now)
	late := life-left > life*85/100-2*maxSkew
	if !late && left > max(op.request.MinTTL, time.Minute)+2*maxSkew {
		o.violated("INV-2", "#%d asks the provider although %s has a good token", op.id, keyText(h.key))
	}
}

// checkBackoff: no process asks before the next attempt is due, unless with a newer
// version of the secret than the one that failed. A store keeps milliseconds.
func (o *oracle) checkBackoff(h *holding) {
	f, now := o.failures[h.key], o.w.clock(h.op.process)
	if f == nil || h.takenOver || h.op.stepped || h.op.loaded > f.version || !f.NextAttemptAt.After(now.Add(time.Millisecond)) {
		return
	}
	o.violated("CR-18", "#%d asks for %s %v before the next attempt is due", h.op.id, keyText(h.key), f.NextAttemptAt.Sub(now))
}

func (o *oracle) answered(op *operation, t oauth.Token, err error) {
	if err != nil {
		o.refusals++
		return
	}
	if op.hold == nil || op.asks > 0 {
		o.w.idp.issued[t.ID()].withoutLease = true
	}
}

// served checks what a caller got.
func (o *oracle) served(op *operation, v vending.Vended, err error) {
	if err != nil {
		o.refused(op, err)
		return
	}
	o.w.answers[op] = v.AccessToken.Reveal()
	o.w.note("%s #%d   => %s of %s", op.process.name, op.id, v.AccessToken.Reveal(), v.SecretVersion)
	token := o.w.idp.issued[v.ID]
	switch {
	case token == nil:
		o.violated("INV-1", "#%d got a token that the provider never issued", op.id)
		return
	case token.connection != string(op.request.Connection) || token.scope != scopeOf(op.request):
		o.violated("INV-1", "#%d got a token of %s for %s", op.id, token.connection, token.scope)
	case op.request.RejectedTokenID == v.ID:
		o.violated("CR-23", "#%d got back the token it rejected", op.id)
	}
	now, clock := o.w.time(), o.w.clock(op.process)
	if now.After(token.until.Add(2*maxSkew+2*time.Second)) || !v.ExpiresAt.After(clock.Add(-2*time.Second)) {
		o.violated("INV-1", "#%d got an expired token", op.id)
	}
	o.checkStaleness(op, v, token)
}

// checkStaleness: a process may use what it cached for a limited time, unless the
// table does not answer.
func (o *oracle) checkStaleness(op *operation, v vending.Vended, token *issue) {
	if op.storeFailed || op.left {
		return
	}
	since := op.process.laggedAt
	if !token.stored || token.withoutLease {
		since = later(since, token.at)
	}
	now, limit := o.w.time(), beliefLimit+o.w.stalled(op)
	if ended, gone := o.ends[v.ID]; gone && now.Sub(later(since, ended)) > limit {
		o.violated("INV-1", "#%d got a token that was replaced or dropped %v ago", op.id, now.Sub(ended))
	}
	version := o.w.secretHistory.byID[v.SecretVersion]
	if fmt.Sprint(version.edition) != token.edition {
		o.violated("INV-1", "#%d got a token of another declaration than it says", op.id)
	}
	for _, l := range o.reconciliations {
		if l.name == token.connection && !o.w.keepsToken(version) && version.replacedTurn > 0 && l.begunTurn > version.replacedTurn &&
			now.Sub(later(since, l.end)) > limit {
			o.violated("INV-1", "#%d got a token of %s, replaced %v ago and reconciled since", op.id, v.SecretVersion, now.Sub(version.replacedAt))
		}
	}
}

// refused checks an error that a caller got.
func (o *oracle) refused(op *operation, err error) {
	p := problem.Of(err)
	o.w.answers[op] = string(p.Code)
	o.w.note("%s #%d   => %s, again in %v", op.process.name, op.id, p.Code, p.RetryAfter)
	if p.Code == problem.InternalError {
		o.violated("INV-6", "#%d got an internal error: %v", op.id, p.Cause)
	}
}

// finished checks an operation without a result.
func (o *oracle) finished(op *operation, err error) {
	if err != nil {
		o.refused(op, err)
		return
	}
	o.w.note("%s #%d   => done", op.process.name, op.id)
}

// reconciled records a reconciliation that succeeded.
func (o *oracle) reconciled(op *operation, name string, err error) {
	if err != nil {
		o.refused(op, err)
		return
	}
	o.w.note("%s #%d   => reconciled", op.process.name, op.id)
	o.reconciliations = append(o.reconciliations, reconciliation{name: name, begunTurn: op.begunTurn, end: o.w.time()})
}

// checkCalls is INV-2 over the whole script: each call to the provider issued a token
// that was stored, was refused, or is explained by a fault.
func (o *oracle) checkCalls() {
	owed := o.commits + o.refusals + o.crashes + o.faults + o.moved + o.takeovers
	if o.w.idp.calls > owed {
		o.violated("INV-2", "%d calls to the provider, of which %d are explained", o.w.idp.calls, owed)
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func scopeOf(r vending.Request) string {
	if r.Scope == "" {
		return "all"
	}
	return r.Scope
}

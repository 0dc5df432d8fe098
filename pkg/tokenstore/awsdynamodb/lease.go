package awsdynamodb

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// The condition under which a lease may be taken is leaseFree followed by one of
// the other two: it has no owner, it has expired, its end is implausibly late, it
// is corrupt, or the same owner already has it. The last case lets a retry
// succeed whose first response was lost (CR-36). A lease for a refresh token is
// not taken a second time: the retry would find its own mark and report it as
// the mark of an earlier attempt.
const (
	leaseFree = "NOT attribute_type(#lease_owner, :text) OR NOT attribute_type(#lease_until, :number)" +
		" OR #lease_until < :now OR #lease_until > :latest OR "
	leaseOwned         = "#lease_owner = :lease_owner"
	leaseOwnedUnmarked = "(#lease_owner = :lease_owner AND NOT #spend_by = :lease_owner)"
)

// Acquire takes the lease and returns the item as of the same write.
//
// A corrupt item is repaired under the lease: what is readable of Version,
// Variants and ForcedRefreshes is kept, and everything
// else is removed, so that the item reads as a miss which Commit fills. An item
// that contains a grant is not changed and is tokenstore.ErrGrantCorrupt.
// tokenstore.ErrHeld comes with the item, or with only its key and lease if the
// rest is corrupt.
func (t *Table) Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error) {
	found, applied, err := t.apply(ctx, acquireUpdate(a))
	if err != nil {
		return tokenstore.Item{Key: a.Key}, err
	}
	item, bad := decode(a.Key, found)
	switch {
	case len(bad) == 0 && (applied || a.UsesRefreshToken && ownsAttempt(item, a)):
		return item, nil
	case !applied && heldByOther(item.Lease, a):
		return heldItem(item, bad), tokenstore.ErrHeld
	}
	return t.repair(ctx, a, found)
}

// ownsAttempt reports whether a's owner has the lease and its attempt is marked.
func ownsAttempt(item tokenstore.Item, a tokenstore.Acquire) bool {
	return item.Lease.Owner == a.Owner && item.RefreshAttempt.Attempt == a.Owner
}

// acquireUpdate is the single write of an Acquire on a valid item. For an item
// that may expire, it also requires that the ttl lies beyond the lease and the
// failure that may be recorded after it. An item with an earlier ttl, and an item
// with a grant when a does not use its refresh token, are left to repair.
func acquireUpdate(a tokenstore.Acquire) *update {
	u := takeLease(a)
	u.returns = types.ReturnValueAllNew
	u.stamp()
	u.requireSchema()
	u.compute(attrLeaseSeq, "if_not_exists(#lease_seq, :zero) + :one")
	u.value(":one", number(1))
	u.require("attribute_not_exists(#lease_seq) OR #lease_seq BETWEEN :zero AND :most")
	u.value(":zero", number(0))
	u.value(":most", number(maxCount-1))
	if a.UsesRefreshToken {
		u.markAttempt()
	}
	if a.UsesRefreshToken || !mayExpire(a.Key) {
		u.unset(attrTTL)
		return u
	}
	end := a.Now.Add(a.TTL)
	u.compute(attrTTL, "if_not_exists(#ttl, :ttl)")
	u.value(":ttl", ttlAfter(end))
	u.require("attribute_not_exists(#ttl) OR #ttl >= :soon")
	u.value(":soon", number(end.Add(retention/2).Unix()))
	u.require(noGrant)
	return u
}

// markAttempt records, with the lease, that the current refresh token is about
// to be used, and which refresh token was marked before.
func (u *update) markAttempt() {
	u.compute(attrAttemptFingerprint, "if_not_exists(#grant_fp, :nothing)")
	u.compute(attrAttemptPrevious, "if_not_exists(#spend_fp, :nothing)")
	u.value(":nothing", text(noFingerprint))
	u.compute(attrAttemptOwner, ":lease_owner")
	u.compute(attrAttemptStartedAt, ":now")
}

func takeLease(a tokenstore.Acquire) *update {
	u := newUpdate("acquire", a.Key)
	u.assign(attrLeaseOwner, text(a.Owner))
	u.assign(attrLeaseUntil, instant(a.Now.Add(a.TTL)))
	if a.UsesRefreshToken {
		u.require(leaseFree + leaseOwnedUnmarked)
	} else {
		u.require(leaseFree + leaseOwned)
	}
	u.value(":text", text("S"))
	u.value(":number", text("N"))
	u.value(":now", instant(a.Now))
	u.value(":latest", instant(a.MaxLeaseEnd()))
	return u
}

// heldByOther evaluates leaseFree for a decoded lease: it reports whether
// another owner has it.
func heldByOther(l tokenstore.Lease, a tokenstore.Acquire) bool {
	return l.Owner != "" && l.Owner != a.Owner &&
		l.Until.UnixMilli() >= a.Now.UnixMilli() &&
		l.Until.UnixMilli() <= a.MaxLeaseEnd().UnixMilli()
}

func heldItem(item tokenstore.Item, bad []string) tokenstore.Item {
	if len(bad) > 0 {
		return tokenstore.Item{Key: item.Key, Lease: item.Lease}
	}
	return item
}

// Fail records a failure and ends the lease; it changes nothing if the lease has
// been lost. An item with a ttl has no grant, and gets a later ttl if necessary.
func (t *Table) Fail(ctx context.Context, f tokenstore.Fail) error {
	if mayExpire(f.Key) {
		u := failUpdate(f)
		u.expireIfAllowed(ttlAfter(f.Now, f.Failure.NextAttemptAt))
		u.require("#ttl < :ttl")
		if _, applied, err := t.apply(ctx, u); applied || err != nil {
			return err
		}
	}
	if applied, err := t.endUnused(ctx, f.DeleteAfter, failUpdate(f)); applied || err != nil {
		return err
	}
	return t.endLease(ctx, f.OutcomeUnknown, func() *update { return failUpdate(f) })
}

// endUnused sends a write that ends the lease of a subject's item, and sets a ttl if
// the item has no grant. It reports whether it was applied.
func (t *Table) endUnused(ctx context.Context, deleteAfter time.Time, u *update) (applied bool, err error) {
	if deleteAfter.IsZero() || mayExpire(u.key) {
		return false, nil
	}
	u.clearAttempt()
	u.require(noGrant)
	u.expire(ttlAfter(deleteAfter))
	_, applied, err = t.apply(ctx, u)
	return applied, err
}

func failUpdate(f tokenstore.Fail) *update {
	u := endLeaseUpdate("fail", f.Key, f.Owner)
	if f.Failure.Count == 0 {
		u.unset(failureAttributes...)
	} else {
		putFailure(u, f.Failure)
	}
	u.text(attrRenewSlot, f.RenewSlot)
	return u
}

func putFailure(u *update, f tokenstore.Failure) {
	u.assign(attrFailCount, number(int64(f.Count)))
	u.instant(attrNextAttemptAt, f.NextAttemptAt)
	u.instant(attrFailedAt, f.FailedAt)
	u.text(attrFailCode, f.Code)
	u.text(attrFailProvider, f.ProviderCode)
	u.text(attrFailDetail, f.Detail)
	u.text(attrFailCause, f.Cause)
	if f.Status == 0 {
		u.unset(attrFailStatus)
	} else {
		u.assign(attrFailStatus, number(int64(f.Status)))
	}
}

// Release ends the lease if r.Owner still has it.
func (t *Table) Release(ctx context.Context, r tokenstore.Release) error {
	form := func() *update { return endLeaseUpdate("release", r.Key, r.Owner) }
	if applied, err := t.endUnused(ctx, r.DeleteAfter, form()); applied || err != nil {
		return err
	}
	return t.endLease(ctx, r.OutcomeUnknown, form)
}

// endLease sends a write that ends a lease. If the outcome of the attempt is
// known, the write also removes its mark. The mark of another attempt, which
// crashed or lost the lease, stays; that takes a second write.
func (t *Table) endLease(ctx context.Context, outcomeUnknown bool, form func() *update) error {
	if !outcomeUnknown {
		u := form()
		u.clearAttempt()
		found, applied, err := t.apply(ctx, u)
		if applied || err != nil || len(found) > 0 && textOf(found[attrLeaseOwner]) != textOf(u.values[":owner"]) {
			return err
		}
	}
	_, _, err := t.apply(ctx, form())
	return err
}

// clearAttempt removes the mark of :owner's attempt.
func (u *update) clearAttempt() {
	u.require("attribute_not_exists(#spend_by) OR #spend_by = :owner")
	u.unset(attemptAttributes...)
}

// endLeaseUpdate ends owner's lease. It changes nothing if another owner has the
// lease: then it expired, or this same write ended it before and its response
// was lost.
func endLeaseUpdate(verb string, key tokenstore.Key, owner string) *update {
	u := newUpdate(verb, key)
	u.skipRead = true
	u.unset(leaseAttributes...)
	u.require("#lease_owner = :owner")
	u.value(":owner", text(owner))
	return u
}

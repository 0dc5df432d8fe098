package awsdynamodb

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// leaseFree holds when the lease may be taken: nobody has it, its end has
// passed or is absurd, it cannot be read, or it is the asker's already, which
// is how the retry of a write whose answer was lost succeeds (CR-36). A lease
// that was taken to spend a refresh token is not taken again: the retry would
// find its own mark, and report it as that of an earlier attempt.
const (
	leaseFree = "NOT attribute_type(#lease_owner, :text) OR NOT attribute_type(#lease_until, :number)" +
		" OR #lease_until < :now OR #lease_until > :absurd OR "
	leaseMine         = "#lease_owner = :lease_owner"
	leaseMineUnmarked = "(#lease_owner = :lease_owner AND NOT #spend_by = :lease_owner)"
)

// mendTries bounds the writes that bring an unreadable item back into shape
// while others change it.
const mendTries = 3

// Acquire takes the lease and returns the item under it.
//
// An item that cannot be understood is mended under the lease: what is readable
// of its version, its variants, RequiredSecretVersion and ForcedRefreshes stays, everything else is
// forgotten, so that it reads as a miss which Commit may fill. An item that
// holds a grant is left alone and is tokenstore.ErrGrantCorrupt.
// tokenstore.ErrHeld comes with the item, or with its key and lease when the
// rest cannot be read.
func (s *Store) Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error) {
	found, applied, err := s.apply(ctx, acquisition(a))
	if err != nil {
		return tokenstore.Item{Key: a.Key}, err
	}
	item, bad := decode(a.Key, found)
	switch {
	case len(bad) == 0 && (applied || a.UsesRefreshToken && mine(item, a)):
		return item, nil
	case !applied && held(item.Lease, a):
		return heldItem(item, bad), tokenstore.ErrHeld
	}
	return s.mend(ctx, a, found)
}

// mine says whether the lease is a's own and the mark of its attempt is set.
func mine(item tokenstore.Item, a tokenstore.Acquire) bool {
	return item.Lease.Owner == a.Owner && item.RefreshAttempt.Attempt == a.Owner
}

// acquisition is the one write of an Acquire on an item in good order. Where the
// item may be swept, it also requires that this will not happen under the lease,
// nor during the failure that may be noted after it; an item so old, and one
// that holds a grant although none was to be spent, is left to mend.
func acquisition(a tokenstore.Acquire) *update {
	u := takeLease(a)
	u.answer = types.ReturnValueAllNew
	u.stamp()
	u.requireSchema()
	u.compute(attrLeaseSeq, "if_not_exists(#lease_seq, :zero) + :one")
	u.value(":one", number(1))
	u.require("attribute_not_exists(#lease_seq) OR #lease_seq BETWEEN :zero AND :most")
	u.value(":zero", number(0))
	u.value(":most", number(maxCount-1))
	if a.UsesRefreshToken {
		u.mark()
	}
	if a.UsesRefreshToken || !swept(a.Key) {
		u.forget(attrTTL)
		return u
	}
	end := a.Now.Add(a.TTL)
	u.compute(attrTTL, "if_not_exists(#ttl, :ttl)")
	u.value(":ttl", sweepAt(end))
	u.require("attribute_not_exists(#ttl) OR #ttl >= :soon")
	u.value(":soon", number(end.Add(grace/2).Unix()))
	u.require(withoutGrant)
	return u
}

// mark notes, of an acquisition, that the refresh token which stands is about to
// be presented, and which one was so before.
func (u *update) mark() {
	u.compute(attrSpendPrint, "if_not_exists(#grant_fp, :nothing)")
	u.compute(attrSpendBefore, "if_not_exists(#spend_fp, :nothing)")
	u.value(":nothing", text(nothing))
	u.compute(attrSpendAttempt, ":lease_owner")
	u.compute(attrSpendAt, ":now")
}

func takeLease(a tokenstore.Acquire) *update {
	u := newUpdate("acquire", a.Key)
	u.assign(attrLeaseOwner, text(a.Owner))
	u.assign(attrLeaseUntil, instant(a.Now.Add(a.TTL)))
	if a.UsesRefreshToken {
		u.require(leaseFree + leaseMineUnmarked)
	} else {
		u.require(leaseFree + leaseMine)
	}
	u.value(":text", text("S"))
	u.value(":number", text("N"))
	u.value(":now", instant(a.Now))
	u.value(":absurd", instant(a.Believable()))
	return u
}

// held tells of an item as it was found what leaseFree tells of it in the table.
func held(l tokenstore.Lease, a tokenstore.Acquire) bool {
	return l.Owner != "" && l.Owner != a.Owner &&
		l.Until.UnixMilli() >= a.Now.UnixMilli() &&
		l.Until.UnixMilli() <= a.Believable().UnixMilli()
}

func heldItem(item tokenstore.Item, bad []string) tokenstore.Item {
	if len(bad) > 0 {
		return tokenstore.Item{Key: item.Key, Lease: item.Lease}
	}
	return item
}

// mend takes the lease of an item that acquisition could not take as it is:
// something in it cannot be read, it is about to be swept, it holds a grant
// that nobody wants to spend, or its lease was given up in the meantime.
func (s *Store) mend(ctx context.Context, a tokenstore.Acquire, found attributes) (tokenstore.Item, error) {
	for range mendTries {
		if _, bad := decode(a.Key, found); beyondLease(bad) && holdsGrant(a.Key, found) {
			return tokenstore.Item{Key: a.Key}, s.leaveAlone(ctx, a, found, bad)
		}
		next, applied, err := s.apply(ctx, mending(a, found))
		if err != nil {
			return tokenstore.Item{Key: a.Key}, err
		}
		item, bad := decode(a.Key, next)
		switch {
		case len(bad) == 0 && item.Lease.Owner == a.Owner:
			return item, nil
		case !applied && held(item.Lease, a):
			return heldItem(item, bad), tokenstore.ErrHeld
		}
		found = next
	}
	return tokenstore.Item{Key: a.Key}, tokenstore.ErrHeld
}

// leaveAlone gives up the lease that may already have been taken of an
// unreadable item, which may hold the only living refresh token (BI-72). The
// mark goes with it, unless it replaced that of an earlier attempt.
func (s *Store) leaveAlone(ctx context.Context, a tokenstore.Acquire, found attributes, bad []string) error {
	before := found[attrSpendBefore]
	r := tokenstore.Release{Key: a.Key, Owner: a.Owner, Unsettled: before != nil && textOf(before) != nothing}
	if err := s.Release(ctx, r); err != nil {
		return err
	}
	return corrupt(tokenstore.ErrGrantCorrupt, bad)
}

// mending removes what cannot be read of found, on the condition that neither
// lease nor version has moved since. It writes nothing else, so that what
// others note in between stays. What it forgets holds no grant.
func mending(a tokenstore.Acquire, found attributes) *update {
	item, bad := decode(a.Key, found)
	u := takeLease(a)
	u.answer = types.ReturnValueAllNew
	u.assign(attrSchema, number(schemaVersion))
	unmoved(u, found)
	// One's own lease was taken a moment ago, by acquisition; but that takes none
	// beside a grant.
	if item.Lease.Owner != a.Owner || item.Lease.Seq == 0 || holdsGrant(a.Key, found) {
		item.Lease.Seq++
	}
	u.assign(attrLeaseSeq, number(item.Lease.Seq))
	if slices.Contains(bad, attrVersion) {
		// Past every version counted so far, so that no holder's fence can match it.
		u.assign(attrVersion, instant(a.Now))
	}
	if beyondLease(bad) {
		u.forget(attrRenewSlot)
		u.forget(tokenAttributes...)
		u.forget(failureAttributes...)
		item.Token, item.Failure = tokenstore.SealedToken{}, tokenstore.Failure{}
	}
	for _, name := range []string{attrForced, attrMustLoad, attrVariants} {
		if slices.Contains(bad, name) {
			u.forget(name)
		}
	}
	u.remark(a, beyondLease(bad))
	if a.UsesRefreshToken || !swept(a.Key) || holdsGrant(a.Key, found) {
		u.forget(attrTTL)
		return u
	}
	u.sweep(sweepAt(a.Now.Add(a.TTL), item.Token.ExpiresAt, item.Failure.NextAttemptAt))
	return u
}

// remark marks an attempt on an item that is being mended. When more than its
// lease was unreadable it holds no grant, and no earlier mark counts.
func (u *update) remark(a tokenstore.Acquire, afresh bool) {
	switch {
	case !afresh && a.UsesRefreshToken:
		u.mark()
	case afresh && a.UsesRefreshToken:
		u.assign(attrSpendPrint, text(nothing))
		u.assign(attrSpendBefore, text(nothing))
		u.compute(attrSpendAttempt, ":lease_owner")
		u.compute(attrSpendAt, ":now")
	case afresh:
		u.forget(spendAttributes...)
	}
}

// unmoved requires the version to be what was found, readable or not.
func unmoved(u *update, found attributes) {
	raw := found[attrVersion]
	if raw == nil {
		u.require("attribute_not_exists(#version)")
		return
	}
	u.require("#version = :found")
	u.value(":found", raw)
}

// beyondLease says whether more than the lease is unreadable. A lease that
// cannot be read is simply taken; the token beside it is as good as ever.
func beyondLease(bad []string) bool {
	return slices.ContainsFunc(bad, func(name string) bool {
		return name != attrLeaseSeq && !slices.Contains(leaseAttributes, name)
	})
}

// Fail remembers a failure and ends the lease; a lost lease makes it a no-op.
// An item that has a ttl holds no grant, and gets a later one if need be.
func (s *Store) Fail(ctx context.Context, f tokenstore.Fail) error {
	if swept(f.Key) {
		u := failing(f)
		u.sweep(sweepAt(f.Now, f.Failure.NextAttemptAt))
		u.require("#ttl < :ttl")
		if _, applied, err := s.apply(ctx, u); applied || err != nil {
			return err
		}
	}
	return s.end(ctx, f.Unsettled, func() *update { return failing(f) })
}

func failing(f tokenstore.Fail) *update {
	u := ending("fail", f.Key, f.Owner)
	if f.Failure.Count == 0 {
		u.forget(failureAttributes...)
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
	u.text(attrFailCause, f.Cause)
	if f.Status == 0 {
		u.forget(attrFailStatus)
	} else {
		u.assign(attrFailStatus, number(int64(f.Status)))
	}
}

// Release ends the lease if it is still r.Owner's.
func (s *Store) Release(ctx context.Context, r tokenstore.Release) error {
	return s.end(ctx, r.Unsettled, func() *update { return ending("release", r.Key, r.Owner) })
}

// end sends a write that ends a lease. If the outcome is settled, the mark of
// this attempt goes with it; that of another, which died or was taken over,
// costs a second write, which leaves it alone.
func (s *Store) end(ctx context.Context, unsettled bool, form func() *update) error {
	if !unsettled {
		u := form()
		u.settle()
		found, applied, err := s.apply(ctx, u)
		if applied || err != nil || len(found) > 0 && textOf(found[attrLeaseOwner]) != textOf(u.values[":owner"]) {
			return err
		}
	}
	_, _, err := s.apply(ctx, form())
	return err
}

// settle takes away the mark of :owner's attempt.
func (u *update) settle() {
	u.require("attribute_not_exists(#spend_by) OR #spend_by = :owner")
	u.forget(spendAttributes...)
}

// ending ends owner's lease and does nothing when it is another's: then it
// lapsed, or this very write has ended it before and the answer was lost.
func ending(verb string, key tokenstore.Key, owner string) *update {
	u := newUpdate(verb, key)
	u.blind = true
	u.forget(leaseAttributes...)
	u.require("#lease_owner = :owner")
	u.value(":owner", text(owner))
	return u
}

package awsdynamodb

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// repairTries bounds the writes that repair a corrupt item while other writers
// change it.
const repairTries = 3

// repair takes the lease of an item that acquireUpdate could not take or left
// corrupt: the item has a corrupt attribute, is about to expire, has a grant that
// a does not use, or its lease was released in the meantime.
func (t *Table) repair(ctx context.Context, a tokenstore.Acquire, found attributes) (tokenstore.Item, error) {
	for range repairTries {
		if _, bad := decode(a.Key, found); corruptBeyondLease(bad) && mayHoldGrant(a.Key, found) {
			return tokenstore.Item{Key: a.Key}, t.releaseCorruptGrant(ctx, a, found, bad)
		}
		next, applied, err := t.apply(ctx, repairUpdate(a, found))
		if err != nil {
			return tokenstore.Item{Key: a.Key}, err
		}
		item, bad := decode(a.Key, next)
		switch {
		case len(bad) == 0 && item.Lease.Owner == a.Owner:
			return item, nil
		case !applied && heldByOther(item.Lease, a):
			return heldItem(item, bad), tokenstore.ErrHeld
		}
		found = next
	}
	return tokenstore.Item{Key: a.Key}, tokenstore.ErrHeld
}

// releaseCorruptGrant releases the lease, which may already have been taken, of a
// corrupt item that may contain the only valid refresh token (BI-72). It also
// removes the mark, unless that replaced the mark of an earlier attempt.
func (t *Table) releaseCorruptGrant(ctx context.Context, a tokenstore.Acquire, found attributes, bad []string) error {
	previous := found[attrAttemptPrevious]
	r := tokenstore.Release{Key: a.Key, Owner: a.Owner, OutcomeUnknown: previous != nil && textOf(previous) != noFingerprint}
	if err := t.Release(ctx, r); err != nil {
		return err
	}
	return corrupt(tokenstore.ErrGrantCorrupt, bad)
}

// repairUpdate takes the lease and removes the corrupt attributes of found, on
// the condition that neither lease nor version has changed since. It writes
// nothing else, so that concurrent writes of other attributes are kept. What it
// removes contains no grant.
func repairUpdate(a tokenstore.Acquire, found attributes) *update {
	item, bad := decode(a.Key, found)
	u := takeLease(a)
	u.returns = types.ReturnValueAllNew
	u.assign(attrSchema, number(schemaVersion))
	requireSameVersion(u, found)
	// If a already has the lease, acquireUpdate has counted this acquisition. It
	// never takes the lease of an item with a grant.
	if item.Lease.Owner != a.Owner || item.Lease.Seq == 0 || mayHoldGrant(a.Key, found) {
		item.Lease.Seq++
	}
	u.assign(attrLeaseSeq, number(item.Lease.Seq))
	if slices.Contains(bad, attrVersion) {
		// Larger than every version so far, so that no holder's fence matches it.
		u.assign(attrVersion, instant(a.Now))
	}
	u.removeContent(&item, bad)
	u.markRepaired(a, corruptBeyondLease(bad))
	if a.UsesRefreshToken || !mayExpire(a.Key) || mayHoldGrant(a.Key, found) {
		u.unset(attrTTL)
		return u
	}
	u.expireIfAllowed(ttlAfter(a.Now.Add(a.TTL), item.Token.ExpiresAt, item.Failure.NextAttemptAt))
	return u
}

// removeContent removes token, failure and slot of an item that is corrupt beyond
// its lease, in the table and in item, and the other attributes that are corrupt.
func (u *update) removeContent(item *tokenstore.Item, bad []string) {
	if corruptBeyondLease(bad) {
		u.unset(attrRenewSlot)
		u.unset(tokenAttributes...)
		u.unset(failureAttributes...)
		item.Token, item.Failure = tokenstore.SealedToken{}, tokenstore.Failure{}
	}
	for _, name := range []string{attrForcedRefreshes, attrVariants} {
		if slices.Contains(bad, name) {
			u.unset(name)
		}
	}
}

// markRepaired marks a's attempt on an item under repair. With removed, the
// item's content was corrupt and was removed: it has no grant, and no earlier
// mark counts.
func (u *update) markRepaired(a tokenstore.Acquire, removed bool) {
	switch {
	case !removed && a.UsesRefreshToken:
		u.markAttempt()
	case removed && a.UsesRefreshToken:
		u.assign(attrAttemptFingerprint, text(noFingerprint))
		u.assign(attrAttemptPrevious, text(noFingerprint))
		u.compute(attrAttemptOwner, ":lease_owner")
		u.compute(attrAttemptStartedAt, ":now")
	case removed:
		u.unset(attemptAttributes...)
	}
}

// requireSameVersion requires the version attribute to be as found, valid or not.
func requireSameVersion(u *update, found attributes) {
	raw := found[attrVersion]
	if raw == nil {
		u.require("attribute_not_exists(#version)")
		return
	}
	u.require("#version = :found")
	u.value(":found", raw)
}

// corruptBeyondLease reports whether more than the lease is corrupt. A corrupt
// lease is simply taken; it does not affect the token next to it.
func corruptBeyondLease(bad []string) bool {
	return slices.ContainsFunc(bad, func(name string) bool {
		return name != attrLeaseSeq && !slices.Contains(leaseAttributes, name)
	})
}

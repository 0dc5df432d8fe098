package awsdynamodb

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// writeTries bounds the writes of one operation whose form depends on the current
// item, while other writers change it.
const writeTries = 5

// concurrentWrites is the reason of an operation that writeTries ended.
const concurrentWrites = "concurrent writes kept changing it"

// Drop removes token, failure and rejection, and with d.Grant the grant. It
// replaces the renewal slot, increments the version and returns the item as it
// was before; a corrupt item counts as empty. A missing item is created. A
// corrupt item with a grant is tokenstore.ErrGrantCorrupt and unchanged, unless
// d.Grant is set.
//
// It is one write if no grant is involved.
func (t *Table) Drop(ctx context.Context, d tokenstore.Drop) (tokenstore.Item, error) {
	none := tokenstore.Item{Key: d.Key}
	seen := none
	found, applied, err := t.dropOrRead(ctx, d)
	for try := 0; err == nil; try++ {
		item, bad := decode(d.Key, found)
		if corruptBeyondLease(bad) {
			item = none
		}
		switch {
		case applied && d.Grant && item.Grant.Fingerprint == "":
			return seen, nil // this write retried one whose response was lost
		case applied:
			return item, nil
		case !d.Grant && corruptBeyondLease(bad) && mayHoldGrant(d.Key, found):
			return none, corrupt(tokenstore.ErrGrantCorrupt, bad)
		case try == writeTries:
			return none, fmt.Errorf("drop token item: %w: %s", tokenstore.ErrUnavailable, concurrentWrites)
		}
		seen = item
		found, applied, err = t.apply(ctx, dropFoundUpdate(d, found))
	}
	return none, err
}

// dropOrRead drops an item that has no grant. If a grant may be involved, it reads
// the item instead.
func (t *Table) dropOrRead(ctx context.Context, d tokenstore.Drop) (found attributes, applied bool, err error) {
	if d.Grant || !mayExpire(d.Key) {
		found, err = t.read(ctx, "drop", d.Key, true)
		return found, false, err
	}
	u := dropUpdate(d)
	u.stamp()
	u.incrementVersion()
	u.require(noGrant)
	u.expireIfAllowed(ttlAfter(d.Now))
	return t.apply(ctx, u)
}

// dropFoundUpdate drops the item as found. A valid item may change in between, as
// long as it still has, or still lacks, a grant. A corrupt item must be unchanged.
func dropFoundUpdate(d tokenstore.Drop, found attributes) *update {
	_, bad := decode(d.Key, found)
	u := dropUpdate(d)
	switch {
	case !corruptBeyondLease(bad):
		u.stamp()
		u.requireSchema()
		u.incrementVersion()
	default:
		u.assign(attrVersion, instant(d.Now)) // larger than every version so far
		requireSameVersion(u, found)
		u.assign(attrSchema, number(schemaVersion))
		u.removeCorrupt(d, bad)
	}
	switch {
	case d.Grant:
		u.unset(grantAttributes...)
		u.unset(attemptAttributes...)
		u.expire(ttlAfter(d.Now))
	case found[attrGrantFingerprint] != nil:
		u.require("attribute_exists(#grant_fp)")
	default:
		u.require(noGrant)
		u.expire(ttlAfter(d.Now))
	}
	return u
}

// dropUpdate is the part that all forms of a drop share. An applied drop returns
// the item as it was before.
func dropUpdate(d tokenstore.Drop) *update {
	u := newUpdate("drop", d.Key)
	u.returns = types.ReturnValueAllOld
	u.unset(tokenAttributes...)
	u.text(attrRenewSlot, d.RenewSlot)
	if !d.KeepFailure {
		u.unset(failureAttributes...)
	}
	return u
}

// incrementVersion increments a valid version, and requires it to be valid.
func (u *update) incrementVersion() {
	u.require("attribute_not_exists(#version) OR #version BETWEEN :zero AND :most")
	u.compute(attrVersion, "if_not_exists(#version, :zero) + :one")
	u.value(":zero", number(0))
	u.value(":most", number(maxCount-1))
	u.value(":one", number(1))
}

// removeCorrupt removes the corrupt attributes among those that a drop otherwise
// keeps, so that the item is valid again.
func (u *update) removeCorrupt(d tokenstore.Drop, bad []string) {
	if d.KeepFailure && slices.ContainsFunc(failureAttributes, func(name string) bool { return slices.Contains(bad, name) }) {
		u.unset(failureAttributes...)
	}
	if slices.ContainsFunc(leaseAttributes, func(name string) bool { return slices.Contains(bad, name) }) {
		u.unset(leaseAttributes...)
	}
	for _, name := range []string{attrLeaseSeq, attrForcedRefreshes, attrVariants} {
		if slices.Contains(bad, name) {
			u.unset(name)
		}
	}
	if !d.Grant {
		u.unset(attemptAttributes...)
	}
}

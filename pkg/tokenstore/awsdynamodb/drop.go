package awsdynamodb

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// writeTries bounds the writes of one operation whose form depends on how the
// item stands, while others change it.
const writeTries = 5

// Drop forgets token, failure and rejection, the grant only when told to,
// replaces the renewal slot, moves the version, and returns the item as it
// stood before; one that could not be understood counts as having held nothing.
// A missing item is created. What holds a grant and cannot be understood is
// tokenstore.ErrGrantCorrupt, and stays, unless the grant is to go.
//
// It is one write where no grant is in play.
func (s *Store) Drop(ctx context.Context, d tokenstore.Drop) (tokenstore.Item, error) {
	none := tokenstore.Item{Key: d.Key}
	seen := none
	found, applied, err := s.dropOrLook(ctx, d)
	for try := 0; err == nil; try++ {
		item, bad := decode(d.Key, found)
		if beyondLease(bad) {
			item = none
		}
		switch {
		case applied && d.Grant && item.Grant.Fingerprint == "":
			return seen, nil // the retry of a write whose answer was lost finds nothing
		case applied:
			return item, nil
		case !d.Grant && beyondLease(bad) && holdsGrant(d.Key, found):
			return none, corrupt(tokenstore.ErrGrantCorrupt, bad)
		case try == writeTries:
			return none, fmt.Errorf("drop token item: %w: others keep changing it", tokenstore.ErrUnavailable)
		}
		seen = item
		found, applied, err = s.apply(ctx, droppingFound(d, found))
	}
	return none, err
}

// dropOrLook drops what no grant is in play of. Else the item must be seen
// first.
func (s *Store) dropOrLook(ctx context.Context, d tokenstore.Drop) (found attributes, applied bool, err error) {
	if d.Grant || !swept(d.Key) {
		found, err = s.read(ctx, "drop", d.Key, true)
		return found, false, err
	}
	u := dropping(d)
	u.stamp()
	u.countUp()
	u.require(withoutGrant)
	u.sweep(sweepAt(d.Now))
	return s.apply(ctx, u)
}

// droppingFound drops the item that was found. One in good order may change in
// between, as long as it keeps, or keeps to lack, a grant; any other must stand
// as it was found.
func droppingFound(d tokenstore.Drop, found attributes) *update {
	_, bad := decode(d.Key, found)
	u := dropping(d)
	switch {
	case !beyondLease(bad):
		u.stamp()
		u.requireSchema()
		u.countUp()
	default:
		u.assign(attrVersion, instant(d.Now)) // past every one counted so far
		unmoved(u, found)
		u.assign(attrSchema, number(schemaVersion))
		u.forgetUnreadable(d, bad)
	}
	switch {
	case d.Grant:
		u.forget(grantAttributes...)
		u.forget(spendAttributes...)
		u.expire(sweepAt(d.Now))
	case found[attrGrantPrint] != nil:
		u.require("attribute_exists(#grant_fp)")
	default:
		u.require(withoutGrant)
		u.sweep(sweepAt(d.Now))
	}
	return u
}

// dropping is what every form of a drop does. What applied is true of comes
// back as it was before.
func dropping(d tokenstore.Drop) *update {
	u := newUpdate("drop", d.Key)
	u.answer = types.ReturnValueAllOld
	u.forget(tokenAttributes...)
	u.text(attrRenewSlot, d.RenewSlot)
	if !d.KeepFailure {
		u.forget(failureAttributes...)
	}
	if d.RequiredSecretVersion != "" {
		u.assign(attrMustLoad, text(d.RequiredSecretVersion))
	}
	return u
}

// countUp moves a version that can be counted on, and refuses any other.
func (u *update) countUp() {
	u.require("attribute_not_exists(#version) OR #version BETWEEN :zero AND :most")
	u.compute(attrVersion, "if_not_exists(#version, :zero) + :one")
	u.value(":zero", number(0))
	u.value(":most", number(maxCount-1))
	u.value(":one", number(1))
}

// forgetUnreadable removes what a drop leaves of an item in good order, as far
// as it cannot be read, so that the item reads again.
func (u *update) forgetUnreadable(d tokenstore.Drop, bad []string) {
	if d.KeepFailure && slices.ContainsFunc(failureAttributes, func(name string) bool { return slices.Contains(bad, name) }) {
		u.forget(failureAttributes...)
	}
	if slices.ContainsFunc(leaseAttributes, func(name string) bool { return slices.Contains(bad, name) }) {
		u.forget(leaseAttributes...)
	}
	kept := []string{attrLeaseSeq, attrForced, attrVariants}
	if d.RequiredSecretVersion == "" {
		kept = append(kept, attrMustLoad)
	}
	for _, name := range kept {
		if slices.Contains(bad, name) {
			u.forget(name)
		}
	}
	if !d.Grant {
		u.forget(spendAttributes...)
	}
}

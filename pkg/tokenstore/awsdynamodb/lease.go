package awsdynamodb

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// leaseFree holds when the lease may be taken: nobody has it, its end has
// passed or is absurd, it cannot be read, or it is the asker's already, which
// is how the retry of a write whose answer was lost succeeds (CR-36).
const leaseFree = "NOT attribute_type(#lease_owner, :text) OR NOT attribute_type(#lease_until, :number)" +
	" OR #lease_until < :now OR #lease_until > :absurd OR #lease_owner = :lease_owner"

// mendTries bounds the writes that bring an unreadable item back into shape
// while others change it.
const mendTries = 3

// Acquire takes the lease and returns the item under it.
//
// An item that cannot be understood is mended under the lease: what is readable
// of its version, its variants, MustLoad and Forced stays, everything else is
// forgotten, so that it reads as a miss which Commit may fill. The item of a
// subject is left alone and is tokenstore.ErrCorrupt. tokenstore.ErrHeld comes
// with the item, or with its key and lease when the rest cannot be read.
func (s *Store) Acquire(ctx context.Context, a tokenstore.Acquire) (tokenstore.Item, error) {
	found, applied, err := s.apply(ctx, acquisition(a))
	if err != nil {
		return tokenstore.Item{Key: a.Key}, err
	}
	item, bad := decode(a.Key, found)
	switch {
	case applied && len(bad) == 0:
		return item, nil
	case !applied && held(item.Lease, a):
		return heldItem(item, bad), tokenstore.ErrHeld
	}
	return s.mend(ctx, a, found)
}

// acquisition is the one write of an Acquire on an item in good order. It also
// requires that the item will not be swept under the lease, nor during the
// failure that may be noted after it; an item so old is left to mend.
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
	if swept(a.Key) {
		end := a.Now.Add(a.TTL)
		u.compute(attrTTL, "if_not_exists(#ttl, :ttl)")
		u.value(":ttl", sweepAt(end))
		u.require("attribute_not_exists(#ttl) OR #ttl >= :soon")
		u.value(":soon", number(end.Add(grace/2).Unix()))
	}
	return u
}

func takeLease(a tokenstore.Acquire) *update {
	u := newUpdate("acquire", a.Key)
	u.assign(attrLeaseOwner, text(a.Owner))
	u.assign(attrLeaseUntil, instant(a.Now.Add(a.TTL)))
	u.require(leaseFree)
	u.value(":text", text("S"))
	u.value(":number", text("N"))
	u.value(":now", instant(a.Now))
	u.value(":absurd", instant(a.Now.Add(a.TTL+absurdAfter)))
	return u
}

// held tells of an item as it was found what leaseFree tells of it in the table.
func held(l tokenstore.Lease, a tokenstore.Acquire) bool {
	return l.Owner != "" && l.Owner != a.Owner &&
		l.Until.UnixMilli() >= a.Now.UnixMilli() &&
		l.Until.UnixMilli() <= a.Now.Add(a.TTL+absurdAfter).UnixMilli()
}

func heldItem(item tokenstore.Item, bad []string) tokenstore.Item {
	if len(bad) > 0 {
		return tokenstore.Item{Key: item.Key, Lease: item.Lease}
	}
	return item
}

// mend takes the lease of an item that acquisition could not take as it is:
// something in it cannot be read, it is about to be swept, or its lease was
// given up in the meantime.
func (s *Store) mend(ctx context.Context, a tokenstore.Acquire, found attributes) (tokenstore.Item, error) {
	for range mendTries {
		if _, bad := decode(a.Key, found); a.Key.Subject != "" && beyondLease(bad) {
			return tokenstore.Item{Key: a.Key}, s.leaveAlone(ctx, a, bad)
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

// leaveAlone gives up the lease that may already have been taken of a subject's
// unreadable item: it may hold the only living refresh token (BI-72).
func (s *Store) leaveAlone(ctx context.Context, a tokenstore.Acquire, bad []string) error {
	if err := s.Release(ctx, tokenstore.Release{Key: a.Key, Owner: a.Owner}); err != nil {
		return err
	}
	return corrupt(bad)
}

// mending removes what cannot be read of found, on the condition that neither
// lease nor version has moved since. It writes nothing else, so that what
// others note in between stays.
func mending(a tokenstore.Acquire, found attributes) *update {
	item, bad := decode(a.Key, found)
	u := takeLease(a)
	u.answer = types.ReturnValueAllNew
	u.assign(attrSchema, number(schemaVersion))
	unmoved(u, found)
	if item.Lease.Owner != a.Owner || item.Lease.Seq == 0 {
		item.Lease.Seq++
	}
	u.assign(attrLeaseSeq, number(item.Lease.Seq))
	if slices.Contains(bad, attrVersion) {
		// Past every version counted so far, so that no holder's fence can match it.
		u.assign(attrVersion, instant(a.Now))
	}
	if beyondLease(bad) {
		u.forget(tokenAttributes...)
		u.forget(failureAttributes...)
		item.Token, item.Failure = tokenstore.Token{}, tokenstore.Failure{}
	}
	for _, name := range []string{attrForced, attrMustLoad, attrVariants} {
		if slices.Contains(bad, name) {
			u.forget(name)
		}
	}
	u.sweep(sweepAt(a.Now.Add(a.TTL), item.Token.ExpiresAt, item.Failure.NextAttemptAt))
	return u
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
func (s *Store) Fail(ctx context.Context, f tokenstore.Fail) error {
	if swept(f.Key) {
		u := failing(f)
		u.sweep(sweepAt(f.Now, f.Failure.NextAttemptAt))
		u.require("attribute_not_exists(#ttl) OR #ttl < :ttl")
		if _, applied, err := s.apply(ctx, u); applied || err != nil {
			return err
		}
	}
	_, _, err := s.apply(ctx, failing(f))
	return err
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
	_, _, err := s.apply(ctx, ending("release", r.Key, r.Owner))
	return err
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

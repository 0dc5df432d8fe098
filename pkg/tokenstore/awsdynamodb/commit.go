package awsdynamodb

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Commit stores a token and ends the lease, in one write if the owner still has
// the lease, otherwise in a second write that leaves the other owner's lease
// alone. Without c.Consumed, the version alone fences the commit:
// tokenstore.ErrSuperseded, with the item, when it has changed, unless this same
// commit changed it.
//
// With c.Consumed, that fingerprint fences the commit (CR-07): while the item
// has that refresh token, the new grant is stored, and the token too if the
// version is unchanged. tokenstore.ErrSuperseded, with the item, means that the
// item has another refresh token or none, and that nothing was written.
func (t *Table) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	write := commitWrite{token: true, lease: c.Owner != "", clearAttempt: true, expires: c.Consumed == ""}
	for range writeTries {
		found, applied, err := t.apply(ctx, write.update(c))
		if err != nil {
			return tokenstore.Item{Key: c.Key}, err
		}
		item, bad := decode(c.Key, found)
		next := commitWriteFor(c, item, found, bad)
		switch {
		case applied || c.AlreadyApplied(item):
			return item, nil
		case c.Consumed == "" && (!next.token || next == write), c.Consumed != "" && item.Grant.Fingerprint != c.Consumed:
			return item, tokenstore.ErrSuperseded
		}
		write = next
	}
	return tokenstore.Item{Key: c.Key}, fmt.Errorf("commit token item: %w: %s", tokenstore.ErrUnavailable, concurrentWrites)
}

// commitWrite selects the parts of a commit that one write contains. Each part
// requires that its precondition still holds.
type commitWrite struct {
	// token stores the token; the version is unchanged.
	token bool
	// lease ends the lease; the owner has it. Otherwise leaseEnd is the end of
	// another owner's lease.
	lease    bool
	leaseEnd time.Time
	// clearAttempt removes the mark; it is this attempt's, or there is none.
	clearAttempt bool
	// expires sets a ttl; the item has no grant, before and after the write.
	expires bool
}

// commitWriteFor returns the write that fits the item as found. It ignores other
// corrupt attributes, because only the fence decides.
func commitWriteFor(c tokenstore.Commit, item tokenstore.Item, found attributes, bad []string) commitWrite {
	w := commitWrite{
		token:        item.Version == c.Version && !slices.Contains(bad, attrVersion),
		lease:        c.Owner != "" && textOf(found[attrLeaseOwner]) == c.Owner,
		clearAttempt: found[attrAttemptOwner] == nil || textOf(found[attrAttemptOwner]) == c.Owner,
		expires:      c.Consumed == "" && !hasGrant(found),
	}
	if !w.lease {
		w.leaseEnd = item.Lease.Until
	}
	return w
}

func (w commitWrite) update(c tokenstore.Commit) *update {
	u := newUpdate("commit", c.Key)
	u.returns = types.ReturnValueAllNew
	u.endLease(c.Owner, w.lease, w.clearAttempt)
	if w.token {
		requireVersion(u, c.Version)
		putCommitted(u, c)
	}
	if c.Consumed != "" {
		u.require("#grant_fp = :consumed")
		u.value(":consumed", text(c.Consumed))
		putGrant(u, c.Grant)
		u.unset(attrTTL)
	}
	if w.expires {
		u.require(noGrant)
		u.expire(ttlAfter(c.Token.ExpiresAt, c.Now, w.leaseEnd))
	}
	return u
}

// endLease ends owner's lease, removes its mark, or both.
func (u *update) endLease(owner string, lease, clearAttempt bool) {
	if lease {
		u.unset(leaseAttributes...)
		u.require("#lease_owner = :owner")
	}
	if clearAttempt {
		u.clearAttempt()
	}
	if lease || clearAttempt {
		u.value(":owner", text(owner))
	}
}

// putCommitted stores a commit's token and removes what referred to the previous one.
func putCommitted(u *update, c tokenstore.Commit) {
	putToken(u, c.Token, c.SecretIncarnation, c.Version+1)
	if c.Used {
		u.assign(attrUsed, &types.AttributeValueMemberBOOL{Value: true})
	} else {
		u.unset(attrUsed)
	}
	u.text(attrRenewSlot, c.RenewSlot)
	u.unset(attrRejectedID, attrRequiredSecretVersion)
	u.unset(failureAttributes...)
}

func putToken(u *update, t tokenstore.SealedToken, incarnation string, version int64) {
	u.assign(attrSchema, number(schemaVersion))
	u.assign(attrVersion, number(version))
	u.text(attrSecretIncarnation, incarnation)
	u.text(attrTokenID, t.ID)
	u.bytes(attrSealed, t.Sealed)
	u.instant(attrMintedAt, t.MintedAt)
	u.instant(attrExpiresAt, t.ExpiresAt)
	u.text(attrMintID, t.MintID)
	u.text(attrConfigHash, t.ConfigHash)
	u.text(attrSecretVersion, t.SecretVersion)
	u.texts(attrDepartures, t.Departures)
	u.texts(attrExtraNames, t.ExtraNames)
}

// requireVersion fences a write. Version 0 means that the item has no version yet.
func requireVersion(u *update, version int64) {
	if version == 0 {
		u.require("attribute_not_exists(#version)")
		return
	}
	u.require("#version = :fence")
	u.value(":fence", number(version))
}

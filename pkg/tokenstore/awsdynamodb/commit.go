package awsdynamodb

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Commit stores a token and ends the lease, in one write if the lease is still
// the owner's, else in a second that leaves the other's lease alone. Where no
// refresh token was consumed, the version alone decides:
// tokenstore.ErrSuperseded, with the item, when it has moved, unless this very
// commit moved it.
//
// Where one was, its fingerprint decides (CR-07): while the item holds it, the
// grant that came for it is stored, and the token too if the version stands.
// tokenstore.ErrSuperseded, with the item, says that it holds another or none,
// and that nothing was written.
func (s *Store) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	form := commitForm{token: true, lease: c.Owner != "", settle: true, sweep: c.Consumed == "" && swept(c.Key)}
	for range writeTries {
		found, applied, err := s.apply(ctx, form.update(c))
		if err != nil {
			return tokenstore.Item{Key: c.Key}, err
		}
		item, bad := decode(c.Key, found)
		next := commitFormFor(c, item, found, bad)
		switch {
		case applied || c.AlreadyApplied(item):
			return item, nil
		case c.Consumed == "" && (!next.token || next == form), c.Consumed != "" && item.Grant.Fingerprint != c.Consumed:
			return item, tokenstore.ErrSuperseded
		}
		form = next
	}
	return tokenstore.Item{Key: c.Key}, fmt.Errorf("commit token item: %w: others keep changing it", tokenstore.ErrUnavailable)
}

// commitForm is what of a commit may be written to the item as it stands, and
// what it requires to still be so.
type commitForm struct {
	// token: the version stands, so that the token is stored.
	token bool
	// lease is the owner's and ends; otherwise leaseEnd is when another's does.
	lease    bool
	leaseEnd time.Time
	// settle: the in-flight mark is that of this attempt, or there is none, and goes.
	settle bool
	// sweep: the item holds no grant and gets none, so that a ttl stands on it.
	sweep bool
}

// commitFormFor is the form for the item as it was found. What else of it cannot
// be read does not matter: the fence alone decides.
func commitFormFor(c tokenstore.Commit, item tokenstore.Item, found attributes, bad []string) commitForm {
	f := commitForm{
		token:  item.Version == c.Version && !slices.Contains(bad, attrVersion),
		lease:  c.Owner != "" && textOf(found[attrLeaseOwner]) == c.Owner,
		settle: found[attrSpendAttempt] == nil || textOf(found[attrSpendAttempt]) == c.Owner,
		sweep:  c.Consumed == "" && swept(c.Key) && !holdsGrant(c.Key, found),
	}
	if !f.lease {
		f.leaseEnd = item.Lease.Until
	}
	return f
}

func (f commitForm) update(c tokenstore.Commit) *update {
	u := newUpdate("commit", c.Key)
	u.answer = types.ReturnValueAllNew
	u.end(c.Owner, f.lease, f.settle)
	if f.token {
		requireVersion(u, c.Version)
		putCommitted(u, c)
	}
	if c.Consumed != "" {
		u.require("#grant_fp = :consumed")
		u.value(":consumed", text(c.Consumed))
		putGrant(u, c.Grant)
		u.forget(attrTTL)
	}
	if f.sweep {
		u.require(withoutGrant)
		u.sweep(sweepAt(c.Token.ExpiresAt, c.Now, f.leaseEnd))
	}
	return u
}

// end ends owner's lease, takes away its mark, or both.
func (u *update) end(owner string, lease, settle bool) {
	if lease {
		u.forget(leaseAttributes...)
		u.require("#lease_owner = :owner")
	}
	if settle {
		u.settle()
	}
	if lease || settle {
		u.value(":owner", text(owner))
	}
}

// putCommitted stores a commit's token and forgets what the one before left.
func putCommitted(u *update, c tokenstore.Commit) {
	putToken(u, c.Token, c.SecretIncarnation, c.Version+1)
	if c.Used {
		u.assign(attrUsed, &types.AttributeValueMemberBOOL{Value: true})
	} else {
		u.forget(attrUsed)
	}
	u.text(attrRenewSlot, c.RenewSlot)
	u.forget(attrRejectedID, attrMustLoad)
	u.forget(failureAttributes...)
}

func putToken(u *update, t tokenstore.SealedToken, generation string, version int64) {
	u.assign(attrSchema, number(schemaVersion))
	u.assign(attrVersion, number(version))
	u.text(attrGeneration, generation)
	u.text(attrTokenID, t.ID)
	u.bytes(attrSealed, t.Sealed)
	u.instant(attrMintedAt, t.MintedAt)
	u.instant(attrExpiresAt, t.ExpiresAt)
	u.text(attrDeclaration, t.ConfigHash)
	u.text(attrSecretVersion, t.SecretVersion)
}

// requireVersion fences a write. Version 0 is an item that has none yet.
func requireVersion(u *update, version int64) {
	if version == 0 {
		u.require("attribute_not_exists(#version)")
		return
	}
	u.require("#version = :fence")
	u.value(":fence", number(version))
}

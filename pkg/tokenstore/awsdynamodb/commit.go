package awsdynamodb

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Commit stores a token and ends the lease, in one write if the lease is still
// the owner's, else in a second that leaves the other's lease alone. The
// version alone decides: tokenstore.ErrSuperseded, with the item, when it has
// moved, unless this very commit moved it.
func (s *Store) Commit(ctx context.Context, c tokenstore.Commit) (tokenstore.Item, error) {
	u := committing(c, c.Now)
	u.forget(leaseAttributes...)
	u.require("#lease_owner = :owner")
	u.value(":owner", text(c.Owner))
	item, again, err := s.commit(ctx, c, u)
	if again {
		item, again, err = s.commit(ctx, c, committing(c, item.Lease.Until))
	}
	if again {
		// The version stood before the write and after it, yet not under it.
		return item, tokenstore.ErrSuperseded
	}
	return item, err
}

// commit sends one form of the commit. again is true when nothing was written
// although the version still stands. What else of the item cannot be read does
// not matter: the version alone fences.
func (s *Store) commit(ctx context.Context, c tokenstore.Commit, u *update) (item tokenstore.Item, again bool, err error) {
	found, applied, err := s.apply(ctx, u)
	if err != nil {
		return tokenstore.Item{Key: c.Key}, false, err
	}
	item, _ = decode(c.Key, found)
	switch {
	case applied, item.Version == c.Version+1 && item.Token.ID == c.Token.ID:
		return item, false, nil
	case item.Version == c.Version:
		return item, true, nil
	}
	return item, false, tokenstore.ErrSuperseded
}

// committing is the part of the write that does not depend on the lease, which
// ends at leaseEnd if it is another's.
func committing(c tokenstore.Commit, leaseEnd time.Time) *update {
	u := newUpdate("commit", c.Key)
	u.answer = types.ReturnValueAllNew
	u.assign(attrSchema, number(schemaVersion))
	u.assign(attrVersion, number(c.Version+1))
	requireVersion(u, c.Version)
	u.text(attrGeneration, c.Generation)
	putToken(u, c.Token)
	if c.Used {
		u.assign(attrUsed, &types.AttributeValueMemberBOOL{Value: true})
	} else {
		u.forget(attrUsed)
	}
	u.text(attrRenewSlot, c.RenewSlot)
	u.forget(attrRejectedID, attrMustLoad)
	u.forget(failureAttributes...)
	u.sweep(sweepAt(c.Token.ExpiresAt, leaseEnd))
	return u
}

func putToken(u *update, t tokenstore.Token) {
	u.assign(attrTokenID, text(t.ID))
	u.assign(attrSealed, &types.AttributeValueMemberB{Value: t.Sealed})
	u.instant(attrMintedAt, t.MintedAt)
	u.instant(attrExpiresAt, t.ExpiresAt)
	u.text(attrDeclaration, t.Declaration)
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

package awsdynamodb

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// StoreGrant stores grant and token of a new consent, replaces any stored grant,
// and ends the lease: in one write if the owner still has the lease, otherwise in
// a second write that leaves the other owner's lease alone. The version alone
// fences it: tokenstore.ErrSuperseded, with the item, when it has changed, unless
// this same call changed it. From then on the item has no ttl, unless a has no
// grant.
func (t *Table) StoreGrant(ctx context.Context, a tokenstore.StoreGrant) (tokenstore.Item, error) {
	var item tokenstore.Item
	for _, lease := range []bool{true, false} {
		found, applied, err := t.apply(ctx, storeGrantUpdate(a, lease))
		if err != nil {
			return tokenstore.Item{Key: a.Key}, err
		}
		item, _ = decode(a.Key, found)
		if applied || a.AlreadyApplied(item) {
			return item, nil
		}
		if item.Version != a.Version {
			break
		}
	}
	return item, tokenstore.ErrSuperseded
}

func storeGrantUpdate(a tokenstore.StoreGrant, lease bool) *update {
	u := newUpdate("store grant", a.Key)
	u.returns = types.ReturnValueAllNew
	u.endLease(a.Owner, lease, false)
	requireVersion(u, a.Version)
	putToken(u, a.Token, a.SecretIncarnation, a.Version+1)
	putGrant(u, a.Grant)
	u.text(attrRenewSlot, a.RenewSlot)
	u.unset(attrUsed, attrRejectedID, attrForcedRefreshes, attrForcedBy, attrRequiredSecretVersion)
	u.unset(attemptAttributes...)
	u.unset(failureAttributes...)
	if a.Grant.Fingerprint == "" {
		u.expire(ttlAfter(a.Token.ExpiresAt, a.Now))
	} else {
		u.unset(attrTTL)
	}
	return u
}

// bound is stored with the fingerprint that it belongs to. The release before this one
// does not know the attribute and leaves it beside another refresh token, whose it is
// not.
func bound(g tokenstore.SealedGrant) string {
	if g.Bound == "" {
		return ""
	}
	return g.Fingerprint + "/" + g.Bound
}

func putGrant(u *update, g tokenstore.SealedGrant) {
	u.text(attrGrantFingerprint, g.Fingerprint)
	u.bytes(attrGrant, g.Sealed)
	u.text(attrGrantSecretIncarnation, g.SecretIncarnation)
	u.text(attrGrantClient, g.Client)
	u.text(attrGrantBound, bound(g))
	u.text(attrConsentedBy, g.ConsentedBy)
	u.instant(attrConsentedAt, g.ConsentedAt)
	u.instant(attrRefreshedAt, g.RefreshedAt)
	u.instant(attrGrantExpiresAt, g.ExpiresAt)
}

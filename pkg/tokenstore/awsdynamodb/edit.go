package awsdynamodb

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Reject marks the current token as rejected and increments the version.
// tokenstore.ErrSuperseded comes with the item, unless the item already reflects
// this report.
func (t *Table) Reject(ctx context.Context, r tokenstore.Reject) (tokenstore.Item, error) {
	found, applied, err := t.apply(ctx, rejectUpdate(r))
	if err != nil {
		return tokenstore.Item{Key: r.Key}, err
	}
	item, err := decodeValid(r.Key, found)
	switch {
	case err != nil:
		return item, tokenstore.ErrSuperseded
	case applied || alreadyRejected(item, r):
		return item, nil
	}
	return item, tokenstore.ErrSuperseded
}

func rejectUpdate(r tokenstore.Reject) *update {
	u := newUpdate("reject", r.Key)
	u.returns = types.ReturnValueAllNew
	requireVersion(u, r.Version)
	u.require("#token_id = :rejected_id")
	u.assign(attrVersion, number(r.Version+1))
	u.assign(attrRejectedID, text(r.TokenID))
	requireForcedRefreshes(u, r.Read)
	putForcedRefreshes(u, r.ForcedRefreshes)
	return u
}

func alreadyRejected(item tokenstore.Item, r tokenstore.Reject) bool {
	return item.Version == r.Version+1 && item.RejectedID == r.TokenID &&
		item.Token.ID == r.TokenID && slices.EqualFunc(item.ForcedRefreshes, r.ForcedRefreshes, tokenstore.ForcedRefresh.Same)
}

// MarkUsed records that the token of that version was served. It changes nothing
// if the version has changed.
func (t *Table) MarkUsed(ctx context.Context, key tokenstore.Key, version int64) error {
	if version == 0 {
		return nil
	}
	u := newUpdate("mark used", key)
	u.skipRead = true
	requireVersion(u, version)
	u.assign(attrUsed, &types.AttributeValueMemberBOOL{Value: true})
	_, _, err := t.apply(ctx, u)
	return err
}

// SetForcedRefreshes replaces the record of forced refreshes;
// tokenstore.ErrSuperseded when the stored record is not was, unless it already
// reflects the replacement.
func (t *Table) SetForcedRefreshes(ctx context.Context, key tokenstore.Key, was, forced []tokenstore.ForcedRefresh) error {
	u := newUpdate("set forced", key)
	u.stamp()
	u.requireSchema()
	requireForcedRefreshes(u, was)
	putForcedRefreshes(u, forced)
	found, applied, err := t.apply(ctx, u)
	if err == nil && !applied && !tokenstore.AlreadyForced((&reader{found: found}).forcedRefreshes(), was, forced) {
		return fmt.Errorf("set forced: %w", tokenstore.ErrSuperseded)
	}
	return err
}

// RemoveVariant removes a variant from the list; repeating it changes nothing.
func (t *Table) RemoveVariant(ctx context.Context, key tokenstore.Key, variant string) error {
	key.Variant = ""
	u := newUpdate("remove variant", key)
	u.skipRead = true
	u.require("contains(#variants, :one)")
	u.value(":one", text(variant))
	u.drop = append(u.drop, "#variants :variant")
	u.value(":variant", &types.AttributeValueMemberSS{Value: []string{variant}})
	_, _, err := t.apply(ctx, u)
	return err
}

// AddVariant adds a variant to the list of the item without a variant, which then
// never expires. tokenstore.ErrCorrupt when its schema or its variants are
// corrupt.
func (t *Table) AddVariant(ctx context.Context, key tokenstore.Key, variant string) error {
	key.Variant = ""
	u := addVariantUpdate(key, variant)
	u.assign(attrTTL, number(noExpiry))
	u.require(noGrant)
	_, applied, err := t.apply(ctx, u)
	if err == nil && !applied {
		// An item with a grant has no ttl.
		_, applied, err = t.apply(ctx, addVariantUpdate(key, variant))
	}
	if err == nil && !applied {
		return corrupt(tokenstore.ErrCorrupt, []string{attrSchema, attrVariants})
	}
	return err
}

func addVariantUpdate(key tokenstore.Key, variant string) *update {
	u := newUpdate("add variant", key)
	u.skipRead = true
	u.stamp()
	u.requireSchema()
	u.require("attribute_not_exists(#variants) OR attribute_type(#variants, :set)")
	u.value(":set", text("SS"))
	u.add = append(u.add, "#variants :variant")
	u.value(":variant", &types.AttributeValueMemberSS{Value: []string{variant}})
	u.assign(attrTTLPin, number(noExpiry))
	return u
}

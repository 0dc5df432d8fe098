package awsdynamodb

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// Reject marks the current token as reported dead and moves the version.
// tokenstore.ErrSuperseded comes with the item, unless it shows this very
// report.
func (s *Store) Reject(ctx context.Context, r tokenstore.Reject) (tokenstore.Item, error) {
	found, applied, err := s.apply(ctx, rejecting(r))
	if err != nil {
		return tokenstore.Item{Key: r.Key}, err
	}
	item, err := understood(r.Key, found)
	switch {
	case err != nil:
		return item, tokenstore.ErrSuperseded
	case applied || reported(item, r):
		return item, nil
	}
	return item, tokenstore.ErrSuperseded
}

func rejecting(r tokenstore.Reject) *update {
	u := newUpdate("reject", r.Key)
	u.answer = types.ReturnValueAllNew
	requireVersion(u, r.Version)
	u.require("#token_id = :rejected_id")
	u.assign(attrVersion, number(r.Version+1))
	u.assign(attrRejectedID, text(r.TokenID))
	if len(r.ForcedRefreshes) == 0 {
		u.forget(attrForced)
	} else {
		u.assign(attrForced, instants(r.ForcedRefreshes))
	}
	return u
}

func reported(item tokenstore.Item, r tokenstore.Reject) bool {
	sameInstant := func(a, b time.Time) bool { return a.UnixMilli() == b.UnixMilli() }
	return item.Version == r.Version+1 && item.RejectedID == r.TokenID &&
		item.Token.ID == r.TokenID && slices.EqualFunc(item.ForcedRefreshes, r.ForcedRefreshes, sameInstant)
}

// MarkUsed notes that the token of that version was served; a version that has
// moved makes it a no-op.
func (s *Store) MarkUsed(ctx context.Context, key tokenstore.Key, version int64) error {
	if version == 0 {
		return nil
	}
	u := newUpdate("mark used", key)
	u.blind = true
	requireVersion(u, version)
	u.assign(attrUsed, &types.AttributeValueMemberBOOL{Value: true})
	_, _, err := s.apply(ctx, u)
	return err
}

// SetForcedRefreshes replaces the instants of forced refreshes; tokenstore.ErrSuperseded
// when they are not was any more.
func (s *Store) SetForcedRefreshes(ctx context.Context, key tokenstore.Key, was, forced []time.Time) error {
	u := newUpdate("set forced", key)
	u.blind = true
	u.stamp()
	u.requireSchema()
	requireForced(u, was)
	u.assign(attrForced, instants(forced))
	_, applied, err := s.apply(ctx, u)
	if err == nil && !applied {
		return fmt.Errorf("set forced: %w", tokenstore.ErrSuperseded)
	}
	return err
}

// requireForced demands the instants that were read: as many, with the same
// first and last, which no other history of additions shares. Not every engine
// compares lists.
func requireForced(u *update, was []time.Time) {
	if len(was) == 0 {
		u.require("attribute_not_exists(#forced)")
		return
	}
	u.require(fmt.Sprintf("size(#forced) = :size AND #forced[0] = :first AND #forced[%d] = :last", len(was)-1))
	u.value(":size", number(int64(len(was))))
	u.value(":first", instant(was[0]))
	u.value(":last", instant(was[len(was)-1]))
}

// RemoveVariant takes back that a variant exists; repeating it changes nothing.
func (s *Store) RemoveVariant(ctx context.Context, key tokenstore.Key, variant string) error {
	key.Variant = ""
	u := newUpdate("remove variant", key)
	u.blind = true
	u.require("contains(#variants, :one)")
	u.value(":one", text(variant))
	u.drop = append(u.drop, "#variants :variant")
	u.value(":variant", &types.AttributeValueMemberSS{Value: []string{variant}})
	_, _, err := s.apply(ctx, u)
	return err
}

// AddVariant notes on the connection's own item that a variant exists, and
// keeps that item from being swept. tokenstore.ErrCorrupt when its schema or
// its variants cannot be read.
func (s *Store) AddVariant(ctx context.Context, key tokenstore.Key, variant string) error {
	key.Variant = ""
	u := addingVariant(key, variant)
	if swept(key) {
		u.assign(attrTTL, number(never))
		u.require(withoutGrant)
	}
	_, applied, err := s.apply(ctx, u)
	if err == nil && !applied && swept(key) {
		// Beside a grant there is no ttl.
		_, applied, err = s.apply(ctx, addingVariant(key, variant))
	}
	if err == nil && !applied {
		return corrupt(tokenstore.ErrCorrupt, []string{attrSchema, attrVariants})
	}
	return err
}

func addingVariant(key tokenstore.Key, variant string) *update {
	u := newUpdate("add variant", key)
	u.blind = true
	u.stamp()
	u.requireSchema()
	u.require("attribute_not_exists(#variants) OR attribute_type(#variants, :set)")
	u.value(":set", text("SS"))
	u.add = append(u.add, "#variants :variant")
	u.value(":variant", &types.AttributeValueMemberSS{Value: []string{variant}})
	if swept(key) {
		u.assign(attrTTLPin, number(never))
	}
	return u
}

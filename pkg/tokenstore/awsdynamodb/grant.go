package awsdynamodb

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// StoreGrant stores grant and token of a new consent over whatever grant was there,
// and ends the lease: in one write if the lease is still the owner's, else in a
// second that leaves the other's alone. The version alone decides:
// tokenstore.ErrSuperseded, with the item, when it has moved, unless this very
// adoption moved it. From then on no ttl stands on the item.
func (s *Store) StoreGrant(ctx context.Context, a tokenstore.StoreGrant) (tokenstore.Item, error) {
	var item tokenstore.Item
	for _, lease := range []bool{true, false} {
		found, applied, err := s.apply(ctx, adopting(a, lease))
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

func adopting(a tokenstore.StoreGrant, lease bool) *update {
	u := newUpdate("adopt", a.Key)
	u.answer = types.ReturnValueAllNew
	u.end(a.Owner, lease, false)
	requireVersion(u, a.Version)
	putToken(u, a.Token, a.SecretIncarnation, a.Version+1)
	putGrant(u, a.Grant)
	u.text(attrRenewSlot, a.RenewSlot)
	u.forget(attrUsed, attrRejectedID, attrForced, attrMustLoad, attrTTL)
	u.forget(spendAttributes...)
	u.forget(failureAttributes...)
	return u
}

func putGrant(u *update, g tokenstore.SealedGrant) {
	u.text(attrGrantPrint, g.Fingerprint)
	u.bytes(attrGrant, g.Sealed)
	u.text(attrGrantGeneration, g.SecretIncarnation)
	u.text(attrGrantClient, g.Client)
	u.text(attrConsentedBy, g.ConsentedBy)
	u.instant(attrConsentedAt, g.ConsentedAt)
	u.instant(attrRefreshedAt, g.RefreshedAt)
	u.instant(attrGrantExpiresAt, g.ExpiresAt)
}

// queryLimit is how many items one query asks for at most.
const queryLimit = 1000

// Subjects returns up to limit items of a connection's named subjects in the
// order of their names, those after after, read consistently, and the after of
// the next page, empty on the last. An item that cannot be read comes with its
// Key and nothing else, so with Version 0; items that were never committed to
// are left out, so that no other has that.
func (s *Store) Subjects(ctx context.Context, connection string, limit int, after string) ([]tokenstore.Item, string, error) {
	limit = max(limit, 1)
	var items []tokenstore.Item
	start := primaryKey(tokenstore.Key{Connection: connection, Subject: after})
	if after == "" {
		start = nil
	}
	for len(items) <= limit {
		out, err := s.querySubjects(ctx, connection, limit+1-len(items), start)
		if err != nil {
			return nil, "", err
		}
		items = append(items, listed(out.Items)...)
		if start = out.LastEvaluatedKey; len(start) == 0 {
			break
		}
	}
	if len(items) <= limit {
		return items, "", nil
	}
	return items[:limit], items[limit-1].Key.Subject, nil
}

func (s *Store) querySubjects(ctx context.Context, connection string, limit int, start attributes) (*dynamodb.QueryOutput, error) {
	out, err := s.client.Query(ctx, &dynamodb.QueryInput{
		TableName: s.table, ConsistentRead: aws.Bool(true), Limit: aws.Int32(int32(min(limit, queryLimit))),
		KeyConditionExpression:    aws.String("pk = :pk AND begins_with(sk, :subject)"),
		ExpressionAttributeValues: attributes{":pk": primaryKey(tokenstore.Key{Connection: connection})["pk"], ":subject": text("subject/")},
		ExclusiveStartKey:         start,
	})
	if err != nil {
		return nil, unavailable(ctx, "list subjects", err)
	}
	return out, nil
}

// listed decodes what a page is to show: no variants, and nothing that only a
// lease or a failure was ever noted on.
func listed(page []attributes) []tokenstore.Item {
	var items []tokenstore.Item
	for _, found := range page {
		key, ok := parseKey(found)
		if !ok || key.Variant != "" {
			continue
		}
		item, err := understood(key, found)
		if err != nil || item.Version > 0 {
			items = append(items, item)
		}
	}
	return items
}

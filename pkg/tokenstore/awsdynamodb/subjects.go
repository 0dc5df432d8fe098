package awsdynamodb

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// queryLimit bounds the number of items of one query.
const queryLimit = 1000

// Subjects returns up to limit items of a connection's named subjects, in the
// order of their names, beginning after the name after. It reads consistently.
// The second result is the after of the next page, empty on the last. A corrupt
// item comes with its Key alone, so its Version is 0. No other item has Version
// 0: items that were never committed are omitted.
func (t *Table) Subjects(ctx context.Context, connection string, limit int, after string) ([]tokenstore.Item, string, error) {
	limit = max(limit, 1)
	var items []tokenstore.Item
	start := primaryKey(tokenstore.Key{Connection: connection, Subject: after})
	if after == "" {
		start = nil
	}
	for len(items) <= limit {
		out, err := t.querySubjects(ctx, connection, limit+1-len(items), start)
		if err != nil {
			return nil, "", err
		}
		items = append(items, decodePage(out.Items)...)
		if start = out.LastEvaluatedKey; len(start) == 0 {
			break
		}
	}
	if len(items) <= limit {
		return items, "", nil
	}
	return items[:limit], items[limit-1].Key.Subject, nil
}

func (t *Table) querySubjects(ctx context.Context, connection string, limit int, start attributes) (*dynamodb.QueryOutput, error) {
	limit = min(limit, queryLimit)
	out, err := t.client.Query(ctx, &dynamodb.QueryInput{
		TableName: t.name, ConsistentRead: aws.Bool(true),
		Limit:                     aws.Int32(int32(limit)), //nolint:gosec // at most queryLimit
		KeyConditionExpression:    aws.String("pk = :pk AND begins_with(sk, :subject)"),
		ExpressionAttributeValues: attributes{":pk": primaryKey(tokenstore.Key{Connection: connection})[attrPartitionKey], ":subject": text("subject/")},
		ExclusiveStartKey:         start,
	})
	if err != nil {
		return nil, unavailable(ctx, "list subjects", err)
	}
	return out, nil
}

// decodePage decodes the items of a page without variants and without items that
// have only a lease or a failure.
func decodePage(page []attributes) []tokenstore.Item {
	var items []tokenstore.Item
	for _, found := range page {
		key, ok := parseKey(found)
		if !ok || key.Variant != "" {
			continue
		}
		item, err := decodeValid(key, found)
		if err != nil || item.Version > 0 {
			items = append(items, item)
		}
	}
	return items
}

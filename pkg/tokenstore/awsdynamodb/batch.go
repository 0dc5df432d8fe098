package awsdynamodb

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// batchLimit is DynamoDB's limit of keys in one BatchGetItem.
const batchLimit = 100

// batch reads the items of at most batchLimit different keys, and returns those that
// exist by keyText. The table leaves keys unprocessed when it has too many requests.
// They are requested once more at once, because often a single partition is over its
// limit for a moment.
func (t *Table) batch(ctx context.Context, verb string, keys []attributes, consistent bool) (map[string]attributes, error) {
	found := make(map[string]attributes, len(keys))
	request := map[string]types.KeysAndAttributes{*t.name: {Keys: keys, ConsistentRead: aws.Bool(consistent)}}
	for range 2 {
		out, err := t.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: request})
		if err != nil {
			return nil, unavailable(ctx, verb, err)
		}
		for _, items := range out.Responses {
			for _, item := range items {
				found[keyText(item)] = item
			}
		}
		if request = out.UnprocessedKeys; len(request) == 0 {
			return found, nil
		}
	}
	return nil, fmt.Errorf("%s token item: %w: keys left unprocessed", verb, tokenstore.ErrThrottled)
}

// keyText is an item's primary key as one text. No partition key contains a line
// break.
func keyText(item attributes) string {
	return textOf(item[attrPartitionKey]) + "\n" + textOf(item[attrSortKey])
}

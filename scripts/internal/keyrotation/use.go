package keyrotation

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"github.com/tokenvend/tokenvend/pkg/seal"
)

// Scanner is the part of the SDK's DynamoDB client that [CountUses] calls.
type Scanner interface {
	Scan(context.Context, *dynamodb.ScanInput, ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error)
}

// Use is what one key seals.
type Use struct {
	Items int
	// Examples are the primary keys of some of the items.
	Examples []string
}

// maxExamples is the number of items that are named.
const maxExamples = 5

// CountUses reads a whole table consistently and counts the items that each key
// seals. It looks at every attribute, so that anything sealed keeps its key.
// progress gets the number of items read so far.
func CountUses(ctx context.Context, client Scanner, table string, progress func(items int)) (map[string]Use, error) {
	uses, read := map[string]Use{}, 0
	pages := dynamodb.NewScanPaginator(client, &dynamodb.ScanInput{TableName: &table, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the table %s: %w", table, withoutARN(err))
		}
		for _, item := range page.Items {
			count(uses, item)
		}
		read += len(page.Items)
		progress(read)
	}
	return uses, nil
}

func count(uses map[string]Use, item map[string]types.AttributeValue) {
	seen := map[string]bool{}
	for _, value := range item {
		sealed, isBytes := value.(*types.AttributeValueMemberB)
		if !isBytes {
			continue
		}
		id, looksSealed := seal.KeyID(sealed.Value)
		if !looksSealed || seen[id] {
			continue
		}
		seen[id] = true
		use := uses[id]
		if use.Items++; len(use.Examples) < maxExamples {
			use.Examples = append(use.Examples, text(item["pk"])+" "+text(item["sk"]))
		}
		uses[id] = use
	}
}

func text(value types.AttributeValue) string {
	if s, ok := value.(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return "?"
}

// withoutARN keeps the error's code and drops its message, which names ARNs and
// principals.
func withoutARN(err error) error {
	var refused smithy.APIError
	if errors.As(err, &refused) {
		return errors.New("DynamoDB answered " + refused.ErrorCode())
	}
	return errors.New("DynamoDB did not answer; check the region and the network")
}

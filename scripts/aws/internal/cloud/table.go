package cloud

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// makeTable makes the template's table.
func (c *Cloud) makeTable(ctx context.Context) error {
	key := func(name string, kind types.KeyType) types.KeySchemaElement {
		return types.KeySchemaElement{AttributeName: &name, KeyType: kind}
	}
	text := func(name string) types.AttributeDefinition {
		return types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS}
	}
	_, err := c.dynamo.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &c.Table, BillingMode: types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{key("pk", types.KeyTypeHash), key("sk", types.KeyTypeRange)},
		AttributeDefinitions: []types.AttributeDefinition{text("pk"), text("sk"), text("renew_slot")},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName: aws.String("renew"), KeySchema: []types.KeySchemaElement{key("renew_slot", types.KeyTypeHash)},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
	})
	if err != nil {
		return fmt.Errorf("make the table: %w", err)
	}
	wait := dynamodb.NewTableExistsWaiter(c.dynamo, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 10*time.Millisecond, 100*time.Millisecond
	})
	if err := wait.Wait(ctx, &dynamodb.DescribeTableInput{TableName: &c.Table}, time.Minute); err != nil {
		return fmt.Errorf("wait for the table: %w", err)
	}
	return nil
}

// Items are all that the table holds.
func (c *Cloud) Items(ctx context.Context) ([]map[string]types.AttributeValue, error) {
	var all []map[string]types.AttributeValue
	pages := dynamodb.NewScanPaginator(c.dynamo, &dynamodb.ScanInput{TableName: &c.Table, ConsistentRead: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the table: %w", err)
		}
		all = append(all, page.Items...)
	}
	return all, nil
}

// Clear removes every item.
func (c *Cloud) Clear(ctx context.Context) error {
	items, err := c.Items(ctx)
	if err != nil {
		return err
	}
	for _, item := range items {
		key := map[string]types.AttributeValue{"pk": item["pk"], "sk": item["sk"]}
		if _, err := c.dynamo.DeleteItem(ctx, &dynamodb.DeleteItemInput{TableName: &c.Table, Key: key}); err != nil {
			return fmt.Errorf("empty the table: %w", err)
		}
	}
	return nil
}

package awsdynamodb

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// RenewIndex is the sparse index on renew_slot. It contains keys only, and a
// renewal that leaves the slot unchanged does not write to it.
const RenewIndex = "renew"

// TableDefinition returns the request that creates the table: its keys and its
// index. It is the definition that tests, local engines and the template agree
// on. DynamoDB accepts the TTL only afterwards; see [TimeToLive].
func TableDefinition(name string) *dynamodb.CreateTableInput {
	var defined []types.AttributeDefinition
	for _, name := range []string{attrPartitionKey, attrSortKey, attrRenewSlot} {
		defined = append(defined, types.AttributeDefinition{
			AttributeName: aws.String(name), AttributeType: types.ScalarAttributeTypeS,
		})
	}
	key := func(name string, kind types.KeyType) types.KeySchemaElement {
		return types.KeySchemaElement{AttributeName: aws.String(name), KeyType: kind}
	}
	return &dynamodb.CreateTableInput{
		TableName:            aws.String(name),
		BillingMode:          types.BillingModePayPerRequest,
		AttributeDefinitions: defined,
		KeySchema:            []types.KeySchemaElement{key(attrPartitionKey, types.KeyTypeHash), key(attrSortKey, types.KeyTypeRange)},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName:  aws.String(RenewIndex),
			KeySchema:  []types.KeySchemaElement{key(attrRenewSlot, types.KeyTypeHash)},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
	}
}

// TimeToLive returns the request that enables deletion by TTL for the table.
func TimeToLive(name string) *dynamodb.UpdateTimeToLiveInput {
	return &dynamodb.UpdateTimeToLiveInput{
		TableName: aws.String(name),
		TimeToLiveSpecification: &types.TimeToLiveSpecification{
			AttributeName: aws.String(attrTTL), Enabled: aws.Bool(true),
		},
	}
}

package awsdynamodb_test

import (
	"context"
	"crypto/rand"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/storetest"
)

// engineVariable names the endpoint of a real engine.
const engineVariable = "TOKENVEND_TEST_DYNAMODB"

// engine is a table of its own on the real engine.
type engine struct {
	client *dynamodb.Client
	table  string
}

func newEngine(t *testing.T) engine {
	t.Helper()
	endpoint := os.Getenv(engineVariable)
	if endpoint == "" {
		t.Skipf("NOT RUN: no DynamoDB. Start DynamoDB Local or dynalite and set %s=http://127.0.0.1:PORT", engineVariable)
	}
	e := engine{client: newClient(endpoint, nil), table: "tokenvend-test-" + rand.Text()}
	_, err := e.client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:   &e.table,
		BillingMode: types.BillingModePayPerRequest,
		KeySchema: []types.KeySchemaElement{
			{AttributeName: aws.String("pk"), KeyType: types.KeyTypeHash},
			{AttributeName: aws.String("sk"), KeyType: types.KeyTypeRange},
		},
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: aws.String("pk"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("sk"), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: aws.String("renew_slot"), AttributeType: types.ScalarAttributeTypeS},
		},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName:  aws.String("renew"),
			KeySchema:  []types.KeySchemaElement{{AttributeName: aws.String("renew_slot"), KeyType: types.KeyTypeHash}},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
	})
	if err != nil {
		t.Fatalf("create the test's table: %v", err)
	}
	t.Cleanup(func() {
		_, _ = e.client.DeleteTable(context.Background(), &dynamodb.DeleteTableInput{TableName: &e.table})
	})
	wait := dynamodb.NewTableExistsWaiter(e.client, func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay, o.MaxDelay = time.Millisecond, time.Second })
	if err := wait.Wait(t.Context(), &dynamodb.DescribeTableInput{TableName: &e.table}, time.Minute); err != nil {
		t.Fatalf("wait for the test's table: %v", err)
	}
	return e
}

func (e engine) store() *awsdynamodb.Wheel {
	return awsdynamodb.NewWheel(awsdynamodb.WheelConfig{Client: e.client, Store: awsdynamodb.New(
		awsdynamodb.Config{Client: e.client, Table: e.table, Now: func() time.Time { return now }})})
}

func TestStore(t *testing.T) {
	store := newEngine(t).store()
	storetest.Run(t, func(*testing.T) storetest.Store { return store })
}

func TestStoreAgainstMemory(t *testing.T) {
	storetest.Compare(t, memory.New(), newEngine(t).store())
}

package awsdynamodb_test

import (
	"context"
	"crypto/rand"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/storetest"
)

// engineVariable is the variable with the endpoint of a DynamoDB engine.
const engineVariable = "TOKENVEND_TEST_DYNAMODB"

// engine is a new table on a DynamoDB engine.
type engine struct {
	client *dynamodb.Client
	table  string
}

func newEngine(t *testing.T) engine {
	t.Helper()
	endpoint := os.Getenv(engineVariable)
	if endpoint == "" {
		t.Skipf("NOT RUN: no DynamoDB. make test finds an engine, or start one and set %s=http://127.0.0.1:PORT", engineVariable)
	}
	e := engine{client: newClient(endpoint, nil), table: "tokenvend-test-" + rand.Text()}
	_, err := e.client.CreateTable(t.Context(), awsdynamodb.TableDefinition(e.table))
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

func (e engine) store() *awsdynamodb.Table {
	return awsdynamodb.New(awsdynamodb.Config{Client: e.client, Table: e.table})
}

func TestStore(t *testing.T) {
	store := newEngine(t).store()
	storetest.Run(t, func(*testing.T) storetest.Store { return store })
}

func TestStoreAgainstMemory(t *testing.T) {
	storetest.Compare(t, memory.New(), newEngine(t).store())
}

package dynamo_test

import (
	"context"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/scripts/internal/loopback/dynamo"
)

// now is the instant of every test here.
var now = time.UnixMilli(1767323045678).UTC()

// engine is an engine behind a real connection, and its address.
type engine struct {
	*dynamo.Engine
	url string
}

func start(t *testing.T) engine {
	t.Helper()
	e := engine{Engine: dynamo.New(dynamo.Config{Now: func() time.Time { return now }})}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	e.url = server.URL
	return e
}

// client is the SDK's own client, without retries.
func client(url string) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		BaseEndpoint: &url,
		Region:       "us-east-1",
		Retryer:      aws.NopRetryer{},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "anything", SecretAccessKey: "anything"}, nil
		}),
	})
}

// tokens makes a table as the template's, with the renewal index, and returns a
// client.
func (e engine) tokens(t *testing.T) *dynamodb.Client {
	t.Helper()
	c := client(e.url)
	if _, err := c.CreateTable(t.Context(), tokensTable()); err != nil {
		t.Fatalf("CreateTable: %v", err)
	}
	return c
}

func tokensTable() *dynamodb.CreateTableInput {
	return &dynamodb.CreateTableInput{
		TableName:            aws.String("tokens"),
		BillingMode:          types.BillingModePayPerRequest,
		KeySchema:            []types.KeySchemaElement{keyElement("pk", "HASH"), keyElement("sk", "RANGE")},
		AttributeDefinitions: []types.AttributeDefinition{definition("pk"), definition("sk"), definition("renew_slot")},
		GlobalSecondaryIndexes: []types.GlobalSecondaryIndex{{
			IndexName:  aws.String("renew"),
			KeySchema:  []types.KeySchemaElement{keyElement("renew_slot", "HASH")},
			Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
		}},
	}
}

func keyElement(name string, kind types.KeyType) types.KeySchemaElement {
	return types.KeySchemaElement{AttributeName: &name, KeyType: kind}
}

func definition(name string) types.AttributeDefinition {
	return types.AttributeDefinition{AttributeName: &name, AttributeType: types.ScalarAttributeTypeS}
}

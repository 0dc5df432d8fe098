package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The names in the functions' environment.
const (
	SecretPrefix  = "tokenvend/"
	SealingSecret = "sealing/keyset"
)

// secretKey is every process's secret access key. The access key ids differ:
// they name the process that sends a request.
const secretKey = "test"

var credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "fleet", SecretAccessKey: secretKey}, nil
})

// Item is a connection's own item as it is stored; nil when there is none. The
// request does not pass the gate.
func (f *Fleet) Item(ctx context.Context, connection string) (map[string]types.AttributeValue, error) {
	out, err := f.dynamo.GetItem(ctx, &dynamodb.GetItemInput{
		TableName: &f.table, Key: itemKey(connection), ConsistentRead: aws.Bool(true),
	})
	if err != nil {
		return nil, fmt.Errorf("read item %s: %w", connection, err)
	}
	return out.Item, nil
}

// Change sets attributes of a connection's own item to what another build, another
// clock or the passing of time would have left. The request does not pass the gate.
func (f *Fleet) Change(ctx context.Context, connection string, set map[string]types.AttributeValue) error {
	var assignments []string
	names, values := map[string]string{}, map[string]types.AttributeValue{}
	for name, value := range set {
		assignments = append(assignments, "#"+name+" = :"+name)
		names["#"+name], values[":"+name] = name, value
	}
	_, err := f.dynamo.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &f.table, Key: itemKey(connection), UpdateExpression: aws.String("SET " + strings.Join(assignments, ", ")),
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	})
	if err != nil {
		return fmt.Errorf("change item %s: %w", connection, err)
	}
	return nil
}

// Value is one attribute's value.
type Value = types.AttributeValue

type attributes = map[string]Value

func itemKey(connection string) attributes {
	return attributes{
		"pk": &types.AttributeValueMemberS{Value: "connection/" + connection},
		"sk": &types.AttributeValueMemberS{Value: "token"},
	}
}

// Millis is an instant as the table stores it.
func Millis(at time.Time) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: fmt.Sprint(at.UnixMilli())}
}

// Instant is the instant of such a value; zero for any other value.
func Instant(v Value) time.Time {
	n, ok := v.(*types.AttributeValueMemberN)
	if !ok {
		return time.Time{}
	}
	millis, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

// Text is a string as the table stores it.
func Text(text string) types.AttributeValue { return &types.AttributeValueMemberS{Value: text} }

// sweepItems searches every stored item for leaks.
func (f *Fleet) sweepItems(ctx context.Context) error {
	pages := dynamodb.NewScanPaginator(f.dynamo, &dynamodb.ScanInput{TableName: &f.table})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("read every item: %w", err)
		}
		for _, item := range page.Items {
			for name, value := range item {
				f.leaks.look("the stored attribute "+name, raw(value))
			}
		}
	}
	return nil
}

func raw(value types.AttributeValue) []byte {
	switch v := value.(type) {
	case *types.AttributeValueMemberB:
		return v.Value
	case *types.AttributeValueMemberS:
		return []byte(v.Value)
	}
	return nil
}

// PutSecret creates a connection's secret, or gives it a new version, which
// becomes AWSCURRENT. Its secret members become canaries.
func (f *Fleet) PutSecret(connection string, text []byte) error {
	f.watchSecrets(text)
	return f.aws.PutSecret(SecretPrefix+connection, string(text))
}

func (f *Fleet) watchSecrets(text []byte) {
	var declared map[string]any
	if json.Unmarshal(text, &declared) != nil {
		return
	}
	for _, member := range []string{"client_secret", "private_key"} {
		if secret, ok := declared[member].(string); ok {
			f.leaks.watch(secret)
		}
	}
}

// DeleteSecret deletes a connection's secret at once.
func (f *Fleet) DeleteSecret(connection string) error {
	return f.Secrets.Call("DeleteSecret", map[string]any{"SecretId": SecretPrefix + connection, "ForceDeleteWithoutRecovery": true}, nil)
}

package awsdynamodb_test

import (
	"context"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// now is the current time of every test.
var now = time.UnixMilli(1767323045678).UTC()

// newClient returns a client of the endpoint, configured like that of the
// functions; a nil transport is the SDK's own. It retries twice without a pause.
func newClient(endpoint string, transport http.RoundTripper) *dynamodb.Client {
	options := dynamodb.Options{
		Region:       "us-east-1",
		BaseEndpoint: &endpoint,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		}),
	}
	if transport != nil {
		options.HTTPClient = &http.Client{Transport: transport}
	}
	return dynamodb.New(options)
}

func fromMillis(n int64) time.Time { return time.UnixMilli(n).UTC() }

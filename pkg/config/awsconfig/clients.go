package awsconfig

import (
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// The pauses between attempts: full jitter below a bound that doubles. They are
// short because a caller is waiting. Three attempts of at most 3 s each use a third
// of API Gateway's 29 s.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = time.Second
)

// DynamoDB returns a client with a connection pool of its own. It does
// not connect before the first call.
func (c Config) DynamoDB() *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		Region:       c.Region,
		BaseEndpoint: optional(c.DynamoDBEndpoint),
		Credentials:  c.Credentials,
		HTTPClient:   c.httpClient(),
		Retryer:      c.retryer(),
		EndpointOptions: dynamodb.EndpointResolverOptions{
			UseFIPSEndpoint: c.fips(), UseDualStackEndpoint: c.dualStack(),
		},
		// Both would connect to a host other than the one with which the init phase
		// has made a handshake.
		EndpointDiscovery:     dynamodb.EndpointDiscoveryOptions{EnableEndpointDiscovery: aws.EndpointDiscoveryDisabled},
		AccountIDEndpointMode: aws.AccountIDEndpointModeDisabled,
	})
}

// SecretsManager returns a client with a connection pool of its own. It does
// not connect before the first call.
func (c Config) SecretsManager() *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		Region:       c.Region,
		BaseEndpoint: optional(c.SecretsManagerEndpoint),
		Credentials:  c.Credentials,
		HTTPClient:   c.httpClient(),
		Retryer:      c.retryer(),
		EndpointOptions: secretsmanager.EndpointResolverOptions{
			UseFIPSEndpoint: c.fips(), UseDualStackEndpoint: c.dualStack(),
		},
	})
}

// retryer makes one for each client, so that each service has its own retry quota.
func (c Config) retryer() aws.Retryer {
	standard := func(o *retry.StandardOptions) {
		o.MaxAttempts = c.MaxAttempts
		o.Backoff = retry.BackoffDelayerFunc(c.pause)
	}
	if c.RetryMode == aws.RetryModeAdaptive {
		return retry.NewAdaptiveMode(func(o *retry.AdaptiveModeOptions) {
			o.StandardOptions = append(o.StandardOptions, standard)
		})
	}
	return retry.NewStandard(standard)
}

// pause is the time to wait after a failed attempt; attempts count from 1.
func (c Config) pause(attempt int, _ error) (time.Duration, error) {
	bound := firstPause
	for range attempt - 1 {
		bound = min(2*bound, longestPause)
	}
	if c.Jitter != nil {
		return c.Jitter(bound), nil
	}
	return rand.N(bound), nil //nolint:gosec // jitter is no secret
}

func (c Config) fips() aws.FIPSEndpointState {
	if c.FIPS {
		return aws.FIPSEndpointStateEnabled
	}
	return aws.FIPSEndpointStateDisabled
}

func (c Config) dualStack() aws.DualStackEndpointState {
	if c.DualStack {
		return aws.DualStackEndpointStateEnabled
	}
	return aws.DualStackEndpointStateDisabled
}

func optional(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

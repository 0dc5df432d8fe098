package awsconfig_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
)

// complete is a complete environment, changed by with.
func complete(with map[string]string) map[string]string {
	values := map[string]string{"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "canary"}
	for name, value := range with {
		values[name] = value
	}
	return values
}

func load(values map[string]string) (awsconfig.Config, error) {
	return awsconfig.Load(func(name string) (string, bool) {
		value, set := values[name]
		return value, set
	})
}

func mustLoad(t *testing.T, values map[string]string) awsconfig.Config {
	t.Helper()
	c, err := load(values)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	c := mustLoad(t, complete(nil))
	if c.Region != "eu-west-1" || c.DynamoDBEndpoint != "" || c.SecretsManagerEndpoint != "" || c.FIPS || c.DualStack ||
		c.RootCAs != nil || c.MaxAttempts != 3 || c.RetryMode != aws.RetryModeStandard {
		t.Errorf("got %+v", c)
	}
}

func TestRegionFallback(t *testing.T) {
	c := mustLoad(t, complete(map[string]string{"AWS_REGION": "", "AWS_DEFAULT_REGION": "us-gov-west-1"}))
	if c.Region != "us-gov-west-1" {
		t.Errorf("got %q", c.Region)
	}
	c = mustLoad(t, complete(map[string]string{"AWS_DEFAULT_REGION": "us-east-1"}))
	if c.Region != "eu-west-1" {
		t.Errorf("AWS_REGION does not win: got %q", c.Region)
	}
}

func TestEndpoints(t *testing.T) {
	const every, ddb, sm = "http://127.0.0.1:1", "http://127.0.0.1:2", "https://secrets.example.com/x"
	tests := []struct {
		name           string
		with           map[string]string
		dynamo, secret string
	}{
		{"one for all", map[string]string{"AWS_ENDPOINT_URL": every}, every, every},
		{"one of its own beside it", map[string]string{"AWS_ENDPOINT_URL": every, "AWS_ENDPOINT_URL_DYNAMODB": ddb}, ddb, every},
		{"one each", map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": ddb, "AWS_ENDPOINT_URL_SECRETS_MANAGER": sm}, ddb, sm},
		{"one service only", map[string]string{"AWS_ENDPOINT_URL_SECRETS_MANAGER": sm}, "", sm},
		{"ignored", map[string]string{"AWS_ENDPOINT_URL": every, "AWS_ENDPOINT_URL_DYNAMODB": ddb, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "TRUE"}, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := mustLoad(t, complete(test.with))
			if c.DynamoDBEndpoint != test.dynamo || c.SecretsManagerEndpoint != test.secret {
				t.Errorf("got %q and %q", c.DynamoDBEndpoint, c.SecretsManagerEndpoint)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	noPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(noPEM, []byte("canary"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		with map[string]string
		says string
	}{
		{"region missing", map[string]string{"AWS_REGION": ""}, "AWS_REGION: is not set, nor is AWS_DEFAULT_REGION"},
		{"region that would change the host", map[string]string{"AWS_REGION": "x.canary.com/"}, "AWS_REGION: is not a region"},
		{"fallback region malformed", map[string]string{"AWS_REGION": "", "AWS_DEFAULT_REGION": "EU"}, "AWS_DEFAULT_REGION: is not a region"},
		{"key missing", map[string]string{"AWS_ACCESS_KEY_ID": ""}, "AWS_ACCESS_KEY_ID: is not set"},
		{"secret key missing", map[string]string{"AWS_SECRET_ACCESS_KEY": ""}, "AWS_SECRET_ACCESS_KEY: is not set"},
		{"endpoint without a scheme", map[string]string{"AWS_ENDPOINT_URL": "canary:8000"}, "AWS_ENDPOINT_URL: is not an endpoint"},
		{"endpoint without a host", map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": "http://"}, "AWS_ENDPOINT_URL_DYNAMODB: is not an endpoint"},
		{"endpoint with a user", map[string]string{"AWS_ENDPOINT_URL_SECRETS_MANAGER": "http://canary@h"}, "AWS_ENDPOINT_URL_SECRETS_MANAGER: is not an endpoint"},
		{"endpoint with a query", map[string]string{"AWS_ENDPOINT_URL": "http://h?canary"}, "AWS_ENDPOINT_URL: is not an endpoint"},
		{"endpoint with FIPS", map[string]string{"AWS_ENDPOINT_URL_DYNAMODB": "http://h", "AWS_USE_FIPS_ENDPOINT": "true"}, "AWS_USE_FIPS_ENDPOINT"},
		{"endpoint with dual stack", map[string]string{"AWS_ENDPOINT_URL": "http://h", "AWS_USE_DUALSTACK_ENDPOINT": "true"}, "AWS_USE_DUALSTACK_ENDPOINT"},
		{"neither true nor false", map[string]string{"AWS_USE_FIPS_ENDPOINT": "yes"}, "AWS_USE_FIPS_ENDPOINT: is neither"},
		{"ignored or not", map[string]string{"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "1"}, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: is neither"},
		{"no attempts", map[string]string{"AWS_MAX_ATTEMPTS": "0"}, "AWS_MAX_ATTEMPTS: is not a whole number from 1 to 10"},
		{"CR-31 too many attempts", map[string]string{"AWS_MAX_ATTEMPTS": "11"}, "AWS_MAX_ATTEMPTS: is not a whole number from 1 to 10"},
		{"attempts in words", map[string]string{"AWS_MAX_ATTEMPTS": "canary"}, "AWS_MAX_ATTEMPTS: is not a whole number from 1 to 10"},
		{"retry mode unknown", map[string]string{"AWS_RETRY_MODE": "legacy"}, "AWS_RETRY_MODE: is neither"},
		{"bundle that is not there", map[string]string{"AWS_CA_BUNDLE": noPEM + "canary"}, "AWS_CA_BUNDLE: names a file that cannot be read"},
		{"bundle without certificates", map[string]string{"AWS_CA_BUNDLE": noPEM}, "AWS_CA_BUNDLE: names a file without"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, err := load(complete(test.with))
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v, want %q", err, test.says)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error repeats a value: %v", err)
			}
			if c.Credentials != nil {
				t.Error("a configuration came with the error")
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	_, err := load(map[string]string{"AWS_MAX_ATTEMPTS": "x"})
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_MAX_ATTEMPTS"} {
		if err == nil || !strings.Contains(err.Error(), name+": ") {
			t.Errorf("%s is not reported: %v", name, err)
		}
	}
}

func TestCredentialsAreReadAgain(t *testing.T) {
	values := complete(map[string]string{"AWS_SESSION_TOKEN": "first"})
	c := mustLoad(t, values)
	for _, want := range []string{"first", "second"} {
		values["AWS_SESSION_TOKEN"] = want
		got, err := c.Credentials.Retrieve(t.Context())
		if err != nil || got.SessionToken != want || got.AccessKeyID != "AKIDTEST" || got.SecretAccessKey != "canary" || got.CanExpire {
			t.Errorf("FI-50: token %q (%v)", got.SessionToken, err)
		}
	}
	delete(values, "AWS_SECRET_ACCESS_KEY")
	if _, err := c.Credentials.Retrieve(t.Context()); err == nil || strings.Contains(err.Error(), "AKIDTEST") {
		t.Errorf("FI-50: got %v", err)
	}
}

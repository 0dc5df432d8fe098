package awsconfig_test

import (
	"context"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/tokenvend/tokenvend/pkg/config/awsconfig"
)

// backend is a server that counts requests and connections.
type backend struct {
	*httptest.Server
	requests, connections atomic.Int64
}

func start(t *testing.T, secure bool, handle http.HandlerFunc) *backend {
	t.Helper()
	b := &backend{}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.requests.Add(1)
		handle(w, r)
	}))
	b.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			b.connections.Add(1)
		}
	}
	b.Config.ErrorLog = log.New(io.Discard, "", 0)
	if secure {
		b.StartTLS()
	} else {
		b.Start()
	}
	t.Cleanup(b.Close)
	return b
}

func empty(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }

// at is a configuration for that endpoint without pauses.
func at(t *testing.T, endpoint string, with map[string]string) awsconfig.Config {
	t.Helper()
	c := mustLoad(t, complete(with))
	c.DynamoDBEndpoint, c.SecretsManagerEndpoint = endpoint, endpoint
	c.Jitter = func(time.Duration) time.Duration { return 0 }
	return c
}

func listTables(ctx context.Context, c *dynamodb.Client) error {
	_, err := c.ListTables(ctx, &dynamodb.ListTablesInput{})
	return err
}

func TestClientsReachTheirEndpoints(t *testing.T) {
	var seen []string
	b := start(t, false, func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("X-Amz-Target")+" "+r.Header.Get("Authorization"))
		empty(w, r)
	})
	c := at(t, b.URL, nil)
	if err := listTables(t.Context(), c.DynamoDB()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SecretsManager().ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{}); err != nil {
		t.Fatal(err)
	}
	wants := []string{"/eu-west-1/dynamodb/aws4_request", "/eu-west-1/secretsmanager/aws4_request"}
	if len(seen) != len(wants) {
		t.Fatalf("%d requests", len(seen))
	}
	for i, want := range wants {
		if !strings.Contains(seen[i], want) || !strings.Contains(seen[i], "Credential=AKIDTEST") {
			t.Errorf("got %q, want %q", seen[i], want)
		}
	}
}

// hosts resolves where a client would send a request, without sending it.
func hosts(t *testing.T, c awsconfig.Config) (dynamo, secrets string) {
	t.Helper()
	host := func(to *string) func(*http.Request) (*http.Response, error) {
		return func(r *http.Request) (*http.Response, error) {
			*to = r.URL.Host
			return nil, errors.New("not sent")
		}
	}
	_, _ = c.DynamoDB().ListTables(t.Context(), &dynamodb.ListTablesInput{}, func(o *dynamodb.Options) {
		o.HTTPClient = smithyhttp.ClientDoFunc(host(&dynamo))
	})
	_, _ = c.SecretsManager().ListSecrets(t.Context(), &secretsmanager.ListSecretsInput{}, func(o *secretsmanager.Options) {
		o.HTTPClient = smithyhttp.ClientDoFunc(host(&secrets))
	})
	return dynamo, secrets
}

func TestServiceHosts(t *testing.T) {
	tests := []struct {
		name            string
		with            map[string]string
		dynamo, secrets string
	}{
		{"plain", nil, "dynamodb.eu-west-1.amazonaws.com", "secretsmanager.eu-west-1.amazonaws.com"},
		{"FIPS", map[string]string{"AWS_REGION": "us-east-1", "AWS_USE_FIPS_ENDPOINT": "true"},
			"dynamodb-fips.us-east-1.amazonaws.com", "secretsmanager-fips.us-east-1.amazonaws.com"},
		// Secrets Manager has both address families under its plain host name.
		{"dual stack", map[string]string{"AWS_USE_DUALSTACK_ENDPOINT": "true"},
			"dynamodb.eu-west-1.api.aws", "secretsmanager.eu-west-1.amazonaws.com"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dynamo, secrets := hosts(t, at(t, "", test.with))
			if dynamo != test.dynamo || secrets != test.secrets {
				t.Errorf("got %q and %q", dynamo, secrets)
			}
		})
	}
}

func TestAttempts(t *testing.T) {
	tests := []struct {
		name   string
		with   map[string]string
		status int
		code   string
		want   int64
	}{
		{"CR-31 a failing service", nil, 500, "InternalServerError", 3},
		{"CR-31 a throttle", nil, 400, "ProvisionedThroughputExceededException", 3},
		{"CR-31 bounded by AWS_MAX_ATTEMPTS", map[string]string{"AWS_MAX_ATTEMPTS": "2"}, 503, "ServiceUnavailable", 2},
		{"CR-31 adaptive", map[string]string{"AWS_RETRY_MODE": "adaptive"}, 500, "InternalServerError", 3},
		{"an answer that stands", nil, 400, "ValidationException", 1},
		{"OC-20 a redirect is not followed", nil, 302, "", 1},
		{"OC-20 nor one that keeps method and body", nil, 307, "", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var b *backend
			b = start(t, false, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", b.URL+"/elsewhere")
				w.Header().Set("X-Amzn-Errortype", test.code)
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(`{"__type":"` + test.code + `"}`))
			})
			if err := listTables(t.Context(), at(t, b.URL, test.with).DynamoDB()); err == nil {
				t.Error("no error")
			}
			if got := b.requests.Load(); got != test.want {
				t.Errorf("%d requests, want %d", got, test.want)
			}
		})
	}
}

func TestRetryModes(t *testing.T) {
	standard := mustLoad(t, complete(nil)).DynamoDB().Options().Retryer
	adaptive := mustLoad(t, complete(map[string]string{"AWS_RETRY_MODE": "adaptive"})).DynamoDB().Options().Retryer
	if _, ok := standard.(*retry.Standard); !ok {
		t.Errorf("standard is a %T", standard)
	}
	if _, ok := adaptive.(*retry.AdaptiveMode); !ok {
		t.Errorf("adaptive is a %T", adaptive)
	}
}

func TestPausesDoubleUnderABound(t *testing.T) {
	c := mustLoad(t, complete(nil))
	c.Jitter = func(bound time.Duration) time.Duration { return bound }
	retryer := c.SecretsManager().Options().Retryer
	for attempt, want := range map[int]time.Duration{
		1: 50 * time.Millisecond, 2: 100 * time.Millisecond, 5: 800 * time.Millisecond, 6: time.Second, 100: time.Second,
	} {
		if got, err := retryer.RetryDelay(attempt, errors.New("x")); got != want || err != nil {
			t.Errorf("after attempt %d: %v, want %v (%v)", attempt, got, want, err)
		}
	}
	random := mustLoad(t, complete(nil)).SecretsManager().Options().Retryer
	if got, err := random.RetryDelay(1, errors.New("x")); got < 0 || got >= 50*time.Millisecond || err != nil {
		t.Errorf("at random: %v (%v)", got, err)
	}
}

func TestAnAttemptOutOfTimeIsTriedAgain(t *testing.T) {
	c := mustLoad(t, complete(nil)).DynamoDB().Options()
	client, ok := c.HTTPClient.(*http.Client)
	if !ok || client.Timeout <= 0 || client.Timeout > 3*time.Second {
		t.Fatalf("one attempt may last for ever: %T", c.HTTPClient)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	hasty := *client
	hasty.Timeout = time.Millisecond
	_, err = hasty.Get("http://" + silent.Addr().String())
	if err == nil || !c.Retryer.IsErrorRetryable(&smithyhttp.RequestSendError{Err: err}) {
		t.Errorf("CR-31: not tried again after %v", err)
	}
}

// ask makes one request with a client's transport, without the SDK. The SDK closes
// the body of a request while the transport may still use it, which sometimes
// closes the connection when the server is this fast.
func ask(t *testing.T, c awsconfig.Config, endpoint string) func() {
	t.Helper()
	client, ok := c.DynamoDB().Options().HTTPClient.(*http.Client)
	if !ok {
		t.Fatal("the client's HTTP client is not ours")
	}
	return func() {
		response, err := client.Post(endpoint, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Fatal(err)
		}
	}
}

func TestConnectionsAfterASilence(t *testing.T) {
	tests := []struct {
		name          string
		took, silence time.Duration // of a request, and after it
		want          int64
	}{
		{"OC-23 a short silence keeps the connection", 0, 30 * time.Second, 1},
		{"OC-23 the silence begins when a request ends", time.Minute, 0, 1},
		{"OC-23 FI-38 after a freeze a new one is made", 0, 30*time.Second + 1, 2},
		{"OC-23 so too when the clock was set far back", 0, -time.Hour, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			clock := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
			b := start(t, false, func(w http.ResponseWriter, r *http.Request) {
				atomic.AddInt64(&clock, int64(test.took))
				empty(w, r)
			})
			c := at(t, b.URL, nil)
			c.Now = func() time.Time { return time.Unix(0, atomic.LoadInt64(&clock)) }
			send := ask(t, c, b.URL)
			send()
			atomic.AddInt64(&clock, int64(test.silence))
			send()
			if got := b.connections.Load(); got != test.want {
				t.Errorf("%d connections for two requests, want %d", got, test.want)
			}
		})
	}
}

func TestCertificates(t *testing.T) {
	b := start(t, true, empty)
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b.Certificate().Raw})
	if err := os.WriteFile(bundle, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := listTables(t.Context(), at(t, b.URL, map[string]string{"AWS_CA_BUNDLE": bundle}).DynamoDB()); err != nil {
		t.Errorf("a server of the bundle: %v", err)
	}
	before := b.requests.Load()
	if err := listTables(t.Context(), at(t, b.URL, nil).DynamoDB()); err == nil || b.requests.Load() != before {
		t.Errorf("OC-21: a server with an unknown authority got a request (%v)", err)
	}
}

func TestNothingIsLogged(t *testing.T) {
	c := mustLoad(t, complete(nil))
	if mode := c.DynamoDB().Options().ClientLogMode; mode != aws.ClientLogMode(0) {
		t.Errorf("AZ-55: DynamoDB logs %v", mode)
	}
	if mode := c.SecretsManager().Options().ClientLogMode; mode != aws.ClientLogMode(0) {
		t.Errorf("AZ-55: Secrets Manager logs %v", mode)
	}
}

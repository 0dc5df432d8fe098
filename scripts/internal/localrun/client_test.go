package localrun_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tokenvend/tokenvend/pkg/client/tokenvend"
)

// newClient returns the callers' package for Go with the run's clock.
func (r *running) newClient() *tokenvend.Client {
	r.t.Helper()
	client, err := tokenvend.New(tokenvend.Config{
		URL: r.url, Region: "us-east-1", Now: r.clock.now,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return client
}

// TestClientAcrossRevokedToken has the provider revoke the token that fifty callers of
// two processes hold.
func TestClientAcrossRevokedToken(t *testing.T) {
	const name = "creative-force"
	r := start(t, "")
	clients := []*tokenvend.Client{r.newClient(), r.newClient()}
	for _, client := range clients {
		if err := client.Warm(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	r.clock.advance(time.Minute) // a token younger than 30 s is not replaced
	if got := r.pull(r.sandbox, "POST", name+"/revoke", ""); count(got.body, "revoked") != 1 {
		t.Fatalf("revoked %v", got.body)
	}
	var all sync.WaitGroup
	for i := range 50 {
		application := &http.Client{Transport: clients[i%2].Transport(name, nil)}
		all.Go(func() {
			request, err := http.NewRequestWithContext(t.Context(), "GET", r.sandbox+"/"+name+"/resource", nil)
			if err != nil {
				t.Error(err)
				return
			}
			response, err := application.Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			_ = response.Body.Close()
			if response.StatusCode != 200 {
				t.Errorf("the application's call is answered %s", response.Status)
			}
		})
	}
	all.Wait()
	if got := r.requests(name); got != 2 {
		t.Errorf("%d token requests to the provider, want 2: the first and one refresh", got)
	}
}

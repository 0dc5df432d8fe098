package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/scripts/internal/client"
	"github.com/tokenvend/tokenvend/scripts/internal/sigv4"
)

func noon() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

// key returns fixed credentials.
func key(id, secret, session string) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: session}, nil
	})
}

// deployment accepts the key of one session in one region, and answers what it read.
func deployment(t *testing.T) *httptest.Server {
	t.Helper()
	verifier := sigv4.New(sigv4.Config{Region: "eu-west-1", Service: "execute-api", Now: noon,
		Keys: []sigv4.Key{{ID: "ASIAEXAMPLE", Secret: redact.New("secret"), SessionToken: redact.New("session")}}})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		verified, err := verifier.Verify(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		answer, _ := json.Marshal(map[string]string{"method": r.Method, "path": r.URL.Path, "type": r.Header.Get("Content-Type"), "body": string(verified.Body)})
		_, _ = w.Write(answer)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestCall(t *testing.T) {
	server := deployment(t)
	api := client.Client{URL: server.URL + "/v1", Region: "eu-west-1", Now: noon,
		Credentials: key("ASIAEXAMPLE", "secret", "session")}
	for _, c := range []struct {
		name   string
		method string
		body   any
		want   string
	}{
		{"BI-01 without a body", "POST", nil, "POST /v1/connections/crm.eu/authorization  "},
		{"BI-01 with one", "PUT", map[string]string{"refresh_token": "a"}, `PUT /v1/connections/crm.eu/authorization application/json {"refresh_token":"a"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got struct{ Method, Path, Type, Body string }
			if err := api.Call(t.Context(), c.method, "/connections/crm.eu/authorization", c.body, &got); err != nil {
				t.Fatal(err)
			}
			if called := fmt.Sprint(got.Method, " ", got.Path, " ", got.Type, " ", got.Body); called != c.want {
				t.Errorf("%q, want %q", called, c.want)
			}
		})
	}
	t.Run("BI-01 another region", func(t *testing.T) {
		elsewhere := api
		elsewhere.Region = "us-east-1"
		if err := elsewhere.Call(t.Context(), "GET", "/connections", nil, nil); !client.HasStatus(err, http.StatusForbidden) {
			t.Errorf("error %v", err)
		}
	})
}

func TestError(t *testing.T) {
	const canary = "canary-of-a-token"
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		status int
		want   string
	}{
		{"the service's error", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(502)
			_, _ = io.WriteString(w, `{"error":"provider_rejected","detail":"refused","provider":{"error":"access_denied"},"instance":"id-1"}`)
		}, 502, "the service answered 502 provider_rejected: refused\nprovider error: access_denied\nretry after 30 s\nrequest id-1"},
		{"the error of another server", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", 404) }, 404, "the service answered 404 Not Found"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusTemporaryRedirect)
		}, 307, "the service answered 307 Temporary Redirect"},
	} {
		t.Run("AZ-53 "+c.name, func(t *testing.T) {
			server := httptest.NewServer(c.answer)
			defer server.Close()
			api := client.Client{URL: server.URL, Region: "eu-west-1", Credentials: key("a", "b", "")}
			err := api.Call(t.Context(), "PUT", "/", map[string]string{"refresh_token": canary}, nil)
			var p *client.Error
			if !errors.As(err, &p) || p.Status != c.status || p.Error() != c.want {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
	t.Run("AZ-53 no server", func(t *testing.T) {
		api := client.Client{URL: "http://127.0.0.1:1/v1", Region: "eu-west-1", Credentials: key("a", "b", "")}
		err := api.Call(t.Context(), "PUT", "/secret-path", map[string]string{"refresh_token": canary}, nil)
		if err == nil || strings.Contains(err.Error(), canary) || strings.Contains(err.Error(), "secret-path") {
			t.Errorf("error %v", err)
		}
	})
}

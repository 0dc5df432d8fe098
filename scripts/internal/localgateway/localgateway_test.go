package localgateway_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/scripts/internal/localgateway"
	"github.com/tokenvend/tokenvend/scripts/internal/sigv4"
)

var now = time.Date(2026, 1, 2, 15, 4, 5, 678e6, time.UTC)

// function is a func that implements Function.
type function func(ctx context.Context, event []byte) ([]byte, error)

func (f function) Invoke(ctx context.Context, event []byte) ([]byte, error) { return f(ctx, event) }

// answering is a function with a constant response.
func answering(answer string) function {
	return func(context.Context, []byte) ([]byte, error) { return []byte(answer), nil }
}

// echo responds with its name and the event.
func echo(name string) function {
	return func(_ context.Context, event []byte) ([]byte, error) {
		return json.Marshal(map[string]any{"statusCode": 200, "headers": map[string]string{"X-Function": name}, "body": string(event)})
	}
}

// newAPI has two callers and logs failures into log.
func newAPI(t *testing.T, vend, connections localgateway.Function, log *strings.Builder) *localgateway.API {
	t.Helper()
	clock := func() time.Time { return now }
	api, err := localgateway.New(localgateway.Config{
		Verifier: sigv4.New(sigv4.Config{
			Keys:   []sigv4.Key{{ID: "local", Secret: redact.New("local")}},
			Region: "us-east-1", Service: "execute-api", Now: clock,
		}),
		Callers: map[string]localgateway.Caller{
			"local": {AccountID: "111122223333", UniqueID: "AIDAEXAMPLE", ARN: "arn:aws:iam::111122223333:user/local"},
		},
		Functions: map[string]localgateway.Function{"vend": vend, "connections": connections, "consent": echo("consent")},
		Stage:     "v1", Now: clock, Rand: zeros{},
		Failed: func(id, name string, err error) { log.WriteString(id + " " + name + ": " + err.Error()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return api
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// call sends one signed request and returns the response and its body.
func call(t *testing.T, api http.Handler, method, target, body string, change ...func(*http.Request)) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host, r.RemoteAddr = "127.0.0.1:8080", "127.0.0.1:50000"
	r.Header.Set("Accept", "application/json")
	for _, f := range change {
		f(r)
	}
	uri, parsed := r.RequestURI, *r.URL
	hash := sha256.Sum256([]byte(body))
	err := v4.NewSigner().SignHTTP(t.Context(), aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, r,
		hex.EncodeToString(hash[:]), "execute-api", "us-east-1", now)
	if err != nil {
		t.Fatal(err)
	}
	r.RequestURI, r.URL = uri, &parsed
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	response := w.Result()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

func TestEvent(t *testing.T) {
	api := newAPI(t, echo("vend"), echo("connections"), new(strings.Builder))
	for _, c := range []struct {
		golden, method, target, body string
	}{
		{"vend.json", "POST", "/v1/connections/creative%2dforce/subjects/alice/token?min_ttl=60&scope=a%20b&scope=c+d", `{"min_ttl":60}`},
		{"list.json", "GET", "/v1/connections", ""},
	} {
		t.Run(c.golden, func(t *testing.T) {
			_, got := call(t, api, c.method, c.target, c.body, func(r *http.Request) {
				r.Header["User-Agent"] = []string{"test/1"}
				r.Header["X-Two"] = []string{"first", "second"}
			})
			text, err := os.ReadFile("testdata/" + c.golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(decode(t, string(text)), decode(t, got)); diff != "" {
				t.Errorf("event (-want +got):\n%s", diff)
			}
		})
	}
}

func decode(t *testing.T, text string) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

func TestRoutes(t *testing.T) {
	api := newAPI(t, echo("vend"), echo("connections"), new(strings.Builder))
	for _, c := range []struct {
		name, method, target string
		function, resource   string
		parameters           map[string]any
	}{
		{"list", "GET", "/v1/connections", "connections", "/connections", nil},
		{"status", "GET", "/v1/connections/crm", "connections", "/connections/{connection}", map[string]any{"connection": "crm"}},
		{"vend", "GET", "/v1/connections/crm/token", "vend", "/connections/{connection}/token", map[string]any{"connection": "crm"}},
		{"bundle member", "GET", "/v1/connections/b.m/token", "vend", "/connections/{connection}/token", map[string]any{"connection": "b.m"}},
		{"subject", "DELETE", "/v1/connections/crm/subjects/alice/token", "vend", "/connections/{connection}/subjects/{subject}/token",
			map[string]any{"connection": "crm", "subject": "alice"}},
		{"BI-10 any method", "PATCH", "/v1/connections/crm/token", "vend", "/connections/{connection}/token", map[string]any{"connection": "crm"}},
		{"AZ-03 encoded name is decoded for the function to refuse", "GET", "/v1/connections/%63rm/token", "vend", "/connections/{connection}/token",
			map[string]any{"connection": "crm"}},
		{"BI-04 decoded once", "GET", "/v1/connections/%252F%00/token", "vend", "/connections/{connection}/token", map[string]any{"connection": "%2F\x00"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			response, text := call(t, api, c.method, c.target, "")
			if got := response.Header.Get("X-Function"); got != c.function {
				t.Fatalf("function %q answered %d %s, want %q", got, response.StatusCode, text, c.function)
			}
			event := decode(t, text)
			if event["resource"] != c.resource || event["path"] != strings.TrimPrefix(c.target, "/v1") {
				t.Errorf("resource %v, path %v", event["resource"], event["path"])
			}
			got, _ := event["pathParameters"].(map[string]any)
			if diff := cmp.Diff(c.parameters, got); diff != "" {
				t.Errorf("pathParameters (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoRoute(t *testing.T) {
	never := function(func(context.Context, []byte) ([]byte, error) { return nil, errors.New("invoked") })
	api := newAPI(t, never, never, new(strings.Builder))
	for _, c := range []struct {
		name, target string
		status       int
	}{
		{"AZ-03 unknown resource", "/v1/nothing", 404},
		{"AZ-03 no stage", "/connections", 404},
		{"AZ-03 another stage", "/v10/connections", 404},
		{"AZ-03 stage alone", "/v1", 404},
		{"AZ-03 encoded literal", "/v1/%63onnections", 404},
		{"AZ-03 upper-case literal", "/v1/Connections", 404},
		{"AZ-03 trailing slash", "/v1/connections/", 400},
		{"AZ-03 dot segment", "/v1/./connections", 400},
		{"AZ-03 double slash", "/v1//connections", 400},
		{"AZ-03 token of nothing", "/v1/connections//token", 400},
		{"BI-03 dot dot", "/v1/connections/../secret/token", 400},
		{"BI-03 encoded dot dot", "/v1/connections/%2e%2e/token", 400},
		{"BI-03 encoded slash", "/v1/connections/..%2fsecret/token", 400},
		{"BI-08 empty name and trailing slash", "/v1/connections/crm/token/", 400},
		{"BI-07 2 000 characters", "/v1/connections/" + strings.Repeat("a", 2000) + "/token", 414},
	} {
		t.Run(c.name, func(t *testing.T) {
			response, text := call(t, api, "GET", c.target, "")
			if response.StatusCode != c.status || response.Header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("%d %s %s, want %d", response.StatusCode, response.Header.Get("Content-Type"), text, c.status)
			}
			if p := decode(t, text); p["status"] != float64(c.status) || p["error"] == "" || p["retryable"] != false || p["instance"] == "" {
				t.Errorf("problem %s", text)
			}
			checkHeaders(t, response)
		})
	}
}

// checkHeaders checks what AZ-13 wants on every response.
func checkHeaders(t *testing.T, response *http.Response) {
	t.Helper()
	for name, want := range map[string]string{"Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff"} {
		if got := response.Header.Get(name); got != want {
			t.Errorf("AZ-13 %s is %q, want %q", name, got, want)
		}
	}
}

func TestUnsigned(t *testing.T) {
	never := function(func(context.Context, []byte) ([]byte, error) { return nil, errors.New("invoked") })
	var log strings.Builder
	api := newAPI(t, never, never, &log)
	for name, target := range map[string]string{"route": "/v1/connections", "no route": "/nothing", "malformed": "/v1//"} {
		t.Run("BI-01 "+name, func(t *testing.T) {
			w := httptest.NewRecorder()
			api.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
			if w.Code != 403 || !strings.Contains(w.Body.String(), `"error":"access_denied"`) || !strings.Contains(w.Body.String(), `"detail":"Missing Authentication Token"`) {
				t.Errorf("%d %s", w.Code, w.Body)
			}
			if got := w.Header().Get("X-Amzn-Errortype"); got != "MissingAuthenticationTokenException" {
				t.Errorf("x-amzn-ErrorType %q", got)
			}
			checkHeaders(t, w.Result())
		})
	}
	if log.Len() > 0 {
		t.Errorf("the function was invoked: %s", &log)
	}
}

func TestNew(t *testing.T) {
	_, err := localgateway.New(localgateway.Config{Functions: map[string]localgateway.Function{"connections": echo("connections")}})
	if err == nil || !strings.Contains(err.Error(), `no function "consent"`) {
		t.Errorf("error %v, want one that names the function", err)
	}
}

package localgateway_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/scripts/internal/sigv4"
)

// browse sends one unsigned request, as a browser does.
func browse(t *testing.T, api http.Handler, method, target, body string, headers http.Header) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	r.Host, r.RemoteAddr, r.Header = "127.0.0.1:8080", "127.0.0.1:50000", headers
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	response := w.Result()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}

// TestPublicRoutes: exactly two resources have no authorizer.
func TestPublicRoutes(t *testing.T) {
	api := newAPI(t, echo("vend"), echo("connections"), new(strings.Builder))
	for _, c := range []struct {
		name, method, target, body string
		status                     int
	}{
		{"AZ-11 the consent page", "GET", "/v1/consent/abc", "", 200},
		{"AZ-11 its form", "POST", "/v1/consent/abc", "csrf=x", 200},
		{"BI-38 HEAD of the consent page", "HEAD", "/v1/consent/abc", "", 403},
		{"BI-38 HEAD of the callback", "HEAD", "/v1/callback/crm?code=a&state=b", "", 403},
		{"BI-37 a posted callback", "POST", "/v1/callback/crm", "code=a&state=b", 403},
		{"BI-37 OPTIONS of the callback", "OPTIONS", "/v1/callback/crm", "", 403},
		{"BI-37 PUT of the consent page", "PUT", "/v1/consent/abc", "", 403},
		{"BI-37 a method of no standard", "PROPFIND", "/v1/consent/abc", "", 403},
		{"BI-37 a large body of a method that is refused", "DELETE", "/v1/consent/abc", strings.Repeat("a", sigv4.MaxBody+1), 403},
		{"AZ-11 the callback", "GET", "/v1/callback/crm?code=a&state=b", "", 200},
		{"BI-01 a start is signed", "POST", "/v1/connections/crm/authorization", "", 403},
		{"BI-01 a completion is signed", "POST", "/v1/connections/crm/subjects/joe/authorization/complete", "{}", 403},
		{"BI-01 a path like a public one", "GET", "/v1/consent/abc/def", "", 403},
		{"BI-01 a public page without its parameter", "GET", "/v1/callback", "", 403},
		{"a query that does not decode", "GET", "/v1/callback/crm?code=%zz", "", 400},
		{"a body beyond API Gateway's limit", "POST", "/v1/consent/abc", strings.Repeat("a", sigv4.MaxBody+1), 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			response, text := browse(t, api, c.method, c.target, c.body, http.Header{})
			if response.StatusCode != c.status {
				t.Errorf("%d %s, want %d", response.StatusCode, text, c.status)
			}
			if got := response.Header.Get("X-Function"); c.status == 200 && got != "consent" {
				t.Errorf("answered by %q", got)
			}
			if c.status == 403 && (!strings.Contains(text, `"error":"access_denied"`) || response.Header.Get("Allow") != "") {
				t.Errorf("answer %v %s", response.Header, text)
			}
			checkHeaders(t, response)
		})
	}
}

// TestSignedPublicRoutes: a signature adds no method to a public page.
func TestSignedPublicRoutes(t *testing.T) {
	api := newAPI(t, echo("vend"), echo("connections"), new(strings.Builder))
	for target, methods := range map[string][]string{
		"/v1/consent/abc": {"HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"}, "/v1/callback/crm": {"HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"},
	} {
		for _, method := range methods {
			t.Run("BI-37 "+method+" "+target, func(t *testing.T) {
				response, text := call(t, api, method, target, "")
				if response.StatusCode != 403 || response.Header.Get("X-Function") != "" || !strings.Contains(text, `"error":"access_denied"`) {
					t.Errorf("%d %s", response.StatusCode, text)
				}
			})
		}
	}
}

// TestBrowsersEvent: the event has a browser's headers and no identity.
func TestBrowsersEvent(t *testing.T) {
	api := newAPI(t, echo("vend"), echo("connections"), new(strings.Builder))
	_, text := browse(t, api, "POST", "/v1/consent/abc", "csrf=x", http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "Cookie": {"a=1", "b=2"}, "Origin": {"http://127.0.0.1:8080"},
		"Sec-Fetch-Site": {"same-origin"}, "Authorization": {"AWS4-HMAC-SHA256 Credential=local/20260102/us-east-1/execute-api/aws4_request"},
		"X-Forwarded-For": {"203.0.113.9"},
	})
	event := decode(t, text)
	context, _ := event["requestContext"].(map[string]any)
	identity, _ := context["identity"].(map[string]any)
	for _, name := range []string{"accountId", "caller", "user", "userArn", "accessKey"} {
		if value, there := identity[name]; !there || value != nil {
			t.Errorf("AZ-05 identity.%s is %v, want null", name, value)
		}
	}
	if identity["sourceIp"] != "127.0.0.1" || context["domainName"] != "127.0.0.1:8080" || context["path"] != "/v1/consent/abc" || event["body"] != "csrf=x" {
		t.Errorf("event %s", text)
	}
	all, _ := event["multiValueHeaders"].(map[string]any)
	if diff := cmp.Diff([]any{"a=1", "b=2"}, all["Cookie"]); diff != "" {
		t.Errorf("cookies (-want +got):\n%s", diff)
	}
	single, _ := event["headers"].(map[string]any)
	if single["Sec-Fetch-Site"] != "same-origin" || single["Origin"] != "http://127.0.0.1:8080" || single["Authorization"] != nil {
		t.Errorf("headers %v", single)
	}
}

// TestPageAnswer: a function's page, cookie and redirect are passed on unchanged.
func TestPageAnswer(t *testing.T) {
	page := `{"statusCode":303,"headers":{"Content-Type":"text/html; charset=utf-8","Location":"https://login.example.com/a?b=c&d=\"",` +
		`"Set-Cookie":"__Host-a=b; Path=/; Secure","Content-Security-Policy":"default-src 'none'"},"body":"<!DOCTYPE html><p>\n\"é\""}`
	api := newAPI(t, answering(page), answering(page), new(strings.Builder))
	api.Functions["consent"] = answering(page)
	response, text := browse(t, api, "GET", "/v1/callback/crm", "", http.Header{})
	want := map[string]string{"Location": `https://login.example.com/a?b=c&d="`, "Set-Cookie": "__Host-a=b; Path=/; Secure",
		"Content-Security-Policy": "default-src 'none'", "Content-Type": "text/html; charset=utf-8"}
	for name, value := range want {
		if got := response.Header.Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	if response.StatusCode != 303 || text != "<!DOCTYPE html><p>\n\"é\"" {
		t.Errorf("%d %s", response.StatusCode, text)
	}
}

func TestPublicFailure(t *testing.T) {
	var log strings.Builder
	api := newAPI(t, echo("vend"), echo("connections"), &log)
	api.Functions["consent"] = function(func(context.Context, []byte) ([]byte, error) { return nil, errors.New("boom") })
	response, _ := browse(t, api, "GET", "/v1/consent/abc", "", http.Header{})
	if response.StatusCode != 502 || !strings.Contains(log.String(), "consent: boom") {
		t.Errorf("%d, log %q", response.StatusCode, log.String())
	}
}

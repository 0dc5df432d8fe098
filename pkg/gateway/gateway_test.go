package gateway_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/gateway"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

func TestVendResponse(t *testing.T) {
	e := newVend(t)
	got := e.invoke(restEvent())
	want := map[string]any{
		"access_token": "canary-access-token", "token_type": "Bearer", "expires_in": 2315.0, "scope": "cfgateway",
		"expires_at": "2026-01-01T12:38:36Z", "refresh_in": 1415.0, "token_id": "9f86d081884c7d65", "connection": "crm",
	}
	if diff := cmp.Diff(want, got.object(t)); diff != "" || got.StatusCode != 200 {
		t.Errorf("status %d, body (-want +got):\n%s", got.StatusCode, diff)
	}
	if strings.Contains(e.log.String(), "canary") {
		t.Error("INV-5 the audit line contains the token")
	}
	t.Run("flags appear only when they are true", func(t *testing.T) {
		e := newVend(t)
		e.core.vended.Stale, e.core.vended.ExpiresInAssumed = true, true
		body := e.invoke(restEvent()).object(t)
		if body["stale"] != true || body["expires_in_assumed"] != true {
			t.Errorf("body %v", body)
		}
	})
}

// A token without end has neither a lifetime nor an end.
func TestVendWithoutEnd(t *testing.T) {
	e := newVend(t)
	e.core.vended.ExpiresAt = time.Time{}
	got := e.invoke(restEvent()).object(t)
	if _, stated := got["expires_in"]; stated || got["expires_at"] != nil || got["refresh_in"] != 3600.0 {
		t.Errorf("CR-40 body %v", got)
	}
	for _, body := range []string{`{"clear_report":false}`, `{"clear_report":"true"}`, `{"clear_report":true,"rejected_token_id":"9f86d081884c7d65"}`} {
		if got := newVend(t).invoke(restEvent(post(body, "application/json"))); got.StatusCode != 400 {
			t.Errorf("CR-41 %s: status %d", body, got.StatusCode)
		}
	}
}

// TestVendLastSecond: in its last second a token has no expires_in but 0, which a
// client takes for an expired one.
func TestVendLastSecond(t *testing.T) {
	for _, c := range []struct {
		name   string
		left   time.Duration
		early  bool
		stale  bool
		status int
	}{
		{"CR-01 a second is left", time.Second, true, false, 200},
		{"CR-24 a second is left of a stale token", time.Second, true, true, 200},
		{"CR-01 a second is left of a token without early refresh", time.Second, false, false, 200},
		{"CR-01 less than a second is left", time.Second - 1, true, false, 503},
		{"CR-24 less than a second is left of a stale token", time.Second - 1, true, true, 503},
		{"INV-1 it has expired", -time.Second, false, false, 503},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newVend(t)
			v := &e.core.vended
			v.ExpiresAt, v.EarlyRefresh, v.Stale = now.Add(c.left), c.early, c.stale
			got := e.invoke(restEvent())
			if got.StatusCode != c.status {
				t.Fatalf("status %d, want %d", got.StatusCode, c.status)
			}
			if body := got.object(t); c.status == 200 && (body["expires_in"] != 1.0 || body["refresh_in"] != 1.0 ||
				body["expires_at"] != "2026-01-01T12:00:01Z") {
				t.Errorf("body %v", body)
			} else if c.status != 200 && (body["error"] != string(problem.RefreshInProgress) || got.Headers["Retry-After"] != "1") {
				t.Errorf("body %v, headers %v", body, got.Headers)
			}
		})
	}
}

// TestBadInput: each row is refused before the core is called.
func TestBadInput(t *testing.T) {
	body413 := `{"scope":"` + strings.Repeat("a", 11<<10) + `"}`
	tests := []struct {
		name   string
		event  []byte
		status int
		code   problem.Code
	}{
		{"BI-03 dot segments in the name", restEvent(named("../secret", "..%2fsecret")), 400, problem.InvalidRequest},
		{"BI-03 encoded dots", restEvent(named("..", "%2e%2e")), 400, problem.InvalidRequest},
		{"BI-04 encoded NUL", restEvent(named("\x00", "%00")), 400, problem.InvalidRequest},
		{"BI-04 encoded line end", restEvent(named("a\r\n", "a%0d%0a")), 400, problem.InvalidRequest},
		{"BI-04 doubly encoded slash", restEvent(named("a%2Fb", "a%252Fb")), 400, problem.InvalidRequest},
		{"BI-05 upper case", restEvent(named("CRM", "CRM")), 400, problem.InvalidRequest},
		{"BI-05 homoglyph", restEvent(named("сrm", "%D1%81rm")), 400, problem.InvalidRequest},
		{"BI-06 wildcard", restEvent(named("*", "*")), 400, problem.InvalidRequest},
		{"BI-06 question mark", restEvent(named("a?", "a%3F")), 400, problem.InvalidRequest},
		{"BI-06 policy variable", restEvent(named("${x}", "$%7Bx%7D")), 400, problem.InvalidRequest},
		{"BI-06 space", restEvent(named("a b", "a%20b")), 400, problem.InvalidRequest},
		{"BI-07 65 characters", restEvent(named(strings.Repeat("a", 65), strings.Repeat("a", 65))), 400, problem.InvalidRequest},
		{"BI-08 empty name", restEvent(named("", "")), 400, problem.InvalidRequest},
		{"BI-08 trailing slash", restEvent(set("path", "/connections/crm/token/")), 400, problem.InvalidRequest},
		{"AZ-03 an encoded letter is another path", restEvent(set("path", "/connections/%63rm/token")), 400, problem.InvalidRequest},
		{"AZ-03 dot segments before the path", restEvent(set("path", "/x/../connections/crm/token")), 400, problem.InvalidRequest},
		{"AZ-03 a base path with an encoded character", restEvent(set("path", "/a%2Fb/connections/crm/token")), 400, problem.InvalidRequest},
		{"AZ-03 a base path with an empty segment", restEvent(set("path", "//connections/crm/token")), 400, problem.InvalidRequest},
		{"AZ-03 a prefix that is not a segment", restEvent(set("path", "x/connections/crm/token")), 400, problem.InvalidRequest},
		{"AZ-03 another connection's path", restEvent(set("path", "/connections/erp/token")), 400, problem.InvalidRequest},
		{"an unknown path", restEvent(set("resource", "/tokens")), 404, problem.ConnectionNotFound},
		{"BI-10 PUT", restEvent(set("httpMethod", "PUT")), 405, problem.MethodNotAllowed},
		{"BI-10 PATCH", restEvent(set("httpMethod", "PATCH")), 405, problem.MethodNotAllowed},
		{"BI-10 HEAD", restEvent(set("httpMethod", "HEAD")), 405, problem.MethodNotAllowed},
		{"BI-10 OPTIONS", restEvent(set("httpMethod", "OPTIONS")), 405, problem.MethodNotAllowed},
		{"BI-11 negative min_ttl", restEvent(query("min_ttl", "-1")), 400, problem.InvalidRequest},
		{"BI-11 min_ttl not a number", restEvent(query("min_ttl", "abc")), 400, problem.InvalidRequest},
		{"BI-11 min_ttl with an exponent", restEvent(query("min_ttl", "1e9")), 400, problem.InvalidRequest},
		{"BI-11 min_ttl of 21 digits", restEvent(query("min_ttl", "999999999999999999999")), 400, problem.InvalidRequest},
		{"BI-11 min_ttl empty", restEvent(query("min_ttl", "")), 400, problem.InvalidRequest},
		{"BI-11 min_ttl twice", restEvent(query("min_ttl", "1", "min_ttl", "1")), 400, problem.InvalidRequest},
		{"BI-13 unknown query parameter", restEvent(query("minttl", "1")), 400, problem.InvalidRequest},
		{"BI-13 in the single-value form", restEvent(set("queryStringParameters", map[string]any{"x": "1"})), 400, problem.InvalidRequest},
		{"BI-13 a query on POST", restEvent(post(`{}`), query("min_ttl", "1")), 400, problem.InvalidRequest},
		{"BI-14 GET with a body", restEvent(set("body", "{}")), 400, problem.InvalidRequest},
		{"BI-14 body over 10 KiB", restEvent(post(body413)), 413, problem.InvalidRequest},
		{"BI-14 body over 10 KiB where none is accepted", restEvent(set("body", body413)), 413, problem.InvalidRequest},
		{"BI-14 empty scope", restEvent(post(`{"scope":""}`)), 400, problem.InvalidRequest},
		{"BI-14 not JSON", restEvent(post(`{"min_ttl":`)), 400, problem.InvalidRequest},
		{"BI-14 not an object", restEvent(post(`[1]`)), 400, problem.InvalidRequest},
		{"BI-14 a member twice", restEvent(post(`{"scope":"a","scope":"b"}`)), 400, problem.InvalidRequest},
		{"BI-14 deep nesting", restEvent(post(strings.Repeat(`{"a":`, 40) + "1" + strings.Repeat("}", 40))), 400, problem.InvalidRequest},
		{"BI-14 form body", restEvent(post(`min_ttl=1`, "application/x-www-form-urlencoded")), 415, problem.InvalidRequest},
		{"BI-14 no content type", restEvent(post(`{}`, "")), 415, problem.InvalidRequest},
		{"BI-14 another charset", restEvent(post(`{}`, "application/json; charset=latin1")), 415, problem.InvalidRequest},
		{"BI-14 unknown member", restEvent(post(`{"token":"x"}`)), 400, problem.InvalidRequest},
		{"BI-14 min_ttl as text", restEvent(post(`{"min_ttl":"60"}`)), 400, problem.InvalidRequest},
		{"BI-14 min_ttl with a fraction", restEvent(post(`{"min_ttl":1.5}`)), 400, problem.InvalidRequest},
		{"BI-15 broken base64", restEvent(post(`{}`), set("body", "%%%"), set("isBase64Encoded", true)), 400, problem.InvalidRequest},
		{"BI-16 payload 2.0", []byte(`{"version":"2.0","routeKey":"GET /x","rawPath":"/x","requestContext":{"http":{"method":"GET"},"stage":"v1"}}`), 500, problem.InternalError},
		{"BI-16 null event", []byte(`null`), 500, problem.InternalError},
		{"BI-16 empty event", []byte(`{}`), 500, problem.InternalError},
		{"BI-16 not JSON", []byte(`hello`), 500, problem.InternalError},
		{"BI-17 identity missing", restEvent(identity("userArn", nil)), 403, problem.AccessDenied},
		{"BI-17 identity empty", restEvent(identity("userArn", "")), 403, problem.AccessDenied},
		{"BI-17 identity not a string", restEvent(identity("userArn", map[string]any{"a": 1})), 403, problem.AccessDenied},
		{"BI-17 caller missing", restEvent(identity("caller", nil)), 403, problem.AccessDenied},
		{"BI-17 account missing", restEvent(identity("accountId", nil)), 403, problem.AccessDenied},
		{"BI-18 an identity in headers does not count", restEvent(identity("userArn", nil),
			set("headers", map[string]any{"X-User-Arn": "arn:aws:iam::111122223333:root", "X-Amzn-Identity": "x"})), 403, problem.AccessDenied},
		{"BI-20 rejected_token_id in upper case", restEvent(post(`{"rejected_token_id":"9F86D081884C7D65"}`)), 400, problem.InvalidRequest},
		{"BI-21 a token instead of its id", restEvent(post(`{"rejected_token_id":"eyJhbGciOiJub25lIn0.e30."}`)), 400, problem.InvalidRequest},
		{"BI-47 scope with a quote", restEvent(query("scope", `a"b`)), 400, problem.InvalidRequest},
		{"DELETE with an invalid revoke", restEvent(set("httpMethod", "DELETE"), query("revoke", "yes")), 400, problem.InvalidRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newVend(t)
			got := e.invoke(tt.event)
			body := got.object(t)
			if got.StatusCode != tt.status || body["error"] != string(tt.code) {
				t.Errorf("answer %d %s: %s; want %d %s", got.StatusCode, body["error"], body["detail"], tt.status, tt.code)
			}
			if len(e.core.asked)+len(e.core.forgot) != 0 {
				t.Error("the core was called")
			}
			if got.Headers["Content-Type"] != "application/problem+json" {
				t.Errorf("content type %q", got.Headers["Content-Type"])
			}
			if tt.status == 405 && got.Headers["Allow"] != "GET, POST, DELETE" {
				t.Errorf("Allow = %q", got.Headers["Allow"])
			}
			for name := range got.Headers {
				if strings.HasPrefix(name, "Access-Control") {
					t.Errorf("AZ-14 CORS header %s", name)
				}
			}
		})
	}
	t.Run("INV-6 the response to an event without a request id has Lambda's id", func(t *testing.T) {
		e := newVend(t)
		h := gateway.Vend(gateway.VendConfig{Tokens: e.core, Audit: audit.NewWriter(audit.Config{Output: e.log}),
			InvocationID: func(context.Context) string { return "invocation-1" }})
		out, err := h.Invoke(t.Context(), []byte(`{}`))
		if err != nil || !strings.Contains(string(out), `\"instance\":\"invocation-1\"`) {
			t.Errorf("answer %s, %v", out, err)
		}
	})
	t.Run("BI-16 the log says what was expected", func(t *testing.T) {
		e := newVend(t)
		e.invoke([]byte(`{}`))
		if !strings.Contains(e.log.String(), "expected an API Gateway REST API event") {
			t.Errorf("log: %s", e.log)
		}
	})
}

func TestGoodInput(t *testing.T) {
	plain := vending.Request{Connection: "crm", Caller: "arn:aws:iam::111122223333:role/app", CallerID: "AROAEXAMPLE:session"}
	with := func(change func(*vending.Request)) vending.Request {
		r := plain
		change(&r)
		return r
	}
	tests := []struct {
		name  string
		event []byte
		want  vending.Request
	}{
		{"plain", restEvent(), plain},
		{"with a custom domain's base path", restEvent(set("path", "/tokens/connections/crm/token")), plain},
		{"min_ttl and scope", restEvent(query("min_ttl", "60", "scope", "write read")), with(func(r *vending.Request) {
			r.MinTTL, r.Scope = time.Minute, "read write"
		})},
		{"POST without a body", restEvent(set("httpMethod", "POST")), plain},
		{"POST with members", restEvent(post(`{"min_ttl":60,"scope":"read","rejected_token_id":"9f86d081884c7d65"}`, "application/json; charset=UTF-8")),
			with(func(r *vending.Request) {
				r.MinTTL, r.Scope, r.RejectedTokenID = time.Minute, "read", "9f86d081884c7d65"
			})},
		{"CR-41 POST that clears reports", restEvent(post(`{"clear_report":true}`, "application/json")), with(func(r *vending.Request) { r.ClearReport = true })},
		{"POST in base64", restEvent(post(base64.StdEncoding.EncodeToString([]byte(`{"min_ttl":1}`))), set("isBase64Encoded", true)),
			with(func(r *vending.Request) { r.MinTTL = time.Second })},
		{"a bundle's member", restEvent(named("bundle.member", "bundle.member")), with(func(r *vending.Request) { r.Connection = "bundle.member" })},
		{"a subject", restEvent(set("resource", "/connections/{connection}/subjects/{subject}/token"),
			set("path", "/connections/crm/subjects/joe/token"), set("pathParameters", map[string]any{"connection": "crm", "subject": "joe"})),
			with(func(r *vending.Request) { r.Subject = connection.Subject("joe") })},
		{"BI-19 conditional and range headers are ignored", restEvent(set("headers", map[string]any{"Range": "bytes=0-1", "If-None-Match": "*", "Accept": "text/html"})), plain},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := newVend(t)
			if got := e.invoke(tt.event); got.StatusCode != 200 {
				t.Fatalf("answer %d: %s", got.StatusCode, got.Body)
			}
			if diff := cmp.Diff([]vending.Request{tt.want}, e.core.asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("the default subject has one path only", func(t *testing.T) {
		e := newVend(t)
		got := e.invoke(restEvent(set("resource", "/connections/{connection}/subjects/{subject}/token"),
			set("path", "/connections/crm/subjects/default/token"), set("pathParameters", map[string]any{"connection": "crm", "subject": "default"})))
		if got.StatusCode != 400 {
			t.Errorf("answer %d, want 400", got.StatusCode)
		}
	})
	for query, revoke := range map[string]bool{"": false, "false": false, "true": true} {
		t.Run("DELETE with revoke="+query, func(t *testing.T) {
			e := newVend(t)
			changes := []func(map[string]any){set("httpMethod", "DELETE")}
			if query != "" {
				changes = append(changes, set("queryStringParameters", map[string]any{"revoke": query}))
			}
			got := e.invoke(restEvent(changes...))
			if got.StatusCode != 204 || got.Body != "" || e.core.revoked != revoke || len(e.core.forgot) != 1 {
				t.Errorf("answer %d %q, revoke %v", got.StatusCode, got.Body, e.core.revoked)
			}
		})
	}
}

func TestErrorsOfTheCore(t *testing.T) {
	tests := []struct {
		code      problem.Code
		status    int
		retryable bool
	}{
		{problem.InvalidScope, 400, false}, {problem.AccessDenied, 403, false}, {problem.ConnectionNotFound, 404, false},
		{problem.AuthorizationRequired, 409, false}, {problem.RateLimited, 429, true},
		{problem.ConnectionMisconfigured, 500, false}, {problem.InternalError, 500, false},
		{problem.ProviderRejected, 502, false}, {problem.ProviderMalformed, 502, true},
		{problem.ProviderUnavailable, 503, true}, {problem.StoreUnavailable, 503, true}, {problem.RefreshInProgress, 503, true},
		{problem.ProviderTimeout, 504, true},
	}
	for _, tt := range tests {
		t.Run(string(tt.code), func(t *testing.T) {
			e := newVend(t)
			e.core.err = &problem.Error{Code: tt.code, Detail: "what is wrong", RetryAfter: 1500 * time.Millisecond,
				Provider: &problem.Provider{Status: 503, Error: "temporarily_unavailable"}, Cause: errors.New("for the log")}
			got := e.invoke(restEvent())
			body := got.object(t)
			title, _ := body["title"].(string)
			delete(body, "title")
			want := map[string]any{
				"type": "urn:tokenvend:error:" + string(tt.code), "status": float64(tt.status), "detail": "what is wrong",
				"instance": "request-1", "error": string(tt.code), "error_description": "what is wrong",
				"retryable": tt.retryable, "connection": "crm",
				"provider": map[string]any{"status": 503.0, "error": "temporarily_unavailable"},
			}
			if diff := cmp.Diff(want, body); diff != "" || title == "" || got.StatusCode != tt.status {
				t.Errorf("INV-6 status %d, title %q, body (-want +got):\n%s", got.StatusCode, title, diff)
			}
			if got.Headers["Retry-After"] != "2" {
				t.Errorf("Retry-After = %q, want it rounded up", got.Headers["Retry-After"])
			}
			if !strings.Contains(e.log.String(), `"cause":"for the log"`) {
				t.Error("the log lacks the cause")
			}
		})
	}
	t.Run("a detail with every kind of character is unchanged", func(t *testing.T) {
		e := newVend(t)
		const detail = "quote \" backslash \\ tab \t line \n NUL \x00 <é> \u2028 \U0001F600"
		e.core.err = problem.New(problem.ConnectionMisconfigured, detail)
		if got := e.invoke(restEvent()).object(t)["detail"]; got != detail {
			t.Errorf("detail %q, want %q", got, detail)
		}
	})
	t.Run("503 always has Retry-After", func(t *testing.T) {
		e := newVend(t)
		e.core.err = problem.New(problem.StoreUnavailable, "x")
		if got := e.invoke(restEvent()); got.Headers["Retry-After"] != "1" {
			t.Errorf("Retry-After = %q", got.Headers["Retry-After"])
		}
	})
	t.Run("INV-6 an unknown error reveals nothing to the caller", func(t *testing.T) {
		e := newVend(t)
		e.core.err = fmt.Errorf("raw text of an SDK")
		if got := e.invoke(restEvent()); got.StatusCode != 500 || strings.Contains(got.Body, "SDK") {
			t.Errorf("answer %d %s", got.StatusCode, got.Body)
		}
	})
	t.Run("INV-5 a panic is an internal error, its value is not printed", func(t *testing.T) {
		e := newVend(t)
		e.core.panics = "canary-in-a-panic"
		got := e.invoke(restEvent())
		if got.StatusCode != 500 || strings.Contains(got.Body+e.log.String(), "canary") {
			t.Errorf("answer %d %s, log %s", got.StatusCode, got.Body, e.log)
		}
		if !strings.Contains(e.log.String(), "vend_fixture_test.go") {
			t.Errorf("the log has no place: %s", e.log)
		}
	})
}

func TestAuditLineIsTheMetric(t *testing.T) {
	e := newVend(t)
	e.invoke(restEvent())
	var line map[string]any
	if err := json.Unmarshal(e.log.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{
		"msg": "audit", "action": "vend", "outcome": "ok", "status": 200.0, "connection": "crm", "request_id": "request-1",
		"principal": "arn:aws:iam::111122223333:role/app", "principal_id": "AROAEXAMPLE:session", "account": "111122223333",
		"source_ip": "192.0.2.1", "Requests": 1.0,
	} {
		if line[key] != want {
			t.Errorf("AZ-56 %s = %v, want %v", key, line[key], want)
		}
	}
	checkEmbeddedMetrics(t, line)
}

// checkEmbeddedMetrics holds a line against CloudWatch's embedded metric format:
// every metric and every dimension that a directive names is a member of the line.
func checkEmbeddedMetrics(t *testing.T, line map[string]any) {
	t.Helper()
	aws, _ := line["_aws"].(map[string]any)
	directives, _ := aws["CloudWatchMetrics"].([]any)
	if len(directives) == 0 || aws["Timestamp"] == nil {
		t.Fatalf("no embedded metrics in %v", line)
	}
	for _, d := range directives {
		directive := d.(map[string]any)
		for _, m := range directive["Metrics"].([]any) {
			if _, ok := line[m.(map[string]any)["Name"].(string)].(float64); !ok {
				t.Errorf("metric %v is not a number in the line", m)
			}
		}
		for _, set := range directive["Dimensions"].([]any) {
			for _, dimension := range set.([]any) {
				if _, ok := line[dimension.(string)].(string); !ok {
					t.Errorf("dimension %v is not a string in the line", dimension)
				}
			}
		}
	}
}

// FuzzInvoke: any payload has a well-formed response, never an error or a panic, and
// without an identity the core is not called (OC-71).
func FuzzInvoke(f *testing.F) {
	f.Add(restEvent())
	f.Add(restEvent(post(`{"min_ttl":60}`)))
	f.Add([]byte(`{"version":"2.0"}`))
	f.Add(restEvent(identity("userArn", 7)))
	f.Fuzz(func(t *testing.T, payload []byte) {
		e := newVend(t)
		e.core.vended = freshToken()
		got := e.invoke(payload)
		if got.StatusCode < 200 || got.StatusCode > 599 {
			t.Errorf("status %d", got.StatusCode)
		}
		for _, r := range e.core.asked {
			if r.Caller == "" || r.Connection == "" {
				t.Error("the core was called without caller or connection")
			}
		}
	})
}

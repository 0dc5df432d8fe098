package localgateway_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

func TestAnswer(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		status       int
		contentType  string
		body         string
	}{
		{"text", `{"statusCode":200,"headers":{"Content-Type":"text/plain"},"body":"hello"}`, 200, "text/plain", "hello"},
		{"no content type", `{"statusCode":200,"body":"{}"}`, 200, "application/json", "{}"},
		{"no body", `{"statusCode":204}`, 204, "", ""},
		{"null body", `{"statusCode":204,"headers":null,"multiValueHeaders":null,"body":null}`, 204, "", ""},
		{"base64", `{"statusCode":201,"headers":{"Content-Type":"x/y"},"body":"aGVsbG8=","isBase64Encoded":true}`, 201, "x/y", "hello"},
		{"problem", `{"statusCode":503,"headers":{"Content-Type":"application/problem+json","Retry-After":"2"},"body":"{}"}`, 503, "application/problem+json", "{}"},
		{"unknown members", `{"statusCode":200,"body":"x","cookies":[]}`, 200, "application/json", "x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			api := newAPI(t, answering(c.answer), answering(c.answer), new(strings.Builder))
			response, text := call(t, api, "GET", "/v1/connections/crm/token", "")
			if response.StatusCode != c.status || response.Header.Get("Content-Type") != c.contentType || text != c.body {
				t.Errorf("%d %q %q", response.StatusCode, response.Header.Get("Content-Type"), text)
			}
			checkHeaders(t, response)
		})
	}
}

func TestAnswerHeaders(t *testing.T) {
	answer := `{"statusCode":200,"headers":{"x-one":"single","Set-Cookie":"lost"},"multiValueHeaders":{"set-cookie":["a=1","b=2"]},"body":""}`
	api := newAPI(t, answering(answer), answering(answer), new(strings.Builder))
	response, _ := call(t, api, "GET", "/v1/connections", "")
	if diff := cmp.Diff([]string{"a=1", "b=2"}, response.Header.Values("Set-Cookie")); diff != "" {
		t.Errorf("a header in both members: the list wins (-want +got):\n%s", diff)
	}
	if got := response.Header.Get("X-One"); got != "single" {
		t.Errorf("x-one %q", got)
	}
}

func TestNoAnswer(t *testing.T) {
	canary := "canary-of-a-secret"
	for _, c := range []struct {
		name   string
		vend   function
		logged string
	}{
		{"error", func(context.Context, []byte) ([]byte, error) { return nil, errors.New("boom") }, "boom"},
		{"panic", func(context.Context, []byte) ([]byte, error) { panic(canary) }, "panicked with a string"},
		{"not JSON", answering("hello"), "malformed Lambda proxy response: not the JSON"},
		{"no status", answering(`{"body":"x"}`), "malformed Lambda proxy response: statusCode 0"},
		{"status out of range", answering(`{"statusCode":1000}`), "malformed Lambda proxy response: statusCode 1000"},
		{"body not text", answering(`{"statusCode":200,"body":{}}`), "malformed Lambda proxy response"},
		{"body not base64", answering(`{"statusCode":200,"body":"!","isBase64Encoded":true}`), "not base64"},
	} {
		t.Run("INV-6 "+c.name, func(t *testing.T) {
			var log strings.Builder
			response, text := call(t, newAPI(t, c.vend, c.vend, &log), "GET", "/v1/connections/crm/token", "")
			if response.StatusCode != 502 || !strings.Contains(text, `"detail":"Internal server error"`) {
				t.Errorf("%d %s", response.StatusCode, text)
			}
			if logged := log.String(); !strings.Contains(logged, "vend: ") || !strings.Contains(logged, c.logged) || strings.Contains(logged, canary) {
				t.Errorf("log %q", logged)
			}
			if id := response.Header.Get("X-Amzn-Requestid"); !strings.HasPrefix(log.String(), id) {
				t.Errorf("log %q lacks the request id %s", log.String(), id)
			}
			checkHeaders(t, response)
		})
	}
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := function(func(ctx context.Context, _ []byte) ([]byte, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		})
		response, text := call(t, newAPI(t, hang, hang, new(strings.Builder)), "GET", "/v1/connections", "")
		if response.StatusCode != 504 || !strings.Contains(text, `"detail":"Endpoint request timed out"`) {
			t.Errorf("%d %s", response.StatusCode, text)
		}
	})
}

func TestCallerHangsUp(t *testing.T) {
	finish := function(func(ctx context.Context, _ []byte) ([]byte, error) {
		return []byte(`{"statusCode":200,"body":"finished"}`), ctx.Err()
	})
	_, text := call(t, newAPI(t, finish, finish, new(strings.Builder)), "GET", "/v1/connections", "", func(r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		cancel()
		*r = *r.WithContext(ctx)
	})
	if text != "finished" {
		t.Errorf("the function was stopped: %s", text)
	}
}

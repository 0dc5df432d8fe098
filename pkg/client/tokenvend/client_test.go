package tokenvend_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/tokenvend/tokenvend/pkg/client/tokenvend"
)

// newClient returns a client of a service with scripted answers.
func newClient(t testing.TB, c tokenvend.Config, answers ...map[string]any) (*tokenvend.Client, *script) {
	t.Helper()
	s := &script{credentials: "KEY1", answers: answers}
	if c.URL == "" {
		c.URL = "https://abc123.execute-api.eu-west-1.amazonaws.com/v1"
	}
	c.HTTP, c.Credentials = &http.Client{Transport: roundTripper(s.serve)}, s
	client, err := tokenvend.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return client, s
}

func vend(token string, more ...any) map[string]any {
	a := map[string]any{"vend": token, "expires_in": 3600.0, "refresh_in": 3000.0}
	for i := 0; i < len(more); i += 2 {
		a[more[i].(string)] = more[i+1]
	}
	return a
}

func get(t testing.TB, client *tokenvend.Client, options ...tokenvend.Option) *tokenvend.Token {
	t.Helper()
	token, err := client.Token(t.Context(), "crm", options...)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestNewRefuses(t *testing.T) {
	for _, url := range []string{"", "abc", "http://service.example/v1", "https://user@service.example/v1", "https://service.example/v1?x=y", "ftp://service.example"} {
		if _, err := tokenvend.New(tokenvend.Config{URL: url}); err == nil {
			t.Errorf("%q is accepted", url)
		}
	}
}

func TestTokenRedactsItself(t *testing.T) {
	client, _ := newClient(t, tokenvend.Config{}, vend("canary-9", "token_id", "x"))
	token := get(t, client)
	wrapped := struct {
		Token  *tokenvend.Token
		hidden *tokenvend.Token
	}{token, token}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%p"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", token, wrapped, *token)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("a", "token", token)
	slog.New(slog.NewTextHandler(&out, nil)).Info("a", "token", token, "value", *token)
	for _, v := range []any{token, *token, wrapped} {
		if err := json.NewEncoder(&out).Encode(v); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(out.String(), "canary-9") || strings.Contains(out.String(), fmt.Sprintf("%x", "canary-9")) {
		t.Errorf("the token is printed:\n%s", out.String())
	}
	if token.Value() != "canary-9" {
		t.Errorf("value %q", token.Value())
	}
}

func TestExtra(t *testing.T) {
	client, _ := newClient(t, tokenvend.Config{}, vend("t1", "scope", "read", "extra", map[string]any{"instance_url": "https://acme.example"}))
	if token := get(t, client); token.Extra("instance_url") != "https://acme.example" || token.Extra("other") != nil || token.Scope != "read" || token.Type != "Bearer" {
		t.Errorf("token %+v, extra %v", token, token.Extra("instance_url"))
	}
}

// TestAnswer hands a token on later than it arrived.
func TestAnswer(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	client, _ := newClient(t, tokenvend.Config{Now: func() time.Time { return now }},
		vend("token_1", "extra", map[string]any{"site": "eu"}, "expires_in_assumed", true))
	token := get(t, client)
	for _, c := range []struct {
		after            time.Duration
		expires, renewal float64
	}{{0, 3600, 3000}, {90 * time.Second, 3510, 2910}, {3200 * time.Second, 400, 1}, {2 * time.Hour, 1, 1}} {
		text, err := token.Answer(now.Add(c.after))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got["expires_in"] != c.expires || got["refresh_in"] != c.renewal || got["access_token"] != token.Value() || got["token_id"] != token.ID || got["expires_in_assumed"] != true {
			t.Errorf("after %s: %s", c.after, text)
		}
	}
}

func TestTokenSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := newClient(t, tokenvend.Config{}, vend("t1", "extra", map[string]any{"realm": "9"}), map[string]any{"error": "provider_rejected", "status": 502.0})
		token, err := client.TokenSource(t.Context(), "crm").Token()
		if err != nil {
			t.Fatal(err)
		}
		if token.AccessToken != "t1" || token.Type() != "Bearer" || !token.Expiry.Equal(time.Now().Add(59*time.Minute)) || token.Extra("realm") != "9" || token.Extra("token_id") != "id-t1" {
			t.Errorf("token %+v", token)
		}
		_, err = client.TokenSource(t.Context(), "crm", tokenvend.WithSubject("ann")).Token()
		if e := new(tokenvend.Error); !errors.As(err, &e) || e.Code != "provider_rejected" {
			t.Errorf("error %v", err)
		}
	})
}

// TestFrozenProcess has the wall clock go on while everything else stands still.
func TestFrozenProcess(t *testing.T) {
	var ahead atomic.Int64
	synctest.Test(t, func(t *testing.T) {
		now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		client, _ := newClient(t, tokenvend.Config{Now: now}, vend("t1"), vend("t2", "after", 10.0), vend("t3"))
		get(t, client)
		ahead.Store(int64(time.Hour))
		go func() { _, _ = client.Token(t.Context(), "crm") }()
		synctest.Wait() // that call is frozen in the middle
		ahead.Store(int64(3 * time.Hour))
		thawed := time.Now()
		if token := get(t, client); token.Value() != "t3" || time.Since(thawed) != 0 {
			t.Errorf("%s after %s, want a token that is asked for after the freeze, at once", token.Value(), time.Since(thawed))
		}
		time.Sleep(time.Minute)
		if token := get(t, client); token.Value() != "t3" {
			t.Errorf("%s, want the later answer kept", token.Value())
		}
	})
}

func TestCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, s := newClient(t, tokenvend.Config{}, vend("t1", "after", 5.0))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Token(ctx, "crm")
		var e *tokenvend.Error
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) || e.Code != tokenvend.CodeUnreachable {
			t.Errorf("error %v", err)
		}
		time.Sleep(5 * time.Second)
		if token := get(t, client); token.Value() != "t1" || len(s.requests) != 1 {
			t.Errorf("%s after %d requests, want the answer that came later", token.Value(), len(s.requests))
		}
	})
}

func TestReject(t *testing.T) {
	client, s := newClient(t, tokenvend.Config{}, vend("t1"), vend("t2"))
	first := get(t, client)
	for range 2 { // the second time the cache has another
		if next, err := client.Reject(t.Context(), first); err != nil || next.Value() != "t2" || len(s.requests) != 2 {
			t.Errorf("%v, error %v, %d requests", next, err, len(s.requests))
		}
	}
}

// TestUnnamedResponses uses a base transport whose responses do not name their request.
func TestUnnamedResponses(t *testing.T) {
	client, s := newClient(t, tokenvend.Config{}, vend("t1"))
	s.resource = []any{"https://other.example/a", "https://another.example/b", 200.0}
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		answer, err := s.accept(r)
		if answer != nil {
			answer.Request = nil
		}
		return answer, err
	})
	status, err := step{}.send(t.Context(), &http.Client{Transport: client.Transport("crm", base)})
	want := []string{"https://api.example Authorization: Bearer t1", "https://other.example -", "https://another.example -"}
	if diff := cmp.Diff(want, s.presented); err != nil || status != 200 || diff != "" {
		t.Errorf("%d, error %v (-want +got):\n%s", status, err, diff)
	}
	unknown, err := http.NewRequestWithContext(t.Context(), "GET", "https://api.example/", strings.NewReader("order"))
	if err != nil {
		t.Fatal(err)
	}
	unknown.Response = new(http.Response)
	s.resource, s.presented = []any{200.0}, nil
	response, err := client.Transport("crm", base).RoundTrip(unknown)
	if err != nil || s.presented[0] != "https://api.example -" {
		t.Errorf("error %v, presented %q", err, s.presented)
	}
	response.Body.Close()
}

// TestTokenEndsWhileRefreshHangs waits on for the refresh once the token is not usable.
func TestTokenEndsWhileRefreshHangs(t *testing.T) {
	t.Setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
	synctest.Test(t, func(t *testing.T) {
		client, _ := newClient(t, tokenvend.Config{Random: func() float64 { return 0 }}, vend("t1", "expires_in", 100.0, "refresh_in", 85.0), vend("t2", "after", 20.0))
		get(t, client)
		time.Sleep(85 * time.Second)
		if token := get(t, client); token.Value() != "t2" {
			t.Errorf("%s, want the new token", token.Value())
		}
	})
}

func TestRejectedIsReplaceable(t *testing.T) {
	client, s := newClient(t, tokenvend.Config{Rejected: func(r *http.Response) bool { return r.StatusCode == 419 }}, vend("t1"), vend("t2"))
	s.resource = []any{419.0, 401.0}
	status, err := step{}.send(t.Context(), &http.Client{Transport: client.Transport("crm", roundTripper(s.accept))})
	if err != nil || status != 401 || len(s.presented) != 2 {
		t.Errorf("%d, error %v, presented %q", status, err, s.presented)
	}
}

func TestRegion(t *testing.T) {
	for url, want := range map[string]string{
		"https://abc.execute-api.eu-west-1.amazonaws.com/v1":              "eu-west-1",
		"https://abc-vpce-1.execute-api.us-gov-west-1.amazonaws.com/v1":   "us-gov-west-1",
		"https://vpce-1.execute-api.eu-central-1.vpce.amazonaws.com/v1":   "eu-central-1",
		"https://abc.execute-api.cn-north-1.amazonaws.com.cn/v1":          "cn-north-1",
		"https://abc.execute-api.eu-west-2.api.aws/v1":                    "eu-west-2",
		"https://tokens.example/v1":                                       "given-1",
		"https://execute-api.eu-west-1.amazonaws.com.attacker.example/v1": "given-1",
	} {
		client, s := newClient(t, tokenvend.Config{URL: url, Region: "given-1"}, vend("t1"))
		get(t, client)
		if want = "KEY1/" + want + "/execute-api"; s.signed[0] != want {
			t.Errorf("%s: signed by %s, want %s", url, s.signed[0], want)
		}
	}
}

// TestServiceRedirects sends no signed request elsewhere.
func TestServiceRedirects(t *testing.T) {
	requests := 0
	client, err := tokenvend.New(tokenvend.Config{URL: "https://service.example", Region: "us-east-1", Credentials: &script{credentials: "K"},
		HTTP: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			requests++
			return response(r, 307, http.Header{"Location": {"https://other.example"}}, ""), nil
		})}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.Token(t.Context(), "crm")
	if e := new(tokenvend.Error); !errors.As(err, &e) || e.Code != tokenvend.CodeUnexpected || e.Status != 307 || requests != 1 {
		t.Errorf("error %v after %d requests", err, requests)
	}
}

func TestClockOff(t *testing.T) {
	client, err := tokenvend.New(tokenvend.Config{URL: "https://service.example", Region: "us-east-1", Credentials: &script{credentials: "K"},
		HTTP: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			header := http.Header{"Date": {time.Now().Add(10 * time.Minute).UTC().Format(http.TimeFormat)}}
			return response(r, 403, header, `{"error":"access_denied","detail":"Signature expired"}`), nil
		})}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = client.Token(t.Context(), "crm"); err == nil || !strings.Contains(err.Error(), "clock is -10m") && !strings.Contains(err.Error(), "clock is -9m59s") {
		t.Errorf("error %v", err)
	}
}

// TestDefaultChain has another program rotate the credentials file, and remove it.
func TestDefaultChain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "credentials")
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	t.Setenv("AWS_CONFIG_FILE", file)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	s := &script{answers: []map[string]any{vend("t1"), vend("t2")}}
	client, err := tokenvend.New(tokenvend.Config{URL: "https://service.example/v1", HTTP: &http.Client{Transport: roundTripper(s.serve)}})
	if err != nil {
		t.Fatal(err)
	}
	for i, key := range []string{"FIRST", "SECOND"} {
		text := "[default]\nregion = eu-west-3\naws_access_key_id = " + key + "\naws_secret_access_key = x\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		get(t, client, tokenvend.WithScope(key))
		if want := key + "/eu-west-3/execute-api"; s.signed[i] != want {
			t.Errorf("signed by %s, want %s", s.signed[i], want)
		}
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	_, err = client.Token(t.Context(), "erp")
	if e := new(tokenvend.Error); !errors.As(err, &e) || e.Code != tokenvend.CodeCredentials || e.Retryable {
		t.Errorf("error %v", err)
	}
}

// TestLoopbackSigner looks at who signs for a service on this machine.
func TestLoopbackSigner(t *testing.T) {
	for key, want := range map[string]string{"": "local/us-east-1/execute-api", "AKIDEXAMPLE": "AKIDEXAMPLE/eu-west-3/execute-api"} {
		t.Setenv("AWS_PROFILE", "")
		t.Setenv("AWS_ACCESS_KEY_ID", key)
		t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
		t.Setenv("AWS_REGION", "eu-west-3")
		s := &script{answers: []map[string]any{vend("t1")}}
		client, err := tokenvend.New(tokenvend.Config{URL: "http://127.0.0.1:8080/v1", HTTP: &http.Client{Transport: roundTripper(s.serve)}})
		if err != nil {
			t.Fatal(err)
		}
		if get(t, client); s.signed[0] != want {
			t.Errorf("signed by %s, want %s", s.signed[0], want)
		}
	}
}

func TestWarmTokenAllocatesNothing(t *testing.T) {
	client, _ := newClient(t, tokenvend.Config{}, vend("t1"), vend("t2"))
	get(t, client)
	get(t, client, tokenvend.WithSubject("ann"))
	ctx := t.Context()
	allocated := testing.AllocsPerRun(100, func() {
		_, _ = client.Token(ctx, "crm")
		_, _ = client.Token(ctx, "crm", tokenvend.WithSubject("ann"), tokenvend.WithMinTTL(time.Minute))
	})
	if allocated != 0 {
		t.Errorf("%v allocations", allocated)
	}
}

func BenchmarkWarm(b *testing.B) {
	client, _ := newClient(b, tokenvend.Config{}, vend("t1"))
	get(b, client)
	source := oauth2.ReuseTokenSource(&oauth2.Token{AccessToken: "t1", Expiry: time.Now().Add(time.Hour)}, nil)
	ctx := b.Context()
	b.Run("tokenvend.Token", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = client.Token(ctx, "crm")
		}
	})
	b.Run("oauth2.ReuseTokenSource", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = source.Token()
		}
	})
}

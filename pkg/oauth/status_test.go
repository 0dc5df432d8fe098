package oauth_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/oauth"
)

func TestRefusals(t *testing.T) {
	const agileNow = `{"error_description":"Client authentication failed.","messages":["Client authentication failed."]}`
	tests := []struct {
		name      string
		status    int
		body      string
		want      string // kind, reason, code
		wantCalls int
	}{
		{"OC-44 no code", 400, agileNow, "provider_rejected status ", 1},
		{"OC-45 invalid_grant", 400, `{"error":"invalid_grant"}`, "provider_rejected status invalid_grant", 1},
		{"OC-46 invalid_client", 401, `{"error":"invalid_client"}`, "provider_rejected status invalid_client", 1},
		{"OC-46 page", 401, `<html>`, "provider_rejected status ", 1},
		{"OC-46 empty", 401, ``, "provider_rejected status ", 1},
		{"OC-47 invalid_scope", 400, `{"error":"invalid_scope"}`, "provider_rejected status invalid_scope", 1},
		{"OC-47 unauthorized_client", 400, `{"error":"unauthorized_client"}`, "provider_rejected status unauthorized_client", 1},
		{"OC-47 unsupported_grant_type", 400, `{"error":"unsupported_grant_type"}`, "provider_rejected status unsupported_grant_type", 1},
		{"OC-47 invalid_request", 400, `{"error":"invalid_request"}`, "provider_rejected status invalid_request", 1},
		{"OC-47 access_denied", 403, `{"error":"access_denied"}`, "provider_rejected status access_denied", 1},
		{"OC-47 invalid_target", 400, `{"error":"invalid_target"}`, "provider_rejected status invalid_target", 1},
		{"OC-47 not found", 404, `not here`, "provider_rejected status ", 1},
		{"OC-48 temporarily_unavailable", 400, `{"error":"temporarily_unavailable"}`, "provider_unavailable status temporarily_unavailable", 1},
		{"OC-48 server_error", 400, `{"error":"server_error"}`, "provider_unavailable status server_error", 1},
		{"OC-48 slow_down", 400, `{"error":"slow_down"}`, "provider_unavailable status slow_down", 1},
		{"OC-48 unknown code", 400, `{"error":"flow_error"}`, "provider_rejected status ", 1},
		{"OC-48 code an object", 400, `{"error":{"code":"invalid_client"}}`, "provider_rejected status ", 1},
		{"OC-53 duplicate code", 400, `{"error":"invalid_client","error":"server_error"}`, "provider_rejected status ", 1},
		{"OC-49 too many requests", 429, `{"error":"invalid_client"}`, "provider_unavailable status invalid_client", 1},
		{"OC-25 500", 500, `{"error":"invalid_client"}`, "provider_unavailable status invalid_client", 2},
		{"OC-25 501", 501, ``, "provider_unavailable status ", 1},
		{"OC-25 502", 502, `<html>`, "provider_unavailable status ", 2},
		{"OC-25 503", 503, `{"error":"temporarily_unavailable"}`, "provider_unavailable status temporarily_unavailable", 2},
		{"OC-25 504", 504, ``, "provider_unavailable status ", 2},
		{"OC-25 505", 505, ``, "provider_unavailable status ", 1},
		{"OC-39 503 with a large body", 503, strings.Repeat(" ", 1<<20+1), "provider_unavailable status ", 2},
		{"OC-39 400 with a large body", 400, strings.Repeat(" ", 1<<20+1), "provider_malformed too_large ", 1},
		{"OC-50 204", 204, ``, "provider_malformed status ", 1},
		{"OC-50 206", 206, plainToken, "provider_malformed status ", 1},
		{"OC-20 304", 304, ``, "provider_malformed redirect ", 1},
		{"OC-50 status 999", 999, plainToken, "provider_malformed status ", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := newServer(t, says(tt.status, tt.body))
			_, err := oauth.New(config()).Token(t.Context(), request(server.URL))
			e := failureOf(t, err)
			if got := fmt.Sprintf("%s %s %s", e.Kind, e.Reason, e.Code); got != tt.want {
				t.Errorf("failure %q, want %q", got, tt.want)
			}
			if calls := len(server.received()); calls != tt.wantCalls || e.Trace.Calls != calls || e.Trace.Status != tt.status {
				t.Errorf("%d calls, trace %+v; want %d calls and status %d", calls, e.Trace, tt.wantCalls, tt.status)
			}
		})
	}
}

func TestDescriptionIsKeptForOperators(t *testing.T) {
	server := newServer(t, says(400, `{"error_description":"Client authentication failed."}`))
	_, err := oauth.New(config()).Token(t.Context(), request(server.URL))
	if e := failureOf(t, err); e.Description != "Client authentication failed." {
		t.Errorf("OC-44 description %q", e.Description)
	}
}

func TestErrorText(t *testing.T) {
	server := newServer(t, says(401, `{"error":"invalid_client","error_description":"say nothing"}`))
	_, err := oauth.New(config()).Token(t.Context(), request(server.URL))
	if got, want := err.Error(), "provider_rejected: status, HTTP status 401, error invalid_client"; got != want {
		t.Errorf("OC-68 text %q, want %q", got, want)
	}
}

func TestUnusableResponseIsSummarised(t *testing.T) {
	server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "Text/HTML; charset=utf-8")
		_, _ = w.Write([]byte("test"))
	})
	_, err := oauth.New(config()).Token(t.Context(), request(server.URL))
	want := oauth.ResponseSummary{ContentType: "text/html", Length: 4, Digest: "9f86d081884c7d65"}
	if diff := cmp.Diff(want, failureOf(t, err).Response); diff != "" {
		t.Errorf("OC-40 answer (-want +got):\n%s", diff)
	}
}

func TestRetryAfter(t *testing.T) {
	tests := []struct {
		name, value string
		want        time.Duration
	}{
		{"OC-49 seconds", "120", 2 * time.Minute},
		{"OC-49 date", now.Add(90 * time.Second).Format("Mon, 02 Jan 2006 15:04:05 GMT"), 90 * time.Second},
		{"FI-13 date in the past", "Thu, 01 Jan 2015 00:00:00 GMT", time.Second},
		{"OC-49 date in the next century", "Fri, 01 Jan 2100 00:00:00 GMT", time.Hour},
		{"OC-49 negative", "-5", 0},
		{"OC-49 garbage", "garbage", 0},
		{"OC-49 fraction", "1.5", 0},
		{"OC-49 zero", "0", time.Second},
		{"OC-49 10^9", "1000000000", time.Hour},
		{"OC-49 400 digits", strings.Repeat("9", 400), time.Hour},
		{"OC-49 absent", "", 0},
	}
	for _, tt := range tests {
		for _, status := range []int{429, 503} {
			t.Run(fmt.Sprint(tt.name, " ", status), func(t *testing.T) {
				server := newServer(t, says(status, "", "Retry-After", tt.value))
				_, err := oauth.New(config()).Token(t.Context(), request(server.URL))
				e := wantFailure(t, err, "provider_unavailable status")
				if e.RetryAfter != tt.want {
					t.Errorf("RetryAfter %v, want %v", e.RetryAfter, tt.want)
				}
				if again := status == 503 && tt.want == 0; (e.Trace.Calls == 2) != again {
					t.Errorf("OC-25 %d calls; a server that says when is not asked again at once", e.Trace.Calls)
				}
			})
		}
	}
}

func TestRetry(t *testing.T) {
	t.Run("OC-25 succeeds", func(t *testing.T) {
		var pauses []time.Duration
		cfg := config()
		cfg.Rand = strings.NewReader("\x80\x00")
		cfg.Wait = func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil }
		server := newServer(t, says(500, ""), says(200, plainToken))
		token, err := oauth.New(cfg).Token(t.Context(), request(server.URL))
		if err != nil || token.Trace.Calls != 2 || token.Trace.Status != 200 {
			t.Errorf("FI-10 Token = %+v, %v", token, err)
		}
		if diff := cmp.Diff([]time.Duration{100 * time.Millisecond}, pauses); diff != "" {
			t.Errorf("pauses (-want +got):\n%s", diff)
		}
	})
	t.Run("OC-25 longest pause", func(t *testing.T) {
		cfg := config()
		cfg.Rand = strings.NewReader("\xff\xff")
		cfg.Wait = func(_ context.Context, d time.Duration) error {
			if d < 199*time.Millisecond || d > 200*time.Millisecond {
				t.Errorf("pause %v", d)
			}
			return nil
		}
		server := newServer(t, says(500, ""), says(200, plainToken))
		if _, err := oauth.New(cfg).Token(t.Context(), request(server.URL)); err != nil {
			t.Error(err)
		}
	})
	t.Run("OC-25 another grant is not repeated", func(t *testing.T) {
		server := newServer(t, says(500, ""), says(200, plainToken))
		r := request(server.URL)
		r.GrantType = "refresh_token"
		_, err := oauth.New(config()).Token(t.Context(), r)
		if e := wantFailure(t, err, "provider_unavailable status"); e.Trace.Calls != 1 {
			t.Errorf("%d calls, want 1", e.Trace.Calls)
		}
	})
	t.Run("OC-25 no time for a pause", func(t *testing.T) {
		cfg := config()
		cfg.Wait = func(context.Context, time.Duration) error { return context.DeadlineExceeded }
		server := newServer(t, says(500, ""), says(200, plainToken))
		_, err := oauth.New(cfg).Token(t.Context(), request(server.URL))
		if e := wantFailure(t, err, "provider_unavailable status"); e.Trace.Calls != 1 {
			t.Errorf("%d calls, want 1", e.Trace.Calls)
		}
	})
	t.Run("OC-70 counts from the second request", func(t *testing.T) {
		clock := now
		cfg := config()
		cfg.Now = func() time.Time { return clock }
		cfg.Wait = func(context.Context, time.Duration) error { clock = clock.Add(3 * time.Second); return nil }
		server := newServer(t, says(500, ""), says(200, plainToken))
		token, err := oauth.New(cfg).Token(t.Context(), request(server.URL))
		if err != nil || token.RequestedAt != now.Add(3*time.Second) || token.Trace.Latency != 3*time.Second {
			t.Errorf("Token = %+v, %v", token, err)
		}
	})
}

package oauth_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

func revocation(url string) oauth.Revocation {
	return oauth.Revocation{
		RevocationURL:  url,
		Authentication: request(url).Authentication,
		Token:          redact.New("token-CANARY-1"),
	}
}

func TestRevocationRequest(t *testing.T) {
	server := newServer(t, says(200, ""))
	r := revocation(server.URL + "/revoke")
	r.Method, r.TokenTypeHint = provider.ClientSecretBasic, "access_token"
	if err := oauth.New(config()).Revoke(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	r.TokenTypeHint = "refresh_token"
	if err := oauth.New(config()).Revoke(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got := server.received()[1].body; got != "token=token-CANARY-1&token_type_hint=refresh_token" {
		t.Errorf("OC-14 received %s", got)
	}
	got := server.received()[0]
	if got.uri != "/revoke" || got.body != "token=token-CANARY-1&token_type_hint=access_token" || got.header.Get("Authorization") == "" {
		t.Errorf("OC-14 received %+v", got)
	}
}

func TestRevocationResponses(t *testing.T) {
	tests := []struct {
		name      string
		handlers  []http.HandlerFunc
		want      string // empty: revoked
		wantWaits []time.Duration
	}{
		{"OC-14 known or unknown token", []http.HandlerFunc{says(200, "")}, "", nil},
		{"OC-14 body does not matter", []http.HandlerFunc{says(200, strings.Repeat("x", 1<<20+1))}, "", nil},
		{"OC-14 503 for a second", []http.HandlerFunc{says(503, "", "Retry-After", "1"), says(200, "")}, "", []time.Duration{time.Second}},
		{"OC-14 503 for long", []http.HandlerFunc{says(503, "", "Retry-After", "60"), says(200, "")}, "provider_unavailable status", nil},
		{"OC-14 503 twice", []http.HandlerFunc{says(503, "", "Retry-After", "1")}, "provider_unavailable status", []time.Duration{time.Second}},
		{"OC-14 500 once", []http.HandlerFunc{says(500, ""), says(200, "")}, "", []time.Duration{0}},
		{"OC-14 refused", []http.HandlerFunc{says(400, `{"error":"invalid_client"}`)}, "provider_rejected status", nil},
		{"OC-14 kind of token not supported", []http.HandlerFunc{says(400, `{"error":"unsupported_token_type"}`)}, "provider_rejected status", nil},
		{"OC-14 no endpoint there", []http.HandlerFunc{says(404, "")}, "provider_rejected status", nil},
		{"OC-20 redirect", []http.HandlerFunc{says(307, "", "Location", "/other"), says(200, "")}, "provider_malformed redirect", nil},
		{"OC-14 202", []http.HandlerFunc{says(202, "")}, "provider_malformed status", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var waits []time.Duration
			cfg := config()
			cfg.Rand = strings.NewReader(strings.Repeat("\x00", 64))
			cfg.Wait = func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }
			server := newServer(t, tt.handlers...)
			err := oauth.New(cfg).Revoke(t.Context(), revocation(server.URL))
			if tt.want != "" {
				wantFailure(t, err, tt.want)
			} else if err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tt.wantWaits, waits); diff != "" || len(server.received()) != 1+len(waits) {
				t.Errorf("%d requests, waits (-want +got):\n%s", len(server.received()), diff)
			}
		})
	}
}

func TestRevocationRepeatedAfterReset(t *testing.T) {
	url, connections := rawServer(t, resets(""), func(conn net.Conn) { ok("")(conn) })
	if err := oauth.New(config()).Revoke(t.Context(), revocation(url)); err != nil || connections() != 2 {
		t.Errorf("OC-14 Revoke = %v after %d connections", err, connections())
	}
}

func TestRevocationEchoIsMasked(t *testing.T) {
	server := newServer(t, says(400, `{"error_description":"no such token token-CANARY-1"}`))
	err := oauth.New(config()).Revoke(t.Context(), revocation(server.URL))
	if got, want := failureOf(t, err).Description, "no such token [REDACTED]"; got != want {
		t.Errorf("OC-68 description %q, want %q", got, want)
	}
}

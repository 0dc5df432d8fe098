package gateway_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestMinTTL: at most half of the lifetime is accepted, for a cached token and for a
// new one.
func TestMinTTL(t *testing.T) {
	tests := []struct {
		name, connection, minTTL string
		status                   int
		says                     string
	}{
		{"BI-12 half of a warm token's hour", "creative-force", "1800", 200, ""},
		{"BI-12 one second more", "creative-force", "1801", 400, "at most 1800 s"},
		{"BI-12 half of a cold connection's 3599 s", "agile-now", "1799", 200, ""},
		{"BI-12 one second more than half of it", "agile-now", "1800", 400, "at most 1799 s"},
		{"BI-12 days of a month", "cliquify", "1296000", 200, ""},
		{"BI-12 more than half of a month", "cliquify", "1296001", 400, "at most 1296000 s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			answer, err := newFixture(t).function("vend").Invoke(t.Context(), restEvent(named(tt.connection, tt.connection), query("min_ttl", tt.minTTL)))
			if err != nil {
				t.Fatal(err)
			}
			var got reply
			if err := json.Unmarshal(answer, &got); err != nil || got.StatusCode != tt.status || !strings.Contains(got.Body, tt.says) {
				t.Errorf("answer %s, want %d with %q", answer, tt.status, tt.says)
			}
			if got.StatusCode == http.StatusBadRequest && strings.Contains(got.Body, "access_token") {
				t.Error("the refusal contains a token")
			}
		})
	}
}

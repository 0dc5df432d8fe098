package token_test

import (
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

func TestUsabilityRule(t *testing.T) {
	minted := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	issue := func(lifetime time.Duration, early bool) token.Token {
		return token.Token{ID: "x", MintedAt: minted, ExpiresAt: minted.Add(lifetime), EarlyRefresh: early}
	}
	tests := []struct {
		name          string
		token         token.Token
		left, minTTL  time.Duration
		want          bool
		wantRefreshIn time.Duration
	}{
		{"CR-01 an hour's token with a minute left", issue(time.Hour, true), time.Minute, 0, true, time.Second},
		{"CR-01 an hour's token with less", issue(time.Hour, true), time.Minute - 1, 0, false, time.Second},
		{"CR-01 a tenth of a short token", issue(100*time.Second, true), 10 * time.Second, 0, true, time.Second},
		{"CR-01 less than a tenth", issue(100*time.Second, true), 10*time.Second - 1, 0, false, time.Second},
		{"CR-01 min_ttl counts when it is more", issue(time.Hour, true), 10 * time.Minute, 10*time.Minute + 1, false, time.Minute},
		{"CR-02 before the renewal point", issue(time.Hour, true), 2315 * time.Second, 0, true, 1415 * time.Second},
		{"CR-02 between renewal and vend refresh", issue(time.Hour, true), 700 * time.Second, 0, true, 160 * time.Second},
		{"early_refresh false has no margin", issue(time.Hour, false), time.Second, time.Minute, true, time.Second},
		{"early_refresh false asks again at expiry", issue(time.Hour, false), time.Minute, 0, true, time.Minute},
		{"FI-37 not minted in the future", token.Token{ID: "x", MintedAt: minted.Add(10 * time.Minute), ExpiresAt: minted.Add(70 * time.Minute), EarlyRefresh: true},
			70 * time.Minute, 0, false, 55 * time.Minute},
		{"CR-10 unless it is a few seconds of skew", token.Token{ID: "x", MintedAt: minted.Add(10 * time.Second), ExpiresAt: minted.Add(time.Hour + 10*time.Second), EarlyRefresh: true},
			time.Hour + 10*time.Second, 0, true, 45*time.Minute + 10*time.Second},
		{"CR-01 never in its last second", issue(time.Hour, false), time.Second - 1, 0, false, time.Second},
		{"CR-01 nor where a tenth of its lifetime is less", issue(2*time.Second, true), time.Second - 1, 0, false, time.Second},
		{"INV-1 never past expiry", issue(time.Hour, false), 0, 0, false, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := tt.token.ExpiresAt.Add(-tt.left)
			if got := tt.token.Usable(now, tt.minTTL); got != tt.want {
				t.Errorf("Usable = %v, want %v", got, tt.want)
			}
			if got := tt.token.RefreshIn(now); got != tt.wantRefreshIn {
				t.Errorf("RefreshIn = %v, want %v", got, tt.wantRefreshIn)
			}
		})
	}
}

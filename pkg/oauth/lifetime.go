package oauth

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

const (
	// defaultLifetime applies when neither the server nor the connection states one.
	// It is short: a token with too long an assumed lifetime is not renewed in time.
	defaultLifetime = 300 * time.Second
	// maxLifetime is the longest accepted; a longer one most likely has another
	// unit.
	maxLifetime = 90 * 24 * time.Hour
)

// readLifetime sets the expiry from expires_in (RFC 6749 §5.1), without a safety
// margin.
func (t *Token) readLifetime(value any, fallback time.Duration) bool {
	if value == nil {
		if fallback == 0 {
			fallback = defaultLifetime
		}
		t.ExpiresAt = t.RequestedAt.Add(fallback)
		t.ExpiresInAssumed = true
		return true
	}
	seconds, ok := secondsOf(value)
	if !ok || seconds < 1 {
		return false
	}
	lifetime := maxLifetime
	if seconds > maxLifetime.Seconds() {
		t.Warnings = append(t.Warnings, audit.ExpiresInClamped)
	} else {
		lifetime = time.Duration(seconds) * time.Second
	}
	t.ExpiresAt = t.RequestedAt.Add(lifetime)
	return true
}

// secondsOf accepts a JSON number, rounded down, or a string of decimal digits,
// which some servers send. A float64 represents every value up to the longest
// lifetime exactly, and larger ones at most as infinity.
func secondsOf(value any) (float64, bool) {
	text := ""
	switch v := value.(type) {
	case json.Number:
		text = v.String()
	case string:
		if v == "" || strings.Trim(v, "0123456789") != "" {
			return 0, false
		}
		text = v
	default:
		return 0, false
	}
	seconds, _ := strconv.ParseFloat(text, 64)
	return math.Floor(seconds), true
}

// jwtExpiry returns the exp claim of an access token that is a signed JWT
// (RFC 7519 §4.1.4). It is not verified, and can only shorten the lifetime: the
// resource server decides. Other tokens have none.
func jwtExpiry(accessToken string) (time.Time, bool) {
	number, ok := jwtClaim(accessToken, "exp").(json.Number)
	if !ok {
		return time.Time{}, false
	}
	return instantOf(number)
}

// jwtClaim returns a claim of a signed JWT in compact form without verification.
// It is nil when the text is not a JWT or has no such claim.
func jwtClaim(text, name string) any {
	_, rest, _ := strings.Cut(text, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") {
		return nil
	}
	decoded, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(payload, "="))
	if err != nil {
		return nil
	}
	root, err := strictjson.Parse(decoded)
	if err != nil {
		return nil
	}
	claims, _ := root.(map[string]any)
	return claims[name]
}

// instantOf converts a NumericDate (RFC 7519 §2), rounded down. One after the year
// 9999 counts as absent.
func instantOf(number json.Number) (time.Time, bool) {
	const year10000 = 253402300800
	seconds, _ := strconv.ParseFloat(number.String(), 64)
	if seconds >= year10000 {
		return time.Time{}, false
	}
	return time.Unix(int64(max(seconds, 0)), 0).UTC(), true
}

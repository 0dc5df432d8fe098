package oauth

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The bounds of Retry-After: a server can cause neither immediate retries nor an
// endless wait.
const (
	minRetryAfter = time.Second
	maxRetryAfter = time.Hour
)

// retryAfter parses the header field of that name: a number of seconds or a date
// (RFC 9110 §10.2.3). Zero means that it is absent or invalid.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	if strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 32)
		if err != nil { // more digits than a reasonable pause has
			return maxRetryAfter
		}
		return clampRetryAfter(time.Duration(seconds) * time.Second)
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return clampRetryAfter(at.Sub(now))
}

func clampRetryAfter(d time.Duration) time.Duration {
	return min(max(d, minRetryAfter), maxRetryAfter)
}

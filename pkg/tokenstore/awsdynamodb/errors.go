package awsdynamodb

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// unavailable reduces an error of the SDK to its code, because its message
// contains ARNs, request ids and table names. Every error that says nothing about
// the item counts as unavailable, including a missing table and a missing
// permission. For callers these are the same; the code tells an operator which.
func unavailable(ctx context.Context, verb string, err error) error {
	if ended := ctx.Err(); ended != nil {
		return fmt.Errorf("%s token item: %w: %w", verb, tokenstore.ErrUnavailable, ended)
	}
	code := reason(err)
	kind := tokenstore.ErrUnavailable
	if isThrottle(code) {
		kind = tokenstore.ErrThrottled
	}
	return fmt.Errorf("%s token item: %w: %s", verb, kind, code)
}

// isThrottle reports whether the table refuses a request because it has too many:
// beyond the capacity of a table or partition, or beyond the account's quota.
func isThrottle(code string) bool {
	switch code {
	case "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded",
		"Throttling", "ThrottledException", "TooManyRequestsException", "HTTP status 429":
		return true
	}
	return false
}

func reason(err error) string {
	var api interface{ ErrorCode() string }
	var timeout interface{ Timeout() bool }
	var http interface{ HTTPStatusCode() int }
	switch {
	case errors.As(err, &api) && isCode(api.ErrorCode()):
		return api.ErrorCode()
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.As(err, &http) && http.HTTPStatusCode() >= 300:
		return fmt.Sprintf("HTTP status %d", http.HTTPStatusCode())
	}
	return "no usable response"
}

// isCode accepts letters only, because the code is text from the network.
func isCode(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

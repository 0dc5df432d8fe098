package rules

import (
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
)

// slowFailure is how long a provider may take to report that it is unavailable before
// callers are kept from waiting for it.
const slowFailure = 2 * time.Second

// NoAnswer reports whether a provider gave no answer in time, or took long to say that
// it is unavailable or to refuse the connection. Such a failure is not about one
// client, grant or scope, so that every request to the provider may be held as long.
func NoAnswer(err *oauth.Error) bool {
	switch {
	case err.Kind == oauth.Timeout:
		return err.Reason != oauth.ReasonCanceled
	case err.Kind != oauth.Unavailable || err.Reason == reasonInternal || err.Momentary:
		return false
	}
	return err.Trace.Latency >= slowFailure
}

package rules

import (
	"errors"
	"time"

	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

// InProgress tells the caller to retry after a second.
func InProgress(detail string) *problem.Error {
	return &problem.Error{Code: problem.RefreshInProgress, Detail: detail, RetryAfter: time.Second}
}

// Unavailable maps a store's error for the caller. A problem stays what it is.
func Unavailable(err error) error {
	if p := (*problem.Error)(nil); errors.As(err, &p) {
		return err
	}
	if errors.Is(err, tokenstore.ErrThrottled) {
		return &problem.Error{Code: problem.StoreUnavailable, Cause: err, RetryAfter: throttleRetry,
			Detail: "the token table has too many requests at the moment"}
	}
	return &problem.Error{Code: problem.StoreUnavailable, Cause: err, RetryAfter: time.Second,
		Detail: "the token table does not answer"}
}

// throttleRetry is the Retry-After of a throttled request: a table's capacity
// is counted by the second, and more than one second's requests wait by then.
const throttleRetry = 2 * time.Second

// KeysetUnavailable reports that sealed data can be neither written nor read.
func KeysetUnavailable(err error) *problem.Error {
	return &problem.Error{Code: problem.StoreUnavailable, Cause: err, RetryAfter: time.Second,
		Detail: "the sealing keyset is temporarily unavailable"}
}

// Problem returns err as a *problem.Error, and nil as nil.
func Problem(err error) error {
	if err == nil {
		return nil
	}
	return problem.Of(err)
}

// ProviderProblem is what a failed token request becomes for the caller when it
// is not remembered.
func ProviderProblem(err error) *problem.Error {
	if p := (*problem.Error)(nil); errors.As(err, &p) {
		return p
	}
	refusal := ProviderError(err)
	code := Code(refusal)
	return &problem.Error{Code: code, Detail: providerDetail(code, refusal.Detail), RetryAfter: refusal.RetryAfter, Cause: refusal,
		Provider: &problem.Provider{Status: refusal.Trace.Status, Error: refusal.Code}}
}

// reasonInternal is the reason of a failure that is not the provider's.
const reasonInternal = "internal"

// ProviderError returns err as the oauth client's error. Any other error is an
// internal fault and counts as no answer.
func ProviderError(err error) *oauth.Error {
	var p *oauth.Error
	if errors.As(err, &p) {
		return p
	}
	return &oauth.Error{Kind: oauth.Unavailable, Reason: reasonInternal}
}

// Code maps the kinds of a provider's failure to the API's codes, one to one.
func Code(err *oauth.Error) problem.Code {
	switch err.Kind {
	case oauth.Rejected:
		return problem.ProviderRejected
	case oauth.Malformed:
		return problem.ProviderMalformed
	case oauth.Timeout:
		return problem.ProviderTimeout
	case oauth.Misconfigured:
		return problem.ConnectionMisconfigured
	default:
		return problem.ProviderUnavailable
	}
}

// providerDetail explains a code, with what is known of the provider's response.
func providerDetail(code problem.Code, detail string) string {
	text := providerText(code)
	if detail != "" {
		text += ": " + detail
	}
	return text
}

func providerText(code problem.Code) string {
	switch code {
	case problem.ProviderRejected:
		return "the provider refused the token request; compare the connection's client id, client secret and scope with the registration there"
	case problem.ProviderMalformed:
		return "the response of the provider's token endpoint is unusable; check token_url and response"
	case problem.ProviderTimeout:
		return "the provider did not answer in time"
	case problem.AuthorizationRequired:
		return "the provider reports that the grant has ended: a user has to consent again, starting with POST …/authorization"
	case problem.ConnectionMisconfigured:
		return "the connection declares an endpoint or a key that may not be used"
	default:
		return "the provider is unreachable or temporarily unable to answer"
	}
}

// InvalidGrant is the error code for a code or refresh token that is no longer
// valid (RFC 6749 §5.2).
const InvalidGrant = "invalid_grant"

// IsInvalidGrant reports whether the provider refused with invalid_grant, or with a
// code that means the same there.
func IsInvalidGrant(err *oauth.Error) bool {
	return err.Kind == oauth.Rejected && (err.GrantEnded || err.Code == InvalidGrant)
}

package oauth

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// maxRevokePause is the longest Retry-After after which a revocation is repeated.
const maxRevokePause = 2 * time.Second

// Revocation is one revocation request (RFC 7009 §2.1).
type Revocation struct {
	RevocationURL string
	Authentication
	Token redact.Secret
	// TokenTypeHint is access_token or refresh_token; empty means that the
	// parameter is omitted.
	TokenTypeHint string
	// RequestHeaders are fixed headers; see [provider.RequestShape].
	RequestHeaders map[string]string
}

func (r Revocation) shape() provider.RequestShape {
	return provider.RequestShape{Headers: r.RequestHeaders}
}

func (r Revocation) form() url.Values {
	form := url.Values{"token": {r.Token.Reveal()}}
	if r.TokenTypeHint != "" {
		form.Set("token_type_hint", r.TokenTypeHint)
	}
	return form
}

// Revoke revokes a token (RFC 7009). A token that the server does not know counts
// as revoked (§2.2). Revoking twice does no harm, so the request is repeated once
// if the connection broke, or if Retry-After is at most two seconds. Every error
// is an *Error.
func (c *Client) Revoke(ctx context.Context, r Revocation) error {
	attempt := func(ctx context.Context, trace *Trace) *failure {
		response, failure := c.post(ctx, endpoint{url: r.RevocationURL, auth: r.Authentication, form: r.form(), shape: r.shape()}, trace)
		switch {
		case response.status == http.StatusOK: // its body does not matter
			return nil
		case failure != nil:
			return failure
		case isSuccess(response.status):
			return response.complete(malformed(ReasonStatus))
		}
		return response.complete(response.refusal(provider.Shape{}))
	}
	retries := 0
	trace, failure := c.attempts(ctx, c.budget, attempt, func(f *failure) (time.Duration, bool) {
		retries++
		return max(f.RetryAfter, c.pause()), retries == 1 && f.retryable && f.RetryAfter <= maxRevokePause
	})
	if failure != nil {
		return failure.with(trace)
	}
	return nil
}

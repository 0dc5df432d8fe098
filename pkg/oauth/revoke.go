package oauth

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// maxRevokePause is the longest Retry-After that a revocation waits for.
const maxRevokePause = 2 * time.Second

// Revocation is one revocation request (RFC 7009 §2.1).
type Revocation struct {
	RevocationURL string
	Authentication
	Token redact.Secret
	// TokenTypeHint is access_token or refresh_token; empty means that the
	// parameter is omitted.
	TokenTypeHint string
}

func (r Revocation) form() url.Values {
	form := url.Values{"token": {r.Token.Reveal()}}
	if r.TokenTypeHint != "" {
		form.Set("token_type_hint", r.TokenTypeHint)
	}
	return form
}

// Revoke ends a token (RFC 7009). A token that the server does not know counts
// as revoked (§2.2). Since revoking twice does no harm, the request is repeated
// once when the connection broke, or when the server asks to come back within
// two seconds. Every error is an *Error.
func (c *Client) Revoke(ctx context.Context, r Revocation) error {
	attempt := func(ctx context.Context, trace *Trace) *failure {
		answer, failure := c.post(ctx, endpoint{r.RevocationURL, r.Authentication, r.form()}, trace)
		switch {
		case answer.status == http.StatusOK: // whatever became of its body
			return nil
		case failure != nil:
			return failure
		}
		return answer.about(answer.refusal(provider.Shape{}))
	}
	trace, failure := c.attempts(ctx, attempt, func(f *failure) (time.Duration, bool) {
		return max(f.RetryAfter, c.pause()), f.again && f.RetryAfter <= maxRevokePause
	})
	if failure != nil {
		return failure.with(trace)
	}
	return nil
}

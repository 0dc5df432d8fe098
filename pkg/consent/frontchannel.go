package consent

import (
	"io"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// FrontChannelConfig configures a FrontChannel. Sessions and Sealer are required.
type FrontChannelConfig struct {
	Sessions Sessions
	// Sealer uses the front channel's own keyset, which decrypts no grant.
	Sealer Sealer
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
	// Rand is the source of states, cookies and codes; nil means crypto/rand.
	Rand io.Reader
}

// FrontChannel serves the browser: it shows the consent page, redirects to the
// provider's authorization endpoint and receives the authorization response. Its
// callers are unauthenticated. Every error is a *problem.Error whose detail is
// written for the person at the browser. It is safe for concurrent use.
type FrontChannel struct {
	sessions sessionStore
	sealer   Sealer
	now      func() time.Time
	rand     io.Reader
}

// NewFrontChannel returns a FrontChannel.
func NewFrontChannel(c FrontChannelConfig) *FrontChannel {
	c.Now, c.Rand = clock(c.Now), source(c.Rand)
	return &FrontChannel{
		sessions: sessionStore{sessions: c.Sessions, rand: c.Rand},
		sealer:   c.Sealer, now: c.Now, rand: c.Rand,
	}
}

// Page is the content of the consent page (AZ-25).
type Page struct {
	Connection connection.Name
	// Subject is never empty here.
	Subject  connection.Subject
	Provider string
	// Principal is the ARN of the principal that started the session.
	Principal            string
	Scopes               []string
	StartedAt, ExpiresAt time.Time
	// ProviderOrigin is the scheme and host of the authorization endpoint.
	// Browsers apply form-action to the redirect that follows the form.
	ProviderOrigin string
	// RedirectHost is the host of the redirect URI if that is not this
	// deployment's callback. No page of this service follows then, and the user
	// has to copy the address. Otherwise it is empty.
	RedirectHost string
	// CSRF is the value of the form's hidden field.
	CSRF string
}

// ContinueRequest is the submitted form of the consent page.
type ContinueRequest struct {
	SessionID string
	CSRF      string
	// Origin and FetchSite are the headers Origin and Sec-Fetch-Site; empty if they
	// were not sent.
	Origin, FetchSite string
}

// Redirect sends the browser to the provider.
type Redirect struct {
	// Location is the authorization request: the provider's authorization
	// endpoint with its parameters.
	Location string
	// Cookie binds the browser to the authorization request. Without a name there
	// is no cookie to set.
	Cookie Cookie
}

// Cookie is always HttpOnly, SameSite=Lax and Path=/.
type Cookie struct {
	Name   string
	Value  redact.Secret
	Secure bool
	MaxAge time.Duration
}

// CallbackRequest is the browser's request to the redirect URI.
type CallbackRequest struct {
	// Connection is the one in the path.
	Connection connection.Name
	// RawQuery is the undecoded query, which holds the authorization response.
	RawQuery string
	// Cookies are the values of all Cookie headers.
	Cookies []string
}

// CallbackResult is the content of the callback page.
type CallbackResult struct {
	// ConfirmationCode is empty if the provider returned an error.
	ConfirmationCode redact.Secret
	Connection       connection.Name
	// Subject is never empty here.
	Subject  connection.Subject
	Provider string
	// Principal is the ARN of the principal that started the session and needs the
	// code.
	Principal string
	// Denied: the provider returned an error. Error is its code if it is one of
	// RFC 6749 §4.1.2.1, else empty.
	Denied bool
	Error  string
	// ExpiresAt is when the session can no longer be completed.
	ExpiresAt time.Time
	// ClearCookie deletes the cookie that bound the browser.
	ClearCookie Cookie
}

package consent

import (
	"io"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// FrontChannelConfig is what a Door is made of; Sessions and Sealer are required.
type FrontChannelConfig struct {
	Sessions Sessions
	// Sealer has the public side's own keyset, which opens no grant.
	Sealer Sealer
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
	// Rand is the source of states, cookies and codes; nil means crypto/rand.
	Rand io.Reader
}

// FrontChannel is the public side: it shows a session, sends the browser to the
// provider, and receives it back. It is safe for concurrent use. Every error
// is a *problem.Error whose detail is written for whoever sits at the browser.
type FrontChannel struct {
	book   book
	sealer Sealer
	now    func() time.Time
	rand   io.Reader
}

// NewFrontChannel returns a Door.
func NewFrontChannel(c FrontChannelConfig) *FrontChannel {
	c.Now, c.Rand = clock(c.Now), source(c.Rand)
	return &FrontChannel{book: book{sessions: c.Sessions, rand: c.Rand}, sealer: c.Sealer, now: c.Now, rand: c.Rand}
}

// Page is what the consent page shows (AZ-25).
type Page struct {
	Connection connection.Name
	// Subject is never empty here.
	Subject  connection.Subject
	Provider string
	// Principal is the ARN of who started.
	Principal            string
	Scopes               []string
	StartedAt, ExpiresAt time.Time
	// ProviderOrigin is scheme and host of the provider's page: a browser counts
	// the redirect that follows the form as part of its action.
	ProviderOrigin string
	// RedirectHost is the host at which the browser will end, when that is not
	// this deployment's callback: no page of ours follows then, and the address
	// has to be handed back by hand. Empty otherwise.
	RedirectHost string
	// CSRF goes into the page's form.
	CSRF string
}

// ContinueRequest is the consent page's form as it came back.
type ContinueRequest struct {
	SessionID string
	CSRF      string
	// Origin and FetchSite are the headers Origin and Sec-Fetch-Site; empty when
	// they were not sent.
	Origin, FetchSite string
}

// Redirect sends the browser to the provider.
type Redirect struct {
	// Location is the provider's authorization URL.
	Location string
	// Cookie binds the browser; without a name there is none to set.
	Cookie Cookie
}

// Cookie is always HttpOnly, SameSite=Lax and Path=/.
type Cookie struct {
	Name   string
	Value  redact.Secret
	Secure bool
	MaxAge time.Duration
}

// CallbackRequest is a browser that comes back from the provider.
type CallbackRequest struct {
	// Connection is the one in the path.
	Connection connection.Name
	// RawQuery is the query as it came, undecoded.
	RawQuery string
	// Cookies are the values of all Cookie headers.
	Cookies []string
}

// CallbackResult is what the callback page shows.
type CallbackResult struct {
	// ConfirmationCode is empty when the provider answered with an error.
	ConfirmationCode redact.Secret
	Connection       connection.Name
	// Subject is never empty here.
	Subject  connection.Subject
	Provider string
	// Principal is the ARN of who started, and has to be given the code.
	Principal string
	// Denied: the provider answered with an error; Error is its code if it is a
	// known one (RFC 6749 §4.1.2.1), else empty.
	Denied bool
	Error  string
	// ExpiresAt is the end of the time to complete.
	ExpiresAt time.Time
	// ClearCookie is the cookie that has done its work, with no value and no age.
	ClearCookie Cookie
}

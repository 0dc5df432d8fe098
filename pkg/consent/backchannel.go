package consent

import (
	"crypto/rand"
	"io"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// BackChannelConfig is what a Flow is made of; all but Now and Rand are required.
type BackChannelConfig struct {
	Sessions Sessions
	Grants   Grants
	Pending  Pending
	// Sealer has the keyset that the public side must not have.
	Sealer Sealer
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
	// Rand is the source of ids, states and verifiers; nil means crypto/rand.
	Rand io.Reader
}

// BackChannel is the signed side: it starts sessions and completes them. It is safe
// for concurrent use.
type BackChannel struct {
	book   book
	grants Grants
	roster roster
	sealer Sealer
	now    func() time.Time
	rand   io.Reader
}

// NewBackChannel returns a Flow.
func NewBackChannel(c BackChannelConfig) *BackChannel {
	c.Now, c.Rand = clock(c.Now), source(c.Rand)
	return &BackChannel{
		book:   book{sessions: c.Sessions, rand: c.Rand},
		grants: c.Grants, sealer: c.Sealer, now: c.Now, rand: c.Rand,
		roster: roster{notes: c.Pending, now: c.Now},
	}
}

// clock returns now, or the wall clock. A monotonic reading would not survive
// the record, and stands still in a frozen sandbox.
func clock(now func() time.Time) func() time.Time {
	if now == nil {
		now = time.Now
	}
	return func() time.Time { return now().Round(0).UTC() }
}

func source(r io.Reader) io.Reader {
	if r == nil {
		return rand.Reader
	}
	return r
}

// Principal is who calls the signed side.
type Principal struct {
	// ARN is the caller's, as API Gateway reports it. It is shown, and judged by
	// the connection's callers.
	ARN string
	// UniqueID is identity.caller as API Gateway sends it. Of a role's session
	// only the role's own part counts: whoever assumes the role chooses the
	// session's name (AZ-06).
	UniqueID string
}

// StartRequest asks for a session. Names have passed their rules.
type StartRequest struct {
	Connection connection.Name
	// Subject is empty for the default one.
	Subject   connection.Subject
	Principal Principal
	// BaseURL is the public base of /consent/{session} and
	// /callback/{connection}, without a trailing slash.
	BaseURL string
}

// Started is a session that waits for a browser.
type Started struct {
	// SessionID is a capability: it opens the consent page, and completes for
	// the principal that started.
	SessionID string
	// ConsentURL is our page, which leads on to the provider. It is of use also
	// where the redirect URI is not this deployment's callback: the page says
	// then that the address at which the browser ends has to be handed back.
	ConsentURL string
	// AuthorizationURL is the provider's page, for consent by hand: its answer is
	// bound to no browser, and only Complete takes it.
	AuthorizationURL string
	// ExpiresIn is the time until the browser has to be back.
	ExpiresIn time.Duration
}

// CompleteRequest ends a session in a grant. It brings SessionID with
// ConfirmationCode, or by hand RedirectURL, or Code with State; by hand the
// state finds the session, and a SessionID has to agree with it.
type CompleteRequest struct {
	Connection connection.Name
	// Subject is empty for the default one.
	Subject          connection.Subject
	Principal        Principal
	SessionID        redact.Secret
	ConfirmationCode redact.Secret
	// RedirectURL is the whole address at which the browser ended.
	RedirectURL redact.Secret
	Code, State redact.Secret
}

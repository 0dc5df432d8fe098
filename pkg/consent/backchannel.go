package consent

import (
	"crypto/rand"
	"io"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// BackChannelConfig configures a BackChannel. All fields but Now and Rand are
// required.
type BackChannelConfig struct {
	Sessions Sessions
	Grants   Grants
	Pending  Pending
	// Sealer uses a keyset that the front channel must not have.
	Sealer Sealer
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
	// Rand is the source of ids, states and verifiers; nil means crypto/rand.
	Rand io.Reader
}

// BackChannel starts sessions and completes them. Its callers are authenticated
// IAM principals. It is safe for concurrent use.
type BackChannel struct {
	sessions sessionStore
	grants   Grants
	pending  pendingLimit
	sealer   Sealer
	now      func() time.Time
	rand     io.Reader
}

// NewBackChannel returns a BackChannel.
func NewBackChannel(c BackChannelConfig) *BackChannel {
	c.Now, c.Rand = clock(c.Now), source(c.Rand)
	return &BackChannel{
		sessions: sessionStore{sessions: c.Sessions, rand: c.Rand},
		grants:   c.Grants, sealer: c.Sealer, now: c.Now, rand: c.Rand,
		pending: pendingLimit{documents: c.Pending, now: c.Now},
	}
}

// clock returns now, or the wall clock, without monotonic readings: they are not
// stored, and do not advance while a Lambda sandbox is frozen.
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

// Principal is the authenticated caller of the back channel.
type Principal struct {
	// ARN is the caller's, as API Gateway reports it. It is shown to the user and
	// matched against the connection's callers.
	ARN string
	// UniqueID is identity.caller of API Gateway. Of a role session only the role
	// id counts, because the caller chooses the session name (AZ-06).
	UniqueID string
}

// StartRequest asks for a session. The names have been validated.
type StartRequest struct {
	Connection connection.Name
	// Subject is empty for the default one.
	Subject   connection.Subject
	Principal Principal
	// BaseURL is the public base of /consent/{session} and
	// /callback/{connection}, without a trailing slash.
	BaseURL string
}

// Started is a pending session.
type Started struct {
	// SessionID is a capability: it opens the consent page, and the principal that
	// started needs it to complete.
	SessionID string
	// ConsentURL is the consent page, which redirects to the provider. It also
	// works where the redirect URI is not this deployment's callback: the page then
	// tells the user to copy the address at which the browser ends.
	ConsentURL string
	// AuthorizationURL is the authorization request for a manual completion. Its
	// state is bound to no browser, and only Complete accepts it.
	AuthorizationURL string
	// ExpiresIn is the time within which the authorization response has to arrive.
	ExpiresIn time.Duration
}

// CompleteRequest completes a session. It has SessionID and ConfirmationCode, or
// for a manual completion RedirectURL, or Code and State. In a manual completion
// the state identifies the session, and SessionID, if present, must match it.
type CompleteRequest struct {
	Connection connection.Name
	// Subject is empty for the default one.
	Subject          connection.Subject
	Principal        Principal
	SessionID        redact.Secret
	ConfirmationCode redact.Secret
	// RedirectURL is the complete address at which the browser ended.
	RedirectURL redact.Secret
	Code, State redact.Secret
	// Extra is what callers get besides the token, with Code and State only.
	Extra extra.Values
}

package consent

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
)

const (
	// pendingFor is the time from the start to the authorization response.
	pendingFor = 10 * time.Minute
	// receivedFor is the time from the response to its completion. No known
	// provider issues codes that live longer.
	receivedFor = 30 * time.Minute
	// keepFor is how long a session that is over is kept, so that a late request
	// gets a precise error.
	keepFor = time.Hour
	// maxWrongCodes is how many wrong confirmation codes end a session.
	maxWrongCodes = 3
	// maxAuthRequests is how many browsers may be at the provider at once.
	maxAuthRequests = 4
)

// schema is the version of the stored form. Another release may store another
// version, and this one must not touch those sessions (FI-48).
const schema = 1

type phase string

const (
	// pending: no authorization response has arrived.
	pending phase = "pending"
	// received: a code has arrived and is stored encrypted.
	received phase = "received"
	// refused: the provider returned an error.
	refused phase = "refused"
	// ended: completed, or ended by wrong codes.
	ended phase = "ended"
)

// record is a stored session. The JSON names are those of schema 1.
type record struct {
	Schema int         `json:"schema"`
	Start  startParams `json:"origin"`
	Phase  phase       `json:"phase"`
	// WriteID is random in each write. A store treats a stored text that equals
	// the new one as its own lost write, so no two writers may write the same text.
	WriteID string `json:"writing"`
	// Secrets are sessionSecrets, encrypted under the back channel's keyset;
	// PublicKey is the key to which the front channel encrypts the response.
	Secrets   []byte `json:"keepsake,omitempty"`
	PublicKey []byte `json:"key,omitempty"`
	// ManualState is the hash of the state in authorization_url.
	ManualState string `json:"hand,omitempty"`
	// AuthRequests are the redirects to the provider, the latest last.
	AuthRequests []authRequest `json:"departed,omitempty"`
	// RespondedAt is when the authorization response arrived.
	RespondedAt time.Time `json:"answered_at,omitzero"`
	// Response is a sealedResponse, encrypted to PublicKey.
	Response []byte `json:"answer,omitempty"`
	// Error is the provider's error code; empty if it is not a known one.
	Error string `json:"refusal,omitempty"`
	// WrongCodes counts wrong confirmation codes.
	WrongCodes int `json:"wrong,omitempty"`
}

// authRequest is a browser that was redirected to the provider: the hashes of its
// state and cookie.
type authRequest struct {
	State  string `json:"state"`
	Cookie string `json:"cookie,omitempty"`
}

var errSchema = errors.New("the session has another schema")

func parseRecord(text []byte) (record, error) {
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, errors.New("the session is not a JSON object of the expected form")
	}
	if r.Schema != schema {
		return record{}, errSchema
	}
	return r, nil
}

// expiresAt is when the session ends by itself.
func (r record) expiresAt() time.Time {
	if r.Phase == pending {
		return r.Start.StartedAt.Add(pendingFor)
	}
	return r.RespondedAt.Add(receivedFor)
}

// deleteAfter is when the store may delete the session.
func (r record) deleteAfter() time.Time {
	if r.Phase == ended && r.RespondedAt.IsZero() {
		return r.Start.StartedAt.Add(pendingFor + keepFor)
	}
	return r.expiresAt().Add(keepFor)
}

// requireActive refuses a session that is over.
func (r record) requireActive(now time.Time) error {
	switch {
	case r.Phase == ended:
		return problem.New(problem.SessionExpired, "this consent session was completed or has ended; if the connection still needs a consent, start a new one")
	case !now.Before(r.expiresAt()):
		return sessionExpired("this consent session has expired")
	}
	return nil
}

// requirePending refuses a session that expects no authorization response.
func (r record) requirePending(now time.Time) error {
	if err := r.requireActive(now); err != nil {
		return err
	}
	switch r.Phase {
	case pending:
		return nil
	case received: // it can still be completed, so this error does not say to start again
		return problem.New(problem.SessionExpired, "this consent session already has a response; its confirmation code is shown only once")
	default:
		return sessionExpired("this consent session already has a response")
	}
}

// addAuthRequest adds a redirect to the provider. It drops the earliest one when
// there are too many.
func (r *record) addAuthRequest(a authRequest) {
	r.AuthRequests = append(r.AuthRequests, a)
	r.AuthRequests = slices.Clone(r.AuthRequests[max(0, len(r.AuthRequests)-maxAuthRequests):])
}

// findAuthRequest finds the redirect with this state.
func (r record) findAuthRequest(state string) (authRequest, bool) {
	i := slices.IndexFunc(r.AuthRequests, func(a authRequest) bool { return matches(a.State, state) })
	if i < 0 {
		return authRequest{}, false
	}
	return r.AuthRequests[i], true
}

// setResponded leaves the pending phase. No state is accepted afterwards.
func (r *record) setResponded(p phase, now time.Time) {
	r.Phase, r.RespondedAt = p, now
	r.ManualState, r.AuthRequests, r.PublicKey = "", nil, nil
}

// setRefused records the provider's error. The secrets are useless afterwards.
func (r *record) setRefused(code string, now time.Time) {
	r.setResponded(refused, now)
	r.Error, r.Secrets = code, nil
}

// end removes everything but what was fixed at the start.
func (r *record) end() {
	*r = record{Schema: r.Schema, Start: r.Start, Phase: ended, RespondedAt: r.RespondedAt}
}

package consent

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

const (
	// pendingFor is how long the browser may be away.
	pendingFor = 10 * time.Minute
	// receivedFor is how long the initiator has to complete: no provider that is
	// known lets a code live longer.
	receivedFor = 30 * time.Minute
	// lingerFor keeps a session that is over, so that whoever comes late is told so.
	lingerFor = time.Hour
	// wrongCodes is how many wrong confirmation codes end a session.
	wrongCodes = 3
	// departures is how many browsers at most are on their way at once.
	departures = 4
)

// schema is the form of the text below. Another release may write another one,
// whose sessions this one must leave alone (FI-48).
const schema = 1

type phase string

const (
	// pending: nobody has come back.
	pending phase = "pending"
	// received: a code is there, sealed.
	received phase = "received"
	// refused: the provider said no.
	refused phase = "refused"
	// ended: consumed, or given up.
	ended phase = "ended"
)

// record is the text of a session.
type record struct {
	Schema int    `json:"schema"`
	Origin origin `json:"origin"`
	Phase  phase  `json:"phase"`
	// Writing is random in each write: a store takes a text that stands already
	// for its own lost write, so that no two writers may write the same one.
	Writing string `json:"writing"`
	// Keepsake is what the flow needs again, sealed under its keyset; Key is what
	// the door seals the answer to.
	Keepsake []byte `json:"keepsake,omitempty"`
	Key      []byte `json:"key,omitempty"`
	// Hand is the digest of the state for consent by hand.
	Hand string `json:"hand,omitempty"`
	// Departed are the browsers on their way, the latest last.
	Departed []departed `json:"departed,omitempty"`
	// AnsweredAt is when the phase left pending by an answer of the provider.
	AnsweredAt time.Time `json:"answered_at,omitzero"`
	// Answer is the code with its confirmation code, sealed to Key.
	Answer []byte `json:"answer,omitempty"`
	// Refusal is the provider's error code, empty when it is none that is known.
	Refusal string `json:"refusal,omitempty"`
	// Wrong counts wrong confirmation codes.
	Wrong int `json:"wrong,omitempty"`
}

// departed is one browser that was sent to the provider: digests.
type departed struct {
	State  string `json:"state"`
	Cookie string `json:"cookie,omitempty"`
}

// origin is what a start fixes. Its text is part of what the keepsake is sealed
// with, so that nobody who can write sessions can give one to another
// principal, connection or client. A member added later has to be left out of
// the text while it is empty, or older sessions do not open any more.
type origin struct {
	Connection connection.Name    `json:"connection"`
	Subject    connection.Subject `json:"subject,omitempty"`
	Generation string             `json:"generation"`
	Provider   string             `json:"provider"`
	TokenURL   string             `json:"token_url"`
	Issuer     string             `json:"issuer,omitempty"`
	ClientID   string             `json:"client_id"`
	// The authorization request, without its state.
	AuthorizationURL string     `json:"authorization_url"`
	RedirectURI      string     `json:"redirect_uri"`
	Scope            string     `json:"scope,omitempty"`
	Params           url.Values `json:"params,omitempty"`
	Challenge        string     `json:"challenge,omitempty"`

	PrincipalID  string    `json:"principal_id"`
	PrincipalARN string    `json:"principal_arn"`
	BaseURL      string    `json:"base_url"`
	StartedAt    time.Time `json:"started_at"`
}

var errSchema = errors.New("the session's text is of another schema")

func parseRecord(text []byte) (record, error) {
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return record{}, errors.New("the session's text is no JSON of ours")
	}
	if r.Schema != schema {
		return record{}, errSchema
	}
	return r, nil
}

// deadline is when the session ends by itself.
func (r record) deadline() time.Time {
	if r.Phase == pending {
		return r.Origin.StartedAt.Add(pendingFor)
	}
	return r.AnsweredAt.Add(receivedFor)
}

func (r record) sweepAt() time.Time {
	if r.Phase == ended && r.AnsweredAt.IsZero() {
		return r.Origin.StartedAt.Add(pendingFor + lingerFor)
	}
	return r.deadline().Add(lingerFor)
}

// living refuses a session that is over.
func (r record) living(now time.Time) error {
	switch {
	case r.Phase == ended:
		return problem.New(problem.SessionExpired, "this consent session has been used, or was ended; if the consent is still lacking, it has to be started again")
	case !now.Before(r.deadline()):
		return gone("this consent session has expired")
	}
	return nil
}

// awaiting refuses a session that waits for no browser.
func (r record) awaiting(now time.Time) error {
	if err := r.living(now); err != nil {
		return err
	}
	switch r.Phase {
	case pending:
		return nil
	case received: // which can still be completed: nobody needs to start again
		return problem.New(problem.SessionExpired, "this consent session has its answer already; its confirmation code is shown once only")
	}
	return gone("this consent session has its answer already")
}

// depart notes a browser that leaves for the provider. The earliest is
// forgotten for it, when there are too many.
func (r *record) depart(d departed) {
	r.Departed = append(r.Departed, d)
	r.Departed = slices.Clone(r.Departed[max(0, len(r.Departed)-departures):])
}

// departure finds the browser that left with state.
func (r record) departure(state string) (departed, bool) {
	i := slices.IndexFunc(r.Departed, func(d departed) bool { return isDigestOf(d.State, state) })
	if i < 0 {
		return departed{}, false
	}
	return r.Departed[i], true
}

// answer ends the wait for a browser; no state is good for anything then.
func (r *record) answer(p phase, now time.Time) {
	r.Phase, r.AnsweredAt = p, now
	r.Hand, r.Departed, r.Key = "", nil, nil
}

// end leaves nothing of use in the record.
func (r *record) end() {
	*r = record{Schema: r.Schema, Origin: r.Origin, Phase: ended, AnsweredAt: r.AnsweredAt}
}

// identity binds the keepsake to the session and to all that its start fixed.
func (o origin) identity(key string) ([]string, error) {
	text, err := json.Marshal(o)
	return []string{"consent session", key, string(text)}, err
}

// callback is the redirect URI that is a page of ours.
func callback(base string, name connection.Name) string { return base + "/callback/" + string(name) }

// returnsToUs reports whether the browser ends at our callback. Another path or
// host, even of the same deployment, has neither our page nor our cookie.
func (o origin) returnsToUs() bool { return o.RedirectURI == callback(o.BaseURL, o.Connection) }

// secure reports whether browsers reach us by https, which a __Host- cookie needs.
func (o origin) secure() bool { return strings.HasPrefix(o.BaseURL, "https://") }

// subject is the subject's name, also where none was stated.
func (o origin) subject() connection.Subject {
	if o.Subject == "" {
		return connection.DefaultSubject
	}
	return o.Subject
}

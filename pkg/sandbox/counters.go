package sandbox

import "maps"

// The outcomes of a token request beside RFC 6749's error codes.
const (
	outcomeIssued    = "issued"
	outcomeFault     = "fault"
	outcomeAbandoned = "abandoned" // the client went away during a fault's latency
)

// Counters say how often a token endpoint was asked, and what became of it.
type Counters struct {
	// Total counts each request as it arrives, also one that never gets an answer.
	Total int `json:"total"`
	// Outcomes counts by "issued", an error code of RFC 6749 §5.2 (also where
	// the server sends none), "fault" for an answer that was replaced, and
	// "abandoned". A request is counted before its answer is sent.
	Outcomes map[string]int `json:"outcomes"`
	// Refresh counts what concerns refresh tokens.
	Refresh RefreshCounters `json:"refresh,omitzero"`
	// Revocations counts requests to the revocation endpoint (RFC 7009), which
	// are in no other figure.
	Revocations int `json:"revocations,omitempty"`
}

// RefreshCounters say what became of a client's refresh tokens.
type RefreshCounters struct {
	// Requests counts refresh requests as they arrive, also those that a fault
	// answers.
	Requests int `json:"requests"`
	// Granted counts those that were done, also where a fault then ate the answer.
	Granted int `json:"granted"`
	// Refused counts those that ended in invalid_grant.
	Refused int `json:"refused"`
	// Superseded counts the presentations of a refresh token that had a successor,
	// within a grace or not. After a lost answer one is no fault of the client's.
	Superseded int `json:"superseded"`
	// Reused counts those of Superseded that came after the client had shown that
	// it holds the successor, by presenting it or the access token that came with
	// it. A correct client has none, whatever else went wrong.
	Reused int `json:"reused"`
	// Detected counts the grants that reuse detection ended.
	Detected int `json:"detected"`
}

func (c *Counters) count(outcome string) {
	if c.Outcomes == nil {
		c.Outcomes = map[string]int{}
	}
	c.Outcomes[outcome]++
}

func (c Counters) clone() Counters {
	c.Outcomes = maps.Clone(c.Outcomes)
	if c.Outcomes == nil {
		c.Outcomes = map[string]int{}
	}
	return c
}

// countersOf are a client's own, or those of requests that named none. s.mu is held.
func (s *Sandbox) countersOf(c *client) *Counters {
	if c == nil {
		return &s.unknownClients
	}
	return &c.counters
}

// TokenRequests is how many token requests named the connection's client since
// the counters were last reset. It is -1 for a connection that does not exist,
// so that a mistyped name cannot pass for silence.
func (s *Sandbox) TokenRequests(connection string) int {
	counters, err := s.Counters(connection)
	if err != nil {
		return -1
	}
	return counters.Total
}

// Counters are a connection's counters. The error is ErrNoConnection.
func (s *Sandbox) Counters(connection string) (Counters, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.named(connection)
	if err != nil {
		return Counters{}, err
	}
	return c.counters.clone(), nil
}

// UnknownClients counts the token requests that named no registered client.
func (s *Sandbox) UnknownClients() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unknownClients.clone()
}

// ResetCounters starts a connection's counters from nothing. The error is
// ErrNoConnection.
func (s *Sandbox) ResetCounters(connection string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.named(connection)
	if err != nil {
		return err
	}
	c.counters = Counters{}
	return nil
}

package sandbox

import "maps"

// The outcomes of a token request besides the error codes of RFC 6749.
const (
	outcomeIssued    = "issued"
	outcomeFault     = "fault"
	outcomeAbandoned = "abandoned" // the client left during the latency of a fault
)

// Counters count the requests to a token endpoint and their outcomes.
type Counters struct {
	// Total counts requests when they arrive, also those without a response.
	Total int `json:"total"`
	// Outcomes counts by "issued", an error code of RFC 6749 §5.2 (even if the server
	// sends none), "fault" for a replaced response, and "abandoned". A request is
	// counted before its response is sent.
	Outcomes map[string]int `json:"outcomes"`
	// Refresh counts requests with refresh tokens.
	Refresh RefreshCounters `json:"refresh,omitzero"`
	// Revocations counts requests to the revocation endpoint (RFC 7009), which are in
	// no other counter.
	Revocations int `json:"revocations,omitempty"`
}

// RefreshCounters count the uses of a client's refresh tokens.
type RefreshCounters struct {
	// Requests counts refresh requests when they arrive, also those that get a fault.
	Requests int `json:"requests"`
	// Granted counts those that succeeded, also if a fault then replaced the response.
	Granted int `json:"granted"`
	// Refused counts those that returned invalid_grant.
	Refused int `json:"refused"`
	// Superseded counts the uses of a refresh token that had a successor, in its grace
	// period or not. After a lost response this is not an error of the client.
	Superseded int `json:"superseded"`
	// Reused counts those of Superseded that came after the client had shown that it
	// holds the successor, by using it or the access token of the same response. A
	// correct client has none, whatever else failed.
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

// countersOf are the counters of a client, or for nil those of unknown clients. s.mu
// is held.
func (s *Sandbox) countersOf(c *client) *Counters {
	if c == nil {
		return &s.unknownClients
	}
	return &c.counters
}

// TokenRequests is the number of token requests of the connection's client since the
// counters were last reset. It is -1 for an unknown connection, so that a misspelled
// name does not look like no requests.
func (s *Sandbox) TokenRequests(connection string) int {
	counters, err := s.Counters(connection)
	if err != nil {
		return -1
	}
	return counters.Total
}

// Counters returns the counters of a connection. The error is ErrNoConnection.
func (s *Sandbox) Counters(connection string) (Counters, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.lookup(connection)
	if err != nil {
		return Counters{}, err
	}
	return c.counters.clone(), nil
}

// UnknownClients counts the token requests without a registered client.
func (s *Sandbox) UnknownClients() Counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.unknownClients.clone()
}

// ResetCounters sets the counters of a connection to zero. The error is
// ErrNoConnection.
func (s *Sandbox) ResetCounters(connection string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.lookup(connection)
	if err != nil {
		return err
	}
	c.counters = Counters{}
	return nil
}

package oauth

import (
	"net/http"
	"time"
)

// Transports gives tests the two transports, to read their limits or to
// shorten them.
func (c *Client) Transports() []*http.Transport { return []*http.Transport{c.public, c.inside} }

// ReadToken is the reader of answers with status 200, for the fuzzer.
func ReadToken(body []byte, r Request, at time.Time) (Token, error) {
	a := answer{status: http.StatusOK, body: body, sent: sent{secret: r.ClientSecret}}
	token, failure := readToken(a, r, span{at, at})
	if failure != nil {
		return Token{}, &failure.Error
	}
	return token, nil
}

// RetryAfter is the reader of the header field, for the fuzzer.
var RetryAfter = retryAfter

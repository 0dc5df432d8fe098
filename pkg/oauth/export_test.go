package oauth

import (
	"context"
	"crypto/tls"
	"net/http"
	"time"
)

// Transports gives tests the two transports, to read their limits or to
// shorten them.
func (c *Client) Transports() []*http.Transport { return []*http.Transport{c.public, c.private} }

// Connections are the settings of the connections that a client with that
// configuration makes.
func Connections(c Config) (dial, handshake time.Duration, config *tls.Config) {
	connector := newConnector(c, false)
	return connector.dialer.Timeout, connector.handshake, connector.tls
}

// DialTLS opens a connection with a handshake of limited time.
func DialTLS(ctx context.Context, c Config, address string, handshake time.Duration) error {
	connector := newConnector(c, true)
	connector.handshake = handshake
	conn, err := connector.dialTLS(ctx, "tcp", address)
	if err == nil {
		return conn.Close()
	}
	failure := new(progress).classify(ctx, err)
	return &failure.Error
}

// ReadToken reads responses with status 200, for the fuzzer.
func ReadToken(body []byte, r Request, at time.Time) (Token, error) {
	resp := response{status: http.StatusOK, body: body, scrubber: echoScrubber{auth: r.Authentication}}
	token, failure := readToken(resp, r, span{at, at})
	if failure != nil {
		return Token{}, &failure.Error
	}
	return token, nil
}

// RetryAfter parses the header field, for the fuzzer.
var RetryAfter = retryAfter

package tokenvend

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// Token is an access token. It is shared by all callers of a client: do not change it.
// It prints and encodes without the access token, which only [Token.Value] returns.
type Token struct {
	// ID identifies the token in logs without revealing it.
	ID string
	// Connection is the connection's name.
	Connection string
	// Type is the token type of RFC 6749, such as Bearer.
	Type string
	// Scope is what was granted, delimited by spaces.
	Scope string
	// ExpiresAt is when the token ends; zero when that is not known.
	ExpiresAt time.Time
	// Stale reports that the service could not refresh the token.
	Stale bool

	key            key
	value          redact.Secret
	usable         time.Time // it is returned before this instant; zero: no limit
	extra          map[string]any
	header, prefix string
	sent           time.Time     // the instant before the request
	refresh, retry time.Duration // refresh_in and Retry-After of the answer
	answer         redact.Secret // the answer's JSON
}

// Value returns the access token.
func (t *Token) Value() string { return t.value.Reveal() }

// Extra returns a further value of the provider, such as an instance URL: a string, a
// float64 or a bool; nil when there is none of this name.
func (t *Token) Extra(name string) any { return t.extra[name] }

// SetHeader adds the token to a request, in the way that its provider expects.
func (t *Token) SetHeader(r *http.Request) { r.Header.Set(t.header, t.prefix+t.Value()) }

// Answer returns the service's answer as JSON, with the access token, for a process that
// hands tokens on. Its expires_in and refresh_in count from now and are at least 1.
func (t *Token) Answer(now time.Time) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(t.answer.Reveal()), &members); err != nil {
		return nil, fmt.Errorf("tokenvend: the answer with token %s: %w", t.ID, err)
	}
	left := func(end time.Time) json.RawMessage {
		return json.RawMessage(strconv.FormatInt(max(1, int64(end.Sub(now)/time.Second)), 10))
	}
	if !t.ExpiresAt.IsZero() {
		members["expires_in"] = left(t.ExpiresAt)
	}
	members["refresh_in"] = left(t.sent.Add(t.refresh))
	return json.Marshal(members)
}

// String identifies the token without revealing it.
func (t Token) String() string { return fmt.Sprintf("token %s of %s [REDACTED]", t.ID, t.Connection) }

// Format writes [Token.String] for every verb and flag.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// MarshalJSON encodes [Token.String].
func (t Token) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// MarshalText encodes [Token.String].
func (t Token) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// LogValue logs [Token.String].
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// live reports whether the token may be returned at now.
func (t *Token) live(now time.Time) bool { return t.usable.IsZero() || now.Before(t.usable) }

// lasts reports whether the token ends no sooner than d after now.
func (t *Token) lasts(now time.Time, d time.Duration) bool {
	return d <= 0 || t.ExpiresAt.IsZero() || t.ExpiresAt.Sub(now) >= d
}

// TokenSource returns the tokens of a connection to code that takes an
// [oauth2.TokenSource]. Its tokens expire when this package would no longer return
// them. Extra values are in [oauth2.Token.Extra], with token_id. It does not notice
// that a resource server refuses a token; [Client.Transport] does.
func (c *Client) TokenSource(ctx context.Context, connection string, options ...Option) oauth2.TokenSource {
	return source{ctx: ctx, client: c, connection: connection, options: options}
}

type source struct {
	ctx        context.Context // of all calls, as golang.org/x/oauth2 has it
	client     *Client
	connection string
	options    []Option
}

// Token returns the current token.
func (s source) Token() (*oauth2.Token, error) {
	t, err := s.client.Token(s.ctx, s.connection, s.options...)
	if err != nil {
		return nil, err
	}
	raw := make(map[string]any, len(t.extra)+2)
	for name, value := range t.extra {
		raw[name] = value
	}
	raw["token_id"], raw["scope"] = t.ID, t.Scope
	return (&oauth2.Token{AccessToken: t.Value(), TokenType: t.Type, Expiry: t.usable}).WithExtra(raw), nil
}

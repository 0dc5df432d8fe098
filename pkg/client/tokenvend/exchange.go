package tokenvend

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

const (
	timeout   = 35 * time.Second // of a request; API Gateway's own is 29 s
	maxAnswer = 1 << 20          // bytes
	maxLife   = 100 * 365 * 24 * time.Hour
	skew      = 4 * time.Minute // AWS refuses signatures that are 5 minutes off
)

// answer is the body of both kinds of response.
type answer struct {
	AccessToken string         `json:"access_token"`
	TokenID     string         `json:"token_id"`
	TokenType   string         `json:"token_type"`
	Scope       string         `json:"scope"`
	ExpiresIn   *int64         `json:"expires_in"`
	RefreshIn   int64          `json:"refresh_in"`
	Stale       bool           `json:"stale"`
	Extra       map[string]any `json:"extra"`
	Present     *struct {
		Header string `json:"header"`
		Prefix string `json:"prefix"`
	} `json:"present"`

	Error     string `json:"error"`
	Detail    string `json:"detail"`
	Instance  string `json:"instance"`
	Retryable bool   `json:"retryable"`
}

// exchange asks the service once for a token, or to replace the rejected one.
func (c *Client) exchange(ctx context.Context, q query, rejected string) (*Token, *Error) {
	request, err := c.request(ctx, q, rejected)
	if err != nil {
		return nil, &Error{Code: CodeCredentials, Connection: q.connection, cause: err}
	}
	sent := c.now()
	response, err := c.http.Do(request)
	if err != nil {
		return nil, unreachable(q, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, unreachable(q, err)
	}
	var a answer
	isJSON := json.Unmarshal(text, &a) == nil
	if response.StatusCode != http.StatusOK || !isJSON || a.AccessToken == "" || a.TokenID == "" {
		return nil, c.failure(q, response, a)
	}
	token := a.token(q, sent, retryAfter(response.Header, c.now()))
	token.answer = redact.New(string(text))
	return token, nil
}

// token turns an answer into a token; all times are counted from the instant before
// the request.
func (a answer) token(q query, sent time.Time, retry time.Duration) *Token {
	t := &Token{
		ID: a.TokenID, Connection: q.connection, Type: a.TokenType, Scope: a.Scope, Stale: a.Stale,
		key: q.key, value: redact.New(a.AccessToken), extra: a.Extra, header: "Authorization", prefix: "Bearer ",
		sent: sent, refresh: seconds(a.RefreshIn), retry: retry,
	}
	if a.Present != nil {
		t.header, t.prefix = cmp.Or(a.Present.Header, t.header), a.Present.Prefix
	}
	if a.ExpiresIn != nil {
		life := seconds(*a.ExpiresIn)
		t.ExpiresAt = sent.Add(life)
		t.usable = t.ExpiresAt.Add(-min(maxMargin, life/10))
	}
	return t
}

func seconds(n int64) time.Duration {
	return time.Duration(min(max(n, 0), int64(maxLife/time.Second))) * time.Second
}

// failure describes an answer without a token.
func (c *Client) failure(q query, r *http.Response, a answer) *Error {
	now := c.now()
	e := &Error{
		Code: a.Error, Status: r.StatusCode, Retryable: a.Retryable, RetryAfter: retryAfter(r.Header, now),
		RequestID: cmp.Or(a.Instance, r.Header.Get("X-Amzn-Requestid")), Connection: q.connection, Detail: a.Detail,
	}
	if e.Code == "" || r.StatusCode < http.StatusBadRequest {
		e.Code, e.Retryable = CodeUnexpected, false
		e.Detail = fmt.Sprintf("the answer with status %d is not the service's; does Config.URL end with the stage, such as /v1?", r.StatusCode)
	}
	if date, err := http.ParseTime(r.Header.Get("Date")); err == nil && r.StatusCode == http.StatusForbidden {
		if off := now.Sub(date).Round(time.Second); off.Abs() > skew {
			e.Detail += fmt.Sprintf(" (this machine's clock is %s off the service's)", off)
		}
	}
	return e
}

// unreachable leaves out the URL that net/http adds.
func unreachable(q query, err error) *Error {
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return &Error{Code: CodeUnreachable, Retryable: true, Connection: q.connection, cause: err}
}

// retryAfter reads seconds or a date (RFC 9110 §10.2.3).
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return seconds(n)
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(0, date.Sub(now))
	}
	return 0
}

// request builds a signed request: GET, or POST with a rejected token.
func (c *Client) request(ctx context.Context, q query, rejected string) (*http.Request, error) {
	address := c.url + "/connections/" + url.PathEscape(q.connection)
	if q.subject != "" {
		address += "/subjects/" + url.PathEscape(q.subject)
	}
	address += "/token"
	minTTL := int64((q.minTTL + time.Second - 1) / time.Second)
	method, body := http.MethodGet, []byte(nil)
	if rejected == "" {
		address += parameters(q.scope, minTTL)
	} else {
		method = http.MethodPost
		body, _ = json.Marshal(struct {
			Rejected string `json:"rejected_token_id"`
			Scope    string `json:"scope,omitempty"`
			MinTTL   int64  `json:"min_ttl,omitempty"`
		}{rejected, q.scope, minTTL}) // strings and numbers always encode
	}
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("User-Agent", "tokenvend-go/"+version())
	return request, c.sign(ctx, request, body)
}

func parameters(scope string, minTTL int64) string {
	values := url.Values{}
	if scope != "" {
		values.Set("scope", scope)
	}
	if minTTL > 0 {
		values.Set("min_ttl", strconv.FormatInt(minTTL, 10))
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// version is that of this module in the program's build information.
var version = sync.OnceValue(func() string {
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, m := range append(build.Deps, &build.Main) {
			if m.Path == "github.com/tokenvend/tokenvend" && m.Version != "" && m.Version != "(devel)" {
				return m.Version
			}
		}
	}
	return "devel"
})

// Package client calls the service's API as a workload does: it signs requests with
// AWS Signature Version 4 and decodes JSON responses.
//
// Request bodies hold refresh tokens and codes. So errors contain what the service
// answered and never what was sent, and redirects are not followed.
package client

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// maxResponse is the largest response body that is read, in bytes: API Gateway's limit.
const maxResponse = 10 << 20

// Client calls one deployment. Every field is required unless it says otherwise.
type Client struct {
	// URL is the API's URL with its stage and without a trailing slash.
	URL string
	// Region is the API's region.
	Region string
	// Credentials sign the requests.
	Credentials aws.CredentialsProvider
	// Hint is added to the error of a refused signature; empty adds nothing.
	Hint string
	// HTTP sends the requests; nil means a client with a timeout of 45 s.
	HTTP *http.Client
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// timeout is longer than API Gateway's own.
const timeout = 45 * time.Second

// Error is an error response.
type Error struct {
	// Status is the HTTP status.
	Status int `json:"-"`
	// Code is the error's code; empty when the response is not the service's.
	Code string `json:"error"`
	// Detail says what is wrong and how to fix it.
	Detail string `json:"detail"`
	// Provider is the provider's error, if there is one.
	Provider struct {
		Error string `json:"error"`
	} `json:"provider"`
	// Instance identifies the request in the service's log.
	Instance string `json:"instance"`
	// RetryAfter is the Retry-After header, in seconds; empty when absent.
	RetryAfter string `json:"-"`
}

// Error describes the response.
func (e *Error) Error() string {
	text := fmt.Sprintf("the service answered %d %s", e.Status, cmp.Or(e.Code, http.StatusText(e.Status)))
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Provider.Error != "" {
		text += "\nprovider error: " + e.Provider.Error
	}
	if e.RetryAfter != "" {
		text += "\nretry after " + e.RetryAfter + " s"
	}
	if e.Instance != "" {
		text += "\nrequest " + e.Instance
	}
	return text
}

// HasStatus reports whether err is an error response with that status.
func HasStatus(err error, status int) bool {
	var e *Error
	return errors.As(err, &e) && e.Status == status
}

// Call sends body as JSON, unless it is nil, and decodes the response into result,
// unless that is nil. Errors are an [*Error], or those of the network.
func (c *Client) Call(ctx context.Context, method, path string, body, result any) error {
	answer, err := c.Do(ctx, method, path, body)
	if err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return c.withHint(answer.Error())
	}
	if result == nil {
		return nil
	}
	if json.Unmarshal(answer.Body, result) != nil {
		return fmt.Errorf("%s answered %d without the service's JSON; does the URL end with the stage, such as /v1?", c.URL, answer.StatusCode)
	}
	return nil
}

// Answer is a response of any status, with its whole body.
type Answer struct {
	StatusCode int
	// Status is such as "404 Not Found".
	Status string
	Header http.Header
	Body   []byte
}

// Error returns the error that the response describes.
func (a Answer) Error() *Error {
	e := &Error{Status: a.StatusCode, RetryAfter: a.Header.Get("Retry-After")}
	_ = json.Unmarshal(a.Body, e) // another server's response has no members of these names
	return e
}

// Do sends a request.
func (c *Client) Do(ctx context.Context, method, path string, body any) (Answer, error) {
	request, err := c.request(ctx, method, path, body)
	if err != nil {
		return Answer{}, err
	}
	response, err := c.client().Do(request)
	if err != nil {
		return Answer{}, fmt.Errorf("no response from %s: %w", c.URL, withoutURL(err))
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err != nil {
		return Answer{}, fmt.Errorf("the response of %s is incomplete: %w", c.URL, err)
	}
	return Answer{response.StatusCode, response.Status, response.Header, text}, nil
}

// request builds a signed request. The signer encodes the path once more by default,
// as API Gateway expects.
func (c *Client) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("no request can be sent to %s: %w", c.URL, withoutURL(err))
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	credentials, err := c.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("get AWS credentials: %w", err)
	}
	hash := sha256.Sum256(text)
	err = v4.NewSigner().SignHTTP(ctx, credentials, request, hex.EncodeToString(hash[:]), "execute-api", c.Region, c.now())
	if err != nil {
		return nil, fmt.Errorf("sign the request: %w", err)
	}
	return request, nil
}

func (c *Client) now() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}

func (c *Client) client() *http.Client {
	client := http.Client{Timeout: timeout}
	if c.HTTP != nil {
		client = *c.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

func (c *Client) withHint(e *Error) error {
	if c.Hint == "" || e.Status != http.StatusForbidden {
		return e
	}
	return fmt.Errorf("%w\n%s", e, c.Hint)
}

// withoutURL removes the URL, which the message names already.
func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// Package client asks the service's API as a workload does: with requests that
// are signed by AWS Signature Version 4, and answers that are JSON.
//
// Bodies hold refresh tokens and codes, so that its errors tell what the service
// said, never what was sent; redirects are not followed.
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

// maxAnswer is the largest answer that is read, in bytes: API Gateway's limit.
const maxAnswer = 10 << 20

// Client asks one deployment. Every field is required unless it says otherwise.
type Client struct {
	// URL is the API's, with its stage and without a slash at the end.
	URL string
	// Region is where the API is.
	Region string
	// Credentials sign.
	Credentials aws.Credentials
	// HTTP sends the requests; nil means one that gives up after 45 s.
	HTTP *http.Client
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// patience is more than API Gateway's own.
const patience = 45 * time.Second

// Problem is what the service answered instead of what was wanted.
type Problem struct {
	// Status is the HTTP status.
	Status int `json:"-"`
	// Code is the error's code; empty when the answer was none of the service's.
	Code string `json:"error"`
	// Detail says what is wrong and how to mend it.
	Detail string `json:"detail"`
	// Provider is what the provider said, if that is what went wrong.
	Provider struct {
		Error string `json:"error"`
	} `json:"provider"`
	// Instance finds the request in the service's log.
	Instance string `json:"instance"`
	// RetryAfter is what the header Retry-After says, in seconds; empty when absent.
	RetryAfter string `json:"-"`
}

// Error is the problem in words.
func (p *Problem) Error() string {
	text := fmt.Sprintf("the service answered %d %s", p.Status, cmp.Or(p.Code, http.StatusText(p.Status)))
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	if p.Provider.Error != "" {
		text += "\nthe provider said: " + p.Provider.Error
	}
	if p.RetryAfter != "" {
		text += "\ntry again in " + p.RetryAfter + " s"
	}
	if p.Instance != "" {
		text += "\nrequest " + p.Instance
	}
	return text
}

// Is reports whether err is a Problem of that status.
func Is(err error, status int) bool {
	var p *Problem
	return errors.As(err, &p) && p.Status == status
}

// Ask sends body, if there is one, as JSON, and decodes the answer into answer,
// unless that is nil. Errors are a *Problem, or those of the network.
func (c *Client) Ask(ctx context.Context, method, path string, body, answer any) error {
	request, err := c.request(ctx, method, path, body)
	if err != nil {
		return err
	}
	response, err := c.client().Do(request)
	if err != nil {
		return fmt.Errorf("no answer from %s: %w", c.URL, bare(err))
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("the answer of %s broke off: %w", c.URL, err)
	}
	if response.StatusCode/100 != 2 {
		return problemOf(response, text)
	}
	if answer == nil {
		return nil
	}
	if json.Unmarshal(text, answer) != nil {
		return fmt.Errorf("%s answered %d with what is no JSON of the service's; does the address end with its stage, such as /v1?", c.URL, response.StatusCode)
	}
	return nil
}

// request builds a signed request. API Gateway wants the signature of the path
// as it is sent, encoded once more, which is what the signer does by default.
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
		return nil, fmt.Errorf("no request can be sent to %s: %w", c.URL, bare(err))
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	hash := sha256.Sum256(text)
	err = v4.NewSigner().SignHTTP(ctx, c.Credentials, request, hex.EncodeToString(hash[:]), "execute-api", c.Region, c.now())
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
	client := http.Client{Timeout: patience}
	if c.HTTP != nil {
		client = *c.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &client
}

func problemOf(response *http.Response, text []byte) *Problem {
	p := &Problem{Status: response.StatusCode, RetryAfter: response.Header.Get("Retry-After")}
	_ = json.Unmarshal(text, p) // an answer of somebody else's says nothing
	return p
}

// bare leaves out the address, which the message names already.
func bare(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tokenvend/tokenvend/pkg/client/tokenvend"
)

// tokens returns the callers' client of the API that --url or --stack names.
func (s *session) tokens(ctx context.Context) (*tokenvend.Client, error) {
	api, err := s.api(ctx)
	if err != nil {
		return nil, err
	}
	credentials := api.Credentials
	if s.loaded != nil { // the account's credentials sign
		credentials = s.credentialsOfNow()
	}
	return tokenvend.New(tokenvend.Config{URL: api.URL, Region: api.Region, Credentials: credentials, Now: s.Now})
}

// credentialsOfNow reads credentials without an end again at each call, because another
// program may rotate them while this one runs.
func (s *session) credentialsOfNow() aws.CredentialsProvider {
	var mu sync.Mutex
	return aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		mu.Lock()
		defer mu.Unlock()
		account, err := s.account(ctx)
		if err != nil {
			return aws.Credentials{}, err
		}
		credentials, err := account.Credentials.Retrieve(ctx)
		if err != nil || !credentials.CanExpire {
			s.loaded = nil
		}
		return credentials, err
	})
}

// tokenCommand prints a token.
type tokenCommand struct {
	Name    connectionName `arg:"" help:"The connection's name."`
	Subject subjectName    `placeholder:"NAME" help:"One of many users of a delegated connection; the default subject otherwise."`
	Scope   string         `placeholder:"SCOPE" help:"One of the scopes that the connection allows, instead of its own."`
	MinTTL  time.Duration  `name:"min-ttl" placeholder:"DURATION" help:"How long the token must still live, such as 10m; at most half of its lifetime."`
	Header  bool           `help:"Print the request header with the token, as the provider expects it."`
}

func (tokenCommand) details() string {
	return `The command prints the token and a line break. With --output json it prints the service's
answer, with the token.
`
}

// Run prints a token.
func (c tokenCommand) Run(ctx context.Context, s *session) error {
	if c.Header && s.Output == jsonOutput {
		return usage("--header and --output json exclude each other")
	}
	client, err := s.tokens(ctx)
	if err != nil {
		return err
	}
	s.progress.Show("waiting for the token of %s", c.Name)
	token, err := client.Token(ctx, string(c.Name), tokenvend.WithSubject(string(c.Subject)), tokenvend.WithScope(c.Scope), tokenvend.WithMinTTL(c.MinTTL))
	s.progress.Done()
	switch {
	case err != nil:
		return err
	case s.Output == jsonOutput:
		answer, err := token.Answer(s.Now())
		if err != nil {
			return err
		}
		return printJSON(s.Out, json.RawMessage(answer))
	case c.Header:
		return printHeader(s, token)
	}
	_, err = fmt.Fprintln(s.Out, token.Value())
	return err
}

func printHeader(s *session, token *tokenvend.Token) error {
	request := http.Request{Header: http.Header{}}
	token.SetHeader(&request)
	for name := range request.Header { // only one
		if _, err := fmt.Fprintf(s.Out, "%s: %s\n", name, request.Header.Get(name)); err != nil {
			return err
		}
	}
	return nil
}

// rejectCommand reports a token that a resource server refused.
type rejectCommand struct {
	Name    connectionName `arg:"" help:"The connection's name."`
	TokenID string         `arg:"" name:"token-id" help:"The token_id of the refused token, never the token itself."`
	Subject subjectName    `placeholder:"NAME" help:"One of many users of a delegated connection; the default subject otherwise."`
	Scope   string         `placeholder:"SCOPE" help:"The scope that the token was requested with, if any."`
}

// Run reports the token and describes the one that replaces it.
func (c rejectCommand) Run(ctx context.Context, s *session) error {
	api, err := s.api(ctx)
	if err != nil {
		return err
	}
	body := map[string]string{"rejected_token_id": c.TokenID}
	if c.Scope != "" {
		body["scope"] = c.Scope
	}
	var got vended
	if err := api.Call(ctx, http.MethodPost, path(c.Name, c.Subject)+"/token", body, &got); err != nil {
		return err
	}
	if got.TokenID == c.TokenID {
		return fmt.Errorf("the service holds the token %s valid and did not replace it; a token must be 30 s old, or its declaration must have changed", c.TokenID)
	}
	return s.describe(c.Name, got)
}

// forgetCommand deletes a stored token.
type forgetCommand struct {
	Name    connectionName `arg:"" help:"The connection's name."`
	Subject subjectName    `placeholder:"NAME" help:"One of many users of a delegated connection; the default subject otherwise."`
	Revoke  bool           `help:"Also revoke the token at the provider."`
}

// Run deletes the stored token.
func (c forgetCommand) Run(ctx context.Context, s *session) error {
	api, err := s.api(ctx)
	if err != nil {
		return err
	}
	address := path(c.Name, c.Subject) + "/token"
	if c.Revoke {
		address += "?revoke=true"
	}
	if err := api.Call(ctx, http.MethodDelete, address, nil, nil); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "The stored token of %s is deleted; the next caller causes a new one.\n", grant{c.Name, c.Subject})
	return nil
}

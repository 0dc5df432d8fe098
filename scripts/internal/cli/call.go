package cli

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
	"os"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/client/tokenvend"
)

// callCommand sends one request with a token.
type callCommand struct {
	Name    connectionName `arg:"" help:"The connection's name."`
	URL     string         `arg:"" name:"address" help:"The URL of the resource."`
	Subject subjectName    `placeholder:"NAME" help:"One of many users of a delegated connection; the default subject otherwise."`
	Method  string         `short:"X" placeholder:"METHOD" help:"Method; GET, or POST with --data."`
	Data    string         `short:"d" placeholder:"BODY" help:"Body, or @FILE for that of a file, or @- for standard input. It is sent as JSON if it is JSON, otherwise as a form."`
}

func (callCommand) details() string {
	return `The body of the response is printed. When the resource server answers 401, the token is
reported, and the request is sent again with another. A status from 400 on is exit code 1.
`
}

// Run sends the request and prints the response's body.
func (c callCommand) Run(ctx context.Context, s *session) error {
	request, err := c.request(ctx, s.In)
	if err != nil {
		return err
	}
	client, err := s.tokens(ctx)
	if err != nil {
		return err
	}
	api := http.Client{Transport: client.Transport(string(c.Name), nil, tokenvend.WithSubject(string(c.Subject)))}
	s.progress.Show("waiting for the response")
	response, err := api.Do(request)
	s.progress.Done()
	if failed := (*url.Error)(nil); errors.As(err, &failed) {
		err = failed.Err // without the URL, whose query may be secret
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(s.Out, response.Body); err != nil {
		return fmt.Errorf("the response is incomplete: %w", err)
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("the resource server answered %s", response.Status)
	}
	return nil
}

func (c callCommand) request(ctx context.Context, in io.Reader) (*http.Request, error) {
	body, err := c.body(ctx, in)
	if err != nil {
		return nil, err
	}
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, cmp.Or(c.Method, method), c.URL, bytes.NewReader(body))
	if err != nil {
		return nil, usage("the method or the URL of the resource is invalid; use an absolute URL, such as https://crm.example/contacts")
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if json.Valid(body) {
			request.Header.Set("Content-Type", "application/json")
		}
	}
	return request, nil
}

// maxData is the largest body that is read from standard input, in bytes.
const maxData = 64 << 20

// body returns the request's body, or nil for none.
func (c callCommand) body(ctx context.Context, in io.Reader) ([]byte, error) {
	name, isFile := strings.CutPrefix(c.Data, "@")
	switch {
	case c.Data == "":
		return nil, nil
	case !isFile:
		return []byte(c.Data), nil
	case name == "-":
		text, err := readAll(ctx, in, maxData+1)
		if len(text) > maxData {
			err = fmt.Errorf("--data: standard input has more than %d bytes; use a file", maxData)
		}
		return text, err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	return text, nil
}

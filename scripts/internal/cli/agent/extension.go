package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Extension is a process that Lambda starts beside a function
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html).
type Extension struct {
	// API is the host and port of the Extensions API, from AWS_LAMBDA_RUNTIME_API.
	API string
	// Name is the name of the extension's file.
	Name string
}

const extensionPath = "/2020-01-01/extension/"

// Run registers the extension, calls warm, and waits until the environment shuts down or
// ctx ends. Lambda initializes the function meanwhile, and freezes both after each
// invocation. The extension asks for no invocations, so it never delays one.
func (e Extension) Run(ctx context.Context, warm func(context.Context)) error {
	id, err := e.register(ctx)
	if err != nil {
		return fmt.Errorf("register the extension: %w", err)
	}
	warm(ctx)
	for {
		event, err := e.next(ctx, id)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("wait for the end of the environment: %w", err)
		case event == "SHUTDOWN":
			return nil
		}
	}
}

func (e Extension) register(ctx context.Context) (id string, err error) {
	header, _, err := e.call(ctx, http.MethodPost, "register", "Lambda-Extension-Name", e.Name, `{"events":["SHUTDOWN"]}`)
	if err != nil {
		return "", err
	}
	if id = header.Get("Lambda-Extension-Identifier"); id == "" {
		return "", errors.New("the answer has no identifier")
	}
	return id, nil
}

// next tells Lambda that the extension is ready, and returns the type of the next event.
func (e Extension) next(ctx context.Context, id string) (string, error) {
	_, text, err := e.call(ctx, http.MethodGet, "event/next", "Lambda-Extension-Identifier", id, "")
	if err != nil {
		return "", err
	}
	var event struct {
		EventType string `json:"eventType"`
	}
	return event.EventType, json.Unmarshal(text, &event)
}

// call has no timeout: the process is frozen while it waits for an event.
func (e Extension) call(ctx context.Context, method, path, header, value, body string) (http.Header, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://"+e.API+extensionPath+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, nil, err
	}
	request.Header.Set(header, value)
	response, err := (&http.Client{Transport: &http.Transport{}}).Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("the Extensions API answered %s", response.Status)
	}
	return response.Header, text, err
}

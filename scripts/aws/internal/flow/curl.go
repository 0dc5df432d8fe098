package flow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// Curl asks the API as a workload would that has curl and an access key. It
// shares no code with what checks its signatures.
type Curl struct {
	// URL is the API's, with the stage and without a slash at its end.
	URL string
	// User is access key id and secret with a colon between; empty signs nothing.
	User string
	// Region is where the API is.
	Region string
}

// Answer is what the API said.
type Answer struct {
	Status int
	Body   []byte

	Token     string   `json:"access_token"`
	TokenID   string   `json:"token_id"`
	Code      string   `json:"error"`
	State     string   `json:"state"`
	SessionID string   `json:"session_id"`
	PageURL   string   `json:"consent_url"`
	Next      string   `json:"next"`
	All       []Status `json:"connections"`
}

// Status is one connection of a list.
type Status struct {
	Connection string `json:"connection"`
	State      string `json:"state"`
}

// Ask sends one request; a body that is not empty is JSON. An answer of any
// status is no error.
func (c Curl) Ask(ctx context.Context, method, path, body string) (Answer, error) {
	args := []string{"--silent", "--show-error", "--max-time", "60", "--request", method, "--write-out", "\n%{http_code}"}
	if c.User != "" {
		args = append(args, "--aws-sigv4", "aws:amz:"+c.Region+":execute-api", "--user", c.User)
	}
	if body != "" {
		args = append(args, "--header", "Content-Type: application/json", "--data-binary", body)
	}
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, "curl", append(args, c.URL+path)...)
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return Answer{}, fmt.Errorf("curl %s %s: %w: %s", method, path, err, strings.TrimSpace(said.String()))
	}
	return read(out.Bytes())
}

// read takes the status, which curl wrote after the body, off the end.
func read(out []byte) (Answer, error) {
	end := bytes.LastIndexByte(out, '\n')
	if end < 0 {
		return Answer{}, errors.New("curl printed no status")
	}
	status, err := strconv.Atoi(string(out[end+1:]))
	if err != nil {
		return Answer{}, fmt.Errorf("status that curl printed: %w", err)
	}
	a := Answer{Status: status, Body: out[:end]}
	if end > 0 {
		err = json.Unmarshal(a.Body, &a)
	}
	if err != nil {
		return a, fmt.Errorf("a %d whose body is not JSON: %w", status, err)
	}
	return a, nil
}

// expect asks, and holds the answer against status and, where it is not empty,
// error code.
func (c Curl) expect(ctx context.Context, status int, code, method, path, body string) (Answer, error) {
	a, err := c.Ask(ctx, method, path, body)
	if err != nil {
		return a, err
	}
	if a.Status != status || a.Code != code {
		return a, fmt.Errorf("%s %s answered %d %s, want %d %s", method, path, a.Status, a.Code, status, code)
	}
	return a, nil
}

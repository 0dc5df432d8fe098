package tokenvend_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/client/tokenvend"
)

// TestContract replays the vectors that the clients of all languages share.
func TestContract(t *testing.T) {
	text, err := os.ReadFile("../testdata/contract.json")
	if err != nil {
		t.Fatal(err)
	}
	var contract struct {
		About   []string
		URL     string
		Vectors []vector
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&contract); err != nil {
		t.Fatal(err)
	}
	for _, v := range contract.Vectors {
		t.Run(fmt.Sprintf("rule %d %s", v.Rule, v.Name), func(t *testing.T) {
			if v.Lambda {
				t.Setenv("AWS_LAMBDA_FUNCTION_NAME", "f")
			} else {
				t.Setenv("AWS_LAMBDA_FUNCTION_NAME", "")
			}
			synctest.Test(t, func(t *testing.T) { v.replay(t, contract.URL) })
		})
	}
}

type vector struct {
	Rule   int
	Name   string
	Random float64
	Lambda bool
	Steps  []step
}

type step struct {
	At          float64
	Do          string
	Credentials string
	With        arguments
	Answers     []map[string]any
	Resource    []any
	Expect      expectation
}

type arguments struct {
	Connection, Subject, Scope, URL string
	MinTTL                          float64 `json:"min_ttl"`
	Deadline                        float64
	Callers                         int
	Connections                     []string
	Once                            bool
}

type expectation struct {
	Requests  []any
	Signed    []string
	Token     string
	Error     *failure
	Ended     *float64
	Presented []string
	Status    int
	Refused   bool
}

type failure struct {
	Code, Connection      string
	Status                int
	Retryable             bool
	RetryAfter            float64 `json:"retry_after"`
	RequestID             string  `json:"request_id"`
	AuthorizationRequired bool    `json:"authorization_required"`
}

// script is the service and the resource server of one vector.
type script struct {
	mu          sync.Mutex
	credentials string
	answers     []map[string]any
	resource    []any
	requests    []any
	signed      []string
	presented   []string
}

// Retrieve returns the credentials in force.
func (s *script) Retrieve(context.Context) (aws.Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return aws.Credentials{AccessKeyID: s.credentials, SecretAccessKey: "secret"}, nil
}

func (v vector) replay(t *testing.T, url string) {
	s := &script{credentials: "KEY1"}
	client, err := tokenvend.New(tokenvend.Config{
		URL: url, Credentials: s, HTTP: &http.Client{Transport: roundTripper(s.serve), Timeout: time.Minute},
		Random: func() float64 { return v.Random },
	})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	for _, step := range v.Steps {
		time.Sleep(time.Until(start.Add(duration(step.At))))
		synctest.Wait()
		s.begin(step)
		callers := max(1, step.With.Callers)
		got := make([]expectation, callers)
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() {
				got[i] = step.run(t, client, s)
				got[i].Ended = new(float64)
				*got[i].Ended = time.Since(start).Seconds()
			})
		}
		all.Wait()
		synctest.Wait()
		s.compare(t, step, got)
	}
	if len(s.answers)+len(s.resource) > 0 {
		t.Errorf("answers are left: %v, %v", s.answers, s.resource)
	}
}

func (s *script) begin(step step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if step.Credentials != "" {
		s.credentials = step.Credentials
	}
	s.answers, s.resource = append(s.answers, step.Answers...), append(s.resource, step.Resource...)
	s.requests, s.signed, s.presented = nil, nil, nil
}

func (s *script) compare(t *testing.T, step step, got []expectation) {
	t.Helper()
	want := step.Expect
	if want.Ended == nil {
		want.Ended = &step.At
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range got {
		g.Requests, g.Presented = s.requests, s.presented
		if want.Signed != nil {
			g.Signed = s.signed
		}
		if diff := cmp.Diff(want, g); diff != "" {
			t.Fatalf("at %v (-want +got):\n%s", step.At, diff)
		}
	}
}

// run makes the step's call.
func (s step) run(t *testing.T, client *tokenvend.Client, servers *script) (got expectation) {
	ctx := t.Context()
	if s.With.Deadline > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, duration(s.With.Deadline))
		defer cancel()
	}
	connection := "crm"
	if s.With.Connection != "" {
		connection = s.With.Connection
	}
	options := []tokenvend.Option{tokenvend.WithSubject(s.With.Subject), tokenvend.WithScope(s.With.Scope), tokenvend.WithMinTTL(duration(s.With.MinTTL))}
	var err error
	switch s.Do {
	case "token":
		var token *tokenvend.Token
		if token, err = client.Token(ctx, connection, options...); err == nil {
			got.Token = token.Value()
		}
	case "warm":
		err = client.Warm(ctx, s.With.Connections...)
	case "send":
		transport := client.Transport(connection, roundTripper(servers.accept), options...)
		got.Status, err = s.send(ctx, &http.Client{Transport: transport})
	default:
		t.Errorf("unknown step %q", s.Do)
	}
	var e *tokenvend.Error
	switch {
	case errors.As(err, &e):
		var required *tokenvend.AuthorizationRequiredError
		got.Error = &failure{Code: e.Code, Connection: e.Connection, Status: e.Status, Retryable: e.Retryable,
			RetryAfter: e.RetryAfter.Seconds(), RequestID: e.RequestID, AuthorizationRequired: errors.As(err, &required)}
	case err != nil:
		got.Refused = true
	}
	return got
}

func (s step) send(ctx context.Context, client *http.Client) (int, error) {
	url := "https://api.example/items"
	if s.With.URL != "" {
		url = s.With.URL
	}
	request, err := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader("order"))
	if err != nil {
		return 0, err
	}
	if s.With.Once {
		request.GetBody = nil
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.ReadAll(response.Body) // fails if the client has closed it
	return response.StatusCode, err
}

// serve is the service.
func (s *script) serve(r *http.Request) (*http.Response, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	line := any(r.Method + " " + r.URL.RequestURI())
	if len(body) > 0 {
		var decoded any
		if err := json.Unmarshal(body, &decoded); err != nil {
			return nil, err
		}
		line = map[string]any{line.(string): decoded}
	}
	s.requests = append(s.requests, line)
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=")
	if p := strings.Split(credential, "/"); len(p) > 4 && strings.HasPrefix(p[4], "aws4_request,") {
		s.signed = append(s.signed, p[0]+"/"+p[2]+"/"+p[3])
	}
	if len(s.answers) == 0 || !strings.HasPrefix(r.Header.Get("User-Agent"), "tokenvend-go/") {
		s.mu.Unlock()
		return nil, errors.New("no answer is left, or the User-Agent is wrong")
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	s.mu.Unlock()
	return play(r, a)
}

// play sends an answer of a vector.
func play(r *http.Request, a map[string]any) (*http.Response, error) {
	if after, ok := a["after"].(float64); ok {
		select {
		case <-time.After(duration(after)):
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
	if a["failure"] == true {
		return nil, errors.New("connection reset")
	}
	header := http.Header{}
	if seconds, ok := a["retry_after"].(float64); ok {
		header.Set("Retry-After", strconv.Itoa(int(seconds)))
	}
	status := 200
	if s, ok := a["status"].(float64); ok {
		status = int(s)
	}
	if raw, ok := a["raw"].(string); ok {
		return response(r, status, header, raw), nil
	}
	body := map[string]any{}
	for name, value := range a {
		if name != "vend" && name != "after" && name != "retry_after" {
			body[name] = value
		}
	}
	if token, ok := a["vend"].(string); ok {
		body["access_token"], body["token_type"] = token, "Bearer"
		if body["token_id"] == nil {
			body["token_id"] = "id-" + token
		}
	}
	text, err := json.Marshal(body)
	return response(r, status, header, string(text)), err
}

// accept is the resource server.
func (s *script) accept(r *http.Request) (*http.Response, error) {
	body, err := readBody(r)
	if err != nil || string(body) != "order" {
		return nil, fmt.Errorf("the body is %q: %w", body, err)
	}
	next, err := s.nextOfResource(r)
	if err != nil {
		return nil, err
	}
	switch next := next.(type) {
	case string:
		return response(r, 307, http.Header{"Location": {next}}, ""), nil
	case map[string]any:
		time.Sleep(duration(next["after"].(float64)))
		return response(r, int(next["status"].(float64)), http.Header{}, "answer"), nil
	}
	return response(r, int(next.(float64)), http.Header{}, "answer"), nil
}

// nextOfResource notes what a request carries and returns the answer to it.
func (s *script) nextOfResource(r *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	carried := " -"
	for _, name := range []string{"Authorization", "X-Shopify-Access-Token"} {
		if value := r.Header.Get(name); value != "" {
			carried = " " + name + ": " + value
		}
	}
	s.presented = append(s.presented, r.URL.Scheme+"://"+r.URL.Host+carried)
	if len(s.resource) == 0 {
		return nil, errors.New("no answer of the resource server is left")
	}
	next := s.resource[0]
	s.resource = s.resource[1:]
	return next, nil
}

func response(r *http.Request, status int, header http.Header, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: header, Body: &closable{Reader: strings.NewReader(body)}, Request: r, ProtoMajor: 1, ProtoMinor: 1}
}

// closable fails to be read once it is closed.
type closable struct {
	io.Reader
	closed bool
}

func (c *closable) Read(p []byte) (int, error) {
	if c.closed {
		return 0, errors.New("the body is closed")
	}
	return c.Reader.Read(p)
}

func (c *closable) Close() error { c.closed = true; return nil }

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	defer r.Body.Close()
	return io.ReadAll(r.Body)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func duration(seconds float64) time.Duration { return time.Duration(seconds * float64(time.Second)) }

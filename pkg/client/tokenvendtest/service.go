// Package tokenvendtest is a fake of the service for the tests of programs that use
// package tokenvend. Its tokens are numbered (token_1, token_2, …), so that a test sees
// which one is used.
package tokenvendtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/tokenvend/tokenvend/pkg/client/tokenvend"
)

// Service is a fake service. Every connection exists, and its token lasts an hour. It
// checks no signatures. It is safe for concurrent use.
type Service struct {
	// URL is the service's URL for [tokenvend.Config].
	URL string

	t           testing.TB
	mu          sync.Mutex
	issued      int
	connections map[string]*connection
}

type connection struct {
	token    string // empty: the next request issues one
	revoked  bool
	requests int
	failure  *Failure
}

// Failure is an error answer.
type Failure struct {
	// Status and Code are the HTTP status and the error code, such as 503 and
	// provider_unavailable.
	Status int
	Code   string
	// Retryable reports whether a client may try again.
	Retryable bool
	// RetryAfter is rounded down to seconds; zero sends none.
	RetryAfter time.Duration
}

// New starts a service that ends with the test.
func New(t testing.TB) *Service {
	t.Helper()
	s := &Service{t: t, connections: make(map[string]*connection)}
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/connections/{connection}/token", s.vend)
	mux.HandleFunc("/v1/connections/{connection}/subjects/{subject}/token", s.vend)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.URL = server.URL + "/v1"
	return s
}

// Client returns a new client of the service, with credentials of its own.
func (s *Service) Client() *tokenvend.Client {
	s.t.Helper()
	client, err := tokenvend.New(tokenvend.Config{
		URL: s.URL, Region: "us-east-1",
		Credentials: aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, ctx.Err()
		}),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return client
}

// Revoke ends the current token of a connection: [Service.Resource] refuses it, and the
// service replaces it once it is reported as rejected.
func (s *Service) Revoke(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at(name).revoked = true
}

// Fail lets the service answer requests for a connection with an error; nil ends that.
func (s *Service) Fail(name string, f *Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at(name).failure = f
}

// Requests returns how many requests for a connection's token the service had.
func (s *Service) Requests(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at(name).requests
}

// Resource protects a handler: it answers 401 to requests without the connection's
// current token as a bearer token.
func (s *Service) Resource(name string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		c := s.at(name)
		valid := c.token != "" && !c.revoked && r.Header.Get("Authorization") == "Bearer "+c.token
		s.mu.Unlock()
		if !valid {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// at returns a connection; the caller holds the lock.
func (s *Service) at(name string) *connection {
	c := s.connections[name]
	if c == nil {
		c = new(connection)
		s.connections[name] = c
	}
	return c
}

// vend answers one request. Subjects share their connection's token.
func (s *Service) vend(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Rejected string `json:"rejected_token_id"`
	}
	if r.Method == http.MethodPost {
		_ = json.NewDecoder(r.Body).Decode(&body) // a client's own tests check what it sends
	}
	name := r.PathValue("connection")
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.at(name)
	c.requests++
	if c.failure != nil {
		c.failure.write(w, name)
		return
	}
	if c.token == "" || body.Rejected == id(c.token) {
		s.issued++
		c.token, c.revoked = fmt.Sprintf("token_%d", s.issued), false
	}
	write(w, http.StatusOK, map[string]any{
		"access_token": c.token, "token_type": "Bearer", "token_id": id(c.token), "connection": name,
		"expires_in": 3600, "refresh_in": 2700, "expires_at": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
	})
}

func (f *Failure) write(w http.ResponseWriter, name string) {
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
	}
	write(w, f.Status, map[string]any{
		"type": "urn:tokenvend:error:" + f.Code, "status": f.Status, "error": f.Code, "retryable": f.Retryable,
		"connection": name, "instance": "test", "detail": "the test asked for this error",
	})
}

func write(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone if it fails
}

// id is the service's: the beginning of the token's SHA-256.
func id(token string) string {
	hash := sha256.Sum256([]byte(token))
	return hex.EncodeToString(hash[:8])
}

// Package awsjson speaks the frame of AWS's JSON protocols: one POST per
// operation, named by the header X-Amz-Target, JSON in and out, errors as an
// object with a __type.
//
// It accepts every signature, but not a request without one: that is a client
// which would be refused in the cloud. A member that an operation does not
// declare is refused too, and never ignored, so that a test cannot pass because
// half of its request was not read.
package awsjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// maxBody is the largest request that DynamoDB takes, in bytes.
const maxBody = 16 << 20

// Operation answers one request: a value for JSON, or an [*Error].
type Operation func(body []byte) (any, error)

// Config describes a service. Every field but Checksum is required.
type Config struct {
	// Target is what stands before the dot in X-Amz-Target.
	Target string
	// Version is the protocol's: "1.0" or "1.1".
	Version string
	// ErrorPrefix stands before an error's code in __type; it may be empty.
	ErrorPrefix string
	// MessageName is the member an error's message stands in.
	MessageName string
	// Checksum adds X-Amz-Crc32 to each answer.
	Checksum bool
	// Operations are the operations by name.
	Operations map[string]Operation
}

// Service is an http.Handler and safe for concurrent use.
type Service struct {
	Config
	mu       sync.Mutex
	requests map[string]int
	answers  int
}

// New returns a service.
func New(c Config) *Service { return &Service{Config: c, requests: map[string]int{}} }

// Operate makes an Operation of a function from its request to its answer.
func Operate[In, Out any](f func(In) (Out, error)) Operation {
	return func(body []byte) (any, error) {
		var in In
		decoder := json.NewDecoder(bytes.NewReader(body))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&in); err != nil {
			return nil, undecodable(err)
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return nil, &Error{Code: "SerializationException", Message: "the body goes on after its object"}
		}
		return f(in)
	}
}

// Requests tells how often each operation was asked for, refusals included.
func (s *Service) Requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.requests)
}

// Call carries an operation out without the network: how a test arranges what
// its subject then finds. in and out are the request and the answer as JSON; a
// nil out drops the answer. It is not counted among the requests.
func (s *Service) Call(operation string, in, out any) error {
	run, known := s.Operations[operation]
	if !known {
		return fmt.Errorf("%s has no operation %s here", s.Target, operation)
	}
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("write the request of %s: %w", operation, err)
	}
	answer, err := run(body)
	if err != nil || out == nil {
		return err
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("write the answer of %s: %w", operation, err)
	}
	return json.Unmarshal(text, out)
}

// OperationOf is the operation that a request names, without its service.
func OperationOf(r *http.Request) string {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	return operation
}

// ServeHTTP answers one request.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := s.answer(w, r)
	if err != nil {
		s.WriteError(w, refusal(err))
		return
	}
	s.write(w, http.StatusOK, answer)
}

func (s *Service) answer(w http.ResponseWriter, r *http.Request) (any, error) {
	operation, err := s.operation(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, &Error{Status: http.StatusRequestEntityTooLarge, Code: "RequestEntityTooLarge", Message: "the body is too large"}
	}
	if err != nil {
		return nil, &Error{Code: "SerializationException", Message: "the body ended early"}
	}
	return operation(body)
}

// operation finds what is asked for, and counts it.
func (s *Service) operation(r *http.Request) (Operation, error) {
	target, name, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	operation, known := s.Operations[name]
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/" || target != s.Target || !known:
		return nil, &Error{Code: "UnknownOperationException", Message: fmt.Sprintf("%s has no such operation here", s.Target)}
	case !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 "):
		return nil, &Error{Code: "MissingAuthenticationTokenException", Message: "the request is not signed"}
	case r.Header.Get("Content-Type") != s.contentType():
		return nil, &Error{Code: "SerializationException", Message: "the content type is not " + s.contentType()}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests[name]++
	return operation, nil
}

func (s *Service) contentType() string { return "application/x-amz-json-" + s.Version }

// write sends an answer. Failing to is the client's loss alone.
func (s *Service) write(w http.ResponseWriter, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"__type":"InternalServerError"}`)
	}
	header := w.Header()
	header.Set("Content-Type", s.contentType())
	header.Set("X-Amzn-RequestId", s.requestID())
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if s.Checksum {
		header.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(body)), 10))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// requestID counts, so that runs can be compared.
func (s *Service) requestID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers++
	return fmt.Sprintf("00000000-0000-4000-8000-%012d", s.answers)
}

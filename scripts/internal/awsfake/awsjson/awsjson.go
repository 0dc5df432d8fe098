// Package awsjson serves AWS's JSON protocols: one POST for each operation, named by
// the header X-Amz-Target, JSON in and out, errors as an object with a __type.
//
// It accepts any signature and refuses a request without one, as AWS does. It also
// refuses members that an operation does not declare: a test must not pass because a
// part of its request was ignored.
package awsjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxBody is the largest request, in bytes.
const maxBody = 16 << 20

// Operation answers one request: a value for JSON, or an [*Error].
type Operation func(body []byte) (any, error)

// Service is an http.Handler. Every field but ErrorPrefix is required.
type Service struct {
	// Target is the part of X-Amz-Target before the dot.
	Target string
	// Version is the protocol's: "1.0" or "1.1".
	Version string
	// ErrorPrefix precedes an error's code in __type.
	ErrorPrefix string
	// MessageName is the member with an error's message.
	MessageName string
	// Operations are the operations by name.
	Operations map[string]Operation
}

// Operate returns the Operation of a typed function.
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

// Call carries an operation out without the network, for tests that arrange or
// inspect a service's state. in and out are encoded and decoded as JSON; a nil out
// drops the answer.
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
		s.writeError(w, refusal(err))
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

// operation finds the operation of a request.
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
	return operation, nil
}

func (s *Service) contentType() string { return "application/x-amz-json-" + s.Version }

// write sends an answer. A client that has gone reads nothing.
func (s *Service) write(w http.ResponseWriter, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"__type":"InternalServerError"}`)
	}
	w.Header().Set("Content-Type", s.contentType())
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

package awsjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Error is an answer that refuses.
type Error struct {
	// Status is the HTTP status; 0 means 400.
	Status int
	// Code is the error's shape, for example ConditionalCheckFailedException.
	Code string
	// Message is for people. It must not hold a secret.
	Message string
	// Members stand in the body beside code and message.
	Members map[string]any
}

// Error returns code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Invalid is the ValidationException that both services answer to a request
// they do not understand.
func Invalid(format string, args ...any) *Error {
	return &Error{Code: "ValidationException", Message: fmt.Sprintf(format, args...)}
}

// WriteError answers with e, in the service's own frame.
func (s *Service) WriteError(w http.ResponseWriter, e *Error) {
	body := map[string]any{"__type": s.ErrorPrefix + e.Code, s.MessageName: e.Message}
	for name, member := range e.Members {
		body[name] = member
	}
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	s.write(w, status, body)
}

// refusal is err as it is answered. What is no Error is a mistake of the engine's.
func refusal(err error) *Error {
	if known := (*Error)(nil); errors.As(err, &known) {
		return known
	}
	return &Error{Status: http.StatusInternalServerError, Code: "InternalServerError", Message: err.Error()}
}

// undecodable tells why a body is refused: a value that itself knows, a member
// that is not modelled here, or JSON that is none.
func undecodable(err error) error {
	if known := (*Error)(nil); errors.As(err, &known) {
		return known
	}
	if mismatch := (*json.UnmarshalTypeError)(nil); errors.As(err, &mismatch) {
		return &Error{Code: "SerializationException", Message: fmt.Sprintf("member %q is not of its type", mismatch.Field)}
	}
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Code: "SerializationException", Message: "the body is not JSON"}
	}
	return Invalid("not understood by this engine: %v", err)
}

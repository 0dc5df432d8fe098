package awsjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Error is an error answer.
type Error struct {
	// Status is the HTTP status; 0 means 400.
	Status int
	// Code is the error's type, such as ResourceNotFoundException.
	Code string
	// Message must not hold a secret.
	Message string
}

// Error returns code and message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Invalid is the ValidationException that both services answer to a malformed
// request.
func Invalid(format string, args ...any) *Error {
	return &Error{Code: "ValidationException", Message: fmt.Sprintf(format, args...)}
}

func (s *Service) writeError(w http.ResponseWriter, e *Error) {
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	s.write(w, status, map[string]string{"__type": s.ErrorPrefix + e.Code, s.MessageName: e.Message})
}

// refusal is the answer of err. An err that is not an Error is a fault of the fake.
func refusal(err error) *Error {
	if known := (*Error)(nil); errors.As(err, &known) {
		return known
	}
	return &Error{Status: http.StatusInternalServerError, Code: "InternalServerError", Message: err.Error()}
}

// undecodable explains why a body is refused.
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
	return Invalid("not supported by this fake: %v", err)
}

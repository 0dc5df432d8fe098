package localgateway

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// proxyAnswer is the output format of a Lambda function for proxy integration.
type proxyAnswer struct {
	StatusCode        int                 `json:"statusCode"`
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	Body              *string             `json:"body"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
}

var errMalformedAnswer = errors.New("malformed Lambda proxy response")

// writeAnswer writes a function's response. When it fails, it has written nothing.
func writeAnswer(w http.ResponseWriter, answer []byte) error {
	a, err := readAnswer(answer)
	if err != nil {
		return err
	}
	if a.StatusCode < 200 || a.StatusCode > 599 {
		return fmt.Errorf("%w: statusCode %d", errMalformedAnswer, a.StatusCode)
	}
	body, err := a.body()
	if err != nil {
		return err
	}
	a.setHeaders(w.Header())
	if len(body) > 0 && w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json") // API Gateway's default
	}
	w.WriteHeader(a.StatusCode)
	_, _ = io.WriteString(w, body) // the caller may have disconnected
	return nil
}

func readAnswer(answer []byte) (proxyAnswer, error) {
	if a, ok := readUsual(answer); ok {
		return a, nil
	}
	var a proxyAnswer
	if err := json.Unmarshal(answer, &a); err != nil {
		return proxyAnswer{}, fmt.Errorf("%w: not the JSON object expected", errMalformedAnswer)
	}
	return a, nil
}

func (a proxyAnswer) body() (string, error) {
	switch {
	case a.Body == nil:
		return "", nil
	case !a.IsBase64Encoded:
		return *a.Body, nil
	}
	body, err := base64.StdEncoding.DecodeString(*a.Body)
	if err != nil {
		return "", fmt.Errorf("%w: body is not base64", errMalformedAnswer)
	}
	return string(body), nil
}

// setHeaders merges both members. For a header in both, the list wins.
func (a proxyAnswer) setHeaders(h http.Header) {
	for name, value := range a.Headers {
		h.Set(name, value)
	}
	for name, values := range a.MultiValueHeaders {
		h.Del(name)
		for _, value := range values {
			h.Add(name, value)
		}
	}
}

// setHeaders sets the headers of every response, including the gateway's own.
func setHeaders(h http.Header, ids ids) {
	h.Set("X-Amzn-Requestid", ids.request)
	h.Set("X-Amz-Apigw-Id", ids.extended)
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
}

// writeGatewayError writes an error that API Gateway itself returns, in the form of
// the service's own errors.
func writeGatewayError(w http.ResponseWriter, status int, kind, message, requestID string) {
	w.Header().Set("X-Amzn-Errortype", kind)
	code, title := "invalid_request", "The request is malformed"
	switch {
	case status == http.StatusForbidden:
		code, title = "access_denied", "Access denied"
	case status >= http.StatusInternalServerError:
		code, title = "internal_error", "Internal error"
	}
	(&mistake{status, code, title, message}).write(w, requestID)
}

// mistake is the error for a request without a resource. A deployed API can only
// answer 403; the local gateway explains the mistake.
type mistake struct {
	status      int
	code, title string
	detail      string
}

var (
	errNoResource = &mistake{http.StatusNotFound, "connection_not_found", "Not found",
		"no resource has this path; the connections are under /connections"}
	errNoMethod = &mistake{http.StatusForbidden, "access_denied", "Access denied",
		"this public page does not have this method"}
	errMalformed = &mistake{http.StatusBadRequest, "invalid_request", "Bad request",
		"the path has an empty or dot segment, or a slash inside a segment; write a connection's name without encoding"}
	errTooLong = &mistake{http.StatusRequestURITooLong, "invalid_request", "URI too long",
		"the path is longer than API Gateway accepts; a connection's name has at most 129 characters"}
)

// write writes the error in the form of the service's own errors (RFC 9457).
func (m *mistake) write(w http.ResponseWriter, requestID string) {
	writeJSON(w, m.status, "application/problem+json", map[string]any{
		"type": "urn:tokenvend:error:" + m.code, "title": m.title, "status": m.status,
		"detail": m.detail, "instance": requestID,
		"error": m.code, "error_description": m.detail, "retryable": false,
	})
}

func writeJSON(w http.ResponseWriter, status int, contentType string, v any) {
	text, _ := json.Marshal(v) // strings, numbers and booleans only
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

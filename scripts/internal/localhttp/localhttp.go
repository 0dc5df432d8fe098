// Package localhttp protects a server that listens on this machine from web pages.
//
// A page makes its own name resolve to 127.0.0.1 (DNS rebinding), and then the browser
// lets it read the responses. The Host header still has the page's name. The package
// also writes errors in the form of the service's own.
package localhttp

import (
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/problem"
)

// Host returns the name or address in a Host header, without port and in lower case.
// The port does not matter: a name that is not served is not served on any port.
func Host(header string) string {
	host, _, err := net.SplitHostPort(header)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(header, "["), "]") // without a port
	}
	return strings.ToLower(host)
}

// Problem is an error response (RFC 9457) with the members of RFC 6749 §5.2.
type Problem struct {
	Status int
	Code   problem.Code
	// Detail says what is wrong and how to fix it.
	Detail string
	// Retryable reports whether the same request may succeed later, and RetryAfter when;
	// zero sends no Retry-After.
	Retryable  bool
	RetryAfter time.Duration
	// Connection and Instance, the id of the service's request, may be empty.
	Connection, Instance string
}

// Denied is the error of a request that is not allowed.
func Denied(detail string) *Problem {
	return &Problem{Status: http.StatusForbidden, Code: problem.AccessDenied, Detail: detail}
}

// Write writes the response.
func (p *Problem) Write(w http.ResponseWriter) {
	members := map[string]any{ // strings, a number and a boolean: it cannot fail
		"type": "urn:tokenvend:error:" + string(p.Code), "title": http.StatusText(p.Status), "status": p.Status,
		"detail": p.Detail, "error": p.Code, "error_description": p.Detail, "retryable": p.Retryable,
	}
	for name, value := range map[string]string{"connection": p.Connection, "instance": p.Instance} {
		if value != "" {
			members[name] = value
		}
	}
	text, _ := json.Marshal(members)
	header := w.Header()
	if p.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int((p.RetryAfter+time.Second-1)/time.Second)))
	}
	WriteJSON(w, "application/problem+json", p.Status, text)
}

// WriteJSON writes a response that nothing may store.
func WriteJSON(w http.ResponseWriter, contentType string, status int, text []byte) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "no-store")
	header.Set("Pragma", "no-cache")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client may have disconnected
}

package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fault is a failure of a connection's token requests. It has either a literal
// response (Status, RetryAfter, ContentType and Body), or one of Redirect, Reset,
// Truncate and Hang; Hang may also follow a literal response. Latency can be
// combined with all of them. A Fault with only a Count lets that many requests
// pass.
//
// Fault{Processed: true, Reset: true} is a refresh with a lost response: the server
// has rotated the token, the client sees a broken connection.
type Fault struct {
	// On selects requests by grant type, or is [OnRevocation]; empty is every request
	// to the token endpoint.
	On string
	// Count is the number of affected requests; zero is all until it is cleared.
	Count int
	// Latency delays the response.
	Latency time.Duration
	// Processed: the server handles the request first (it mints a token, or uses up a
	// one-time credential), so that only the response is lost or late.
	Processed bool

	// Status is that of the literal response; zero is 200.
	Status int
	// RetryAfter is the text of the header, valid or not.
	RetryAfter string
	// ContentType is the text of the header; empty is application/json if there is a body.
	ContentType string
	// Body is sent unchanged.
	Body string

	// Redirect is the target of a redirect with Status, or 307 if that is zero.
	Redirect string
	// Reset ends the connection with a TCP reset and no response.
	Reset bool
	// Truncate sends half of the normal response, with its full Content-Length.
	Truncate bool
	// Hang sends nothing, or nothing more, until the client closes.
	Hang bool
}

// OnRevocation selects requests to the revocation endpoint.
const OnRevocation = "revocation"

// matches reports whether the fault applies to such a request: its grant type, or
// OnRevocation.
func (f Fault) matches(kind string) bool {
	return f.On == kind || f.On == "" && kind != OnRevocation
}

// shadows reports whether f never ends, so that g is never reached.
func (f Fault) shadows(g Fault) bool {
	return f.Count == 0 && (f.On == g.On || f.On == "" && g.On != OnRevocation)
}

// isLiteral reports whether the fault has a literal response.
func (f Fault) isLiteral() bool {
	return f.Redirect == "" && (f.Status != 0 || f.RetryAfter != "" || f.ContentType != "" || f.Body != "")
}

// replaces reports whether the client does not get the normal response.
func (f Fault) replaces() bool {
	return f.isLiteral() || f.Redirect != "" || f.Reset || f.Truncate || f.Hang
}

// check says what is wrong with a requested fault.
func (f Fault) check() error {
	kinds := 0
	for _, set := range []bool{f.isLiteral(), f.Redirect != "", f.Reset, f.Truncate, f.Hang && !f.isLiteral()} {
		if set {
			kinds++
		}
	}
	_, badURL := url.Parse(f.Redirect)
	switch {
	case !slices.Contains([]string{"", clientCredentials, authorizationCode, refreshToken, OnRevocation}, f.On):
		return errors.New("on must be client_credentials, authorization_code, refresh_token or revocation, or absent for the token endpoint")
	case kinds > 1:
		return errors.New("a fault is one of a literal response, redirect, reset, truncate or hang")
	case kinds == 0 && f.Latency == 0 && f.Count == 0:
		return errors.New("the fault does nothing: set a status, body, retry_after, content_type, latency, redirect, reset, truncate or hang")
	case f.Count < 0 || f.Latency < 0:
		return errors.New("count and latency must not be negative")
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return errors.New("status must be 200 to 599")
	case f.Redirect != "" && f.Status != 0 && f.Status/100 != 3:
		return errors.New("the status of a redirect must be 3xx")
	case badURL != nil:
		return errors.New("redirect must be a URL")
	case strings.ContainsAny(f.RetryAfter+f.ContentType+f.Redirect, "\r\n\x00"):
		return errors.New("a header value must not contain a line break")
	}
	return nil
}

// Fault sets the script of a connection: each request gets the first fault that
// matches it, until the count of that fault is used up. It replaces the previous
// script; without faults it clears it. Errors are ErrNoConnection, and what is wrong
// with a fault.
func (s *Sandbox) Fault(connection string, script ...Fault) error {
	for i, f := range script {
		if err := f.check(); err != nil {
			return err
		}
		if slices.ContainsFunc(script[i+1:], f.shadows) {
			return errors.New("a fault without a count never ends: it must be the last")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.lookup(connection)
	if err != nil {
		return err
	}
	c.script = slices.Clone(script)
	return nil
}

// nextFault takes the first fault that matches such a request; the zero Fault is
// none. s.mu is held.
func (c *client) nextFault(kind string) Fault {
	if c == nil {
		return Fault{}
	}
	at := slices.IndexFunc(c.script, func(f Fault) bool { return f.matches(kind) })
	if at < 0 {
		return Fault{}
	}
	f := c.script[at]
	if f.Count == 1 {
		c.script = slices.Delete(c.script, at, at+1)
	} else if f.Count > 1 {
		c.script[at].Count--
	}
	return f
}

// respondWith responds to a request with a fault. work makes the normal response and
// is called at most once.
func (s *Sandbox) respondWith(w http.ResponseWriter, r *http.Request, f Fault, c *client, work func() response) {
	var normal response
	early := f.Processed || f.Truncate
	if early {
		normal = work()
	}
	if f.Latency > 0 && s.wait(r.Context(), f.Latency) != nil {
		s.abandon(c, f)
		abort(w)
		return
	}
	if !early && !f.replaces() {
		normal = work()
	}
	f.send(w, r, normal)
}

// abandon counts a request whose client left before it was handled.
func (s *Sandbox) abandon(c *client, f Fault) {
	if f.Processed || f.replaces() || f.On == OnRevocation {
		return // already counted, or in another counter
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.countersOf(c).count(outcomeAbandoned)
}

func (f Fault) send(w http.ResponseWriter, r *http.Request, normal response) {
	switch {
	case f.Reset:
		abort(w)
	case f.Truncate:
		normal.writeHalf(w)
	case f.Redirect != "" || f.isLiteral():
		f.literal().write(w)
		f.hangAfter(w, r)
	case f.Hang:
		<-r.Context().Done()
		abort(w)
	default:
		normal.write(w)
	}
}

// literal is the literal response of the fault.
func (f Fault) literal() response {
	resp := response{header: http.Header{}, body: []byte(f.Body)}
	if f.Redirect != "" {
		resp.header.Set("Location", f.Redirect)
		resp.status = cmp.Or(f.Status, http.StatusTemporaryRedirect)
		return resp
	}
	resp.status = cmp.Or(f.Status, http.StatusOK)
	if f.RetryAfter != "" {
		resp.header.Set("Retry-After", f.RetryAfter)
	}
	if f.ContentType != "" || f.Body != "" {
		resp.header.Set("Content-Type", cmp.Or(f.ContentType, "application/json"))
	}
	return resp
}

// hangAfter leaves a response unfinished.
func (f Fault) hangAfter(w http.ResponseWriter, r *http.Request) {
	if !f.Hang {
		return
	}
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// writeHalf sends the full Content-Length and half of the body; net/http then closes
// the connection.
func (resp response) writeHalf(w http.ResponseWriter) {
	w.Header().Set("Content-Length", strconv.Itoa(len(resp.body)))
	resp.body = resp.body[:len(resp.body)/2]
	resp.write(w)
}

// abort ends the connection without a response: by a TCP reset if possible
// (HTTP/1.1), else by aborting the response.
func abort(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	raw := conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok { // under TLS
		raw = t.NetConn()
	}
	if t, ok := raw.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // closing now sends a reset
	}
	_ = raw.Close()
}

// wireFault is a Fault in JSON; latency is in seconds.
type wireFault struct {
	On          string  `json:"on,omitempty"`
	Count       int     `json:"count,omitempty"`
	Latency     float64 `json:"latency,omitempty"`
	Processed   bool    `json:"processed,omitempty"`
	Status      int     `json:"status,omitempty"`
	RetryAfter  string  `json:"retry_after,omitempty"`
	ContentType string  `json:"content_type,omitempty"`
	Body        string  `json:"body,omitempty"`
	Redirect    string  `json:"redirect,omitempty"`
	Reset       bool    `json:"reset,omitempty"`
	Truncate    bool    `json:"truncate,omitempty"`
	Hang        bool    `json:"hang,omitempty"`
}

// MarshalJSON writes the fault as the control endpoint shows it.
func (f Fault) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireFault{
		f.On, f.Count, f.Latency.Seconds(), f.Processed, f.Status, f.RetryAfter, f.ContentType,
		f.Body, f.Redirect, f.Reset, f.Truncate, f.Hang,
	})
}

func (f wireFault) fault() Fault {
	return Fault{
		f.On, f.Count, time.Duration(f.Latency * float64(time.Second)), f.Processed, f.Status, f.RetryAfter, f.ContentType,
		f.Body, f.Redirect, f.Reset, f.Truncate, f.Hang,
	}
}

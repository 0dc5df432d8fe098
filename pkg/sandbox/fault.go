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

// Fault is what goes wrong with a connection's token requests. It says either
// what is answered instead of the truth (Status, RetryAfter, ContentType and
// Body together), or one of Redirect, Reset, Truncate; Hang alone, or Hang
// after a literal answer's bytes. Latency goes with all of them. A Fault with a
// Count and nothing else lets that many requests pass.
//
// The refresh whose answer is lost is Fault{Processed: true, Reset: true}: the
// server has rotated, the client sees a connection that breaks.
type Fault struct {
	// On is which requests it meets: those of one grant type, or [OnRevocation];
	// empty is every request to the token endpoint.
	On string
	// Count is how many requests it meets; zero is all until it is cleared.
	Count int
	// Latency passes before the answer.
	Latency time.Duration
	// Processed has the server do its work first (a token is minted, a one-time
	// credential spent), so that only the answer is lost or late.
	Processed bool

	// Status is the literal answer's; zero is 200.
	Status int
	// RetryAfter is the header's text, sensible or not.
	RetryAfter string
	// ContentType is the header's text; empty is application/json if there is a body.
	ContentType string
	// Body is sent as it stands.
	Body string

	// Redirect sends the client there, with Status, or 307 when it is zero.
	Redirect string
	// Reset ends the connection with a TCP reset and no answer.
	Reset bool
	// Truncate announces the true answer's length and sends half of it.
	Truncate bool
	// Hang sends nothing, or nothing more, until the client gives up.
	Hang bool
}

// OnRevocation is the On of a fault of the revocation endpoint.
const OnRevocation = "revocation"

// meets reports whether the fault concerns such a request, by its grant type or
// OnRevocation.
func (f Fault) meets(kind string) bool {
	return f.On == kind || f.On == "" && kind != OnRevocation
}

// hides reports whether f, which never ends, keeps g from ever being met.
func (f Fault) hides(g Fault) bool {
	return f.Count == 0 && (f.On == g.On || f.On == "" && g.On != OnRevocation)
}

// isLiteral reports whether there is an answer to send as it stands.
func (f Fault) isLiteral() bool {
	return f.Redirect == "" && (f.Status != 0 || f.RetryAfter != "" || f.ContentType != "" || f.Body != "")
}

// replaces reports whether the client gets anything but the true answer.
func (f Fault) replaces() bool {
	return f.isLiteral() || f.Redirect != "" || f.Reset || f.Truncate || f.Hang
}

// check says what is wrong with a fault that somebody wants.
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
		return errors.New("a fault is one of a literal answer, redirect, reset, truncate or hang")
	case kinds == 0 && f.Latency == 0 && f.Count == 0:
		return errors.New("the fault does nothing: give a status, body, retry_after, content_type, latency, redirect, reset, truncate or hang")
	case f.Count < 0 || f.Latency < 0:
		return errors.New("count and latency must not be negative")
	case f.Status != 0 && (f.Status < 200 || f.Status > 599):
		return errors.New("status must be 200 to 599")
	case f.Redirect != "" && f.Status != 0 && f.Status/100 != 3:
		return errors.New("the status of a redirect must be 3xx")
	case badURL != nil:
		return errors.New("redirect must be a URL")
	case strings.ContainsAny(f.RetryAfter+f.ContentType+f.Redirect, "\r\n\x00"):
		return errors.New("a header value must not hold a line break")
	}
	return nil
}

// Fault gives a connection's requests a script: of the faults that concern a
// request the first, until its count is used up, then the next. It replaces the
// script before it; no fault at all clears it. Errors are ErrNoConnection, and
// words on what is wrong with a fault.
func (s *Sandbox) Fault(connection string, script ...Fault) error {
	for i, f := range script {
		if err := f.check(); err != nil {
			return err
		}
		if slices.ContainsFunc(script[i+1:], f.hides) {
			return errors.New("a fault without a count never ends: it must be the last")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.named(connection)
	if err != nil {
		return err
	}
	c.script = slices.Clone(script)
	return nil
}

// nextFault takes the fault whose turn it is for such a request; the zero Fault
// is none. s.mu is held.
func (c *client) nextFault(kind string) Fault {
	if c == nil {
		return Fault{}
	}
	at := slices.IndexFunc(c.script, func(f Fault) bool { return f.meets(kind) })
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

// perform answers a request as the fault wants it. work makes the true answer
// and is called at most once.
func (s *Sandbox) perform(w http.ResponseWriter, r *http.Request, f Fault, c *client, work func() answer) {
	var truth answer
	early := f.Processed || f.Truncate
	if early {
		truth = work()
	}
	if f.Latency > 0 && s.wait(r.Context(), f.Latency) != nil {
		s.abandon(c, f)
		cut(w)
		return
	}
	if !early && !f.replaces() {
		truth = work()
	}
	f.send(w, r, truth)
}

// abandon counts a request whose client went away before anything was done.
func (s *Sandbox) abandon(c *client, f Fault) {
	if f.Processed || f.replaces() || f.On == OnRevocation {
		return // counted already, or in another figure
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.countersOf(c).count(outcomeAbandoned)
}

func (f Fault) send(w http.ResponseWriter, r *http.Request, truth answer) {
	switch {
	case f.Reset:
		cut(w)
	case f.Truncate:
		truth.writeHalf(w)
	case f.Redirect != "" || f.isLiteral():
		f.literal().write(w)
		f.hangAfter(w, r)
	case f.Hang:
		<-r.Context().Done()
		cut(w)
	default:
		truth.write(w)
	}
}

// literal is the answer that the fault spells out.
func (f Fault) literal() answer {
	a := answer{header: http.Header{}, body: []byte(f.Body)}
	if f.Redirect != "" {
		a.header.Set("Location", f.Redirect)
		a.status = cmp.Or(f.Status, http.StatusTemporaryRedirect)
		return a
	}
	a.status = cmp.Or(f.Status, http.StatusOK)
	if f.RetryAfter != "" {
		a.header.Set("Retry-After", f.RetryAfter)
	}
	if f.ContentType != "" || f.Body != "" {
		a.header.Set("Content-Type", cmp.Or(f.ContentType, "application/json"))
	}
	return a
}

// hangAfter leaves an answer without an end.
func (f Fault) hangAfter(w http.ResponseWriter, r *http.Request) {
	if !f.Hang {
		return
	}
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// writeHalf announces the whole answer and leaves it unfinished; net/http then
// closes the connection.
func (a answer) writeHalf(w http.ResponseWriter) {
	w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
	a.body = a.body[:len(a.body)/2]
	a.write(w)
}

// cut ends the connection without an answer: by a TCP reset where it can be
// had (HTTP/1.1), else by aborting the response.
func cut(w http.ResponseWriter) {
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

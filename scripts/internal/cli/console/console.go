// Package console serves a page on loopback that shows the state of a service and
// acts on it, signed as whoever started it.
//
// The page never gets a token: of the API's answers only named members are passed
// on. It is protected from other pages of the same browser by a random path, the
// Host header, and for changes the Origin header.
package console

import (
	"bytes"
	"cmp"
	"context"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/client/apihost"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/scripts/internal/client"
	"github.com/tokenvend/tokenvend/scripts/internal/localhttp"
)

//go:embed page
var pageFiles embed.FS

// API sends a signed request to the service and returns the response, of any
// status, with its whole body. *client.Client implements it.
type API interface {
	Do(ctx context.Context, method, path string, body any) (client.Answer, error)
}

// Config configures a console. All fields are required.
type Config struct {
	API API
	// URL is the API's, as the page shows it.
	URL string
	// Secret is the first segment of the page's path.
	Secret string
}

// New returns the handler of the page, which is at /SECRET/.
func New(c Config) http.Handler {
	s := &server{Config: c}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.file)
	mux.HandleFunc("GET /{file}", s.file)
	mux.HandleFunc("GET /api/service", s.service)
	mux.HandleFunc("GET /api/connections", s.list)
	mux.HandleFunc("GET /api/connections/{connection}", s.status)
	for name := range actions {
		mux.HandleFunc("POST /api/"+name, s.act(name))
	}
	return s.protected(http.StripPrefix("/"+c.Secret, mux))
}

type server struct{ Config }

// policy lets the page load its own files and nothing else.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// protected refuses requests that another page has caused.
func (s *server) protected(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("X-Frame-Options", "DENY")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		if refused := s.refuse(r); refused != nil {
			refused.Write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *server) refuse(r *http.Request) *localhttp.Problem {
	given, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	origin := r.Header.Get("Origin")
	switch {
	case !apihost.IsLoopback(localhttp.Host(r.Host)):
		return localhttp.Denied("the console serves loopback hosts only; open the address that it printed")
	case subtle.ConstantTimeCompare([]byte(given), []byte(s.Secret)) != 1:
		return localhttp.Denied("the path is not the console's; open the address that it printed")
	case origin != "" && origin != "http://"+r.Host, r.Method == http.MethodPost && origin == "":
		return localhttp.Denied("the request comes from another page")
	}
	return nil
}

// file serves one of the embedded files.
func (s *server) file(w http.ResponseWriter, r *http.Request) {
	name := cmp.Or(r.PathValue("file"), "index.html")
	text, err := fs.ReadFile(pageFiles, "page/"+name)
	if err != nil {
		(&localhttp.Problem{Status: http.StatusNotFound, Code: problem.ConnectionNotFound, Detail: "there is no such page"}).Write(w)
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	_, _ = w.Write(text) // the browser may have disconnected
}

func (s *server) service(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]string{"url": s.URL})
}

func (s *server) list(w http.ResponseWriter, r *http.Request) {
	s.pass(w, r, http.MethodGet, "/connections"+pageQuery(r), nil, &listing{})
}

func (s *server) status(w http.ResponseWriter, r *http.Request) {
	path, err := order{Connection: r.PathValue("connection")}.path()
	if err != nil {
		badOrder(w, err.Error())
		return
	}
	s.pass(w, r, http.MethodGet, path+pageQuery(r), nil, &connection{})
}

// pass sends a request and passes on the members of the answer that shape has.
func (s *server) pass(w http.ResponseWriter, r *http.Request, method, path string, body, shape any) {
	answer, err := s.API.Do(r.Context(), method, path, body)
	if err != nil {
		(&localhttp.Problem{Status: http.StatusBadGateway, Code: problem.ProviderUnavailable, Detail: err.Error(), Retryable: true}).Write(w)
		return
	}
	if answer.StatusCode >= http.StatusBadRequest {
		s.passProblem(w, answer)
		return
	}
	if answer.StatusCode == http.StatusNoContent {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	if json.Unmarshal(answer.Body, shape) != nil {
		notOurs(w)
		return
	}
	reply(w, shape)
}

func (s *server) passProblem(w http.ResponseWriter, answer client.Answer) {
	var p failure
	if json.Unmarshal(answer.Body, &p) != nil || p.Error == "" {
		notOurs(w)
		return
	}
	if after := answer.Header.Get("Retry-After"); after != "" {
		w.Header().Set("Retry-After", after)
	}
	encoded, _ := json.Marshal(p) // strings and a number: it cannot fail
	localhttp.WriteJSON(w, "application/problem+json", answer.StatusCode, encoded)
}

func notOurs(w http.ResponseWriter) {
	(&localhttp.Problem{Status: http.StatusBadGateway, Code: problem.ProviderMalformed,
		Detail: "the answer is not the service's; does the URL end with the stage, such as /v1?"}).Write(w)
}

func reply(w http.ResponseWriter, value any) {
	var text bytes.Buffer
	_ = json.NewEncoder(&text).Encode(value) // the types of this package: it cannot fail
	localhttp.WriteJSON(w, "application/json", http.StatusOK, text.Bytes())
}

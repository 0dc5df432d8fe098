package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/provider"
)

// resourcePath is the path of the resource that each server protects.
const resourcePath = "/resource"

// Resource is the address of the resource that accepts a connection's tokens. The
// error is ErrNoConnection.
func (s *Sandbox) Resource(connection string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.lookup(connection)
	if err != nil {
		return "", err
	}
	return s.issuerOf(c.server) + resourcePath, nil
}

// resource is the response to a valid token.
type resource struct {
	Connection string `json:"connection"`
	Scope      string `json:"scope,omitempty"`
	OnBehalfOf string `json:"on_behalf_of,omitempty"`
	ExpiresIn  int64  `json:"expires_in"` // remaining seconds
}

// serveResource responds with 200 to a valid token of its server, and otherwise as
// RFC 6750 §3 specifies.
func (s *Sandbox) serveResource(srv *server, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
		return
	}
	token, refused := srv.readToken(r.Header)
	if refused != "" {
		refuseBearer(w, http.StatusBadRequest, refused)
		return
	}
	if token == "" {
		refuseBearer(w, http.StatusUnauthorized, `Bearer realm="sandbox"`)
		return
	}
	found, ok := s.lookupToken(srv, token)
	if !ok {
		refuseBearer(w, http.StatusUnauthorized, `Bearer realm="sandbox", error="invalid_token", error_description="The access token is unknown, expired or revoked"`)
		return
	}
	writeJSON(w, http.StatusOK, found)
}

// readToken reads the token from where the server wants it.
func (srv *server) readToken(header http.Header) (token, refused string) {
	present := provider.Present{}
	if srv.entry != nil {
		present = srv.entry.Present
	}
	if present == (provider.Present{}) {
		return readBearer(header)
	}
	sent := header.Values(present.Header)
	if len(sent) == 0 {
		return "", ""
	}
	token, found := strings.CutPrefix(sent[0], present.Prefix)
	if len(sent) > 1 || !found || token == "" || strings.ContainsAny(token, " \t,") {
		return "", `Bearer realm="sandbox", error="invalid_request", error_description="The header with the token is not as documented"`
	}
	return token, ""
}

// readBearer reads the token from the header, the only supported location. Without a
// header there is no token; for an invalid one it returns a challenge.
func readBearer(header http.Header) (token, refused string) {
	sent := header.Values("Authorization")
	if len(sent) == 0 {
		return "", ""
	}
	scheme, token, _ := strings.Cut(sent[0], " ")
	if len(sent) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" || strings.ContainsAny(token, " \t,") {
		return "", `Bearer realm="sandbox", error="invalid_request", error_description="Send one Authorization header with one Bearer token"`
	}
	return token, ""
}

func refuseBearer(w http.ResponseWriter, status int, challenge string) {
	w.Header().Set("WWW-Authenticate", challenge)
	w.WriteHeader(status)
}

// lookupToken returns what a valid token is for.
func (s *Sandbox) lookupToken(srv *server, token string) (resource, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.tokens.active[token]
	left := i.expiresAt.Sub(s.clock())
	if !ok || left <= 0 || i.client.server != srv {
		return resource{}, false
	}
	i.refresh.markHeld()
	return resource{Connection: i.client.connection, Scope: i.scope, OnBehalfOf: i.user, ExpiresIn: int64(left / time.Second)}, true
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	_ = out.Encode(body) // a client that has left needs no response
}

package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// resourcePath is where each server keeps the thing its tokens open.
const resourcePath = "/resource"

// admission is what a resource answers to a living token.
type admission struct {
	Connection string `json:"connection"`
	Scope      string `json:"scope,omitempty"`
	OnBehalfOf string `json:"on_behalf_of,omitempty"`
	ExpiresIn  int64  `json:"expires_in"` // seconds that remain
}

// serveResource answers 200 to a living token of its own server, and refuses
// everything else as RFC 6750 §3 words it.
func (s *Sandbox) serveResource(srv *server, w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "use GET", http.StatusMethodNotAllowed)
		return
	}
	token, refused := readBearer(r.Header)
	if refused != "" {
		refuseBearer(w, http.StatusBadRequest, refused)
		return
	}
	if token == "" {
		refuseBearer(w, http.StatusUnauthorized, `Bearer realm="sandbox"`)
		return
	}
	admitted, ok := s.open(srv, token)
	if !ok {
		refuseBearer(w, http.StatusUnauthorized, `Bearer realm="sandbox", error="invalid_token", error_description="The access token is unknown, expired or revoked"`)
		return
	}
	writeJSON(w, http.StatusOK, admitted)
}

// readBearer takes the token from the header, the only place it may come in
// here. Nothing there is no token; something unreadable is a challenge.
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

// open looks a token up and says what it is good for.
func (s *Sandbox) open(srv *server, token string) (admission, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.tokens.living[token]
	left := i.expiresAt.Sub(s.clock())
	if !ok || left <= 0 || i.client.server != srv {
		return admission{}, false
	}
	i.handle.proveHeld()
	return admission{Connection: i.client.connection, Scope: i.scope, OnBehalfOf: i.user, ExpiresIn: int64(left / time.Second)}, true
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	out.SetIndent("", "  ")
	_ = out.Encode(body) // a client that went away needs no answer
}

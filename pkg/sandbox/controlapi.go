package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/tokenvend/tokenvend/pkg/redact"
)

// state is what the control endpoints show of a connection. It has no secret and no
// token.
type state struct {
	Connection    string   `json:"connection"`
	Provider      string   `json:"provider"`
	TokenURL      string   `json:"token_url"`
	ResourceURL   string   `json:"resource_url"`
	ExpiresIn     int64    `json:"expires_in"`
	User          string   `json:"user,omitempty"`
	LivingTokens  int      `json:"living_tokens"`
	TokenRequests Counters `json:"token_requests"`
	Faults        []Fault  `json:"faults"`
	// Only for delegated clients.
	*delegatedState
}

// control is one control endpoint: it reads the request, applies the control, and
// returns the response.
type control func(s *Sandbox, connection string, r *http.Request) (any, error)

// controlRoutes maps each control endpoint to its function.
func (s *Sandbox) controlRoutes() http.Handler {
	mux := http.NewServeMux()
	for pattern, run := range map[string]control{
		"GET /control/{connection}":             controlState,
		"PUT /control/{connection}":             controlRegister,
		"POST /control/{connection}/rotate":     controlRotate,
		"POST /control/{connection}/user":       controlUser,
		"POST /control/{connection}/revoke":     controlRevoke,
		"POST /control/{connection}/lifetime":   controlLifetime,
		"POST /control/{connection}/fault":      controlFault,
		"DELETE /control/{connection}/fault":    controlClearFault,
		"DELETE /control/{connection}/counters": controlResetCounters,
		"POST /control/{connection}/redirects":  controlRedirects,
		"POST /control/{connection}/refresh":    controlRefresh,
		"POST /control/{connection}/issuer":     controlIssuer,
		"POST /control/{connection}/end":        controlEnd,
		"POST /control/{connection}/expire":     controlExpire,
		"POST /control/{connection}/forget":     controlForget,
		"GET /control":                          controlAll,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.serveControl(w, r, run) })
	}
	return mux
}

func (s *Sandbox) serveControl(w http.ResponseWriter, r *http.Request, run control) {
	w.Header().Set("Cache-Control", "no-store")
	if r.Header.Get("Sec-Fetch-Site") == "cross-site" { // any web page can send a POST to loopback
		writeJSON(w, http.StatusForbidden, map[string]string{"error": "access_denied: a page of another site may not use the controls"})
		return
	}
	shown, err := run(s, r.PathValue("connection"), r)
	switch {
	case errors.Is(err, ErrNoConnection):
		writeJSON(w, http.StatusNotFound, map[string]string{"error": err.Error() + "; GET /control lists them"})
	case err != nil:
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
	default:
		writeJSON(w, http.StatusOK, shown)
	}
}

func controlAll(s *Sandbox, _ string, _ *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	active := s.activeTokens()
	all := []state{}
	for _, name := range slices.Sorted(maps.Keys(s.clients)) {
		c := s.clients[name]
		all = append(all, s.stateOf(c, active[c]))
	}
	return map[string]any{"connections": all, "strangers": s.unknownClients.clone()}, nil
}

func controlState(s *Sandbox, connection string, _ *http.Request) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.lookup(connection)
	if err != nil {
		return nil, err
	}
	return s.stateOf(c, s.activeTokens()[c]), nil
}

// stateOf is a client's state. s.mu is held.
func (s *Sandbox) stateOf(c *client, active int) state {
	base := s.baseURL + c.server.prefix
	shown := state{
		Connection: c.connection, Provider: c.server.provider,
		TokenURL: base + c.server.tokenPath, ResourceURL: base + resourcePath,
		ExpiresIn: int64(c.lifetime() / time.Second), User: c.user, LivingTokens: active,
		TokenRequests: c.counters.clone(), Faults: append([]Fault{}, c.script...),
	}
	if c.isDelegated() {
		shown.delegatedState = s.delegatedStateOf(c)
	}
	return shown
}

// activeTokens counts the valid access tokens of each client. s.mu is held.
func (s *Sandbox) activeTokens() map[*client]int {
	now, active := s.clock(), map[*client]int{}
	for _, i := range s.tokens.active {
		if now.Before(i.expiresAt) {
			active[i.client]++
		}
	}
	return active
}

// controlRotate returns the connection's new file.
func controlRotate(s *Sandbox, connection string, r *http.Request) (any, error) {
	how, err := readRotation(r.URL.Query())
	if err != nil {
		return nil, err
	}
	if err := s.Rotate(connection, how); err != nil {
		return nil, err
	}
	return json.RawMessage(s.Connections()[connection]), nil
}

// readRotation accepts only update and grace (seconds).
func readRotation(query url.Values) (how Rotation, err error) {
	for name, values := range query {
		switch {
		case name == "update" && len(values) == 1 && (values[0] == "true" || values[0] == "false"):
			how.Update = values[0] == "true"
		case name == "grace" && len(values) == 1:
			seconds, err := strconv.ParseUint(values[0], 10, 31)
			if err != nil {
				return how, errors.New("grace must be a number of seconds")
			}
			how.Grace = time.Duration(seconds) * time.Second
		default:
			return how, errors.New("rotate accepts ?update=true or false, and grace=seconds, once each")
		}
	}
	return how, nil
}

func controlUser(s *Sandbox, connection string, r *http.Request) (any, error) {
	var body struct {
		User string `json:"user"`
	}
	if err := readControl(r, &body); err != nil {
		return nil, err
	}
	if err := s.ChangeUser(connection, body.User); err != nil {
		return nil, err
	}
	return controlState(s, connection, r)
}

func controlRevoke(s *Sandbox, connection string, r *http.Request) (any, error) {
	var body struct {
		Token string `json:"token"`
	}
	if err := readControl(r, &body); err != nil {
		return nil, err
	}
	revoked, err := s.Revoke(connection, redact.New(body.Token))
	if err != nil {
		return nil, err
	}
	return map[string]int{"revoked": revoked}, nil
}

func controlLifetime(s *Sandbox, connection string, r *http.Request) (any, error) {
	var body struct {
		ExpiresIn *uint32 `json:"expires_in"`
	}
	if err := readControl(r, &body); err != nil {
		return nil, err
	}
	if body.ExpiresIn == nil {
		return nil, errors.New("expires_in is missing: set it to seconds, 0 for the documented lifetime")
	}
	if err := s.SetLifetime(connection, time.Duration(*body.ExpiresIn)*time.Second); err != nil {
		return nil, err
	}
	return controlState(s, connection, r)
}

// faultScript is one fault, or an array of them in order.
type faultScript []wireFault

// UnmarshalJSON accepts both forms, strictly.
func (f *faultScript) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("[")) {
		return decodeStrictly(bytes.NewReader(text), (*[]wireFault)(f))
	}
	*f = make(faultScript, 1)
	return decodeStrictly(bytes.NewReader(text), &(*f)[0])
}

func controlFault(s *Sandbox, connection string, r *http.Request) (any, error) {
	var body faultScript
	if err := readControl(r, &body); err != nil {
		return nil, err
	}
	if len(body) == 0 {
		return nil, errors.New("the fault is missing; DELETE clears faults")
	}
	var script []Fault
	for _, f := range body {
		script = append(script, f.fault())
	}
	if err := s.Fault(connection, script...); err != nil {
		return nil, err
	}
	return controlState(s, connection, r)
}

func controlClearFault(s *Sandbox, connection string, r *http.Request) (any, error) {
	if err := s.Fault(connection); err != nil {
		return nil, err
	}
	return controlState(s, connection, r)
}

func controlResetCounters(s *Sandbox, connection string, r *http.Request) (any, error) {
	if err := s.ResetCounters(connection); err != nil {
		return nil, err
	}
	return controlState(s, connection, r)
}

// readControl decodes a JSON body strictly; without a body, into is unchanged.
func readControl(r *http.Request, into any) error {
	if r.URL.RawQuery != "" {
		return errors.New("this endpoint accepts a JSON body and no query")
	}
	text, err := readBody(r.Body)
	if err != nil {
		return fmt.Errorf("read the body: %w", err)
	}
	if len(text) == 0 {
		return nil
	}
	return decodeStrictly(bytes.NewReader(text), into)
}

func decodeStrictly(text io.Reader, into any) error {
	in := json.NewDecoder(text)
	in.DisallowUnknownFields()
	if err := in.Decode(into); err != nil {
		return fmt.Errorf("the body must be JSON as documented at GET /: %w", err)
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return errors.New("the body must be one JSON value")
	}
	return nil
}

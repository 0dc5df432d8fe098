package sandbox

import (
	"cmp"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// The error codes of an authorization endpoint that a token endpoint lacks
// (RFC 6749 §4.1.2.1).
const (
	accessDenied            = "access_denied"
	unsupportedResponseType = "unsupported_response_type"
)

// authorization is an authorization request whose client and redirect URI are
// valid, so that a response may be sent there (RFC 6749 §4.1.1).
type authorization struct {
	client      *client
	redirectURI string
	// location is where the response goes, if redirectURI is a name.
	location string
	// state and nonce are returned unchanged.
	state, nonce string
	scope        string
	// challenge is the S256 code challenge; empty when none was sent.
	challenge string
	// issuer is the iss of the response; empty omits it.
	issuer string
}

// codeChallenge is the base64url of a SHA-256 (RFC 7636 §4.2).
var codeChallenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// readAuthorization parses an authorization request. problem says why the browser
// must not be redirected (RFC 6749 §4.1.2.1); a refusal is sent to the redirect
// URI. s.mu is held.
func (s *Sandbox) readAuthorization(srv *server, query string) (a authorization, problem string, _ *refusal) {
	params, err := url.ParseQuery(query)
	if err != nil {
		return a, "The address is damaged: its query is not valid.", nil
	}
	params, problem = srv.standardAuthorization(params)
	if problem != "" {
		return a, problem, nil
	}
	a.client = s.byID[clientKey{srv, params.Get("client_id")}]
	a.redirectURI = params.Get("redirect_uri")
	switch {
	case len(params["client_id"]) != 1 || a.client == nil || !a.client.isDelegated():
		return a, "No registered app for users has this client_id.", nil
	case a.redirectURI != "" && a.redirectURI == a.client.redirectName && len(a.client.redirectURIs) > 0:
		a.location = a.client.redirectURIs[0]
	case len(params["redirect_uri"]) != 1 || a.client.redirectName != "" || !slices.Contains(a.client.redirectURIs, a.redirectURI):
		return a, "The redirect_uri is not one that was registered for this app. It must match exactly; register it in the app's settings (in the sandbox: the control endpoint \"redirects\").", nil
	}
	a.issuer = s.responseIssuer(a.client)
	bad := a.read(params)
	return a, "", bad
}

func (s *Sandbox) responseIssuer(c *client) string {
	switch c.issuer {
	case IssuerTrue:
		return s.issuerOf(c.server)
	case IssuerFalse:
		return "https://another.example"
	case IssuerAbsent:
	}
	return ""
}

// read checks the rest of the request once the response can be sent.
func (a *authorization) read(params url.Values) (bad *refusal) {
	if len(params["state"]) == 1 {
		a.state = params.Get("state")
	}
	for _, values := range params {
		if len(values) > 1 { // RFC 6749 §3.1
			return malformed("A parameter is repeated.")
		}
	}
	switch params.Get("response_type") {
	case "code":
	case "":
		return malformed("The response_type is missing.")
	default:
		return &refusal{code: unsupportedResponseType, description: "The response_type must be code."}
	}
	a.nonce = params.Get("nonce")
	a.scope, bad = a.client.server.delegation.scope(a.client, params.Get("scope"))
	if bad != nil {
		return bad
	}
	return a.readChallenge(params)
}

// readChallenge follows RFC 7636 §4.4.1; without a method, plain is meant.
func (a *authorization) readChallenge(params url.Values) *refusal {
	a.challenge = params.Get("code_challenge")
	method := params.Get("code_challenge_method")
	switch {
	case a.challenge == "" && a.client.requirePKCE:
		return malformed("The code_challenge is missing: this client must use PKCE.")
	case a.challenge != "" && a.client.server.entry != nil && a.client.server.entry.NoPKCE:
		return malformed("PKCE is not supported.")
	case a.challenge == "" && method != "":
		return malformed("The code_challenge is missing.")
	case a.challenge == "":
		return nil
	case method != "S256":
		return malformed("The code_challenge_method must be S256.")
	case !codeChallenge.MatchString(a.challenge):
		return malformed("The code_challenge is malformed.")
	}
	return nil
}

// granted is the address of a response with a code (RFC 6749 §4.1.2). The order of
// the parameters is the documented one.
func (a authorization) granted(code string) string {
	scope := ""
	if a.client.server.delegation.scopeInRedirect {
		scope = a.scope
	}
	name, extra := a.client.server.callback()
	return a.address(append([]string{name, code, "scope", scope, "state", a.state, "iss", a.issuer}, extra...)...)
}

// refused is the address of a response with an error (RFC 6749 §4.1.2.1).
func (a authorization) refused(r refusal) string {
	return a.address("error", r.code, "error_description", r.description, "state", a.state, "iss", a.issuer)
}

// address is the redirect URI with parameters, alternately name and value; empty
// ones are omitted. A query in the redirect URI is kept (RFC 6749 §3.1.2).
func (a authorization) address(params ...string) string {
	var query []string
	for i := 0; i < len(params); i += 2 {
		if params[i+1] != "" {
			query = append(query, params[i]+"="+url.QueryEscape(params[i+1]))
		}
	}
	separator := "?"
	location := cmp.Or(a.location, a.redirectURI)
	if strings.Contains(location, "?") {
		separator = "&"
	}
	return location + separator + strings.Join(query, "&")
}

// serveAuthorize is the authorization endpoint of one server, with all its pages.
// Every form is sent to the same address, so that each step checks the
// authorization request again.
func (s *Sandbox) serveAuthorize(srv *server, w http.ResponseWriter, r *http.Request) {
	var form url.Values
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost:
		text, err := readBody(r.Body)
		if err == nil {
			form, err = url.ParseQuery(string(text))
		}
		if err != nil {
			srv.problemPage(http.StatusBadRequest, "The form is damaged.").write(w)
			return
		}
	default:
		w.Header().Set("Allow", "GET, POST")
		http.Error(w, "use GET or POST", http.StatusMethodNotAllowed)
		return
	}
	s.mu.Lock()
	next := s.authorize(srv, r, form)
	s.mu.Unlock()
	next.write(w)
}

// authorize returns the next page. s.mu is held.
func (s *Sandbox) authorize(srv *server, r *http.Request, form url.Values) page {
	a, problem, bad := s.readAuthorization(srv, r.URL.RawQuery)
	if problem != "" {
		return srv.problemPage(http.StatusBadRequest, problem)
	}
	if bad != nil {
		return redirectTo(a.refused(*bad))
	}
	b := s.browserOf(srv, r)
	if r.Method == http.MethodPost {
		return s.handleButton(srv, a, b, r.URL.RequestURI(), form)
	}
	if b == nil {
		b = s.newBrowser(srv, "")
	}
	return s.ask(srv, a, b)
}

// ask is the page that asks for what is missing: the user, or consent. s.mu is held.
func (s *Sandbox) ask(srv *server, a authorization, b *browser) page {
	v := view{CSRFToken: b.csrfToken, App: a.client.connection, User: b.user}
	switch user := srv.personOf(b.user); {
	case b.user == "":
		v.People = srv.delegation.people
		return srv.page("sign-in", v).withCookie(s.cookie(srv, b))
	case user.ineligible != "":
		v.Problem = user.ineligible
		return srv.page("ineligible", v)
	}
	v.Scopes = describe(a.scope)
	return srv.page("consent", v)
}

// handleButton handles a submitted form by its button. s.mu is held.
func (s *Sandbox) handleButton(srv *server, a authorization, b *browser, at string, form url.Values) page {
	if b == nil || !equal(b.secretCSRFToken(), form.Get("csrf_token")) {
		return srv.problemPage(http.StatusForbidden, "This form is not valid: it has expired, or it came from another site. Open the app's link again.")
	}
	button := form.Get("press")
	signedIn := b.user != "" && srv.personOf(b.user).ineligible == ""
	switch {
	case button == "sign-in":
		return s.signIn(srv, b, at, form.Get("user"))
	case button == "log-out":
		return s.logOut(srv, a, b)
	case button == "deny" && b.user != "":
		return redirectTo(a.refused(refusal{code: accessDenied, description: "The user denied access."}))
	case button == "allow" && signedIn:
		return redirectTo(a.granted(s.grantCode(a, b.user)))
	}
	return srv.problemPage(http.StatusBadRequest, "The signed-in user cannot use that button. Open the app's link again.")
}

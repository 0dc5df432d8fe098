package sandbox

import (
	"cmp"
	"encoding/json"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/provider"
)

// readEntryRequest reads a token request as the entry declares it, and gives its
// parameters the names of RFC 6749. What the server would not understand is refused.
func (srv *server) readEntryRequest(r *http.Request) tokenRequest {
	form, bad := srv.readEntryParams(r)
	if bad == nil {
		bad = srv.checkHeaders(r.Header)
	}
	form = srv.standardNames(form)
	if missing := srv.checkParams(form, r); bad == nil {
		bad = missing
	}
	if bad == nil {
		bad = srv.standardScope(form)
	}
	from, badCredentials := readCredentials(r.Header, form)
	if bad == nil {
		bad = badCredentials
	}
	return tokenRequest{form: form, credentials: from, refusal: bad}
}

// readEntryParams reads the parameters from where the entry has them.
func (srv *server) readEntryParams(r *http.Request) (url.Values, *refusal) {
	at := srv.endpointOf(r)
	switch srv.entry.Request.Body {
	case provider.BodyQuery:
		if r.Method != http.MethodGet {
			return nil, &refusal{code: invalidRequest, status: http.StatusMethodNotAllowed, description: "Use GET."}
		}
		return checkForm(r.URL.Query(), &url.URL{})
	case provider.BodyJSON:
		return readJSON(r, at.query)
	default:
		plain := *r.URL
		if plain.RawQuery == at.query {
			plain.RawQuery = ""
		}
		request := *r
		request.URL = &plain
		return readForm(&request)
	}
}

// endpointOf is the endpoint to which a request was sent.
func (srv *server) endpointOf(r *http.Request) endpointAt {
	if r.URL.EscapedPath() == srv.prefix+srv.refreshAt.path {
		return srv.refreshAt
	}
	return srv.token
}

// readJSON reads an object of strings, or of lists of strings, as parameters.
func readJSON(r *http.Request, query string) (url.Values, *refusal) {
	if r.Method != http.MethodPost {
		return nil, &refusal{code: invalidRequest, status: http.StatusMethodNotAllowed, description: "Use POST."}
	}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || !isUTF8(params) {
		return nil, &refusal{code: invalidRequest, status: http.StatusUnsupportedMediaType, description: "The content type must be application/json."}
	}
	text, err := readBody(r.Body)
	var object map[string]any
	if err != nil || json.Unmarshal(text, &object) != nil || r.URL.RawQuery != query {
		return nil, malformed("The body is not a JSON object, or there are parameters in the query.")
	}
	form := url.Values{}
	for name, value := range object {
		list, isList := value.([]any)
		if !isList {
			list = []any{value}
		}
		for _, one := range list {
			text, isText := one.(string)
			if !isText {
				return form, malformed("A parameter is not a string.")
			}
			form.Add(name, text)
		}
	}
	return form, nil
}

// standardNames gives the parameters and grant types the names of RFC 6749. One that
// is sent by a name that the server does not have is as good as absent.
func (srv *server) standardNames(form url.Values) url.Values {
	named := maps.Clone(form)
	if named == nil {
		named = url.Values{}
	}
	for standard := range srv.entry.Request.Names {
		delete(named, standard)
	}
	for standard, other := range srv.entry.Request.Names {
		if values, sent := form[other]; sent {
			named[standard] = values
		}
	}
	if sent := named.Get("grant_type"); sent != "" {
		named.Set("grant_type", srv.standardGrantType(sent))
	}
	return named
}

func (srv *server) standardGrantType(sent string) string {
	others := srv.entry.Request.GrantType
	for standard, other := range others {
		if sent == other {
			return standard
		}
	}
	if _, renamed := others[sent]; renamed || sent == jwtBearer {
		return "not " + sent
	}
	if sent == "urn:ietf:params:oauth:grant-type:jwt-bearer" && others[jwtBearer] == "" {
		return jwtBearer
	}
	return sent
}

// standardScope puts spaces between the scope tokens.
func (srv *server) standardScope(form url.Values) *refusal {
	separator, scope := srv.entry.ScopeSeparator, form.Get("scope")
	if separator == "" || separator == " " || scope == "" {
		return nil
	}
	if strings.Contains(scope, " ") && !strings.Contains(separator, " ") {
		return &refusal{code: invalidScope, description: "The scope tokens are not separated as documented."}
	}
	form.Set("scope", strings.ReplaceAll(scope, separator, " "))
	return nil
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// checkHeaders requires the fixed headers.
func (srv *server) checkHeaders(header http.Header) *refusal {
	for name, want := range srv.entry.Request.Headers {
		before, after, varies := strings.Cut(want, "{uuid}")
		got := header.Values(name)
		ok := len(got) == 1 && got[0] == want
		if varies && len(got) == 1 {
			id, hasBefore := strings.CutPrefix(got[0], before)
			id, hasAfter := strings.CutSuffix(id, after)
			ok = hasBefore && hasAfter && uuid.MatchString(id)
		}
		if !ok {
			return malformed("The header " + name + " is missing or wrong.")
		}
	}
	return nil
}

// checkParams requires the parameters of the grant type, and that the request came to
// the endpoint for it.
func (srv *server) checkParams(form url.Values, r *http.Request) *refusal {
	want, at := srv.entry.TokenParams, srv.token
	if form.Get("grant_type") == refreshToken {
		want, at = srv.entry.RefreshParams, srv.refreshAt
	}
	if srv.endpointOf(r).path != at.path {
		return malformed("This grant_type belongs to the other endpoint.")
	}
	if missing := missing(form, want); missing != "" {
		return malformed("The parameter " + missing + " is missing or wrong.")
	}
	if query, err := url.ParseQuery(at.query); err == nil && srv.entry.Request.Body == provider.BodyQuery {
		if missing := missing(r.URL.Query(), provider.Params(query)); missing != "" {
			return malformed("The parameter " + missing + " is missing or wrong.")
		}
	}
	return nil
}

// missing is the first parameter that is not as declared; empty if there is none.
func missing(form url.Values, want provider.Params) string {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !slices.Equal(form[name], want[name]) {
			return name
		}
	}
	return ""
}

// standardAuthorization gives the parameters of an authorization request the names of
// RFC 6749, and says which one is missing.
func (srv *server) standardAuthorization(params url.Values) (url.Values, string) {
	if srv.entry == nil {
		return params, ""
	}
	fixed, err := url.ParseQuery(srv.authorizeAt.query)
	name := missing(params, provider.Params(fixed))
	if name = cmp.Or(name, missing(params, srv.entry.AuthorizationParams)); name != "" || err != nil {
		return params, "The parameter " + name + " is missing or wrong."
	}
	named := maps.Clone(params)
	for standard, other := range srv.entry.Request.Names {
		if values, sent := params[other]; sent {
			named[standard] = values
		} else if standard == "client_id" || standard == "redirect_uri" {
			delete(named, standard)
		}
	}
	if bad := srv.standardScope(named); bad != nil {
		return params, bad.description
	}
	return named, ""
}

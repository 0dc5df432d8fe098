package oauth

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// AuthorizationRequest is a request to the authorization endpoint (RFC 6749
// §4.1.1), which a browser sends.
type AuthorizationRequest struct {
	// AuthorizationURL is the endpoint; a query in it is kept (RFC 6749 §3.1), and so is
	// a fragment, which a page of the server may read.
	AuthorizationURL string
	ClientID         string
	// RedirectURI must be repeated, byte for byte, in the token request with the
	// code (RFC 6749 §4.1.3).
	RedirectURI string
	// Scope is sent unchanged, but with ScopeSeparator for each space; empty means that
	// the parameter is omitted. An empty ScopeSeparator is a space.
	Scope, ScopeSeparator string
	// Names are other names of parameters, by the name in RFC 6749. Servers differ in
	// whether these hold here too, so both are sent.
	Names map[string]string
	// State binds the response to the browser that sent the request (RFC 6749 §10.12).
	State string
	// Challenge is the [Challenge] of a code verifier; empty means no PKCE.
	Challenge string
	// Params are extra parameters; several values of one name are sent in order.
	Params url.Values
}

// reservedAuthorizationParams are the parameters that only the service sets in an
// authorization request, and those that would replace all others (RFC 9101 §5).
var reservedAuthorizationParams = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method",
	"client_secret", "request", "request_uri",
}

// AuthorizationURL builds the address to open in a browser. It fails if a required
// field is missing, if the endpoint is not an absolute http(s) URL without a
// user, or if Params or the endpoint's query contains a parameter that the
// service sets: of a repeated parameter each side could use another value
// (RFC 6749 §3.1). The error names the parameter and shows no value.
func AuthorizationURL(r AuthorizationRequest) (string, error) {
	endpoint, err := r.endpoint()
	if err != nil {
		return "", err
	}
	query, err := r.query()
	if err != nil {
		return "", err
	}
	// A space as %20 decodes the same as a form and as a URL. A plus sign in a
	// value is already %2B.
	endpoint.RawQuery = joinQuery(endpoint.RawQuery, strings.ReplaceAll(query.Encode(), "+", "%20"))
	return endpoint.String(), nil
}

func (r AuthorizationRequest) endpoint() (*url.URL, error) {
	u, err := url.Parse(r.AuthorizationURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil {
		return nil, errors.New("the authorization endpoint is not an absolute URL without a user")
	}
	own, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("the query of the authorization endpoint is not valid")
	}
	u.ForceQuery = false
	return u, rejectReserved(own, "the query of the authorization endpoint")
}

func (r AuthorizationRequest) query() (url.Values, error) {
	if err := rejectReserved(r.Params, "the extra parameters"); err != nil {
		return nil, err
	}
	query := url.Values{}
	maps.Copy(query, r.Params)
	for name, value := range map[string]string{
		"response_type": "code", "client_id": r.ClientID, "redirect_uri": r.RedirectURI, "state": r.State,
	} {
		if value == "" {
			return nil, fmt.Errorf("the authorization request has no %s", name)
		}
		query.Set(name, value)
	}
	if r.Scope != "" {
		query.Set("scope", JoinScope(r.Scope, r.ScopeSeparator))
	}
	if r.Challenge != "" {
		query.Set("code_challenge", r.Challenge)
		query.Set("code_challenge_method", "S256")
	}
	for _, name := range []string{"client_id", "redirect_uri", "scope"} {
		if other := r.Names[name]; other != "" && query.Has(name) {
			query.Set(other, query.Get(name))
		}
	}
	return query, nil
}

// rejectReserved ignores the case of names, as some servers do.
func rejectReserved(params url.Values, where string) error {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if lower := strings.ToLower(name); slices.Contains(reservedAuthorizationParams, lower) {
			return fmt.Errorf("%s contains %s, which the service sets itself", where, lower)
		}
	}
	return nil
}

func joinQuery(own, added string) string {
	if own == "" {
		return added
	}
	return own + "&" + added
}

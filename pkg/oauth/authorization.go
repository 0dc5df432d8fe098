package oauth

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// AuthorizationRequest is what a browser is sent to the authorization endpoint
// with (RFC 6749 §4.1.1).
type AuthorizationRequest struct {
	// AuthorizationURL is the endpoint; a query of its own is kept (RFC 6749 §3.1).
	AuthorizationURL string
	ClientID         string
	// RedirectURI has to come again, byte for byte, in the request that
	// redeems the code (RFC 6749 §4.1.3).
	RedirectURI string
	// Scope is sent as it is; empty means that the parameter is omitted.
	Scope string
	// State ties the response to the browser that asked (RFC 6749 §10.12).
	State string
	// Challenge is the [Challenge] of a code verifier; empty means no PKCE.
	Challenge string
	// Params are extra parameters; several values of one name are sent in order.
	Params url.Values
}

// requested are the parameters that the service alone sets in an authorization
// request, and those that would replace them all (RFC 9101 §5).
var requested = []string{
	"response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method",
	"client_secret", "request", "request_uri",
}

// AuthorizationURL builds the address to open in a browser. It fails for a
// request that lacks a member it cannot do without, an endpoint that is not an
// absolute http(s) URL without user and fragment, and a parameter that the
// service sets itself, be it among Params or in the endpoint's own query: sent
// twice, each side could read another one (RFC 6749 §3.1). The error names the
// parameter and shows no value.
func AuthorizationURL(r AuthorizationRequest) (string, error) {
	endpoint, err := r.endpoint()
	if err != nil {
		return "", err
	}
	query, err := r.query()
	if err != nil {
		return "", err
	}
	// A space as %20 is read alike by those who decode forms and those who
	// decode URLs; a plus sign of a value is %2B by now.
	endpoint.RawQuery = joinQuery(endpoint.RawQuery, strings.ReplaceAll(query.Encode(), "+", "%20"))
	return endpoint.String(), nil
}

func (r AuthorizationRequest) endpoint() (*url.URL, error) {
	u, err := url.Parse(r.AuthorizationURL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || strings.Contains(r.AuthorizationURL, "#") {
		return nil, errors.New("authorization endpoint is no absolute URL without user and fragment")
	}
	own, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("the query of the authorization endpoint cannot be read")
	}
	u.ForceQuery = false
	return u, refuseRequested(own, "the query of the authorization endpoint")
}

func (r AuthorizationRequest) query() (url.Values, error) {
	if err := refuseRequested(r.Params, "the extra parameters"); err != nil {
		return nil, err
	}
	query := url.Values{}
	maps.Copy(query, r.Params)
	for name, value := range map[string]string{
		"response_type": "code", "client_id": r.ClientID, "redirect_uri": r.RedirectURI, "state": r.State,
	} {
		if value == "" {
			return nil, fmt.Errorf("authorization request without %s", name)
		}
		query.Set(name, value)
	}
	if r.Scope != "" {
		query.Set("scope", r.Scope)
	}
	if r.Challenge != "" {
		query.Set("code_challenge", r.Challenge)
		query.Set("code_challenge_method", "S256")
	}
	return query, nil
}

// refuseRequested compares without regard to case, as some servers do.
func refuseRequested(params url.Values, where string) error {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if lower := strings.ToLower(name); slices.Contains(requested, lower) {
			return fmt.Errorf("%s holds %s, which the service sets itself", where, lower)
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

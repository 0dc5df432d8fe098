package connection

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

// reserved are the parameters that the service sets itself (AZ-42), and those
// that would replace all others (a request object, RFC 9101).
var reserved = []string{
	"client_id", "client_secret", "grant_type", "code", "redirect_uri", "state", "code_challenge", "code_challenge_method",
	"code_verifier", "refresh_token", "assertion", "client_assertion", "client_assertion_type", "scope", "response_type",
	"request", "request_uri",
}

// params reads extra parameters: a string, or an array of strings that repeats
// the parameter in order (RFC 8707 §2).
func (d declaration) params(name string) url.Values {
	object, ok := d.object(name)
	if !ok {
		return nil
	}
	inner := d.nested(name, object)
	values := url.Values{}
	for _, param := range slices.Sorted(maps.Keys(object)) {
		// Some servers ignore the case of parameter names.
		if slices.Contains(reserved, strings.ToLower(param)) {
			inner.report(strictjson.PrintableName(param), "is reserved: the service sets it itself; remove it")
			continue
		}
		values[param] = inner.param(param)
	}
	return values
}

// authorizationParams reads the extra parameters of the authorization request.
// The service reads the authorization response from the query of the redirect
// URI, so no other response mode is accepted.
func (r *reader) authorizationParams() {
	r.c.AuthorizationParams = r.params(mAuthzParams)
	for name, modes := range r.c.AuthorizationParams {
		if strings.EqualFold(name, "response_mode") && !slices.Equal(modes, []string{"query"}) {
			r.report(mAuthzParams+"/"+name, "must be query or absent: the service reads the authorization response from the query")
		}
	}
}

func (d declaration) param(name string) []string {
	array, isArray := d.members[name].([]any)
	shown := strictjson.PrintableName(name)
	switch {
	case name == "":
		d.report("", "is a parameter without a name; remove it")
		return nil
	case !isArray:
		array = []any{d.members[name]}
	case len(array) == 0:
		d.report(shown, "is an empty array; remove it, or give it values")
	}
	texts := make([]string, 0, len(array))
	for i, element := range array {
		path := shown
		if isArray {
			path += "/" + strconv.Itoa(i)
		}
		text, isString := element.(string)
		switch {
		case !isString:
			d.report(path, "is %s; it must be a string", kindOf(element))
		case text == "":
			d.report(path, "is empty, which counts as absent (RFC 6749 §3.2); remove it")
		}
		texts = append(texts, text)
	}
	return texts
}

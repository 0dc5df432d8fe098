package connection

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

// reserved are the parameters that the service states itself (AZ-42), and those
// that would replace them all (a request object, RFC 9101).
var reserved = []string{
	"client_id", "client_secret", "grant_type", "code", "redirect_uri", "state", "code_challenge", "code_challenge_method",
	"code_verifier", "refresh_token", "assertion", "client_assertion", "client_assertion_type", "scope", "response_type",
	"request", "request_uri",
}

// params reads extra parameters: a text, or a list of texts that repeats the
// parameter in order (RFC 8707 §2).
func (d declaration) params(name string) url.Values {
	object, ok := d.object(name)
	if !ok {
		return nil
	}
	inner := d.nested(name, object)
	values := url.Values{}
	for _, param := range slices.Sorted(maps.Keys(object)) {
		// Some servers read parameter names without regard to case.
		if slices.Contains(reserved, strings.ToLower(param)) {
			inner.note(strictjson.PrintableName(param), "is reserved: the service sets it itself; remove it")
			continue
		}
		values[param] = inner.param(param)
	}
	return values
}

// authorizationParams are the extra parameters of the authorization request. Its
// answer is read from the query and from nowhere else, so that is the one mode
// that may be asked for.
func (d declaration) authorizationParams() url.Values {
	values := d.params(mAuthzParams)
	for name, modes := range values {
		if strings.EqualFold(name, "response_mode") && !slices.Equal(modes, []string{"query"}) {
			d.note(mAuthzParams+"/"+name, "has to be query, or be left out: the service reads the answer from the redirect's query")
		}
	}
	return values
}

func (d declaration) param(name string) []string {
	list, isList := d.members[name].([]any)
	shown := strictjson.PrintableName(name)
	switch {
	case name == "":
		d.note("", "is a parameter without a name; remove it")
		return nil
	case !isList:
		list = []any{d.members[name]}
	case len(list) == 0:
		d.note(shown, "is an empty list; leave it out, or give it values")
	}
	texts := make([]string, 0, len(list))
	for i, element := range list {
		place := shown
		if isList {
			place += "/" + strconv.Itoa(i)
		}
		text, isText := element.(string)
		switch {
		case !isText:
			d.note(place, "is %s; it has to be a text", kindOf(element))
		case text == "":
			d.note(place, "is empty, which counts as not sent (RFC 6749 §3.2); leave it out")
		}
		texts = append(texts, text)
	}
	return texts
}

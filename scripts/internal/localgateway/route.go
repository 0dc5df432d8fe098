package localgateway

import (
	"net/http"
	"net/url"
	"strings"
)

// maxMethodARN is where API Gateway answers 414 by itself, in bytes.
const maxMethodARN = 1600

// route is one resource of the API; it takes every method.
type route struct {
	// id is what API Gateway would call the resource.
	id string
	// resource is the template, as an event shows it.
	resource string
	segments []string
	function string
	// public: it has no authorizer.
	public bool
}

var routes = []route{
	newRoute("conns0", "/connections", "connections"),
	newRoute("conn00", "/connections/{connection}", "connections"),
	newRoute("token0", "/connections/{connection}/token", "vend"),
	newRoute("token1", "/connections/{connection}/subjects/{subject}/token", "vend"),
	newRoute("autho0", "/connections/{connection}/authorization", "connections"),
	newRoute("autho1", "/connections/{connection}/subjects/{subject}/authorization", "connections"),
	newRoute("compl0", "/connections/{connection}/authorization/complete", "connections"),
	newRoute("compl1", "/connections/{connection}/subjects/{subject}/authorization/complete", "connections"),
	newPublicRoute("consnt", "/consent/{session}", "consent"),
	newPublicRoute("callbk", "/callback/{connection}", "consent"),
}

func newRoute(id, resource, function string) route {
	return route{id: id, resource: resource, segments: strings.Split(resource[1:], "/"), function: function}
}

func newPublicRoute(id, resource, function string) route {
	r := newRoute(id, resource, function)
	r.public = true
	return r
}

// match returns the path parameters, decoded, when the raw segments are this
// resource's. Literal segments must be spelt as they are: an encoded one would
// be a second path to the same thing.
func (r route) match(segments []string) ([]field, bool) {
	if len(segments) != len(r.segments) {
		return nil, false
	}
	var parameters []field
	for i, want := range r.segments {
		name, isParameter := strings.CutPrefix(want, "{")
		if !isParameter {
			if segments[i] != want {
				return nil, false
			}
			continue
		}
		value, _ := url.PathUnescape(segments[i]) // well formed, so it can be decoded
		parameters = append(parameters, field{strings.TrimSuffix(name, "}"), []string{value}})
	}
	return parameters, true
}

// location is where a request's path leads.
type location struct {
	route route
	// raw is the path as sent, without the stage.
	raw        string
	parameters []field
}

// locate finds the resource that r asks for.
func (a *API) locate(r *http.Request) (location, *mistake) {
	full, _, _ := strings.Cut(r.RequestURI, "?")
	raw, staged := strings.CutPrefix(full, "/"+a.Stage)
	if !staged || !strings.HasPrefix(raw, "/") {
		return location{}, errNoResource
	}
	if len("arn:aws:execute-api:us-east-1:000000000000:local/")+len(a.Stage)+1+len(r.Method)+len(raw) >= maxMethodARN {
		return location{}, errTooLong
	}
	segments := strings.Split(raw[1:], "/")
	for _, segment := range segments {
		if !wellFormed(segment) {
			return location{}, errMalformed
		}
	}
	for _, route := range routes {
		if parameters, ok := route.match(segments); ok {
			return location{route: route, raw: raw, parameters: parameters}, nil
		}
	}
	return location{}, errNoResource
}

// wellFormed reports whether a raw segment is one segment under every reading:
// not empty, not a dot segment, and no slash inside, however encoded.
func wellFormed(segment string) bool {
	decoded, err := url.PathUnescape(segment)
	return err == nil && decoded != "" && decoded != "." && decoded != ".." && !strings.Contains(decoded, "/")
}

package localgateway

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/gateway"
)

// maxMethodARN is the size, in bytes, from which API Gateway answers 414.
const maxMethodARN = 1600

// route is one resource of the API.
type route struct {
	// id is API Gateway's id of the resource.
	id string
	// resource is the path with its parameters in braces, as an event has it.
	resource string
	segments []string
	function string
	// public: the resource has no authorizer. As in the deployed API it then takes its
	// own methods only; every other resource takes all, for the function to refuse.
	public  bool
	methods []string
}

// newRoutes returns the resources of the service's API.
func newRoutes() []route {
	var routes []route
	for _, r := range gateway.Routes() {
		if len(routes) > 0 && routes[len(routes)-1].resource == r.Resource {
			last := &routes[len(routes)-1]
			last.methods = append(last.methods, r.Method)
			continue
		}
		hash := sha256.Sum256([]byte(r.Resource))
		routes = append(routes, route{
			id: hex.EncodeToString(hash[:3]), resource: r.Resource, segments: strings.Split(r.Resource[1:], "/"),
			function: r.Function, public: r.Public, methods: []string{r.Method},
		})
	}
	return routes
}

// match returns the decoded path parameters if the raw segments are those of this
// resource. An encoded literal segment does not match: it would be a second path to
// the same resource.
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
		value, _ := url.PathUnescape(segments[i]) // well formed, so it decodes
		parameters = append(parameters, field{strings.TrimSuffix(name, "}"), []string{value}})
	}
	return parameters, true
}

// location is the resource of a request.
type location struct {
	route route
	// raw is the path as sent, without the stage.
	raw        string
	parameters []field
}

// locate finds the resource of a request.
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
	for _, route := range a.routes {
		if parameters, ok := route.match(segments); ok {
			if route.public && !slices.Contains(route.methods, r.Method) {
				return location{}, errNoMethod
			}
			return location{route: route, raw: raw, parameters: parameters}, nil
		}
	}
	return location{}, errNoResource
}

// wellFormed reports whether a raw segment is one segment in every interpretation:
// not empty, not a dot segment, and without a slash, encoded or not.
func wellFormed(segment string) bool {
	decoded, err := url.PathUnescape(segment)
	return err == nil && decoded != "" && decoded != "." && decoded != ".." && !strings.Contains(decoded, "/")
}

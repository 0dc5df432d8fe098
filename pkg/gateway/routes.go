package gateway

import (
	"cmp"
	"slices"
)

// Route is one method of one resource of the REST API.
type Route struct {
	// Method is the HTTP method.
	Method string
	// Resource is the path with its parameters in braces, as API Gateway writes
	// it: /connections/{connection}/token.
	Resource string
	// Function is the Lambda function that answers: vend, connections or consent.
	Function string
	// Public: API Gateway requires no signature. All other routes require IAM.
	Public bool
}

// Routes lists the routes of the API, ordered by resource and method. It is
// derived from the handlers, so the template and the local gateway cannot
// disagree with them unnoticed.
func Routes() []Route {
	var routes []Route
	for function, h := range map[string]*Handler{
		"vend":        Vend(VendConfig{}),
		"connections": Connections(ConnectionsConfig{}),
		"consent":     Consent(ConsentConfig{}),
	} {
		for resource, methods := range h.routes {
			for method := range methods {
				routes = append(routes, Route{Method: method, Resource: resource, Function: function, Public: h.public})
			}
		}
	}
	slices.SortFunc(routes, func(a, b Route) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Method, b.Method))
	})
	return routes
}

package gateway_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/gateway"
)

// TestRoutes is the contract: two public pages, and every other route requires
// IAM (AZ-11).
func TestRoutes(t *testing.T) {
	const (
		connections = "/connections"
		connection  = connections + "/{connection}"
		subject     = connection + "/subjects/{subject}"
	)
	want := []gateway.Route{
		{Method: "GET", Resource: "/callback/{connection}", Function: "consent", Public: true},
		{Method: "GET", Resource: connections, Function: "connections"},
		{Method: "GET", Resource: connection, Function: "connections"},
		{Method: "DELETE", Resource: connection + "/authorization", Function: "connections"},
		{Method: "POST", Resource: connection + "/authorization", Function: "connections"},
		{Method: "PUT", Resource: connection + "/authorization", Function: "connections"},
		{Method: "POST", Resource: connection + "/authorization/complete", Function: "connections"},
		{Method: "DELETE", Resource: subject + "/authorization", Function: "connections"},
		{Method: "POST", Resource: subject + "/authorization", Function: "connections"},
		{Method: "PUT", Resource: subject + "/authorization", Function: "connections"},
		{Method: "POST", Resource: subject + "/authorization/complete", Function: "connections"},
		{Method: "DELETE", Resource: subject + "/token", Function: "vend"},
		{Method: "GET", Resource: subject + "/token", Function: "vend"},
		{Method: "POST", Resource: subject + "/token", Function: "vend"},
		{Method: "DELETE", Resource: connection + "/token", Function: "vend"},
		{Method: "GET", Resource: connection + "/token", Function: "vend"},
		{Method: "POST", Resource: connection + "/token", Function: "vend"},
		{Method: "GET", Resource: "/consent/{session}", Function: "consent", Public: true},
		{Method: "POST", Resource: "/consent/{session}", Function: "consent", Public: true},
	}
	if diff := cmp.Diff(want, gateway.Routes()); diff != "" {
		t.Errorf("AZ-11 routes (-want +got):\n%s", diff)
	}
}

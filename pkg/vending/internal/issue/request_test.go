package issue_test

import (
	"testing"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/issue"
)

func TestMayMove(t *testing.T) {
	from := connection.Connection{GrantType: connection.AuthorizationCode, ClientID: "app", SecretIncarnation: "1", SecretVersion: "v1"}
	with := func(change func(*connection.Connection)) connection.Connection {
		to := from
		change(&to)
		return to
	}
	for _, c := range []struct {
		name             string
		to               connection.Connection
		bound, ownClient bool // for a code or refresh token, and for client_credentials
	}{
		{"another version of the secret", with(func(c *connection.Connection) { c.SecretVersion = "v2" }), true, true},
		{"another client", with(func(c *connection.Connection) { c.ClientID = "other" }), false, true},
		{"CR-38 a recreated secret", with(func(c *connection.Connection) { c.SecretIncarnation = "2" }), false, true},
		{"another grant type", with(func(c *connection.Connection) { c.GrantType = connection.ClientCredentials }), false, false},
	} {
		for grantType, want := range map[issue.GrantType]bool{
			issue.RefreshToken: c.bound, issue.AuthorizationCode: c.bound, issue.ClientCredentials: c.ownClient} {
			if got := (issue.Request{GrantType: grantType}).AllowsClientOf(from, c.to); got != want {
				t.Errorf("%s: a request of type %s may move: %v, want %v", c.name, grantType, got, want)
			}
		}
	}
}

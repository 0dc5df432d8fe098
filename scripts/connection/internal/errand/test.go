package errand

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/scripts/internal/client"
)

// Test vends one token through the API, as a caller does.
type Test struct {
	API        *client.Client
	Connection connection.Name
	// Subject is empty for the default one.
	Subject connection.Subject
	Out     io.Writer
}

// answered is what is looked at in an answer. The token itself is not among it:
// what is not read cannot be shown.
type answered struct {
	TokenID   string `json:"token_id"`
	TokenType string `json:"token_type"`
	ExpiresIn int64  `json:"expires_in"`
	ExpiresAt string `json:"expires_at"`
	RefreshIn int64  `json:"refresh_in"`
	Scope     string `json:"scope"`
	Assumed   bool   `json:"expires_in_assumed"`
	Stale     bool   `json:"stale"`
}

// Run asks for a token and tells of it.
func (t Test) Run(ctx context.Context) error {
	path := "/connections/" + string(t.Connection)
	if t.Subject != "" {
		path += "/subjects/" + string(t.Subject)
	}
	var got answered
	if err := t.API.Ask(ctx, http.MethodGet, path+"/token", nil, &got); err != nil {
		return err
	}
	if got.TokenID == "" {
		return errors.New("the answer holds no token; is this the address of the service's API?")
	}
	fmt.Fprintf(t.Out, "%s vends\n  token id    %s\n  type        %s\n  expires in  %d s, at %s\n  ask again   in %d s\n  scope       %s\n",
		t.Connection, got.TokenID, got.TokenType, got.ExpiresIn, got.ExpiresAt, got.RefreshIn, cmp.Or(got.Scope, "not stated"))
	if got.Assumed {
		fmt.Fprintln(t.Out, "The provider states no lifetime; this one is default_expires_in.")
	}
	if got.Stale {
		fmt.Fprintln(t.Out, "It is stale: the latest refresh failed. The connection's status says why.")
	}
	return nil
}

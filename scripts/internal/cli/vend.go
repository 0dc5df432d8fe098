package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// testCommand vends one token through the API, as a caller does. It also clears the
// reports of a token that never ends.
type testCommand struct {
	Name    connectionName `arg:"" help:"The connection's name."`
	Subject subjectName    `placeholder:"NAME" help:"One of many users of a delegated connection; the default subject otherwise."`
}

// vended is what is decoded of the response. The token itself is not decoded, so it
// cannot be printed.
type vended struct {
	Connection string `json:"connection"`
	TokenID    string `json:"token_id"`
	TokenType  string `json:"token_type"`
	ExpiresIn  int64  `json:"expires_in,omitempty"` // absent, as ExpiresAt, for a token that never ends
	ExpiresAt  string `json:"expires_at,omitempty"`
	RefreshIn  int64  `json:"refresh_in"`
	Scope      string `json:"scope,omitempty"`
	Assumed    bool   `json:"expires_in_assumed,omitempty"`
	Stale      bool   `json:"stale,omitempty"`
}

// Run requests a token and describes it.
func (c testCommand) Run(ctx context.Context, s *session) error {
	api, err := s.api(ctx)
	if err != nil {
		return err
	}
	var got vended
	body := map[string]bool{"clear_report": true}
	if err := api.Call(ctx, http.MethodPost, path(c.Name, c.Subject)+"/token", body, &got); err != nil {
		return err
	}
	return s.describe(c.Name, got)
}

// describe prints everything about a token except the token itself.
func (s *session) describe(name connectionName, got vended) error {
	if got.TokenID == "" {
		return errors.New("the response has no token; is this the URL of the service's API?")
	}
	got.Connection = string(name)
	if s.Output == jsonOutput {
		return printJSON(s.Out, got)
	}
	got.print(s.Out)
	return nil
}

func (v vended) print(out io.Writer) {
	end := "never"
	if v.ExpiresAt != "" {
		end = fmt.Sprintf("%d s, at %s", v.ExpiresIn, v.ExpiresAt)
	}
	fmt.Fprintf(out, "%s vends\n  token id    %s\n  type        %s\n  expires in  %s\n  refresh in  %d s\n  scope       %s\n",
		v.Connection, v.TokenID, v.TokenType, end, v.RefreshIn, cmp.Or(v.Scope, "not stated"))
	if v.Assumed {
		fmt.Fprintln(out, "The provider does not state a lifetime; this one is default_expires_in.")
	}
	if v.Stale {
		fmt.Fprintln(out, "The token is stale: the last refresh failed. The connection's status has the reason.")
	}
}

// path is the API's path of a connection, or of one of its subjects.
func path(name connectionName, subject subjectName) string {
	if subject == "" {
		return "/connections/" + string(name)
	}
	return "/connections/" + string(name) + "/subjects/" + string(subject)
}

// jsonOutput is the value of --output for JSON.
const jsonOutput = "json"

func printJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/client"
)

// grant names the grant that a consent command is about.
type grant struct {
	Name    connectionName `arg:"" help:"The delegated connection's name."`
	Subject subjectName    `placeholder:"NAME" help:"One of many users of the connection; the default subject otherwise."`
}

func (g grant) path() string { return path(g.Name, g.Subject) + "/authorization" }

func (g grant) String() string {
	if g.Subject == "" {
		return string(g.Name)
	}
	return "subject " + string(g.Subject) + " of " + string(g.Name)
}

// startCommand has a user consent in a browser.
type startCommand struct {
	grant
	Open   bool `help:"Open the page with the command in the variable BROWSER, or with the desktop's browser."`
	Manual bool `help:"Print the provider's own address, and ask for the address at which the browser ended: for redirect URIs that are not the service's callback."`
}

func (startCommand) details() string {
	return `The command starts a consent, prints the address of the consent page, asks for the
confirmation code that the last page shows, and prints the connection's status.
What is typed is sent to the service and never printed.
`
}

// startedConsent is a session that waits for a browser.
type startedConsent struct {
	ConsentURL       string `json:"consent_url"`
	AuthorizationURL string `json:"authorization_url"`
	SessionID        string `json:"session_id"`
	ExpiresIn        int64  `json:"expires_in"`
}

// Run starts a consent and completes it with what the operator types.
func (c startCommand) Run(ctx context.Context, s *session) error {
	api, err := s.api(ctx)
	if err != nil {
		return err
	}
	var started startedConsent
	if err := api.Call(ctx, http.MethodPost, c.path(), nil, &started); err != nil {
		return err
	}
	if started.ConsentURL == "" || started.AuthorizationURL == "" || started.SessionID == "" {
		return errors.New("the service did not start a consent; is this the URL of its API?")
	}
	address, asked, member := started.ConsentURL, "confirmation code that the last page shows", "confirmation_code"
	if c.Manual {
		address, asked, member = started.AuthorizationURL, "complete address at which the browser ended", "redirect_url"
	}
	c.sendBrowser(ctx, s, address, started.ExpiresIn)
	status, err := c.complete(ctx, s, api, asked, func(typed string) any {
		return map[string]string{"session_id": started.SessionID, member: typed}
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(s.Out)
	status.print(s.Out, c.Subject.orDefault())
	return nil
}

// sendBrowser prints the address for the browser, and opens it with --open.
func (c startCommand) sendBrowser(ctx context.Context, s *session, address string, expiresIn int64) {
	within := (time.Duration(expiresIn) * time.Second).Round(time.Minute)
	fmt.Fprintf(s.Out, "Open this address in a browser, sign in and allow the access, within %d minutes:\n\n  %s\n\n", int(within.Minutes()), address)
	if !c.Open {
		return
	}
	if err := openBrowser(ctx, s.variable("BROWSER"), address); err != nil {
		fmt.Fprintf(s.Out, "No browser could be opened (%v); open the address yourself.\n\n", err)
	}
}

// maxTries is how often the operator is asked. A refusal may be about the caller
// instead of about what was typed.
const maxTries = 5

// complete asks until the session is completed or over. What was mistyped, or typed
// too early, can be typed again.
func (c startCommand) complete(ctx context.Context, s *session, api *client.Client, asked string, body func(typed string) any) (connectionStatus, error) {
	for left := maxTries; ; {
		typed, err := s.prompt.Ask(ctx, asked)
		if err != nil {
			return connectionStatus{}, fmt.Errorf("%w; nothing was stored, and the consent expires by itself", err)
		}
		var status connectionStatus
		err = api.Call(ctx, http.MethodPost, c.path()+"/complete", body(typed), &status)
		if left--; err == nil || left == 0 || !canRetry(err) {
			return status, err
		}
		fmt.Fprintln(s.Err, err)
	}
}

// canRetry reports whether the session can still be completed: the code was wrong
// or malformed, or the browser has not returned yet.
func canRetry(err error) bool {
	return client.HasStatus(err, http.StatusBadRequest) || client.HasStatus(err, http.StatusForbidden) || client.HasStatus(err, http.StatusConflict)
}

// importCommand imports a refresh token.
type importCommand struct{ grant }

func (importCommand) details() string { return "The refresh token is read from standard input.\n" }

// Run reads a refresh token and hands it to the service.
func (c importCommand) Run(ctx context.Context, s *session) error {
	api, err := s.api(ctx)
	if err != nil {
		return err
	}
	token, err := s.prompt.Ask(ctx, "refresh token to import")
	if err != nil {
		return err
	}
	fmt.Fprintln(s.Out)
	var status connectionStatus
	if err := api.Call(ctx, http.MethodPut, c.path(), map[string]string{"refresh_token": token}, &status); err != nil {
		return err
	}
	fmt.Fprintln(s.Out)
	status.print(s.Out, c.Subject.orDefault())
	return nil
}

// disconnectCommand ends a grant.
type disconnectCommand struct{ grant }

// Run revokes the grant at the provider and deletes it.
func (c disconnectCommand) Run(ctx context.Context, s *session) error {
	api, err := s.api(ctx)
	if err != nil {
		return err
	}
	if err := api.Call(ctx, http.MethodDelete, c.path(), nil, nil); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "%s is disconnected: its grant is deleted. Callers get 409 until a user consents again.\n", c.grant)
	return nil
}

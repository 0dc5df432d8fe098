// Package errand runs a consent from a terminal: it starts one, tells where the
// browser has to go, asks for what the browser shows in the end, completes, and
// tells how the connection stands. It also imports a grant and ends one.
//
// It is the initiator's side of a consent. What the person at the terminal types
// in goes to the service and is printed nowhere.
package errand

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/client"
)

// Errand is one run of the command. Every field is required unless it says
// otherwise.
type Errand struct {
	API *client.Client
	// Connection and Subject name the grant; an empty subject is the default one.
	Connection, Subject string
	// In is what is typed, Out where the person reads.
	In  *Lines
	Out io.Writer
	// Open opens an address in a browser; nil leaves that to the person.
	Open func(ctx context.Context, address string) error
}

// path is that of the grant's authorization.
func (e Errand) path() string {
	if e.Subject == "" {
		return "/connections/" + e.Connection + "/authorization"
	}
	return "/connections/" + e.Connection + "/subjects/" + e.Subject + "/authorization"
}

// started is a session that waits for a browser.
type started struct {
	ConsentURL       string `json:"consent_url"`
	AuthorizationURL string `json:"authorization_url"`
	SessionID        string `json:"session_id"`
	ExpiresIn        int64  `json:"expires_in"`
}

func (e Errand) start(ctx context.Context) (s started, err error) {
	err = e.API.Ask(ctx, http.MethodPost, e.path(), nil, &s)
	if err == nil && (s.ConsentURL == "" || s.AuthorizationURL == "" || s.SessionID == "") {
		err = errors.New("the service started no consent; is this the address of its API?")
	}
	return s, err
}

// Consent has the user consent in a browser, and asks for the confirmation code
// that the last page shows.
func (e Errand) Consent(ctx context.Context) error {
	s, err := e.start(ctx)
	if err != nil {
		return err
	}
	e.send(ctx, s.ConsentURL, s)
	return e.complete(ctx, "confirmation code that the last page shows", func(typed string) any {
		return map[string]string{"session_id": s.SessionID, "confirmation_code": typed}
	})
}

// ByHand has the user consent in any browser, and asks for the address at which
// it ended: for redirect URIs that are no page of the service's.
func (e Errand) ByHand(ctx context.Context) error {
	s, err := e.start(ctx)
	if err != nil {
		return err
	}
	e.send(ctx, s.AuthorizationURL, s)
	return e.complete(ctx, "whole address at which the browser ended", func(typed string) any {
		return map[string]string{"session_id": s.SessionID, "redirect_url": typed}
	})
}

// send tells where the browser has to go, and sends one there.
func (e Errand) send(ctx context.Context, address string, s started) {
	within := (time.Duration(s.ExpiresIn) * time.Second).Round(time.Minute)
	fmt.Fprintf(e.Out, "Open this address in a browser, sign in and allow the access, within %d minutes:\n\n  %s\n\n", int(within.Minutes()), address)
	if e.Open == nil {
		return
	}
	if err := e.Open(ctx, address); err != nil {
		fmt.Fprintf(e.Out, "No browser could be opened (%v); open the address yourself.\n\n", err)
	}
}

// tries bounds how often is asked for the same: a refusal may be about who asks,
// and not about what was typed.
const tries = 5

// complete asks until the session is a grant, or over. What was mistyped, or
// typed too early, can be typed again.
func (e Errand) complete(ctx context.Context, wanted string, body func(typed string) any) error {
	for left := tries; ; {
		typed, err := e.ask(ctx, wanted)
		if err != nil {
			return fmt.Errorf("%w; nothing has been stored, and the consent expires by itself", err)
		}
		var status Status
		err = e.API.Ask(ctx, http.MethodPost, e.path()+"/complete", body(typed), &status)
		if err == nil {
			e.show(status)
			return nil
		}
		if left--; left == 0 || !mistyped(err) {
			return err
		}
		fmt.Fprintln(e.Out, err)
	}
}

// mistyped reports whether the session is still there to be completed: a wrong
// code, something that is none, and a browser that is not back yet.
func mistyped(err error) bool {
	return client.Is(err, http.StatusBadRequest) || client.Is(err, http.StatusForbidden) || client.Is(err, http.StatusConflict)
}

// ask returns the next line that holds anything.
func (e Errand) ask(ctx context.Context, wanted string) (string, error) {
	fmt.Fprintf(e.Out, "The %s: ", wanted)
	for {
		line, err := e.In.next(ctx)
		if err != nil {
			fmt.Fprintln(e.Out)
			return "", fmt.Errorf("the %s is missing: %w", wanted, err)
		}
		if line != "" {
			return line, nil
		}
	}
}

// Import hands over a refresh token that was obtained elsewhere. It is read, and
// never an argument: those are seen by every user of the machine.
func (e Errand) Import(ctx context.Context) error {
	token, err := e.ask(ctx, "refresh token to import")
	if err != nil {
		return err
	}
	fmt.Fprintln(e.Out)
	var status Status
	if err := e.API.Ask(ctx, http.MethodPut, e.path(), map[string]string{"refresh_token": token}, &status); err != nil {
		return err
	}
	e.show(status)
	return nil
}

// Disconnect revokes the grant at the provider and forgets it.
func (e Errand) Disconnect(ctx context.Context) error {
	if err := e.API.Ask(ctx, http.MethodDelete, e.path(), nil, nil); err != nil {
		return err
	}
	fmt.Fprintf(e.Out, "%s is disconnected: the grant is forgotten. Until somebody consents again callers get 409.\n", e.name())
	return nil
}

func (e Errand) name() string {
	if e.Subject == "" {
		return e.Connection
	}
	return "subject " + e.Subject + " of " + e.Connection
}

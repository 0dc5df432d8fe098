// Package errand adds a connection to a deployment, or to the local run's
// folder, and tests one.
package errand

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/scripts/connection/internal/declare"
	"github.com/tokenvend/tokenvend/scripts/connection/internal/place"
	"github.com/tokenvend/tokenvend/scripts/internal/prompt"
)

// Keeper reads what is held under a secret's name; place has both that there are.
type Keeper interface {
	Read(ctx context.Context, name string) (place.Held, error)
}

// Addition adds one connection. Every field is required unless it says otherwise.
type Addition struct {
	Draft      declare.Draft
	Deployment declare.Deployment
	Keeper     Keeper
	// Provider is asked for one token before anything is written; nil leaves that
	// out.
	Provider vending.Minter
	// Now is the wall clock.
	Now   func() time.Time
	Asker *prompt.Asker
	Out   io.Writer
	// Usage tells how to use the connection, once it is there.
	Usage Usage
}

// Run adds the connection. Nothing is written before every check has passed and
// the person has agreed.
func (a Addition) Run(ctx context.Context) error {
	c, err := a.Draft.Judge(a.Deployment.Parser)
	if err != nil {
		return err
	}
	held, err := a.Keeper.Read(ctx, c.Name.Secret())
	if err != nil {
		return err
	}
	whole, err := a.Draft.Whole(held.Text)
	if err != nil {
		return err
	}
	if err := a.Deployment.CheckRedirect(ctx, c, a.skipped); err != nil {
		return err
	}
	if err := a.attempt(ctx, c); err != nil {
		return fmt.Errorf("the provider was asked, and %s is not added: %w", c.Name, err)
	}
	a.tell(c)
	if err := a.Asker.Agree(change(held, c.Name)); err != nil {
		return err
	}
	arn, err := held.Put(ctx, whole)
	if err != nil {
		return fmt.Errorf("write %s: %w", held.Where, err)
	}
	fmt.Fprintf(a.Out, "%s is declared in %s.\n", c.Name, held.Where)
	a.Usage.Tell(a.Out, c, arn)
	return nil
}

// skipped mentions what is declared elsewhere and cannot be compared.
func (a Addition) skipped(err error) {
	fmt.Fprintf(a.Out, "Not compared with: %v\n", err)
}

func (a Addition) attempt(ctx context.Context, c connection.Connection) error {
	if a.Provider == nil {
		return nil
	}
	if c.GrantType == connection.AuthorizationCode {
		fmt.Fprintln(a.Out, "Nothing can be tried before a user has consented.")
		return nil
	}
	vended, err := a.Draft.Attempt(ctx, a.Deployment.Parser, a.Provider)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Out, "The provider gave a token: %s, valid for %d s, scope %q. It is kept nowhere.\n",
		vended.ID, int(vended.ExpiresAt.Sub(a.Now()).Seconds()), vended.Scope)
	return nil
}

// tell says what is about to be declared; of what is secret only that it is there.
func (a Addition) tell(c connection.Connection) {
	fmt.Fprintf(a.Out, "connection   %s\nprovider     %s\ngrant type   %s\nclient       %s, which proves itself by %s\ntoken URL    %s\n",
		c.Name, c.Provider, c.GrantType, c.ClientID, c.ClientAuth, c.TokenURL)
	if c.Scope != "" {
		fmt.Fprintf(a.Out, "scope        %s\n", c.Scope)
	}
	if c.GrantType == connection.AuthorizationCode {
		fmt.Fprintf(a.Out, "redirect URI %s\n", a.redirect(c))
	}
}

func (a Addition) redirect(c connection.Connection) string {
	switch {
	case c.RedirectURI != "":
		return c.RedirectURI
	case a.Deployment.BaseURL == "":
		return "the deployment's URL, then /callback/" + string(c.Name)
	}
	return a.Deployment.BaseURL + "/callback/" + string(c.Name)
}

func change(held place.Held, name connection.Name) string {
	_, isMember := name.Member()
	switch {
	case held.Text == nil:
		return "Make " + held.Where + "?"
	case isMember:
		return "Put the member into " + held.Where + "? The others in it stay as they are."
	}
	return "Give " + held.Where + " this declaration? Its tokens are dropped."
}

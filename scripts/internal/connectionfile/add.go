package connectionfile

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/scripts/internal/prompt"
)

// Addition adds one connection. Every field is required unless it says otherwise.
type Addition struct {
	Draft      Draft
	Deployment Deployment
	Target     Target
	// Provider mints one token before anything is written; nil skips that.
	Provider vending.Minter
	// Now is the wall clock.
	Now    func() time.Time
	Prompt *prompt.Prompt
	Out    io.Writer
	// Progress shows how far a long step is; the zero value shows nothing.
	Progress prompt.Progress
	// Next prints what to do after the connection is added.
	Next func(c connection.Connection)
}

// Run adds the connection. It writes only after every check has passed and the
// operator has confirmed.
func (a Addition) Run(ctx context.Context) error {
	c, err := a.Draft.Parse(a.Deployment.Parser)
	if err != nil {
		return err
	}
	stored, err := a.Target.Read(ctx, c.Name.Secret())
	if err != nil {
		return err
	}
	whole, err := a.Draft.Compose(stored.Text)
	if err != nil {
		return err
	}
	if err := a.checkRedirect(ctx, c); err != nil {
		return err
	}
	if err := a.attempt(ctx, c); err != nil {
		return fmt.Errorf("%s is not added, because the token request failed: %w", c.Name, err)
	}
	a.show(c)
	if err := a.Prompt.Confirm(ctx, question(stored, c.Name)); err != nil {
		return err
	}
	if err := stored.Put(ctx, whole); err != nil {
		return fmt.Errorf("write %s: %w", stored.Where, err)
	}
	fmt.Fprintf(a.Out, "%s is declared in %s.\n", c.Name, stored.Where)
	a.Next(c)
	return nil
}

func (a Addition) checkRedirect(ctx context.Context, c connection.Connection) error {
	defer a.Progress.Done()
	return a.Deployment.CheckRedirect(ctx, c,
		func(compared int) { a.Progress.Show("%d connections compared", compared) },
		func(err error) {
			a.Progress.Done()
			fmt.Fprintf(a.Out, "Not compared with: %v\n", err)
		})
}

func (a Addition) attempt(ctx context.Context, c connection.Connection) error {
	if a.Provider == nil {
		return nil
	}
	if c.GrantType == connection.AuthorizationCode {
		fmt.Fprintln(a.Out, "A delegated connection cannot be tried before a user has consented.")
		return nil
	}
	vended, err := a.Draft.Attempt(ctx, a.Deployment.Parser, a.Provider)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Out, "The provider issued a token: %s, valid for %d s, scope %q. It is not stored.\n",
		vended.ID, int(vended.ExpiresAt.Sub(a.Now()).Seconds()), vended.Scope)
	return nil
}

// show prints the declaration without its secrets.
func (a Addition) show(c connection.Connection) {
	fmt.Fprintf(a.Out, "connection   %s\nprovider     %s\ngrant type   %s\nclient       %s, authenticated by %s\ntoken URL    %s\n",
		c.Name, c.Provider, c.GrantType, c.ClientID, c.ClientAuth, c.TokenURL)
	if c.Scope != "" {
		fmt.Fprintf(a.Out, "scope        %s\n", c.Scope)
	}
	if c.GrantType == connection.AuthorizationCode {
		fmt.Fprintf(a.Out, "redirect URI %s\n", a.redirect(c))
	}
}

func (a Addition) redirect(c connection.Connection) string {
	if uri := a.Deployment.redirectURI(c); uri != "" {
		return uri
	}
	return "the API's URL followed by /callback/" + string(c.Name)
}

func question(stored Stored, name connection.Name) string {
	_, isMember := name.Member()
	switch {
	case stored.Text == nil:
		return "Create " + stored.Where + "?"
	case isMember:
		return "Add the member to " + stored.Where + "? Its other members do not change."
	}
	return "Replace the declaration in " + stored.Where + "? Its tokens are dropped."
}

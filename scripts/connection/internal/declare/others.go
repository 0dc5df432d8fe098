package declare

import (
	"context"
	"fmt"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
)

// Lister lists what is declared; both sources of secrets do.
type Lister interface {
	// List returns up to limit secrets, and the cursor of the next page.
	List(ctx context.Context, limit int, next string) ([]clientsecret.Entry, string, error)
}

// pageSize is how many secrets are asked for at once.
const pageSize = 100

// Deployment is where a connection is to be declared. Every field is required
// unless it says otherwise.
type Deployment struct {
	Lister Lister
	Parser connection.Parser
	// BaseURL is the public base of the deployment's own callbacks; empty when it
	// is not known, and then only redirect URIs that are spelled out are compared.
	BaseURL string
}

// CheckRedirect refuses a connection whose redirect URI is another's: an answer
// of one provider could then be played to the callback of the other (RFC 9700
// §4.4). Secrets that cannot be read are told to skipped and not judged.
func (d Deployment) CheckRedirect(ctx context.Context, c connection.Connection, skipped func(error)) error {
	own := d.redirectURI(c)
	if own == "" {
		return nil
	}
	return d.each(ctx, skipped, func(other connection.Connection) error {
		if other.Name == c.Name || d.redirectURI(other) != own {
			return nil
		}
		return fmt.Errorf("the redirect_uri is that of the connection %s; each connection needs its own: leave the member out for the deployment's callback, or register another at the provider", other.Name)
	})
}

// redirectURI is where a connection's consent comes back to; empty when it has
// none, or the deployment's own and that is not known.
func (d Deployment) redirectURI(c connection.Connection) string {
	switch {
	case c.GrantType != connection.AuthorizationCode:
		return ""
	case c.RedirectURI != "" || d.BaseURL == "":
		return c.RedirectURI
	}
	return strings.TrimSuffix(d.BaseURL, "/") + "/callback/" + string(c.Name)
}

// each calls f with every connection there is.
func (d Deployment) each(ctx context.Context, skipped func(error), f func(connection.Connection) error) error {
	for next := ""; ; {
		entries, following, err := d.Lister.List(ctx, pageSize, next)
		if err != nil {
			return fmt.Errorf("list the connections there are, for their redirect URIs: %w", err)
		}
		for _, entry := range entries {
			if err := d.inside(entry, skipped, f); err != nil {
				return err
			}
		}
		if next = following; next == "" {
			return nil
		}
	}
}

func (d Deployment) inside(entry clientsecret.Entry, skipped func(error), f func(connection.Connection) error) error {
	if entry.Err != nil {
		skipped(entry.Err)
		return nil
	}
	for _, declared := range d.Parser.Expand(entry.Secret) {
		if declared.Err != nil {
			skipped(declared.Err)
			continue
		}
		if err := f(declared.Connection); err != nil {
			return err
		}
	}
	return nil
}

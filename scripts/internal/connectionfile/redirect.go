package connectionfile

import (
	"context"
	"fmt"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
)

// Lister lists declared connections. Both sources of secrets implement it.
type Lister interface {
	// List returns up to limit secrets, and the cursor of the next page.
	List(ctx context.Context, limit int, next string) ([]clientsecret.Entry, string, error)
}

// pageSize is the number of secrets that one call asks for.
const pageSize = 100

// Deployment is the deployment that gets the connection. Every field is required
// unless it says otherwise.
type Deployment struct {
	Lister Lister
	Parser connection.Parser
	// BaseURL is the public base of the deployment's callbacks. When it is empty,
	// only redirect URIs that are written out are compared.
	BaseURL string
}

// CheckRedirect refuses a connection with the redirect URI of another one: a
// response of one provider could then be replayed to the callback of the other
// (RFC 9700 §4.4). progress gets the number of connections compared so far;
// secrets that cannot be parsed are passed to skipped.
func (d Deployment) CheckRedirect(ctx context.Context, c connection.Connection, progress func(compared int), skipped func(error)) error {
	own := d.redirectURI(c)
	if !strings.HasPrefix(own, "https://") && !strings.HasPrefix(own, "http://") {
		return nil // not where a browser brings a response: a name, or a code for the user to copy
	}
	compared := 0
	return d.each(ctx, skipped, func(other connection.Connection) error {
		compared++
		progress(compared)
		if other.Name == c.Name || d.redirectURI(other) != own {
			return nil
		}
		return fmt.Errorf("the redirect_uri is that of the connection %s; each connection needs its own: omit the member to use the deployment's callback, or register another URI with the provider", other.Name)
	})
}

// redirectURI returns the redirect URI of a connection: empty when it has none, or
// when it is the deployment's callback and the base URL is not known.
func (d Deployment) redirectURI(c connection.Connection) string {
	switch {
	case c.GrantType != connection.AuthorizationCode:
		return ""
	case c.RedirectURI != "" || d.BaseURL == "":
		return c.RedirectURI
	}
	return strings.TrimSuffix(d.BaseURL, "/") + "/callback/" + string(c.Name)
}

// each calls f with every declared connection.
func (d Deployment) each(ctx context.Context, skipped func(error), f func(connection.Connection) error) error {
	for next := ""; ; {
		entries, following, err := d.Lister.List(ctx, pageSize, next)
		if err != nil {
			return fmt.Errorf("list the declared connections to compare redirect URIs: %w", err)
		}
		for _, entry := range entries {
			if err := d.eachIn(entry, skipped, f); err != nil {
				return err
			}
		}
		if next = following; next == "" {
			return nil
		}
	}
}

func (d Deployment) eachIn(entry clientsecret.Entry, skipped func(error), f func(connection.Connection) error) error {
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

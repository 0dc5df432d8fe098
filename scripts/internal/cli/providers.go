package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/tokenvend/tokenvend/pkg/config"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/strictjson/object"
	"github.com/tokenvend/tokenvend/scripts/internal/cli/dialogue"
	"github.com/tokenvend/tokenvend/scripts/internal/prompt"
)

// listProvidersCommand lists the catalogue.
type listProvidersCommand struct {
	Filter string `arg:"" optional:"" help:"Only providers whose name or title has this text, in upper or lower case."`
}

// listedProvider is a provider as the JSON of a listing has it.
type listedProvider struct {
	Name       string   `json:"name"`
	Title      string   `json:"title"`
	GrantTypes []string `json:"grant_types"`
	Verified   string   `json:"verified,omitempty"`
}

// Run prints the providers.
func (c listProvidersCommand) Run(s *session) error {
	found, wanted := []listedProvider{}, strings.ToLower(c.Filter)
	for _, name := range provider.Names() {
		p, _ := provider.Lookup(name)
		if strings.Contains(name, wanted) || strings.Contains(strings.ToLower(p.Title), wanted) {
			found = append(found, listedProvider{Name: name, Title: p.Title, GrantTypes: p.Grants(), Verified: p.Verified})
		}
	}
	if s.Output == jsonOutput {
		return printJSON(s.Out, map[string]any{"providers": found})
	}
	table := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROVIDER\tTITLE\tGRANT TYPES\tVERIFIED")
	for _, p := range found {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", p.Name, p.Title, cmp.Or(strings.Join(p.GrantTypes, ","), "-"), cmp.Or(p.Verified, "-"))
	}
	return table.Flush()
}

// getProviderCommand shows a provider.
type getProviderCommand struct {
	Name string `arg:"" help:"The provider's name."`
}

// givenMember is a member that a connection gives, as JSON has it.
type givenMember struct {
	Member    string `json:"member"`
	About     string `json:"about,omitempty"`
	Default   string `json:"default,omitempty"`
	GrantType string `json:"grant_type,omitempty"`
}

// Run prints the provider's entry, and what a connection gives.
func (c getProviderCommand) Run(s *session) error {
	text, known := provider.Entry(c.Name)
	if !known {
		return fmt.Errorf("there is no provider %q in the catalogue; %s", c.Name, cmp.Or(object.DidYouMean(c.Name, provider.Names()), "for another server use providers new"))
	}
	p, _ := provider.Lookup(c.Name)
	given := []givenMember{}
	if len(p.Grants()) > 0 {
		given = append(given, givenMember{Member: "client_id"})
	}
	for _, g := range p.Given() {
		given = append(given, givenMember{g.Member, g.About, g.Default, g.Grant})
	}
	if s.Output == jsonOutput {
		return printJSON(s.Out, map[string]any{"name": c.Name, "entry": json.RawMessage(text), "connection": given})
	}
	fmt.Fprintf(s.Out, "%s\n", text)
	if len(given) == 0 {
		_, err := fmt.Fprintln(s.Out, "No connection can use this provider: it offers no grant.")
		return err
	}
	fmt.Fprintf(s.Out, "A connection with \"provider\": %q gives:\n", c.Name)
	for _, g := range given {
		fmt.Fprintf(s.Out, "  %s\n", g.line())
	}
	return nil
}

// line is the member for a person.
func (g givenMember) line() string {
	text := g.Member
	if g.About != "" {
		text += ": " + g.About
	}
	if g.Default != "" {
		text += fmt.Sprintf(" (if it is not %s)", g.Default)
	}
	if g.GrantType != "" {
		text += " (for " + g.GrantType + ")"
	}
	return text
}

// newProviderCommand asks what a provider is like.
type newProviderCommand struct {
	NoTry bool `name:"no-try" help:"Request no token from the provider, and ask for no client."`
}

func (newProviderCommand) details() string {
	return `The questions go to standard error, and the answers are lines of standard input. Where
the server describes itself (RFC 8414, OpenID Connect), its answers are the defaults.
The object on standard output is the member "provider" of a connection.

A server in a private network, or on this machine, is reached only where the variable
PROVIDER_ALLOW_CIDRS has its network, as for the service.
`
}

// Run asks, and prints the object.
func (c newProviderCommand) Run(ctx context.Context, s *session) error {
	settings, err := config.Load(s.Lookup, config.ProviderAllowCIDRs)
	if err != nil {
		return err
	}
	asked := dialogue.Config{Prompt: prompt.New(s.In, s.Err, false), Out: s.Err, Egress: egress.Policy{Allow: settings.ProviderAllowCIDRs}}
	if !c.NoTry {
		asked.Minter = oauth.New(oauth.Config{Egress: asked.Egress, Now: s.Now})
	}
	object, err := dialogue.Run(ctx, asked)
	if err != nil {
		return err
	}
	_, err = s.Out.Write(object)
	return err
}

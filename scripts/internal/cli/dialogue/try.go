package dialogue

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/strictjson/object"
	"github.com/tokenvend/tokenvend/scripts/internal/connectionfile"
)

// tried is the name of the connection that a try uses, and origin where it comes from.
const (
	tried  = "new"
	origin = "the answers"
)

// client has the members of a connection that belong to its client.
type client map[string]redact.Secret

// madeUp is the client while the provider alone is judged.
var madeUp = client{"client_id": redact.New(tried), "client_secret": redact.New(tried)}

// try has the provider issue a token, or prints the address at which a user consents.
// After a failure it asks again what the failure points at.
func (d *dialogue) try(ctx context.Context) error {
	if d.Minter == nil {
		return nil
	}
	for grant := ""; ; {
		var err error
		if !slices.Contains(d.grants(), grant) {
			if grant, err = d.askGrant(ctx); err != nil {
				return err
			}
		}
		if err := d.askClient(ctx, grant); err != nil {
			return err
		}
		failure := d.attempt(ctx, connection.GrantType(grant))
		if failure == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Fprintf(d.Out, "\nThe provider does not work with these answers: %v\n", failure)
		known := slices.Concat(slices.Sorted(maps.Keys(d.answers)), slices.Sorted(maps.Keys(d.client)))
		members := slices.DeleteFunc(slices.Clone(suspects(failure)), func(member string) bool { return !slices.Contains(known, member) })
		if len(members) == 0 {
			if members, err = d.askMembers(ctx, known, failure); err != nil {
				return err
			}
		}
		if err := d.change(ctx, members); err != nil {
			return err
		}
	}
}

func (d *dialogue) askGrant(ctx context.Context) (string, error) {
	grants := d.grants()
	for len(grants) > 1 {
		fmt.Fprintf(d.Out, "\nThe grant to try: %s.\n", strings.Join(grants, " or "))
		grant, err := d.Prompt.Value(ctx, "grant_type", grants[0])
		if err != nil || slices.Contains(grants, grant) {
			return grant, err
		}
	}
	return grants[0], nil
}

// askClient asks for what the client of the try lacks.
func (d *dialogue) askClient(ctx context.Context, grant string) error {
	method := provider.ClientAuth(cmp.Or(d.answers["client_auth"], string(provider.ClientSecretBasic)))
	delegated := grant == string(connection.AuthorizationCode) // nothing is sent in the client's name
	for _, member := range []struct {
		name, help string
		needed     bool
		read       func(context.Context, string) (redact.Secret, error)
	}{
		{"client_id", "The client to try it with. It is not in the result.", true, d.text},
		{"client_secret", "Its secret. It is not shown, not stored and not in the result.", method.UsesSecret() && !delegated, d.Prompt.Secret},
		{"private_key", "The file with its private key, in PEM.", method == provider.PrivateKeyJWT || grant == string(connection.JWTBearer), d.file},
		{"redirect_uri", "A redirect URI that is registered for it.", delegated, d.text},
	} {
		if _, known := d.client[member.name]; known || !member.needed {
			continue
		}
		fmt.Fprintf(d.Out, "\n%s\n", member.help)
		value, err := member.read(ctx, member.name)
		if err != nil {
			return err
		}
		d.client[member.name] = value
	}
	return nil
}

func (d *dialogue) text(ctx context.Context, name string) (redact.Secret, error) {
	text, err := d.Prompt.Value(ctx, name, "")
	return redact.New(text), err
}

func (d *dialogue) file(ctx context.Context, name string) (redact.Secret, error) {
	path, err := d.Prompt.Value(ctx, name, "")
	if err != nil {
		return redact.Secret{}, err
	}
	text, err := os.ReadFile(path)
	return redact.New(string(text)), err
}

// attempt uses the provider once.
func (d *dialogue) attempt(ctx context.Context, grant connection.GrantType) error {
	of := client{}
	if grant == connection.AuthorizationCode {
		of = maps.Clone(madeUp)
	}
	for name, value := range d.client {
		if name != "redirect_uri" || grant == connection.AuthorizationCode { // others refuse it
			of[name] = value
		}
	}
	parser := connection.Parser{Egress: d.Egress}
	draft := connectionfile.Draft{Name: tried, Text: d.declaration(string(grant), of), Origin: origin}
	c, err := parser.Parse(tried, clientsecret.Secret{Name: tried, Text: draft.Text, Origin: origin})
	if err != nil {
		return err
	}
	if c.Delegated() {
		return d.showConsent(c)
	}
	vended, err := draft.Attempt(ctx, parser, d.Minter)
	if err != nil {
		return err
	}
	life := fmt.Sprintf("%d s", int(vended.Lifetime().Round(time.Second).Seconds()))
	if vended.ExpiresInAssumed {
		life += ", as the answer states none"
	}
	fmt.Fprintf(d.Out, "\nThe provider issued a token. Lifetime: %s. Scope: %q. It is not stored.\n", life, vended.Scope)
	return nil
}

// showConsent prints the address at which a user consents.
func (d *dialogue) showConsent(c connection.Connection) error {
	verifier, err := oauth.NewVerifier(rand.Reader)
	if err != nil {
		return err
	}
	request := oauth.AuthorizationRequest{
		AuthorizationURL: c.AuthorizationURL, ClientID: c.ClientID, RedirectURI: c.RedirectURI, Scope: c.Scope,
		ScopeSeparator: c.ScopeSeparator, Names: c.Request.Names, State: rand.Text(), Params: c.AuthorizationParams,
	}
	if c.PKCE {
		request.Challenge = oauth.Challenge(verifier)
	}
	address, err := oauth.AuthorizationURL(request)
	if err != nil {
		return err
	}
	fmt.Fprintf(d.Out, "\nA user consents at this address. Open it to see whether the provider accepts the request:\n\n  %s\n", address)
	return nil
}

// byCode, byStatus and byReason are the members that a failure points at.
var (
	ofClient = []string{"client_auth", "client_id", "client_secret"}
	byCode   = map[string][]string{
		"invalid_client": ofClient, "unauthorized_client": ofClient, "invalid_request": {"request/body", "token_params"},
		"invalid_scope": {"scope/client_credentials", "scope_separator"}, "invalid_target": {"token_params"},
		"unsupported_grant_type": {"request/body", "grant_types"},
	}
	byStatus = map[int][]string{http.StatusBadRequest: {"request/body"}, http.StatusUnauthorized: ofClient}
	ofServer = []string{"token_url"}
	byReason = map[string][]string{
		oauth.ReasonAuth: ofClient, oauth.ReasonURL: ofServer, oauth.ReasonEgress: ofServer, oauth.ReasonDNS: ofServer, oauth.ReasonDial: ofServer,
		oauth.ReasonTLS: ofServer, oauth.ReasonHTTP: ofServer, oauth.ReasonRedirect: ofServer, oauth.ReasonNotJSON: ofServer,
	}
)

// suspects are the members that a failure points at: those that its hint names, or
// those that its code, its status or its reason is about.
func suspects(err error) (members []string) {
	var several connection.ValidationErrors
	var one *connection.ValidationError
	var answer *oauth.Error
	switch {
	case errors.As(err, &several):
		for _, problem := range several {
			members = append(members, strings.TrimPrefix(problem.Member, "provider/"))
		}
	case errors.As(err, &one):
		members = append(members, strings.TrimPrefix(one.Member, "provider/"))
	case errors.As(err, &answer):
		for _, q := range questions {
			hinted := strings.Contains(q.member, "_url") || strings.Contains(q.member, "/")
			if hinted && strings.Contains(answer.Detail, strings.ReplaceAll(q.member, "/", ".")) || q.member == "response/"+answer.Reason {
				members = append(members, q.member)
			}
		}
		for _, pointed := range [][]string{byCode[answer.Code], byReason[answer.Reason], byStatus[answer.Trace.Status]} {
			if len(members) == 0 {
				members = pointed
			}
		}
	}
	return members
}

// askMembers asks which answers to change after a failure that points at none.
func (d *dialogue) askMembers(ctx context.Context, known []string, failure error) ([]string, error) {
	for {
		fmt.Fprintf(d.Out, "\nThe answers to change, with spaces between: %s. Empty gives up.\n", strings.Join(known, " "))
		text, err := d.Prompt.Value(ctx, "members", "")
		if err != nil {
			return nil, err
		}
		members := strings.Fields(text)
		if len(members) == 0 {
			return nil, fmt.Errorf("%w; --no-try prints the object without a try", failure)
		}
		unknown := slices.IndexFunc(members, func(member string) bool { return !slices.Contains(known, member) })
		if unknown < 0 {
			return members, nil
		}
		fmt.Fprintf(d.Out, "There is no answer %q; %s\n", members[unknown], cmp.Or(object.DidYouMean(members[unknown], known), "see the list"))
	}
}

// change asks again for members, of the provider and of the client.
func (d *dialogue) change(ctx context.Context, members []string) error {
	for _, member := range members {
		delete(d.client, member)
	}
	if err := d.again(ctx, members); err != nil {
		return err
	}
	return d.correct(ctx)
}

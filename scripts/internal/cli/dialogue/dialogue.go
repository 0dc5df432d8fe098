// Package dialogue asks what a provider is like that the catalogue does not have, tries
// the answers with the service's own client, and returns the object that a connection
// declares as its provider.
//
// Each answer is checked by the parser of connections as soon as it is given, and is
// asked for again when it is wrong, or when a failed try points at it.
package dialogue

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/vending"
	"github.com/tokenvend/tokenvend/scripts/internal/prompt"
)

// Config is what a dialogue uses. Every field is required.
type Config struct {
	// Prompt asks on Out, which gets everything but the object.
	Prompt *prompt.Prompt
	Out    io.Writer
	// Egress is where the provider and its metadata may be.
	Egress egress.Policy
	// Minter requests the token of a try; nil tries nothing.
	Minter vending.Minter
}

// leaveOut is the answer that leaves out a member with a default.
const leaveOut = "-"

// dialogue is one run.
type dialogue struct {
	Config
	answers  answers
	defaults map[string]string
	// client has the members of the client that tries the provider.
	client client
}

// Run asks, tries, and returns the object's JSON. It fails when the answers end, or
// when the operator gives up.
func Run(ctx context.Context, c Config) ([]byte, error) {
	d := &dialogue{Config: c, answers: answers{}, defaults: map[string]string{}, client: client{}}
	fmt.Fprintf(d.Out, "An empty answer takes what is in brackets; %s leaves it out.\n", leaveOut)
	if err := d.askMetadata(ctx); err != nil {
		return nil, err
	}
	for _, q := range questions {
		if err := d.ask(ctx, q); err != nil {
			return nil, err
		}
	}
	if err := d.correct(ctx); err != nil {
		return nil, err
	}
	if err := d.try(ctx); err != nil {
		return nil, err
	}
	return d.object(), nil
}

// askMetadata asks where the server describes itself, until that can be read.
func (d *dialogue) askMetadata(ctx context.Context) error {
	for {
		fmt.Fprintln(d.Out, "\nThe server's issuer, or the address of its metadata (RFC 8414, OpenID Connect). Empty if it has none.")
		address, err := d.Prompt.Value(ctx, "metadata", "")
		if err != nil || address == "" {
			return err
		}
		found, err := discover(ctx, d.Egress, address)
		if err == nil {
			d.defaults = found.answers()
			if scopes := found.list("scopes_supported"); len(scopes) > 0 {
				fmt.Fprintf(d.Out, "The server has these scopes: %s\n", strings.Join(scopes[:min(len(scopes), 20)], " "))
			}
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Fprintf(d.Out, "There is no usable metadata: %v\n", err)
	}
}

// ask asks one question until its answer is well-formed.
func (d *dialogue) ask(ctx context.Context, q question) error {
	if q.when != nil && !q.when(d.answers) {
		delete(d.answers, q.member)
		return nil
	}
	fmt.Fprintf(d.Out, "\n%s\n", q.help)
	for {
		text, err := d.Prompt.Value(ctx, q.member, cmp.Or(d.answers[q.member], d.defaults[q.member], d.fallback(q)))
		if err != nil {
			return err
		}
		if text == leaveOut {
			text = ""
		}
		d.answers[q.member] = text
		problem := d.problem(q)
		if problem == "" {
			return nil
		}
		fmt.Fprintf(d.Out, "%s %s\n", q.member, problem)
		delete(d.answers, q.member)
	}
}

func (d *dialogue) fallback(q question) string {
	if q.member == "client_auth" && d.answers["grant_types"] == string(connection.JWTBearer) {
		return string(provider.NoClientAuth) // the assertion is enough (RFC 7523 §3.1)
	}
	if name, is := strings.CutPrefix(q.member, "response/"); is && q.fallback == "" {
		return d.answers.beside(name)
	}
	return q.fallback
}

// problem says what is wrong with the answer to a question; empty is nothing.
func (d *dialogue) problem(q question) string {
	if text := d.answers[q.member]; text != "" && q.value != nil {
		if _, err := q.value(text); err != nil {
			return err.Error()
		}
	}
	for _, found := range d.problems() {
		if found.Member == q.member || strings.HasPrefix(found.Member, q.member+"/") {
			return found.Text
		}
	}
	return ""
}

// problems are what the parser of connections says of the object, by member.
func (d *dialogue) problems() (all connection.ValidationErrors) {
	for _, grant := range d.grants() {
		_, err := connection.Parser{Egress: d.Egress}.Parse(tried, clientsecret.Secret{Name: tried, Text: d.declaration(grant, madeUp), Origin: origin})
		var several connection.ValidationErrors
		var one *connection.ValidationError
		if !errors.As(err, &several) && errors.As(err, &one) {
			several = connection.ValidationErrors{one}
		}
		for _, found := range several {
			member := strings.TrimPrefix(found.Member, "provider/")
			all = append(all, &connection.ValidationError{Where: found.Where, Member: member, Text: found.Text})
		}
	}
	return all
}

// grants are what the answers offer; before there is an answer, client_credentials.
func (d *dialogue) grants() []string {
	return strings.Fields(cmp.Or(d.answers["grant_types"], string(connection.ClientCredentials)))
}

// correct asks again what the problems name until there are none. The private key
// belongs to the client, who is made up.
func (d *dialogue) correct(ctx context.Context) error {
	for {
		problems := slices.DeleteFunc(d.problems(), func(p *connection.ValidationError) bool { return p.Member == "private_key" })
		if len(problems) == 0 {
			return nil
		}
		members := named(problems)
		if len(members) == 0 {
			return problems
		}
		fmt.Fprintf(d.Out, "\n%v\n", problems)
		if err := d.again(ctx, members); err != nil {
			return err
		}
	}
}

// named are the members of questions that problems are about.
func named(problems connection.ValidationErrors) (members []string) {
	for _, problem := range problems {
		for _, q := range questions {
			if problem.Member == q.member || strings.HasPrefix(problem.Member, q.member+"/") {
				members = append(members, q.member)
			}
		}
	}
	return members
}

// again asks the questions of these members, and those that now arise.
func (d *dialogue) again(ctx context.Context, members []string) error {
	for _, q := range questions {
		_, answered := d.answers[q.member]
		arises := !answered && q.when != nil && q.when(d.answers)
		moved := answered && strings.HasPrefix(q.member, "response/") && slices.Contains(members, "response/access_token")
		if moved {
			delete(d.answers, q.member) // it is proposed beside the access token
		}
		if slices.Contains(members, q.member) || arises || moved {
			if err := d.ask(ctx, q); err != nil {
				return err
			}
		}
	}
	return nil
}

// members returns the object's members, by name. Members of objects in it are as deep
// as their path.
func (d *dialogue) members() map[string]any {
	all := map[string]any{}
	for _, q := range questions {
		text := d.answers[q.member]
		if text == "" || text == q.standard || q.when != nil && !q.when(d.answers) {
			continue
		}
		var value any = text
		if q.value != nil {
			value, _ = q.value(text) // it was checked when it was answered
		}
		top, name, deep := strings.Cut(q.member, "/")
		if !deep {
			all[top] = value
			continue
		}
		inner, _ := all[top].(map[string]any)
		if inner == nil {
			inner = map[string]any{}
		}
		inner[name], all[top] = value, inner
	}
	return all
}

// object returns the object's JSON, its members in the order of the questions.
func (d *dialogue) object() []byte {
	members := d.members()
	lines := make([]string, 0, len(members))
	for _, q := range questions {
		top, _, _ := strings.Cut(q.member, "/")
		if value, there := members[top]; there {
			delete(members, top)
			lines = append(lines, fmt.Sprintf("  %q: %s", top, encode(value)))
		}
	}
	return []byte("{\n" + strings.Join(lines, ",\n") + "\n}\n")
}

// declaration returns a connection of a client with the object.
func (d *dialogue) declaration(grant string, c client) redact.Secret {
	members := map[string]any{"provider": d.members(), "grant_type": grant}
	for name, value := range c {
		members[name] = value.Reveal()
	}
	return redact.New(string(encode(members)))
}

func encode(value any) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // texts, numbers, lists and maps of them always encode
	return bytes.TrimSpace(text.Bytes())
}

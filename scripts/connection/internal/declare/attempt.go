package declare

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/problem"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/seal"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
	"github.com/tokenvend/tokenvend/pkg/tokenstore/memory"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// operator is who asks in an attempt.
const operator = "arn:aws:iam::000000000000:user/operator"

// Attempt has the service's own core vend once, from memory, so that what works
// here works there. The token is kept nowhere. Its errors tell what the provider
// said.
func (d Draft) Attempt(ctx context.Context, p connection.Parser, provider vending.Minter) (vending.Vended, error) {
	text, err := d.withoutCallers()
	if err != nil {
		return vending.Vended{}, err
	}
	core := vending.New(vending.Config{
		Store: memory.New(), Parser: p, Minter: provider, Secrets: only{Name: attempted, Text: text, Origin: d.Origin, ARN: attempted, VersionID: "1"},
		Sealer: seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) {
			return redact.New(`{"primary":"k1","k1":"` + rand.Text() + rand.Text() + `"}`), nil
		}}),
	})
	vended, err := core.Vend(ctx, vending.Request{Connection: attempted, Caller: operator})
	if err != nil {
		return vended, inWords(err)
	}
	return vended, nil
}

// attempted is the connection's name during an attempt.
const attempted = "attempt"

// withoutCallers is the draft with no gate: whoever adds a connection need not
// be one of its callers.
func (d Draft) withoutCallers() (redact.Secret, error) {
	members, err := strictjson.Members([]byte(d.Text.Reveal()))
	if err != nil {
		return redact.Secret{}, err
	}
	return redact.New(object(slices.DeleteFunc(members, func(m strictjson.Member) bool { return m.Name == "callers" }))), nil
}

// only is a source of that one secret.
type only clientsecret.Secret

func (o only) Load(_ context.Context, name string, stage clientsecret.Stage, _ bool) (clientsecret.Secret, error) {
	if name != o.Name || stage != clientsecret.Current {
		return clientsecret.Secret{}, clientsecret.ErrNotFound
	}
	return clientsecret.Secret(o), nil
}

// inWords tells an operator more than a caller is told: also the provider's own
// explanation, which holds nothing of the request.
func inWords(err error) error {
	p := problem.Of(err)
	text := cmp.Or(p.Detail, string(p.Code))
	if p.Provider != nil && p.Provider.Status != 0 {
		text += fmt.Sprintf("\nthe provider answered %d %s", p.Provider.Status, p.Provider.Error)
	}
	var said *oauth.Error
	if errors.As(err, &said) && said.Description != "" {
		quoted, _ := json.Marshal(said.Description)
		text += "\nin its own words: " + string(quoted)
	}
	return errors.New(text)
}

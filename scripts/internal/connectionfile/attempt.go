package connectionfile

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

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

// operator is the caller of an attempt.
const operator = "arn:aws:iam::000000000000:user/operator"

// attempted is the connection's name during an attempt.
const attempted = "attempt"

// Attempt vends one token with the service's own core and an empty store in
// memory, so a draft that works here works in the service. The token is not
// stored. Errors include the provider's answer, and wrap the client's.
func (d Draft) Attempt(ctx context.Context, p connection.Parser, provider vending.Minter) (vending.Vended, error) {
	text, err := d.withoutCallers()
	if err != nil {
		return vending.Vended{}, err
	}
	core := vending.New(vending.Config{
		Store: memory.New(), Parser: p, Minter: provider, Secrets: single{Name: attempted, Text: text, Origin: d.Origin, ARN: attempted, VersionID: "1"},
		Sealer: seal.New(seal.Config{Keyset: func(context.Context) (redact.Secret, error) {
			return redact.New(`{"primary":"k1","k1":"` + rand.Text() + rand.Text() + `"}`), nil
		}}),
	})
	vended, err := core.Vend(ctx, vending.Request{Connection: attempted, Caller: operator})
	if err != nil {
		return vended, describe(err)
	}
	return vended, nil
}

// withoutCallers removes the draft's list of callers: the operator who adds a
// connection need not be one of them.
func (d Draft) withoutCallers() (redact.Secret, error) {
	members, err := strictjson.Members([]byte(d.Text.Reveal()))
	if err != nil {
		return redact.Secret{}, err
	}
	return redact.New(object(slices.DeleteFunc(members, func(m strictjson.Member) bool { return m.Name == "callers" }))), nil
}

// single is a source of one secret.
type single clientsecret.Secret

func (s single) Load(_ context.Context, name string, stage clientsecret.Stage, _ bool) (clientsecret.Secret, error) {
	if name != s.Name || stage != clientsecret.Current {
		return clientsecret.Secret{}, clientsecret.ErrNotFound
	}
	return clientsecret.Secret(s), nil
}

// describe tells an operator more than a caller: it includes the provider's own
// description of the error, which holds nothing of the request.
func describe(err error) error {
	p := problem.Of(err)
	text := cmp.Or(p.Detail, string(p.Code))
	if p.Provider != nil && p.Provider.Status != 0 {
		text += strings.TrimRight(fmt.Sprintf("\nthe provider answered %d %s", p.Provider.Status, p.Provider.Error), " ")
	}
	var answer *oauth.Error
	if errors.As(err, &answer) && answer.Description != "" {
		quoted, _ := json.Marshal(answer.Description)
		text += "\nerror_description: " + string(quoted)
	}
	return described{text, err}
}

// described is an error with another text.
type described struct {
	text  string
	cause error
}

func (d described) Error() string { return d.text }

func (d described) Unwrap() error { return d.cause }

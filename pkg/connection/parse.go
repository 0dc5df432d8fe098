package connection

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/egress"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
	"github.com/tokenvend/tokenvend/pkg/strictjson/object"
)

// maxSecret is the largest secret that Secrets Manager stores, in bytes.
const maxSecret = 64 << 10

// Parser reads declarations. The zero Parser accepts providers at public
// addresses only.
type Parser struct {
	// Egress checks each declared URL.
	Egress egress.Policy
	// References reads the secrets that declarations refer to, by name or ARN, when
	// the parser is one of [Parser.Reading]. Nil refuses every reference.
	References clientsecret.Loader

	others *references // nil refuses every reference
}

// Parse reads the connection called name from s, the secret called
// name.Secret(). The error is ErrNoConnection if s declares no connection of
// that name, else a *ValidationError or ValidationErrors, or [Unread] of a referenced
// secret that cannot be read now. Only the declaration itself is read: errors in
// another member of a bundle do not matter. With a *ValidationError or an Unread,
// References is all that the connection has.
func (p Parser) Parse(name Name, s clientsecret.Secret) (Connection, error) {
	src, err := find(name, s)
	if err != nil {
		return Connection{}, err
	}
	return p.parse(src)
}

// source is the text of one declaration and its location.
type source struct {
	name   Name
	where  string
	text   []byte
	secret clientsecret.Secret
	// member: the declaration is a member of a bundle.
	member bool
}

func (p Parser) parse(src source) (Connection, error) {
	root, err := strictjson.Parse(src.text)
	if err != nil {
		return Connection{}, syntaxError(src.where, err)
	}
	members, ok := root.(map[string]any)
	if !ok {
		return Connection{}, &ValidationError{Where: src.where, Text: "is " + object.KindOf(root) + "; it must be an object"}
	}
	var problems []object.Problem
	d := object.New(members, &problems)
	r := p.read(d)
	c := *r.c
	if src.member {
		d.RejectUnused("is for the top of the secret only", mSchema)
	}
	switch {
	case r.unread != nil:
		return Connection{References: c.References}, Unread{fmt.Errorf("%s: a referenced secret: %w", src.where, r.unread)}
	case len(problems) > 0:
		return Connection{References: c.References}, validationError(src.where, problems)
	}
	delete(members, mSchema) // for editors; it declares nothing
	c.Name, c.SecretVersion, c.SecretCreatedAt = src.name, src.secret.VersionID, src.secret.CreatedAt
	c.ConfigHash = digest.Long(string(canonical(withValues(members, r.values))))
	c.InputsHash, c.ProofHash = inputsHash(members), proofHash(members, r.values)
	c.SecretIncarnation = digest.Short(src.secret.ARN)
	return c, nil
}

// Unread is the error of a declaration whose referenced secret cannot be read now,
// which says nothing about the declaration. It is of the kinds of clientsecret.
type Unread struct{ error }

func (u Unread) Unwrap() error { return u.error }

// syntaxError turns the error of the strict reader into a ValidationError.
func syntaxError(where string, err error) *ValidationError {
	var e *strictjson.Error
	if !errors.As(err, &e) {
		return &ValidationError{Where: where, Text: "is not JSON"}
	}
	return &ValidationError{Where: where, Member: strings.TrimPrefix(e.Path, "/"), Text: e.Problem}
}

func validationError(where string, problems []object.Problem) error {
	errs := make(ValidationErrors, len(problems))
	for i, problem := range problems {
		errs[i] = &ValidationError{Where: where, Member: problem.Member, Text: problem.Text}
	}
	return errs.err()
}

// canonical encodes a declaration independently of white space and of the order
// of its members: encoding/json sorts map keys, and json.Number keeps its digits.
func canonical(members map[string]any) []byte {
	text, err := json.Marshal(members)
	if err != nil {
		panic("connection: parsed JSON cannot be encoded: " + err.Error())
	}
	return text
}

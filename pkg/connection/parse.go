package connection

import (
	"encoding/json"
	"errors"
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
	// Referenced returns the text of a secret that a declaration refers to. Its error
	// continues a sentence that names the member. Nil refuses every reference.
	Referenced func(Reference) (string, error)
}

// Parse reads the connection called name from s, the secret called
// name.Secret(). The error is ErrNoConnection if s declares no connection of
// that name, else a *ValidationError or ValidationErrors. Only the declaration
// itself is read: errors in another member of a bundle do not matter.
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
	c := p.read(d)
	if src.member {
		d.RejectUnused("is for the top of the secret only", mSchema)
	}
	if len(problems) > 0 {
		return Connection{}, validationError(src.where, problems)
	}
	delete(members, mSchema) // for editors; it declares nothing
	c.Name, c.SecretVersion, c.SecretCreatedAt = src.name, src.secret.VersionID, src.secret.CreatedAt
	c.ConfigHash = digest.Long(string(canonical(members)))
	c.InputsHash, c.ProofHash = inputsHash(members), proofHash(members)
	c.SecretIncarnation = digest.Short(src.secret.ARN)
	return c, nil
}

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

package connection

import (
	"errors"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
	"github.com/tokenvend/tokenvend/pkg/strictjson/object"
)

// Reference says that the value of a member is in another secret.
type Reference struct {
	// Member is the member: "client_secret", "headers/X-Api-Key".
	Member string
	// Secret is the other secret's name or ARN.
	Secret string
	// Pointer is a JSON Pointer (RFC 6901) to the value in the secret's JSON; empty is
	// the secret's whole text.
	Pointer string
}

// orReference is a text, or a reference to it.
func orReference(text object.Text) object.Form {
	return object.Either{text, object.Struct{Fields: []object.Field{
		{Name: "secret", Form: object.Text{Exact: true, Check: checkSecretName, Pattern: "^[!-~]+$"}, Required: true},
		{Name: "pointer", Form: provider.Pointer},
	}}}
}

func checkSecretName(text string) error {
	const longest = 2048
	if len(text) > longest || strings.ContainsFunc(text, notGraphicASCII) {
		return errors.New("is not the name or the ARN of a secret")
	}
	return nil
}

// secretText returns the text of a member, or what it refers to.
func (r *reader) secretText(member string, form object.Text) (string, bool) {
	return r.referenced(r.Reader, "", member, form)
}

// referenced reads one member of the object d at the path prefix.
func (r *reader) referenced(d object.Reader, prefix, member string, form object.Text) (string, bool) {
	if text, ok := d.Text(member); ok {
		return text, true
	}
	inner, ok := d.Object(member)
	if !ok || !d.Sound(member) {
		return "", false
	}
	ref := Reference{Member: prefix + member}
	ref.Secret, _ = inner.Text("secret")
	ref.Pointer, _ = inner.Text("pointer")
	r.c.References = append(r.c.References, ref)
	text, problem := r.parser.resolve(ref)
	if problem == "" {
		problem = form.Problem(text)
	}
	if problem != "" {
		d.Report(member, "%s", problem)
		return "", false
	}
	return text, true
}

func (p Parser) resolve(ref Reference) (text, problem string) {
	if p.Referenced == nil {
		return "", "refers to another secret, which the stack's parameter SecretReferences does not allow; allow it there, or state the value"
	}
	text, err := p.Referenced(ref)
	if err != nil {
		return "", err.Error()
	}
	if ref.Pointer == "" {
		return text, ""
	}
	root, err := strictjson.Parse([]byte(text))
	if err != nil {
		return "", "refers to a secret that is not JSON; remove its pointer, or correct that secret"
	}
	value, _ := strictjson.Lookup(root, ref.Pointer)
	text, ok := value.(string)
	if !ok {
		return "", "refers to a secret that has no string there; correct its pointer"
	}
	return text, ""
}

package connection

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/digest"
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
	// ARN is that of the secret; Version, CreatedAt and Incarnation are as SecretVersion
	// and its neighbours in [Connection]. They are empty if it could not be read.
	ARN         string
	Version     string
	CreatedAt   time.Time
	Incarnation string
}

// Youngest returns the secrets whose current version is the youngest: by name or ARN
// those that c refers to, and empty for its own.
func (c Connection) Youngest() []string {
	createdAt, youngest := c.SecretCreatedAt, []string{""}
	for _, ref := range c.References {
		switch order := ref.CreatedAt.Compare(createdAt); {
		case order > 0:
			createdAt, youngest = ref.CreatedAt, []string{ref.Secret}
		case order == 0 && !slices.Contains(youngest, ref.Secret):
			youngest = append(youngest, ref.Secret)
		}
	}
	return youngest
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
	text, problem, err := r.parser.resolve(&ref)
	r.c.References = append(r.c.References, ref)
	if problem == "" && err == nil {
		problem = form.Problem(text)
	}
	switch {
	case err != nil:
		r.unread = err
		return "", false
	case problem != "":
		d.Report(member, "%s", problem)
		return "", false
	}
	r.values[ref.Member] = text
	return text, true
}

// references are what one parse reads of other secrets.
type references struct {
	read func(id string) (clientsecret.Secret, error)
	// secrets are the secrets that were read, by their name or ARN as declared. Each is
	// read once, so that the members of a connection are of one version.
	secrets map[string]referenced
}

type referenced struct {
	secret clientsecret.Secret
	err    error
}

// Reading returns a parser that reads referenced secrets with ctx, each at most once.
// With fresh set it bypasses every cache.
func (p Parser) Reading(ctx context.Context, fresh bool) Parser {
	return p.reading(func(id string) (clientsecret.Secret, error) {
		return p.References.Load(ctx, id, clientsecret.Current, fresh)
	})
}

// ReadingPrevious is Reading past every cache, with the previous version of one secret.
func (p Parser) ReadingPrevious(ctx context.Context, previous string) Parser {
	return p.reading(func(id string) (clientsecret.Secret, error) {
		stage := clientsecret.Current
		if id == previous {
			stage = clientsecret.Previous
		}
		return p.References.Load(ctx, id, stage, true)
	})
}

func (p Parser) reading(read func(string) (clientsecret.Secret, error)) Parser {
	if p.References != nil {
		p.others = &references{read: read, secrets: map[string]referenced{}}
	}
	return p
}

func (r *references) secret(id string) (clientsecret.Secret, error) {
	found, known := r.secrets[id]
	if !known {
		found.secret, found.err = r.read(id)
		r.secrets[id] = found
	}
	return found.secret, found.err
}

// resolve completes ref and returns the text that it refers to. The problem continues
// a sentence that names the member. The error says that the secret cannot be read now,
// which is no problem of the declaration.
func (p Parser) resolve(ref *Reference) (text, problem string, err error) {
	if p.others == nil {
		return "", "refers to another secret, which the stack's parameter SecretReferences does not allow; allow it there, or state the value", nil
	}
	found, err := p.others.secret(ref.Secret)
	ref.ARN, ref.Version, ref.CreatedAt, ref.Incarnation = found.ARN, found.VersionID, found.CreatedAt, incarnation(found)
	switch {
	case errors.Is(err, clientsecret.ErrNotAllowed), errors.Is(err, clientsecret.ErrNotFound), errors.Is(err, clientsecret.ErrNoText):
		return "", "refers to another secret: " + err.Error(), nil
	case err != nil:
		return "", "", err
	case ref.Pointer == "":
		return found.Text.Reveal(), "", nil
	}
	root, err := strictjson.Parse([]byte(found.Text.Reveal()))
	if err != nil {
		return "", "refers to a secret that is not JSON; remove its pointer, or correct that secret", nil
	}
	value, _ := strictjson.Lookup(root, ref.Pointer)
	text, ok := value.(string)
	if !ok {
		return "", "refers to a secret that has no string there; correct its pointer", nil
	}
	return text, "", nil
}

// incarnation identifies a secret; empty if it is unknown.
func incarnation(s clientsecret.Secret) string {
	if s.ARN == "" {
		return ""
	}
	return digest.Short(s.ARN)
}

// withValues returns the members of a declaration with the values of its references
// in their places.
func withValues(members map[string]any, values map[string]string) map[string]any {
	if len(values) == 0 {
		return members
	}
	members = maps.Clone(members)
	if headers, ok := members[mHeaders].(map[string]any); ok {
		members[mHeaders] = maps.Clone(headers)
	}
	for path, value := range values {
		into, name := members, path
		if header, ok := strings.CutPrefix(path, mHeaders+"/"); ok {
			into, name = members[mHeaders].(map[string]any), header
		}
		into[name] = value
	}
	return members
}

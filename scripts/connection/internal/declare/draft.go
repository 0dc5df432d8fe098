// Package declare composes the secret that declares one more connection, or one
// anew, and judges it as the service will: with the service's own parser.
//
// A member of a bundle is put in without touching the others, whose texts stay
// byte for byte: their hashes, and so their tokens, outlive the change.
package declare

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

// bundleMember is the member of a secret that makes it a bundle.
const bundleMember = "connections"

// maxText is the largest text of a secret, in bytes.
const maxText = 64 << 10

// ErrDeclared says that the connection exists.
var ErrDeclared = errors.New("exists already; -replace gives it this declaration")

// Draft is a connection to be declared.
type Draft struct {
	Name connection.Name
	// Text is its own JSON, and Origin where that came from: "file crm.json".
	Text   redact.Secret
	Origin string
	// Replace allows for a connection that is there.
	Replace bool
}

// Judge reads the draft alone, as the service will read it. Errors are the
// parser's, under the draft's origin.
func (d Draft) Judge(p connection.Parser) (connection.Connection, error) {
	secret := clientsecret.Secret{Name: d.Name.Secret(), Text: d.Text, Origin: d.Origin}
	if member, ok := d.Name.Member(); ok {
		secret.Text = bundle([]strictjson.Member{{Name: member, Text: json.RawMessage(d.Text.Reveal())}})
	}
	c, err := p.Parse(d.Name, secret)
	if errors.Is(err, connection.ErrNoConnection) {
		err = fmt.Errorf("%s declares a bundle; add its members one by one, as %s.MEMBER", d.Origin, d.Name)
	}
	return c, err
}

// Whole returns what the whole secret has to hold, given what it holds now: nil
// when there is none.
func (d Draft) Whole(now *redact.Secret) (redact.Secret, error) {
	whole, err := d.compose(now)
	if err == nil && len(whole.Reveal()) > maxText {
		err = fmt.Errorf("with it the secret %s would be larger than %d bytes; begin another bundle", d.Name.Secret(), maxText)
	}
	return whole, err
}

func (d Draft) compose(now *redact.Secret) (redact.Secret, error) {
	member, isMember := d.Name.Member()
	if now == nil {
		if isMember {
			return bundle([]strictjson.Member{{Name: member, Text: json.RawMessage(d.Text.Reveal())}}), nil
		}
		return d.Text, nil
	}
	members, isBundle, err := membersOf(*now)
	switch {
	case err != nil:
		return redact.Secret{}, fmt.Errorf("the secret %s cannot be read (%w); mend it first", d.Name.Secret(), err)
	case isBundle && !isMember:
		return redact.Secret{}, fmt.Errorf("the secret %s is a bundle; add a member of it, as %s.MEMBER", d.Name, d.Name)
	case !isBundle && isMember:
		return redact.Secret{}, fmt.Errorf("the secret %s holds the one connection of that name, so %s cannot be a member of it; take another name", d.Name.Secret(), d.Name)
	case !isMember:
		return d.Text, d.mayReplace(true)
	}
	members, replaced := with(members, strictjson.Member{Name: member, Text: json.RawMessage(d.Text.Reveal())})
	return bundle(members), d.mayReplace(replaced)
}

func (d Draft) mayReplace(there bool) error {
	if there && !d.Replace {
		return fmt.Errorf("the connection %s %w", d.Name, ErrDeclared)
	}
	return nil
}

// membersOf returns the members of a bundle, or that it is none.
func membersOf(text redact.Secret) ([]strictjson.Member, bool, error) {
	outer, err := strictjson.Members([]byte(text.Reveal()))
	if err != nil {
		return nil, false, err
	}
	for _, m := range outer {
		if m.Name == bundleMember {
			inner, err := strictjson.Members(m.Text)
			return inner, true, err
		}
	}
	return nil, false, nil
}

// with returns the members with one more, or one replaced in its place.
func with(members []strictjson.Member, one strictjson.Member) (all []strictjson.Member, replaced bool) {
	for i, m := range members {
		if m.Name == one.Name {
			members[i] = one
			return members, true
		}
	}
	return append(members, one), false
}

// bundle writes a bundle, each member's own text as it is.
func bundle(members []strictjson.Member) redact.Secret {
	return redact.New(`{"` + bundleMember + `":` + object(members) + `}`)
}

func object(members []strictjson.Member) string {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range members {
		if i > 0 {
			b.WriteByte(',')
		}
		name, _ := json.Marshal(m.Name) // a text always can be
		b.Write(name)
		b.WriteByte(':')
		b.Write(bytes.TrimSpace(m.Text))
	}
	b.WriteByte('}')
	return b.String()
}

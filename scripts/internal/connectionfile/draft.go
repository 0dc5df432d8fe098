// Package connectionfile adds and removes connections. To add one, it checks the connection's JSON with
// the service's own parser, composes the secret that declares it, and writes that
// secret to Secrets Manager or to a folder of the local run.
//
// A member of a bundle is added without changing the others. Their text stays the
// same byte for byte, so their hashes and tokens survive.
package connectionfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
	"github.com/tokenvend/tokenvend/scripts/internal/secretwriter"
)

// bundleMember is the member of a secret that makes it a bundle.
const bundleMember = "connections"

// ErrExists says that the connection exists.
var ErrExists = errors.New("already exists; use --replace to change it")

// Draft is a connection that is not declared yet.
type Draft struct {
	Name connection.Name
	// Text is the connection's JSON, and Origin its source, such as "file crm.json".
	Text   redact.Secret
	Origin string
	// Replace permits the connection to exist.
	Replace bool
}

// Parse parses the draft as the service will. The parser's errors name the
// draft's origin.
func (d Draft) Parse(p connection.Parser) (connection.Connection, error) {
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

// Compose returns the new text of the whole secret. now is the present text, or
// nil when the secret does not exist.
func (d Draft) Compose(now *redact.Secret) (redact.Secret, error) {
	whole, err := d.compose(now)
	if err == nil && len(whole.Reveal()) > secretwriter.MaxText {
		err = fmt.Errorf("the secret %s would be larger than %d bytes; use another bundle", d.Name.Secret(), secretwriter.MaxText)
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
	members, isBundle, err := bundleMembers(*now)
	switch {
	case err != nil:
		return redact.Secret{}, fmt.Errorf("the secret %s is not valid JSON (%w); fix it first", d.Name.Secret(), err)
	case isBundle && !isMember:
		return redact.Secret{}, fmt.Errorf("the secret %s is a bundle; add a member of it, as %s.MEMBER", d.Name, d.Name)
	case !isBundle && isMember:
		return redact.Secret{}, fmt.Errorf("the secret %s holds one connection and is not a bundle, so %s cannot be added to it; use another name", d.Name.Secret(), d.Name)
	case !isMember:
		return d.Text, d.checkReplace(true)
	}
	members, replaced := withMember(members, strictjson.Member{Name: member, Text: json.RawMessage(d.Text.Reveal())})
	return bundle(members), d.checkReplace(replaced)
}

func (d Draft) checkReplace(exists bool) error {
	if exists && !d.Replace {
		return fmt.Errorf("the connection %s %w", d.Name, ErrExists)
	}
	return nil
}

// bundleMembers returns the members of a bundle, and whether text is one.
func bundleMembers(text redact.Secret) ([]strictjson.Member, bool, error) {
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

// withMember appends a member, or replaces the one of that name in its position.
func withMember(members []strictjson.Member, added strictjson.Member) (all []strictjson.Member, replaced bool) {
	for i, m := range members {
		if m.Name == added.Name {
			members[i] = added
			return members, true
		}
	}
	return append(members, added), false
}

// bundle writes a bundle and keeps each member's own text.
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
		name, _ := json.Marshal(m.Name) // a string always encodes
		b.Write(name)
		b.WriteByte(':')
		b.Write(bytes.TrimSpace(m.Text))
	}
	b.WriteByte('}')
	return b.String()
}

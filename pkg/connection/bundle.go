package connection

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

// bundleMember is the only member of a bundle secret besides $schema, and its mark.
const bundleMember = "connections"

// Entry is one connection of a secret as a listing shows it.
type Entry struct {
	// Name is the connection's name. When Err is set it may be a text that is not a
	// valid name: for display only.
	Name string
	// Connection is set when Err is nil, and its References also otherwise.
	Connection Connection
	// Err is a *ValidationError or ValidationErrors, or an [Unread].
	Err error
}

// Expand reads every connection that s declares, in the order of the text. A
// bundle has one entry per member, invalid ones with their error. A secret that
// cannot be read, or whose name is not valid for a connection, has one entry with
// the error.
func (p Parser) Expand(s clientsecret.Secret) []Entry {
	shown := strictjson.PrintableName(s.Name)
	if !isNamePart(s.Name) {
		return []Entry{{Name: shown, Err: &ValidationError{Where: s.Origin, Text: "has a name that is not valid for a connection; use " + nameRule}}}
	}
	b, isBundle, err := openBundle(s)
	switch {
	case err != nil:
		return []Entry{{Name: shown, Err: err}}
	case !isBundle:
		c, err := p.Parse(Name(s.Name), s)
		return []Entry{{Name: shown, Connection: c, Err: err}}
	}
	entries := make([]Entry, 0, len(b.names))
	for _, member := range b.names {
		entries = append(entries, p.entry(b, member, s))
	}
	return entries
}

func (p Parser) entry(b bundle, member string, s clientsecret.Secret) Entry {
	e := Entry{Name: s.Name + "." + strictjson.PrintableName(member)}
	text, err := b.declaration(member)
	if err != nil {
		e.Err = err
		return e
	}
	e.Connection, e.Err = p.parse(source{name: Name(e.Name), where: b.where(member), text: text, secret: s, member: true})
	return e
}

// find returns the text that declares name, and its location.
func find(name Name, s clientsecret.Secret) (source, error) {
	b, isBundle, err := openBundle(s)
	if err != nil {
		return source{}, err
	}
	member, isMember := name.Member()
	switch {
	case isBundle && !isMember:
		return source{}, fmt.Errorf("%w: %s is a bundle; name one of its members", ErrNoConnection, name)
	case !isBundle && isMember:
		return source{}, fmt.Errorf("%w: %s is a connection, not a bundle", ErrNoConnection, name.Secret())
	case !isBundle:
		return source{name: name, where: s.Origin, text: []byte(s.Text.Reveal()), secret: s}, nil
	}
	if !slices.Contains(b.names, member) {
		return source{}, fmt.Errorf("%w: bundle %s has no such member", ErrNoConnection, name.Secret())
	}
	text, err := b.declaration(member)
	return source{name: name, where: b.where(member), text: text, secret: s, member: true}, err
}

// bundle is a bundle secret; its members are not yet parsed.
type bundle struct {
	origin string
	// names are the members in order, each once.
	names []string
	texts map[string][]byte
	// repeated are the members declared more than once. None of them is used.
	repeated map[string]bool
}

func (b bundle) where(member string) string {
	return b.origin + ", member " + strictjson.PrintableName(member)
}

// declaration returns the text of one member.
func (b bundle) declaration(member string) ([]byte, error) {
	switch {
	case !isNamePart(member):
		return nil, &ValidationError{Where: b.where(member), Text: "has a name that is not valid for a connection; use " + nameRule}
	case b.repeated[member]:
		return nil, &ValidationError{Where: b.where(member), Text: "is declared more than once; keep one"}
	}
	return b.texts[member], nil
}

// openBundle checks the text as a whole and distinguishes a bundle from a single
// declaration.
func openBundle(s clientsecret.Secret) (b bundle, isBundle bool, err error) {
	text := []byte(s.Text.Reveal())
	if err := checkSize(s, len(text)); err != nil {
		return bundle{}, false, err
	}
	top, err := strictjson.Members(text)
	if err != nil {
		return bundle{}, false, syntaxError(s.Origin, err)
	}
	i := slices.IndexFunc(top, func(m strictjson.Member) bool { return m.Name == bundleMember })
	if i < 0 {
		return bundle{}, false, nil
	}
	for _, m := range top {
		if m.Name != bundleMember && m.Name != mSchema {
			return bundle{}, true, &ValidationError{Where: s.Origin, Member: strictjson.PrintableName(m.Name), Text: "is not allowed beside connections; move it into each connection"}
		}
	}
	if slices.ContainsFunc(top[i+1:], func(m strictjson.Member) bool { return m.Name == bundleMember }) {
		return bundle{}, true, &ValidationError{Where: s.Origin, Member: bundleMember, Text: "is repeated; keep one"}
	}
	b, err = splitBundle(s.Origin, top[i])
	return b, true, err
}

func checkSize(s clientsecret.Secret, size int) error {
	switch {
	case size == 0:
		return &ValidationError{Where: s.Origin, Text: "has no text; store one JSON object as text, not as binary"}
	case size > maxSecret:
		return &ValidationError{Where: s.Origin, Text: "is larger than " + strconv.Itoa(maxSecret) + " bytes; split it"}
	}
	return nil
}

func splitBundle(origin string, m strictjson.Member) (bundle, error) {
	members, err := strictjson.Members(m.Text)
	if err != nil {
		return bundle{}, &ValidationError{Where: origin, Member: m.Name, Text: "must be an object of connections by name"}
	}
	b := bundle{origin: origin, texts: make(map[string][]byte, len(members)), repeated: map[string]bool{}}
	for _, member := range members {
		if _, seen := b.texts[member.Name]; seen {
			b.repeated[member.Name] = true
			continue
		}
		b.names = append(b.names, member.Name)
		b.texts[member.Name] = member.Text
	}
	return b, nil
}

package connection

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

// bundleMember is the one member of a bundle secret; its presence makes one.
const bundleMember = "connections"

// Entry is one connection of a secret as a listing shows it.
type Entry struct {
	// Name is the connection's name, or what stands in its place when that is no
	// name: fit to show, not to use.
	Name string
	// Connection is set when Err is nil.
	Connection Connection
	// Err is a *Problem or Problems.
	Err error
}

// Expand reads every connection that s declares, in the order of the text. A
// bundle has one entry per member, the invalid ones with their error; a secret
// that cannot be read, or whose name no connection can have, has one entry with
// the error.
func (p Parser) Expand(s clientsecret.Secret) []Entry {
	shown := strictjson.PrintableName(s.Name)
	if !isNamePart(s.Name) {
		return []Entry{{Name: shown, Err: &ValidationError{Where: s.Origin, Text: "has a name that no connection can have; use " + nameRule}}}
	}
	b, isBundle, err := open(s)
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
	e.Connection, e.Err = p.parse(source{name: Name(e.Name), where: b.where(member), text: text, secret: s})
	return e
}

// find returns the text that declares name, and where it stands.
func find(name Name, s clientsecret.Secret) (source, error) {
	b, isBundle, err := open(s)
	if err != nil {
		return source{}, err
	}
	member, wantsMember := name.Member()
	switch {
	case isBundle && !wantsMember:
		return source{}, fmt.Errorf("%w: %s is a bundle; ask for one of its members", ErrNoConnection, name)
	case !isBundle && wantsMember:
		return source{}, fmt.Errorf("%w: %s is a connection and no bundle", ErrNoConnection, name.Secret())
	case !isBundle:
		return source{name: name, where: s.Origin, text: []byte(s.Text.Reveal()), secret: s}, nil
	}
	if !slices.Contains(b.names, member) {
		return source{}, fmt.Errorf("%w: bundle %s has no such member", ErrNoConnection, name.Secret())
	}
	text, err := b.declaration(member)
	return source{name: name, where: b.where(member), text: text, secret: s}, err
}

// bundle is a bundle secret, its members unread.
type bundle struct {
	origin string
	// names are the members in order, each once.
	names []string
	texts map[string][]byte
	// repeated are the members declared more than once: which one counts nobody can say.
	repeated map[string]bool
}

func (b bundle) where(member string) string {
	return b.origin + ", member " + strictjson.PrintableName(member)
}

// declaration returns the text of one member.
func (b bundle) declaration(member string) ([]byte, error) {
	switch {
	case !isNamePart(member):
		return nil, &ValidationError{Where: b.where(member), Text: "has a name that no connection can have; use " + nameRule}
	case b.repeated[member]:
		return nil, &ValidationError{Where: b.where(member), Text: "is declared more than once; keep one"}
	}
	return b.texts[member], nil
}

// open checks what the whole text must satisfy and tells a bundle from a single
// declaration.
func open(s clientsecret.Secret) (b bundle, isBundle bool, err error) {
	text := []byte(s.Text.Reveal())
	if problem := wholeProblem(s, len(text)); problem != nil {
		return bundle{}, false, problem
	}
	top, err := strictjson.Members(text)
	if err != nil {
		return bundle{}, false, syntaxProblem(s.Origin, err)
	}
	i := slices.IndexFunc(top, func(m strictjson.Member) bool { return m.Name == bundleMember })
	if i < 0 {
		return bundle{}, false, nil
	}
	for _, m := range top {
		if m.Name != bundleMember {
			return bundle{}, true, &ValidationError{Where: s.Origin, Member: strictjson.PrintableName(m.Name), Text: "has no place beside connections; move it into each connection"}
		}
	}
	if len(top) > 1 {
		return bundle{}, true, &ValidationError{Where: s.Origin, Member: bundleMember, Text: "is repeated; keep one"}
	}
	b, err = split(s.Origin, top[i])
	return b, true, err
}

func wholeProblem(s clientsecret.Secret, size int) *ValidationError {
	switch {
	case size == 0:
		return &ValidationError{Where: s.Origin, Text: "holds no text; store one JSON object as text, not as binary"}
	case size > maxSecret:
		return &ValidationError{Where: s.Origin, Text: "is larger than " + strconv.Itoa(maxSecret) + " bytes; split it"}
	}
	return nil
}

func split(origin string, m strictjson.Member) (bundle, error) {
	members, err := strictjson.Members(m.Text)
	if err != nil {
		return bundle{}, &ValidationError{Where: origin, Member: m.Name, Text: "has to be an object of connections by name"}
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

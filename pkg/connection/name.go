package connection

import (
	"errors"
	"strings"
)

// Name is a connection's name: one part, or two joined by a dot when the
// connection is a member of a bundle secret. Only [ParseName] makes one, so
// that IAM wildcards and URL decoding cannot change what a name means.
type Name string

// Subject is whose consent a delegated connection uses.
type Subject string

// DefaultSubject is the subject of whoever states none.
const DefaultSubject Subject = "default"

const (
	maxNamePart = 64
	nameRule    = "1 to 64 lower-case letters, digits and hyphens, beginning and ending with a letter or digit"
)

var (
	errName    = errors.New("a connection's name is " + nameRule + `; a bundle's member is named "bundle.member"`)
	errSubject = errors.New("a subject's name is " + nameRule)
)

// ParseName reads a connection's name. The error states the rule and not the
// text, which came from outside.
func ParseName(text string) (Name, error) {
	secret, member, dotted := strings.Cut(text, ".")
	if !isNamePart(secret) || dotted && !isNamePart(member) {
		return "", errName
	}
	return Name(text), nil
}

// Secret returns the name of the secret that declares the connection: the
// bundle's, or the connection's own.
func (n Name) Secret() string {
	secret, _, _ := strings.Cut(string(n), ".")
	return secret
}

// Member returns which member of a bundle it is, and whether it is one.
func (n Name) Member() (member string, ok bool) {
	_, member, ok = strings.Cut(string(n), ".")
	return member, ok
}

// ParseSubject reads a subject's name.
func ParseSubject(text string) (Subject, error) {
	if !isNamePart(text) {
		return "", errSubject
	}
	return Subject(text), nil
}

// isNamePart applies ^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$ without the cost of
// compiling it at every cold start.
func isNamePart(s string) bool {
	if s == "" || len(s) > maxNamePart || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

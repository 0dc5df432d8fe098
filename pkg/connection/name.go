package connection

import (
	"errors"
	"strings"
)

// Name is a connection's name: one part, or two joined by a dot when the
// connection is a member of a bundle secret. [ParseName] is the only way to make
// one from outside text, so that IAM wildcards and URL decoding cannot change the
// meaning of a name.
type Name string

// Subject names the consent that a request to a delegated connection uses. One
// connection may have the consents of several subjects.
type Subject string

// DefaultSubject is the subject of a request that names none.
const DefaultSubject Subject = "default"

const (
	maxNamePart = 64
	nameRule    = "1 to 64 lower-case letters, digits and hyphens, beginning and ending with a letter or digit"
)

var (
	errName    = errors.New("a connection's name is " + nameRule + `; a member of a bundle is named "bundle.member"`)
	errSubject = errors.New("a subject's name is " + nameRule)
)

// ParseName parses a connection's name. The error states the rule and does not
// repeat the text, which is untrusted.
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

// Member returns the member part of the name; ok reports whether the connection
// is a member of a bundle.
func (n Name) Member() (member string, ok bool) {
	_, member, ok = strings.Cut(string(n), ".")
	return member, ok
}

// ParseSubject parses a subject's name.
func ParseSubject(text string) (Subject, error) {
	if !isNamePart(text) {
		return "", errSubject
	}
	return Subject(text), nil
}

// namePart is the pattern of isNamePart, which matches it without compiling it at
// every cold start.
const namePart = "^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$"

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

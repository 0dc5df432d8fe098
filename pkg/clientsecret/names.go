package clientsecret

import (
	"fmt"
	"strings"
)

// maxName is the longest name of a secret that is read, in bytes.
const maxName = 64

// CheckName is the last check before a name becomes a file's name or part of a
// secret's id: only lower-case letters, digits and hyphens are accepted, whatever
// earlier checks allow. The error is ErrNotFound, because no such secret can
// exist; it does not repeat the name.
func CheckName(name string) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("%w: a name has 1 to %d characters", ErrNotFound, maxName)
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("%w: a name has only lower-case letters, digits and hyphens", ErrNotFound)
		}
	}
	return nil
}

// CheckDot refuses a listed name of the form bundle.member with ErrUnreadable: that
// name means a member inside the secret bundle, so a secret of that name would
// never be read.
func CheckDot(origin, name string) error {
	bundle, member, dotted := strings.Cut(name, ".")
	if !dotted {
		return nil
	}
	return fmt.Errorf("%s: %w: a dotted name is member %q of the bundle %q; move it there, or rename it without the dot",
		origin, ErrUnreadable, member, bundle)
}

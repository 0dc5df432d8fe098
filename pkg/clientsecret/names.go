package clientsecret

import (
	"fmt"
	"strings"
)

// maxName is the longest name a secret can be asked for, in bytes.
const maxName = 64

// CheckName is the last line of defence before a name becomes a file's name or
// part of a secret's id: whatever else may have let it through, only lower-case
// letters, digits and hyphens pass here. The error is ErrNotFound, because no
// such secret can exist; it does not repeat the name.
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

// CheckDot judges a listed name. One that reads bundle.member is refused with
// ErrUnreadable: that name belongs to a member inside the secret bundle, so a
// secret of its own would never be asked for and only seem to work.
func CheckDot(origin, name string) error {
	bundle, member, dotted := strings.Cut(name, ".")
	if !dotted {
		return nil
	}
	return fmt.Errorf("%s: %w: a dotted name is member %q of the bundle %q; move it there, or rename it without the dot",
		origin, ErrUnreadable, member, bundle)
}

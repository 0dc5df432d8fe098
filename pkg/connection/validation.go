package connection

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoConnection: the name means nothing in that secret. It names a bundle and
// not a member, a member that the bundle has not, or a member of a secret that
// is no bundle. Test with errors.Is.
var ErrNoConnection = errors.New("no such connection")

// ValidationError is one thing wrong with a declaration, for its operator: where it is
// and how to mend it. It holds names, never a value.
type ValidationError struct {
	// Where is the file or secret, and the bundle's member: "file crm.json, member eu".
	Where string
	// Member is the member of the declaration ("response/access_token"); empty
	// when the problem is the whole text.
	Member string
	// Text says what is wrong and how to mend it.
	Text string
}

// Error reads like `file crm.json: member "client_secret": ends with white space; remove it`.
func (p *ValidationError) Error() string { return p.Where + ": " + p.text() }

func (p *ValidationError) text() string {
	if p.Member == "" {
		return p.Text
	}
	return fmt.Sprintf("member %q: %s", p.Member, p.Text)
}

// ValidationErrors are several things wrong with one declaration, in a stable order.
// errors.As finds the first as a *ValidationError.
type ValidationErrors []*ValidationError

// maxShown is how many problems an error spells out: a declaration of another
// kind altogether has a problem in every line.
const maxShown = 5

// Error joins the first few.
func (ps ValidationErrors) Error() string {
	if len(ps) == 0 {
		return "no problem"
	}
	texts := make([]string, 0, maxShown+1)
	for i, p := range ps {
		if i == maxShown {
			texts = append(texts, fmt.Sprintf("and %d more", len(ps)-maxShown))
			break
		}
		texts = append(texts, p.text())
	}
	return ps[0].Where + ": " + strings.Join(texts, "; ")
}

// Unwrap makes each problem visible to errors.As.
func (ps ValidationErrors) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// err returns nil, the only problem, or all of them.
func (ps ValidationErrors) err() error {
	switch len(ps) {
	case 0:
		return nil
	case 1:
		return ps[0]
	default:
		return ps
	}
}

package connection

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNoConnection: the secret declares no connection of that name. The name is a
// bundle without a member, a member that the bundle does not have, or a member of
// a secret that is not a bundle. Test with errors.Is.
var ErrNoConnection = errors.New("no such connection")

// ValidationError is one error in a declaration. It tells its operator where the
// error is and how to fix it. It contains names, never a value.
type ValidationError struct {
	// Where is the file or secret, and the bundle's member: "file crm.json, member eu".
	Where string
	// Member is the member of the declaration ("response/access_token"). Empty is
	// the whole text.
	Member string
	// Text says what is wrong and how to fix it.
	Text string
}

// Error reads like `file crm.json: member "client_secret": ends with white space; remove it`.
func (e *ValidationError) Error() string { return e.Where + ": " + e.text() }

func (e *ValidationError) text() string {
	if e.Member == "" {
		return e.Text
	}
	return fmt.Sprintf("member %q: %s", e.Member, e.Text)
}

// ValidationErrors are several errors in one declaration, in a stable order.
// errors.As finds the first as a *ValidationError.
type ValidationErrors []*ValidationError

// maxShown is how many errors a message lists: a file that is not a declaration
// at all has one for each member.
const maxShown = 5

// Error joins the first few.
func (es ValidationErrors) Error() string {
	if len(es) == 0 {
		return "no error"
	}
	texts := make([]string, 0, maxShown+1)
	for i, e := range es {
		if i == maxShown {
			texts = append(texts, fmt.Sprintf("and %d more", len(es)-maxShown))
			break
		}
		texts = append(texts, e.text())
	}
	return es[0].Where + ": " + strings.Join(texts, "; ")
}

// Unwrap makes each error visible to errors.As.
func (es ValidationErrors) Unwrap() []error {
	errs := make([]error, len(es))
	for i, e := range es {
		errs[i] = e
	}
	return errs
}

// err returns nil, the only error, or all of them.
func (es ValidationErrors) err() error {
	switch len(es) {
	case 0:
		return nil
	case 1:
		return es[0]
	default:
		return es
	}
}

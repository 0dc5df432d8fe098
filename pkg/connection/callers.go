package connection

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Callers is the second gate on a connection, behind IAM. An empty list leaves
// the decision to IAM alone. It travels as JSON with each stored token, so that
// a warm vend decides without the secret.
type Callers []Caller

// Caller lets a principal in; absent lists mean all.
type Caller struct {
	// Principal is an IAM ARN, optionally with a trailing *. A role's ARN is
	// every session of that role.
	Principal string `json:"principal"`
	// Scopes are the scope tokens that the principal may be given.
	Scopes []string `json:"scopes,omitempty"`
	// Subjects are the subjects whose consent the principal may use.
	Subjects []string `json:"subjects,omitempty"`
}

// Refusal is why the callers list turns somebody away, fit for the answer to
// them. Its text names no principal, scope or subject.
type Refusal string

// The refusals, from the coarsest to the finest: of several rules for one
// principal the one that came closest gives the reason.
const (
	RefusedPrincipal Refusal = "the principal is not listed"
	RefusedSubject   Refusal = "the principal is listed, but not for this subject"
	RefusedScope     Refusal = "the principal is listed, but not for this scope"
)

// Error returns the reason.
func (r Refusal) Error() string { return string(r) }

// Allows returns nil or the Refusal for a caller, given as the ARN that API
// Gateway reports, who is to have a token of the effective scope for subject.
// One rule that allows all three suffices. A rule that lists scopes refuses a
// scope that is unknown (empty), and one that lists subjects a connection that
// has none.
func (c Callers) Allows(principalARN, scope, subject string) error {
	if len(c) == 0 {
		return nil
	}
	who, ok := parseCaller(principalARN)
	if !ok {
		return RefusedPrincipal
	}
	verdict := RefusedPrincipal
	for _, rule := range c {
		switch {
		case !rule.isFor(who):
		case !rule.hasSubject(subject):
			if verdict == RefusedPrincipal {
				verdict = RefusedSubject
			}
		case !rule.hasScope(scope):
			verdict = RefusedScope
		default:
			return nil
		}
	}
	return verdict
}

func (c Caller) isFor(who principal) bool {
	p, err := parsePattern(c.Principal)
	return err == nil && p.matches(who)
}

func (c Caller) hasSubject(subject string) bool {
	return len(c.Subjects) == 0 || slices.Contains(c.Subjects, subject)
}

func (c Caller) hasScope(scope string) bool {
	if len(c.Scopes) == 0 {
		return true
	}
	for token := range strings.SplitSeq(scope, " ") {
		if !slices.Contains(c.Scopes, token) {
			return false
		}
	}
	return true
}

// callers reads the declared rules. A rule is never dropped or widened on the
// way: one that cannot be understood makes the whole declaration invalid.
func (d declaration) callers(g GrantType) Callers {
	list, ok := d.list(mCallers)
	if !ok {
		return nil
	}
	rules := make(Callers, 0, len(list))
	for i, element := range list {
		place := mCallers + "/" + strconv.Itoa(i)
		members, isObject := element.(map[string]any)
		if !isObject {
			d.note(place, `is %s; it has to be an object with a "principal"`, kindOf(element))
			continue
		}
		rules = append(rules, d.nested(place, members).caller(g))
	}
	return rules
}

func (d declaration) caller(g GrantType) Caller {
	const mPrincipal, mScopes, mSubjects = "principal", "scopes", "subjects"
	d.refuseUnknown([]string{mPrincipal, mScopes, mSubjects})
	d.require(mPrincipal)
	var c Caller
	if text, ok := d.text(mPrincipal); ok {
		c.Principal = text
		if _, err := parsePattern(text); err != nil {
			d.note(mPrincipal, "%v", err)
		}
	}
	c.Scopes = d.texts(mScopes, checkScopeToken)
	if g != AuthorizationCode {
		d.refuseUseless("is used with grant_type authorization_code only", mSubjects)
		return c
	}
	c.Subjects = d.texts(mSubjects, func(text string) error {
		if _, err := ParseSubject(text); err != nil {
			return errors.New("is no subject's name; use " + nameRule)
		}
		return nil
	})
	return c
}

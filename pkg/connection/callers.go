package connection

import (
	"errors"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/strictjson/object"
)

// Callers is the second access check of a connection, after IAM. With an empty
// list IAM alone decides. It is stored as JSON with each token, so that a warm
// request is authorized without reading the secret.
type Callers []Caller

// Caller allows one principal; absent lists allow everything.
type Caller struct {
	// Principal is an IAM ARN, optionally with a trailing *. A role's ARN matches
	// every session of that role.
	Principal string `json:"principal"`
	// Scopes are the scope tokens that the principal may request.
	Scopes []string `json:"scopes,omitempty"`
	// Subjects are the subjects whose consent the principal may use.
	Subjects []string `json:"subjects,omitempty"`
}

// Refusal is why the callers list denies a request. It may be shown to the
// caller: its text names no principal, scope or subject.
type Refusal string

// The refusals, from the coarsest to the finest. When several rules name one
// principal, the rule that matched furthest gives the reason.
const (
	RefusedPrincipal Refusal = "the principal is not listed"
	RefusedSubject   Refusal = "the principal is listed, but not for this subject"
	RefusedScope     Refusal = "the principal is listed, but not for this scope"
)

// Error returns the reason.
func (r Refusal) Error() string { return string(r) }

// Allows returns nil if the caller may have a token with the effective scope for
// subject, and a Refusal otherwise. The caller is the ARN that API Gateway
// reports. One rule that allows all three is enough. A rule that lists scopes
// denies an unknown (empty) scope, and a rule that lists subjects denies a
// connection without subjects.
func (c Callers) Allows(principalARN, scope, subject string) error {
	if len(c) == 0 {
		return nil
	}
	caller, ok := parseCaller(principalARN)
	if !ok {
		return RefusedPrincipal
	}
	refusal := RefusedPrincipal
	for _, rule := range c {
		switch {
		case !rule.matches(caller):
		case !rule.hasSubject(subject):
			if refusal == RefusedPrincipal {
				refusal = RefusedSubject
			}
		case !rule.hasScope(scope):
			refusal = RefusedScope
		default:
			return nil
		}
	}
	return refusal
}

func (c Caller) matches(caller principal) bool {
	p, err := parsePattern(c.Principal)
	return err == nil && p.matches(caller)
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

// principals is what parsePattern accepts: * ends it, and no part is empty.
const principals = `^arn:aws(-[a-z-]+)?:(sts::[0-9]{12}:federated-user/[!-)+->@-~]+|iam::[0-9]{12}:(\*|root|` +
	`user/(\*|[!-)+-.0->@-~]+(/[!-)+-.0->@-~]+)*(/?\*)?)|role/(\*|[!-)+-.0->@-~]+(\*|(/[!-)+-.0->@-~]+)*))))$`

// callerFields are the members of a rule.
func callerFields() []object.Field {
	return []object.Field{
		{Name: "principal", Form: object.Text{Check: func(text string) error {
			_, err := parsePattern(text)
			return err
		}, Pattern: principals}, Required: true},
		{Name: "scopes", Form: object.List{Each: provider.ScopeToken}},
		{Name: "subjects", Form: object.List{Each: object.Text{Check: checkSubject, Pattern: namePart}}},
	}
}

func checkSubject(text string) error {
	if !isNamePart(text) {
		return errors.New("is not a subject's name; use " + nameRule)
	}
	return nil
}

// callers reads the declared rules. A rule is never dropped or widened: one that
// is not valid makes the whole declaration invalid.
func (r *reader) callers() {
	value, _ := r.Value(mCallers)
	array, _ := value.([]any)
	var rules Callers
	for i := range array {
		inner, ok := r.Element(mCallers, i)
		if !ok {
			continue
		}
		if !r.c.TakesSubjects() {
			inner.RejectUnused("is used with grant_type authorization_code only, or with an assertion that has a subject of the request", "subjects")
		}
		rule := Caller{Scopes: inner.Texts("scopes"), Subjects: inner.Texts("subjects")}
		rule.Principal, _ = inner.Text("principal")
		rules = append(rules, rule)
	}
	r.c.Callers = rules
}

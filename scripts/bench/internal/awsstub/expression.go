package awsstub

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// The clauses of an update expression that are understood, and the forms of an
// assignment: a value, or one only when the attribute is absent, plus a value.
var (
	clauses    = regexp.MustCompile(`^(?:SET (.+?))? ?(?:REMOVE (#\w+(?:, #\w+)*))?$`)
	assignment = regexp.MustCompile(`^(#\w+) = (:\w+)$`)
	defaulting = regexp.MustCompile(`^(#\w+) = if_not_exists\((#\w+), (:\w+)\)(?: \+ (:\w+))?$`)
	// separator is a comma between assignments, not one inside if_not_exists.
	separator = regexp.MustCompile(`, (#\w+ = )`)
)

// apply changes after, a copy of before, as the expression says.
func (u updating) apply(before, after item) error {
	found := clauses.FindStringSubmatch(u.UpdateExpression)
	if found == nil {
		return fmt.Errorf("update expression %q is not played", u.UpdateExpression)
	}
	for _, text := range strings.Split(separator.ReplaceAllString(found[1], "\n$1"), "\n") {
		if text == "" {
			continue
		}
		if err := u.assign(text, before, after); err != nil {
			return err
		}
	}
	for name := range strings.SplitSeq(found[2], ", ") {
		delete(after, u.ExpressionAttributeNames[name])
	}
	return nil
}

func (u updating) assign(text string, before, after item) error {
	if form := assignment.FindStringSubmatch(text); form != nil {
		after[u.ExpressionAttributeNames[form[1]]] = u.ExpressionAttributeValues[form[2]]
		return nil
	}
	form := defaulting.FindStringSubmatch(text)
	if form == nil {
		return fmt.Errorf("assignment %q is not played", text)
	}
	base, ok := before[u.ExpressionAttributeNames[form[2]]]
	if !ok {
		base = u.ExpressionAttributeValues[form[3]]
	}
	if form[4] != "" {
		sum, err := add(base, u.ExpressionAttributeValues[form[4]])
		if err != nil {
			return err
		}
		base = sum
	}
	after[u.ExpressionAttributeNames[form[1]]] = base
	return nil
}

// add is the sum of two whole numbers.
func add(a, b value) (value, error) {
	x, err := a.integer()
	if err != nil {
		return nil, err
	}
	y, err := b.integer()
	if err != nil {
		return nil, err
	}
	return value{"N": json.RawMessage(strconv.Quote(strconv.FormatInt(x+y, 10)))}, nil
}

func (v value) integer() (int64, error) {
	text, err := v.text("N")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}

// text reads a value that is a JSON string on the wire.
func (v value) text(kind string) (text string, err error) {
	if err := json.Unmarshal(v[kind], &text); err != nil {
		return "", fmt.Errorf("a value of type %s is not a text: %w", kind, err)
	}
	return text, nil
}

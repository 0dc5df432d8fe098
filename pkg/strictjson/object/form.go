package object

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

// Field is a member of an object.
type Field struct {
	Name     string
	Form     Form
	Required bool
}

// Form is what a member may be. Exactly one of its implementations describes each
// JSON type that is accepted.
type Form interface {
	// kind is the JSON type as KindOf says it, or all that are accepted.
	kind() string
	// accepts reports whether the value has the JSON type.
	accepts(value any) bool
	// check reports what is wrong with a value of the JSON type.
	check(r Reader, path string, value any)
}

type (
	// Text is a string without NUL characters, not empty unless Blank. Values, if
	// there are any, are the only ones.
	Text struct {
		Blank  bool
		Values []string
		// Exact: the string is sent byte for byte, so white space at its ends is
		// an error: it was most likely pasted with the value.
		Exact bool
		// Check says what is wrong, in words that continue a sentence that names the
		// member. Pattern describes the same, roughly, to a JSON Schema.
		Check   func(string) error
		Pattern string
		Except  Except
	}
	// Boolean is true or false.
	Boolean struct{}
	// Whole is a whole number.
	Whole struct {
		Min, Max int64
		Unit     string // "seconds"; empty is none
	}
	// Scalar is any value but null, an array and an object.
	Scalar struct{}
	// Any is any value.
	Any struct{}
	// List is an array of distinct elements. It is not empty unless Blank.
	List struct {
		Each  Form
		Blank bool
		// Repeats: elements need not be distinct.
		Repeats bool
	}
	// Map is an object with names of the operator's choice; it is not empty.
	Map struct {
		// Keys, if there are any, are the only names. Key says what is wrong with a name;
		// nil accepts every name. Pattern describes the same to a JSON Schema.
		Keys    []string
		Key     func(string) error
		Pattern string
		Except  Except
		Each    Form
		// Most is how many members there may be; zero is any number.
		Most int
	}
	// Except are texts that are refused, in upper or lower case. One that ends in a
	// hyphen stands for all that begin so. Why continues a sentence.
	Except struct {
		Texts []string
		Why   string
	}
	// Struct is an object with fixed members. It may be empty if Blank.
	Struct struct {
		Fields []Field
		Blank  bool
	}
	// Either is one of several forms with different JSON types.
	Either []Form
)

// Check reports every member that is unknown or not of its form.
func (r Reader) Check(fields []Field) {
	known := NamesOf(fields)
	for _, name := range r.Names() {
		if slices.Contains(known, name) {
			continue
		}
		r.Report(strictjson.PrintableName(name), "%s", unknown(name, known, "remove it"))
	}
	for _, f := range fields {
		switch value, ok := r.members[f.Name]; {
		case ok:
			r.form(f.Name, f.Form, value)
		case f.Required:
			r.Require(f.Name)
		}
	}
}

func unknown(name string, known []string, otherwise string) string {
	if near := DidYouMean(name, known); near != "" {
		otherwise = near
	}
	return "is unknown; " + otherwise
}

// NamesOf returns the names of fields in their order.
func NamesOf(fields []Field) []string {
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	return names
}

func (r Reader) form(path string, form Form, value any) {
	if !form.accepts(value) {
		r.Report(path, "is %s; it must be %s", KindOf(value), form.kind())
		return
	}
	form.check(r, path, value)
}

func (Text) kind() string { return "a string" }

func (Text) accepts(value any) bool { _, ok := value.(string); return ok }

func (f Text) check(r Reader, path string, value any) {
	text, _ := value.(string)
	if problem := f.Problem(text); problem != "" {
		r.Report(path, "%s", problem)
	}
}

// Problem says what is wrong with a text, in words that continue a sentence that
// names the member; empty is nothing.
func (f Text) Problem(text string) string {
	switch {
	case text == "" && f.Blank:
		return ""
	case text == "":
		return "is empty; remove it, or give it a value"
	case strings.ContainsRune(text, 0):
		return "contains a NUL character; remove it"
	case f.Except.has(text):
		return f.Except.Why
	case f.Check != nil:
		if err := f.Check(text); err != nil {
			return err.Error()
		}
	}
	switch {
	case len(f.Values) > 0 && !slices.Contains(f.Values, text):
		return "must be one of " + Join(f.Values)
	case !f.Exact:
		return ""
	}
	switch trimmed := strings.TrimFunc(text, isPastedSpace); {
	case trimmed == text:
		return ""
	case strings.HasPrefix(text, trimmed):
		return "ends with white space or a line break; remove it"
	default:
		return "begins with white space or a line break; remove it"
	}
}

// isPastedSpace reports white space and the invisible characters that copying
// from a page or a file adds.
func isPastedSpace(r rune) bool { return unicode.IsSpace(r) || r == '\u200b' || r == '\ufeff' }

func (Boolean) kind() string { return "true or false, without quotes" }

func (Boolean) accepts(value any) bool { _, ok := value.(bool); return ok }

func (Boolean) check(Reader, string, any) {}

func (f Whole) kind() string {
	if f.Unit != "" {
		return "a number of " + f.Unit + ", without quotes"
	}
	return "a number, without quotes"
}

func (Whole) accepts(value any) bool { _, ok := value.(json.Number); return ok }

func (f Whole) check(r Reader, path string, value any) {
	number, _ := value.(json.Number)
	if n, err := strconv.ParseInt(number.String(), 10, 64); err == nil && n >= f.Min && n <= f.Max {
		return
	}
	what := "number"
	if f.Unit != "" {
		what += " of " + f.Unit
	}
	r.Report(path, "must be a whole %s from %d to %d", what, f.Min, f.Max)
}

func (Scalar) kind() string { return "a string, a number or a boolean" }

func (Scalar) accepts(value any) bool {
	return Text{}.accepts(value) || Whole{}.accepts(value) || Boolean{}.accepts(value)
}

func (Scalar) check(Reader, string, any) {}

func (Any) kind() string { return "a value" }

func (Any) accepts(any) bool { return true }

func (Any) check(Reader, string, any) {}

func (List) kind() string { return "an array" }

func (List) accepts(value any) bool { _, ok := value.([]any); return ok }

func (f List) check(r Reader, path string, value any) {
	array, _ := value.([]any)
	if len(array) == 0 && !f.Blank {
		r.Report(path, "is an empty array; remove it, or give it elements")
	}
	seen := map[string]bool{}
	for i, element := range array {
		at := path + "/" + strconv.Itoa(i)
		r.form(at, f.Each, element)
		text, isText := element.(string)
		if isText && seen[text] && !f.Repeats {
			r.Report(at, "is repeated in the array; remove it")
		}
		seen[text] = true
	}
}

func (Map) kind() string { return "an object" }

func (Map) accepts(value any) bool { _, ok := value.(map[string]any); return ok }

func (f Map) check(r Reader, path string, value any) {
	inner, empty := r.inside(path, value)
	if empty {
		r.Report(path, "is empty; remove it, or give it members")
	}
	if f.Most > 0 && len(inner.members) > f.Most {
		r.Report(path, "has more than %d members; remove some", f.Most)
		return
	}
	for _, name := range inner.Names() {
		shown := strictjson.PrintableName(name)
		if problem := f.keyProblem(name); problem != "" {
			inner.Report(shown, "%s", problem)
			continue
		}
		inner.form(shown, f.Each, inner.members[name])
	}
}

func (f Map) keyProblem(name string) string {
	switch {
	case len(f.Keys) > 0 && !slices.Contains(f.Keys, name):
		return unknown(name, f.Keys, "choose from "+Join(f.Keys))
	case f.Except.has(name):
		return f.Except.Why
	case f.Key != nil:
		if err := f.Key(name); err != nil {
			return err.Error()
		}
	}
	return ""
}

func (e Except) has(text string) bool {
	lower := strings.ToLower(text)
	return slices.ContainsFunc(e.Texts, func(refused string) bool {
		return lower == refused || strings.HasSuffix(refused, "-") && strings.HasPrefix(lower, refused)
	})
}

func (Struct) kind() string { return "an object" }

func (Struct) accepts(value any) bool { return Map{}.accepts(value) }

func (f Struct) check(r Reader, path string, value any) {
	inner, empty := r.inside(path, value)
	if empty && !f.Blank {
		r.Report(path, "is empty; remove it, or give it members")
	}
	inner.Check(f.Fields)
}

func (r Reader) inside(path string, value any) (inner Reader, empty bool) {
	members, _ := value.(map[string]any)
	return Reader{path: r.path + path + "/", members: members, problems: r.problems}, len(members) == 0
}

func (f Either) kind() string {
	kinds := make([]string, len(f))
	for i, form := range f {
		kinds[i] = form.kind()
	}
	last := len(kinds) - 1
	return fmt.Sprintf("%s or %s", strings.Join(kinds[:last], ", "), kinds[last])
}

func (f Either) accepts(value any) bool { return f.of(value) != nil }

func (f Either) check(r Reader, path string, value any) { f.of(value).check(r, path, value) }

// of is the form with the JSON type of the value; nil is none.
func (f Either) of(value any) Form {
	for _, form := range f {
		if form.accepts(value) {
			return form
		}
	}
	return nil
}

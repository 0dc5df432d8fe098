package provider

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/strictjson"
	"github.com/tokenvend/tokenvend/pkg/strictjson/object"
)

// maxValue is the longest value of a variable, in bytes.
const maxValue = 256

func checkVariableName(name string) error {
	const first = "abcdefghijklmnopqrstuvwxyz"
	if !isNameOf(name, first, first+"0123456789_") {
		return errors.New("is not the name of a variable; use lower-case letters, digits and underscores, beginning with a letter")
	}
	return nil
}

var exceptVariables = object.Except{
	Texts: []string{"uuid", "subject"},
	Why:   "is reserved: {uuid} and {subject} have a meaning of their own; choose another name",
}

func checkPattern(text string) error {
	if _, err := regexp.Compile(whole(text)); err != nil {
		return errors.New("is not a pattern of RE2 (https://github.com/google/re2/wiki/Syntax)")
	}
	return nil
}

// whole makes a pattern match the whole text.
func whole(pattern string) string { return `\A(?:` + pattern + `)\z` }

func readVariables(r object.Reader) map[string]Variable {
	inner, ok := r.Object("variables")
	if !ok || len(inner.Names()) == 0 {
		return nil
	}
	variables := map[string]Variable{}
	for _, name := range inner.Names() {
		if m, ok := inner.Object(name); ok && r.Sound("variables/"+name) {
			variables[name] = readVariable(m)
		}
	}
	return variables
}

func readVariable(r object.Reader) Variable {
	v := Variable{Values: r.Texts("values"), Host: r.Boolean("host", false)}
	v.Pattern, _ = r.Text("pattern")
	v.About, _ = r.Text("about")
	v.Default, _ = r.Text("default")
	for _, value := range v.Values {
		if problem := v.problem(value); problem != "" && r.Sound("values") {
			r.Report("values", "has a value that %s", problem)
		}
	}
	if problem := v.problem(v.Default); v.Default != "" && problem != "" && r.Sound("pattern") {
		r.Report("default", "%s", problem)
	}
	return v
}

// problem says why the value does not fit wherever the variable stands.
func (v Variable) problem(value string) string {
	switch {
	case value == "":
		return "is empty"
	case len(value) > maxValue:
		return fmt.Sprintf("is longer than %d bytes", maxValue)
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }):
		return "contains a control character"
	case len(v.Values) > 0 && !slices.Contains(v.Values, value):
		return "must be one of " + strings.Join(v.Values, ", ")
	case v.Pattern == "":
		return ""
	}
	pattern, err := regexp.Compile(whole(v.Pattern))
	if err != nil || !pattern.MatchString(value) {
		return "does not match the provider's pattern " + v.Pattern
	}
	return ""
}

// checkTemplates reports variables in places where no value could be safe, and those
// that are used nowhere.
func (p *Provider) checkTemplates(r object.Reader) {
	used := map[string]bool{}
	for _, u := range p.urls() {
		for _, name := range p.uses(*u.text) {
			used[name] = true
		}
		if problem := p.templateProblem(*u.text); problem != "" {
			r.Report(u.member, "%s", problem)
		}
	}
	p.eachText(func(text string, _ func(string) error) string {
		for _, name := range p.uses(text) {
			used[name] = true
		}
		return text
	})
	for _, name := range slices.Sorted(maps.Keys(p.Variables)) {
		if !used[name] {
			r.Report("variables/"+name, "is used nowhere: no member has {%s} in it; remove it", name)
		}
	}
}

type urlMember struct {
	member string
	text   *string
}

// urls are the members that are URLs, or the path of one.
func (p *Provider) urls() []urlMember {
	return []urlMember{
		{"token_url", &p.TokenURL}, {"refresh_url", &p.RefreshURL}, {"authorization_url", &p.AuthorizationURL},
		{"revocation_url", &p.RevocationURL}, {"issuer", &p.Issuer}, {"token_path", &p.TokenPath},
	}
}

// eachText replaces each text beside the URLs that may contain variables. It gives
// replace the text, and a function that says why a value cannot stand in it. Maps are
// copied first: those of the catalogue are shared.
func (p *Provider) eachText(replace func(text string, check func(string) error) string) {
	p.Scope = maps.Clone(p.Scope)
	for _, grant := range slices.Sorted(maps.Keys(p.Scope)) {
		p.Scope[grant] = replace(p.Scope[grant], checkScopeToken)
	}
	for _, params := range []*Params{&p.TokenParams, &p.RefreshParams, &p.AuthorizationParams} {
		*params = maps.Clone(*params)
		for _, name := range slices.Sorted(maps.Keys(*params)) {
			values := slices.Clone((*params)[name])
			for i, value := range values {
				values[i] = replace(value, func(string) error { return nil })
			}
			(*params)[name] = values
		}
	}
	p.Request.Headers = maps.Clone(p.Request.Headers)
	for _, name := range slices.Sorted(maps.Keys(p.Request.Headers)) {
		p.Request.Headers[name] = replace(p.Request.Headers[name], checkHeaderValue)
	}
}

// uses returns the variables in a text.
func (p *Provider) uses(text string) []string {
	var names []string
	p.replace(text, func(name string) string {
		names = append(names, name)
		return ""
	})
	return names
}

// replace replaces {name} for each declared name. Other braces stay.
func (p *Provider) replace(text string, value func(name string) string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, after, closed := strings.Cut(rest, "}")
		if _, declared := p.Variables[name]; !closed || !declared {
			b.WriteByte('{')
			text = rest
			continue
		}
		b.WriteString(value(name))
		text = after
	}
}

// parts are a URL's scheme with "://", host without port, port with its colon, and
// what follows. They are cut from the text, because net/url parses no template.
type parts struct{ scheme, host, port, rest string }

func split(text string) parts {
	var s parts
	scheme, after, absolute := strings.Cut(text, "://")
	if !absolute {
		s.rest = text // a path
		return s
	}
	s.scheme = scheme + "://"
	end := strings.IndexAny(after, "/?#")
	if end < 0 {
		end = len(after)
	}
	s.host, s.rest = after[:end], after[end:]
	if colon := strings.LastIndexByte(s.host, ':'); colon >= 0 {
		s.host, s.port = s.host[:colon], s.host[colon:]
	}
	return s
}

func (p *Provider) templateProblem(text string) string {
	names := p.uses(text)
	if len(names) == 0 {
		return ""
	}
	s := split(text)
	switch {
	case len(p.uses(s.scheme)) > 0 || s.scheme == "" && s.rest[0] != '/':
		return "has a variable before its host; write https:// and the host"
	case len(p.uses(s.port)) > 0:
		return "has a variable in its port; write the port"
	case strings.Contains(s.host, "@"):
		return "contains a user name or password before the host; remove it"
	}
	for _, name := range p.uses(s.host) {
		v := p.Variables[name]
		switch {
		case s.host == "{"+name+"}":
			if !v.Host {
				return fmt.Sprintf(`has a host that is {%s} alone; state "host": true in variables/%s, or a part of the host`, name, name)
			}
		case strings.HasSuffix(s.host, "{"+name+"}") && len(v.Values) == 0:
			return fmt.Sprintf(`has a host that ends with {%s}, so a value could name any domain; state "values" in variables/%s`, name, name)
		}
	}
	return ""
}

// Resolve replaces the variables by values and their defaults. It calls report for
// each variable whose value is missing, unknown or does not fit, with words that
// continue a sentence that names the variable.
func (p Provider) Resolve(values map[string]string, report func(variable, problem string)) Provider {
	known := slices.Sorted(maps.Keys(p.Variables))
	chosen, failed := map[string]string{}, map[string]bool{}
	for _, name := range known {
		v := p.Variables[name]
		value, given := values[name]
		if !given {
			value = v.Default
		}
		problem := v.problem(value)
		if !given && value == "" {
			problem = "is missing"
		}
		chosen[name] = value
		if problem != "" {
			failed[name] = true
			report(name, v.explain(problem))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, ok := p.Variables[name]; !ok {
			report(strictjson.PrintableName(name), unknown(name, known))
		}
	}
	e := expansion{provider: &p, values: chosen, failed: failed, report: report}
	for _, u := range p.urls() {
		*u.text = e.url(*u.text)
	}
	p.eachText(e.text)
	return p
}

func unknown(name string, known []string) string {
	hint := object.DidYouMean(name, known)
	switch {
	case hint != "":
	case len(known) == 0:
		hint = "the provider has no variables; remove it"
	default:
		hint = "choose from " + strings.Join(known, ", ")
	}
	return "is unknown; " + hint
}

// explain adds what the provider says about the variable.
func (v Variable) explain(problem string) string {
	if v.About == "" {
		return problem + "; state another value"
	}
	return problem + "; it is: " + v.About
}

// expansion replaces variables. Each is reported once.
type expansion struct {
	provider *Provider
	values   map[string]string
	failed   map[string]bool
	report   func(variable, problem string)
}

func (e expansion) fail(name, problem string) string {
	if !e.failed[name] {
		e.failed[name] = true
		e.report(name, e.provider.Variables[name].explain(problem))
	}
	return ""
}

func (e expansion) text(text string, check func(string) error) string {
	return e.provider.replace(text, func(name string) string {
		if err := check(e.values[name]); err != nil {
			return e.fail(name, err.Error())
		}
		return e.values[name]
	})
}

// url replaces the variables of a URL. Outside the host they are percent-encoded.
// The result has the structure of the template: a value never adds a host, a port, a
// segment, a parameter or a fragment.
func (e expansion) url(template string) string {
	names := e.provider.uses(template)
	if len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return e.failed[name] }) {
		return template
	}
	s := split(template)
	path, query := s.rest, ""
	if i := strings.IndexAny(path, "?#"); i >= 0 {
		path, query = path[:i], path[i:]
	}
	finished := s.scheme + e.host(s.host) + s.port + e.path(path) +
		e.provider.replace(query, func(name string) string { return url.QueryEscape(e.values[name]) })
	neutral := e.provider.replace(template, func(string) string { return "v" })
	if !sameStructure(neutral, finished) {
		for _, name := range names {
			e.fail(name, "does not fit into a URL")
		}
	}
	return finished
}

// path refuses what a server may read as another path, even percent-encoded.
func (e expansion) path(template string) string {
	return e.provider.replace(template, func(name string) string {
		if strings.ContainsAny(e.values[name], `/\?#%`) {
			return e.fail(name, `contains a character that a path must not have: / \ ? # or %`)
		}
		return url.PathEscape(e.values[name])
	})
}

func (e expansion) host(template string) string {
	return e.provider.replace(template, func(name string) string {
		v, value := e.provider.Variables[name], e.values[name]
		dots := v.Host || v.Pattern != "" || len(v.Values) > 0
		if !isHostText(value) || strings.Contains(value, ".") && !dots {
			return e.fail(name, "must be a part of a host name: letters, digits and inner hyphens")
		}
		return value
	})
}

// isHostText reports whether a text consists of host labels (RFC 1123 §2.1). The
// egress policy judges the whole host.
func isHostText(text string) bool {
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || strings.Trim(label, letters+"0123456789-") != "" {
			return false
		}
	}
	return true
}

// sameStructure compares two URLs, or paths, except for the texts of their parts.
func sameStructure(a, b string) bool {
	first, err := url.Parse(a)
	if err != nil {
		return false
	}
	second, err := url.Parse(b)
	if err != nil {
		return false
	}
	return slices.Equal(structure(first), structure(second))
}

func structure(u *url.URL) []string {
	s := []string{u.Scheme, u.Port(), fmt.Sprint(u.User != nil, u.Host == "", u.ForceQuery, u.Fragment == "")}
	for segment := range strings.SplitSeq(u.EscapedPath(), "/") {
		kind := "text"
		if plain, err := url.PathUnescape(segment); err != nil || plain == "" || plain == "." || plain == ".." {
			kind = segment // these mean more than their text
		}
		s = append(s, kind)
	}
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		name, _, assigned := strings.Cut(pair, "=")
		s = append(s, name, fmt.Sprint(assigned))
	}
	return s
}

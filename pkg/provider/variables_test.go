package provider_test

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
	"github.com/tokenvend/tokenvend/pkg/strictjson/object"
)

// templates are providers with variables in every place, beside those of the
// catalogue.
var templates = []string{
	`{"token_url":"https://{a}.example.com/{b}/token?x={c}","variables":{"a":{},"b":{},"c":{}}}`,
	`{"token_url":"https://login-{a}.{b}.example.com:8443/t/{c}.do#{c}","variables":{"a":{},"b":{},"c":{}}}`,
	`{"token_url":"https://accounts.example.{a}/t","refresh_url":"https://{b}/{c}","variables":{"a":{"values":["com","co.jp"]},"b":{"host":true},"c":{}}}`,
	`{"authorization_url":"https://{a}.example.com/{b}{c}/{c}","token_path":"/{b}/t","variables":{"a":{"pattern":"[^/]*"},"b":{},"c":{}}}`,
}

func declaredTemplates(t testing.TB) []provider.Provider {
	t.Helper()
	var all []provider.Provider
	for _, text := range templates {
		root, err := strictjson.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var problems []object.Problem
		members, _ := root.(map[string]any)
		r := object.New(members, &problems)
		r.Check(provider.Fields())
		all = append(all, provider.Declared(r))
		if len(problems) > 0 {
			t.Fatalf("%s: %v", text, problems)
		}
	}
	for _, name := range provider.Names() {
		if p, _ := provider.Lookup(name); len(p.Variables) > 0 {
			all = append(all, p)
		}
	}
	return all
}

func urlsOf(p provider.Provider) []string {
	return []string{p.TokenURL, p.RefreshURL, p.AuthorizationURL, p.RevocationURL, p.Issuer, p.TokenPath}
}

// hostile are parts of values that could change a URL.
var hostile = []string{
	"acme", "a", "b-2", "/", "\\", ".", "..", "/../", ":", ":443", "@", "user:pw@", "evil.example.org", "%", "%2f", "%2e%2e", "?", "&", "=", "#",
	"\r", "\n", "\x00", " ", "{a}", "{", "}", "{uuid}", "⁄", "。", "．", "ａ", "ﾠ", "é", "\u202e", "\u200b", "xn--", "[::1]", "127.0.0.1", "com", "co.jp", "+", ";", "-",
}

// TestResolve_BI43_structure: whatever the values are, either they are refused or each URL
// keeps the template's host but for its variables, its port, its segments, its
// parameters and its fragment.
func TestResolve_BI43_structure(t *testing.T) {
	all := declaredTemplates(t)
	for _, p := range all[:len(templates)] { // the property is about values that are accepted, so some must be
		p.Resolve(map[string]string{"a": fitting(p.Variables["a"]), "b": "acme", "c": "acme"}, func(variable, problem string) { t.Errorf("%s %s", variable, problem) })
	}
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SampledFrom(all).Draw(t, "provider")
		values := map[string]string{}
		for name, v := range p.Variables {
			values[name] = fitting(v)
			if rapid.Bool().Draw(t, "hostile") {
				parts := rapid.SliceOfN(rapid.SampledFrom(slices.Concat(hostile, v.Values)), 0, 3).Draw(t, name)
				values[name] = strings.Join(parts, "")
			}
		}
		refused := false
		resolved := p.Resolve(values, func(string, string) { refused = true })
		if refused {
			return
		}
		for i, template := range urlsOf(p) {
			if problem := differs(template, urlsOf(resolved)[i], p, values); problem != "" {
				t.Fatalf("%q became %q: %s", template, urlsOf(resolved)[i], problem)
			}
		}
	})
}

// fitting is a value that most variables take.
func fitting(v provider.Variable) string {
	if len(v.Values) > 0 {
		return v.Values[0]
	}
	return cmp.Or(v.Default, "acme")
}

// differs judges with net/url alone, unlike the code.
func differs(template, finished string, p provider.Provider, values map[string]string) string {
	if template == "" {
		return ""
	}
	neutral, host := template, template
	for name := range p.Variables {
		neutral = strings.ReplaceAll(neutral, "{"+name+"}", "v")
		host = strings.ReplaceAll(host, "{"+name+"}", values[name])
	}
	was, err := url.Parse(neutral)
	if err != nil {
		return "the template is no URL"
	}
	is, err := url.Parse(finished)
	if err != nil {
		return "it is no URL"
	}
	_, rest, _ := strings.Cut(host, "://")
	switch {
	case was.Host != "" && !strings.HasPrefix(rest, is.Host):
		return "another host"
	case strings.ContainsAny(is.Hostname(), "/\\@:%[]?# \r\n\x00") || strings.ContainsFunc(is.Host, func(r rune) bool { return r > '~' }):
		return "a host with other characters"
	case is.Scheme != was.Scheme || is.Port() != was.Port() || is.User != nil:
		return "another scheme, port or user"
	case strings.Count(is.EscapedPath(), "/") != strings.Count(was.EscapedPath(), "/"):
		return "other segments"
	case strings.Contains("/"+is.Path+"/", "/../") || strings.Contains("/"+is.Path+"/", "/./"):
		return "a segment of dots"
	case !slices.Equal(keys(is.Query()), keys(was.Query())) || strings.Count(is.RawQuery, "&") != strings.Count(was.RawQuery, "&"):
		return "other parameters"
	case (is.Fragment == "") != (was.Fragment == ""):
		return "another fragment"
	}
	return ""
}

func keys(values url.Values) []string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// TestResolve_BI52_shared: Resolve changes nothing of the catalogue's entry.
func TestResolve_BI52_shared(t *testing.T) {
	p := provider.Provider{
		Variables: map[string]provider.Variable{"a": {}}, TokenParams: provider.Params{"x": {"{a}"}},
		Scope: map[string]string{"client_credentials": "{a}"}, Request: provider.RequestShape{Headers: map[string]string{"X": "{a} {uuid}"}},
	}
	resolved := p.Resolve(map[string]string{"a": "1"}, func(variable, problem string) { t.Errorf("%s %s", variable, problem) })
	if p.TokenParams["x"][0] != "{a}" || p.Scope["client_credentials"] != "{a}" || p.Request.Headers["X"] != "{a} {uuid}" {
		t.Errorf("the entry became %+v", p)
	}
	if resolved.TokenParams["x"][0] != "1" || resolved.Scope["client_credentials"] != "1" || resolved.Request.Headers["X"] != "1 {uuid}" {
		t.Errorf("resolved: %+v", resolved)
	}
}

// BenchmarkCatalogue reads every entry as at its first use.
func BenchmarkCatalogue(b *testing.B) {
	for b.Loop() {
		provider.ForgetEntries()
		for _, name := range provider.Names() {
			provider.Lookup(name)
		}
	}
}

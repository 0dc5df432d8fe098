package template_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../../.."

// parse reads the template of the tree.
func parse(t *testing.T) map[string]Function {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Transform != "AWS::Serverless-2016-10-31" {
		t.Errorf("Transform is %q", parsed.Transform)
	}
	functions, err := parsed.Functions()
	if err != nil {
		t.Fatal(err)
	}
	return functions
}

func TestEveryFunctionIsDeployed(t *testing.T) {
	functions := parse(t)
	folders, err := filepath.Glob(filepath.Join(root, "functions", "*", "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	built := make(map[string]bool)
	for _, main := range folders {
		uri := "functions/" + filepath.Base(filepath.Dir(main)) + "/"
		built[uri] = true
		if _, ok := functions[uri]; !ok {
			t.Errorf("template.yaml has no function with CodeUri %s", uri)
		}
	}
	for uri, f := range functions {
		if !built[uri] {
			t.Errorf("template.yaml names %s, which has no main.go", uri)
		}
		if f.Runtime != "provided.al2023" || f.Handler != "bootstrap" {
			t.Errorf("%s runs %q with handler %q, want provided.al2023 and bootstrap", uri, f.Runtime, f.Handler)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"not YAML":       {"a: [", "parse the template"},
		"key twice":      {"Transform: a\nTransform: b\n", "already defined"},
		"no build":       {"Resources: {F: {Type: 'AWS::Serverless::Function', Properties: {CodeUri: a/}}}", "BuildMethod"},
		"a folder twice": {resources("F", "a/") + resources("G", "a/")[len("Resources:\n"):], "has a function already"},
	} {
		t.Run(name, func(t *testing.T) {
			parsed, err := Parse([]byte(c.text))
			if err == nil {
				_, err = parsed.Functions()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

func resources(name, uri string) string {
	return "Resources:\n  " + name + ":\n    Type: AWS::Serverless::Function\n    Metadata: {BuildMethod: go1.x}\n    Properties: {CodeUri: " + uri + "}\n"
}

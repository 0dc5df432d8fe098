// Package template reads the stack's template far enough to compare it with the
// tree. It stands in the tools' module because a YAML parser is nothing the
// service should ship or depend on.
package template

import (
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
)

const functionType = "AWS::Serverless::Function"

// Template is the part of a SAM template that is compared.
type Template struct {
	Transform string `yaml:"Transform"`
	Globals   struct {
		Function Function `yaml:"Function"`
	} `yaml:"Globals"`
	Resources map[string]Resource `yaml:"Resources"`
}

// Resource is one resource; Properties are read for functions alone.
type Resource struct {
	Type       string    `yaml:"Type"`
	Properties yaml.Node `yaml:"Properties"`
	Metadata   struct {
		BuildMethod string `yaml:"BuildMethod"`
	} `yaml:"Metadata"`
}

// Function is the part of a function's properties that is compared.
type Function struct {
	Runtime string           `yaml:"Runtime"`
	Handler string           `yaml:"Handler"`
	CodeURI string           `yaml:"CodeUri"`
	Events  map[string]Event `yaml:"Events"`
}

// Event is one trigger of a function.
type Event struct {
	Type       string `yaml:"Type"`
	Properties struct {
		Path   string `yaml:"Path"`
		Method string `yaml:"Method"`
	} `yaml:"Properties"`
}

// Parse reads a template. A key given twice is an error.
func Parse(text []byte) (Template, error) {
	var t Template
	if err := yaml.Unmarshal(text, &t); err != nil {
		return Template{}, fmt.Errorf("parse the template: %w", err)
	}
	return t, nil
}

// Functions are the functions by the folder they are built from.
func (t Template) Functions() (map[string]Function, error) {
	functions := make(map[string]Function)
	for _, name := range slices.Sorted(maps.Keys(t.Resources)) {
		r := t.Resources[name]
		if r.Type != functionType {
			continue
		}
		f := t.Globals.Function
		if err := r.Properties.Decode(&f); err != nil {
			return nil, fmt.Errorf("function %s: %w", name, err)
		}
		if r.Metadata.BuildMethod != "go1.x" {
			return nil, fmt.Errorf("function %s: Metadata needs BuildMethod go1.x, so that sam build makes a bootstrap", name)
		}
		if _, twice := functions[f.CodeURI]; twice {
			return nil, fmt.Errorf("function %s: CodeUri %s has a function already", name, f.CodeURI)
		}
		functions[f.CodeURI] = f
	}
	return functions, nil
}

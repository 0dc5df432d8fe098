// Package template reads the stack's template far enough to compare it with the
// tree. It stands in the tools' module because a YAML parser is nothing the
// service should ship or depend on.
package template

import (
	"fmt"
	"maps"
	"slices"
	"strings"

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
	Runtime     string `yaml:"Runtime"`
	Handler     string `yaml:"Handler"`
	CodeURI     string `yaml:"CodeUri"`
	Timeout     int    `yaml:"Timeout"`
	Environment struct {
		Variables map[string]yaml.Node `yaml:"Variables"`
	} `yaml:"Environment"`
	Policies []struct {
		Statement []Statement `yaml:"Statement"`
	} `yaml:"Policies"`
	ReservedConcurrentExecutions int `yaml:"ReservedConcurrentExecutions"`
	// EventInvokeConfig bounds what is repeated once Lambda has an event.
	EventInvokeConfig Retry            `yaml:"EventInvokeConfig"`
	DeadLetterQueue   yaml.Node        `yaml:"DeadLetterQueue"`
	LoggingConfig     yaml.Node        `yaml:"LoggingConfig"`
	Events            map[string]Event `yaml:"Events"`
}

// Statement is one statement of a function's policy.
type Statement struct {
	Effect   string    `yaml:"Effect"`
	Action   yaml.Node `yaml:"Action"`
	Resource yaml.Node `yaml:"Resource"`
}

// Retry bounds the repetition of an event. The zero value of the attempts is
// not their default, so it is told apart.
type Retry struct {
	MaximumRetryAttempts     *int `yaml:"MaximumRetryAttempts"`
	MaximumEventAgeInSeconds int  `yaml:"MaximumEventAgeInSeconds"`
}

// Event is one trigger of a function.
type Event struct {
	Type       string `yaml:"Type"`
	Properties struct {
		Path             string    `yaml:"Path"`
		Method           string    `yaml:"Method"`
		Schedule         string    `yaml:"Schedule"`
		Pattern          yaml.Node `yaml:"Pattern"`
		RetryPolicy      Retry     `yaml:"RetryPolicy"`
		DeadLetterConfig yaml.Node `yaml:"DeadLetterConfig"`
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
		f.Environment.Variables = maps.Clone(f.Environment.Variables) // which decoding adds to
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

// Permissions are what the function's policies allow, each "action on resource",
// sorted. A statement that does not allow is shown with its effect.
func (f Function) Permissions() []string {
	var all []string
	for _, policy := range f.Policies {
		for _, s := range policy.Statement {
			for _, action := range words(s.Action) {
				for _, resource := range words(s.Resource) {
					all = append(all, strings.TrimPrefix(s.Effect+" ", "Allow ")+action+" on "+resource)
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// words are the texts of one value or a list of them, CloudFormation's tags
// included.
func words(n yaml.Node) []string {
	if n.Kind == yaml.SequenceNode {
		var all []string
		for _, one := range n.Content {
			all = append(all, words(*one)...)
		}
		return all
	}
	if strings.HasPrefix(n.Tag, "!!") || n.Tag == "" {
		return []string{n.Value}
	}
	return []string{n.Tag + " " + n.Value}
}

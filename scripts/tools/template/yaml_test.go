// Package template_test reads the parts of the stack's template that are compared with the
// code. It is in the module of the tools because the service must not depend on a YAML
// parser.
package template_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The types of resource that are read.
const (
	functionType = "AWS::Serverless::Function"
	roleType     = "AWS::IAM::Role"
	apiType      = "AWS::Serverless::Api"
)

// Template is the part of a SAM template that is compared.
type Template struct {
	Transform  string               `yaml:"Transform"`
	Parameters map[string]Parameter `yaml:"Parameters"`
	Conditions map[string]yaml.Node `yaml:"Conditions"`
	Globals    struct {
		Function Function `yaml:"Function"`
	} `yaml:"Globals"`
	Resources map[string]Resource `yaml:"Resources"`
	Outputs   map[string]Output   `yaml:"Outputs"`
	// Unexplained are the resources without a comment; a resource shares that of the
	// preceding resource of the same type.
	Unexplained []string `yaml:"-"`
}

// Output is one output.
type Output struct {
	Condition   string    `yaml:"Condition"`
	Description string    `yaml:"Description"`
	Value       yaml.Node `yaml:"Value"`
}

// Parameter is one parameter.
type Parameter struct {
	Type           string    `yaml:"Type"`
	Default        yaml.Node `yaml:"Default"`
	Description    string    `yaml:"Description"`
	AllowedValues  []string  `yaml:"AllowedValues"`
	AllowedPattern string    `yaml:"AllowedPattern"`
	MinValue       *int      `yaml:"MinValue"`
	Constraint     string    `yaml:"ConstraintDescription"`
}

// Resource is one resource.
type Resource struct {
	Type                string    `yaml:"Type"`
	Condition           string    `yaml:"Condition"`
	DeletionPolicy      string    `yaml:"DeletionPolicy"`
	UpdateReplacePolicy string    `yaml:"UpdateReplacePolicy"`
	Properties          yaml.Node `yaml:"Properties"`
	Metadata            struct {
		BuildMethod string `yaml:"BuildMethod"`
	} `yaml:"Metadata"`
}

// Function is the part of a function's properties that is compared.
type Function struct {
	Runtime     string    `yaml:"Runtime"`
	Handler     string    `yaml:"Handler"`
	CodeURI     string    `yaml:"CodeUri"`
	Timeout     int       `yaml:"Timeout"`
	Role        yaml.Node `yaml:"Role"`
	Policies    yaml.Node `yaml:"Policies"`
	URL         yaml.Node `yaml:"FunctionUrlConfig"`
	Environment struct {
		Variables map[string]yaml.Node `yaml:"Variables"`
	} `yaml:"Environment"`
	ReservedConcurrentExecutions yaml.Node `yaml:"ReservedConcurrentExecutions"`
	// EventInvokeConfig limits Lambda's retries of an event.
	EventInvokeConfig Retry            `yaml:"EventInvokeConfig"`
	DeadLetterQueue   yaml.Node        `yaml:"DeadLetterQueue"`
	LoggingConfig     yaml.Node        `yaml:"LoggingConfig"`
	Events            map[string]Event `yaml:"Events"`
}

// Retry limits the retries of an event. Zero attempts are not the default, so nil
// means unset.
type Retry struct {
	MaximumRetryAttempts     *int `yaml:"MaximumRetryAttempts"`
	MaximumEventAgeInSeconds int  `yaml:"MaximumEventAgeInSeconds"`
}

// Event is one trigger of a function.
type Event struct {
	Type       string `yaml:"Type"`
	Properties struct {
		RestAPIID        string    `yaml:"RestApiId"`
		Path             string    `yaml:"Path"`
		Method           string    `yaml:"Method"`
		Auth             yaml.Node `yaml:"Auth"`
		Schedule         string    `yaml:"Schedule"`
		Pattern          yaml.Node `yaml:"Pattern"`
		RetryPolicy      Retry     `yaml:"RetryPolicy"`
		DeadLetterConfig yaml.Node `yaml:"DeadLetterConfig"`
	} `yaml:"Properties"`
}

// Parse reads a template. A repeated key is an error.
func Parse(text []byte) (Template, error) {
	var t Template
	var whole struct {
		Resources yaml.Node `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &t); err != nil {
		return Template{}, fmt.Errorf("parse the template: %w", err)
	}
	if err := yaml.Unmarshal(text, &whole); err != nil {
		return Template{}, fmt.Errorf("parse the template: %w", err)
	}
	t.Unexplained = unexplained(whole.Resources.Content, t.Resources)
	return t, nil
}

func unexplained(pairs []*yaml.Node, resources map[string]Resource) (names []string) {
	before := ""
	for i := 0; i+1 < len(pairs); i += 2 {
		key := pairs[i]
		if kind := resources[key.Value].Type; key.HeadComment != "" || kind == before {
			before = kind
			continue
		}
		before = ""
		names = append(names, key.Value)
	}
	return names
}

// Functions returns the functions by the folder that they are built from.
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

// Show writes a value with CloudFormation's tags and sorted keys, so that values can be
// compared as text.
func Show(n yaml.Node) string {
	tag := ""
	if !strings.HasPrefix(n.Tag, "!!") && n.Tag != "" {
		tag = n.Tag + " "
	}
	switch n.Kind {
	case yaml.SequenceNode:
		var all []string
		for _, one := range n.Content {
			all = append(all, Show(*one))
		}
		return tag + "[" + strings.Join(all, ", ") + "]"
	case yaml.MappingNode:
		var all []string
		for i := 0; i+1 < len(n.Content); i += 2 {
			all = append(all, n.Content[i].Value+": "+Show(*n.Content[i+1]))
		}
		slices.Sort(all)
		return tag + "{" + strings.Join(all, ", ") + "}"
	default:
		return tag + n.Value
	}
}

// words returns the texts of a value or of a list of values.
func words(n yaml.Node) []string {
	if n.Kind != yaml.SequenceNode || !strings.HasPrefix(n.Tag, "!!") {
		return []string{Show(n)}
	}
	var all []string
	for _, one := range n.Content {
		all = append(all, words(*one)...)
	}
	return all
}
